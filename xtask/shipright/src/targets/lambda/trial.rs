//! Invokes a Lambda function as deploy.toml says, and looks at the answer.

use anyhow::{Result, bail};

use super::{
    super::{Deployer, wait::Heed},
    update::patiently,
};
use crate::plan::targets::lambda::{LambdaPlan, named_arch};

impl Deployer<'_> {
    /// Invokes a function as deploy.toml says, and looks at the answer.
    pub(super) fn try_it(&self, name: &str, qualifier: &str, plan: &LambdaPlan) -> Result<()> {
        let Some(payload) = &plan.smoke_payload else {
            return Ok(());
        };
        self.terminal
            .status("Invoking", &format!("{name} with {payload}"));
        let reply = patiently(Heed::Interrupts, || {
            self.aws.writer().invoke(name, qualifier, payload)
        })?;
        if let Some(error) = reply.error {
            let hint = if reply.payload.contains("exec format error")
                || reply.payload.contains("InvalidEntrypoint")
            {
                format!(
                    "\nthe image starts no program on {}: cargo xtask verify image {}",
                    plan.to.arch, plan.to.image
                )
            } else {
                String::new()
            };
            bail!(
                "function {name} answers with an error ({error}): {}{hint}",
                shortened(&reply.payload)
            );
        }
        if let Some(arch) = named_arch(&reply.payload).filter(|arch| *arch != plan.to.arch) {
            bail!(
                "function {name} says that it runs on {arch}, and it should on {}",
                plan.to.arch
            );
        }
        self.terminal.status("Answered", &shortened(&reply.payload));
        Ok(())
    }
}

/// An answer as far as a person wants to see it.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 500;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
