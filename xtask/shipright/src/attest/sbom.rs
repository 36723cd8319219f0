//! What is in an image, as a CycloneDX document: the packages that the proof has read, under the names by which other tools know them.
//!
//! Everything in it comes from the image: the same image gives the same bytes wherever and whenever it is asked, so that it is attached
//! once. That is why no version of this tool and no time of the run is in it.
//!
//! What no package manager has written down is not in it, nor what is in an RPM database; the document says so itself.
//!
//! Source: CycloneDX 1.6, JSON.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use image_oci::{Config, Manifest, digest_of};
use serde_json::{Value, json};

use super::{json::canonical, purl};
use crate::{
    facts::git::without_credentials,
    model::label,
    proof::{Installed, Inventory, Manager},
};

/// The document.
pub(super) fn document(manifest: &Manifest, config: &Config, inventory: &Inventory) -> Vec<u8> {
    let image = image(manifest, config);
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": "shipright" }] },
            "properties": properties(inventory),
        },
        "components": components(inventory),
        // What was copied in without a package manager is not known.
        "compositions": [{ "aggregate": "incomplete", "assemblies": [image["bom-ref"]] }],
    });
    if let Some(created) = created(config) {
        document["metadata"]["timestamp"] = json!(created);
    }
    document["metadata"]["component"] = image;
    let serial = serial(&canonical(&document));
    document["serialNumber"] = json!(serial);
    canonical(&document).into_bytes()
}

/// The image itself. What it is called is what it says of its source: it has other names in other registries.
fn image(manifest: &Manifest, config: &Config) -> Value {
    let labels = config.config.labels.as_ref();
    let source = labels.and_then(|labels| labels.get(label::SOURCE));
    let source = source.map(|source| without_credentials(source));
    let name = source.as_deref().and_then(last_part).unwrap_or("image");
    let digest = &manifest.digest;
    let url = purl::of_image(name, digest, &config.architecture);
    let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
    let mut image = json!({
        "bom-ref": url,
        "type": "container",
        "name": name,
        "version": digest,
        "purl": url,
        "hashes": [{ "alg": "SHA-256", "content": hash }],
    });
    let is_address = |source: &&String| {
        source.starts_with("https://") && source.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if let Some(source) = source.as_ref().filter(is_address) {
        image["externalReferences"] = json!([{ "type": "vcs", "url": source }]);
    }
    image
}

/// `backend` of `https://git.example.com/team/backend.git`.
fn last_part(source: &str) -> Option<&str> {
    let path = source.trim_end_matches('/');
    let name = path.rsplit(['/', ':']).next()?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    Some(name).filter(|name| !name.is_empty())
}

/// The distribution and the packages. A reference is one component's alone, also where two packages have one URL.
fn components(inventory: &Inventory) -> Vec<Value> {
    let mut references: BTreeMap<String, usize> = BTreeMap::new();
    let mut component = |package: &Installed| {
        let url = purl::of(package, inventory.system.as_ref());
        let count = references.entry(url.clone()).or_default();
        *count += 1;
        let reference = match *count {
            1 => url.clone(),
            count => format!("{url}#{count}"),
        };
        let (group, name) = match purl::scoped(&package.name) {
            Some((scope, name)) if package.manager == Manager::Npm => (Some(scope), name),
            _ => (None, package.name.as_str()),
        };
        let mut component = json!({
            "bom-ref": reference,
            "type": "library",
            "name": name,
            "version": package.version,
            "purl": url,
        });
        if let Some(group) = group {
            component["group"] = json!(group);
        }
        component
    };
    let system = inventory.system.as_ref().map(|system| {
        let mut component = json!({
            "bom-ref": format!("os:{}", system.id),
            "type": "operating-system",
            "name": system.id,
        });
        if let Some(version) = &system.version {
            component["version"] = json!(version);
        }
        component
    });
    let packages = inventory.packages.iter().filter(|one| !one.name.is_empty());
    system
        .into_iter()
        .chain(packages.map(&mut component))
        .collect()
}

/// What the document covers, and what it is known to lack.
fn properties(inventory: &Inventory) -> Vec<Value> {
    let property =
        |name: &str, value: &str| json!({ "name": format!("shipright:{name}"), "value": value });
    let covers = "packages of dpkg, apk, Python and npm, as their package managers have written them down; not RPM databases, and not \
                  what was copied in by itself";
    let mut all = vec![property("covers", covers)];
    let unread = inventory.unread.iter();
    all.extend(unread.map(|path| property("not-read", &format!("/{path}"))));
    if inventory.is_cut {
        all.push(property("cut", "there are more packages than were kept"));
    }
    all
}

/// When the image was made, as it says itself.
fn created(config: &Config) -> Option<String> {
    let created = DateTime::parse_from_rfc3339(config.created.as_ref()?).ok()?;
    Some(
        created
            .with_timezone(&Utc)
            .to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

/// A UUID of the document's own bytes. Source: RFC 9562, version 8.
fn serial(text: &str) -> String {
    let digest = digest_of(text.as_bytes());
    let hex = digest.trim_start_matches("sha256:");
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..15],
        &hex[15..18],
        &hex[18..30]
    )
}

#[cfg(test)]
mod tests {
    use image_oci::IMAGE_MANIFEST_TYPES;

    use super::*;
    use crate::proof::System;

    fn package(manager: Manager, name: &str) -> Installed {
        Installed {
            manager,
            name: name.into(),
            version: "1.0".into(),
            architecture: None,
        }
    }

    fn made(config: &str, inventory: &Inventory) -> (Vec<u8>, Value) {
        let manifest = Manifest::new("{}".into(), IMAGE_MANIFEST_TYPES[0]);
        let bytes = document(
            &manifest,
            &Config::parse(config.as_bytes()).unwrap(),
            inventory,
        );
        let value = serde_json::from_slice(&bytes).unwrap();
        (bytes, value)
    }

    #[test]
    fn a_document_has_the_image_its_distribution_its_packages_and_its_gaps() {
        let inventory = Inventory {
            system: Some(System {
                id: "debian".into(),
                version: Some("12".into()),
            }),
            packages: vec![
                package(Manager::Debian, "libc6"),
                package(Manager::Python, "a_b"),
                package(Manager::Python, "a-b"),
                package(Manager::Npm, "@types/node"),
                package(Manager::Npm, ""),
            ],
            unread: vec!["var/lib/rpm/rpmdb.sqlite".into()],
            is_cut: true,
        };
        let config = r#"{"architecture":"arm64","os":"linux","created":"2025-01-16T15:30:00.5+01:00","config":{"Labels":{
            "org.opencontainers.image.source":"https://user:token@git.example.com/team/backend.git"}}}"#;
        let (bytes, document) = made(config, &inventory);
        assert_eq!(made(config, &inventory).0, bytes);
        assert!(!String::from_utf8(bytes).unwrap().contains("token"));
        let image = &document["metadata"]["component"];
        assert_eq!(
            (image["name"].as_str(), image["type"].as_str()),
            (Some("backend"), Some("container"))
        );
        assert_eq!(
            image["externalReferences"][0]["url"],
            "https://git.example.com/team/backend.git"
        );
        assert_eq!(document["metadata"]["timestamp"], "2025-01-16T14:30:00Z");
        let components = document["components"].as_array().unwrap();
        let references: Vec<_> = components
            .iter()
            .map(|one| one["bom-ref"].as_str().unwrap())
            .collect();
        assert_eq!(
            references,
            [
                "os:debian",
                "pkg:deb/debian/libc6@1.0?distro=debian-12",
                "pkg:pypi/a-b@1.0",
                "pkg:pypi/a-b@1.0#2",
                "pkg:npm/%40types/node@1.0",
            ]
        );
        assert_eq!(
            (&components[4]["group"], &components[4]["name"]),
            (&json!("@types"), &json!("node"))
        );
        let said = document["metadata"]["properties"].to_string();
        for words in [
            "not RPM databases",
            "/var/lib/rpm/rpmdb.sqlite",
            "more packages",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let serial = document["serialNumber"].as_str().unwrap();
        let parts: Vec<_> = serial
            .trim_start_matches("urn:uuid:")
            .split('-')
            .map(str::len)
            .collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{serial}");
    }

    #[test]
    fn what_an_image_does_not_say_is_left_out_and_names_are_escaped() {
        let inventory = Inventory {
            packages: vec![package(Manager::Python, "\u{1b}[31m\u{202e}evil\n")],
            ..Inventory::default()
        };
        let (bytes, document) = made(r#"{"architecture":"","created":"yesterday"}"#, &inventory);
        assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte)));
        assert_eq!(
            document["components"][0]["name"],
            "\u{1b}[31m\u{202e}evil\n"
        );
        assert!(document["metadata"].get("timestamp").is_none());
        assert_eq!(document["metadata"]["component"]["name"], "image");
    }

    #[test]
    fn the_name_of_a_source_is_its_last_part() {
        for (source, name) in [
            ("https://git.example.com/team/backend.git", Some("backend")),
            ("git@git.example.com:backend.git", Some("backend")),
            ("https://git.example.com/team/backend/", Some("backend")),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(last_part(source), name, "{source}");
        }
    }
}
