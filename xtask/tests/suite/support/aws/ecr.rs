//! ECR's API, with its rules.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Refusal, Repository, State, digest, ecr_images, scans::scans};

pub(super) fn describe(operation: &str, body: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let repository = text(&body["repositoryName"]);
    let tag = text(&body["imageTag"]);
    match (repository.is_empty(), tag.is_empty()) {
        (true, _) => operation.to_owned(),
        (false, true) => format!("{operation} {repository}"),
        (false, false) => format!("{operation} {repository}:{tag}"),
    }
}

pub(super) fn ecr(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    let account = body["registryId"].as_str().map(str::to_owned);
    state.registry_ids.extend(account);
    let name = body["repositoryName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if operation == "PutImage" && is_too_often(&mut state.throttled) {
        return Err(("ThrottlingException", "Rate exceeded".to_owned()));
    }
    match operation {
        "GetAuthorizationToken" => {
            let token = BASE64_STANDARD.encode(format!("AWS:{}", state.password));
            state.token_lasts = state.tokens.pop();
            Ok(
                json!({ "authorizationData": [{ "authorizationToken": token, "expiresAt": in_twelve_hours(),
                       "proxyEndpoint": "https://111122223333.dkr.ecr.eu-west-1.amazonaws.com" }] }),
            )
        }
        "CreateRepository" => create(state, &name, body),
        "DeleteRepository" => delete(state, &name, body),
        "PutImageTagMutability" => {
            let repository = repository(state, &name)?;
            (repository.mutability, repository.exclusions) = mutability(body);
            Ok(json!({ "repositoryName": name, "imageTagMutability": repository.mutability }))
        }
        "DescribeRepositories" => {
            let name = body["repositoryNames"][0].as_str().unwrap_or_default();
            let repository = repository(state, name)?;
            Ok(json!({ "repositories": [described(name, repository)] }))
        }
        "BatchGetImage" => batch_get(repository(state, &name)?, body),
        "DescribeImages" => ecr_images::describe(repository(state, &name)?, body),
        "BatchDeleteImage" => ecr_images::delete(repository(state, &name)?, body),
        "GetLifecyclePolicy" => ecr_images::policy(repository(state, &name)?),
        "PutLifecyclePolicy" => ecr_images::put_policy(repository(state, &name)?, body),
        "BatchCheckLayerAvailability" => {
            let repository = repository(state, &name)?;
            let layers = body["layerDigests"].as_array().cloned().unwrap_or_default();
            let state = |digest: &Value| {
                if repository
                    .blobs
                    .contains_key(digest.as_str().unwrap_or_default())
                {
                    "AVAILABLE"
                } else {
                    "UNAVAILABLE"
                }
            };
            let found: Vec<_> = layers
                .iter()
                .map(|d| json!({ "layerDigest": d, "layerAvailability": state(d) }))
                .collect();
            Ok(json!({ "layers": found, "failures": [] }))
        }
        "PutImage" => put(repository(state, &name)?, body),
        "DescribeImageScanFindings" | "StartImageScan" => scans(state, operation, body),
        other => Err((
            "UnknownOperationException",
            format!("the double does not know {other}"),
        )),
    }
}

/// When a token ends: seconds since 1970.
fn in_twelve_hours() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now + Duration::from_hours(12)).as_secs()
}

/// Source: "Amazon ECR service quotas", rate of `PutImage` requests.
fn is_too_often(taken: &mut Option<Vec<Instant>>) -> bool {
    const MOST: usize = 10;
    let Some(taken) = taken else { return false };
    taken.retain(|at| at.elapsed() < Duration::from_secs(1));
    if taken.len() >= MOST {
        return true;
    }
    taken.push(Instant::now());
    false
}

fn repository<'s>(state: &'s mut State, name: &str) -> Result<&'s mut Repository, Refusal> {
    let missing = (
        "RepositoryNotFoundException",
        format!("The repository with name '{name}' does not exist"),
    );
    state.repositories.get_mut(name).ok_or(missing)
}

fn create(state: &mut State, name: &str, body: &Value) -> Result<Value, Refusal> {
    if state.repositories.contains_key(name) {
        return Err((
            "RepositoryAlreadyExistsException",
            format!("The repository with name '{name}' already exists"),
        ));
    }
    let (mutability, exclusions) = mutability(body);
    let repository = Repository {
        mutability,
        exclusions,
        scan_on_push: body["imageScanningConfiguration"]["scanOnPush"]
            .as_bool()
            .unwrap_or(false),
        ..Repository::default()
    };
    let described = described(name, &repository);
    state.repositories.insert(name.to_owned(), repository);
    Ok(json!({ "repository": described }))
}

/// Which tags move, as a request says it.
fn mutability(body: &Value) -> (String, Vec<String>) {
    let filters = body["imageTagMutabilityExclusionFilters"].as_array();
    let filters = filters.into_iter().flatten();
    (
        body["imageTagMutability"]
            .as_str()
            .unwrap_or("MUTABLE")
            .to_owned(),
        filters
            .filter_map(|f| f["filter"].as_str().map(str::to_owned))
            .collect(),
    )
}

fn delete(state: &mut State, name: &str, body: &Value) -> Result<Value, Refusal> {
    if !repository(state, name)?.manifests.is_empty() && body["force"] != true {
        return Err((
            "RepositoryNotEmptyException",
            format!(
                "The repository with name '{name}' cannot be deleted because it still contains images"
            ),
        ));
    }
    state.repositories.remove(name);
    Ok(json!({ "repository": { "repositoryName": name } }))
}

fn described(name: &str, repository: &Repository) -> Value {
    let mut described =
        json!({ "repositoryName": name, "imageTagMutability": repository.mutability });
    let exclusions = repository.exclusions.iter();
    let filters: Vec<_> = exclusions
        .map(|filter| json!({ "filterType": "WILDCARD", "filter": filter }))
        .collect();
    if !filters.is_empty() {
        described["imageTagMutabilityExclusionFilters"] = json!(filters);
    }
    described
}

fn batch_get(repository: &Repository, body: &Value) -> Result<Value, Refusal> {
    let accepted: Vec<_> = body["acceptedMediaTypes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in body["imageIds"].as_array().into_iter().flatten() {
        let by_tag = id["imageTag"]
            .as_str()
            .and_then(|tag| repository.tags.get(tag).cloned());
        let digest = id["imageDigest"].as_str().map(str::to_owned).or(by_tag);
        match digest.and_then(|digest| repository.manifests.get_key_value(&digest)) {
            Some((digest, (media_type, bytes))) => {
                if !accepted.contains(&media_type.as_str()) {
                    return Err((
                        "InvalidParameterException",
                        format!("{media_type} is not accepted by the caller"),
                    ));
                }
                let mut id = id.clone();
                id["imageDigest"] = json!(digest);
                images.push(json!({ "imageId": id, "imageManifest": bytes, "imageManifestMediaType": media_type }));
            }
            None => failures.push(json!({ "imageId": id, "failureCode": "ImageNotFound",
                                          "failureReason": "Requested image not found" })),
        }
    }
    Ok(json!({ "images": images, "failures": failures }))
}

fn put(repository: &mut Repository, body: &Value) -> Result<Value, Refusal> {
    let bytes = body["imageManifest"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let computed = digest(bytes.as_bytes());
    if body["imageDigest"]
        .as_str()
        .is_some_and(|said| said != computed)
    {
        return Err((
            "ImageDigestDoesNotMatchException",
            format!("the manifest's digest is {computed}"),
        ));
    }
    let inner: Value = serde_json::from_str(&bytes).map_err(|_| {
        (
            "InvalidParameterException",
            "Invalid parameter at 'ImageManifest'".to_owned(),
        )
    })?;
    let said = body["imageManifestMediaType"]
        .as_str()
        .or(inner["mediaType"].as_str())
        .map(str::to_owned);
    let media_type = said.ok_or_else(|| {
        (
            "InvalidParameterException",
            "imageManifestMediaType is missing".to_owned(),
        )
    })?;
    store(repository, &bytes, &media_type, body["imageTag"].as_str())?;
    Ok(json!({ "image": { "imageId": { "imageDigest": computed } } }))
}

/// The rules that the API and the registry protocol share.
pub(super) fn store(
    repository: &mut Repository,
    bytes: &str,
    media_type: &str,
    tag: Option<&str>,
) -> Result<(), Refusal> {
    let digest = digest(bytes.as_bytes());
    let manifest: Value = serde_json::from_str(bytes).unwrap_or_default();
    let layers = manifest["layers"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(std::iter::once(&manifest["config"]));
    for layer in layers.filter_map(|descriptor| descriptor["digest"].as_str()) {
        if !repository.blobs.contains_key(layer) {
            return Err((
                "LayersNotFoundException",
                format!("layer {layer} does not exist"),
            ));
        }
    }
    for child in manifest["manifests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|child| child["digest"].as_str())
    {
        if !repository.manifests.contains_key(child) {
            return Err((
                "ReferencedImagesNotFoundException",
                format!("image {child} does not exist"),
            ));
        }
    }
    if let Some(tag) = tag {
        let start = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !(tag.starts_with(start)
            && tag.len() <= 128
            && tag.chars().all(|c| start(c) || ".-".contains(c)))
        {
            return Err(("InvalidParameterException", format!("'{tag}' is no tag")));
        }
        match repository.tags.get(tag) {
            Some(current) if *current == digest => {
                return Err((
                    "ImageAlreadyExistsException",
                    format!("Image with digest '{digest}' and tag '{tag}' already exists"),
                ));
            }
            Some(_) if !may_move(repository, tag) => {
                return Err((
                    "ImageTagAlreadyExistsException",
                    format!("The image tag '{tag}' already exists and cannot be overwritten"),
                ));
            }
            _ => {}
        }
        if has_enough_tags(repository, &digest) {
            return Err((
                "LimitExceededException",
                format!(
                    "Adding tag '{tag}' exceeds the maximum allowed number of tags per image which is '{TAGS}'"
                ),
            ));
        }
        repository.tags.insert(tag.to_owned(), digest.clone());
    }
    repository
        .manifests
        .insert(digest, (media_type.to_owned(), bytes.to_owned()));
    Ok(())
}

/// How many tags an image can have. Source: RULES.md.
const TAGS: usize = 1000;

fn has_enough_tags(repository: &Repository, digest: &str) -> bool {
    let its = repository.tags.values().filter(|of| *of == digest);
    its.count() >= TAGS
}

fn may_move(repository: &Repository, tag: &str) -> bool {
    let fits = |pattern: &String| fits(pattern, tag);
    match repository.mutability.as_str() {
        "MUTABLE" => true,
        "IMMUTABLE_WITH_EXCLUSION" => repository.exclusions.iter().any(fits),
        "MUTABLE_WITH_EXCLUSION" => !repository.exclusions.iter().any(fits),
        _ => false,
    }
}

/// Whether a tag fits a pattern, whose `*` stand for any characters.
pub(crate) fn fits(pattern: &str, tag: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == tag,
        Some((start, rest)) => tag.strip_prefix(start).is_some_and(|left| {
            let mut ends = (0..=left.len()).filter(|at| left.is_char_boundary(*at));
            ends.any(|at| fits(rest, &left[at..]))
        }),
    }
}
