//! Builds, seen from outside: where they are done, with which arguments, and where their steps are kept.
use std::fs;

use crate::support::project::{DEPLOY, Project};

/// The command lines of the builds.
fn builds(project: &Project) -> Vec<String> {
    let log = project.docker_log();
    log.lines()
        .filter(|line| line.starts_with("buildx build") && line.contains("--metadata-file"))
        .map(str::to_owned)
        .collect()
}

/// A directory of builders, as buildx would tell of them.
fn builders_of(project: &Project, builders: &[(&str, &str)]) {
    fs::create_dir(project.path("docker/builders")).unwrap();
    for (name, text) in builders {
        project.write(&format!("docker/builders/{name}"), text);
    }
}

/// deploy.toml with one more line in `[environments.dev]`.
fn deploy_with(line: &str) -> String {
    DEPLOY.replace(
        "create-repository = true",
        &format!("create-repository = true\n{line}"),
    )
}

#[test]
fn local_images_are_built_for_both_cpus_at_once() {
    let project = Project::new();
    let done = project
        .run("docker-build --arch all --json")
        .expect(0)
        .json();
    let names: Vec<_> = done["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["local-names"][0].clone())
        .collect();
    assert_eq!(names, ["backend:amd64-latest", "backend:arm64-latest"]);
}

#[test]
fn each_cpu_is_built_where_deploy_toml_says() {
    let builders = "\n[builders]\narm64 = \"graviton\"\namd64 = \"ssh://ci@build.example.com\"\n";
    let project = Project::with_deploy(&format!("{DEPLOY}{builders}"));
    let dry = project.run("push dev --service api --dry-run").expect(0);
    project.run("push dev --service api").expect(0);
    let log = project.docker_log();
    let builds: Vec<_> = log
        .lines()
        .filter(|line| line.starts_with("buildx build"))
        .collect();
    assert_eq!(builds.len(), 3);
    for line in builds {
        let builder = if line.contains("linux/amd64") {
            "--builder xtask-amd64-"
        } else {
            "--builder graviton "
        };
        assert!(line.contains(builder), "{line}");
    }
    let line = "docker buildx inspect xtask-amd64-";
    let made = dry
        .stderr
        .lines()
        .find(|said| said.trim().starts_with(line))
        .unwrap_or_else(|| panic!("{}", dry.stderr));
    assert!(
        made.contains("|| docker buildx create --name xtask-amd64-")
            && made.contains("docker-container ssh://ci@"),
        "{made}"
    );
    let wrong = Project::with_deploy(&format!("{DEPLOY}\n[builders]\narm64 = \"http://x\"\n"))
        .run("push dev --dry-run")
        .expect(2);
    assert!(wrong.stderr.contains("ssh://user@host"), "{}", wrong.stderr);
}

#[test]
fn a_build_keeps_its_steps_in_the_registry_once_there_is_a_repository() {
    let project = Project::with_deploy(&deploy_with("cache = \"registry\""));
    fs::create_dir(project.path("home/.docker")).unwrap();
    project.write(
        "home/.docker/config.json",
        r#"{ "auths": { "ghcr.io": {} }, "credsStore": "keychain" }"#,
    );
    project.run("push dev --service worker").expect(0);
    assert!(
        !builds(&project)[0].contains("--cache"),
        "there is nothing to take and no place to put it yet"
    );
    project.write("backend/more", "x");
    project.commit();
    let dry = project.run("push dev --service worker --dry-run").expect(0);
    let reference = format!(
        "{}/backend:worker-dev-cache-arm64-latest",
        project.aws.registry
    );
    assert!(
        dry.stderr.contains(&format!("cache        {reference}")),
        "{}",
        dry.stderr
    );
    let (login, build) = (
        dry.stderr.find("docker login").unwrap(),
        dry.stderr.find("docker buildx build").unwrap(),
    );
    assert!(
        login < build,
        "pasted in this order, the build has its login: {}",
        dry.stderr
    );
    project.run("push dev --service worker").expect(0);
    let line = &builds(&project)[1];
    assert!(
        line.contains(&format!("--cache-from type=registry,ref={reference} ")),
        "{line}"
    );
    let to = format!(
        "--cache-to type=registry,ref={reference},mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true"
    );
    assert!(line.contains(&to), "{line}");
    let logins = fs::read_to_string(project.path("docker/cache-logins")).unwrap();
    assert_eq!(logins, "login, others ['ghcr.io']\n");
    let theirs = fs::read_to_string(project.path("home/.docker/config.json")).unwrap();
    assert!(
        !theirs.contains(&project.aws.registry),
        "the user's own file has no login of ours"
    );
    assert!(
        fs::read_dir(project.path("docker"))
            .unwrap()
            .all(|entry| !entry.unwrap().path().is_dir()),
        "no session stays"
    );
}

#[test]
fn a_cache_that_cannot_be_written_is_said_and_fails_nothing() {
    let project = Project::with_deploy(&deploy_with("cache = \"github\""));
    project.write("docker/cache-fails", "");
    let run = project.run("push dev --service worker").expect(0);
    assert!(
        run.stderr.contains(
            "the build's cache was not written, so the next machine starts without: denied: no"
        ),
        "{}",
        run.stderr
    );
    let line = &builds(&project)[0];
    assert!(
        line.contains(
            "--cache-from type=gha,scope=backend-worker-dev-arm64 --cache-to type=gha,scope="
        ),
        "{line}"
    );
}

#[test]
fn a_cache_that_is_none_and_one_that_another_tag_needs_are_refused() {
    let wrong = Project::with_deploy(&deploy_with("cache = \"gitlab\""))
        .run("push dev --dry-run")
        .expect(2);
    assert!(
        wrong
            .stderr
            .contains("`environments.dev.cache` is `gitlab`"),
        "{}",
        wrong.stderr
    );
    let clash = deploy_with("cache = \"registry\"")
        + "\n[environments.dev-cache]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\nbuild-args = { BASE = \"base:1\" }\n";
    let refused = Project::with_deploy(&clash)
        .run("push dev --dry-run")
        .expect(2);
    assert!(
        refused
            .stderr
            .contains("would be the tag `worker-dev-cache-arm64-latest`, which `dev-cache` writes"),
        "{}",
        refused.stderr
    );
}

#[test]
fn an_image_that_is_cached_where_another_tag_would_be_is_refused() {
    let of_image = |cache: &str| {
        let image =
            format!("images = [{{ dockerfile = \"Dockerfile.lambda\", cache = \"{cache}\" }}]");
        let text = deploy_with("").replacen(
            "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]",
            &format!("[services.worker]\n{image}"),
            1,
        );
        assert!(text.contains(&image), "{text}");
        text + "\n[environments.dev-cache]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\nbuild-args = { BASE = \"base:1\" }\n"
    };
    let refused = Project::with_deploy(&of_image("registry"))
        .run("push dev --dry-run")
        .expect(2);
    assert!(
        refused
            .stderr
            .contains("would be the tag `worker-dev-cache-arm64-latest`"),
        "{}",
        refused.stderr
    );
    Project::with_deploy(&of_image("none"))
        .run("push dev --dry-run")
        .expect(0);
}

#[test]
fn a_local_build_that_fails_is_no_other_image_s_failure() {
    let project = Project::new();
    project.write(
        "docker/fail-build",
        "--tag backend:worker-\nno space left on device",
    );
    let run = project
        .run("docker-build --service api --service worker --json")
        .expect(1);
    let images = run.json()["images"].as_array().unwrap().clone();
    let failed: Vec<_> = images
        .iter()
        .map(|image| (image["name"].as_str().unwrap(), image["error"].is_string()))
        .collect();
    assert_eq!(failed, [("api", false), ("worker", true)]);
}

#[test]
fn two_services_whose_images_would_have_one_local_name_are_not_built_together() {
    let deploy = DEPLOY
        .replace("[services.worker]", "[services.api-lambda]")
        .replace(
            "create-repository = true",
            "create-repository = true\nrepository = \"{project}/{service}\"",
        )
        .replace("prod/{project}", "prod/{service}");
    let project = Project::with_deploy(&deploy);
    let run = project
        .run("docker-build --service api --service api-lambda")
        .expect(2);
    let part = "would both be `backend:api-lambda-arm64-latest` in the local engine";
    assert!(run.stderr.contains(part), "{}", run.stderr);
}

#[test]
fn an_image_has_build_arguments_of_its_own() {
    let deploy = DEPLOY.replace(
        "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]",
        "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\", build-args = { BASE = \"base:2\", PACKAGES = \"sources\" } }]",
    );
    let project = Project::with_deploy(&deploy);
    project.run("push dev").expect(0);
    project.run("docker-build --service worker").expect(0);
    for line in builds(&project) {
        let is_worker = line.contains("SERVICE_FOLDER=worker");
        assert_eq!(
            line.contains("--build-arg BASE=base:2 --build-arg PACKAGES=sources"),
            is_worker,
            "{line}"
        );
    }
    let reserved = Project::with_deploy(&deploy.replace("PACKAGES", "TARGETARCH"))
        .run("push dev --dry-run")
        .expect(2);
    assert!(
        reserved
            .stderr
            .contains("`services.worker.images[0].build-args.TARGETARCH` is not yours to set"),
        "{}",
        reserved.stderr
    );
}

#[test]
fn the_plan_says_where_each_image_is_built_and_how() {
    let project = Project::with_deploy(&format!("{DEPLOY}\n[builders]\narm64 = \"graviton\"\n"));
    project.write("docker/native", "amd64");
    let own = "Driver: docker\nPlatforms: linux/amd64, linux/arm64";
    builders_of(
        &project,
        &[
            ("default", own),
            (
                "graviton",
                "Driver: docker-container\nPlatforms: linux/arm64, linux/arm/v7",
            ),
        ],
    );
    let dry = project
        .run("push dev --service api --dry-run --json")
        .expect(0);
    for line in [
        "builder      graviton, natively",
        "builder      docker's current builder, natively",
    ] {
        assert!(dry.stderr.contains(line), "{line} is not in {}", dry.stderr);
    }
    assert_eq!(
        dry.json()["plan"]["images"][0]["source"]["build"]["mode"],
        "native"
    );
    let rows = project.run("builders --json").expect(0).json();
    let row = |arch: &str| {
        rows.as_array()
            .unwrap()
            .iter()
            .find(|row| row["arch"] == arch)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&row("arm64")["mode"], &row("amd64")["mode"]),
        (&"native".into(), &"native".into()),
        "{rows}"
    );
    let local = Project::new();
    local.write("docker/native", "amd64");
    builders_of(&local, &[("default", own)]);
    let dry = local.run("docker-build --dry-run").expect(0);
    let nothing = "docker's current builder, with nothing to emulate";
    assert!(dry.stderr.contains(nothing), "{}", dry.stderr);
    local.write("backend/Dockerfile.lambda", "FROM alpine\nRUN true\n");
    let dry = local.run("docker-build --dry-run").expect(0);
    let emulated = "docker's current builder, with emulation";
    assert!(dry.stderr.contains(emulated), "{}", dry.stderr);
}

#[test]
fn a_builder_of_an_address_is_made_once_when_it_is_needed_and_not_before() {
    let project = Project::with_deploy(&format!(
        "{DEPLOY}\n[builders]\narm64 = \"tcp://10.0.0.1:1234\"\n"
    ));
    builders_of(
        &project,
        &[("default", "Driver: docker\nPlatforms: linux/amd64")],
    );
    project.run("push dev --dry-run").expect(0);
    project.run("builders --dry-run").expect(1);
    assert!(
        !project.docker_log().contains("buildx create"),
        "a dry run makes nothing"
    );
    // Three images for arm64 at once.
    project.run("push dev --jobs 8").expect(0);
    let log = project.docker_log();
    let made: Vec<_> = log
        .lines()
        .filter(|line| line.starts_with("buildx create"))
        .collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(
        made[0].contains("--driver remote tcp://10.0.0.1:1234"),
        "{made:?}"
    );
    project.run("builders").expect(0);
}

const BOTH: &str = "push dev --service api --dockerfile Dockerfile.eks --multi-arch";

/// How often buildx was called to bake and to build.
fn calls(project: &Project) -> (usize, usize) {
    let verbs = project.docker_verbs();
    let count = |verb: &str| verbs.iter().filter(|one| *one == verb).count();
    (count("buildx bake"), count("buildx build"))
}

#[test]
fn both_cpus_of_an_index_are_built_by_one_call() {
    let project = Project::new();
    let dry = project.run(&format!("{BOTH} --dry-run")).expect(0);
    let call = "Dockerfile.eks, in one call with api-eks-arm64\n";
    assert!(dry.stderr.contains(call), "{}", dry.stderr);
    project.run(BOTH).expect(0);
    assert_eq!(calls(&project), (1, 0));
    let log = project.docker_log();
    for (target, arch) in [("build-0", "amd64"), ("build-1", "arm64")] {
        let line = log.lines().find(|line| line.starts_with(target)).unwrap();
        for part in [
            format!("--platform linux/{arch}"),
            format!("TARGETARCH={arch}"),
        ] {
            assert!(line.contains(&part), "{line}");
        }
    }
}

#[test]
fn a_buildx_that_bakes_nothing_builds_each_cpu_alone() {
    for what in ["no-bake", "old-buildx"] {
        let project = Project::new();
        project.write(&format!("docker/{what}"), "");
        project.run(BOTH).expect(0);
        let (bakes, builds) = calls(&project);
        assert!(bakes == 1 && builds >= 2, "{what}: {bakes} and {builds}");
    }
}

#[test]
fn of_a_call_for_both_cpus_the_one_that_fails_says_why_and_the_other_is_given_up() {
    let project = Project::new();
    let step = |name: &str, error: &str| {
        format!(
            "{{\"vertexes\":[{{\"digest\":\"{name}\",\"name\":\"[{name} 2/2] RUN make\",\"started\":\"2026-01-01T00:00:00Z\",\
             \"completed\":\"2026-01-01T00:00:01Z\",\"error\":\"{error}\"}}]}}"
        )
    };
    let said = [
        step("build-0", "failed to copy: EOF"),
        step("build-1", "exit code: 2"),
    ];
    project.write("docker/progress", &said.join("\n"));
    let why = "ERROR: target build-1: failed to solve: exit code: 2";
    project.write("docker/fail-build", &format!("linux/amd64\n{why}"));
    let run = project.run(BOTH).expect(1);
    for part in [
        "api-eks-arm64: the build exited with 1: failed to solve: exit code: 2",
        "api-eks-amd64: the build was given up, because that of api-eks-arm64 has failed",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert!(!run.stderr.contains("build-1"), "{}", run.stderr);
    assert_eq!(calls(&project), (1, 0));
    assert_eq!(project.aws.state().uploaded, 0);
}

#[test]
fn how_an_image_leaves_the_engine_is_in_the_plan_where_buildx_tells() {
    for (features, shown, verbs) in [
        ("", None, (1, 0)),
        ("true", Some("as an OCI image layout"), (1, 0)),
        ("false", Some("by `docker save`"), (0, 2)),
    ] {
        let project = Project::new();
        let node = "Driver: docker\nNodes:\nEndpoint: e\nStatus: running\nPlatforms: linux/amd64, linux/arm64\n";
        let told = format!("{node}Features:\n OCI exporter: {features}\n");
        builders_of(&project, &[("default", &told)]);
        let dry = project.run(&format!("{BOTH} --dry-run")).expect(0);
        let line = dry
            .stderr
            .lines()
            .find(|line| line.starts_with("    leaves "));
        match shown {
            Some(words) => assert!(line.unwrap().contains(words), "{line:?}"),
            None => assert_eq!(line, None),
        }
        if features == "false" {
            project.write("docker/classic", "");
        }
        let plan = project.run(&format!("{BOTH} --dry-run --json")).expect(0);
        let plan = plan.json();
        let image = &plan["plan"]["images"][0]["source"]["build"];
        let export = image.get("export").and_then(|export| export.as_str());
        assert_eq!(export.is_some(), shown.is_some(), "{plan}");
        project.run(BOTH).expect(0);
        assert_eq!(calls(&project), verbs, "{features}");
    }
}
