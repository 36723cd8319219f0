//! Proves from the bytes of a container image which CPU it is for.
//!
//! An image's config says an architecture, and that is what somebody *asked for*. What runs is the machine code inside: a
//! binary that was copied in, a base image that was pinned to the other platform, or a wheel that pip fetched for the build
//! machine make an image that says `arm64` and runs nowhere. Only the ELF headers tell.
//!
//! The way of the data:
//!
//! ```text
//! layer blob ─ unpack ─▶ tar entries ─ elf, script ─▶ Layer (a summary, worth keeping: content never changes)
//! Layer … Layer, config ─ tree ─▶ the files that are in the image after all layers
//!                                 ▼
//!                         verdict: every finding with its file, layer, instruction, package, cause and cure
//! ```
//!
//! This crate streams bytes and returns findings. It knows no registry, no service and no AWS.
//!
//! Architecture Invariant: memory is bounded whatever the image claims. A name, a header and a list have limits, and what
//! goes beyond is an [`Error`], never a longer wait.

mod baggage;
mod cause;
mod elf;
mod error;
mod inventory;
mod judge;
mod layer;
mod packages;
mod path;
mod platform;
mod script;
mod start;
mod tar;
mod tree;
mod unpack;
mod verdict;

pub use elf::{Elf, Machine, parse as read_elf};
pub use error::Error;
pub use image_oci::Config;
pub use inventory::{Installed, Inventory, Manager, System, inventory};
pub use judge::prove;
pub use layer::{FORMAT, Layer, read as read_layer};
pub use tar::{Entry, Kind, Reader as TarReader};
pub use unpack::unpacked;
pub use verdict::{Allowed, Finding, Group, Problem, Verdict};
