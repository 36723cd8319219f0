//! `init`: a first deploy.toml, from what is in the repository. It is shown, and written where there is none.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};

use super::exit_code;
use crate::{
    config,
    context::{Context, load_config},
    facts::survey,
    model::refusal::Refusal,
    plan::init::{self, Survey},
    refused::Refused,
    report::{document, name::as_typed},
};

/// Shows the file, and writes it into this directory.
pub(super) fn run(context: &Context) -> Result<ExitCode> {
    let here = std::env::current_dir().context("failed to read the current directory")?;
    let path = match &context.global.config {
        Some(path) => path.clone(),
        None => here.join(config::FILE),
    };
    if !context.global.dry_run && path.symlink_metadata().is_ok() {
        return Err(exists(&path).into());
    }
    let root = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let root = root.map_or_else(|| here.clone(), |parent| here.join(parent));
    let found = survey(&root)?;
    let left_out = found.left_out();
    if found.dockerfiles.is_empty() {
        let problem = format!("there is no Dockerfile in `{}` or below it", root.display());
        let cure = match left_out.as_slice() {
            [] => "go to the directory that has them".to_owned(),
            left => format!("write one; what was found: {}", left.join("; ")),
        };
        return Err(Refused::from(Refusal::new(problem, cure)).into());
    }
    let text = init::deploy_toml(&found);
    let text = as_typed(&text);
    if !context.global.json {
        document::text_line(&text);
    }
    for left in &left_out {
        context.terminal.note(left);
    }
    let is_written = !context.global.dry_run;
    if is_written {
        write(&path, &text)?;
        context
            .terminal
            .status("Wrote", &path.display().to_string());
        if let Err(error) = load_config(Some(&path)) {
            context.terminal.failed(config::FILE, &error);
        }
    }
    context.print(&serde_json::json!({
        "file": path.display().to_string(),
        "written": is_written,
        "text": text,
        "left-out": left_out,
    }));
    Ok(ExitCode::SUCCESS)
}

/// Compares the deploy.toml that is there with what is found.
pub(super) fn check(context: &Context) -> Result<ExitCode> {
    let config = context.config()?;
    let found = survey(&config.root)?;
    let differences = init::check(&config, &found, Path::exists);
    let left_out = found.left_out();
    let terminal = &context.terminal;
    for difference in &differences {
        terminal.error(difference);
    }
    for left in &left_out {
        terminal.detail(left);
    }
    let (dockerfiles, builds) = (found.dockerfiles.len(), found.builds.len());
    let text = format!("{dockerfiles} Dockerfiles, and {builds} builds that other files describe");
    terminal.status("Looked at", &text);
    context.print(&serde_json::json!({ "differences": differences, "left-out": left_out }));
    Ok(exit_code(differences.is_empty()))
}

fn survey(root: &Path) -> Result<Survey, Refused> {
    survey::survey(root).map_err(|error| {
        Refused::from(Refusal::new(
            format!(
                "`{}` is in no git repository that can be read: {}",
                root.display(),
                error.message()
            ),
            "go to one, or make one: git init. Images are tagged with its commit",
        ))
    })
}

/// Writes a file that must not be there yet.
fn write(path: &Path, text: &str) -> Result<()> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path).into()),
        other => other.with_context(|| format!("failed to write `{}`", path.display())),
    }
}

fn exists(path: &Path) -> Refused {
    Refused::from(Refusal::new(
        format!("`{}` is already there", path.display()),
        "see what would be written with `cargo xtask init --dry-run`",
    ))
}
