//! What this node is in the quorum: in the leader's words, never in its own.
//!
//! A node that is cut off, or whose certificate nobody trusts, believes itself well. Only one thing is taken from the
//! node itself: that its controller's port is open and silent, for a frozen process keeps its port and a leader that is
//! frozen says nothing. What is good is believed at once; what is bad has to last.

use std::time::Duration;

use crate::cluster::settings::QuorumKind;
use crate::kafka::uuid::Uuid;
use crate::quorum::history::History;
use crate::quorum::own::DAMPING;
use crate::quorum::own::Own;
use crate::quorum::timeline::Held;
use crate::quorum::timeline::Mark;
use crate::quorum::timeline::hold;
use crate::quorum::timeline::seconds;
use crate::quorum::view::Member;
use crate::quorum::view::MemberStanding;
use crate::quorum::view::Voter;
use crate::quorum::view::VoterStanding;
use crate::quorum::voters::Reading;

/// The standing that holds, look by look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberVerdict {
    held: Option<Held<MemberStanding>>,
    /// What it was by the last word of a leader, if that was good. Where nobody leads for long it is no longer shown; but
    /// who leads next has not heard of everybody at once, and that is no reason to take a broker from its clients.
    last_good: Option<MemberStanding>,
    /// Since when the leader's words are not good.
    bad_since: Option<Mark>,
    /// Where this node's log ended, and since when it has.
    end: Option<Held<Option<i64>>>,
}

/// A new controller of a dynamic quorum catches up, and is added by itself (`controller.quorum.auto.join.enable`) or by
/// a person. Whoever only observes after so long was not added.
const JOINING: Duration = Duration::from_secs(60);

impl MemberVerdict {
    /// Judges after a look; `None` before the first.
    pub fn judge(&mut self, history: &History, own: &Own) -> Option<Member> {
        history.timeline().at()?;
        let now = history.timeline().now();
        let (standing, from, sentence) = match (self.frozen(history, own), history.reading()) {
            (Some((since, sentence)), _) => (MemberStanding::Wedged, since, sentence),
            (None, Some(reading)) => self.by_the_leader(history, own, reading),
            (None, None) => self.without_leader(history, own),
        };
        if is_good(standing) {
            self.last_good = Some(standing);
        } else if standing != MemberStanding::Unknown {
            self.last_good = None;
        }
        let since = hold(&mut self.held, standing, from.unwrap_or(now));
        Some(Member { standing, sentence, since: history.timeline().date(since) })
    }

    /// Its own port is silent for too long, or for a moment while the leader misses it too.
    fn frozen(&self, history: &History, own: &Own) -> Option<(Option<Mark>, String)> {
        let since = history.own_silent_since()?;
        let is_missed = |reading: &Reading| {
            reading.voter(own.node_id).is_some_and(|voter| voter.standing == VoterStanding::Silent)
        };
        let is_missed = history.reading().is_some_and(is_missed);
        let patience = if is_missed { DAMPING } else { own.frozen_after() };
        let age = history.timeline().age(since);
        let missed = if is_missed { ", and the leader has not heard of it either" } else { "" };
        let sentence = format!(
            "the controller of node {} takes connections and has answered none for {}{missed}",
            own.node_id,
            seconds(age)
        );
        (age >= patience).then_some((Some(since), sentence))
    }

    fn without_leader(&mut self, history: &History, own: &Own) -> (MemberStanding, Option<Mark>, String) {
        let since = history.without_since();
        let is_long = since.is_none_or(|since| history.timeline().age(since) >= own.election_grace());
        self.bad_since = None;
        match &self.held {
            Some(held) if !is_long => {
                let sentence = "no leader answers at the moment; this is what the last one said".to_owned();
                (held.value, None, sentence)
            }
            Some(_) | None => {
                let sentence = "no leader answers, and nobody else can say what this node is".to_owned();
                (MemberStanding::Unknown, since, sentence)
            }
        }
    }

    fn by_the_leader(
        &mut self,
        history: &History,
        own: &Own,
        reading: &Reading,
    ) -> (MemberStanding, Option<Mark>, String) {
        let now = history.timeline().now();
        let (standing, sentence) = self.said(history, own, reading);
        let held = self.held.as_ref().map(|held| held.value).filter(|held| *held != MemberStanding::Unknown);
        let before = held.or(self.last_good).unwrap_or_default();
        if is_good(standing) {
            self.bad_since = None;
            return (standing, None, sentence);
        }
        let since = *self.bad_since.get_or_insert(now);
        let age = history.timeline().age(since);
        if age >= patience(standing, before, own) {
            return (standing, Some(since), sentence);
        }
        let meanwhile = match (standing, before) {
            // Until it has had its time to be added it is what it is.
            (MemberStanding::NotAVoter, _) => MemberStanding::Observer,
            // Somebody else leads.
            (_, MemberStanding::Leader) => MemberStanding::CaughtUp,
            (_, before) => before,
        };
        (meanwhile, None, sentence)
    }

    /// What the leader says, at this look.
    fn said(&mut self, history: &History, own: &Own, reading: &Reading) -> (MemberStanding, String) {
        let now = history.timeline().now();
        let end_since = hold(&mut self.end, reading.own_log_end_offset, now);
        let leader = reading.leader;
        let of = format!("of leader {leader} in epoch {}", reading.epoch);
        if let Some(voter) = reading.voter(own.node_id) {
            if let Some((theirs, ours)) = lost_identity(voter, reading, own) {
                let sentence = format!(
                    "leader {leader} counts voter {} with directory {theirs}, and this disk has {ours}",
                    own.node_id
                );
                return (MemberStanding::LostIdentity, sentence);
            }
            let still = history.timeline().age(end_since);
            return by_standing(voter, still > own.wedged_after(), reading.epoch, &of);
        }
        let counts: Vec<_> = reading.voters.iter().map(|voter| voter.node_id.to_string()).collect();
        let counts = format!("leader {leader} counts voters {}", counts.join(", "));
        match (&reading.observer, own.is_counted(), own.quorum) {
            (_, true, QuorumKind::Static) => {
                let sentence = format!("{counts}, and the settings count node {} too", own.node_id);
                (MemberStanding::NotAVoter, sentence)
            }
            (Some(observer), true, QuorumKind::Dynamic) if observer.standing != VoterStanding::Silent => {
                let sentence = format!("{counts}; node {} observes and has not been added", own.node_id);
                (MemberStanding::NotAVoter, sentence)
            }
            (Some(observer), _, _) => match observer.standing {
                VoterStanding::Silent => (MemberStanding::Silent, silence("observer", observer, &of)),
                VoterStanding::Leader | VoterStanding::CaughtUp | VoterStanding::Behind => {
                    (MemberStanding::Observer, format!("an observer {of}"))
                }
            },
            (None, _, _) => {
                let sentence = format!("{counts}, and has not heard of node {}", own.node_id);
                (MemberStanding::Unseen, sentence)
            }
        }
    }
}

fn by_standing(voter: &Voter, is_still: bool, epoch: i32, of: &str) -> (MemberStanding, String) {
    let lag = voter.lag.map_or("an unknown number of".to_owned(), |lag| lag.to_string());
    match (voter.standing, is_still) {
        (VoterStanding::Leader, _) => (MemberStanding::Leader, format!("the leader in epoch {epoch}")),
        (VoterStanding::CaughtUp, _) => (MemberStanding::CaughtUp, format!("a caught-up voter {of}")),
        (VoterStanding::Behind, false) => {
            (MemberStanding::Behind, format!("a voter {of}, {lag} records behind"))
        }
        (VoterStanding::Behind, true) => {
            let sentence =
                format!("a voter {of} that fetches and takes nothing: it stays {lag} records behind");
            (MemberStanding::Wedged, sentence)
        }
        (VoterStanding::Silent, _) => (MemberStanding::Silent, silence("voter", voter, of)),
    }
}

fn silence(what: &str, voter: &Voter, of: &str) -> String {
    match voter.last_fetch_ago {
        Some(ago) => format!("a {what} {of} that has not fetched for {}", seconds(ago)),
        None => format!("a {what} {of} that has not fetched yet"),
    }
}

/// The directory that the leader counts, and that of this disk, where they differ and this node is known by the other.
/// A static quorum counts ids alone; what the leader shows there is what a voter said last, and proves nothing.
fn lost_identity(voter: &Voter, reading: &Reading, own: &Own) -> Option<(Uuid, Uuid)> {
    let (theirs, ours) = (voter.directory_id?, own.directory_id?);
    let may_tell = match own.quorum {
        QuorumKind::Dynamic => true,
        QuorumKind::Static => reading.observer.is_some(),
    };
    (may_tell && theirs != ours).then_some((theirs, ours))
}

fn is_good(standing: MemberStanding) -> bool {
    match standing {
        MemberStanding::Leader | MemberStanding::CaughtUp | MemberStanding::Observer => true,
        MemberStanding::Unknown
        | MemberStanding::Behind
        | MemberStanding::Silent
        | MemberStanding::Wedged
        | MemberStanding::NotAVoter
        | MemberStanding::LostIdentity
        | MemberStanding::Unseen => false,
    }
}

/// How long something bad has to last.
fn patience(standing: MemberStanding, before: MemberStanding, own: &Own) -> Duration {
    match standing {
        // Nothing better was known.
        MemberStanding::Behind | MemberStanding::Silent if !is_good(before) => Duration::ZERO,
        MemberStanding::Behind | MemberStanding::Silent => DAMPING,
        // A new leader has heard of nobody but the voters; observers find it as soon as they notice.
        MemberStanding::Unseen => own.election_grace(),
        MemberStanding::NotAVoter => match own.quorum {
            QuorumKind::Static => Duration::ZERO,
            QuorumKind::Dynamic => JOINING,
        },
        MemberStanding::Leader
        | MemberStanding::CaughtUp
        | MemberStanding::Observer
        | MemberStanding::Unknown
        | MemberStanding::Wedged
        | MemberStanding::LostIdentity => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::pool::ProcessRoles;
    use crate::kafka::describe_quorum::QuorumInfo;
    use crate::quorum::sighting::Answer;
    use crate::quorum::sighting::Asked;
    use crate::quorum::sighting::Sighting;
    use crate::quorum::testing::asked;
    use crate::quorum::testing::at;
    use crate::quorum::testing::directory;
    use crate::quorum::testing::info;
    use crate::quorum::testing::node;
    use crate::quorum::testing::own;
    use crate::quorum::testing::replica;

    /// The leader's words, the same for some seconds, and the own port's.
    struct Watch {
        own: Own,
        history: History,
        verdict: MemberVerdict,
        second: u64,
    }

    impl Watch {
        fn of(own: Own) -> Self {
            Self { own, history: History::default(), verdict: MemberVerdict::default(), second: 0 }
        }

        /// Looks once a second, until after `seconds`; what it is then.
        fn see(&mut self, seconds: u64, info: Option<&QuorumInfo>, own_port: Answer) -> Member {
            let mut last = None;
            for _ in 0..seconds {
                self.second += 1;
                let ask = |id: i32, answer| Asked {
                    node_id: Some(node(id)),
                    address: format!("host{id}:9093"),
                    answer,
                };
                let mut controllers = vec![ask(self.own.node_id.get(), own_port.clone())];
                match info {
                    Some(info) => {
                        let mut info = info.clone();
                        info.high_watermark = Some(i64::try_from(self.second).unwrap() * 2 + 1_000);
                        controllers.push(ask(info.leader_id.unwrap().get(), Answer::Leads(info)));
                    }
                    None => controllers.extend(asked("ccc")),
                }
                self.history.take(&Sighting { at: at(self.second), controllers }, &self.own);
                last = self.verdict.judge(&self.history, &self.own);
            }
            last.unwrap()
        }
    }

    const WELL: &[(i32, i64)] = &[(1, 0), (2, 200), (3, 200)];
    const MISSES_3: &[(i32, i64)] = &[(1, 0), (2, 200), (3, 5_000)];

    fn follows() -> Answer {
        Answer::Follows
    }

    fn silent() -> Answer {
        Answer::Silent("no answer within 2 s".to_owned())
    }

    #[test]
    fn the_leader_says_what_a_voter_is() {
        let mut behind = info(1, 7, 100, WELL);
        behind.voters[2].log_end_offset = Some(40);
        behind.voters[2].last_caught_up_timestamp_ms = Some(0);
        let mut elsewhere = info(1, 7, 100, MISSES_3);
        elsewhere.voters[2].directory_id = Some(directory(9));
        let without_3 = info(1, 7, 100, &[(1, 0), (2, 200)]);
        let mut observing = without_3.clone();
        observing.observers.push(replica(3, 300, 100));
        let of_static = Own { quorum: QuorumKind::Static, ..own(3) };
        let spare_node = Own { controllers: [1, 2].map(node).into(), ..own(3) };
        for (own_node, said, seconds, want) in [
            (own(1), info(1, 7, 100, WELL), 1, MemberStanding::Leader),
            (own(3), info(1, 7, 100, WELL), 1, MemberStanding::CaughtUp),
            (own(3), behind.clone(), 1, MemberStanding::Behind),
            (own(3), behind, 13, MemberStanding::Wedged),
            (own(3), info(1, 7, 100, MISSES_3), 1, MemberStanding::Silent),
            (own(3), elsewhere.clone(), 1, MemberStanding::LostIdentity),
            (of_static.clone(), elsewhere, 1, MemberStanding::Silent),
            (of_static.clone(), without_3.clone(), 1, MemberStanding::NotAVoter),
            (of_static, observing.clone(), 1, MemberStanding::NotAVoter),
            (own(3), observing.clone(), 60, MemberStanding::Observer),
            (own(3), observing.clone(), 61, MemberStanding::NotAVoter),
            (spare_node, observing, 61, MemberStanding::Observer),
            (own(3), without_3.clone(), 10, MemberStanding::Unknown),
            (own(3), without_3, 11, MemberStanding::Unseen),
            (own(101), info(1, 7, 100, WELL), 1, MemberStanding::Observer),
            (own(104), info(1, 7, 100, WELL), 11, MemberStanding::Unseen),
            (
                Own { roles: ProcessRoles::Combined, ..own(2) },
                info(1, 7, 100, WELL),
                1,
                MemberStanding::CaughtUp,
            ),
        ] {
            let found = Watch::of(own_node.clone()).see(seconds, Some(&said), follows());
            assert_eq!(found.standing, want, "{own_node:?} {}", found.sentence);
        }
    }

    #[test]
    fn the_sentence_names_the_leader_and_the_epoch_once() {
        let well = info(1, 7, 100, WELL);
        let mut behind = well.clone();
        behind.voters[2].log_end_offset = Some(40);
        behind.voters[2].last_caught_up_timestamp_ms = Some(0);
        let mut elsewhere = well.clone();
        elsewhere.voters[2].directory_id = Some(directory(9));
        let without_3 = info(1, 7, 100, &[(1, 0), (2, 200)]);
        let of_static = Own { quorum: QuorumKind::Static, ..own(3) };
        let (theirs, ours) = (directory(9), own(3).directory_id.unwrap());
        for (own_node, said, seconds, want) in [
            (own(1), &well, 1, "the leader in epoch 7"),
            (own(3), &well, 1, "a caught-up voter of leader 1 in epoch 7"),
            (own(3), &behind, 1, "a voter of leader 1 in epoch 7, 61 records behind"),
            (
                own(3),
                &behind,
                13,
                "a voter of leader 1 in epoch 7 that fetches and takes nothing: it stays 61 records behind",
            ),
            (
                own(3),
                &info(1, 7, 100, MISSES_3),
                1,
                "a voter of leader 1 in epoch 7 that has not fetched for 5.0 s",
            ),
            (
                own(3),
                &elsewhere,
                1,
                &format!("leader 1 counts voter 3 with directory {theirs}, and this disk has {ours}"),
            ),
            (of_static, &without_3, 1, "leader 1 counts voters 1, 2, and the settings count node 3 too"),
            (own(101), &well, 1, "an observer of leader 1 in epoch 7"),
        ] {
            assert_eq!(Watch::of(own_node).see(seconds, Some(said), follows()).sentence, want);
        }
    }

    #[test]
    fn one_missed_fetch_is_nothing_and_silence_is_dated_from_its_beginning() {
        let mut watch = Watch::of(own(3));
        let (well, missed) = (info(1, 7, 100, WELL), info(1, 7, 100, MISSES_3));
        assert_eq!(watch.see(5, Some(&well), follows()).standing, MemberStanding::CaughtUp);
        assert_eq!(watch.see(3, Some(&missed), follows()).standing, MemberStanding::CaughtUp);
        assert_eq!(watch.see(1, Some(&well), follows()).standing, MemberStanding::CaughtUp);
        assert_eq!(watch.see(3, Some(&missed), follows()).standing, MemberStanding::CaughtUp);
        let silent = watch.see(2, Some(&missed), follows());
        assert_eq!((silent.standing, silent.since), (MemberStanding::Silent, at(10)));
        assert_eq!(silent.sentence, "a voter of leader 1 in epoch 7 that has not fetched for 5.0 s");
        let back = watch.see(1, Some(&well), follows());
        assert_eq!((back.standing, back.since), (MemberStanding::CaughtUp, at(15)));
    }

    #[test]
    fn an_open_port_that_is_silent_is_a_wedge_whoever_leads() {
        let (well, missed) = (info(1, 7, 100, WELL), info(1, 7, 100, MISSES_3));
        // Frozen: the leader misses it, and its port is silent.
        let mut watch = Watch::of(own(3));
        watch.see(5, Some(&well), follows());
        assert_eq!(watch.see(3, Some(&missed), silent()).standing, MemberStanding::CaughtUp);
        let frozen = watch.see(1, Some(&missed), silent());
        assert_eq!((frozen.standing, frozen.since), (MemberStanding::Wedged, at(6)));
        // Resumed.
        assert_eq!(watch.see(1, Some(&well), follows()).standing, MemberStanding::CaughtUp);
        // Nobody leads: silence alone, for longer than the leader would forgive.
        assert_eq!(watch.see(5, None, silent()).standing, MemberStanding::CaughtUp);
        assert_eq!(watch.see(1, None, silent()).standing, MemberStanding::Wedged);
        assert_eq!(watch.see(1, None, follows()).standing, MemberStanding::Wedged);
        assert_eq!(watch.see(5, None, follows()).standing, MemberStanding::Unknown);
        // A leader that does not miss it, for a while.
        assert_eq!(watch.see(5, Some(&well), silent()).standing, MemberStanding::CaughtUp);
    }

    #[test]
    fn without_a_leader_the_last_word_holds_as_long_as_an_election_may_take() {
        let mut watch = Watch::of(own(3));
        assert_eq!(watch.see(1, None, follows()).standing, MemberStanding::Unknown);
        watch.see(3, Some(&info(1, 7, 100, WELL)), follows());
        assert_eq!(watch.see(10, None, follows()).standing, MemberStanding::CaughtUp);
        let unknown = watch.see(1, None, follows());
        assert_eq!((unknown.standing, unknown.since), (MemberStanding::Unknown, at(5)));
    }

    #[test]
    fn whoever_was_well_before_an_outage_is_not_ill_because_a_new_leader_has_not_heard_of_it_yet() {
        let (well, missed) = (info(1, 7, 100, WELL), info(2, 8, 100, &[(1, 5_000), (2, 0), (3, 5_000)]));
        for own_node in [own(1), own(3)] {
            let mut watch = Watch::of(own_node.clone());
            watch.see(3, Some(&well), follows());
            assert_eq!(watch.see(60, None, follows()).standing, MemberStanding::Unknown);
            assert_eq!(watch.see(3, Some(&missed), follows()).standing, MemberStanding::CaughtUp);
            let silent = watch.see(1, Some(&missed), follows());
            assert_eq!((silent.standing, silent.since), (MemberStanding::Silent, at(64)));
            // What was not well before is not held for well.
            assert_eq!(watch.see(60, None, follows()).standing, MemberStanding::Unknown);
            assert_eq!(watch.see(1, Some(&missed), follows()).standing, MemberStanding::Silent);
            // Nor is what was never seen.
            let first = Watch::of(own_node).see(1, Some(&missed), follows());
            assert_eq!(first.standing, MemberStanding::Silent);
        }
    }
}
