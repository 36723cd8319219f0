//! What the page shows, as plain data: whoever has this can make the page again.

use serde::Serialize;

use crate::{
    model::target::Target,
    plan::{layers::Made, status::Row},
    proof::{Inventory, Proof},
    record::History,
};

/// The whole page.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Page {
    /// The project.
    pub project: String,
    /// When it was made: RFC 3339 in UTC.
    pub made: String,
    /// Whether it is of a sandbox, and not of AWS.
    pub is_sandbox: bool,
    /// The environments, each in its regions where it has several.
    pub places: Vec<Place>,
    /// What goes there, in the order of deploy.toml.
    pub services: Vec<Service>,
    /// The images that tags name and workloads run.
    pub images: Vec<Image>,
    /// What was done from this machine.
    pub history: History,
    /// Why that cannot be told.
    pub history_unread: Option<String>,
}

/// An environment, or one of its regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// Its name, as [`Row::place`] has it.
    pub name: String,
    /// Why it cannot be read.
    pub unreached: Option<String>,
}

/// An image of deploy.toml, wherever it goes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// What people call it.
    pub name: String,
    /// What runs it.
    pub target: Target,
    /// What it is in each of the page's places.
    pub cells: Vec<Cell>,
}

/// An image in an environment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// It goes there, and this was found.
    Found(Box<Row>),
    /// It goes there, and nothing there can be read.
    Unread,
    /// It does not go there.
    Absent,
}

/// What a digest names.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// What people call it.
    pub name: String,
    /// What runs it.
    pub target: Target,
    /// The manifest's digest.
    pub digest: String,
    /// Where it is, by digest: one in each registry.
    pub references: Vec<String>,
    /// The tags that name it, and what runs it.
    pub used: Vec<Use>,
    /// Whether it is an image index.
    pub is_index: bool,
    /// The image itself, or those of an index for the CPUs that there are.
    pub variants: Vec<Variant>,
    /// What cannot be told, and why.
    pub unread: Vec<String>,
}

/// Why an image is on the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Use {
    /// The environment, as [`Row::place`] has it.
    pub place: String,
    /// How it has the image.
    pub role: Role,
}

/// How an environment has an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// By this tag, which moves.
    Tag(String),
    /// This runs it: a function, service or deployment.
    Runs(String),
}

/// An image for one platform.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Variant {
    /// The manifest's digest.
    pub digest: String,
    /// The platform that its config says.
    pub platform: String,
    /// What it was made of, as its label says.
    pub revision: Option<String>,
    /// When that was, as its label says.
    pub created: Option<String>,
    /// Bottom first.
    pub layers: Vec<Layer>,
    /// What its bytes say.
    pub proof: Proven,
    /// What its CPU costs or saves.
    pub cost: Option<&'static str>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The digest of the stored bytes.
    pub digest: String,
    /// How many there are: compressed, as they are sent.
    pub size: u64,
    /// What made it.
    #[serde(flatten)]
    pub made: Made,
}

/// Whether an image was proven for this page.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proven {
    /// It was, and this came of it.
    Here {
        /// The verdict.
        proof: Box<Proof>,
        /// What is installed in it.
        inventory: Inventory,
    },
    /// It was not, because so many bytes of it are not on this machine.
    Unknown {
        /// The bytes.
        bytes: u64,
    },
    /// It cannot be, for a reason.
    Failed(String),
}

impl Variant {
    /// How many bytes its layers have.
    pub fn size(&self) -> u64 {
        let sizes = self.layers.iter().map(|layer| layer.size);
        sizes.fold(0, u64::saturating_add)
    }
}

impl Page {
    /// The image with a digest, and its place among the images.
    pub(super) fn image(&self, name: &str, digest: &str) -> Option<usize> {
        let is_it = |image: &Image| image.name == name && image.digest == digest;
        let of_index = |image: &Image| {
            image.name == name && image.variants.iter().any(|one| one.digest == digest)
        };
        let place = |what: &dyn Fn(&Image) -> bool| self.images.iter().position(what);
        place(&is_it).or_else(|| place(&of_index))
    }

    /// The platforms of the image with a digest.
    pub(super) fn platforms(&self, name: &str, digest: &str) -> Option<String> {
        let image = &self.images[self.image(name, digest)?];
        let its = |one: &&Variant| image.digest == digest || one.digest == digest;
        let variants = image.variants.iter().filter(its);
        let platforms: Vec<_> = variants.map(|one| one.platform.as_str()).collect();
        (!platforms.is_empty()).then(|| platforms.join(", "))
    }
}
