//! Where a stage runs, and whether it knows for which CPU it works.

use super::{PLATFORM_ARGS, Report};
use crate::model::{Model, Platform, Step, StepKind, variables};

pub(super) fn last_stage_on_build_platform(model: &Model, report: Report<'_>) {
    if let Some(last) = model.last().filter(|last| last.platform == Platform::Build) {
        report(
            &last.from_span,
            "the last stage is on `$BUILDPLATFORM`: the image gets the CPU of whatever machine builds it".to_owned(),
            "leave `--platform` out of the last FROM, or write `--platform=$TARGETPLATFORM`",
        );
    }
}

/// Of the last stage and those that it goes on from: a stage that is only copied from may cross-compile on one CPU.
pub(super) fn constant_platform(model: &Model, report: Report<'_>) {
    let Some(last) = model.stages.len().checked_sub(1) else {
        return;
    };
    for stage in model.lineage(last).map(|place| &model.stages[place]) {
        if let (Platform::Constant(platform), None) = (&stage.platform, stage.parent) {
            report(
                &stage.from_span,
                format!("`--platform={platform}` builds for this CPU whatever was asked for"),
                "leave `--platform` out, or write `$TARGETPLATFORM`",
            );
        }
    }
}

pub(super) fn undeclared_platform_arg(model: &Model, report: Report<'_>) {
    for (place, stage) in model.stages.iter().enumerate() {
        let inherited = model
            .lineage(place)
            .skip(1)
            .flat_map(|above| &model.stages[above].steps);
        let mut declared: Vec<&str> = inherited.flat_map(declares).collect();
        for step in &stage.steps {
            declared.extend(declares(step));
            let missing = PLATFORM_ARGS
                .into_iter()
                .find(|name| !declared.contains(name) && needs(step, name));
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

/// Whether an instruction needs a variable's value. One with a default does not, and a script may set it by itself.
fn needs(step: &Step, name: &str) -> bool {
    let asks =
        |text: &str| variables(text).any(|(found, has_default)| found == name && !has_default);
    match &step.kind {
        StepKind::Run(text) => {
            let sets = [
                format!("{name}="),
                format!("{name}:"),
                format!("for {name} "),
                "read ".into(),
                ". /".into(),
                "source ".into(),
            ];
            asks(&without_quoted(text)) && !sets.iter().any(|sign| text.contains(sign))
        }
        StepKind::Env(pairs) => pairs.iter().any(|(_, value)| asks(value)),
        StepKind::Copy { sources, .. } => sources.iter().any(|source| asks(source)),
        StepKind::Arg(_) | StepKind::Workdir(_) | StepKind::Other => false,
    }
}

/// The text without what stands in single quotes, where a shell replaces nothing.
fn without_quoted(text: &str) -> String {
    let mut kept = String::new();
    let (mut single, mut double) = (false, false);
    for c in text.chars() {
        match c {
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            // A quote that never ends is an apostrophe.
            '\n' => (single, double) = (false, false),
            _ => {}
        }
        if !single {
            kept.push(c);
        }
    }
    kept
}

fn declares(step: &Step) -> Vec<&str> {
    match &step.kind {
        StepKind::Arg(names) => names.iter().map(String::as_str).collect(),
        StepKind::Env(pairs) => pairs.iter().map(|(name, _)| name.as_str()).collect(),
        _ => Vec::new(),
    }
}
