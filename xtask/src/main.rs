//! This repository's `cargo xtask`: every command of `shipright`, and six tasks of its own. Yours needs the last line alone.

mod aws_models;
mod bench;
mod ci;
mod conformance;
mod demo;
mod figures;
mod schema;
mod scratch;

use std::process::ExitCode;

use shipright::{Program, clap::Command};

fn main() -> ExitCode {
    Program::new("cargo xtask")
        .task(
            Command::new("aws-models")
                .about(aws_models::ABOUT)
                .after_help(
                    "Examples:\n  cargo xtask aws-models\n  cargo xtask aws-models deploy::",
                ),
            aws_models::run,
        )
        .task(
            Command::new("bench").about(bench::ABOUT).after_help(
                "Example:\n  cargo xtask bench --services 1 --round-trips 0,80 --changes commit",
            ),
            bench::run,
        )
        .task(
            Command::new("ci")
                .about(ci::ABOUT)
                .after_help("Example:\n  cargo xtask ci"),
            ci::run,
        )
        .task(
            Command::new("conformance")
                .about(conformance::ABOUT)
                .after_help(conformance::HELP),
            conformance::run,
        )
        .task(
            Command::new("demo")
                .about(demo::ABOUT)
                .after_help("Example:\n  cargo xtask demo"),
            demo::run,
        )
        .task(
            Command::new("schema")
                .about(schema::ABOUT)
                .after_help("Example:\n  cargo xtask schema --write"),
            schema::run,
        )
        .run()
}
