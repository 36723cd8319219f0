//! buildx without docker's command line before it.
//!
//! `docker buildx` starts the plugin twice, once to ask what it is, and itself before that: a third of the time of a build of which
//! all steps are cached. Docker Compose starts the plugin itself, and so does this program, where docker would take the very same
//! file. Where `docker` is a script around Docker's own program, or is called otherwise (snap's), that is asked; and where the engine is
//! reached by certificates that environment variables name, which a plugin that is started alone reads since buildx 0.23 only.
//!
//! Source: `getPluginDirs` and `GetPlugin` in docker/cli, `cli-plugins/manager`; "Install Docker Buildx" in Docker's manuals for buildx that
//! is started alone.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::facts::host;

/// The plugin's file.
const FILE: &str = "docker-buildx";

/// Where docker looks for what is installed for all users, the first before the others.
const SYSTEM: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// Variables that docker's own program alone reads in all versions. Source: "Environment variables" in Docker's reference of `docker`.
const OF_DOCKER: [&str; 3] = ["DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];

/// Whether an environment has something that a plugin alone would not read. `env` comes before the one of this process.
pub(super) fn needs_docker(env: &[(String, String)]) -> bool {
    let is_set =
        |name: &&str| env.iter().any(|(one, _)| one == name) || host::variable(name).is_some();
    OF_DOCKER.iter().any(is_set)
}

/// The buildx that `docker` on this `path` would start, with docker's configuration directory. `None` where that cannot be told.
pub(super) fn buildx(path: &OsStr, config: Option<&Path>) -> Option<PathBuf> {
    let docker = host::program_on(path, "docker")?;
    if !is_docker_itself(&docker) {
        return None;
    }
    let extra = config.map(extra_directories).unwrap_or_default();
    // It would be a directory of whatever repository this is run in: docker is to decide that.
    if extra.iter().any(|directory| directory.is_relative()) {
        return None;
    }
    let own = config.map(|config| config.join("cli-plugins"));
    let all = extra
        .into_iter()
        .chain(own)
        .chain(SYSTEM.map(PathBuf::from));
    let mut candidates = all.map(|directory| directory.join(FILE));
    // docker takes the first that is there, whatever it is.
    let first = candidates.find(|file| file.exists())?;
    host::is_executable(&first).then_some(first)
}

/// Directories that somebody has added in docker's configuration.
fn extra_directories(config: &Path) -> Vec<PathBuf> {
    let text = fs::read(config.join("config.json")).unwrap_or_default();
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    let listed = said["cliPluginsExtraDirs"].as_array();
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    listed.map(PathBuf::from).collect()
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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
        let configured = |extra: serde_json::Value| {
            let config = serde_json::json!({ "cliPluginsExtraDirs": extra });
            fs::write(root.path().join("config/config.json"), config.to_string()).unwrap();
            found(root.path())
        };
        let extra = serde_json::json!([root.path().join("none"), added]);
        assert_eq!(configured(extra.clone()), Some(added.join(FILE)));
        assert_eq!(configured(serde_json::json!(["added"])), None);
        // docker fails at one that it cannot execute, and does not look further.
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(added.join(FILE), mode).unwrap();
        assert_eq!(configured(extra), None);
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
