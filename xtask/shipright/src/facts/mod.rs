//! What is so, read once before anything is planned and handed on as data.
//!
//! Architecture Invariant: nothing in this room changes anything.

pub mod git;
pub mod host;
pub mod paths;
pub mod published;
pub mod state;
pub mod survey;
pub mod terraform;
pub mod version;
