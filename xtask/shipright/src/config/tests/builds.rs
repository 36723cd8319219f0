//! Contexts, stages, labels, secrets: how images are built.

use super::*;
use crate::model::config::{ImageCache, NamedContext, Network, SecretSource};

/// [`MINIMAL`] with more on its image.
fn with_image(more: &str) -> String {
    MINIMAL.replace(
        "Dockerfile.lambda\" }",
        &format!("Dockerfile.lambda\", {more} }}"),
    )
}

#[test]
fn a_service_and_an_image_may_have_contexts_of_their_own() {
    let config = parsed(
        r#"
[project]
name = "shop"
[environments.dev]
account = "111122223333"
region = "eu-west-1"
[services.cart]
context = "src/cart"
images = [{ dockerfile = "Dockerfile", target = "eks" }, { dockerfile = "../../docker/cart.lambda", target = "lambda" }]
[services.page]
images = [{ context = "src/page", dockerfile = "Dockerfile", target = "apprunner", contexts = { proto = "protos", base = "docker-image://alpine:3" } }]
"#,
    );
    let config = config.unwrap();
    assert_eq!(
        config.default_service, None,
        "there are two, and none is named"
    );
    let image = |service: &str, place: usize| &config.services[service].images[place];
    let of = |service: &str, place: usize| {
        let image = image(service, place);
        (
            image.context.to_str().unwrap(),
            image.file.to_str().unwrap(),
            image.dockerfile.to_str().unwrap(),
        )
    };
    assert_eq!(
        of("cart", 0),
        (
            "/project/src/cart",
            "/project/src/cart/Dockerfile",
            "Dockerfile"
        )
    );
    assert_eq!(
        of("cart", 1),
        (
            "/project/src/cart",
            "/project/docker/cart.lambda",
            "docker/cart.lambda"
        )
    );
    assert_eq!(of("page", 0).0, "/project/src/page");
    let contexts = &image("page", 0).contexts;
    assert_eq!(
        contexts["proto"],
        NamedContext::Directory(PathBuf::from("/project/protos"))
    );
    assert_eq!(
        contexts["base"],
        NamedContext::Address("docker-image://alpine:3".to_owned())
    );
}

#[test]
fn one_dockerfile_with_two_stages_makes_two_images() {
    let two = MINIMAL.replace(
        r#"[{ dockerfile = "Dockerfile.lambda" }]"#,
        r#"[{ dockerfile = "Dockerfile.lambda", stage = "api" }, { dockerfile = "Dockerfile.lambda", stage = "worker" }]"#,
    );
    let config = parsed(&two).unwrap();
    let prefixes: Vec<_> = config.services["api"]
        .images
        .iter()
        .map(|image| image.tag_prefix.as_str())
        .collect();
    assert_eq!(prefixes, ["api-api-", "api-worker-"]);
}

#[test]
fn how_an_image_is_built_is_checked_key_by_key() {
    let cases = [
        ("context = \"../x\"", "no path inside the repository"),
        (
            "contexts = { proto = \"../protos\" }",
            "no path inside the repository",
        ),
        ("contexts = { \"-o\" = \"protos\" }", "no name of a context"),
        ("stage = \"--output=x\"", "no name of a stage"),
        (
            "labels = { \"org.opencontainers.image.revision\" = \"x\" }",
            "not yours to set",
        ),
        ("labels = { \"a=b\" = \"x\" }", "no name of a label"),
        ("labels = { a = \"x\\ny\" }", "control character"),
        (
            "secrets = [{ id = \"a,b\", env = \"X\" }]",
            "no id of a secret",
        ),
        ("secrets = [{ id = \"a\" }]", "neither `file` nor `env`"),
        (
            "secrets = [{ id = \"a\", file = \"x\", env = \"X\" }]",
            "both `file` and `env`",
        ),
        (
            "secrets = [{ id = \"a\", env = \"A B\" }]",
            "no environment variable",
        ),
        ("secrets = [{ id = \"a\", file = \"x,y\" }]", "no file"),
        (
            "secrets = [{ id = \"a\", env = \"X\" }, { id = \"a\", env = \"Y\" }]",
            "is there twice",
        ),
        (
            "secrets = [{ id = \"a\", value = \"x\" }]",
            "unknown key `value`",
        ),
        ("secrets = [{ env = \"X\" }]", "lacks the key `id`"),
        ("ssh = [\"-x\"]", "no name of a key"),
        ("ssh = 5", "must be an array or boolean, not an integer"),
        ("network = \"bridge\"", "no network of a build"),
        ("cache = \"s3\"", "no place for a cache"),
    ];
    for (more, expected) in cases {
        let found = problems(&with_image(more));
        assert!(
            found.iter().any(|title| title.contains(expected)),
            "{more}: {expected} is not in {found:?}"
        );
    }
    let more = "ssh = true, network = \"none\", cache = \"none\", labels = { team = \"shop\" }, secrets = [{ id = \"npmrc\", file = \"~/.npmrc\", required = false }]";
    let config = parsed(&with_image(more)).unwrap();
    let image = &config.services["api"].images[0];
    assert_eq!(
        (image.ssh.as_slice(), image.network),
        (&["default".to_owned()][..], Some(Network::None))
    );
    assert_eq!(
        (image.cache, image.labels["team"].as_str()),
        (Some(ImageCache::None), "shop")
    );
    assert_eq!(
        image.secrets[0].source,
        SecretSource::File("~/.npmrc".to_owned())
    );
    assert!(!image.secrets[0].required);
}
