//! A first deploy.toml for a repository, from what was found in it. Each guess has a comment that says where it comes from, and
//! what nobody can guess is a `TODO`.

mod check;
mod services;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::{arch::Arch, model::target::Target};

pub use check::check;
pub use services::suffix;
pub use text::deploy_toml;

/// A Dockerfile of a repository. Paths are from the repository's directory, with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDockerfile {
    /// Where it is.
    pub path: String,
    /// Its build context: `.` is the repository's directory.
    pub context: String,
    /// How that was told.
    pub because: String,
    /// The base image of its last stage.
    pub base: Option<String>,
    /// The names of its stages.
    pub stages: Vec<String>,
}

/// What describes builds, the one that is believed first comes first: what ships images, and then what runs them on a developer's
/// machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildSource {
    /// A workflow of GitHub.
    Workflow,
    /// A bake file.
    Bake,
    /// A Skaffold file.
    Skaffold,
    /// `docker build` in a Makefile or a script.
    #[default]
    Script,
    /// A Compose file.
    Compose,
}

/// A build of an image that some file describes. Paths are from the repository's directory, with `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundBuild {
    /// What kind of file it is.
    pub source: BuildSource,
    /// The file.
    pub file: String,
    /// Where in it.
    pub what: String,
    /// What the file calls it.
    pub name: Option<String>,
    /// Its build context and its Dockerfile: several, where the file does not tell where its paths start. The first whose
    /// Dockerfile is there is meant.
    pub places: Vec<(String, String)>,
    /// The stage.
    pub stage: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Named contexts.
    pub contexts: BTreeMap<String, String>,
    /// Secrets.
    pub secrets: Vec<FoundSecret>,
    /// Whether it is given the ssh agent.
    pub ssh: bool,
    /// The platforms, where they are said.
    pub platforms: Vec<String>,
    /// The name of the repository that it is tagged with.
    pub repository: Option<String>,
    /// Whether it is pushed to a registry.
    pub ships: bool,
    /// Build arguments whose values could not be told.
    pub unfilled: Vec<String>,
    /// What is said and could not be told.
    pub left_out: Vec<String>,
}

/// A secret of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundSecret {
    /// Its id.
    pub id: String,
    /// The file that has it.
    pub file: Option<String>,
    /// The variable that has it.
    pub env: Option<String>,
}

/// A repository of ECR that some file names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundRepository {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The repository's name, where the file has it.
    pub name: Option<String>,
    /// The file.
    pub file: String,
}

/// Something in Terraform files that runs images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundWorkload {
    /// What runs them.
    pub target: Target,
    /// What Terraform calls it.
    pub label: String,
    /// Its name, with `{env}` and `{project}` for variables that say them.
    pub name: Option<String>,
    /// The CPU, where it is said.
    pub arch: Option<Arch>,
    /// The file.
    pub file: String,
}

/// What Terraform files say of AWS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundTerraform {
    /// What runs images.
    pub workloads: Vec<FoundWorkload>,
    /// Task definitions of ECS, as Terraform calls them, and their CPU where it is said.
    pub definitions: Vec<(String, Option<Arch>)>,
    /// Names of repositories, and the files.
    pub repositories: Vec<(String, String)>,
    /// The region of the provider, and the file.
    pub region: Option<(String, String)>,
    /// The account of the provider, and the file.
    pub account: Option<(String, String)>,
    /// The ECS cluster's name, and the file.
    pub cluster: Option<(String, String)>,
}

/// What was found in a repository.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The name of its directory.
    pub directory: String,
    /// The Dockerfiles, by path.
    pub dockerfiles: Vec<FoundDockerfile>,
    /// Builds that files describe.
    pub builds: Vec<FoundBuild>,
    /// What Terraform files say.
    pub terraform: FoundTerraform,
    /// What names ECR.
    pub repositories: Vec<FoundRepository>,
    /// A file that is a Kubernetes manifest or a Helm chart.
    pub kubernetes: Option<String>,
    /// What was read and could not be expressed.
    pub left_out: Vec<String>,
}

impl FoundBuild {
    /// Says that a value is not written out.
    pub fn leave_out(&mut self, key: &str, written: &str) {
        let written = written.trim();
        self.left_out.push(format!(
            "{key} is `{written}`, which only its tool fills in"
        ));
    }

    /// Says that the value of a build argument is not written out. `key` is where it stands.
    pub fn leave_out_arg(&mut self, key: &str, name: &str, written: &str) {
        self.leave_out(&format!("{key} {name}"), written);
        self.unfilled.push(name.to_owned());
    }

    /// The stage that is shipped: some build one for developers or for tests.
    pub fn shipped_stage(&self) -> Option<&String> {
        const FOR_DEVELOPERS: [&str; 7] = [
            "dev",
            "development",
            "debug",
            "test",
            "tests",
            "local",
            "lint",
        ];
        let is_for_developers = |stage: &&String| FOR_DEVELOPERS.contains(&stage.as_str());
        self.stage
            .as_ref()
            .filter(|stage| !is_for_developers(stage))
    }

    /// Where it is described, for people.
    pub fn shown(&self) -> String {
        format!("`{}`, {}", self.file, self.what)
    }
}

impl Survey {
    /// The context and the Dockerfile of a build: of the places that it may mean, the first whose Dockerfile is there.
    fn place<'s>(&'s self, build: &'s FoundBuild) -> Option<(&'s str, &'s FoundDockerfile)> {
        build.places.iter().find_map(|(context, file)| {
            let mut all = self.dockerfiles.iter();
            let found = all.find(|found| found.path == *file)?;
            Some((context.as_str(), found))
        })
    }

    /// What could not be expressed: of the survey itself, and of builds.
    pub fn left_out(&self) -> Vec<String> {
        let mut all = self.left_out.clone();
        for build in &self.builds {
            let missing = match build.places.first() {
                Some((_, file)) if self.place(build).is_none() => Some(format!(
                    "its Dockerfile `{file}` is not here, or cannot be read"
                )),
                _ => None,
            };
            let shown = build.shown();
            let of_build = build.left_out.iter().cloned().chain(missing);
            all.extend(of_build.map(|what| format!("{shown}: {what}")));
        }
        let mut known = BTreeSet::new();
        all.retain(|what| known.insert(what.clone()));
        all
    }
}
