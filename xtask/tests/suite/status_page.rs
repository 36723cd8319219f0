//! `status --html`: the real binary makes its page of a registry that others have filled, and the page keeps what they wrote text.
use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use crate::support::{
    aws::{Aws, Fault, Function, Service},
    images::{Image, Layer, program},
    project::{DEPLOY, Project, deploy_to},
};

/// Text that is markup where nobody escapes it.
const HOSTILE: &str = "\"><img src=x onerror=alert(1)><script>alert(2)</script>\u{202e}'&amp;";

/// A project with images of every kind in two environments, and a third that refuses whoever asks.
pub(crate) struct Fleet {
    /// The project.
    pub project: Project,
    /// What the worker's tag names.
    pub worker: String,
    /// What its function runs: an older image, for the other CPU.
    pub old: String,
    _far: Aws,
}

/// Paragraphs of dpkg's list.
fn packages(count: usize) -> String {
    let one = |number: usize| {
        format!(
            "Package: libmade-up{number}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {number}.2-1\n\n"
        )
    };
    (0..count).map(one).collect()
}

/// An image of a base image, packages of Python and a program.
fn image(aws: &Aws, repository: &str, tag: &str, arch: &str, revision: &str) -> String {
    let status = packages(48);
    let hostile = format!("Name: numpy{HOSTILE}\nVersion: 2.3.1\n");
    let program = program(arch);
    let filling = vec![7; 190_000];
    let copy = format!("COPY {HOSTILE} /app # buildkit");
    let layers = [
        Layer {
            created_by: "# debian.sh --arch 'arm64' out/ 'trixie' '@1765152000'",
            files: &[
                ("var/lib/dpkg/status", status.as_bytes()),
                ("usr/share/filling", &filling),
            ],
        },
        Layer {
            created_by: "RUN |1 TOKEN=secret-argument /bin/sh -c pip install --require-hashes --requirement requirements.txt # buildkit",
            files: &[
                ("x/numpy-2.3.1.dist-info/METADATA", hostile.as_bytes()),
                (
                    "x/flask-3.1.dist-info/METADATA",
                    b"Name: flask\nVersion: 3.1\n",
                ),
                ("x/filling", &filling[..60_000]),
                ("x/tool", &program),
            ],
        },
        Layer {
            created_by: &copy,
            files: &[("app", &program), ("revision", revision.as_bytes())],
        },
    ];
    let labels = json!({
        "org.opencontainers.image.revision": revision, "org.opencontainers.image.created": "2025-01-16T14:30:00Z",
        HOSTILE: HOSTILE,
    });
    let image = Image {
        arch,
        layers: &layers,
        labels,
    };
    image.store(aws, repository, tag)
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let far = Aws::start();
        far.fail(
            "DescribeRepositories",
            99,
            Fault::Error(400, "AccessDeniedException"),
        );
        let staging = "[environments.staging]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\nrepository = \"staging/{project}\"\n\n[services.api]";
        let deploy = deploy_to(&far).replacen("[services.api]", staging, 1);
        let project = Project::with_deploy(&deploy);
        // Whatever the machine has of that name, nobody answers.
        let kubectl = project.path("bin/kubectl");
        fs::write(&kubectl, "#!/bin/sh\necho no cluster here >&2\nexit 1\n").unwrap();
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
        let aws = &project.aws;
        let page = image(
            aws,
            "backend",
            "api-apprunner-dev-latest",
            "amd64",
            "1111111aaaaa",
        );
        image(
            aws,
            "backend",
            "api-lambda-dev-latest",
            "arm64",
            "2222222bbbbb",
        );
        image(
            aws,
            "staging/backend",
            "api-lambda-staging-latest",
            "arm64",
            "2222222bbbbb",
        );
        let old = image(aws, "backend", "worker-old", "amd64", "0000000ccccc");
        let worker = image(aws, "backend", "worker-dev-latest", "arm64", "3333333ddddd");
        let mut state = aws.state();
        let function = Function::new("x86_64", &old);
        state
            .functions
            .insert("backend-dev-worker".into(), function);
        let reference = format!("{}/backend@{page}", aws.registry);
        state
            .services
            .insert("backend-dev-api".into(), Service::new(&reference));
        drop(state);
        Self {
            project,
            worker,
            old,
            _far: far,
        }
    }

    /// Lines of the record, some of them hostile, one of them cut off.
    pub(crate) fn record(&self) {
        let line = |minute: usize, action: &str, outcome: &str, to: &str| {
            json!({ "when": format!("2026-01-16T14:{minute:02}:00Z"), "action": action, "outcome": outcome, "to": to,
                "who": "arn:aws:sts::111122223333:assumed-role/Deployer/anna", "environment": "dev", "image": "worker",
                "workload": "backend-dev-worker", "from": format!("version 6: {}", self.old) })
            .to_string()
        };
        let mut lines: Vec<_> = (0..57)
            .map(|minute| line(minute, "push", "moved", &self.old))
            .collect();
        lines.push(line(57, "migrate", "restored", &self.worker));
        lines.push(line(58, HOSTILE, HOSTILE, HOSTILE));
        lines.push("{\"when\":\"2026-".to_owned());
        fs::create_dir_all(self.project.path("target")).unwrap();
        self.project
            .write("target/xtask-record.jsonl", &lines.join("\n"));
    }

    /// The page, which must be one that asks nobody for anything and executes nothing.
    pub(crate) fn page(&self, line: &str) -> String {
        self.project.run(line).expect(0);
        let page = fs::read_to_string(self.project.path("page.html")).unwrap();
        for part in [
            "<script",
            "<img",
            "<link",
            "<iframe",
            "onerror=\"",
            " style=",
            "@import",
            "url(",
            "src=\"",
            "=\"http",
            "javascript:",
            "\u{202e}",
            "secret-argument",
        ] {
            assert!(!page.contains(part), "{part} is in {page}");
        }
        page
    }
}

#[test]
fn the_page_has_what_status_tells_and_what_is_in_the_images() {
    let fleet = Fleet::new();
    fleet.record();
    let page = fleet.page("status --html page.html --prove");
    for part in [
        "<h1>backend</h1>",
        "1 environment cannot be read",
        "<strong class=\"bad\">prod</strong> cannot be read: ",
        "AccessDeniedException",
        "no cluster here",
        "runs 0000000, worker-dev-latest is 3333333",
        "function is x86_64, policy is arm64",
        &fleet.worker,
        &fleet.old,
        "dev: tag worker-dev-latest",
        "dev: runs in function backend-dev-worker",
        "all 2 files of machine code are for",
        "machine code for amd64",
        "made by  RUN pip install",
        "base image",
        "RUN pip install --require-hashes",
        "50 packages",
        "Debian (48)",
        "libmade-up7",
        "numpy&quot;&gt;&lt;img src=x onerror=alert(1)&gt;&lt;script&gt;",
        "\\u{202e}&#39;&amp;amp;",
        "about 20 % less a GB-second than x86_64",
        "no choice: App Runner has one price and one CPU",
        "restored",
        "assumed-role/Deployer/anna",
        "1 line of the record cannot be read",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let first = page.find("datetime=\"2026-01-16T14:58:00Z\"").unwrap();
    let last = page.find("datetime=\"2026-01-16T14:00:00Z\"").unwrap();
    assert!(first < last, "the newest comes first");
    let mode = fs::metadata(fleet.project.path("page.html")).unwrap();
    assert_eq!(
        mode.permissions().mode() & 0o444,
        0o444,
        "others may read it"
    );
}

#[test]
fn every_element_is_closed_and_every_link_leads_somewhere() {
    let fleet = Fleet::new();
    fleet.record();
    let page = fleet.page("status --html page.html --prove");
    let mut open: Vec<&str> = Vec::new();
    for part in page
        .split('<')
        .skip(1)
        .filter(|part| !part.starts_with('!'))
    {
        let tag = part.split(['>', ' ']).next().unwrap();
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None if tag == "meta" => {}
            None => open.push(tag),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let links = page.split("href=\"#").skip(1);
    let mut count = 0;
    for link in links.map(|rest| rest.split('"').next().unwrap()) {
        assert_eq!(page.matches(&format!("id=\"{link}\"")).count(), 1, "{link}");
        count += 1;
    }
    assert!(count > 10, "{count} links");
}

#[test]
fn layers_that_this_machine_does_not_know_are_read_where_that_is_asked_for_and_once() {
    let fleet = Fleet::new();
    let line = "status dev staging --html page.html";
    let layers = || {
        let state = fleet.project.aws.state();
        state
            .requests
            .iter()
            .filter(|one| *one == "GET blob")
            .count()
    };
    let without = fleet.page(line);
    let configs = layers();
    assert_eq!(without.matches("○ not proven here").count(), 4, "{without}");
    assert!(without.contains("of its layers are not on the machine that made this page"));
    assert!(!without.contains("packages</summary>"));
    let with = fleet.page(&format!("{line} --prove"));
    assert!(!with.contains("not proven here"), "{with}");
    assert!(with.contains("● proven") && with.contains("▲ for another CPU"));
    let read = layers() - 2 * configs;
    // All have the same base image and packages: two images side by side may both read them.
    assert!(read >= 6, "{read}");
    let before = layers();
    let again = fleet.page(line);
    assert_eq!(layers() - before, configs, "no layer is read twice");
    assert!(!again.contains("not proven here"));
}

#[test]
fn a_layer_that_cannot_be_read_and_an_image_that_is_gone_are_said_in_their_places() {
    let fleet = Fleet::new();
    {
        let mut state = fleet.project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        repository.manifests.remove(&fleet.old);
        let (_, manifest) = &repository.manifests[&fleet.worker];
        let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
        let own = manifest["layers"][2]["digest"].as_str().unwrap();
        repository.blobs.insert(own.to_owned(), b"damaged".to_vec());
    }
    let page = fleet.page("status dev --html page.html --prove");
    assert!(page.contains("does not have it: it was deleted"), "{page}");
    assert!(page.contains("? cannot be proven"), "{page}");
}

#[test]
fn the_page_goes_where_it_is_wanted_or_nothing_is_begun() {
    let project = Project::with_deploy(&DEPLOY.replace("protected = true", ""));
    let run = project.run("status --html - ").expect(0);
    assert!(
        run.stdout
            .starts_with("<!doctype html>\n<html lang=\"en\">")
    );
    assert!(run.stderr.contains("environment"), "{}", run.stderr);
    let both = project.run("status --json --html page.html").expect(0);
    assert!(both.json()["images"].is_array());
    assert!(project.path("page.html").is_file());
    project.aws.state().requests.clear();
    fs::create_dir(project.path("there")).unwrap();
    for (line, said) in [
        ("status --json --html -", "`--html status.html`"),
        ("status --html gone/page.html", "mkdir -p gone"),
        ("status --html there", "--html there/status.html"),
        ("status --html /dev/null", "no regular file"),
        ("status --prove", "--html"),
    ] {
        let run = project.run(line).expect(2);
        assert!(
            run.stderr.contains(said.trim_matches('`')),
            "{line}: {}",
            run.stderr
        );
    }
    assert!(project.aws.state().requests.is_empty(), "nothing was asked");
    fs::remove_file(project.path("page.html")).unwrap();
    let dry = project.run("status --html page.html --dry-run").expect(0);
    assert!(dry.stderr.contains("Would write"), "{}", dry.stderr);
    assert!(!project.path("page.html").exists());
    // A link stays one, and what it leads to is replaced.
    fs::write(project.path("there/page.html"), "old").unwrap();
    std::os::unix::fs::symlink("there/page.html", project.path("link.html")).unwrap();
    project.run("status --html link.html").expect(0);
    let text = fs::read_to_string(project.path("there/page.html")).unwrap();
    assert!(text.starts_with("<!doctype") && project.path("link.html").is_symlink());
    let left = fs::read_dir(project.path("there")).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside it");
}

#[test]
fn the_page_keeps_the_exit_codes_of_status() {
    let fleet = Fleet::new();
    let run = fleet.project.run("status dev --check --html page.html");
    run.expect(1);
    assert!(
        fleet.project.path("page.html").is_file(),
        "drift is shown all the same"
    );
    let run = fleet.project.run("status prod --html page.html");
    run.expect(1);
    let page = fs::read_to_string(fleet.project.path("page.html")).unwrap();
    assert!(page.contains("prod</strong> cannot be read"), "{page}");
}
