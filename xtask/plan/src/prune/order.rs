//! In which order images are deleted: an image index before what it has, an image before its signatures.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Decided, scheme::subject_of};
use crate::model::inventory::StoredImage;

/// How many images go in one call. Source: the API reference of `BatchDeleteImage`, `imageIds`.
const MOST: usize = 100;

/// A deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is deleted.
    pub digest: String,
    /// What has to be gone by then.
    pub after: BTreeSet<String>,
}

/// The deletions of a decision, in calls: each call has only what may go once the calls before it are done.
pub fn batches(decided: &[Decided]) -> Vec<Vec<Step>> {
    let deleted: Vec<_> = decided
        .iter()
        .filter(|one| one.needless().is_some())
        .map(|one| &one.image)
        .collect();
    let mut waiting = steps(&deleted);
    let mut batches = Vec::new();
    while !waiting.is_empty() {
        let is_waiting = |digest: &String| waiting.iter().any(|step| step.digest == *digest);
        let (mut free, held): (Vec<_>, Vec<_>) = waiting
            .clone()
            .into_iter()
            .partition(|step| !step.after.iter().any(is_waiting));
        // Images that wait for each other in a circle: tags can say such a thing, digests cannot.
        if free.is_empty() {
            batches.extend(held.chunks(MOST).map(<[Step]>::to_vec));
            break;
        }
        waiting = held;
        while !free.is_empty() {
            let rest = free.split_off(free.len().min(MOST));
            batches.push(std::mem::replace(&mut free, rest));
        }
    }
    batches
}

fn steps(deleted: &[&StoredImage]) -> Vec<Step> {
    let mut parents: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for image in deleted {
        for child in &image.children {
            parents
                .entry(child)
                .or_default()
                .insert(image.digest.clone());
        }
    }
    let present: BTreeSet<_> = deleted.iter().map(|image| image.digest.as_str()).collect();
    let step = |image: &&StoredImage| {
        let mut after = parents
            .get(image.digest.as_str())
            .cloned()
            .unwrap_or_default();
        after.extend(subject_of(image).filter(|one| present.contains(one.as_str())));
        Step {
            digest: image.digest.clone(),
            after,
        }
    };
    deleted.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::{Kept, Needless, Verdict};

    fn image(digest: &str, children: &[&str], subject: Option<&str>) -> Decided {
        Decided {
            image: StoredImage {
                digest: digest.into(),
                children: children.iter().map(|one| (*one).to_owned()).collect(),
                subject: subject.map(str::to_owned),
                ..StoredImage::default()
            },
            verdict: Verdict::Delete(Needless::Untagged),
        }
    }

    fn shown(batches: &[Vec<Step>]) -> Vec<Vec<&str>> {
        let names = batches.iter().map(|batch| {
            let steps = batch.iter();
            steps.map(|step| step.digest.as_str()).collect::<Vec<_>>()
        });
        names.collect()
    }

    #[test]
    fn an_index_goes_before_its_images_and_an_image_before_its_signature() {
        let mut all = vec![
            image("a-child", &[], None),
            image("b-signature", &[], Some("a-child")),
            image("c-of-c", &[], Some("b-signature")),
            image("d-index", &["a-child", "not-here"], None),
            image("e-outer", &["d-index"], None),
            image("f-alone", &[], Some("gone")),
        ];
        let batches = batches(&all);
        assert_eq!(
            shown(&batches),
            [
                vec!["e-outer", "f-alone"],
                vec!["d-index"],
                vec!["a-child"],
                vec!["b-signature"],
                vec!["c-of-c"]
            ]
        );
        assert_eq!(batches[2][0].after, BTreeSet::from(["d-index".to_owned()]));
        all[4].verdict = Verdict::Keep(Kept::Young);
        assert_eq!(shown(&super::batches(&all))[0], ["d-index", "f-alone"]);
    }

    #[test]
    fn a_call_has_a_hundred_images_and_a_circle_ends() {
        let name = |number: usize| format!("{number:03}");
        let all: Vec<_> = (0..201)
            .map(|number| image(&name(number), &[], None))
            .collect();
        let sizes: Vec<_> = batches(&all).iter().map(Vec::len).collect();
        assert_eq!(sizes, [100, 100, 1]);
        let circle = [image("a", &[], Some("b")), image("b", &[], Some("a"))];
        assert_eq!(shown(&batches(&circle)), [["a", "b"]]);
    }
}
