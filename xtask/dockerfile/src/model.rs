//! A Dockerfile as the rules see it: stages with their platforms, instructions with their lines, and who copies from whom.
//!
//! `parse-dockerfile` reads continuation lines, heredocs and directives. It leaves variables as they are, so that a rule can
//! tell `$TARGETARCH` from what stands in its place.

use std::{collections::BTreeMap, ops::Range};

use image_arch::SPELLINGS;
use parse_dockerfile::{Command as Words, Flag, Instruction, RunInstruction, Source};

use crate::readable::readable;

/// What a stage's `FROM --platform` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platform {
    /// Nothing: the target's, as BuildKit does by itself.
    Unsaid,
    /// `$BUILDPLATFORM`: the CPU that the build runs on.
    Build,
    /// `$TARGETPLATFORM`.
    Target,
    /// A platform by its name.
    Constant(String),
    /// Some other variable.
    Variable,
}

/// One stage.
#[derive(Debug)]
pub struct Stage {
    /// Its name, in lower case, where it has one.
    pub name: Option<String>,
    /// The base image as it is written.
    pub image: String,
    /// Where the base image stands.
    pub image_span: Range<usize>,
    /// The stage that it goes on from.
    pub parent: Option<usize>,
    /// What it asks for, or its parent does.
    pub platform: Platform,
    /// Where that stands.
    pub from_span: Range<usize>,
    /// Its instructions, in order.
    pub steps: Vec<Step>,
}

/// An instruction, as far as rules need it.
#[derive(Debug)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// The stages whose files it needs: by `COPY --from`, or by a mount of a `RUN`.
    pub reads: Vec<usize>,
    /// Where it stands.
    pub span: Range<usize>,
}

/// What an instruction does.
#[derive(Debug)]
pub enum StepKind {
    /// `RUN`, with its heredocs.
    Run(String),
    /// `COPY` or `ADD`: from where, and what.
    Copy {
        /// The stage, where it is one.
        from: Option<usize>,
        /// What is copied.
        sources: Vec<String>,
        /// Whether a variable says which stage.
        is_chosen: bool,
        /// Whether it copies from the build context, and not from a stage, an image or a named context.
        from_context: bool,
    },
    /// `ARG NAME` or `ARG NAME=value`, name by name.
    Arg(Vec<String>),
    /// `ENV`, name by name.
    Env(Vec<(String, String)>),
    /// `WORKDIR`.
    Workdir(String),
    /// Anything else.
    Other,
}

/// A Dockerfile that could be read.
#[derive(Debug)]
pub struct Model {
    /// Its stages, first to last.
    pub stages: Vec<Stage>,
    /// `ARG`s before the first `FROM`, with their defaults.
    pub globals: BTreeMap<String, Option<String>>,
    /// `# syntax=`, with its place.
    pub syntax: Option<(String, Range<usize>)>,
}

impl Model {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    /// What BuildKit would not read either, in words and with its place.
    pub fn parse(text: &str) -> Result<Self, (String, usize)> {
        let text = &*readable(text);
        let file =
            parse_dockerfile::parse(text).map_err(|error| (error.to_string(), error.line()))?;
        let globals: BTreeMap<_, _> = file
            .global_args()
            .flat_map(|arg| split_args(&arg.arguments.value))
            .collect();
        let mut stages: Vec<Stage> = Vec::new();
        for stage in file.stages() {
            let next = read_stage(&stage, &stages, &globals);
            stages.push(next);
        }
        let syntax = file.parser_directives.syntax.as_ref();
        Ok(Self {
            stages,
            globals,
            syntax: syntax.map(|found| (found.value.value.to_owned(), found.span())),
        })
    }

    /// The stage that becomes the image, and the stages that it goes on from.
    pub fn last(&self) -> Option<&Stage> {
        self.stages.last()
    }

    /// A stage and those that it goes on from, itself first.
    pub fn lineage(&self, stage: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(stage), |place| {
            self.stages.get(*place).and_then(|stage| stage.parent)
        })
    }

    /// The base image that a stage (or the last) stands on in the end, with build arguments in place of variables. `None` for
    /// `scratch`, and where a `--platform` or an unknown variable makes it another than the one that was asked for.
    pub fn base(&self, stage: Option<&str>, given: &BTreeMap<String, String>) -> Option<String> {
        let mut place = match stage {
            Some(name) => self.place(name)?,
            None => self.stages.len().checked_sub(1)?,
        };
        loop {
            let stage = self.stages.get(place)?;
            let is_targets = matches!(stage.platform, Platform::Unsaid | Platform::Target);
            let image = self.expand(&stage.image, given).filter(|_| is_targets)?;
            // `FROM base-$TARGETARCH` names an earlier stage once the variable has its value.
            match self.stages[..place]
                .iter()
                .position(|stage| stage.name.as_deref() == Some(&image.to_lowercase()))
            {
                Some(earlier) => place = earlier,
                None => return (image != "scratch").then_some(image),
            }
        }
    }

    /// The paths that are copied from the build context, as they are written; those with variables and addresses are left out.
    pub fn context_sources(&self) -> impl Iterator<Item = &str> {
        let steps = self.stages.iter().flat_map(|stage| &stage.steps);
        let sources = steps.filter_map(|step| match &step.kind {
            StepKind::Copy {
                sources,
                from_context: true,
                ..
            } => Some(sources),
            _ => None,
        });
        let is_path = |source: &&String| !source.contains(['$', '<']) && !source.contains("://");
        sources.flatten().filter(is_path).map(String::as_str)
    }

    /// The place of a stage by its name or number.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        let named = self
            .stages
            .iter()
            .position(|stage| stage.name.as_deref() == Some(&name.to_lowercase()));
        named.or_else(|| name.parse().ok().filter(|place| *place < self.stages.len()))
    }

    /// The names of the stages, in the file's order.
    pub fn stage_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.stages.iter().filter_map(|stage| stage.name.as_deref())
    }

    /// Whether there is a stage of this name or number.
    pub fn has_stage(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// A base image with build arguments in place of variables: those given, then the file's own defaults. `None` where a
    /// variable has no value.
    pub fn expand(&self, image: &str, given: &BTreeMap<String, String>) -> Option<String> {
        expand(image, given, &self.globals)
    }

    /// Whether a stage is one of several of which the build takes one by a variable (`FROM base-$TARGETARCH`), or serves only
    /// such stages: a CPU in it is then no mistake.
    pub fn is_one_of_a_family(&self, place: usize) -> bool {
        let is_dynamic = self.stages.iter().any(|stage| {
            let chooses = stage.steps.iter().any(|step| {
                matches!(
                    step.kind,
                    StepKind::Copy {
                        is_chosen: true,
                        ..
                    }
                )
            });
            stage.image.contains('$') && stage.parent.is_none() || chooses
        });
        is_dynamic && self.serves_one_cpu(place, self.stages.len())
    }

    fn serves_one_cpu(&self, place: usize, depth: usize) -> bool {
        let names_cpu = |stage: &Stage| {
            let name = stage.name.as_deref().unwrap_or_default();
            let is_word = |cpu: &str| {
                name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .any(|part| part == cpu)
            };
            SPELLINGS
                .into_iter()
                .chain(["386", "arm", "armv7", "ppc64le", "s390x", "riscv64"])
                .any(is_word)
        };
        if names_cpu(&self.stages[place]) {
            return true;
        }
        let copies = |stage: &Stage| {
            stage.steps.iter().any(|step| matches!(step.kind, StepKind::Copy { from: Some(from), .. } if from == place))
        };
        let mut users = (0..self.stages.len())
            .filter(|user| self.stages[*user].parent == Some(place) || copies(&self.stages[*user]))
            .peekable();
        depth > 0
            && users.peek().is_some()
            && users.all(|user| user > place && self.serves_one_cpu(user, depth - 1))
    }
}

/// Fills variables in.
fn expand(
    image: &str,
    given: &BTreeMap<String, String>,
    globals: &BTreeMap<String, Option<String>>,
) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = image;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, default, after) = variable(rest)?;
        let value = given
            .get(name)
            .cloned()
            .or_else(|| globals.get(name).cloned().flatten())
            .filter(|value| !value.is_empty());
        expanded.push_str(&match (value, default) {
            (Some(_), Some(Default::WhenSet(word))) | (None, Some(Default::WhenUnset(word))) => {
                word.to_owned()
            }
            (None, Some(Default::WhenSet(_))) => String::new(),
            (Some(value), _) => value,
            (None, None) => return None,
        });
        rest = after;
    }
    Some(expanded + rest)
}

/// What `${NAME:-word}` and `${NAME:+word}` put in a variable's place.
#[derive(Debug, Clone, Copy)]
enum Default<'t> {
    WhenUnset(&'t str),
    WhenSet(&'t str),
}

/// A variable after its `$`: its name, its default, and what comes after it.
fn variable(text: &str) -> Option<(&str, Option<Default<'_>>, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let Some(braced) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
        return (end > 0).then(|| (&text[..end], None, &text[end..]));
    };
    let (inner, after) = braced.split_once('}')?;
    let (name, rest) = inner.split_at(inner.find(|c: char| !is_name(c)).unwrap_or(inner.len()));
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let default = match rest.chars().next() {
        Some('-') => Some(Default::WhenUnset(&rest[1..])),
        Some('+') => Some(Default::WhenSet(&rest[1..])),
        _ => None,
    };
    Some((name, default, after))
}

/// The variables of a text, each with whether it has a default. `\$NAME` is none.
pub(crate) fn variables(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let places = text
        .match_indices('$')
        .filter(|(at, _)| !text[..*at].ends_with('\\'));
    places
        .filter_map(|(at, _)| variable(&text[at + 1..]))
        .map(|(name, default, _)| (name, default.is_some()))
}

/// Whether a text uses one of these variables.
pub(crate) fn uses(text: &str, names: &[&str]) -> bool {
    variables(text).any(|(name, _)| names.contains(&name))
}

fn read_stage(
    stage: &parse_dockerfile::Stage<'_, '_>,
    before: &[Stage],
    globals: &BTreeMap<String, Option<String>>,
) -> Stage {
    let from = stage.from;
    let image = from.image.value.to_string();
    let named = |name: &str| {
        before
            .iter()
            .position(|stage| stage.name.as_deref() == Some(&name.to_lowercase()))
    };
    let parent = named(&image).or_else(|| named(&expand(&image, &BTreeMap::new(), globals)?));
    let said =
        flag(&from.options, "platform").map(|value| value.trim_matches(['"', '\'']).to_owned());
    let platform = match said {
        None => parent.map_or(Platform::Unsaid, |parent| before[parent].platform.clone()),
        Some(value) => match variable(value.trim_start_matches('$'))
            .map(|(name, ..)| name)
            .filter(|_| value.starts_with('$'))
        {
            Some("BUILDPLATFORM") => Platform::Build,
            Some("TARGETPLATFORM") => Platform::Target,
            Some(_) => Platform::Variable,
            None if value.contains('$') => Platform::Variable,
            // A constant names an operating system and a CPU; `windows/amd64`, `wasi/wasm` and `linux` alone are no CPU of ours.
            None if !value.trim_matches('"').starts_with("linux/") => Platform::Unsaid,
            None => Platform::Constant(value.clone()),
        },
    };
    let place = |name: &str| {
        name.parse()
            .ok()
            .filter(|place| *place < before.len())
            .or_else(|| named(name))
    };
    Stage {
        name: from.as_.as_ref().map(|(_, name)| name.value.to_lowercase()),
        image_span: from.image.span.clone(),
        image,
        parent,
        platform,
        from_span: from.from.span.start..from.image.span.end,
        steps: stage
            .instructions
            .iter()
            .filter_map(|instruction| read_step(instruction, &place))
            .collect(),
    }
}

fn read_step(instruction: &Instruction<'_>, place: &dyn Fn(&str) -> Option<usize>) -> Option<Step> {
    let mut reads = Vec::new();
    let (kind, span) = match instruction {
        Instruction::Run(run) => {
            reads.extend(mounted(&run.options).filter_map(|name| place(&name)));
            (StepKind::Run(commands(run)), run.run.span.clone())
        }
        Instruction::Copy(copy) => {
            let said = flag(&copy.options, "from");
            let is_chosen = said.as_ref().is_some_and(|name| name.contains('$'));
            let from_context = said.is_none();
            let from = said.and_then(|name| place(&name));
            reads.extend(from);
            (
                StepKind::Copy {
                    from,
                    sources: sources(&copy.src),
                    is_chosen,
                    from_context,
                },
                copy.copy.span.clone(),
            )
        }
        Instruction::Add(add) => (
            StepKind::Copy {
                from: None,
                sources: sources(&add.src),
                is_chosen: false,
                from_context: true,
            },
            add.add.span.clone(),
        ),
        Instruction::Arg(arg) => {
            let names = split_args(&arg.arguments.value)
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            (StepKind::Arg(names), arg.arg.span.clone())
        }
        Instruction::Env(env) => (
            StepKind::Env(pairs(&env.arguments.value)),
            env.env.span.clone(),
        ),
        Instruction::Workdir(workdir) => (
            StepKind::Workdir(workdir.arguments.value.to_string()),
            workdir.workdir.span.clone(),
        ),
        Instruction::From(_) => return None,
        _ => {
            return Some(Step {
                kind: StepKind::Other,
                reads,
                span: 0..0,
            });
        }
    };
    Some(Step { kind, reads, span })
}

/// What a `RUN` executes, without comments.
fn commands(run: &RunInstruction<'_>) -> String {
    let text = match &run.arguments {
        Words::Shell(shell) => shell.value.to_owned(),
        Words::Exec(words) => words
            .value
            .iter()
            .map(|word| word.value.as_ref())
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    };
    let is_code = |line: &&str| !line.trim_start().starts_with('#');
    let text = text.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let heredocs = run.here_docs.iter().map(|heredoc| heredoc.value.as_ref());
    std::iter::once(text.as_str())
        .chain(heredocs)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The stages and images that a `RUN` mounts.
fn mounted<'a>(flags: &'a [Flag<'_>]) -> impl Iterator<Item = String> + 'a {
    let mounts = flags.iter().filter(|flag| flag.name.value == "mount");
    let values = mounts.filter_map(|flag| flag.value.as_ref());
    values.flat_map(|value| {
        let fields = value
            .value
            .split(',')
            .filter_map(|field| field.trim().strip_prefix("from="));
        fields.map(str::to_owned).collect::<Vec<_>>()
    })
}

fn flag(flags: &[Flag<'_>], name: &str) -> Option<String> {
    let found = flags.iter().find(|flag| flag.name.value == name)?;
    found.value.as_ref().map(|value| value.value.to_string())
}

fn sources(sources: &[Source<'_>]) -> Vec<String> {
    let path = |source: &Source<'_>| match source {
        Source::Path(path) => Some(path.value.to_string()),
        _ => None,
    };
    sources.iter().filter_map(path).collect()
}

/// `A B=1 "C=x y"`: several names in one `ARG`, some with defaults.
fn split_args(text: &str) -> Vec<(String, Option<String>)> {
    let words =
        shlex::split(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect());
    let split = |word: &String| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.clone(), None),
    };
    words
        .iter()
        .filter(|word| *word != "\\")
        .map(split)
        .collect()
}

/// `A=1 B="x y"`, and the old form `A x y`.
fn pairs(text: &str) -> Vec<(String, String)> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let value = text.trim_start().strip_prefix(first).unwrap_or_default();
        return vec![(first.to_owned(), value.trim().to_owned())];
    }
    let words =
        shlex::split(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect());
    words
        .iter()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
