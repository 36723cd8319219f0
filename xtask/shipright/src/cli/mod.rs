//! The words that users can type. No logic: what is typed becomes a [`Task`], and `tasks/` does it.

mod ci_workflow;
mod deploy;
mod export;
mod groups;
mod parse;
mod prune;
mod scan;
mod verify;

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ColorChoice, Parser, Subcommand};

pub use ci_workflow::{CiWorkflow, System};
pub use deploy::{Deploy, ManifestCommand, Migrate, MigrateLambda, Promote, Rollback, Status};
pub use export::{Export, ExportImages, ExportPolicy};
pub use parse::{Typed, command, config_file, named_environments, parse};
pub use prune::Prune;
pub use scan::Scan;
pub use verify::{Verify, VerifyAll, VerifyEnvironment, VerifyImage};

use crate::{arch::Arch, report::terminal::LogFormat};

/// Build container images for the CPU that each AWS target runs, push them to ECR, and check that they got there.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done; 1 something failed, or a check found a mismatch; 2 refused before anything was \
                  done; 130 interrupted.\n\nExamples:\n  cargo xtask push-dev --sandbox     try it all on a local AWS\n  \
                  cargo xtask push dev --dry-run     see what a push would do\n  \
                  cargo xtask docker-build --arch amd64"
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub task: Task,
}

/// What every command takes.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The configuration [default: deploy.toml in this directory or the nearest one above]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Use a local AWS (and, where this machine has none, a private Docker Engine) instead of the real one
    #[arg(long, global = true)]
    pub sandbox: bool,
    /// Print what would be done, and stop
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Answer every question with yes
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Say more
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How events on standard error are written: `text`, or `json`, one object for each line
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value = "text",
        hide_possible_values = true
    )]
    pub log_format: LogFormat,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Task {
    /// Write a first deploy.toml from what is in this repository
    #[command(
        after_help = "It reads Dockerfiles, Compose, bake and Skaffold files, workflows of GitHub, `docker build` in Makefiles and \
                            scripts, and Terraform files; it runs nothing, and never overwrites a deploy.toml. A comment at each \
                            guess says where it comes from; look at every TODO.\n\nExamples:\n  \
                            cargo xtask init --dry-run     see it first\n  cargo xtask init\n  \
                            cargo xtask init --check       compare the one that is there with what is found"
    )]
    Init {
        /// Compare the deploy.toml that is there with what is found; a difference is exit code 1
        #[arg(long)]
        check: bool,
    },
    /// Image indexes for both CPUs, by hand, in any registry
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Build local images; they are never pushed
    #[command(
        after_help = "Examples:\n  cargo xtask docker-build\n  cargo xtask docker-build --arch amd64 --dockerfile Dockerfile.eks\n  \
                            ARCH=amd64 cargo xtask docker-build"
    )]
    DockerBuild(DockerBuild),
    /// Build local images for amd64: the same as `docker-build --arch amd64`
    #[command(after_help = "Example:\n  cargo xtask docker-build-amd64 --service worker")]
    DockerBuildAmd64(LocalSelection),
    /// Run an image on this machine, for the CPU that it is for
    #[command(
        after_help = "A Lambda image listens on port 9000, others on 8080, on this machine alone.\n\nExamples:\n  \
                            cargo xtask run api\n  cargo xtask run api --dockerfile Dockerfile.eks --arch arm64\n  \
                            cargo xtask run api --env dev"
    )]
    Run(Run),
    /// List where each CPU's images are built, and how
    #[command(
        after_help = "`[builders]` in deploy.toml names them.\n\nExample:\n  cargo xtask builders"
    )]
    Builders,
    /// Build images for an environment, push them to ECR under their six tags, and check what is there
    #[command(
        after_help = "Every environment has a command of its own: `push-dev` is `push dev`.\n\nExamples:\n  \
                            cargo xtask push-dev --sandbox\n  cargo xtask push dev --service api --dockerfile Dockerfile.lambda\n  \
                            cargo xtask push prod --dry-run"
    )]
    Push(Push),
    /// Push an environment's images if needed, then move everything that runs there to them
    #[command(
        after_help = "Examples:\n  cargo xtask deploy dev\n  cargo xtask deploy dev --service api --dry-run"
    )]
    Deploy(Deploy),
    /// Move Lambda functions to the image of an environment's tag, and with it to its CPU; restore what fails
    #[command(
        after_help = "Image and architecture go in one call. The function is invoked with deploy.toml's `smoke-payload`, a \
                            version is published, and the alias moved; when anything fails, the old image, architecture and \
                            alias are restored.\n\nExamples:\n  cargo xtask migrate-lambda dev\n  \
                            cargo xtask migrate-lambda dev --service api --dry-run\n  \
                            cargo xtask migrate-lambda prod --canary 10% --for 5m"
    )]
    MigrateLambda(MigrateLambda),
    /// Move App Runner services to the image of an environment's tag
    #[command(
        name = "migrate-apprunner",
        after_help = "Example:\n  cargo xtask migrate-apprunner dev"
    )]
    MigrateApprunner(Migrate),
    /// Move Kubernetes deployments to the image of an environment's tag, on nodes of its CPU
    #[command(
        after_help = "Uses `kubectl` as it is configured; `kube-context` and `namespace` in deploy.toml say where.\n\n\
                            Example:\n  cargo xtask migrate-eks dev --service api"
    )]
    MigrateEks(Migrate),
    /// Move ECS services to the image of an environment's tag, with its CPU; restore what fails
    #[command(
        after_help = "A revision of the task definition is registered with the image by its digest and `cpuArchitecture`, all else \
                            as it is, and the deployment followed to its end. `ecs-cluster` and `ecs-service` in deploy.toml say \
                            which service.\n\nExamples:\n  cargo xtask migrate-ecs dev\n  \
                            cargo xtask migrate-ecs dev --service api --dry-run"
    )]
    MigrateEcs(Migrate),
    /// Go back to the image that ran before, with its architecture
    #[command(
        after_help = "Examples:\n  cargo xtask rollback dev --service api\n  cargo xtask rollback dev --service api --to 41\n  \
                            cargo xtask rollback dev --service api --to dev-20250116-143000\n  \
                            cargo xtask rollback dev --dry-run     list what could be gone back to"
    )]
    Rollback(Rollback),
    /// Take what runs in one environment to another, byte for byte, without a build
    #[command(after_help = "Example:\n  cargo xtask promote dev prod --service api")]
    Promote(Promote),
    /// Delete from an environment's ECR repositories what nothing needs
    #[command(
        after_help = "What stays: what any Lambda function of the account has in a version, what ECS, App Runner and Kubernetes run or \
                            could go back to, what a moving tag, a release or a tag of somebody else names, the newest of each \
                            image in each environment, and what these need: images of an index, signatures. Everything is \
                            listed before it asks. Environments that share a repository are pruned together. What runs where deploy.toml \
                            names nothing (other accounts and regions, AWS Batch) is not seen: give such an image a tag of your own.\n\n\
                            Examples:\n  \
                            cargo xtask prune dev --dry-run\n  cargo xtask prune dev --keep 5 --older 90d\n  \
                            cargo xtask prune dev --lifecycle-policy > policy.json"
    )]
    Prune(Prune),
    /// Show what each environment's tags name, what runs there, and where the two differ
    #[command(
        after_help = "The page of `--html` is one file that asks nobody for anything. Images are proven with what this machine knows of \
                      their layers; `--prove` reads the others.\n\nExamples:\n  cargo xtask status\n  \
                      cargo xtask status dev --check\n  cargo xtask status --html target/status.html"
    )]
    Status(Status),
    /// Compare what is with what should be: one thing, or everything that can be reached
    #[command(
        after_help = "Examples:\n  cargo xtask verify\n  cargo xtask verify image backend:arm64-latest"
    )]
    Verify(VerifyAll),
    /// Look for known vulnerabilities in images of a registry, with Trivy, Grype or ECR's own scans
    #[command(
        after_help = "Of an environment, what its `latest` tags name is scanned, by digest; of an image index, the image of each \
                            platform. `[[scan.exceptions]]` in deploy.toml accept a vulnerability for a reason and until a day. \
                            `scan = \"high\"` in an environment makes each push, deployment and promotion scan before a `latest` \
                            tag moves.\n\nExamples:\n  cargo xtask scan dev\n  \
                            cargo xtask scan prod --fail-on high --only-fixed --sarif scan.sarif\n  \
                            cargo xtask scan public.ecr.aws/lambda/python:3.13 --scanner trivy"
    )]
    Scan(Scan),
    /// Check everything that a build and a push need, with a cure for each miss
    #[command(
        after_help = "Examples:\n  cargo xtask doctor\n  cargo xtask doctor --fix\n  cargo xtask doctor --sandbox"
    )]
    Doctor(Doctor),
    /// Say why a service's images are for their CPU, and what that costs or saves
    #[command(after_help = "Example:\n  cargo xtask explain api")]
    Explain(Explain),
    /// Say what an error message of Docker, ECR, Lambda, App Runner or kubectl means
    #[command(
        after_help = "Examples:\n  cargo xtask explain-error build.log\n  kubectl logs POD | cargo xtask explain-error"
    )]
    ExplainError(ExplainError),
    /// The local AWS that `--sandbox` uses
    #[command(subcommand)]
    Sandbox(Sandbox),
    /// Print what deploy.toml says, or what an environment has, as other tools read it
    #[command(subcommand)]
    Export(Export),
    /// Write the workflow of a CI system: builds on each CPU's own machines, indexes, verification, and deployments, protected ones behind approvals
    #[command(
        after_help = "A file that it has not made itself is never overwritten. What has to be set up by hand is said at the end.\n\n\
                            Examples:\n  cargo xtask ci-workflow github --dry-run     see it first\n  \
                            cargo xtask ci-workflow gitlab\n  cargo xtask ci-workflow github --check"
    )]
    CiWorkflow(CiWorkflow),
    /// Print the JSON Schema of deploy.toml
    #[command(after_help = "Example:\n  cargo xtask schema > deploy.schema.json")]
    Schema,
    /// Print a shell's completions
    #[command(
        after_help = "Examples:\n  cargo xtask completions bash > ~/.xtask.bash    then, in ~/.bashrc: source ~/.xtask.bash\n  \
                      cargo xtask completions zsh > ~/.xtask.zsh      then, in ~/.zshrc, after compinit: source ~/.xtask.zsh\n  \
                      cargo xtask completions fish > ~/.config/fish/conf.d/xtask.fish"
    )]
    Completions(Completions),
    /// Write manual pages, one for each command
    #[command(
        after_help = "Example:\n  cargo xtask man ~/.local/share/man/man1 && man cargo-xtask-push"
    )]
    Man {
        /// The directory: a `man1`
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Show this checkout, what each environment has, and what a push would do: what the bare command does
    #[command(after_help = "Example:\n  cargo xtask")]
    Overview,
}

/// Which local images.
#[derive(Debug, Clone, Args)]
pub struct LocalSelection {
    /// A service of deploy.toml; may be given several times [default: the default service]
    #[arg(long, short, value_name = "SERVICE")]
    pub service: Vec<String>,
    /// The Dockerfile, from the build context [env: DOCKERFILE] [default: Dockerfile.lambda]
    #[arg(long, value_name = "FILE")]
    pub dockerfile: Option<String>,
    /// Which image of the service, by its stage
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Only images that differ from a commit: where this branch left REF (a branch, tag or commit) [services: all]
    #[arg(long, value_name = "REF")]
    pub since: Option<String>,
    /// How many images are built at a time
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
}

/// Local images, for any architecture.
#[derive(Debug, Clone, Args)]
pub struct DockerBuild {
    /// Which images.
    #[command(flatten)]
    pub selection: LocalSelection,
    /// arm64, amd64, or all for both [env: ARCH] [default: what the image's target runs]
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<Archs>,
}

/// One architecture, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archs(pub Vec<Arch>);

impl FromStr for Archs {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word.eq_ignore_ascii_case("all") {
            return Ok(Self(Arch::ALL.to_vec()));
        }
        word.parse()
            .map(|arch| Self(vec![arch]))
            .map_err(|error: crate::arch::UnknownArch| format!("{error}, or `all`"))
    }
}

/// An image to run.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// A service of deploy.toml [default: the default service]
    pub service: Option<String>,
    /// Which of its images, by the Dockerfile [default: Dockerfile.lambda, or the first]
    #[arg(long, value_name = "FILE")]
    pub dockerfile: Option<String>,
    /// Which of its images, by its stage
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// arm64 or amd64 [default: what the image's target runs]
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<Arch>,
    /// Take the image from this environment's registry [default: the local image]
    #[arg(long, value_name = "ENV")]
    pub env: Option<String>,
    /// The port on this machine [default: 9000 for Lambda images, 8080 for others]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
}

/// A push to a named environment.
#[derive(Debug, Clone, Args)]
pub struct Push {
    /// An environment of deploy.toml
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Which images.
    #[command(flatten)]
    pub selection: PushSelection,
}

/// Which images of an environment.
#[derive(Debug, Clone, Args)]
pub struct PushSelection {
    /// A service of deploy.toml; may be given several times [default: all]
    #[arg(long, short, value_name = "SERVICE")]
    pub service: Vec<String>,
    /// Only images that are built from this Dockerfile
    #[arg(long, value_name = "FILE")]
    pub dockerfile: Option<String>,
    /// Only images that differ from a commit: where this branch left REF (a branch, tag or commit)
    #[arg(long, value_name = "REF")]
    pub since: Option<String>,
    /// How many images are worked on at a time
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// Build each image for both CPUs, and make the plain tags name an image index of the two; not for Lambda
    #[arg(long)]
    pub multi_arch: bool,
    /// Only images for this platform, `linux/arm64` or `linux/amd64`. An image for both is pushed for this one, without its index: a
    /// push without it, once both are there, makes that
    #[arg(long, value_name = "PLATFORM", value_parser = platform, conflicts_with = "multi_arch")]
    pub platform: Option<Arch>,
    /// Attach an SBOM (CycloneDX) to each image, as `sbom = true` does: packages of dpkg, apk, Python and npm, and not what is in an
    /// RPM database
    #[arg(long)]
    pub sbom: bool,
    /// Not taken: the target table decides.
    #[arg(long, hide = true, value_name = "ARCH", value_parser = refuse_arch)]
    pub arch: Option<Arch>,
}

/// A platform as docker has it.
fn platform(word: &str) -> Result<Arch, String> {
    let name = word.strip_prefix("linux/").unwrap_or(word);
    let parsed = name.parse::<Arch>();
    parsed.map_err(|_| format!("`{word}` is no platform: write `linux/arm64` or `linux/amd64`"))
}

/// A pushed image's architecture comes from the target table; no flag overrides it on the way to a registry.
fn refuse_arch(_: &str) -> Result<Arch, String> {
    Err("the architecture of a pushed image is policy: `[targets]` in deploy.toml says which CPU each target runs. \
         For a local image of another architecture: cargo xtask docker-build --arch ARCH"
        .to_owned())
}

/// What the doctor may do.
#[derive(Debug, Clone, Copy, Args)]
pub struct Doctor {
    /// Install emulation where it is missing: a one-time setup
    #[arg(long)]
    pub fix: bool,
}

/// A service.
#[derive(Debug, Clone, Args)]
pub struct Explain {
    /// A service of deploy.toml
    pub service: String,
}

/// A message.
#[derive(Debug, Clone, Args)]
pub struct ExplainError {
    /// A file with the message [default: standard input]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// The local AWS.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Sandbox {
    /// Start it, and a private Docker Engine where this machine has none
    #[command(after_help = "Example:\n  cargo xtask sandbox up")]
    Up,
    /// Stop everything that `up` started
    #[command(after_help = "Example:\n  cargo xtask sandbox down")]
    Down,
    /// Say what is running and where
    #[command(after_help = "Example:\n  cargo xtask sandbox status --json")]
    Status,
    /// Print `export` lines, so that `aws` and `docker` talk to it
    #[command(
        after_help = "Example:\n  eval \"$(cargo xtask sandbox env)\" && aws ecr describe-repositories"
    )]
    Env,
}

/// Completions.
#[derive(Debug, Clone, Copy, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}
