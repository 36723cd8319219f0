//! What people see while something is done, and what they have at the end: at a terminal, in a log, in a workflow, as events.
//!
//! After a wanted change: `UPDATE_SNAPSHOTS=1 cargo test --test suite terminal`, and look at the screens in `fixtures/terminal`.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    aws::Function,
    picture::{Look, Piece, svg},
    project::{Project, fixture},
    screen::Screen,
};

/// A project whose builds say what BuildKit says.
fn project() -> Project {
    let project = Project::new();
    let vertex = |digest: &str, name: &str, more: Value| {
        let mut vertex = json!({ "digest": digest, "name": name });
        vertex
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "vertexes": [vertex] })
    };
    let started = json!({ "started": "2025-01-16T14:30:00Z" });
    let done = json!({ "started": "2025-01-16T14:30:00Z", "completed": "2025-01-16T14:30:01Z" });
    let cached = json!({ "started": "2025-01-16T14:30:00Z", "completed": "2025-01-16T14:30:00Z", "cached": true });
    let events = [
        vertex(
            "sha256:1",
            "[1/4] FROM docker.io/library/python:3.13",
            done.clone(),
        ),
        vertex("sha256:2", "[2/4] COPY requirements.txt /", cached),
        vertex(
            "sha256:3",
            "[3/4] RUN pip install --requirement requirements.txt",
            json!({}),
        ),
        vertex("sha256:4", "[4/4] COPY . /app", json!({})),
        vertex(
            "sha256:3",
            "[3/4] RUN pip install --requirement requirements.txt",
            started,
        ),
        json!({ "logs": [{ "vertex": "sha256:3", "data": "Q29sbGVjdGluZyBmbGFzawo=", "timestamp": "2025-01-16T14:30:00.5Z" }] }),
    ];
    let lines: Vec<_> = events.iter().map(Value::to_string).collect();
    project.write("docker/progress", &lines.join("\n"));
    project
}

/// What differs from run to run becomes words of the same width.
fn steady(project: &Project, text: &str) -> String {
    let text = text
        .replace(&project.head()[..7], "COMMIT7")
        .replace(project.path("").to_str().unwrap(), "/project/");
    let mut steady = String::new();
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').map(word).collect();
        let line = words.join(" ");
        steady.push_str(line.trim_end());
        steady.push('\n');
    }
    steady.trim_end().to_owned() + "\n"
}

fn word(word: &str) -> String {
    let bare = word.trim_end_matches([',', ')', '.', 's']);
    let is_hex = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    if let Some(digest) = bare.strip_prefix("sha256:").filter(|digest| is_hex(digest)) {
        return word.replace(digest, "DIGESTDIGEST");
    }
    if is_hex(bare) {
        return word.replace(bare, "DIGESTDIGEST");
    }
    if word.chars().all(|c| "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏".contains(c)) && !word.is_empty() {
        return "*".to_owned();
    }
    // `0.4` of `0.4 s`, and `0s` of a line that is drawn.
    if is_number(bare) && bare.contains('.') || word.ends_with('s') && is_number(bare) {
        return word.replace(bare, &"0".repeat(bare.len()).replace("000", "0.0"));
    }
    if let Some((_, rest)) = word.split_once("build-logs/")
        && let Some((_, file)) = rest.split_once('/')
    {
        return format!(
            "{}build-logs/{}/{file}",
            word.split("build-logs/").next().unwrap(),
            "RUN-RUN-RUN-RUN-RUN-RUN"
        );
    }
    word.to_owned()
}

/// The same with its live lines by name: which of two that begin at once comes first is chance.
fn in_order(text: &str) -> String {
    let (mut live, mut lines): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.starts_with("* "));
    live.sort_unstable();
    lines.extend(live);
    lines.join("\n") + "\n"
}

/// Compares a screen with the one that is on record.
fn compare(name: &str, shown: &str) {
    let file = fixture("terminal").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, shown).unwrap();
        return;
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(shown, known, "{}", file.display());
}

const WIDTHS: [u16; 3] = [40, 80, 120];

#[test]
fn a_push_ends_with_a_line_for_each_image_and_a_table() {
    for width in WIDTHS {
        let project = project();
        let (code, shown) = Screen::start(&mut project.command("push dev --jobs 1"), width).end();
        assert_eq!(code, 0, "{shown}");
        compare(&format!("push-{width}"), &steady(&project, &shown));
        // The same again: nothing is built, and what is there is said.
        let (code, shown) = Screen::start(&mut project.command("push dev --jobs 1"), width).end();
        assert_eq!(code, 0, "{shown}");
        compare(&format!("push-again-{width}"), &steady(&project, &shown));
    }
}

#[test]
fn a_line_shows_where_each_image_is_until_an_interrupt_takes_it_away() {
    for width in WIDTHS {
        let project = project();
        project.write("docker/hang-build", "");
        let mut screen = Screen::start(&mut project.command("push dev --jobs 2"), width);
        let shown = screen.wait_for_count("2/4", 2);
        compare(
            &format!("middle-{width}"),
            &in_order(&steady(&project, &shown)),
        );
        screen.press("\x03");
        let (code, shown) = screen.end();
        assert_eq!(code, 130, "{shown}");
        compare(&format!("interrupted-{width}"), &steady(&project, &shown));
    }
}

#[test]
fn a_failed_step_shows_its_own_log_once_with_the_lines_of_the_dockerfile() {
    for width in WIDTHS {
        let project = failing();
        let mut command = project.command("push dev --service worker");
        let (code, shown) = Screen::start(&mut command, width).end();
        assert_eq!(code, 1, "{shown}");
        assert_eq!(shown.matches("Collecting flask").count(), 1, "{shown}");
        compare(&format!("failed-build-{width}"), &steady(&project, &shown));
    }
}

#[test]
fn a_failed_proof_says_what_is_wrong() {
    for width in WIDTHS {
        let project = project();
        project.write("docker/lie", "amd64");
        let mut command = project.command("push dev --service worker");
        let (code, shown) = Screen::start(&mut command, width).end();
        assert_eq!(code, 1, "{shown}");
        compare(&format!("failed-proof-{width}"), &steady(&project, &shown));
    }
}

/// A project whose third step fails.
fn failing() -> Project {
    let project = project();
    let mut progress = fs::read_to_string(project.path("docker/progress")).unwrap();
    let error = "process \"/bin/sh -c pip install\" did not complete successfully: exit code: 1";
    let failed = json!({ "vertexes": [{ "digest": "sha256:3", "name": "[3/4] RUN pip install --requirement requirements.txt",
        "started": "2025-01-16T14:30:00Z", "completed": "2025-01-16T14:30:01Z", "error": error }] });
    let shown = "Dockerfile.lambda:3\n--------------------\n   3 | >>> RUN pip install --requirement requirements.txt\n--------------------";
    progress = format!("{progress}\n{failed}\n{shown}");
    project.write("docker/progress", &progress);
    project.write(
        "docker/fail-build",
        &format!("Dockerfile.lambda\nERROR: failed to solve: {error}"),
    );
    project
}

#[test]
fn a_log_has_a_line_for_each_event_and_at_most_twenty_for_a_warm_push_of_four_images() {
    let project = project();
    project.run("push dev").expect(0);
    project.write("backend/new.txt", "x");
    project.commit();
    let run = project.run("push dev").expect(0);
    // These images start no program, which is noted of each, and is no part of a push as it is.
    let lines: Vec<_> = run
        .stderr
        .lines()
        .filter(|line| !line.starts_with("note: "))
        .collect();
    assert!(lines.len() <= 20, "{} lines:\n{}", lines.len(), run.stderr);
    assert!(
        !run.stderr.contains('\r') && !run.stderr.contains('\x1b'),
        "{:?}",
        run.stderr
    );
    for image in ["api-lambda", "api-apprunner", "api-eks", "worker"] {
        let about = lines.iter().filter(|line| line.contains(image)).count();
        assert_eq!(
            about, 4,
            "announced, proven, pushed and summed up: {}",
            run.stderr
        );
    }
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("next: cargo xtask deploy dev"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_whole_log_of_a_build_is_in_a_file_that_a_failure_names() {
    let project = failing();
    let run = project.run("push dev --service worker").expect(1);
    let name = run
        .stderr
        .lines()
        .find_map(|line| line.split("the whole log of the build is ").nth(1));
    let log = fs::read_to_string(project.path(name.expect(&run.stderr))).unwrap();
    for line in [
        "#2 [2/4] COPY requirements.txt /",
        "#2 CACHED",
        "#3 0.500 Collecting flask",
        "#3 ERROR: process",
    ] {
        assert!(log.contains(line), "{line} is missing in:\n{log}");
    }
    assert_eq!(
        project.git("status --porcelain"),
        "",
        "logs make no tree dirty"
    );
}

#[test]
fn no_color_no_unicode_and_quiet_are_kept() {
    let project = project();
    let mut command = project.command("push dev --service worker");
    command.env("NO_COLOR", "1").env("LC_ALL", "C");
    let (code, _) = Screen::start(&mut command, 80).end();
    assert_eq!(code, 0);
    let quiet = project.run("push dev --service worker --quiet").expect(0);
    assert_eq!(quiet.stderr, "");
    let loud = project
        .run("push dev --service worker --color always")
        .expect(0);
    assert!(loud.stderr.contains("\x1b["), "{:?}", loud.stderr);
    let plain = project
        .run_with("push dev --service worker", &[("LC_ALL", "C")])
        .expect(0);
    assert!(plain.stderr.is_ascii(), "{}", plain.stderr);
}

#[test]
fn verbose_shows_each_command_and_each_call_with_its_time() {
    let project = project();
    let run = project.run("push dev --service worker --verbose").expect(0);
    let has = |start: &str| {
        run.stderr.lines().any(|line| {
            line.starts_with(&format!("detail: {start}"))
                && (line.ends_with(" ms") || line.ends_with(" s"))
        })
    };
    for call in [
        "docker version",
        "docker buildx build",
        "BatchGetImage: HTTP 200",
        "PutImage: HTTP 200",
        "GetCallerIdentity: HTTP 200",
        "HEAD 127.0.0.1:",
    ] {
        assert!(has(call), "{call} is missing in:\n{}", run.stderr);
    }
}

#[test]
fn events_are_one_json_object_a_line() {
    let project = project();
    let run = project
        .run("push dev --service worker --log-format json")
        .expect(0);
    let events: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let names: Vec<_> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    for name in [
        "build", "prove", "proven", "push", "tag", "verify", "pushed",
    ] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    let pushed = events
        .iter()
        .find(|event| event["event"] == "pushed")
        .unwrap();
    assert_eq!(pushed["image"], "worker");
    assert!(
        pushed["digest"].as_str().unwrap().starts_with("sha256:") && pushed["seconds"].is_number(),
        "{pushed}"
    );
    let failed = failing()
        .run("push dev --service worker --log-format json")
        .expect(1);
    let errors = failed
        .stderr
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(errors.into_iter().any(|event| event["level"] == "error"
        && event["message"].as_str().unwrap().contains("exit code: 1")));
}

#[test]
fn a_workflow_gets_groups_annotations_masks_a_summary_and_outputs() {
    let project = project();
    let (summary, output) = (project.path("summary.md"), project.path("output"));
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ("GITHUB_OUTPUT", output.to_str().unwrap()),
    ];
    // A finding of the Dockerfile, and words that the runner must not obey.
    project.write(
        "backend/Dockerfile.lambda",
        "FROM --platform=linux/amd64 scratch\n",
    );
    let mut progress = fs::read_to_string(project.path("docker/progress")).unwrap();
    progress.push_str("\n::set-env name=X::y");
    project.write("docker/progress", &progress);
    project.commit();
    let output_of = project
        .command("push dev --service worker")
        .envs(variables)
        .output()
        .unwrap();
    let said = String::from_utf8(output_of.stderr).unwrap();
    assert_eq!(output_of.status.code(), Some(0), "{said}");
    let at = |start: &str| {
        said.lines()
            .position(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("{start} is missing in:\n{said}"))
    };
    let (mask, group, end) = (
        at("::add-mask::"),
        at("::group::worker linux/arm64"),
        at("::endgroup::"),
    );
    assert!(mask < group && group < end, "{said}");
    let finding = at("::error file=backend/Dockerfile.lambda,line=1::");
    assert!(finding < group, "{said}");
    let (stop, command) = (at("::stop-commands::"), at("::set-env"));
    assert!(group < stop && stop < command && command < end, "{said}");
    let summary = fs::read_to_string(&summary).unwrap();
    assert!(summary.contains("| worker | linux/arm64 |"), "{summary}");
    let outputs = fs::read_to_string(&output).unwrap();
    assert!(outputs.contains("digest-worker=sha256:"), "{outputs}");
    assert!(outputs.contains("image-worker=127.0.0.1:"), "{outputs}");
    assert!(
        outputs.contains("tags-worker<<") && outputs.contains("\nworker-dev-latest\n"),
        "{outputs}"
    );
    // A failed step is shown at its line.
    let failing = failing();
    let run = failing
        .command("push dev --service worker")
        .envs(variables)
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(
        said.contains("::error file=backend/Dockerfile.lambda,line=3::worker: the build"),
        "{said}"
    );
}

#[test]
fn a_buildx_that_knows_no_json_tells_its_progress_in_words() {
    let project = project();
    project.write("docker/old-buildx", "");
    let run = project.run("push dev --service worker").expect(0);
    assert!(!run.stderr.contains("error"), "{}", run.stderr);
    let builds = project.docker_log();
    let builds: Vec<_> = builds
        .lines()
        .filter(|line| line.starts_with("buildx build"))
        .collect();
    assert_eq!(builds.len(), 2, "{builds:?}");
    assert!(builds[0].contains("--progress=rawjson") && builds[1].contains("--progress=plain"));
}

/// Four services, each for another target or another purpose.
const SHOP: &str = r#"
[project]
name = "shop"
context = "backend"

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true

[services]
api = { images = [{ dockerfile = "Dockerfile.lambda" }] }
jobs = { images = [{ dockerfile = "Dockerfile.lambda" }] }
cart = { images = [{ dockerfile = "Dockerfile.eks" }] }
web = { images = [{ dockerfile = "Dockerfile.apprunner" }] }
"#;

/// Layers of the four as builds make them, the first of which is their base image's. `change` is in the last of each.
fn layers(change: &str) -> String {
    let of = |base: (&str, usize), packages: usize, application: usize| {
        json!([
            ["base", base.1, base.0],
            ["usr/share/certificates", 212_000, "the same in all"],
            ["packages", packages, "wheels"],
            ["app", application, change],
        ])
    };
    let slim = ("slim", 28_400_000);
    json!({
        "SERVICE_FOLDER=api": of(slim, 12_700_000, 61_000),
        "SERVICE_FOLDER=jobs": of(slim, 9_300_000, 43_000),
        "SERVICE_FOLDER=cart": of(slim, 4_100_000, 38_000),
        "SERVICE_FOLDER=web": of(("slim for the other CPU", 27_600_000), 7_900_000, 112_000),
    })
    .to_string()
}

/// What differs from run to run becomes something that could have been.
fn posed(rows: &mut [Vec<Piece>]) {
    const DIGESTS: [&str; 8] = [
        "4be1f0a97c35",
        "d80c2e6b91f4",
        "71a5c3fe0d28",
        "e6029b8d4fa1",
        "93d7f15ac0e2",
        "0b64e8c7a5d9",
        "f2187d30be6c",
        "5ca90e43d17b",
    ];
    let times = [
        ("api", "6.2 s"),
        ("jobs", "5.4 s"),
        ("cart", "3.9 s"),
        ("web", "4.7 s"),
    ];
    let mut known: Vec<String> = Vec::new();
    for piece in rows.iter_mut().flatten() {
        let is_hex = |word: &&str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
        let text = piece.text.replace("sha256:", " ").replace(',', " ");
        for digest in text.split(' ').filter(is_hex) {
            if !known.iter().any(|one| one == digest) {
                known.push(digest.to_owned());
            }
        }
        for (digest, other) in known.iter().zip(DIGESTS) {
            piece.text = piece.text.replace(digest, other);
        }
        let named = |(name, _): &&(&str, &str)| {
            let rest = piece.text.trim_start().strip_prefix(*name);
            rest.is_some_and(|rest| rest.starts_with([' ', ':']))
        };
        let Some((_, time)) = times.iter().find(named) else {
            continue;
        };
        let shown = piece.text.trim_end();
        if let Some((before, _)) = shown
            .strip_suffix(" s")
            .and_then(|text| text.rsplit_once(' '))
        {
            piece.text = format!("{before} {time}");
        }
    }
}

#[test]
fn the_picture_of_the_docs_is_what_a_push_looks_like() {
    const COLUMNS: u16 = 100;
    let project = Project::with_deploy(SHOP);
    project.write("docker/layers.json", &layers("first"));
    let first = project.run("push dev --json").expect(0).json();
    for (service, place) in [("api", 0), ("jobs", 1)] {
        let digest = first["images"][place]["digest"].as_str().unwrap();
        let name = format!("shop-dev-{service}");
        let function = Function::new("arm64", digest);
        project.aws.state().functions.insert(name, function);
    }
    project.write("docker/layers.json", &layers("second"));
    project.write("backend/changed", "1");
    project.commit();
    let mut command = project.command("push-dev --jobs 1");
    let (code, mut rows) = Screen::start(&mut command, COLUMNS).end_as_painted();
    assert_eq!(code, 0, "{rows:?}");
    posed(&mut rows);
    let typed = [("$ ", true), ("cargo xtask push-dev", false)].map(|(text, is_faint)| Piece {
        column: if is_faint { 0 } else { 2 },
        text: text.to_owned(),
        look: Look {
            is_faint,
            is_bold: !is_faint,
            ..Look::default()
        },
    });
    rows.insert(0, typed.to_vec());
    let title = "A terminal: cargo xtask push-dev builds four images, each for the CPU of its target, pushes the one layer of each that \
                 is new, and ends with a table of sizes, digests, tags, and what still runs";
    let drawn = svg(title, COLUMNS.into(), &rows);
    let file = fixture("../../../docs/push.svg");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&file, drawn).unwrap();
        return;
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(drawn, known, "{}", file.display());
}
