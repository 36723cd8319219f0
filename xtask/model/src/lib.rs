//! The words of this tool as types: targets, environments, services and images, tags and their names, revisions, refusals, and
//! what AWS tells of functions and repositories. Nothing here does I/O, and nothing decides.

pub mod attest;
pub mod base_image;
pub mod builder;
pub mod cache;
pub mod config;
pub mod ecs;
pub mod function;
pub mod inventory;
pub mod kubernetes;
pub mod label;
pub mod name;
pub mod nodes;
pub mod path;
pub mod pattern;
pub mod place;
pub mod published;
pub mod refusal;
pub mod registry;
pub mod revision;
pub mod running;
pub mod schedule;
pub mod severity;
pub mod shell;
pub mod suggestion;
pub mod tags;
pub mod target;
pub mod vulnerability;

pub use image_arch as arch;
