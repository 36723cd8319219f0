//! The rules. Each is a name and a function from a [`Model`] to problems: a new rule is a new line in [`RULES`].
//!
//! A false alarm is worse than a miss: people learn to look away, and the proof finds what a rule has missed. So a rule keeps
//! quiet where the instruction asks which CPU it is on in any way.

use std::ops::Range;

use image_arch::{Arch, SPELLINGS};

use crate::{
    Finding,
    model::{Model, Platform, Stage, Step, StepKind, uses},
};

type Rule = (&'static str, fn(&Model, &mut dyn FnMut(&Range<usize>, String, &str)));

/// Every rule, by the name that `# xtask: allow NAME reason` silences.
pub const RULES: [Rule; 10] = [
    ("last-stage-on-build-platform", last_stage_on_build_platform),
    ("constant-platform", constant_platform),
    ("packages-for-build-platform", packages_for_build_platform),
    ("hard-coded-goarch", hard_coded_goarch),
    ("hard-coded-target", hard_coded_target),
    ("arch-in-url", arch_in_url),
    ("arch-in-base-tag", arch_in_base_tag),
    ("undeclared-platform-arg", undeclared_platform_arg),
    ("secret-in-arg", secret_in_arg),
    (SYNTAX_DIRECTIVE, syntax_directive),
];

/// The one rule that tells what is worth knowing and not wrong.
pub const SYNTAX_DIRECTIVE: &str = "syntax-directive";

/// Signs that an instruction asks which CPU it is on.
const ASKS: [&str; 7] =
    ["uname", "dpkg --print-architecture", "apk --print-arch", "$(arch)", "rpm --eval", "case ", "platform.machine"];

/// BuildKit's own variables. Source: its Dockerfile reference, "Automatic platform ARGs in the global scope".
const PLATFORM_ARGS: [&str; 8] =
    ["TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"];

/// Everything that the rules find in a Dockerfile, in its order.
pub fn check(text: &str) -> Vec<Finding> {
    let model = match Model::parse(text) {
        Ok(model) => model,
        Err((message, line)) => {
            let start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
            return vec![Finding {
                rule: None,
                span: start..start,
                what: format!("this cannot be read: {message}"),
                cure: "correct the Dockerfile at this place".to_owned(),
            }];
        }
    };
    let allowed = Allowances::of(text);
    let mut problems = allowed.mistakes();
    for (name, rule) in RULES {
        let mut report = |span: &Range<usize>, what: String, cure: &str| {
            if !allowed.silences(name, span, text) {
                problems.push(Finding { rule: Some(name), span: span.clone(), what, cure: cure.to_owned() });
            }
        };
        rule(&model, &mut report);
    }
    problems.sort_by_key(|problem| problem.span.start);
    problems
}

fn last_stage_on_build_platform(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    if let Some(last) = model.last().filter(|last| last.platform == Platform::Build) {
        report(
            &last.from_span,
            "the last stage is on `$BUILDPLATFORM`: the image gets the CPU of whatever machine builds it".to_owned(),
            "leave `--platform` out of the last FROM, or write `--platform=$TARGETPLATFORM`",
        );
    }
}

fn constant_platform(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    for stage in &model.stages {
        if let (Platform::Constant(platform), None) = (&stage.platform, stage.parent) {
            report(
                &stage.from_span,
                format!("`--platform={platform}` builds for this CPU whatever was asked for"),
                "leave `--platform` out, or write `$TARGETPLATFORM`, or `$BUILDPLATFORM` for a stage that cross-compiles",
            );
        }
    }
}

/// The seeds' "Python is not Go": what a package manager installs on the build machine is for the build machine.
fn packages_for_build_platform(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    for (place, stage) in model.stages.iter().enumerate().filter(|(_, stage)| stage.platform == Platform::Build) {
        for (step, manager, folders) in stage.steps.iter().flat_map(installs) {
            let taken = model.stages.iter().filter(|other| other.platform != Platform::Build).flat_map(|other| &other.steps);
            let is_taken = taken.filter_map(|step| match &step.kind {
                StepKind::Copy { from: Some(from), sources } if model.lineage(*from).any(|one| one == place) => Some(sources),
                _ => None,
            });
            if is_taken.flatten().any(|source| holds_packages(source, manager, &folders, stage)) {
                report(
                    &step.span,
                    format!("`{manager}` installs for the build machine's CPU here, and the target's stage copies the result"),
                    manager.cure(),
                );
            }
        }
    }
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
    (Manager::Python, &["pip install", "pip3 install", "uv sync", "poetry install", "pipenv install", "pip sync"]),
    (Manager::Node, &["npm ci", "npm install", "npm i ", "yarn install", "pnpm install", "pnpm i "]),
    (Manager::Ruby, &["bundle install", "gem install"]),
    (
        Manager::System,
        &["apt-get install", "apt-get -y install", "apt install", "apk add", "apk --no-cache add", "dnf install", "yum install"],
    ),
];

impl std::fmt::Display for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Python => "pip",
            Self::Node => "npm",
            Self::Ruby => "bundler",
            Self::System => "the package manager",
        })
    }
}

impl Manager {
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
            Self::System => "install in the target's own stage, and leave this one for what runs on any CPU",
        }
    }
}

/// The package managers that a step runs, without asking for another CPU's packages, and the folders that they fill.
fn installs(step: &Step) -> Vec<(&Step, Manager, Vec<String>)> {
    const ASKS_FOR_TARGET: [&str; 8] = [
        "--platform",
        "--python-platform",
        "--only-binary",
        "--cpu",
        "--arch",
        "--add-architecture",
        "npm_config_arch",
        "--config.arch",
    ];
    let StepKind::Run(text) = &step.kind else { return Vec::new() };
    if uses(text, &["TARGETARCH", "TARGETPLATFORM"]) || ASKS_FOR_TARGET.iter().any(|sign| text.contains(sign)) {
        return Vec::new();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let flags = ["--target", "-t", "--prefix", "venv"];
    let given = words.iter().zip(words.iter().skip(1)).filter(|(word, _)| flags.contains(word)).map(|(_, folder)| *folder);
    let joined = words.iter().filter_map(|word| word.strip_prefix("--target=").or_else(|| word.strip_prefix("--prefix=")));
    let folders: Vec<_> = given.chain(joined).map(|folder| folder.trim_end_matches('/').to_owned()).collect();
    let runs = INSTALLERS.into_iter().filter(|(_, signs)| signs.iter().any(|sign| text.contains(sign)));
    runs.map(|(manager, _)| (step, manager, if manager == Manager::System { Vec::new() } else { folders.clone() })).collect()
}

/// Whether what is copied holds what was installed. A built page or one binary does not.
fn holds_packages(source: &str, manager: Manager, folders: &[String], stage: &Stage) -> bool {
    let source = source.trim_end_matches('/');
    let parts: Vec<_> = source.split('/').collect();
    let has = |names: &[&str]| parts.iter().any(|part| names.contains(part));
    let workdir = stage.steps.iter().rev().find_map(|step| match &step.kind {
        StepKind::Workdir(folder) => Some(folder.trim_end_matches('/')),
        _ => None,
    });
    let is_whole = source.is_empty() || source == "." || workdir == Some(source);
    let known = match manager {
        Manager::Python => {
            has(&["site-packages", "dist-packages", "venv", ".venv", "packages", "deps", ".local"])
                || source == "/usr/local"
                || source == "/install"
        }
        Manager::Node => has(&["node_modules"]) || is_whole,
        Manager::Ruby => has(&["bundle", "vendor", "gems"]),
        Manager::System => is_system_code(source) && !stage.steps.iter().any(|step| makes(step, source)),
    };
    let into_workdir = manager == Manager::Python && folders.is_empty() && is_whole;
    known || into_workdir || folders.iter().any(|folder| source == folder || source.starts_with(&format!("{folder}/")))
}

/// Whether distributions put programs and libraries there. `/usr/share` and `/etc` hold what is the same on every CPU.
fn is_system_code(source: &str) -> bool {
    let below = source.strip_prefix("/usr").unwrap_or(source);
    source == "/usr"
        || ["/bin", "/sbin", "/lib", "/lib64"]
            .iter()
            .any(|folder| below.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Whether an instruction itself names what is copied: it is then what was built here, not what was installed.
fn makes(step: &Step, source: &str) -> bool {
    matches!(&step.kind, StepKind::Run(text) if text.contains(source))
}

fn hard_coded_goarch(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    const CURE: &str = "declare `ARG TARGETARCH` in the stage, and write `GOARCH=$TARGETARCH`";
    let is_constant = |value: &str| {
        let value = value.trim_matches(['"', '\'']);
        value.parse::<Arch>().is_ok() || matches!(value, "386" | "arm")
    };
    for step in model.stages.iter().flat_map(|stage| &stage.steps) {
        match &step.kind {
            StepKind::Run(text) if !asks(text) => {
                let values = text
                    .split_whitespace()
                    .filter_map(|word| word.strip_prefix("GOARCH="))
                    .map(|value| value.trim_end_matches(';'));
                if let Some(value) = values.into_iter().find(|value| is_constant(value)) {
                    report(&step.span, format!("`GOARCH={value}` compiles for this CPU whatever was asked for"), CURE);
                }
            }
            StepKind::Env(pairs) => {
                if let Some((_, value)) = pairs.iter().find(|(name, value)| name == "GOARCH" && is_constant(value)) {
                    report(&step.span, format!("`ENV GOARCH={value}` compiles for this CPU whatever was asked for"), CURE);
                }
            }
            _ => {}
        }
    }
}

fn hard_coded_target(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    let starts = ["x86_64-", "aarch64-"];
    let is_triple = |word: &str| starts.iter().any(|start| word.starts_with(start)) && word.contains("linux");
    for (step, text) in runs(model).filter(|(_, text)| !asks(text)) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let given = words.iter().zip(words.iter().skip(1)).filter(|(flag, _)| **flag == "--target").map(|(_, value)| *value);
        let joined = words.iter().filter_map(|word| word.strip_prefix("--target="));
        if let Some(triple) = given.chain(joined).find(|word| is_triple(word)) {
            report(
                &step.span,
                format!("`--target {triple}` compiles for this CPU whatever was asked for"),
                "choose the target by `$TARGETARCH`: `case \"$TARGETARCH\" in amd64) … ;; arm64) … ;; esac`",
            );
        }
    }
}

fn arch_in_url(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    for step in model.stages.iter().flat_map(|stage| &stage.steps) {
        let words: Vec<&str> = match &step.kind {
            StepKind::Run(text) if !asks(text) => text.split_whitespace().collect(),
            StepKind::Copy { from: None, sources } => sources.iter().map(String::as_str).collect(),
            _ => continue,
        };
        let is_address = |word: &&str| word.contains("http://") || word.contains("https://");
        let fixed = words.into_iter().filter(is_address).filter(|word| !uses(word, &PLATFORM_ARGS));
        let found = fixed.into_iter().find_map(|word| SPELLINGS.into_iter().find(|cpu| has_word(word, cpu)));
        if let Some(cpu) = found {
            report(
                &step.span,
                format!("an address with `{cpu}` fetches for this CPU whatever was asked for"),
                "put `$TARGETARCH` in its place, after `ARG TARGETARCH`, or choose with `case \"$TARGETARCH\" in …`",
            );
        }
    }
}

fn arch_in_base_tag(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    for stage in model.stages.iter().filter(|stage| stage.parent.is_none() && stage.platform != Platform::Build) {
        if stage.image.starts_with("public.ecr.aws/lambda/") && uses(&stage.image, &["TARGETARCH"]) {
            report(
                &stage.image_span,
                format!("`{}` has no tag for amd64: the suffix there is `x86_64`", stage.image),
                "use the tag without a suffix: it is for both CPUs",
            );
            continue;
        }
        let owners = ["amd64/", "arm64v8/", "arm32v7/", "i386/"];
        let tag = stage.image.rsplit_once(':').map_or("", |(_, tag)| tag);
        let owner = owners.into_iter().find(|owner| stage.image.starts_with(owner)).map(|owner| owner.trim_end_matches('/'));
        if let Some(cpu) = owner.or_else(|| SPELLINGS.into_iter().find(|cpu| has_word(tag, cpu))) {
            report(
                &stage.image_span,
                format!("the base image `{}` is for `{cpu}` alone", stage.image),
                "use the tag without a CPU in it, and let `--platform` choose",
            );
        }
    }
}

fn undeclared_platform_arg(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    for (place, stage) in model.stages.iter().enumerate() {
        let inherited = model.lineage(place).skip(1).flat_map(|above| &model.stages[above].steps);
        let mut declared: Vec<&str> = inherited.filter_map(declares).collect();
        for step in &stage.steps {
            declared.extend(declares(step));
            let StepKind::Run(text) = &step.kind else { continue };
            let missing = PLATFORM_ARGS.into_iter().find(|name| {
                uses(text, &[*name])
                    && !declared.contains(name)
                    && !text.contains(&format!("{name}="))
                    && !text.contains(&format!("{name}:"))
            });
            if let Some(name) = missing {
                report(
                    &step.span,
                    format!("`${name}` is empty here: the stage does not declare it"),
                    &format!("write `ARG {name}` before this line, in this stage"),
                );
            }
        }
    }
}

fn declares(step: &Step) -> Option<&str> {
    match &step.kind {
        StepKind::Arg(name) => Some(name),
        StepKind::Env(pairs) => pairs.first().map(|(name, _)| name.as_str()),
        _ => None,
    }
}

fn secret_in_arg(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    for step in model.stages.iter().flat_map(|stage| &stage.steps) {
        let names: Vec<&str> = match &step.kind {
            StepKind::Arg(name) => vec![name],
            StepKind::Env(pairs) => pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.as_str()).collect(),
            _ => continue,
        };
        if let Some(name) = names.into_iter().find(|name| is_secret(name)) {
            report(
                &step.span,
                format!("`{name}` stays in the image's history, where everybody who pulls it can read it"),
                "give it as a secret: `RUN --mount=type=secret,id=…`, and `docker build --secret`",
            );
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let parts: Vec<_> = name.split('_').collect();
    let harmless =
        ["FILE", "PATH", "DIR", "NAME", "URL", "ID", "ARN", "TTL", "LENGTH", "EXPIRY", "PUBLIC", "HEADER", "TYPE", "ALGORITHM"];
    let secret = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "CREDENTIALS"];
    let pairs = ["API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "SECRET_KEY"];
    let is_secret = parts.iter().any(|part| secret.contains(part)) || pairs.iter().any(|pair| name.contains(pair));
    is_secret && !parts.iter().any(|part| harmless.contains(part))
}

fn syntax_directive(model: &Model, report: &mut dyn FnMut(&Range<usize>, String, &str)) {
    if let Some((frontend, span)) = &model.syntax {
        report(
            span,
            format!("`# syntax={frontend}` makes BuildKit pull a frontend image before it reads the file"),
            "remove the line unless a feature needs it: it fails where Docker Hub cannot be reached",
        );
    }
}

fn runs(model: &Model) -> impl Iterator<Item = (&Step, &str)> {
    model.stages.iter().flat_map(|stage| &stage.steps).filter_map(|step| match &step.kind {
        StepKind::Run(text) => Some((step, text.as_str())),
        _ => None,
    })
}

fn asks(text: &str) -> bool {
    uses(text, &PLATFORM_ARGS) || ASKS.iter().any(|sign| text.contains(sign))
}

/// Whether a word stands in a text, not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(word)
        .any(|(at, _)| !is_inside(text[..at].chars().next_back()) && !is_inside(text[at + word.len()..].chars().next()))
}

/// `# xtask: allow RULE reason`, above the instruction that it is about or inside it.
struct Allowances(Vec<Allowance>);

struct Allowance {
    rule: String,
    reason: String,
    span: Range<usize>,
    /// Where the next line that is no comment begins.
    next: usize,
}

impl Allowances {
    fn of(text: &str) -> Self {
        let mut found: Vec<Allowance> = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let trimmed = line.trim();
            if let Some(words) = trimmed.strip_prefix('#').and_then(|rest| rest.trim_start().strip_prefix("xtask: allow")) {
                let (rule, reason) = words.trim().split_once(char::is_whitespace).unwrap_or((words.trim(), ""));
                found.push(Allowance {
                    rule: rule.to_owned(),
                    reason: reason.trim().to_owned(),
                    span: at..at + line.trim_end().len(),
                    next: 0,
                });
            } else if !trimmed.is_empty() && !trimmed.starts_with('#') {
                found.iter_mut().filter(|one| one.next == 0).for_each(|one| one.next = at.max(1));
            }
            at += line.len();
        }
        Self(found)
    }

    fn silences(&self, rule: &str, span: &Range<usize>, text: &str) -> bool {
        let line = text[..span.start.min(text.len())].rfind('\n').map_or(0, |at| at + 1);
        self.0
            .iter()
            .any(|one| one.rule == rule && !one.reason.is_empty() && (one.next == line.max(1) || rule == SYNTAX_DIRECTIVE))
    }

    /// Allowances that allow nothing.
    fn mistakes(&self) -> Vec<Finding> {
        let known = |one: &&Allowance| RULES.iter().any(|(name, _)| *name == one.rule);
        let nameless = self.0.iter().filter(|one| !known(one)).map(|one| Finding {
            rule: None,
            span: one.span.clone(),
            what: format!("`{}` is no rule", one.rule.escape_debug()),
            cure: format!("write one of {}", RULES.map(|(name, _)| name).join(", ")),
        });
        let reasonless = self.0.iter().filter(known).filter(|one| one.reason.is_empty()).map(|one| Finding {
            rule: None,
            span: one.span.clone(),
            what: format!("`# xtask: allow {}` gives no reason", one.rule),
            cure: "say why after the rule's name".to_owned(),
        });
        nameless.chain(reasonless).collect()
    }
}
