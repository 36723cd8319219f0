//! The history of a repository by the tags that name a time: the registry protocol knows no other.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{
    model::{published::Stored, tags},
    registry::Registry,
};

/// The most tags that a registry is asked for: each is a request.
pub(super) const MOST: usize = 120;

/// The images that have such tags, newest first.
pub(super) fn images(registry: &Registry, repository: &str) -> Result<Vec<Stored>> {
    let newest = newest(registry.tags(repository)?);
    let names: Vec<_> = newest.iter().map(|(_, tag)| tag.clone()).collect();
    let manifests = registry.find_all(repository, &names)?;
    let mut images: BTreeMap<String, Stored> = BTreeMap::new();
    let mut order = Vec::new();
    for (_, tag) in newest {
        let Some(manifest) = manifests.get(&tag) else {
            continue;
        };
        let digest = manifest.digest.clone();
        let image = images.entry(digest.clone()).or_insert_with(|| {
            order.push(digest.clone());
            Stored {
                digest,
                tags: Vec::new(),
                pushed: 0,
            }
        });
        image.tags.push(tag);
    }
    let images = order.iter().filter_map(|digest| images.remove(digest));
    Ok(images.collect())
}

/// The newest tags that name a time, newest first, each behind its time.
fn newest(tags: Vec<String>) -> Vec<(String, String)> {
    let mut dated: Vec<_> = tags
        .into_iter()
        .filter_map(|tag| Some((time_in(&tag)?.to_owned(), tag)))
        .collect();
    dated.sort_by(|one, other| other.cmp(one));
    dated.truncate(MOST);
    dated
}

/// The time that a tag ends with, but for its CPU.
fn time_in(tag: &str) -> Option<&str> {
    let mut starts = std::iter::once(0).chain(tag.match_indices('-').map(|(at, _)| at + 1));
    starts.find_map(|start| tags::moment(tag.get(start..)?).map(|(time, _)| time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_times_come_first_and_other_tags_are_left_out() {
        let tags = [
            "api-dev-20250101-000000",
            "dev-20250103-000000-arm64",
            "dev-latest",
            "abc1234",
            "20250102-000000",
            "é-20250104-000000",
        ];
        let found = newest(tags.map(str::to_owned).to_vec());
        let names: Vec<_> = found.iter().map(|(_, tag)| tag.as_str()).collect();
        assert_eq!(
            names,
            [
                "é-20250104-000000",
                "dev-20250103-000000-arm64",
                "20250102-000000",
                "api-dev-20250101-000000"
            ]
        );
        let many = (0..MOST + 5).map(|day| format!("dev-20250101-{day:06}"));
        assert_eq!(newest(many.collect()).len(), MOST);
    }
}
