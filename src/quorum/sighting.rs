//! What one look at the cluster has shown: who was asked, and what each said.

use std::time::SystemTime;

use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::node_id::NodeId;

/// One look at the controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When, by this machine's clock; read once for the whole look.
    pub at: SystemTime,
    /// What each controller that was asked said.
    pub controllers: Vec<Asked>,
}

/// One controller and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its node id, where the settings say it. That of a broker, where a broker was asked as the last resort.
    pub node_id: Option<NodeId>,
    /// Where it was asked, `host:port`.
    pub address: String,
    /// What it said.
    pub answer: Answer,
}

/// What a controller said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It leads, and this is how it sees the quorum; or it is a broker that has passed on the leader's words.
    Leads(QuorumInfo),
    /// It is there and does not lead.
    Follows,
    /// It was not asked this time, for a leader has answered already.
    NotAsked,
    /// It answers and refuses: a login, a certificate, a right that is missing. The sentence says which.
    Refuses(String),
    /// Its port takes connections, and no answer came in time.
    Silent(String),
    /// Its machine answers that nobody listens there: the connection was refused. So the network works, and its Kafka is
    /// down.
    Closed(String),
    /// It cannot be reached: no name, no route, no answer to the connection. It may be gone, or this node is cut off.
    Away(String),
}

/// What other brokers and the leader say of this broker, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSighting {
    /// When, by this machine's clock.
    pub at: SystemTime,
    /// Whether its own listener answers: `None` where it was not asked.
    pub own: Option<OwnBroker>,
    /// What each other broker that answered says: is this node in its list, and unfenced?
    pub listed_by: Vec<(NodeId, Listed)>,
}

/// What the broker's own listener says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnBroker {
    /// It answers; the highest metadata offset it has applied, where it says that (`finalized_features_epoch`).
    Answers {
        /// The offset.
        applied: Option<i64>,
    },
    /// Nobody listens: it has not come so far.
    Closed,
    /// Its port takes connections, and no answer came in time.
    Silent,
}

/// How another broker lists a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// As one that serves.
    Unfenced,
    /// As fenced (DescribeCluster 2), or not at all.
    Fenced,
}
