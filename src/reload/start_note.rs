//! What was installed when Kafka last came up, kept over restarts of the agent.
//!
//! What cannot be reloaded uses what Kafka read when it started, and Kafka tells nobody when that was or what it read.
//! So the agent notes what lay in the stores from the moment when Kafka was away until it was there again. All of that
//! is a candidate, and of several the one that ends first counts: a restart may be asked for too early, never too late.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

use crate::pki::certificate::Certificate;
use crate::pki::certificate::Fingerprint;
use crate::reload::node_properties::ListenerName;

/// A leaf, or a set of trust anchors, by which name it goes and how long it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Material {
    /// When the leaf ends; of trust anchors, when the last of them does.
    pub not_after: SystemTime,
    /// SHA-256 of the leaf; of trust anchors, over the sorted SHA-256 of each.
    pub fingerprint: Fingerprint,
}

/// Leaf and trust in the stores of a listener's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// The leaf, where there is a keystore that can be read.
    pub leaf: Option<Material>,
    /// The trust anchors, where there is a truststore that can be read.
    pub trust: Option<Material>,
}

/// What the channels of one prefix may have been started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Leaves, the first to end first.
    pub leaves: Vec<Material>,
    /// Trust anchors, the first to end first.
    pub trusts: Vec<Material>,
}

/// The note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartNote {
    phase: Phase,
    candidates: BTreeMap<ListenerName, Candidates>,
}

/// Whether the agent was there when Kafka started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Yes: one of the candidates is what Kafka read.
    Seen,
    /// No: Kafka may have read what lay there earlier still.
    Unseen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The agent has just begun and has not looked at Kafka; the note before it, if any, said this.
    Unlooked(Option<Start>),
    /// Nobody listens: whatever lies there now or comes is a candidate.
    Away,
    /// Kafka runs: what comes now is too late.
    Up(Start),
}

/// Bytes that are no note of this version. Without one the start counts as unseen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More than [`MAX_BYTES`].
    #[error("the note has {0} bytes; want at most {MAX_BYTES}")]
    TooLarge(usize),
    /// Of another version, or no note at all.
    #[error("the note does not begin with {HEADER:?}")]
    Version,
    /// A line that makes no sense.
    #[error("line {0} of the note cannot be read")]
    Line(usize),
}

impl NoteError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "StartNoteTooLarge",
            Self::Version => "StartNoteVersion",
            Self::Line(_) => "StartNoteMalformed",
        }
    }
}

/// A note of 64 listeners with all their candidates has some 120 KiB.
pub const MAX_BYTES: usize = 128 * 1024;

/// More than any broker binds.
const MAX_LISTENERS: usize = 64;

/// More are dropped from the end: those that end last are never the ones that count.
const MAX_CANDIDATES: usize = 8;

const HEADER: &str = "kraftlet start note 1";

impl Installed {
    /// Of certificates as they lie in the stores.
    pub fn of(leaf: Option<&Certificate>, anchors: &[Certificate]) -> Self {
        Self { leaf: leaf.map(Material::of_leaf), trust: Material::of_trust(anchors) }
    }
}

impl Material {
    /// The leaf's.
    pub fn of_leaf(leaf: &Certificate) -> Self {
        Self { not_after: leaf.not_after(), fingerprint: leaf.fingerprint() }
    }

    /// That of a set of anchors, in whatever order; `None` where there is none.
    pub fn of_trust(anchors: &[Certificate]) -> Option<Self> {
        let not_after = anchors.iter().map(Certificate::not_after).max()?;
        let mut each: Vec<String> = anchors.iter().map(|anchor| anchor.fingerprint().to_string()).collect();
        each.sort();
        each.dedup();
        Some(Self { not_after, fingerprint: Fingerprint::of(each.concat().as_bytes()) })
    }
}

impl Candidates {
    fn add(&mut self, installed: &Installed) {
        for (list, one) in [(&mut self.leaves, installed.leaf), (&mut self.trusts, installed.trust)] {
            list.extend(one);
            list.sort();
            list.dedup();
            list.truncate(MAX_CANDIDATES);
        }
    }
}

impl Default for StartNote {
    /// Nothing is known.
    fn default() -> Self {
        Self { phase: Phase::Unlooked(None), candidates: BTreeMap::new() }
    }
}

impl StartNote {
    /// Whether the start was seen; `None` while no Kafka runs.
    pub fn start(&self) -> Option<Start> {
        match self.phase {
            Phase::Unlooked(start) => Some(start.unwrap_or(Start::Unseen)),
            Phase::Away => None,
            Phase::Up(start) => Some(start),
        }
    }

    /// What the channels of this prefix may have been started with, or will be.
    pub fn candidates(&self, listener: &ListenerName) -> Option<&Candidates> {
        self.candidates.get(listener)
    }

    /// This lies in the stores now.
    pub fn installed(&mut self, listener: &ListenerName, installed: &Installed) {
        let has_room = self.candidates.len() < MAX_LISTENERS || self.candidates.contains_key(listener);
        match self.phase {
            // After a restart of the agent Kafka may have been restarted as well, unseen.
            Phase::Unlooked(_) | Phase::Away if has_room => {
                self.candidates.entry(listener.clone()).or_default().add(installed);
            }
            Phase::Unlooked(_) | Phase::Away | Phase::Up(_) => {}
        }
    }

    /// Nobody listens, which is certain only where every listener refuses connections: `candidates` are what lies in
    /// the stores and what lay there a moment ago, for a Kafka that starts reads them before it listens.
    pub fn away<'a>(&mut self, candidates: impl IntoIterator<Item = (&'a ListenerName, &'a Installed)>) {
        if self.phase == Phase::Away {
            return;
        }
        self.phase = Phase::Away;
        self.candidates.clear();
        for (listener, installed) in candidates {
            self.installed(listener, installed);
        }
    }

    /// Kafka answers.
    pub fn up(&mut self) {
        self.phase = match self.phase {
            Phase::Away => Phase::Up(Start::Seen),
            Phase::Unlooked(start) => Phase::Up(start.unwrap_or(Start::Unseen)),
            Phase::Up(start) => Phase::Up(start),
        };
    }

    /// The bytes to keep.
    pub fn encode(&self) -> Vec<u8> {
        let phase = match self.phase {
            Phase::Unlooked(None) => "unlooked",
            Phase::Away => "away",
            Phase::Unlooked(Some(Start::Seen)) | Phase::Up(Start::Seen) => "up seen",
            Phase::Unlooked(Some(Start::Unseen)) | Phase::Up(Start::Unseen) => "up unseen",
        };
        let mut text = format!("{HEADER}\n{phase}\n");
        for (listener, candidates) in &self.candidates {
            for (word, list) in [("leaf", &candidates.leaves), ("trust", &candidates.trusts)] {
                for one in list {
                    let since = one.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                    text.push_str(&format!("{word} {} {} {listener}\n", one.fingerprint, since.as_secs()));
                }
            }
        }
        text.into_bytes()
    }

    /// The note of an agent that ran before this one, which has yet to look at Kafka.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_BYTES {
            return Err(NoteError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NoteError::Version)?;
        let mut lines = text.lines().zip(1..);
        if lines.next().is_none_or(|(line, _)| line != HEADER) {
            return Err(NoteError::Version);
        }
        let before = match lines.next() {
            Some(("unlooked", _)) => None,
            // Kafka has started since, or will: what was noted meanwhile is what it can have read.
            Some(("away" | "up seen", _)) => Some(Start::Seen),
            Some(("up unseen", _)) => Some(Start::Unseen),
            Some(_) | None => return Err(NoteError::Line(2)),
        };
        let mut note = Self { phase: Phase::Unlooked(before), candidates: BTreeMap::new() };
        for (line, number) in lines {
            let (listener, installed) = candidate(line).ok_or(NoteError::Line(number))?;
            note.installed(&listener, &installed);
        }
        Ok(note)
    }
}

fn candidate(line: &str) -> Option<(ListenerName, Installed)> {
    let mut words = line.splitn(4, ' ');
    let (word, fingerprint, seconds) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    let not_after = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    let one = Some(Material { not_after, fingerprint: fingerprint.parse().ok()? });
    let installed = match word {
        "leaf" => Installed { leaf: one, trust: None },
        "trust" => Installed { leaf: None, trust: one },
        _ => return None,
    };
    Some((ListenerName::new(words.next()?), installed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;

    fn name(text: &str) -> ListenerName {
        ListenerName::new(text)
    }

    fn installed(leaf: u64) -> Installed {
        let material = |seconds| Material {
            not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            fingerprint: Fingerprint::of(&seconds.to_be_bytes()),
        };
        Installed { leaf: Some(material(leaf)), trust: Some(material(1)) }
    }

    fn leaves(note: &StartNote) -> Vec<u64> {
        let found = note.candidates(&name("A")).cloned().unwrap_or_default();
        let seconds =
            |one: &Material| one.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        found.leaves.iter().map(seconds).collect()
    }

    #[test]
    fn what_is_installed_while_kafka_runs_is_no_candidate() {
        let mut note = StartNote::default();
        assert_eq!(note.start(), Some(Start::Unseen));
        note.installed(&name("A"), &installed(10));
        note.away([(&name("A"), &installed(20))]);
        assert_eq!((note.start(), leaves(&note)), (None, vec![20]));
        note.installed(&name("A"), &installed(30));
        note.up();
        note.installed(&name("A"), &installed(40));
        assert_eq!((note.start(), leaves(&note)), (Some(Start::Seen), vec![20, 30]));
    }

    #[test]
    fn a_note_comes_back_as_it_was_and_what_lies_there_now_is_added() {
        for (prepare, want) in [
            ((|_| {}) as fn(&mut StartNote), Start::Unseen),
            (|note| note.up(), Start::Unseen),
            (|note| note.away([(&name("A"), &installed(10))]), Start::Seen),
            (
                |note| {
                    note.away([(&name("A"), &installed(10))]);
                    note.up();
                },
                Start::Seen,
            ),
        ] {
            let mut note = StartNote::default();
            note.installed(&name("A"), &installed(10));
            prepare(&mut note);
            let mut back = StartNote::decode(&note.encode()).unwrap();
            assert_eq!(leaves(&back), [10]);
            back.installed(&name("A"), &installed(20));
            back.up();
            assert_eq!((back.start(), leaves(&back)), (Some(want), vec![10, 20]));
        }
    }

    #[test]
    fn bytes_that_are_no_note_are_refused_and_nothing_grows() {
        let check = |bytes: &[u8], want| assert_eq!(StartNote::decode(bytes).unwrap_err().reason(), want);
        check(b"", "StartNoteVersion");
        check(b"kraftlet start note 2\naway\n", "StartNoteVersion");
        check(b"\xff", "StartNoteVersion");
        check(&vec![b'x'; MAX_BYTES + 1], "StartNoteTooLarge");
        check(b"kraftlet start note 1\n", "StartNoteMalformed");
        check(b"kraftlet start note 1\nup\n", "StartNoteMalformed");
        let line = |line: &str| format!("kraftlet start note 1\naway\n{line}\n").into_bytes();
        let hex = Fingerprint::of(b"").to_string();
        check(&line("leaf"), "StartNoteMalformed");
        check(&line(&format!("leaf {hex} x A")), "StartNoteMalformed");
        check(&line(&format!("leaf {hex} 99999999999999999999 A")), "StartNoteMalformed");
        check(&line(&format!("leaf {hex} {} A", u64::MAX)), "StartNoteMalformed");
        check(&line(&format!("key {hex} 1 A")), "StartNoteMalformed");

        let mut note = StartNote::default();
        for number in 0..2000 {
            note.installed(&name("A"), &installed(2000 - number));
            note.installed(&name(&format!("L{number}")), &installed(1));
        }
        assert_eq!(leaves(&note), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(note.encode().len() < MAX_BYTES && note.candidates.len() == MAX_LISTENERS);
    }

    #[test]
    fn trust_is_the_same_in_any_order_and_ends_with_its_last_anchor() {
        let [a, b] = ["a", "b"].map(|name| testing::root(name).certificate);
        let both = Material::of_trust(&[a.clone(), b.clone()]);
        assert_eq!(both, Material::of_trust(&[b.clone(), a.clone(), b]));
        assert_ne!(both, Material::of_trust(std::slice::from_ref(&a)));
        assert_eq!((both.unwrap().not_after, Material::of_trust(&[])), (a.not_after(), None));
    }
}
