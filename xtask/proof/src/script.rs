//! Scripts: the program that the first line of a file names.
//!
//! Source: execve(2), "Interpreter scripts".

/// The words of a `#!` line: the interpreter and its arguments. `None` for a file that has none.
pub fn interpreter(head: &[u8]) -> Option<Vec<String>> {
    const LONGEST: usize = 256;
    let line = head.strip_prefix(b"#!")?;
    let line = &line[..line.len().min(LONGEST)];
    let line = line.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?;
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter() {
        let words = |head: &str| interpreter(head.as_bytes());
        assert_eq!(words("#!/bin/sh\nexit"), Some(vec!["/bin/sh".into()]));
        assert_eq!(
            words("#! /usr/bin/env -S python3 -u\r\n"),
            Some(vec!["/usr/bin/env".into(), "-S".into(), "python3".into(), "-u".into()])
        );
        assert_eq!(words("#!\n"), None);
        assert_eq!(words("exit"), None);
    }
}
