//! Whether a peer trusts a leaf that is not installed yet.
//!
//! In a CA change no leaf moves before every peer trusts its issuer. A peer's own leaf says nothing about that; showing
//! it the new one does.

use rustls::Error as TlsError;

use crate::kafka::ask_error::AskError;
use crate::pki::certificate::Fingerprint;
use crate::pki::handshake::Presented;

/// What a peer makes of the leaf it was shown. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It asked for a leaf, took ours and answered.
    Trusted {
        /// The leaf that it presented itself.
        peer: Fingerprint,
    },
    /// It did not ask for a leaf, so its answer says nothing.
    NotAsked,
    /// It refused ours.
    Refused {
        /// What it said.
        why: String,
    },
    /// It could not be asked.
    CannotTell {
        /// Why not.
        why: String,
    },
}

impl Trust {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Trusted { .. } => "PeerTrusts",
            Self::NotAsked => "PeerAsksForNoLeaf",
            Self::Refused { .. } => "PeerDoesNotTrust",
            Self::CannotTell { .. } => "PeerUnreachable",
        }
    }

    /// After an answer.
    pub fn answered(presented: &Presented) -> Self {
        match presented.leaf() {
            Some(peer) if presented.wants_ours() => Self::Trusted { peer },
            Some(_) | None => Self::NotAsked,
        }
    }

    /// After a failure. Only an alert of a peer that asked for our leaf, and whose own leaf was good, is a refusal.
    pub fn failed(error: &AskError, presented: &Presented, why: String) -> Self {
        match error.tls() {
            Some(TlsError::AlertReceived(_)) if presented.wants_ours() => Self::Refused { why },
            Some(_) | None => Self::CannotTell { why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_was_never_asked_tells_nothing() {
        let nothing = Presented::default();
        assert_eq!(Trust::answered(&nothing), Trust::NotAsked);
        let error = AskError::ConnectTimedOut { address: "kafka-0:9093".to_owned() };
        let trust = Trust::failed(&error, &nothing, "so".to_owned());
        assert_eq!(
            (trust.reason(), &trust),
            ("PeerUnreachable", &Trust::CannotTell { why: "so".to_owned() })
        );
    }
}
