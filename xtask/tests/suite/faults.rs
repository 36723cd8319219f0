//! Something goes wrong with one request of a command: each request of each command, each kind of fault. Whatever comes of it, the state
//! is right or the error is named, and the same command, run again, ends as if nothing had been.
//!
//! `XTASK_ALL_FAULTS=1` plays every fault at every request; without it the commands that are told apart least take turns.

use std::{
    fs,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    deploy::{self, Migration},
    ecs::Shop,
    support::{
        aws::{Aws, Fault, Function, State},
        figures,
        project::{Project, Run},
    },
};

/// A command before it is run.
struct Stage {
    project: Project,
    line: &'static str,
    /// The AWS of each side.
    sides: Vec<Aws>,
    before: Vec<State>,
    /// What has come of it: what must not depend on what went wrong.
    state: Look,
}

impl Stage {
    fn new(
        project: Project,
        line: &'static str,
        others: Vec<Aws>,
        state: impl Fn(&Project, &[Aws]) -> String + 'static,
    ) -> Self {
        let mut sides = vec![project.aws.clone()];
        sides.extend(others);
        for side in &sides {
            side.state().requests.clear();
        }
        let before = sides.iter().map(|side| side.state().clone()).collect();
        Self {
            project,
            line,
            sides,
            before,
            state: Box::new(state),
        }
    }

    /// As before the command.
    fn reset(&self) {
        for (side, before) in self.sides.iter().zip(&self.before) {
            *side.state() = before.clone();
        }
        for file in ["target/xtask-record.jsonl", "docker/kubectl-state"] {
            let _ = fs::remove_file(self.project.path(file));
        }
    }

    /// Nothing goes wrong any more.
    fn heal(&self) {
        for side in &self.sides {
            side.state().heal();
        }
    }

    fn run(&self) -> Run {
        self.project.run(self.line)
    }

    fn state(&self) -> String {
        (self.state)(&self.project, &self.sides)
    }
}

/// The tags of a repository that name no time, and the digests.
fn lasting(aws: &Aws, repository: &str) -> String {
    let state = aws.state();
    let tags = state.repositories.get(repository).map(|one| &one.tags);
    let lasting = tags
        .into_iter()
        .flatten()
        .filter(|(tag, _)| !tag.contains("-20"));
    let lines: Vec<_> = lasting
        .map(|(tag, digest)| format!("{tag} {digest}"))
        .collect();
    lines.join("\n")
}

fn push() -> Stage {
    let project = Project::new();
    let function = Function::new("arm64", "sha256:old");
    project
        .aws
        .state()
        .functions
        .insert("backend-dev-worker".to_owned(), function);
    Stage::new(
        project,
        "push dev --service worker",
        Vec::new(),
        |_, sides| lasting(&sides[0], "backend"),
    )
}

fn index() -> Stage {
    let line = "push dev --service api --dockerfile Dockerfile.eks --multi-arch";
    Stage::new(Project::new(), line, Vec::new(), |_, sides| {
        lasting(&sides[0], "backend")
    })
}

fn function(sides: &[Aws]) -> String {
    let state = sides[0].state();
    let function = &state.functions["backend-dev-worker"];
    let alias = &function.aliases["live"].version;
    let aliased = function
        .versions
        .iter()
        .find(|one| one.0.to_string() == *alias);
    let aliased = aliased.map(|one| (one.1.clone(), one.2.clone()));
    format!("{} {} {aliased:?}", function.arch, function.digest)
}

fn lambda() -> Stage {
    let Migration { project, .. } = Migration::new();
    Stage::new(
        project,
        "migrate-lambda dev --service worker",
        Vec::new(),
        |_, sides| function(sides),
    )
}

fn rollback() -> Stage {
    let Migration { project, .. } = Migration::new();
    project.run("migrate-lambda dev --service worker").expect(0);
    Stage::new(
        project,
        "rollback dev --service worker --to 7",
        Vec::new(),
        |_, sides| function(sides),
    )
}

fn ecs() -> Stage {
    let Shop { project, .. } = Shop::new();
    Stage::new(
        project,
        "migrate-ecs dev --service worker",
        Vec::new(),
        |_, sides| {
            let state = sides[0].state();
            let definition = state.ecs.of_service("backend-dev-worker");
            let image = &definition["containerDefinitions"][1]["image"];
            format!(
                "{image} {}",
                definition["runtimePlatform"]["cpuArchitecture"]
            )
        },
    )
}

fn apprunner() -> Stage {
    let (project, _) = deploy::apprunner();
    let line = "migrate-apprunner dev --service api";
    Stage::new(project, line, Vec::new(), |_, sides| {
        sides[0].state().services["backend-dev-api"].image.clone()
    })
}

fn eks() -> Stage {
    let (project, _) = deploy::eks();
    Stage::new(
        project,
        "migrate-eks dev --service api",
        Vec::new(),
        |project, _| {
            let images = fs::read_to_string(project.path("docker/kubectl-state"));
            let images: Vec<String> =
                serde_json::from_str(&images.unwrap_or_else(|_| "[]".to_owned())).unwrap();
            images.last().cloned().unwrap_or_default()
        },
    )
}

fn promote() -> Stage {
    let (project, far) = deploy::two_accounts();
    project.run("push dev --service worker").expect(0);
    Stage::new(
        project,
        "promote dev prod --service worker --yes",
        vec![far],
        |_, sides| lasting(&sides[1], "prod/backend"),
    )
}

/// What goes wrong. The last are an AWS that never answers again, for which a deployment waits minutes: they are played where nothing
/// is waited for.
const FAULTS: [Fault; 10] = [
    Fault::Status(500),
    Fault::Throttled,
    Fault::Cut,
    Fault::Lost,
    Fault::Half,
    Fault::Garbage,
    Fault::Stale,
    Fault::Slow,
    Fault::Always(503),
    Fault::Gone,
];

/// How many of them last.
const LASTING: usize = 2;

/// How many of them a command has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Faults {
    /// Each at each request.
    All,
    /// One at each request, in turn.
    InTurn,
    /// One at each request, in turn, and none that lasts.
    Passing,
}

/// What has come of a command, in words.
type Look = Box<dyn Fn(&Project, &[Aws]) -> String>;

/// A side, the place of a request of it, and what goes wrong there.
type Cell = (usize, usize, Fault);

fn cells(requests: &[usize], wanted: Faults) -> Vec<Cell> {
    let all = wanted == Faults::All || std::env::var_os("XTASK_ALL_FAULTS").is_some();
    let left_out = if wanted == Faults::Passing {
        LASTING
    } else {
        0
    };
    let known = FAULTS.len() - left_out;
    let places = requests
        .iter()
        .enumerate()
        .flat_map(|(side, count)| (0..*count).map(move |at| (side, at)));
    let faults = |(side, at): (usize, usize)| {
        let turn = [FAULTS[at % known]];
        let faults = if all { &FAULTS[..known] } else { &turn[..] }.to_vec();
        faults.into_iter().map(move |fault| (side, at, fault))
    };
    places.flat_map(faults).collect()
}

/// How many requests a command makes of each side.
fn requests(stage: &Stage) -> Vec<usize> {
    stage.run().expect(0);
    let sides = stage.sides.iter();
    sides.map(|side| side.state().requests.len()).collect()
}

/// Plays every cell of a command, several at a time.
fn play(name: &str, stage: fn() -> Stage, wanted: Faults) {
    const AT_ONCE: usize = 8;
    let cells = cells(&requests(&stage()), wanted);
    each(name, stage, AT_ONCE, &cells, cell_is_right);
    figures::add("cells of the fault matrix", cells.len());
}

/// Holds each of some things to be right, so many at a time, each of these on a stage of its own.
fn each<T: Sync>(
    name: &str,
    stage: fn() -> Stage,
    at_once: usize,
    all: &[T],
    is_right: impl Fn(&Stage, &T, &str) -> Result<(), String> + Sync,
) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(all.len()) {
            scope.spawn(|| {
                let stage = stage();
                stage.run().expect(0);
                let expected = stage.state();
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = is_right(&stage, one, &expected) {
                        wrong.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{name}: {} of {}:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n\n")
    );
}

fn cell_is_right(stage: &Stage, cell: &Cell, expected: &str) -> Result<(), String> {
    let (side, at, fault) = *cell;
    stage.reset();
    stage.sides[side].state().fault_at = Some((at, fault));
    let run = stage.run();
    ends_right(stage, (side, at), &format!("{fault:?}"), &run, expected)
}

/// Whether a run with which something went wrong has ended as it may, and the same command then ends as if nothing had.
fn ends_right(
    stage: &Stage,
    (side, at): (usize, usize),
    what: &str,
    run: &Run,
    expected: &str,
) -> Result<(), String> {
    let name = stage.sides[side].state().requests.get(at).cloned();
    let name = name.unwrap_or_default();
    let about = |wrong: &str, run: &Run| {
        format!(
            "{what} at {name} ({at}) of side {side}: {wrong}, exit code {}:\n{}",
            run.code, run.stderr
        )
    };
    let state = stage.state();
    if !matches!(run.code, 0..=2 | 130) {
        return Err(about("an odd end", run));
    }
    if run.code == 0 && state != expected {
        return Err(about(&format!("`{state}` is not `{expected}`"), run));
    }
    let is_named = match run.code {
        0 => true,
        // A deployment that was interrupted after its last change has nothing to restore.
        130 => what == INTERRUPT && run.stderr.contains("interrupted"),
        _ => run.stderr.contains("error: "),
    };
    if !is_named {
        return Err(about("no error is named", run));
    }
    if run.stderr.contains("panicked") {
        return Err(about("a panic", run));
    }
    stage.heal();
    let again = stage.run();
    if again.code != 0 || stage.state() != expected {
        return Err(about(
            &format!(
                "after {}the rerun ends with `{}`",
                run.stderr,
                stage.state()
            ),
            &again,
        ));
    }
    Ok(())
}

/// What one of its ends may be about.
const INTERRUPT: &str = "an interrupt";

/// A command, and what makes a stage for it.
type Named = (&'static str, fn() -> Stage);

/// Interrupts a command with each of its requests in turn.
fn interrupt(name: &str, stage: fn() -> Stage) {
    const AT_ONCE: usize = 8;
    let requests = requests(&stage());
    let sides = requests.iter().enumerate();
    let places = sides.flat_map(|(side, count)| (0..*count).map(move |at| (side, at)));
    let places: Vec<_> = places.collect();
    let heard = AtomicUsize::new(0);
    each(
        name,
        stage,
        AT_ONCE,
        &places,
        |stage, (side, at), expected| {
            stage.reset();
            let mut command = stage.project.command(stage.line);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let child = {
                // The double waits for us, so that no request is missed.
                let mut state = stage.sides[*side].state();
                let child = command.spawn().unwrap();
                state.interrupt = Some((child.id(), *at));
                child
            };
            let run = Run::from(child.wait_with_output().unwrap());
            heard.fetch_add(usize::from(run.code != 0), Ordering::Relaxed);
            stage.heal();
            ends_right(stage, (*side, *at), INTERRUPT, &run, expected)
        },
    );
    // The last requests of a command may be answered before it has heard.
    let heard = heard.into_inner();
    assert!(
        heard * 2 > places.len(),
        "{name}: {heard} of {} were heard",
        places.len()
    );
    figures::add("interrupts", places.len());
}

#[test]
fn a_command_that_is_interrupted_anywhere_can_be_run_again() {
    let stages: [Named; 8] = [
        ("push", push),
        ("push of an index", index),
        ("migrate-lambda", lambda),
        ("migrate-ecs", ecs),
        ("migrate-apprunner", apprunner),
        ("migrate-eks", eks),
        ("rollback", rollback),
        ("promote", promote),
    ];
    for (name, stage) in stages {
        interrupt(name, stage);
    }
}

#[test]
fn a_request_that_is_never_answered_is_given_up() {
    // Nobody computes anything meanwhile.
    const AT_ONCE: usize = 30;
    let stages: [Named; 2] = [("push", push), ("migrate-lambda", lambda)];
    for (name, stage) in stages {
        let first = stage();
        first.run().expect(0);
        let asked = first.project.aws.state().requests.clone();
        // A function may take a quarter of an hour to answer.
        let asked = asked.iter().enumerate();
        let given_up = asked.filter(|(_, name)| !name.starts_with("Invoke"));
        let cells: Vec<_> = given_up.map(|(at, _)| (0, at, Fault::Hang)).collect();
        each(name, stage, AT_ONCE, &cells, cell_is_right);
        figures::add("cells of the fault matrix", cells.len());
    }
}

#[test]
fn a_network_that_is_gone_is_named() {
    let Stage { project, line, .. } = push();
    let gone = [("AWS_ENDPOINT_URL", "http://aws.invalid")];
    let run = project.run_with(line, &gone);
    assert!(
        run.code != 0 && run.stderr.contains("check the network"),
        "{}: {}",
        run.code,
        run.stderr
    );
    assert_eq!(lasting(&project.aws, "backend"), "");
    project.run(line).expect(0);
}

#[test]
fn an_engine_that_dies_while_it_builds_is_named_and_leaves_no_tag() {
    let Stage { project, line, .. } = push();
    project.write("docker/dies", "");
    let run = project.run(line).expect(1);
    assert!(run.stderr.contains("signal: 9"), "{}", run.stderr);
    assert_eq!(lasting(&project.aws, "backend"), "");
    std::fs::remove_file(project.path("docker/dies")).unwrap();
    project.run(line).expect(0);
}

#[test]
fn a_push_is_right_whatever_goes_wrong() {
    play("push", push, Faults::All);
}

#[test]
fn a_push_of_an_index_is_right_whatever_goes_wrong() {
    play("push of an index", index, Faults::InTurn);
}

#[test]
fn a_lambda_migration_is_right_whatever_goes_wrong() {
    play("migrate-lambda", lambda, Faults::Passing);
}

#[test]
fn an_ecs_migration_is_right_whatever_goes_wrong() {
    play("migrate-ecs", ecs, Faults::Passing);
}

#[test]
fn an_app_runner_migration_is_right_whatever_goes_wrong() {
    play("migrate-apprunner", apprunner, Faults::Passing);
}

#[test]
fn a_kubernetes_migration_is_right_whatever_goes_wrong() {
    play("migrate-eks", eks, Faults::Passing);
}

#[test]
fn a_rollback_is_right_whatever_goes_wrong() {
    play("rollback", rollback, Faults::Passing);
}

#[test]
fn a_promotion_is_right_whatever_goes_wrong() {
    play("promote", promote, Faults::InTurn);
}
