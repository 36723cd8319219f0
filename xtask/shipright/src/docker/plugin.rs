//! buildx without docker's command line before it.
//!
//! `docker buildx` starts the plugin twice, once to ask what it is, and itself before that: a third of the time of a build of which
//! all steps are cached. Docker Compose starts the plugin itself, and so does this program, where docker would take the very same
//! file. Where `docker` is anything but Docker's own program (a script around it, podman's, snap's), that is asked.
//!
//! Source: `getPluginDirs` and `GetPlugin` in docker/cli, `cli-plugins/manager`; "Install Docker Buildx" in Docker's manuals for buildx that
//! is started alone.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The plugin's file.
const FILE: &str = "docker-buildx";

/// Where docker looks for what is installed for all users, the first before the others.
const SYSTEM: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The buildx that `docker` on this `path` would start, with docker's configuration directory. `None` where that cannot be told.
pub(super) fn buildx(path: &OsStr, config: Option<&Path>) -> Option<PathBuf> {
    let docker = std::env::split_paths(path)
        .map(|directory| directory.join("docker"))
        .find(|file| is_executable(file))?;
    if !is_docker_itself(&docker) {
        return None;
    }
    let mut candidates = directories(config).map(|directory| directory.join(FILE));
    candidates.find(|file| is_executable(file))
}

fn directories(config: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let extra = config.map(extra_directories).unwrap_or_default();
    let own = config.map(|config| config.join("cli-plugins"));
    let system = SYSTEM.map(PathBuf::from);
    extra.into_iter().chain(own).chain(system)
}

/// Directories that somebody has added in docker's configuration.
fn extra_directories(config: &Path) -> Vec<PathBuf> {
    let text = fs::read(config.join("config.json")).unwrap_or_default();
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    let listed = said["cliPluginsExtraDirs"].as_array();
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    // A relative one would be a directory of whatever repository this is run in.
    let absolute = listed.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute.collect()
}

/// Whether a file is Docker's program, and not something that stands before it under its name.
fn is_docker_itself(file: &Path) -> bool {
    let real = file.canonicalize().unwrap_or_default();
    real.file_name() == Some(OsStr::new("docker")) && !is_script(&real)
}

fn is_script(file: &Path) -> bool {
    let mut start = [0; 2];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut start));
    read.is_err() || start == *b"#!"
}

fn is_executable(file: &Path) -> bool {
    let found = file.metadata();
    found.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A machine with a `docker` of this content, and a plugin in docker's configuration.
    fn machine(docker: &str) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let plugins = root.path().join("config/cli-plugins");
        fs::create_dir_all(&plugins).unwrap();
        fs::create_dir_all(root.path().join("bin")).unwrap();
        program(&root.path().join("bin/docker"), docker);
        let plugin = plugins.join(FILE);
        program(&plugin, "\x7fELF");
        (root, plugin)
    }

    fn program(file: &Path, content: &str) {
        fs::write(file, content).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn found(root: &Path) -> Option<PathBuf> {
        let path = root.join("bin");
        buildx(path.as_os_str(), Some(&root.join("config")))
    }

    #[test]
    fn the_plugin_is_the_one_that_docker_would_take() {
        let (root, plugin) = machine("\x7fELF");
        assert_eq!(found(root.path()), Some(plugin));
        let added = root.path().join("added");
        fs::create_dir(&added).unwrap();
        program(&added.join(FILE), "\x7fELF");
        let config = serde_json::json!({ "cliPluginsExtraDirs": ["added", added] });
        fs::write(root.path().join("config/config.json"), config.to_string()).unwrap();
        assert_eq!(found(root.path()), Some(added.join(FILE)));
        // What cannot be executed is no plugin.
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(added.join(FILE), mode).unwrap();
        assert_ne!(found(root.path()), Some(added.join(FILE)));
    }

    #[test]
    fn what_stands_before_docker_is_asked() {
        let (root, _) = machine("#!/bin/sh\nexec podman \"$@\"");
        assert_eq!(found(root.path()), None, "a script");
        let (root, _) = machine("\x7fELF");
        let docker = root.path().join("bin/docker");
        fs::rename(&docker, root.path().join("bin/snap")).unwrap();
        symlink("snap", &docker).unwrap();
        assert_eq!(found(root.path()), None, "another program");
        fs::remove_file(&docker).unwrap();
        assert_eq!(found(root.path()), None, "no docker");
    }
}
