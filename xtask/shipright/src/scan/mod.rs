//! Looks for vulnerabilities in images that are in a registry: with Trivy or Grype where one is installed, otherwise with the scans
//! that ECR makes itself.
//!
//! The two programs get the image as an OCI image layout of the content store, which lists the one image of its digest: what the
//! store lacks is fetched by this tool's own client. So no program is given a login, which Trivy for one would show to every
//! registry that it asks, also that of its database.
//!
//! Architecture Invariant: what a scanner says is foreign. It has a bound, what is no report of the very image that was asked for is
//! an error and not an image without vulnerabilities, and no text of it is obeyed by a terminal.

mod ecr;
mod gate;
mod grype;
mod trivy;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use image_oci::{Manifest, Platform};
use serde::{Deserialize, Deserializer};

pub use gate::GateKeeper;

use crate::{
    facts::host,
    model::vulnerability::{Fix, Scanner, Vulnerability},
    plan::scan::Gate,
    registry::{InRepository, Registry},
    report::terminal::{Terminal, one_line},
    repositories::Repositories,
    session::Session,
    store::ContentStore,
};

/// The most bytes that a report may have. Those of large images have a few million.
const REPORT_LIMIT: u64 = 128 * 1024 * 1024;

/// How long a scan may take where nobody says.
pub const WAIT: Duration = Duration::from_mins(5);

/// An image for one platform, by its digest.
#[derive(Clone, Copy)]
pub struct Subject<'s> {
    /// What people call it.
    pub name: &'s str,
    /// Its repository.
    pub repository: &'s str,
    /// Its manifest.
    pub manifest: &'s Manifest,
    /// Its registry.
    pub registry: &'s Registry,
    /// Its registry's own API, where that is known.
    pub repositories: Option<Repositories<'s>>,
}

/// The scans of one run: what has one digest is scanned once.
pub struct Scans<'s> {
    /// What looks.
    pub scanner: Scanner,
    /// How long one scan may take.
    pub wait: Duration,
    terminal: &'s Terminal,
    store: &'s ContentStore,
    /// By digest. Held during a scan: two processes of Trivy cannot share its cache.
    done: Mutex<BTreeMap<String, Vec<Vulnerability>>>,
}

impl<'s> Scans<'s> {
    /// Nothing is scanned yet.
    pub fn new(
        scanner: Scanner,
        wait: Duration,
        terminal: &'s Terminal,
        store: &'s ContentStore,
    ) -> Self {
        let done = Mutex::default();
        Self {
            scanner,
            wait,
            terminal,
            store,
            done,
        }
    }

    /// What is found in an image.
    ///
    /// # Errors
    /// A scan that cannot be made, or does not end in time.
    pub fn of(&self, subject: &Subject<'_>) -> Result<Vec<Vulnerability>> {
        let digest = &subject.manifest.digest;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = done.get(digest) {
            return Ok(known.clone());
        }
        let title = self.scanner.title();
        let text = format!("{} with {title}: {digest}", subject.name);
        self.terminal.status("Scanning", &text);
        let found = self
            .scan(subject)
            .with_context(|| format!("{title} did not scan `{}@{digest}`", subject.repository))?;
        let found: Vec<_> = found.iter().map(clean).collect();
        done.insert(digest.clone(), found.clone());
        Ok(found)
    }

    fn scan(&self, subject: &Subject<'_>) -> Result<Vec<Vulnerability>> {
        let program = match self.scanner {
            Scanner::Trivy => trivy::scan,
            Scanner::Grype => grype::scan,
            Scanner::Ecr => {
                let Some(Repositories::Ecr(aws)) = subject.repositories else {
                    bail!("its registry is not ECR")
                };
                let place = (subject.repository, subject.manifest.digest.as_str());
                return ecr::scan(aws, place, self.wait, self.terminal);
            }
        };
        let Subject {
            registry,
            repository,
            manifest,
            ..
        } = *subject;
        let source = InRepository {
            registry,
            repository,
        };
        let fetched = self.store.fetch(manifest, &source)?;
        if fetched > 0 {
            let text = format!("{}: {fetched} bytes fetched to be scanned", subject.name);
            self.terminal.detail(&text);
        }
        let platform = Platform::of_config(&registry.config(repository, manifest)?)?;
        let layout = self.store.layout_of(manifest, &platform)?;
        program(&Asked {
            layout: layout.path(),
            manifest: &manifest.digest,
            config: &manifest.config()?.digest,
            wait: self.wait,
        })
    }
}

/// What a program is asked.
struct Asked<'a> {
    /// The layout that lists the one image. The program runs in it, so that no configuration of a project hides anything.
    layout: &'a Path,
    /// The digest of the image's manifest.
    manifest: &'a str,
    /// The digest of its config.
    config: &'a str,
    wait: Duration,
}

/// Go's programs write a list that was never filled as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The programs that are on `PATH`.
pub fn installed() -> Vec<Scanner> {
    let programs = [Scanner::Trivy, Scanner::Grype].into_iter();
    programs
        .filter(|one| host::has_program(one.name()))
        .collect()
}

/// The sandbox has no scans of its own: without Trivy or Grype its gate stands open, and that is said.
pub fn leave_out_in_sandbox(gate: &mut Option<Gate>, session: &Session<'_>, terminal: &Terminal) {
    let is_sandbox = session.sandbox.is_some();
    if is_sandbox && gate.take_if(|gate| gate.scanner == Scanner::Ecr).is_some() {
        terminal.note(
            "the sandbox scans no images, so `scan` of deploy.toml is left out there: install Trivy or Grype to try it",
        );
    }
}

/// A report is that of the image that was asked for, as far as it says so.
fn require_same(what: &str, said: Option<&str>, wanted: &str) -> Result<()> {
    match said.filter(|said| !said.is_empty() && *said != wanted) {
        None => Ok(()),
        Some(other) => bail!(
            "the report is of another image: its {what} is `{}`",
            one_line(other)
        ),
    }
}

/// Bytes that should have been a report, or how they begin.
fn not_a_report(bytes: &[u8], error: &dyn std::fmt::Display) -> anyhow::Error {
    const SHOWN: usize = 200;
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let start = one_line(start.trim());
    if start.is_empty() {
        return anyhow::anyhow!("it printed nothing where its report should have been");
    }
    anyhow::anyhow!("what it printed is no report ({error}): {start}")
}

/// The same without anything that a terminal would obey, and each text of a bounded length.
fn clean(found: &Vulnerability) -> Vulnerability {
    const SHORT: usize = 200;
    const LONG: usize = 2000;
    let text = |text: &str, most| one_line(text).trim().chars().take(most).collect::<String>();
    let is_link = |url: &&String| url.starts_with("https://") || url.starts_with("http://");
    let or = |text: String, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            text
        }
    };
    Vulnerability {
        severity: found.severity,
        id: or(text(&found.id, SHORT), "without an id"),
        aliases: found.aliases.iter().map(|id| text(id, SHORT)).collect(),
        package: or(text(&found.package, SHORT), "unnamed"),
        installed: text(&found.installed, SHORT),
        fixed: match &found.fixed {
            Fix::In(version) => Fix::of_version(&text(version, SHORT)),
            Fix::None => Fix::None,
            Fix::Untold => Fix::Untold,
        },
        title: text(&found.title, LONG),
        url: Some(text(&found.url, LONG))
            .filter(|url| is_link(&url))
            .unwrap_or_default(),
        place: text(&found.place, SHORT),
    }
}
