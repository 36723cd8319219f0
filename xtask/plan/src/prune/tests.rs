//! What is decided about the images of a repository.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Bounds, Facts, Kept, Needless, Scheme, Verdict, decide, monthly_cost};
use crate::{
    fixtures::{config, image as configured, service},
    model::{
        config::Config,
        inventory::{ImageUse, StoredImage, UsedImage},
        pattern::TagPattern,
        target::Target,
    },
};

const NOW: i64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;
const OLD: &str = "api-dev-20250101-000000";

/// An image that was pushed a hundred days ago.
fn image(digest: &str, tags: &[&str]) -> StoredImage {
    StoredImage {
        digest: digest.into(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        pushed: Some(NOW - 100 * 86_400),
        size: 1,
        ..StoredImage::default()
    }
}

fn index(digest: &str, tags: &[&str], children: &[&str]) -> StoredImage {
    StoredImage {
        is_index: true,
        children: children.iter().map(|child| (*child).to_owned()).collect(),
        ..image(digest, tags)
    }
}

fn signature(digest: &str, subject: &str) -> StoredImage {
    StoredImage {
        subject: Some(subject.into()),
        ..image(digest, &[])
    }
}

fn project() -> Config {
    let mut image = configured(Target::Lambda);
    image.environments.push("prod".into());
    let mut project = config(service(image));
    let patterns = ["{env}-{branch}", "v{version}"];
    project.tags = patterns.map(|text| TagPattern::parse(text).unwrap()).into();
    project
}

/// What becomes of each image, by digest.
struct Asked {
    project: Config,
    images: Vec<StoredImage>,
    uses: Vec<ImageUse>,
    keep: usize,
    older: u64,
    services: Vec<String>,
}

impl Asked {
    fn about(images: Vec<StoredImage>) -> Self {
        Self {
            project: project(),
            images,
            uses: Vec::new(),
            keep: 0,
            older: 30,
            services: Vec::new(),
        }
    }

    fn verdicts(self) -> Vec<(String, Verdict)> {
        let environments: Vec<_> = self.project.environments.values().collect();
        let scheme = Scheme::of(&self.project, &environments, "shop");
        let decided = decide(Facts {
            repository: "shop",
            images: self.images,
            uses: &self.uses,
            scheme: &scheme,
            services: &self.services,
            bounds: Bounds {
                keep: self.keep,
                older: Duration::from_secs(self.older * DAY),
            },
            now: DateTime::<Utc>::from_timestamp(NOW, 0).unwrap(),
        });
        let of = decided.into_iter();
        of.map(|one| (one.image.digest, one.verdict)).collect()
    }

    fn deleted(self) -> Vec<String> {
        let all = self.verdicts().into_iter();
        let deleted = all.filter(|(_, verdict)| matches!(verdict, Verdict::Delete(_)));
        deleted.map(|(digest, _)| digest).collect()
    }
}

fn used(by: &str, image: UsedImage) -> ImageUse {
    ImageUse {
        by: by.into(),
        image,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_single_image_stays_or_goes_with_a_reason() {
    let hex = "a".repeat(64);
    let cosign = format!("sha256-{hex}.sig");
    let keep = Verdict::Keep;
    let tag = |tag: &str| tag.to_owned();
    for (image, verdict) in [
        (
            image("a", &[OLD, "api-abc1234"]),
            Verdict::Delete(Needless::Old),
        ),
        (image("a", &[]), Verdict::Delete(Needless::Untagged)),
        (
            image("a", &[OLD, "api-dev-latest"]),
            keep(Kept::MovingTag(tag("api-dev-latest"))),
        ),
        (
            image("a", &["api-prod-arm64-latest"]),
            keep(Kept::MovingTag(tag("api-prod-arm64-latest"))),
        ),
        (
            image("a", &["api-dev-cache-arm64-latest"]),
            keep(Kept::MovingTag(tag("api-dev-cache-arm64-latest"))),
        ),
        (
            image("a", &[OLD, "api-dev-main"]),
            keep(Kept::MovingTag(tag("api-dev-main"))),
        ),
        (
            image("a", &[OLD, "api-v1.4.0"]),
            keep(Kept::Release(tag("api-v1.4.0"))),
        ),
        (
            image("a", &[OLD, "keep-me"]),
            keep(Kept::UnknownTag(tag("keep-me"))),
        ),
        (
            image("a", &["keep-me", "api-dev-latest"]),
            keep(Kept::MovingTag(tag("api-dev-latest"))),
        ),
        (
            image("a", &["worker-dev-20250101-000000"]),
            keep(Kept::UnknownTag(tag("worker-dev-20250101-000000"))),
        ),
        // A commit's tag without a time beside it is nothing that a push has left.
        (
            image("a", &["api-abc1234"]),
            keep(Kept::UnknownTag(tag("api-abc1234"))),
        ),
        (
            StoredImage {
                pushed: Some(NOW - 29 * 86_400),
                ..image("a", &[OLD])
            },
            keep(Kept::Young),
        ),
        (
            StoredImage {
                pushed: None,
                ..image("a", &[])
            },
            keep(Kept::Young),
        ),
        (
            StoredImage {
                pushed: Some(NOW + 100),
                ..image("a", &[])
            },
            keep(Kept::Young),
        ),
        (
            StoredImage {
                unread: Some(tag("why")),
                ..image("a", &[])
            },
            keep(Kept::Unread(tag("why"))),
        ),
        (
            image("a", &[&cosign]),
            Verdict::Delete(Needless::Orphan(format!("sha256:{hex}"))),
        ),
        (
            signature("a", "gone"),
            Verdict::Delete(Needless::Orphan(tag("gone"))),
        ),
    ] {
        let shown = format!("{image:?}");
        assert_eq!(
            Asked::about(vec![image]).verdicts()[0].1,
            verdict,
            "{shown}"
        );
    }
}

#[test]
fn what_was_pushed_since_the_time_that_is_asked_for_stays() {
    let pushed = |ago: i64| StoredImage {
        pushed: Some(NOW - ago),
        ..image("a", &[OLD])
    };
    let all = |older, ago| Asked {
        older,
        ..Asked::about(vec![pushed(ago)])
    };
    assert_eq!(all(1, 86_399).deleted(), [""; 0]);
    assert_eq!(all(1, 86_400).deleted(), ["a"]);
    assert_eq!(all(0, 0).deleted(), ["a"]);
}

#[test]
fn what_runs_stays_by_digest_by_what_its_tag_names_or_as_a_whole() {
    let images = || vec![image("a", &[OLD]), image("b", &["api-dev-20250102-000000"])];
    let with = |image| {
        let asked = Asked {
            uses: vec![used("x", image)],
            ..Asked::about(images())
        };
        asked.deleted()
    };
    let tag = |repository: &str| UsedImage::Tag {
        repository: repository.into(),
        tag: OLD.into(),
    };
    let untold = |repository: Option<&str>| UsedImage::Untold {
        repository: repository.map(str::to_owned),
    };
    assert_eq!(with(UsedImage::Digest("a".into())), ["b"]);
    assert_eq!(with(tag("shop")), ["b"]);
    assert_eq!(with(tag("other")), ["a", "b"]);
    assert_eq!(with(untold(Some("shop"))), [""; 0]);
    assert_eq!(with(untold(Some("other"))), ["a", "b"]);
    assert_eq!(with(untold(None)), [""; 0]);
}

#[test]
fn an_index_keeps_its_images_and_an_image_its_signatures_however_deep() {
    let asked = |outer: &[&str]| {
        let hex = "c".repeat(64);
        let child = format!("sha256:{hex}");
        let asked = Asked::about(vec![
            index("outer", outer, &["inner", "not-here"]),
            index("inner", &[], &[&child]),
            StoredImage {
                pushed: Some(NOW),
                ..image("sig", &[&format!("sha256-{hex}.sig")])
            },
            StoredImage {
                pushed: Some(NOW),
                ..signature("sbom", &child)
            },
            signature("sbom-sig", "sbom"),
            StoredImage {
                digest: child.clone(),
                ..image("", &["api-dev-20250101-000000-arm64"])
            },
            index("referrers", &[&format!("sha256-{hex}")], &["sbom"]),
        ]);
        asked.verdicts()
    };
    let kept = asked(&["api-dev-latest"]);
    assert!(
        kept.iter()
            .all(|(_, verdict)| matches!(verdict, Verdict::Keep(_))),
        "{kept:?}"
    );
    assert_eq!(kept[1].1, Verdict::Keep(Kept::Child("outer".into())));
    assert_eq!(kept[4].1, Verdict::Keep(Kept::Belongs("sbom".into())));
    // They go with it as well, however young they are.
    let gone = asked(&[OLD]);
    assert!(
        gone.iter()
            .all(|(_, verdict)| matches!(verdict, Verdict::Delete(_))),
        "{gone:?}"
    );
    assert_eq!(gone[4].1, Verdict::Delete(Needless::Follows("sbom".into())));
}

#[test]
fn a_child_that_runs_stays_and_its_index_goes() {
    let asked = Asked {
        uses: vec![used("x", UsedImage::Digest("child".into()))],
        ..Asked::about(vec![
            index("index", &[OLD], &["child", "other"]),
            image("child", &[]),
            image("other", &[]),
        ])
    };
    assert_eq!(asked.deleted(), ["index", "other"]);
}

#[test]
fn beside_an_index_that_cannot_be_read_everything_stays() {
    let broken = StoredImage {
        unread: Some("no JSON".into()),
        ..index("broken", &[OLD], &[])
    };
    let all = Asked::about(vec![broken, image("a", &[])]).verdicts();
    let why = Verdict::Keep(Kept::UnreadIndex("broken".into()));
    assert!(all.iter().all(|(_, verdict)| *verdict == why), "{all:?}");
}

#[test]
fn the_newest_of_each_image_in_each_environment_stay_by_their_tags_times() {
    let dev = |day: usize| format!("api-dev-202501{day:02}-000000");
    let images = vec![
        image("a", &[&dev(1)]),
        image("b", &[&dev(2), &dev(5)]),
        image("c", &[&dev(3)]),
        index("index", &[&dev(4)], &["arm", "amd"]),
        image("arm", &[&format!("{}-arm64", dev(4))]),
        image("amd", &[&format!("{}-amd64", dev(4))]),
        image("prod", &["api-prod-20240101-000000"]),
    ];
    let keep = |keep| {
        let asked = Asked {
            keep,
            ..Asked::about(images.clone())
        };
        asked.deleted()
    };
    assert_eq!(keep(0).len(), 7);
    assert_eq!(keep(1), ["a", "c", "index", "arm", "amd"]);
    assert_eq!(keep(2), ["a", "c"]);
    assert_eq!(keep(3), ["a"]);
    // `b` is there twice, and counts once.
    assert_eq!(keep(4), [""; 0]);
}

#[test]
fn what_a_rollback_goes_to_stays_also_where_many_were_pushed_since() {
    let images: Vec<_> = (1..=6)
        .map(|day| image(&day.to_string(), &[&format!("api-dev-2025010{day}-000000")]))
        .collect();
    let deleted = |keep, runs: &str| {
        let asked = Asked {
            keep,
            uses: vec![used("x", UsedImage::Digest(runs.into()))],
            ..Asked::about(images.clone())
        };
        asked.deleted()
    };
    assert_eq!(deleted(1, "3"), ["1", "4", "5"]);
    assert_eq!(deleted(2, "1"), ["2", "3", "4"]);
    assert_eq!(deleted(2, "5"), ["1", "2", "3"]);
    // The one before is among the newest, or nobody wants to go back.
    assert_eq!(deleted(2, "6"), ["1", "2", "3", "4"]);
    assert_eq!(deleted(0, "3"), ["1", "2", "4", "5", "6"]);
}

#[test]
fn with_services_named_the_images_of_others_and_of_nobody_stay() {
    let mut project = project();
    let mut worker = project.services["api"].clone();
    worker.name = "worker".into();
    worker.images[0].tag_prefix = "worker-".into();
    project.services.insert("worker".into(), worker);
    let asked = |services: &[&str]| {
        let asked = Asked {
            project: project.clone(),
            services: services.iter().map(|one| (*one).to_owned()).collect(),
            ..Asked::about(vec![
                image("api", &[OLD]),
                image("worker", &["worker-dev-20250101-000000"]),
                image("both", &[OLD, "worker-dev-20250101-000000"]),
                image("untagged", &[]),
                signature("sig", "api"),
            ])
        };
        asked.deleted()
    };
    assert_eq!(asked(&[]).len(), 5);
    assert_eq!(asked(&["api"]), ["api", "sig"]);
    assert_eq!(asked(&["worker"]), ["worker"]);
    assert_eq!(asked(&["api", "worker"]).len(), 5);
}

#[test]
fn storage_costs_ten_cents_a_gigabyte() {
    assert!((monthly_cost(25_000_000_000) - 2.5).abs() < 1e-9);
}
