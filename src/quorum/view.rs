//! What is known of the quorum and of this node's part in it, at one moment: the answers that probes, metrics and people
//! get.

use std::time::Duration;
use std::time::SystemTime;

use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::Uuid;
use crate::quorum::words::words;

/// The quorum as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// How it is.
    pub state: QuorumState,
    /// The same for a person, with numbers.
    pub sentence: String,
    /// Since when it is in this state, by this machine's clock.
    pub since: SystemTime,
    /// When a leader last answered; `None`: never yet.
    pub seen_at: Option<SystemTime>,
    /// Who led when a leader last answered.
    pub leader: Option<NodeId>,
    /// The leader's epoch in that answer.
    pub epoch: Option<i32>,
    /// Epochs that began in the last minute.
    pub epochs_per_minute: u32,
    /// Up to where records were committed in that answer.
    pub high_watermark: Option<i64>,
    /// The voters in that answer, by node id.
    pub voters: Vec<Voter>,
    /// How many more voters may fail; `None` where no leader answers.
    pub spare: Option<u32>,
}

/// How a quorum is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QuorumState {
    /// Nobody was asked yet, or nothing can be concluded.
    #[default]
    Unknown,
    /// It never had a leader, as far as anybody knows.
    Forming,
    /// A leader, and every voter follows.
    Healthy,
    /// A leader and a majority that follows; some voter does not.
    Degraded,
    /// No leader answers, and so few controllers are there that none can be elected; or one answers that too few voters
    /// follow.
    MajorityLost,
    /// No leader answers, although enough controllers do.
    Leaderless,
    /// Leaders come and go.
    Unstable,
    /// A leader answers, but the high watermark stands still.
    Wedged,
}

/// One voter as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its node id.
    pub node_id: NodeId,
    /// The id of its metadata directory, where the quorum knows it.
    pub directory_id: Option<Uuid>,
    /// How it follows.
    pub standing: VoterStanding,
    /// Records between its log's end and the leader's; `None` where the leader does not know.
    pub lag: Option<u64>,
    /// How long before the answer it last fetched, by the leader's clock.
    pub last_fetch_ago: Option<Duration>,
}

/// How a voter follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoterStanding {
    /// It leads.
    Leader,
    /// It has fetched lately and has all there was.
    CaughtUp,
    /// It fetches, and is behind.
    Behind,
    /// It has not fetched for longer than the fetch timeout.
    Silent,
}

/// This node's part in the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub standing: MemberStanding,
    /// The same for a person, with numbers.
    pub sentence: String,
    /// Since when.
    pub since: SystemTime,
}

/// What a node is in the quorum. Brokers observe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemberStanding {
    /// No leader has answered yet, or none answers now.
    #[default]
    Unknown,
    /// It leads.
    Leader,
    /// A voter that has all there was.
    CaughtUp,
    /// A voter that fetches and is behind.
    Behind,
    /// The leader knows it and has not heard of it for longer than the fetch timeout.
    Silent,
    /// Its controller's port takes connections and does not answer them, or it answers while nothing of it moves.
    Wedged,
    /// A node that follows without a vote: every broker, and a controller that is about to join.
    Observer,
    /// A controller that the settings count as a voter and the leader does not.
    NotAVoter,
    /// The leader counts this node id with another directory: its disk was replaced.
    LostIdentity,
    /// The leader has not heard of it at all.
    Unseen,
}

/// This node's part as a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// What it is.
    pub standing: BrokerStanding,
    /// The same for a person, with numbers.
    pub sentence: String,
    /// Since when.
    pub since: SystemTime,
    /// Records between what it has applied and the high watermark.
    pub metadata_lag: Option<u64>,
}

/// What a broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BrokerStanding {
    /// Nothing was seen yet.
    #[default]
    Unknown,
    /// Its listeners are not open yet.
    Starting,
    /// Others list it and it serves.
    Unfenced,
    /// The leader or other brokers list it as fenced, or do not list it.
    Fenced,
    /// Unfenced, and its metadata are older than they may be.
    Stale,
    /// It does not answer though its port is open.
    Frozen,
}

/// How far this node has come since its Kafka started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Startup {
    /// Every log directory has its `meta.properties`, or its Kafka has answered and so must have what it needs.
    pub formatted: bool,
    /// It has answered with metadata applied, since its Kafka started or, where that was before, since this agent did. A
    /// controller alone applies them before it answers at all.
    pub metadata_applied: bool,
    /// Logs that are being recovered after an unclean stop: how many of how many. `None` as well where its Kafka does not
    /// run, and where its listener is open or was not asked.
    pub recovery: Option<Recovery>,
}

/// Log recovery after an unclean stop, by what it leaves in the directories of the partitions.
///
/// What cannot be told counts as not done: what was recovered before an agent came that has begun in the midst of it, and
/// after such a beginning also logs that were stopped cleanly. A partition that is about to be deleted is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Partition directories that are done.
    pub done: u64,
    /// All partition directories.
    pub all: u64,
}

/// Whether this node may stop now, and whether it is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// What holds it back; empty: it may stop, if anything was looked at.
    pub blockers: Vec<Blocker>,
    /// What will suffer by any stop, whenever it is: no reason to wait.
    pub notes: Vec<Note>,
    /// When the last of the looks that this rests on was; `None`: nothing was looked at yet, so nobody can say.
    pub seen_at: Option<SystemTime>,
    /// Since when it is announced that this node is about to stop.
    pub announced_at: Option<SystemTime>,
    /// Since when its wait is over and its Kafka is being stopped. Peers wait for such a node, whatever its id.
    pub released_at: Option<SystemTime>,
}

/// One thing that holds a stop back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Its word, UpperCamelCase.
    pub reason: String,
    /// With names and numbers.
    pub sentence: String,
}

/// One thing that a stop will cost, now as later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its word, UpperCamelCase.
    pub reason: String,
    /// With names and numbers.
    pub sentence: String,
}

words!(QuorumState: Unknown, Forming, Healthy, Degraded, MajorityLost, Leaderless, Unstable, Wedged);
words!(VoterStanding: Leader, CaughtUp, Behind, Silent);
words!(MemberStanding: Unknown, Leader, CaughtUp, Behind, Silent, Wedged, Observer, NotAVoter, LostIdentity, Unseen);
words!(BrokerStanding: Unknown, Starting, Unfenced, Fenced, Stale, Frozen);
