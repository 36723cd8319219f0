//! What BuildKit's plain progress says that its exit code does not.

/// Watches for a cache that could not be written: `ignore-error` keeps that from failing the build.
#[derive(Debug, Default)]
pub(super) struct CacheWatch {
    step: Option<String>,
    error: Option<String>,
}

impl CacheWatch {
    /// Reads one line.
    pub(super) fn read(&mut self, line: &str) {
        let Some((step, said)) = line.trim().split_once(' ') else {
            return;
        };
        if said.starts_with("exporting cache to ") {
            self.step = Some(step.to_owned());
        } else if let (Some(error), true) = (
            said.strip_prefix("ERROR: "),
            self.step.as_deref() == Some(step),
        ) {
            self.error = Some(error.to_owned());
        }
    }

    /// Why the cache was not written.
    pub(super) fn error(self) -> Option<String> {
        self.error
    }
}

/// A line without the step's number and time: `#10 1.477   cause: …`.
pub(super) fn without_prefix(line: &str) -> &str {
    let is_prefix = |word: &str| {
        let number = word.strip_prefix('#').unwrap_or(word);
        !number.is_empty()
            && number
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let mut rest = line.trim();
    while let Some((_, more)) = rest.split_once(' ').filter(|(word, _)| is_prefix(word)) {
        rest = more.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_had_without_its_step() {
        assert_eq!(
            without_prefix("#10 1.477   cause: Because docopt==0.6.2"),
            "cause: Because docopt==0.6.2"
        );
        assert_eq!(without_prefix("ERROR: failed"), "ERROR: failed");
        assert_eq!(without_prefix("#10"), "#10");
    }

    #[test]
    fn an_error_is_the_caches_when_it_is_of_its_step() {
        let said = |lines: &[&str]| {
            let mut watch = CacheWatch::default();
            for line in lines {
                watch.read(line);
            }
            watch.error()
        };
        let export = "#14 exporting cache to registry";
        assert_eq!(
            said(&[export, "#14 ERROR: denied"]),
            Some("denied".to_owned())
        );
        assert_eq!(
            said(&[export, "#14 writing layer x done", "#3 ERROR: not found"]),
            None
        );
        assert_eq!(said(&["#14 ERROR: denied", "", "nonsense"]), None);
    }
}
