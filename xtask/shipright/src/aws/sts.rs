//! STS: who is calling.

use anyhow::{Context, Result};

use super::{Reader, error::explain};
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
        if let Some(known) = self.0.identity.get() {
            return Ok(known.clone());
        }
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
        let identity = Identity {
            account,
            arn: answer.arn().unwrap_or("no ARN").to_owned(),
        };
        Ok(self.0.identity.get_or_init(|| identity).clone())
    }
}
