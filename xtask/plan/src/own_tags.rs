//! Tags of the user's own, besides the six: what they are for one image, and what a repository has to let move for them.

use crate::{
    MOVABLE_TAGS, Selected,
    arch::Arch,
    model::{
        config::{Config, Environment, Image},
        name,
        pattern::{Said, TagPattern},
        revision::Revision,
        tags::{Tag, TagKind},
    },
};

/// How many filters a repository takes. Source: `imageTagMutabilityExclusionFilters` in ECR's API reference.
const FILTERS: usize = 5;

/// The tags of an image that patterns make of a commit, and what to say of patterns that make none of it.
pub fn own_tags(
    (config, environment): (&Config, &Environment),
    selected: Selected<'_>,
    arch: Arch,
    revision: &Revision,
    timestamp: &str,
) -> (Vec<Tag>, Vec<String>) {
    let Selected { service, image } = selected;
    let said = Said {
        environment: &environment.name,
        service: &service.name,
        arch,
        timestamp,
        revision,
        revision_length: config.revision_length,
        version: &image.version,
    };
    let (mut tags, mut notes) = (Vec::new(), Vec::new());
    for pattern in config.patterns(environment, image) {
        match tag(pattern, &said, &image.tag_prefix) {
            Ok(tag) => tags.push(tag),
            Err(why) => notes.push(format!(
                "{}: the tag `{}{pattern}` is left out: {why}",
                selected.name(),
                image.tag_prefix
            )),
        }
    }
    (tags, notes)
}

fn tag(pattern: &TagPattern, said: &Said<'_>, prefix: &str) -> Result<Tag, String> {
    let text = pattern.fill(|word| said.value(word));
    let text = text.map_err(|word| said.why_not(word).to_owned())?;
    let moves = pattern.moves();
    // As with the tag of the commit: what a dirty tree has is no release.
    let end = if said.revision.dirty && !moves {
        "-dirty"
    } else {
        ""
    };
    let name = format!("{prefix}{text}{end}");
    if !name::is_tag(&name) {
        let longest = name::TAG_LENGTH;
        return Err(format!(
            "`{name}` cannot be a tag of at most {longest} characters"
        ));
    }
    Ok(Tag {
        name,
        kind: if moves {
            TagKind::Moving
        } else {
            TagKind::Fixed
        },
        names_arch: pattern.names_arch(),
    })
}

/// The tags under which cosign keeps signatures, and clients the list of what belongs to an image where a registry keeps none: they
/// take more as it comes.
///
/// Source: cosign's "Signature Specification"; "Referrers Tag Schema" in the OCI distribution specification.
const OF_IMAGES: &str = "sha256-*";

/// What a repository lets move, as wildcards: [`MOVABLE_TAGS`], and the patterns that move of the images that are in it. Where that
/// were more than ECR takes, tags of any prefix may move.
pub fn movable_tags(config: &Config, environment: &Environment, repository: &str) -> Vec<String> {
    let exact = wildcards(config, environment, repository, |image| &image.tag_prefix);
    let of_images = (!environment.attest.is_nothing()).then(|| OF_IMAGES.to_owned());
    let room = FILTERS - MOVABLE_TAGS.len() - usize::from(of_images.is_some());
    let own = if exact.len() > room {
        wildcards(config, environment, repository, |_| "*")
    } else {
        exact
    };
    let all = MOVABLE_TAGS.map(str::to_owned).into_iter();
    all.chain(of_images)
        .chain(own.into_iter().take(room))
        .collect()
}

fn wildcards(
    config: &Config,
    environment: &Environment,
    repository: &str,
    prefix: impl Fn(&Image) -> &str,
) -> Vec<String> {
    let mut wildcards = Vec::new();
    for service in config.services.values() {
        let here = service.images.iter().filter(|image| {
            let goes = image.environments.contains(&environment.name);
            let of = environment.repository(&config.project, &service.name, image.target);
            goes && of == repository
        });
        for image in here {
            let moving = config.patterns(environment, image);
            for pattern in moving.filter(|one| one.moves()) {
                let one = pattern.wildcard(prefix(image), &environment.name, &service.name);
                if !wildcards.contains(&one) {
                    wildcards.push(one);
                }
            }
        }
    }
    wildcards
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{config, environment, image, service},
        model::target::Target,
    };

    fn patterns(all: &[&str]) -> Vec<TagPattern> {
        let parsed = all.iter().map(|text| TagPattern::parse(text).unwrap());
        parsed.collect()
    }

    #[test]
    fn tags_are_filled_in_after_the_prefix_and_left_out_with_a_word() {
        let mut project = config(service(image(Target::Ecs)));
        project.tags = patterns(&["{env}-{branch}", "v{version}"]);
        let shop = &project.services["api"];
        let selected = Selected {
            service: shop,
            image: &shop.images[0],
        };
        let found = |revision: &Revision| {
            let place = (&project, &environment("dev"));
            let (tags, notes) = own_tags(place, selected, Arch::Arm64, revision, "now");
            let names = tags.into_iter().map(|tag| (tag.name, tag.kind));
            (names.collect::<Vec<_>>(), notes)
        };
        let on = |branch: &str, tag: &str, dirty| Revision {
            branch: Some(branch.into()),
            tags: vec![tag.into()],
            ..Revision::of_label("abcdef0", dirty)
        };
        let moving = |branch: &str| (format!("api-dev-{branch}"), TagKind::Moving);
        let fixed = |version: &str| (format!("api-v{version}"), TagKind::Fixed);
        assert_eq!(
            found(&on("main", "v2.0", false)).0,
            [moving("main"), fixed("2.0")]
        );
        assert_eq!(
            found(&on("main", "v2.0", true)).0,
            [moving("main"), fixed("2.0-dirty")]
        );
        let (tags, notes) = found(&on(&"x".repeat(130), "good", false));
        assert_eq!(tags, []);
        assert!(notes[0].contains("at most 128 characters"), "{notes:?}");
        assert!(
            notes[1].contains("`api-v{version}` is left out"),
            "{notes:?}"
        );
    }

    #[test]
    fn a_repository_lets_the_moving_tags_of_its_images_move() {
        let mut project = config(service(image(Target::Ecs)));
        project.tags = patterns(&["{env}-{branch}", "v{version}", "stable"]);
        let filters = movable_tags(&project, &environment("dev"), "shop");
        assert_eq!(filters, ["*latest", "*-dirty", "api-dev-*", "api-stable"]);
        assert_eq!(
            movable_tags(&project, &environment("dev"), "other"),
            MOVABLE_TAGS
        );
        project.tags = patterns(&["a", "b", "c", "d-{branch}"]);
        let filters = movable_tags(&project, &environment("dev"), "shop");
        assert_eq!(
            filters,
            ["*latest", "*-dirty", "*a", "*b", "*c"],
            "ECR takes five"
        );
        let mut signed = environment("dev");
        signed.attest.sbom = true;
        let filters = movable_tags(&project, &signed, "shop");
        assert_eq!(filters, ["*latest", "*-dirty", "sha256-*", "*a", "*b"]);
    }
}
