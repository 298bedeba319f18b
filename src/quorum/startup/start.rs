//! Folds looks at the log directories, and what the node's own listener was heard to say, into how far it has started.
//!
//! A start that is slow never looks done, and one that is done never looks unfinished: what cannot be told counts as not
//! recovered, and an answer with metadata applied ends all doubts until Kafka is started again.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::SystemTime;

use crate::quorum::sighting::Answer;
use crate::quorum::sighting::BrokerSighting;
use crate::quorum::sighting::OwnBroker;
use crate::quorum::sighting::Sighting;
use crate::quorum::view::Recovery;
use crate::quorum::view::Startup;

/// How far this node has started, look by look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    looked_at: Option<SystemTime>,
    /// Whatever was touched before is not of this start.
    begun_at: Option<SystemTime>,
    lock: Lock,
    /// Its Kafka has answered while the lock was free: what is seen here are not the directories that it uses.
    is_elsewhere: bool,
    is_formatted: bool,
    /// How many log directories there are.
    log_dirs: usize,
    /// Those that are not recovered, by their places.
    stopped_cleanly: BTreeSet<usize>,
    heard: Option<Heard>,
    /// When it was first heard with metadata applied since it began.
    applied_at: Option<SystemTime>,
    recovery: Option<Recovery>,
}

/// One log directory as it was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogDir {
    /// It has its `meta.properties`.
    pub is_formatted: bool,
    /// Whether a Kafka has it.
    pub lock: Lock,
    /// It has `.kafka_cleanshutdown`, which Kafka deletes before it loads the logs (`LogManager.loadLogs`).
    pub stopped_cleanly: bool,
}

/// Whether a process holds the lock of a log directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lock {
    /// That cannot be told.
    #[default]
    Unknown,
    /// No Kafka runs on it.
    Free,
    /// One does.
    Held,
}

/// What the node's own listener was last heard to say, or not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// When the look began.
    pub at: SystemTime,
    /// What it said.
    pub listener: Listener,
}

/// The listener between brokers of a broker, which is opened last; that of a node that is a controller alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// It was not asked, or could not be.
    Unknown,
    /// Nobody listens yet.
    Closed,
    /// It is open. What it has said does not show that metadata are applied.
    Open,
    /// It has answered as one that has metadata: a broker with an epoch of its features, a controller at all.
    HasMetadata,
}

/// Log recovery that may be going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovering {
    /// What was touched since then has been recovered.
    pub since: SystemTime,
    /// In which log directories, by their places.
    pub log_dirs: Vec<usize>,
}

/// Between two looks that are so close no Kafka ends and is back at its locks: its container and its JVM have to be
/// started, and its controller before the logs.
const UNBROKEN: Duration = Duration::from_millis(1500);

impl Heard {
    /// Of a broker.
    pub fn of_broker(sighting: &BrokerSighting) -> Self {
        let listener = match sighting.own {
            Some(OwnBroker::Answers { applied: Some(_) }) => Listener::HasMetadata,
            Some(OwnBroker::Answers { applied: None } | OwnBroker::Silent) => Listener::Open,
            Some(OwnBroker::Closed) => Listener::Closed,
            None => Listener::Unknown,
        };
        Self { at: sighting.at, listener }
    }

    /// Of a controller, which is at this place among those that were asked.
    pub fn of_controller(sighting: &Sighting, place: Option<usize>) -> Self {
        let asked = place.and_then(|place| sighting.controllers.get(place));
        let listener = match asked.map(|asked| &asked.answer) {
            Some(Answer::Leads(_) | Answer::Follows) => Listener::HasMetadata,
            Some(Answer::Refuses(_) | Answer::Silent(_)) => Listener::Open,
            Some(Answer::Closed(_)) => Listener::Closed,
            Some(Answer::Away(_) | Answer::NotAsked) | None => Listener::Unknown,
        };
        Self { at: sighting.at, listener }
    }
}

impl Start {
    /// Takes in a look at `now` at all log directories, which keep their places, and what was last heard.
    pub fn take(&mut self, log_dirs: &[LogDir], heard: Option<Heard>, now: SystemTime) {
        self.heard = heard;
        let was_heard = |listener, since: Option<SystemTime>| {
            since.zip(heard).is_some_and(|(since, heard)| heard.listener == listener && heard.at > since)
        };
        let has_closed = was_heard(Listener::Closed, self.applied_at);
        let has_answered = was_heard(Listener::HasMetadata, self.looked_at);
        let found = lock(log_dirs);
        let is_free = self.lock == Lock::Free && found == Lock::Free;
        self.is_elsewhere = found != Lock::Held && (self.is_elsewhere || is_free && has_answered);
        self.lock = if self.is_elsewhere { Lock::Unknown } else { found };
        match self.lock {
            Lock::Free => self.begin(now),
            // Its Kafka may be another one by now.
            Lock::Held if has_closed && !self.is_unbroken(now) => self.begin(self.looked_at.unwrap_or(now)),
            Lock::Unknown if has_closed => self.begin(self.looked_at.unwrap_or(now)),
            Lock::Held | Lock::Unknown => {}
        }
        self.looked_at = Some(now);
        // A clock that was set back must not put the beginning off.
        self.begun_at = Some(self.begun_at.map_or(now, |at| at.min(now)));
        self.log_dirs = log_dirs.len();
        self.is_formatted = log_dirs.iter().all(|one| one.is_formatted);
        let clean = log_dirs.iter().enumerate().filter(|(_, one)| one.stopped_cleanly);
        self.stopped_cleanly.extend(clean.map(|(place, _)| place));
        let applied = heard.filter(|_| was_heard(Listener::HasMetadata, self.begun_at));
        self.applied_at = self.applied_at.or(applied.map(|heard| heard.at));
    }

    /// Recovery that goes on, as far as anybody can tell: its progress has to be looked at. A Kafka whose listener is open
    /// is beyond it.
    pub fn recovering(&self) -> Option<Recovering> {
        let is_closed = self.heard.is_some_and(|heard| heard.listener == Listener::Closed);
        if !is_closed || self.applied_at.is_some() || self.lock == Lock::Free {
            return None;
        }
        let unclean = (0..self.log_dirs).filter(|place| !self.stopped_cleanly.contains(place));
        Some(Recovering { since: self.begun_at?, log_dirs: unclean.collect() })
    }

    /// Takes in how far recovery has come of the start that began after `since`.
    pub fn has_recovered(&mut self, since: SystemTime, recovery: Recovery) {
        if self.begun_at == Some(since) {
            self.recovery = Some(recovery).filter(|recovery| recovery.all > 0);
        }
    }

    /// What is known now; `None` before the first look.
    pub fn startup(&self) -> Option<Startup> {
        let metadata_applied = self.applied_at.is_some();
        self.looked_at.map(|_| Startup {
            formatted: self.is_formatted || metadata_applied,
            metadata_applied,
            recovery: self.recovering().and(self.recovery),
        })
    }

    fn begin(&mut self, at: SystemTime) {
        let Self { lock, is_elsewhere, heard, .. } = *self;
        *self = Self { begun_at: Some(at), lock, is_elsewhere, heard, ..Self::default() };
    }

    fn is_unbroken(&self, now: SystemTime) -> bool {
        let pause = self.looked_at.and_then(|at| now.duration_since(at).ok());
        pause.is_some_and(|pause| pause <= UNBROKEN)
    }
}

/// That of all log directories: one that is held is enough, for Kafka lets go of one that fails.
fn lock(log_dirs: &[LogDir]) -> Lock {
    let has = |lock| log_dirs.iter().any(|one| one.lock == lock);
    if has(Lock::Held) {
        Lock::Held
    } else if has(Lock::Unknown) || log_dirs.is_empty() {
        Lock::Unknown
    } else {
        Lock::Free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::sighting::Asked;
    use crate::quorum::testing::at;
    use crate::quorum::testing::info;

    /// A look at one log directory: L held, f free, F free after a clean stop, u unknown, n not formatted and free; then
    /// what was heard meanwhile: c closed, o open, m metadata, - nothing new.
    fn after(looks: &str) -> Start {
        let mut start = Start::default();
        let mut heard = None;
        for (second, look) in (1..).zip(looks.split(' ')) {
            let mut letters = look.chars();
            let (found, said) = (letters.next().unwrap(), letters.next().unwrap());
            let listener = match said {
                'c' => Some(Listener::Closed),
                'o' => Some(Listener::Open),
                'm' => Some(Listener::HasMetadata),
                _ => None,
            };
            heard = listener.map(|listener| Heard { at: at(second), listener }).or(heard);
            let lock = match found {
                'L' => Lock::Held,
                'u' => Lock::Unknown,
                _ => Lock::Free,
            };
            let log_dir = LogDir { is_formatted: found != 'n', lock, stopped_cleanly: found == 'F' };
            start.take(&[log_dir], heard, at(second));
            if let Some(recovering) = start.recovering().filter(|one| !one.log_dirs.is_empty()) {
                start.has_recovered(recovering.since, Recovery { done: 1, all: 3 });
            }
        }
        start
    }

    #[test]
    fn a_start_is_over_when_kafka_has_answered_with_metadata() {
        let check = |looks: &str, want: &str| {
            let startup = after(looks).startup().unwrap();
            let words = [
                (startup.formatted, "formatted"),
                (startup.metadata_applied, "applied"),
                (startup.recovery.is_some(), "recovers"),
            ];
            let said: Vec<_> = words.iter().filter(|(is_so, _)| *is_so).map(|(_, word)| *word).collect();
            assert_eq!(said.join(" "), want, "{looks}");
        };
        // A first start, and a clean one.
        check("n-", "");
        check("nc fc", "formatted");
        check("Fc Fc Lc", "formatted");
        check("Fc Lc Lo Lm", "formatted applied");
        // After an unclean stop, with and without a look before it.
        check("fc Lc", "formatted recovers");
        check("fc Lc Lo", "formatted");
        check("fc Lc Lm", "formatted applied");
        check("Lc", "formatted recovers");
        check("L- Lm", "formatted applied");
        // It does not run, so nothing is recovered; what it said last was said by the one before.
        check("fc", "formatted");
        check("Lm Lm f- f-", "formatted");
        check("Lm Lm f- L-", "formatted");
        check("Lm Lm f- L- Lc", "formatted recovers");
        check("Lm Lm f- L- Lc Lm", "formatted applied");
        // A clean stop counts for the start that comes next, and for no other.
        check("Lm F- Lc Lc", "formatted");
        check("Lm F- Lc f- Lc", "formatted recovers");
        // Where the lock is held all the while, it is the same Kafka, whatever happens to its name or its network.
        check("Lm Lm Lc Lc", "formatted applied");
        // Where the lock says nothing the listener has to.
        check("uc", "formatted recovers");
        check("um um", "formatted applied");
        check("u- um uc", "formatted recovers");
        check("u- um uc um", "formatted applied");
        // Whoever answers while nobody holds the lock uses other directories than those that are seen here.
        check("fc fc fm fm", "formatted applied");
        check("fc fc fm fc", "formatted recovers");
        check("fc fm Lm f- Lc", "formatted recovers");
        // Where nobody can ask, nothing is said to go on.
        check("L- L-", "formatted");
    }

    #[test]
    fn a_kafka_that_may_have_been_restarted_between_two_looks_begins_again() {
        let mut start = after("L- Lm");
        let held = [LogDir { is_formatted: true, lock: Lock::Held, stopped_cleanly: false }];
        let heard = Some(Heard { at: at(9), listener: Listener::Closed });
        start.take(&held, heard, at(9));
        assert!(!start.startup().unwrap().metadata_applied);
        assert_eq!(start.recovering().unwrap().since, at(2));
    }

    #[test]
    fn what_was_touched_while_nobody_held_the_lock_is_not_of_the_start() {
        let check = |looks: &str, want: u64| {
            assert_eq!(after(looks).recovering().unwrap().since, at(want), "{looks}");
        };
        check("fc fc Lc Lc", 2);
        check("Lc Lc", 1);
        // It died in the midst of it, and begins from the beginning.
        check("fc Lc Lc fc fc Lc", 5);
    }

    #[test]
    fn a_walk_for_an_earlier_start_says_nothing_of_this_one() {
        let mut start = after("fc Lc fc Lc");
        start.recovery = None;
        start.has_recovered(at(1), Recovery { done: 3, all: 3 });
        assert_eq!(start.startup().unwrap().recovery, None);
        start.has_recovered(at(3), Recovery { done: 0, all: 0 });
        assert_eq!(start.startup().unwrap().recovery, None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_a_start_from_its_end() {
        let mut start = after("f- f- f- f- f- f-");
        let held = [LogDir { is_formatted: true, lock: Lock::Held, stopped_cleanly: false }];
        start.take(&held, None, at(2));
        start.take(&held, Some(Heard { at: at(3), listener: Listener::HasMetadata }), at(3));
        assert!(start.startup().unwrap().metadata_applied);
    }

    #[test]
    fn one_log_directory_that_is_held_is_enough() {
        let check = |locks: &[Lock], want: Lock| {
            let log_dirs: Vec<_> =
                locks.iter().map(|lock| LogDir { lock: *lock, ..LogDir::default() }).collect();
            assert_eq!(lock(&log_dirs), want, "{locks:?}");
        };
        check(&[Lock::Free, Lock::Unknown, Lock::Held], Lock::Held);
        check(&[Lock::Free, Lock::Unknown], Lock::Unknown);
        check(&[Lock::Free, Lock::Free], Lock::Free);
        check(&[], Lock::Unknown);
    }

    #[test]
    fn a_broker_has_metadata_when_it_names_an_epoch_and_a_controller_when_it_answers() {
        let broker = |own: Option<OwnBroker>| {
            Heard::of_broker(&BrokerSighting { at: at(1), own, listed_by: Vec::new() }).listener
        };
        assert_eq!(broker(Some(OwnBroker::Answers { applied: Some(0) })), Listener::HasMetadata);
        assert_eq!(broker(Some(OwnBroker::Answers { applied: None })), Listener::Open);
        assert_eq!(broker(Some(OwnBroker::Silent)), Listener::Open);
        assert_eq!(broker(Some(OwnBroker::Closed)), Listener::Closed);
        assert_eq!(broker(None), Listener::Unknown);
        let controller = |answer: Answer| {
            let asked = Asked { node_id: None, address: String::new(), answer };
            Heard::of_controller(&Sighting { at: at(1), controllers: vec![asked] }, Some(0)).listener
        };
        assert_eq!(controller(Answer::Leads(info(1, 7, 10, &[(1, 0)]))), Listener::HasMetadata);
        assert_eq!(controller(Answer::Follows), Listener::HasMetadata);
        assert_eq!(controller(Answer::Refuses(String::new())), Listener::Open);
        assert_eq!(controller(Answer::Silent(String::new())), Listener::Open);
        assert_eq!(controller(Answer::Closed(String::new())), Listener::Closed);
        assert_eq!(controller(Answer::Away(String::new())), Listener::Unknown);
        assert_eq!(controller(Answer::NotAsked), Listener::Unknown);
        let nobody = Sighting { at: at(1), controllers: Vec::new() };
        assert_eq!(Heard::of_controller(&nobody, Some(0)).listener, Listener::Unknown);
    }
}
