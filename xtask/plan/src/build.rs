//! What all builds have in common: arguments, labels, and the reason for the architecture.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chrono::DateTime;

use crate::{
    Build, BuildSecret, Output, Plan,
    arch::Arch,
    model::{
        config::{Config, Environment, Image, Secret, SecretSource, Service, TargetRule},
        label,
        refusal::Refusal,
        revision::Revision,
        target::Target,
    },
};

/// The plan, unless there is a reason not to.
pub(super) fn finish(refusals: Vec<Refusal>, plan: Plan) -> Result<Plan, Vec<Refusal>> {
    if refusals.is_empty() {
        Ok(plan)
    } else {
        Err(refusals)
    }
}

/// Why an image is for its architecture.
pub fn because(config: &Config, target: Target, rule: Option<TargetRule>) -> String {
    let arch = config.arch(target);
    let decided = match rule {
        Some(TargetRule::Said) => format!("`target = \"{target}\"` in deploy.toml"),
        Some(TargetRule::Suffix) | None => format!("the Dockerfile's suffix `.{target}`"),
    };
    format!(
        "{decided} says {}, which runs {arch} by `[targets]`: {}",
        target.title(),
        target.why()
    )
}

/// The commit, and whether the image has more than it.
fn revision_name(revision: &Revision) -> String {
    format!(
        "{}{}",
        revision.commit,
        if revision.dirty { "-dirty" } else { "" }
    )
}

/// What builds are planned from, besides the configuration: what is there on this machine.
#[derive(Debug, Default)]
pub struct BuildFacts {
    /// Certificates that builds may need.
    pub ca_bundle: Option<PathBuf>,
    /// Dockerfiles and directories that are not there, or lie outside the repository once links are followed.
    pub missing: Vec<PathBuf>,
    /// Stages that a Dockerfile was to have and has not, by the file and the stage's name: the names that it has.
    pub missing_stages: BTreeMap<(PathBuf, String), Vec<String>>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Files and environment variables of secrets that are not there.
    pub missing_secrets: Vec<SecretSource>,
    /// Whether an ssh agent can be asked.
    pub has_ssh_agent: bool,
    /// The directory of the content store.
    pub store: PathBuf,
}

/// Build arguments that name the target's platform and its CPU.
pub(crate) const OF_PLATFORM: [&str; 2] = ["TARGETPLATFORM", "TARGETARCH"];

/// A build in the making.
pub(super) struct Maker<'m> {
    /// deploy.toml.
    pub config: &'m Config,
    /// The service.
    pub service: &'m Service,
    /// The image, where deploy.toml has it.
    pub image: Option<&'m Image>,
    /// The architecture.
    pub arch: Arch,
    /// The environment, for images that go to one.
    pub environment: Option<&'m Environment>,
    /// The commit, if there is one.
    pub revision: Option<&'m Revision>,
    /// What is there.
    pub facts: &'m BuildFacts,
}

impl Maker<'_> {
    /// A build of this Dockerfile, without a cache.
    pub(super) fn build(&self, dockerfile: PathBuf, output: Output) -> Build {
        let image = self.image;
        let context = image.map_or(&self.service.context, |image| &image.context);
        Build {
            dockerfile,
            context: context.clone(),
            arch: self.arch,
            builder: self.config.builders.get(&self.arch).cloned(),
            mode: None,
            export: None,
            stage: image.and_then(|image| image.stage.clone()),
            contexts: image
                .map(|image| image.contexts.clone())
                .unwrap_or_default(),
            secrets: self.secrets(),
            ssh: image.map(|image| image.ssh.clone()).unwrap_or_default(),
            network: image.and_then(|image| image.network),
            args: self.args(),
            labels: self.labels(),
            cache: None,
            output,
            ca_bundle: self.facts.ca_bundle.clone(),
            pushed: false,
        }
    }

    /// The target's platform is among them: an `ARG TARGETPLATFORM` before the first `FROM` hides BuildKit's own value from that
    /// `FROM` in the versions that Debian 13 and Docker 26 have, and the build fails with an empty platform.
    fn args(&self) -> BTreeMap<String, String> {
        let of_environment = self
            .environment
            .map(|environment| environment.build_args.clone());
        let mut args = of_environment.unwrap_or_default();
        args.extend(
            self.image
                .into_iter()
                .flat_map(|image| image.build_args.clone()),
        );
        let (platform, arch) = (self.arch.platform(), self.arch.oci().to_owned());
        let own = OF_PLATFORM.into_iter().zip([platform, arch]);
        args.extend(own.map(|(key, value)| (key.to_owned(), value)));
        args.insert("SERVICE_FOLDER".to_owned(), self.service.folder.clone());
        if let Some(revision) = self.revision {
            args.insert("SOURCE_DATE_EPOCH".to_owned(), revision.time.to_string());
            args.insert("REVISION".to_owned(), revision_name(revision));
        }
        args
    }

    /// The labels of a revision's image, and those of deploy.toml.
    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.config.labels.clone();
        labels.extend(
            self.image
                .into_iter()
                .flat_map(|image| image.labels.clone()),
        );
        let Some(revision) = self.revision else {
            return labels;
        };
        let source = self
            .config
            .source
            .clone()
            .or_else(|| revision.origin.clone());
        let created = DateTime::from_timestamp(revision.time, 0);
        let created = created.map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        let version = revision
            .description
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let all = [
            (label::REVISION, Some(revision_name(revision))),
            (label::CREATED, created),
            (label::SOURCE, source),
            (label::VERSION, Some(version)),
        ];
        let own = all
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        labels.extend(own);
        labels
    }

    /// The secrets that are there.
    fn secrets(&self) -> Vec<BuildSecret> {
        let all = self
            .image
            .map(|image| image.secrets.as_slice())
            .unwrap_or_default();
        let is_there = |secret: &&Secret| !self.facts.missing_secrets.contains(&secret.source);
        let found = all.iter().filter(is_there).map(|secret| {
            let source = match &secret.source {
                SecretSource::File(file) => {
                    let path = secret_file(&self.config.root, self.facts.home.as_deref(), file);
                    SecretSource::File(path.display().to_string())
                }
                SecretSource::Env(name) => SecretSource::Env(name.clone()),
            };
            BuildSecret {
                id: secret.id.clone(),
                source,
            }
        });
        found.collect()
    }
}

/// Where the file of a secret is: from deploy.toml's directory, unless it is absolute or in the user's home.
pub fn secret_file(root: &Path, home: Option<&Path>, said: &str) -> PathBuf {
    match (said.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => root.join(said),
    }
}
