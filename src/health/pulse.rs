//! The beats of the agent's own loops, from which its liveness is told.
//!
//! A loop that has not turned for longer than it ever should is stuck, and a restart of the agent cures that. Nothing
//! else is asked: not Kafka, not peers, not the disk. Time is the machine's monotonic clock, so that a wall clock that
//! jumps kills nobody.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// All loops of the agent; a copy is the same.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Loops>);

/// One loop's own; a loop that has ended for good drops it, and is asked no more.
#[derive(Debug)]
pub struct Beat {
    turning: Arc<Turning>,
    loops: Arc<Loops>,
}

/// A loop that has been silent for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rhythm {
    /// Its name.
    pub name: &'static str,
    /// How long ago it turned.
    pub silent_for: Duration,
    /// How long it may be silent.
    pub longest: Duration,
}

#[derive(Debug)]
struct Loops {
    began: Instant,
    turning: Mutex<Vec<Arc<Turning>>>,
}

#[derive(Debug)]
struct Turning {
    name: &'static str,
    longest: Duration,
    /// Milliseconds after `began`.
    turned_ms: AtomicU64,
}

impl Pulse {
    /// Of an agent that begins `now`.
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(Loops { began: now, turning: Mutex::default() }))
    }

    /// A loop that begins `now` and turns at least once in every `longest`.
    pub fn loop_named(&self, name: &'static str, longest: Duration, now: Instant) -> Beat {
        let turned_ms = AtomicU64::new(self.0.milliseconds(now));
        let turning = Arc::new(Turning { name, longest, turned_ms });
        self.0.with(|all| all.push(Arc::clone(&turning)));
        Beat { turning, loops: Arc::clone(&self.0) }
    }

    /// Every loop, in the order in which they began.
    pub fn rhythms(&self, now: Instant) -> Vec<Rhythm> {
        let now = self.0.milliseconds(now);
        let rhythm = |one: &Arc<Turning>| Rhythm {
            name: one.name,
            silent_for: Duration::from_millis(now.saturating_sub(one.turned_ms.load(Ordering::Relaxed))),
            longest: one.longest,
        };
        self.0.with(|all| all.iter().map(rhythm).collect())
    }
}

impl Beat {
    /// The loop turns `now`.
    pub fn beat(&self, now: Instant) {
        self.turning.turned_ms.store(self.loops.milliseconds(now), Ordering::Relaxed);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.loops.with(|all| all.retain(|one| !Arc::ptr_eq(one, &self.turning)));
    }
}

impl Rhythm {
    /// Whether it turns.
    pub fn is_well(&self) -> bool {
        self.silent_for <= self.longest
    }
}

impl Loops {
    fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// Nothing is done under the lock that could leave half of it done.
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Arc<Turning>>) -> T) -> T {
        act(&mut self.turning.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_well_as_long_as_it_turns_and_is_asked_no_more_when_it_has_ended() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let pulse = Pulse::new(began);
        let observer = pulse.loop_named("observer", Duration::from_secs(10), after(1));
        let keeper = pulse.clone().loop_named("keeper", Duration::from_secs(60), after(2));
        let said = |now: Instant| {
            let rhythms = pulse.rhythms(now);
            rhythms.iter().map(|one| (one.name, one.silent_for.as_secs(), one.is_well())).collect::<Vec<_>>()
        };
        assert_eq!(said(after(11)), [("observer", 10, true), ("keeper", 9, true)]);
        assert_eq!(said(after(12)), [("observer", 11, false), ("keeper", 10, true)]);
        observer.beat(after(12));
        assert_eq!(said(after(12)), [("observer", 0, true), ("keeper", 10, true)]);
        drop(keeper);
        assert_eq!(said(after(100)), [("observer", 88, false)]);
        // An instant before the beginning is the beginning.
        assert_eq!(said(began), [("observer", 0, true)]);
    }
}
