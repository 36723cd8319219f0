//! What a promotion does: which image goes to another environment, and which of its tags are written there.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    Selected,
    arch::Arch,
    model::{
        config::Environment,
        label,
        published::Repository,
        refusal::Refusal,
        revision::Revision,
        tags::{Tag, TagKind, TagSet},
        target::IndexUse,
    },
};

/// A tag, and the manifest that it is to name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PromotedTag {
    /// The tag.
    pub name: String,
    /// Whether it moves.
    #[serde(skip)]
    pub kind: TagKind,
    /// The digest.
    pub digest: String,
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its digest.
    pub digest: String,
    /// Its architecture, where it is one that can be proven.
    pub arch: Option<Arch>,
}

/// What the environment's moving tag names.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// The digest.
    pub digest: String,
    /// The images of an index.
    pub children: Vec<String>,
}

/// What is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// What the moving tag names, or a refusal where it names nothing.
    Tag,
    /// What the tag names, and runs.
    TagThatRuns {
        /// The digest.
        digest: String,
    },
    /// What runs, which is not what the tag names.
    Running {
        /// The digest.
        digest: String,
    },
}

/// What runs is taken where it can be told and is there; what the tag names otherwise. An index is deployed as one of its images;
/// what is taken is the index.
pub fn taken(tagged: Option<&Tagged>, running: Option<&str>, running_is_there: bool) -> Taken {
    let Some(running) = running else {
        return Taken::Tag;
    };
    let is_tagged = |tagged: &&Tagged| {
        tagged.digest == running || tagged.children.iter().any(|child| child == running)
    };
    match tagged.filter(is_tagged) {
        Some(tagged) => Taken::TagThatRuns {
            digest: tagged.digest.clone(),
        },
        None if running_is_there => Taken::Running {
            digest: running.to_owned(),
        },
        None => Taken::Tag,
    }
}

/// The architectures that an image has to be for, of which the proof found some. An image that is to be for both CPUs goes as
/// both; App Runner runs one image of an index, and that may be what the environment has.
///
/// # Errors
/// One that is missing. `name` is the tag or digest.
pub fn require_archs(
    selected: Selected<'_>,
    from: &str,
    name: &str,
    own: Arch,
    proven: &[Arch],
) -> Result<(), Refusal> {
    let both = selected.image.multi_arch && selected.image.target.index_use() != IndexUse::OneImage;
    let wanted = if both { Arch::ALL.to_vec() } else { vec![own] };
    let Some(missing) = wanted.into_iter().find(|arch| !proven.contains(arch)) else {
        return Ok(());
    };
    let why = if both {
        ", and deploy.toml has `multi-arch = true`"
    } else {
        ""
    };
    let image = selected.name();
    Err(Refusal::new(
        format!("`{name}`, which `{from}` has of {image}, has no image for {missing}{why}"),
        format!(
            "push it again: cargo xtask push {from} --service {}",
            selected.service.name
        ),
    ))
}

/// What an image was made of, by its label.
///
/// # Errors
/// A label that names no commit, and a dirty tree for a protected environment.
pub fn revision(
    image: &str,
    labels: &BTreeMap<String, String>,
    from: &str,
    to: &Environment,
) -> Result<Revision, Refusal> {
    let label = labels
        .get(label::REVISION)
        .map(String::as_str)
        .unwrap_or_default();
    let (commit, dirty) = label
        .strip_suffix("-dirty")
        .map_or((label, false), |commit| (commit, true));
    let is_commit =
        matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_commit {
        let name = label::REVISION;
        return Err(Refusal::new(
            format!(
                "{image} has no git commit in its label `{name}`: it was not pushed by this tool"
            ),
            format!("cargo xtask push {from}"),
        ));
    }
    if dirty && to.protected {
        return Err(Refusal::new(
            format!(
                "{image} was built from a dirty tree, and `{}` is protected",
                to.name
            ),
            format!("commit, and push to {from} again"),
        ));
    }
    Ok(Revision::of_label(commit, dirty))
}

/// The tags of an image in another environment, and what each is to name: those with an architecture name that image of an index.
pub struct Tags<'t> {
    /// What stands before every tag.
    pub prefix: &'t str,
    /// The environment's name.
    pub environment: &'t str,
    /// The time, as tags have it.
    pub timestamp: &'t str,
    /// The shortened commit.
    pub revision: &'t str,
    /// Whether the tree was dirty.
    pub dirty: bool,
}

impl Tags<'_> {
    fn of(&self, arch: Arch) -> TagSet {
        TagSet::new(
            self.prefix,
            self.environment,
            arch,
            self.timestamp,
            self.revision,
            self.dirty,
        )
    }

    /// All of them. `digest` is that of the image, or of the index whose images are `children`.
    pub fn all(&self, arch: Arch, digest: &str, children: &[Child]) -> Vec<PromotedTag> {
        let named = |tag: &Tag, digest: &str| PromotedTag {
            name: tag.name.clone(),
            kind: tag.kind,
            digest: digest.to_owned(),
        };
        let own = self.of(arch);
        if children.is_empty() {
            return own.iter().map(|tag| named(tag, digest)).collect();
        }
        let plain = own.plain().map(|tag| named(tag, digest));
        let of_child = |child: &Child| {
            let tags = child.arch.map(|arch| self.of(arch));
            let named = |tag: &Tag| named(tag, &child.digest);
            tags.iter()
                .flat_map(TagSet::iter)
                .filter(|tag| tag.names_arch)
                .map(named)
                .collect::<Vec<_>>()
        };
        plain.chain(children.iter().flat_map(of_child)).collect()
    }
}

/// Whether the image can go there.
///
/// # Errors
/// A repository that is missing and may not be made.
pub fn guard_repository(
    repository: Option<&Repository>,
    name: &str,
    to: &Environment,
) -> Result<(), Refusal> {
    if repository.is_some() || to.create_repository {
        return Ok(());
    }
    let to = &to.name;
    Err(Refusal::new(
        format!("repository `{name}` of `{to}` does not exist"),
        format!("set `create-repository = true` in [environments.{to}], or create it"),
    ))
}

/// Of all tags those that have to be written. `existing` is what those that are there name. An arrival is dated once: where only
/// its time would be new, nothing is written.
///
/// # Errors
/// A tag that has to move and may not.
pub fn tags_to_write(
    all: Vec<PromotedTag>,
    existing: &BTreeMap<String, String>,
    repository: &Repository,
    name: &str,
) -> Result<Vec<PromotedTag>, Refusal> {
    let is_there = |tag: &PromotedTag| existing.get(&tag.name) == Some(&tag.digest);
    let is_new = all
        .iter()
        .filter(|tag| tag.kind != TagKind::Timestamp)
        .any(|tag| !is_there(tag));
    let tags: Vec<_> = all
        .into_iter()
        .filter(|tag| is_new && !is_there(tag))
        .collect();
    let is_stuck = |tag: &&PromotedTag| {
        existing.contains_key(&tag.name) && !repository.mutability.can_move(&tag.name)
    };
    match tags.iter().find(is_stuck) {
        None => Ok(tags),
        Some(stuck) => Err(Refusal::new(
            format!(
                "tag `{}` of `{name}` names another image, and may not move",
                stuck.name
            ),
            "it was built from the same revision there: deploy that one",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::published::Mutability;

    const TAGS: Tags<'_> = Tags {
        prefix: "api-",
        environment: "prod",
        timestamp: "20260101-000000",
        revision: "abc1234",
        dirty: false,
    };

    fn children() -> [Child; 2] {
        [
            Child {
                digest: "amd".into(),
                arch: Some(Arch::Amd64),
            },
            Child {
                digest: "arm".into(),
                arch: Some(Arch::Arm64),
            },
        ]
    }

    #[test]
    fn what_runs_is_taken_where_it_is_there() {
        let tagged = Tagged {
            digest: "i".into(),
            children: vec!["amd".into(), "arm".into()],
        };
        let that_runs = Taken::TagThatRuns { digest: "i".into() };
        assert_eq!(taken(Some(&tagged), Some("i"), true), that_runs);
        assert_eq!(
            taken(Some(&tagged), Some("arm"), true),
            that_runs,
            "an index goes whole"
        );
        assert_eq!(
            taken(Some(&tagged), Some("x"), true),
            Taken::Running { digest: "x".into() }
        );
        assert_eq!(
            taken(Some(&tagged), Some("x"), false),
            Taken::Tag,
            "what runs was deleted"
        );
        assert_eq!(taken(Some(&tagged), None, false), Taken::Tag);
        assert_eq!(taken(None, None, false), Taken::Tag);
    }

    #[test]
    fn an_image_has_six_tags_and_an_index_three_with_three_for_each_of_its_images() {
        let single = TAGS.all(Arch::Arm64, "arm", &[]);
        assert_eq!(single.len(), 6);
        assert!(single.iter().all(|tag| tag.digest == "arm"));
        let index = TAGS.all(Arch::Arm64, "i", &children());
        let of = |digest: &str| {
            let names = index
                .iter()
                .filter(|tag| tag.digest == digest)
                .map(|tag| tag.name.as_str());
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            of("i"),
            ["api-prod-20260101-000000", "api-abc1234", "api-prod-latest"]
        );
        assert_eq!(
            of("amd"),
            [
                "api-prod-20260101-000000-amd64",
                "api-abc1234-amd64",
                "api-prod-amd64-latest"
            ]
        );
        assert_eq!(index.len(), 9);
    }

    #[test]
    fn a_second_promotion_writes_nothing_and_a_tag_of_another_image_is_not_moved_where_it_may_not()
    {
        let all = || TAGS.all(Arch::Arm64, "arm", &[]);
        let mutable = Repository {
            mutability: Mutability::Mutable,
        };
        let immutable = Mutability::Immutable {
            except: vec!["*latest".into()],
            exclusions_known: true,
        };
        let immutable = Repository {
            mutability: immutable,
        };
        assert_eq!(
            tags_to_write(all(), &BTreeMap::new(), &immutable, "r").unwrap(),
            all()
        );
        let lasting = all()
            .into_iter()
            .filter(|tag| tag.kind != TagKind::Timestamp);
        let mut there: BTreeMap<_, _> = lasting.map(|tag| (tag.name, tag.digest)).collect();
        assert_eq!(tags_to_write(all(), &there, &immutable, "r").unwrap(), []);
        there.insert("api-prod-latest".into(), "old".into());
        let moved = tags_to_write(all(), &there, &immutable, "r").unwrap();
        let names: Vec<_> = moved.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "api-prod-20260101-000000-arm64",
                "api-prod-20260101-000000",
                "api-prod-latest"
            ]
        );
        there.insert("api-abc1234".into(), "other".into());
        assert!(
            tags_to_write(all(), &there, &immutable, "r")
                .unwrap_err()
                .problem
                .contains("`api-abc1234`")
        );
        assert!(tags_to_write(all(), &there, &mutable, "r").is_ok());
    }

    #[test]
    fn an_image_is_for_its_target_s_cpu_and_one_for_both_is_for_both() {
        use crate::{
            fixtures::{image, service},
            model::target::Target,
        };
        let missing = |target, multi_arch, proven: &[Arch]| {
            let one = crate::model::config::Image {
                multi_arch,
                ..image(target)
            };
            let service = service(one);
            let selected = Selected {
                service: &service,
                image: &service.images[0],
            };
            require_archs(selected, "dev", "api-dev-latest", Arch::Arm64, proven).err()
        };
        let (arm, amd) = (Arch::Arm64, Arch::Amd64);
        assert_eq!(missing(Target::Lambda, false, &[arm]), None);
        assert!(
            missing(Target::Lambda, false, &[amd])
                .unwrap()
                .problem
                .contains("no image for arm64")
        );
        assert_eq!(missing(Target::Eks, true, &[amd, arm]), None);
        let refusal = missing(Target::Eks, true, &[arm]).unwrap();
        assert!(
            refusal
                .problem
                .contains("no image for amd64, and deploy.toml has"),
            "{refusal}"
        );
        assert!(
            refusal.cure.contains("push dev --service api"),
            "{}",
            refusal.cure
        );
        // App Runner runs one image of an index.
        assert_eq!(missing(Target::AppRunner, true, &[arm]), None);
    }

    #[test]
    fn an_image_goes_with_the_commit_of_its_label_and_a_dirty_one_to_no_protected_environment() {
        use crate::fixtures::environment;
        let of = |label: &str, protected| {
            let to = Environment {
                protected,
                ..environment("prod")
            };
            revision(
                "api",
                &BTreeMap::from([(label::REVISION.to_owned(), label.to_owned())]),
                "dev",
                &to,
            )
        };
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let clean = of(commit, true).unwrap();
        assert_eq!((clean.commit.as_str(), clean.dirty), (commit, false));
        let dirty = format!("{commit}-dirty");
        assert!(of(&dirty, false).unwrap().dirty);
        assert!(
            of(&dirty, true)
                .unwrap_err()
                .problem
                .contains("a dirty tree")
        );
        for none in ["", "v1.2.3", "0123456", &"g".repeat(40)] {
            assert!(
                of(none, false)
                    .unwrap_err()
                    .problem
                    .contains("no git commit"),
                "{none}"
            );
        }
    }

    #[test]
    fn a_missing_repository_is_made_only_where_that_is_asked_for() {
        use crate::fixtures::environment;
        let there = Repository {
            mutability: Mutability::Mutable,
        };
        let made = Environment {
            create_repository: true,
            ..environment("prod")
        };
        assert!(guard_repository(Some(&there), "shop", &environment("prod")).is_ok());
        assert!(guard_repository(None, "shop", &made).is_ok());
        let refusal = guard_repository(None, "shop", &environment("prod")).unwrap_err();
        assert!(
            refusal.cure.contains("create-repository = true"),
            "{}",
            refusal.cure
        );
    }
}
