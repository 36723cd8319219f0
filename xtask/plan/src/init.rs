//! A first deploy.toml for a repository, from what was found in it. Each guess has a comment that says where it comes from, and
//! what nobody can guess is a `TODO`.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use crate::model::{name, path, target::Target};

/// A Dockerfile of a repository. Paths are from the repository's directory, with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDockerfile {
    /// Where it is.
    pub path: String,
    /// Its build context: `.` is the repository's directory.
    pub context: String,
    /// How that was told.
    pub because: String,
    /// The base image of its last stage.
    pub base: Option<String>,
}

/// A repository of ECR that some file names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundRepository {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The repository's name, where the file has it.
    pub name: Option<String>,
    /// The file.
    pub file: String,
}

/// What was found in a repository.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The name of its directory.
    pub directory: String,
    /// The Dockerfiles, by path.
    pub dockerfiles: Vec<FoundDockerfile>,
    /// What names ECR.
    pub repositories: Vec<FoundRepository>,
    /// A file that is a Kubernetes manifest or a Helm chart.
    pub kubernetes: Option<String>,
    /// What was read and could not be expressed.
    pub left_out: Vec<String>,
}

/// An image of the file that is written.
struct Image<'s> {
    found: &'s FoundDockerfile,
    target: Target,
    /// Why, and whether somebody has to look.
    because: String,
    is_said: bool,
}

/// The text of a deploy.toml.
pub fn deploy_toml(survey: &Survey) -> String {
    let services = services(survey);
    let mut text = String::from(
        "# Made by `cargo xtask init` from what is in this repository. A comment at each guess says where it comes from; look at\n\
         # every TODO. `cargo xtask push dev --dry-run` shows what follows from this file.\n\n[project]\n",
    );
    let project = name::legal_form(&survey.directory).unwrap_or_else(|| "app".to_owned());
    let _ = writeln!(
        text,
        "# From the directory's name.\nname = {}",
        quoted(&project)
    );
    environments(&mut text, survey, services.keys());
    for (service, images) in &services {
        let _ = writeln!(text, "\n[services.{}]", key(service));
        let Some(first) = images.first().map(|image| image.found) else {
            continue;
        };
        let (context, because) = (&first.context, &first.because);
        if images.iter().all(|image| image.found.context == *context) && context != "." {
            let _ = writeln!(text, "# {because}\ncontext = {}", quoted(context));
        }
        for image in images {
            write_image(&mut text, service, image, context);
        }
    }
    text
}

fn environments<'n>(
    text: &mut String,
    survey: &Survey,
    services: impl Iterator<Item = &'n String>,
) {
    let mut accounts: BTreeMap<(&str, &str), Vec<&FoundRepository>> = BTreeMap::new();
    for found in &survey.repositories {
        accounts
            .entry((&found.account, &found.region))
            .or_default()
            .push(found);
    }
    if accounts.is_empty() {
        text.push_str(
            "\n[environments.dev]\n# TODO: the account and the region; no file here names an ECR repository.\n\
             account = \"000000000000\"\nregion = \"us-east-1\"\n",
        );
        return;
    }
    let services: Vec<_> = services.collect();
    for (place, ((account, region), found)) in accounts.iter().enumerate() {
        let name = if place == 0 {
            "dev".to_owned()
        } else {
            format!("env{}", place + 1)
        };
        let file = &found[0].file;
        let _ = writeln!(
            text,
            "\n[environments.{name}]\n# TODO: its name. Account and region are in {file}."
        );
        let _ = writeln!(
            text,
            "account = {}\nregion = {}",
            quoted(account),
            quoted(region)
        );
        let names: Vec<&str> = found
            .iter()
            .filter_map(|found| found.name.as_deref())
            .collect();
        let own = |prefix: &str| {
            names.iter().any(|name| {
                services
                    .iter()
                    .any(|service| **name == format!("{prefix}{service}"))
            })
        };
        let prefixes = names
            .iter()
            .filter_map(|name| name.rsplit_once('/'))
            .map(|(prefix, _)| format!("{prefix}/"));
        let mut prefixes = std::iter::once(String::new()).chain(prefixes);
        match (prefixes.find(|prefix| own(prefix)), names.as_slice()) {
            (Some(prefix), _) => {
                let _ = writeln!(text, "# Repositories named after services are in {file}.");
                let _ = writeln!(
                    text,
                    "repository = {}",
                    quoted(&format!("{prefix}{{service}}"))
                );
            }
            (None, [only, ..]) => {
                let _ = writeln!(text, "# From {file}.\nrepository = {}", quoted(only));
            }
            (None, []) => {}
        }
    }
}

fn write_image(text: &mut String, service: &str, image: &Image<'_>, context: &str) {
    let found = image.found;
    let _ = writeln!(text, "\n[[services.{}.images]]", key(service));
    if found.context != context {
        let _ = writeln!(
            text,
            "# {}\ncontext = {}",
            found.because,
            quoted(&found.context)
        );
    } else if context == "." {
        let _ = writeln!(text, "# {}", found.because);
    }
    let dockerfile = path::relative(Path::new(&found.path), Path::new(&found.context));
    let _ = writeln!(text, "dockerfile = {}", quoted(&dockerfile));
    if !image.is_said {
        let _ = writeln!(
            text,
            "# {}\ntarget = {}",
            image.because,
            quoted(image.target.name())
        );
    }
}

/// The services, by name, and the images of each.
fn services(survey: &Survey) -> BTreeMap<String, Vec<Image<'_>>> {
    let mut services: BTreeMap<String, Vec<Image<'_>>> = BTreeMap::new();
    for found in &survey.dockerfiles {
        let image = image(found, survey.kubernetes.as_deref());
        let mut name = service_name(&found.path, &survey.directory, image.is_said);
        let is_other = |images: &Vec<Image<'_>>| {
            images.iter().any(|other| {
                directory(&other.found.path) != directory(&found.path) || !image.is_said
            })
        };
        if services.get(&name).is_some_and(is_other) {
            name = unique(&services, &name, &found.path);
        }
        services.entry(name).or_default().push(image);
    }
    services
}

fn image<'s>(found: &'s FoundDockerfile, kubernetes: Option<&str>) -> Image<'s> {
    let said = Target::from_dockerfile(Path::new(&found.path));
    let base = found.base.as_deref().unwrap_or_default();
    let (target, because) = match (said, kubernetes) {
        (Some(target), _) => (target, String::new()),
        (None, _) if base.contains("lambda/") || base.contains("/lambda") => (
            Target::Lambda,
            format!("Its base image `{base}` is Lambda's."),
        ),
        (None, Some(file)) => (
            Target::Eks,
            format!("TODO: there is {file}, so this is for Kubernetes; or is it?"),
        ),
        (None, None) => (
            Target::Eks,
            "TODO: what runs it: \"lambda\", \"eks\", \"ecs\" or \"apprunner\".".to_owned(),
        ),
    };
    Image {
        found,
        target,
        because,
        is_said: said.is_some(),
    }
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
    const SHARED: [&str; 7] = [
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

fn key(service: &str) -> String {
    let is_bare = service
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare {
        service.to_owned()
    } else {
        quoted(service)
    }
}

/// A TOML string. JSON's escapes are TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
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
