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
    if let Some(since) = history.without_since() {
        return too_few_run(history, own) || history.timeline().age(since) >= own.election_grace();
    }
    match quorum.state {
        QuorumState::Unstable | QuorumState::Wedged => true,
        QuorumState::Healthy
        | QuorumState::Degraded
        | QuorumState::Unknown
        | QuorumState::Forming
        | QuorumState::MajorityLost
        | QuorumState::Leaderless => {
            let has_moved = quorum.high_watermark.is_some() && quorum.high_watermark != first;
            let is_still = own.no_op_interval.is_none() && quorum.high_watermark.is_some();
            has_moved || is_still || looked_for > own.wedged_after()
        }
    }
}

/// How the quorum is; nothing where it is whole.
pub fn judge(quorum: &Quorum, history: &History, own: &Own, place: &Place) -> Option<Finding> {
    let presence = history.presence();
    let may_hide = !(presence.refusing.is_empty() && presence.hidden.is_empty());
    // Whatever it was at the first look.
    let is_lost = quorum.state != QuorumState::Forming && too_few_run(history, own);
    let state = if is_lost { QuorumState::MajorityLost } else { quorum.state };
    let (severity, reason) = match state {
        QuorumState::Forming => (Severity::Hurts, "QuorumForming"),
        // Nobody looks on for ever, and some clusters give an election longer than that.
        QuorumState::Healthy if history.without_since().is_some() => (Severity::CannotTell, "QuorumUnknown"),
        QuorumState::Healthy => return None,
        QuorumState::Degraded => (Severity::Hurts, "QuorumDegraded"),
        QuorumState::Unstable => (Severity::Hurts, "QuorumUnstable"),
        QuorumState::MajorityLost => (Severity::Outage, "QuorumMajorityLost"),
        QuorumState::Leaderless if may_hide => (Severity::CannotTell, "QuorumUnknown"),
        QuorumState::Leaderless => (Severity::Outage, "QuorumLeaderless"),
        QuorumState::Wedged => (Severity::Outage, "QuorumWedged"),
        QuorumState::Unknown => (Severity::CannotTell, "QuorumUnknown"),
    };
    let voters = history.voters(own);
    let seen = format!("of {voters} voters {}, and {} are needed", presence.sentence(), majority(voters));
    let cause = if is_lost {
        format!("too few controllers run to elect a leader: {seen}")
    } else if state == QuorumState::Leaderless && may_hide {
        format!("those that answer follow, and one that this node cannot speak with may lead: {seen}")
    } else {
        quorum.sentence.clone()
    };
    let finding = Finding::new(severity, Area::Quorum, Word::of(reason), "controller quorum", cause);
    Some(finding.with_all(quorum.voters.iter().map(how_it_follows)).next(place.status()))
}

/// Whether no leader answers, and so many controllers certainly do not run that those that are left can elect nobody.
fn too_few_run(history: &History, own: &Own) -> bool {
    let voters = history.voters(own);
    let left = voters.saturating_sub(history.presence().closed.len());
    history.reading().is_none() && voters > 0 && left < majority(voters)
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

/// A controller that refuses to say how the quorum is; `pod` is who asked. Where a leader answers, nothing is lost by
/// that but the sight of one.
pub fn refusal(pod: &str, refusal: &Refusal, history: &History, place: &Place) -> Finding {
    let severity = if history.reading().is_some() { Severity::Later } else { Severity::CannotTell };
    let thing = format!("{pod}: question to controller {}", refusal.name);
    let reason = Word::of("ControllerRefuses");
    Finding::new(severity, Area::Quorum, reason, thing, &refusal.sentence).next(place.status())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::quorum::sighting::Answer;
    use crate::quorum::sighting::Asked;
    use crate::quorum::sighting::Sighting;
    use crate::quorum::testing::asked;
    use crate::quorum::testing::at;
    use crate::quorum::testing::info;
    use crate::quorum::testing::node;
    use crate::quorum::testing::own;
    use crate::quorum::words::Words;

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

    /// Looks that show the same for so many seconds, in letters as [`asked`] has them; `L` has a leader first of all.
    fn history(seen: &str, seconds: u64) -> History {
        let mut history = History::default();
        let led = info(1, 7, 100, &[(1, 0), (2, 300), (3, 300)]);
        let led = Asked { node_id: Some(node(1)), address: "a".to_owned(), answer: Answer::Leads(led) };
        let (is_led, rest) = seen.strip_prefix('L').map_or((false, seen), |rest| (true, rest));
        if is_led {
            history.take(&Sighting { at: at(0), controllers: vec![led] }, &own(1));
        }
        for second in 0..=seconds {
            if !rest.is_empty() {
                history.take(&Sighting { at: at(second), controllers: asked(rest) }, &own(1));
            }
        }
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
            (Q::Healthy, "L", Some(7), Some(7), 0, own(1), false),
            (Q::Healthy, "L", Some(7), Some(8), 1, own(1), true),
            (Q::Degraded, "L", Some(7), Some(8), 1, own(1), true),
            (Q::Healthy, "L", Some(7), Some(7), 9, own(1), false),
            (Q::Healthy, "L", Some(7), Some(7), 11, own(1), true),
            (Q::Healthy, "L", None, None, 1, own(1), false),
            (Q::Healthy, "L", Some(7), Some(7), 0, idle, true),
            (Q::Wedged, "L", Some(7), Some(7), 3, own(1), true),
            // It went while it was looked at.
            (Q::Degraded, "Lffc", Some(7), Some(8), 9, own(1), false),
            (Q::Degraded, "Lfcc", Some(7), Some(8), 0, own(1), true),
            (Q::Unknown, "ffc", None, None, 9, own(1), false),
            (Q::Unknown, "ffc", None, None, 10, own(1), true),
            (Q::Unknown, "fcc", None, None, 0, own(1), true),
            (Q::Forming, "ccc", None, None, 0, own(1), true),
            (Q::Forming, "fac", None, None, 3, own(1), false),
            (Q::Leaderless, "fff", None, None, 10, own(1), true),
        ] {
            let looked_for = Duration::from_secs(seconds);
            let got = is_settled(&quorum(state, now), &history(seen, seconds), first, looked_for, &own);
            assert_eq!(got, want, "{state} {seen} {first:?} {now:?} {seconds}");
        }
    }

    #[test]
    fn only_a_whole_quorum_is_no_finding_and_a_lost_one_is_an_outage() {
        for state in QuorumState::ALL {
            let found = judge(&quorum(*state, None), &history("L", 0), &own(1), &place());
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
            (Q::Healthy, "Lfff", Severity::CannotTell, "QuorumUnknown"),
            (Q::Degraded, "Lfcc", Severity::Outage, "QuorumMajorityLost"),
            (Q::Forming, "ccc", Severity::Hurts, "QuorumForming"),
        ] {
            let found = judge(&quorum(state, None), &history(seen, 0), &own(1), &place()).unwrap();
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
