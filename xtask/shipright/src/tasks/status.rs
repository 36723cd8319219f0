//! `status`: what the tags name, what runs, and where the two differ.

mod output;
mod page;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use output::Output;

use crate::{
    cli::Status,
    context::Context,
    facts::host,
    model::{label, published::Found},
    plan::{
        Selected, age,
        status::{Row, short_digest},
    },
    refused::Refused,
    registry::Registry,
    report::table,
    session::Session,
    targets,
    tasks::exit_code,
    workspace::Workspace,
};

/// An environment, as far as it could be read.
struct Environment<'w> {
    name: String,
    regions: Vec<Region<'w>>,
    /// Why it could not.
    unreached: Option<String>,
}

/// One of its regions.
struct Region<'w> {
    session: Session<'w>,
    registry: Registry,
    rows: Vec<(Selected<'w>, Row)>,
}

/// Shows every environment, or those that are named.
pub(super) fn run(context: &Context, arguments: &Status) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let names: Vec<String> = if arguments.environments.is_empty() {
        workspace.config.environments.keys().cloned().collect()
    } else {
        arguments.environments.clone()
    };
    for name in &names {
        workspace.environment(name)?;
    }
    let output = arguments.html.as_deref();
    let output = output.map(|file| Output::of(context, file)).transpose()?;
    let read = names
        .into_iter()
        .map(|name| read(context, &workspace, name));
    let environments: Vec<_> = read.collect();
    let regions = environments.iter().flat_map(|one| &one.regions);
    let rows: Vec<&Row> = regions
        .flat_map(|one| one.rows.iter().map(|(_, row)| row))
        .collect();
    let unreached = environments
        .iter()
        .filter_map(|one| Some((&one.name, one.unreached.as_ref()?)));
    let unreached: BTreeMap<_, _> = unreached.collect();
    context.print(&serde_json::json!({ "images": rows, "unreached": unreached }));
    show(context, &rows);
    if let Some(output) = &output {
        output.write(|| page::gather(context, &workspace, &environments, arguments.prove))?;
    }
    let has_drift = rows.iter().any(|row| !row.drift.is_empty());
    // What cannot be read may have drifted.
    let is_unread = rows.iter().any(|row| row.is_unread);
    let is_unsure = has_drift || is_unread || !unreached.is_empty();
    let fails = arguments.check && is_unsure || !unreached.is_empty() && rows.is_empty();
    Ok(exit_code(!fails))
}

fn read<'w>(context: &Context, workspace: &'w Workspace<'_>, name: String) -> Environment<'w> {
    let (regions, unreached) = match look(workspace, &name) {
        Ok(regions) => (regions, None),
        Err(error) => {
            let reason = Refused::told(&error);
            let warning = format!("`{name}` cannot be read: {reason}");
            context.terminal.warning(&warning);
            (Vec::new(), Some(reason))
        }
    };
    Environment {
        name,
        regions,
        unreached,
    }
}

/// What an environment has.
///
/// # Errors
/// An environment that cannot be read.
pub(super) fn rows(workspace: &Workspace<'_>, name: &str) -> Result<Vec<Row>> {
    let regions = look(workspace, name)?.into_iter();
    let rows = regions.flat_map(|region| region.rows);
    Ok(rows.map(|(_, row)| row).collect())
}

fn look<'w>(workspace: &'w Workspace<'_>, name: &str) -> Result<Vec<Region<'w>>> {
    let mut regions = Vec::new();
    for session in Session::open_all(workspace, name)? {
        let look = Look {
            registry: session.registry()?,
            session: &session,
        };
        let mut rows = Vec::new();
        for selected in session.selected(&[])? {
            rows.push((selected, look.row(selected)?));
        }
        let registry = look.registry;
        regions.push(Region {
            session,
            registry,
            rows,
        });
    }
    Ok(regions)
}

struct Look<'s> {
    session: &'s Session<'s>,
    registry: Registry,
}

impl Look<'_> {
    fn row(&self, selected: Selected<'_>) -> Result<Row> {
        let session = self.session;
        let (repository, tag) = (session.repository(selected), session.tag(selected));
        let mut row = Row::new(
            &session.environment.name,
            selected.name(),
            selected.image.target,
            tag,
        );
        row.region = session.region();
        let exists = session.repositories().repository(&repository)?.is_some();
        if exists {
            self.read_tag(&mut row, &repository)?;
        }
        match targets::running(session, selected) {
            Ok(running) => {
                row.arch = running.arch;
                row.runs.clone_from(&running.digest);
                if let Some(digest) = running.digest.as_deref().filter(|_| exists) {
                    row.runs_revision =
                        self.revision(&self.labels(&repository, digest).unwrap_or_default());
                }
                row.workload = running.exists.then(|| running.workload.clone());
                row.unknown.extend(running.untold());
            }
            Err(error) => {
                let reason = format!("{error:#}");
                row.is_unread = true;
                row.unknown.push(format!(
                    "what runs cannot be read: {}",
                    reason.lines().next().unwrap_or_default()
                ));
            }
        }
        row.judge(session.config.arch(selected.image.target));
        Ok(row)
    }

    fn read_tag(&self, row: &mut Row, repository: &str) -> Result<()> {
        let reader = self.session.repositories();
        let Some(manifest) = reader.tagged(repository, &row.tag)? else {
            return Ok(());
        };
        row.tag_digest = Some(manifest.digest.clone());
        match manifest.children() {
            Ok(children) => {
                row.listed = children.iter().map(|child| child.digest.clone()).collect();
            }
            Err(error) => {
                row.is_unread = true;
                row.unknown.push(format!(
                    "what `{repository}:{}` names cannot be read: {error}",
                    row.tag
                ));
            }
        }
        let labels = self
            .labels(repository, &manifest.digest)
            .unwrap_or_default();
        row.age = labels
            .get(label::CREATED)
            .and_then(|created| age::of(created, host::now()));
        row.revision = self.revision(&labels);
        Ok(())
    }

    /// The labels of an image that is still there; of an index, those of its first image.
    fn labels(&self, repository: &str, digest: &str) -> Option<BTreeMap<String, String>> {
        let reader = self.session.repositories();
        let mut manifest = reader.manifest(repository, digest).ok()??;
        if manifest.is_image_index() {
            let first = manifest.children().ok()?.first()?.digest.clone();
            manifest = reader.manifest(repository, &first).ok()??;
        }
        let config = self.registry.config(repository, &manifest).ok()?;
        Some(Found::of(&manifest, &config).ok()?.labels)
    }

    /// The shortened commit that labels name.
    fn revision(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        let revision = labels.get(label::REVISION)?;
        let (commit, dirty) = revision
            .split_once('-')
            .map_or((revision.as_str(), false), |(commit, _)| (commit, true));
        let short: String = commit
            .chars()
            .take(self.session.config.revision_length)
            .collect();
        Some(if dirty {
            format!("{short}-dirty")
        } else {
            short
        })
    }
}

fn show(context: &Context, rows: &[&Row]) {
    context
        .terminal
        .block(&table(rows, context.terminal.width()));
    for row in rows {
        for drift in &row.drift {
            context
                .terminal
                .warning(&format!("{} in {}: {drift}", row.image, row.place()));
        }
        for unknown in &row.unknown {
            context
                .terminal
                .note(&format!("{} in {}: {unknown}", row.image, row.place()));
        }
    }
}

pub(super) fn table(rows: &[&Row], width: Option<usize>) -> String {
    let head = [
        "service",
        "target",
        "environment",
        "tag names",
        "runs",
        "cpu",
        "revision",
        "age",
        "drift",
    ];
    let cell = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let lines = rows.iter().map(|row| {
        let drift = if row.drift.is_empty() {
            "-".to_owned()
        } else {
            row.drift.join("; ")
        };
        let runs = row
            .runs
            .as_deref()
            .map(short_digest)
            .or_else(|| row.workload.is_none().then_some("nothing"));
        [
            row.image.clone(),
            row.target.to_string(),
            row.place(),
            cell(row.tag_digest.as_deref().map(short_digest)),
            cell(runs),
            row.arch
                .map_or_else(|| "-".to_owned(), |arch| arch.to_string()),
            cell(row.revision.as_deref()),
            cell(row.age.as_deref()),
            drift,
        ]
    });
    table::table(&head, &lines.collect::<Vec<_>>(), width)
}
