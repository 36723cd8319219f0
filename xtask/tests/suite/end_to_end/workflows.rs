//! The workflows of CI systems, held against the schemas of those systems by a program of somebody else.

use std::{fs, path::Path, process::Command};

use super::clone::Clone;

/// It brings the schemas along.
const CHECKER: &str = "check-jsonschema==0.39.0";

pub(super) fn workflows_are_what_their_systems_take(clone: &Clone) {
    println!("--- workflows of CI systems");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workflow-checker");
    let program = home.join("bin/check-jsonschema");
    if !program.exists() {
        let python = home.join("bin/python");
        run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let words = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        run(Command::new(python).args(words).arg(CHECKER));
    }
    for (system, schema, more) in [
        ("github", "vendor.github-workflows", &[][..]),
        (
            "gitlab",
            "vendor.gitlab-ci",
            &["--data-transform", "gitlab-ci"][..],
        ),
    ] {
        let text = clone
            .run(&format!("ci-workflow {system} --dry-run"))
            .expect(0)
            .stdout;
        let file = home.join(format!("{system}.yml"));
        fs::write(&file, text).unwrap();
        let words = ["--builtin-schema", schema];
        run(Command::new(&program).args(words).args(more).arg(&file));
    }
}

fn run(command: &mut Command) {
    println!("$ {command:?}");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
