//! Quorums to test with.

use std::time::Duration;
use std::time::SystemTime;

use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::QuorumKind;
use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::describe_quorum::ReplicaState;
use crate::kafka::node_id::NodeId;
use crate::kafka::topics::Page;
use crate::kafka::topics::Partition;
use crate::kafka::topics::Topic;
use crate::kafka::uuid::Uuid;
use crate::quorum::isr::Isr;
use crate::quorum::own::FETCH_TIMEOUT;
use crate::quorum::own::NO_OP_INTERVAL;
use crate::quorum::own::Own;
use crate::quorum::own::SESSION_TIMEOUT;
use crate::quorum::sighting::Answer;
use crate::quorum::sighting::Asked;

/// So many seconds after a day in 2026.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + seconds)
}

/// A node id.
pub(crate) fn node(id: i32) -> NodeId {
    NodeId::try_from(id).unwrap()
}

/// The directory id of a node's first disk.
pub(crate) fn directory(id: i32) -> Uuid {
    Uuid::from_bytes([u8::try_from(id % 100).unwrap() + 100; 16])
}

/// A controller of a dynamic quorum of 1, 2 and 3 that has formed, with brokers 101, 102 and 103.
pub(crate) fn own(id: i32) -> Own {
    Own {
        node_id: node(id),
        roles: if id < 100 { ProcessRoles::Controller } else { ProcessRoles::Broker },
        directory_id: Some(directory(id)),
        quorum: QuorumKind::Dynamic,
        formed: true,
        controllers: [1, 2, 3].map(node).into(),
        brokers: [101, 102, 103].map(node).into(),
        fetch_timeout: FETCH_TIMEOUT,
        no_op_interval: Some(NO_OP_INTERVAL),
        session_timeout: SESSION_TIMEOUT,
    }
}

/// A replica that fetched so many milliseconds ago, and had all there was then.
pub(crate) fn replica(id: i32, fetched_ms_ago: i64, log_end_offset: i64) -> ReplicaState {
    let then_ms = 1_000_000 - fetched_ms_ago;
    ReplicaState {
        replica_id: node(id),
        directory_id: Some(directory(id)),
        log_end_offset: Some(log_end_offset),
        last_fetch_timestamp_ms: Some(then_ms),
        last_caught_up_timestamp_ms: Some(then_ms),
    }
}

/// What a leader says, with voters as (node id, milliseconds since the last fetch). The observers are 101 to 103.
pub(crate) fn info(leader: i32, epoch: i32, high_watermark: i64, voters: &[(i32, i64)]) -> QuorumInfo {
    QuorumInfo {
        leader_id: Some(node(leader)),
        leader_epoch: epoch,
        high_watermark: Some(high_watermark),
        voters: voters.iter().map(|(id, ago)| replica(*id, *ago, high_watermark + 1)).collect(),
        observers: [101, 102, 103].map(|id| replica(id, 400, high_watermark)).into(),
    }
}

/// Controllers 1, 2, 3 … and what each said: f follows, r refuses, s silent, c closed, a away, n not asked, and l leads
/// in an epoch that is long over.
pub(crate) fn asked(seen: &str) -> Vec<Asked> {
    let answer = |kind| match kind {
        'f' => Answer::Follows,
        'r' => Answer::Refuses("the certificate is not trusted".to_owned()),
        's' => Answer::Silent("no answer within 2 s".to_owned()),
        'c' => Answer::Closed("connection refused".to_owned()),
        'a' => Answer::Away("no route to host".to_owned()),
        'n' => Answer::NotAsked,
        'l' => Answer::Leads(info(1, 1, 1, &[(1, 0), (2, 9_999), (3, 9_999)])),
        other => unreachable!("{other}"),
    };
    let one = |(id, kind)| Asked {
        node_id: Some(node(id)),
        address: format!("host{id}:9093"),
        answer: answer(kind),
    };
    (1..).zip(seen.chars()).map(one).collect()
}

/// A partition with these replicas, and these of them in sync.
pub(crate) fn partition(index: i32, replicas: &[i32], isr: &[i32]) -> Partition {
    let ids = |ids: &[i32]| ids.iter().map(|id| node(*id)).collect();
    Partition { index, leader: None, replicas: ids(replicas), isr: ids(isr) }
}

/// What broker 101 has: one partition of a topic that wants at least two in sync.
pub(crate) fn isr(second: u64, partition: Partition) -> Isr {
    let mut isr = Isr::new(node(101), at(second));
    let page =
        Page { topics: vec![Topic { name: "orders".to_owned(), partitions: vec![partition] }], next: None };
    isr.take(&page, &[("orders".to_owned(), 2)].into());
    isr
}
