//! Signatures, by the user's own cosign or notation, of an image by its digest.
//!
//! The tool gets the registry's login in a docker configuration that is gone afterwards, and no login on its command line. What it asks,
//! it asks the user: a password, or a browser.
//!
//! Architecture Invariant: the tool's own `verify` decides whether an image is signed, before and after: an image that it accepts is not
//! signed again, and one that it does not accept after it was signed gets no moving tag.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{
    docker::{Docker, ExistingLogins, LoginSession},
    facts::host,
    model::attest::{Signing, SigningTool},
    process::Tool,
    report::terminal::Terminal,
    repositories::Repositories,
};

/// The most bytes that a verification may print: cosign prints every signature.
const LIMIT: u64 = 16 * 1024 * 1024;

/// How long a verification may take: it may ask a transparency log.
const WAIT: Duration = Duration::from_mins(2);

/// The programs that sign, of those on `PATH`.
pub fn installed() -> Vec<SigningTool> {
    let all = SigningTool::ALL.into_iter();
    all.filter(|tool| host::has_program(tool.name())).collect()
}

/// Signs images of one registry, and verifies their signatures.
pub struct Signer<'s> {
    signing: &'s Signing,
    terminal: &'s Terminal,
    host: String,
    tool: Tool,
    /// The login is there as long as this is.
    _login: LoginSession,
}

impl<'s> Signer<'s> {
    /// Gives the tool the login of a registry. One at a time: the login of another registry takes this one's place.
    ///
    /// # Errors
    /// ECR that gives no token, and a directory that cannot be made.
    pub fn open(
        signing: &'s Signing,
        docker: &Docker,
        host: &str,
        repositories: Repositories<'_>,
        terminal: &'s Terminal,
    ) -> Result<Self> {
        // Signatures may be kept in another registry, with a login of its own.
        let login = LoginSession::open(docker, host, repositories, ExistingLogins::Kept)?;
        let tool = Tool::new(signing.tool.name()).env("DOCKER_CONFIG", login.directory());
        Ok(Self {
            signing,
            terminal,
            host: host.to_owned(),
            tool,
            _login: login,
        })
    }

    /// Verifies the signature of an image or index.
    ///
    /// # Errors
    /// What the tool says of one that it does not accept.
    pub fn verify(&self, repository: &str, digest: &str) -> Result<()> {
        let words = self
            .signing
            .verify_line(&self.reference(repository, digest));
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.tool.bounded(&words, LIMIT, WAIT).map(drop)
    }

    /// Signs an image or index, unless `verify` accepts a signature that it has. Returns whether it was signed now.
    ///
    /// # Errors
    /// A tool that fails, or that does not accept its own signature.
    pub fn ensure(&self, name: &str, repository: &str, digest: &str) -> Result<bool> {
        if let Err(error) = self.verify(repository, digest) {
            self.terminal.detail(&format!("{name}: {error:#}"));
        } else {
            return Ok(false);
        }
        let tool = self.signing.tool;
        let text = format!("{name} with {tool}: {digest}");
        self.terminal.status("Signing", &text);
        let words = self.signing.sign_line(&self.reference(repository, digest));
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        // Standard output may be kept for a document of ours.
        let outcome = self.terminal.aside(|| self.tool.inherit(&words, true))?;
        if !outcome.success() {
            bail!(
                "`{tool} sign` {}: {digest} is not signed, and no moving tag is written; the command can be run again",
                outcome.describe()
            );
        }
        self.verify(repository, digest).with_context(|| {
            format!(
                "{digest} was signed, and `{tool} verify` does not accept it, so no moving tag is written: do `sign-args` and \
                 `verify-args` of deploy.toml belong together?"
            )
        })?;
        Ok(true)
    }

    fn reference(&self, repository: &str, digest: &str) -> String {
        format!("{}/{repository}@{digest}", self.host)
    }
}
