//! Gathers what the page of `status --html` shows.
//!
//! Images are proven with what this machine knows of their layers: summaries of earlier proofs, and the content store. A page must not
//! take minutes, and a fleet of images has gigabytes; who pushes from here has proven them here, and the page is whole. Elsewhere it says
//! of each image how much was not read, and `--prove` reads that, several images side by side.

use anyhow::{Context as _, Result, bail};
use image_oci::{Manifest, Platform};

use super::{Environment, Region};
use crate::{
    arch::Arch,
    context::Context,
    facts::host,
    model::label,
    parallel::side_by_side,
    plan::{
        self, Selected,
        layers::{layers, shown},
        status::Row,
    },
    proof::{NearImage, Prover},
    record::{self, History},
    report::page::{Cell, Image, Layer, Page, Place, Proven, Role, Service, Use, Variant},
    store::{self, ContentStore},
    workspace::Workspace,
};

/// How many images are read at a time: most of the time is spent waiting for answers.
const AT_ONCE: usize = 8;

/// The most lines of the record that are shown.
const LINES: usize = 200;

/// The most images of an index, and the most layers of an image. Docker takes 127 layers.
const MOST: usize = 500;

/// Gathers everything. What cannot be read is said in its place.
pub(super) fn gather(
    context: &Context,
    workspace: &Workspace<'_>,
    environments: &[Environment<'_>],
    prove: bool,
) -> Page {
    let root = &workspace.config.root;
    let is_shown = |name: &str| environments.iter().any(|one| one.name == name);
    let history = record::history(root, LINES, is_shown);
    let (history, history_unread) = match history {
        Ok(history) => (history, None),
        Err(error) => (History::default(), Some(format!("{error:#}"))),
    };
    let services = services(workspace, environments);
    Page {
        project: workspace.config.project.clone(),
        made: host::timestamp(),
        is_sandbox: context.global.sandbox,
        places: environments.iter().flat_map(places).collect(),
        images: images(context, workspace, environments, &services, prove),
        services,
        history,
        history_unread,
    }
}

fn places(environment: &Environment<'_>) -> Vec<Place> {
    let place = |name: String, unreached: Option<String>| Place { name, unreached };
    if environment.unreached.is_some() {
        return vec![place(
            environment.name.clone(),
            environment.unreached.clone(),
        )];
    }
    let name = |region: &Region<'_>| match region.session.region() {
        Some(region) => format!("{} {region}", environment.name),
        None => environment.name.clone(),
    };
    let regions = environment.regions.iter();
    regions.map(|region| place(name(region), None)).collect()
}

/// What goes to any of the environments, in the order of deploy.toml.
fn services(workspace: &Workspace<'_>, environments: &[Environment<'_>]) -> Vec<Service> {
    let all = plan::all(&workspace.config);
    let service = |selected: Selected<'_>| Service {
        name: selected.name(),
        target: selected.image.target,
        cells: environments
            .iter()
            .flat_map(|environment| cells(environment, selected))
            .collect(),
    };
    let goes = |service: &Service| {
        let mut cells = service.cells.iter();
        cells.any(|cell| !matches!(cell, Cell::Absent))
    };
    all.map(service).filter(goes).collect()
}

fn cells(environment: &Environment<'_>, selected: Selected<'_>) -> Vec<Cell> {
    if environment.unreached.is_some() {
        let goes = selected.image.environments.contains(&environment.name);
        return vec![if goes { Cell::Unread } else { Cell::Absent }];
    }
    let name = selected.name();
    let cell = |region: &Region<'_>| {
        let mut rows = region.rows.iter();
        let row = rows.find(|(_, row)| row.image == name);
        row.map_or(Cell::Absent, |(_, row)| Cell::Found(Box::new(row.clone())))
    };
    environment.regions.iter().map(cell).collect()
}

/// An image that a tag names or something runs, before it is read.
struct Wanted<'e> {
    region: &'e Region<'e>,
    selected: Selected<'e>,
    digest: String,
    references: Vec<String>,
    used: Vec<Use>,
}

/// Reads each image once, wherever it is.
fn images(
    context: &Context,
    workspace: &Workspace<'_>,
    environments: &[Environment<'_>],
    services: &[Service],
    prove: bool,
) -> Vec<Image> {
    let mut wanted = Vec::new();
    for region in environments.iter().flat_map(|one| &one.regions) {
        for (selected, row) in &region.rows {
            want(&mut wanted, region, *selected, row);
        }
    }
    let place = |name: &String| services.iter().position(|one| one.name == *name);
    wanted.sort_by_key(|one| place(&one.selected.name()));
    if !wanted.is_empty() {
        let count = wanted.len();
        let text = format!(
            "{count} image{} for the page",
            if count == 1 { "" } else { "s" }
        );
        context.terminal.status("Reading", &text);
    }
    let reader = Reader {
        prover: Prover::of_project(&workspace.config.root),
        store: open_store(workspace),
        prove,
    };
    // What fails is said in the image.
    side_by_side(AT_ONCE, &wanted, |one| Ok(reader.image(one))).unwrap_or_default()
}

/// The content store, where this project has one: looking makes none.
fn open_store(workspace: &Workspace<'_>) -> Option<ContentStore> {
    let root = &workspace.config.root;
    let directory = host::target_directory(root);
    if !directory.is_dir() || !store::directory(root).ok()?.is_dir() {
        return None;
    }
    ContentStore::open(root).ok()
}

/// Enters what a tag names and what runs.
fn want<'e>(
    wanted: &mut Vec<Wanted<'e>>,
    region: &'e Region<'e>,
    selected: Selected<'e>,
    row: &Row,
) {
    let mut enter = |digest: &str, role: Role| {
        let place = row.place();
        let used = Use { place, role };
        let repository = region.session.repository(selected);
        let reference = format!("{}/{repository}@{digest}", region.registry.host());
        let name = selected.name();
        let known = wanted
            .iter_mut()
            .find(|one| one.digest == digest && one.selected.name() == name);
        if let Some(known) = known {
            known.used.push(used);
            if !known.references.contains(&reference) {
                known.references.push(reference);
            }
            return;
        }
        wanted.push(Wanted {
            region,
            selected,
            digest: digest.to_owned(),
            references: vec![reference],
            used: vec![used],
        });
    };
    if let Some(digest) = &row.tag_digest {
        enter(digest, Role::Tag(row.tag.clone()));
    }
    if let Some(digest) = &row.runs {
        let workload = row.workload.as_deref().unwrap_or_default();
        // An image of the tag's index is shown with that.
        let shown = if row.listed.contains(digest) {
            row.tag_digest.as_ref().unwrap_or(digest)
        } else {
            digest
        };
        let what = row.target.workload();
        enter(shown, Role::Runs(format!("{what} {workload}")));
    }
}

/// What images are read with.
struct Reader {
    prover: Prover,
    store: Option<ContentStore>,
    prove: bool,
}

impl Reader {
    fn image(&self, wanted: &Wanted<'_>) -> Image {
        let mut image = Image {
            name: wanted.selected.name(),
            target: wanted.selected.image.target,
            digest: wanted.digest.clone(),
            references: wanted.references.clone(),
            used: wanted.used.clone(),
            is_index: false,
            variants: Vec::new(),
            unread: Vec::new(),
        };
        if let Err(error) = self.read(wanted, &mut image) {
            image.unread.push(format!("It cannot be read: {error:#}"));
        }
        image
    }

    fn read(&self, wanted: &Wanted<'_>, image: &mut Image) -> Result<()> {
        let manifest = wanted.manifest(&wanted.digest)?;
        if !manifest.is_image_index() {
            let session = &wanted.region.session;
            let arch = session.config.arch(image.target);
            image.variants.push(self.variant(wanted, &manifest, arch)?);
            return Ok(());
        }
        image.is_index = true;
        let children = manifest.children()?;
        if children.len() > MOST {
            bail!("the index lists {} images", children.len());
        }
        for child in children {
            let Some(arch) = child.platform.as_ref().and_then(Platform::provable) else {
                continue;
            };
            let variant = wanted
                .manifest(&child.digest)
                .and_then(|manifest| self.variant(wanted, &manifest, arch));
            match variant {
                Ok(variant) => image.variants.push(variant),
                Err(error) => {
                    let platform = arch.platform();
                    let reason = format!("Its image for {platform} cannot be read: {error:#}");
                    image.unread.push(reason);
                }
            }
        }
        Ok(())
    }

    fn variant(&self, wanted: &Wanted<'_>, manifest: &Manifest, arch: Arch) -> Result<Variant> {
        let repository = wanted.repository();
        let bytes = wanted.region.registry.config(&repository, manifest)?;
        let config = manifest.parse_config(&bytes)?;
        let described = &manifest.document()?.layers;
        if described.len() > MOST {
            bail!("it has {} layers, and Docker takes 127", described.len());
        }
        let made = layers(&config, described.len());
        let layer = |(layer, made): (&image_oci::Descriptor, _)| Layer {
            digest: layer.digest.clone(),
            size: layer.size,
            made,
        };
        let labels = config.config.labels.unwrap_or_default();
        let own: Option<Arch> = config.architecture.parse().ok();
        let image = NearImage {
            registry: &wanted.region.registry,
            repository: &repository,
            manifest,
            config: &bytes,
            store: self.store.as_ref(),
            may_read: self.prove,
        };
        Ok(Variant {
            digest: manifest.digest.clone(),
            platform: format!("{}/{}", config.os, config.architecture),
            revision: labels.get(label::REVISION).cloned(),
            created: labels.get(label::CREATED).cloned(),
            layers: described.iter().zip(made).map(layer).collect(),
            proof: self.proof(wanted, &image, arch),
            cost: own.map(|arch| wanted.selected.image.target.cost(arch)),
        })
    }

    fn proof(&self, wanted: &Wanted<'_>, image: &NearImage<'_>, arch: Arch) -> Proven {
        let proven = || {
            let bytes = self.prover.unknown_bytes(image)?;
            if bytes > 0 && !self.prove {
                return Ok(Proven::Unknown { bytes });
            }
            let foreign = &wanted.selected.image.foreign;
            let (mut proof, inventory) = self.prover.near(image, Some(arch), foreign)?;
            // The terminal of who builds may tell the values of build arguments; a page that is passed on must not.
            for finding in &mut proof.verdict.findings {
                finding.instruction = finding.instruction.as_deref().map(shown);
            }
            let proof = Box::new(proof);
            Ok(Proven::Here { proof, inventory })
        };
        let proven: Result<Proven> = proven();
        proven.unwrap_or_else(|error| Proven::Failed(format!("{error:#}")))
    }
}

impl Wanted<'_> {
    fn repository(&self) -> String {
        self.region.session.repository(self.selected)
    }

    fn manifest(&self, digest: &str) -> Result<Manifest> {
        let repository = self.repository();
        let repositories = self.region.session.repositories();
        let found = repositories.manifest(&repository, digest)?;
        found.with_context(|| {
            format!(
                "`{repository}` does not have it: it was deleted, or is from another repository"
            )
        })
    }
}
