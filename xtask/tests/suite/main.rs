//! All tests that look from outside: the real binary, and everything about this repository that no compiler knows. One
//! program, so that it is linked once.
#![allow(
    clippy::too_many_lines,
    reason = "a test tells a story, or has a table of cases"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests start programs and print what they do"
)]

mod attest;
mod aws_rules;
mod build;
mod ci_workflow;
mod completions;
mod conformance;
mod crowd;
mod dependencies;
mod deploy;
mod docs;
mod ecs;
mod end_to_end;
mod export;
mod faults;
mod hostile;
mod iam;
mod init;
mod lists;
mod manifest;
mod monorepo;
mod overview;
mod prune;
mod push;
mod regions;
mod registries;
mod requests;
mod run;
mod scan;
mod since;
mod snapshots;
mod status_page;
mod support;
mod tags;
mod terminal;
mod tidy;
mod untrusted;
mod verify;
