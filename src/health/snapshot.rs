//! What the agent knows at one moment: the one value that it publishes, whole.
//!
//! The sidecar's driver fills it; probes, metrics, the status page and other agents read it. It is made of plain
//! values, so that whoever reads it needs to know nothing of how certificates are renewed.

use std::time::SystemTime;

use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::Reload;
use crate::health::certificate::Certificate;
use crate::health::channel::Channel;
use crate::health::order::OrderStatus;
use crate::health::recent::Recent;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::kafka::node_id::NodeId;
use crate::quorum::view::Broker;
use crate::quorum::view::Member;
use crate::quorum::view::Quorum;
use crate::quorum::view::Startup;
use crate::quorum::view::Stop;
use crate::quorum::words::words;

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
    /// The settings as they are now; `None` where nobody has compared them, or can.
    pub settings: Option<Settings>,
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

words!(Mode: Managed = "managed", Attached = "attached");

/// The settings as they are now, against what Kafka was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The keys of its properties that would have other values after a restart. Values are not said: some are passwords.
    pub changed_keys: Vec<Text>,
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

impl Settings {
    /// The word of the condition that a pod could not start again with the settings as they are now.
    pub const REFUSED: Word = Word::of("SettingsRefused");

    /// Whether a restart of the pod would change anything.
    pub fn is_pending(&self) -> bool {
        !self.changed_keys.is_empty()
    }
}

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
            settings: None,
            conditions: Vec::new(),
            events: Recent::default(),
            orders: Recent::default(),
        }
    }

    /// Puts down how far an order has come; one of the same number is replaced.
    pub fn report_order(&mut self, order: OrderStatus) {
        let number = order.number;
        self.orders.put(order, |known| known.number == number);
    }
}

#[cfg(test)]
mod tests {
    use crate::health::order::OrderState;
    use crate::health::testing::full;

    #[test]
    fn an_order_is_reported_once() {
        let mut snapshot = full();
        let mut order = snapshot.orders.iter().next().unwrap().clone();
        order.state = OrderState::Failed;
        snapshot.report_order(order.clone());
        assert_eq!(snapshot.orders.iter().collect::<Vec<_>>(), [&order]);
    }
}
