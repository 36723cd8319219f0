//! `[builders]`: where images of each CPU are built.

use std::collections::BTreeMap;

use super::{finding::Finding, raw};
use crate::{arch::Arch, model::builder::Builder};

/// Reads the names and addresses of builders.
pub(super) fn resolve(
    finding: &mut Finding<'_>,
    builders: &raw::Builders,
) -> BTreeMap<Arch, Builder> {
    let said = [
        (Arch::Arm64, &builders.arm64),
        (Arch::Amd64, &builders.amd64),
    ];
    let named = said
        .into_iter()
        .filter_map(|(arch, said)| Some((arch, said.as_ref()?)));
    let mut found = BTreeMap::new();
    for (arch, said) in named {
        let is_address = ["ssh://", "tcp://"].iter().any(|start| {
            said.value
                .strip_prefix(start)
                .is_some_and(|rest| !rest.is_empty())
        });
        // A host or a user that begins with `-` would be an option of ssh.
        let is_option = said.value.contains("//-") || said.value.contains("@-");
        let is_plain = !said
            .value
            .contains(|c: char| c.is_whitespace() || c.is_control());
        let is_name = said.value.starts_with(|c: char| c.is_ascii_alphanumeric())
            && said
                .value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if is_name {
            found.insert(
                arch,
                Builder {
                    name: said.value.clone(),
                    address: None,
                },
            );
        } else if is_address && is_plain && !is_option {
            // One name for one address: another address makes another builder.
            let digest = image_oci::digest_of(said.value.as_bytes());
            let name = format!("xtask-{arch}-{}", &digest["sha256:".len()..][..8]);
            found.insert(
                arch,
                Builder {
                    name,
                    address: Some(said.value.clone()),
                },
            );
        } else {
            finding.problem(
                &said.span,
                format!("`builders.{arch}` is `{}`, which is no builder", said.value.escape_debug()),
                "write a name that `docker buildx ls` shows, `ssh://user@host`, or `tcp://host:port`",
            );
        }
    }
    found
}
