//! What one handshake with a listener showed.
//!
//! What was presented is told apart from how it ended: a leaf that has expired, or whose listener refuses ours, was
//! presented all the same.

use rustls::Error as TlsError;

use crate::kafka::ask_error::AskError;
use crate::pki::certificate::Fingerprint;
use crate::pki::handshake::Presented;

/// One handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The leaf first; empty where it did not come so far.
    pub presented: Vec<Fingerprint>,
    /// How it ended.
    pub end: End,
}

/// How a handshake ended. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// ApiVersions was answered, so both sides have taken the other's leaf.
    Answered,
    /// The listener presented a leaf that is good, and refused ours.
    RefusesOurs(String),
    /// What the listener presented is not good: dates, name, issuer, or a key that does not belong to it.
    NotGood(String),
    /// The listener broke the handshake off with an alert and had presented nothing.
    NothingPresented(String),
    /// It is certain that no Kafka is there: a port that refuses.
    NobodyListens(String),
    /// Nobody who speaks TLS and Kafka's protocol, or no way to tell.
    Unreachable(String),
    /// Nothing before the deadline.
    Slow(String),
}

impl Observation {
    /// A handshake after which ApiVersions was answered.
    pub fn answered(presented: &Presented) -> Self {
        Self { presented: presented.fingerprints(), end: End::Answered }
    }

    /// One that failed; `presented` is what was seen of it before.
    pub fn failed(error: &AskError, presented: &Presented, why: String) -> Self {
        let end = match (error, error.tls()) {
            (_, Some(TlsError::AlertReceived(_))) if presented.leaf().is_none() => End::NothingPresented(why),
            (_, Some(TlsError::AlertReceived(_))) => End::RefusesOurs(why),
            (_, Some(_)) if presented.leaf().is_some() => End::NotGood(why),
            (AskError::NobodyListens { .. }, _) => End::NobodyListens(why),
            (
                AskError::ResolverTimedOut { .. }
                | AskError::ConnectTimedOut { .. }
                | AskError::AnswerTimedOut { .. },
                _,
            ) => End::Slow(why),
            (
                AskError::InvalidAddress { .. }
                | AskError::NoSuchName { .. }
                | AskError::Resolver { .. }
                | AskError::Connect { .. }
                | AskError::Tls { .. }
                | AskError::Ended { .. }
                | AskError::WantsTls { .. }
                | AskError::TooLong { .. }
                | AskError::NotAsked { .. }
                | AskError::Mechanism { .. }
                | AskError::Login { .. }
                | AskError::NoNonce { .. }
                | AskError::Response { .. },
                _,
            ) => End::Unreachable(why),
        };
        Self { presented: presented.fingerprints(), end }
    }
}
