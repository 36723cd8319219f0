//! What is installed or compiled on the build machine, and copied into an image for another.

use super::{Report, has_command};
use crate::model::{Model, Platform, Stage, Step, StepKind, uses};

/// The seeds' "Python is not Go": what a package manager installs on the build machine is for the build machine.
pub(super) fn packages_for_build_platform(model: &Model, report: Report<'_>) {
    copied_installs(model, |install| install.manager != Manager::Node, report);
}

/// The same of npm. Whether it matters is seen in the packages alone, and the proof sees it.
pub(super) fn node_packages_for_build_platform(model: &Model, report: Report<'_>) {
    copied_installs(model, |install| install.manager == Manager::Node, report);
}

fn copied_installs(model: &Model, is_wanted: fn(&Install) -> bool, report: Report<'_>) {
    for (place, stage) in model
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| stage.platform == Platform::Build)
    {
        for (at, step) in stage.steps.iter().enumerate() {
            for install in installs(step, stage, at).into_iter().filter(is_wanted) {
                if taken_from(model, place).any(|source| install.fills(model, place, source)) {
                    let what = format!(
                        "`{}` installs for the build machine's CPU here, and the target's stage copies the result: {}",
                        install.manager.name(),
                        install.manager.consequence()
                    );
                    report(&step.span, what, install.manager.cure());
                }
            }
        }
    }
}

/// A compiler that is not told otherwise compiles for the machine that it runs on.
pub(super) fn program_for_build_platform(model: &Model, report: Report<'_>) {
    const TOLD: [&str; 6] = [
        "GOARCH",
        "TARGETARCH",
        "TARGETPLATFORM",
        "xx-",
        "goreleaser",
        "GOOS=js",
    ];
    for (place, stage) in model
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| stage.platform == Platform::Build)
    {
        let family = || {
            model
                .lineage(place)
                .flat_map(|place| &model.stages[place].steps)
        };
        let is_told = family().any(|step| match &step.kind {
            StepKind::Run(text) => TOLD.iter().any(|sign| text.contains(sign)),
            StepKind::Env(pairs) => pairs.iter().any(|(name, _)| name == "GOARCH"),
            StepKind::Arg(names) => names
                .iter()
                .any(|name| name == "GOARCH" || name.starts_with("TARGET")),
            _ => false,
        });
        let builds = |step: &&Step| matches!(&step.kind, StepKind::Run(text) if has_command(text, "go build") || has_command(text, "go install"));
        let Some(step) = stage.steps.iter().find(builds).filter(|_| !is_told) else {
            continue;
        };
        // What a generator makes is text; a program that is copied by its name is what was compiled.
        let StepKind::Run(text) = &step.kind else {
            continue;
        };
        let is_program = |source: &str| {
            source.starts_with("/go/bin")
                || text
                    .split_whitespace()
                    .any(|word| word.trim_matches(['"', '\'']) == source)
        };
        if taken_from(model, place).any(is_program) {
            report(
                &step.span,
                "Go compiles for the build machine's CPU here, and the target's stage copies the program".to_owned(),
                "declare `ARG TARGETARCH` in the stage, and write `GOARCH=$TARGETARCH go build …`",
            );
        }
    }
}

/// What stages for the target copy out of a stage, or out of one that goes on from it.
fn taken_from(model: &Model, place: usize) -> impl Iterator<Item = &str> {
    let others = model
        .stages
        .iter()
        .filter(|other| other.platform != Platform::Build)
        .flat_map(|other| &other.steps);
    let sources = others.filter_map(move |step| match &step.kind {
        StepKind::Copy {
            from: Some(from),
            sources,
            ..
        } if model.lineage(*from).any(|one| one == place) => Some(sources),
        _ => None,
    });
    sources.flatten().map(String::as_str)
}

/// A package manager that fetches machine code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Python,
    Node,
    Ruby,
    System,
}

/// How each package manager is told to install.
const INSTALLERS: [(Manager, &[&str]); 4] = [
    (
        Manager::Python,
        &[
            "pip install",
            "pip3 install",
            "uv sync",
            "poetry install",
            "pipenv install",
            "pip sync",
        ],
    ),
    (
        Manager::Node,
        &[
            "npm ci",
            "npm install",
            "npm i ",
            "yarn install",
            "pnpm install",
            "pnpm i ",
        ],
    ),
    (Manager::Ruby, &["bundle install", "gem install"]),
    (
        Manager::System,
        &[
            "apt-get install",
            "apt-get -y install",
            "apt install",
            "apk add",
            "apk --no-cache add",
            "dnf install",
            "yum install",
        ],
    ),
];

impl Manager {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "pip",
            Self::Node => "npm",
            Self::Ruby => "bundler",
            Self::System => "the package manager",
        }
    }

    /// What that does to the image, and no more than that.
    fn consequence(self) -> &'static str {
        match self {
            Self::Python => {
                "packages with machine code are for the wrong CPU, those in pure Python for any"
            }
            Self::Node => {
                "packages that are installed for one CPU are for the wrong one, those that carry all CPUs are fine"
            }
            Self::Ruby => "gems with extensions are for the wrong CPU, those in pure Ruby for any",
            Self::System => "its programs and libraries are for the wrong CPU",
        }
    }

    fn cure(self) -> &'static str {
        match self {
            Self::Python => {
                "ask for the target's wheels (`uv pip install --python-platform … --only-binary :all:`), or install in a \
                 stage without `--platform=$BUILDPLATFORM`"
            }
            Self::Node => {
                "ask for the target's packages (`npm ci --cpu=… --os=linux`), or install in a stage without `--platform=$BUILDPLATFORM`"
            }
            Self::Ruby => {
                "install in a stage without `--platform=$BUILDPLATFORM`: native gems are compiled where they are installed"
            }
            Self::System => {
                "install in the target's own stage, and leave this one for what runs on any CPU"
            }
        }
    }
}

/// A package manager at work, and where its packages end up.
struct Install {
    manager: Manager,
    /// The directories that it is told to fill.
    directories: Vec<String>,
    /// The directory that it works in.
    workdir: Option<String>,
}

/// The package managers that a step runs without asking for another CPU's packages. `at` is the step's place in its stage.
fn installs(step: &Step, stage: &Stage, at: usize) -> Vec<Install> {
    const ASKS_FOR_TARGET: [&str; 8] = [
        "--platform",
        "--python-platform",
        "--only-binary",
        "--cpu",
        "--arch",
        "--add-architecture",
        "npm_config_",
        "--config.arch",
    ];
    let StepKind::Run(text) = &step.kind else {
        return Vec::new();
    };
    let asks_before = stage.steps[..at].iter().any(|step| match &step.kind {
        StepKind::Env(pairs) => pairs.iter().any(|(name, value)| {
            name.to_lowercase().starts_with("npm_config_")
                || uses(value, &["TARGETARCH", "TARGETPLATFORM"])
        }),
        _ => false,
    });
    if asks_before
        || uses(text, &["TARGETARCH", "TARGETPLATFORM"])
        || ASKS_FOR_TARGET.iter().any(|sign| text.contains(sign))
    {
        return Vec::new();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let flags = ["--target", "-t", "--prefix", "venv"];
    let given = words
        .iter()
        .zip(words.iter().skip(1))
        .filter(|(word, _)| flags.contains(word))
        .map(|(_, directory)| *directory);
    let joined = words.iter().filter_map(|word| {
        word.strip_prefix("--target=")
            .or_else(|| word.strip_prefix("--prefix="))
    });
    let directories: Vec<_> = given
        .chain(joined)
        .map(|directory| directory.trim_end_matches('/').to_owned())
        .collect();
    let workdir = stage.steps[..at]
        .iter()
        .rev()
        .find_map(|step| match &step.kind {
            StepKind::Workdir(directory) => Some(directory.trim_end_matches('/').to_owned()),
            _ => None,
        });
    let runs = INSTALLERS
        .into_iter()
        .filter(|(_, signs)| signs.iter().any(|sign| has_command(text, sign)));
    runs.map(|(manager, _)| Install {
        manager,
        directories: directories.clone(),
        workdir: workdir.clone(),
    })
    .collect()
}

impl Install {
    /// Whether what is copied holds what was installed. A built page or one binary does not.
    fn fills(&self, model: &Model, place: usize, source: &str) -> bool {
        let source = source.trim_end_matches('/');
        let parts: Vec<_> = source.split('/').collect();
        let has = |names: &[&str]| parts.iter().any(|part| names.contains(part));
        let ends = |names: &[&str]| parts.last().is_some_and(|part| names.contains(part));
        let below = |directory: &String| {
            source == directory || source.starts_with(&format!("{directory}/"))
        };
        let is_workdir =
            source.is_empty() || source == "." || self.workdir.as_deref() == Some(source);
        match self.manager {
            Manager::Python => {
                let local = self.directories.is_empty()
                    && is_workdir
                    && runs(model, place, &["uv sync", "poetry install"]);
                has(&["site-packages", "dist-packages"])
                    || ends(&["venv", ".venv", ".local"])
                    || source == "/usr/local"
                    || local
                    || self.directories.iter().any(below)
            }
            Manager::Node => {
                let whole =
                    is_workdir || self.directories.iter().any(|directory| directory == source);
                let global = runs(
                    model,
                    place,
                    &["npm install -g", "npm i -g", "npm install --global"],
                );
                let removed = runs(model, place, &["rm -rf node_modules", "rm -r node_modules"]);
                ends(&["node_modules"]) || whole && !global && !removed
            }
            Manager::Ruby => ends(&["bundle", "gems"]) || self.directories.iter().any(below),
            Manager::System => is_system_code(source) && !is_workshop(model, place),
        }
    }
}

/// Whether distributions put programs and libraries there. `/usr/share` and `/etc` hold what is the same on every CPU.
fn is_system_code(source: &str) -> bool {
    let is_text = [
        ".py", ".sh", ".conf", ".txt", ".json", ".pem", ".crt", "release",
    ]
    .iter()
    .any(|end| source.ends_with(end));
    let below = source.strip_prefix("/usr").unwrap_or(source);
    let directories = ["/bin", "/sbin", "/lib", "/lib64"];
    let is_inside = |directory: &&str| {
        below
            .strip_prefix(*directory)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    !is_text && (source == "/usr" || directories.iter().any(is_inside))
}

/// Whether a stage, or one that goes on from it, does more than to install: then what is copied may have been made there.
fn is_workshop(model: &Model, place: usize) -> bool {
    const TOOLS: [&str; 20] = [
        "go ",
        "make",
        "cargo ",
        "cmake",
        "ninja",
        "meson",
        "cc ",
        "gcc",
        "clang",
        "configure",
        "install -",
        "cp ",
        "mv ",
        "ln ",
        "curl ",
        "wget ",
        "tar ",
        "unzip ",
        "git ",
        "xx-",
    ];
    let family =
        (0..model.stages.len()).filter(|other| model.lineage(*other).any(|one| one == place));
    let mut steps = family.flat_map(|place| &model.stages[place].steps);
    steps.any(|step| match &step.kind {
        StepKind::Run(text) => TOOLS.iter().any(|tool| {
            // `apt-get install -y gcc` installs a tool and uses none.
            text.split(['\n', ';', '&', '|']).any(|part| {
                let is_install = INSTALLERS[3].1.iter().any(|sign| has_command(part, sign));
                !is_install && has_command(part, tool)
            })
        }),
        StepKind::Copy { .. } => true,
        _ => false,
    })
}

fn runs(model: &Model, place: usize, commands: &[&str]) -> bool {
    model.stages[place]
        .steps
        .iter()
        .any(|step| match &step.kind {
            StepKind::Run(text) => commands.iter().any(|command| has_command(text, command)),
            _ => false,
        })
}
