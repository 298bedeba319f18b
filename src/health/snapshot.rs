//! What the agent knows at one moment: the one value that it publishes, whole.
//!
//! The sidecar's driver fills it; probes, metrics, the status page and other agents read it. It is made of plain
//! values of its own, so that whoever reads it needs to know nothing of how certificates are renewed.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use std::time::SystemTime;

use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::Reload;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::kafka::node_id::NodeId;
use crate::pki::certificate::Certificate as X509;
use crate::pki::certificate::Fingerprint;
use crate::quorum::view::Broker;
use crate::quorum::view::Member;
use crate::quorum::view::Quorum;
use crate::quorum::view::Startup;
use crate::quorum::view::Stop;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose it is.
    pub node: Node,
    /// Who says it.
    pub agent: Agent,
    /// When it was put together.
    pub at: SystemTime,
    /// The certificates this node uses.
    pub certificates: Vec<Certificate>,
    /// The TLS channels of this node: listeners and clients.
    pub channels: Vec<Channel>,
    /// The controller quorum; `None` before the first look, as the four that follow.
    pub quorum: Option<Quorum>,
    /// This node's part in it, where it is a controller.
    pub member: Option<Member>,
    /// This node as a broker, where it is one.
    pub broker: Option<Broker>,
    /// How far its Kafka has started.
    pub startup: Option<Startup>,
    /// Whether it may stop now, and whether it is about to.
    pub stop: Option<Stop>,
    /// What is not as it should be; empty when all is well.
    pub conditions: Vec<Condition>,
    /// What happened lately, oldest first.
    pub events: Recent<Event>,
    /// The orders given lately, oldest first.
    pub orders: Recent<OrderStatus>,
}

/// The Kafka node the agent stands beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The pod, or the host where there is no pod.
    pub pod: Text,
    /// `node.id`.
    pub node_id: NodeId,
    /// `process.roles`.
    pub roles: ProcessRoles,
    /// The cluster's name in the settings; an attached agent has none.
    pub cluster_name: Option<Text>,
    /// The cluster's id; unknown where only Kafka knows it.
    pub cluster_id: Option<Text>,
}

/// The agent itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its version.
    pub version: Text,
    /// When this process began.
    pub started_at: SystemTime,
    /// Whether it owns what it looks after.
    pub mode: Mode,
    /// How Kafka takes a new certificate.
    pub reload: Reload,
}

/// Whether the agent owns what it looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// kraftlet wrote this node's configuration and installs its certificates.
    Managed,
    /// Somebody else did and does; the agent has Kafka reload, and looks.
    Attached,
}

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

/// How it is known which leaf a channel uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Handshakes showed it.
    Served,
    /// The engine reports that it has loaded it; the next connection uses it.
    Loaded,
    /// Open connections still use it; the next one will not.
    InUseUntilReconnect,
    /// Kafka was started with it, and only a restart changes it.
    InUseUntilRestart,
    /// Nobody has seen it.
    Unknown,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its word.
    pub reason: Word,
    /// What is the case.
    pub sentence: Text,
    /// Since when.
    pub since: SystemTime,
    /// When it begins to hurt; the past or the present: it does already.
    pub matters_at: SystemTime,
    /// A command that is safe to run and helps.
    pub remedy: Option<Text>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// Its word.
    pub reason: Word,
    /// What happened.
    pub sentence: Text,
}

/// What has become of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderStatus {
    /// The number under which it was taken.
    pub number: u64,
    /// When it was taken.
    pub at: SystemTime,
    /// How far it has come.
    pub state: OrderState,
    /// How it ended, or why it goes on: `Renewed`, `Waiting`.
    pub reason: Word,
    /// The same for a person.
    pub sentence: Text,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Taken, and at work.
    Running,
    /// Done, and shown to be.
    Done,
    /// Ended otherwise; it may pass if it is ordered again.
    Failed,
    /// Ended otherwise, and a person must change something first.
    Refused,
}

/// The last few of something, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent<T>(VecDeque<T>);

/// A word that is none of those a value can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is unknown; want one of {want}")]
pub struct WordUnknown {
    found: Text,
    want: &'static str,
}

/// The word of each value, both ways.
macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $type {
            type Err = WordUnknown;

            fn from_str(text: &str) -> Result<Self, WordUnknown> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(WordUnknown { found: Text::new(text), want: concat!($($word, " "),+).trim_ascii_end() }),
                }
            }
        }
    };
}

words!(Mode: Managed = "managed", Attached = "attached");
words!(State: Serving = "Serving", Fetching = "Fetching", Installing = "Installing", Reloading = "Reloading",
    Verifying = "Verifying", Waiting = "Waiting", RollingBack = "RollingBack");
words!(Standing: Served = "served", Loaded = "loaded", InUseUntilReconnect = "inUseUntilReconnect", InUseUntilRestart = "inUseUntilRestart", Unknown = "unknown");
words!(OrderState: Running = "Running", Done = "Done", Failed = "Failed", Refused = "Refused");

impl Snapshot {
    /// Of an agent that has only begun.
    pub fn new(node: Node, agent: Agent) -> Self {
        Self {
            node,
            at: agent.started_at,
            agent,
            certificates: Vec::new(),
            channels: Vec::new(),
            quorum: None,
            member: None,
            broker: None,
            startup: None,
            stop: None,
            conditions: Vec::new(),
            events: Recent::default(),
            orders: Recent::default(),
        }
    }

    /// Puts down how far an order has come; one of the same number is replaced.
    pub fn report_order(&mut self, order: OrderStatus) {
        match self.orders.0.iter_mut().find(|one| one.number == order.number) {
            Some(known) => *known = order,
            None => self.orders.push(order),
        }
    }
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

impl Channel {
    /// Whether it is the server side of a listener, and none of the node's own clients.
    pub fn is_listener(&self) -> bool {
        self.name.as_str().starts_with("listener ")
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

impl<T> Recent<T> {
    /// A bad night of retries, and still less than a screen of two.
    pub const MOST: usize = 50;

    /// Adds one, and lets go of the oldest where there are too many.
    pub fn push(&mut self, one: T) {
        while self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(one);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> FromIterator<T> for Recent<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut recent = Self::default();
        all.into_iter().for_each(|one| recent.push(one));
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;

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

    #[test]
    fn only_the_last_few_events_are_kept() {
        let recent: Recent<usize> = (0..Recent::<usize>::MOST + 7).collect();
        assert_eq!(recent.iter().count(), Recent::<usize>::MOST);
        assert_eq!(recent.iter().next(), Some(&7));
    }

    #[test]
    fn an_order_is_reported_once() {
        let mut snapshot = full();
        let mut order = snapshot.orders.iter().next().unwrap().clone();
        order.state = OrderState::Failed;
        snapshot.report_order(order.clone());
        assert_eq!(snapshot.orders.iter().collect::<Vec<_>>(), [&order]);
    }
}
