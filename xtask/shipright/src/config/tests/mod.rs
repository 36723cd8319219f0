//! deploy.toml from its text: what a finished configuration holds, and that every mistake is found.

mod attest;
mod builds;
mod scan;

use super::*;
use crate::model::{config::TargetRule, target::Target};

const MINIMAL: &str = r#"
[project]
name = "backend"
context = "backend"
[environments.dev]
account = "111122223333"
region = "eu-west-1"
[services.api]
images = [{ dockerfile = "Dockerfile.lambda" }]
"#;

fn parsed(source: &str) -> Result<Config, Vec<String>> {
    parse(source, Path::new("/project/deploy.toml"))
        .map_err(|problems| problems.into_iter().map(|p| p.title).collect())
}

fn problems(source: &str) -> Vec<String> {
    parsed(source).err().unwrap_or_default()
}

#[test]
fn a_short_file_is_enough_and_the_rest_has_defaults() {
    let config = parsed(MINIMAL).unwrap();
    assert_eq!(
        (config.default_service.as_deref(), config.revision_length),
        (Some("api"), 7)
    );
    assert_eq!(config.context, Path::new("/project/backend"));
    let image = &config.services["api"].images[0];
    assert_eq!(
        (image.target, image.target_rule, image.tag_prefix.as_str()),
        (Target::Lambda, TargetRule::Suffix, "api-")
    );
    assert_eq!(image.environments, ["dev"]);
    assert_eq!(image.function("backend", "dev", "api"), "backend-dev-api");
    let dev = &config.environments["dev"];
    assert_eq!(
        (dev.protected, dev.create_repository, dev.branch.as_str()),
        (false, false, "main")
    );
    assert_eq!(dev.repository("backend", "api", Target::Lambda), "backend");
}

#[test]
fn several_images_of_a_service_have_their_target_in_the_prefix() {
    let config = parsed(&MINIMAL.replace(
        r#"[{ dockerfile = "Dockerfile.lambda" }]"#,
        r#"[{ dockerfile = "Dockerfile.lambda" }, { dockerfile = "Dockerfile", target = "eks" }]"#,
    ));
    let images = &config.unwrap().services["api"].images;
    let found: Vec<_> = images
        .iter()
        .map(|image| (image.tag_prefix.as_str(), image.target_rule))
        .collect();
    assert_eq!(
        found,
        [
            ("api-lambda-", TargetRule::Suffix),
            ("api-eks-", TargetRule::Said)
        ]
    );
}

/// A change of [`MINIMAL`], and a part of what is said of it.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "name = \"backend\"",
        "name = \"Back End\"",
        "cannot stand in an image reference",
    ),
    (
        "context = \"backend\"",
        "context = \"/etc\"",
        "no path inside",
    ),
    (
        "context = \"backend\"",
        "context = \"a/../..\"",
        "no path inside",
    ),
    ("context = \"backend\"", "context = \"-\"", "no path inside"),
    (
        "context = \"backend\"",
        "contxt = \"backend\"",
        "unknown key `contxt`",
    ),
    (
        "account = \"111122223333\"",
        "account = \"1111\"",
        "no AWS account",
    ),
    (
        "account = \"111122223333\"",
        "account = 111122223333",
        "must be a string, not an integer",
    ),
    ("account = \"111122223333\"", "", "lacks the key `account`"),
    (
        "region = \"eu-west-1\"",
        "region = \"Ireland\"",
        "no AWS region",
    ),
    (
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\nrepository = \"Back/End\"",
        "no repository name",
    ),
    (
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\nprotected = \"yes\"",
        "must be a boolean, not a string",
    ),
    (
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\nbuild-args = { TARGETARCH = \"x\" }",
        "not yours to set",
    ),
    (
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\nbuild-args = { \"--x\" = \"x\" }",
        "no argument name",
    ),
    (
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\nbuild-args = { X = \"a\\u0000b\" }",
        "control character",
    ),
    (
        "[environments.dev]",
        "[environments.\"De v\"]",
        "cannot stand in an image reference",
    ),
    (
        "[services.api]",
        "[services.API]",
        "cannot stand in an image reference",
    ),
    (
        "[services.api]",
        "[targets]\napprunner = \"arm64\"\n[services.api]",
        "App Runner cannot run arm64",
    ),
    (
        "[services.api]",
        "[targets]\neks = \"mips\"\n[services.api]",
        "no architecture",
    ),
    (
        "[services.api]",
        "[targets]\nlamda = \"arm64\"\n[services.api]",
        "unknown key `lamda`",
    ),
    ("Dockerfile.lambda", "Dockerfile", "suffix names no target"),
    (
        "Dockerfile.lambda",
        "Dockerfile.lamda",
        "suffix names no target",
    ),
    (
        "Dockerfile.lambda",
        "../../Dockerfile.lambda",
        "no path inside",
    ),
    (
        "Dockerfile.lambda\"",
        "Dockerfile.lambda\", target = \"ec2\"",
        "no target",
    ),
    (
        "Dockerfile.lambda\"",
        "Dockerfile.lambda\", environments = [\"prod\"]",
        "no `[environments.…]` defines",
    ),
    (
        "Dockerfile.lambda\"",
        "Dockerfile.lambda\", function = \"a b\"",
        "no Lambda function name",
    ),
    (
        "Dockerfile.lambda\"",
        "Dockerfile.lambda\", tag-prefix = \"-x\"",
        "cannot begin a tag",
    ),
    (
        "images = [{ dockerfile = \"Dockerfile.lambda\" }]",
        "images = []",
        "is empty",
    ),
    (
        "images = [{ dockerfile = \"Dockerfile.lambda\" }]",
        "",
        "lacks the key `images`",
    ),
    (
        "[project]",
        "[project]\nrevision-length = 6",
        "`project.revision-length` is `6`",
    ),
    (
        "[project]",
        "[project]\ndefault-service = \"apy\"",
        "no `[services.…]` defines",
    ),
    (
        "[project]",
        "[sandbox]\nbase-images = { A = \"node:20\" }\n[project]",
        "has no stand-in",
    ),
    (
        "[services",
        "registry = \"https://ghcr.io/acme\"\n[services",
        "which is no registry",
    ),
    (
        "[services",
        "registry = \"ghcr.io/Acme\"\n[services",
        "which is no registry",
    ),
    (
        "[services",
        "registry = \"acme\"\n[services",
        "which is no registry",
    ),
    (
        "[services",
        "registry = \"ghcr.io/acme\"\ncreate-repository = true\n[services",
        "has `create-repository`, which is for ECR",
    ),
    (
        "[services",
        "registry = \"ghcr.io/acme\"\nregistry-profile = \"x\"\n[services",
        "`environments.dev.registry-profile` is for ECR",
    ),
    (
        "[services",
        "registry-profile = \"x\"\n[services",
        "is for a `registry`, and there is none",
    ),
    ("[project]", "[project", "table"),
];

#[test]
fn every_mistake_is_found_whatever_its_kind() {
    for (from, to, expected) in MISTAKES {
        let found = problems(&MINIMAL.replacen(from, to, 1));
        assert!(
            found.iter().any(|title| title.contains(expected)),
            "{to}: {expected} is not in {found:?}"
        );
    }
}

#[test]
fn problems_of_all_kinds_are_shown_in_one_go() {
    let source = MINIMAL
        .replace("context = \"backend\"", "context = 5\nextra = 1")
        .replace("eu-west-1", "x")
        .replace("Dockerfile.lambda", "Dockerfile");
    let found = problems(&source);
    for expected in [
        "must be a string",
        "unknown key `extra`",
        "no AWS region",
        "suffix names no target",
    ] {
        assert!(
            found.iter().any(|title| title.contains(expected)),
            "{expected} is not in {found:?}"
        );
    }
}

#[test]
fn two_images_may_not_write_the_same_tag_in_one_repository() {
    let two = |first: &str, second: &str| {
        MINIMAL.replace(
            r#"[services.api]
images = [{ dockerfile = "Dockerfile.lambda" }]"#,
            &format!("[services]\napi.images = [{first}]\nworker.images = [{second}]"),
        )
    };
    let clash = two(
        r#"{ dockerfile = "Dockerfile.lambda", tag-prefix = "" }"#,
        r#"{ dockerfile = "Dockerfile.eks", tag-prefix = "" }"#,
    )
    .replace("[project]", "[project]\ndefault-service = \"api\"");
    let found = problems(&clash);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("`dev-TIMESTAMP-arm64`") && found[0].contains("services.api.images[0]"),
        "{found:?}"
    );
    let apart = clash.replace(
        "region = ",
        "repository = \"{project}/{service}\"\nregion = ",
    );
    assert_eq!(problems(&apart), [""; 0]);
    let same_target = two(
        r#"{ dockerfile = "Dockerfile.lambda" }, { dockerfile = "b/Dockerfile.lambda" }"#,
        "",
    )
    .replace("worker.images = []\n", "")
    .replace("\nworker.images = []", "");
    assert!(
        problems(&same_target)[0].contains("would write the tag"),
        "{:?}",
        problems(&same_target)
    );
}

#[test]
fn one_repository_for_two_environments_needs_equal_build_arguments() {
    let second = "\n[environments.test]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\n";
    assert_eq!(problems(&format!("{MINIMAL}{second}")), [""; 0]);
    let found = problems(&format!(
        "{MINIMAL}{second}build-args = {{ STAGE = \"test\" }}\n"
    ));
    assert!(found[0].contains("different build arguments"), "{found:?}");
}

#[test]
fn an_environment_may_not_be_named_so_that_it_writes_another_s_tags() {
    let second = "\n[environments.dev-arm64]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\n";
    let found = problems(&format!("{MINIMAL}{second}"));
    assert!(
        found[0].contains("`api-dev-arm64-latest`") && found[0].contains("`dev`"),
        "{found:?}"
    );
}

#[test]
fn a_missing_key_hides_no_other_mistake_of_its_table() {
    let found = problems(
        &MINIMAL
            .replace("account = \"111122223333\"", "branch = \"\"")
            .replace("region = \"eu-west-1\"", "region = \"x\""),
    );
    for expected in [
        "lacks the key `account`",
        "has an empty or unprintable value",
        "no AWS region",
    ] {
        assert!(
            found.iter().any(|title| title.contains(expected)),
            "{expected} is not in {found:?}"
        );
    }
}

#[test]
fn no_text_whatever_makes_the_reader_panic() {
    let nasty = [
        "",
        "\u{feff}",
        "[",
        "a = \"\u{202e}\"",
        "[project]\nname = \"\\u0000\"",
        "\"\" = 1",
        "[[services]]",
        "services = 1",
        "äöü = 'ß'",
    ];
    for source in nasty {
        let found = parse(source, Path::new("deploy.toml")).expect_err(source);
        let rendered = Problems::new(PathBuf::from("deploy.toml"), source.to_owned(), found);
        assert!(!rendered.render().is_empty() && !rendered.report().is_empty());
    }
    for end in (0..MINIMAL.len()).filter(|end| MINIMAL.is_char_boundary(*end)) {
        if let Err(found) = parse(&MINIMAL[..end], Path::new("deploy.toml")) {
            assert!(
                !Problems::new(
                    PathBuf::from("deploy.toml"),
                    MINIMAL[..end].to_owned(),
                    found
                )
                .render()
                .is_empty()
            );
        }
    }
}
