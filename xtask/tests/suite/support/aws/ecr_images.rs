//! What ECR tells of the images of a repository, and their deletion, by its rules.
//!
//! Source: the API reference of `DescribeImages`, `BatchDeleteImage`, `GetLifecyclePolicy` and `PutLifecyclePolicy`; "Lifecycle policy
//! properties" in ECR's user guide.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Refusal, Repository};

/// When an image was pushed of which no test says so.
const PUSHED: i64 = 1_600_000_000;

fn invalid(message: impl Into<String>) -> Refusal {
    ("InvalidParameterException", message.into())
}

fn ids(body: &Value) -> Result<Vec<Value>, Refusal> {
    let ids = body["imageIds"].as_array().cloned().unwrap_or_default();
    if ids.is_empty() || ids.len() > 100 {
        return Err(invalid(
            "imageIds: Member must have length between 1 and 100",
        ));
    }
    Ok(ids)
}

fn tags<'r>(repository: &'r Repository, digest: &str) -> Vec<&'r String> {
    let all = repository.tags.iter();
    let its = all.filter(|(_, of)| *of == digest);
    its.map(|(tag, _)| tag).collect()
}

fn detail(repository: &Repository, digest: &str) -> Value {
    let (media_type, bytes) = &repository.manifests[digest];
    let manifest: Value = serde_json::from_str(bytes).unwrap_or_default();
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let size: i64 = layers.filter_map(|layer| layer["size"].as_i64()).sum();
    let pushed = repository.pushed.get(digest).copied().unwrap_or(PUSHED);
    let mut detail = json!({ "imageDigest": digest, "imageManifestMediaType": media_type, "imageSizeInBytes": size, "imagePushedAt": pushed });
    let tags = tags(repository, digest);
    if !tags.is_empty() {
        detail["imageTags"] = json!(tags);
    }
    if let Some(subject) = manifest["subject"]["digest"].as_str() {
        detail["subjectManifestDigest"] = json!(subject);
    }
    detail
}

/// All of them on pages, or those that are named.
pub(super) fn describe(repository: &Repository, body: &Value) -> Result<Value, Refusal> {
    if !body["imageIds"].is_null() {
        if !body["maxResults"].is_null() || !body["nextToken"].is_null() {
            return Err(invalid("pages and imageIds exclude each other"));
        }
        let mut details = Vec::new();
        for id in ids(body)? {
            let digest = id["imageDigest"].as_str().unwrap_or_default();
            if !repository.manifests.contains_key(digest) {
                let text = format!("The image with imageId {digest} does not exist");
                return Err(("ImageNotFoundException", text));
            }
            details.push(detail(repository, digest));
        }
        return Ok(json!({ "imageDetails": details }));
    }
    let most = body["maxResults"].as_u64().unwrap_or(100);
    if !(1..=1000).contains(&most) {
        return Err(invalid("maxResults: 1 to 1000"));
    }
    let wanted = |digest: &&String| match body["filter"]["tagStatus"].as_str() {
        Some("TAGGED") => !tags(repository, digest).is_empty(),
        Some("UNTAGGED") => tags(repository, digest).is_empty(),
        _ => true,
    };
    let start = body["nextToken"]
        .as_str()
        .and_then(|token| token.parse().ok());
    let (start, most) = (start.unwrap_or(0), usize::try_from(most).unwrap());
    let all: Vec<_> = repository.manifests.keys().filter(wanted).collect();
    let page = all.iter().skip(start).take(most);
    let page: Vec<_> = page.map(|digest| detail(repository, digest)).collect();
    let mut answer = json!({ "imageDetails": page });
    if start + most < all.len() {
        answer["nextToken"] = json!((start + most).to_string());
    }
    Ok(answer)
}

/// By digest goes an image with all of its tags; what an image index has does not go before it.
pub(super) fn delete(repository: &mut Repository, body: &Value) -> Result<Value, Refusal> {
    let (mut gone, mut failures) = (Vec::new(), Vec::new());
    let needed = needed(repository);
    for id in ids(body)? {
        let mut fail = |code: &str, reason: &str| {
            failures.push(json!({ "imageId": id, "failureCode": code, "failureReason": reason }));
        };
        let Some(digest) = id["imageDigest"].as_str() else {
            fail("MissingDigestAndTag", "this double deletes by digest alone");
            continue;
        };
        if !repository.manifests.contains_key(digest) {
            fail("ImageNotFound", "Requested image not found");
        } else if needed.contains(digest) {
            fail(
                "ImageReferencedByManifestList",
                "Requested image referenced by manifest list",
            );
        } else {
            let tags: Vec<_> = tags(repository, digest).into_iter().cloned().collect();
            repository.manifests.remove(digest);
            repository.tags.retain(|_, of| of != digest);
            gone.push(json!({ "imageDigest": digest }));
            gone.extend(
                tags.iter()
                    .map(|tag| json!({ "imageDigest": digest, "imageTag": tag })),
            );
        }
    }
    let mut answer = json!({ "failures": failures });
    if !gone.is_empty() {
        answer["imageIds"] = json!(gone);
    }
    Ok(answer)
}

/// What image indexes have.
fn needed(repository: &Repository) -> BTreeSet<String> {
    let children = |(_, bytes): &(String, String)| {
        let manifest: Value = serde_json::from_str(bytes).unwrap_or_default();
        let children = manifest["manifests"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let digests = children.into_iter();
        digests
            .filter_map(|child| child["digest"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    repository.manifests.values().flat_map(children).collect()
}

pub(super) fn policy(repository: &Repository) -> Result<Value, Refusal> {
    let text = repository.policy.as_ref();
    let missing = || {
        (
            "LifecyclePolicyNotFoundException",
            "Lifecycle policy does not exist".to_owned(),
        )
    };
    Ok(json!({ "lifecyclePolicyText": text.ok_or_else(missing)? }))
}

pub(super) fn put_policy(repository: &mut Repository, body: &Value) -> Result<Value, Refusal> {
    let text = body["lifecyclePolicyText"].as_str().unwrap_or_default();
    let policy: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let rules = policy["rules"].as_array().cloned().unwrap_or_default();
    if rules.is_empty() || rules.len() > 50 {
        return Err(invalid("a policy has 1 to 50 rules"));
    }
    let priorities: BTreeSet<_> = rules
        .iter()
        .map(|rule| rule["rulePriority"].as_u64())
        .collect();
    if priorities.len() != rules.len() || priorities.contains(&None) {
        return Err(invalid("each rule has a priority of its own"));
    }
    let untagged = rules
        .iter()
        .filter(|rule| rule["selection"]["tagStatus"] == "untagged");
    if untagged.count() > 1 {
        return Err(invalid("only one rule selects untagged images"));
    }
    for rule in &rules {
        check(&rule["selection"])?;
        if rule["action"] != json!({ "type": "expire" }) {
            return Err(invalid("action"));
        }
    }
    repository.policy = Some(text.to_owned());
    Ok(json!({}))
}

fn check(selection: &Value) -> Result<(), Refusal> {
    let patterns = selection["tagPatternList"].as_array();
    let is_tagged = selection["tagStatus"] == "tagged";
    if is_tagged != patterns.is_some_and(|all| !all.is_empty()) {
        return Err(invalid("tagged images have patterns, others none"));
    }
    let stars = |pattern: &Value| pattern.as_str().unwrap_or_default().matches('*').count();
    if patterns
        .into_iter()
        .flatten()
        .any(|pattern| stars(pattern) > 4)
    {
        return Err(invalid("a pattern has at most four wildcards"));
    }
    if selection["countNumber"]
        .as_u64()
        .is_none_or(|number| number == 0)
    {
        return Err(invalid("countNumber is a positive integer"));
    }
    let unit = &selection["countUnit"];
    match selection["countType"].as_str() {
        Some("imageCountMoreThan") if unit.is_null() => Ok(()),
        Some("sinceImagePushed") if unit == "days" => Ok(()),
        _ => Err(invalid("countType and countUnit")),
    }
}
