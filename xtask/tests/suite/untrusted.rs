//! Somebody else's repository: a command that looks starts no program which the repository chooses, sends no credentials where it says,
//! and writes nothing outside of it. Each trap is a program that leaves a file behind; each is seen to work first.
//!
//! `docs/threats.md` names these tests.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::support::{
    aws::Aws,
    project::{DEPLOY, Project},
};

/// Commands that look, with a `deploy.toml` that has an image for each target.
const LOOKS: [&str; 16] = [
    "",
    "--help",
    "push --help",
    "push dev --dry-run",
    "push dev --dry-run --since main",
    "deploy dev --dry-run",
    "docker-build --dry-run",
    "status dev",
    "verify",
    "verify dockerfiles",
    "verify eks dev",
    "explain api",
    "builders",
    "doctor",
    "export bake",
    "completions bash",
];

/// A program that leaves a file behind, outside of the repository.
struct Trap {
    directory: TempDir,
}

impl Trap {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let trap = Self { directory };
        let text = format!(
            "#!/bin/sh\necho \"$0 $*\" >> {}\nexit 1\n",
            trap.sprung().display()
        );
        fs::write(trap.program(), text).unwrap();
        executable(&trap.program());
        trap
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("trap")
    }

    fn sprung(&self) -> PathBuf {
        self.directory.path().join("sprung")
    }

    /// What was started, and forgets it.
    fn taken(&self) -> String {
        let text = fs::read_to_string(self.sprung()).unwrap_or_default();
        let _ = fs::remove_file(self.sprung());
        text
    }
}

fn executable(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Git in a directory, with words that may have spaces.
fn git(place: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(place)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(words)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes everything that a `.git/config` can name a trap.
fn set_traps(place: &Path, trap: &Trap) {
    let program = trap.program();
    let program = program.to_str().unwrap();
    for key in [
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.gitProxy",
        "core.askPass",
        "core.alternateRefsCommand",
        "diff.external",
        "diff.trap.textconv",
        "diff.trap.command",
        "filter.trap.clean",
        "filter.trap.smudge",
        "filter.other.trap.process",
        "gpg.program",
        "credential.helper",
        "sequence.editor",
    ] {
        git(place, &["config", key, program]);
    }
    for (key, value) in [
        ("filter.trap.required", "true"),
        ("log.showSignature", "true"),
        ("protocol.allow", "always"),
        ("protocol.ext.allow", "always"),
        ("pager.show", "true"),
        ("status.submoduleSummary", "true"),
    ] {
        git(place, &["config", key, value]);
    }
    let hooks = place.join("evil-hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in [
        "post-index-change",
        "pre-commit",
        "reference-transaction",
        "post-checkout",
        "fsmonitor-watchman",
    ] {
        fs::copy(trap.program(), hooks.join(hook)).unwrap();
    }
    git(
        place,
        &["config", "core.hooksPath", hooks.to_str().unwrap()],
    );
}

/// A project of somebody else, with a signed commit, filters and a submodule. `format` is `sha1`, which git2 reads, or `sha256`, for
/// which the `git` program is asked.
fn theirs(format: &str, trap: &Trap) -> Project {
    let project = Project::with_deploy(DEPLOY);
    let root = project.path("");
    fs::remove_dir_all(root.join(".git")).unwrap();
    let init = format!("--object-format={format}");
    git(&root, &["init", "--quiet", "--initial-branch=main", &init]);
    git(&root, &["remote", "add", "origin", "ext::sh -c trap"]);
    project.write("filtered", "as it was\n");
    project.write(
        ".gitattributes",
        "filtered filter=trap diff=trap\nbackend/* filter=other.trap\n",
    );
    let inner = project.path("inner");
    fs::create_dir(&inner).unwrap();
    git(&inner, &["init", "--quiet", "--initial-branch=main", &init]);
    fs::write(inner.join("filtered"), "as it was\n").unwrap();
    fs::write(inner.join(".gitattributes"), "filtered filter=trap\n").unwrap();
    git(&inner, &["add", "--all"]);
    git(&inner, &["commit", "--quiet", "--message=x"]);
    git(&root, &["add", "--all"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    sign(&root);
    set_traps(&root, trap);
    set_traps(&inner, trap);
    fs::write(root.join(".git/info/exclude"), "evil-hooks\n").unwrap();
    fs::write(inner.join(".git/info/exclude"), "evil-hooks\n").unwrap();
    // Looked at again, because they look changed.
    for place in [&root, &inner] {
        let file = fs::File::options()
            .append(true)
            .open(place.join("filtered"));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(100);
        file.unwrap().set_modified(later).unwrap();
    }
    project
}

/// Gives the newest commit a signature, which `log.showSignature` has a program look at.
fn sign(root: &Path) {
    let commit = git(root, &["cat-file", "commit", "HEAD"]);
    let (head, text) = commit.split_once("\n\n").unwrap();
    let signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n AAAA\n -----END PGP SIGNATURE-----";
    let file = root.join(".git/signed");
    fs::write(&file, format!("{head}\n{signature}\n\n{text}\n")).unwrap();
    let name = file.to_str().unwrap();
    let signed = git(root, &["hash-object", "-t", "commit", "-w", name]);
    git(root, &["update-ref", "HEAD", &signed]);
}

/// Runs each command that looks, and fails the test where one starts a trap. Returns everything that they said.
fn look(project: &Project, trap: &Trap, variables: &[(&str, &str)]) -> String {
    let mut said = String::new();
    for line in LOOKS {
        let run = project.run_with(line, variables);
        assert!(matches!(run.code, 0..=2), "{line}: {}", run.stderr);
        assert_eq!(trap.taken(), "", "`{line}` started it");
        said += &run.stderr;
    }
    said
}

#[test]
fn looking_starts_nothing_that_git_s_configuration_names() {
    let trap = Trap::new();
    for format in ["sha1", "sha256"] {
        let project = theirs(format, &trap);
        let root = project.path("");
        let _ = Command::new("git")
            .current_dir(&root)
            .args(["status", "--porcelain"])
            .stderr(Stdio::null())
            .output();
        assert!(!trap.taken().is_empty(), "git itself starts them");
        let shown = Command::new("git")
            .current_dir(&root)
            .args(["show", "--no-patch", "--format=%ct", "HEAD"])
            .stderr(Stdio::null())
            .output();
        assert!(
            shown.is_ok() && !trap.taken().is_empty(),
            "the signature is looked at"
        );
        look(&project, &trap, &[]);
        let plan = project.run("push dev --dry-run --json").expect(0).json();
        let commit = plan["plan"]["revision"]["commit"].as_str().unwrap();
        assert_eq!(commit.len(), if format == "sha1" { 40 } else { 64 });
        assert_eq!(trap.taken(), "");
    }
}

#[test]
fn a_tree_with_filters_that_are_switched_off_is_clean_or_changed_as_its_bytes_are() {
    let trap = Trap::new();
    let project = theirs("sha256", &trap);
    let is_dirty = || {
        let plan = project.run("push dev --dry-run --json").expect(0).json();
        plan["plan"]["revision"]["dirty"].as_bool().unwrap()
    };
    assert!(!is_dirty());
    project.write("inner/filtered", "changed\n");
    assert!(is_dirty(), "also in a submodule");
    project.write("inner/filtered", "as it was\n");
    assert!(!is_dirty());
    project.write("filtered", "changed\n");
    assert!(is_dirty());
    assert_eq!(trap.taken(), "");
}

#[test]
fn nothing_is_started_from_relative_places_on_path() {
    let trap = Trap::new();
    let project = Project::with_deploy(DEPLOY);
    let config = r#"{ "credsStore": "trap", "credHelpers": { "ghcr.io": "trap" } }"#;
    fs::create_dir_all(project.path("home/.docker")).unwrap();
    project.write("home/.docker/config.json", config);
    project.write("backend/Dockerfile.lambda", "FROM ghcr.io/theirs/base:1\n");
    project.commit();
    let names = [
        "docker",
        "git",
        "kubectl",
        "docker-credential-trap",
        "trivy",
        "grype",
        "aws",
        "sh",
        "python3",
    ];
    fs::create_dir(project.path("tools")).unwrap();
    for name in names {
        for place in [name.to_owned(), format!("tools/{name}")] {
            // There is a directory `docker` already.
            if !project.path(&place).is_dir() {
                fs::copy(trap.program(), project.path(&place)).unwrap();
            }
        }
    }
    let usual = std::env::var("PATH").unwrap();
    let own = project.path("bin");
    let (own, root) = (own.to_str().unwrap(), project.path(""));
    for first in [".", "", "tools", "./tools"] {
        // What is last is looked at where nothing else has the program.
        for path in [
            format!("{first}:{own}:{usual}"),
            format!("{own}:{usual}:{first}"),
        ] {
            let credential = Command::new("sh")
                .current_dir(&root)
                .env("PATH", &path)
                .args(["-c", "docker-credential-trap"])
                .stderr(Stdio::null())
                .status();
            assert!(
                credential.is_ok() && !trap.taken().is_empty(),
                "a shell finds it"
            );
            let said = look(&project, &trap, &[("PATH", &path)]);
            assert!(said.contains("kubectl"), "it is not installed: {said}");
        }
    }
    project.run_with("status dev", &[("PATH", ".")]);
    assert_eq!(trap.taken(), "");
}

#[test]
fn credentials_go_to_an_endpoint_off_this_machine_after_a_yes_alone() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    let port = project.aws.endpoint.rsplit_once(':').unwrap().1;
    // It leads to this machine, and does not say so.
    let endpoint = format!("http://0.0.0.0:{port}");
    let deploy = DEPLOY.replacen(
        "create-repository = true",
        &format!("create-repository = true\nendpoint = \"{endpoint}\""),
        1,
    );
    project.write("deploy.toml", &deploy);
    project.commit();
    project.aws.state().requests.clear();
    // What other environments are asked.
    let usual = Aws::start();
    let elsewhere = [("AWS_ENDPOINT_URL", usual.endpoint.as_str())];
    let status = project.run_with("status dev", &elsewhere).expect(1);
    assert!(
        status.stderr.contains("XTASK_TRUSTED_ENDPOINTS"),
        "{}",
        status.stderr
    );
    for line in [
        "verify lambda dev",
        "verify ecr dev",
        "push dev --dry-run",
        "push dev",
        "deploy dev --dry-run",
        "migrate-lambda dev",
        "rollback dev",
        "promote dev prod --dry-run",
        "prune dev --dry-run",
        "scan dev",
        "export env dev",
    ] {
        let run = project.run_with(line, &elsewhere).expect(2);
        assert!(
            run.stderr.contains(&endpoint) && run.stderr.contains("XTASK_TRUSTED_ENDPOINTS"),
            "{line}: {}",
            run.stderr
        );
    }
    for line in ["doctor", "verify", "", "builders", "explain api"] {
        project.run_with(line, &elsewhere);
    }
    let asked = project.aws.state().requests.clone();
    assert_eq!(asked, [""; 0], "somebody was sent something");
    let trusted = [("XTASK_TRUSTED_ENDPOINTS", endpoint.as_str())];
    let run = project.run_with("verify lambda dev", &trusted);
    assert_ne!(run.code, 2, "{}", run.stderr);
    assert!(!project.aws.state().requests.is_empty());
    project.aws.state().requests.clear();
    let run = project.run("verify lambda dev --yes");
    assert!(
        run.stderr.contains("signed with your credentials"),
        "{}",
        run.stderr
    );
    assert!(!project.aws.state().requests.is_empty());
}

#[test]
fn nothing_is_written_through_links_that_lead_out_of_the_repository() {
    let build = "docker-build --service worker";
    let elsewhere = TempDir::new().unwrap();
    let is_empty = |place: &Path| fs::read_dir(place).unwrap().next().is_none();
    let project = Project::new();
    symlink(elsewhere.path(), project.path("target")).unwrap();
    let run = project.run("push dev --service worker").expect(2);
    assert!(
        run.stderr.contains("is a link to") && run.stderr.contains("CARGO_TARGET_DIR="),
        "{}",
        run.stderr
    );
    project.run(build);
    project.run("status dev");
    assert!(is_empty(elsewhere.path()));
    let chosen = elsewhere.path().to_str().unwrap();
    project
        .run_with("push dev --service worker", &[("CARGO_TARGET_DIR", chosen)])
        .expect(0);
    assert!(!is_empty(elsewhere.path()), "its user has said so");

    for (link, is_file) in [
        (".gitignore", true),
        ("xtask-record.jsonl", true),
        ("push.lock", true),
        ("images", false),
        ("images/blobs", false),
        ("build-logs", false),
        ("sandbox", false),
    ] {
        let outside = TempDir::new().unwrap();
        let project = Project::new();
        let path = project.path("target").join(link);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let to = if is_file {
            outside.path().join("file")
        } else {
            outside.path().to_owned()
        };
        symlink(&to, &path).unwrap();
        let run = project.run("push dev --service worker").expect(2);
        assert!(
            run.stderr.contains("is a link to"),
            "{link}: {}",
            run.stderr
        );
        project.run(build);
        assert!(is_empty(outside.path()), "{link}");
        fs::remove_file(&path).unwrap();
        project.run("push dev --service worker").expect(0);
    }
}

#[test]
fn a_repository_that_brings_what_is_kept_in_target_is_not_believed() {
    for name in [
        "target/sandbox/engine/bin/docker",
        "target/images/blobs/sha256/x",
        "target/xtask-record.jsonl",
    ] {
        let project = Project::new();
        fs::create_dir_all(project.path(name).parent().unwrap()).unwrap();
        project.write(name, "theirs");
        project.git(&format!("add --force {name}"));
        project.commit();
        let run = project.run("push dev --service worker").expect(2);
        assert!(run.stderr.contains("git tracks"), "{}", run.stderr);
        let sandbox = project.run("push dev --sandbox --dry-run").expect(2);
        assert!(sandbox.stderr.contains("git tracks"), "{}", sandbox.stderr);
    }
}

#[test]
fn contexts_and_dockerfiles_that_lead_out_of_the_repository_are_refused() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("Dockerfile.lambda"), "FROM scratch\n").unwrap();
    let project = Project::new();
    fs::remove_file(project.path("backend/Dockerfile.lambda")).unwrap();
    symlink(
        outside.path().join("Dockerfile.lambda"),
        project.path("backend/Dockerfile.lambda"),
    )
    .unwrap();
    project.commit();
    let run = project.run("push dev --service worker --dry-run").expect(2);
    assert!(run.stderr.contains("Dockerfile.lambda"), "{}", run.stderr);
    fs::remove_dir_all(project.path("backend")).unwrap();
    symlink(outside.path(), project.path("backend")).unwrap();
    project.commit();
    project.run("push dev --service worker --dry-run").expect(2);
    assert_eq!(project.docker_log(), "");
}

#[test]
fn a_build_s_secrets_are_read_by_no_dry_run_and_named_before_a_build() {
    let secret = "canary-secret-7d1c";
    let project = Project::with_deploy(&DEPLOY.replace(
        "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]",
        "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\", ssh = true, \
         secrets = [{ id = \"aws\", file = \"~/.aws/credentials\" }, { id = \"token\", env = \"TOKEN\" }] }]",
    ));
    fs::create_dir_all(project.path("home/.aws")).unwrap();
    project.write(
        "home/.aws/credentials",
        &format!("[default]\naws_secret_access_key = {secret}\n"),
    );
    let variables = [("TOKEN", secret), ("SSH_AUTH_SOCK", "/nowhere")];
    let file = project.path("home/.aws/credentials");
    let file = file.to_str().unwrap();
    for line in [
        "push dev --service worker --dry-run",
        "push dev --service worker",
    ] {
        let run = project.run_with(line, &variables);
        for name in [file, "TOKEN"] {
            assert!(run.stderr.contains(name), "{line}: {}", run.stderr);
        }
        for text in [&run.stdout, &run.stderr, &project.docker_log()] {
            assert!(!text.contains(secret), "{line}: {text}");
        }
    }
    let run = project.run_with("docker-build --service worker", &variables);
    for lent in [
        &format!("the build may read {file}, as the secret aws"),
        "the build may read the variable TOKEN, as the secret token",
        "the build may read what your ssh agent signs",
    ] {
        assert!(run.stderr.contains(lent), "{}", run.stderr);
    }
}

#[test]
fn names_that_would_be_options_are_refused() {
    for (from, to) in [
        (
            "region = \"eu-west-1\"",
            "region = \"eu-west-1.evil.example\"",
        ),
        (
            "{ dockerfile = \"Dockerfile.eks\" }",
            "{ dockerfile = \"Dockerfile.eks\", deployment = \"--kubeconfig=evil\" }",
        ),
        (
            "{ dockerfile = \"Dockerfile.eks\" }",
            "{ dockerfile = \"Dockerfile.eks\", container = \"--all\" }",
        ),
        ("create-repository = true", "namespace = \"--x\""),
        ("create-repository = true", "registry = \"--x/y\""),
        (
            "[services.api]",
            "[builders]\narm64 = \"--use\"\n[services.api]",
        ),
        (
            "[services.api]",
            "[builders]\narm64 = \"ssh://-oProxyCommand=touch evil\"\n[services.api]",
        ),
        (
            "[services.api]",
            "[builders]\narm64 = \"ssh://-oProxyCommand=evil/\"\n[services.api]",
        ),
    ] {
        let deploy = DEPLOY.replacen(from, to, 1);
        assert_ne!(deploy, DEPLOY);
        let project = Project::with_deploy(&deploy);
        for line in ["builders", "push dev --dry-run", "status dev"] {
            let run = project.run(line);
            assert_eq!(run.code, 2, "{to}: {line}: {}", run.stderr);
        }
        assert_eq!(project.docker_log(), "", "{to}");
    }
}

#[test]
fn configuration_of_other_programs_beside_deploy_toml_is_not_theirs_to_read() {
    let trap = Trap::new();
    let program = trap.program();
    let program = program.to_str().unwrap();
    let project = Project::new();
    for (name, text) in [
        (
            "docker-bake.hcl",
            format!("target \"default\" {{ dockerfile = \"{program}\" }}"),
        ),
        (
            "docker-compose.yml",
            format!("services: {{ x: {{ command: {program} }} }}"),
        ),
        ("trivy.yaml", "cache:\n  dir: evil\n".to_owned()),
        (".grype.yaml", "db:\n  cache-dir: evil\n".to_owned()),
        (
            ".env",
            "PATH=.\nDOCKER_HOST=tcp://evil.example:2375\n".to_owned(),
        ),
        (
            "kubeconfig",
            format!("users: [{{ name: x, user: {{ exec: {{ command: {program} }} }} }}]"),
        ),
    ] {
        project.write(name, &text);
    }
    project.commit();
    look(&project, &trap, &[]);
    let log = project.docker_log();
    assert!(!log.contains("bake") && !log.contains("compose"), "{log}");
    assert!(!log.contains("evil.example"), "{log}");
}

#[test]
fn the_page_of_threats_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/threats.md")).unwrap();
    let mut named = 0;
    for word in page.split('`') {
        let Some((module, test)) = word.split_once("::") else {
            continue;
        };
        if !["untrusted", "deploy", "ecs"].contains(&module) || test.is_empty() {
            continue;
        }
        let file = root.join(format!("xtask/tests/suite/{module}.rs"));
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{word}");
        named += 1;
    }
    let own = fs::read_to_string(root.join("xtask/tests/suite/untrusted.rs")).unwrap();
    for test in own.split("#[test]\nfn ").skip(1) {
        let name = test.split('(').next().unwrap();
        let is_named = page.contains(&format!("`untrusted::{name}`"));
        assert!(is_named || name.starts_with("the_page_of"), "{name}");
    }
    assert!(named > 12, "{named}");
}
