//! What was seen of a node's channels, folded into one value: installs, handshakes, the engine's reports, comings and
//! goings of Kafka.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

use crate::pki::certificate::Fingerprint;
use crate::reload::channel::Side;
use crate::reload::node_properties::ListenerName;
use crate::reload::start_note::Installed;
use crate::reload::start_note::Material;
use crate::reload::start_note::StartNote;

/// Everything seen of one node, folded.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    installed: BTreeMap<ListenerName, Install>,
    served: BTreeMap<ListenerName, Material>,
    loaded: BTreeMap<(ListenerName, Side), Loaded>,
    dates: BTreeMap<Fingerprint, SystemTime>,
    note: StartNote,
}

/// One thing seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// This lies in the stores of a listener's prefix. Say it for every prefix that a channel has, at start and
    /// whenever it changes, and before anything else is said.
    Installed {
        /// The prefix.
        listener: ListenerName,
        /// Leaf and trust.
        installed: Installed,
    },
    /// A whole run of handshakes showed this leaf; of several leaves, the one that ends first.
    Served {
        /// The listener.
        listener: ListenerName,
        /// The leaf.
        leaf: Material,
    },
    /// The engines of a prefix and side report this; of several instances, one that lags behind.
    Loaded {
        /// The prefix.
        listener: ListenerName,
        /// Which end.
        side: Side,
        /// SHA-256 of the leaf; `None` where the channel has no keystore.
        leaf: Option<Fingerprint>,
        /// The trust anchors, by the fingerprint that [`Material::of_trust`] gives.
        trust: Option<Fingerprint>,
    },
    /// Every listener refuses connections, so no Kafka runs. A deadline that passes is not this.
    Away,
    /// Kafka answers.
    Up,
}

/// What the engines of one prefix and side have loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) leaf: Option<Fingerprint>,
    pub(crate) trust: Option<Fingerprint>,
}

#[derive(Debug, Clone)]
struct Install {
    now: Installed,
    /// What lay there before, and when it was replaced.
    before: Option<(Installed, SystemTime)>,
}

/// A Kafka that starts has read its stores and does not listen yet. It takes seconds; a machine that is swamped, minutes.
const STARTING: Duration = Duration::from_secs(10 * 60);

/// Leaves whose end is remembered; a channel that uses an older one than these has other troubles.
const MAX_DATES: usize = 64;

/// Listeners, and sides of prefixes, that are remembered; more than any broker has.
const MAX_LISTENERS: usize = 64;

impl Observed {
    /// With the note of the agent that ran before this one, or [`StartNote::default`].
    pub fn new(note: StartNote) -> Self {
        Self { note, ..Self::default() }
    }

    /// The note to keep; it has to be on the disk before the installed files are next replaced.
    pub fn note(&self) -> &StartNote {
        &self.note
    }

    /// Adds one thing that was seen at `now`.
    pub fn take(&mut self, observation: Observation, now: SystemTime) {
        match observation {
            Observation::Installed { listener, installed } => self.install(listener, installed, now),
            Observation::Served { listener, leaf } => {
                self.date(leaf);
                insert_bounded(&mut self.served, listener, leaf);
            }
            Observation::Loaded { listener, side, leaf, trust } => {
                insert_bounded(&mut self.loaded, (listener, side), Loaded { leaf, trust });
            }
            Observation::Away => {
                self.served.clear();
                self.loaded.clear();
                let may_have_been_read = |before: &&(Installed, SystemTime)| {
                    now.duration_since(before.1).is_ok_and(|ago| ago < STARTING)
                };
                let candidates = self.installed.iter().flat_map(|(listener, install)| {
                    let before = install.before.as_ref().filter(may_have_been_read).map(|(before, _)| before);
                    before.into_iter().chain([&install.now]).map(move |installed| (listener, installed))
                });
                self.note.away(candidates);
            }
            Observation::Up => self.note.up(),
        }
    }

    fn install(&mut self, listener: ListenerName, installed: Installed, now: SystemTime) {
        self.note.installed(&listener, &installed);
        if let Some(leaf) = installed.leaf {
            self.date(leaf);
        }
        let before = match self.installed.get(&listener) {
            Some(last) if last.now == installed => last.before,
            Some(last) => Some((last.now, now)),
            None => None,
        };
        insert_bounded(&mut self.installed, listener, Install { now: installed, before });
    }

    fn date(&mut self, leaf: Material) {
        self.dates.insert(leaf.fingerprint, leaf.not_after);
        if self.dates.len() > MAX_DATES {
            let first = self.dates.iter().min_by_key(|(_, not_after)| **not_after).map(|(leaf, _)| *leaf);
            first.and_then(|leaf| self.dates.remove(&leaf));
        }
    }

    /// What lies in the stores of a prefix.
    pub(crate) fn installed(&self, listener: &ListenerName) -> Option<&Installed> {
        self.installed.get(listener).map(|install| &install.now)
    }

    /// What handshakes have shown since Kafka started.
    pub(crate) fn served(&self, listener: &ListenerName) -> Option<Material> {
        self.served.get(listener).copied()
    }

    /// What the engine has reported since Kafka started.
    pub(crate) fn loaded(&self, listener: &ListenerName, side: Side) -> Option<Loaded> {
        self.loaded.get(&(listener.clone(), side)).copied()
    }

    /// When a leaf that was seen ends.
    pub(crate) fn not_after(&self, leaf: Fingerprint) -> Option<SystemTime> {
        self.dates.get(&leaf).copied()
    }
}

/// A key that is there already always has room.
fn insert_bounded<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    if map.len() < MAX_LISTENERS || map.contains_key(&key) {
        map.insert(key, value);
    }
}
