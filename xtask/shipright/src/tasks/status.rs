//! `status`: what the tags name, what runs, and where the two differ.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use serde::Serialize;

use super::{Context, Refused, reach::Reached};
use crate::{
    arch::Arch,
    cli::Status,
    facts::host,
    model::{label, published::Found, target::Target},
    plan::{self, Selected, age},
    registry::{CONFIG_LIMIT, Registry},
    report::document,
};

/// One image in one environment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    environment: String,
    image: String,
    target: Target,
    /// The tag that names what the environment has.
    tag: String,
    tag_digest: Option<String>,
    /// The images of the index that the tag names, where it names one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    listed: Vec<String>,
    revision: Option<String>,
    age: Option<String>,
    /// The function, service or deployment.
    workload: Option<String>,
    runs: Option<String>,
    runs_revision: Option<String>,
    arch: Option<Arch>,
    /// Where the two differ, in words.
    drift: Vec<String>,
    /// What could not be read, and why.
    unknown: Vec<String>,
    /// Whether what runs could not be read.
    is_unread: bool,
}

/// Shows every environment, or those that are named.
pub fn run(context: &Context, arguments: &Status) -> Result<ExitCode> {
    let config = context.config()?;
    let names: Vec<String> = if arguments.environments.is_empty() {
        config.environments.keys().cloned().collect()
    } else {
        arguments.environments.clone()
    };
    for name in &names {
        plan::environment(&config, name).map_err(Refused::from)?;
    }
    let mut rows = Vec::new();
    let mut unreached = BTreeMap::new();
    for name in &names {
        match look(context, name) {
            Ok(more) => rows.extend(more),
            Err(error) => {
                context.terminal.warning(&format!("`{name}` cannot be read: {error:#}"));
                unreached.insert(name, format!("{error:#}"));
            }
        }
    }
    if context.global.json {
        document::print(&serde_json::json!({ "images": rows, "unreached": unreached }));
    }
    context.terminal.block(&table(&rows));
    for row in &rows {
        for drift in &row.drift {
            context.terminal.warning(&format!("{} in {}: {drift}", row.image, row.environment));
        }
        for unknown in &row.unknown {
            context.terminal.note(&format!("{} in {}: {unknown}", row.image, row.environment));
        }
    }
    let has_drift = rows.iter().any(|row| !row.drift.is_empty());
    // What cannot be read may have drifted.
    let is_unread = rows.iter().any(|row| row.is_unread);
    let fails = arguments.check && (has_drift || is_unread || !unreached.is_empty()) || !unreached.is_empty() && rows.is_empty();
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn look(context: &Context, name: &str) -> Result<Vec<Row>> {
    let reached = Reached::open(context, name)?;
    let registry = reached.registry()?;
    reached.selected(&[])?.into_iter().map(|selected| row(&reached, &registry, selected)).collect()
}

fn row(reached: &Reached, registry: &Registry, selected: Selected<'_>) -> Result<Row> {
    let reader = reached.aws.reader();
    let (repository, tag) = (reached.repository(selected), reached.tag(selected));
    let exists = reader.repository(&repository)?.is_some();
    let mut row = Row {
        environment: reached.environment.name.clone(),
        image: selected.name(),
        target: selected.image.target,
        tag: tag.clone(),
        tag_digest: None,
        listed: Vec::new(),
        revision: None,
        age: None,
        workload: None,
        runs: None,
        runs_revision: None,
        arch: None,
        drift: Vec::new(),
        unknown: Vec::new(),
        is_unread: false,
    };
    if let Some(manifest) = if exists { reader.manifests(&repository, std::slice::from_ref(&tag))?.remove(&tag) } else { None } {
        row.tag_digest = Some(manifest.digest.clone());
        match manifest.children() {
            Ok(children) => row.listed = children.iter().map(|child| child.digest.clone()).collect(),
            Err(error) => {
                row.is_unread = true;
                row.unknown.push(format!("what `{repository}:{tag}` names cannot be read: {error}"));
            }
        }
        let labels = labels(reached, registry, &repository, &manifest.digest).unwrap_or_default();
        row.age = labels.get(label::CREATED).and_then(|created| age::of(created, host::now()));
        row.revision = labels.get(label::REVISION).map(|revision| shortened(revision, reached));
    }
    match reached.running(selected) {
        Ok(running) => {
            row.arch = running.arch;
            row.runs.clone_from(&running.digest);
            if let Some(digest) = running.digest.as_deref().filter(|_| exists) {
                let labels = labels(reached, registry, &repository, digest).unwrap_or_default();
                row.runs_revision = labels.get(label::REVISION).map(|revision| shortened(revision, reached));
            }
            row.workload = running.exists.then(|| running.workload.clone());
            if !running.exists {
                row.unknown.push(format!("{} does not exist", running.workload));
            } else if running.digest.is_none() {
                let image = running.image.as_deref().unwrap_or("something without a name");
                row.unknown.push(format!("{} runs {image}: a tag does not tell which image that is", running.workload));
            }
        }
        Err(error) => {
            let reason = format!("{error:#}");
            row.is_unread = true;
            row.unknown.push(format!("what runs cannot be read: {}", reason.lines().next().unwrap_or_default()));
        }
    }
    row.drift = drift(&row, reached.config.arch(selected.image.target));
    Ok(row)
}

/// The labels of an image that is still there; of an index, those of its first image.
fn labels(reached: &Reached, registry: &Registry, repository: &str, digest: &str) -> Option<BTreeMap<String, String>> {
    let mut manifest = reached.aws.reader().manifest(repository, digest).ok()??;
    if manifest.is_image_index() {
        let first = manifest.children().ok()?.first()?.digest.clone();
        manifest = reached.aws.reader().manifest(repository, &first).ok()??;
    }
    let blob = registry.blob(repository, &manifest.config().ok()?.digest, CONFIG_LIMIT).ok()?;
    Some(Found::of(&manifest, &blob).ok()?.labels)
}

fn shortened(revision: &str, reached: &Reached) -> String {
    let (commit, dirty) = revision.split_once('-').map_or((revision, false), |(commit, _)| (commit, true));
    let short: String = commit.chars().take(reached.config.revision_length).collect();
    if dirty { format!("{short}-dirty") } else { short }
}

fn drift(row: &Row, policy: Arch) -> Vec<String> {
    let mut found = Vec::new();
    if let (Some(runs), Some(tagged)) = (&row.runs, &row.tag_digest)
        && runs != tagged
        && !row.listed.contains(runs)
    {
        let name = |revision: &Option<String>, digest: &str| revision.clone().unwrap_or_else(|| short_digest(digest).to_owned());
        let (mut runs_name, mut tag_name) = (name(&row.runs_revision, runs), name(&row.revision, tagged));
        if runs_name == tag_name {
            // Two builds of one revision.
            (runs_name, tag_name) = (short_digest(runs).to_owned(), short_digest(tagged).to_owned());
        }
        found.push(format!("runs {runs_name}, {} is {tag_name}", row.tag));
    }
    if row.runs.is_some() && row.tag_digest.is_none() {
        found.push(format!("runs an image, and there is no tag {}", row.tag));
    }
    // An index has an image for every node.
    let runs_list = !row.listed.is_empty() && row.runs == row.tag_digest;
    if let Some(arch) = row.arch.filter(|arch| *arch != policy && !runs_list) {
        let what = match row.target {
            Target::Lambda => "function",
            Target::AppRunner => "service",
            Target::Eks => "deployment",
        };
        found.push(format!("{what} is {}, policy is {policy}", arch.uname()));
    }
    found
}

fn short_digest(digest: &str) -> &str {
    const SHOWN: usize = "sha256:".len() + 12;
    digest.get(..SHOWN).unwrap_or(digest)
}

fn table(rows: &[Row]) -> String {
    let head = ["service", "target", "environment", "tag names", "runs", "cpu", "revision", "age", "drift"];
    let cell = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let lines = rows.iter().map(|row| {
        let drift = if row.drift.is_empty() { "-".to_owned() } else { row.drift.join("; ") };
        let runs = row.runs.as_deref().map(short_digest).or_else(|| row.workload.is_none().then_some("nothing"));
        [
            row.image.clone(),
            row.target.to_string(),
            row.environment.clone(),
            cell(row.tag_digest.as_deref().map(short_digest)),
            cell(runs),
            row.arch.map_or_else(|| "-".to_owned(), |arch| arch.to_string()),
            cell(row.revision.as_deref()),
            cell(row.age.as_deref()),
            drift,
        ]
    });
    let lines: Vec<[String; 9]> = std::iter::once(head.map(str::to_owned)).chain(lines).collect();
    let widths: Vec<usize> =
        (0..head.len()).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let show = |line: &[String; 9]| {
        let cells = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(show).collect::<Vec<_>>().join("\n")
}
