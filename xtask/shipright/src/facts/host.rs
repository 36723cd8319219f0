//! The machine this runs on: the clock, the environment variables that mean something here, and the terminal.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the room that reads the clock and the environment"
)]

use std::{
    ffi::{OsStr, OsString},
    io::IsTerminal,
    path::{Path, PathBuf},
};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{arch::Arch, model::vulnerability::Day};

/// The time of this run. Read once, so that all tags of a run agree.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The time as records and tags have it: RFC 3339 in UTC, to the second.
pub fn timestamp() -> String {
    now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The time of an event: RFC 3339 in UTC, to the millisecond.
pub fn precise_timestamp() -> String {
    now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The day, in UTC.
pub fn today() -> Day {
    let text = now().format("%Y-%m-%d").to_string();
    // No clock is past the year 9999; one that is lets every exception run out.
    text.parse().unwrap_or(Day::LAST)
}

/// An environment variable that is set, not empty, and text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Takes out of `PATH` what leads to the current directory, which may be somebody else's repository: `.`, `bin`, an empty element.
/// Whatever is started from here on is looked for in absolute places alone, by us, by libraries and by children.
///
/// To be called first of all: no other thread may read the environment meanwhile.
pub fn leave_relative_places_out_of_path() {
    let path = path();
    let all = || std::env::split_paths(&path);
    if all().all(|place| place.is_absolute()) {
        return;
    }
    let rest = std::env::join_paths(all().filter(|place| place.is_absolute()));
    let rest = rest.ok().filter(|rest| !rest.is_empty());
    // SAFETY: this is the only thread.
    unsafe {
        match rest {
            Some(rest) => std::env::set_var("PATH", rest),
            // An empty one would be the current directory; without one it is that of the system.
            None => std::env::remove_var("PATH"),
        }
    }
}

/// `PATH` as it is.
pub fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// Whether a program is on `PATH`.
pub fn has_program(name: &str) -> bool {
    program_on(&path(), name).is_some()
}

/// The program of a name that this `PATH` leads to.
pub fn program_on(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
}

/// Whether a file can be executed.
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let found = file.metadata();
    found.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The certificates that this host trusts beyond the usual ones, where somebody said so with `SSL_CERT_FILE`: behind a
/// company's proxy, builds need them too.
pub fn ca_bundle() -> Option<PathBuf> {
    variable("SSL_CERT_FILE")
        .map(PathBuf::from)
        .filter(|file| file.is_file())
}

/// docker's configuration directory.
pub fn docker_config() -> Option<PathBuf> {
    variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")))
}

/// Where cargo puts what it builds, and we put what a sandbox needs: inside the project, unless cargo is told otherwise.
pub fn target_directory(root: &Path) -> PathBuf {
    variable("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |directory| root.join(directory))
}

/// The CPU of this machine.
pub fn arch() -> Option<Arch> {
    std::env::consts::ARCH.parse().ok()
}

/// Whether a person can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether this process may do anything on this machine.
pub fn is_root() -> bool {
    // SAFETY: `geteuid` takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
