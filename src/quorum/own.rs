//! What an agent knows of its own node and of the cluster before it has looked, and the patience that follows from it.
//!
//! Every bound in this room is made of Kafka's own times, so that a cluster with longer ones is judged by those.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::QuorumKind;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::Uuid;

/// This node, and the cluster as its settings have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// `node.id`.
    pub node_id: NodeId,
    /// `process.roles`.
    pub roles: ProcessRoles,
    /// `directory.id` in the `meta.properties` of the metadata log directory; `None` where it has none.
    pub directory_id: Option<Uuid>,
    /// Where the voters are named.
    pub quorum: QuorumKind,
    /// Whether the cluster is known to have had a leader: the settings say `formed: true`, or the disk shows it.
    pub formed: bool,
    /// The controllers of the settings, this one too; empty where nobody says who they are.
    pub controllers: BTreeSet<NodeId>,
    /// The brokers of the settings, this one too; empty where nobody says who they are.
    pub brokers: BTreeSet<NodeId>,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout: Duration,
    /// `metadata.max.idle.interval.ms`; `None` for 0, then nothing is written while nothing happens.
    pub no_op_interval: Option<Duration>,
    /// `broker.session.timeout.ms`.
    pub session_timeout: Duration,
}

/// Default of `controller.quorum.fetch.timeout.ms` (`QuorumConfig`).
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Default of `metadata.max.idle.interval.ms` (`KRaftConfigs`).
pub const NO_OP_INTERVAL: Duration = Duration::from_millis(500);

/// Default of `broker.session.timeout.ms` (`KRaftConfigs`).
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(9);

/// Two rounds of election and two looks. A round lasts `controller.quorum.election.timeout.ms`, 1 s, and up to the same
/// again by chance, and after a split vote `controller.quorum.election.backoff.max.ms`, 1 s; looks come every second.
const TWO_ROUNDS: Duration = Duration::from_secs(8);

/// A pause of garbage collection, a slow disk or a lost packet is over by then, and a kubelet asks less often.
pub const DAMPING: Duration = Duration::from_secs(3);

/// The high watermark may stand still for so many no-op intervals. With the default of 500 ms that is 10 s. A slow disk
/// or an fsync that stalls ends sooner, by Kafka's own doing: the raft thread that waits for its disk neither fetches nor
/// answers, so its followers elect another after the fetch timeout of 2 s, or a leader without a majority resigns after
/// 1.5 times that, and an election takes a few seconds more. What stands still for longer is not cured by waiting.
const NO_OPS: u32 = 20;

impl Own {
    /// Whether this node is meant to vote: the settings have it among the controllers, or say nothing and it is one.
    pub fn is_counted(&self) -> bool {
        self.roles.is_controller()
            && (self.controllers.is_empty() || self.controllers.contains(&self.node_id))
    }

    /// Other brokers in the settings.
    pub fn other_brokers(&self) -> usize {
        self.brokers.iter().filter(|broker| **broker != self.node_id).count()
    }

    /// So long may a quorum be without a leader before anybody is told: the fetch timeout, after which its followers
    /// notice, and two rounds of election. 10 s by default; a failover is mostly seen to take 2 to 5 s.
    pub fn election_grace(&self) -> Duration {
        self.fetch_timeout.saturating_add(TWO_ROUNDS)
    }

    /// So long may the high watermark stand still, and never shorter than an election may take.
    pub fn wedged_after(&self) -> Duration {
        let no_ops = self.no_op_interval.map_or(Duration::ZERO, |interval| interval.saturating_mul(NO_OPS));
        no_ops.max(self.election_grace())
    }

    /// So long may an open port be silent: what the leader would forgive, and a long pause of garbage collection.
    pub fn frozen_after(&self) -> Duration {
        self.fetch_timeout.saturating_add(DAMPING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::own;

    #[test]
    fn patience_follows_from_kafkas_own_times() {
        let seconds = Duration::from_secs;
        for (fetch_timeout, no_op_interval, grace, wedged_after, frozen_after) in [
            (seconds(2), Some(NO_OP_INTERVAL), seconds(10), seconds(10), seconds(5)),
            (seconds(2), Some(seconds(5)), seconds(10), seconds(100), seconds(5)),
            (seconds(30), Some(NO_OP_INTERVAL), seconds(38), seconds(38), seconds(33)),
            (seconds(2), None, seconds(10), seconds(10), seconds(5)),
            (Duration::MAX, Some(Duration::MAX), Duration::MAX, Duration::MAX, Duration::MAX),
        ] {
            let own = Own { fetch_timeout, no_op_interval, ..own(1) };
            assert_eq!(
                (own.election_grace(), own.wedged_after(), own.frozen_after()),
                (grace, wedged_after, frozen_after)
            );
        }
    }

    #[test]
    fn a_controller_is_meant_to_vote_unless_the_settings_name_others() {
        for (roles, controllers, want) in [
            (ProcessRoles::Controller, vec![1, 2], true),
            (ProcessRoles::Combined, vec![], true),
            (ProcessRoles::Controller, vec![2, 3], false),
            (ProcessRoles::Broker, vec![], false),
        ] {
            let controllers = controllers.into_iter().map(|id| NodeId::try_from(id).unwrap()).collect();
            assert_eq!(Own { roles, controllers, ..own(1) }.is_counted(), want, "{roles}");
        }
    }
}
