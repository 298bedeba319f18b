//! May this node stop now?
//!
//! One principle: a stop waits for what a wait can cure, and never for more. So
//! * a voter waits until a majority follows without it. A quorum of one or two voters never has that: a note, no wait;
//! * a broker waits until its partitions can do without it ([`crate::quorum::isr`]);
//! * while a leader is being elected both wait: it is a matter of seconds;
//! * a quorum that never formed, has lost its majority, is wedged, or has found no leader for a minute gets no worse by
//!   the stop of a controller, and to restart the controllers may be the cure (after all their certificates ran out
//!   it is). Nothing holds a controller back then. A broker that serves is another matter: without a leader nobody can
//!   take over its partitions, and it could not come back by itself. It waits;
//! * a broker that does not serve anyway (fenced, frozen, not open yet) takes nothing away;
//! * of two nodes that want to stop, the lower id goes first, and one that is on its way goes before all. The other waits
//!   until that one is back, which the quorum and the replicas in sync show. The node looks at its peers once more after
//!   it was announced to them, for longer than an announcement travels: of two that announce at once, at least one sees
//!   the other.
//!
//! The caller bounds the wait: a pod can always be deleted.

use std::time::Duration;
use std::time::SystemTime;

use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::QuorumKind;
use crate::kafka::node_id::NodeId;
use crate::quorum::isr::Isr;
use crate::quorum::own::Own;
use crate::quorum::timeline::seconds;
use crate::quorum::verdict::how_it_follows;
use crate::quorum::view::Blocker;
use crate::quorum::view::Broker;
use crate::quorum::view::BrokerStanding;
use crate::quorum::view::Note;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::quorum::view::Stop;
use crate::quorum::view::Voter;
use crate::quorum::view::VoterStanding;
use crate::quorum::voters::caught_up;
use crate::quorum::voters::has_all;
use crate::quorum::voters::majority;

/// All that the answer rests on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// This node.
    pub own: &'a Own,
    /// The quorum as it was judged last.
    pub quorum: Option<&'a Quorum>,
    /// This node as a broker.
    pub broker: Option<&'a Broker>,
    /// Its partitions, all of them; `None` where a page is missing.
    pub isr: Option<&'a Isr>,
    /// What the agents of the other nodes say.
    pub peers: &'a [PeerStop],
    /// When the controllers were last looked at.
    pub looked_at: Option<SystemTime>,
    /// Since when this node is announced to stop.
    pub announced_at: Option<SystemTime>,
    /// Since when its wait is over.
    pub released_at: Option<SystemTime>,
}

/// What another node's agent last said of its own stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerStop {
    /// The node.
    pub node_id: NodeId,
    /// Its roles.
    pub roles: ProcessRoles,
    /// Since when it is announced, by its own clock.
    pub announced_at: Option<SystemTime>,
    /// Since when its wait is over, by its own clock.
    pub released_at: Option<SystemTime>,
    /// When its agent was asked, by this machine's clock.
    pub seen_at: SystemTime,
}

/// Looks come every second, pages of many topics every few seconds. What is older says nothing of now. As long a peer
/// that is gone is held for what it said last: by then the leader and the replicas in sync show that it is away.
pub const FRESH: Duration = Duration::from_secs(30);

/// Agents look at each other every second, and one look takes a second at most.
const SETTLED: Duration = Duration::from_secs(3);

/// A quorum that found no leader in a minute, some ten elections, does not find one by waiting.
const HOPELESS: Duration = Duration::from_secs(60);

/// Says what holds this node back at `now`: the quorum first, then its partitions, then its peers.
pub fn stop(facts: &Facts<'_>, now: SystemTime) -> Stop {
    let look = Look { facts, now };
    let mut blockers: Vec<_> = look.quorum().into_iter().collect();
    blockers.extend(look.broker());
    blockers.extend(look.peers());
    let isr_at = facts.isr.map(Isr::at).filter(|_| look.serves());
    Stop {
        blockers,
        notes: look.notes(),
        seen_at: facts.looked_at.map(|looked_at| isr_at.map_or(looked_at, |isr_at| looked_at.min(isr_at))),
        announced_at: facts.announced_at,
        released_at: facts.released_at,
    }
}

/// What the quorum allows a controller.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leading {
    /// There is a leader.
    Leader,
    /// There may be one in a moment.
    Electing,
    /// There is none, and waiting brings none.
    Broken,
    /// There never was one.
    Forming,
    /// Leaders come and go.
    Storm,
    /// Nobody can tell.
    Unknown,
}

struct Look<'a> {
    facts: &'a Facts<'a>,
    now: SystemTime,
}

impl Look<'_> {
    fn leading(&self) -> Leading {
        let Some(quorum) =
            self.facts.quorum.filter(|_| self.facts.looked_at.is_some_and(|at| self.is_fresh(at)))
        else {
            return Leading::Unknown;
        };
        match (quorum.state, quorum.spare) {
            (QuorumState::Unknown, _) => Leading::Unknown,
            (QuorumState::Forming, _) => Leading::Forming,
            (QuorumState::Healthy | QuorumState::Degraded, Some(_)) => Leading::Leader,
            (QuorumState::Healthy | QuorumState::Degraded, None) => Leading::Electing,
            (QuorumState::Unstable, _) => Leading::Storm,
            (QuorumState::Leaderless, _) if self.age(quorum.since) < HOPELESS => Leading::Electing,
            (QuorumState::Leaderless | QuorumState::MajorityLost | QuorumState::Wedged, _) => Leading::Broken,
        }
    }

    fn quorum(&self) -> Option<Blocker> {
        let votes = self.voter().is_some_and(|voter| voter.standing != VoterStanding::Silent);
        let blocker = |reason: &str, sentence: &str| {
            Some(Blocker { reason: reason.to_owned(), sentence: sentence.to_owned() })
        };
        match self.leading() {
            Leading::Unknown if self.facts.looked_at.is_none() => {
                blocker("QuorumUnseen", "nobody has looked at the quorum yet")
            }
            Leading::Unknown => {
                let why = self.facts.quorum.map_or("", |quorum| quorum.sentence.as_str());
                blocker("QuorumUnknown", &format!("nobody can tell how the quorum is: {why}"))
            }
            Leading::Electing => blocker("NoLeader", "no leader answers; an election may be going on"),
            Leading::Storm if votes => blocker("QuorumUnstable", "leaders of the quorum come and go"),
            Leading::Leader if votes => self.needed(),
            Leading::Storm | Leading::Leader | Leading::Broken | Leading::Forming => None,
        }
    }

    /// Whether too few voters follow without this one, and others could.
    fn needed(&self) -> Option<Blocker> {
        let quorum = self.facts.quorum?;
        let (others, majority) = (self.others(quorum), majority(quorum.voters.len()));
        let following = caught_up(&others);
        if following >= majority || others.len() < majority {
            return None;
        }
        let missing: Vec<_> =
            others.iter().filter(|voter| !has_all(voter.standing)).map(how_it_follows).collect();
        let sentence = format!(
            "without node {} only {following} of {} voters follow, and {majority} are needed: {}",
            self.facts.own.node_id,
            quorum.voters.len(),
            missing.join(", ")
        );
        Some(Blocker { reason: "QuorumNeedsIt".to_owned(), sentence })
    }

    fn others(&self, quorum: &Quorum) -> Vec<Voter> {
        quorum.voters.iter().filter(|voter| voter.node_id != self.facts.own.node_id).cloned().collect()
    }

    /// This node among the voters, if it is that one and not the disk it had before.
    fn voter(&self) -> Option<&Voter> {
        let own = self.facts.own;
        let voter = self.facts.quorum?.voters.iter().find(|voter| voter.node_id == own.node_id)?;
        let is_other = own.quorum == QuorumKind::Dynamic
            && voter.directory_id.zip(own.directory_id).is_some_and(|(theirs, ours)| theirs != ours);
        Some(voter).filter(|_| !is_other)
    }

    /// Whether it has partitions to lose, as far as anybody knows.
    fn serves(&self) -> bool {
        let standing = self.facts.broker.map_or(BrokerStanding::Unknown, |broker| broker.standing);
        let is_open = match standing {
            BrokerStanding::Unknown | BrokerStanding::Unfenced | BrokerStanding::Stale => true,
            BrokerStanding::Starting | BrokerStanding::Fenced | BrokerStanding::Frozen => false,
        };
        self.facts.own.roles.is_broker() && is_open && self.leading() != Leading::Forming
    }

    fn broker(&self) -> Vec<Blocker> {
        let is_alone = self.facts.own.other_brokers() == 0 && !self.facts.own.brokers.is_empty();
        if !self.serves() || is_alone {
            return Vec::new();
        }
        let isr = self.facts.isr.filter(|isr| self.is_fresh(isr.at()));
        let has_none = isr.is_some_and(|isr| isr.partitions() == 0);
        match (self.leading(), isr) {
            (Leading::Broken, _) if !has_none => vec![Blocker {
                reason: "LeadersCannotMove".to_owned(),
                sentence: format!(
                    "the quorum cannot move the partitions of broker {} to others, and it could not come back by itself",
                    self.facts.own.node_id
                ),
            }],
            (_, Some(isr)) => isr.blockers(),
            (_, None) => vec![Blocker {
                reason: "IsrUnseen".to_owned(),
                sentence: format!(
                    "no broker has told which replicas are in sync in the last {}",
                    seconds(FRESH)
                ),
            }],
        }
    }

    fn peers(&self) -> Option<Blocker> {
        let votes = self.facts.own.roles.is_controller()
            && match self.leading() {
                Leading::Leader | Leading::Electing | Leading::Storm | Leading::Unknown => true,
                Leading::Broken | Leading::Forming => false,
            };
        if !votes && !self.serves() {
            return None;
        }
        let mut peers: Vec<_> = self.facts.peers.iter().filter(|peer| self.matters(peer)).collect();
        peers.sort_by_key(|peer| peer.node_id);
        let blocker = |reason: &str, sentence| Some(Blocker { reason: reason.to_owned(), sentence });
        if let Some(peer) = peers.iter().find(|peer| peer.released_at.is_some()) {
            let sentence = format!("node {} is stopping; this one waits until it is back", peer.node_id);
            return blocker("PeerStopping", sentence);
        }
        let goes_first = |peer: &&&PeerStop| {
            let is_lower = peer.node_id < self.facts.own.node_id;
            peer.announced_at.is_some() && (is_lower || self.facts.announced_at.is_none())
        };
        if let Some(peer) = peers.iter().find(goes_first) {
            let sentence = format!("node {} is about to stop and goes first", peer.node_id);
            return blocker("PeerGoesFirst", sentence);
        }
        let settled_at = self.facts.announced_at?.checked_add(SETTLED)?;
        let peer = peers.iter().find(|peer| peer.seen_at < settled_at)?;
        let sentence = format!("node {} was not yet asked whether it is about to stop too", peer.node_id);
        blocker("PeersNotAsked", sentence)
    }

    /// Whether it says something of now, and its stop and this node's are about the same thing.
    fn matters(&self, peer: &PeerStop) -> bool {
        let (own, its) = (self.facts.own, peer.roles);
        let shares =
            own.roles.is_controller() && its.is_controller() || own.roles.is_broker() && its.is_broker();
        peer.node_id != own.node_id && shares && self.is_fresh(peer.seen_at)
    }

    fn notes(&self) -> Vec<Note> {
        let own = self.facts.own.node_id;
        let mut notes = Vec::new();
        if let (Leading::Leader, Some(quorum), Some(voter)) =
            (self.leading(), self.facts.quorum, self.voter())
        {
            let others = self.others(quorum).len();
            if others < majority(quorum.voters.len()) {
                let sentence = format!(
                    "the quorum has {} and none to spare: without node {own} it stands still, whenever that is",
                    if others == 0 { "1 voter" } else { "2 voters" }
                );
                notes.push(Note { reason: "QuorumHasNoneToSpare".to_owned(), sentence });
            } else if voter.standing == VoterStanding::Leader {
                let sentence =
                    format!("node {own} leads; where the order is free, followers stop before the leader");
                notes.push(Note { reason: "LeaderLast".to_owned(), sentence });
            }
        }
        if self.serves() {
            notes.extend(self.facts.isr.map(Isr::notes).unwrap_or_default());
        }
        notes
    }

    /// A date in the future, after the clock was set back, is taken for now.
    fn age(&self, at: SystemTime) -> Duration {
        self.now.duration_since(at).unwrap_or_default()
    }

    fn is_fresh(&self, at: SystemTime) -> bool {
        self.age(at) <= FRESH
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quorum::testing::at;
    use crate::quorum::testing::directory;
    use crate::quorum::testing::info;
    use crate::quorum::testing::isr;
    use crate::quorum::testing::node;
    use crate::quorum::testing::own;
    use crate::quorum::testing::partition;
    use crate::quorum::voters::Reading;
    use crate::quorum::voters::spare;

    const NOW: u64 = 1_000;

    /// A quorum since so many seconds, with `c` a caught-up voter, `s` a silent one, `b` one that is behind, `l` the leader;
    /// without a leader where there is no `l`.
    fn quorum(state: QuorumState, seconds_ago: u64, standings: &str) -> Quorum {
        let voters: Vec<_> =
            (1..).zip(standings.chars().map(|kind| if kind == 's' { 9_000 } else { 100 })).collect();
        let leader = (1..).zip(standings.chars()).find(|(_, kind)| *kind == 'l').map(|(id, _)| id);
        let mut said = info(leader.unwrap_or(9), 7, 100, &voters);
        for (row, kind) in said.voters.iter_mut().zip(standings.chars()) {
            if kind == 'b' {
                (row.log_end_offset, row.last_caught_up_timestamp_ms) = (Some(3), Some(0));
            }
            if kind == 'l' {
                row.last_fetch_timestamp_ms = Some(1_000_000);
            }
        }
        let voters = Reading::of(&said, &own(1)).unwrap().voters;
        Quorum {
            state,
            sentence: "as it is".to_owned(),
            since: at(NOW - seconds_ago),
            seen_at: Some(at(NOW)),
            leader: leader.map(node),
            epoch: Some(7),
            epochs_per_minute: 0,
            high_watermark: Some(100),
            spare: leader.map(|_| spare(&voters)),
            voters,
        }
    }

    fn broker(standing: BrokerStanding) -> Broker {
        Broker { standing, sentence: String::new(), since: at(0), metadata_lag: None }
    }

    /// The partition of broker 101, with these replicas in sync.
    fn in_sync(in_sync: &[i32]) -> Isr {
        isr(NOW - 2, partition(0, &[101, 102, 103], in_sync))
    }

    fn facts(own: &Own) -> Facts<'_> {
        Facts {
            own,
            quorum: None,
            broker: None,
            isr: None,
            peers: &[],
            looked_at: Some(at(NOW - 1)),
            announced_at: None,
            released_at: None,
        }
    }

    fn reasons(facts: &Facts<'_>) -> (Vec<String>, Vec<String>) {
        let stop = stop(facts, at(NOW));
        let blockers = stop.blockers.into_iter().map(|blocker| blocker.reason).collect();
        (blockers, stop.notes.into_iter().map(|note| note.reason).collect())
    }

    #[test]
    fn a_controller_stops_where_a_majority_follows_without_it_or_the_quorum_is_broken_anyway() {
        use QuorumState::*;
        for (state, ago, standings, id, want, note) in [
            (Healthy, 99, "lcc", 2, None, None),
            (Healthy, 99, "lcc", 1, None, Some("LeaderLast")),
            (Degraded, 99, "lcs", 1, Some("QuorumNeedsIt"), Some("LeaderLast")),
            (Degraded, 99, "lcs", 2, Some("QuorumNeedsIt"), None),
            // The silent one itself: it takes nothing away.
            (Degraded, 99, "lcs", 3, None, None),
            (Degraded, 99, "lcb", 2, Some("QuorumNeedsIt"), None),
            (Degraded, 99, "lcb", 3, None, None),
            (Degraded, 99, "lbs", 2, Some("QuorumNeedsIt"), None),
            (Healthy, 99, "lcccc", 2, None, None),
            (Degraded, 99, "lcccs", 2, None, None),
            (Degraded, 99, "lccss", 2, Some("QuorumNeedsIt"), None),
            (Healthy, 99, "lccc", 2, None, None),
            (Degraded, 99, "lccs", 2, Some("QuorumNeedsIt"), None),
            (Healthy, 99, "l", 1, None, Some("QuorumHasNoneToSpare")),
            (Healthy, 99, "lc", 2, None, Some("QuorumHasNoneToSpare")),
            (Healthy, 99, "ccc", 2, Some("NoLeader"), None),
            (Leaderless, 59, "ccc", 2, Some("NoLeader"), None),
            (Leaderless, 60, "ccc", 2, None, None),
            (MajorityLost, 0, "css", 1, None, None),
            (Wedged, 0, "lcc", 1, None, None),
            (Forming, 0, "c", 1, None, None),
            (Unknown, 99, "ccc", 1, Some("QuorumUnknown"), None),
            (Unstable, 99, "lcc", 2, Some("QuorumUnstable"), None),
            (Unstable, 99, "lcs", 3, None, None),
            // A controller that is no voter.
            (Degraded, 99, "lcs", 4, None, None),
        ] {
            let (own, quorum) = (own(id), quorum(state, ago, standings));
            let found = reasons(&Facts { quorum: Some(&quorum), ..facts(&own) });
            assert_eq!(
                found,
                (Vec::from_iter(want.map(str::to_owned)), Vec::from_iter(note.map(str::to_owned))),
                "{state:?} {standings} {id}"
            );
        }
        let replaced = Own { directory_id: Some(directory(9)), ..own(2) };
        let quorum = quorum(Degraded, 99, "lcs");
        assert_eq!(reasons(&Facts { quorum: Some(&quorum), ..facts(&replaced) }).0, Vec::<String>::new());
    }

    #[test]
    fn a_broker_stops_where_its_partitions_can_do_without_it() {
        use BrokerStanding::*;
        let healthy = quorum(QuorumState::Healthy, 99, "lcc");
        let (all, some) = (in_sync(&[101, 102, 103]), in_sync(&[101, 102]));
        let nothing = isr(NOW, partition(0, &[102], &[]));
        let states = |state| quorum(state, 99, "css");
        let (lost, forming, unknown) =
            (states(QuorumState::MajorityLost), states(QuorumState::Forming), states(QuorumState::Unknown));
        for (quorum, standing, isr, want) in [
            (&healthy, Unfenced, Some(&all), vec![]),
            (&healthy, Unfenced, Some(&some), vec!["WouldFallUnderMinIsr"]),
            (&healthy, Stale, Some(&some), vec!["WouldFallUnderMinIsr"]),
            (&healthy, Unknown, Some(&some), vec!["WouldFallUnderMinIsr"]),
            (&healthy, Unfenced, None, vec!["IsrUnseen"]),
            (&healthy, Fenced, None, vec![]),
            (&healthy, Starting, None, vec![]),
            (&healthy, Frozen, Some(&some), vec![]),
            (&lost, Unfenced, Some(&all), vec!["LeadersCannotMove"]),
            (&lost, Unfenced, None, vec!["LeadersCannotMove"]),
            (&lost, Unfenced, Some(&nothing), vec![]),
            (&lost, Frozen, Some(&all), vec![]),
            (&forming, Unknown, None, vec![]),
            (&unknown, Unfenced, Some(&some), vec!["QuorumUnknown", "WouldFallUnderMinIsr"]),
        ] {
            let (own, broker) = (own(101), broker(standing));
            let facts = Facts { quorum: Some(quorum), broker: Some(&broker), isr, ..facts(&own) };
            assert_eq!(reasons(&facts).0, want, "{:?} {standing:?}", quorum.state);
            let alone = Own { brokers: [node(101)].into(), ..own.clone() };
            let want: Vec<_> = want.into_iter().filter(|reason| *reason == "QuorumUnknown").collect();
            assert_eq!(reasons(&Facts { own: &alone, ..facts }).0, want, "{:?} alone", quorum.state);
        }
    }

    #[test]
    fn what_was_not_seen_or_is_old_is_no_permission() {
        let (own, healthy) = (own(101), quorum(QuorumState::Healthy, 99, "lcc"));
        let all = in_sync(&[101, 102, 103]);
        let nothing = Facts { looked_at: None, ..facts(&own) };
        assert_eq!(reasons(&nothing).0, ["QuorumUnseen", "IsrUnseen"]);
        assert_eq!(stop(&nothing, at(NOW)).seen_at, None);
        let seen = Facts { quorum: Some(&healthy), isr: Some(&all), ..facts(&own) };
        assert_eq!(stop(&seen, at(NOW)).seen_at, Some(at(NOW - 2)));
        assert_eq!(stop(&seen, at(NOW + 28)).blockers, []);
        let old: Vec<_> =
            stop(&seen, at(NOW + 31)).blockers.into_iter().map(|blocker| blocker.reason).collect();
        assert_eq!(old, ["QuorumUnknown", "IsrUnseen"]);
        // The clock was set back.
        assert_eq!(stop(&seen, at(0)).blockers, []);
    }

    /// Peers as (id, announced, released, seconds since it was asked), and this node announced so many seconds ago.
    fn turn(id: i32, announced_ago: Option<u64>, peers: &[(i32, bool, bool, u64)]) -> Option<String> {
        let (own, healthy) = (own(id), quorum(QuorumState::Healthy, 99, "lcccc"));
        let peers: Vec<_> = peers
            .iter()
            .map(|&(id, announced, released, ago)| PeerStop {
                node_id: node(id),
                roles: if id < 100 { ProcessRoles::Controller } else { ProcessRoles::Broker },
                announced_at: announced.then(|| at(NOW + 7_777)),
                released_at: released.then(|| at(1)),
                seen_at: at(NOW - ago),
            })
            .collect();
        let announced_at = announced_ago.map(|ago| at(NOW - ago));
        let found = reasons(&Facts { quorum: Some(&healthy), peers: &peers, announced_at, ..facts(&own) }).0;
        assert!(found.len() <= 1);
        found.first().cloned()
    }

    #[test]
    fn of_two_that_want_to_stop_the_lower_id_goes_first_and_the_other_waits_until_it_is_back() {
        for (id, announced_ago, peers, want) in [
            (2, Some(10), &[][..], None),
            (2, Some(10), &[(1, false, false, 1)][..], None),
            (2, Some(10), &[(1, true, false, 1)], Some("PeerGoesFirst")),
            (2, Some(10), &[(3, true, false, 1)], None),
            (2, Some(10), &[(3, true, true, 1)], Some("PeerStopping")),
            (2, Some(10), &[(3, true, false, 1), (1, true, true, 1)], Some("PeerStopping")),
            // Not announced itself: whoever is goes first.
            (2, None, &[(3, true, false, 1)], Some("PeerGoesFirst")),
            (2, None, &[(3, false, false, 1)], None),
            // Both may have announced in this moment.
            (2, Some(2), &[(3, false, false, 0)], Some("PeersNotAsked")),
            (2, Some(10), &[(3, false, false, 8)], Some("PeersNotAsked")),
            (2, Some(10), &[(3, false, false, 7)], None),
            // Gone: for a while it is taken at its word.
            (2, Some(50), &[(1, true, true, 30)], Some("PeerStopping")),
            (2, Some(50), &[(1, true, true, 31)], None),
            // Another kind of node, and its own entry.
            (2, Some(10), &[(101, true, true, 1)], None),
            (2, Some(10), &[(2, true, true, 1)], None),
        ] {
            assert_eq!(turn(id, announced_ago, peers).as_deref(), want, "{id} {announced_ago:?} {peers:?}");
        }
    }

    #[test]
    fn where_nothing_can_get_worse_nobody_waits_for_a_peer() {
        let peers = [PeerStop {
            node_id: node(1),
            roles: ProcessRoles::Combined,
            announced_at: Some(at(NOW)),
            released_at: Some(at(NOW)),
            seen_at: at(NOW),
        }];
        for (state, roles, want) in [
            (QuorumState::Forming, ProcessRoles::Combined, vec![]),
            (QuorumState::MajorityLost, ProcessRoles::Controller, vec![]),
            (QuorumState::MajorityLost, ProcessRoles::Combined, vec!["LeadersCannotMove", "PeerStopping"]),
        ] {
            let (own, quorum) = (Own { roles, ..own(2) }, quorum(state, 99, "css"));
            let found = reasons(&Facts { quorum: Some(&quorum), peers: &peers, ..facts(&own) }).0;
            assert_eq!(found, want, "{state:?} {roles}");
        }
    }

    proptest! {
        #[test]
        fn of_those_that_have_seen_each_other_exactly_one_may_go(ids in prop::collection::btree_set(1i32..6, 2..5)) {
            let may_go = ids.iter().filter(|id| {
                let peers: Vec<_> = ids.iter().filter(|one| one != id).map(|one| (*one, true, false, 0)).collect();
                turn(**id, Some(5), &peers).is_none()
            });
            prop_assert_eq!(may_go.collect::<Vec<_>>(), [ids.first().unwrap()]);
        }
    }
}
