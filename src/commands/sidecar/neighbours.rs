//! Asks the agents of the other nodes how they see the quorum, and whether their node is about to stop.

use std::rc::Rc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::commands::sidecar::context::Context;
use crate::health::address;
use crate::health::client::io as client;
use crate::health::client::way::Way;
use crate::kafka::node_id::NodeId;
use crate::quorum::stop::PeerStop;
use crate::quorum::view::Quorum;

/// All are asked at once, and nobody is waited for longer.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// What one agent says.
pub struct Said {
    /// Of its node's stop.
    pub stop: PeerStop,
    /// Of the quorum.
    pub quorum: Option<Quorum>,
}

/// Asks all that the settings know; who does not answer is left out.
pub async fn ask(context: Rc<Context>) -> Vec<Said> {
    let Some(inputs) = &context.inputs else { return Vec::new() };
    let (seen_at, deadline) = (SystemTime::now(), Instant::now() + ASK_WITHIN);
    let mut asking = JoinSet::new();
    for node in inputs.cluster.nodes(inputs.facts.namespace.as_deref()) {
        let (node_id, roles): (NodeId, _) = (node.node_id, node.pool.roles);
        if node_id == context.channels.node_id {
            continue;
        }
        let Ok(address) = address::read_address(&inputs.cluster, &node) else { continue };
        asking.spawn(async move {
            let said = client::status_of(&Way::Dialled(address), deadline).await.ok()?;
            let announced_at = said.stop.as_ref().and_then(|stop| stop.announced_at);
            let released_at = said.stop.as_ref().and_then(|stop| stop.released_at);
            let stop = PeerStop { node_id, roles, announced_at, released_at, seen_at };
            Some(Said { stop, quorum: said.quorum })
        });
    }
    asking.join_all().await.into_iter().flatten().collect()
}
