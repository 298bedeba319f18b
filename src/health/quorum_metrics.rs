//! The quorum, this node's part in it and this node as a broker, as metrics.
//!
//! What a leader said last stands until another says something else: `kraftlet_quorum_seen_timestamp_seconds` has its
//! age, and the state says whether one answers now.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use crate::health::series::Samples;
use crate::health::series::gauge;
use crate::health::series::in_seconds;
use crate::health::series::one;
use crate::health::series::seconds;
use crate::health::series::state;
use crate::health::snapshot::Snapshot;
use crate::quorum::view::Broker;
use crate::quorum::view::Quorum;
use crate::quorum::view::Voter;

/// All of them; what is not known has no sample.
pub(crate) fn encode(snapshot: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    if let Some(quorum) = &snapshot.quorum {
        encode_quorum(quorum, encoder)?;
        encode_voters(&quorum.voters, encoder)?;
    }
    let member = snapshot.member.as_ref().map(|member| state(&member.standing));
    gauge("kraftlet_member_state", "What this node is in the quorum, as a label")
        .encode(encoder, member.unwrap_or_default())?;
    let broker = snapshot.broker.as_ref();
    gauge("kraftlet_broker_state", "What this node is as a broker, as a label")
        .encode(encoder, broker.map(|broker| state(&broker.standing)).unwrap_or_default())?;
    let lag = |broker: &Broker| Some(one(broker.metadata_lag? as f64));
    gauge(
        "kraftlet_broker_metadata_lag_records",
        "Records between what this broker has applied and the high watermark",
    )
    .encode(encoder, broker.and_then(lag).unwrap_or_default())
}

fn encode_quorum(quorum: &Quorum, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    gauge("kraftlet_quorum_state", "How the quorum is, as a label").encode(encoder, state(&quorum.state))?;
    in_seconds("kraftlet_quorum_seen_timestamp", "When a leader last answered")
        .encode(encoder, quorum.seen_at.map(|at| one(seconds(at))).unwrap_or_default())?;
    for (name, help, value) in [
        (
            "kraftlet_quorum_leader",
            "Who led when a leader last answered",
            quorum.leader.map(|id| id.get().into()),
        ),
        ("kraftlet_quorum_epoch", "The epoch of that leader", quorum.epoch.map(f64::from)),
        (
            "kraftlet_quorum_epochs_per_minute",
            "Epochs that began in the last minute",
            Some(quorum.epochs_per_minute.into()),
        ),
        (
            "kraftlet_quorum_high_watermark",
            "Up to where records are committed",
            quorum.high_watermark.map(|offset| offset as f64),
        ),
        ("kraftlet_quorum_voters", "Voters, as that leader counts them", Some(quorum.voters.len() as f64)),
        (
            "kraftlet_quorum_spare_voters",
            "How many more voters may fail; no sample where no leader answers",
            quorum.spare.map(f64::from),
        ),
    ] {
        gauge(name, help).encode(encoder, value.map(one).unwrap_or_default())?;
    }
    Ok(())
}

fn encode_voters(voters: &[Voter], encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let by_voter = |value: fn(&Voter) -> Option<f64>| -> Samples {
        let labels = |one: &Voter| vec![("voter", one.node_id.to_string())];
        voters.iter().filter_map(|one| Some((labels(one), value(one)?))).collect()
    };
    gauge("kraftlet_quorum_voter_lag_records", "Records between a voter's log and the leader's")
        .encode(encoder, by_voter(|one| Some(one.lag? as f64)))?;
    in_seconds("kraftlet_quorum_voter_fetch_age", "How long ago a voter last fetched, by the leader's clock")
        .encode(encoder, by_voter(|one| Some(one.last_fetch_ago?.as_secs_f64())))
}
