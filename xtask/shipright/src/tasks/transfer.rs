//! An image on its way from one environment's registry to another's: sent, proven where it arrived, and tagged there.

use anyhow::{Context as _, Result, bail};
use image_oci::{Descriptor, Manifest};
use serde::Serialize;

use super::attest::Beside;
use crate::{
    arch::Arch,
    model::tags::TagKind,
    plan::{self, Selected, promotion::PromotedTag},
    registry::InRepository,
    report::terminal::Terminal,
    resolver::ImageResolver,
    scan::Subject,
    session::Session,
};

/// One image on its way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Image<'c> {
    /// Which image.
    #[serde(skip)]
    pub selected: Selected<'c>,
    /// The architecture of its target.
    #[serde(skip)]
    pub arch: Arch,
    /// What people call it.
    pub image: String,
    /// Where it is.
    pub from_repository: String,
    /// Where it goes.
    pub to_repository: String,
    /// The digest of the image or the image index.
    pub digest: String,
    /// The commit that it was made of.
    pub revision: String,
    /// The tags that are written there, moving ones last.
    pub tags: Vec<PromotedTag>,
    /// Whether the repository there has to be made first.
    pub creates_repository: bool,
    /// Bytes that were sent.
    pub sent: u64,
    /// What each of its manifests has beside it, where the environment asks for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    /// The manifest or image index.
    #[serde(skip)]
    pub manifest: Manifest,
    /// The manifests that an index lists.
    #[serde(skip)]
    pub children: Vec<Manifest>,
}

impl Image<'_> {
    /// Whether a tag that moves is to name it.
    pub(super) fn gets_moving_tag(&self) -> bool {
        self.tags.iter().any(|tag| tag.kind == TagKind::Moving)
    }

    /// The image, or those of an index.
    fn singles(&self) -> &[Manifest] {
        if self.children.is_empty() {
            std::slice::from_ref(&self.manifest)
        } else {
            &self.children
        }
    }

    /// The image, or those of an index, without what BuildKit says about them: nothing runs that.
    pub(super) fn images(&self) -> impl Iterator<Item = &Manifest> {
        let listed = self.manifest.children().unwrap_or_default();
        let is_attestation = move |digest: &str| {
            let its = listed.iter().filter(|child| child.digest == digest);
            let mut its = its.peekable();
            its.peek().is_some() && its.all(Descriptor::is_attestation)
        };
        let singles = self.singles().iter();
        singles.filter(move |manifest| !is_attestation(&manifest.digest))
    }

    /// The image for people.
    pub(super) fn shown(&self, from: &Session<'_>, to: &Session<'_>) -> String {
        let mut lines = vec![
            format!("image {}: {} of {}", self.image, self.digest, self.revision),
            format!(
                "    from         {}/{}",
                from.place.registry, self.from_repository
            ),
            format!(
                "    to           {}/{}",
                to.place.registry, self.to_repository
            ),
        ];
        lines.extend(
            self.tags
                .iter()
                .map(|tag| format!("    tag          {}", tag.name)),
        );
        if self.tags.is_empty() {
            lines.push("    nothing to do".to_owned());
        }
        lines.join("\n")
    }
}

/// Two environments, open.
pub(super) struct Transfer<'t> {
    /// Where people watch.
    pub terminal: &'t Terminal,
    /// Where images are.
    pub from: &'t Session<'t>,
    /// Where they go.
    pub to: &'t Session<'t>,
    /// The registry where they are.
    pub source: &'t ImageResolver<'t>,
    /// The registry where they go.
    pub destination: &'t ImageResolver<'t>,
}

impl Transfer<'_> {
    /// Brings an image there, and proves what arrived.
    ///
    /// # Errors
    /// Registries that fail, and an image that is not what it was.
    pub(super) fn send(&self, image: &mut Image<'_>) -> Result<()> {
        if image.tags.is_empty() {
            self.terminal.status(
                "Unchanged",
                &format!("{} is there, under all its tags", image.image),
            );
            return Ok(());
        }
        let repository = &image.to_repository;
        if image.creates_repository {
            self.terminal
                .status("Creating", &format!("repository {repository}"));
            let (config, environment) = (self.to.config, self.to.environment);
            let movable = plan::movable_tags(config, environment, repository);
            self.to
                .repositories()
                .writer()
                .create(repository, &movable)?;
        }
        let same_registry = self.from.place.registry == self.to.place.registry;
        if !(same_registry && image.from_repository == *repository) {
            self.terminal.status(
                "Sending",
                &format!("{} to {}/{repository}", image.image, self.to.place.registry),
            );
            image.sent = self.bytes(image, same_registry)?;
            self.terminal
                .status("Sent", &format!("{}: {} bytes", image.image, image.sent));
        }
        self.to.repositories().forget();
        if self
            .to
            .repositories()
            .manifest(&image.to_repository, &image.digest)?
            .is_none()
        {
            bail!(
                "{} is not in `{}` after it was sent",
                image.digest,
                image.to_repository
            );
        }
        // What arrived is judged there, and not by what was sent.
        self.destination
            .prove(
                image.selected,
                &image.to_repository,
                &image.manifest,
                image.arch,
            )
            .map(drop)
    }

    /// Sends blobs, then manifests, an index last. Returns how many bytes were sent.
    fn bytes(&self, image: &Image<'_>, same_registry: bool) -> Result<u64> {
        let singles = image.singles();
        let index = Some(&image.manifest).filter(|_| !image.children.is_empty());
        let from = image.from_repository.as_str();
        let source = InRepository {
            registry: self.source.registry(),
            repository: from,
        };
        let mount = same_registry.then_some(from);
        let (destination, to) = (self.destination.registry(), &image.to_repository);
        let mut sent = 0;
        for manifest in singles {
            sent += destination.put_image(to, manifest, &source, mount)?.bytes;
        }
        if let Some(index) = index {
            let bytes = index.bytes.as_bytes();
            destination.put_manifest(to, &index.digest, &index.media_type, bytes)?;
        }
        Ok(sent)
    }

    /// An image that has arrived, or one of its index, to be scanned.
    pub(super) fn subject<'s>(
        &'s self,
        image: &'s Image<'_>,
        manifest: &'s Manifest,
    ) -> Subject<'s> {
        Subject {
            name: &image.image,
            repository: &image.to_repository,
            manifest,
            registry: self.destination.registry(),
            repositories: Some(self.to.repositories()),
        }
    }

    /// Writes the tags of one kind.
    ///
    /// # Errors
    /// A call that fails.
    pub(super) fn tag(&self, image: &Image<'_>, kind: TagKind) -> Result<()> {
        for tag in image.tags.iter().filter(|tag| tag.kind == kind) {
            self.terminal
                .status("Tagging", &format!("{}:{}", image.to_repository, tag.name));
            let mut all = image.children.iter().chain([&image.manifest]);
            let manifest = all
                .find(|manifest| manifest.digest == tag.digest)
                .context("a tag has no manifest")?;
            self.to
                .repositories()
                .writer()
                .tag(&image.to_repository, manifest, &tag.name)?;
        }
        Ok(())
    }

    /// Reads every tag once more.
    ///
    /// # Errors
    /// A tag that names something else.
    pub(super) fn confirm(&self, image: &Image<'_>) -> Result<()> {
        let repository = &image.to_repository;
        let names: Vec<_> = image.tags.iter().map(|tag| tag.name.clone()).collect();
        let there = self.to.repositories().manifests(repository, &names)?;
        for PromotedTag { name, digest, .. } in &image.tags {
            let now = there
                .get(name)
                .map_or("missing", |manifest| manifest.digest.as_str());
            if now != digest {
                bail!("`{repository}:{name}` is {now}, not {digest}: perhaps another run wrote it");
            }
        }
        let (count, digest, environment) = (names.len(), &image.digest, &self.to.environment.name);
        let and = if image.children.is_empty() {
            ""
        } else {
            ", or its image for their CPU,"
        };
        let text = format!(
            "{}: {count} tags name {digest}{and} in {environment}",
            image.image
        );
        self.terminal.status("Checked", &text);
        Ok(())
    }
}
