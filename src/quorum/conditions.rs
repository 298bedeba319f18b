//! What of all this is not as it should be: for `status`, alerts and whoever is woken.
//!
//! A date says when it begins to hurt. What has lost the cluster its metadata hurts now. A voter that is away while others
//! could still fail is work for a day; one whose like may not fail a second time is work for after a restart's time.

use std::time::Duration;
use std::time::SystemTime;

use crate::quorum::history::History;
use crate::quorum::history::Lost;
use crate::quorum::judge::Judge;
use crate::quorum::view::Broker;
use crate::quorum::view::BrokerStanding;
use crate::quorum::view::Member;
use crate::quorum::view::MemberStanding;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its word, UpperCamelCase.
    pub reason: &'static str,
    /// What is the case, with numbers.
    pub sentence: String,
    /// Since when.
    pub since: SystemTime,
    /// When it begins to hurt; the past: it does already.
    pub matters_at: SystemTime,
    /// A command that changes nothing and shows more.
    pub remedy: &'static str,
}

/// Every check afresh, with causes.
const DOCTOR: &str = "kraftlet doctor";

/// What every agent sees, side by side.
const STATUS: &str = "kraftlet status --all";

/// Which pods run, and where.
const PODS: &str = "kubectl get pods -o wide";

/// A restart takes minutes where logs have to be recovered; what lasts longer is none.
const RESTART: Duration = Duration::from_secs(10 * 60);

/// While another voter may fail, a night can be slept through.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// New pods of a cluster start within so long, one after the other.
const FORMING: Duration = Duration::from_secs(5 * 60);

/// Between a change of the settings and that of the voters there is the time of a roll.
const VOTERS_CHANGE: Duration = Duration::from_secs(10 * 60);

/// Agents look at different moments, and around an election each sees its own part of it.
const LOOKS_APART: Duration = Duration::from_secs(30);

/// All conditions, in a fixed order: the quorum, this node's part in it, its broker, its partitions, then what was seen
/// by the way.
pub fn conditions(judge: &Judge) -> Vec<Condition> {
    let history = judge.history();
    let mut all = Vec::new();
    all.extend(judge.quorum().and_then(|quorum| of_quorum(quorum, judge)));
    all.extend(judge.member().and_then(|member| of_member(member, judge)));
    all.extend(judge.broker().and_then(of_broker));
    all.extend(of_partitions(judge));
    all.extend(lost(history));
    all.extend(rival(history));
    all.extend(voters_differ(history, judge));
    all.extend(disagreement(judge));
    all.extend(refusals(judge));
    all
}

/// How long the loss of one voter can be borne.
fn patience(judge: &Judge) -> Duration {
    match judge.quorum().and_then(|quorum| quorum.spare) {
        Some(1..) => DAY,
        Some(0) | None => RESTART,
    }
}

fn of_quorum(quorum: &Quorum, judge: &Judge) -> Option<Condition> {
    let history = judge.history();
    let (reason, after, remedy) = match quorum.state {
        QuorumState::Healthy => return None,
        QuorumState::Unknown => {
            // An agent that has just started knows nothing yet.
            let since = history.without_since()?;
            if history.timeline().age(since) < judge.own().election_grace() {
                return None;
            }
            ("QuorumUnknown", Duration::ZERO, DOCTOR)
        }
        QuorumState::Forming => ("QuorumForming", FORMING, PODS),
        QuorumState::Degraded => ("QuorumDegraded", patience(judge), STATUS),
        QuorumState::MajorityLost => ("QuorumMajorityLost", Duration::ZERO, PODS),
        QuorumState::Leaderless => ("QuorumLeaderless", Duration::ZERO, DOCTOR),
        QuorumState::Unstable => ("QuorumUnstable", Duration::ZERO, STATUS),
        QuorumState::Wedged => ("QuorumWedged", Duration::ZERO, STATUS),
    };
    Some(condition(reason, quorum.sentence.clone(), quorum.since, after, remedy))
}

fn of_member(member: &Member, judge: &Judge) -> Option<Condition> {
    let (reason, after) = match member.standing {
        // Where nobody leads the quorum's own condition says it.
        MemberStanding::Unknown
        | MemberStanding::Leader
        | MemberStanding::CaughtUp
        | MemberStanding::Observer => return None,
        MemberStanding::Behind => ("ControllerBehind", patience(judge)),
        MemberStanding::Silent => ("ControllerSilent", patience(judge)),
        MemberStanding::Unseen => ("ControllerUnseen", patience(judge)),
        MemberStanding::NotAVoter => ("NotAVoter", RESTART),
        MemberStanding::Wedged => ("ControllerWedged", Duration::ZERO),
        MemberStanding::LostIdentity => ("LostIdentity", Duration::ZERO),
    };
    // A broker that the leader does not hear is fenced, and that is said of the broker.
    let is_controller = judge.own().roles.is_controller();
    is_controller.then(|| condition(reason, member.sentence.clone(), member.since, after, DOCTOR))
}

fn of_broker(broker: &Broker) -> Option<Condition> {
    let reason = match broker.standing {
        BrokerStanding::Unknown | BrokerStanding::Starting | BrokerStanding::Unfenced => return None,
        BrokerStanding::Fenced => "BrokerFenced",
        BrokerStanding::Stale => "BrokerMetadataStale",
        BrokerStanding::Frozen => "BrokerFrozen",
    };
    Some(condition(reason, broker.sentence.clone(), broker.since, Duration::ZERO, DOCTOR))
}

fn of_partitions(judge: &Judge) -> Vec<Condition> {
    let Some(isr) = judge.isr() else { return Vec::new() };
    let below = judge.below_since().map(|since| {
        let sentence = format!("{}: fewer replicas in sync than min.insync.replicas", isr.below());
        condition("PartitionsUnderMinIsr", sentence, since, Duration::ZERO, STATUS)
    });
    let sole = judge.sole_since().map(|since| {
        let sentence = format!("{}: no other replica is in sync than that of this broker", isr.sole());
        condition("SoleInSyncReplica", sentence, since, RESTART, STATUS)
    });
    below.into_iter().chain(sole).collect()
}

fn lost(history: &History) -> Option<Condition> {
    let (since, lost) = history.lost()?;
    let sentence = match lost {
        Lost::EpochWentBack { from, to } => {
            format!(
                "the leader's epoch went back from {from} to {to}: the quorum was made anew, or has lost records"
            )
        }
        Lost::HighWatermarkWentBack(back) => format!(
            "the high watermark went back from {} to {}: records that were committed are gone",
            back.from, back.to
        ),
    };
    Some(condition("MetadataLost", sentence, history.timeline().date(since), Duration::ZERO, STATUS))
}

fn rival(history: &History) -> Option<Condition> {
    let (rival, epoch) = history.rival()?;
    let leader = history.reading()?.leader;
    let sentence = format!("nodes {leader} and {rival} both lead in epoch {epoch}: there are two quorums");
    Some(condition("TwoLeaders", sentence, history.timeline().at()?, Duration::ZERO, STATUS))
}

fn voters_differ(history: &History, judge: &Judge) -> Option<Condition> {
    let since = history.differs_since()?;
    let reading = history.last_reading()?;
    let voters: Vec<_> = reading.voters.iter().map(|voter| voter.node_id.to_string()).collect();
    let settings: Vec<_> = judge.own().controllers.iter().map(ToString::to_string).collect();
    let sentence = format!(
        "leader {} counts voters {}, and the settings have controllers {}; a voter that is gone counts as failed for ever",
        reading.leader,
        voters.join(", "),
        settings.join(", ")
    );
    let is_old = history.timeline().age(since) >= VOTERS_CHANGE;
    is_old.then(|| condition("VotersDiffer", sentence, history.timeline().date(since), DAY, STATUS))
}

fn disagreement(judge: &Judge) -> Option<Condition> {
    let (since, sentence) = judge.disagreement()?;
    let is_old = judge.history().timeline().age(since) >= LOOKS_APART;
    let since = judge.history().timeline().date(since);
    is_old.then(|| condition("NodesDisagree", sentence.to_owned(), since, Duration::ZERO, STATUS))
}

fn refusals(judge: &Judge) -> impl Iterator<Item = Condition> {
    let history = judge.history();
    // Where a leader answers nothing is lost but the sight of one.
    let after = if history.reading().is_some() { DAY } else { Duration::ZERO };
    // A Kafka that starts or stops breaks handshakes off.
    let patience = judge.own().election_grace();
    let lasting = history.refusals().iter().filter(move |one| history.timeline().age(one.since) >= patience);
    lasting.map(move |refusal| {
        let sentence = format!("controller {} refuses this agent: {}", refusal.name, refusal.sentence);
        condition("ControllerRefuses", sentence, history.timeline().date(refusal.since), after, DOCTOR)
    })
}

fn condition(
    reason: &'static str,
    sentence: String,
    since: SystemTime,
    after: Duration,
    remedy: &'static str,
) -> Condition {
    let matters_at = since.checked_add(after).unwrap_or(since);
    Condition { reason, sentence, since, matters_at, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::settings::QuorumKind;
    use crate::kafka::describe_quorum::QuorumInfo;
    use crate::quorum::own::Own;
    use crate::quorum::sighting::Answer;
    use crate::quorum::sighting::Asked;
    use crate::quorum::sighting::BrokerSighting;
    use crate::quorum::sighting::Listed;
    use crate::quorum::sighting::OwnBroker;
    use crate::quorum::sighting::Sighting;
    use crate::quorum::testing::asked;
    use crate::quorum::testing::at;
    use crate::quorum::testing::info;
    use crate::quorum::testing::isr;
    use crate::quorum::testing::node;
    use crate::quorum::testing::own;
    use crate::quorum::testing::partition;

    const WELL: &[(i32, i64)] = &[(1, 0), (2, 200), (3, 200)];

    fn leads(info: QuorumInfo) -> Vec<Asked> {
        let answer = Answer::Leads(info);
        vec![Asked { node_id: Some(node(1)), address: "host1:9093".to_owned(), answer }]
    }

    /// After so many seconds of the same look: each reason, and how long after the second 0 it begins to hurt.
    fn told(own: Own, seconds: u64, look: impl Fn(i64) -> Vec<Asked>) -> Vec<(&'static str, u64)> {
        let mut judge = Judge::new(own);
        for second in 0..seconds {
            let controllers = look(2 * i64::try_from(second).unwrap() + 100);
            judge.take(&Sighting { at: at(second), controllers });
        }
        let told = conditions(&judge);
        let after = |condition: &Condition| condition.matters_at.duration_since(at(0)).unwrap().as_secs();
        told.iter().map(|condition| (condition.reason, after(condition))).collect()
    }

    #[test]
    fn what_hurts_now_is_told_apart_from_what_can_wait() {
        let of_5 = |silent: i64| [(1, 0), (2, 200), (3, 200), (4, 200), (5, silent)];
        let (five, three) = ([1, 2, 3, 4, 5].map(node), [1, 2, 3].map(node));
        let own_of =
            |id, controllers: &[_]| Own { controllers: controllers.iter().copied().collect(), ..own(id) };
        assert_eq!(told(own(1), 30, |high| leads(info(1, 7, high, WELL))), []);
        let day = 24 * 60 * 60;
        assert_eq!(
            told(own_of(1, &five), 30, |high| leads(info(1, 7, high, &of_5(9_000)))),
            [("QuorumDegraded", day)]
        );
        assert_eq!(
            told(own_of(5, &five), 30, |high| leads(info(1, 7, high, &of_5(9_000)))),
            [("QuorumDegraded", day), ("ControllerSilent", day)]
        );
        assert_eq!(
            told(own_of(1, &three), 30, |high| leads(info(1, 7, high, &[(1, 0), (2, 9_000), (3, 200)]))),
            [("QuorumDegraded", 600)]
        );
        assert_eq!(told(own(1), 30, |_| leads(info(1, 7, 100, WELL))), [("QuorumWedged", 0)]);
        for (seen, seconds, want) in [
            ("ccf", 10, vec![]),
            ("ccf", 11, vec![("QuorumMajorityLost", 0)]),
            ("fff", 11, vec![("QuorumLeaderless", 0)]),
            ("aaf", 10, vec![]),
            ("aaf", 11, vec![("QuorumUnknown", 0)]),
            ("frc", 11, vec![("QuorumUnknown", 0), ("ControllerRefuses", 0)]),
            ("ccs", 11, vec![("QuorumMajorityLost", 0), ("ControllerWedged", 0)]),
        ] {
            assert_eq!(told(own(3), seconds, |_| asked(seen)), want, "{seen} {seconds}");
        }
        assert_eq!(told(Own { formed: false, ..own(3) }, 1, |_| asked("ccf")), [("QuorumForming", 300)]);
    }

    #[test]
    fn what_is_seen_by_the_way_is_told() {
        let refused = |high| {
            let mut all = leads(info(1, 7, high, WELL));
            all.push(asked("fr").remove(1));
            all
        };
        assert_eq!(told(own(1), 10, refused), []);
        assert_eq!(told(own(1), 11, refused), [("ControllerRefuses", 24 * 60 * 60)]);
        let of_two = Own { controllers: [1, 2].map(node).into(), ..own(1) };
        let well = |high| leads(info(1, 7, high, WELL));
        assert_eq!(told(of_two.clone(), 600, well), []);
        assert_eq!(told(of_two, 601, well), [("VotersDiffer", 24 * 60 * 60)]);
        let of_static = Own { quorum: QuorumKind::Static, ..own(4) };
        let counted = Own { controllers: [1, 2, 3, 4].map(node).into(), ..of_static };
        assert_eq!(told(counted, 601, well), [("NotAVoter", 600)]);
        let back = |high: i64| leads(info(1, 7, if high == 110 { 50 } else { high }, WELL));
        assert_eq!(told(own(1), 20, back), [("MetadataLost", 5)]);
        let rival = |high| [leads(info(1, 7, high, WELL)), leads(info(3, 7, high, WELL))].concat();
        assert_eq!(told(own(1), 2, rival), [("TwoLeaders", 1)]);
    }

    #[test]
    fn nodes_that_go_on_seeing_different_quorums_are_told() {
        let (mut here, mut there) = (Judge::new(own(1)), Judge::new(own(2)));
        for second in 0..=30 {
            let high = 2 * i64::try_from(second).unwrap() + 100;
            here.take(&Sighting { at: at(second), controllers: leads(info(1, 7, high, WELL)) });
            there.take(&Sighting { at: at(second), controllers: leads(info(1, 6, high, WELL)) });
            here.take_peers(&[(node(2), there.quorum().unwrap().clone())]);
            assert_eq!(conditions(&here).len(), usize::from(second == 30), "{second}");
        }
        let told = conditions(&here);
        assert_eq!((told[0].reason, told[0].since), ("NodesDisagree", at(0)));
        here.take_peers(&[]);
        assert_eq!(conditions(&here), []);
    }

    #[test]
    fn a_broker_and_its_partitions_are_told_with_their_dates() {
        let mut judge = Judge::new(own(101));
        let mut told_at = |second, in_sync: &[i32]| {
            judge.take(&Sighting { at: at(second), controllers: leads(info(1, 7, 100, WELL)) });
            judge.take_broker(&BrokerSighting {
                at: at(second),
                own: Some(OwnBroker::Answers { applied: Some(99) }),
                listed_by: [102, 103].map(|id| (node(id), Listed::Fenced)).into(),
            });
            judge.take_isr(isr(second, partition(7, &[101, 102, 103], in_sync)));
            conditions(&judge)
        };
        assert_eq!(told_at(1, &[101, 102]).len(), 1);
        let told = told_at(2, &[101]);
        let reasons: Vec<_> = told.iter().map(|one| (one.reason, one.since)).collect();
        let want = [("BrokerFenced", at(1)), ("PartitionsUnderMinIsr", at(2)), ("SoleInSyncReplica", at(2))];
        assert_eq!(reasons, want);
        assert_eq!(
            told[1].sentence,
            "1 partition (orders-7): fewer replicas in sync than min.insync.replicas"
        );
        assert_eq!(told_at(3, &[101]).iter().map(|one| one.since).collect::<Vec<_>>(), [at(1), at(2), at(2)]);
        assert_eq!(told_at(4, &[102]).len(), 2);
    }
}
