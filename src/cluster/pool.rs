//! A pool: the StatefulSet whose pods are nodes, and the node ids that belong to them.

use std::fmt;

use crate::cluster::settings;
use crate::kafka::node_id::NodeId;
use crate::pod::name::Ordinal;
use crate::pod::name::PodName;

/// A StatefulSet of nodes with one set of roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The StatefulSet's name.
    pub stateful_set: String,
    /// What its nodes do.
    pub roles: ProcessRoles,
    /// The headless Service that names its pods.
    pub service: String,
    replicas: u32,
    ordinals_start: u32,
    first: u32,
    last: u32,
}

/// `process.roles`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessRoles {
    /// `broker`
    Broker,
    /// `controller`
    Controller,
    /// `broker,controller`, called combined or shared mode
    Combined,
}

/// Node ids that belong to a pool when the settings do not say how many: KubeDB keeps controllers 1000 apart too.
const DEFAULT_RANGE: u32 = 1000;

/// Ten times the largest Kafka clusters that are spoken of; a slip of the keyboard is not worth gigabytes of voters.
const MOST_REPLICAS: u32 = 10_000;

impl ProcessRoles {
    /// From a pool's list; `None` when it is empty or says a role twice.
    pub fn new(roles: &[settings::Role]) -> Option<Self> {
        match roles {
            [settings::Role::Broker] => Some(Self::Broker),
            [settings::Role::Controller] => Some(Self::Controller),
            [a, b] if a != b => Some(Self::Combined),
            _ => None,
        }
    }

    /// Whether the node stores and serves records.
    pub fn is_broker(self) -> bool {
        matches!(self, Self::Broker | Self::Combined)
    }

    /// Whether the node votes on metadata.
    pub fn is_controller(self) -> bool {
        matches!(self, Self::Controller | Self::Combined)
    }

    /// The word for a node of these roles, in files' names and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Controller => "controller",
            Self::Combined => "combined",
        }
    }
}

impl fmt::Display for ProcessRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "broker",
            Self::Controller => "controller",
            Self::Combined => "broker,controller",
        })
    }
}

impl Pool {
    /// The pool, or all that is wrong with it: for each problem the key and a sentence.
    pub fn new(pool: &settings::Pool, default_service: &str) -> Result<Self, Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        let name = &pool.stateful_set;
        if !crate::pod::name::is_dns_name(name) {
            wrong.push(("statefulSet", format!("{name:?} is no name of a StatefulSet")));
        }
        let roles = ProcessRoles::new(&pool.roles);
        if roles.is_none() {
            wrong.push(("roles", format!("pool {name}: want broker, controller, or both, each once")));
        }
        if pool.replicas == 0 {
            wrong.push(("replicas", format!("pool {name} has no replicas; want at least 1")));
        }
        if pool.replicas > MOST_REPLICAS {
            let message = format!("pool {name} has {} replicas; want at most {MOST_REPLICAS}", pool.replicas);
            wrong.push(("replicas", message));
        }
        let first = pool.node_ids.first;
        let last = pool.node_ids.last.map_or(u64::from(first) + u64::from(DEFAULT_RANGE) - 1, u64::from);
        let highest = u64::from(first) + u64::from(pool.ordinals_start) + u64::from(pool.replicas.max(1)) - 1;
        if last > u64::from(Ordinal::MAX) {
            wrong.push((
                "nodeIds",
                format!("pool {name}: node ids end at {last}; Kafka's end at {}", Ordinal::MAX),
            ));
        } else if highest > last {
            let message = format!(
                "pool {name}: ordinals {}..{} need node ids up to {highest}; its range is {first}..{last}",
                pool.ordinals_start,
                u64::from(pool.ordinals_start) + u64::from(pool.replicas.max(1)) - 1,
            );
            wrong.push(("nodeIds", message));
        }
        match (roles, u32::try_from(last)) {
            (Some(roles), Ok(last)) if wrong.is_empty() => Ok(Self {
                stateful_set: name.clone(),
                roles,
                service: pool.service.clone().unwrap_or_else(|| default_service.to_owned()),
                replicas: pool.replicas,
                ordinals_start: pool.ordinals_start,
                first,
                last,
            }),
            _ => Err(wrong),
        }
    }

    /// The node id of a pod of this pool; `None` when the ordinal is past the end of the pool's range.
    pub fn node_id(&self, ordinal: Ordinal) -> Option<NodeId> {
        let id = self.first.checked_add(ordinal.number()).filter(|id| *id <= self.last)?;
        NodeId::try_from(i32::try_from(id).ok()?).ok()
    }

    /// The pods the StatefulSet is meant to have.
    pub fn pods(&self) -> impl Iterator<Item = PodName> + '_ {
        let ordinals = self.ordinals_start..self.ordinals_start.saturating_add(self.replicas);
        ordinals.filter_map(Ordinal::new).map(|ordinal| PodName::new(&self.stateful_set, ordinal))
    }

    /// The range of node ids, as it is said in messages.
    pub fn range(&self) -> String {
        format!("{}..{}", self.first, self.last)
    }

    /// Whether a node id could belong to both pools.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(yaml: &str) -> Result<Pool, String> {
        let settings: settings::Pool = serde_saphyr::from_str(yaml).unwrap();
        Pool::new(&settings, "kafka").map_err(|wrong| {
            let lines: Vec<_> = wrong.iter().map(|(key, message)| format!("{key}: {message}")).collect();
            lines.join("; ")
        })
    }

    #[test]
    fn a_node_id_is_the_first_id_plus_the_ordinal_whatever_ordinals_start_is() {
        let pool = pool(
            "{statefulSet: kafka-controller, roles: [controller], replicas: 3, ordinalsStart: 5, nodeIds: {first: 1000}}",
        )
        .unwrap();
        let id = |ordinal| pool.node_id(Ordinal::new(ordinal).unwrap()).map(|id| id.to_string());
        assert_eq!(id(5).as_deref(), Some("1005"));
        assert_eq!(id(999).as_deref(), Some("1999"));
        assert_eq!(id(1000), None);
        let pods: Vec<String> = pool.pods().map(|pod| pod.to_string()).collect();
        assert_eq!(pods, ["kafka-controller-5", "kafka-controller-6", "kafka-controller-7"]);
    }

    #[test]
    fn a_range_that_is_too_small_or_overflows_is_refused() {
        let check = |yaml: &str, want: &str| assert_eq!(pool(yaml).unwrap_err(), want);
        check(
            "{statefulSet: k, roles: [broker], replicas: 3, nodeIds: {first: 10, last: 11}}",
            "nodeIds: pool k: ordinals 0..2 need node ids up to 12; its range is 10..11",
        );
        check(
            "{statefulSet: k, roles: [broker], replicas: 1, nodeIds: {first: 4294967295}}",
            "nodeIds: pool k: node ids end at 4294968294; Kafka's end at 2147483647",
        );
        check(
            "{statefulSet: k, roles: [broker], replicas: 2147483647, nodeIds: {last: 2147483647}}",
            "replicas: pool k has 2147483647 replicas; want at most 10000",
        );
        check(
            "{statefulSet: K, roles: [broker, broker], replicas: 0}",
            "statefulSet: \"K\" is no name of a StatefulSet; roles: pool K: want broker, controller, or both, each once; \
             replicas: pool K has no replicas; want at least 1",
        );
    }
}
