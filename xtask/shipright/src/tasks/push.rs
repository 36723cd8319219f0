//! `push`: images for an environment, built, pushed under their six tags, and checked.

use std::{collections::BTreeMap, fs::File, process::ExitCode};

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};

use super::{Context, Refused, reach};
use crate::{
    aws::{Aws, Reader},
    cli::Push,
    docker::Docker,
    facts::{
        git::{self},
        host, paths,
    },
    model::{
        config::{Config, Environment},
        function::Function,
        place::Place,
        published::{Found, Published, Repository},
        refusal::Refusal,
        revision::Revision,
        tags::{TagKind, TagSet},
    },
    plan::{self, PushFacts, Selected, Variant, account_guard, guards, plan_push},
    registry::{CONFIG_LIMIT, Registry},
    sandbox,
};

/// Pushes to an environment.
pub fn run(context: &Context, push: &Push) -> Result<ExitCode> {
    let mut config = context.config()?;
    let dockerfile = push.selection.dockerfile.as_deref();
    let environment = plan::environment(&config, &push.environment).map_err(Refused::from)?;
    plan::select(&config, environment, &push.selection.service, dockerfile).map_err(Refused)?;
    let revision = git::project_revision(&config)?;
    refuse_any(guards(environment, revision.as_ref()))?;

    // Two pushes of one project at once would give their images the same names in the local engine.
    let _turn = if context.global.dry_run { None } else { Some(turn(context, &config)?) };
    // Everything that needs no network has been asked; only now a sandbox is started.
    let mut sandbox = sandbox::for_command(context.global.sandbox, context.global.dry_run, &mut config, &context.terminal)?;
    let environment = plan::environment(&config, &push.environment).map_err(Refused::from)?;
    let connection = reach::connection(environment, sandbox.as_ref());
    let aws = Aws::connect(&connection)?;
    let place = reach::place(environment, sandbox.as_ref())?;
    let readable = sandbox.as_ref().is_none_or(sandbox::Session::is_up);
    if environment.protected && readable {
        let identity = aws.reader().identity()?;
        account_guard(environment, &identity.account, &identity.arn).map_err(Refused::from)?;
    }
    let selection = plan::select(&config, environment, &push.selection.service, dockerfile).map_err(Refused)?;
    let mut variants = plan::variants(&config, &selection, |_| push.selection.multi_arch);
    let facts = if readable {
        context.terminal.detail(&format!("reading what `{}` has", place.registry));
        let look = |variants: &[Variant<'_>]| read(&config, environment, variants, &place, revision.as_ref(), aws.reader());
        let facts = look(&variants)?;
        let both = listed(context, &config, environment, &variants, revision.as_ref(), &facts.published);
        if both.is_empty() {
            facts
        } else {
            let is_listed = |selected: &Selected<'_>| both.contains(&selected.name());
            variants = plan::variants(&config, &selection, |selected| push.selection.multi_arch || is_listed(selected));
            look(&variants)?
        }
    } else {
        Read::nothing(variants.len())
    };
    let facts = PushFacts {
        place,
        revision,
        now: facts.now,
        repositories: facts.repositories,
        published: facts.published,
        functions: facts.functions,
        ca_bundle: host::ca_bundle(),
        missing: paths::missing(&config, None),
    };
    let mut plan = plan_push(&config, environment, &variants, facts).map_err(Refused)?;
    if let Some(sandbox) = &mut sandbox {
        sandbox.provide_bases(&mut plan, context.global.dry_run, &context.terminal)?;
    }
    if environment.protected && plan.images.iter().any(|image| image.build().is_some()) && sandbox.is_none() {
        say_if_promotion_would_do(context, &config, environment, &plan);
    }
    let docker = Docker::new(&sandbox.as_ref().map(sandbox::Session::docker_env).unwrap_or_default());
    // A sandbox that is not there yet has no engine to ask.
    if sandbox.as_ref().is_none_or(sandbox::Session::is_up) {
        docker.tell_how(&mut plan);
    }
    if let Some(done) = context.announce(&plan) {
        return Ok(done);
    }
    reach::confirm_protected(context, environment)?;
    if plan.images.iter().any(|image| image.build().is_some()) {
        context.terminal.detail(&format!("Docker Engine {}", docker.check()?));
        context.look_at_dockerfiles(&config, &plan, &docker)?;
    }
    Ok(context.carry_out(&config, &plan, &docker, Some(&aws), push.selection.jobs))
}

/// Another environment may have this very revision, tried and proven: then nothing needs to be built.
fn say_if_promotion_would_do(context: &Context, config: &Config, environment: &Environment, plan: &plan::Plan) {
    let others = config.environments.values().filter(|other| other.name != environment.name && !other.protected);
    for other in others {
        let Ok(aws) = Aws::connect(&reach::connection(other, None)) else { continue };
        let has = |image: &&plan::PlannedImage| {
            let service = config.services.get(&image.service)?;
            let found = service.images.iter().find(|one| Some(one.target) == image.target)?;
            let revision = plan.revision.as_ref()?;
            let selected = Selected { service, image: found };
            let variant = Variant { selected, arch: image.arch, in_list: false };
            let tags = plan::tag_set(config, other, variant, revision, "");
            let tag = tags.iter().find(|tag| tag.kind == TagKind::Revision && !tag.names_arch)?.name.clone();
            let repository = other.repository(&config.project, &image.service, found.target);
            aws.reader().manifests(&repository, std::slice::from_ref(&tag)).ok()?.contains_key(&tag).then_some(())
        };
        let built = plan.images.iter().filter(|image| image.build().is_some());
        if built.clone().all(|image| has(&image).is_some()) {
            context.terminal.note(&format!(
                "`{0}` has this revision: `cargo xtask promote {0} {1}` takes the very same images, without a build",
                other.name, environment.name
            ));
        }
    }
}

fn refuse_any(refusals: Vec<Refusal>) -> Result<(), Refused> {
    if refusals.is_empty() { Ok(()) } else { Err(Refused(refusals)) }
}

/// Waits for other pushes of this project on this machine. The turn ends with the file.
fn turn(context: &Context, config: &Config) -> Result<File> {
    let path = host::state_folder(&config.root)?.join("push.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("failed to open `{}`", path.display()))?;
    if file.try_lock().is_err() {
        context.terminal.note("another push of this project is running: waiting for it to end");
        file.lock().with_context(|| format!("failed to lock `{}`", path.display()))?;
    }
    Ok(file)
}

/// The images of which this commit has an index already: it stays one.
fn listed(
    context: &Context,
    config: &Config,
    environment: &Environment,
    variants: &[Variant<'_>],
    revision: Option<&Revision>,
    published: &[Published],
) -> Vec<String> {
    let Some(revision) = revision else { return Vec::new() };
    let single = variants.iter().zip(published).filter(|(variant, _)| !variant.in_list);
    let listed = single.filter(|(variant, published)| plan::has_list(config, environment, **variant, revision, published));
    let names: Vec<_> = listed.map(|(variant, _)| variant.selected.name()).collect();
    for name in &names {
        context.terminal.note(&format!("{name} of this commit is an image index for both CPUs, and stays one"));
    }
    names
}

/// What the registry has of some images.
struct Read {
    now: DateTime<Utc>,
    repositories: BTreeMap<String, Repository>,
    published: Vec<Published>,
    functions: BTreeMap<String, Function>,
}

impl Read {
    /// An empty registry.
    fn nothing(images: usize) -> Self {
        Self {
            now: host::now(),
            repositories: BTreeMap::new(),
            published: vec![Published::default(); images],
            functions: BTreeMap::new(),
        }
    }
}

/// Reads what the registry has of these images.
fn read(
    config: &Config,
    environment: &Environment,
    variants: &[Variant<'_>],
    place: &Place,
    revision: Option<&Revision>,
    aws: Reader<'_>,
) -> Result<Read> {
    let mut repositories: BTreeMap<String, Option<Repository>> = BTreeMap::new();
    let mut published = Vec::new();
    let mut registry = None;
    let mut now = host::now();
    for variant in variants {
        let selected = variant.selected;
        let name = environment.repository(&config.project, &selected.service.name, selected.image.target);
        if !repositories.contains_key(&name) {
            repositories.insert(name.clone(), aws.repository(&name)?);
        }
        let exists = repositories.get(&name).is_some_and(Option::is_some);
        let (true, Some(revision)) = (exists, revision) else {
            published.push(Published::default());
            continue;
        };
        let tags = |now: &DateTime<Utc>| plan::tag_set(config, environment, *variant, revision, &plan::timestamp(now));
        // Somebody may have pushed within this second; a timestamp names one push for ever.
        while !aws.manifests(&name, &[tags(&now).pushed().to_owned()])?.is_empty() {
            now += TimeDelta::seconds(1);
        }
        published.push(read_image(&name, &tags(&now), variant.in_list, place, aws, &mut registry)?);
    }
    let names = variants.iter().filter_map(|variant| plan::function_name(config, environment, variant.selected));
    // Someone who may push need not be allowed to read functions.
    let functions = names.filter_map(|name| Some((name.clone(), aws.function(&name).ok()?))).collect();
    let repositories = repositories.into_iter().filter_map(|(name, found)| Some((name, found?))).collect();
    Ok(Read { now, repositories, published, functions })
}

fn read_image(
    repository: &str,
    tags: &TagSet,
    in_list: bool,
    place: &Place,
    aws: Reader<'_>,
    registry: &mut Option<Registry>,
) -> Result<Published> {
    let lasting: Vec<_> = tags.iter().filter(|tag| tag.kind != TagKind::Timestamp).map(|tag| tag.name.clone()).collect();
    let manifests = aws.manifests(repository, &lasting)?;
    let lists = manifests.iter().filter(|(_, manifest)| manifest.is_image_index()).map(|(tag, _)| tag.clone());
    let mut published = Published {
        image_indexes: lists.collect(),
        tags: manifests.iter().map(|(tag, manifest)| (tag.clone(), manifest.digest.clone())).collect(),
        ..Published::default()
    };
    let revision_tag = tags.iter().find(|tag| tag.kind == TagKind::Revision && (tag.names_arch || !in_list));
    let revision_tag = revision_tag.and_then(|tag| manifests.get(&tag.name));
    let Some(manifest) = revision_tag.filter(|manifest| manifest.is_image_manifest()) else { return Ok(published) };
    let config = manifest.config()?;
    if config.size > CONFIG_LIMIT {
        return Ok(published);
    }
    if registry.is_none() {
        *registry = Some(Registry::new(&place.registry, Some(&aws.login()?)));
    }
    let Some(registry) = registry else { return Ok(published) };
    published.revision_image = Some(Found::of(manifest, &registry.blob(repository, &config.digest, CONFIG_LIMIT)?)?);
    published.revision_image_tags = aws.tags(repository, &manifest.digest)?;
    Ok(published)
}
