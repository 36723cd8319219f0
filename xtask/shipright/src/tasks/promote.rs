//! `promote`: what one environment has goes to another, byte for byte. Nothing is built, and nothing passes the local engine:
//! blobs are mounted where both are in one registry, and streamed otherwise.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context as _, Result};
use image_oci::{Descriptor, Manifest};

use super::{
    attest, gate,
    transfer::{Image, Transfer},
};
use crate::{
    cli::Promote,
    context::Context,
    facts::{git, host, version},
    model::{
        attest::Attest, label, published::Found, refusal::Refusal, revision::Revision,
        tags::TagKind,
    },
    plan::{
        self, Selected,
        promotion::{self, Child, PromotedTag, Tagged, Tags, Taken},
        scan::Gate,
    },
    proof::Prover,
    record::Record,
    refused::Refused,
    resolver::ImageResolver,
    scan::GateKeeper,
    session::{self, Session},
    store::ContentStore,
    targets,
    workspace::Workspace,
};

/// Takes images from one environment to another.
pub(super) fn run(context: &Context, arguments: &Promote) -> Result<ExitCode> {
    require_two(arguments)?;
    let workspace = Workspace::of(context)?;
    let from = Session::open(&workspace, &arguments.from)?;
    let regions = Session::open_all(&workspace, &arguments.to)?;
    let who = regions
        .first()
        .context("an environment has a region")?
        .guard_registry()?;
    let attested = attest::of(context, &regions)?;
    let source = ImageResolver::open(&context.terminal, &from)?;
    let mut all = Vec::new();
    for to in &regions {
        let planner = Planner {
            context,
            from: &from,
            to,
            resolver: &source,
        };
        all.push((to, planner.images(&arguments.service)?));
    }
    let asked = gate::of(context, &regions)?;
    if context.global.dry_run {
        show(context, &from, &all, (asked, attested.as_ref()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut images = all.iter().flat_map(|(_, images)| images);
    if images.any(|image| !image.tags.is_empty()) {
        session::confirm_protected(context, workspace.environment(&arguments.to)?)?;
    }
    let terminal = &context.terminal;
    let open = |to| ImageResolver::open(terminal, to);
    let destinations = regions.iter().map(open).collect::<Result<Vec<_>>>()?;
    let mut transfers = Vec::new();
    for ((to, images), destination) in all.iter_mut().zip(&destinations) {
        let transfer = Transfer {
            terminal,
            from: &from,
            to,
            source: &source,
            destination,
        };
        transfers.push((transfer, images));
    }
    let store = asked
        .map(|_| ContentStore::open(&workspace.config.root))
        .transpose()?;
    let keeper = asked.zip(store.as_ref());
    let keeper =
        keeper.map(|(gate, store)| GateKeeper::new(gate, &workspace.config, terminal, store));
    let prover = Prover::of_project(&workspace.config.root);
    let attested = attested.as_ref().zip(Some(&prover));
    carry_out(&mut transfers, keeper.as_ref(), attested)?;
    drop(transfers);
    context.print(&document(&from, &all));
    let done = all
        .iter()
        .flat_map(|(to, images)| images.iter().map(move |image| (to, image)));
    let done = done.filter(|(_, image)| !image.tags.is_empty());
    let records: Vec<_> = done
        .map(|(to, image)| record(image, &from, to, &who))
        .collect();
    if !records.is_empty() {
        context.record(&workspace.config, &records);
        terminal.note("a moved tag changes nothing that runs");
        context.say_next(&format!("deploy {}", arguments.to));
    }
    Ok(ExitCode::SUCCESS)
}

fn require_two(arguments: &Promote) -> Result<(), Refused> {
    if arguments.from != arguments.to {
        return Ok(());
    }
    let problem = format!("`{}` cannot be promoted to itself", arguments.from);
    let cure = "name two environments: cargo xtask promote dev prod";
    Err(Refused::from(Refusal::new(problem, cure)))
}

/// What would be done.
fn show(
    context: &Context,
    from: &Session<'_>,
    all: &[(&Session<'_>, Vec<Image<'_>>)],
    (gate, attested): (Option<Gate>, Option<&Attest>),
) {
    let mut plan = document(from, all);
    if let Some(gate) = &gate {
        plan["scan"] = serde_json::json!(gate);
    }
    if let Some(attested) = attested {
        plan["attest"] = serde_json::json!(attested);
    }
    context.print(&serde_json::json!({ "plan": plan }));
    for (to, images) in all {
        for image in images {
            context.terminal.block(&image.shown(from, to));
        }
    }
    if let Some(gate) = gate {
        context.terminal.block(&gate.words());
    }
    if let Some(attested) = attested {
        context.terminal.block(&plan::attest::words(attested));
    }
}

/// What is, or was, to be done: of the first region, and of others where there are any.
fn document(from: &Session<'_>, all: &[(&Session<'_>, Vec<Image<'_>>)]) -> serde_json::Value {
    let (first, others) = all
        .split_first()
        .map_or((None, all), |(first, others)| (Some(first), others));
    let mut document = serde_json::json!({
        "from": from.place,
        "to": first.map(|(to, _)| &to.place),
        "images": first.map(|(_, images)| images),
    });
    if !others.is_empty() {
        let of = |(to, images): &(&Session<'_>, Vec<Image<'_>>)| serde_json::json!({ "to": to.place, "images": images });
        document["other-regions"] = others.iter().map(of).collect();
    }
    document
}

/// All are there, and proven there, in every region before a tag is written; moving tags come last, and after the gate.
fn carry_out(
    transfers: &mut [(Transfer<'_>, &mut Vec<Image<'_>>)],
    keeper: Option<&GateKeeper<'_>>,
    attested: Option<(&Attest, &Prover)>,
) -> Result<()> {
    for (transfer, images) in &mut *transfers {
        images
            .iter_mut()
            .try_for_each(|image| transfer.send(image))?;
    }
    for kind in [
        TagKind::Revision,
        TagKind::Timestamp,
        TagKind::Fixed,
        TagKind::Moving,
    ] {
        if let Some(keeper) = keeper.filter(|_| kind == TagKind::Moving) {
            let all = transfers.iter();
            let all =
                all.flat_map(|(transfer, images)| images.iter().map(move |one| (transfer, one)));
            gate::pass(all, keeper)?;
        }
        if let Some((asked, prover)) = attested.filter(|_| kind == TagKind::Moving) {
            attest::attach(asked, prover, transfers)?;
        }
        for (transfer, images) in &*transfers {
            images
                .iter()
                .try_for_each(|image| transfer.tag(image, kind))?;
        }
    }
    for (transfer, images) in &*transfers {
        let tagged = images.iter().filter(|image| !image.tags.is_empty());
        tagged
            .into_iter()
            .try_for_each(|image| transfer.confirm(image))?;
    }
    Ok(())
}

fn record(image: &Image<'_>, from: &Session<'_>, to: &Session<'_>, who: &str) -> Record {
    Record {
        who: who.to_owned(),
        action: "promote",
        environment: to.environment.name.clone(),
        image: image.image.clone(),
        workload: image.to_repository.clone(),
        from: Some(from.environment.name.clone()),
        to: image.digest.clone(),
        commit: None,
        outcome: "moved",
    }
}

/// Reads what there is on both sides, and asks what is to be done.
struct Planner<'p> {
    context: &'p Context,
    from: &'p Session<'p>,
    to: &'p Session<'p>,
    resolver: &'p ImageResolver<'p>,
}

impl<'p> Planner<'p> {
    fn images(&self, services: &[String]) -> Result<Vec<Image<'p>>> {
        let there = &self.to.environment.name;
        let all = self.from.selected(services)?;
        let goes_there: Vec<_> = all
            .into_iter()
            .filter(|one| one.image.environments.contains(there))
            .collect();
        if goes_there.is_empty() {
            let problem = format!("none of these images goes to `{there}`");
            let cure = format!("add \"{there}\" to their `environments` in deploy.toml");
            return Err(Refused::from(Refusal::new(problem, cure)).into());
        }
        Refused::all(goes_there.into_iter().map(|selected| {
            self.image(selected).map_err(|error| {
                if error.is::<Refused>() {
                    error
                } else {
                    error.context(format!("{} cannot be promoted", selected.name()))
                }
            })
        }))
    }

    fn image(&self, selected: Selected<'p>) -> Result<Image<'p>> {
        let from = &self.from.environment.name;
        let (from_repository, to_repository) =
            (self.from.repository(selected), self.to.repository(selected));
        let name = self.taken(selected)?;
        let manifest = self
            .resolver
            .manifest(&from_repository, &name)?
            .ok_or_else(|| {
                let problem = format!("`{from_repository}` of `{from}` has no image `{name}`");
                Refused::from(Refusal::new(problem, format!("cargo xtask push {from}")))
            })?;
        let children = self.children(&from_repository, &manifest)?;
        let arch = self.from.config.arch(selected.image.target);
        // The architecture is policy on both sides, and what is not proven does not travel.
        let archs = self
            .resolver
            .prove(selected, &from_repository, &manifest, arch)?;
        promotion::require_archs(selected, from, &name, arch, &archs).map_err(Refused::from)?;
        let own = children
            .iter()
            .find(|(_, child)| child.arch == Some(arch))
            .map(|(manifest, _)| manifest);
        let labels = self.labels(&from_repository, own.unwrap_or(&manifest))?;
        let to = self.to.environment;
        let revision =
            promotion::revision(&selected.name(), &labels, from, to).map_err(Refused::from)?;
        let revision = self.known(revision)?;
        let tags = Tags {
            config: self.to.config,
            environment: to,
            selected,
            timestamp: &plan::timestamp(&host::now()),
            revision: &revision,
        };
        for note in tags.notes(arch) {
            self.context.terminal.note(&note);
        }
        let of_index: Vec<_> = children.iter().map(|(_, child)| child.clone()).collect();
        let all = tags.all(arch, &manifest.digest, &of_index);
        let (tags, creates_repository) = self.tags(all, &to_repository)?;
        Ok(Image {
            selected,
            arch,
            image: selected.name(),
            from_repository,
            to_repository,
            digest: manifest.digest.clone(),
            revision: revision.commit,
            tags,
            creates_repository,
            sent: 0,
            beside: Vec::new(),
            manifest,
            children: children.into_iter().map(|(manifest, _)| manifest).collect(),
        })
    }

    /// The revision with all that is known of it here: its branch, tags and versions, where this checkout is at it.
    fn known(&self, of_label: Revision) -> Result<Revision> {
        let config = self.to.config;
        let here = git::project_revision(config)?;
        let is_it =
            |here: &Revision| here.commit == of_label.commit && here.dirty == of_label.dirty;
        let Some(mut here) = here.filter(is_it) else {
            return Ok(of_label);
        };
        version::read(config, &mut here).map_err(Refused)?;
        Ok(here)
    }

    /// The tag or digest that is taken: what runs, or what the moving tag names where nothing that can be read runs.
    fn taken(&self, selected: Selected<'_>) -> Result<String> {
        let (tag, repository) = (self.from.tag(selected), self.from.repository(selected));
        let Some(running) = targets::running(self.from, selected)
            .ok()
            .and_then(|running| running.digest)
        else {
            return Ok(tag);
        };
        let tagged = self
            .resolver
            .manifest(&repository, &tag)?
            .map(|manifest| Tagged {
                children: manifest
                    .children()
                    .unwrap_or_default()
                    .iter()
                    .map(|child| child.digest.clone())
                    .collect(),
                digest: manifest.digest,
            });
        let is_there = self.resolver.manifest(&repository, &running)?.is_some();
        Ok(
            match promotion::taken(tagged.as_ref(), Some(&running), is_there) {
                Taken::Tag => tag,
                Taken::TagThatRuns { digest } => digest,
                Taken::Running { digest } => {
                    let text = format!(
                        "{}: `{tag}` is not what runs: {digest} does, and is taken",
                        selected.name()
                    );
                    self.context.terminal.note(&text);
                    digest
                }
            },
        )
    }

    fn children(&self, repository: &str, manifest: &Manifest) -> Result<Vec<(Manifest, Child)>> {
        if manifest.is_image_manifest() {
            return Ok(Vec::new());
        }
        let child = |described: &Descriptor| {
            let digest = described.digest.clone();
            let found = self.from.repositories().manifest(repository, &digest)?;
            let found = found.with_context(|| {
                format!("the index lists {digest}, which is not in `{repository}`")
            })?;
            let platform = described
                .platform
                .as_ref()
                .filter(|platform| platform.os == "linux");
            let arch = platform.and_then(|platform| platform.architecture.parse().ok());
            Ok((found, Child { digest, arch }))
        };
        manifest.children()?.iter().map(child).collect()
    }

    fn labels(&self, repository: &str, manifest: &Manifest) -> Result<BTreeMap<String, String>> {
        let config = self.resolver.registry().config(repository, manifest)?;
        let found = Found::of(manifest, &config)?;
        Ok(found
            .labels
            .into_iter()
            .filter(|(name, _)| name == label::REVISION)
            .collect())
    }

    /// Of all tags those that have to be written, and whether the repository has to be made first.
    fn tags(&self, all: Vec<PromotedTag>, repository: &str) -> Result<(Vec<PromotedTag>, bool)> {
        let reader = self.to.repositories();
        let found = reader.repository(repository)?;
        promotion::guard_repository(found.as_ref(), repository, self.to.environment)
            .map_err(Refused::from)?;
        let Some(found) = found else {
            return Ok((all, true));
        };
        let names: Vec<_> = all.iter().map(|tag| tag.name.clone()).collect();
        let existing = reader.manifests(repository, &names)?;
        let existing = existing
            .into_iter()
            .map(|(tag, manifest)| (tag, manifest.digest))
            .collect();
        let tags = promotion::tags_to_write(all, &existing, &found, repository);
        Ok((tags.map_err(Refused::from)?, false))
    }
}
