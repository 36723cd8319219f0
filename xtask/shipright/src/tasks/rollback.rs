//! `rollback`: what runs goes back to an earlier image, with its architecture. The image is looked for, and proven, first: a
//! lifecycle rule may have deleted it.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::{
    Context, Refused,
    candidate::Finder,
    migrate::{Choice, Migration, Options},
};
use crate::{
    arch::Arch,
    cli::Rollback,
    model::{function::Code, published::Stored, refusal::Refusal, tags, target::Target},
    plan::{Selected, deployment},
    record,
};

/// Something to go back to.
#[derive(Debug, Clone)]
struct Way {
    /// A version's number or a tag: what `--to` takes.
    name: String,
    digest: String,
    arch: Option<Arch>,
    /// The digests of its images, where it is an index.
    images: Vec<String>,
}

impl Way {
    fn is(&self, digest: &str) -> bool {
        self.digest == digest || self.images.iter().any(|image| image == digest)
    }
}

/// Goes back.
pub fn run(context: &Context, arguments: &Rollback) -> Result<ExitCode> {
    let migration = Migration::open(context, &arguments.migrate.environment, "rollback")?;
    let finder = Finder::open(context, &migration.reached)?;
    let selected = migration.selected(&arguments.migrate.service, &migration.targets())?;
    let to = arguments.to.as_deref();
    let chosen = selected.into_iter().map(|selected| match selected.image.target {
        Target::Lambda => lambda(&migration, &finder, selected, to),
        Target::AppRunner | Target::Eks => other(&migration, &finder, selected, to),
    });
    let (choices, refusals) = Refused::part(chosen)?;
    if !refusals.is_empty() {
        return Err(Refused(refusals).into());
    }
    migration.carry_out(&choices, Options::default())
}

/// A function goes back to a version of its own, so that an alias gets that very version, with its settings.
fn lambda<'c>(migration: &Migration<'_>, finder: &Finder<'_>, selected: Selected<'c>, to: Option<&str>) -> Result<Choice<'c>> {
    let facts = migration.function_facts(selected)?;
    let name = facts.function.name.clone();
    if !facts.function.exists {
        bail!("function {name} does not exist");
    }
    let is_number = |to: &&str| to.len() < 10 && to.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = to.filter(is_number).map(|number| migration.version(&facts, number)).transpose()?.flatten();
    let version = match to {
        None => {
            let bad = record::bad(&migration.reached.config.root, &migration.reached.environment.name, &name);
            deployment::previous(&facts, &bad)
        }
        Some(_) if numbered.is_some() => numbered.as_ref(),
        // The beginning of a commit may be nothing but digits.
        Some(to) if is_number(&to) && named(migration, finder, selected, to).is_err() => None,
        Some(to) => {
            let (code, archs) = named(migration, finder, selected, to)?;
            let known = facts.versions.iter().find(|version| version.code.as_ref().is_some_and(|one| one.is(&code)));
            return Ok(Choice { selected, version: known.map(|version| version.number.clone()), code, archs });
        }
    };
    let ways: Vec<Way> = facts
        .versions
        .iter()
        .filter_map(|version| {
            let code = version.code.as_ref()?;
            Some(Way { name: version.number.clone(), digest: code.digest.clone(), arch: Some(code.arch), images: Vec::new() })
        })
        .collect();
    let Some((version, code)) = version.and_then(|version| Some((version, version.code.as_ref()?))) else {
        let problem = match to {
            Some(to) => format!("function {name} has no version {to}"),
            None => format!("function {name} has no earlier version that runs another image"),
        };
        return Err(Refused::from(Refusal::new(problem, listed(&ways))).into());
    };
    // The function may have come from another repository once.
    let own = code.image.split_once('/').and_then(|(_, rest)| rest.split_once('@')).map(|(name, _)| name.to_owned());
    let repository = own.unwrap_or_else(|| migration.reached.repository(selected));
    if finder.manifest(&repository, &code.digest)?.is_none() {
        let problem = format!(
            "version {} of {name} runs {}, which is gone from `{repository}`: a lifecycle rule may have deleted it",
            version.number, code.digest
        );
        return Err(Refused::from(Refusal::new(problem, listed(&ways))).into());
    }
    let code = finder.find_in(&repository, selected, &code.digest, code.arch)?;
    Ok(Choice { selected, archs: vec![code.arch], code, version: Some(version.number.clone()) })
}

/// Other targets keep no versions: ECR's tags tell what the environment has had.
fn other<'c>(migration: &Migration<'_>, finder: &Finder<'_>, selected: Selected<'c>, to: Option<&str>) -> Result<Choice<'c>> {
    if let Some(to) = to {
        let (code, archs) = named(migration, finder, selected, to)?;
        return Ok(Choice { selected, code, archs, version: None });
    }
    let reached = &migration.reached;
    let running = reached.running(selected)?;
    let digest = running.digest.with_context(|| {
        let image = running.image.as_deref().unwrap_or("nothing");
        format!("{} runs {image}, which names no digest: say what to go back to with `--to`", running.workload)
    })?;
    let images = reached.aws.reader().images(&reached.repository(selected))?;
    let ways = ways(&images, &selected.image.tag_prefix, &reached.environment.name);
    let bad = record::bad(&reached.config.root, &reached.environment.name, &running.workload);
    let current = ways.iter().position(|way| way.is(&digest));
    let is_good = |way: &&Way| !way.is(&digest) && !bad.iter().any(|bad| way.is(bad));
    let earlier = current.and_then(|current| ways[current + 1..].iter().find(is_good));
    let Some(way) = earlier else {
        let problem = format!("no image that {} ran before is in `{}`", running.workload, reached.repository(selected));
        return Err(Refused::from(Refusal::new(problem, listed(&ways))).into());
    };
    let arch = way.arch.unwrap_or_else(|| reached.config.arch(selected.image.target));
    let (code, archs) = finder.choose(selected, &way.digest, arch)?;
    Ok(Choice { selected, code, archs, version: None })
}

/// What `--to TAG` and `--to DIGEST` name. A tag may be written without the image's prefix.
fn named(migration: &Migration<'_>, finder: &Finder<'_>, selected: Selected<'_>, to: &str) -> Result<(Code, Vec<Arch>)> {
    let reached = &migration.reached;
    let repository = reached.repository(selected);
    let prefixed = format!("{}{to}", selected.image.tag_prefix);
    let name = if to.starts_with("sha256:") || finder.manifest(&repository, &prefixed)?.is_none() { to } else { &prefixed };
    let policy = reached.config.arch(selected.image.target);
    let target = selected.image.target;
    // An earlier image may be for the CPU of an earlier policy.
    let archs = [policy].into_iter().chain(Arch::ALL.into_iter().filter(|arch| *arch != policy && target.can_run(*arch)));
    let mut first = None;
    for arch in archs {
        match finder.choose(selected, name, arch) {
            Ok(chosen) => return Ok(chosen),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.context("no architecture was tried")?)
}

/// The images that an environment has had, newest first, by the tags that name the time.
fn ways(images: &[Stored], prefix: &str, environment: &str) -> Vec<Way> {
    let mut ways: Vec<(String, Way)> = Vec::new();
    let mut members: Vec<(String, String)> = Vec::new();
    for image in images {
        let times = image.tags.iter().filter_map(|tag| {
            let rest = tag.strip_prefix(prefix)?.strip_prefix(environment)?.strip_prefix('-')?;
            tags::moment(rest).map(|(moment, arch)| (moment.to_owned(), arch, tag.clone()))
        });
        let mut times: Vec<_> = times.collect();
        times.sort();
        let arch = times.iter().find_map(|(_, arch, _)| *arch);
        members.extend(
            times.iter().filter(|(_, arch, _)| arch.is_some()).map(|(moment, ..)| (moment.clone(), image.digest.clone())),
        );
        for (moment, _, tag) in times.into_iter().filter(|(_, arch, _)| arch.is_none()) {
            ways.push((moment, Way { name: tag, digest: image.digest.clone(), arch, images: Vec::new() }));
        }
    }
    // Images of an index have its time under their own tags.
    for (moment, way) in &mut ways {
        let of_list = members.iter().filter(|(time, digest)| time == moment && *digest != way.digest);
        way.images = of_list.map(|(_, digest)| digest.clone()).collect();
    }
    ways.sort_by(|(one, _), (other, _)| other.cmp(one));
    ways.into_iter().map(|(_, way)| way).collect()
}

fn listed(ways: &[Way]) -> String {
    const SHOWN: usize = 10;
    if ways.is_empty() {
        return "there is nothing to go back to".to_owned();
    }
    let line = |way: &Way| {
        let arch = way.arch.map_or_else(String::new, |arch| format!(" on {arch}"));
        format!("  {}  {}{arch}", way.name, way.digest)
    };
    format!("name one with `--to`:\n{}", ways.iter().take(SHOWN).map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_s_images_are_listed_by_the_time_in_their_tags() {
        let image = |digest: &str, tags: &[&str]| Stored {
            digest: digest.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            pushed: 0,
        };
        let images = [
            image("a", &["api-dev-20250101-000000", "api-dev-20250101-000000-amd64", "api-abc1234", "api-prod-20260101-000000"]),
            image("b", &["api-dev-20250102-000000", "api-dev-20250102-000000-arm64", "api-dev-latest"]),
            image("c", &["worker-dev-20250103-000000", "api-dev-2025"]),
        ];
        let list = [
            image("list", &["api-dev-20250104-000000"]),
            image("child", &["api-dev-20250104-000000-amd64"]),
            image("other", &["api-dev-20250105-000000-amd64"]),
        ];
        let found = ways(&list, "api-", "dev");
        assert!(found.len() == 1 && found[0].is("child") && found[0].is("list") && !found[0].is("other"));
        let found: Vec<_> = ways(&images, "api-", "dev").into_iter().map(|way| (way.name, way.digest, way.arch)).collect();
        assert_eq!(
            found,
            [
                ("api-dev-20250102-000000".to_owned(), "b".to_owned(), Some(Arch::Arm64)),
                ("api-dev-20250101-000000".to_owned(), "a".to_owned(), Some(Arch::Amd64)),
            ]
        );
    }
}
