//! Everything that a command will do, as data, decided before anything is done.
//!
//! Architecture Invariants: equal inputs give equal plans. What is wrong is collected, not returned at the first find, and each
//! refusal comes with its cure. Nothing here does I/O: this crate depends on no crate that could, and a test of the workspace
//! (`tidy`) finds the parts of the standard library that can.

pub mod age;
pub mod attest;
pub mod bake;
mod build;
pub mod command;
#[cfg(test)]
mod fixtures;
mod guards;
pub mod iam;
mod image;
pub mod index;
pub mod init;
pub mod instance;
pub mod layers;
mod local;
mod needs;
pub mod next;
pub mod nodes;
mod own_tags;
pub mod promotion;
pub mod prune;
mod push;
mod registry;
pub mod rollback;
pub mod scan;
mod select;
pub mod since;
pub mod status;
pub mod targets;
pub mod trouble;
pub mod workflow;

pub use image_arch as arch;
pub use shipright_model as model;

pub use build::{BuildFacts, because as reason, secret_file};
pub use guards::{account_guard, guards};
pub use image::{
    Build, BuildMode, BuildSecret, Export, MOVABLE_TAGS, Output, Plan, PlannedImage, PlannedIndex,
    PlannedTag, Publication, Source, TagAction,
};
pub use local::{LocalFacts, LocalRequest, local_names, plan_local};
pub use needs::needs;
pub use own_tags::{movable_tags, own_tags};
pub use push::{
    PlatformBuild, PushFacts, function_name, has_index, plan_push, platform_builds,
    region_refusals, tag_set, timestamp,
};
pub use registry::registry_refusal;
pub use select::{
    Selected, Wanted, all, environment, for_platform, going_to, in_repository, one, select,
};
