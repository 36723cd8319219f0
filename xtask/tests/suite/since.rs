//! `--since`: only what differs from a commit is built, and each image is told to be in or out, with the reason.

use std::fs;

use crate::support::project::Project;

const DEPLOY: &str = r#"
[project]
name = "shop"

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true

[services.cart]
context = "src/cart"
images = [{ dockerfile = "Dockerfile", target = "lambda", contexts = { proto = "protos" } }]

[services.page]
context = "src/page"
images = [{ dockerfile = "Dockerfile", target = "lambda" }]
"#;

fn monorepo() -> Project {
    let project = Project::with_deploy(DEPLOY);
    for directory in ["src/cart", "src/page", "protos"] {
        fs::create_dir_all(project.path(directory)).unwrap();
    }
    for file in ["src/cart/Dockerfile", "src/page/Dockerfile"] {
        project.write(file, "FROM scratch\n");
    }
    for file in ["src/cart/main", "src/page/main", "protos/x", "notes"] {
        project.write(file, "1");
    }
    project.commit();
    project
}

fn planned(project: &Project, line: &str) -> Vec<String> {
    let plan = project
        .run(&format!("{line} --dry-run --json"))
        .expect(0)
        .json();
    let images = plan["plan"]["images"].as_array().unwrap().iter();
    images
        .map(|image| image["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_a_build_reads_decides() {
    let cases: [(&str, &[&str]); 6] = [
        ("src/page/main", &["page"]),
        ("src/page/new", &["page"]),
        ("protos/x", &["cart"]),
        ("notes", &[]),
        ("deploy.toml", &["cart", "page"]),
        ("src/cart/Dockerfile", &["cart"]),
    ];
    for (file, expected) in cases {
        let project = monorepo();
        let text = fs::read_to_string(project.path(file)).unwrap_or_default();
        project.write(file, &format!("{text}\n# changed\n"));
        assert_eq!(
            planned(&project, "push dev --since HEAD"),
            expected,
            "{file}, not committed"
        );
        project.commit();
        assert_eq!(
            planned(&project, "push dev --since HEAD"),
            [""; 0],
            "{file}"
        );
        assert_eq!(
            planned(&project, "push dev --since HEAD~1"),
            expected,
            "{file}"
        );
        assert_eq!(
            planned(&project, "docker-build --since HEAD~1").len(),
            expected.len(),
            "{file}"
        );
    }
}

#[test]
fn a_file_that_is_gone_or_has_moved_differs_on_both_sides() {
    let project = monorepo();
    fs::rename(project.path("src/page/main"), project.path("src/cart/page")).unwrap();
    project.commit();
    assert_eq!(
        planned(&project, "push dev --since HEAD~1"),
        ["cart", "page"]
    );
}

#[test]
fn a_branch_is_compared_with_where_it_left_the_other() {
    let project = monorepo();
    project.git("checkout --quiet -b feature");
    project.write("src/page/main", "2");
    project.commit();
    project.git("checkout --quiet main");
    project.write("src/cart/main", "2");
    project.commit();
    project.git("checkout --quiet feature");
    assert_eq!(
        planned(&project, "push dev --since main"),
        ["page"],
        "what main has since is not this branch's"
    );
}

#[test]
fn each_image_is_told_and_nothing_is_done_where_nothing_differs() {
    let project = monorepo();
    project.write("src/page/main", "2");
    project.commit();
    let run = project.run("push dev --since HEAD~1").expect(0);
    for part in [
        "Differs page: `src/page/main` differs",
        "Left out cart: nothing of `src/cart`, `deploy.toml`, `protos` differs",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    let before = project.docker_log();
    let run = project.run("deploy dev --since HEAD --json").expect(0);
    assert!(
        run.stderr.contains("nothing differs from `HEAD`"),
        "{}",
        run.stderr
    );
    assert_eq!(run.json()["images"].as_array().unwrap().len(), 0);
    assert!(!project.docker_log()[before.len()..].contains("buildx build"));
    project.run("docker-build --since HEAD").expect(0);
}

#[test]
fn a_name_that_is_no_commit_is_refused() {
    let project = monorepo();
    for name in ["gone", "HEAD~99", "--upload-pack=x", ""] {
        let output = project
            .command("push dev")
            .arg(format!("--since={name}"))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("is no branch, tag or commit here"), "{said}");
    }
}

#[test]
fn what_a_link_leads_to_is_read_as_well() {
    for (input, link, real, file) in [
        (
            "context = \"src/page\"",
            "src/page",
            "packages/page",
            "packages/page/main",
        ),
        (
            "context = \"src/page\"",
            "src/page/Dockerfile",
            "images/page",
            "images/page",
        ),
        (
            "context = \"src/page\"",
            "deploy.toml",
            "conf/deploy.toml",
            "conf/deploy.toml",
        ),
    ] {
        let project = monorepo();
        assert!(DEPLOY.contains(input));
        fs::create_dir_all(project.path(real).parent().unwrap()).unwrap();
        fs::rename(project.path(link), project.path(real)).unwrap();
        std::os::unix::fs::symlink(project.path(real), project.path(link)).unwrap();
        project.commit();
        let text = fs::read_to_string(project.path(file)).unwrap();
        project.write(file, &format!("{text}\n# changed\n"));
        project.commit();
        let found = planned(&project, "push dev --since HEAD~1");
        assert!(found.contains(&"page".to_owned()), "{file}: {found:?}");
    }
}

#[test]
fn an_ignore_file_of_a_dockerfile_elsewhere_is_read_as_well() {
    let deploy = DEPLOY.replace(
        "context = \"src/page\"\nimages = [{ dockerfile = \"Dockerfile\"",
        "context = \"src/page\"\nimages = [{ dockerfile = \"../../images/page.Dockerfile\"",
    );
    let project = monorepo();
    fs::create_dir(project.path("images")).unwrap();
    project.write("images/page.Dockerfile", "FROM scratch\n");
    project.write("deploy.toml", &deploy);
    project.commit();
    project.write("images/page.Dockerfile.dockerignore", "main\n");
    assert_eq!(planned(&project, "push dev --since HEAD"), ["page"]);
}

#[test]
fn a_context_in_a_submodule_differs_with_it() {
    let project = monorepo();
    let other = Project::with_deploy("");
    fs::create_dir(other.path("page")).unwrap();
    other.write("page/Dockerfile", "FROM scratch\n");
    other.commit();
    let from = other.path("");
    project.git(&format!(
        "-c protocol.file.allow=always submodule --quiet add {} third",
        from.display()
    ));
    let deploy = DEPLOY.replace("context = \"src/page\"", "context = \"third/page\"");
    project.write("deploy.toml", &deploy);
    project.commit();
    assert_eq!(planned(&project, "push dev --since HEAD"), [""; 0]);
    project.write("third/page/new", "1");
    assert_eq!(planned(&project, "push dev --since HEAD"), ["page"]);
}

#[test]
fn what_a_sparse_checkout_leaves_out_does_not_differ() {
    let project = monorepo();
    project.git("update-index --skip-worktree src/page/main");
    fs::remove_file(project.path("src/page/main")).unwrap();
    assert_eq!(planned(&project, "push dev --since HEAD"), [""; 0]);
}

#[test]
fn git_is_asked_where_the_library_cannot_read() {
    let project = monorepo();
    fs::remove_dir_all(project.path(".git")).unwrap();
    project.git("init --quiet --initial-branch=main --object-format=sha256");
    project.commit();
    project.write("src/page/new", "1");
    assert_eq!(planned(&project, "push dev --since HEAD"), ["page"]);
    project.commit();
    assert_eq!(planned(&project, "push dev --since HEAD"), [""; 0]);
    assert_eq!(planned(&project, "push dev --since HEAD~1"), ["page"]);
    let run = project.run("push dev --since gone").expect(2);
    assert!(
        run.stderr.contains("is no branch, tag or commit here"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_commit_of_another_history_and_a_directory_without_one_are_refused() {
    let project = monorepo();
    project.git("checkout --quiet --orphan other");
    project.commit();
    let run = project.run("push dev --since main").expect(2);
    assert!(
        run.stderr.contains("is not in the history that is here"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("fetch-depth: 0"), "{}", run.stderr);
    fs::remove_dir_all(project.path(".git")).unwrap();
    let run = project.run("docker-build --since main").expect(2);
    assert!(run.stderr.contains("compares commits"), "{}", run.stderr);
    project.git("init --quiet");
    let run = project.run("docker-build --since HEAD").expect(2);
    assert!(run.stderr.contains("compares commits"), "{}", run.stderr);
}

#[test]
fn nobody_is_asked_for_leave_to_do_nothing() {
    let project = Project::with_deploy(
        &DEPLOY.replace("create-repository", "protected = true\ncreate-repository"),
    );
    for directory in ["src/cart", "src/page", "protos"] {
        fs::create_dir_all(project.path(directory)).unwrap();
    }
    project.write("protos/x", "x");
    project.write("src/cart/Dockerfile", "FROM scratch\n");
    project.write("src/page/Dockerfile", "FROM scratch\n");
    project.commit();
    for command in ["push", "deploy"] {
        project
            .run(&format!("{command} dev --since HEAD"))
            .expect(0);
    }
    assert_eq!(project.aws.state().calls, [""; 0]);
}

#[test]
fn a_local_build_asks_the_services_that_have_what_was_named() {
    let project = monorepo();
    project.write("src/page/main", "2");
    let line = "docker-build --dockerfile src/page/Dockerfile --since HEAD";
    assert_eq!(planned(&project, line), ["page"]);
    let line = "docker-build --service page --service page --since HEAD";
    assert_eq!(planned(&project, line), ["page"]);
    let run = project
        .run("docker-build --service one --service two --since HEAD")
        .expect(2);
    assert!(
        run.stderr.contains("`one`") && run.stderr.contains("`two`"),
        "{}",
        run.stderr
    );
}
