//! A network namespace of a sandbox's own. slirp4netns leads from it to the rest of the world as an ordinary program of this machine
//! would: it needs no route, no address and no rule of the packet filter.
//!
//! Source: the manual page of slirp4netns ("API socket", "Options").

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::super::{
    emulator::{end, last_lines},
    home::{Home, remove},
};
use crate::process::{self, Tool};

/// Where a program in the namespace has to listen so that a port can lead to it: the address that slirp4netns gives.
pub(in super::super) const ADDRESS: &str = "10.0.2.100";
/// Where slirp4netns answers questions for names.
const RESOLVER: &str = "10.0.2.3";

/// The namespace of a sandbox, there or not.
pub(in super::super) struct Namespace {
    directory: PathBuf,
    log: PathBuf,
}

impl Namespace {
    /// The namespace of a sandbox. Its files are in `/run`, because a socket's path has at most 107 characters.
    pub(in super::super) fn of(home: &Home) -> Self {
        Self {
            directory: PathBuf::from(format!("/run/xtask-{}-network", home.id())),
            log: home.path("network.log"),
        }
    }

    /// The file that stands for it, while it is there.
    pub(in super::super) fn file(&self) -> Option<PathBuf> {
        let is_up = self.file_path().exists() && !self.processes().is_empty();
        is_up.then(|| self.file_path())
    }

    /// Whether a process is in it.
    pub(in super::super) fn has(&self, process: u32) -> bool {
        let inode = self.file().and_then(|file| file.metadata().ok());
        let inode = inode.map(|file| format!("net:[{}]", file.ino()));
        inode.is_some() && inode == process::network(process)
    }

    /// Makes it, unless it is there. `bin` is where slirp4netns is.
    ///
    /// # Errors
    /// A machine that cannot have one: without `/dev/net/tun`, or in a container that may not make it.
    pub(in super::super) fn up(&self, bin: &Path) -> Result<()> {
        if self.file().is_some() {
            return Ok(());
        }
        self.down()?;
        File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .context("failed to open `/dev/net/tun`")?;
        self.make(bin).inspect_err(|_| {
            // Whatever it was has its own words; what is left of it goes.
            let _ = self.down();
        })
    }

    /// Takes it away, with what leads from it to the world. Whatever is in it has ended by then. One that is not there is fine.
    ///
    /// # Errors
    /// A directory that stays.
    pub(in super::super) fn down(&self) -> Result<()> {
        for process in self.processes() {
            end(process, Duration::from_secs(5), |process| {
                self.processes().contains(&process)
            });
        }
        let file = self.file_path();
        if file.exists() {
            // It is no mount where the run that made it was killed in the middle.
            let _ = Tool::new("umount").read(&["--lazy", &file.display().to_string()]);
        }
        remove(&self.directory)
    }

    /// A file that names servers which can be asked from inside. `None` where those of this machine can be.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(in super::super) fn resolver(&self) -> Result<Option<PathBuf>> {
        let Some(text) = fs::read_to_string("/etc/resolv.conf")
            .ok()
            .and_then(|text| reachable(&text))
        else {
            return Ok(None);
        };
        let file = self.directory.join("resolv.conf");
        fs::write(&file, text).with_context(|| format!("failed to write `{}`", file.display()))?;
        Ok(Some(file))
    }

    /// Lets a port of this machine's loopback lead to the same port in the namespace, until it is dropped.
    ///
    /// # Errors
    /// A port that somebody else has.
    pub(in super::super) fn forward(&self, port: u16) -> Result<Forwarded> {
        let ports = self.ask(&json!({ "execute": "list_hostfwd" }))?;
        let is_it = |entry: &&Value| entry["host_port"] == port;
        let mut known = ports["entries"].as_array().into_iter().flatten();
        // It may be another run's, and docker says that it is taken; or it was left behind by one that was killed.
        let id = match known.find(is_it) {
            Some(_) => None,
            None => {
                let arguments = json!({ "proto": "tcp", "host_addr": "127.0.0.1", "host_port": port, "guest_port": port });
                let asked = json!({ "execute": "add_hostfwd", "arguments": arguments });
                let added = self.ask(&asked).with_context(|| {
                    format!("port {port} of this machine cannot be had; where it is taken, say another: --port {}", port.saturating_add(1))
                })?;
                Some(added["id"].clone())
            }
        };
        Ok(Forwarded {
            socket: self.socket(),
            id,
        })
    }

    fn make(&self, bin: &Path) -> Result<()> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("failed to create `{}`", self.directory.display()))?;
        // Who can ask slirp4netns can open this machine's ports.
        fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o700))
            .context("failed to protect the network's directory")?;
        let file = self.file_path();
        File::create(&file).with_context(|| format!("failed to create `{}`", file.display()))?;
        let shown = file.display().to_string();
        Tool::new("unshare")
            .read(&[&format!("--net={shown}"), "true"])
            .context("this machine allows no network namespace")?;
        let socket = self.socket().display().to_string();
        let words = [
            "--configure",
            "--mtu=65520",
            "--disable-host-loopback",
            "--enable-sandbox",
            "--enable-seccomp",
            "--netns-type=path",
            "--api-socket",
            &socket,
            &shown,
            "tap0",
        ];
        let process = Tool::new(bin.join("slirp4netns"))
            .env("LD_LIBRARY_PATH", bin.with_file_name("lib"))
            .daemon(&words, &self.log)?;
        self.wait(process)
    }

    /// Waits until it answers.
    fn wait(&self, process: u32) -> Result<()> {
        const STEP: Duration = Duration::from_millis(20);
        for _ in 0..500 {
            if self.ask(&json!({ "execute": "list_hostfwd" })).is_ok() {
                return Ok(());
            }
            if !process::is_running(process) {
                break;
            }
            std::thread::sleep(STEP);
        }
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        bail!(
            "slirp4netns does not come up; {} ends with:\n{}",
            self.log.display(),
            last_lines(&said, 5)
        );
    }

    fn ask(&self, question: &Value) -> Result<Value> {
        ask(&self.socket(), question)
    }

    fn processes(&self) -> Vec<u32> {
        let (program, file) = ("/slirp4netns ", self.file_path().display().to_string());
        let is_it = |line: &String| line.contains(program) && line.contains(&file);
        process::all()
            .into_iter()
            .filter(|id| process::command_line(*id).as_ref().is_some_and(is_it))
            .collect()
    }

    fn file_path(&self) -> PathBuf {
        self.directory.join("namespace")
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("slirp.sock")
    }
}

/// A port of this machine that leads into a namespace, as long as this lives.
pub struct Forwarded {
    socket: PathBuf,
    /// `None`: it was there before, and stays.
    id: Option<Value>,
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let asked = json!({ "execute": "remove_hostfwd", "arguments": { "id": id } });
            // One that stays leads nowhere, and ends with the sandbox.
            let _ = ask(&self.socket, &asked);
        }
    }
}

/// Asks slirp4netns. It takes one question for each connection.
fn ask(socket: &Path, question: &Value) -> Result<Value> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut stream = UnixStream::connect(socket).context("slirp4netns does not answer")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(question.to_string().as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .context("slirp4netns broke off")?;
    let mut answer: Value =
        serde_json::from_str(&text).context("slirp4netns answers with no JSON")?;
    if let Some(error) = answer.get("error") {
        bail!("slirp4netns refuses: {error}");
    }
    // `list_hostfwd` answers with the list itself.
    Ok(match answer.get_mut("return") {
        Some(inner) => inner.take(),
        None => answer,
    })
}

/// The same list of servers, where one of them is on this machine's loopback, with the one that answers inside in their place.
fn reachable(resolv_conf: &str) -> Option<String> {
    let is_server = |line: &str| line.trim_start().starts_with("nameserver");
    let is_local = |line: &str| {
        let address = line.split_whitespace().nth(1).unwrap_or_default();
        is_server(line) && (address.starts_with("127.") || address == "::1")
    };
    if !resolv_conf.lines().any(is_local) {
        return None;
    }
    let own = format!("nameserver {RESOLVER}");
    let others = resolv_conf.lines().filter(|line| !is_server(line));
    let lines: Vec<_> = others.chain([own.as_str()]).collect();
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_this_machine_s_loopback_is_asked_through_slirp() {
        let text = "# by systemd\nnameserver 127.0.0.53\noptions edns0\nsearch example.com\n";
        let expected = "# by systemd\noptions edns0\nsearch example.com\nnameserver 10.0.2.3\n";
        assert_eq!(reachable(text).as_deref(), Some(expected));
        for fine in ["nameserver 10.1.2.3\n", "", "search example.com\n"] {
            assert_eq!(reachable(fine), None, "{fine}");
        }
    }
}
