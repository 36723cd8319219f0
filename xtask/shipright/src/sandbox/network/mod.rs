//! Where a private engine's containers are on the network.
//!
//! Each sandbox has a network namespace of its own: its bridge, its addresses and its packet filter are nobody else's, neither another
//! sandbox's nor this machine's. On a machine without `/dev/net/tun` all sandboxes share the machine's network, and what an engine
//! changes there is put back.

mod host;
mod namespace;

pub(super) use host::{HostNetwork, has_bridge};
pub use namespace::Forwarded;
pub(super) use namespace::{ADDRESS, Namespace};
