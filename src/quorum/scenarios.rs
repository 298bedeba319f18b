//! Nights, played: what the looks see second by second, and the verdict wanted at each of them.

use std::time::Duration;

use proptest::prelude::*;

use crate::cluster::settings::QuorumKind;
use crate::kafka::describe_quorum::QuorumInfo;
use crate::quorum::judge::Judge;
use crate::quorum::own::NO_OP_INTERVAL;
use crate::quorum::own::Own;
use crate::quorum::sighting::Answer;
use crate::quorum::sighting::Asked;
use crate::quorum::sighting::BrokerSighting;
use crate::quorum::sighting::Sighting;
use crate::quorum::testing::asked;
use crate::quorum::testing::at;
use crate::quorum::testing::info;
use crate::quorum::testing::node;
use crate::quorum::testing::own;
use crate::quorum::view::MemberStanding as M;
use crate::quorum::view::QuorumState as Q;

/// So many seconds in which every look sees the same, and the verdict at each of them.
type Row = (u64, &'static str, Q, M);

/// `L2e8 slc` is the answer of leader 2 in epoch 8, to whom voter 1 is silent and 3 is caught up; `=` after it: the high
/// watermark stands still. Without a leader, one letter for each controller as in [`asked`]. ` own:s` is the own
/// port, ` | ` separates two answers of one look, ` at+60` sets the clock.
fn look(words: &str, second: u64, own: &Own) -> Sighting {
    let mut controllers = Vec::new();
    for part in words.split(" | ") {
        let mut tokens = part.split(' ').peekable();
        let first = tokens.next().unwrap();
        let Some((leader, epoch)) = first.strip_prefix('L').and_then(|rest| rest.split_once('e')) else {
            controllers.extend(asked(first));
            continue;
        };
        let leader: i32 = leader.parse().unwrap();
        let standings = tokens.next().unwrap();
        let ago = |standing| match standing {
            'l' => 0,
            'c' => 300,
            's' => 4_000,
            other => unreachable!("{other}"),
        };
        let voters: Vec<_> = (1..).zip(standings.chars().map(ago)).collect();
        let is_still = part.contains(" =");
        let high_watermark = if is_still { 100 } else { 1_000 + 2 * i64::try_from(second).unwrap() };
        let said = info(leader, epoch.parse().unwrap(), high_watermark, &voters);
        let address = format!("host{leader}:9093");
        controllers.push(Asked { node_id: Some(node(leader)), address, answer: Answer::Leads(said) });
    }
    if let Some((_, answer)) = words.split_once(" own:") {
        let mut answer = asked(&answer[..1]).remove(0);
        answer.node_id = Some(own.node_id);
        controllers.insert(0, answer);
    }
    let jump = words.split_once(" at+").map_or(0, |(_, jump)| jump.parse().unwrap());
    Sighting { at: at(second + jump), controllers }
}

fn play(own: &Own, script: &[Row]) -> Judge {
    let mut judge = Judge::new(own.clone());
    let mut second = 0;
    for &(seconds, words, quorum, member) in script {
        for _ in 0..seconds {
            judge.take(&look(words, second, own));
            let found = (judge.quorum().unwrap(), judge.member().unwrap());
            assert_eq!(
                (found.0.state, found.1.standing),
                (quorum, member),
                "second {second}, {words}: {} / {}",
                found.0.sentence,
                found.1.sentence
            );
            second += 1;
        }
    }
    judge
}

#[test]
fn a_follower_dies_and_comes_back() {
    let judge = play(
        &own(1),
        &[
            (5, "L1e7 lcc", Q::Healthy, M::Leader),
            (3, "L1e7 lcs", Q::Healthy, M::Leader),
            (9, "L1e7 lcs", Q::Degraded, M::Leader),
        ],
    );
    let quorum = judge.quorum().unwrap();
    assert_eq!((quorum.since, quorum.spare, quorum.epochs_per_minute), (at(5), Some(0), 0));
    assert_eq!(
        quorum.sentence,
        "node 1 leads in epoch 7; 2 follow of 3 voters, none may fail: voter 3 has not fetched for 4.0 s"
    );
    play(&own(1), &[(9, "L1e7 lcs", Q::Degraded, M::Leader), (1, "L1e7 lcc", Q::Healthy, M::Leader)]);
}

#[test]
fn a_leader_dies_and_nobody_is_woken() {
    play(
        &own(3),
        &[
            (5, "L1e7 lcc", Q::Healthy, M::CaughtUp),
            (9, "cff", Q::Healthy, M::CaughtUp),
            (3, "L2e9 slc", Q::Healthy, M::CaughtUp),
            (60, "L2e9 slc", Q::Degraded, M::CaughtUp),
            (5, "L2e9 clc", Q::Healthy, M::CaughtUp),
        ],
    );
}

#[test]
fn a_majority_dies_and_comes_back() {
    let lost = [
        (5, "L1e7 lcc", Q::Healthy, M::CaughtUp),
        (10, "ccf", Q::Healthy, M::CaughtUp),
        (20, "ccf", Q::MajorityLost, M::Unknown),
    ];
    let judge = play(&own(3), &lost);
    let quorum = judge.quorum().unwrap();
    assert_eq!((quorum.since, quorum.seen_at, quorum.spare), (at(5), Some(at(4)), None));
    assert_eq!((quorum.leader, quorum.epoch), (Some(node(1)), Some(7)));
    assert_eq!(
        quorum.sentence,
        "no leader answers, and too few are there to elect one: of 3 voters 1 is there (3), 2 are down (1, 2), and 2 \
         are needed; node 1 led last, in epoch 7"
    );
    let back = [
        (3, "cff", Q::Leaderless, M::Unknown),
        (1, "L2e9 slc", Q::Degraded, M::CaughtUp),
        (2, "L2e9 clc", Q::Healthy, M::CaughtUp),
    ];
    play(&own(3), &[lost.as_slice(), &back].concat());
}

#[test]
fn a_frozen_leader_is_deposed_and_not_believed_when_it_wakes() {
    play(
        &own(1),
        &[
            (5, "L1e7 lcc own:f", Q::Healthy, M::Leader),
            (3, "sff", Q::Healthy, M::Leader),
            (2, "L2e8 slc own:s", Q::Healthy, M::Wedged),
            (1, "L2e8 slc own:s", Q::Healthy, M::Wedged),
            (9, "L2e8 slc own:s", Q::Degraded, M::Wedged),
            // It wakes, and still believes to lead.
            (2, "L1e7 lcc own:l", Q::Degraded, M::Wedged),
            (2, "L1e7 lcc | L2e8 slc own:l", Q::Degraded, M::Silent),
            (5, "L2e8 clc own:f", Q::Healthy, M::CaughtUp),
        ],
    );
}

#[test]
fn a_leader_that_is_cut_off_from_its_followers_has_lost_the_majority() {
    play(
        &own(1),
        &[
            (5, "L1e7 lcc", Q::Healthy, M::Leader),
            (10, "L1e7 lss", Q::Healthy, M::Leader),
            (5, "L1e7 lss", Q::MajorityLost, M::Leader),
            (5, "faa", Q::Unknown, M::Unknown),
            (1, "L2e8 clc", Q::Healthy, M::CaughtUp),
        ],
    );
}

#[test]
fn a_controller_that_nobody_trusts_is_silent_whatever_it_thinks() {
    let words = "L1e7 lcs own:r";
    let judge = play(
        &own(3),
        &[
            (5, "L1e7 lcc own:f", Q::Healthy, M::CaughtUp),
            (3, words, Q::Healthy, M::CaughtUp),
            (60, words, Q::Degraded, M::Silent),
        ],
    );
    let refusals = judge.history().refusals();
    assert_eq!(refusals.len(), 1);
    assert_eq!(
        (refusals[0].name.as_str(), refusals[0].sentence.as_str()),
        ("3", "the certificate is not trusted")
    );
    // All refuse this agent: that says nothing about them.
    play(&own(3), &[(10, "rrr", Q::Unknown, M::Unknown), (60, "rrr", Q::Unknown, M::Unknown)]);
}

#[test]
fn an_agent_that_is_cut_off_says_that_it_cannot_tell() {
    let healthy = (5, "L1e7 lcc", Q::Healthy, M::CaughtUp);
    play(&own(3), &[healthy, (10, "aaf", Q::Healthy, M::CaughtUp), (60, "aaf", Q::Unknown, M::Unknown)]);
    let broker = (5, "L1e7 lcc", Q::Healthy, M::Observer);
    play(&own(101), &[broker, (10, "aaa", Q::Healthy, M::Observer), (60, "aaa", Q::Unknown, M::Unknown)]);
}

#[test]
fn enough_controllers_without_a_leader_are_leaderless() {
    let judge = play(
        &own(3),
        &[
            (5, "L1e7 lcc", Q::Healthy, M::CaughtUp),
            (10, "fff", Q::Healthy, M::CaughtUp),
            (60, "fff", Q::Leaderless, M::Unknown),
            // One of them dies: the loss is as old as it was.
            (60, "sfc", Q::MajorityLost, M::Unknown),
        ],
    );
    assert_eq!(judge.quorum().unwrap().since, at(5));
}

#[test]
fn a_high_watermark_that_stands_still_is_a_wedge() {
    let judge = play(
        &own(3),
        &[
            (5, "L1e7 lcc", Q::Healthy, M::CaughtUp),
            (11, "L1e7 lcc =", Q::Healthy, M::CaughtUp),
            (5, "L1e7 lcc =", Q::Wedged, M::CaughtUp),
        ],
    );
    assert_eq!(judge.quorum().unwrap().since, at(5));
    // Nobody knows what it did while nobody answered, and a new leader has its time.
    play(
        &own(3),
        &[
            (5, "L1e7 lcc =", Q::Healthy, M::CaughtUp),
            (9, "sff", Q::Healthy, M::CaughtUp),
            (11, "L1e7 lcc =", Q::Healthy, M::CaughtUp),
            (3, "L1e7 lcc =", Q::Wedged, M::CaughtUp),
            (5, "L2e8 clc =", Q::Healthy, M::CaughtUp),
        ],
    );
    let idle = Own { no_op_interval: None, ..own(1) };
    let judge = play(&idle, &[(5, "L1e7 lcc", Q::Healthy, M::Leader)]);
    assert_eq!(judge.own().wedged_after(), Duration::from_secs(10));
}

#[test]
fn leaders_that_come_and_go_are_a_storm() {
    let term = |epoch: &'static str, state| (15, epoch, state, M::CaughtUp);
    let judge = play(
        &own(3),
        &[
            term("L1e1 lcc", Q::Healthy),
            term("L2e2 clc", Q::Healthy),
            term("L1e4 lcc", Q::Healthy),
            term("L2e5 clc", Q::Healthy),
            term("L1e6 lcc", Q::Unstable),
            (3, "sff", Q::Unstable, M::CaughtUp),
            term("L2e7 clc", Q::Unstable),
        ],
    );
    let quorum = judge.quorum().unwrap();
    assert_eq!((quorum.since, quorum.epochs_per_minute), (at(15), 3));
    assert_eq!(
        quorum.sentence,
        "node 2 leads in epoch 7, and is one of 3 leaders within a minute, with 3 new epochs"
    );
}

#[test]
fn a_clock_that_jumps_alarms_nobody() {
    play(
        &own(3),
        &[
            (5, "L1e7 lcc", Q::Healthy, M::CaughtUp),
            (5, "L1e7 lcc = at+86400", Q::Healthy, M::CaughtUp),
            (2, "L1e7 lcc =", Q::Healthy, M::CaughtUp),
            (1, "cff at+86400", Q::Healthy, M::CaughtUp),
            (1, "cff at+100", Q::Healthy, M::CaughtUp),
            (1, "cff at+86400", Q::Healthy, M::CaughtUp),
            (1, "L2e8 clc at+999999", Q::Healthy, M::CaughtUp),
            (1, "L2e8 cls", Q::Healthy, M::CaughtUp),
            (1, "L2e8 cls at+999999", Q::Healthy, M::CaughtUp),
        ],
    );
}

#[test]
fn a_quorum_forms_once() {
    let young = Own { formed: false, ..own(3) };
    let forms = [
        (60, "ccf", Q::Forming, M::Unknown),
        (60, "aaf", Q::Forming, M::Unknown),
        (60, "cff", Q::Forming, M::Unknown),
        (1, "L1e1 lcc", Q::Healthy, M::CaughtUp),
        (10, "ccf", Q::Healthy, M::CaughtUp),
        (10, "ccf", Q::MajorityLost, M::Unknown),
    ];
    play(&young, &forms);
    assert_eq!(play(&young, &forms[..2]).quorum().unwrap().since, at(0));
    // Formed, and this agent has just started.
    play(&own(3), &[(10, "ccf", Q::Unknown, M::Unknown), (9, "ccf", Q::MajorityLost, M::Unknown)]);
}

#[test]
fn a_quorum_made_anew_is_believed_after_a_while_and_the_loss_is_told() {
    let judge = play(
        &own(3),
        &[
            (5, "L1e7 lcc", Q::Healthy, M::CaughtUp),
            (10, "L1e1 lcc =", Q::Healthy, M::CaughtUp),
            (5, "L1e1 lcc =", Q::Healthy, M::CaughtUp),
        ],
    );
    let lost = judge.history().lost().map(|(_, lost)| lost);
    assert_eq!(lost, Some(crate::quorum::history::Lost::EpochWentBack { from: 7, to: 1 }));
    assert_eq!(judge.quorum().unwrap().epoch, Some(1));
    let judge = play(
        &own(3),
        &[(5, "L1e7 lcc", Q::Healthy, M::CaughtUp), (1, "L2e8 clc =", Q::Healthy, M::CaughtUp)],
    );
    assert!(judge.history().lost().is_some());
}

#[test]
fn quorums_of_every_size_know_what_they_can_spare() {
    let kinds = [QuorumKind::Static, QuorumKind::Dynamic];
    for (script, want) in [
        ([(5, "L1e7 l", Q::Healthy, M::Leader), (1, "c", Q::Healthy, M::Leader)], 0),
        ([(5, "L1e7 lcc", Q::Healthy, M::Leader), (1, "cff", Q::Healthy, M::Leader)], 1),
        ([(5, "L1e7 lccc", Q::Healthy, M::Leader), (9, "ffcc", Q::Healthy, M::Leader)], 1),
        ([(5, "L1e7 lcccc", Q::Healthy, M::Leader), (9, "fffcc", Q::Healthy, M::Leader)], 2),
        ([(5, "L1e7 lcccs", Q::Degraded, M::Leader), (9, "fffcc", Q::Degraded, M::Leader)], 1),
        ([(5, "L1e7 lcs", Q::Degraded, M::Leader), (9, "fffcc", Q::Degraded, M::Leader)], 0),
    ] {
        for kind in kinds {
            let own = Own { quorum: kind, ..own(1) };
            assert_eq!(play(&own, &script[..1]).quorum().unwrap().spare, Some(want), "{script:?}");
            assert_eq!(play(&own, &script).quorum().unwrap().spare, None);
        }
    }
    let of_four = (1, "ffcc", Q::MajorityLost, M::Unknown);
    play(&own(1), &[(5, "L1e7 lccc", Q::Healthy, M::Leader), (10, "ffcc", Q::Healthy, M::Leader), of_four]);
    let alone = [(5, "L1e7 l", Q::Healthy, M::Leader), (10, "c", Q::Healthy, M::Leader)];
    play(&own(1), &[alone.as_slice(), &[(9, "c", Q::MajorityLost, M::Unknown)]].concat());
    play(&own(1), &[(5, "L1e7 l", Q::Healthy, M::Leader), (4, "s own:s", Q::Healthy, M::Leader)]);
}

/// Any answer at all.
fn any_info() -> impl Strategy<Value = QuorumInfo> {
    let replica = (0i32..7, any::<Option<i64>>(), any::<Option<i64>>(), any::<Option<i64>>(), 0u8..3);
    let replicas = prop::collection::vec(replica, 0..7).prop_map(|rows| {
        let row = |(id, end, fetched, caught_up, directory)| crate::kafka::describe_quorum::ReplicaState {
            replica_id: node(id),
            directory_id: (directory > 0).then(|| crate::kafka::uuid::Uuid::from_bytes([directory; 16])),
            log_end_offset: end,
            last_fetch_timestamp_ms: fetched,
            last_caught_up_timestamp_ms: caught_up,
        };
        rows.into_iter().map(row).collect::<Vec<_>>()
    });
    let high_watermark = prop_oneof![any::<Option<i64>>(), (0i64..9).prop_map(Some)];
    (
        prop::option::of(0i32..7),
        prop_oneof![any::<i32>(), 0i32..4],
        high_watermark,
        replicas.clone(),
        replicas,
    )
        .prop_map(|(leader, leader_epoch, high_watermark, voters, observers)| QuorumInfo {
            leader_id: leader.map(node),
            leader_epoch,
            high_watermark,
            voters,
            observers,
        })
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any_info().prop_map(Answer::Leads),
        (0usize..6).prop_map(|kind| asked(&"frscan"[kind..=kind]).remove(0).answer),
    ]
}

fn any_own() -> impl Strategy<Value = Own> {
    (0i32..7, any::<(bool, bool)>(), 0u64..5_000, prop::collection::btree_set((0i32..7).prop_map(node), 0..5))
        .prop_map(|(id, (is_static, formed), ms, controllers)| Own {
            quorum: if is_static { QuorumKind::Static } else { QuorumKind::Dynamic },
            formed,
            fetch_timeout: Duration::from_millis(ms),
            no_op_interval: Some(NO_OP_INTERVAL).filter(|_| ms % 2 == 0),
            controllers,
            ..own(id)
        })
}

proptest! {
    #[test]
    fn whatever_is_seen_there_is_a_verdict_and_never_more_spare_than_voters(
        own in any_own(),
        looks in prop::collection::vec(
            (0u64..100_000, prop::collection::vec((prop::option::of(0i32..7), any_answer()), 0..5)),
            1..40,
        ),
    ) {
        let mut judge = Judge::new(own.clone());
        for (second, answers) in looks {
            let ask = |(id, answer): (Option<i32>, Answer)| {
                Asked { node_id: id.map(node), address: "host:9093".to_owned(), answer }
            };
            judge.take(&Sighting { at: at(second), controllers: answers.into_iter().map(ask).collect() });
            let quorum = judge.quorum().unwrap();
            let spare = usize::try_from(quorum.spare.unwrap_or_default()).unwrap();
            prop_assert!(spare < quorum.voters.len().max(1));
            prop_assert!(quorum.since <= at(second));
            prop_assert!(judge.member().unwrap().since <= at(second));
            prop_assert!(quorum.state != Q::Forming || !own.formed);
            let has_leader = matches!(quorum.state, Q::Healthy | Q::Degraded | Q::Wedged | Q::Unstable);
            prop_assert!(!has_leader || quorum.leader.is_some());
            judge.take_broker(&BrokerSighting { at: at(second), own: None, listed_by: Vec::new() });
            prop_assert!(judge.broker().unwrap().since <= at(second));
        }
    }
}
