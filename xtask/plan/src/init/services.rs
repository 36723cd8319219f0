//! Which services a repository has, and which images each: of its Dockerfiles, of the builds that other files describe, and of what
//! Terraform files run.

use std::{collections::BTreeMap, path::Path};

use super::{FoundBuild, FoundDockerfile, FoundWorkload, Survey};
use crate::{
    arch::Arch,
    model::{name, target::Target},
};

/// An image of the file that is written.
pub(super) struct Image<'s> {
    /// Its Dockerfile.
    pub found: &'s FoundDockerfile,
    /// The build that a file describes.
    pub build: Option<&'s FoundBuild>,
    /// Its build arguments.
    pub args: BTreeMap<String, String>,
    /// The build context.
    pub context: &'s str,
    /// How that was told.
    pub because: String,
    /// What runs it.
    pub target: Target,
    /// Why, and whether somebody has to look. Nothing where the Dockerfile's suffix says it.
    pub target_because: Option<String>,
    /// What runs it, in Terraform.
    pub workload: Option<&'s FoundWorkload>,
}

impl Image<'_> {
    /// The platforms that some file says.
    pub(super) fn archs(&self) -> Vec<Arch> {
        let platforms = self
            .build
            .map(|build| build.platforms.as_slice())
            .unwrap_or_default();
        let parsed = platforms.iter().filter_map(|one| {
            let name = one.strip_prefix("linux/").unwrap_or(one);
            name.parse::<Arch>().ok()
        });
        let mut archs: Vec<_> = parsed.collect();
        archs.sort();
        archs.dedup();
        archs
    }

    /// Whether its Dockerfile has a stage, by its name or its number.
    pub(super) fn has_stage(&self, stage: &str) -> bool {
        let mut stages = self.found.stages.iter();
        stages.any(|one| one.eq_ignore_ascii_case(stage)) || stage.parse::<usize>().is_ok()
    }

    fn is_said(&self) -> bool {
        self.target_because.is_none()
    }
}

/// The services, by name, and the images of each.
pub(super) fn services(survey: &Survey) -> BTreeMap<String, Vec<Image<'_>>> {
    let mut services: BTreeMap<String, Vec<Image<'_>>> = BTreeMap::new();
    for found in &survey.dockerfiles {
        for described in described(survey, found) {
            let (mut name, image) = image(survey, found, described);
            let is_other = |images: &Vec<Image<'_>>| {
                images.iter().any(|other| {
                    directory(&other.found.path) != directory(&found.path) || !image.is_said()
                })
            };
            if services.get(&name).is_some_and(is_other) {
                name = unique(&services, &name, &found.path);
            }
            services.entry(name).or_default().push(image);
        }
    }
    services
}

/// The builds of a Dockerfile: those of the one file that is believed first, each once. `None` for a Dockerfile that no file builds.
fn described<'s>(
    survey: &'s Survey,
    found: &FoundDockerfile,
) -> Vec<Option<(&'s str, &'s FoundBuild)>> {
    let of_it = |build: &'s FoundBuild| {
        let (context, file) = survey.place(build)?;
        (file.path == found.path).then_some((context, build))
    };
    let all: Vec<_> = survey.builds.iter().filter_map(of_it).collect();
    let rank = |build: &&'s FoundBuild| (build.source, !build.ships, is_for_tests(build));
    let Some(first) = all
        .iter()
        .map(|(_, build)| (rank(build), &build.file))
        .min()
    else {
        return vec![None];
    };
    let mut chosen: Vec<(&str, &FoundBuild)> = Vec::new();
    for (context, build) in all {
        let is_same = |(known_context, known): &(&str, &FoundBuild)| {
            *known_context == context
                && (&known.stage, &known.args, &known.contexts)
                    == (&build.stage, &build.args, &build.contexts)
        };
        if (rank(&build), &build.file) == first && !chosen.iter().any(is_same) {
            chosen.push((context, build));
        }
    }
    chosen.into_iter().map(Some).collect()
}

/// Whether a build is of a file or a job that tests something.
fn is_for_tests(build: &FoundBuild) -> bool {
    let place = format!("{} {}", build.file, build.what).to_ascii_lowercase();
    ["test", "e2e", "lint"]
        .iter()
        .any(|word| place.contains(word))
}

/// Values that the file which is believed first does not tell, and another does.
fn filled(
    survey: &Survey,
    found: &FoundDockerfile,
    build: &FoundBuild,
) -> BTreeMap<String, String> {
    let mut args = build.args.clone();
    let others = survey.builds.iter().filter(|other| {
        survey
            .place(other)
            .is_some_and(|(_, file)| file.path == found.path)
    });
    for other in others {
        for name in build
            .unfilled
            .iter()
            .filter(|name| !build.args.contains_key(*name))
        {
            if let Some(value) = other.args.get(name) {
                args.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    args
}

fn image<'s>(
    survey: &'s Survey,
    found: &'s FoundDockerfile,
    described: Option<(&'s str, &'s FoundBuild)>,
) -> (String, Image<'s>) {
    let said = Target::from_dockerfile(Path::new(&found.path));
    let build = described.map(|(_, build)| build);
    let own = service_name(&found.path, &survey.directory, said.is_some());
    let called = build.and_then(|build| build.name.as_ref().or(build.repository.as_ref()));
    let called = called.filter(|_| said.is_none());
    let name = called
        .and_then(|name| name::legal_form(name))
        .unwrap_or(own);
    let workloads = workloads(survey, &name, said);
    let (target, target_because) = target(survey, found, said, &workloads);
    let workload = match workloads[..] {
        [only] => Some(only),
        _ => None,
    };
    let (context, because) = match described {
        Some((context, build)) => (context, format!("From {}.", build.shown())),
        None => (found.context.as_str(), found.because.clone()),
    };
    let image = Image {
        found,
        build,
        args: build
            .map(|build| filled(survey, found, build))
            .unwrap_or_default(),
        context,
        because,
        target,
        target_because,
        workload,
    };
    (name, image)
}

/// What Terraform runs of a service: what has the service's name in its own.
fn workloads<'s>(
    survey: &'s Survey,
    service: &str,
    said: Option<Target>,
) -> Vec<&'s FoundWorkload> {
    let wanted = words(service);
    let has_it = |workload: &&FoundWorkload| {
        let fits = |text: &str| {
            let text = words(text);
            text.windows(wanted.len()).any(|part| part == wanted)
        };
        said.is_none_or(|target| target == workload.target)
            && (fits(&workload.label) || workload.name.as_deref().is_some_and(fits))
    };
    survey.terraform.workloads.iter().filter(has_it).collect()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect()
}

fn target(
    survey: &Survey,
    found: &FoundDockerfile,
    said: Option<Target>,
    workloads: &[&FoundWorkload],
) -> (Target, Option<String>) {
    if let Some(target) = said {
        return (target, None);
    }
    let base = found.base.as_deref().unwrap_or_default();
    if base.contains("lambda/") || base.contains("/lambda") {
        let why = format!("Its base image `{base}` is Lambda's.");
        return (Target::Lambda, Some(why));
    }
    if let Some(first) = workloads.first() {
        let labels: Vec<_> = workloads
            .iter()
            .map(|one| format!("`{}`", one.label))
            .collect();
        let (file, labels) = (&first.file, labels.join(", "));
        let why = match (workloads, &survey.kubernetes) {
            ([_], None) => format!("`{file}` has {labels}."),
            ([_], Some(other)) => {
                format!("TODO: `{file}` has {labels}, and there is {other}; which?")
            }
            _ => format!("TODO: several run it; which? `{file}` and others have {labels}."),
        };
        return (first.target, Some(why));
    }
    if let Some(file) = &survey.kubernetes {
        let why = format!("TODO: there is {file}, so this is for Kubernetes; or is it?");
        return (Target::Eks, Some(why));
    }
    let mut kinds = survey.terraform.workloads.iter();
    if let Some(first) = kinds.next()
        && kinds.all(|other| other.target == first.target)
    {
        let (file, title) = (&first.file, first.target.title());
        let why = format!("TODO: `{file}` has {title}, so this is for it; or is it?");
        return (first.target, Some(why));
    }
    let why = "TODO: what runs it: \"lambda\", \"eks\", \"ecs\" or \"apprunner\".";
    (Target::Ecs, Some(why.to_owned()))
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// What tells a Dockerfile from others beside it: `worker`, of `Dockerfile.worker` and `worker.Dockerfile`.
pub fn suffix(file: &str) -> Option<&str> {
    file.strip_prefix("Dockerfile.")
        .or_else(|| file.strip_suffix(".Dockerfile"))
}

/// What a service is called: after its directory, or after its Dockerfile where that stands among others.
fn service_name(path: &str, project: &str, is_target: bool) -> String {
    const SHARED: [&str; 8] = [
        "src",
        "docker",
        "dockerfiles",
        "build",
        "deploy",
        "deployment",
        "ci",
        ".docker",
    ];
    let (above, file) = path.rsplit_once('/').unwrap_or(("", path));
    let suffix = suffix(file).filter(|_| !is_target);
    let mut parts = above
        .split('/')
        .filter(|part| !part.is_empty() && !SHARED.contains(part));
    let words: Vec<&str> = parts.next_back().into_iter().chain(suffix).collect();
    let word = if words.is_empty() {
        project.to_owned()
    } else {
        words.join("-")
    };
    name::legal_form(&word).unwrap_or_else(|| "app".to_owned())
}

/// Another name for a second service of the same: with the directory above, and then with a number.
fn unique(services: &BTreeMap<String, Vec<Image<'_>>>, name: &str, path: &str) -> String {
    let parts: Vec<&str> = directory(path)
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let longer = parts
        .iter()
        .rev()
        .take(2)
        .rev()
        .copied()
        .collect::<Vec<_>>()
        .join("-");
    let longer =
        name::legal_form(&longer).filter(|longer| longer != name && !services.contains_key(longer));
    let numbered = (2..1000)
        .map(|number| format!("{name}-{number}"))
        .find(|name| !services.contains_key(name));
    longer.or(numbered).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, context: &str) -> FoundDockerfile {
        FoundDockerfile {
            path: path.into(),
            context: context.into(),
            because: "Because.".into(),
            base: None,
            stages: Vec::new(),
        }
    }

    #[test]
    fn services_are_called_after_their_directories_and_dockerfiles_among_others_after_themselves() {
        let paths = [
            "src/cart/Dockerfile",
            "docker/page.Dockerfile",
            "src/cart/Dockerfile.dev",
            "docker/Dockerfile.worker",
            "backend/Dockerfile.lambda",
            "backend/Dockerfile.eks",
            "Dockerfile",
            "a/web/Dockerfile",
            "b/web/Dockerfile",
            "My Service/Dockerfile",
        ];
        let dockerfiles = paths.map(|path| found(path, ".")).to_vec();
        let survey = Survey {
            directory: "shop".into(),
            dockerfiles,
            ..Survey::default()
        };
        let named: Vec<_> = services(&survey)
            .into_iter()
            .map(|(name, images)| (name, images.len()))
            .collect();
        let expected = [
            ("b-web", 1),
            ("backend", 2),
            ("cart", 1),
            ("cart-dev", 1),
            ("my-service", 1),
            ("page", 1),
            ("shop", 1),
            ("web", 1),
            ("worker", 1),
        ];
        assert_eq!(
            named,
            expected.map(|(name, count)| (name.to_owned(), count))
        );
    }
}
