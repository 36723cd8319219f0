//! The error of a command that did nothing, with every reason and its cure.

use std::fmt;

use anyhow::Result;

use crate::model::refusal::Refusal;

/// Nothing was done, for these reasons.
#[derive(Debug)]
pub struct Refused(pub Vec<Refusal>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused; nothing was done")
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// An error with these reasons, unless there is none.
    ///
    /// # Errors
    /// The reasons.
    pub fn unless_none(refusals: Vec<Refusal>) -> Result<(), Self> {
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(Self(refusals))
        }
    }

    /// What an error says, with the reasons of a refusal and their cures: where a command goes on without what was refused.
    pub fn told(error: &anyhow::Error) -> String {
        let Some(Self(refusals)) = error.downcast_ref::<Self>() else {
            return format!("{error:#}");
        };
        let told = |refusal: &Refusal| format!("{} ({})", refusal.problem, refusal.cure);
        refusals.iter().map(told).collect::<Vec<_>>().join("; ")
    }

    /// Parts what could be had from the refusals, so that all of them are told at once.
    ///
    /// # Errors
    /// The first error that is no refusal.
    pub fn part<T>(
        outcomes: impl IntoIterator<Item = Result<T>>,
    ) -> Result<(Vec<T>, Vec<Refusal>)> {
        let (mut had, mut refusals) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome.map_err(|error| error.downcast::<Self>()) {
                Ok(one) => had.push(one),
                Err(Ok(Self(more))) => refusals.extend(more),
                Err(Err(error)) => return Err(error),
            }
        }
        Ok((had, refusals))
    }

    /// What could be had, where nothing was refused.
    ///
    /// # Errors
    /// All refusals, or the first error that is none.
    pub fn all<T>(outcomes: impl IntoIterator<Item = Result<T>>) -> Result<Vec<T>> {
        let (had, refusals) = Self::part(outcomes)?;
        Self::unless_none(refusals)?;
        Ok(had)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}
