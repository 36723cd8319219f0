//! The commands in help, in groups by what people want to do.

use std::fmt::Write as _;

use clap::Command;

/// What people want to do, and the commands for it. A command of each environment is beside `push`.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Build",
        &[
            "docker-build",
            "docker-build-amd64",
            "run",
            "builders",
            "manifest",
        ],
    ),
    (
        "Ship",
        &[
            "push",
            "deploy",
            "migrate-lambda",
            "migrate-apprunner",
            "migrate-eks",
            "migrate-ecs",
            "promote",
        ],
    ),
    (
        "Look",
        &["overview", "status", "verify", "scan", "explain", "export"],
    ),
    ("Repair", &["rollback", "prune", "doctor", "explain-error"]),
    (
        "Set up",
        &[
            "init",
            "ci-workflow",
            "sandbox",
            "schema",
            "completions",
            "man",
        ],
    ),
];

/// Columns of the text, as clap has them for the rest.
const WIDTH: usize = 100;

/// Where commands are that no group has: tasks of the repository's own.
const OTHERS: &str = "This repository";

/// The same command line, with its commands in groups.
pub(super) fn grouped(command: Command) -> Command {
    let mut text = String::new();
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let shown = || {
        command
            .get_subcommands()
            .filter(|inner| !inner.is_hide_set())
    };
    let width = shown()
        .map(|inner| inner.get_name().len())
        .max()
        .unwrap_or(0);
    let titles = GROUPS.iter().map(|(title, _)| *title).chain([OTHERS]);
    for (at, group) in titles.enumerate() {
        let mut inner: Vec<_> = shown()
            .filter(|inner| place(inner.get_name()).0 == at)
            .collect();
        inner.sort_by_key(|inner| place(inner.get_name()).1);
        if inner.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{header}{group}:{header:#}");
        for one in inner {
            let (name, about) = (one.get_name(), one.get_about().map(ToString::to_string));
            let about = about.unwrap_or_default();
            let about = textwrap::wrap(&about, WIDTH - width - 4).join(&format!(
                "\n{:indent$}",
                "",
                indent = width + 4
            ));
            let _ = writeln!(text, "  {literal}{name:width$}{literal:#}  {about}");
        }
        text.push('\n');
    }
    // Braces would be taken for parts of the template.
    let text = text.replace(['{', '}'], "");
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}{header}Options of every command:{header:#}\n{{options}}{{after-help}}"
    ))
}

/// Where a command stands: the place of its group, and its own in that.
fn place(name: &str) -> (usize, usize) {
    let name = if name.starts_with("push-") {
        "push"
    } else {
        name
    };
    let mut groups = GROUPS.iter().enumerate();
    let found = groups.find_map(|(group, (_, names))| {
        let own = names.iter().position(|known| *known == name)?;
        Some((group, own))
    });
    found.unwrap_or((GROUPS.len(), 0))
}
