//! What has to be done so that a Lambda function runs an image: decided from what was read, as data.

mod decide;
#[cfg(test)]
pub(crate) mod fixtures;
mod reply;
mod way_back;

use std::time::Duration;

use serde::Serialize;

pub use decide::decide;
pub use reply::named_arch;

use super::Choice;
use crate::model::function::{Alias, Code, Function, Version};

/// A part of the calls that gets the new version first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Canary {
    /// The part of the calls, above 0 and below 1.
    pub part: f64,
    /// For how long.
    #[serde(with = "seconds")]
    pub time: Duration,
}

mod seconds {
    use std::time::Duration;

    pub(super) fn serialize<S: serde::Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.as_secs())
    }
}

/// What is wanted beside the image.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A part of the calls that gets the new version first.
    pub canary: Option<Canary>,
    /// Whether a function that does not exist is made: only a sandbox's is.
    pub may_create: bool,
}

/// What is wanted of a function.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What people call the image.
    pub image: String,
    /// The image and its CPU.
    pub code: Code,
    /// A published version that an alias is to name, in place of a new one: that of a rollback.
    pub version: Option<String>,
    /// The alias that callers use.
    pub alias: Option<String>,
    /// What the function is invoked with after an update.
    pub smoke_payload: Option<String>,
    /// What else is wanted.
    pub options: Options,
}

impl Wanted {
    /// What a choice asks for.
    pub fn of(choice: &Choice<'_>, options: Options) -> Self {
        let image = choice.selected.image;
        Self {
            image: choice.selected.name(),
            code: choice.code.clone(),
            version: choice.version.clone(),
            alias: image.alias.clone(),
            smoke_payload: image.smoke_payload.clone(),
            options,
        }
    }
}

/// What was read of a function.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it runs.
    pub function: Function,
    /// Its published versions, newest first.
    pub versions: Vec<Version>,
    /// The alias, where one is wanted and it exists.
    pub alias: Option<Alias>,
}

impl Facts {
    /// One of the versions.
    pub fn version(&self, number: &str) -> Option<&Version> {
        let mut versions = self.versions.iter();
        versions.find(|version| version.number == number)
    }

    /// The version that the alias names, where it is one of these.
    pub(crate) fn of_alias(&self) -> Option<&Version> {
        self.version(&self.alias.as_ref()?.version)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Make the function.
    CreateFunction,
    /// Make a version of what runs now, so that it can be restored.
    KeepPrevious,
    /// Make the alias, which follows the code, name that version: its callers stay on it.
    HoldAlias,
    /// Image and architecture, in one call.
    UpdateCode,
    /// Try it.
    Invoke,
    /// Make a version of it.
    Publish,
    /// Make the alias.
    CreateAlias,
    /// Give a part of the calls to the new version, and watch.
    Canary(Canary),
    /// Make the alias name the new version alone.
    MoveAlias,
}

/// The steps for one function.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LambdaPlan {
    /// What people call the image.
    pub image: String,
    /// The function as it is.
    pub function: Function,
    /// What it is to run.
    pub to: Code,
    /// The alias that callers use.
    pub alias: Option<String>,
    /// The alias as it is.
    pub alias_now: Option<Alias>,
    /// The version that is published already.
    pub version: Option<String>,
    /// What is restored when something goes wrong.
    pub previous: Option<Code>,
    /// Why nothing could be restored, where that is so: somebody has to want it all the same.
    pub no_way_back: Option<String>,
    /// Whether the function runs the image already, and callers do not: what an earlier run, that was killed, has left.
    pub is_half_done: bool,
    /// What the function is invoked with.
    pub smoke_payload: Option<String>,
    /// The steps. None: everything is as wanted.
    pub steps: Vec<Step>,
}

impl LambdaPlan {
    /// The plan for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.function.describe()];
        if self.steps.is_empty() {
            lines.push("nothing to do".to_owned());
        }
        lines.extend(self.steps.iter().map(|step| self.line(step)));
        if let Some(previous) = self.previous.as_ref().filter(|_| !self.steps.is_empty()) {
            lines.push(format!("if something fails: back to {previous}"));
        }
        if let Some(why) = &self.no_way_back {
            lines.push(format!("if something fails: no way back. {why}"));
        }
        lines
    }

    fn line(&self, step: &Step) -> String {
        let (image, arch) = (&self.to.image, self.to.arch);
        let alias = self.alias.as_deref().unwrap_or("no alias");
        match step {
            Step::CreateFunction => format!("make the function: {image} on {arch}"),
            Step::KeepPrevious => "publish what it runs now, so that it can be restored".to_owned(),
            Step::HoldAlias => {
                format!("move the alias {alias} to that version: its callers stay on it")
            }
            Step::UpdateCode => {
                format!("update image and architecture in one call: {image} on {arch}")
            }
            Step::Invoke => format!(
                "invoke it with {}",
                self.smoke_payload.as_deref().unwrap_or("nothing")
            ),
            Step::Publish => "publish a version".to_owned(),
            Step::CreateAlias => format!("create the alias {alias} on that version"),
            Step::Canary(canary) => format!(
                "give {:.0} % of the calls of {alias} to that version for {}, and watch its errors",
                canary.part * 100.0,
                humantime::format_duration(canary.time)
            ),
            Step::MoveAlias => format!("move the alias {alias} to that version"),
        }
    }
}
