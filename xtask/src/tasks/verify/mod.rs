//! `verify`: what is, compared with what should be. Nothing is changed; a mismatch is exit code 1.

mod dockerfiles;
mod eks;
mod environment;
mod image;

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use crate::cli::Verify;

/// Checks one thing.
///
/// # Errors
/// Something that cannot be read.
pub fn run(context: &Context, what: &Verify) -> Result<ExitCode> {
    match what {
        Verify::Image(arguments) => image::image(context, arguments),
        Verify::Dockerfiles => dockerfiles::dockerfiles(context),
        Verify::Ecr(arguments) => environment::ecr(context, arguments),
        Verify::Eks(arguments) => eks::eks(context, arguments),
        Verify::Lambda(arguments) => environment::lambda(context, arguments),
    }
}
