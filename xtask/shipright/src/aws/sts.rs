//! STS: who is calling.

use anyhow::{Context, Result};

use super::{Reader, error::explain, once};

/// Who the credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: String,
    /// The user or role.
    pub arn: String,
}

impl Reader<'_> {
    /// Who we are.
    ///
    /// # Errors
    /// A call that fails, most often for want of credentials.
    pub fn identity(&self) -> Result<Identity> {
        once(&self.0.identity, || self.ask_for_identity())
    }

    fn ask_for_identity(&self) -> Result<Identity> {
        let call = self.0.sts.get_caller_identity().send();
        let answer = self
            .0
            .runtime
            .block_on(call)
            .map_err(|e| explain("sts:GetCallerIdentity", "your credentials", &e))?;
        let account = answer
            .account()
            .context("AWS named no account for these credentials")?
            .to_owned();
        Ok(Identity {
            account,
            arn: answer.arn().unwrap_or("no ARN").to_owned(),
        })
    }
}
