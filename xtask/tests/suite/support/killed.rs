//! Runs that are killed in the middle.

use std::process::Stdio;

use super::{aws::Aws, figures, project::Project};

/// Runs a command and kills it after each call to one side of AWS in turn; every time the same command, run again, ends in
/// the same state as one that was not killed.
pub(crate) fn killed_after_each_call<T: PartialEq + std::fmt::Debug>(
    project: &Project,
    sides: &[&Aws],
    line: &str,
    state: impl Fn() -> T,
) {
    let snapshots: Vec<_> = sides.iter().map(|side| side.state().clone()).collect();
    let reset = || {
        sides
            .iter()
            .zip(&snapshots)
            .for_each(|(side, snapshot)| *side.state() = snapshot.clone());
    };
    project.run(line).expect(0);
    let expected = state();
    for side in sides {
        let mut broken = 0;
        for call in 1.. {
            reset();
            let mut command = project.command(line);
            let mut child = {
                // The double waits for us, so that no call is missed.
                let mut state = side.state();
                let child = command
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                state.kill = Some((child.id(), call));
                child
            };
            let status = child.wait().unwrap();
            if side.state().kill.take().is_some() {
                assert!(status.success());
                break;
            }
            broken += 1;
            figures::add("kills", 1);
            let run = project.run(line);
            assert_eq!(run.code, 0, "killed after call {call}: {}", run.stderr);
            assert_eq!(state(), expected, "killed after call {call}");
        }
        assert!(broken > 5, "only {broken} calls were broken off");
    }
}
