//! Gives a Lambda function another image, step by step, and restores what it ran when a step fails.

use anyhow::{Context, Result, bail};

use super::{
    super::{
        Deployer, Move, Outcome,
        wait::{self, Heed},
    },
    alias_of, function_and_alias,
    restore::Changed,
    update::patiently,
};
use crate::{
    facts::host,
    interrupt,
    model::{
        function::{Alias, Condition, Function},
        target::Target,
    },
    plan::targets::lambda::{LambdaPlan, Step},
};

impl Deployer<'_> {
    /// Carries out the steps for one function. When one fails, or somebody interrupts, image, architecture and alias are
    /// restored.
    pub fn migrate_lambda(&self, plan: &LambdaPlan) -> Move {
        let from = plan.function.code().map(|code| code.to_string());
        let mut done = Move::new(
            &plan.image,
            Target::Lambda,
            &plan.function.name,
            from,
            &plan.to,
        );
        done.version.clone_from(&plan.version);
        if plan.steps.is_empty() {
            return done;
        }
        // From here to the end there is something to restore.
        let _deferral = interrupt::defer();
        let mut changed = Changed::default();
        let now = match self.still_as_planned(plan) {
            Ok(now) => now,
            Err(error) => {
                self.terminal.failed(&plan.image, &error);
                return done.failed(Outcome::Failed, &error);
            }
        };
        match self.carry_out(plan, now, &mut changed) {
            Ok(version) => Move {
                version: Some(version),
                outcome: Outcome::Moved,
                ..done
            },
            Err(error) => {
                self.terminal.failed(&plan.image, &error);
                self.give_up(plan, &changed, done, &error)
            }
        }
    }

    fn give_up(
        &self,
        plan: &LambdaPlan,
        changed: &Changed,
        done: Move,
        error: &anyhow::Error,
    ) -> Move {
        match self.restore(plan, changed) {
            Ok(true) => done.failed(Outcome::Restored, error),
            Ok(false) => done.failed(Outcome::Failed, error),
            Err(problem) => {
                let name = &plan.function.name;
                let text = format!(
                    "function {name} could NOT be restored: {problem:#}\nlook at it, then: cargo xtask rollback"
                );
                self.terminal.error(&text);
                done.failed(Outcome::Failed, &anyhow::anyhow!("{error:#}\n{text}"))
            }
        }
    }

    /// Compares a function with what the plan was made from: between the two somebody may have typed a name, and somebody
    /// else may have deployed. Returns it.
    fn still_as_planned(&self, plan: &LambdaPlan) -> Result<Function> {
        let name = &plan.function.name;
        let (reader, alias) = (self.aws.reader(), plan.alias.as_deref());
        let (now, named) = function_and_alias(reader, name, alias);
        let (mut now, mut alias_now) = (now?, named?);
        if now.condition == Condition::Busy {
            now = self.settle(name, Heed::Interrupts)?;
            alias_now = alias_of(reader, name, alias)?;
        }
        let same_code = match (now.code(), plan.function.code()) {
            (Some(code), Some(then)) => code.is(&then),
            // What is not told is the same while nothing has changed at all.
            (None, None) => now.revision == plan.function.revision,
            _ => false,
        };
        let named = |alias: &Option<Alias>| {
            alias
                .as_ref()
                .map(|alias| (alias.version.clone(), alias.weights.clone()))
        };
        if same_code
            && now.exists == plan.function.exists
            && named(&alias_now) == named(&plan.alias_now)
        {
            return Ok(now);
        }
        bail!(
            "somebody else has changed function {name} since it was read: run the same command again"
        )
    }

    /// Carries out the steps. Returns the version that callers get.
    fn carry_out(&self, plan: &LambdaPlan, now: Function, changed: &mut Changed) -> Result<String> {
        // How the function is, until a step has changed it.
        let mut now = Some(now);
        for step in &plan.steps {
            self.code_step(plan, step, now.take(), changed)?;
        }
        let version = match &plan.version {
            Some(number) => number.clone(),
            None => self.publish(plan)?,
        };
        if let Some(alias) = &plan.alias {
            for step in &plan.steps {
                self.alias_step(plan, alias, &version, step, changed)?;
            }
        }
        self.confirm(plan, &version)?;
        Ok(version)
    }

    /// A step before the version is published. `now` is the function, where that has just been read.
    fn code_step(
        &self,
        plan: &LambdaPlan,
        step: &Step,
        now: Option<Function>,
        changed: &mut Changed,
    ) -> Result<()> {
        wait::check(Heed::Interrupts)?;
        let name = &plan.function.name;
        match step {
            Step::CreateFunction => self.create(name, &plan.to),
            Step::KeepPrevious => {
                let words = "before a deployment by cargo xtask";
                let number =
                    patiently(Heed::Interrupts, || self.aws.writer().publish(name, words))?;
                self.terminal.status(
                    "Kept",
                    &format!("what {name} runs now, as version {number}"),
                );
                changed.kept = Some(number);
                Ok(())
            }
            Step::HoldAlias => self.hold_alias(plan, changed),
            Step::UpdateCode => {
                self.terminal
                    .status("Updating", &format!("{name} to {}", plan.to));
                changed.code = true;
                self.update(name, &plan.to, now, Heed::Interrupts)
            }
            Step::Invoke => self.try_it(name, "$LATEST", plan),
            Step::Publish | Step::CreateAlias | Step::Canary(_) | Step::MoveAlias => Ok(()),
        }
    }

    fn publish(&self, plan: &LambdaPlan) -> Result<String> {
        wait::check(Heed::Interrupts)?;
        let name = &plan.function.name;
        let words = format!("{}, {}", plan.to.digest, plan.to.arch);
        let number = patiently(Heed::Interrupts, || self.aws.writer().publish(name, &words))?;
        self.terminal
            .status("Published", &format!("version {number} of {name}"));
        Ok(number)
    }

    /// A step that lets callers have a version. It may be of an earlier run, that was killed, and not ready yet.
    fn alias_step(
        &self,
        plan: &LambdaPlan,
        alias: &str,
        version: &str,
        step: &Step,
        changed: &mut Changed,
    ) -> Result<()> {
        if matches!(
            step,
            Step::CreateFunction
                | Step::KeepPrevious
                | Step::HoldAlias
                | Step::UpdateCode
                | Step::Invoke
                | Step::Publish
        ) {
            return Ok(());
        }
        wait::check(Heed::Interrupts)?;
        let name = &plan.function.name;
        self.await_version(name, version, plan)?;
        match step {
            Step::CreateAlias => {
                self.terminal.status(
                    "Creating",
                    &format!("alias {alias} of {name}, on version {version}"),
                );
                changed.created_alias = true;
                self.create_alias(name, alias, version)
            }
            Step::Canary(canary) => {
                changed.alias = Some(version.to_owned());
                self.canary(plan, version, *canary)
            }
            Step::MoveAlias => {
                changed.alias = Some(version.to_owned());
                self.terminal.status(
                    "Moving",
                    &format!("alias {alias} of {name} to version {version}"),
                );
                self.point(name, alias, version, &[], Heed::Interrupts)
            }
            _ => Ok(()),
        }
    }

    /// Reads everything once more: what was asked for is not evidence.
    fn confirm(&self, plan: &LambdaPlan, version: &str) -> Result<()> {
        let name = &plan.function.name;
        let reader = self.aws.reader();
        let (function, named) = function_and_alias(reader, name, plan.alias.as_deref());
        let now = function?
            .code()
            .with_context(|| format!("AWS does not tell what function {name} runs"))?;
        if !now.is(&plan.to) {
            bail!(
                "function {name} runs {now}, not {}: somebody else has changed it meanwhile",
                plan.to
            );
        }
        if let Some(alias) = &plan.alias {
            let now = named?.with_context(|| format!("alias {alias} of {name} is gone"))?;
            if now.version != version || !now.weights.is_empty() {
                bail!(
                    "alias {alias} of {name} names version {}, not {version}: somebody else has moved it",
                    now.version
                );
            }
        }
        self.terminal
            .status("Checked", &format!("{name} runs {}", plan.to));
        Ok(())
    }

    /// Writes what was done to tags of the function, for other machines to see. That it cannot be written undoes nothing.
    pub fn record_in_tags(&self, function: &Function, done: &Move, who: &str) {
        let tags = [
            ("xtask:deployed-at", host::timestamp()),
            ("xtask:deployed-by", who.to_owned()),
            ("xtask:deployed-digest", done.to.digest.clone()),
            ("xtask:deployed-from", done.from.clone().unwrap_or_default()),
        ];
        let tags = tags
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let arn = function
            .arn
            .as_deref()
            .with_context(|| format!("AWS named no ARN of function {}", function.name));
        if let Err(error) = arn.and_then(|arn| Ok(self.aws.writer().tag_function(arn, tags)?)) {
            self.terminal.warning(&format!(
                "the deployment is not in the function's tags: {error:#}"
            ));
        }
    }
}
