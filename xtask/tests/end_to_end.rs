//! The whole way with real parts: a real Docker Engine, a real registry, real images for both CPUs, and other people's
//! clients that look at what came of it.
//!
//! `cargo xtask ci` runs this; by hand: `cargo test --test end_to_end -- --ignored --nocapture`. The sandbox of these tests
//! is their own and is stopped at the end; what it has fetched stays for the next run.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests start programs and print what they do")]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use support::project::{Run, fixture};
use tempfile::TempDir;

/// The emulator's registry password.
const TOKEN: &str = "ministack-auth-token";

/// A clean clone of this repository, as its files are now, with a sandbox.
struct Clone {
    folder: TempDir,
}

impl Clone {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let listed = Command::new("git").current_dir(&source).args(["ls-files", "-z"]).output().unwrap();
        for name in String::from_utf8(listed.stdout).unwrap().split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (source.join(name), folder.path().join(name));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            if from.exists() {
                fs::copy(&from, &to).unwrap();
            }
        }
        let clone = Self { folder };
        clone.git("init --quiet --initial-branch=main");
        clone.commit("first");
        clone
    }

    fn git(&self, words: &str) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let output = Command::new("git").current_dir(self.folder.path()).args(identity).args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "git {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git("add --all");
        self.git(&format!("commit --quiet --message={message}"));
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.current_dir(self.folder.path()).args(line.split(' ')).env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"));
        for name in ["ARCH", "DOCKERFILE", "AWS_ENDPOINT_URL", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Run {
        println!("$ cargo xtask {line}");
        let run = Run::from(self.command(line).output().unwrap());
        assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN), "the token is in the output of {line}");
        run
    }

    /// Runs a program with the variables that `sandbox env` prints.
    fn client(&self, program: &str, words: &[&str]) -> String {
        let variables: BTreeMap<String, String> = serde_json::from_str(&self.run("sandbox env --json").expect(0).stdout).unwrap();
        println!("$ {program} {}", words.join(" "));
        let output = Command::new(program).args(words).envs(variables).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{program} {words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn status(&self) -> Value {
        self.run("sandbox status --json").expect(0).json()
    }

    /// Every tag of the repository, as other programs see it.
    fn look(&self) -> BTreeMap<String, Value> {
        let status = self.status();
        let text = |key: &str| status[key].as_str().unwrap().to_owned();
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox");
        let environment = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
        let python: PathBuf = environment.map(|path| path.join("bin/python")).find(|path| path.exists()).unwrap();
        let script = fixture("look.py");
        let words = [script.to_str().unwrap(), &text("endpoint"), &text("region"), "backend"];
        serde_json::from_str(&self.client(python.to_str().unwrap(), &words)).unwrap()
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        let _ = self.command("sandbox down").status();
    }
}

/// Looks for the token in every command line of the machine while something runs.
fn without_token_in_any_command_line<T>(work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut found = None;
            while !done.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if line.contains(TOKEN) {
                        found = Some(line);
                    }
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            found
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        assert_eq!(watcher.join().unwrap(), None);
        result
    })
}

#[test]
#[ignore = "takes minutes and a machine of its own: `cargo xtask ci` runs it"]
fn the_whole_way_with_real_parts() {
    let clone = Clone::new();
    let docker_config = std::env::var("HOME").ok().map(|home| Path::new(&home).join(".docker/config.json"));
    let login_before = docker_config.as_ref().and_then(|file| fs::read(file).ok());

    two_starts_at_once_make_one_sandbox(&clone);
    let first = without_token_in_any_command_line(|| clone.run("push-dev --sandbox --json").expect(0).json());
    six_tags_each_for_the_right_cpu(&clone, &first);
    images_run_on_the_cpu_that_they_are_for(&clone);
    a_second_run_builds_nothing(&clone, &first);
    local_builds_stay_local(&clone);
    a_run_that_is_killed_anywhere_can_be_run_again(&clone);
    other_dockerfiles_build_too(&clone);
    an_image_that_lies_is_not_pushed(&clone);
    protected_environments_are_refused_before_anything_is_built(&clone);

    assert_eq!(docker_config.and_then(|file| fs::read(file).ok()), login_before, "the user's docker configuration was touched");
    down_leaves_nothing_running(&clone);
}

fn two_starts_at_once_make_one_sandbox(clone: &Clone) {
    println!("--- two starts at once");
    let start = || clone.command("sandbox up --json").stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let outcomes = [start(), start()].map(|child| Run::from(child.wait_with_output().unwrap()).expect(0).json());
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0], clone.run("sandbox up --json").expect(0).json(), "a third start changes nothing");
    let endpoint = outcomes[0]["endpoint"].as_str().unwrap();
    assert!(endpoint.starts_with("http://localhost:"), "{endpoint}");
}

fn six_tags_each_for_the_right_cpu(clone: &Clone, report: &Value) {
    println!("--- what other clients see");
    let tags = clone.look();
    let commit = clone.git("rev-parse HEAD");
    let expected = [("api-lambda-", "arm64"), ("api-apprunner-", "amd64"), ("api-eks-", "arm64"), ("worker-", "arm64")];
    assert_eq!(tags.len(), 24, "{:?}", tags.keys());
    for (prefix, arch) in expected {
        let of_image: Vec<_> = tags.iter().filter(|(tag, _)| tag.starts_with(prefix)).collect();
        assert_eq!(of_image.len(), 6, "{prefix}");
        let digest = &of_image[0].1["digest"];
        for (tag, seen) in &of_image {
            assert_eq!(&seen["digest"], digest, "{tag}");
            assert_eq!(seen["api-digest"], seen["digest"], "{tag}");
            assert_eq!(seen["platform"], format!("linux/{arch}"), "{tag}");
            let media_type = seen["media-type"].as_str().unwrap();
            assert!(
                media_type.contains("manifest.v") && !media_type.contains("list") && !media_type.contains("index"),
                "{media_type}"
            );
            assert_eq!(seen["labels"]["org.opencontainers.image.revision"], commit, "{tag}");
            assert!(seen["labels"]["org.opencontainers.image.created"].as_str().unwrap().ends_with('Z'), "{tag}");
        }
        let names: Vec<_> = of_image.iter().map(|(tag, _)| tag.as_str()).collect();
        for end in [format!("dev-{arch}-latest"), "dev-latest".into(), format!("{}-{arch}", &commit[..7]), commit[..7].to_owned()]
        {
            assert!(names.contains(&format!("{prefix}{end}").as_str()), "{prefix}{end} is not in {names:?}");
        }
        let image = report["images"].as_array().unwrap().iter().find(|image| image["tags"].get(names[0]).is_some());
        assert_eq!(&image.unwrap()["digest"], digest, "{prefix}");
    }
}

fn images_run_on_the_cpu_that_they_are_for(clone: &Clone) {
    println!("--- running the images");
    let registry = clone.status()["registry"].as_str().unwrap().to_owned();
    let commit = clone.git("rev-parse HEAD");
    let lambda = "import handler; print(handler.handler({'rawPath': '/'}, None)['body'])";
    let server = "import service; print(service.answer('/').decode())";
    let cases = [
        ("api-lambda", "linux/arm64", lambda, "aarch64"),
        ("worker", "linux/arm64", lambda, "aarch64"),
        ("api-eks", "linux/arm64", server, "aarch64"),
        ("api-apprunner", "linux/amd64", server, "x86_64"),
    ];
    for (image, platform, program, machine) in cases {
        let reference = format!("{registry}/backend:{image}-dev-latest");
        let words = ["run", "--rm", "--quiet", "--platform", platform, "--entrypoint", "python3", &reference, "-c", program];
        let answer: Value = serde_json::from_str(&clone.client("docker", &words)).unwrap();
        assert_eq!(
            (answer["architecture"].as_str(), answer["revision"].as_str()),
            (Some(machine), Some(commit.as_str())),
            "{image}"
        );
    }
}

fn a_second_run_builds_nothing(clone: &Clone, first: &Value) {
    println!("--- a second run");
    let before = clone.look();
    let run = clone.run("push-dev --sandbox --json").expect(0);
    let second = run.json();
    for (first, second) in first["images"].as_array().unwrap().iter().zip(second["images"].as_array().unwrap()) {
        assert_eq!(second["built"], false);
        assert_eq!(first["digest"], second["digest"]);
    }
    assert_eq!(clone.look(), before);
}

fn local_builds_stay_local(clone: &Clone) {
    println!("--- local builds");
    let before = clone.look();
    clone.run("docker-build --sandbox").expect(0);
    clone.run("docker-build-amd64 --sandbox --service worker").expect(0);
    let machine = |image: &str, platform: &str| {
        let program = "import platform; print(platform.machine())";
        clone.client("docker", &["run", "--rm", "--platform", platform, "--entrypoint", "python3", image, "-c", program])
    };
    assert_eq!(machine("backend:arm64-latest", "linux/arm64"), "aarch64");
    assert_eq!(machine("backend:api-arm64-latest", "linux/arm64"), "aarch64");
    assert_eq!(machine("backend:worker-amd64-latest", "linux/amd64"), "x86_64");
    let run = Run::from(
        clone.command("docker-build --sandbox --json").env("ARCH", "amd64").env("DOCKERFILE", "Dockerfile.eks").output().unwrap(),
    );
    assert_eq!(run.expect(0).json()["images"][0]["local-names"][0], "backend:amd64-latest");
    assert_eq!(clone.look(), before, "nothing was pushed");
}

fn a_run_that_is_killed_anywhere_can_be_run_again(clone: &Clone) {
    println!("--- killed at every step");
    for (number, step) in ["Building", "Pushing", "Tagging", "-latest"].into_iter().enumerate() {
        fs::write(clone.folder.path().join("backend/api/changed.py"), format!("# {number}\n")).unwrap();
        clone.commit("change");
        let mut child = clone.command("push-dev --sandbox --service api").stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reached = lines.map_while(Result::ok).any(|line| line.contains(step) && !line.contains('|'));
        assert!(reached, "the run never came to {step}");
        child.kill().unwrap();
        child.wait().unwrap();
        let before = clone.look();
        let commit = clone.git("rev-parse HEAD");
        for (tag, seen) in
            before.iter().filter(|(_, seen)| seen["labels"]["org.opencontainers.image.revision"] == commit.as_str())
        {
            let moved_early = tag.ends_with("latest") && step != "-latest";
            assert!(!moved_early, "{tag} moved before {step}: {seen}");
        }
        clone.run("push-dev --sandbox --service api --json").expect(0);
        let after = clone.look();
        for target in ["lambda", "apprunner", "eks"] {
            assert_eq!(
                after[&format!("api-{target}-dev-latest")]["digest"],
                after[&format!("api-{target}-{}", &commit[..7])]["digest"]
            );
            assert_eq!(
                after[&format!("api-{target}-dev-latest")]["labels"]["org.opencontainers.image.revision"],
                commit.as_str()
            );
        }
    }
}

fn other_dockerfiles_build_too(clone: &Clone) {
    println!("--- a Dockerfile as the seeds have it, and a plain one");
    let arg_first = "ARG PYTHON_BASE=python:3.13-slim\nARG TARGETPLATFORM\nFROM --platform=$TARGETPLATFORM ${PYTHON_BASE}\n\
                     ARG SERVICE_FOLDER\nCOPY ${SERVICE_FOLDER} /app/\nRUN python3 -c 'import platform; print(platform.machine())' > /machine\n";
    fs::write(clone.folder.path().join("backend/Dockerfile.other"), arg_first).unwrap();
    for (arch, machine) in [("arm64", "aarch64"), ("amd64", "x86_64")] {
        let name = format!("backend:{arch}-latest");
        clone.run(&format!("docker-build --sandbox --arch {arch} --dockerfile Dockerfile.other")).expect(0);
        let platform = format!("linux/{arch}");
        let words = ["run", "--rm", "--platform", &platform, &name, "cat", "/machine"];
        assert_eq!(clone.client("docker", &words), machine);
    }
    let refused = clone.run("docker-build --sandbox --dockerfile Dockerfile.other").expect(2);
    assert!(refused.stderr.contains("--arch"), "{}", refused.stderr);
    fs::remove_file(clone.folder.path().join("backend/Dockerfile.other")).unwrap();
}

/// The seeds' lesson, "Python is not Go", and its compiled twin: the config says arm64 and the bytes do not.
fn an_image_that_lies_is_not_pushed(clone: &Clone) {
    println!("--- lies");
    let file = clone.folder.path().join("backend/Dockerfile.eks");
    let honest = fs::read_to_string(&file).unwrap();
    let wheels = "ARG PYTHON_BASE\nFROM --platform=$BUILDPLATFORM ${PYTHON_BASE} AS packages\n\
                  RUN --mount=type=secret,id=ca PIP_CERT=/run/secrets/ca pip install --quiet --root-user-action=ignore --target /packages orjson==3.13.0\n\
                  FROM ${PYTHON_BASE}\nCOPY --from=packages /packages /packages\nCMD [\"python3\"]\n";
    let copied = "ARG PYTHON_BASE\nFROM --platform=$BUILDPLATFORM ${PYTHON_BASE} AS build\nFROM ${PYTHON_BASE}\n\
                  COPY --from=build /usr/bin/uname /opt/tool\nCMD [\"python3\"]\n";
    // On an arm64 machine the same Dockerfiles are honest: then there is nothing to see here.
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    for (lie, path, words) in [
        (wheels, "packages/orjson/", ["Python package orjson 3.13.0", "COPY /packages /packages", "--python-platform"]),
        (copied, "opt/tool", ["opt/tool", "COPY /usr/bin/uname /opt/tool", "$TARGETARCH"]),
    ] {
        fs::write(&file, lie).unwrap();
        clone.commit("lie");
        let before = clone.look();
        let run = clone.run("push-dev --sandbox --service api --dockerfile Dockerfile.eks --json").expect(1);
        let error = run.json()["images"][0]["error"].as_str().unwrap().to_owned();
        assert!(error.contains(path) && error.contains("machine code for amd64, expected arm64"), "{error}");
        for word in words {
            assert!(error.contains(word), "{word} is not in {error}");
        }
        assert_eq!(clone.look(), before, "nothing was pushed");
    }
    let commit = clone.git("rev-parse --short=7 HEAD");
    let allowed = fs::read_to_string(clone.folder.path().join("deploy.toml")).unwrap().replace(
        "dockerfile = \"Dockerfile.eks\"",
        "dockerfile = \"Dockerfile.eks\"\nforeign = [{ path = \"opt/tool\", reason = \"shows that it can be\" }]",
    );
    fs::write(clone.folder.path().join("allowed.toml"), allowed).unwrap();
    let config = "push-dev --sandbox --service api --dockerfile Dockerfile.eks --config allowed.toml";
    clone.run(config).expect(0);
    let registry = clone.status()["registry"].as_str().unwrap().to_owned();
    let verify = clone.run(&format!("verify image {registry}/backend:api-eks-{commit}-dirty --sandbox --json")).expect(1);
    assert_eq!(verify.json()["verdict"]["findings"][0]["path"], "opt/tool");
    clone.run(&format!("verify image {registry}/backend:api-lambda-dev-latest --sandbox --target lambda")).expect(0);
    clone.run(&format!("verify image {registry}/backend:api-lambda-dev-latest --sandbox --target apprunner")).expect(1);
    let archive = clone.folder.path().join("saved.tar");
    clone.client("docker", &["save", "--output", archive.to_str().unwrap(), "backend:arm64-latest"]);
    clone.run("verify image ./saved.tar --arch arm64").expect(0);
    clone.run("verify image ./saved.tar --arch amd64").expect(1);
    fs::remove_file(archive).unwrap();
    fs::remove_file(clone.folder.path().join("allowed.toml")).unwrap();
    fs::write(&file, honest).unwrap();
    clone.commit("honest");
}

fn protected_environments_are_refused_before_anything_is_built(clone: &Clone) {
    println!("--- guards");
    fs::write(clone.folder.path().join("untracked"), "").unwrap();
    let dirty = clone.run("push-prod --sandbox --yes").expect(2);
    assert!(dirty.stderr.contains("dirty") && !dirty.stderr.contains("Building"), "{}", dirty.stderr);
    fs::remove_file(clone.folder.path().join("untracked")).unwrap();
    clone.git("switch --quiet --create feature");
    let branch = clone.run("push-prod --sandbox --yes").expect(2);
    assert!(branch.stderr.contains("feature"), "{}", branch.stderr);
    clone.git("switch --quiet main");
    let variables: BTreeMap<String, String> = serde_json::from_str(&clone.run("sandbox env --json").expect(0).stdout).unwrap();
    let account = Run::from(clone.command("push-prod --yes").envs(variables).output().unwrap()).expect(2);
    assert!(account.stderr.contains("000000000000") && account.stderr.contains("444455556666"), "{}", account.stderr);
    let unasked = clone.run("push-prod --sandbox").expect(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    clone.run("push-prod --sandbox --yes").expect(0);
}

fn down_leaves_nothing_running(clone: &Clone) {
    println!("--- the end");
    clone.run("sandbox down").expect(0);
    assert_eq!(clone.status()["running"], false);
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox").canonicalize().unwrap();
    let home = home.to_str().unwrap();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(home), "still running: {}", String::from_utf8_lossy(&line));
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    assert!(!mounts.contains(home), "still mounted: {mounts}");
    clone.run("sandbox down").expect(0);
}
