//! What belongs to an image: the entries of a list of referrers, and the list itself where a registry keeps none.
//!
//! Source: the OCI distribution specification 1.1, "Listing Referrers", "Referrers Tag Schema" and "Pushing Manifests with Subject".

use serde_json::{Map, Value, json};

use crate::{Descriptor, Error, IMAGE_INDEX_TYPES, Manifest};

/// The tag under which a registry without a list of its own has that of an image.
pub fn referrers_tag(digest: &str) -> String {
    digest.replacen(':', "-", 1)
}

/// The entry of an artifact in the list of its subject.
///
/// # Errors
/// A manifest that is none.
pub fn referrer(artifact: &Manifest) -> Result<Descriptor, Error> {
    let document = artifact.document()?;
    let said = document
        .artifact_type
        .clone()
        .filter(|kind| !kind.is_empty());
    let of_config = || {
        document
            .config
            .as_ref()
            .map(|config| config.media_type.clone())
    };
    Ok(Descriptor {
        media_type: artifact.media_type.clone(),
        digest: artifact.digest.clone(),
        size: artifact.bytes.len() as u64,
        platform: None,
        artifact_type: said.or_else(of_config),
        annotations: document.annotations.clone(),
    })
}

/// A list with more entries. What others have entered is kept; nothing is in it twice. `None` where there is
/// nothing to add.
///
/// # Errors
/// A list that is no image index: somebody uses its tag for something else.
pub fn with_referrers(
    before: Option<&Manifest>,
    added: &[Descriptor],
) -> Result<Option<Manifest>, Error> {
    let mut index = match before {
        None => json!({ "schemaVersion": 2, "mediaType": IMAGE_INDEX_TYPES[0], "manifests": [] }),
        Some(before) if before.media_type == IMAGE_INDEX_TYPES[0] => {
            before.children()?;
            serde_json::from_str(&before.bytes)
                .map_err(|error| Error(format!("the list of referrers is not valid: {error}")))?
        }
        Some(before) => {
            let kind = before.media_type.escape_debug();
            return Err(Error(format!(
                "what should be a list of referrers is of media type `{kind}`"
            )));
        }
    };
    let mut entries = match index["manifests"].take() {
        Value::Array(entries) => entries,
        _ => Vec::new(),
    };
    let count = entries.len();
    for one in added {
        if !entries
            .iter()
            .any(|entry| entry["digest"] == one.digest.as_str())
        {
            entries.push(entry(one));
        }
    }
    if entries.len() == count {
        return Ok(None);
    }
    index["manifests"] = Value::Array(entries);
    Ok(Some(Manifest::new(index.to_string(), IMAGE_INDEX_TYPES[0])))
}

fn entry(one: &Descriptor) -> Value {
    let mut entry = Map::new();
    entry.insert("mediaType".into(), json!(one.media_type));
    entry.insert("digest".into(), json!(one.digest));
    entry.insert("size".into(), json!(one.size));
    if let Some(kind) = &one.artifact_type {
        entry.insert("artifactType".into(), json!(kind));
    }
    if !one.annotations.is_empty() {
        entry.insert("annotations".into(), json!(one.annotations));
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Artifact, IMAGE_MANIFEST_TYPES};

    fn artifact(content: &str) -> Descriptor {
        let subject = Manifest::new("{}".into(), IMAGE_MANIFEST_TYPES[0]);
        let said = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let artifact = Artifact::new(&subject, "x/y", "f", &said, content.into());
        referrer(&artifact.manifest).unwrap()
    }

    #[test]
    fn a_list_grows_without_twins_and_keeps_what_others_have_entered() {
        let (one, other) = (artifact("1"), artifact("2"));
        let first = with_referrers(None, &[one.clone(), one.clone()])
            .unwrap()
            .unwrap();
        let entries = first.children().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0], one);
        assert_eq!(
            (one.artifact_type.as_deref(), one.annotations["a"].as_str()),
            (Some("x/y"), "b")
        );
        assert_eq!(with_referrers(Some(&first), &[one]).unwrap(), None);
        let theirs = first
            .bytes
            .replacen("\"size\"", "\"theirs\":[1.50],\"size\"", 1);
        let theirs = Manifest::new(theirs, "");
        let both = with_referrers(Some(&theirs), &[other]).unwrap().unwrap();
        assert_eq!(both.children().unwrap().len(), 2);
        assert!(both.bytes.contains("\"theirs\":[1.5]"), "{}", both.bytes);
    }

    #[test]
    fn a_tag_that_is_used_for_something_else_is_left_alone() {
        let image = Manifest::new("{\"layers\":[]}".into(), IMAGE_MANIFEST_TYPES[0]);
        let error = with_referrers(Some(&image), &[artifact("1")]).unwrap_err();
        assert!(error.to_string().contains("image.manifest.v1"), "{error}");
    }

    #[test]
    fn the_tag_of_a_list_is_made_of_the_digest() {
        assert_eq!(referrers_tag("sha256:ab"), "sha256-ab");
    }
}
