//! The plan for images that go to a registry.

mod image;
mod index;
mod refusals;
mod tags;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    Plan,
    arch::Arch,
    attest::{self, AttestFacts},
    build::{BuildFacts, finish},
    guards::guards,
    model::{
        config::{Config, Environment},
        function::Function,
        place::Place,
        published::{Published, Repository},
        refusal::Refusal,
        revision::Revision,
        tags::{Tag, TagSet},
        vulnerability::Scanner,
    },
    needs::needs,
    own_tags::{movable_tags, own_tags},
    scan,
    select::Selected,
};

pub use index::has_index;
pub use refusals::in_region as region_refusals;

/// What a push is planned from, besides the configuration.
#[derive(Debug)]
pub struct PushFacts {
    /// Where it goes.
    pub place: Place,
    /// The commit, if there is one.
    pub revision: Option<Revision>,
    /// The time of this run.
    pub now: DateTime<Utc>,
    /// Existing repositories, by name.
    pub repositories: BTreeMap<String, Repository>,
    /// What is published of each image, in the order of the builds.
    pub published: Vec<Published>,
    /// Lambda functions by name, as far as they could be read.
    pub functions: BTreeMap<String, Function>,
    /// What is there for builds.
    pub build: BuildFacts,
    /// Programs on this machine that look for vulnerabilities.
    pub scanners: Vec<Scanner>,
    /// What is asked of images besides deploy.toml, and what there is for it.
    pub attest: AttestFacts,
}

/// An image for one CPU: most are for one, those of an index for both.
#[derive(Debug, Clone, Copy)]
pub struct PlatformBuild<'c> {
    /// Which image.
    pub selected: Selected<'c>,
    /// For which CPU.
    pub arch: Arch,
    /// Whether it goes into an index with the other, which then has the plain tags.
    pub in_index: bool,
}

impl PlatformBuild<'_> {
    /// What people call it: an image of an index is called after its architecture.
    fn name(&self) -> String {
        let name = self.selected.name();
        if self.in_index {
            format!("{name}-{}", self.arch)
        } else {
            name
        }
    }
}

/// The builds of a selection, two for an image of an index. `is_index` makes an index of more images than deploy.toml does.
pub fn platform_builds<'c>(
    config: &Config,
    selection: &[Selected<'c>],
    is_index: impl Fn(&Selected<'c>) -> bool,
) -> Vec<PlatformBuild<'c>> {
    let of = |selected: &Selected<'c>| {
        let in_index = selected.image.multi_arch || is_index(selected);
        let archs = if in_index {
            Arch::ALL.to_vec()
        } else {
            config.archs(selected.image)
        };
        let selected = *selected;
        let build = move |arch| PlatformBuild {
            selected,
            arch,
            in_index,
        };
        archs.into_iter().map(build)
    };
    selection.iter().flat_map(of).collect()
}

/// Plans a push.
///
/// # Errors
/// Every reason not to.
pub fn plan_push(
    config: &Config,
    environment: &Environment,
    builds: &[PlatformBuild<'_>],
    facts: &PushFacts,
) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = guards(environment, facts.revision.as_ref());
    refusals.extend(builds.iter().filter_map(refusals::no_index_for_lambda));
    let scan = scan::gate(environment, &facts.place, &facts.scanners)
        .map_err(|refusal| refusals.push(refusal));
    let attest =
        attest::asked(environment, &facts.attest).map_err(|refusal| refusals.push(refusal));
    let (attest, note) = attest.unwrap_or_default();
    let mut plan = Plan {
        scan: scan.unwrap_or_default(),
        attest,
        place: Some(facts.place.clone()),
        revision: facts.revision.clone(),
        create_repositories: Vec::new(),
        movable_tags: BTreeMap::new(),
        other_places: Vec::new(),
        images: Vec::new(),
        indexes: Vec::new(),
        notes: note.into_iter().collect(),
    };
    if let Some(revision) = &facts.revision {
        let planner = Planner {
            config,
            environment,
            facts,
            revision,
        };
        for (build, published) in builds.iter().zip(&facts.published) {
            let one = One {
                planner: &planner,
                build: *build,
                published,
            };
            refusals.extend(one.add_to(&mut plan));
        }
        // With one of its images alone there is no index yet.
        plan.indexes
            .retain(|index| index.images.len() == Arch::ALL.len());
        for index in &mut plan.indexes {
            refusals.extend(refusals::index_of_another(index, &plan.images, facts));
            index::keep_time(index, &plan.images);
        }
    }
    refusals.dedup();
    finish(refusals, plan)
}

/// What all images of a push have in common.
struct Planner<'p> {
    config: &'p Config,
    environment: &'p Environment,
    facts: &'p PushFacts,
    revision: &'p Revision,
}

/// One image of a push, and what there is of it.
struct One<'p> {
    planner: &'p Planner<'p>,
    build: PlatformBuild<'p>,
    published: &'p Published,
}

impl One<'_> {
    /// Plans the image. Returns what is in the way.
    fn add_to(&self, plan: &mut Plan) -> Vec<Refusal> {
        let Planner {
            environment, facts, ..
        } = self.planner;
        let mut found = Vec::new();
        let name = self.repository();
        let repository = facts.repositories.get(&name);
        if repository.is_none() && !plan.create_repositories.contains(&name) {
            if environment.create_repository {
                let movable = movable_tags(self.planner.config, environment, &name);
                plan.movable_tags.insert(name.clone(), movable);
                plan.create_repositories.push(name.clone());
            } else {
                found.push(refusals::missing_repository(
                    environment,
                    &facts.place,
                    &name,
                ));
            }
        }
        let image = self.image(&name);
        if self.build.in_index {
            index::add_to(&mut plan.indexes, self, &name, plan.images.len());
        } else {
            plan.notes.extend(index::index_of_before(self));
        }
        if image.build().is_some() {
            found.extend(needs(
                self.planner.config,
                self.build.selected,
                &facts.build,
            ));
        }
        if let Some(repository) = repository {
            let movable = movable_tags(self.planner.config, environment, &name);
            found.extend(refusals::immovable(&image, &name, repository, &movable));
            if environment.protected {
                found.extend(refusals::released(&image));
            }
        }
        plan.notes.extend(self.own_tags().1);
        plan.images.push(image);
        found
    }

    fn repository(&self) -> String {
        let Planner {
            config,
            environment,
            ..
        } = self.planner;
        let Selected { service, image } = self.build.selected;
        environment.repository(&config.project, &service.name, image.target)
    }

    /// Tags of the user's own, and what to say of those that are left out.
    fn own_tags(&self) -> (Vec<Tag>, Vec<String>) {
        let Planner {
            config,
            environment,
            facts,
            revision,
        } = self.planner;
        own_tags(
            (config, environment),
            self.build.selected,
            self.build.arch,
            revision,
            &timestamp(&facts.now),
        )
    }

    fn tag_set(&self) -> TagSet {
        let Planner {
            config,
            environment,
            facts,
            revision,
        } = self.planner;
        tag_set(
            config,
            environment,
            self.build,
            revision,
            &timestamp(&facts.now),
        )
    }
}

/// The Lambda function that an image is for.
pub fn function_name(
    config: &Config,
    environment: &Environment,
    selected: Selected<'_>,
) -> Option<String> {
    let Selected { service, image } = selected;
    let is_function = image.target.runs_functions();
    is_function.then(|| image.function(&config.project, &environment.name, &service.name))
}

/// A time as it stands in a tag: `YYYYMMDD-HHMMSS`, in UTC.
pub fn timestamp(time: &DateTime<Utc>) -> String {
    time.format("%Y%m%d-%H%M%S").to_string()
}

/// The tags of one image at one time.
pub fn tag_set(
    config: &Config,
    environment: &Environment,
    build: PlatformBuild<'_>,
    revision: &Revision,
    timestamp: &str,
) -> TagSet {
    let short = revision.short(config.revision_length);
    let prefix = &build.selected.image.tag_prefix;
    TagSet::new(
        prefix,
        &environment.name,
        build.arch,
        timestamp,
        short,
        revision.dirty,
    )
    .with(
        own_tags(
            (config, environment),
            build.selected,
            build.arch,
            revision,
            timestamp,
        )
        .0,
    )
}
