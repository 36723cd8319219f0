//! `scan`: the vulnerabilities that are known of images in a registry, and whether they fail.

mod find;

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tempfile::TempDir;

use find::{Found, Image};

use crate::{
    cli::Scan,
    context::Context,
    facts::host,
    model::{
        refusal::Refusal,
        severity::Severity,
        vulnerability::{Exception, Scanner},
    },
    plan::scan::{Acceptance, Rule, Verdict, choose, judge},
    refused::Refused,
    report::{document, sarif, scan as shown},
    scan::{Scans, installed},
    store::{self, ContentStore},
    tasks::exit_code,
    workspace::Workspace,
};

/// How many findings of an image are shown where nobody wants more.
const SHOWN: usize = 30;

/// What came of one image.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row<'r> {
    image: &'r str,
    reference: &'r str,
    platform: String,
    #[serde(flatten)]
    verdict: Option<Verdict>,
    /// Why it was not scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'d> {
    scanner: Scanner,
    fail_on: Option<Severity>,
    only_fixed: bool,
    images: &'d [Row<'d>],
    fails: bool,
}

/// Scans images.
pub(super) fn run(context: &Context, arguments: &Scan) -> Result<ExitCode> {
    let to_stdout = arguments.sarif.as_deref() == Some(Path::new("-"));
    if to_stdout && context.global.json {
        let problem = "`--sarif -` and `--json` both want standard output";
        let cure = "name a file: --sarif scan.sarif";
        return Err(Refused::from(Refusal::new(problem, cure)).into());
    }
    let is_image = arguments.what.contains(['/', ':', '@']);
    let workspace = Workspace::if_any(context, !is_image || context.global.sandbox)?;
    let found = find(workspace.as_ref(), is_image, arguments)?;
    for missing in &found.missing {
        context
            .terminal
            .note(&format!("{missing}: there is nothing to scan"));
    }
    let has_scans = found.places.iter().all(find::Place::has_scans);
    let host = found.places.first().map_or("", |place| place.host.as_str());
    let scanner =
        choose(arguments.scanner, &installed(), has_scans, host).map_err(Refused::from)?;
    if context.global.dry_run {
        announce(context, scanner, &found.images);
        return Ok(ExitCode::SUCCESS);
    }
    let config = workspace.as_ref().map(|workspace| &workspace.config);
    let environment = config.and_then(|config| config.environments.get(&arguments.what));
    let scan = Run {
        context,
        scanner,
        rule: Rule {
            fail_on: arguments
                .fail_on
                .or_else(|| environment.and_then(|environment| environment.scan)),
            only_fixed: arguments.only_fixed,
        },
        exceptions: config.map_or(&[][..], |config| &config.scan_exceptions),
    };
    let rows = scan.all(
        config.map(|config| config.root.as_path()),
        arguments,
        &found,
    )?;
    scan.finish(&rows, arguments.sarif.as_deref())
}

fn find<'w>(
    workspace: Option<&'w Workspace<'_>>,
    is_image: bool,
    arguments: &Scan,
) -> Result<Found<'w>> {
    let what = &arguments.what;
    let Some(workspace) = workspace.filter(|_| !is_image) else {
        if !arguments.service.is_empty() {
            let problem =
                "`--service` chooses among the images of an environment, and this is an image";
            return Err(Refused::from(Refusal::new(problem, "leave it out")).into());
        }
        return Found::reference(workspace, what);
    };
    if let Err(Refused(refusals)) = workspace.environment(what) {
        let cure = |one: Refusal| {
            let image = format!(
                "{}; an image is written with its tag: `{what}:latest`",
                one.cure
            );
            Refusal::new(one.problem, image)
        };
        return Err(Refused(refusals.into_iter().map(cure).collect()).into());
    }
    Found::environment(workspace, what, &arguments.service)
}

/// What would be scanned.
fn announce(context: &Context, scanner: Scanner, images: &[Image]) {
    let references: Vec<_> = images.iter().map(|image| &image.reference).collect();
    context.print(&serde_json::json!({ "plan": { "scanner": scanner, "images": references } }));
    let title = scanner.title();
    for image in images {
        let Image {
            name,
            platform,
            reference,
            ..
        } = image;
        let text = format!("{name}, {platform}, would be scanned with {title}: {reference}");
        context.terminal.block(&text);
    }
}

/// A scan of some images.
struct Run<'r> {
    context: &'r Context,
    scanner: Scanner,
    rule: Rule,
    exceptions: &'r [Exception],
}

impl Run<'_> {
    /// Scans all images. One that cannot be scanned has why in its row.
    fn all<'f>(
        &self,
        project: Option<&Path>,
        arguments: &Scan,
        found: &'f Found<'_>,
    ) -> Result<Vec<Row<'f>>> {
        // Where there is no project, what is fetched is of use to this run alone.
        let nowhere = TempDir::new().context("failed to make a directory")?;
        let root = project.unwrap_or(nowhere.path());
        let store = ContentStore::open(root)?;
        let terminal = &self.context.terminal;
        let scans = Scans::new(self.scanner, arguments.wait.into(), terminal, &store);
        let row = |image: &'f Image| {
            let place = &found.places[image.place];
            let outcome = scans.of(&place.subject(image));
            let outcome = outcome.inspect_err(|error| terminal.failed(&image.name, error));
            let verdict = outcome.as_ref().ok().map(|found| {
                let acceptance = Acceptance {
                    exceptions: self.exceptions,
                    service: image.service.as_deref(),
                    today: host::today(),
                };
                judge(found, &acceptance, self.rule)
            });
            if let Some(verdict) = &verdict {
                self.show(image, verdict);
            }
            Row {
                image: &image.name,
                reference: &image.reference,
                platform: image.platform.to_string(),
                verdict,
                error: outcome.err().map(|error| format!("{error:#}")),
            }
        };
        let rows = found.images.iter().map(row).collect();
        drop(scans);
        drop(store);
        if let Err(error) = store::collect(root, host::now().into()) {
            terminal.detail(&format!("the content store was not cleared: {error:#}"));
        }
        Ok(rows)
    }

    /// What was found in an image, for people.
    fn show(&self, image: &Image, verdict: &Verdict) {
        let terminal = &self.context.terminal;
        let text = format!("{}, {}: {}", image.name, image.platform, verdict.summary());
        terminal.status("Scanned", &text);
        if !verdict.findings.is_empty() {
            let most = if self.context.global.verbose {
                usize::MAX
            } else {
                SHOWN
            };
            terminal.block(&format!("{}\n\n", shown::table(verdict, most)));
        }
        for exception in verdict.accepted() {
            terminal.note(&shown::accepted(exception));
        }
        for exception in &verdict.expired {
            terminal.warning(&shown::expired(exception));
        }
    }

    /// Says what it comes to, and writes the documents.
    fn finish(&self, rows: &[Row<'_>], sarif: Option<&Path>) -> Result<ExitCode> {
        let verdicts = || {
            rows.iter()
                .filter_map(|row| Some((row.reference, row.verdict.as_ref()?)))
        };
        let failing: usize = verdicts()
            .map(|(_, verdict)| verdict.failing().count())
            .sum();
        let unscanned = rows.iter().filter(|row| row.error.is_some()).count();
        let terminal = &self.context.terminal;
        if let Some(least) = self.rule.fail_on.filter(|_| failing > 0) {
            let what = if failing == 1 {
                "vulnerability"
            } else {
                "vulnerabilities"
            };
            let fixed = if self.rule.only_fixed {
                " that has a fix"
            } else {
                ""
            };
            terminal.error(format!(
                "{failing} {what} of severity {least} or worse{fixed}"
            ));
            terminal.help("build the image with what fixes it, or accept it for a time: `[[scan.exceptions]]` in deploy.toml");
        }
        if unscanned > 0 {
            terminal.error(format!(
                "{unscanned} of {} images were not scanned",
                rows.len()
            ));
        }
        let fails = failing > 0 || unscanned > 0;
        self.context.print(&Document {
            scanner: self.scanner,
            fail_on: self.rule.fail_on,
            only_fixed: self.rule.only_fixed,
            images: rows,
            fails,
        });
        if let Some(file) = sarif {
            let document = sarif::document(self.scanner, verdicts());
            if file == Path::new("-") {
                document::print(&document);
            } else {
                std::fs::write(file, format!("{document:#}\n"))
                    .with_context(|| format!("failed to write `{}`", file.display()))?;
            }
        }
        Ok(exit_code(!fails))
    }
}
