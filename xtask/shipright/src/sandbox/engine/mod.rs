//! A private Docker Engine for a Linux machine that has none: from Debian packages, unpacked and not installed, with its
//! own socket, data and command line.
//!
//! It runs in its own process and mount namespace, and where the machine allows it in its own network. So everything that it starts ends
//! with one process, however that ends, and its emulation of the other CPU is gone with it. What it changes outside, the machine's
//! network where it has none of its own, is restored.
//!
//! Docker 26.1 and buildx of Debian 13 run on Debian 12 as they are; `runc` must be the host's own release's (glibc).

mod binfmt;
mod pinned;
mod programs;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use binfmt::{foreign, registration};

use super::{
    emulator::{end, last_lines},
    home::{Home, remove},
    network::{HostNetwork, Namespace, has_bridge},
};
use crate::{
    facts::host,
    process::{self, Tool},
    report::terminal::Terminal,
};

/// A private engine, running or not.
pub(super) struct Engine<'h> {
    home: &'h Home,
}

/// Sets up the engine's own view of the system, then becomes the engine. `$1` is the line that registers emulation, `$2` its name, `$3` a
/// list of name servers or nothing, `$4` whose network it has. In its own it must not find the machine's firewalld, which would write
/// Docker's rules where that is.
const START: &str = r#"
set -eu
mkdir -p /run/containerd /run/docker
mount -t tmpfs tmpfs /run/containerd
mount -t tmpfs tmpfs /run/docker
registry=/proc/sys/fs/binfmt_misc
[ -e "$registry/register" ] || mount -t binfmt_misc binfmt_misc "$registry"
[ -e "$registry/$2" ] || printf '%s' "$1" > "$registry/register"
[ -z "$3" ] || mount --bind "$3" /etc/resolv.conf
[ "$4" = machine ] || export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent
shift 4
exec "$@"
"#;

impl<'h> Engine<'h> {
    /// The private engine of a sandbox.
    pub(super) fn of(home: &'h Home) -> Self {
        Self { home }
    }

    /// The environment variables with which `docker` reaches it.
    pub(super) fn env(&self) -> Vec<(String, String)> {
        let path = format!(
            "{}:{}",
            self.bin().display(),
            host::path().to_string_lossy()
        );
        [
            ("PATH", path),
            ("DOCKER_HOST", self.docker_host()),
            ("DOCKER_CONFIG", self.config().display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The address of its socket. In `/run`, because a socket's path has at most 107 characters.
    pub(super) fn docker_host(&self) -> String {
        format!("unix://{}/docker.sock", self.run().display())
    }

    /// Whether it answers.
    pub(super) fn answers(&self) -> bool {
        self.bin().join("docker").exists()
            && self
                .tool("docker")
                .read(&["version", "--format", "{{.Server.Version}}"])
                .is_ok()
    }

    /// Starts it, unless it answers already.
    ///
    /// # Errors
    /// A machine that cannot have one, with what to install instead; or an engine that does not come up.
    pub(super) fn start(&self, terminal: &Terminal) -> Result<()> {
        if self.answers() && !self.has_lost_its_network() {
            return Ok(());
        }
        refuse_unless_possible()?;
        self.install(terminal)?;
        self.stop()?;
        let _wait = terminal.wait_for(
            "Starting",
            &format!("a private Docker Engine in {}", self.directory().display()),
        );
        if let Some(foreign) = foreign() {
            terminal.note(&format!(
                "emulation of {foreign} is registered with QEMU, as a one-time setup for as long as the engine runs"
            ));
        }
        let run = self.run();
        fs::create_dir_all(&run)
            .with_context(|| format!("failed to create `{}`", run.display()))?;
        fs::set_permissions(&run, fs::Permissions::from_mode(0o700))
            .context("failed to protect the engine's directory")?;
        if let Err(error) = self.network().up(&self.bin()) {
            terminal.detail(&format!(
                "the engine shares this machine's network: {error:#}"
            ));
            HostNetwork::save(&self.bin())?;
        }
        let settings = self.directory().join("daemon.json");
        fs::write(&settings, self.settings().to_string())
            .with_context(|| format!("failed to write `{}`", settings.display()))?;
        self.launch(&settings)?;
        self.wait()
    }

    /// Stops it and restores what it changed. Stopping what does not run is fine.
    ///
    /// # Errors
    /// A directory or a setting that cannot be restored.
    pub(super) fn stop(&self) -> Result<()> {
        for process in self.processes() {
            let keeper = process::parent(process);
            end(process, Duration::from_secs(15), |process| {
                self.processes().contains(&process)
            });
            let is_keeper = |process: u32| {
                process::command_line(process).is_some_and(|line| line.starts_with("unshare "))
            };
            if let Some(keeper) = keeper {
                end(keeper, Duration::from_secs(2), is_keeper);
            }
        }
        remove(&self.run())?;
        self.remove_cgroups();
        if others_run() {
            Ok(())
        } else {
            HostNetwork::restore(&self.bin())
        }
    }

    fn launch(&self, settings: &Path) -> Result<()> {
        let (magic, name) = match foreign() {
            Some(arch) => (
                registration(arch, &self.bin()),
                format!("qemu-{}", arch.uname()),
            ),
            None => (String::new(), ".".to_owned()),
        };
        let path = format!(
            "{}:{}",
            self.bin().display(),
            host::path().to_string_lossy()
        );
        let network = self.network();
        let own = network.file();
        let (whose, resolver) = match &own {
            Some(_) => ("own", network.resolver()?),
            None => ("machine", None),
        };
        let resolver = resolver.map_or_else(String::new, |file| file.display().to_string());
        let words = [
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            "--mount-proc",
            "--propagation",
            "slave",
            "sh",
            "-c",
            START,
            "sh",
            &magic,
            &name,
            &resolver,
            whose,
            &self.dockerd().display().to_string(),
            "--config-file",
            &settings.display().to_string(),
            "--group",
            "root",
        ];
        let enter = own.map(|file| format!("--net={}", file.display()));
        let (program, before) = match &enter {
            Some(enter) => ("nsenter", vec![enter.as_str(), "unshare"]),
            None => ("unshare", Vec::new()),
        };
        Tool::new(program)
            .env("PATH", path)
            .daemon(&[&before[..], &words].concat(), &self.log())?;
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        const STEP: Duration = Duration::from_millis(100);
        for _ in 0..600 {
            if self.answers() {
                return Ok(());
            }
            std::thread::sleep(STEP);
        }
        let said = fs::read_to_string(self.log()).unwrap_or_default();
        bail!(
            "the private Docker Engine does not come up; {} ends with:\n{}",
            self.log().display(),
            last_lines(&said, 10)
        );
    }

    fn settings(&self) -> serde_json::Value {
        let run = self.run();
        let mut settings = json!({
            "features": { "containerd-snapshotter": true },
            "hosts": [self.docker_host()],
            "data-root": self.directory().join("data"),
            "exec-root": run.join("exec"),
            "pidfile": run.join("docker.pid"),
            "init-path": self.bin().join("tini-static"),
            "ip6tables": false,
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": format!("/xtask-{}", self.home.id()),
            "shutdown-timeout": 1,
            "log-level": "warn",
        });
        // A bridge that somebody else has made has addresses of its own.
        let is_shared = self.network().file().is_none();
        if is_shared && (!has_bridge() || others_run()) {
            settings["bip"] = json!("172.17.0.1/16");
            settings["fixed-cidr"] = json!(addresses(&self.home.id()));
        }
        settings
    }

    fn processes(&self) -> Vec<u32> {
        let dockerd = format!("{} ", self.dockerd().display());
        process::all()
            .into_iter()
            .filter(|id| process::command_line(*id).is_some_and(|line| line.starts_with(&dockerd)))
            .collect()
    }

    /// The kernel keeps empty groups, which nobody would remove otherwise.
    fn remove_cgroups(&self) {
        let name = format!("xtask-{}", self.home.id());
        let hierarchies = fs::read_dir("/sys/fs/cgroup").map(|found| {
            found
                .flatten()
                .map(|entry| entry.path())
                .collect::<Vec<_>>()
        });
        let roots = hierarchies
            .unwrap_or_default()
            .into_iter()
            .chain([PathBuf::from("/sys/fs/cgroup")]);
        roots
            .map(|root| root.join(&name))
            .filter(|group| group.is_dir())
            .for_each(|group| remove_group(&group));
    }

    /// Whether it is in a network of its own that leads nowhere any more.
    fn has_lost_its_network(&self) -> bool {
        let ours = process::network(std::process::id());
        let mut processes = self.processes().into_iter();
        processes.any(|process| process::network(process) != ours && !self.network().has(process))
    }

    fn network(&self) -> Namespace {
        Namespace::of(self.home)
    }

    fn tool(&self, program: &str) -> Tool {
        Tool::new(self.bin().join(program)).envs(&self.env())
    }

    fn directory(&self) -> PathBuf {
        self.home.path("engine")
    }
    fn bin(&self) -> PathBuf {
        self.directory().join("bin")
    }
    fn dockerd(&self) -> PathBuf {
        self.bin().join("dockerd")
    }
    fn config(&self) -> PathBuf {
        self.directory().join("config")
    }
    fn log(&self) -> PathBuf {
        self.home.path("engine.log")
    }
    fn run(&self) -> PathBuf {
        PathBuf::from(format!("/run/xtask-{}", self.home.id()))
    }
}

/// The addresses of an engine's containers. Several sandboxes share the machine's one bridge, and each engine hands out addresses
/// without asking the others: with the same ones a call to a container of this sandbox would be answered by one of another.
fn addresses(id: &str) -> String {
    let number = id
        .bytes()
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
    format!("172.17.{}.0/24", number % 254 + 1)
}

/// Whether another sandbox's engine runs on this machine.
fn others_run() -> bool {
    let is_engine = |line: &String| {
        line.contains("/sandbox/engine/bin/dockerd --config-file") && !line.starts_with("unshare")
    };
    process::all()
        .into_iter()
        .filter_map(process::command_line)
        .any(|line| is_engine(&line))
}

fn remove_group(group: &Path) {
    for inner in fs::read_dir(group)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        remove_group(&inner.path());
    }
    // Only a directory without processes goes, and that is what is wanted.
    let _ = fs::remove_dir(group);
}

fn refuse_unless_possible() -> Result<()> {
    const INSTALL: &str = "install Docker Engine with its buildx plugin and start it (Debian 13, Ubuntu: \
                           apt-get install docker.io docker-buildx; macOS, Windows: Docker Desktop)";
    if !cfg!(target_os = "linux") {
        bail!("no Docker Engine with buildx answers: {INSTALL}");
    }
    if !Path::new("/usr/bin/apt-get").exists() || !Path::new("/usr/bin/dpkg-deb").exists() {
        bail!(
            "no Docker Engine with buildx answers, and a private one needs Debian's apt: {INSTALL}"
        );
    }
    if !host::is_root() {
        bail!(
            "no Docker Engine with buildx answers, and only root can start a private one: {INSTALL}, or run this as root"
        );
    }
    Ok(())
}
