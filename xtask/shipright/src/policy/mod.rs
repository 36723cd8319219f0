//! Decisions, and nothing but decisions: no file, no clock, no environment variable and no process is touched here.

pub mod age;
pub mod base_image;
pub mod cache;
pub mod command;
pub mod deployment;
pub mod index;
pub mod instance;
pub mod name;
pub mod plan;
pub mod tags;
pub mod target;
pub mod trouble;
