//! deploy.toml as it is written: what serde reads and what the JSON Schema says.
//!
//! Nothing here is checked beyond its type. [`super::check`] finds unknown keys and wrong types with the schema that is
//! generated from these types, and [`super::resolve`] makes a finished [`super::Config`] of them.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

pub(super) use super::located::{Key, Located, NOWHERE, Named, text, texts};
use super::{
    raw_attest::SigningToolName,
    raw_scan::{Scan, SeverityName},
};

// `required` is said by hand: serde has a default for these too, so that one missing key does not hide other mistakes.

/// deploy.toml: which service becomes which images, for what, in which AWS environments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "deploy.toml", deny_unknown_fields, extend("required" = ["project", "services"]))]
pub(super) struct Root {
    /// What all services share.
    #[serde(default)]
    pub project: Project,
    /// Which CPU each target runs. Left out, a target has its default: lambda, eks and ecs arm64, apprunner amd64.
    #[serde(default)]
    pub targets: Targets,
    /// Where images of each CPU are built. Left out: by docker's current builder, natively or with emulation.
    #[serde(default)]
    pub builders: Builders,
    /// The AWS accounts that images go to, by name. Each name makes a command: `[environments.dev]` makes `push-dev`.
    #[serde(default)]
    pub environments: Named<Environment>,
    /// The services of the backend, by name.
    #[serde(default)]
    pub services: Named<Service>,
    /// The local AWS of `--sandbox`.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// What scans for vulnerabilities let through.
    #[serde(default)]
    pub scan: Scan,
}

/// Where images of each CPU are built: a builder's name (`docker buildx ls`), `ssh://user@host` for the Docker Engine of
/// another machine, or `tcp://host:port` for a BuildKit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub(super) struct Builders {
    /// For arm64.
    pub arm64: Option<Located<String>>,
    /// For amd64.
    pub amd64: Option<Located<String>>,
}

/// The local AWS of `--sandbox`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub(super) struct Sandbox {
    /// Build arguments that name base images, and the public image that each stands for. Where those cannot be pulled, the
    /// sandbox makes stand-ins from Debian packages and sets the arguments to them.
    #[serde(default)]
    pub base_images: Named<Located<String>>,
}

/// What all services share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields, extend("required" = ["name"]))]
pub(super) struct Project {
    /// The name of local images, and of the repository where an environment names none.
    #[serde(default)]
    pub name: Located<String>,
    /// The build context, and where Dockerfiles are looked up, from deploy.toml's directory. A service or an image may have its
    /// own. Default: deploy.toml's directory.
    pub context: Option<Located<String>>,
    /// The service that `docker-build` builds when none is named. With one service it is that one.
    pub default_service: Option<Located<String>>,
    /// How many characters of the git commit stand in a tag, 7 to 40. Default: 7.
    pub revision_length: Option<Located<i64>>,
    /// Where the source code lives, for the image's `org.opencontainers.image.source` label. Default: git's `origin`.
    pub source: Option<Located<String>>,
    /// Labels of every image that is pushed, beside those of the commit.
    #[serde(default)]
    pub labels: Named<Located<String>>,
    /// Tags of every image besides the six: `["{env}-{branch}", "v{version}"]`, after the image's `tag-prefix`. Words are `{env}`,
    /// `{service}`, `{arch}`, `{sha}`, `{short-sha}`, `{timestamp}`, `{branch}`, `{tag}` (git's) and `{version}`. A tag with one of
    /// the last six but `{branch}` never moves; others move with each push.
    pub tags: Option<Vec<Located<String>>>,
    /// Where `{version}` is read: a `Cargo.toml`, `package.json` or `pyproject.toml`, from deploy.toml's directory. Default: `git`, a
    /// git tag of the commit.
    pub version: Option<Located<String>>,
}

/// Which CPU each target runs: `arm64` or `amd64`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub(super) struct Targets {
    /// AWS Lambda. Default: arm64.
    #[schemars(with = "Option<crate::arch::Arch>")]
    pub lambda: Option<Located<String>>,
    /// Amazon EKS: must match the node groups. Default: arm64.
    #[schemars(with = "Option<crate::arch::Arch>")]
    pub eks: Option<Located<String>>,
    /// Amazon ECS, by `runtimePlatform` of the task definition. Default: arm64.
    #[schemars(with = "Option<crate::arch::Arch>")]
    pub ecs: Option<Located<String>>,
    /// AWS App Runner has x86_64 instances alone: only amd64 is accepted.
    #[schemars(with = "Option<OnlyAmd64>")]
    pub apprunner: Option<Located<String>>,
}

/// The one architecture that App Runner runs.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum OnlyAmd64 {
    /// x86-64.
    Amd64,
}

/// An AWS account and region, and what protects it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields, extend("required" = ["account"]))]
pub(super) struct Environment {
    /// The AWS account, twelve digits in quotes.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    #[serde(default)]
    pub account: Located<String>,
    /// The AWS region, such as `eu-west-1`.
    pub region: Option<Located<String>>,
    /// Several regions in place of one: an image is built once, and all of them get it under its tags, or none does.
    pub regions: Option<Located<Vec<Located<String>>>>,
    /// The profile of `~/.aws/config` to use. Default: what `AWS_PROFILE` and the SDK's usual chain find.
    pub profile: Option<Located<String>>,
    /// Where its images are kept, a host and perhaps a path: ECR of another account
    /// (`444455556666.dkr.ecr.{region}.amazonaws.com`) or any other registry (`ghcr.io/acme`), which takes docker's login.
    /// `{region}` is filled in. Default: ECR of the account and region.
    pub registry: Option<Located<String>>,
    /// The profile of `~/.aws/config` for a `registry` that is ECR of another account. Default: `profile`.
    pub registry_profile: Option<Located<String>>,
    /// Tags of its images besides the six, as in `[project]`.
    pub tags: Option<Vec<Located<String>>>,
    /// The repository, below the path of `registry`. `{project}`, `{service}` and `{target}` are filled in. Default: `{project}`.
    pub repository: Option<Located<String>>,
    /// Whether a push creates the repository in ECR when it is missing. Default: false.
    pub create_repository: Option<bool>,
    /// Whether a push needs a clean tree, the right branch and account, and the environment's name typed. Default: false.
    pub protected: Option<bool>,
    /// The git branch that a protected environment takes images from. Default: `main`.
    pub branch: Option<Located<String>>,
    /// The EKS cluster, whose node groups `verify eks` looks at.
    pub cluster: Option<Located<String>>,
    /// The context of kubectl's configuration. Default: kubectl's current one.
    pub kube_context: Option<Located<String>>,
    /// The Kubernetes namespace; `{env}` and `{project}` are filled in. Default: `default`.
    pub namespace: Option<Located<String>>,
    /// The ECS cluster; `{env}` and `{project}` are filled in. Default: `default`, which is ECS' own.
    pub ecs_cluster: Option<Located<String>>,
    /// Whether a deployment is also written to tags of the Lambda function, for other machines to see. Default: false.
    pub function_tags: Option<bool>,
    /// The address of a stand-in for AWS, such as LocalStack; its registry is there too. Default: AWS itself.
    pub endpoint: Option<Located<String>>,
    /// Where the build cache is kept for the next machine: `registry` (a tag of the repository) or `github` (the cache of GitHub
    /// Actions). Default: the builder's own cache alone.
    #[schemars(with = "Option<CacheStore>")]
    pub cache: Option<Located<String>>,
    /// The least severity of a vulnerability that stops an image: it is scanned before a `latest` tag moves, in a push, a deployment and
    /// a promotion. Default: nothing is scanned.
    #[schemars(with = "Option<SeverityName>")]
    pub scan: Option<Located<String>>,
    /// Whether each image that is pushed has an SBOM beside it, a CycloneDX document as an OCI referrer. Default: false.
    pub sbom: Option<bool>,
    /// Whether it has a statement of how it was built (in-toto, SLSA provenance) beside it. Default: false.
    pub provenance: Option<bool>,
    /// The program that signs each image and image index, by its digest, before a `latest` tag moves. Default: none.
    #[schemars(with = "Option<SigningToolName>")]
    pub sign: Option<Located<String>>,
    /// What it is told besides to sign: `["--key", "awskms:///alias/images"]`. No secrets: others see a command line.
    pub sign_args: Option<Vec<Located<String>>>,
    /// What it is told besides to verify a signature; cosign wants to know whose: a key, or an identity.
    pub verify_args: Option<Vec<Located<String>>>,
    /// Build arguments for every image of this environment. They stay in the image's history: no secrets.
    #[serde(default)]
    pub build_args: Named<Located<String>>,
}

/// Where the build cache is kept for the next machine.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum CacheStore {
    /// A tag of the environment's repository.
    Registry,
    /// The cache of GitHub Actions.
    Github,
}

/// A directory of the backend that becomes images.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields, extend("required" = ["images"]))]
pub(super) struct Service {
    /// The value of the build argument `SERVICE_FOLDER`. Default: the service's name.
    pub folder: Option<Located<String>>,
    /// The build context of its images, from deploy.toml's directory. Default: the project's.
    pub context: Option<Located<String>>,
    /// Where `{version}` of its tags is read. Default: as `[project]` says.
    pub version: Option<Located<String>>,
    /// The images that are made of this service.
    #[serde(default)]
    pub images: Located<Vec<Image>>,
}

/// One image: a service, built from a Dockerfile, for a target.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields, extend("required" = ["dockerfile"]))]
pub(super) struct Image {
    /// The Dockerfile, from the build context; it may lie outside of it (`../Dockerfile`). The suffix `.lambda`, `.eks`,
    /// `.ecs` or `.apprunner` says the target.
    #[serde(default)]
    pub dockerfile: Located<String>,
    /// The build context, from deploy.toml's directory. Default: the service's.
    pub context: Option<Located<String>>,
    /// Named contexts, for `COPY --from=NAME` and `FROM NAME`: a directory, from deploy.toml's, or an address that BuildKit
    /// fetches (`docker-image://…`, `https://…`).
    #[serde(default)]
    pub contexts: Named<Located<String>>,
    /// The stage of the Dockerfile that is built. Default: the last.
    pub stage: Option<Located<String>>,
    /// Labels of this image, beside the project's.
    #[serde(default)]
    pub labels: Named<Located<String>>,
    /// What the build may read with `RUN --mount=type=secret`, and what no layer, cache or history keeps.
    pub secrets: Option<Vec<Secret>>,
    /// The ssh agent for `RUN --mount=type=ssh`: `true`, or the names of keys.
    pub ssh: Option<Ssh>,
    /// The network of the build's steps: `none` or `host`. Default: BuildKit's usual one.
    #[schemars(with = "Option<NetworkName>")]
    pub network: Option<Located<String>>,
    /// Where the build cache of this image is kept: `registry`, `github` or `none`. Default: as the environment says.
    #[schemars(with = "Option<ImageCacheStore>")]
    pub cache: Option<Located<String>>,
    /// What runs the image. Needed where the Dockerfile's suffix does not say it.
    #[schemars(with = "Option<TargetName>")]
    pub target: Option<Located<String>>,
    /// The environments that the image goes to. Default: all.
    pub environments: Option<Vec<Located<String>>>,
    /// The Lambda function's name. `{project}`, `{env}` and `{service}` are filled in. Default: `{project}-{env}-{service}`.
    pub function: Option<Located<String>>,
    /// The alias of the Lambda function that callers use; a deployment moves it to the new version.
    pub alias: Option<Located<String>>,
    /// JSON that the Lambda function is invoked with after an update. An error in its answer puts the old image back.
    pub smoke_payload: Option<Located<String>>,
    /// The App Runner service's name. `{project}`, `{env}` and `{service}` are filled in. Default: `{project}-{env}-{service}`.
    pub apprunner_service: Option<Located<String>>,
    /// The ECS service's name; its task definition is read from it. `{project}`, `{env}` and `{service}` are filled in. Default:
    /// `{project}-{env}-{service}`.
    pub ecs_service: Option<Located<String>>,
    /// The Kubernetes deployment's name. `{project}`, `{env}` and `{service}` are filled in. Default: `{service}`.
    pub deployment: Option<Located<String>>,
    /// The container of that deployment, or of the ECS task definition. Default: its only one; for ECS also the only one whose image
    /// is of the environment's repository.
    pub container: Option<Located<String>>,
    /// Whether the image is built for both CPUs, and its plain tags name an image index of the two. Not for Lambda. Default: false.
    pub multi_arch: Option<Located<bool>>,
    /// Build arguments of this image, besides the environment's. They stay in the image's history: no secrets.
    #[serde(default)]
    pub build_args: Named<Located<String>>,
    /// Machine code for another CPU that is in the image on purpose.
    pub foreign: Option<Vec<Foreign>>,
    /// What stands before every tag. Default: `SERVICE-`, or `SERVICE-TARGET-` when the service has several images.
    /// Empty gives plain tags, for a repository that holds one image.
    pub tag_prefix: Option<Located<String>>,
    /// Tags besides the six, as in `[project]`.
    pub tags: Option<Vec<Located<String>>>,
}

/// Something that a build may read, and that ends up in no layer, cache or history.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields, extend("required" = ["id"]))]
pub(super) struct Secret {
    /// Its name in the Dockerfile.
    #[serde(default)]
    pub id: Located<String>,
    /// The file that has its value, from deploy.toml's directory or from `~`.
    pub file: Option<Located<String>>,
    /// The environment variable that has its value.
    pub env: Option<Located<String>>,
    /// Whether there is no build without it. Default: true.
    pub required: Option<bool>,
}

/// `true` for the agent's keys, or names of keys.
#[derive(Debug)]
pub(super) struct Ssh(pub Vec<Located<String>>);

impl<'de> Deserialize<'de> for Ssh {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Ssh;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, or an array of names")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Ssh, E> {
                let default = Located {
                    value: "default".to_owned(),
                    span: NOWHERE,
                };
                Ok(Ssh(value.then_some(default).into_iter().collect()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ssh, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element()? {
                    names.push(name);
                }
                Ok(Ssh(names))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

impl JsonSchema for Ssh {
    fn schema_name() -> Cow<'static, str> {
        "Ssh".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "boolean" }],
        })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// The network of a build's steps.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum NetworkName {
    /// None.
    None,
    /// The build machine's own.
    Host,
}

/// Where the build cache of one image is kept.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum ImageCacheStore {
    /// A tag of the environment's repository.
    Registry,
    /// The cache of GitHub Actions.
    Github,
    /// In the builder alone.
    None,
}

/// Machine code for another CPU that is in an image on purpose.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields, extend("required" = ["path", "reason"]))]
pub(super) struct Foreign {
    /// The files, from the image's root; `*` stands for any characters.
    #[serde(default)]
    pub path: Located<String>,
    /// Why they are there.
    #[serde(default)]
    pub reason: Located<String>,
}

/// What runs an image.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum TargetName {
    /// AWS Lambda.
    Lambda,
    /// Amazon EKS.
    Eks,
    /// Amazon ECS.
    Ecs,
    /// AWS App Runner.
    Apprunner,
}

/// The JSON Schema of deploy.toml.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Root).to_value()
}
