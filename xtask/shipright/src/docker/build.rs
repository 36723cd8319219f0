//! Builds: one by a call of its own, or several by one.

use std::{collections::BTreeMap, path::Path, sync::atomic::Ordering, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Base, BuildFailed, BuildStep, Docker, LoginSession, materials,
    progress::{Listener, Said, Tell},
    with_config,
};
use crate::{
    interrupt::{self, Transient},
    plan::{Build, bake, command},
    process::Outcome,
};

/// A build that says nothing for this long has lost its other side.
pub const SILENCE: Duration = Duration::from_mins(30);

/// What BuildKit says of an image that it has built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Built {
    /// The manifest's digest; of an image in a classic image store, the config's.
    #[serde(rename = "containerimage.digest")]
    pub digest: Option<String>,
    /// What it has read, as far as buildx tells.
    #[serde(
        default,
        rename = "buildx.build.provenance",
        deserialize_with = "materials::images"
    )]
    pub bases: Vec<Base>,
    /// Why the build's cache could not be written.
    #[serde(skip)]
    pub cache_error: Option<String>,
    /// Instructions of the Dockerfile, and those of them that were in the builder's cache.
    #[serde(skip)]
    pub steps: (usize, usize),
}

/// One of the builds of a call.
pub struct Part<'p> {
    /// The build.
    pub build: Build,
    /// The file that keeps what it says.
    pub log: Option<&'p Path>,
    /// Who is told where it is.
    pub tell: Tell<'p>,
}

impl Built {
    fn with(self, said: Said) -> Self {
        Self {
            cache_error: said.cache_error,
            steps: said.steps,
            ..self
        }
    }
}

impl Docker {
    /// Builds an image, which ends in the local engine or in the content store. A session is for a build that has its cache in a registry.
    /// `step` is told where it is; what it says is kept in the file `log`.
    ///
    /// # Errors
    /// [`BuildFailed`], or a docker that cannot be started.
    pub fn build(
        &self,
        build: &Build,
        session: Option<&LoginSession>,
        log: Option<&Path>,
        mut step: impl FnMut(BuildStep),
    ) -> Result<Built> {
        if let Some(builder) = &build.builder {
            self.bootstrap(builder, build.arch)?;
        }
        let words = command::build(build);
        let mut once = |is_plain| {
            let listener = Listener::new(log, Box::new(&mut step));
            let call = self.call(words.clone(), session, listener, is_plain)?;
            let said = call.said.into_iter().next().unwrap_or_default();
            if !call.outcome.success() {
                return Err(BuildFailed::of(&call.outcome, said).into());
            }
            Ok(call.metadata.read::<Built>()?.with(said))
        };
        let is_plain = self.has_plain_progress_alone.load(Ordering::Relaxed);
        let is_old = |error: &anyhow::Error| {
            let failed = error.downcast_ref::<BuildFailed>();
            failed.is_some_and(|failed| failed.lacks_raw_json)
        };
        match once(is_plain) {
            Err(error) if !is_plain && is_old(&error) => {
                self.has_plain_progress_alone.store(true, Ordering::Relaxed);
                once(true)
            }
            done => done,
        }
    }

    /// Builds several images by one call, each of which ends in the content store. Of one that is `None` nothing can be told, because the
    /// call ended before it was made or is none that this buildx knows: it is to be built alone.
    ///
    /// # Errors
    /// A docker that cannot be started.
    pub fn build_together(
        &self,
        parts: Vec<Part<'_>>,
        session: Option<&LoginSession>,
    ) -> Result<Vec<Option<Result<Built>>>> {
        if self.has_plain_progress_alone.load(Ordering::Relaxed) {
            return Ok(parts.iter().map(|_| None).collect());
        }
        let builds: Vec<_> = parts.iter().map(|part| &part.build).collect();
        // They have one builder.
        let first = builds.first();
        if let Some((build, builder)) =
            first.and_then(|first| Some((first, first.builder.as_ref()?)))
        {
            self.bootstrap(builder, build.arch)?;
        }
        let directory = tempfile::tempdir().context("failed to make a temporary directory")?;
        let directory = Transient::new(directory.keep());
        let file = directory.path().join("bake.json");
        std::fs::write(&file, bake::file(&builds).to_string())
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        let words = bake::words(&file.display().to_string(), &builds);
        let targets = parts.into_iter().enumerate();
        let targets = targets.map(|(place, part)| (bake::target(place), part.log, part.tell));
        let listener = Listener::of_targets(targets.collect());
        let call = self.call(words, session, listener, false)?;
        if !call.outcome.success() {
            // An interrupt ends buildx, and everything else with it.
            interrupt::let_end();
            let is_told = call.said.iter().any(Said::is_the_reason);
            let has_spoken = call
                .outcome
                .status
                .is_some_and(|status| status.code().is_some());
            let failed = call.said.into_iter().map(|said| {
                let is_reason = said.is_the_reason() || !is_told && said.failed.is_some();
                // One that was ended, for its silence or by the system, would end so again.
                let is_reason = is_reason || !has_spoken;
                is_reason.then(|| Err(BuildFailed::of(&call.outcome, said).into()))
            });
            return Ok(failed.collect());
        }
        // Newer ones have more in it than the targets.
        let mut metadata: BTreeMap<String, Value> = call.metadata.read()?;
        let made = call.said.into_iter().enumerate().map(|(place, said)| {
            let told = metadata.remove(&bake::target(place))?;
            let built: Built = serde_json::from_value(told).ok()?;
            Some(Ok(built.with(said)))
        });
        Ok(made.collect())
    }

    /// Calls buildx, listening.
    fn call(
        &self,
        mut words: Vec<String>,
        session: Option<&LoginSession>,
        mut listener: Listener<'_>,
        is_plain: bool,
    ) -> Result<Call> {
        let metadata =
            Metadata(tempfile::tempdir().context("failed to make a temporary directory")?);
        words.splice(
            1..1,
            [
                "--metadata-file".to_owned(),
                metadata.file().display().to_string(),
            ],
        );
        if !is_plain {
            let progress = words.iter_mut().find(|word| *word == command::PROGRESS);
            if let Some(word) = progress {
                "--progress=rawjson".clone_into(word);
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let tool = session.map_or_else(
            || self.buildx.clone(),
            |session| with_config(&self.buildx, session.directory()),
        );
        // All paths are absolute. A bake file that reads outside of the current directory would want leave for it, and what it may read is
        // what this program has put into it. Source: "Environment variables" in Docker's manuals of Bake.
        let tool = tool.env("BUILDX_BAKE_ENTITLEMENTS_FS", "0");
        let tool = tool.directory(Path::new("/"));
        let outcome = tool.stream(&words, SILENCE, |said| listener.hear(said))?;
        Ok(Call {
            outcome,
            said: listener.end(),
            metadata,
        })
    }
}

/// A call of buildx that has ended.
struct Call {
    outcome: Outcome,
    /// What was said of each build.
    said: Vec<Said>,
    metadata: Metadata,
}

/// The directory in which buildx leaves what it has made.
struct Metadata(tempfile::TempDir);

impl Metadata {
    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("metadata.json")
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let text = std::fs::read(self.file()).context("buildx left no metadata")?;
        serde_json::from_slice(&text).context("buildx left metadata that is no valid JSON")
    }
}
