//! Time as the looks tell it: forward only, and without the jumps of a clock.
//!
//! A look is dated by the machine's clock, and that may be set back, set forward, or stand while the machine sleeps. An
//! age that came of such a jump would be a false alarm. So the time between two looks is added up, and where it is
//! negative or longer than looks are ever apart, nothing is added. Dates for people are counted back from the last look.

use std::time::Duration;
use std::time::SystemTime;

/// A moment, as the time since the first look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(Duration);

/// Where the looks have come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    at: Option<SystemTime>,
    now: Mark,
}

/// Something, and since when it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    /// What it is.
    pub value: T,
    /// Since when.
    pub since: Mark,
}

/// Looks come every second, and one takes a few seconds where several controllers are silent.
const LONGEST_GAP: Duration = Duration::from_secs(60);

impl Timeline {
    /// Goes on to a look at `at`.
    pub fn advance(&mut self, at: SystemTime) {
        let step = self.at.and_then(|last| at.duration_since(last).ok());
        let step = step.filter(|step| *step <= LONGEST_GAP).unwrap_or_default();
        self.now = Mark(self.now.0.saturating_add(step));
        self.at = Some(at);
    }

    /// The moment of the last look.
    pub fn now(&self) -> Mark {
        self.now
    }

    /// How long before the last look `mark` was.
    pub fn age(&self, mark: Mark) -> Duration {
        self.now.0.saturating_sub(mark.0)
    }

    /// When the last look was, by the clock; `None` before the first.
    pub fn at(&self) -> Option<SystemTime> {
        self.at
    }

    /// When `mark` was, by the clock of the last look.
    pub fn date(&self, mark: Mark) -> SystemTime {
        let at = self.at.unwrap_or(SystemTime::UNIX_EPOCH);
        at.checked_sub(self.age(mark)).unwrap_or(at)
    }
}

/// Keeps in `held` what it is: where it is the same as before, since then, else since `from`.
pub fn hold<T: PartialEq>(held: &mut Option<Held<T>>, value: T, from: Mark) -> Mark {
    let since = match held {
        Some(held) if held.value == value => held.since,
        Some(_) | None => from,
    };
    *held = Some(Held { value, since });
    since
}

/// A length of time for a person, to a tenth of a second.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::at;

    #[test]
    fn jumps_of_the_clock_are_no_time() {
        let mut timeline = Timeline::default();
        timeline.advance(at(100));
        let first = timeline.now();
        for (seconds, want_age, want_date) in [
            (101, 1, 100),
            (90, 1, 89),
            (92, 3, 89),
            // An hour ahead, and on.
            (3692, 3, 3689),
            (3752, 63, 3689),
            (3813, 63, 3750),
        ] {
            timeline.advance(at(seconds));
            assert_eq!(timeline.age(first), Duration::from_secs(want_age), "{seconds}");
            assert_eq!(timeline.date(first), at(want_date), "{seconds}");
        }
    }

    #[test]
    fn what_stays_the_same_keeps_its_date() {
        let mut held = None;
        let mark = |seconds| Mark(Duration::from_secs(seconds));
        for (value, from, want) in [("a", 1, 1), ("a", 5, 1), ("b", 4, 4), ("a", 6, 6)] {
            assert_eq!(hold(&mut held, value, mark(from)), mark(want));
        }
        assert_eq!(seconds(Duration::from_millis(2_449)), "2.4 s");
    }
}
