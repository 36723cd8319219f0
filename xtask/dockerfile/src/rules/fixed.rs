//! A CPU that is written down where the target's should stand.

use image_arch::{Arch, SPELLINGS};

use super::{PLATFORM_ARGS, Report, asks, has_command, has_word, names_both};
use crate::model::{Model, Platform, Stage, Step, StepKind, uses};

/// The stages that have to work for any CPU, with their places.
fn for_any_cpu(model: &Model) -> impl Iterator<Item = &Stage> {
    let is_for_any = |place: usize| !model.is_one_of_a_family(place) && !names_both(model, place);
    model
        .stages
        .iter()
        .enumerate()
        .filter(move |(place, _)| is_for_any(*place))
        .map(|(_, stage)| stage)
}

pub(super) fn hard_coded_goarch(model: &Model, report: Report<'_>) {
    const CURE: &str = "declare `ARG TARGETARCH` in the stage, and write `GOARCH=$TARGETARCH`";
    let is_constant = |value: &str| {
        let value = value.trim_matches(['"', '\'']);
        value.parse::<Arch>().is_ok() || matches!(value, "386" | "arm")
    };
    for step in for_any_cpu(model).flat_map(|stage| &stage.steps) {
        match &step.kind {
            StepKind::Run(text) if !asks(text) => {
                let values = text
                    .split_whitespace()
                    .filter_map(|word| word.strip_prefix("GOARCH="))
                    .map(|value| value.trim_end_matches(';'));
                if let Some(value) = values.into_iter().find(|value| is_constant(value)) {
                    report(
                        &step.span,
                        format!("`GOARCH={value}` compiles for this CPU whatever was asked for"),
                        CURE,
                    );
                }
            }
            StepKind::Env(pairs) => {
                if let Some((_, value)) = pairs
                    .iter()
                    .find(|(name, value)| name == "GOARCH" && is_constant(value))
                {
                    report(
                        &step.span,
                        format!(
                            "`ENV GOARCH={value}` compiles for this CPU whatever was asked for"
                        ),
                        CURE,
                    );
                }
            }
            _ => {}
        }
    }
}

pub(super) fn hard_coded_target(model: &Model, report: Report<'_>) {
    let starts = ["x86_64-", "aarch64-"];
    let is_triple =
        |word: &str| starts.iter().any(|start| word.starts_with(start)) && word.contains("linux");
    for (step, text) in runs(model).filter(|(_, text)| !asks(text)) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let given = words
            .iter()
            .zip(words.iter().skip(1))
            .filter(|(flag, _)| **flag == "--target")
            .map(|(_, value)| *value);
        let joined = words
            .iter()
            .filter_map(|word| word.strip_prefix("--target="));
        if let Some(triple) = given.chain(joined).find(|word| is_triple(word)) {
            report(
                &step.span,
                format!("`--target {triple}` compiles for this CPU whatever was asked for"),
                "choose the target by `$TARGETARCH`: `case \"$TARGETARCH\" in amd64) … ;; arm64) … ;; esac`",
            );
        }
    }
}

pub(super) fn arch_in_url(model: &Model, report: Report<'_>) {
    // What a stage on the build's own CPU fetches may be its tools.
    let stages = for_any_cpu(model).filter(|stage| stage.platform != Platform::Build);
    for step in stages.flat_map(|stage| &stage.steps) {
        let words: Vec<&str> = match &step.kind {
            StepKind::Run(text) if !asks(text) && fetches(text) => {
                text.split_whitespace().collect()
            }
            StepKind::Copy {
                from: None,
                sources,
                ..
            } => sources.iter().map(String::as_str).collect(),
            _ => continue,
        };
        let fixed = words
            .into_iter()
            .filter(|word| !uses(word, &PLATFORM_ARGS))
            .filter_map(file_of_address);
        let found = fixed
            .into_iter()
            .find_map(|place| SPELLINGS.into_iter().find(|cpu| has_word(place, cpu)));
        if let Some(cpu) = found {
            report(
                &step.span,
                format!("an address with `{cpu}` fetches for this CPU whatever was asked for"),
                "put `$TARGETARCH` in its place, after `ARG TARGETARCH`, or choose with `case \"$TARGETARCH\" in …`",
            );
        }
    }
}

fn fetches(text: &str) -> bool {
    [
        "curl",
        "wget",
        "aria2c",
        "pip install",
        "npm install",
        "rpm ",
        "dnf install",
        "yum install",
    ]
    .iter()
    .any(|command| has_command(text, command))
}

/// The part of an address that names a file for a CPU. Owners and names of repositories are none, and neither are keys and
/// lists of checksums.
fn file_of_address(word: &str) -> Option<&str> {
    let (_, place) = word
        .split_once("https://")
        .or_else(|| word.split_once("http://"))?;
    let place = place.trim_end_matches(['"', '\'', ';', ')']);
    let is_text = [
        ".pub", ".asc", ".sig", ".txt", ".key", ".gpg", ".sha256", ".md",
    ]
    .iter()
    .any(|end| place.ends_with(end));
    let (host, path) = place.split_once('/')?;
    let forge = ["github.com", "gitlab.com", "codeberg.org", "bitbucket.org"].contains(&host);
    let path = if forge {
        path.splitn(3, '/').nth(2).unwrap_or_default()
    } else {
        path
    };
    (!is_text).then_some(path)
}

pub(super) fn arch_in_base_tag(model: &Model, report: Report<'_>) {
    let stages = model
        .stages
        .iter()
        .enumerate()
        .filter(|(place, _)| !model.is_one_of_a_family(*place));
    for stage in stages
        .map(|(_, stage)| stage)
        .filter(|stage| stage.parent.is_none() && stage.platform != Platform::Build)
    {
        if stage.image.starts_with("public.ecr.aws/lambda/") && uses(&stage.image, &["TARGETARCH"])
        {
            report(
                &stage.image_span,
                format!(
                    "`{}` has no tag for amd64: the suffix there is `x86_64`",
                    stage.image
                ),
                "use the tag without a suffix: it is for both CPUs",
            );
            continue;
        }
        let owners = ["amd64/", "arm64v8/", "arm32v7/", "i386/"];
        let name = stage.image.split('@').next().unwrap_or_default();
        // A registry's port comes before the last slash.
        let tag = name
            .rsplit('/')
            .next()
            .and_then(|last| last.split_once(':'))
            .map_or("", |(_, tag)| tag);
        let owner = owners
            .into_iter()
            .find(|owner| name.starts_with(owner))
            .map(|owner| owner.trim_end_matches('/'));
        let named: Vec<&str> = SPELLINGS
            .into_iter()
            .filter(|cpu| has_word(tag, cpu))
            .collect();
        // An emulator's image is named after the CPU that it runs on and the one that it emulates.
        let is_for_both = named
            .iter()
            .filter_map(|name| name.parse::<Arch>().ok())
            .any(|one| {
                named
                    .iter()
                    .filter_map(|name| name.parse::<Arch>().ok())
                    .any(|other| other != one)
            });
        let is_emulator = is_for_both || name.contains("qemu-user-static");
        if let Some(cpu) = owner
            .or_else(|| named.first().copied())
            .filter(|_| !is_emulator)
        {
            report(
                &stage.image_span,
                format!("the base image `{}` is for `{cpu}` alone", stage.image),
                "use the tag without a CPU in it, and let `--platform` choose",
            );
        }
    }
}

fn runs(model: &Model) -> impl Iterator<Item = (&Step, &str)> {
    for_any_cpu(model)
        .flat_map(|stage| &stage.steps)
        .filter_map(|step| match &step.kind {
            StepKind::Run(text) => Some((step, text.as_str())),
            _ => None,
        })
}
