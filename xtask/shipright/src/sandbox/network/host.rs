//! What an engine changes in the host's network where it has none of its own, kept so that it can be restored: packet filter rules,
//! forwarding and the bridge.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::process::Tool;

/// One for the machine: several sandboxes share its network, and the last one puts it back.
const SAVED: &str = "/run/xtask-network.json";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
const BRIDGE: &str = "docker0";

/// The network as it was.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct HostNetwork {
    rules: String,
    forwarding: String,
    had_bridge: bool,
}

impl HostNetwork {
    /// Writes down what is, unless an earlier state has not been restored yet.
    ///
    /// # Errors
    /// A packet filter that cannot be read: then a container could not reach the network either.
    pub(in super::super) fn save(bin: &Path) -> Result<()> {
        let file = Path::new(SAVED);
        if file.exists() {
            return Ok(());
        }
        let current = Self {
            rules: iptables(bin, "iptables-save")
                .read(&[])
                .context("this kernel has no packet filter for containers (nf_tables)")?,
            forwarding: fs::read_to_string(FORWARDING).unwrap_or_default(),
            had_bridge: has_bridge(),
        };
        let text = serde_json::to_string(&current).context("failed to describe the network")?;
        fs::write(file, text).with_context(|| format!("failed to write `{}`", file.display()))
    }

    /// Restores what was written down, if anything was. Not to be called while another sandbox's engine runs.
    ///
    /// # Errors
    /// Rules that the packet filter does not take back.
    pub(in super::super) fn restore(bin: &Path) -> Result<()> {
        let file = Path::new(SAVED);
        let Ok(text) = fs::read(file) else {
            return Ok(());
        };
        let saved: Self = serde_json::from_slice(&text)
            .with_context(|| format!("failed to read `{}`", file.display()))?;
        let rules = format!("{}\n", saved.rules);
        iptables(bin, "iptables-restore")
            .read_with_input(&[], rules.as_bytes())
            .context("failed to put the packet filter back")?;
        if !saved.forwarding.is_empty() {
            // Someone else may have come to need forwarding; then this fails or they set it again.
            let _ = fs::write(FORWARDING, &saved.forwarding);
        }
        if !saved.had_bridge && has_bridge() {
            // Without `ip` an empty bridge stays, which does no harm.
            let _ = Tool::new("ip").read(&["link", "delete", BRIDGE]);
        }
        fs::remove_file(file).with_context(|| format!("failed to remove `{}`", file.display()))
    }
}

/// Whether the bridge of containers is there.
pub(in super::super) fn has_bridge() -> bool {
    Path::new("/sys/class/net").join(BRIDGE).exists()
}

fn iptables(bin: &Path, name: &str) -> Tool {
    Tool::new(bin.join(name))
}
