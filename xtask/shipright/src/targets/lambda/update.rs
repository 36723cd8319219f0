//! Gives a Lambda function its image and architecture, and waits until it has them.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

use super::super::{
    Deployer,
    wait::{self, Heed, Interrupted, LONG},
};
use crate::{
    aws::Refusal,
    model::function::{Code, Condition, Function},
};

/// How long a call that is refused for the moment is tried again.
const PATIENCE: Duration = Duration::from_mins(5);

impl Deployer<'_> {
    /// Waits until a function can be changed, and reads it then.
    ///
    /// # Errors
    /// A function that stays busy, or cannot be read.
    pub fn settled(&self, name: &str) -> Result<Function> {
        self.settle(name, Heed::Interrupts)
    }

    pub(super) fn settle(&self, name: &str, heed: Heed) -> Result<Function> {
        let last = RefCell::new(None);
        let limit = if heed == Heed::Nothing {
            PATIENCE
        } else {
            LONG
        };
        let settled = wait::until(
            &format!("the update of function {name}"),
            limit,
            heed,
            || match self.aws.reader().function(name) {
                Ok(function) => Ok((function.condition != Condition::Busy).then_some(function)),
                // While something is restored, one lost answer is no reason to leave it half done.
                Err(error) if heed == Heed::Nothing => {
                    last.replace(Some(error));
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        );
        settled.map_err(|error| {
            last.take().map_or_else(
                || anyhow!("{error:#}"),
                |last| last.context(format!("{error:#}")),
            )
        })
    }

    /// Gives a function its image and architecture, and waits until it has them. `now` is the function, where that has just been
    /// read.
    pub(super) fn update(
        &self,
        name: &str,
        code: &Code,
        mut now: Option<Function>,
        heed: Heed,
    ) -> Result<()> {
        let function = wait::until(
            &format!("the update of function {name}"),
            PATIENCE,
            heed,
            || {
                let function = now.take().map_or_else(|| self.settle(name, heed), Ok)?;
                if function.code().is_some_and(|now| now.is(code))
                    && function.condition == Condition::Ready
                {
                    return Ok(Some(function));
                }
                match self
                    .aws
                    .writer()
                    .update_code(name, code, function.revision.as_deref())
                {
                    Ok(()) => Ok(Some(self.updated(name, code, heed)?)),
                    Err(Refusal::Busy(error)) => {
                        self.terminal.detail(&format!("{error:#}; trying again"));
                        Ok(None)
                    }
                    // An answer that was lost on its way, and the SDK's second try: then it is as we want it.
                    Err(refusal @ Refusal::Changed(_)) => {
                        let now = self.settle(name, heed)?;
                        if now.code().is_some_and(|now| now.is(code)) {
                            Ok(Some(now))
                        } else {
                            Err(refusal.into())
                        }
                    }
                    Err(refusal) => Err(refusal.into()),
                }
            },
        )?;
        if let Condition::Failed(reason) = &function.condition {
            bail!("AWS could not update function {name}: {reason}");
        }
        let now = function
            .code()
            .with_context(|| format!("AWS does not tell what function {name} runs"))?;
        if !now.is(code) {
            bail!("function {name} runs {now} after the update, not {code}");
        }
        Ok(())
    }

    /// Reads a function until it shows an update that AWS has taken: an answer may come from before it.
    pub(super) fn updated(&self, name: &str, code: &Code, heed: Heed) -> Result<Function> {
        const LAG: Duration = Duration::from_secs(30);
        let start = Instant::now();
        wait::until(
            &format!("the update of function {name}"),
            LONG,
            heed,
            || {
                let now = self.settle(name, heed)?;
                let shows = now.code().is_some_and(|now| now.is(code))
                    || matches!(now.condition, Condition::Failed(_));
                Ok((shows || start.elapsed() > LAG).then_some(now))
            },
        )
    }

    /// Makes a function in a sandbox, which has none. A real one needs a role and settings that are not ours to guess.
    pub(super) fn create(&self, name: &str, code: &Code) -> Result<()> {
        self.terminal
            .status("Creating", &format!("function {name} in the sandbox"));
        let role = "arn:aws:iam::000000000000:role/sandbox";
        patiently(Heed::Interrupts, || {
            self.aws.writer().create_function(name, code, role)
        })?;
        self.settle(name, Heed::Interrupts).map(drop)
    }
}

/// Calls again while AWS refuses for the moment.
pub(super) fn patiently<T>(heed: Heed, call: impl Fn() -> Result<T, Refusal>) -> Result<T> {
    let last = RefCell::new(None);
    let outcome = wait::until(
        "a call that AWS refuses for the moment",
        PATIENCE,
        heed,
        || match call() {
            Ok(done) => Ok(Some(done)),
            Err(Refusal::Busy(error)) => {
                last.replace(Some(error));
                Ok(None)
            }
            Err(refusal) => Err(refusal.into()),
        },
    );
    // Why it was refused says more than that it took long; an interrupt is neither.
    outcome.map_err(|error| match last.take() {
        Some(last)
            if !error.is::<Interrupted>() && error.to_string().contains("took more than") =>
        {
            last.context(error.to_string())
        }
        _ => error,
    })
}
