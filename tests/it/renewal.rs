//! The renewal machine, event by event: what it does next, and what it says.

use std::time::Duration;
use std::time::SystemTime;

use kraftlet::certificates::chance::Chance;
use kraftlet::certificates::policy::Issues;
use kraftlet::certificates::policy::Policy;
use kraftlet::certificates::policy::Rollback;
use kraftlet::certificates::renewal::State;
use kraftlet::certificates::renewal::step;
use kraftlet::certificates::schedule::Schedule;
use kraftlet::certificates::schedule::Slot;
use kraftlet::certificates::turn::Action;
use kraftlet::certificates::turn::Answer;
use kraftlet::certificates::turn::Content;
use kraftlet::certificates::turn::Ending;
use kraftlet::certificates::turn::Event;
use kraftlet::certificates::turn::Gate;
use kraftlet::certificates::turn::Leaf;
use kraftlet::certificates::turn::Order;
use kraftlet::certificates::turn::Reason;
use kraftlet::certificates::turn::Seen;
use kraftlet::pki::certificate::Fingerprint;
use kraftlet::pki::renew_point::RenewPoint;
use kraftlet::pki::validity::Validity;

const MINUTE: Duration = Duration::from_secs(60);

/// 2026-11-23 12:00:00 UTC.
fn begin() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_435_200)
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

fn policy(source: Issues) -> Policy {
    let schedule = Schedule::new(RenewPoint::from_percent(66).unwrap(), Slot::new("c", "kafka-0", 0, 3));
    Policy { schedule, chance: Chance::of(&["kafka-0"]), source, rollback: Rollback::Possible }
}

/// Made at this day, for 90 days.
fn leaf(name: &str, made_on: u64) -> Leaf {
    let not_before = begin() + days(made_on);
    let validity = Validity { not_before, not_after: not_before + days(90) };
    Leaf { fingerprint: Fingerprint::of(name.as_bytes()), validity }
}

/// A machine and its clock; events go in, words for actions come out.
struct Bench {
    policy: Policy,
    state: State,
    now: SystemTime,
    last: Action,
}

impl Bench {
    /// After its first verification, on the day its leaf was made.
    fn serving(source: Issues) -> Self {
        let now = begin();
        let state = State::new(Some(leaf("first", 0)), None);
        let mut bench = Self { policy: policy(source), state, now, last: Action::Wait { until: now } };
        assert_eq!(bench.send(Event::Tick), "Reload(Leaf)");
        assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
        assert_eq!(bench.last_reason(), "Verified");
        bench
    }

    fn send(&mut self, event: Event) -> String {
        let (state, action) = step(&self.policy, self.state.clone(), event, self.now);
        (self.state, self.last) = (state, action);
        match action {
            Action::Wait { .. } => "Wait".to_owned(),
            Action::Run { work, .. } => format!("{work:?}"),
        }
    }

    fn done<const N: usize>(&mut self, answers: [Answer; N]) -> String {
        let mut word = String::new();
        for answer in answers {
            let (turn, _) = self.state.running().unwrap();
            word = self.send(Event::Done(turn, answer));
        }
        word
    }

    /// To the time until which it wants to wait.
    fn pass(&mut self) -> String {
        let Action::Wait { until } = self.last else { panic!("no wait: {:?}", self.last) };
        self.now = until;
        self.send(Event::Tick)
    }

    fn on_day(&mut self, day: u64) -> String {
        self.now = begin() + days(day);
        self.send(Event::Tick)
    }

    fn last_reason(&self) -> &'static str {
        self.state.last().unwrap().ending.reason()
    }

    /// From a fetch under way to a reload of what came.
    fn install(&mut self, leaf: Leaf) -> String {
        let fetched = Answer::Fetched { leaf, content: Content::New };
        self.done([fetched, Answer::Passed, Answer::Gate(Gate::Open), Answer::Installed])
    }
}

fn reason(word: &'static str) -> Reason {
    Reason::new(word, "as the test says")
}

fn failed(word: &'static str) -> Answer {
    Answer::Failed(reason(word))
}

fn not_verified(seen: Seen) -> Answer {
    Answer::NotVerified { reason: reason("NotServed"), seen }
}

#[test]
fn a_leaf_is_renewed_when_it_is_due_and_the_next_one_when_that_is_due() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(1), "Wait");
    assert_eq!(bench.pass(), "Fetch");
    // Between the 15th and the 59th day, by the node's slot.
    let second = leaf("second", bench.now.duration_since(begin()).unwrap().as_secs() / days(1).as_secs());
    assert_eq!(bench.install(second), "Reload(Leaf)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!((bench.last_reason(), bench.state.word()), ("Renewed", "Serving"));
    assert_eq!(bench.state.good(), Some(second));
    assert_eq!(bench.pass(), "Fetch");
}

#[test]
fn an_expired_leaf_and_one_from_the_future_are_renewed_at_once() {
    assert_eq!(Bench::serving(Issues::OnRequest).on_day(100), "Fetch");
    let mut early = Bench::serving(Issues::OnRequest);
    early.now -= days(400);
    assert_eq!(early.send(Event::Tick), "Fetch");
}

/// How long it waits after each of so many failures of its source in a row.
fn waits_after_failures(bench: &mut Bench, failures: usize) -> Vec<Duration> {
    let mut waits = Vec::new();
    for _ in 0..failures {
        assert_eq!(bench.done([failed("SourceDown")]), "Wait");
        let from = bench.now;
        assert_eq!(bench.pass(), "Fetch");
        waits.push(bench.now.duration_since(from).unwrap());
    }
    waits
}

#[test]
fn a_source_that_fails_is_asked_again_in_the_nodes_turn_and_at_once_by_order() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(60), "Fetch");
    let waits = waits_after_failures(&mut bench, 12);
    assert!(waits.iter().all(|wait| *wait <= MINUTE * 5), "{waits:?}");
    // From one of its instants to the next.
    assert!(waits[1] >= MINUTE * 4 && waits[1..].iter().all(|wait| *wait == waits[1]), "{waits:?}");
    assert_eq!(bench.done([failed("SourceDown")]), "Wait");
    assert_eq!((bench.last_reason(), bench.state.failures()), ("SourceDown", 13));
    assert_eq!(bench.send(Event::Asked), "Fetch");
}

#[test]
fn near_the_end_of_a_leaf_a_source_that_fails_is_asked_again_soon_and_then_later_and_later() {
    let mut bench = Bench::serving(Issues::OnRequest);
    bench.now = begin() + days(90) - MINUTE * 30;
    assert_eq!(bench.send(Event::Tick), "Fetch");
    let waits = waits_after_failures(&mut bench, 8);
    assert!(waits[0] <= MINUTE / 60 && waits[7] >= MINUTE && waits[7] <= MINUTE * 4, "{waits:?}");
}

#[test]
fn a_leaf_that_kafka_does_not_show_yet_is_reloaded_again_and_not_fetched() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(60), "Fetch");
    bench.install(leaf("second", 60));
    assert_eq!(bench.done([failed("KafkaDown")]), "Wait");
    assert_eq!(bench.pass(), "Reload(Leaf)");
    assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::NotYet)]), "Wait");
    assert_eq!(bench.state.word(), "Waiting");
    assert_eq!(bench.pass(), "Reload(Leaf)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!(bench.last_reason(), "Renewed");
}

#[test]
fn a_leaf_that_is_seen_broken_is_rolled_back_and_not_taken_again() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(60), "Fetch");
    bench.install(leaf("second", 60));
    assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::Broken)]), "RollBack(Leaf)");
    assert_eq!(bench.done([failed("DiskFull")]), "Wait");
    assert_eq!(bench.pass(), "RollBack(Leaf)");
    assert_eq!(bench.done([Answer::RolledBack]), "Reload(Leaf)");
    assert_eq!(bench.state.installed(), Some(leaf("first", 0)));
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!(bench.last_reason(), "NotServed");
    assert_eq!(bench.pass(), "Fetch");
    let again = Answer::Fetched { leaf: leaf("second", 60), content: Content::New };
    assert_eq!(bench.done([again.clone()]), "Wait");
    // A person insists, or the old leaf has run out: then it is tried again.
    assert_eq!(bench.send(Event::Asked), "Fetch");
    assert_eq!(bench.done([again.clone()]), "Preflight");
    assert_eq!(bench.done([failed("PreflightRefused")]), "Wait");
    assert_eq!(bench.on_day(91), "Fetch");
    assert_eq!(bench.done([again]), "Preflight");
}

#[test]
fn nothing_is_rolled_back_to_a_leaf_that_has_expired_or_is_not_ours_to_write() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(91), "Fetch");
    bench.install(leaf("second", 90));
    assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::Broken)]), "Wait");
    let mut bench = Bench::serving(Issues::OnRequest);
    bench.policy.rollback = Rollback::Impossible;
    assert_eq!(bench.on_day(60), "Fetch");
    bench.install(leaf("second", 60));
    assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::Broken)]), "Wait");
}

#[test]
fn a_source_that_cannot_issue_is_waited_for_and_its_files_are_taken_in_turn() {
    let mut bench = Bench::serving(Issues::ByItself);
    assert_eq!(bench.on_day(61), "Wait");
    let said = bench.state.last().unwrap().clone();
    assert_eq!(said.ending.reason(), "SourceHasNotRenewed");
    assert!(matches!(&said.ending, Ending::Waits(reason)
        if reason.sentence.ends_with("it expires at 2027-02-21T12:00:00Z")));
    assert_eq!(bench.pass(), "Wait");
    assert_eq!(bench.state.last(), Some(&said));
    let seen_at = bench.now;
    assert_eq!(bench.send(Event::SourceChanged), "Wait");
    assert_eq!(bench.pass(), "Fetch");
    assert!(bench.now.duration_since(seen_at).unwrap() <= 10 * MINUTE);
    assert_eq!(bench.install(leaf("second", 61)), "Reload(Leaf)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!(bench.last_reason(), "Renewed");
    // An order takes what is there, be it the same.
    assert_eq!(bench.send(Event::Asked), "Fetch");
    let same = Answer::Fetched { leaf: leaf("second", 61), content: Content::AsInstalled };
    assert_eq!(bench.done([same, Answer::Passed, Answer::Gate(Gate::Open)]), "Install(Leaf)");
    assert_eq!(bench.done([Answer::Installed, Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!(bench.last_reason(), "Verified");
}

#[test]
fn a_leaf_of_a_new_ca_waits_for_trust_here_and_at_the_peers() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(60), "Fetch");
    let fetched = Answer::Fetched { leaf: leaf("second", 60), content: Content::New };
    assert_eq!(bench.done([fetched, Answer::Passed, Answer::Gate(Gate::TrustFirst)]), "Install(Trust)");
    assert_eq!(bench.done([Answer::Installed, Answer::Reloaded, Answer::Verified]), "AskPeers");
    for _ in 0..3 {
        let closed = Gate::Closed(reason("PeersDoNotTrustNewCa"));
        assert_eq!(bench.done([Answer::Gate(closed)]), "Wait");
        assert_eq!(bench.last_reason(), "PeersDoNotTrustNewCa");
        assert_eq!(bench.pass(), "AskPeers");
    }
    assert_eq!(bench.done([Answer::Gate(Gate::Open)]), "Install(Leaf)");
    assert_eq!(bench.state.failures(), 0);
}

#[test]
fn a_truststore_has_turns_of_its_own_and_a_broken_one_is_put_back() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.send(Event::TrustDue), "Install(Trust)");
    let broken = [Answer::Installed, Answer::Reloaded, not_verified(Seen::Broken)];
    assert_eq!(bench.done(broken), "RollBack(Trust)");
    assert_eq!(bench.done([Answer::RolledBack, Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!(bench.last_reason(), "NotServed");
    assert_eq!(bench.pass(), "Install(Trust)");
    assert_eq!(bench.done([Answer::Installed, Answer::Reloaded, Answer::Verified]), "Wait");
    assert!(bench.state.is_serving());
}

#[test]
fn what_comes_late_twice_or_out_of_turn_does_not_count() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(60), "Fetch");
    let (first, _) = bench.state.running().unwrap();
    bench.now += MINUTE;
    assert_eq!(bench.send(Event::Tick), "Wait");
    assert_eq!(bench.last_reason(), "FetchTimedOut");
    assert_eq!(bench.pass(), "Fetch");
    let before = bench.state.clone();
    let late = Answer::Fetched { leaf: leaf("second", 60), content: Content::New };
    assert_eq!(bench.send(Event::Done(first, late)), "Wait");
    assert_eq!(bench.state, before);
    assert_eq!(bench.done([Answer::Verified]), "Wait");
    assert_eq!(bench.last_reason(), "AnswerOutOfTurn");
}

#[test]
fn a_clock_that_jumps_back_makes_no_wait_longer() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(60), "Fetch");
    assert_eq!(bench.done([failed("SourceDown")]), "Wait");
    bench.now -= days(30);
    assert_eq!(bench.send(Event::Tick), "Wait");
    let Action::Wait { until } = bench.last else { panic!("{:?}", bench.last) };
    assert!(until <= bench.now + 5 * MINUTE);
}

#[test]
fn a_source_whose_leaves_are_due_at_birth_is_not_asked_in_a_loop() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.on_day(80), "Fetch");
    bench.install(leaf("short", 0));
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!((bench.last_reason(), bench.state.failures()), ("LeafDueAtBirth", 1));
}

#[test]
fn a_truststore_that_is_installed_and_not_shown_is_reloaded_again_and_not_installed() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.send(Event::TrustDue), "Install(Trust)");
    assert_eq!(bench.done([Answer::Installed, failed("KafkaDown")]), "Wait");
    assert_eq!(bench.pass(), "Reload(Trust)");
    assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::NotYet)]), "Wait");
    assert_eq!(bench.pass(), "Reload(Trust)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!((bench.last_reason(), bench.state.failures()), ("Verified", 0));
}

#[test]
fn a_truststore_that_is_due_again_is_installed_again_when_the_wait_is_over() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.send(Event::TrustDue), "Install(Trust)");
    assert_eq!(bench.done([failed("DiskFull")]), "Wait");
    assert_eq!(bench.pass(), "Install(Trust)");
    assert_eq!(bench.done([Answer::Installed, failed("KafkaDown")]), "Wait");
    assert_eq!(bench.send(Event::TrustDue), "Wait");
    assert_eq!(bench.pass(), "Install(Trust)");
    // What is wanted is there, and not shown.
    assert_eq!(bench.done([Answer::NothingToDo]), "Reload(Trust)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert!(bench.state.is_serving());
}

#[test]
fn a_truststore_that_is_not_wanted_any_more_ends_its_turn_without_a_failure() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.send(Event::TrustDue), "Install(Trust)");
    assert_eq!(bench.done([failed("DiskFull")]), "Wait");
    assert_eq!(bench.pass(), "Install(Trust)");
    assert_eq!(bench.done([Answer::NothingToDo]), "Wait");
    assert_eq!((bench.last_reason(), bench.state.failures()), ("Verified", 0));
    // Before a leaf the peers are asked again, and not in a loop.
    assert_eq!(bench.on_day(60), "Fetch");
    let fetched = Answer::Fetched { leaf: leaf("second", 60), content: Content::New };
    assert_eq!(bench.done([fetched, Answer::Passed, Answer::Gate(Gate::TrustFirst)]), "Install(Trust)");
    assert_eq!(bench.done([Answer::NothingToDo]), "Wait");
    assert_eq!(bench.pass(), "AskPeers");
}

#[test]
fn a_truststore_is_put_back_only_where_the_one_before_was_finished() {
    let mut bench = Bench::serving(Issues::OnRequest);
    assert_eq!(bench.send(Event::TrustDue), "Install(Trust)");
    assert_eq!(bench.done([Answer::Installed, failed("KafkaDown")]), "Wait");
    assert_eq!(bench.send(Event::TrustDue), "Wait");
    assert_eq!(bench.pass(), "Install(Trust)");
    // The one that is kept now was never seen to work.
    assert_eq!(bench.done([Answer::Installed, Answer::Reloaded, not_verified(Seen::Broken)]), "Wait");
    assert_eq!(bench.pass(), "Reload(Trust)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    // After a restart there is only a leaf to verify, and nothing of the truststore is put back.
    bench.state = State::new(bench.state.installed(), bench.state.good());
    assert_eq!(bench.send(Event::Tick), "Reload(Leaf)");
    assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::Broken)]), "Wait");
}

#[test]
fn an_order_that_has_failed_is_not_obeyed_by_the_attempts_after_it() {
    let same = Answer::Fetched { leaf: leaf("first", 0), content: Content::AsInstalled };
    for last in [failed("PreflightRefused"), Answer::Passed] {
        let mut bench = Bench::serving(Issues::ByItself);
        assert_eq!(bench.send(Event::Asked), "Fetch");
        assert_eq!(bench.state.order(), &Order::Obeyed);
        match last {
            Answer::Passed => assert_eq!(
                bench.done([same.clone(), last, Answer::Gate(Gate::Open), failed("DiskFull")]),
                "Wait"
            ),
            _ => assert_eq!(bench.done([same.clone(), last]), "Wait"),
        };
        assert!(matches!(bench.state.order(), Order::Ended(Ending::Failed(_))));
    }
    let mut bench = Bench::serving(Issues::ByItself);
    assert_eq!(bench.send(Event::Asked), "Fetch");
    assert_eq!(bench.done([failed("SourceDown")]), "Wait");
    assert_eq!(bench.state.order(), &Order::Ended(Ending::Failed(reason("SourceDown"))));
    assert_eq!(bench.pass(), "Fetch");
    assert_eq!(bench.done([same]), "Wait");
    assert_eq!((bench.last_reason(), bench.state.failures()), ("Verified", 0));
    assert_eq!(bench.state.order(), &Order::Ended(Ending::Failed(reason("SourceDown"))));
}

#[test]
fn an_order_whose_leaf_is_on_the_disk_ends_when_it_is_shown_or_seen_broken_and_not_while_kafka_is_slow() {
    let ordered = || {
        let mut bench = Bench::serving(Issues::OnRequest);
        assert_eq!(bench.send(Event::Asked), "Fetch");
        assert_eq!(bench.install(leaf("second", 0)), "Reload(Leaf)");
        assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::NotYet)]), "Wait");
        assert_eq!((bench.last_reason(), bench.state.order()), ("NotServed", &Order::Installed));
        // Of no concern to the order.
        assert_eq!(bench.send(Event::TrustDue), "Install(Trust)");
        assert_eq!(bench.done([failed("DiskFull")]), "Wait");
        assert_eq!(bench.state.order(), &Order::Installed);
        assert_eq!(bench.pass(), "Install(Trust)");
        assert_eq!(bench.done([Answer::NothingToDo]), "Reload(Leaf)");
        bench
    };
    let mut bench = ordered();
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!(bench.state.order(), &Order::Ended(Ending::Renewed));
    let mut bench = ordered();
    assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::Broken)]), "RollBack(Leaf)");
    assert_eq!(bench.state.order(), &Order::Ended(Ending::Failed(reason("NotServed"))));
    assert_eq!(bench.done([Answer::RolledBack, Answer::Reloaded, Answer::Verified]), "Wait");
    // The attempts after it remember the leaf that was refused.
    assert_eq!(bench.pass(), "Fetch");
    let again = Answer::Fetched { leaf: leaf("second", 0), content: Content::New };
    assert_eq!(bench.done([again]), "Wait");
}

#[test]
fn a_broken_leaf_that_cannot_be_rolled_back_is_replaced_by_what_the_source_has() {
    let broken = |source| {
        let mut bench = Bench::serving(source);
        assert_eq!(bench.send(Event::Asked), "Fetch");
        bench.install(leaf("second", 0));
        assert_eq!(bench.done([Answer::Reloaded, not_verified(Seen::Broken)]), "RollBack(Leaf)");
        assert_eq!(bench.done([failed("LastGoodMissing")]), "Wait");
        bench
    };
    let mut bench = broken(Issues::ByItself);
    assert_eq!(bench.send(Event::Asked), "Fetch");
    let third = |bench: &mut Bench| {
        assert_eq!(bench.install(leaf("third", 0)), "Reload(Leaf)");
        assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
        assert_eq!(bench.last_reason(), "Renewed");
    };
    third(&mut bench);
    let mut bench = broken(Issues::ByItself);
    let mut word = bench.send(Event::SourceChanged);
    while word != "Fetch" {
        word = if word == "Wait" { bench.pass() } else { bench.done([failed("LastGoodMissing")]) };
    }
    third(&mut bench);
    let mut bench = broken(Issues::OnRequest);
    while bench.on_day(60) != "Fetch" {
        bench.done([failed("LastGoodMissing")]);
    }
    // What does not pass leaves the broken one to be rolled back.
    let fetched = Answer::Fetched { leaf: leaf("third", 60), content: Content::New };
    assert_eq!(bench.done([fetched, failed("PreflightRefused")]), "RollBack(Leaf)");
}

/// An agent that starts, is told at once that the source has changed, and verifies what is installed nevertheless.
fn started(day: u64, rollback: Rollback, answer: Answer) -> (Bench, String) {
    let now = begin() + days(day);
    let state = State::new(Some(leaf("first", 0)), Some(leaf("first", 0)));
    let policy = Policy { rollback, ..policy(Issues::ByItself) };
    let mut bench = Bench { policy, state, now, last: Action::Wait { until: now } };
    assert_eq!(bench.send(Event::SourceChanged), "Reload(Leaf)");
    assert_eq!(bench.send(Event::SourceChanged), "Wait");
    let word = bench.done([Answer::Reloaded, answer]);
    (bench, word)
}

#[test]
fn a_source_that_changed_before_the_start_is_asked_after_the_first_verification() {
    let same = Answer::Fetched { leaf: leaf("first", 0), content: Content::AsInstalled };
    for rollback in [Rollback::Possible, Rollback::Impossible] {
        let (mut bench, word) = started(1, rollback, Answer::Verified);
        assert_eq!((word.as_str(), bench.last_reason()), ("Wait", "Verified"));
        assert_eq!(bench.state.good(), Some(leaf("first", 0)));
        let verified = bench.state.last().cloned();
        assert_eq!(bench.pass(), "Fetch");
        assert_eq!(bench.done([same.clone()]), "Wait");
        assert_eq!(bench.state.last(), verified.as_ref());
        assert_eq!((bench.state.word(), bench.state.failures()), ("Serving", 0));
        // A newer one; there is little time left to be alone.
        let (mut bench, word) = started(80, rollback, Answer::Verified);
        assert_eq!((word.as_str(), bench.last_reason()), ("Fetch", "Verified"));
        assert_eq!(bench.install(leaf("second", 80)), "Reload(Leaf)");
        assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
        assert_eq!(bench.last_reason(), "Renewed");
    }
}

#[test]
fn a_leaf_that_is_not_shown_at_the_start_is_verified_also_when_the_source_has_another() {
    let fetched = Answer::Fetched { leaf: leaf("second", 80), content: Content::New };
    let started = || {
        let (bench, word) = started(80, Rollback::Possible, not_verified(Seen::NotYet));
        // Kafka may be down because its leaf has run out.
        assert_eq!(word, "Fetch");
        bench
    };
    let mut bench = started();
    assert_eq!(bench.install(leaf("second", 80)), "Reload(Leaf)");
    let mut bench = started();
    assert_eq!(bench.done([fetched.clone(), failed("PreflightRefused")]), "Reload(Leaf)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!(bench.pass(), "Fetch");
    let mut bench = started();
    let closed = || Answer::Gate(Gate::Closed(reason("PeersDoNotTrustNewCa")));
    assert_eq!(bench.done([fetched, Answer::Passed, closed()]), "Reload(Leaf)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "AskPeers");
    assert_eq!(bench.done([closed()]), "Wait");
    assert_eq!(bench.last_reason(), "PeersDoNotTrustNewCa");
    assert_eq!(bench.pass(), "AskPeers");
    let mut bench = started();
    let same = Answer::Fetched { leaf: leaf("first", 0), content: Content::AsInstalled };
    assert_eq!(bench.done([same]), "Reload(Leaf)");
    assert_eq!(bench.done([Answer::Reloaded, Answer::Verified]), "Wait");
    assert_eq!((bench.last_reason(), bench.state.failures()), ("SourceHasNotRenewed", 0));
}
