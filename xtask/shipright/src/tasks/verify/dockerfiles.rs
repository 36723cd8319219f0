//! `verify dockerfiles`: what makes an image for the wrong CPU, before there is an image.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use dockerfile_rules::Finding;

use crate::{
    context::Context,
    facts::paths,
    problem::{Problem, Problems},
    report::document,
    tasks::exit_code,
};

/// Checks the files that are named, or every Dockerfile of the build context.
pub(super) fn dockerfiles(context: &Context, files: &[PathBuf]) -> Result<ExitCode> {
    let texts: Vec<(PathBuf, String)> = if files.is_empty() {
        let config = context.config()?;
        paths::dockerfiles(&config)
            .into_iter()
            .map(|(path, text)| (config.shown(&path).to_path_buf(), text))
            .collect()
    } else {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("`{}` cannot be read", path.display()))?;
            Ok((path.clone(), text))
        };
        files.iter().map(read).collect::<Result<_>>()?
    };
    let mut reports = Vec::new();
    let mut wrong = 0;
    for (shown, text) in texts {
        let found = dockerfile_rules::check(&text);
        context
            .terminal
            .status("Checked", &shown.display().to_string());
        wrong += found.iter().filter(|finding| !finding.is_note).count();
        let (notes, mistakes): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|finding| finding.is_note);
        let problems = |found: Vec<Finding>| {
            Problems::new(
                shown.clone(),
                text.clone(),
                found.into_iter().map(Problem::from).collect(),
            )
        };
        let (notes, mistakes) = (problems(notes), problems(mistakes));
        let (of_notes, of_mistakes) = (notes.report(), mistakes.report());
        for note in &of_notes {
            context.terminal.note(&note.to_string());
        }
        if !of_mistakes.is_empty() {
            context.terminal.problems(&mistakes);
        }
        reports.extend(of_mistakes);
        reports.extend(of_notes);
    }
    if context.global.json {
        document::print(&serde_json::json!({ "problems": reports }));
    }
    Ok(exit_code(wrong == 0))
}
