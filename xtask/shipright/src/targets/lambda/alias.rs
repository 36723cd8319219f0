//! The alias that callers of a Lambda function use, and the versions that it names.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use super::{
    super::{
        Deployer,
        wait::{self, Heed, LONG},
    },
    restore::Changed,
    update::patiently,
};
use crate::{
    aws::Refusal,
    model::function::{Alias, Condition, Function},
    plan::targets::lambda::{Canary, LambdaPlan},
};

impl Deployer<'_> {
    /// A version can be named before it can be called.
    fn started_version(&self, name: &str, number: &str) -> Result<Function> {
        let version = wait::until(
            &format!("version {number} of function {name}"),
            LONG,
            Heed::Interrupts,
            || {
                let version = self.aws.reader().version(name, number)?;
                Ok(version.filter(|version| version.condition != Condition::Busy))
            },
        )?;
        if let Condition::Failed(reason) = &version.condition {
            bail!("version {number} of function {name} does not start: {reason}");
        }
        Ok(version)
    }

    /// Makes the alias, which follows the code, name the version that was kept of it: the same image, which stays.
    pub(super) fn hold_alias(&self, plan: &LambdaPlan, changed: &mut Changed) -> Result<()> {
        let name = &plan.function.name;
        let (alias, version) = (plan.alias.as_ref(), changed.kept.clone());
        let (alias, version) = alias
            .zip(version)
            .context("nothing was kept that an alias could name")?;
        self.started_version(name, &version)?;
        let text = format!("alias {alias} of {name} on version {version}, what it names now");
        self.terminal.status("Holding", &text);
        changed.held = Some(version.clone());
        self.point(name, alias, &version, &[], Heed::Interrupts)
    }

    /// Waits for a version that an alias is to name, and looks at what it runs.
    pub(super) fn await_version(&self, name: &str, number: &str, plan: &LambdaPlan) -> Result<()> {
        let version = self.started_version(name, number)?;
        if let Some(other) = version.code().filter(|other| !other.is(&plan.to)) {
            bail!(
                "version {number} of function {name} runs {other}, not {}: somebody else has changed it meanwhile",
                plan.to
            );
        }
        if !version.is_inactive {
            return Ok(());
        }
        // One that has not been called for weeks sleeps, and the call that wakes it up fails: that call is ours.
        let Some(payload) = &plan.smoke_payload else {
            let text = format!(
                "version {number} of {name} sleeps: its first calls fail until it is awake; `smoke-payload` would wake it"
            );
            self.terminal.warning(&text);
            return Ok(());
        };
        self.terminal
            .status("Waking", &format!("version {number} of {name}"));
        let _ = self.aws.writer().invoke(name, number, payload);
        wait::until(
            &format!("version {number} of function {name}"),
            LONG,
            Heed::Interrupts,
            || {
                let version = self.aws.reader().version(name, number)?;
                Ok(version
                    .filter(|version| version.condition != Condition::Busy && !version.is_inactive)
                    .map(drop))
            },
        )
    }

    /// Makes an alias. That it is there already is fine where it names the version: the answer to a first try may be lost.
    pub(super) fn create_alias(&self, function: &str, alias: &str, version: &str) -> Result<()> {
        patiently(Heed::Interrupts, || {
            self.aws
                .writer()
                .create_alias(function, alias, version)
                .or_else(|refusal| match refusal {
                    Refusal::Busy(error) => match self.aws.reader().alias(function, alias) {
                        Ok(Some(now)) if now.version == version => Ok(()),
                        Ok(Some(_)) => Err(Refusal::Changed(error)),
                        _ => Err(Refusal::Busy(error)),
                    },
                    other => Err(other),
                })
        })
    }

    /// Makes an alias name a version, and give parts of the calls to others.
    pub(super) fn point(
        &self,
        function: &str,
        alias: &str,
        version: &str,
        parts: &[(String, f64)],
        heed: Heed,
    ) -> Result<()> {
        patiently(heed, || {
            let now = self
                .aws
                .reader()
                .alias(function, alias)
                .map_err(Refusal::Lasting)?;
            let revision = now.and_then(|now| now.revision);
            let weights = parts.iter().cloned().collect();
            let wanted = Alias {
                name: alias.to_owned(),
                version: version.to_owned(),
                weights,
                revision,
            };
            self.aws
                .writer()
                .move_alias(function, &wanted)
                .or_else(|refusal| match refusal {
                    // As with the code: the answer to a first try may have been lost.
                    Refusal::Changed(error) => match self.aws.reader().alias(function, alias) {
                        Ok(Some(now))
                            if now.version == wanted.version && now.weights == wanted.weights =>
                        {
                            Ok(())
                        }
                        _ => Err(Refusal::Changed(error)),
                    },
                    other => Err(other),
                })
        })
    }

    /// Gives the new version a part of the calls, and watches what CloudWatch counts.
    pub(super) fn canary(&self, plan: &LambdaPlan, version: &str, canary: Canary) -> Result<()> {
        const EVERY: Duration = Duration::from_secs(10);
        let name = &plan.function.name;
        let alias = plan
            .alias_now
            .as_ref()
            .context("the plan has no alias for the canary")?;
        let since = SystemTime::now();
        self.point(
            name,
            &alias.name,
            &alias.version,
            &[(version.to_owned(), canary.part)],
            Heed::Interrupts,
        )?;
        let text = format!(
            "{:.0} % of the calls of {name}:{} get version {version} for {}",
            canary.part * 100.0,
            alias.name,
            humantime::format_duration(canary.time)
        );
        self.terminal.status("Watching", &text);
        if canary.time < Duration::from_mins(2) {
            self.terminal.note(
                "CloudWatch counts errors with a delay of about a minute: a longer time sees more",
            );
        }
        let start = Instant::now();
        loop {
            self.try_it(name, version, plan)?;
            let errors = self
                .aws
                .reader()
                .errors_of(name, &alias.name, version, since)?;
            if errors > 0.0 {
                bail!("version {version} of function {name} has had {errors} errors");
            }
            let left = canary.time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            wait::sleep(left.min(EVERY), Heed::Interrupts)?;
        }
    }
}
