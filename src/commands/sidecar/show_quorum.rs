//! What the loop that looks at the cluster has found becomes part of the snapshot, and what is news is told once.

use crate::commands::sidecar::context::Context;
use crate::health::snapshot::Condition;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::quorum::conditions::Condition as Stated;
use crate::quorum::conditions::conditions;
use crate::quorum::departure::Departure;
use crate::quorum::judge::Judge;
use crate::quorum::view::Blocker;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::quorum::view::Stop;

/// Shows all of it at once: whoever sees one part sees those that belong to it.
pub fn show(context: &Context, judge: &Judge, stop: Stop) {
    let before = context.board.quorum();
    context.board.change(|snapshot| {
        snapshot.quorum = judge.quorum().cloned();
        snapshot.broker = judge.broker().cloned();
        snapshot.member = judge.member().filter(|_| judge.own().roles.is_controller()).cloned();
        snapshot.stop = Some(stop);
    });
    if let Some(quorum) = judge.quorum() {
        tell(context, before.as_ref(), quorum);
    }
    let condition = |one: Stated| Condition {
        reason: Word::of(one.reason),
        sentence: Text::new(one.sentence),
        since: one.since,
        matters_at: one.matters_at,
        remedy: Some(Text::new(one.remedy)),
    };
    context.board.conditions("quorum", conditions(judge).into_iter().map(condition).collect());
}

/// A new leader and another state are told once.
fn tell(context: &Context, before: Option<&Quorum>, now: &Quorum) {
    let was = before.map_or(QuorumState::Unknown, |before| before.state);
    if was != now.state {
        match now.state {
            QuorumState::Healthy => context.board.happened("QuorumHealthy", &now.sentence),
            QuorumState::Unknown | QuorumState::Forming => {
                context.board.happened("QuorumForming", &now.sentence)
            }
            QuorumState::Degraded => context.board.went_wrong("QuorumDegraded", &now.sentence),
            QuorumState::MajorityLost => context.board.went_wrong("QuorumMajorityLost", &now.sentence),
            QuorumState::Leaderless => context.board.went_wrong("QuorumLeaderless", &now.sentence),
            QuorumState::Unstable => context.board.went_wrong("QuorumUnstable", &now.sentence),
            QuorumState::Wedged => context.board.went_wrong("QuorumWedged", &now.sentence),
        }
    } else if let (Some(before), Some(leader)) = (before.and_then(|before| before.leader), now.leader)
        && before != leader
    {
        let sentence = format!("node {leader} leads the quorum; it was node {before}");
        context.board.happened("LeaderChanged", &sentence);
    }
}

/// Tells how far the stop of this node is; `blockers` hold it back.
pub fn tell_departure(context: &Context, before: Departure, now: Departure, blockers: &[Blocker]) {
    let board = &context.board;
    match (before, now) {
        (Departure::Stays, Departure::Waits { .. }) => {
            board.happened(
                "StopAnnounced",
                "this node is about to stop, and waits until it can be done without",
            );
        }
        (Departure::Waits { .. }, Departure::Goes { .. }) if blockers.is_empty() => {
            board.happened("StopReleased", "this node may stop");
        }
        (Departure::Waits { .. }, Departure::Goes { .. }) => {
            let sentences: Vec<_> = blockers.iter().map(|one| one.sentence.as_str()).collect();
            let sentence = format!("this node stops, and was not waited for: {}", sentences.join("; "));
            board.went_wrong("StopTooSoon", &sentence);
        }
        (Departure::Goes { .. }, Departure::Stays) => {
            board.happened("StopOver", "this node is back, or nobody has stopped it");
        }
        (Departure::Stays | Departure::Waits { .. } | Departure::Goes { .. }, _) => {}
    }
}
