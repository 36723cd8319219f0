//! `schema --write`: the schema of deploy.toml that is kept beside it for editors.

use std::process::ExitCode;

use shipright::{
    Context,
    anyhow::{Context as _, Result},
    clap::Args,
    report::document,
    tasks::schema_text,
};

/// What help says.
pub(crate) const ABOUT: &str = "Print the JSON Schema of deploy.toml, or write it beside the file";

/// The schema's file, beside deploy.toml.
const FILE: &str = "deploy.schema.json";

/// Whether to write it.
#[derive(Debug, Clone, Copy, Args)]
#[command(about = ABOUT)]
pub(crate) struct Schema {
    /// Write deploy.schema.json beside deploy.toml
    #[arg(long)]
    write: bool,
}

/// Prints the schema, or writes it.
pub(crate) fn run(context: &Context, arguments: &Schema) -> Result<ExitCode> {
    if arguments.write && !context.global.dry_run {
        let file = context.config()?.root.join(FILE);
        std::fs::write(&file, schema_text())
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        context
            .terminal
            .status("Wrote", &file.display().to_string());
    } else {
        document::text_line(&schema_text());
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_repository_is_the_one_of_these_types() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(FILE);
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == schema_text(),
            "{FILE} is stale: run `cargo xtask schema --write`"
        );
    }
}
