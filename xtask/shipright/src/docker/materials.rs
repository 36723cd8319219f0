//! The base images that a build has read, by the digests that BuildKit found for them.
//!
//! Source: `buildx.build.provenance` in docker's reference of `buildx build --metadata-file`; SLSA provenance 0.2 (`materials`) and 1.0
//! (`resolvedDependencies`). buildx of before 0.13 tells nothing of it.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A base image, as the build has found it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Base {
    /// Its package URL: `pkg:docker/python@3.13-slim?platform=linux%2Farm64`.
    pub uri: String,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// The most bytes of an address. Real ones have fewer than three hundred.
const LONGEST: usize = 2048;

/// Reads what there is of it; what is of no known form is left out.
pub(super) fn images<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Base>, D::Error> {
    let said = Value::deserialize(deserializer)?;
    let lists = [
        &said["materials"],
        &said["buildDefinition"]["resolvedDependencies"],
    ];
    let all = lists.into_iter().filter_map(Value::as_array).flatten();
    let mut bases: Vec<_> = all.filter_map(base).collect();
    bases.sort();
    bases.dedup();
    Ok(bases)
}

/// A material that is an image. Another one is an address of the user's, which may have a token in it.
fn base(one: &Value) -> Option<Base> {
    let (uri, sha256) = (one["uri"].as_str()?, one["digest"]["sha256"].as_str()?);
    let is_image = uri.starts_with("pkg:docker/") && uri.len() <= LONGEST;
    let is_digest = image_oci::is_digest(&format!("sha256:{sha256}"));
    let is_plain = uri.bytes().all(|byte| byte.is_ascii_graphic());
    (is_image && is_digest && is_plain).then(|| Base {
        uri: uri.to_owned(),
        sha256: sha256.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn images_are_read_in_both_forms_and_nothing_else_is() {
        let hex = "a".repeat(64);
        let image = json!({ "uri": "pkg:docker/python@3.13-slim", "digest": { "sha256": hex } });
        let git =
            json!({ "uri": "https://user:token@git.example.com/x", "digest": { "sha1": "1" } });
        let odd = json!({ "uri": "pkg:docker/x", "digest": { "sha256": "1" } });
        let expected = [Base {
            uri: "pkg:docker/python@3.13-slim".into(),
            sha256: hex.clone(),
        }];
        for said in [
            json!({ "materials": [image, git, odd, image] }),
            json!({ "buildDefinition": { "resolvedDependencies": [image, git] } }),
        ] {
            assert_eq!(images(said).unwrap(), expected);
        }
        for said in [json!(null), json!("x"), json!({ "materials": 3 })] {
            assert_eq!(images(said).unwrap(), []);
        }
    }
}
