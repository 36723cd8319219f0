//! `status`: what the tags name, what runs, and where the two differ.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;

use crate::{
    cli::Status,
    context::Context,
    facts::host,
    model::{label, published::Found},
    plan::{
        Selected, age,
        status::{Row, short_digest},
    },
    registry::{CONFIG_LIMIT, Registry},
    report::table,
    session::Session,
    targets,
    tasks::exit_code,
    workspace::Workspace,
};

/// Shows every environment, or those that are named.
pub(super) fn run(context: &Context, arguments: &Status) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let all = || workspace.config.environments.keys().cloned().collect();
    let names: Vec<String> = if arguments.environments.is_empty() {
        all()
    } else {
        arguments.environments.clone()
    };
    for name in &names {
        workspace.environment(name)?;
    }
    let mut rows = Vec::new();
    let mut unreached = BTreeMap::new();
    for name in &names {
        match look(&workspace, name) {
            Ok(more) => rows.extend(more),
            Err(error) => {
                context
                    .terminal
                    .warning(&format!("`{name}` cannot be read: {error:#}"));
                unreached.insert(name, format!("{error:#}"));
            }
        }
    }
    context.print(&serde_json::json!({ "images": rows, "unreached": unreached }));
    show(context, &rows);
    let has_drift = rows.iter().any(|row| !row.drift.is_empty());
    // What cannot be read may have drifted.
    let is_unread = rows.iter().any(|row| row.is_unread);
    let is_unsure = has_drift || is_unread || !unreached.is_empty();
    let fails = arguments.check && is_unsure || !unreached.is_empty() && rows.is_empty();
    Ok(exit_code(!fails))
}

/// What an environment has.
///
/// # Errors
/// An environment that cannot be read.
pub(super) fn look(workspace: &Workspace<'_>, name: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for session in Session::open_all(workspace, name)? {
        let look = Look {
            registry: session.registry()?,
            session: &session,
        };
        for selected in session.selected(&[])? {
            rows.push(look.row(selected)?);
        }
    }
    Ok(rows)
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
        let blob = self
            .registry
            .blob(repository, &manifest.config().ok()?.digest, CONFIG_LIMIT)
            .ok()?;
        Some(Found::of(&manifest, &blob).ok()?.labels)
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

fn show(context: &Context, rows: &[Row]) {
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

pub(super) fn table(rows: &[Row], width: Option<usize>) -> String {
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
