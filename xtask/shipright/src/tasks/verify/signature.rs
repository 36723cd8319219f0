//! `verify signature`: whether what an environment's `latest` tags name is signed, as the user's own tool judges it.

use std::process::ExitCode;

use anyhow::Result;
use image_oci::{Manifest, Platform};
use serde::Serialize;

use super::environment::{finish, named};
use crate::{
    attest::{Signer, installed},
    cli::VerifyEnvironment,
    context::Context,
    model::{attest::Signing, refusal::Refusal},
    parallel::side_by_side,
    plan::{Selected, attest::require_tool, status::short_digest},
    refused::Refused,
    report::table::table,
    session::Session,
    workspace::Workspace,
};

/// How many signatures are verified at a time.
const AT_ONCE: usize = 4;

/// An image or index that a tag names, or an image of an index.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    repository: String,
    tag: String,
    /// What it is: `image`, `index`, or the platform of an image of an index.
    what: String,
    digest: String,
    /// Whether the tool accepts a signature of it.
    signed: bool,
    /// What the tool says of one that it does not accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Verifies the signature of everything that the environment's moving tags name.
pub(super) fn signature(context: &Context, arguments: &VerifyEnvironment) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let environment = workspace.environment(&arguments.environment)?;
    let signing = environment.attest.sign.as_ref().ok_or_else(|| {
        let name = &environment.name;
        Refused::from(Refusal::new(
            format!("images of `{name}` are not signed"),
            format!("say what signs them: `sign = \"cosign\"` in [environments.{name}]"),
        ))
    })?;
    require_tool(&environment.name, signing, &installed()).map_err(Refused::from)?;
    let mut rows = Vec::new();
    for session in Session::open_all(&workspace, &arguments.environment)? {
        let mut those = Vec::new();
        for selected in session.selected(&arguments.service)? {
            those.extend(named_by_tag(context, &session, selected)?);
        }
        rows.extend(verified(context, &session, signing, those)?);
    }
    show(context, signing, &rows);
    let is_fine = rows.iter().all(|row| row.signed);
    Ok(finish(context, &rows, is_fine))
}

/// What the tag of an image names: an image, or an index and the images that it has.
fn named_by_tag(
    context: &Context,
    session: &Session<'_>,
    selected: Selected<'_>,
) -> Result<Vec<Row>> {
    let (repository, tag) = (session.repository(selected), session.tag(selected));
    let Some(manifest) = session.manifest(&repository, &tag)? else {
        let text = format!("{}: {repository}:{tag} is not there", selected.name());
        context.terminal.status("Looked at", &text);
        return Ok(Vec::new());
    };
    let row = |what: String, digest: &str| Row {
        image: selected.name(),
        region: session.region(),
        repository: repository.clone(),
        tag: tag.clone(),
        what,
        digest: digest.to_owned(),
        signed: false,
        reason: None,
    };
    Ok(parts(&manifest)?
        .into_iter()
        .map(|(what, digest)| row(what, &digest))
        .collect())
}

fn parts(manifest: &Manifest) -> Result<Vec<(String, String)>> {
    if !manifest.is_image_index() {
        return Ok(vec![("image".to_owned(), manifest.digest.clone())]);
    }
    let index = ("index".to_owned(), manifest.digest.clone());
    // An attestation of BuildKit's own is no image.
    let children = manifest.children()?.iter().filter_map(|child| {
        let platform = child.platform.as_ref();
        let what = platform.map_or_else(|| "image".to_owned(), Platform::to_string);
        (!child.is_attestation()).then(|| (what, child.digest.clone()))
    });
    Ok(std::iter::once(index).chain(children).collect())
}

fn verified(
    context: &Context,
    session: &Session<'_>,
    signing: &Signing,
    rows: Vec<Row>,
) -> Result<Vec<Row>> {
    if rows.is_empty() {
        return Ok(rows);
    }
    let (docker, host) = (session.docker(), &session.place.registry);
    let repositories = session.repositories();
    let signer = Signer::open(signing, &docker, host, repositories, &context.terminal)?;
    let verified = side_by_side(AT_ONCE, &rows, |row| {
        Ok(signer.verify(&row.repository, &row.digest).err())
    })?;
    let rows = rows.into_iter().zip(verified);
    Ok(rows
        .map(|(row, error)| Row {
            signed: error.is_none(),
            reason: error.map(|error| format!("{error:#}")),
            ..row
        })
        .collect())
}

fn show(context: &Context, signing: &Signing, rows: &[Row]) {
    let terminal = &context.terminal;
    let head = ["image", "what", "digest", "signature"];
    let lines = rows.iter().map(|row| {
        let signature = if row.signed {
            "good"
        } else {
            "none that counts"
        };
        [
            named(&row.image, row.region.as_ref()),
            row.what.clone(),
            short_digest(&row.digest).to_owned(),
            signature.to_owned(),
        ]
    });
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        terminal.block(&table(&head, &lines, terminal.width()));
    }
    for row in rows {
        if let Some(reason) = &row.reason {
            let (name, tool) = (named(&row.image, row.region.as_ref()), signing.tool);
            let Row { tag, digest, .. } = row;
            terminal.error(format!("{name}: {digest}, which `{tag}` names, has no signature that {tool} accepts: {reason}"));
        }
    }
}
