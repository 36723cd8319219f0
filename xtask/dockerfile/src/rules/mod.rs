//! The rules. Each is a name and a function from a [`Model`] to problems: a new rule is a new line in [`RULES`].
//!
//! A false alarm is worse than a miss: people learn to look away, and the proof finds what a rule has missed. So a rule keeps
//! quiet where an instruction asks in any way which CPU it is on, and where a stage is one of a family of which the build
//! chooses by the CPU (`FROM base-$TARGETARCH`).

mod allow;
mod fixed;
mod packages;
mod platform;
mod secret;

use std::ops::Range;

use allow::Allowances;
use image_arch::{Arch, SPELLINGS};

use crate::{
    Finding,
    dialect::Dialect,
    model::{Model, StepKind, uses},
};

/// Where a rule says what it has found: its place, what is wrong, and what to write instead.
type Report<'r> = &'r mut dyn FnMut(&Range<usize>, String, &str);

/// A rule.
struct Rule {
    /// What `# xtask: allow NAME reason` silences it by.
    name: &'static str,
    check: fn(&Model, Report<'_>),
    /// Whether it tells what is worth knowing and may well be right.
    is_note: bool,
}

const fn rule(name: &'static str, check: fn(&Model, Report<'_>)) -> Rule {
    Rule {
        name,
        check,
        is_note: false,
    }
}

const fn note(name: &'static str, check: fn(&Model, Report<'_>)) -> Rule {
    Rule {
        name,
        check,
        is_note: true,
    }
}

/// Every rule.
const RULES: [Rule; 12] = [
    rule(
        "last-stage-on-build-platform",
        platform::last_stage_on_build_platform,
    ),
    rule("constant-platform", platform::constant_platform),
    rule("undeclared-platform-arg", platform::undeclared_platform_arg),
    rule(
        "packages-for-build-platform",
        packages::packages_for_build_platform,
    ),
    // The same of npm is a note: most of its packages have no machine code, and a third of the others carry all CPUs.
    note(
        "packages-for-build-platform",
        packages::node_packages_for_build_platform,
    ),
    rule(
        "program-for-build-platform",
        packages::program_for_build_platform,
    ),
    rule("hard-coded-goarch", fixed::hard_coded_goarch),
    rule("hard-coded-target", fixed::hard_coded_target),
    rule("arch-in-url", fixed::arch_in_url),
    rule("arch-in-base-tag", fixed::arch_in_base_tag),
    rule("secret-in-arg", secret::secret_in_arg),
    note(SYNTAX_DIRECTIVE, syntax_directive),
];

/// The one rule about the whole file: it can be silenced anywhere.
const SYNTAX_DIRECTIVE: &str = "syntax-directive";

/// Signs that an instruction asks which CPU it is on.
const ASKS: [&str; 20] = [
    "uname",
    "dpkg --print-architecture",
    "apk --print-arch",
    "/etc/apk/arch",
    "$(arch)",
    "`arch`",
    "rpm --eval",
    "rpm -E",
    "case ",
    "platform.machine",
    "go env",
    "xx-",
    "-dumpmachine",
    "HOSTTYPE",
    "MACHTYPE",
    "BUILD_ARCH",
    "$ARCH",
    "${ARCH",
    "$arch",
    "${arch",
];

/// BuildKit's own variables. Source: its Dockerfile reference, "Automatic platform ARGs in the global scope".
const PLATFORM_ARGS: [&str; 8] = [
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
];

/// Everything that the rules find in a Dockerfile, in its order.
pub fn check(text: &str) -> Vec<Finding> {
    if let Some((dialect, span)) = Dialect::of(text) {
        let (what, cure) = dialect.note();
        let (what, cure) = (what.to_owned(), cure.to_owned());
        return vec![Finding {
            rule: None,
            span,
            what,
            cure,
            is_note: true,
        }];
    }
    let model = match Model::parse(text) {
        Ok(model) => model,
        Err((message, line)) => {
            let start = text
                .split_inclusive('\n')
                .take(line.saturating_sub(1))
                .map(str::len)
                .sum();
            return vec![Finding {
                rule: None,
                span: start..start,
                what: format!("the rules cannot read this: {message}"),
                cure: "correct the Dockerfile at this place; if Docker takes it as it is, nothing was looked at here".to_owned(),
                is_note: true,
            }];
        }
    };
    let allowed = Allowances::of(text);
    let mut problems = allowed.mistakes();
    for Rule {
        name,
        check,
        is_note,
    } in RULES
    {
        let mut report = |span: &Range<usize>, what: String, cure: &str| {
            if !allowed.silences(name, span, text) {
                problems.push(Finding {
                    rule: Some(name),
                    span: span.clone(),
                    what,
                    cure: cure.to_owned(),
                    is_note,
                });
            }
        };
        check(&model, &mut report);
    }
    problems.sort_by_key(|problem| problem.span.start);
    problems
}

fn syntax_directive(model: &Model, report: Report<'_>) {
    if let Some((frontend, span)) = &model.syntax {
        report(
            span,
            format!(
                "`# syntax={frontend}` makes BuildKit pull a frontend image before it reads the file"
            ),
            "remove the line unless a feature needs it: it fails where Docker Hub cannot be reached",
        );
    }
}

/// Whether an instruction asks which CPU it is on.
fn asks(text: &str) -> bool {
    uses(text, &PLATFORM_ARGS) || ASKS.iter().any(|sign| text.contains(sign))
}

/// Whether the instructions of a stage name both CPUs: then they choose, or make both.
fn names_both(model: &Model, place: usize) -> bool {
    let texts = || {
        model.stages[place]
            .steps
            .iter()
            .filter_map(|step| match &step.kind {
                StepKind::Run(text) => Some(text.as_str()),
                _ => None,
            })
    };
    let names = |arch: Arch| {
        let mut words = SPELLINGS
            .into_iter()
            .filter(|word| word.parse() == Ok(arch));
        words.any(|word| texts().any(|text| text.contains(word)))
    };
    Arch::ALL.into_iter().all(names)
}

/// Whether a word stands in a text, not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        !is_inside(text[..at].chars().next_back())
            && !is_inside(text[at + word.len()..].chars().next())
    })
}

/// Whether a command stands in a text: `apk add`, but not `xx-apk add`.
fn has_command(text: &str, command: &str) -> bool {
    let is_part =
        |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    text.match_indices(command)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()))
}
