//! `deploy`: the whole way in one command. What is pushed already is not built again, and what runs already is not touched.

use std::process::ExitCode;

use anyhow::Result;

use super::{
    Context,
    migrate::{Migration, Options},
};
use crate::cli::{Global, Migrate};

/// Pushes, then moves what runs.
pub fn run(context: &Context, arguments: &Migrate) -> Result<ExitCode> {
    let services = arguments.service.iter().flat_map(|service| ["--service", service]);
    let push: Vec<&str> = ["push", &arguments.environment].into_iter().chain(services).collect();
    if context.global.dry_run {
        let code = context.call(&push)?;
        context
            .terminal
            .note("then every function, service and deployment of these images is moved to them: see migrate-… --dry-run");
        return Ok(code);
    }
    // Standard output is one document: that of the moves.
    let inner = Context::new(Global { json: false, ..context.global.clone() });
    let code = inner.call(&push)?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    // The push has asked what there was to ask.
    let sure = Context::new(Global { yes: true, ..context.global.clone() });
    let migration = Migration::open(&sure, &arguments.environment, "deploy")?;
    if migration.reached.sandbox.is_some() {
        context.terminal.note("the sandbox has neither App Runner nor a cluster: only Lambda functions are moved there");
    }
    migration.newest(&arguments.service, &migration.targets(), Options::default())
}
