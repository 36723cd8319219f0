//! Images of the local engine and of registries, by docker's command line.

use std::{path::Path, process::ChildStdout, time::Duration};

use anyhow::{Context, Result, bail};

use super::{Docker, LoginSession, SILENCE, with_config};
use crate::{arch::Arch, plan::command};

impl Docker {
    /// Whether a registry has this image and lets us have it.
    pub fn can_pull(&self, image: &str) -> bool {
        let patience = Duration::from_secs(20);
        let outcome =
            self.buildx
                .stream(&["imagetools", "inspect", "--raw", image], patience, |_| {});
        outcome.is_ok_and(|outcome| outcome.success())
    }

    /// Pulls an image for an architecture, with a login.
    ///
    /// # Errors
    /// An image that is not there, or a registry that refuses.
    pub fn pull(&self, session: &LoginSession, image: &str, arch: Arch) -> Result<()> {
        let words = ["pull", "--quiet", "--platform", &arch.platform(), image];
        with_config(&self.tool, session.directory())
            .read(&words)
            .with_context(|| format!("failed to pull `{image}`"))?;
        Ok(())
    }

    /// Whether the local engine has an image of this name.
    pub fn has(&self, name: &str) -> bool {
        // A word that begins with a dash would be an option.
        !name.starts_with('-')
            && self
                .tool
                .read(&["image", "inspect", "--format", "{{.Id}}", name])
                .is_ok()
    }

    /// Hands an image of the local engine to `work`, as `docker save` writes it.
    ///
    /// # Errors
    /// An image that the engine does not have, and whatever `work` finds.
    pub fn save<T>(&self, name: &str, work: impl FnOnce(ChildStdout) -> Result<T>) -> Result<T> {
        self.tool.pipe(&["image", "save", name], work)
    }

    /// Takes a name away from an image of the local engine. An image that has no other goes with it.
    pub fn untag(&self, name: &str) {
        // Housekeeping: a name that stays does no harm.
        let _ = self.tool.read(&["image", "rm", "--no-prune", name]);
    }

    /// Builds a base image for both architectures and pushes it to a registry that wants no login.
    ///
    /// # Errors
    /// A build or push that fails, with its last words.
    pub fn build_stand_in(
        &self,
        context: &Path,
        dockerfile: &Path,
        name: &str,
        args: &[(&str, &str)],
    ) -> Result<()> {
        let platforms = Arch::ALL.map(Arch::platform).join(",");
        let (context, dockerfile) = (
            context.display().to_string(),
            dockerfile.display().to_string(),
        );
        let mut words = vec![
            "build",
            "--platform",
            &platforms,
            "--file",
            &dockerfile,
            "--tag",
            name,
        ];
        let args: Vec<String> = args
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        words.extend(args.iter().flat_map(|arg| ["--build-arg", arg]));
        words.extend(command::NO_ATTESTATION);
        words.extend(["--load", command::PROGRESS, &context]);
        for (tool, words) in [(&self.buildx, words), (&self.tool, vec!["push", name])] {
            let outcome = tool.stream(&words, SILENCE, |_| {})?;
            if !outcome.success() {
                bail!(
                    "`{}` {}:\n{}",
                    tool.shown(&words),
                    outcome.describe(),
                    outcome.tail.join("\n")
                );
            }
        }
        Ok(())
    }
}
