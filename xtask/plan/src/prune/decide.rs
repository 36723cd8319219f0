//! Decides for each image of a repository whether it stays.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Decided, Facts, Kept, Needless, Verdict,
    scheme::{Meaning, subject_of},
};
use crate::model::inventory::{StoredImage, UsedImage};

/// Decides, and leaves the images in their order.
pub fn decide(facts: Facts<'_>) -> Vec<Decided> {
    let kept = Keeper::new(&facts).keep();
    let present: BTreeSet<_> = facts
        .images
        .iter()
        .map(|image| image.digest.clone())
        .collect();
    let decided = |image: StoredImage| {
        let verdict = match kept.get(&image.digest) {
            Some(why) => Verdict::Keep(why.clone()),
            None => Verdict::Delete(needless(subject_of(&image), &image, &present)),
        };
        Decided { image, verdict }
    };
    facts.images.into_iter().map(decided).collect()
}

fn needless(subject: Option<String>, image: &StoredImage, present: &BTreeSet<String>) -> Needless {
    match subject {
        Some(subject) if present.contains(&subject) => Needless::Follows(subject),
        Some(subject) => Needless::Orphan(subject),
        None if image.tags.is_empty() => Needless::Untagged,
        None => Needless::Old,
    }
}

/// What stays, and why: by digest.
type Reasons = BTreeMap<String, Kept>;

struct Keeper<'k, 'f> {
    facts: &'k Facts<'f>,
    /// By digest: what its tags say.
    meanings: BTreeMap<&'k str, Vec<(&'k str, Meaning)>>,
    /// What each image is a signature or the like of.
    subjects: BTreeMap<&'k str, String>,
    digests: BTreeSet<&'k str>,
}

impl<'k, 'f> Keeper<'k, 'f> {
    fn new(facts: &'k Facts<'f>) -> Self {
        let images = || facts.images.iter();
        let meanings = |image: &'k StoredImage| {
            let tags = image.tags.iter();
            let meanings = tags.map(|tag| (tag.as_str(), facts.scheme.meaning(tag)));
            (image.digest.as_str(), meanings.collect())
        };
        let subject = |image: &'k StoredImage| {
            let subject = subject_of(image)?;
            Some((image.digest.as_str(), subject))
        };
        Self {
            facts,
            meanings: images().map(meanings).collect(),
            subjects: images().filter_map(subject).collect(),
            digests: images().map(|image| image.digest.as_str()).collect(),
        }
    }

    fn keep(&self) -> Reasons {
        if let Some(why) = self.whole() {
            let all = self.digests.iter();
            return all
                .map(|digest| ((*digest).to_owned(), why.clone()))
                .collect();
        }
        let runs = self.runs();
        let newest = self.newest(&runs);
        let mut kept = Reasons::new();
        for image in &self.facts.images {
            let why = runs
                .get(&image.digest)
                .cloned()
                .or_else(|| self.named(image))
                .or_else(|| newest.get(image.digest.as_str()).cloned())
                .or_else(|| self.young(image))
                .or_else(|| self.of_others(image));
            kept.extend(why.map(|why| (image.digest.clone(), why)));
        }
        self.spread(&mut kept);
        kept
    }

    /// Why the whole repository stays.
    fn whole(&self) -> Option<Kept> {
        let untold = self.facts.uses.iter().find(|one| match &one.image {
            UsedImage::Untold { repository } => repository
                .as_ref()
                .is_none_or(|name| name == self.facts.repository),
            UsedImage::Digest(_) | UsedImage::Tag { .. } => false,
        });
        let unread = |image: &&StoredImage| image.is_index && image.unread.is_some();
        let index = || self.facts.images.iter().find(unread);
        let untold = untold.map(|one| Kept::Untold(one.by.clone()));
        untold.or_else(|| index().map(|image| Kept::UnreadIndex(image.digest.clone())))
    }

    /// What runs, or can be run again.
    fn runs(&self) -> Reasons {
        let mut runs = Reasons::new();
        for one in self.facts.uses {
            let digest = match &one.image {
                UsedImage::Digest(digest) => Some(digest.as_str()),
                UsedImage::Tag { repository, tag } if repository == self.facts.repository => {
                    let mut images = self.facts.images.iter();
                    let named = images.find(|image| image.tags.contains(tag));
                    named.map(|image| image.digest.as_str())
                }
                UsedImage::Tag { .. } | UsedImage::Untold { .. } => None,
            };
            if let Some(digest) = digest {
                let why = || Kept::Runs(one.by.clone());
                runs.entry(digest.to_owned()).or_insert_with(why);
            }
        }
        runs
    }

    /// Whether a tag keeps an image, or nothing can be said of it at all.
    fn named(&self, image: &StoredImage) -> Option<Kept> {
        let meanings = self.meanings.get(image.digest.as_str())?;
        // A commit's tag is one of ours where one with a time is beside it: every push writes both.
        let is_ours = meanings
            .iter()
            .any(|(_, meaning)| matches!(meaning, Meaning::Time { .. }));
        let of = |(tag, meaning): &(&str, Meaning)| match meaning {
            Meaning::Moving => Some(Kept::MovingTag((*tag).to_owned())),
            Meaning::Release => Some(Kept::Release((*tag).to_owned())),
            Meaning::Unknown => Some(Kept::UnknownTag((*tag).to_owned())),
            Meaning::Ordinary if !is_ours => Some(Kept::UnknownTag((*tag).to_owned())),
            Meaning::Ordinary | Meaning::Time { .. } | Meaning::Of(_) => None,
        };
        let named: Vec<_> = meanings.iter().filter_map(of).collect();
        let moves = |why: &&Kept| matches!(why, Kept::MovingTag(_));
        let first = named.iter().find(moves).or_else(|| named.first()).cloned();
        first.or_else(|| image.unread.clone().map(Kept::Unread))
    }

    /// The newest images of each image in each environment, by the times of their tags, and the one before what runs: a rollback
    /// goes there. What has the same time is one: an image index and its images.
    fn newest(&self, runs: &Reasons) -> BTreeMap<&'k str, Kept> {
        let mut newest = BTreeMap::new();
        for (group, moments) in self.groups() {
            let keep = self.facts.bounds.keep;
            let mut its: BTreeSet<&str> = BTreeSet::new();
            // The same image once more is no other to go back to.
            let distinct = moments.values().rev().filter(|digests| {
                let is_new = !digests.is_subset(&its);
                its.extend(*digests);
                is_new
            });
            let distinct: Vec<_> = distinct.collect();
            let runs =
                |digests: &&BTreeSet<&str>| digests.iter().any(|one| runs.contains_key(*one));
            let current = distinct.iter().position(runs).filter(|_| keep > 0);
            let before = current.and_then(|current| distinct.get(current + 1));
            let before = before.into_iter().copied().flatten();
            newest.extend(before.map(|digest| (*digest, Kept::Before(group.to_owned()))));
            let first = distinct.into_iter().take(keep).flatten();
            newest.extend(first.map(|digest| (*digest, Kept::Newest(group.to_owned()))));
        }
        newest
    }

    /// The images that went to an environment, by the beginning of their tags and by the time.
    fn groups(&self) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<&'k str>>> {
        let mut groups: BTreeMap<&str, BTreeMap<&str, BTreeSet<_>>> = BTreeMap::new();
        for (digest, meanings) in &self.meanings {
            for (_, meaning) in meanings {
                if let Meaning::Time { group, moment } = meaning {
                    let moments = groups.entry(group).or_default();
                    moments.entry(moment).or_default().insert(*digest);
                }
            }
        }
        groups
    }

    /// Whether an image was pushed not long ago. What belongs to another goes when that goes.
    fn young(&self, image: &StoredImage) -> Option<Kept> {
        let subject = self.subjects.get(image.digest.as_str());
        if subject.is_some_and(|subject| self.digests.contains(subject.as_str())) {
            return None;
        }
        let shortest = self.facts.bounds.older.as_secs();
        let shortest = i64::try_from(shortest).unwrap_or(i64::MAX);
        let now = self.facts.now.timestamp();
        let is_old = |pushed: i64| now.saturating_sub(pushed) >= shortest;
        (!image.pushed.is_some_and(is_old)).then_some(Kept::Young)
    }

    /// Whether an image is of other services than those that were named. An image that belongs to another goes with that.
    fn of_others(&self, image: &StoredImage) -> Option<Kept> {
        let (scheme, services) = (self.facts.scheme, self.facts.services);
        let belongs = self.subjects.contains_key(image.digest.as_str());
        let is_theirs = if image.tags.is_empty() || belongs {
            let subject = self.subjects.get(image.digest.as_str());
            let is_here = subject.is_some_and(|one| self.digests.contains(one.as_str()));
            is_here || scheme.has_only(services)
        } else {
            let mut tags = image.tags.iter();
            tags.all(|tag| scheme.is_of(services, tag))
        };
        (!is_theirs).then_some(Kept::OtherService)
    }

    /// What an index that stays has, stays; and so does what belongs to an image that stays.
    fn spread(&self, kept: &mut Reasons) {
        loop {
            let mut more = Reasons::new();
            for image in &self.facts.images {
                let is_kept = kept.contains_key(&image.digest);
                if is_kept {
                    let children = image.children.iter();
                    let new = children.filter(|child| !kept.contains_key(*child));
                    let why = || Kept::Child(image.digest.clone());
                    more.extend(new.map(|child| (child.clone(), why())));
                }
                let subject = self.subjects.get(image.digest.as_str());
                if let Some(subject) = subject.filter(|one| !is_kept && kept.contains_key(*one)) {
                    more.insert(image.digest.clone(), Kept::Belongs(subject.clone()));
                }
            }
            more.retain(|digest, _| !kept.contains_key(digest));
            if more.is_empty() {
                return;
            }
            kept.extend(more);
        }
    }
}
