//! Hostile values at every input that is text: deploy.toml, the command line, the environment, git and what registries answer. None is
//! obeyed by a terminal, a shell, docker or a file system, none ends in a panic, and what is refused is named.

use std::{fmt::Write as _, fs, process::Command};

use serde_json::json;

use crate::{
    deploy,
    support::{
        figures,
        project::{DEPLOY, Project, Run},
    },
};

/// Values that mean something to somebody: a shell, a terminal, docker, TOML, a file system, a template, a URL.
fn values() -> Vec<String> {
    let fixed = [
        "",
        " ",
        "-",
        "--",
        "--help",
        "--file=/etc/passwd",
        "-v /:/host",
        "../../../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "./a//b/.",
        "a\0b",
        "a\nb",
        "a\rb",
        "a\tb",
        "\x1b[31mred\x1b[0m",
        "\x1b]8;;http://x\x07link\x1b]8;;\x07",
        "\x1b]0;title\x07",
        "\u{9b}31m",
        "\u{202e}txt.exe",
        "\u{2066}x\u{2069}",
        "\u{200f}x",
        "\u{feff}x",
        "$(touch trap)",
        "`touch trap`",
        "; touch trap;",
        "| touch trap",
        "&& touch trap",
        "'; touch trap; '",
        "\"; touch trap; \"",
        "\\",
        "%s%n%00",
        "{{.}}",
        "${HOME}",
        "type=local,dest=/tmp/trap",
        "a=b,c=d",
        "x@sha256:0000",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "::add-mask::x",
        "|x|<script>alert(1)</script>",
        "日本語",
        "ÅÄÖ",
        "CON",
    ];
    let mut all: Vec<String> = fixed.map(str::to_owned).to_vec();
    all.push("a".repeat(5000));
    all.push("../".repeat(500));
    all
}

/// What must be so, whatever came of a command.
fn hold(project: &Project, run: &Run, about: &str) {
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(
        matches!(run.code, 0..=2),
        "{about}: exit code {}: {said}",
        run.code
    );
    assert!(!said.contains("panicked"), "{about}: {said}");
    let obeyed = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!said.contains(obeyed), "{about}: a terminal obeys {said:?}");
    for place in ["trap", "backend/trap", "target/trap"] {
        assert!(!project.path(place).exists(), "{about}: a shell obeyed");
    }
    if run.code != 0 {
        assert!(
            said.contains("error: ") || said.contains("refused"),
            "{about}: nothing is named: {said}"
        );
    }
}

#[test]
fn values_of_deploy_toml() {
    // Where a value stands, with the beginning of its line.
    let places = [
        "[project]\nname = @\n",
        "[project]\nname = \"p\"\ndefault-service = @\n",
        "[project]\nname = \"p\"\ncontext = @\n",
        "[project]\nname = \"p\"\ntags = [@]\n",
        "[project]\nname = \"p\"\n[environments.dev.build-args]\nA = @\n",
        "[project]\nname = \"p\"\n[services.@]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]\n",
        "[project]\nname = \"p\"\n[services.x]\nimages = [{ dockerfile = @, target = \"lambda\" }]\n",
        "[project]\nname = \"p\"\n[services.x]\nimages = [{ dockerfile = \"Dockerfile.lambda\", function = @ }]\n",
        "[project]\nname = \"p\"\n[services.x]\nimages = [{ dockerfile = \"Dockerfile.lambda\", stage = @ }]\n",
        "[project]\nname = \"p\"\n[services.x]\nimages = [{ dockerfile = \"Dockerfile.lambda\", tag-prefix = @ }]\n",
        "[project]\nname = \"p\"\n[services.x]\nimages = [{ dockerfile = \"Dockerfile.lambda\", labels = { a = @ } }]\n",
        "[project]\nname = \"p\"\n[services.x]\nimages = [{ dockerfile = \"Dockerfile.lambda\", contexts = { a = @ } }]\n",
    ];
    let environments = [
        "account = @\nregion = \"eu-west-1\"\n",
        "account = \"111122223333\"\nregion = @\n",
        "account = \"111122223333\"\nregion = \"eu-west-1\"\nrepository = @\n",
        "account = \"111122223333\"\nregion = \"eu-west-1\"\nregistry = @\n",
    ];
    let environment = "[environments.dev]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\n";
    let service = "[services.api]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]\n";
    let whole = places.iter().map(|place| {
        let environment = if place.contains("environments.dev.") {
            String::new()
        } else {
            environment.to_owned()
        };
        let place = place.replace(
            "[environments.dev.build-args]",
            &format!("{}[environments.dev.build-args]", self::ENVIRONMENT),
        );
        format!("{place}{environment}{service}")
    });
    let of_environment = environments
        .iter()
        .map(|place| format!("[project]\nname = \"p\"\n[environments.dev]\n{place}{service}"));
    let project = Project::new();
    let mut count = 0;
    for text in whole.chain(of_environment) {
        for value in values() {
            // As TOML has it, so that the value itself is what arrives; NUL cannot be written and stays as it is.
            let quoted = toml_string(&value);
            project.write("deploy.toml", &text.replace('@', &quoted));
            let run = project.run("explain api");
            hold(&project, &run, &format!("{value:?} in {text}"));
            count += 1;
            if run.code == 0 {
                let plan = project.run("docker-build --service api --dry-run --json");
                hold(
                    &project,
                    &plan,
                    &format!("a build with {value:?} in {text}"),
                );
                count += 1;
            }
        }
    }
    figures::add("hostile values", count);
}

const ENVIRONMENT: &str =
    "[environments.dev]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\n";

/// A TOML string in which anything can be said.
fn toml_string(value: &str) -> String {
    let mut text = "\"".to_owned();
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text + "\""
}

#[test]
fn words_of_the_command_line() {
    let project = Project::new();
    let commands: [&[&str]; 12] = [
        &["push", "@", "--dry-run"],
        &["push", "dev", "--service", "@", "--dry-run"],
        &["push", "dev", "--dockerfile", "@", "--dry-run"],
        &["push", "dev", "--since", "@", "--dry-run"],
        &["push", "dev", "--platform", "@", "--dry-run"],
        &["docker-build", "--arch", "@", "--dry-run"],
        &["docker-build", "--stage", "@", "--dry-run"],
        &["explain", "@"],
        &[
            "rollback",
            "dev",
            "--service",
            "worker",
            "--to",
            "@",
            "--dry-run",
        ],
        &["verify", "image", "@"],
        &["manifest", "inspect", "@"],
        &["--config", "@", "explain", "api"],
    ];
    let mut count = 0;
    for words in commands {
        // NUL is in no word of a command line.
        for value in values().iter().filter(|value| !value.contains('\0')) {
            let words = words.iter().map(|word| word.replace('@', value));
            let mut command = project.command("");
            command.args(words.clone());
            let run = Run::from(command.output().unwrap());
            let about = format!("{:?}", words.collect::<Vec<_>>());
            hold(&project, &run, &about);
            count += 1;
        }
    }
    let asked = project.docker_log();
    assert!(
        !asked.contains("--file=/etc/passwd") && !asked.contains("buildx build"),
        "{asked}"
    );
    figures::add("hostile values", count);
}

#[test]
fn variables_of_the_environment() {
    let project = Project::new();
    let variables = [
        "ARCH",
        "DOCKERFILE",
        "TERM",
        "SSL_CERT_FILE",
        "XTASK_COMPLETE",
    ];
    let mut count = 0;
    for name in variables {
        for value in values().iter().filter(|value| !value.contains('\0')) {
            let run = project.run_with("docker-build --dry-run", &[(name, value)]);
            hold(&project, &run, &format!("{name}={value:?}"));
            count += 1;
        }
    }
    figures::add("hostile values", count);
}

#[test]
fn names_and_texts_of_git() {
    let project = Project::new();
    let git = |words: &[&str]| {
        Command::new("git")
            .current_dir(project.path(""))
            .args(words)
            .output()
            .unwrap()
            .status
            .success()
    };
    let mut count = 0;
    for value in values().iter().filter(|value| !value.contains('\0')) {
        // What git itself refuses is no value of git's.
        let branch =
            git(&["checkout", "-q", "-B", "main"]) && git(&["branch", "-q", "-m", "--", value]);
        let tag = git(&["tag", "--", value]);
        let url = git(&["config", "remote.origin.url", value]);
        let text = git(&[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            value,
            "--author",
            &format!("{value} <t@example.com>"),
        ]);
        if branch || tag || url || text {
            let run = project.run("push dev --dry-run");
            hold(&project, &run, &format!("git's {value:?}"));
            count += 1;
        }
        git(&["tag", "-d", "--", value]);
    }
    figures::add("hostile values", count);
}

#[test]
fn what_registries_say_of_an_image() {
    let project = Project::new();
    let report = project
        .run("push dev --service worker --json")
        .expect(0)
        .json();
    let digest = report["images"][0]["digest"].as_str().unwrap().to_owned();
    let whole = project.aws.state().clone();
    let mut count = 0;
    for value in values() {
        let labels = json!({ "org.opencontainers.image.revision": value, "org.opencontainers.image.created": value, "x": value });
        let config = json!({ "architecture": value, "os": value, "config": { "Labels": labels, "Cmd": [value] } });
        let honest = json!({ "architecture": "arm64", "os": "linux", "config": { "Labels": labels, "Cmd": [value] } });
        for config in [config, honest] {
            let mut state = whole.clone();
            let repository = state.repositories.get_mut("backend").unwrap();
            let (_, manifest) = &repository.manifests[&digest];
            let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
            let known = manifest["config"]["digest"].as_str().unwrap().to_owned();
            // The bytes lie about their digest as well: whoever believes them has not looked.
            repository
                .blobs
                .insert(known, config.to_string().into_bytes());
            *project.aws.state() = state;
            for line in [
                "status dev",
                "verify ecr dev",
                "push dev --service worker --dry-run",
            ] {
                let run = project.run(line);
                hold(
                    &project,
                    &run,
                    &format!("{line} of a config with {value:?}"),
                );
                count += 1;
            }
        }
    }
    figures::add("hostile values", count);
    assert!(fs::read_dir(project.path("target")).is_ok());
}

#[test]
fn what_docker_and_kubectl_print() {
    let (project, _) = deploy::eks();
    fs::create_dir(project.path("docker/builders")).unwrap();
    let mut count = 0;
    let mut hold_all = |about: &str, lines: &[&str]| {
        for line in lines {
            let run = project.run(line);
            hold(&project, &run, &format!("{line}, {about}"));
            count += 1;
        }
    };
    for (number, value) in values().into_iter().enumerate() {
        let builder = format!("Name: {value}\nDriver: {value}\nPlatforms: {value}, linux/arm64\n");
        project.write("docker/builders/default", &builder);
        project.write("docker/native", &value);
        hold_all(
            &format!("a builder {value:?}"),
            &["builders", "docker-build --service worker --dry-run"],
        );
        // A line of BuildKit's, one of nobody's, and both at once.
        let log = json!({ "vertexes": [{ "digest": "sha256:1", "name": value, "error": value }],
                          "logs": [{ "vertex": "sha256:1", "data": value }], "warnings": [{ "short": value }] });
        project.write("docker/progress", &format!("{log}\n{value}\n{{{value}"));
        project.write("backend/number", &number.to_string());
        project.write(
            "docker/fail-build",
            &format!("buildx build\n{}", value.replace('\n', " ")),
        );
        hold_all(
            &format!("a build {value:?}"),
            &["push dev --service worker"],
        );
        fs::remove_file(project.path("docker/fail-build")).unwrap();
        fs::remove_file(project.path("docker/progress")).unwrap();
        project.write("docker/kubectl-state", &json!([value]).to_string());
        project.write("docker/nodes", &value);
        project.write("docker/pulled", &value);
        hold_all(
            &format!("a deployment {value:?}"),
            &[
                "status dev --service api",
                "verify eks dev",
                "migrate-eks dev --service api --dry-run",
            ],
        );
    }
    figures::add("hostile values", count);
}

#[test]
fn manifests_that_are_deep_or_no_manifests() {
    let project = Project::new();
    let push = project.run("push dev --service worker --json").expect(0);
    let digest = push.json()["images"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let deep = "[".repeat(100_000);
    let hostile = [
        deep.clone(),
        format!("{{\"schemaVersion\":2,\"layers\":{deep}"),
        format!("{{\"config\":{}1{}}}", "{\"a\":".repeat(50_000), "}".repeat(50_000)),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "\u{feff}{}".to_owned(),
        "{\"schemaVersion\":2,\"layers\":[{\"size\":-1}]}".to_owned(),
        "{\"schemaVersion\":2,\"layers\":[{\"size\":1e999}]}".to_owned(),
        "{\"schemaVersion\":2,\"config\":{\"digest\":\"../../../etc/passwd\",\"size\":1},\"layers\":[]}".to_owned(),
        "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:\",\"size\":18446744073709551615},\"layers\":[]}".to_owned(),
        format!("{{\"schemaVersion\":2,\"manifests\":[{}]}}", vec!["{}"; 100_000].join(",")),
    ];
    for text in &hostile {
        {
            let mut state = project.aws.state();
            let repository = state.repositories.get_mut("backend").unwrap();
            let (media_type, _) = repository.manifests[&digest].clone();
            let lie = (media_type, text.clone());
            repository.manifests.insert(digest.clone(), lie);
        }
        for line in [
            "status dev",
            "verify ecr dev",
            "push dev --service worker",
            "migrate-lambda dev --service worker --dry-run",
            "promote dev prod --service worker --dry-run",
        ] {
            let run = project.run(line);
            let about: String = text.chars().take(60).collect();
            is_short(&project, &run, &format!("{line} of a manifest {about}"));
        }
    }
    figures::add("hostile values", hostile.len() * 5);
}

#[test]
fn files_that_are_deep_or_large() {
    const DEEP: usize = 100_000;
    const LARGE: usize = 50_000_000;
    let around = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(DEEP), close.repeat(DEEP))
    };
    let with = |more: &str| format!("{DEPLOY}\n{more}\n");
    let of_deploy = [
        with(&format!("x = {}", around("[", "", "]"))),
        with(&format!("x = {}", around("{ a = ", "1", " }"))),
        with(&format!("[{}]", vec!["a"; DEEP].join("."))),
        with(&format!("{} = 1", vec!["a"; DEEP].join("."))),
        with(&format!("# {}", "x".repeat(LARGE))),
        DEPLOY.replace("\"backend\"", &format!("\"{}\"", "a".repeat(LARGE))),
    ];
    let project = Project::new();
    for (number, text) in of_deploy.iter().enumerate() {
        project.write("deploy.toml", text);
        let run = project.run("explain worker");
        is_short(&project, &run, &format!("deploy.toml {number}"));
        assert_eq!(run.code, 2, "deploy.toml {number}: {}", run.stderr);
    }
    project.write("deploy.toml", DEPLOY);
    let line = around("$(", "x", ")");
    let of_others = [
        ("main.tf", format!("a = {}", around("[", "", "]"))),
        ("main.tf", format!("a = \"{}\"", around("${", "", "}"))),
        ("main.tf", format!("a = {}true", "!".repeat(DEEP))),
        ("main.tf", format!("a = b{}", ".c".repeat(DEEP))),
        (
            "docker-bake.json",
            format!("{{\"target\":{}}}", around("[", "", "]")),
        ),
        (
            "docker-bake.hcl",
            format!("target \"a\" {{ args = {} }}", around("{a=", "1", "}")),
        ),
        (
            "docker-compose.yml",
            format!("services: {}", around("[", "", "]")),
        ),
        ("docker-compose.yml", format!("a: {}", "x".repeat(LARGE))),
        (
            "skaffold.yaml",
            format!("build: {}", around("{a: ", "1", "}")),
        ),
        ("Makefile", format!("a:\n\tdocker build {line}\n")),
        ("deploy.sh", format!("docker build {line}\n")),
        (
            "backend/Dockerfile.lambda",
            format!("FROM {}\n", around("${A:-", "x", "}")),
        ),
        (
            "backend/Dockerfile.lambda",
            format!("FROM scratch\n# {}\n", "x".repeat(LARGE)),
        ),
        (
            "backend/Dockerfile.lambda",
            format!("FROM scratch\n{}", "RUN a \\\n".repeat(DEEP)),
        ),
    ];
    for (file, text) in &of_others {
        let project = Project::new();
        project.write(file, text);
        project.commit();
        for line in ["verify dockerfiles", "push dev --service worker --dry-run"] {
            let run = project.run(line);
            is_short(&project, &run, &format!("{line} with {file}"));
        }
        fs::remove_file(project.path("deploy.toml")).unwrap();
        let run = project.run("init --dry-run");
        is_short(&project, &run, &format!("init with {file}"));
    }
    figures::add("hostile values", of_deploy.len() + of_others.len());
}

/// What must be so, whatever came of a command, and that nobody has to read all of a file that somebody has blown up.
fn is_short(project: &Project, run: &Run, about: &str) {
    const MOST: usize = 20_000;
    hold(project, run, about);
    let said = run.stdout.len() + run.stderr.len();
    assert!(said < MOST, "{about}: {said} bytes were printed");
}
