//! What went wrong between us and a registry, in the registry's own words where it has any, and whether trying again may help.

use std::{fmt, time::Duration};

use anyhow::{Error, anyhow};
use serde::Deserialize;
use ureq::{Body, Timeout, http::Response};

use super::access;

/// In the chain of an error: the registry has not said what it has. Anything else that fails is about what it has.
#[derive(Debug)]
pub struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it does not tell")
    }
}

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It would not.
    Never,
    /// It would not, but what was sent may have arrived by now.
    IfLost,
    /// It may be gone in a moment.
    Soon,
    /// The registry counts requests, and has had enough for a while.
    Later,
}

/// One attempt that failed.
pub(super) struct Failure {
    /// Whether trying again may help.
    again: Again,
    /// The status of a refusal.
    pub(super) status: Option<u16>,
    /// The registry wants a login, or a newer one.
    pub(super) unauthorized: bool,
    /// What login it wants, in its own words.
    pub(super) challenge: Option<String>,
    /// The registry tells us nothing, now or at all.
    silent: bool,
    pub(super) error: Error,
}

impl Failure {
    /// Trying again would not help.
    pub(super) fn lasting(error: impl Into<Error>) -> Self {
        Self {
            again: Again::Never,
            status: None,
            unauthorized: false,
            challenge: None,
            silent: false,
            error: error.into(),
        }
    }

    /// A connection that broke, or never came to be: it may do so the next time. One on which nothing moves has been waited for
    /// long enough.
    pub(super) fn of_connection(error: impl Into<ureq::Error>) -> Self {
        let error = unwrapped(error.into());
        let again = match error {
            ureq::Error::Timeout(Timeout::PerRead) => Again::IfLost,
            ureq::Error::Timeout(Timeout::PerWrite) => Again::Never,
            _ => Again::Soon,
        };
        if again != Again::Soon {
            let error = anyhow!("the registry has gone silent: not a byte moved for a minute");
            return Self {
                again,
                silent: true,
                ..Self::lasting(error)
            };
        }
        Self {
            again: Again::Soon,
            silent: true,
            ..Self::lasting(error)
        }
    }

    /// The same, of a step that begins with a look whether the one before has arrived: a registry may take its time for a large layer.
    pub(super) fn looked_after(mut self) -> Self {
        if self.again == Again::IfLost {
            self.again = Again::Soon;
        }
        self
    }

    /// The same, of a step that begins anew the next time.
    pub(super) fn begun_anew(mut self) -> Self {
        self.again = Again::Soon;
        self
    }

    /// What went wrong, for those who asked.
    pub(super) fn told(self, about: String) -> Error {
        let error = if self.silent {
            self.error.context(NoAnswer)
        } else {
            self.error
        };
        error.context(about)
    }

    /// A registry's refusal.
    pub(super) fn refused(host: &str, mut answer: Response<Body>) -> Self {
        const WORDS: u64 = 4096;
        let status = answer.status().as_u16();
        let challenge = access::challenge_of(&answer);
        let said = answer
            .body_mut()
            .with_config()
            .limit(WORDS)
            .read_to_string()
            .unwrap_or_default();
        let words =
            words(&said).map_or_else(String::new, |words| format!(": {}", words.escape_debug()));
        let is_ecr = host.contains(".dkr.ecr.");
        let cure = match status {
            401 | 403 if is_ecr => {
                "; aws sts get-caller-identity says whose credentials these are".to_owned()
            }
            401 | 403 => format!(
                "; it is not there, or wants a login: {}",
                access::login_command(host)
            ),
            404 => "; there is no such thing in this registry".to_owned(),
            429 => format!(
                "; it counts the calls of those that it does not know: {}",
                access::login_command(host)
            ),
            _ => String::new(),
        };
        Self {
            again: match status {
                429 => Again::Later,
                500.. => Again::Soon,
                _ => Again::Never,
            },
            status: Some(status),
            unauthorized: status == 401,
            challenge,
            silent: matches!(status, 401 | 403 | 429) || status >= 500,
            error: anyhow!("the registry answered HTTP {status}{words}{cure}"),
        }
    }
}

/// What a reader of an answer's body hides in an error of its own.
fn unwrapped(error: ureq::Error) -> ureq::Error {
    match error {
        ureq::Error::Io(error) => match error.downcast::<ureq::Error>() {
            Ok(inner) => inner,
            Err(error) => ureq::Error::Io(error),
        },
        other => other,
    }
}

/// Tries, and after each of these delays again, as long as what goes wrong may pass.
pub(super) fn persistently<T>(
    delays: &[Duration],
    attempt: impl Fn() -> Result<T, Failure>,
) -> Result<T, Failure> {
    /// Beyond the others, for a registry that counts.
    const RESTS: [Duration; 3] = [
        Duration::from_secs(5),
        Duration::from_secs(8),
        Duration::from_secs(13),
    ];
    let is_patient = !delays.is_empty();
    let (mut delays, mut rests) = (delays.iter(), RESTS.iter());
    loop {
        match attempt() {
            Err(failure) if matches!(failure.again, Again::Soon | Again::Later) => {
                let may_rest = failure.again == Again::Later && is_patient;
                let rest = || rests.next().filter(|_| may_rest);
                match delays.next().or_else(rest) {
                    Some(delay) => std::thread::sleep(*delay),
                    None => return Err(failure),
                }
            }
            outcome => return outcome,
        }
    }
}

/// What a person can read of an answer. Source: the OCI distribution specification, "Error Codes".
fn words(said: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        code: String,
        #[serde(default)]
        message: Option<String>,
    }
    let said = said.trim();
    if let Ok(answer) = serde_json::from_str::<Answer>(said) {
        let all: Vec<_> = answer
            .errors
            .into_iter()
            .map(|one| {
                one.message
                    .filter(|text| !text.is_empty())
                    .unwrap_or(one.code)
            })
            .collect();
        return (!all.is_empty()).then(|| all.join(", "));
    }
    let is_page = said.starts_with('<');
    (!said.is_empty() && !is_page).then(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_s_own_words_are_kept_and_pages_are_not() {
        let cases = [
            (
                r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}"#,
                Some("pull rate limit"),
            ),
            (
                r#"{"errors":[{"code":"DENIED"},{"code":"NAME_UNKNOWN","message":null}]}"#,
                Some("DENIED, NAME_UNKNOWN"),
            ),
            (r#"{"errors":[]}"#, None),
            ("<html>nginx</html>", None),
            ("try later", Some("try later")),
            ("", None),
        ];
        for (said, expected) in cases {
            assert_eq!(words(said).as_deref(), expected, "{said}");
        }
    }
}
