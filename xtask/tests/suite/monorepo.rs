//! Repositories as they are: a build context for each service, shared directories, stages, secrets, labels, several services and
//! no default.

use std::fs;

use crate::support::project::Project;

const DEPLOY: &str = r#"
[project]
name = "shop"
labels = { "com.example.team" = "shop" }

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true
repository = "{project}/{service}"

[services.cart]
context = "src/cart"
images = [
  { dockerfile = "Dockerfile", target = "lambda", stage = "api", contexts = { proto = "protos" } },
  { dockerfile = "Dockerfile", target = "lambda", stage = "worker", labels = { "com.example.part" = "worker" } },
]

[services.page]
context = "src/page"
images = [{ dockerfile = "../../docker/page.Dockerfile", target = "apprunner", network = "none", ssh = ["github"], secrets = [
  { id = "npmrc", file = "~/.npmrc" },
  { id = "token", env = "NPM_TOKEN" },
  { id = "extra", env = "NPM_EXTRA", required = false },
] }]
"#;

const STAGES: &str = "FROM scratch AS api\nCOPY --from=proto x /\nFROM scratch AS worker\n";

fn monorepo() -> Project {
    let project = Project::with_deploy(DEPLOY);
    for directory in ["src/cart", "src/page", "docker", "protos"] {
        fs::create_dir_all(project.path(directory)).unwrap();
    }
    project.write("src/cart/Dockerfile", STAGES);
    project.write("docker/page.Dockerfile", "FROM scratch\n");
    project.write("protos/x", "x");
    project.write("home/.npmrc", "//registry/:_authToken=very-secret-file\n");
    project.commit();
    project
}

const VARIABLES: [(&str, &str); 2] = [
    ("NPM_TOKEN", "very-secret-value"),
    ("SSH_AUTH_SOCK", "/nowhere/agent"),
];

fn built(project: &Project, image: &str) -> String {
    let log = project.docker_log();
    let is_it = |line: &&str| line.starts_with("buildx build") && line.contains(image);
    log.lines()
        .find(is_it)
        .unwrap_or_else(|| panic!("no build of {image} in {log}"))
        .to_owned()
}

#[test]
fn each_image_is_built_from_its_own_context_and_stage() {
    let project = monorepo();
    let run = project.run_with("push dev --json", &VARIABLES).expect(0);
    let root = project.path("").canonicalize().unwrap();
    let root = root.to_str().unwrap();
    for (image, parts) in [
        (
            "--target api",
            vec![
                "--target api",
                "--build-context proto=",
                "/protos",
                "com.example.team=shop",
            ],
        ),
        (
            "--target worker",
            vec!["--target worker", "com.example.part=worker"],
        ),
        (
            "page.Dockerfile",
            vec![
                "/docker/page.Dockerfile",
                "--network=none",
                "--ssh github",
                "id=token,env=NPM_TOKEN",
            ],
        ),
    ] {
        let line = built(&project, image);
        for part in parts {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        let context = if image.starts_with("--target") {
            "src/cart"
        } else {
            "src/page"
        };
        assert!(line.ends_with(&format!("{root}/{context}")), "{line}");
    }
    let names: Vec<_> = run.json()["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["name"].clone())
        .collect();
    assert_eq!(names, ["cart-api", "cart-worker", "page"]);
}

#[test]
fn the_value_of_a_secret_is_nowhere() {
    let project = monorepo();
    let dry = project
        .run_with("push dev --dry-run --json -v", &VARIABLES)
        .expect(0);
    let run = project.run_with("push dev --json -v", &VARIABLES).expect(0);
    let record = fs::read_to_string(project.path("target/xtask-record.jsonl")).unwrap();
    for text in [
        &dry.stdout,
        &dry.stderr,
        &run.stdout,
        &run.stderr,
        &project.docker_log(),
        &record,
    ] {
        assert!(!text.contains("very-secret"), "{text}");
    }
    let line = built(&project, "page.Dockerfile");
    assert!(
        line.contains(&format!(
            "id=npmrc,src={}",
            project.path("home/.npmrc").display()
        )),
        "{line}"
    );
    assert!(
        !line.contains("extra"),
        "an optional secret that is not there is left out: {line}"
    );
}

#[test]
fn what_a_build_needs_and_is_not_there_is_refused_before_anything_is_built() {
    let project = monorepo();
    fs::remove_file(project.path("home/.npmrc")).unwrap();
    fs::remove_dir_all(project.path("protos")).unwrap();
    let run = project.run("push dev").expect(2);
    for part in [
        "the build of page needs the secret `npmrc`, and there is no file `~/.npmrc`",
        "the build of page needs the secret `token`, and `NPM_TOKEN` is not set",
        "the build of page needs an ssh agent",
        "`protos`, the `contexts.proto` of cart-api, is no directory inside",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    assert_eq!(project.docker_log().matches("buildx build ").count(), 0);
    // Services that need none of it are pushed all the same.
    fs::create_dir(project.path("protos")).unwrap();
    project.run("push dev --service cart").expect(0);
}

#[test]
fn a_stage_that_the_dockerfile_lacks_is_named_with_the_nearest() {
    let project = monorepo();
    project.write(
        "src/cart/Dockerfile",
        &STAGES.replace("AS worker", "AS workers"),
    );
    let run = project
        .run_with("push dev --service cart", &VARIABLES)
        .expect(2);
    let part = "src/cart/Dockerfile has no stage `worker`";
    assert!(
        run.stderr.contains(part) && run.stderr.contains("did you mean `workers`?"),
        "{}",
        run.stderr
    );
    assert_eq!(project.docker_log().matches("buildx build ").count(), 0);
    let planned = project
        .run_with(
            "docker-build --service cart --dockerfile src/cart/Dockerfile --dry-run",
            &VARIABLES,
        )
        .expect(0);
    assert!(
        !planned.stderr.contains("worker"),
        "the first image has a stage that is there"
    );
    let planned = project
        .run_with("push dev --service cart --dry-run", &VARIABLES)
        .expect(2);
    assert!(planned.stderr.contains(part), "{}", planned.stderr);
}

#[test]
fn of_two_images_of_a_dockerfile_one_is_named_by_its_stage() {
    let project = monorepo();
    let built = |stage: &str| {
        let line = format!("docker-build --service cart --stage {stage} --dry-run --json");
        let plan = project.run_with(&line, &VARIABLES).expect(0).json();
        plan["plan"]["images"][0]["source"]["build"]["stage"].clone()
    };
    assert_eq!(
        (built("api"), built("worker")),
        ("api".into(), "worker".into())
    );
    for command in ["docker-build --service cart", "run cart"] {
        let run = project
            .run_with(&format!("{command} --stage works"), &VARIABLES)
            .expect(2);
        let part = "no image of `cart` is the stage `works`";
        assert!(
            run.stderr.contains(part) && run.stderr.contains("did you mean `worker`?"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_dockerfile_is_named_as_deploy_toml_has_it() {
    let deploy = "[project]\nname = \"shop\"\n\n[environments.dev]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\n\
                  create-repository = true\n\n[services.page]\ncontext = \"src/page\"\n\
                  images = [{ dockerfile = \"../../images/page.Dockerfile\", target = \"lambda\" }]\n";
    let project = Project::with_deploy(deploy);
    for directory in ["src/page", "images"] {
        fs::create_dir_all(project.path(directory)).unwrap();
    }
    project.write("images/page.Dockerfile", "FROM scratch\n");
    project.commit();
    for name in ["../../images/page.Dockerfile", "images/page.Dockerfile"] {
        for command in ["push dev --dry-run", "docker-build --dry-run"] {
            project
                .run(&format!("{command} --dockerfile {name}"))
                .expect(0);
        }
    }
}

#[test]
fn a_link_out_of_the_repository_is_no_context() {
    let project = monorepo();
    fs::remove_dir_all(project.path("protos")).unwrap();
    std::os::unix::fs::symlink("/etc", project.path("protos")).unwrap();
    let run = project.run("push dev --service cart").expect(2);
    assert!(
        run.stderr
            .contains("`protos`, the `contexts.proto` of cart-api, is no directory inside"),
        "{}",
        run.stderr
    );
}

#[test]
fn with_several_services_and_no_default_one_is_named() {
    let project = monorepo();
    let run = project.run("docker-build").expect(2);
    assert!(
        run.stderr.contains("none is the default: cart, page"),
        "{}",
        run.stderr
    );
    project.run("docker-build --service cart").expect(0);
    let line = project.docker_log();
    assert!(
        line.contains("shop:cart-") && !line.contains("--tag shop:arm64-latest"),
        "{line}"
    );
}

#[test]
fn a_dry_run_shows_what_a_build_reads() {
    let project = monorepo();
    let run = project.run_with("push dev --dry-run", &VARIABLES).expect(0);
    for part in [
        "stage        api",
        "context      proto is ",
        "secret       token from the variable NPM_TOKEN",
        "ssh          github",
        "network      none",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
}
