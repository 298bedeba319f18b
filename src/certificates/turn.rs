//! The words between the renewal machine and the one who drives it: what happened, what is to be done, how it ended.

use std::time::Duration;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::pki::certificate::Fingerprint;
use crate::pki::validity::Validity;

/// The word where a leaf is due and its source has nothing new.
pub const SOURCE_HAS_NOT_RENEWED: &str = "SourceHasNotRenewed";

/// Something the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed, by the clock or by a jump of it. Due every 30 seconds at least, and when a wait is over.
    Tick,
    /// The source has something else than what was last fetched from it: once for each change of its content. At the start
    /// also where that is not known, but not of a source that issues: each fetch makes a leaf there.
    SourceChanged,
    /// A person wants a renewal now, whatever waits and refusals say.
    Asked,
    /// The plan of a CA change wants another truststore here; see [`crate::certificates::trust`].
    TrustDue,
    /// What became of the work with this number.
    Done(Turn, Answer),
}

/// The number of a piece of work. An answer to any but the latest is too late and is dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn(pub u64);

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Wait for an event, and send [`Event::Tick`] at this time. Work with the latest number goes on meanwhile.
    Wait {
        /// When to look again.
        until: SystemTime,
    },
    /// Do this and answer. Whatever else was under way is let go of.
    Run {
        /// To be given back with the answer.
        turn: Turn,
        /// What.
        work: Work,
        /// How long it may take; then it counts as failed.
        within: Duration,
    },
}

/// One piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Ask the source, and hold what it gives: [`Answer::Fetched`] or [`Answer::Failed`].
    Fetch,
    /// Check what was fetched against what the node needs: [`Answer::Passed`] or [`Answer::Failed`].
    Preflight,
    /// Ask [`crate::certificates::trust`] whether the fetched leaf may be shown: [`Answer::Gate`].
    AskPeers,
    /// Write a store, keeping the last good one beside it: [`Answer::Installed`] or [`Answer::Failed`]; of the truststore,
    /// keeping the present one, and [`Answer::NothingToDo`] too.
    Install(Part),
    /// Have Kafka read it: [`Answer::Reloaded`] or [`Answer::Failed`].
    Reload(Part),
    /// Look whether every channel shows it: [`Answer::Verified`] or [`Answer::NotVerified`].
    Verify(Part),
    /// Put the last good store back: [`Answer::RolledBack`] or [`Answer::Failed`].
    RollBack(Part),
}

/// One of the two stores, which move apart from each other when a CA changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The keystore: key and chain.
    Leaf,
    /// The truststore.
    Trust,
}

/// What became of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The source gave this.
    Fetched {
        /// Its leaf.
        leaf: Leaf,
        /// Key and chain, compared with those that are installed.
        content: Content,
    },
    /// Preflight has nothing against it.
    Passed,
    /// Whether the fetched leaf may be installed now.
    Gate(Gate),
    /// The store is on the disk.
    Installed,
    /// No other truststore is wanted any more.
    NothingToDo,
    /// Kafka was told, or needs no telling.
    Reloaded,
    /// Every channel shows it.
    Verified,
    /// Not every channel shows it, or not all could be asked.
    NotVerified {
        /// Why not.
        reason: Reason,
        /// What the handshakes say about the new store.
        seen: Seen,
    },
    /// The last good store is on the disk again.
    RolledBack,
    /// It did not work.
    Failed(Reason),
}

/// What was fetched, beside what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Another key or chain.
    New,
    /// The same.
    AsInstalled,
}

/// Whether a leaf may be installed, as far as the peers' trust is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Now.
    Open,
    /// The node's own truststore has to take the new CA first.
    TrustFirst,
    /// Not now. The reason names the peers.
    Closed(Reason),
}

/// What handshakes showed of a store that is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The new one is served somewhere and does not work there.
    Broken,
    /// The old one is still served, or nobody answered, or the answer was late: it may come.
    NotYet,
}

/// A word that is never renamed, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// UpperCamelCase, for logs, Events, metrics and alerts.
    pub word: &'static str,
    /// What is the case.
    pub sentence: String,
}

/// What is known of a leaf here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Which one.
    pub fingerprint: Fingerprint,
    /// Its dates.
    pub validity: Validity,
}

/// How far a person's order to renew is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// None was given.
    None,
    /// Not begun.
    Given,
    /// The present turn obeys it: it takes what the source gives, be it the same as before.
    Obeyed,
    /// What the source gave is on the disk and not shown yet. Kafka may be slow or down, so no failure ends it but a leaf
    /// that is seen broken.
    Installed,
    /// So. Kept until the next order.
    Ended(Ending),
}

/// How the last turn ended, or what the present one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How.
    pub ending: Ending,
    /// Since when.
    pub at: SystemTime,
    /// From the first fetch to here, with all waits.
    pub took: Duration,
}

/// The ways a turn ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every channel shows a new leaf.
    Renewed,
    /// Every channel shows the leaf that was there before.
    Verified,
    /// It did not work and will be tried again.
    Failed(Reason),
    /// Nothing is wrong here; somebody else has to do something first.
    Waits(Reason),
}

impl Reason {
    /// A reason in these words.
    pub fn new(word: &'static str, sentence: impl Into<String>) -> Self {
        Self { word, sentence: sentence.into() }
    }

    /// This leaf is due, and it is what its source has.
    pub fn source_has_not_renewed(leaf: Leaf) -> Self {
        let not_after = leaf.validity.not_after;
        let not_after =
            Timestamp::try_from(not_after).map_or_else(|_| format!("{not_after:?}"), |at| at.to_string());
        let leaf = leaf.fingerprint.short();
        let sentence =
            format!("leaf {leaf} is due and the source has no newer one; it expires at {not_after}");
        Self::new(SOURCE_HAS_NOT_RENEWED, sentence)
    }
}

impl Ending {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Renewed => "Renewed",
            Self::Verified => "Verified",
            Self::Failed(reason) | Self::Waits(reason) => reason.word,
        }
    }
}

impl Work {
    /// How long it may take.
    ///
    /// A fetch may be a CA far away; a reload with the Admin API takes 2 seconds on a busy node and may wait for a leader;
    /// verifying is some tens of handshakes, and network threads take the new leaf one by one.
    pub fn within(self) -> Duration {
        Duration::from_secs(match self {
            Self::Preflight => 10,
            Self::Fetch | Self::AskPeers | Self::Install(_) | Self::Reload(_) | Self::RollBack(_) => 30,
            Self::Verify(_) => 60,
        })
    }

    /// The reason when it took longer.
    pub fn timed_out(self) -> &'static str {
        match self {
            Self::Fetch => "FetchTimedOut",
            Self::Preflight => "PreflightTimedOut",
            Self::AskPeers => "PeersTimedOut",
            Self::Install(_) => "InstallTimedOut",
            Self::Reload(_) => "ReloadTimedOut",
            Self::Verify(_) => "VerifyTimedOut",
            Self::RollBack(_) => "RollbackTimedOut",
        }
    }

    /// What is going on, in a word for status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fetch => "Fetching",
            Self::Preflight => "Checking",
            Self::AskPeers => "AskingPeers",
            Self::Install(_) => "Installing",
            Self::Reload(_) => "Reloading",
            Self::Verify(_) => "Verifying",
            Self::RollBack(_) => "RollingBack",
        }
    }
}
