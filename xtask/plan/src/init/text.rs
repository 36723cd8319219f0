//! The text of a first deploy.toml.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use super::{
    FoundRepository, FoundSecret, Survey,
    services::{Image, services},
};
use crate::{
    arch::Arch,
    model::{
        name, path,
        target::{IndexUse, Target},
    },
};

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
    targets(&mut text, services.values().flatten());
    environments(&mut text, survey, services.keys());
    for (service, images) in &services {
        let _ = writeln!(text, "\n[services.{}]", key(service));
        let Some(first) = images.first() else {
            continue;
        };
        let (context, because) = (first.context, &first.because);
        if images.iter().all(|image| image.context == context) && context != "." {
            let _ = writeln!(text, "# {because}\ncontext = {}", quoted(context));
        }
        for image in images {
            write_image(&mut text, service, image, context);
        }
    }
    text
}

/// The CPU of each target, where files say one that is not its default.
fn targets<'s>(text: &mut String, images: impl Iterator<Item = &'s Image<'s>>) {
    let mut said: BTreeMap<Target, BTreeMap<Arch, String>> = BTreeMap::new();
    for image in images {
        let of_workload = image
            .workload
            .and_then(|one| Some((one.arch?, format!("`{}`", one.file))));
        let of_build = match image.archs()[..] {
            [only] => image.build.map(|build| (only, build.shown())),
            _ => None,
        };
        if let Some((arch, file)) = of_workload.or(of_build) {
            said.entry(image.target)
                .or_default()
                .entry(arch)
                .or_insert(file);
        }
    }
    let mut lines = String::new();
    for (target, archs) in &said {
        let mut all = archs.iter();
        match (all.next(), all.next()) {
            (Some((arch, file)), None)
                if target.can_run(*arch) && *arch != target.default_arch() =>
            {
                let _ = writeln!(lines, "# From {file}.\n{target} = \"{arch}\"");
            }
            (Some((_, one)), Some((_, other))) => {
                let _ = writeln!(
                    lines,
                    "# TODO: {one} and {other} say different CPUs.\n{target} = \"{}\"",
                    target.default_arch()
                );
            }
            _ => {}
        }
    }
    if !lines.is_empty() {
        let _ = write!(text, "\n[targets]\n{lines}");
    }
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
    let services: Vec<_> = services.collect();
    let terraform = &survey.terraform;
    let of_terraform = || {
        let all = terraform.repositories.iter();
        all.map(|(name, file)| (name.as_str(), format!("`{file}`")))
            .collect::<Vec<_>>()
    };
    if accounts.is_empty() {
        text.push_str("\n[environments.dev]\n");
        no_account(text, survey);
        repository(text, &of_terraform(), &services);
        cluster(text, survey);
        return;
    }
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
        let named = found.iter();
        let named = named.filter_map(|one| Some((one.name.as_deref()?, one.file.clone())));
        let mut named: Vec<_> = named.collect();
        if named.is_empty() {
            named = of_terraform();
        }
        repository(text, &named, &services);
        cluster(text, survey);
    }
}

fn no_account(text: &mut String, survey: &Survey) {
    let terraform = &survey.terraform;
    let account = terraform.account.as_ref();
    let region = terraform.region.as_ref();
    let _ = match (account, region) {
        (None, None) => writeln!(
            text,
            "# TODO: the account and the region; no file here names an ECR repository.\naccount = \"000000000000\"\nregion = \"us-east-1\""
        ),
        (None, Some((region, file))) => writeln!(
            text,
            "# TODO: the account; no file here names it.\naccount = \"000000000000\"\n# From `{file}`.\nregion = {}",
            quoted(region)
        ),
        (Some((account, file)), region) => {
            let (region, why) = region.map_or(
                ("us-east-1", "TODO: no file here names it.".to_owned()),
                |(region, file)| (region.as_str(), format!("From `{file}`.")),
            );
            writeln!(
                text,
                "# From `{file}`.\naccount = {}\n# {why}\nregion = {}",
                quoted(account),
                quoted(region)
            )
        }
    };
}

/// The repository of an environment: one a service, or one for all.
fn repository(text: &mut String, named: &[(&str, String)], services: &[&String]) {
    let own = |prefix: &str| {
        let mut names = named.iter();
        names.find(|(name, _)| {
            let mut services = services.iter();
            services.any(|service| *name == format!("{prefix}{service}"))
        })
    };
    let prefixes = named.iter().flat_map(|(name, _)| {
        let ends = services
            .iter()
            .filter_map(|service| name.strip_suffix(service.as_str()));
        ends.map(str::to_owned).collect::<Vec<_>>()
    });
    let prefixes: BTreeSet<_> = prefixes.chain([String::new()]).collect();
    let found = prefixes
        .iter()
        .find_map(|prefix| Some((prefix, own(prefix)?)));
    match (found, named) {
        (Some((prefix, (_, file))), _) => {
            let _ = writeln!(text, "# Repositories named after services are in {file}.");
            let name = format!("{prefix}{{service}}");
            let _ = writeln!(text, "repository = {}", quoted(&name));
        }
        (None, [(only, file), ..]) => {
            let _ = writeln!(text, "# From {file}.\nrepository = {}", quoted(only));
        }
        (None, []) => {}
    }
}

fn cluster(text: &mut String, survey: &Survey) {
    let is_used = survey
        .terraform
        .workloads
        .iter()
        .any(|one| match one.target {
            Target::Ecs => true,
            Target::Lambda | Target::Eks | Target::AppRunner => false,
        });
    if let Some((name, file)) = survey.terraform.cluster.as_ref().filter(|_| is_used) {
        let _ = writeln!(text, "# From `{file}`.\necs-cluster = {}", quoted(name));
    }
}

fn write_image(text: &mut String, service: &str, image: &Image<'_>, context: &str) {
    let found = image.found;
    let _ = writeln!(text, "\n[[services.{}.images]]", key(service));
    if image.context != context {
        let _ = writeln!(
            text,
            "# {}\ncontext = {}",
            image.because,
            quoted(image.context)
        );
    } else if context == "." {
        let _ = writeln!(text, "# {}", image.because);
    }
    let dockerfile = path::relative(Path::new(&found.path), Path::new(image.context));
    let _ = writeln!(text, "dockerfile = {}", quoted(&dockerfile));
    write_build(text, image);
    if let Some(why) = &image.target_because {
        let _ = writeln!(text, "# {why}\ntarget = {}", quoted(image.target.name()));
    }
    if let [_, _] = image.archs()[..]
        && image.target.index_use() != IndexUse::Refused
    {
        let file = image
            .build
            .map(super::FoundBuild::shown)
            .unwrap_or_default();
        let _ = writeln!(text, "# Both platforms are in {file}.\nmulti-arch = true");
    }
    write_workload(text, image);
}

fn write_build(text: &mut String, image: &Image<'_>) {
    let Some(build) = image.build else { return };
    match (&build.stage, build.shipped_stage()) {
        (_, Some(stage)) if !image.has_stage(stage) => {
            let _ = writeln!(
                text,
                "# TODO: {} builds the stage `{stage}`, which is not in the Dockerfile.",
                build.shown()
            );
        }
        (_, Some(stage)) => {
            let _ = writeln!(text, "stage = {}", quoted(stage));
        }
        (Some(stage), None) => {
            let file = &build.file;
            let _ = writeln!(
                text,
                "# TODO: `{file}` builds the stage `{stage}`, which is for developers or tests; without `stage` it is the last."
            );
        }
        (None, None) => {}
    }
    let unfilled = build
        .unfilled
        .iter()
        .filter(|name| !image.args.contains_key(*name));
    for name in unfilled {
        let file = build.shown();
        let _ = writeln!(
            text,
            "# TODO: the build argument {name}, whose value {file} has from elsewhere."
        );
    }
    let tables = [("build-args", &image.args), ("contexts", &build.contexts)];
    for (name, table) in tables.into_iter().filter(|(_, table)| !table.is_empty()) {
        let pairs = table
            .iter()
            .map(|(name, value)| format!("{} = {}", key(name), quoted(value)));
        let pairs: Vec<_> = pairs.collect();
        let _ = writeln!(text, "{name} = {{ {} }}", pairs.join(", "));
    }
    let secrets: Vec<_> = build.secrets.iter().map(secret).collect();
    if !secrets.is_empty() {
        let _ = writeln!(text, "secrets = [{}]", secrets.join(", "));
    }
    if build.ssh {
        text.push_str("ssh = true\n");
    }
}

fn secret(found: &FoundSecret) -> String {
    let source = match (&found.file, &found.env) {
        (Some(file), _) => format!("file = {}", quoted(file)),
        (None, Some(env)) => format!("env = {}", quoted(env)),
        (None, None) => format!("env = {}", quoted(&found.id.to_uppercase())),
    };
    format!("{{ id = {}, {source} }}", quoted(&found.id))
}

/// The name of what runs it, where Terraform says one.
fn write_workload(text: &mut String, image: &Image<'_>) {
    let Some(workload) = image.workload else {
        return;
    };
    let Some(name) = workload
        .name
        .as_ref()
        .filter(|_| workload.target == image.target)
    else {
        return;
    };
    let key = match workload.target {
        Target::Lambda => "function",
        Target::Ecs => "ecs-service",
        Target::AppRunner => "apprunner-service",
        Target::Eks => return,
    };
    let _ = writeln!(text, "{key} = {}", quoted(name));
}

fn key(service: &str) -> String {
    let is_bare = !service.is_empty()
        && service
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
