//! A certificate of the node as the agent shows it: its leaf, where its renewal stands, and whom the node trusts.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

use crate::health::channel::InUse;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::pki::certificate::Certificate as X509;
use crate::pki::certificate::Fingerprint;
use crate::quorum::words::words;

/// One certificate of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its name in the settings; for an attached agent that of its keystore.
    pub name: Text,
    /// The leaf in the keystore; `None` where there is none that can be read.
    pub installed: Option<Leaf>,
    /// Where its renewal stands.
    pub state: State,
    /// When it will be renewed; `None` where nobody has planned it.
    pub next_renewal_at: Option<SystemTime>,
    /// How the last turn ended; `None` before the first.
    pub last_outcome: Option<Outcome>,
    /// Turns that failed since the last that was good.
    pub attempts: u32,
    /// All turns of this process, by how they ended.
    pub turns: BTreeMap<Word, u64>,
    /// Whom the node trusts where it uses this certificate.
    pub trust: Trust,
}

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// As Kafka prints it in a principal.
    pub subject: Text,
    /// The issuer's name.
    pub issuer: Text,
    /// From when it is good.
    pub not_before: SystemTime,
    /// Until when it is good.
    pub not_after: SystemTime,
    /// The trust anchor its chain ends at, where it is known.
    pub anchor: Option<Fingerprint>,
}

/// Where the renewal of a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing to do before the next date.
    Serving,
    /// Asking the source.
    Fetching,
    /// Checking and writing the keystore.
    Installing,
    /// Having Kafka read it.
    Reloading,
    /// Shaking hands until every channel shows it.
    Verifying,
    /// Failed, or told to wait; will try again.
    Waiting,
    /// Putting the former keystore back.
    RollingBack,
}

words!(State: Serving, Fetching, Installing, Reloading, Verifying, Waiting, RollingBack);

/// How a turn of renewal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `Renewed`, or why not.
    pub reason: Word,
    /// The same for a person.
    pub sentence: Text,
    /// When it ended.
    pub at: SystemTime,
    /// How long the whole turn took.
    pub took: Duration,
    /// How long from the installed file to the last channel that showed it; `None` where it did not come to that.
    pub verify_took: Option<Duration>,
}

/// What a turn of renewal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// A new leaf is in use.
    ToANewLeaf,
    /// The leaf that was there is in use.
    ToTheOldLeaf,
    /// It failed, or has to wait.
    ToNothing,
}

/// Whom a node trusts, and how far a change of that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The anchors in the truststore.
    pub anchors: Vec<Anchor>,
    /// Those that every channel of this certificate is known to trust, by the engine's reports or by probes.
    pub proven: Vec<Fingerprint>,
    /// All anchors that a leaf needs which a channel has in use or which could be put back; `None` where that is not
    /// known of every channel.
    pub issued_by: Option<Vec<Fingerprint>>,
    /// The stage of a change of CA, as the machine of that change calls it.
    pub stage: Word,
    /// Whom the stage waits for: names of pods.
    pub waits_for: Vec<Text>,
    /// Since when it is in this stage.
    pub since: SystemTime,
}

/// A certificate that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// Its name.
    pub subject: Text,
    /// Until when it is good.
    pub not_after: SystemTime,
}

impl Certificate {
    /// One of which nothing is known yet but its name.
    pub fn new(name: Text, stage: Word, now: SystemTime) -> Self {
        let trust = Trust {
            anchors: Vec::new(),
            proven: Vec::new(),
            issued_by: None,
            stage,
            waits_for: Vec::new(),
            since: now,
        };
        Self {
            name,
            installed: None,
            state: State::Fetching,
            next_renewal_at: None,
            last_outcome: None,
            attempts: 0,
            turns: BTreeMap::new(),
            trust,
        }
    }

    /// A turn has ended, well or not: it is counted and shown.
    pub fn turned(&mut self, outcome: Outcome) {
        let count = self.turns.entry(outcome.reason.clone()).or_default();
        *count = count.saturating_add(1);
        self.last_outcome = Some(outcome);
    }
}

impl Outcome {
    /// The word for a new leaf that every channel shows.
    pub const RENEWED: &'static str = "Renewed";
    /// The same of every listener, where other channels have to wait for a restart.
    pub const LISTENERS_RENEWED: &'static str = "ListenersRenewed";
    /// The word for a leaf that was there before, and is shown.
    pub const VERIFIED: &'static str = "Verified";

    /// What the turn came to.
    pub fn came(&self) -> Came {
        match self.reason.as_str() {
            Self::RENEWED | Self::LISTENERS_RENEWED => Came::ToANewLeaf,
            Self::VERIFIED => Came::ToTheOldLeaf,
            _ => Came::ToNothing,
        }
    }
}

impl Leaf {
    /// What is shown of a leaf whose chain ends at `anchor`.
    pub fn new(leaf: &X509, anchor: Option<Fingerprint>) -> Self {
        Self {
            fingerprint: leaf.fingerprint(),
            subject: Text::new(leaf.subject()),
            issuer: Text::new(leaf.issuer()),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            anchor,
        }
    }

    /// The same as a channel uses it.
    pub fn in_use(&self) -> InUse {
        InUse { fingerprint: self.fingerprint, not_after: Some(self.not_after), anchor: self.anchor }
    }
}

impl Anchor {
    /// What is shown of an anchor.
    pub fn new(anchor: &X509) -> Self {
        Self {
            fingerprint: anchor.fingerprint(),
            subject: Text::new(anchor.subject()),
            not_after: anchor.not_after(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;

    #[test]
    fn turns_are_counted_by_how_they_ended() {
        let mut certificate = Certificate::new(Text::new("node"), Word::of("Settled"), at(0));
        for (reason, count) in [("SourceUnreachable", 1), ("Renewed", 1), ("SourceUnreachable", 2)] {
            let reason = Word::of(reason);
            certificate.turned(Outcome {
                reason: reason.clone(),
                sentence: Text::default(),
                at: at(0),
                took: Duration::ZERO,
                verify_took: None,
            });
            assert_eq!(certificate.turns.get(&reason), Some(&count));
            assert_eq!(certificate.last_outcome.as_ref().map(|last| &last.reason), Some(&reason));
        }
    }
}
