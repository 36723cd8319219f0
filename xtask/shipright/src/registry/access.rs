//! Getting in: the login that ECR gives, the one that docker keeps, and the tokens that other registries hand out for it.
//!
//! Source: the distribution project's "Token Authentication Specification".

use std::{
    fs::File,
    io::{BufReader, ErrorKind},
};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::Deserialize;
use ureq::{Body, RequestBuilder, http::Response, typestate::WithoutBody};

use super::{
    Registry, agent,
    failure::{Failure, persistently},
    reference::{HUB, HUB_NAME, is_local},
};
use crate::{facts::host, report::terminal::github::mask};

/// A user name and password for a registry.
#[derive(Clone)]
pub struct Login {
    /// `AWS`, for ECR.
    pub user: String,
    password: String,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actions {
    /// To read.
    Pull,
    /// To read and to write.
    Push,
}

impl Actions {
    /// The scopes of a token for repositories.
    fn scopes(self, repositories: &[String]) -> Vec<String> {
        let actions = match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        };
        let scope = |repository: &String| format!("repository:{repository}:{actions}");
        repositories.iter().map(scope).collect()
    }
}

impl Login {
    /// Takes ECR's token apart: base64 of `AWS:password`.
    ///
    /// # Errors
    /// A token of another form; the token is not in the message.
    pub fn from_ecr_token(token: &str) -> Result<Self> {
        let bytes = BASE64_STANDARD
            .decode(token)
            .ok()
            .context("ECR's authorization token is not base64")?;
        let text = String::from_utf8(bytes)
            .ok()
            .context("ECR's authorization token is not text")?;
        let (user, password) = text
            .split_once(':')
            .context("ECR's authorization token lacks a colon")?;
        let login = Self {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        mask(password);
        mask(token);
        Ok(login)
    }

    /// Under which name docker keeps the login of a registry. That of its Hub has the address that it had first.
    pub fn server(host: &str) -> &str {
        if is_hub(host) {
            "https://index.docker.io/v1/"
        } else {
            host
        }
    }

    /// The login that docker keeps for a registry, in its configuration or with a credential helper.
    ///
    /// # Errors
    /// A configuration that cannot be read, or a helper that fails. A registry without a login is none.
    pub fn from_docker(host: &str) -> Result<Option<Self>> {
        let server = Self::server(host);
        let Some(file) = host::docker_config().map(|directory| directory.join("config.json"))
        else {
            return Ok(None);
        };
        let reader = match File::open(&file) {
            Ok(reader) => reader,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("failed to read docker's login in `{}`", file.display())
                });
            }
        };
        match docker_credential::get_credential_from_reader(BufReader::new(reader), server) {
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                Ok(Some(Self { user, password }))
            }
            Ok(DockerCredential::IdentityToken(_)) => {
                bail!(
                    "docker's login for `{host}` is an identity token, which cannot be used here: log in with a password"
                )
            }
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
            // A helper that knows no login says so in words of its own, and ends with an error.
            Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
                if [&stdout, &stderr]
                    .iter()
                    .any(|text| text.contains("credentials not found")) =>
            {
                Ok(None)
            }
            // What a helper has printed may be a secret.
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                bail!(
                    "docker's credential helper `{helper}` failed for `{host}`; `{}` renews a login",
                    login_command(host)
                )
            }
            Err(error) => Err(error).with_context(|| {
                format!(
                    "failed to read docker's login for `{host}` in `{}`",
                    file.display()
                )
            }),
        }
    }

    /// User and password as HTTP's own login and docker's configuration have them: encoded, not hidden.
    pub fn encoded(&self) -> String {
        BASE64_STANDARD.encode(format!("{}:{}", self.user, self.password))
    }

    /// The header's value for HTTP's own login.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", self.encoded())
    }
}

/// A password shows in no debug output.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A token server's answer. Some send the token under both names; the specification allows it.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Token {
    fn read(text: &str) -> Option<String> {
        let said: Self = serde_json::from_str(text).ok()?;
        said.token
            .or(said.access_token)
            .filter(|token| !token.is_empty())
    }
}

fn is_hub(host: &str) -> bool {
    host == HUB || host == HUB_NAME
}

/// What a user types to log in. Docker's own Hub has no name there.
pub(super) fn login_command(host: &str) -> String {
    if is_hub(host) {
        "docker login".to_owned()
    } else {
        format!("docker login {host}")
    }
}

/// The header that a registry wants, or `None` where it wants none.
pub(super) fn authorization(
    registry: &Registry,
    repositories: &[String],
    actions: Actions,
    challenge: Option<&str>,
) -> Result<Option<String>> {
    let Registry { host, base, .. } = registry;
    // A registry that lets everybody read says at the first write alone what it wants.
    let wanted = if let Some(challenge) = challenge {
        Some(challenge.to_owned())
    } else {
        let ask = || fetch(host, registry.agent.get(&format!("{base}/")));
        let answer = persistently(registry.delays, ask)
            .map_err(|failure| failure.told(format!("failed to reach the registry `{host}`")))?;
        (answer.status() == 401).then(|| challenge_of(&answer).unwrap_or_default())
    };
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let login = Login::from_docker(host)?;
    let Some(challenge) = Challenge::read(&wanted) else {
        let command = login_command(host);
        let login =
            login.with_context(|| format!("the registry `{host}` wants a login: {command}"))?;
        return Ok(Some(login.basic()));
    };
    if !challenge.is_safe() {
        let realm = challenge.realm.escape_debug();
        bail!("the registry `{host}` names no safe place to get a token: `{realm}`");
    }
    let token = challenge.token(registry, &actions.scopes(repositories), login.as_ref())?;
    mask(&token);
    Ok(Some(format!("Bearer {token}")))
}

/// What a refusal asks for.
pub(super) fn challenge_of(answer: &Response<Body>) -> Option<String> {
    let header = answer.headers().get("www-authenticate")?;
    header.to_str().ok().map(str::to_owned)
}

/// Asks, where what is only a passing fault is one.
fn fetch(host: &str, request: RequestBuilder<WithoutBody>) -> Result<Response<Body>, Failure> {
    let answer = request.call().map_err(Failure::of_connection)?;
    let status = answer.status().as_u16();
    if status == 429 || status >= 500 {
        return Err(Failure::refused(host, answer));
    }
    Ok(answer)
}

/// Where a registry hands out tokens.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
}

impl Challenge {
    /// A token server over plain HTTP would see the password; one on this machine is a test.
    fn is_safe(&self) -> bool {
        self.realm.starts_with("https://")
            || self.realm.starts_with("http://") && is_local(&self.realm)
    }

    /// Asks for a token.
    fn token(
        &self,
        registry: &Registry,
        scopes: &[String],
        login: Option<&Login>,
    ) -> Result<String> {
        let host = &registry.host;
        let ask = || {
            let mut request = agent(is_local(&self.realm)).get(&self.realm);
            for scope in scopes {
                request = request.query("scope", scope);
            }
            if let Some(service) = &self.service {
                request = request.query("service", service);
            }
            if let Some(login) = login {
                request = request.header("Authorization", login.basic());
            }
            fetch(host, request)
        };
        let about = || format!("failed to get a token for `{host}`");
        let mut answer =
            persistently(registry.delays, ask).map_err(|failure| failure.told(about()))?;
        if answer.status() != 200 {
            let (status, command) = (answer.status().as_u16(), login_command(host));
            bail!("the registry `{host}` gave no token (HTTP {status}): {command}");
        }
        let text = answer.body_mut().read_to_string().with_context(about)?;
        let realm = || self.realm.escape_debug();
        Token::read(&text).with_context(|| format!("`{}` gave no token", realm()))
    }

    /// Reads `Bearer realm="…",service="…"`. `None` for another kind of login.
    fn read(header: &str) -> Option<Self> {
        let (kind, rest) = header.split_once(' ')?;
        if !kind.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let field = |name: &str| {
            let fields = rest
                .split(',')
                .filter_map(|field| field.trim().split_once('='));
            fields
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim_matches('"').to_owned())
                .next()
        };
        Some(Self {
            realm: field("realm")?,
            service: field("service"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_no_debug_output() {
        let login = Login::from_ecr_token(&BASE64_STANDARD.encode("AWS:hunter2")).unwrap();
        assert_eq!(
            (login.user.as_str(), login.encoded().as_str()),
            ("AWS", "QVdTOmh1bnRlcjI=")
        );
        assert!(!format!("{login:?}").contains("hunter2"));
        assert!(
            !format!("{:#}", Login::from_ecr_token("AWS:hunter2").unwrap_err()).contains("hunter2")
        );
    }

    #[test]
    fn a_token_is_read_under_either_name_and_under_both() {
        for text in [
            r#"{"token":"T"}"#,
            r#"{"access_token":"T","expires_in":300}"#,
            r#"{"token":"T","access_token":"T"}"#,
        ] {
            assert_eq!(Token::read(text).as_deref(), Some("T"), "{text}");
        }
        for text in ["{}", r#"{"token":""}"#, r#"{"token":3}"#, "<html>"] {
            assert_eq!(Token::read(text), None, "{text}");
        }
    }

    #[test]
    fn challenges_are_read() {
        let read = Challenge::read(
            r#"bearer Realm="https://auth.example.com/token", service="registry.example.com""#,
        )
        .unwrap();
        assert_eq!(read.realm, "https://auth.example.com/token");
        assert_eq!(read.service.as_deref(), Some("registry.example.com"));
        assert_eq!(Challenge::read("Basic realm=\"x\""), None);
        assert_eq!(Challenge::read(""), None);
    }
}
