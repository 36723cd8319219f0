//! Completions, as a shell has them.

use std::process::Command;

use crate::support::project::Project;

#[test]
fn bash_completes_our_words_after_cargo_xtask_and_leaves_cargo_s_to_cargo() {
    let project = Project::new();
    let script = project.run("completions bash").expect(0).stdout;
    let cargo = "_theirs() { COMPREPLY=(theirs); }\ncomplete -F _theirs cargo\n";
    let complete = "try() {\n COMP_WORDS=(\"$@\")\n COMP_CWORD=$(($# - 1))\n COMPREPLY=()\n\
                    f=$(complete -p cargo | sed -n 's/.*-F \\([^ ]*\\) .*/\\1/p')\n\
                    $f cargo \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"\n echo \"${COMPREPLY[*]}\"\n}\n";
    let tries =
        "try cargo xtask pus\ntry cargo xtask push --ser\ntry cargo xtask ci-\ntry cargo bu\n";
    let bash = Command::new("bash")
        .args(["-c", &format!("{cargo}{script}{complete}{tries}")])
        .output()
        .unwrap();
    let said = String::from_utf8(bash.stdout).unwrap();
    let said: Vec<_> = said.lines().collect();
    assert_eq!(
        said,
        [
            "push push-dev push-prod",
            "--service",
            "ci-workflow",
            "theirs"
        ],
        "{}",
        String::from_utf8_lossy(&bash.stderr)
    );
}

#[test]
fn every_shell_has_completions() {
    let project = Project::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = project.run(&format!("completions {shell}")).expect(0);
        assert!(run.stdout.contains("migrate-lambda"), "{shell}");
    }
}
