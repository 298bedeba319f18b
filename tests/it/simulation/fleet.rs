//! Ten years of a fleet, node by node.
//!
//! Nodes share nothing but the calendar, so each is played by itself from its first leaf to the last year, and what it
//! did is counted by the minute. The world around it fails at random: source, preflight, Kafka, the agent, the clock.

use std::time::Duration;
use std::time::SystemTime;

use kraftlet::certificates::chance::Chance;
use kraftlet::certificates::policy::Issues;
use kraftlet::certificates::policy::Policy;
use kraftlet::certificates::policy::Rollback;
use kraftlet::certificates::renewal;
use kraftlet::certificates::renewal::State;
use kraftlet::certificates::schedule::Schedule;
use kraftlet::certificates::schedule::Slot;
use kraftlet::certificates::turn::Action;
use kraftlet::certificates::turn::Answer;
use kraftlet::certificates::turn::Content;
use kraftlet::certificates::turn::Event;
use kraftlet::certificates::turn::Gate;
use kraftlet::certificates::turn::Leaf;
use kraftlet::certificates::turn::Part;
use kraftlet::certificates::turn::Reason;
use kraftlet::certificates::turn::Seen;
use kraftlet::certificates::turn::Work;
use kraftlet::pki::certificate::Fingerprint;
use kraftlet::pki::renew_point::RenewPoint;
use kraftlet::pki::validity::Validity;

use crate::simulation::Dice;
use crate::simulation::full_size;
use crate::simulation::seeds;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;
/// 2026-11-23 12:00:00 UTC, in milliseconds. All times here are true times, after this.
const BEGIN: u64 = 1_795_435_200 * SECOND;

/// What goes wrong around a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    Good,
    /// The source works half the time, and one thing or another fails now and then.
    Bad,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    seed: u64,
    nodes: u64,
    /// Nodes of one cluster; the first three are its voters.
    cluster: u64,
    lasts: u64,
    lifetime: u64,
    /// The longest time for which a source is away in a bad world, one half of all time in all. Above a quarter of a life it cannot be helped.
    source_away: u64,
    /// From when to when the source of a good world is away, for all nodes alike.
    outage: (u64, u64),
    world: World,
}

/// Clusters of three controllers and four brokers, with leaves of a day, in a bad world.
const FLEET: Plan = Plan {
    seed: 1,
    nodes: 9_996,
    cluster: 7,
    lasts: 0,
    lifetime: DAY,
    source_away: 6 * HOUR,
    outage: (0, 0),
    world: World::Bad,
};

/// What a fleet did.
#[derive(Debug, Default)]
struct Counted {
    renewals: u64,
    fetches: u64,
    by_minute: Vec<u32>,
}

/// One node and the world around it.
struct Node<'a> {
    plan: &'a Plan,
    policy: Policy,
    dice: Dice,
    state: State,
    /// True time.
    now: u64,
    /// When faults stop, a little before the end.
    good_from: u64,
    /// How far the node's clock is off, and until when.
    clock_off: i64,
    clock_changes_at: u64,
    source_seed: u64,
    works_until: u64,
    fetched: Option<Leaf>,
    /// The last leaf on the disk in true time.
    on_disk_until: u64,
    made: u64,
    /// By its own clock: when turns began because a leaf was due.
    begun: Vec<u64>,
    /// When a leaf was fetched after failures.
    retried: Vec<u64>,
    counted: &'a mut Counted,
}

impl<'a> Node<'a> {
    fn new(plan: &'a Plan, id: u64, counted: &'a mut Counted) -> Self {
        let cluster = format!("cluster-{}", id / plan.cluster);
        let name = format!("kafka-{}", id % plan.cluster);
        let rank = usize::try_from(id % plan.cluster).unwrap();
        let slot = Slot::new(&cluster, &name, rank, usize::try_from(plan.cluster).unwrap());
        let policy = Policy {
            schedule: Schedule::new(RenewPoint::from_percent(66).unwrap(), slot),
            chance: Chance::of(&[&cluster, &name]),
            source: Issues::OnRequest,
            rollback: Rollback::Possible,
        };
        let mut node = Self {
            plan,
            policy,
            dice: Dice::new(plan.seed, id),
            state: State::new(None, None),
            now: 0,
            good_from: 0,
            clock_off: 0,
            clock_changes_at: u64::MAX,
            source_seed: 0,
            works_until: 0,
            fetched: None,
            on_disk_until: 0,
            made: 0,
            begun: Vec::new(),
            retried: Vec::new(),
            counted,
        };
        let leaf = node.issue();
        node.on_disk_until = plan.lifetime;
        node.state = State::new(Some(leaf), None);
        if plan.world == World::Bad {
            node.clock_changes_at = node.dice.between(0, YEAR);
            node.source_seed = node.dice.next() >> 1;
            // Not for all at once: a source that comes back to all of a fleet has many guests.
            node.good_from = plan.lasts - node.dice.between(plan.lifetime, 2 * plan.lifetime);
        }
        node
    }

    fn is_bad(&self) -> bool {
        self.now < self.good_from
    }

    fn clock(&self) -> SystemTime {
        let at = (BEGIN + self.now).saturating_add_signed(self.clock_off);
        SystemTime::UNIX_EPOCH + Duration::from_millis(at)
    }

    /// A leaf as a CA with a good clock makes it.
    fn issue(&mut self) -> Leaf {
        self.made += 1;
        let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_secs((BEGIN + ms) / SECOND);
        let not_after = at(self.now + self.plan.lifetime);
        let backdated_by = Duration::from_millis((self.plan.lifetime / 20).min(5 * MINUTE));
        Leaf {
            fingerprint: Fingerprint::of(&self.made.to_be_bytes()),
            validity: Validity { not_before: at(self.now) - backdated_by, not_after },
        }
    }

    fn live(&mut self) {
        let mut event = Event::Tick;
        while self.now < self.plan.lasts {
            let state = std::mem::replace(&mut self.state, State::new(None, None));
            let was_calm = state.failures() == 0 && state.is_serving();
            let (state, action) = renewal::step(&self.policy, state, event, self.clock());
            self.state = state;
            event = match action {
                Action::Wait { until } => self.wait(until),
                Action::Run { turn, work, .. } => {
                    if work == Work::Fetch && was_calm {
                        self.begin();
                    }
                    match self.answer(work) {
                        Some(answer) => Event::Done(turn, answer),
                        None => Event::Tick,
                    }
                }
            };
            if self.is_bad() && self.dice.once_in_a_while(2) {
                self.restart();
                event = Event::Tick;
            }
        }
    }

    /// Notes a turn that begins by the calendar, and not because a clock has jumped.
    fn begin(&mut self) {
        let Some(leaf) = self.state.installed() else { return };
        let due_at = self.policy.schedule.due_at(leaf.validity);
        if self.clock().duration_since(due_at).is_ok_and(|late| late < Duration::from_secs(1)) {
            let own = self.clock().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            self.begun.push(u64::try_from(own.as_millis()).unwrap());
        }
    }

    /// The agent is killed and started: all that stays are the files.
    fn restart(&mut self) {
        self.fetched = None;
        self.state = State::new(self.state.installed(), self.state.good());
    }

    fn wait(&mut self, until: SystemTime) -> Event {
        let until = u64::try_from(until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let until = until.saturating_add_signed(-self.clock_off).saturating_sub(BEGIN);
        assert!(self.now <= until, "a wait that is over before it begins");
        if !self.is_bad() {
            // Clocks are right again, and stay so.
            self.clock_changes_at = if self.clock_off == 0 { u64::MAX } else { self.now };
        }
        if until < self.clock_changes_at {
            self.now = until;
            let trust_is_due = self.is_bad() && self.dice.once_in_a_while(5);
            return if trust_is_due { Event::TrustDue } else { Event::Tick };
        }
        self.now = self.now.max(self.clock_changes_at);
        self.jump();
        Event::Tick
    }

    /// The node's clock jumps off, mostly by minutes and seldom by years, or is set right.
    fn jump(&mut self) {
        let lasts = if self.clock_off != 0 {
            self.clock_off = 0;
            self.dice.between(DAY, YEAR)
        } else {
            let (off, lasts) = match self.dice.between(0, 10) {
                0 => (10 * YEAR, 10 * MINUTE),
                _ => (HOUR, HOUR),
            };
            let off = i64::try_from(self.dice.between(1, off)).unwrap();
            self.clock_off = if self.dice.once_in_a_while(500) { off } else { -off };
            self.dice.between(1, lasts)
        };
        self.clock_changes_at = self.now + lasts;
    }

    /// Half of each span of time, at any place in it.
    fn source_works(&self) -> bool {
        let span = self.plan.source_away;
        let now = self.now + self.source_seed % span;
        if (self.plan.outage.0..self.plan.outage.1).contains(&self.now) {
            return false;
        }
        let away_from = Dice::new(self.source_seed, now / span).between(0, span / 2);
        !self.is_bad()
            || self.now < self.works_until
            || !(away_from..away_from + span / 2).contains(&(now % span))
    }

    /// What becomes of this work; `None` when nobody ever says.
    fn answer(&mut self, work: Work) -> Option<Answer> {
        let bad = self.is_bad();
        self.now += self.dice.between(1, 200);
        if bad && self.dice.once_in_a_while(3) {
            return None;
        }
        let fails = bad && self.dice.once_in_a_while(20);
        let failed = |word| Some(Answer::Failed(Reason::new(word, "simulated")));
        match work {
            Work::Fetch => {
                self.counted.fetches += 1;
                if !self.source_works() || fails {
                    return failed("SourceDown");
                }
                if self.state.failures() > 0 {
                    self.retried.push(self.now);
                }
                let leaf = self.issue();
                self.fetched = Some(leaf);
                Some(Answer::Fetched { leaf, content: Content::New })
            }
            Work::Preflight => {
                let valid = self.fetched.is_some_and(|leaf| leaf.validity.holds(self.clock()));
                if fails || !valid { failed("PreflightRefused") } else { Some(Answer::Passed) }
            }
            Work::AskPeers if fails => Some(Answer::Gate(Gate::Closed(Reason::new("Peers", "simulated")))),
            Work::AskPeers => Some(Answer::Gate(Gate::Open)),
            Work::Install(_) if fails => failed("DiskFull"),
            Work::Install(Part::Leaf) => {
                self.install();
                Some(Answer::Installed)
            }
            Work::Install(Part::Trust) if self.dice.once_in_a_while(300) => Some(Answer::NothingToDo),
            Work::Install(Part::Trust) => Some(Answer::Installed),
            Work::Reload(_) if fails => failed("KafkaDown"),
            Work::Reload(_) => Some(Answer::Reloaded),
            Work::Verify(_) if fails => {
                let seen = if self.dice.once_in_a_while(100) { Seen::Broken } else { Seen::NotYet };
                Some(Answer::NotVerified { reason: Reason::new("NotServed", "simulated"), seen })
            }
            Work::Verify(_) => Some(Answer::Verified),
            Work::RollBack(_) if fails => failed("DiskFull"),
            Work::RollBack(_) => {
                self.on_disk_until = self.state.good().map_or(0, not_after);
                // A leaf that Kafka cannot serve and then no other in time: nothing can help against that.
                self.works_until = self.now + HOUR;
                Some(Answer::RolledBack)
            }
        }
    }

    fn install(&mut self) {
        let Some(leaf) = self.fetched.take() else { return };
        assert!(self.now <= self.on_disk_until, "{:?}: a leaf ran out: {:?}", self.plan, self.state);
        self.on_disk_until = not_after(leaf);
        self.counted.renewals += 1;
        let minute = usize::try_from(self.now / MINUTE).unwrap();
        if self.counted.by_minute.len() <= minute {
            self.counted.by_minute.resize(minute + 1, 0);
        }
        self.counted.by_minute[minute] += 1;
    }
}

fn not_after(leaf: Leaf) -> u64 {
    let at = leaf.validity.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(at.as_millis()).unwrap() - BEGIN
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.renewals += other.renewals;
        self.fetches += other.fetches;
        if self.by_minute.len() < other.by_minute.len() {
            self.by_minute.resize(other.by_minute.len(), 0);
        }
        for (sum, count) in self.by_minute.iter_mut().zip(other.by_minute) {
            *sum += count;
        }
    }
}

/// Plays the clusters of a fleet, on two threads, and checks each node at its end.
fn play(plan: &Plan) -> Counted {
    let clusters = plan.nodes / plan.cluster;
    let part = |first: u64| {
        let mut counted = Counted::default();
        for cluster in (first..clusters).step_by(2) {
            play_cluster(plan, cluster, &mut counted);
        }
        counted
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| part(1));
        let mut counted = part(0);
        counted.add(other.join().unwrap());
        counted
    })
}

fn play_cluster(plan: &Plan, cluster: u64, counted: &mut Counted) {
    let mut begun = Vec::new();
    for rank in 0..plan.cluster {
        let mut node = Node::new(plan, cluster * plan.cluster + rank, counted);
        node.live();
        assert!(node.now <= node.on_disk_until, "{plan:?}: a leaf ran out: {:?}", node.state);
        let calm = node.state.is_serving() && node.state.failures() == 0;
        assert!(calm, "{plan:?}: faults are over and it does not serve: {:?}", node.state);
        if rank < 3 {
            begun.extend(node.begun.iter().map(|at| (*at, rank)));
        }
    }
    begun.sort_unstable();
    let slots = (2 * plan.cluster).next_power_of_two().max(8);
    // Periods are at least 3/8 of a life; half a slot is left between two nodes.
    let apart = plan.lifetime * 3 / 8 / slots / 2;
    for pair in begun.windows(2) {
        let ((a_at, a), (b_at, b)) = (pair[0], pair[1]);
        assert!(a == b || b_at - a_at > apart, "{plan:?}: voters {a} and {b} begin {} ms apart", b_at - a_at);
    }
}

#[test]
fn ten_thousand_pods_keep_valid_leaves_for_ten_years_whatever_fails() {
    let (lifetime, source_away, seeds) =
        if full_size() { (DAY, 6 * HOUR, seeds()) } else { (90 * DAY, HOUR / 3, seeds()[2..].to_vec()) };
    for seed in seeds {
        let plan = Plan { seed, lasts: 10 * YEAR, lifetime, source_away, ..FLEET };
        let counted = play(&plan);
        println!("{plan:?}: {} renewals, {} fetches", counted.renewals, counted.fetches);
        // More often than once in two thirds of a life.
        assert!(counted.renewals > plan.nodes * (plan.lasts / lifetime) * 3 / 2);
    }
}

#[test]
fn the_busiest_minute_of_leaves_of_a_day_is_at_most_three_times_the_mean() {
    let (lasts, count) = if full_size() { (10 * YEAR, usize::MAX) } else { (4 * DAY, 1) };
    let bad = seeds().into_iter().map(|seed| Plan { seed, lasts, ..FLEET }).take(count);
    let good = Plan { lasts, world: World::Good, ..FLEET };
    let one_cluster = Plan { cluster: FLEET.nodes, ..good };
    for plan in bad.chain([good, one_cluster]) {
        let counted = play(&plan);
        // All leaves were made in the first minute. After two thirds of their life all of them have been renewed.
        let minutes = &counted.by_minute[usize::try_from(DAY * 2 / 3 / MINUTE).unwrap()..];
        let busiest = counted.by_minute.iter().max().copied().unwrap_or(0);
        let mean = f64::from(minutes.iter().sum::<u32>()) / minutes.len() as f64;
        println!("{plan:?}: mean minute {mean:.1}, busiest {busiest}");
        assert!(f64::from(busiest) <= 3.0 * mean, "{plan:?}: busiest minute {busiest}, mean {mean:.1}");
    }
}

#[test]
fn voters_that_have_waited_for_one_source_do_not_renew_at_one_moment() {
    for seed in seeds() {
        let mut waited = 0;
        for cluster in 0..300 {
            // Away for so long that most voters are due meanwhile, and not so long that a leaf comes near its end.
            let from = Dice::new(seed, cluster).between(4 * HOUR, 8 * HOUR);
            let plan =
                Plan { seed, lasts: DAY, outage: (from, from + 7 * HOUR), world: World::Good, ..FLEET };
            let mut counted = Counted::default();
            let mut retried = Vec::new();
            for rank in 0..3 {
                let mut node = Node::new(&plan, cluster * plan.cluster + rank, &mut counted);
                node.live();
                assert!(node.now <= node.on_disk_until, "{plan:?}: a leaf ran out: {:?}", node.state);
                retried.extend(node.retried);
            }
            retried.sort_unstable();
            waited += retried.len();
            for pair in retried.windows(2) {
                // Half of a slot of five minutes, of which there are twice as many as nodes.
                assert!(pair[1] - pair[0] > 9 * SECOND - 200, "{plan:?}: voters renew at {pair:?}");
            }
        }
        println!("seed {seed}: {waited} renewals waited for the source");
        assert!(waited > 300);
    }
}

#[test]
fn leaves_of_two_minutes_are_renewed_once_a_minute() {
    for seed in seeds() {
        let plan = Plan { seed, nodes: 30, cluster: 3, lasts: DAY, lifetime: 2 * MINUTE, ..FLEET };
        let plan = Plan { world: World::Good, ..plan };
        let counted = play(&plan);
        println!("{plan:?}: {} renewals", counted.renewals);
        assert!((30 * 24 * 60..30 * 24 * 65).contains(&counted.renewals), "{}", counted.renewals);
    }
}
