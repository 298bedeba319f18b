//! The renewal of one certificate: a machine without clock, disk or network.
//!
//! ```text
//!  Serving --due, source changed, asked--> Fetch -> Preflight -> AskPeers -> Install -> Reload -> Verify --> Serving
//!     ^                                      ^                      |                      ^         |
//!     +------------- waits a while <---------+---- failed ----------+--- not shown yet ----+---------+
//!                                                                                 broken: RollBack, Reload, Verify
//! ```
//!
//! - What comes after a failure depends on how far the turn had come. A leaf that is installed and not shown (Kafka is
//!   down, or slow) is reloaded and verified again; it is not fetched again.
//! - It is rolled back only when handshakes show it broken and the last leaf that worked is still valid. That leaf is
//!   then not installed again until the source gives another, or a person asks.
//! - Nothing has to survive a crash. A machine that starts verifies what is on the disk, and goes on from there.
//! - Truststores move in turns of their own (install, reload, verify), whenever the plan of a CA change says so. One is
//!   put back only by the turn that installed it: after a restart nobody knows what the kept one was kept for.
//! - Each piece of work has a number. An answer to an older one is dropped, so nothing that comes late or twice counts.
//! - Times are compared with the clock and never counted, and no wait is longer than it was when it began: a clock that
//!   jumps makes a wait shorter or restarts it.

use std::time::Duration;
use std::time::SystemTime;

use crate::certificates::backoff;
use crate::certificates::open::Open;
use crate::certificates::open::OpenTrust;
use crate::certificates::policy::Issues;
use crate::certificates::policy::Policy;
use crate::certificates::policy::Rollback;
use crate::certificates::schedule::MAX_TURN;
use crate::certificates::turn::Action;
use crate::certificates::turn::Answer;
use crate::certificates::turn::Content;
use crate::certificates::turn::Ending;
use crate::certificates::turn::Event;
use crate::certificates::turn::Gate;
use crate::certificates::turn::Leaf;
use crate::certificates::turn::Order;
use crate::certificates::turn::Outcome;
use crate::certificates::turn::Part;
use crate::certificates::turn::Reason;
use crate::certificates::turn::SOURCE_HAS_NOT_RENEWED;
use crate::certificates::turn::Seen;
use crate::certificates::turn::Turn;
use crate::certificates::turn::Work;

/// A CA change waits for the slowest node, and its peers should go on soon after that one.
const PEERS_AGAIN: Duration = Duration::from_secs(5);

/// With nothing to wait for. The driver looks at the source more often than that.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Where a renewal stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    installed: Option<Leaf>,
    /// The last leaf that every channel has shown.
    good: Option<Leaf>,
    /// A leaf that was seen broken, and how.
    refused: Option<(Leaf, Reason)>,
    /// In the driver's hands.
    fetched: Option<(Leaf, Content)>,
    open: Open,
    open_trust: OpenTrust,
    running: Option<Running>,
    /// When to go on with what is fetched or open, or to fetch again.
    retry_at: Option<SystemTime>,
    /// When the source is asked again because it has changed.
    turn_at: Option<SystemTime>,
    /// When to install a truststore, or to go on with the one that is open.
    trust_at: Option<SystemTime>,
    /// Another truststore is to be installed.
    trust_due: bool,
    order: Order,
    /// In a row.
    failures: u32,
    began_at: Option<SystemTime>,
    last: Option<Outcome>,
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    work: Work,
    until: SystemTime,
}

impl State {
    /// At the start of the agent: the leaf that is installed, if there is one, and the last one that is known to have
    /// worked, if it is still there. The first thing to do is to verify.
    pub fn new(installed: Option<Leaf>, good: Option<Leaf>) -> Self {
        let open = if installed.is_some() { Open::Installed(Content::AsInstalled) } else { Open::Nothing };
        Self {
            installed,
            good,
            refused: None,
            fetched: None,
            open,
            open_trust: OpenTrust::Nothing,
            running: None,
            retry_at: None,
            turn_at: None,
            trust_at: None,
            trust_due: false,
            order: Order::None,
            failures: 0,
            began_at: None,
            last: None,
            turn: Turn::default(),
        }
    }

    /// The leaf on the disk.
    pub fn installed(&self) -> Option<Leaf> {
        self.installed
    }

    /// The last leaf that every channel was seen to show.
    pub fn good(&self) -> Option<Leaf> {
        self.good
    }

    /// How the last turn ended, or what the present one waits for.
    pub fn last(&self) -> Option<&Outcome> {
        self.last.as_ref()
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The work under way and its number; work with any other number is to be let go of.
    pub fn running(&self) -> Option<(Turn, Work)> {
        self.running.map(|running| (self.turn, running.work))
    }

    /// Whether every channel shows the installed leaf, and no other is at hand.
    pub fn is_serving(&self) -> bool {
        self.open == Open::Nothing && self.fetched.is_none() && self.installed.is_some()
    }

    /// How far a person's last order to renew is.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Whether a fetched leaf waits to be installed; what else was fetched is of no use.
    pub fn is_holding(&self) -> bool {
        self.fetched.is_some()
    }

    /// What is going on, in a word for status.
    pub fn word(&self) -> &'static str {
        match self.running {
            Some(running) => running.work.word(),
            None if self.is_serving() && self.retry_at.is_none() => "Serving",
            None => "Waiting",
        }
    }

    /// When the next renewal begins, or the present one goes on, as far as that is known.
    pub fn next_at(&self, policy: &Policy) -> Option<SystemTime> {
        let due_at = self.installed.map(|leaf| due_at(policy, leaf));
        self.retry_at.or_else(|| self.turn_at.into_iter().chain(due_at).min())
    }

    fn take(&mut self, policy: &Policy, event: Event, now: SystemTime) -> Action {
        match event {
            Event::Tick => {}
            Event::SourceChanged => self.source_changed(policy, now),
            Event::Asked => self.order = Order::Given,
            Event::TrustDue => {
                self.trust_due = true;
                self.trust_at.get_or_insert(now);
            }
            Event::Done(turn, answer) => {
                if let Some(Running { work, .. }) = self.running.filter(|_| turn == self.turn) {
                    self.running = None;
                    if let Some(next) = self.answered(policy, work, answer, now) {
                        return self.run(next, now);
                    }
                }
            }
        }
        self.go_on(policy, now)
    }

    fn source_changed(&mut self, policy: &Policy, now: SystemTime) {
        let turn_at = self.installed.map_or(now, |leaf| policy.schedule.turn_at(leaf.validity, now));
        self.turn_at.get_or_insert(turn_at);
        // A wait for the old content is over.
        if self.open == Open::Nothing && self.fetched.is_none() {
            self.retry_at = None;
        }
    }

    /// The work that follows, if it follows at once.
    fn answered(&mut self, policy: &Policy, work: Work, answer: Answer, now: SystemTime) -> Option<Work> {
        match (work, answer) {
            (Work::Fetch, Answer::Fetched { leaf, content }) => self.fetched(policy, leaf, content, now),
            (Work::Preflight, Answer::Passed) => Some(Work::AskPeers),
            (Work::AskPeers, Answer::Gate(Gate::Open)) => Some(Work::Install(Part::Leaf)),
            (Work::AskPeers, Answer::Gate(Gate::TrustFirst)) => Some(Work::Install(Part::Trust)),
            (Work::AskPeers, Answer::Gate(Gate::Closed(reason))) => {
                self.end(Ending::Waits(reason), now);
                self.retry_at = now.checked_add(PEERS_AGAIN);
                self.open.work()
            }
            (Work::Install(part), Answer::Installed) => {
                self.is_installed(part);
                Some(Work::Reload(part))
            }
            (Work::Install(Part::Trust), Answer::NothingToDo) => {
                if self.fetched.is_some() {
                    self.retry_at = now.checked_add(PEERS_AGAIN);
                }
                self.trust_settled(policy, now);
                self.open_trust.work()
            }
            (Work::Reload(part), Answer::Reloaded) => Some(Work::Verify(part)),
            (Work::Verify(Part::Leaf), Answer::Verified) => self.leaf_verified(policy, now),
            (Work::Verify(Part::Trust), Answer::Verified) => self.trust_verified(policy, now),
            (Work::Verify(part), Answer::NotVerified { reason, seen }) => {
                if seen == Seen::Broken && part == Part::Leaf && self.order == Order::Installed {
                    self.order = Order::Ended(Ending::Failed(reason.clone()));
                }
                if seen == Seen::Broken && self.may_roll_back(policy, part, now) {
                    match part {
                        Part::Leaf => self.open = Open::Broken(reason),
                        Part::Trust => self.open_trust = OpenTrust::Broken(reason),
                    }
                    return Some(Work::RollBack(part));
                }
                self.failed(policy, work, reason, now)
            }
            (Work::RollBack(part), Answer::RolledBack) => {
                self.is_rolled_back(part);
                Some(Work::Reload(part))
            }
            (work, Answer::Failed(reason)) => self.failed(policy, work, reason, now),
            (
                work,
                Answer::Fetched { .. }
                | Answer::Passed
                | Answer::Gate(_)
                | Answer::Installed
                | Answer::NothingToDo
                | Answer::Reloaded
                | Answer::Verified
                | Answer::NotVerified { .. }
                | Answer::RolledBack,
            ) => {
                let sentence = format!("an answer that is none to {work:?}");
                self.failed(policy, work, Reason::new("AnswerOutOfTurn", sentence), now)
            }
        }
    }

    fn is_installed(&mut self, part: Part) {
        match part {
            Part::Leaf => {
                if let Some((leaf, content)) = self.fetched.take() {
                    self.installed = Some(leaf);
                    self.open = Open::Installed(content);
                }
                if self.order == Order::Obeyed {
                    self.order = Order::Installed;
                }
            }
            Part::Trust => self.open_trust = self.open_trust.replaced(),
        }
    }

    fn is_rolled_back(&mut self, part: Part) {
        match (part, &self.open, &self.open_trust) {
            (Part::Leaf, Open::Broken(reason), _) => {
                self.refused = self.installed.map(|leaf| (leaf, reason.clone()));
                self.open = Open::RolledBack(reason.clone());
                self.installed = self.good;
            }
            (Part::Trust, _, OpenTrust::Broken(reason)) => {
                self.open_trust = OpenTrust::RolledBack(reason.clone());
            }
            (Part::Leaf | Part::Trust, _, _) => {}
        }
    }

    fn fetched(&mut self, policy: &Policy, leaf: Leaf, content: Content, now: SystemTime) -> Option<Work> {
        let obeyed = self.order == Order::Obeyed;
        let has_other = self.good.is_some_and(|good| good != leaf && good.validity.holds(now));
        if let Some((refused, reason)) = &self.refused
            && *refused == leaf
            && has_other
            && !obeyed
        {
            let reason = reason.clone();
            self.fetched = None;
            return self.failed(policy, Work::Fetch, reason, now);
        }
        if content == Content::New || obeyed {
            self.fetched = Some((leaf, content));
            return Some(Work::Preflight);
        }
        self.fetched = None;
        if self.open != Open::Nothing {
            return self.open.work();
        }
        match policy.source {
            Issues::OnRequest if self.is_due(policy, now) => {
                self.failed(policy, Work::Fetch, Reason::source_has_not_renewed(leaf), now)
            }
            Issues::OnRequest | Issues::ByItself => {
                self.settled(policy, now);
                None
            }
        }
    }

    fn leaf_verified(&mut self, policy: &Policy, now: SystemTime) -> Option<Work> {
        self.good = self.installed;
        let ending = match std::mem::replace(&mut self.open, Open::Nothing) {
            // The turn has failed, and ended well.
            Open::RolledBack(reason) | Open::Broken(reason) => {
                return self.failed(policy, Work::Fetch, reason, now);
            }
            Open::Installed(Content::New) => {
                self.refused = None;
                Ending::Renewed
            }
            Open::Installed(Content::AsInstalled) | Open::Nothing => Ending::Verified,
        };
        if self.order == Order::Installed {
            self.order = Order::Ended(ending.clone());
        }
        // The turn goes on: this was the leaf that is to be replaced.
        if self.fetched.is_some() {
            self.retry_at = None;
            return None;
        }
        let is_new = ending == Ending::Renewed;
        self.end(ending, now);
        // Of a CA near its end, say: renewing in a loop would not make the leaf live longer.
        if is_new && self.is_due(policy, now) && policy.source == Issues::OnRequest {
            let reason = Reason::new("LeafDueAtBirth", "the source gave a leaf that is due already");
            return self.failed(policy, Work::Fetch, reason, now);
        }
        self.succeeded();
        None
    }

    fn trust_verified(&mut self, policy: &Policy, now: SystemTime) -> Option<Work> {
        match std::mem::replace(&mut self.open_trust, OpenTrust::Nothing) {
            OpenTrust::RolledBack(reason) | OpenTrust::Broken(reason) => {
                self.failed(policy, Work::Verify(Part::Trust), reason, now)
            }
            OpenTrust::Installed { .. } | OpenTrust::Nothing => {
                // Peers may be asked at once.
                if self.fetched.is_some() {
                    self.retry_at = None;
                }
                self.trust_settled(policy, now);
                None
            }
        }
    }

    fn trust_settled(&mut self, policy: &Policy, now: SystemTime) {
        if self.open_trust == OpenTrust::Nothing && self.is_serving() && self.retry_at.is_none() {
            self.settled(policy, now);
        }
    }

    /// Nothing is unfinished. A failure or a wait that was told before is over.
    fn settled(&mut self, policy: &Policy, now: SystemTime) {
        let is_wrong = |last: &Outcome| matches!(last.ending, Ending::Failed(_) | Ending::Waits(_));
        if self.last.as_ref().is_some_and(is_wrong) && !self.is_due(policy, now) {
            self.end(Ending::Verified, now);
        }
        self.succeeded();
    }

    fn may_roll_back(&self, policy: &Policy, part: Part, now: SystemTime) -> bool {
        let way_back = match part {
            Part::Leaf => {
                matches!(self.open, Open::Installed(_))
                    && self.good.is_some_and(|good| Some(good) != self.installed && good.validity.holds(now))
            }
            Part::Trust => self.open_trust == (OpenTrust::Installed { way_back: true }),
        };
        way_back && policy.rollback == Rollback::Possible
    }

    /// Waits before the turn goes on; what is fetched or open says with what. Returns what needs no wait.
    fn failed(&mut self, policy: &Policy, work: Work, reason: Reason, now: SystemTime) -> Option<Work> {
        self.failures = self.failures.saturating_add(1);
        let left = self.installed.map_or(Duration::ZERO, |leaf| leaf.validity.left(now));
        let again_at = now.checked_add(backoff::wait(policy.chance, self.failures, left));
        let in_turn = || policy.schedule.retry_at(self.installed?.validity, now);
        let fetch_at = match policy.source {
            Issues::OnRequest => in_turn().or(again_at),
            Issues::ByItself => again_at,
        };
        let is_turns_end = match work {
            Work::Install(Part::Trust)
            | Work::Reload(Part::Trust)
            | Work::Verify(Part::Trust)
            | Work::RollBack(Part::Trust) => {
                self.trust_at = again_at;
                self.trust_due |= work == Work::Install(Part::Trust);
                if self.open != Open::Nothing || self.fetched.is_some() {
                    self.retry_at = again_at;
                }
                false
            }
            Work::Preflight => {
                self.fetched = None;
                // One that was installed before is still to be shown; the source is asked again after that.
                let again = if self.open == Open::Nothing { &mut self.retry_at } else { &mut self.turn_at };
                *again = fetch_at;
                true
            }
            Work::Fetch => {
                self.retry_at = fetch_at;
                true
            }
            Work::AskPeers | Work::Install(Part::Leaf) => {
                self.retry_at = again_at;
                true
            }
            Work::Reload(Part::Leaf) | Work::Verify(Part::Leaf) | Work::RollBack(Part::Leaf) => {
                self.retry_at = again_at;
                false
            }
        };
        if is_turns_end && self.order == Order::Obeyed {
            self.order = Order::Ended(Ending::Failed(reason.clone()));
        }
        self.end(Ending::Failed(reason), now);
        if work == Work::Preflight { self.open.work() } else { None }
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.retry_at = None;
        self.began_at = None;
    }

    fn end(&mut self, ending: Ending, now: SystemTime) {
        let took = self.began_at.and_then(|began_at| now.duration_since(began_at).ok()).unwrap_or_default();
        self.last = Some(Outcome { ending, at: now, took });
    }

    /// With nothing else to do at once: goes on with what is open, begins what is due, or waits.
    fn go_on(&mut self, policy: &Policy, now: SystemTime) -> Action {
        if let Some(running) = &mut self.running {
            // After a jump back of the clock no wait is longer than it was at first.
            running.until = not_beyond(running.until, now, running.work.within());
            let Running { work, until } = *running;
            if now < until {
                return Action::Wait { until };
            }
            self.running = None;
            let sentence = format!("no answer within {} s", work.within().as_secs());
            if let Some(next) = self.failed(policy, work, Reason::new(work.timed_out(), sentence), now) {
                return self.run(next, now);
            }
        }
        self.retry_at = self.retry_at.map(|at| not_beyond(at, now, backoff::LONGEST));
        self.trust_at = self.trust_at.map(|at| not_beyond(at, now, backoff::LONGEST));
        self.turn_at = self.turn_at.map(|at| not_beyond(at, now, MAX_TURN));
        let reached = |at: Option<SystemTime>| at.is_some_and(|at| at <= now);
        if reached(self.trust_at) {
            self.trust_at = None;
            let open = self.open_trust.work().filter(|_| !self.trust_due);
            return self.run(open.unwrap_or(Work::Install(Part::Trust)), now);
        }
        // What is on the disk is verified once before it is replaced: a change may be told at the start.
        let is_untried = self.retry_at.is_none() && self.open != Open::Nothing && self.fetched.is_none();
        if (self.order == Order::Given || reached(self.turn_at)) && !is_untried {
            return self.run(Work::Fetch, now);
        }
        if self.retry_at.is_some_and(|at| now < at) {
            return self.wait(policy, now);
        }
        let open = if self.fetched.is_some() { Some(Work::AskPeers) } else { self.open.work() };
        if let Some(open) = open.filter(|_| !self.is_time_to_fetch(policy, now)) {
            return self.run(open, now);
        }
        if open.is_some() || self.retry_at.is_some() || self.installed.is_none() {
            return self.run(Work::Fetch, now);
        }
        if !self.is_due(policy, now) {
            return self.wait(policy, now);
        }
        match policy.source {
            Issues::OnRequest => self.run(Work::Fetch, now),
            Issues::ByItself => {
                self.wait_for_source(now);
                self.wait(policy, now)
            }
        }
    }

    /// Whether a turn that does not end should fetch again, because its leaf is due before it was shown: each second
    /// attempt, for the one that is there may still come to be served.
    fn is_time_to_fetch(&self, policy: &Policy, now: SystemTime) -> bool {
        let leaf = self.fetched.map(|(leaf, _)| leaf).or(self.installed);
        policy.source == Issues::OnRequest
            && self.failures % 2 == 1
            && leaf.is_some_and(|leaf| is_due(policy, leaf, now))
    }

    fn is_due(&self, policy: &Policy, now: SystemTime) -> bool {
        self.installed.is_none_or(|leaf| is_due(policy, leaf, now))
    }

    /// Says once that the leaf is due and its source has nothing new, unless there is worse to say.
    fn wait_for_source(&mut self, now: SystemTime) {
        let said = self.last.as_ref().is_some_and(|last| last.ending.reason() == SOURCE_HAS_NOT_RENEWED);
        if let Some(leaf) = self.installed.filter(|_| !said && self.failures == 0) {
            self.end(Ending::Waits(Reason::source_has_not_renewed(leaf)), now);
        }
    }

    fn wait(&self, policy: &Policy, now: SystemTime) -> Action {
        let due_at = self.installed.map(|leaf| due_at(policy, leaf)).filter(|at| now < *at);
        let times = [self.retry_at, self.turn_at, self.trust_at, due_at.filter(|_| self.retry_at.is_none())];
        let until = times.into_iter().flatten().min().or_else(|| now.checked_add(LOOK_AGAIN)).unwrap_or(now);
        Action::Wait { until }
    }

    fn run(&mut self, work: Work, now: SystemTime) -> Action {
        match work {
            Work::Fetch => {
                self.turn_at = None;
                self.retry_at = None;
                if self.order == Order::Given {
                    self.order = Order::Obeyed;
                }
                self.began_at.get_or_insert(now);
            }
            Work::Install(Part::Trust) => {
                self.trust_at = None;
                self.trust_due = false;
            }
            Work::Preflight
            | Work::AskPeers
            | Work::Install(Part::Leaf)
            | Work::Reload(_)
            | Work::Verify(_)
            | Work::RollBack(_) => {}
        }
        let within = work.within();
        self.turn = Turn(self.turn.0.wrapping_add(1));
        self.running = Some(Running { work, until: now.checked_add(within).unwrap_or(now) });
        Action::Run { turn: self.turn, work, within }
    }
}

/// Takes an event at `now` and says what is to be done.
///
/// The driver begins with [`Event::Tick`].
pub fn step(policy: &Policy, mut state: State, event: Event, now: SystemTime) -> (State, Action) {
    let action = state.take(policy, event, now);
    (state, action)
}

/// Due by its schedule, or of no use to anybody now: expired, or from a time when the clock was ahead.
/// A leaf that somebody else renews is late at its renew point; nodes take turns only with leaves that they ask for.
fn due_at(policy: &Policy, leaf: Leaf) -> SystemTime {
    match policy.source {
        Issues::OnRequest => policy.schedule.due_at(leaf.validity),
        Issues::ByItself => policy.schedule.late_at(leaf.validity),
    }
}

fn is_due(policy: &Policy, leaf: Leaf, now: SystemTime) -> bool {
    due_at(policy, leaf) <= now || !leaf.validity.holds(now)
}

fn not_beyond(at: SystemTime, now: SystemTime, longest: Duration) -> SystemTime {
    now.checked_add(longest).map_or(at, |limit| at.min(limit))
}
