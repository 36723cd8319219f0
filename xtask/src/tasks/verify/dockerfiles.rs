//! `verify dockerfiles`: what makes an image for the wrong CPU, before there is an image.

use std::process::ExitCode;

use anyhow::Result;

use super::super::Context;
use crate::{
    facts::paths,
    policy::dockerfile,
    problem::Problems,
    report::{document, terminal},
};

/// Checks every Dockerfile of the build context.
pub fn dockerfiles(context: &Context) -> Result<ExitCode> {
    let config = context.config()?;
    let mut reports = Vec::new();
    let mut wrong = 0;
    for (path, text) in paths::dockerfiles(&config) {
        let found = dockerfile::check(&text);
        let shown = config.shown(&path).to_path_buf();
        context.terminal.status("Checked", &shown.display().to_string());
        wrong += found.iter().filter(|problem| !dockerfile::is_note(problem)).count();
        if found.is_empty() {
            continue;
        }
        let problems = Problems::new(shown, text, found);
        terminal::problems(&problems.render());
        reports.extend(problems.report());
    }
    if context.global.json {
        document::print(&serde_json::json!({ "problems": reports }));
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
