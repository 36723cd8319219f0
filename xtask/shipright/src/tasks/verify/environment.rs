//! `verify ecr` and `verify lambda`: what an environment's tags name, and what its functions run.

use std::process::ExitCode;

use anyhow::Result;
use image_oci::{Manifest, Platform};
use serde::Serialize;

use crate::{
    arch::Arch,
    cli::VerifyEnvironment,
    context::Context,
    facts::host,
    index_check::problems,
    model::{label, published::Found, target::IndexUse},
    plan::{self, Selected, age},
    proof::{Proof, Prover, SHOWN},
    registry::{NoAnswer, Registry},
    report::document,
    session::Session,
    tasks::exit_code,
    workspace::Workspace,
};

/// One image of an environment, as its tag names it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct TagReport {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    repository: String,
    tag: String,
    arch: Arch,
    digest: Option<String>,
    media_type: Option<String>,
    revision: Option<String>,
    created: Option<String>,
    /// How long ago that was, in words.
    age: Option<String>,
    /// The platforms of the images that were proven.
    platforms: Vec<String>,
    /// Of an index, that of the image for `arch`.
    proof: Option<Proof>,
    mismatches: Vec<String>,
}

/// One function of an environment.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FunctionReport {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    function: String,
    exists: bool,
    runs: Option<String>,
    runs_arch: Option<Arch>,
    tag_digest: Option<String>,
    arch: Arch,
    mismatches: Vec<String>,
}

/// Reads what the environment's `latest` tags name: a single image for the right CPU, proven from its bytes.
pub(super) fn ecr(context: &Context, arguments: &VerifyEnvironment) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let prover = Prover::of_project(&workspace.config.root);
    let mut reports = Vec::new();
    for session in Session::open_all(&workspace, &arguments.environment)? {
        let registry = session.registry()?;
        for selected in session.selected(&arguments.service)? {
            let report = tag_report(&session, selected, &registry, &prover)?;
            let text = describe(&report);
            show(
                context,
                &named(&report.image, report.region.as_ref()),
                &report.mismatches,
                &text,
            );
            reports.push(report);
        }
    }
    let is_fine = reports.iter().all(|report| report.mismatches.is_empty());
    Ok(finish(context, &reports, is_fine))
}

fn tag_report(
    session: &Session<'_>,
    selected: Selected<'_>,
    registry: &Registry,
    prover: &Prover,
) -> Result<TagReport> {
    let arch = session.config.arch(selected.image.target);
    let (repository, tag) = (session.repository(selected), session.tag(selected));
    let mut report = TagReport {
        image: selected.name(),
        region: session.region(),
        repository: repository.clone(),
        tag: tag.clone(),
        arch,
        digest: None,
        media_type: None,
        revision: None,
        created: None,
        age: None,
        platforms: Vec::new(),
        proof: None,
        mismatches: Vec::new(),
    };
    let found = session.manifest(&repository, &tag)?;
    let Some(manifest) = found else {
        return Ok(report);
    };
    report.digest = Some(manifest.digest.clone());
    report.media_type = Some(manifest.media_type.clone());
    let looked = Look {
        registry,
        prover,
        selected,
    }
    .at(&mut report, &manifest);
    // What the registry does not tell is no mismatch; what it has and cannot be an image is one.
    if let Err(error) = looked {
        if error.is::<NoAnswer>() {
            return Err(error.context(format!("failed to look at `{repository}:{tag}`")));
        }
        report
            .mismatches
            .push(format!("`{tag}` cannot be run: {error:#}"));
    }
    Ok(report)
}

/// Looks at what one tag names.
struct Look<'l> {
    registry: &'l Registry,
    prover: &'l Prover,
    selected: Selected<'l>,
}

impl Look<'_> {
    fn at(&self, report: &mut TagReport, manifest: &Manifest) -> Result<()> {
        let (tag, image) = (report.tag.clone(), self.selected.image);
        if !manifest.is_image_index() {
            if image.multi_arch {
                let cure = "push it again: it is to be for both";
                report.mismatches.push(format!(
                    "`{tag}` names one image, and deploy.toml has `multi-arch = true`: {cure}"
                ));
            }
            return self.image(report, manifest, report.arch);
        }
        if image.target.index_use() == IndexUse::Refused {
            report.mismatches.push(format!(
                "`{tag}` names an image index (`{}`), which Lambda refuses",
                manifest.media_type
            ));
            return Ok(());
        }
        let problems = problems(self.registry, &report.repository, manifest)?;
        report.mismatches.extend(
            problems
                .into_iter()
                .map(|problem| format!("`{tag}`: {problem}")),
        );
        let mut archs = Vec::new();
        for child in manifest.children()? {
            let Some(arch) = child.platform.as_ref().and_then(Platform::provable) else {
                continue;
            };
            // What is said of it above needs no second word.
            let Ok(bytes) = self.registry.manifest(&report.repository, &child.digest) else {
                continue;
            };
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            self.image(report, &Manifest::new(text, &child.media_type), arch)?;
            archs.push(arch);
        }
        let wanted = if image.multi_arch {
            Arch::ALL.to_vec()
        } else {
            vec![report.arch]
        };
        for missing in wanted.into_iter().filter(|arch| !archs.contains(arch)) {
            report.mismatches.push(format!(
                "`{tag}` is an index without an image for {missing}"
            ));
        }
        Ok(())
    }

    /// An image, or one of an index.
    fn image(&self, report: &mut TagReport, manifest: &Manifest, arch: Arch) -> Result<()> {
        let place = (report.repository.as_str(), manifest.digest.as_str());
        let foreign = &self.selected.image.foreign;
        let proof = self
            .prover
            .in_registry(self.registry, place, Some(arch), foreign)?;
        let groups = proof.verdict.groups().into_iter().take(SHOWN);
        report
            .mismatches
            .extend(groups.map(|group| format!("{arch}: {group}")));
        report.platforms.push(proof.platform.clone());
        if arch == report.arch {
            let found = Found::of(
                manifest,
                &self.registry.config(&report.repository, manifest)?,
            )?;
            report.revision = found.labels.get(label::REVISION).cloned();
            report.created = found.labels.get(label::CREATED).cloned();
            report.age = report
                .created
                .as_deref()
                .and_then(|created| age::of(created, host::now()));
            report.proof = Some(proof);
        }
        Ok(())
    }
}

fn describe(report: &TagReport) -> String {
    let name = format!("{}:{}", report.repository, report.tag);
    let Some(digest) = &report.digest else {
        return format!("{name} is not there");
    };
    let Some(proof) = &report.proof else {
        return format!("{name} is {digest}");
    };
    let revision = report.revision.as_deref().unwrap_or("no revision");
    let created = match (&report.created, &report.age) {
        (Some(created), Some(age)) => format!("{created} ({age} ago)"),
        _ => "no date".to_owned(),
    };
    let platforms = report.platforms.join(" and ");
    format!(
        "{name} is {digest}, {platforms}, {revision} of {created}; {}",
        proof.verdict.summary()
    )
}

/// Compares the environment's functions with its tags and with the policy.
pub(super) fn lambda(context: &Context, arguments: &VerifyEnvironment) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let sessions = Session::open_all(&workspace, &arguments.environment)?;
    let mut reports = Vec::new();
    for (session, selected) in in_each(&sessions, &arguments.service)? {
        let Some(name) = plan::function_name(session.config, session.environment, selected) else {
            continue;
        };
        let report = function_report(session, selected, &name)?;
        let runs = report
            .runs
            .as_deref()
            .unwrap_or("an image that AWS does not name");
        let arch = report.runs_arch.map_or_else(
            || "an architecture that AWS does not name".to_owned(),
            |arch| arch.to_string(),
        );
        let text = if report.exists {
            format!("{name} runs {runs} on {arch}")
        } else {
            format!("{name} does not exist")
        };
        show(
            context,
            &named(&report.image, report.region.as_ref()),
            &report.mismatches,
            &text,
        );
        reports.push(report);
    }
    let is_fine = reports.iter().all(|report| report.mismatches.is_empty());
    Ok(finish(context, &reports, is_fine))
}

fn function_report(
    session: &Session<'_>,
    selected: Selected<'_>,
    name: &str,
) -> Result<FunctionReport> {
    let (repository, tag) = (session.repository(selected), session.tag(selected));
    let function = session.aws.reader().function(name)?;
    let arch = session.config.arch(selected.image.target);
    let tagged = session.manifest(&repository, &tag)?;
    let tagged = tagged.map(|manifest| manifest.digest);
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
        region: session.region(),
        function: name.to_owned(),
        exists: function.exists,
        runs: function.digest,
        runs_arch: function.arch,
        tag_digest: tagged,
        arch,
        mismatches,
    })
}

/// An image for people, with its region where the environment has several.
pub(super) fn named(image: &str, region: Option<&String>) -> String {
    region.map_or_else(|| image.to_owned(), |region| format!("{image} in {region}"))
}

/// The images of these services, in each region.
pub(super) fn in_each<'s, 'w>(
    sessions: &'s [Session<'w>],
    services: &[String],
) -> Result<Vec<(&'s Session<'w>, Selected<'w>)>> {
    let mut all = Vec::new();
    for session in sessions {
        all.extend(
            session
                .selected(services)?
                .into_iter()
                .map(|one| (session, one)),
        );
    }
    Ok(all)
}

pub(super) fn show(context: &Context, image: &str, mismatches: &[String], text: &str) {
    context
        .terminal
        .status("Looked at", &format!("{image}: {text}"));
    for mismatch in mismatches {
        context.terminal.error(format!("{image}: {mismatch}"));
    }
}

pub(super) fn finish<T: Serialize>(context: &Context, reports: &[T], is_fine: bool) -> ExitCode {
    if context.global.json {
        document::print(&reports);
    }
    exit_code(is_fine)
}
