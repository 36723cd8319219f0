//! Pushes, and what to do when one breaks off.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{Docker, LoginSession, SILENCE, last_line};

impl Docker {
    /// Pushes one name. A connection that breaks, a server that fails for a moment and a token that has run out are
    /// tried again: docker itself gives up at the first of these.
    ///
    /// # Errors
    /// A push that fails for good.
    pub fn push(
        &self,
        session: &LoginSession<'_>,
        name: &str,
        mut line: impl FnMut(&str),
    ) -> Result<()> {
        let words = ["push", name];
        let mut delays = [1, 3, 9].map(Duration::from_secs).into_iter();
        let mut renewed = false;
        loop {
            let outcome = self
                .with_config(session.directory())
                .stream(&words, SILENCE, &mut line)?;
            if outcome.success() {
                return Ok(());
            }
            let said = outcome.tail.join("\n");
            match Trouble::of(&said) {
                Trouble::Login if !renewed => {
                    line("the registry asks for a new login");
                    session.login(self)?;
                    renewed = true;
                }
                Trouble::Passing => match delays.next() {
                    Some(delay) => {
                        line(&format!(
                            "the push broke off; trying again in {} s",
                            delay.as_secs()
                        ));
                        std::thread::sleep(delay);
                    }
                    None => bail!(
                        "the push of `{name}` {} after 4 attempts: {}",
                        outcome.describe(),
                        last_line(&said)
                    ),
                },
                Trouble::Login | Trouble::Lasting => {
                    bail!(
                        "the push of `{name}` {}: {}",
                        outcome.describe(),
                        last_line(&said)
                    )
                }
            }
        }
    }
}

/// What kind of trouble a push met.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// It may be gone in a moment.
    Passing,
    /// The token has run out, or was refused.
    Login,
    /// Trying again would not help.
    Lasting,
}

impl Trouble {
    /// Reads docker's words. It has no other way to say what happened.
    fn of(said: &str) -> Self {
        let said = said.to_lowercase();
        let has = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
        if has(&[
            "no basic auth",
            "401",
            "unauthorized",
            "token has expired",
            "authentication required",
        ]) {
            return Self::Login;
        }
        let passing = [
            " 500",
            " 502",
            " 503",
            " 504",
            "429",
            "too many requests",
            "toomanyrequests",
            "eof",
            "connection reset",
            "broken pipe",
            "connection refused",
            "timeout",
            "timed out",
            "temporary failure",
            "connection closed",
            "unexpected http response",
            "internal server error",
            "service unavailable",
            "bad gateway",
            "server closed",
        ];
        if has(&passing) {
            Self::Passing
        } else {
            Self::Lasting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_words_say_whether_to_try_again() {
        let cases = [
            (
                "received unexpected HTTP status: 503 Service Unavailable",
                Trouble::Passing,
            ),
            (
                "failed to do request: Put \"https://x\": EOF",
                Trouble::Passing,
            ),
            (
                "read tcp 1.2.3.4:5: read: connection reset by peer",
                Trouble::Passing,
            ),
            ("toomanyrequests: Rate exceeded", Trouble::Passing),
            ("no basic auth credentials", Trouble::Login),
            (
                "denied: Your authorization token has expired. Reauthenticate and try again.",
                Trouble::Login,
            ),
            (
                "tag invalid: The image tag 'x' already exists and cannot be overwritten because the tag is immutable.",
                Trouble::Lasting,
            ),
            (
                "denied: User is not authorized to perform: ecr:InitiateLayerUpload",
                Trouble::Lasting,
            ),
            (
                "name unknown: The repository with name 'x' does not exist",
                Trouble::Lasting,
            ),
        ];
        for (said, expected) in cases {
            assert_eq!(Trouble::of(said), expected, "{said}");
        }
    }
}
