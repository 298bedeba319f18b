//! Asks every agent how its node is, and whether its own loops turn.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::model::Node;
use crate::commands::doctor::nodes::Nodes;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::health::address;
use crate::health::client::io as client;
use crate::health::client::io::AgentError;
use crate::health::client::way::Way;
use crate::health::doctor::agents::Heard;
use crate::health::doctor::agents::Silence;
use crate::health::doctor::next::Place;
use crate::kafka::node_id::NodeId;

/// An agent answers from memory; this is for the network.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Where an agent is.
pub struct Agent {
    pod: String,
    node_id: NodeId,
    way: Way,
}

/// Where the agents of all nodes are.
pub fn agents(nodes: &Nodes) -> Result<Vec<Agent>, Failure> {
    let Some(first) = nodes.here.first() else { return Ok(Vec::new()) };
    let address_of = |node: &Node| match &nodes.place {
        Place::Pod { own, .. } if *own == node.pod.to_string() => {
            address::own_read_address(&first.cluster, node)
        }
        Place::Pod { .. } | Place::Machine { .. } | Place::Cluster { .. } => {
            address::read_address(&first.cluster, node)
        }
    };
    let agent = |node: &Node| {
        let way = Way::Dialled(address_of(node)?);
        Ok(Agent { pod: node.pod.to_string(), node_id: node.node_id, way })
    };
    nodes.all.iter().map(agent).collect()
}

/// Asks all of them at once, and keeps their order.
pub async fn ask(agents: Vec<Agent>) -> Vec<Heard> {
    let mut asked = JoinSet::new();
    for (index, agent) in agents.into_iter().enumerate() {
        asked.spawn(async move { (index, ask_one(agent).await) });
    }
    let mut heard = asked.join_all().await;
    heard.sort_by_key(|(index, _)| *index);
    heard.into_iter().map(|(_, one)| one).collect()
}

async fn ask_one(agent: Agent) -> Heard {
    let Agent { pod, node_id, way } = agent;
    let deadline = Instant::now() + ANSWER_WITHIN;
    let status = client::status_of(&way, deadline).await.map_err(|error| silence(&error));
    let is_live = match &status {
        Ok(_) => client::is_live(&way, deadline).await.map_err(|error| chain(&error)),
        Err(_) => Ok(()),
    };
    Heard { pod, node_id: Some(node_id), status, is_live }
}

/// What its silence means.
pub fn silence(error: &AgentError) -> Silence {
    let sentence = chain(error);
    match error {
        AgentError::Unreachable(source) if source.nobody_there() => Silence::Nobody(sentence),
        AgentError::NotRunning(_) | AgentError::NobodyBehind { .. } => Silence::Nobody(sentence),
        AgentError::Unreachable(_) | AgentError::TimedOut { .. } | AgentError::NotForwarded { .. } => {
            Silence::NoAnswer(sentence)
        }
        AgentError::NotAnAgent { .. } | AgentError::Refused { .. } | AgentError::Unreadable { .. } => {
            Silence::Strange(sentence)
        }
    }
}
