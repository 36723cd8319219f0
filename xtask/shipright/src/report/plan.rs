//! A plan as people read it: `--dry-run` prints this and stops.

use std::fmt;

use crate::{
    model::{builder::Builder, cache::Cache, config::SecretSource},
    plan::{Build, Plan, PlannedImage, Source, TagAction, attest, bake, command},
    report::terminal::printable,
};

/// A plan for people.
pub struct Shown<'p>(pub &'p Plan);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            let stand_in = place
                .endpoint
                .as_ref()
                .map_or_else(String::new, |endpoint| format!(", at {endpoint}"));
            writeln!(
                f,
                "environment  {}: account {}, {}{stand_in}",
                place.environment, place.account, place.region
            )?;
            let kind = match &place.ecr {
                Some(ecr) if ecr.account == place.account && ecr.region == place.region => {
                    String::new()
                }
                Some(ecr) => format!(": ECR of account {}, {}", ecr.account, ecr.region),
                None => ", which is not ECR: it makes repositories itself, and lets any tag move"
                    .to_owned(),
            };
            writeln!(f, "registry     {}{kind}", place.registry)?;
            for other in &self.0.other_places {
                writeln!(f, "and in       {}: {}", other.region, other.registry)?;
            }
        }
        if let Some(revision) = &self.0.revision {
            let dirty = if revision.dirty { ", dirty" } else { "" };
            let branch = revision.branch.as_deref().unwrap_or("no branch");
            writeln!(
                f,
                "revision     {}, {}{dirty}",
                revision.commit,
                printable(branch)
            )?;
        }
        let calls = bake::together(&self.0.images);
        for (place, image) in self.0.images.iter().enumerate() {
            let call = calls.iter().find(|call| call.contains(&place));
            let others = call.into_iter().flatten().filter(|other| **other != place);
            let others = others.filter_map(|other| Some(self.0.images.get(*other)?.name.as_str()));
            writeln!(f)?;
            show_image(f, image, &others.collect::<Vec<_>>())?;
        }
        for index in &self.0.indexes {
            writeln!(
                f,
                "\nindex {}: {} images in {}",
                index.name,
                index.images.len(),
                index.repository
            )?;
            for tag in &index.tags {
                writeln!(f, "    tag          {}", tag.name)?;
            }
        }
        if let Some(gate) = &self.0.scan {
            writeln!(f, "\n{}", gate.words())?;
        }
        if let Some(asked) = &self.0.attest {
            writeln!(f, "\n{}", attest::words(asked))?;
        }
        for note in &self.0.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        writeln!(f, "\ncommands")?;
        let lines = command::script(self.0);
        if lines.is_empty() {
            writeln!(f, "    none: everything is as it should be")?;
        }
        lines
            .iter()
            .try_for_each(|line| writeln!(f, "    {}", printable(line)))
    }
}

fn show_image(f: &mut fmt::Formatter<'_>, image: &PlannedImage, together: &[&str]) -> fmt::Result {
    let target = image.target.map_or_else(
        || "no target".to_owned(),
        |target| target.title().to_owned(),
    );
    writeln!(
        f,
        "image {}: {} for {target}",
        image.name,
        image.arch.platform()
    )?;
    writeln!(f, "    because      {}", image.because)?;
    match &image.source {
        Source::Build(build) => show_build(f, build, together)?,
        Source::Existing { digest } => writeln!(
            f,
            "    no build     the registry has this revision: {digest}"
        )?,
    }
    if let Some(function) = &image.function {
        writeln!(
            f,
            "    now          {}; a push does not change that",
            function.describe()
        )?;
    }
    let Some(publication) = &image.publication else {
        return Ok(());
    };
    writeln!(f, "    repository   {}", publication.repository)?;
    for tag in &publication.tags {
        let action = match tag.action {
            TagAction::Write => "tag          ",
            TagAction::Present => "has tag      ",
            TagAction::Kept => "leaves tag   ",
        };
        writeln!(f, "    {action}{}", tag.name)?;
    }
    Ok(())
}

fn show_build(f: &mut fmt::Formatter<'_>, build: &Build, together: &[&str]) -> fmt::Result {
    let file = build
        .dockerfile
        .file_name()
        .map_or_else(String::new, |name| printable(&name.to_string_lossy()));
    let call = match together {
        [] => String::new(),
        others => format!(", in one call with {}", others.join(", ")),
    };
    writeln!(f, "    build        {file}{call}")?;
    let mode = build
        .mode
        .map_or_else(String::new, |mode| format!(", {}", mode.words()));
    if build.builder.is_some() || build.mode.is_some() {
        writeln!(
            f,
            "    builder      {}{mode}",
            printable(&Builder::shown(build.builder.as_ref()))
        )?;
    }
    if let Some(export) = build.export {
        writeln!(f, "    leaves       {}", export.words())?;
    }
    show_inputs(f, build)?;
    match &build.cache {
        Some(Cache::Registry { reference }) => writeln!(f, "    cache        {reference}"),
        Some(Cache::GitHub { scope }) => writeln!(f, "    cache        GitHub's, {scope}"),
        None => Ok(()),
    }
}

/// What a build reads besides its Dockerfile and its main context.
fn show_inputs(f: &mut fmt::Formatter<'_>, build: &Build) -> fmt::Result {
    if let Some(stage) = &build.stage {
        writeln!(f, "    stage        {}", printable(stage))?;
    }
    for (name, context) in &build.contexts {
        writeln!(
            f,
            "    context      {} is {}",
            printable(name),
            printable(&context.to_string())
        )?;
    }
    for secret in &build.secrets {
        let place = match &secret.source {
            SecretSource::File(file) => format!("from {file}"),
            SecretSource::Env(variable) => format!("from the variable {variable}"),
        };
        writeln!(
            f,
            "    secret       {} {}",
            printable(&secret.id),
            printable(&place)
        )?;
    }
    if !build.ssh.is_empty() {
        writeln!(f, "    ssh          {}", printable(&build.ssh.join(", ")))?;
    }
    if let Some(network) = build.network {
        writeln!(f, "    network      {}", network.name())?;
    }
    Ok(())
}
