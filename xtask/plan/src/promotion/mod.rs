//! What a promotion does: which image goes to another environment, and which of its tags are written there.

mod tags;

use std::collections::BTreeMap;

pub use tags::{PromotedTag, Tags, tags_to_write};

use crate::{
    Selected,
    arch::Arch,
    model::{
        config::Environment, label, published::Repository, refusal::Refusal, revision::Revision,
        target::IndexUse,
    },
};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::published::Mutability;

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
