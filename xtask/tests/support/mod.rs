//! What the black-box tests share: the real binary in a project of its own, a recording `docker`, and a strict AWS.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]
#![allow(clippy::disallowed_methods, reason = "tests start programs: that is what they are about")]

pub mod aws;
pub mod project;
