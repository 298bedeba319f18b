//! A TLS channel of the node, and the leaf it uses as far as anybody has seen it.

use std::time::SystemTime;

use crate::health::text::Text;
use crate::pki::certificate::Fingerprint;
use crate::quorum::words::words;
use crate::reload::coverage::Standing;

/// One TLS channel of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// `listener CLIENT`, `raft client`, and so on.
    pub name: Text,
    /// The certificate it uses.
    pub certificate: Text,
    /// The leaf in use, as far as it is known.
    pub leaf: Option<InUse>,
    /// How that is known.
    pub standing: Standing,
    /// When it was last seen; `None`: never yet.
    pub seen_at: Option<SystemTime>,
    /// The channel cannot take a new leaf, and Kafka must be restarted before this.
    pub restart_needed_by: Option<SystemTime>,
}

/// A leaf that a channel uses; a report may give its fingerprint alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// Until when it is good, where the leaf is known.
    pub not_after: Option<SystemTime>,
    /// The trust anchor its chain ends at, where it is known.
    pub anchor: Option<Fingerprint>,
}

// As status and page have them.
words!(Standing: Served = "served", Loaded = "loaded", InUseUntilReconnect = "inUseUntilReconnect",
    InUseUntilRestart = "inUseUntilRestart", Unknown = "unknown");

impl Channel {
    /// Whether it is the server side of a listener, and none of the node's own clients.
    pub fn is_listener(&self) -> bool {
        self.name.as_str().starts_with("listener ")
    }
}
