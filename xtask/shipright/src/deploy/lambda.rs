//! One Lambda function, step by step, and back.

use std::{
    cell::RefCell,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, anyhow, bail};

use super::{
    Hands, Move, Outcome,
    wait::{self, Heed, Interrupted, LONG},
};
use crate::{
    aws::{Refusal, Writer},
    interrupt,
    model::{
        function::{Alias, Code, Condition, Function},
        target::Target,
    },
    plan::deployment::{Canary, LambdaPlan, Step, named_arch},
};

/// How long a call that is refused for the moment is tried again.
const PATIENCE: Duration = Duration::from_mins(5);

/// What has been changed so far, and has to be put back when the rest fails.
#[derive(Default)]
struct Changed {
    code: bool,
    /// The version that the alias was made to name, or to share its calls with.
    alias: Option<String>,
    /// Whether the alias was made.
    created_alias: bool,
}

impl Hands<'_> {
    /// Waits until a function can be changed, and reads it then.
    ///
    /// # Errors
    /// A function that stays busy, or cannot be read.
    pub fn settled(&self, name: &str) -> Result<Function> {
        self.settle(name, Heed::Interrupts)
    }

    fn settle(&self, name: &str, heed: Heed) -> Result<Function> {
        let last = RefCell::new(None);
        let limit = if heed == Heed::Nothing { PATIENCE } else { LONG };
        let settled =
            wait::until(&format!("the update of function {name}"), limit, heed, || match self.aws.reader().function(name) {
                Ok(function) => Ok((function.condition != Condition::Busy).then_some(function)),
                // While something is put back, one lost answer is no reason to leave it half done.
                Err(error) if heed == Heed::Nothing => {
                    last.replace(Some(error));
                    Ok(None)
                }
                Err(error) => Err(error),
            });
        settled.map_err(|error| last.take().map_or_else(|| anyhow!("{error:#}"), |last| last.context(format!("{error:#}"))))
    }

    /// Compares a function with what the plan was made from: between the two somebody may have typed a name, and somebody
    /// else may have deployed.
    fn still_as_planned(&self, plan: &LambdaPlan) -> Result<()> {
        let name = &plan.function.name;
        let now = self.settle(name, Heed::Interrupts)?;
        let same_code = match (now.code(), plan.function.code()) {
            (Some(now), Some(then)) => now.is(&then),
            (now, then) => now == then,
        };
        let alias = plan.alias.as_deref().map(|alias| self.aws.reader().alias(name, alias)).transpose()?.flatten();
        let named = |alias: &Option<Alias>| alias.as_ref().map(|alias| (alias.version.clone(), alias.weights.clone()));
        if same_code && now.exists == plan.function.exists && named(&alias) == named(&plan.alias_now) {
            return Ok(());
        }
        bail!("somebody else has changed function {name} since it was read: run the same command again")
    }

    /// Carries out the steps for one function. When one fails, or somebody interrupts, image, architecture and alias are put
    /// back.
    pub fn migrate_lambda(&self, plan: &LambdaPlan) -> Move {
        let from = plan.function.code().map(|code| code.to_string());
        let mut done = Move::new(&plan.image, Target::Lambda, &plan.function.name, from, &plan.to);
        done.version.clone_from(&plan.version);
        if plan.steps.is_empty() {
            return done;
        }
        // From here to the end there is something to put back.
        let _deferral = interrupt::defer();
        let mut changed = Changed::default();
        if let Err(error) = self.still_as_planned(plan) {
            self.terminal.failed(&plan.image, &error);
            done.outcome = Outcome::Failed;
            done.error = Some(format!("{error:#}"));
            return done;
        }
        match self.walk(plan, &mut changed) {
            Ok(version) => {
                done.version = version;
                done.outcome = Outcome::Moved;
            }
            Err(error) => {
                self.terminal.failed(&plan.image, &error);
                let mut told = format!("{error:#}");
                done.outcome = match self.put_back(plan, &changed) {
                    Ok(true) => Outcome::PutBack,
                    Ok(false) => Outcome::Failed,
                    Err(problem) => {
                        let text = format!(
                            "function {} could NOT be put back: {problem:#}\nlook at it, then: cargo xtask rollback",
                            plan.function.name
                        );
                        self.terminal.error(&text);
                        told = format!("{told}\n{text}");
                        Outcome::Failed
                    }
                };
                done.error = Some(told);
            }
        }
        done
    }

    fn walk(&self, plan: &LambdaPlan, changed: &mut Changed) -> Result<Option<String>> {
        let name = &plan.function.name;
        let mut version = plan.version.clone();
        for step in &plan.steps {
            wait::check(Heed::Interrupts)?;
            // Also a version of an earlier run, that was killed, may not be ready yet.
            if let (Step::CreateAlias | Step::Canary(_) | Step::MoveAlias, Some(number)) = (step, &version) {
                self.await_version(name, number, plan)?;
            }
            match step {
                Step::CreateFunction => self.create(name, &plan.to)?,
                Step::KeepPrevious => {
                    let number =
                        patiently(Heed::Interrupts, || self.aws.writer().publish(name, "before a deployment by cargo xtask"))?;
                    self.terminal.status("Kept", &format!("what {name} runs now, as version {number}"));
                }
                Step::UpdateCode => {
                    self.terminal.status("Updating", &format!("{name} to {}", plan.to));
                    changed.code = true;
                    self.update(name, &plan.to, Heed::Interrupts)?;
                }
                Step::Invoke => self.try_it(name, "$LATEST", plan)?,
                Step::Publish => {
                    let number = patiently(Heed::Interrupts, || {
                        self.aws.writer().publish(name, &format!("{}, {}", plan.to.digest, plan.to.arch))
                    })?;
                    self.terminal.status("Published", &format!("version {number} of {name}"));
                    version = Some(number);
                }
                Step::CreateAlias => {
                    let alias = plan.alias.as_deref().context("the plan names no alias")?;
                    let number = version.as_deref().context("the plan has no version for the alias")?;
                    self.terminal.status("Creating", &format!("alias {alias} of {name}, on version {number}"));
                    changed.created_alias = true;
                    self.create_alias(name, alias, number)?;
                }
                Step::Canary(canary) => {
                    let number = version.as_deref().context("the plan has no version for the canary")?;
                    changed.alias = Some(number.to_owned());
                    self.canary(plan, number, *canary)?;
                }
                Step::MoveAlias => {
                    let number = version.as_deref().context("the plan has no version for the alias")?;
                    changed.alias = Some(number.to_owned());
                    let alias = plan.alias.as_deref().context("the plan names no alias")?;
                    self.terminal.status("Moving", &format!("alias {alias} of {name} to version {number}"));
                    self.point(name, alias, number, &[], Heed::Interrupts)?;
                }
            }
        }
        self.confirm(plan, version.as_deref())?;
        Ok(version)
    }

    /// Gives a function its image and architecture, and waits until it has them.
    fn update(&self, name: &str, code: &Code, heed: Heed) -> Result<()> {
        let function = wait::until(&format!("the update of function {name}"), PATIENCE, heed, || {
            let function = self.settle(name, heed)?;
            if function.code().is_some_and(|now| now.is(code)) && function.condition == Condition::Ready {
                return Ok(Some(function));
            }
            match self.aws.writer().update_code(name, code, function.revision.as_deref()) {
                Ok(()) => Ok(Some(self.updated(name, code, heed)?)),
                Err(Refusal::Busy(error)) => {
                    self.terminal.detail(&format!("{error:#}; trying again"));
                    Ok(None)
                }
                // An answer that was lost on its way, and the SDK's second try: then it is as we want it.
                Err(refusal @ Refusal::Changed(_)) => {
                    let now = self.settle(name, heed)?;
                    if now.code().is_some_and(|now| now.is(code)) { Ok(Some(now)) } else { Err(refusal.into()) }
                }
                Err(refusal) => Err(refusal.into()),
            }
        })?;
        if let Condition::Failed(reason) = &function.condition {
            bail!("AWS could not update function {name}: {reason}");
        }
        let now = function.code().with_context(|| format!("AWS does not tell what function {name} runs"))?;
        if !now.is(code) {
            bail!("function {name} runs {now} after the update, not {code}");
        }
        Ok(())
    }

    /// Reads a function until it shows an update that AWS has taken: an answer may come from before it.
    fn updated(&self, name: &str, code: &Code, heed: Heed) -> Result<Function> {
        const LAG: Duration = Duration::from_secs(30);
        let start = Instant::now();
        wait::until(&format!("the update of function {name}"), LONG, heed, || {
            let now = self.settle(name, heed)?;
            let shows = now.code().is_some_and(|now| now.is(code)) || matches!(now.condition, Condition::Failed(_));
            Ok((shows || start.elapsed() > LAG).then_some(now))
        })
    }

    /// Makes an alias. That it is there already is fine where it names the version: the answer to a first try may be lost.
    fn create_alias(&self, function: &str, alias: &str, version: &str) -> Result<()> {
        patiently(Heed::Interrupts, || {
            self.aws.writer().create_alias(function, alias, version).or_else(|refusal| match refusal {
                Refusal::Busy(error) => match self.aws.reader().alias(function, alias) {
                    Ok(Some(now)) if now.version == version => Ok(()),
                    Ok(Some(_)) => Err(Refusal::Changed(error)),
                    _ => Err(Refusal::Busy(error)),
                },
                other => Err(other),
            })
        })
    }

    /// Invokes a function as deploy.toml says, and looks at the answer.
    fn try_it(&self, name: &str, qualifier: &str, plan: &LambdaPlan) -> Result<()> {
        let Some(payload) = &plan.smoke_payload else { return Ok(()) };
        self.terminal.status("Invoking", &format!("{name} with {payload}"));
        let reply = patiently(Heed::Interrupts, || self.aws.writer().invoke(name, qualifier, payload))?;
        if let Some(error) = reply.error {
            let hint = if reply.payload.contains("exec format error") || reply.payload.contains("InvalidEntrypoint") {
                format!("\nthe image starts no program on {}: cargo xtask verify image {}", plan.to.arch, plan.to.image)
            } else {
                String::new()
            };
            bail!("function {name} answers with an error ({error}): {}{hint}", shortened(&reply.payload));
        }
        if let Some(arch) = named_arch(&reply.payload).filter(|arch| *arch != plan.to.arch) {
            bail!("function {name} says that it runs on {arch}, and it should on {}", plan.to.arch);
        }
        self.terminal.status("Answered", &shortened(&reply.payload));
        Ok(())
    }

    /// A version can be named before it can be called.
    fn await_version(&self, name: &str, number: &str, plan: &LambdaPlan) -> Result<()> {
        let version = wait::until(&format!("version {number} of function {name}"), LONG, Heed::Interrupts, || {
            let version = self.aws.reader().version(name, number)?;
            Ok(version.filter(|version| version.condition != Condition::Busy))
        })?;
        if let Condition::Failed(reason) = &version.condition {
            bail!("version {number} of function {name} does not start: {reason}");
        }
        if let Some(other) = version.code().filter(|other| !other.is(&plan.to)) {
            bail!("version {number} of function {name} runs {other}, not {}: somebody else has changed it meanwhile", plan.to);
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
        self.terminal.status("Waking", &format!("version {number} of {name}"));
        let _ = self.aws.writer().invoke(name, number, payload);
        wait::until(&format!("version {number} of function {name}"), LONG, Heed::Interrupts, || {
            let version = self.aws.reader().version(name, number)?;
            Ok(version.filter(|version| version.condition != Condition::Busy && !version.is_inactive).map(drop))
        })
    }

    /// Makes an alias name a version, and give parts of the calls to others.
    fn point(&self, function: &str, alias: &str, version: &str, parts: &[(String, f64)], heed: Heed) -> Result<()> {
        patiently(heed, || {
            let now = self.aws.reader().alias(function, alias).map_err(Refusal::Lasting)?;
            let revision = now.and_then(|now| now.revision);
            let weights = parts.iter().cloned().collect();
            let wanted = Alias { name: alias.to_owned(), version: version.to_owned(), weights, revision };
            self.aws.writer().move_alias(function, &wanted).or_else(|refusal| match refusal {
                // As with the code: the answer to a first try may have been lost.
                Refusal::Changed(error) => match self.aws.reader().alias(function, alias) {
                    Ok(Some(now)) if now.version == wanted.version && now.weights == wanted.weights => Ok(()),
                    _ => Err(Refusal::Changed(error)),
                },
                other => Err(other),
            })
        })
    }

    /// Gives the new version a part of the calls, and watches what CloudWatch counts.
    fn canary(&self, plan: &LambdaPlan, version: &str, canary: Canary) -> Result<()> {
        const EVERY: Duration = Duration::from_secs(10);
        let name = &plan.function.name;
        let alias = plan.alias_now.as_ref().context("the plan has no alias for the canary")?;
        let since = SystemTime::now();
        self.point(name, &alias.name, &alias.version, &[(version.to_owned(), canary.part)], Heed::Interrupts)?;
        let text = format!(
            "{:.0} % of the calls of {name}:{} get version {version} for {}",
            canary.part * 100.0,
            alias.name,
            humantime::format_duration(canary.time)
        );
        self.terminal.status("Watching", &text);
        if canary.time < Duration::from_mins(2) {
            self.terminal.note("CloudWatch counts errors with a delay of about a minute: a longer time sees more");
        }
        let start = Instant::now();
        loop {
            self.try_it(name, version, plan)?;
            let errors = self.aws.reader().errors_of(name, &alias.name, version, since)?;
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

    /// Reads everything once more: what was asked for is not evidence.
    fn confirm(&self, plan: &LambdaPlan, version: Option<&str>) -> Result<()> {
        let name = &plan.function.name;
        let function = self.aws.reader().function(name)?;
        let now = function.code().with_context(|| format!("AWS does not tell what function {name} runs"))?;
        if !now.is(&plan.to) {
            bail!("function {name} runs {now}, not {}: somebody else has changed it meanwhile", plan.to);
        }
        if let (Some(alias), Some(version)) = (&plan.alias, version) {
            let now = self.aws.reader().alias(name, alias)?.with_context(|| format!("alias {alias} of {name} is gone"))?;
            if now.version != version || !now.weights.is_empty() {
                bail!("alias {alias} of {name} names version {}, not {version}: somebody else has moved it", now.version);
            }
        }
        self.terminal.status("Checked", &format!("{name} runs {}", plan.to));
        Ok(())
    }

    /// Puts image, architecture and alias back, each of them even when the other cannot be. `false` where there was nothing of
    /// ours to put back, or somebody else has changed it meanwhile: that is theirs.
    fn put_back(&self, plan: &LambdaPlan, changed: &Changed) -> Result<bool> {
        if plan.steps.first() == Some(&Step::CreateFunction) {
            return Ok(false);
        }
        let outcomes = [self.put_back_alias(plan, changed), self.put_back_code(plan, changed)];
        let problems: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(|e| format!("{e:#}")).collect();
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(outcomes.into_iter().flatten().all(|is_back| is_back))
    }

    fn put_back_alias(&self, plan: &LambdaPlan, changed: &Changed) -> Result<bool> {
        let name = &plan.function.name;
        let Some(alias) = &plan.alias else { return Ok(true) };
        if changed.created_alias {
            if self.aws.reader().alias(name, alias)?.is_some() {
                self.terminal.status("Putting back", &format!("{name} without the alias {alias}"));
                patiently(Heed::Nothing, || self.aws.writer().delete_alias(name, alias))?;
            }
            return Ok(true);
        }
        let (Some(ours), Some(then)) = (&changed.alias, &plan.alias_now) else { return Ok(true) };
        let now = self.aws.reader().alias(name, alias)?.with_context(|| format!("alias {alias} of {name} is gone"))?;
        // Not to the version that has just failed, also where an earlier canary, that was killed, still gives it calls.
        let parts: Vec<_> =
            then.weights.iter().filter(|(version, _)| *version != ours).map(|(version, part)| (version.clone(), *part)).collect();
        if now.version == then.version && now.weights == parts.iter().cloned().collect() {
            return Ok(true);
        }
        let is_ours = now.version == *ours || now.version == then.version && now.weights.keys().all(|one| one == ours);
        if !is_ours {
            self.terminal.warning(&format!("alias {alias} of {name} was moved by somebody else meanwhile: it is left there"));
            return Ok(false);
        }
        self.terminal.status("Putting back", &format!("alias {alias} of {name} on version {}", then.version));
        self.point(name, alias, &then.version, &parts, Heed::Nothing)?;
        Ok(true)
    }

    fn put_back_code(&self, plan: &LambdaPlan, changed: &Changed) -> Result<bool> {
        let name = &plan.function.name;
        if !changed.code && !plan.is_half_done {
            return Ok(true);
        }
        let code = plan.way_back.as_ref().context("nothing is known that it ran before")?;
        let now = self.settle(name, Heed::Nothing)?;
        let runs = |code: &Code| now.code().is_some_and(|now| now.is(code));
        if runs(code) && now.condition == Condition::Ready {
            self.terminal.status("Unchanged", &format!("{name} still runs {code}"));
            return Ok(true);
        }
        if !runs(&plan.to) && !runs(code) {
            self.terminal.warning(&format!("function {name} was changed by somebody else meanwhile: it is left as it is"));
            return Ok(false);
        }
        self.terminal.status("Putting back", &format!("{name} to {code}"));
        self.update(name, code, Heed::Nothing)?;
        self.terminal.status("Put back", &format!("{name} runs {code} again"));
        Ok(true)
    }

    /// Makes a function in a sandbox, which has none. A real one needs a role and settings that are not ours to guess.
    fn create(&self, name: &str, code: &Code) -> Result<()> {
        self.terminal.status("Creating", &format!("function {name} in the sandbox"));
        let role = "arn:aws:iam::000000000000:role/sandbox";
        patiently(Heed::Interrupts, || self.aws.writer().create_function(name, code, role))?;
        self.settle(name, Heed::Interrupts).map(drop)
    }
}

/// Calls again while AWS refuses for the moment.
fn patiently<T>(heed: Heed, call: impl Fn() -> Result<T, Refusal>) -> Result<T> {
    let last = RefCell::new(None);
    let outcome = wait::until("a call that AWS refuses for the moment", PATIENCE, heed, || match call() {
        Ok(done) => Ok(Some(done)),
        Err(Refusal::Busy(error)) => {
            last.replace(Some(error));
            Ok(None)
        }
        Err(refusal) => Err(refusal.into()),
    });
    // Why it was refused says more than that it took long; an interrupt is neither.
    outcome.map_err(|error| match last.take() {
        Some(last) if !error.is::<Interrupted>() && error.to_string().contains("took more than") => {
            last.context(error.to_string())
        }
        _ => error,
    })
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

/// Writes what was done to tags of the function, for other machines to see.
///
/// # Errors
/// A call that fails.
pub fn record(hands: Hands<'_>, function: &Function, done: &Move, who: &str, when: &str) -> Result<()> {
    let arn = function.arn.as_deref().ok_or_else(|| anyhow!("AWS named no ARN of function {}", function.name))?;
    let tags = [
        ("xtask:deployed-at", when.to_owned()),
        ("xtask:deployed-by", who.to_owned()),
        ("xtask:deployed-digest", done.to.digest.clone()),
        ("xtask:deployed-from", done.from.clone().unwrap_or_default()),
    ];
    let writer: Writer<'_> = hands.aws.writer();
    let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(writer.tag_function(arn, tags)?)
}
