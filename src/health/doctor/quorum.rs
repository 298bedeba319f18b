//! The controller quorum and a node's part in it, as verdicts of [`crate::quorum`] have them, and when enough was seen.
//!
//! One look shows who leads. That records are committed shows only when the high watermark moves, so looks go on until
//! it has; where no leader answers they go on for as long as an election may take, unless too few controllers run to
//! elect one. A healthy quorum takes two looks.
//!
//! And whoever looks once sees less than whoever looks all the time: a leader may be behind a controller that this node
//! cannot reach or cannot speak with, as long as the others may follow it.

use std::time::Duration;

use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::next::Place;
use crate::health::text::Word;
use crate::quorum::history::History;
use crate::quorum::history::Refusal;
use crate::quorum::own::Own;
use crate::quorum::verdict::how_it_follows;
use crate::quorum::view::Member;
use crate::quorum::view::MemberStanding;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::quorum::voters::has_all;
use crate::quorum::voters::majority;

/// Whether another look would add anything to what `history` holds and `quorum` is the verdict of: `first` is the high
/// watermark of the first answer, `looked_for` the time since the first look.
pub fn is_settled(
    quorum: &Quorum,
    history: &History,
    first: Option<i64>,
    looked_for: Duration,
    own: &Own,
) -> bool {
    match quorum.state {
        QuorumState::Healthy | QuorumState::Degraded => {
            let has_moved = quorum.high_watermark.is_some() && quorum.high_watermark != first;
            let is_still = own.no_op_interval.is_none() && quorum.high_watermark.is_some();
            has_moved || is_still || looked_for > own.wedged_after()
        }
        QuorumState::MajorityLost
        | QuorumState::Leaderless
        | QuorumState::Unstable
        | QuorumState::Wedged => true,
        QuorumState::Unknown | QuorumState::Forming => {
            looked_for >= own.election_grace() || too_few_run(history, own)
        }
    }
}

/// How the quorum is; nothing where it is whole.
pub fn judge(quorum: &Quorum, history: &History, own: &Own, place: &Place) -> Option<Finding> {
    let presence = history.presence();
    let may_hide = !(presence.refusing.is_empty() && presence.hidden.is_empty());
    let (severity, reason) = match quorum.state {
        QuorumState::Healthy => return None,
        QuorumState::Degraded => (Severity::Hurts, "QuorumDegraded"),
        QuorumState::Unstable => (Severity::Hurts, "QuorumUnstable"),
        QuorumState::MajorityLost => (Severity::Outage, "QuorumMajorityLost"),
        QuorumState::Leaderless if may_hide => (Severity::CannotTell, "QuorumUnknown"),
        QuorumState::Leaderless => (Severity::Outage, "QuorumLeaderless"),
        QuorumState::Wedged => (Severity::Outage, "QuorumWedged"),
        QuorumState::Forming => (Severity::Hurts, "QuorumForming"),
        QuorumState::Unknown if too_few_run(history, own) => (Severity::Outage, "QuorumMajorityLost"),
        QuorumState::Unknown => (Severity::CannotTell, "QuorumUnknown"),
    };
    let voters = history.voters(own);
    let seen = format!("of {voters} voters {}, and {} are needed", presence.sentence(), majority(voters));
    let cause = match quorum.state {
        QuorumState::Leaderless if may_hide => {
            format!("those that answer follow, and one that this node cannot speak with may lead: {seen}")
        }
        QuorumState::Unknown if too_few_run(history, own) => {
            format!("too few controllers run to elect a leader: {seen}")
        }
        QuorumState::Unknown
        | QuorumState::Forming
        | QuorumState::Healthy
        | QuorumState::Degraded
        | QuorumState::MajorityLost
        | QuorumState::Leaderless
        | QuorumState::Unstable
        | QuorumState::Wedged => quorum.sentence.clone(),
    };
    let behind = quorum.voters.iter().filter(|voter| !has_all(voter.standing)).map(how_it_follows);
    let finding = Finding::new(severity, Area::Quorum, Word::of(reason), "controller quorum", cause);
    Some(finding.with_all(behind).next(place.status()))
}

/// Whether so many controllers certainly do not run that those that are left can elect nobody.
fn too_few_run(history: &History, own: &Own) -> bool {
    let voters = history.voters(own);
    voters > 0 && voters.saturating_sub(history.presence().closed.len()) < majority(voters)
}

/// What a controller is in it, in the leader's words; nothing where it leads or follows, or where nobody can say.
pub fn member(pod: &str, member: &Member, place: &Place) -> Option<Finding> {
    let (severity, reason) = match member.standing {
        MemberStanding::Leader
        | MemberStanding::CaughtUp
        | MemberStanding::Observer
        | MemberStanding::Unknown => return None,
        MemberStanding::Behind => (Severity::Later, "ControllerBehind"),
        MemberStanding::Silent => (Severity::Hurts, "ControllerSilent"),
        MemberStanding::Wedged => (Severity::Hurts, "ControllerWedged"),
        MemberStanding::NotAVoter => (Severity::Hurts, "NotAVoter"),
        MemberStanding::LostIdentity => (Severity::Hurts, "LostIdentity"),
        MemberStanding::Unseen => (Severity::Hurts, "ControllerUnseen"),
    };
    let thing = format!("{pod}: part in the quorum");
    let finding = Finding::new(severity, Area::Quorum, Word::of(reason), thing, &member.sentence);
    Some(finding.next(place.describe(pod)))
}

/// A controller that refuses to say how the quorum is; `pod` is who asked.
pub fn refusal(pod: &str, refusal: &Refusal, place: &Place) -> Finding {
    let thing = format!("{pod}: question to controller {}", refusal.name);
    let reason = Word::of("ControllerRefuses");
    Finding::new(Severity::CannotTell, Area::Quorum, reason, thing, &refusal.sentence).next(place.status())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::quorum::sighting::Sighting;
    use crate::quorum::testing::asked;
    use crate::quorum::testing::at;
    use crate::quorum::testing::own;
    use crate::quorum::view::Words;

    fn quorum(state: QuorumState, high_watermark: Option<i64>) -> Quorum {
        Quorum {
            state,
            sentence: "so it is".to_owned(),
            since: SystemTime::UNIX_EPOCH,
            seen_at: None,
            leader: None,
            epoch: None,
            epochs_per_minute: 0,
            high_watermark,
            voters: Vec::new(),
            spare: None,
        }
    }

    /// One look, in letters as [`asked`] has them.
    fn history(seen: &str) -> History {
        let mut history = History::default();
        history.take(&Sighting { at: at(0), controllers: asked(seen) }, &own(1));
        history
    }

    fn place() -> Place {
        Place::Machine { settings: "c.yaml".to_owned() }
    }

    #[test]
    fn looks_go_on_until_the_high_watermark_has_moved_or_an_election_would_be_over() {
        use QuorumState as Q;
        let idle = Own { no_op_interval: None, ..own(1) };
        for (state, seen, first, now, seconds, own, want) in [
            (Q::Healthy, "fff", Some(7), Some(7), 0, own(1), false),
            (Q::Healthy, "fff", Some(7), Some(8), 1, own(1), true),
            (Q::Degraded, "fff", Some(7), Some(8), 1, own(1), true),
            (Q::Healthy, "fff", Some(7), Some(7), 9, own(1), false),
            (Q::Healthy, "fff", Some(7), Some(7), 11, own(1), true),
            (Q::Healthy, "fff", None, None, 1, own(1), false),
            (Q::Healthy, "fff", Some(7), Some(7), 0, idle, true),
            (Q::Unknown, "ffc", None, None, 9, own(1), false),
            (Q::Unknown, "ffc", None, None, 10, own(1), true),
            (Q::Unknown, "fcc", None, None, 0, own(1), true),
            (Q::Forming, "ccc", None, None, 0, own(1), true),
            (Q::Forming, "fac", None, None, 3, own(1), false),
            (Q::Wedged, "fff", Some(7), Some(7), 3, own(1), true),
            (Q::Leaderless, "fff", None, None, 3, own(1), true),
        ] {
            let looked_for = Duration::from_secs(seconds);
            let got = is_settled(&quorum(state, now), &history(seen), first, looked_for, &own);
            assert_eq!(got, want, "{state} {seen} {first:?} {now:?} {seconds}");
        }
    }

    #[test]
    fn only_a_whole_quorum_is_no_finding_and_a_lost_one_is_an_outage() {
        for state in QuorumState::ALL {
            let found = judge(&quorum(*state, None), &history("fff"), &own(1), &place());
            let want = match state {
                QuorumState::Healthy => None,
                QuorumState::Degraded | QuorumState::Unstable | QuorumState::Forming => Some(Severity::Hurts),
                QuorumState::MajorityLost | QuorumState::Leaderless | QuorumState::Wedged => {
                    Some(Severity::Outage)
                }
                QuorumState::Unknown => Some(Severity::CannotTell),
            };
            assert_eq!(found.map(|one| one.severity), want, "{state}");
        }
    }

    #[test]
    fn a_leader_that_may_be_hidden_is_no_outage_and_one_that_cannot_be_is() {
        use QuorumState as Q;
        for (state, seen, severity, reason) in [
            (Q::Leaderless, "ffr", Severity::CannotTell, "QuorumUnknown"),
            (Q::Leaderless, "ffa", Severity::CannotTell, "QuorumUnknown"),
            (Q::Leaderless, "ffc", Severity::Outage, "QuorumLeaderless"),
            (Q::Leaderless, "ffs", Severity::Outage, "QuorumLeaderless"),
            (Q::Unknown, "fcc", Severity::Outage, "QuorumMajorityLost"),
            (Q::Unknown, "fca", Severity::CannotTell, "QuorumUnknown"),
        ] {
            let found = judge(&quorum(state, None), &history(seen), &own(1), &place()).unwrap();
            assert_eq!((found.severity, found.reason.as_str()), (severity, reason), "{state} {seen}");
        }
    }

    #[test]
    fn a_member_is_judged_by_the_leaders_words() {
        let reasons: Vec<String> = MemberStanding::ALL
            .iter()
            .map(|&standing| Member { standing, sentence: String::new(), since: SystemTime::UNIX_EPOCH })
            .filter_map(|one| member("demo-0", &one, &place()))
            .map(|one| one.reason.to_string())
            .collect();
        let want = [
            "ControllerBehind",
            "ControllerSilent",
            "ControllerWedged",
            "NotAVoter",
            "LostIdentity",
            "ControllerUnseen",
        ];
        assert_eq!(reasons, want);
    }
}
