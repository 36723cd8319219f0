//! Scripts: the program that the first line of a file names.
//!
//! Source: execve(2), "Interpreter scripts".

/// The interpreter of a `#!` line and its one argument, split as the kernel does: at the first space or tab, and a carriage
/// return is a character like any other. `None` for a file that has no such line.
pub(crate) fn interpreter(head: &[u8]) -> Option<Vec<String>> {
    const LONGEST: usize = 256;
    let line = head.strip_prefix(b"#!")?;
    let line = &line[..line.len().min(LONGEST)];
    let line = line.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?.trim_matches([' ', '\t']);
    let (program, argument) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let words = [program, argument.trim_start_matches([' ', '\t'])];
    (!program.is_empty()).then(|| {
        words
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| (*word).to_owned())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter() {
        let words = |head: &str| interpreter(head.as_bytes());
        assert_eq!(words("#!/bin/sh\nexit"), Some(vec!["/bin/sh".into()]));
        assert_eq!(
            words("#! /usr/bin/env -S python3 -u\n"),
            Some(vec!["/usr/bin/env".into(), "-S python3 -u".into()])
        );
        assert_eq!(words("#!/bin/sh\r\n"), Some(vec!["/bin/sh\r".into()]));
        assert_eq!(words("#!\n"), None);
        assert_eq!(words("exit"), None);
    }
}
