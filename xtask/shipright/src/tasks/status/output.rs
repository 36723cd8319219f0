//! Where the page goes: a file, which is replaced as a whole, or standard output.

use std::{
    fs::Permissions,
    io::Write,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    context::Context,
    model::refusal::Refusal,
    refused::Refused,
    report::{
        document,
        page::{self, Page},
    },
};

/// Where the page goes.
pub(super) struct Output<'c> {
    context: &'c Context,
    /// Standard output, where there is none.
    file: Option<PathBuf>,
}

impl<'c> Output<'c> {
    /// Looks whether the page can go there, before anything is read.
    ///
    /// # Errors
    /// A refusal, for a directory that is not there, for what is no file, and for standard output that `--json` has already.
    pub(super) fn of(context: &'c Context, file: &Path) -> Result<Self, Refused> {
        if file == Path::new("-") {
            let refusal = Refusal::new(
                "`--json` and `--html -` both want standard output",
                "name a file: `--html status.html`",
            );
            return if context.global.json {
                Err(refusal.into())
            } else {
                Ok(Self {
                    context,
                    file: None,
                })
            };
        }
        let new = || {
            let file = Some(file.to_path_buf());
            Ok(Self { context, file })
        };
        refusal(file).map_or_else(new, |refusal| Err(refusal.into()))
    }

    /// Makes the page, and writes it. A dry run says what it would write.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write(&self, page: impl FnOnce() -> Page) -> Result<()> {
        let terminal = &self.context.terminal;
        let shown = self.file.as_ref().map(|file| file.display().to_string());
        let shown = shown.unwrap_or_else(|| "standard output".to_owned());
        if self.context.global.dry_run {
            terminal.status("Would write", &format!("the page about this to {shown}"));
            return Ok(());
        }
        let html = page::html(&page());
        let Some(file) = &self.file else {
            document::text_line(&html);
            return Ok(());
        };
        replace(file, &html).with_context(|| format!("failed to write `{shown}`"))?;
        terminal.status("Wrote", &shown);
        Ok(())
    }
}

fn refusal(file: &Path) -> Option<Refusal> {
    let shown = file.display();
    let directory = directory(file);
    if file.is_dir() {
        let cure = format!(
            "name a file in it: `--html {}`",
            file.join("status.html").display()
        );
        return Some(Refusal::new(format!("`{shown}` is a directory"), cure));
    }
    if file.exists() && !file.is_file() {
        let cure = "name a file, or `-` for standard output";
        return Some(Refusal::new(format!("`{shown}` is no regular file"), cure));
    }
    let is_lost = !directory.is_dir();
    is_lost.then(|| {
        let directory = directory.display();
        let problem = format!("there is no directory `{directory}` to write the page to");
        Refusal::new(problem, format!("make it: mkdir -p {directory}"))
    })
}

fn directory(file: &Path) -> &Path {
    let parent = file.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}

/// Writes a file beside it and gives that its name: who looks at the page meanwhile sees the old one or the new one. A link is
/// followed: what it leads to is replaced, and not the link.
fn replace(file: &Path, text: &str) -> Result<()> {
    let file = &file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let mut next = tempfile::Builder::new()
        .prefix(".status-")
        // As other programs make files: the umask takes away from this.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory(file))?;
    next.write_all(text.as_bytes())?;
    next.persist(file)?;
    Ok(())
}
