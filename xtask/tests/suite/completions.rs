//! Completions, as a shell has them.

use std::process::Command;

use crate::support::{project::Project, screen::Screen};

#[test]
fn bash_completes_our_words_after_cargo_xtask_and_leaves_cargo_s_to_cargo() {
    let project = Project::new();
    let script = project.run("completions bash").expect(0).stdout;
    let cargo = "_theirs() { COMPREPLY=(theirs); }\ncomplete -F _theirs cargo\n";
    let complete = "try() {\n COMP_WORDS=(\"$@\")\n COMP_CWORD=$(($# - 1))\n COMPREPLY=()\n\
                    f=$(complete -p cargo | sed -n 's/.*-F \\([^ ]*\\) .*/\\1/p')\n\
                    $f cargo \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"\n echo \"${COMPREPLY[*]}\"\n}\n";
    let tries = "try cargo xtask pus\ntry cargo xtask push --ser\ntry cargo xtask ci-\ntry cargo bu\n\
         try cargo xtask push d\ntry cargo xtask push dev --service ''\n\
         try cargo xtask push-dev --dockerfile Dockerfile.a\ntry cargo xtask rollback dev --to worker-\n";
    let bash = Command::new("bash")
        .current_dir(project.path("backend"))
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
            "theirs",
            "dev",
            "api worker",
            "Dockerfile.apprunner",
            &format!(
                "worker-dev-latest worker-prod-latest worker-{}",
                &project.head()[..7]
            ),
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
        assert!(run.stdout.contains("XTASK_COMPLETE"), "{shell}");
        let program = env!("CARGO_BIN_EXE_xtask");
        assert!(
            run.stdout.contains(program),
            "{shell} starts what printed its script, and nothing that it finds"
        );
    }
}

#[test]
fn fish_completes_our_words_and_their_values() {
    let project = Project::new();
    let script = project.run("completions fish").expect(0).stdout;
    let lines = "complete -C 'cargo xtask push '\necho ==\ncomplete -C 'cargo xtask deploy dev --service w'\n";
    let fish = Command::new("fish")
        .current_dir(project.path("backend"))
        .env("HOME", project.path("home"))
        .args(["--no-config", "-c", &format!("{script}\n{lines}")])
        .output();
    // Where there is no fish, nobody has it complete anything.
    let Ok(fish) = fish else { return };
    let said = String::from_utf8(fish.stdout).unwrap();
    let (push, service) = said.split_once("==\n").unwrap();
    assert!(push.lines().any(|line| line == "dev"), "{said}");
    assert_eq!(service.trim(), "worker");
}

#[test]
fn zsh_completes_our_words_and_their_values() {
    let project = Project::new();
    let script = project.run("completions zsh").expect(0).stdout;
    project.write(
        "home/complete.zsh",
        &format!("autoload -U compinit; compinit -u\n{script}"),
    );
    let mut zsh = Command::new("zsh");
    zsh.current_dir(project.path("backend"))
        .env("HOME", project.path("home"))
        .env("ZDOTDIR", project.path("home"))
        .arg("-f");
    if Command::new("zsh").arg("--version").output().is_err() {
        return;
    }
    let mut screen = Screen::start(&mut zsh, 100);
    screen.press("source ~/complete.zsh && echo ready-$((1 + 1))\n");
    screen.wait_for_count("ready-2", 1);
    screen.press("cargo xtask deploy dev --service wor\t");
    screen.wait_for_count("--service worker", 1);
    // The line is taken away, and another typed.
    screen.press("\x15exit\n");
    screen.end();
}
