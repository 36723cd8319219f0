//! Restores the image, the architecture and the alias of a Lambda function after a deployment that failed.

use anyhow::{Context, Result, bail};

use super::{
    super::{Deployer, wait::Heed},
    update::patiently,
};
use crate::{
    model::function::{Code, Condition},
    plan::targets::lambda::{LambdaPlan, Step},
};

/// What has been changed so far, and is restored when the rest fails.
#[derive(Default)]
pub(super) struct Changed {
    /// Whether the image and the architecture were.
    pub code: bool,
    /// The version that the alias was made to name, or to share its calls with.
    pub alias: Option<String>,
    /// Whether the alias was made.
    pub created_alias: bool,
    /// The version that was made of what ran.
    pub kept: Option<String>,
    /// The same, once the alias, which followed the code, was made to name it.
    pub held: Option<String>,
}

impl Deployer<'_> {
    /// Restores image, architecture and alias, each of them even when the other cannot be. `false` where there was nothing of
    /// ours to restore, or somebody else has changed it meanwhile: that is theirs.
    pub(super) fn restore(&self, plan: &LambdaPlan, changed: &Changed) -> Result<bool> {
        if plan.steps.first() == Some(&Step::CreateFunction) {
            return Ok(false);
        }
        let outcomes = [
            self.restore_alias(plan, changed),
            self.restore_code(plan, changed),
        ];
        let problems: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .map(|e| format!("{e:#}"))
            .collect();
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(outcomes.into_iter().flatten().all(|is_back| is_back))
    }

    pub(super) fn restore_alias(&self, plan: &LambdaPlan, changed: &Changed) -> Result<bool> {
        let name = &plan.function.name;
        let Some(alias) = &plan.alias else {
            return Ok(true);
        };
        if changed.created_alias {
            if self.aws.reader().alias(name, alias)?.is_some() {
                self.terminal
                    .status("Restoring", &format!("{name} without the alias {alias}"));
                patiently(Heed::Nothing, || {
                    self.aws.writer().delete_alias(name, alias)
                })?;
            }
            return Ok(true);
        }
        let (Some(ours), Some(then)) = (&changed.alias, &plan.alias_now) else {
            return Ok(true);
        };
        let now = self
            .aws
            .reader()
            .alias(name, alias)?
            .with_context(|| format!("alias {alias} of {name} is gone"))?;
        let before = changed.held.as_ref().unwrap_or(&then.version);
        // Not to the version that has just failed, also where an earlier canary, that was killed, still gives it calls.
        let parts: Vec<_> = then
            .weights
            .iter()
            .filter(|(version, _)| *version != ours)
            .map(|(version, part)| (version.clone(), *part))
            .collect();
        if now.version == *before && now.weights == parts.iter().cloned().collect() {
            return Ok(true);
        }
        let is_ours = now.version == *ours
            || now.version == *before && now.weights.keys().all(|one| one == ours);
        if !is_ours {
            self.terminal.warning(&format!(
                "alias {alias} of {name} was moved by somebody else meanwhile: it is left there"
            ));
            return Ok(false);
        }
        self.terminal.status(
            "Restoring",
            &format!("alias {alias} of {name} on version {before}"),
        );
        self.point(name, alias, before, &parts, Heed::Nothing)?;
        Ok(true)
    }

    pub(super) fn restore_code(&self, plan: &LambdaPlan, changed: &Changed) -> Result<bool> {
        let name = &plan.function.name;
        if !changed.code && !plan.is_half_done {
            return Ok(true);
        }
        let Some(code) = &plan.previous else {
            return self.leave(plan, changed);
        };
        let now = self.settle(name, Heed::Nothing)?;
        let runs = |code: &Code| now.code().is_some_and(|now| now.is(code));
        if runs(code) && now.condition == Condition::Ready {
            self.terminal
                .status("Unchanged", &format!("{name} still runs {code}"));
            return Ok(true);
        }
        if !runs(&plan.to) && !runs(code) {
            self.terminal.warning(&format!(
                "function {name} was changed by somebody else meanwhile: it is left as it is"
            ));
            return Ok(false);
        }
        self.terminal
            .status("Restoring", &format!("{name} to {code}"));
        self.update(name, code, Some(now), Heed::Nothing)?;
        self.terminal
            .status("Restored", &format!("{name} runs {code} again"));
        Ok(true)
    }

    /// Leaves a function as it is, because nobody knows what it ran: callers are well where they use an alias that was not moved,
    /// or was moved back.
    fn leave(&self, plan: &LambdaPlan, changed: &Changed) -> Result<bool> {
        let name = &plan.function.name;
        if plan.function.code().is_some() || plan.no_way_back.is_some() {
            let kept = changed.kept.as_ref();
            let kept =
                kept.map(|number| format!(": version {number} is a copy, for an alias to name"));
            bail!(
                "nothing is known that it ran before{}",
                kept.unwrap_or_default()
            );
        }
        let alias = plan.alias.as_deref().unwrap_or_default();
        let text = format!(
            "{name} on {}: AWS did not tell what it ran, and callers of its alias {alias} still get that",
            plan.to
        );
        self.terminal.status("Leaving", &text);
        Ok(true)
    }
}
