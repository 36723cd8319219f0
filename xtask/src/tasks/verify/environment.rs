//! `verify ecr` and `verify lambda`: what an environment's tags name, and what its functions run.

use std::process::ExitCode;

use anyhow::Result;
use image_proof::Manifest as Parsed;
use serde::Serialize;

use super::super::{Context, reach::Reached};
use crate::{
    arch::Arch,
    cli::VerifyEnvironment,
    facts::{host, published::Manifest},
    policy::{
        age,
        plan::{self, Selected, label},
        target::Target,
    },
    proof::{self, Kept, Proof, Remote},
    registry::{CONFIG_LIMIT, Registry},
    report::document,
};

/// One image of an environment, as its tag names it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct TagReport {
    image: String,
    repository: String,
    tag: String,
    arch: Arch,
    digest: Option<String>,
    media_type: Option<String>,
    revision: Option<String>,
    created: Option<String>,
    /// How long ago that was, in words.
    age: Option<String>,
    proof: Option<Proof>,
    mismatches: Vec<String>,
}

/// One function of an environment.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FunctionReport {
    image: String,
    function: String,
    exists: bool,
    runs: Option<String>,
    runs_arch: Option<Arch>,
    tag_digest: Option<String>,
    arch: Arch,
    mismatches: Vec<String>,
}

/// Reads what the environment's `latest` tags name: a single image for the right CPU, proven from its bytes.
pub fn ecr(context: &Context, arguments: &VerifyEnvironment) -> Result<ExitCode> {
    let reached = Reached::open(context, &arguments.environment)?;
    let registry = reached.registry()?;
    let kept = Kept::below(&host::target_folder(&reached.config.root));
    let mut reports = Vec::new();
    for selected in reached.selected(&arguments.service)? {
        let report = tag_report(&reached, selected, &registry, &kept)?;
        show(context, &report.image, &report.mismatches, &describe(&report));
        reports.push(report);
    }
    let is_fine = reports.iter().all(|report| report.mismatches.is_empty());
    Ok(finish(context, &reports, is_fine))
}

fn tag_report(reached: &Reached, selected: Selected<'_>, registry: &Registry, kept: &Kept) -> Result<TagReport> {
    let arch = reached.config.arch(selected.image.target);
    let (repository, tag) = (reached.repository(selected), reached.tag(selected));
    let mut report = TagReport {
        image: selected.name(),
        repository: repository.clone(),
        tag: tag.clone(),
        arch,
        digest: None,
        media_type: None,
        revision: None,
        created: None,
        age: None,
        proof: None,
        mismatches: Vec::new(),
    };
    if reached.aws.reader().repository(&repository)?.is_none() {
        return Ok(report);
    }
    let found = reached.aws.reader().manifests(&repository, std::slice::from_ref(&tag))?.remove(&tag);
    let Some(manifest) = found else { return Ok(report) };
    report.digest = Some(manifest.digest.clone());
    report.media_type = Some(manifest.media_type.clone());
    if !manifest.is_single() && selected.image.target != Target::Lambda {
        list_report(&mut report, selected, &manifest, registry, kept)?;
        return Ok(report);
    }
    if !manifest.is_single() {
        let refused = if selected.image.target == Target::Lambda { ", which Lambda refuses" } else { "" };
        report.mismatches.push(format!("`{tag}` names a list of images (`{}`){refused}", manifest.media_type));
        return Ok(report);
    }
    let (config, _) = manifest.config()?;
    let found = manifest.describe(&registry.blob(&repository, &config, CONFIG_LIMIT)?)?;
    report.revision = found.labels.get(label::REVISION).cloned();
    report.created = found.labels.get(label::CREATED).cloned();
    report.age = report.created.as_deref().and_then(|created| age::of(created, host::now()));
    let mut remote = Remote { registry, repository, reference: manifest.digest.clone(), kept: kept.clone() };
    let proof = proof::prove(&mut remote, Some(arch), &proof::allowed(&selected.image.foreign))?;
    report.mismatches.extend(proof.verdict.findings.iter().take(proof::SHOWN).map(ToString::to_string));
    report.proof = Some(proof);
    Ok(report)
}

/// A list: each of its images has to be what the list says, and one of them for the target's CPU.
fn list_report(report: &mut TagReport, selected: Selected<'_>, list: &Manifest, registry: &Registry, kept: &Kept) -> Result<()> {
    let parsed = Parsed::parse(list.bytes.as_bytes())?;
    let mut archs = Vec::new();
    for child in &parsed.manifests {
        let platform = child.platform.as_ref().filter(|platform| platform.os == "linux");
        let Some(arch) = platform.and_then(|platform| platform.architecture.parse::<Arch>().ok()) else { continue };
        let (repository, reference) = (report.repository.clone(), child.digest.clone());
        let mut remote = Remote { registry, repository, reference, kept: kept.clone() };
        let proof = proof::prove(&mut remote, Some(arch), &proof::allowed(&selected.image.foreign))?;
        report
            .mismatches
            .extend(proof.verdict.findings.iter().take(proof::SHOWN).map(|finding| format!("its image for {arch}: {finding}")));
        if arch == report.arch {
            report.proof = Some(proof);
        }
        archs.push(arch);
    }
    if !archs.contains(&report.arch) {
        let names: Vec<_> = archs.iter().map(ToString::to_string).collect();
        let tag = &report.tag;
        report.mismatches.push(format!("`{tag}` lists images for {}, and none for {}", names.join(", "), report.arch));
    }
    Ok(())
}

fn describe(report: &TagReport) -> String {
    let (Some(digest), Some(proof)) = (&report.digest, &report.proof) else {
        return format!("{}:{} is not there", report.repository, report.tag);
    };
    let revision = report.revision.as_deref().unwrap_or("no revision");
    let created = match (&report.created, &report.age) {
        (Some(created), Some(age)) => format!("{created} ({age} ago)"),
        _ => "no date".to_owned(),
    };
    format!(
        "{}:{} is {digest}, {}, {revision} of {created}; {}",
        report.repository,
        report.tag,
        proof.platform,
        proof.verdict.summary()
    )
}

/// Compares the environment's functions with its tags and with the policy.
pub fn lambda(context: &Context, arguments: &VerifyEnvironment) -> Result<ExitCode> {
    let reached = Reached::open(context, &arguments.environment)?;
    let mut reports = Vec::new();
    for selected in reached.selected(&arguments.service)? {
        let Some(name) = plan::function_name(&reached.config, &reached.environment, selected) else { continue };
        let report = function_report(&reached, selected, &name)?;
        let runs = report.runs.as_deref().unwrap_or("an image that AWS does not name");
        let arch = report.runs_arch.map_or_else(|| "an architecture that AWS does not name".to_owned(), |arch| arch.to_string());
        let text = if report.exists { format!("{name} runs {runs} on {arch}") } else { format!("{name} does not exist") };
        show(context, &report.image, &report.mismatches, &text);
        reports.push(report);
    }
    let is_fine = reports.iter().all(|report| report.mismatches.is_empty());
    Ok(finish(context, &reports, is_fine))
}

fn function_report(reached: &Reached, selected: Selected<'_>, name: &str) -> Result<FunctionReport> {
    let reader = reached.aws.reader();
    let (repository, tag) = (reached.repository(selected), reached.tag(selected));
    let function = reader.function(name)?;
    let arch = reached.config.arch(selected.image.target);
    let tagged = match reader.repository(&repository)? {
        Some(_) => reader.manifests(&repository, std::slice::from_ref(&tag))?.remove(&tag).map(|manifest| manifest.digest),
        None => None,
    };
    let mut mismatches = Vec::new();
    if let Some(runs) = function.arch.filter(|runs| *runs != arch) {
        mismatches.push(format!("the function is {runs}, and the policy is {arch}"));
    }
    if let (Some(runs), Some(tagged)) = (&function.digest, &tagged)
        && runs != tagged
    {
        mismatches.push(format!("the function runs {runs}, and `{tag}` is {tagged}"));
    }
    Ok(FunctionReport {
        image: selected.name(),
        function: name.to_owned(),
        exists: function.exists,
        runs: function.digest,
        runs_arch: function.arch,
        tag_digest: tagged,
        arch,
        mismatches,
    })
}

fn show(context: &Context, image: &str, mismatches: &[String], text: &str) {
    context.terminal.status("Looked at", &format!("{image}: {text}"));
    for mismatch in mismatches {
        context.terminal.error(format!("{image}: {mismatch}"));
    }
}

fn finish<T: Serialize>(context: &Context, reports: &[T], is_fine: bool) -> ExitCode {
    if context.global.json {
        document::print(&reports);
    }
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
