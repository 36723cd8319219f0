//! `promote`: what one environment has goes to another, byte for byte. Nothing is built, and nothing passes the local engine:
//! blobs are mounted where both lie in one registry, and streamed otherwise.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use image_oci::{Descriptor, Manifest};
use serde::Serialize;

use super::{
    Context, Refused,
    candidate::Finder,
    reach::{self, Reached},
};
use crate::{
    arch::Arch,
    cli::Promote,
    facts::host,
    model::{
        label,
        published::Found,
        refusal::Refusal,
        revision::Revision,
        tags::{Tag, TagKind, TagSet},
        target::IndexUse,
    },
    plan::{self, MOVABLE_TAGS, Selected},
    record::Record,
    registry::{Arrival, Registry},
    report::document,
};

/// One image on its way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Parcel<'c> {
    #[serde(skip)]
    selected: Selected<'c>,
    #[serde(skip)]
    arch: Arch,
    image: String,
    from_repository: String,
    to_repository: String,
    digest: String,
    revision: String,
    /// The tags that are written there, moving ones last.
    tags: Vec<PlannedTag>,
    /// Whether the repository there has to be made first.
    creates_repository: bool,
    /// Bytes that were sent.
    sent: u64,
    #[serde(skip)]
    manifest: Manifest,
    #[serde(skip)]
    children: Vec<(Manifest, Option<Arch>)>,
}

/// A tag, and the manifest that it is to name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct PlannedTag {
    name: String,
    #[serde(skip)]
    kind: TagKind,
    digest: String,
}

/// Takes images from one environment to another.
pub fn run(context: &Context, arguments: &Promote) -> Result<ExitCode> {
    if arguments.from == arguments.to {
        let problem = format!("`{}` cannot be promoted to itself", arguments.from);
        return Err(Refused::from(Refusal::new(problem, "name two environments: cargo xtask promote dev prod")).into());
    }
    let from = Reached::open(context, &arguments.from)?;
    let to = Reached::open(context, &arguments.to)?;
    let identity = to.guard()?;
    let road = Road { context, from: &from, to: &to, from_registry: from.registry()?, to_registry: to.registry()? };
    let mut parcels = road.pack(&arguments.service)?;
    if context.global.dry_run {
        if context.global.json {
            document::print(&serde_json::json!({ "plan": { "from": from.place, "to": to.place, "images": parcels } }));
        }
        for parcel in &parcels {
            context.terminal.block(&parcel.shown(&from, &to));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if parcels.iter().any(|parcel| !parcel.tags.is_empty()) {
        reach::confirm_protected(context, &to.environment)?;
    }
    // All are there, and proven there, before a tag is written.
    for parcel in &mut parcels {
        road.send(parcel)?;
    }
    for kind in [TagKind::Revision, TagKind::Timestamp, TagKind::Moving] {
        for parcel in &parcels {
            road.tag(parcel, kind)?;
        }
    }
    let done: Vec<_> = parcels.iter().filter(|parcel| !parcel.tags.is_empty()).collect();
    for parcel in &done {
        road.confirm(parcel)?;
    }
    if context.global.json {
        document::print(&serde_json::json!({ "from": from.place, "to": to.place, "images": parcels }));
    }
    if done.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let records: Vec<_> = done
        .into_iter()
        .map(|parcel| Record {
            who: &identity.arn,
            action: "promote",
            environment: &arguments.to,
            image: &parcel.image,
            workload: &parcel.to_repository,
            from: Some(&arguments.from),
            to: &parcel.digest,
            outcome: "moved",
        })
        .collect();
    context.record(&to.config, &records);
    context.terminal.note(&format!("tags moved, and nothing that runs: cargo xtask deploy {0}, or migrate-… {0}", arguments.to));
    Ok(ExitCode::SUCCESS)
}

struct Road<'c> {
    context: &'c Context,
    from: &'c Reached,
    to: &'c Reached,
    from_registry: Registry,
    to_registry: Registry,
}

impl<'c> Road<'c> {
    /// Looks for the images, and decides what is to be done with each.
    fn pack(&self, services: &[String]) -> Result<Vec<Parcel<'c>>> {
        let there = &self.to.environment.name;
        let all = self.from.selected(services)?;
        let goes_there: Vec<_> = all.into_iter().filter(|one| one.image.environments.contains(there)).collect();
        if goes_there.is_empty() {
            let problem = format!("none of these images goes to `{there}`");
            return Err(
                Refused::from(Refusal::new(problem, format!("add \"{there}\" to their `environments` in deploy.toml"))).into()
            );
        }
        let finder = Finder::open(self.context, self.from)?;
        let packed = goes_there.into_iter().map(|selected| {
            self.parcel(selected, &finder).map_err(|error| {
                if error.is::<Refused>() { error } else { error.context(format!("{} cannot be promoted", selected.name())) }
            })
        });
        let (parcels, refusals) = Refused::part(packed)?;
        if refusals.is_empty() { Ok(parcels) } else { Err(Refused(refusals).into()) }
    }

    fn parcel(&self, selected: Selected<'c>, finder: &Finder<'_>) -> Result<Parcel<'c>> {
        let (from_repository, to_repository) = (self.from.repository(selected), self.to.repository(selected));
        let name = self.source(selected, finder)?;
        let manifest = finder.manifest(&from_repository, &name)?.ok_or_else(|| {
            let from = &self.from.environment.name;
            let problem = format!("`{from_repository}` of `{from}` has no image `{name}`");
            Refused::from(Refusal::new(problem, format!("cargo xtask push {from}")))
        })?;
        let children = self.children(&from_repository, &manifest)?;
        let arch = self.from.config.arch(selected.image.target);
        // The architecture is policy on both sides, and what is not proven does not travel.
        let archs = finder.prove(selected, &from_repository, &manifest, arch)?;
        self.require(selected, &name, arch, &archs)?;
        let described = match children.iter().find(|(_, of)| *of == Some(arch)) {
            Some((child, _)) => self.describe(&from_repository, child)?,
            None => self.describe(&from_repository, &manifest)?,
        };
        let revision = self.revision(selected, &described)?;
        let reader = self.to.aws.reader();
        let repository = reader.repository(&to_repository)?;
        if repository.is_none() && !self.to.environment.create_repository {
            let to = &self.to.environment.name;
            let problem = format!("repository `{to_repository}` of `{to}` does not exist");
            let cure = format!("set `create-repository = true` in [environments.{to}], or create it");
            return Err(Refused::from(Refusal::new(problem, cure)).into());
        }
        let mut tags = self.tags(selected, &revision, arch, &manifest, &children);
        if let Some(repository) = &repository {
            let names: Vec<_> = tags.iter().map(|tag| tag.name.clone()).collect();
            let there = reader.manifests(&to_repository, &names)?;
            let is_there = |tag: &PlannedTag| there.get(&tag.name).is_some_and(|known| known.digest == tag.digest);
            // A time is written down once for each arrival.
            let is_new = tags.iter().filter(|tag| tag.kind != TagKind::Timestamp).any(|tag| !is_there(tag));
            tags.retain(|tag| is_new && !is_there(tag));
            let stuck = tags.iter().find(|tag| there.contains_key(&tag.name) && !repository.mutability.can_move(&tag.name));
            if let Some(tag) = stuck {
                let problem = format!("tag `{}` of `{to_repository}` names another image, and may not move", tag.name);
                return Err(
                    Refused::from(Refusal::new(problem, "it was built from the same revision there: deploy that one")).into()
                );
            }
        }
        Ok(Parcel {
            selected,
            arch,
            image: selected.name(),
            from_repository,
            to_repository,
            digest: manifest.digest.clone(),
            revision: revision.commit,
            tags,
            creates_repository: repository.is_none(),
            sent: 0,
            manifest,
            children,
        })
    }

    /// An image that is to be for both CPUs travels as both; App Runner runs one image of an index, and that may be what it has.
    fn require(&self, selected: Selected<'_>, name: &str, own: Arch, archs: &[Arch]) -> Result<(), Refused> {
        let both = selected.image.multi_arch && selected.image.target.index_use() != IndexUse::OneImage;
        let wanted = if both { Arch::ALL.to_vec() } else { vec![own] };
        let Some(missing) = wanted.into_iter().find(|arch| !archs.contains(arch)) else { return Ok(()) };
        let from = &self.from.environment.name;
        let why = if both { ", and deploy.toml has `multi-arch = true`" } else { "" };
        let problem = format!("`{name}`, which `{from}` has of {}, has no image for {missing}{why}", selected.name());
        Err(Refusal::new(problem, format!("push it again: cargo xtask push {from} --service {}", selected.service.name)).into())
    }

    /// What runs there, or what its tag names where nothing that can be read runs.
    fn source(&self, selected: Selected<'_>, finder: &Finder<'_>) -> Result<String> {
        let tag = self.from.tag(selected);
        let Some(digest) = self.from.running(selected).ok().and_then(|running| running.digest) else { return Ok(tag) };
        let repository = self.from.repository(selected);
        let tagged = finder.manifest(&repository, &tag)?;
        // An index is deployed as one of its children; what travels is the index.
        let is_child = |index: &Manifest| index.bytes.contains(&digest);
        match tagged {
            Some(tagged) if tagged.digest == digest || !tagged.is_image_manifest() && is_child(&tagged) => Ok(tagged.digest),
            _ if finder.manifest(&repository, &digest)?.is_some() => {
                let text = format!("{}: `{tag}` is not what runs: {digest} does, and is taken", selected.name());
                self.context.terminal.note(&text);
                Ok(digest)
            }
            _ => Ok(tag),
        }
    }

    fn children(&self, repository: &str, manifest: &Manifest) -> Result<Vec<(Manifest, Option<Arch>)>> {
        if manifest.is_image_manifest() {
            return Ok(Vec::new());
        }
        let child = |described: &Descriptor| {
            let found = self.from.aws.reader().manifest(repository, &described.digest)?;
            let found = found.with_context(|| format!("the index lists {}, which is not in `{repository}`", described.digest))?;
            let platform = described.platform.as_ref().filter(|platform| platform.os == "linux");
            Ok((found, platform.and_then(|platform| platform.architecture.parse().ok())))
        };
        manifest.children()?.iter().map(child).collect()
    }

    fn describe(&self, repository: &str, manifest: &Manifest) -> Result<Found> {
        Found::of(manifest, &self.from_registry.config(repository, manifest)?)
    }

    /// What the image was made of: its label says so.
    fn revision(&self, selected: Selected<'_>, found: &Found) -> Result<Revision, Refused> {
        let label = found.labels.get(label::REVISION).map(String::as_str).unwrap_or_default();
        let (commit, dirty) = label.strip_suffix("-dirty").map_or((label, false), |commit| (commit, true));
        let is_commit = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit {
            let problem = format!(
                "{} has no git commit in its label `{}`: it was not pushed by this tool",
                selected.name(),
                label::REVISION
            );
            return Err(Refusal::new(problem, format!("cargo xtask push {}", self.from.environment.name)).into());
        }
        let to = &self.to.environment;
        if dirty && to.protected {
            let problem = format!("{} was built from a dirty tree, and `{}` is protected", selected.name(), to.name);
            return Err(Refusal::new(problem, format!("commit, and push to {} again", self.from.environment.name)).into());
        }
        Ok(Revision::of_label(commit, dirty))
    }

    fn tags(
        &self,
        selected: Selected<'_>,
        revision: &Revision,
        arch: Arch,
        manifest: &Manifest,
        children: &[(Manifest, Option<Arch>)],
    ) -> Vec<PlannedTag> {
        let timestamp = plan::timestamp(&host::now());
        let of = |arch: Arch| {
            let short = revision.short(self.to.config.revision_length);
            TagSet::new(&selected.image.tag_prefix, &self.to.environment.name, arch, &timestamp, short, revision.dirty)
        };
        let plain = of(arch);
        let named = |tag: &Tag, digest: &str| PlannedTag { name: tag.name.clone(), kind: tag.kind, digest: digest.to_owned() };
        let mut tags: Vec<PlannedTag> = Vec::new();
        if children.is_empty() {
            tags.extend(plain.iter().map(|tag| named(tag, &manifest.digest)));
        } else {
            tags.extend(plain.iter().filter(|tag| !tag.names_arch).map(|tag| named(tag, &manifest.digest)));
            for (child, arch) in children {
                let Some(arch) = arch else { continue };
                tags.extend(of(*arch).iter().filter(|tag| tag.names_arch).map(|tag| named(tag, &child.digest)));
            }
        }
        tags
    }

    fn send(&self, parcel: &mut Parcel<'_>) -> Result<()> {
        let terminal = &self.context.terminal;
        if parcel.tags.is_empty() {
            terminal.status("Unchanged", &format!("{} is there, under all its tags", parcel.image));
            return Ok(());
        }
        if parcel.creates_repository {
            terminal.status("Creating", &format!("repository {}", parcel.to_repository));
            self.to.aws.writer().create_repository(&parcel.to_repository, &MOVABLE_TAGS)?;
        }
        let same_registry = self.from.place.registry == self.to.place.registry;
        if !(same_registry && parcel.from_repository == parcel.to_repository) {
            terminal.status("Sending", &format!("{} to {}/{}", parcel.image, self.to.place.registry, parcel.to_repository));
            let singles: Vec<_> = if parcel.children.is_empty() {
                vec![&parcel.manifest]
            } else {
                parcel.children.iter().map(|(child, _)| child).collect()
            };
            let mount = same_registry.then_some(parcel.from_repository.as_str());
            let mut sent = 0;
            for manifest in singles {
                sent += self.blobs(parcel, manifest, mount)?;
                self.store(parcel, manifest)?;
            }
            if !parcel.children.is_empty() {
                self.store(parcel, &parcel.manifest)?;
            }
            parcel.sent = sent;
            terminal.status("Sent", &format!("{}: {sent} bytes", parcel.image));
        }
        let found = self.to.aws.reader().manifest(&parcel.to_repository, &parcel.digest)?;
        if found.is_none() {
            bail!("{} is not in `{}` after it was sent", parcel.digest, parcel.to_repository);
        }
        // What arrived is judged there, and not by what was sent.
        Finder::open(self.context, self.to)?
            .prove(parcel.selected, &parcel.to_repository, &parcel.manifest, parcel.arch)
            .map(drop)
    }

    /// Copies what a manifest names. Returns how many bytes were sent.
    fn blobs(&self, parcel: &Parcel<'_>, manifest: &Manifest, mount: Option<&str>) -> Result<u64> {
        let mut sent = 0;
        for blob in manifest.document()?.blobs() {
            let source = || self.from_registry.stream(&parcel.from_repository, &blob.digest);
            match self.to_registry.put_blob(&parcel.to_repository, (&blob.digest, blob.size), mount, source)? {
                Arrival::Sent => sent += blob.size,
                Arrival::Present | Arrival::Mounted => {}
            }
        }
        Ok(sent)
    }

    fn store(&self, parcel: &Parcel<'_>, manifest: &Manifest) -> Result<()> {
        self.to_registry.put_manifest(&parcel.to_repository, &manifest.digest, &manifest.media_type, manifest.bytes.as_bytes())
    }

    fn tag(&self, parcel: &Parcel<'_>, kind: TagKind) -> Result<()> {
        for tag in parcel.tags.iter().filter(|tag| tag.kind == kind) {
            self.context.terminal.status("Tagging", &format!("{}:{}", parcel.to_repository, tag.name));
            let all = parcel.children.iter().map(|(child, _)| child).chain([&parcel.manifest]);
            let manifest = all.into_iter().find(|manifest| manifest.digest == tag.digest).context("a tag has no manifest")?;
            self.to.aws.writer().tag(&parcel.to_repository, manifest, &tag.name)?;
        }
        Ok(())
    }

    fn confirm(&self, parcel: &Parcel) -> Result<()> {
        let names: Vec<_> = parcel.tags.iter().map(|tag| tag.name.clone()).collect();
        let there = self.to.aws.reader().manifests(&parcel.to_repository, &names)?;
        for tag in &parcel.tags {
            let now = there.get(&tag.name).map_or("missing", |manifest| manifest.digest.as_str());
            if now != tag.digest {
                bail!("`{}:{}` is {now}, not {}: perhaps another run wrote it", parcel.to_repository, tag.name, tag.digest);
            }
        }
        let and = if parcel.children.is_empty() { "" } else { ", or its image for their CPU," };
        let text = format!("{}: {} tags name {}{and} in {}", parcel.image, names.len(), parcel.digest, self.to.environment.name);
        self.context.terminal.status("Checked", &text);
        Ok(())
    }
}

impl Parcel<'_> {
    fn shown(&self, from: &Reached, to: &Reached) -> String {
        let mut lines = vec![format!(
            "image {}: {} of {}\n    from         {}/{}\n    to           {}/{}",
            self.image,
            self.digest,
            self.revision,
            from.place.registry,
            self.from_repository,
            to.place.registry,
            self.to_repository
        )];
        lines.extend(self.tags.iter().map(|tag| format!("    tag          {}", tag.name)));
        if self.tags.is_empty() {
            lines.push("    nothing to do".to_owned());
        }
        lines.join("\n")
    }
}
