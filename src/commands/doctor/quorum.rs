//! Looks at the controllers until what is seen is worth a verdict.

use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;
use tokio::time::sleep;

use crate::commands::doctor::local::Local;
use crate::health::doctor::clock;
use crate::health::doctor::quorum::is_settled;
use crate::kafka::node_id::NodeId;
use crate::quorum::history::History;
use crate::quorum::io::Controller;
use crate::quorum::io::Looker;
use crate::quorum::member::MemberVerdict;
use crate::quorum::own::Own;
use crate::quorum::sighting::Answer;
use crate::quorum::sighting::Sighting;
use crate::quorum::verdict::Verdict;
use crate::quorum::view::Member;
use crate::quorum::view::Quorum;

/// What one node has seen of the controllers.
pub struct Seen {
    /// Its pod.
    pub by: String,
    /// What it knew before it looked.
    pub own: Own,
    /// How the quorum is, by this.
    pub quorum: Option<Quorum>,
    /// Folded.
    pub history: History,
    /// Each look.
    sightings: Vec<Sighting>,
    /// The leader's clock, by the quickest of its answers.
    pub clock: Option<(NodeId, clock::Asked)>,
}

/// What one round of questions gets.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A leader commits something every half second by default (`metadata.max.idle.interval.ms`).
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// A cluster may have long timeouts, and nobody looks on for longer.
const LOOK_FOR: Duration = Duration::from_secs(60);

/// Who asks: the first node that has something to show where the controllers want it, and nothing wrong with it.
pub fn asker<'a, 'b>(locals: &'a [Local<'b>]) -> Option<(&'a Local<'b>, Vec<Controller>)> {
    let dialled = |local: &'a Local<'b>| {
        let listener = local.inputs.cluster.controller_listener()?;
        let store = listener.certificate.as_deref().and_then(|name| local.store(name));
        let client = store.and_then(|store| store.client.as_ref());
        let controllers = local.controllers.dialled(client, local.inputs.login.as_ref());
        let doubts = store.map_or(0, |store| store.preflight.len());
        (!controllers.is_empty()).then_some((doubts, local, controllers))
    };
    let best = locals.iter().filter_map(dialled).min_by_key(|(doubts, _, _)| *doubts);
    best.map(|(_, local, controllers)| (local, controllers))
}

/// Looks as this node until another look would add nothing.
pub async fn look(local: &Local<'_>, controllers: &[Controller]) -> Seen {
    let own = &local.controllers.own;
    let is_own = |one: &Controller| own.roles.is_controller() && one.node_id == Some(own.node_id);
    let place = controllers.iter().position(is_own);
    let (mut looker, mut verdict) = (Looker::default(), Verdict::default());
    let mut seen = Seen {
        by: local.pod.clone(),
        own: own.clone(),
        quorum: None,
        history: History::default(),
        sightings: Vec::new(),
        clock: None,
    };
    let begun = Instant::now();
    let mut first = None;
    loop {
        let sighting = looker.look(controllers, place, ANSWER_WITHIN).await;
        let clock = leaders_clock(&sighting, SystemTime::now());
        let is_quicker = |one: &clock::Asked, than: &clock::Asked| {
            one.after.duration_since(one.before).ok() < than.after.duration_since(than.before).ok()
        };
        seen.clock = match (seen.clock.take(), clock) {
            (Some(old), Some(new)) => Some(if is_quicker(&new.1, &old.1) { new } else { old }),
            (old, new) => old.or(new),
        };
        seen.history.take(&sighting, own);
        seen.sightings.push(sighting);
        seen.quorum = verdict.judge(&seen.history, own);
        let looked_for = begun.elapsed();
        let Some(quorum) = &seen.quorum else { return seen };
        first = first.or(quorum.high_watermark);
        if looked_for > LOOK_FOR || is_settled(quorum, &seen.history, first, looked_for, own) {
            return seen;
        }
        sleep(LOOK_EVERY).await;
    }
}

impl Seen {
    /// What a node is in the quorum, by the same looks.
    pub fn member(&self, own: &Own) -> Option<Member> {
        let (mut history, mut verdict) = (History::default(), MemberVerdict::default());
        let mut member = None;
        for sighting in &self.sightings {
            history.take(sighting, own);
            member = verdict.judge(&history, own);
        }
        member
    }
}

/// The leader's own row has the time of its answer, by its clock (`LeaderState.describeQuorum`).
fn leaders_clock(sighting: &Sighting, after: SystemTime) -> Option<(NodeId, clock::Asked)> {
    let infos = sighting.controllers.iter().filter_map(|one| match &one.answer {
        Answer::Leads(info) => Some(info),
        Answer::Follows
        | Answer::NotAsked
        | Answer::Refuses(_)
        | Answer::Silent(_)
        | Answer::Closed(_)
        | Answer::Away(_) => None,
    });
    let info = infos.max_by_key(|info| info.leader_epoch)?;
    let leader = info.leader_id?;
    let row = info.voters.iter().find(|row| row.replica_id == leader)?;
    let milliseconds = u64::try_from(row.last_fetch_timestamp_ms?).ok()?;
    let leader_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))?;
    Some((leader, clock::Asked { before: sighting.at, after, leader_at }))
}
