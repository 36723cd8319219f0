//! Command lines as data. What docker is given for a build is what is run, though several may be run by one call (`crate::bake`); the other
//! lines that `--dry-run` shows are what a person would type to the same end.

use std::{collections::BTreeSet, path::Path};

use crate::{
    Build, BuildSecret, Output, Plan, PlannedImage, PlannedIndex, PlannedTag, Publication, Source,
    TagAction, attest,
    model::{
        builder::Builder,
        cache::Cache,
        config::{NamedContext, Network, SecretSource},
        place::Place,
        shell::quoted,
    },
};

/// How a build tells where it is: as people read it. Who carries a plan out may ask for it in another form.
pub const PROGRESS: &str = "--progress=plain";

/// No attestation: Lambda refuses the index that BuildKit makes of an image and its provenance (docker/buildx#1533). A pushed image is read
/// back all the same, because these flags alone have failed people.
pub const NO_ATTESTATION: [&str; 2] = ["--provenance=false", "--sbom=false"];

/// The arguments of `docker buildx` for a build.
pub fn build(build: &Build) -> Vec<String> {
    let mut words: Vec<String> = ["build", "--platform", &build.arch.platform(), "--file"]
        .map(str::to_owned)
        .into();
    words.push(build.dockerfile.display().to_string());
    words.extend(named_builder(build));
    // Always KEY=VALUE: a bare key would copy the caller's environment variable into the image's history.
    words.extend(
        build
            .args
            .iter()
            .flat_map(|(key, value)| ["--build-arg".to_owned(), format!("{key}={value}")]),
    );
    words.extend(
        build
            .labels
            .iter()
            .flat_map(|(key, value)| ["--label".to_owned(), format!("{key}={value}")]),
    );
    let secrets = secrets(build).into_iter();
    words.extend(secrets.flat_map(|fields| ["--secret".to_owned(), fields]));
    words.extend(
        build
            .ssh
            .iter()
            .flat_map(|key| ["--ssh".to_owned(), key.clone()]),
    );
    words.extend(
        build
            .stage
            .iter()
            .flat_map(|stage| ["--target".to_owned(), stage.clone()]),
    );
    words.extend(build.contexts.iter().flat_map(named_context));
    words.extend(build.network.into_iter().flat_map(network));
    words.extend(
        build
            .cache
            .iter()
            .map(Cache::ends)
            .flat_map(|(from, to)| ["--cache-from".to_owned(), from, "--cache-to".to_owned(), to]),
    );
    words.extend(NO_ATTESTATION.map(str::to_owned));
    match &build.output {
        Output::Engine { names } => {
            let tags = names.iter().flat_map(|name| ["--tag", name.as_str()]);
            words.extend(tags.chain(["--load"]).map(str::to_owned));
        }
        Output::ContentStore { directory } => {
            words.extend(["--output".to_owned(), oci_layout(directory)]);
        }
    }
    words.push(PROGRESS.to_owned());
    words.push(build.context.display().to_string());
    words
}

/// The builder that is to do it, if not docker's current one.
pub(crate) fn named_builder(build: &Build) -> impl Iterator<Item = String> {
    let builder = build.builder.iter();
    builder.flat_map(|builder| ["--builder".to_owned(), builder.name.clone()])
}

/// Where a build that ends in an OCI image layout writes.
pub(crate) fn oci_layout(directory: &Path) -> String {
    let dest = csv_field(&format!("dest={}", directory.display()));
    format!("type=oci,{dest},tar=false")
}

/// What `--secret` says of each secret of a build. A value is in no command line: docker reads it from its file or from the
/// environment.
pub(crate) fn secrets(build: &Build) -> Vec<String> {
    let bundle = build.ca_bundle.iter();
    let bundle = bundle.map(|bundle| format!("id=ca,{}", source(&bundle.display().to_string())));
    bundle.chain(build.secrets.iter().map(secret)).collect()
}

fn secret(secret: &BuildSecret) -> String {
    let id = &secret.id;
    match &secret.source {
        SecretSource::File(file) => format!("id={id},{}", source(file)),
        SecretSource::Env(variable) => format!("id={id},env={variable}"),
    }
}

/// A file in the fields of `--secret`, which are read as CSV. Source: `secretflag` of docker/buildx, RFC 4180.
fn source(file: &str) -> String {
    csv_field(&format!("src={file}"))
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn named_context((name, context): (&String, &NamedContext)) -> [String; 2] {
    ["--build-context".to_owned(), format!("{name}={context}")]
}

/// The build machine's own network is an entitlement. Source: `--allow` in docker's reference of `buildx build`.
fn network(network: Network) -> Vec<String> {
    let flag = format!("--network={}", network.name());
    match network {
        Network::None => vec![flag],
        Network::Host => vec![flag, "--allow=network.host".to_owned()],
    }
}

/// The arguments of `docker buildx` that make the builder of an address.
pub fn create_builder(name: &str, address: &str) -> Vec<String> {
    let driver = if address.starts_with("tcp://") {
        "remote"
    } else {
        "docker-container"
    };
    ["create", "--name", name, "--driver", driver, address]
        .map(str::to_owned)
        .into()
}

/// The same as a line for a shell, which leaves a builder that is there alone.
fn builder_line(builder: &Builder) -> Option<String> {
    let made = buildx_line(&create_builder(&builder.name, builder.address.as_ref()?));
    let looked = buildx_line(&["inspect", &builder.name].map(str::to_owned));
    Some(format!("{looked} > /dev/null 2>&1 || {made}"))
}

/// Everything that the plan does, as lines for a shell. Where this program calls AWS's API itself, the line is the AWS
/// command line's call with the same effect.
pub fn script(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let builds = || plan.images.iter().filter_map(PlannedImage::build);
    let login = plan
        .place
        .as_ref()
        .filter(|_| builds().next().is_some())
        .map(|place| {
            let Some(flags) = place.ecr_flags() else {
                return format!("docker login {}", place.registry);
            };
            let login = format!(
                "docker login --username AWS --password-stdin {}",
                place.registry
            );
            format!("aws ecr get-login-password {flags} | {login}")
        });
    // A build that takes its steps from the registry needs the login before.
    let (before, after) = if plan.needs_login_to_build() {
        (login, None)
    } else {
        (None, login)
    };
    lines.extend(before);
    let builders = builds()
        .filter_map(|planned| planned.builder.as_ref())
        .filter_map(builder_line);
    lines.extend(builders.collect::<BTreeSet<_>>());
    lines.extend(plan.images.iter().filter_map(build_line));
    let Some(place) = &plan.place else {
        return lines;
    };
    lines.extend(plan.create_repositories.iter().map(|name| {
        let movable = plan.movable_tags.get(name).map_or(&[][..], Vec::as_slice);
        create_repository(place, name, movable)
    }));
    lines.extend(after);
    lines.extend(
        plan.images
            .iter()
            .filter_map(|image| Some((image, image.publication.as_ref()?)))
            .flat_map(|(image, publication)| tag_lines(place, image, publication)),
    );
    lines.extend(
        plan.indexes
            .iter()
            .map(|index| list_line(place, plan, index)),
    );
    lines.extend(attest::lines(place, plan));
    lines
}

/// An image index. The bytes that docker's own command makes differ from ours in their order and spaces alone.
fn list_line(place: &Place, plan: &Plan, index: &PlannedIndex) -> String {
    let name = |reference: &str| format!("{}/{}{reference}", place.registry, index.repository);
    let mut words: Vec<String> = ["imagetools", "create"].map(str::to_owned).into();
    words.extend(
        index
            .tags
            .iter()
            .flat_map(|tag| ["--tag".to_owned(), name(&format!(":{}", tag.name))]),
    );
    words.extend(
        index
            .images
            .iter()
            .filter_map(|place| plan.images.get(*place))
            .map(|image| match &image.source {
                Source::Existing { digest } => name(&format!("@{digest}")),
                Source::Build(_) => {
                    let tag = image
                        .publication
                        .as_ref()
                        .and_then(|publication| publication.tags.first())
                        .map(|tag| tag.name.as_str())
                        .unwrap_or_default();
                    name(&format!(":{tag}"))
                }
            }),
    );
    buildx_line(&words)
}

fn buildx_line(words: &[String]) -> String {
    format!("docker buildx {}", quoted(words.iter().map(String::as_str)))
}

fn create_repository(place: &Place, name: &str, movable: &[String]) -> String {
    format!(
        "aws ecr create-repository --repository-name {name} --image-scanning-configuration scanOnPush=true {} {}",
        mutability(movable),
        place.ecr_flags().unwrap_or_default()
    )
}

/// The command that lets tags move in a repository, and no others; `movable` are wildcards.
pub fn let_tags_move(name: &str, movable: &[String]) -> String {
    format!(
        "aws ecr put-image-tag-mutability --repository-name {name} {}",
        mutability(movable)
    )
}

fn mutability(movable: &[String]) -> String {
    let filters = movable
        .iter()
        .map(|filter| format!("filterType=WILDCARD,filter='{filter}'"));
    let filters: Vec<_> = filters.collect();
    format!(
        "--image-tag-mutability IMMUTABLE_WITH_EXCLUSION --image-tag-mutability-exclusion-filters {}",
        filters.join(" ")
    )
}

/// A build. What it says of its image goes to a file, where what follows needs the digest.
fn build_line(image: &PlannedImage) -> Option<String> {
    let planned = image.build()?;
    let mut words = build(planned);
    if image.publication.is_some() {
        words.splice(1..1, ["--metadata-file".to_owned(), metadata(image)]);
    }
    Some(buildx_line(&words))
}

fn metadata(image: &PlannedImage) -> String {
    format!("{}.json", image.name)
}

/// What brings an image that was built to the registry, under its tags. Source: `oras cp`, which reads OCI image layouts.
fn push_line(place: &Place, image: &PlannedImage, publication: &Publication) -> Option<String> {
    let Output::ContentStore { directory } = &image.build()?.output else {
        return None;
    };
    let tags = publication.tags.iter();
    let written = tags.filter(|tag| tag.action == TagAction::Write);
    let written: Vec<_> = written.map(|tag| tag.name.as_str()).collect();
    let name = format!("{}/{}", place.registry, publication.repository);
    let (directory, file) = (directory.display().to_string(), metadata(image));
    Some(format!(
        "oras cp --from-oci-layout {}@\"$(jq -r '.\"containerimage.digest\"' {})\" {name}:{}",
        quoted([directory.as_str()]),
        quoted([file.as_str()]),
        written.join(",")
    ))
}

/// The tags of an image that the registry has.
fn tag_lines(place: &Place, image: &PlannedImage, publication: &Publication) -> Vec<String> {
    let Source::Existing { digest } = &image.source else {
        return push_line(place, image, publication).into_iter().collect();
    };
    let Publication { repository, tags } = publication;
    let written = tags.iter().filter(|tag| tag.action == TagAction::Write);
    let Some(flags) = place.ecr_flags() else {
        let name = format!("{}/{repository}", place.registry);
        let names: Vec<_> = written
            .flat_map(|tag| ["--tag".to_owned(), format!("{name}:{}", tag.name)])
            .collect();
        if names.is_empty() {
            return Vec::new();
        }
        let words = ["imagetools", "create"].map(str::to_owned);
        let from = format!("{name}@{digest}");
        let words: Vec<_> = words.into_iter().chain(names).chain([from]).collect();
        return vec![buildx_line(&words)];
    };
    let read = |name: &str, field: &str| {
        format!(
            "{name}=\"$(aws ecr batch-get-image --repository-name {repository} --image-ids imageDigest={digest} \
             --query 'images[0].{field}' --output text {flags})\""
        )
    };
    let put = |tag: &PlannedTag| {
        format!(
            "aws ecr put-image --repository-name {repository} --image-tag {} --image-manifest \"$MANIFEST\" \
             --image-manifest-media-type \"$TYPE\" {flags}",
            tag.name
        )
    };
    let written: Vec<_> = written.map(put).collect();
    if written.is_empty() {
        return Vec::new();
    }
    [
        vec![
            read("MANIFEST", "imageManifest"),
            read("TYPE", "imageManifestMediaType"),
        ],
        written,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn a_file_of_a_secret_is_one_field_of_csv() {
        let cases = [
            ("/a b/token", "src=/a b/token"),
            ("/a,b/token", "\"src=/a,b/token\""),
            ("/a\"b", "\"src=/a\"\"b\""),
        ];
        for (file, field) in cases {
            assert_eq!(source(file), field);
        }
    }
}
