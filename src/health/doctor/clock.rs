//! This machine's clock against the leader's.
//!
//! A leader's answer has the time of the answer, by its clock, in its own row. It was made between question and answer,
//! so this clock is off by the distance to the middle, give or take half of the round trip.

use std::time::Duration;
use std::time::SystemTime;

use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::text::Word;
use crate::health::text::rfc3339;

/// A question to a leader, and what its clock said meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it was asked, by this machine's clock.
    pub before: SystemTime,
    /// When the answer was there.
    pub after: SystemTime,
    /// What the leader's clock said.
    pub leader_at: SystemTime,
}

/// Clocks that are set over the network differ by milliseconds. So much means that nobody sets one of them.
const NOT_SET: Duration = Duration::from_secs(5);

/// A leaf is backdated by five minutes at most, and by seconds where it lives for minutes ([`crate::pki::sign`]); a clock
/// that is a minute late takes a fresh leaf for one that is not valid yet, and one that is early ends leaves early.
const HARMS: Duration = Duration::from_secs(60);

/// The clock has milliseconds.
const ROUNDED: Duration = Duration::from_millis(1);

/// Whether the clocks of `pod` and of the leader, called `leader`, differ.
pub fn judge(pod: &str, leader: &str, asked: &Asked) -> Option<Finding> {
    // Where the clock was set back meanwhile nothing can be said.
    let round_trip = asked.after.duration_since(asked.before).ok()?;
    let middle = asked.before.checked_add(round_trip / 2)?;
    let (off, word) = match asked.leader_at.duration_since(middle) {
        Ok(behind) => (behind, "behind"),
        Err(ahead) => (ahead.duration(), "ahead of"),
    };
    let give_or_take = (round_trip / 2).saturating_add(ROUNDED);
    let at_least = off.saturating_sub(give_or_take);
    if at_least < NOT_SET {
        return None;
    }
    let severity = if at_least >= HARMS { Severity::Hurts } else { Severity::Later };
    let cause = format!(
        "its clock is {:.1} s {word} that of the leader, {leader}; certificates are judged by it",
        off.as_secs_f64()
    );
    let evidence = format!(
        "here it was {:.3}, there {:.3}, give or take {} ms",
        rfc3339(middle),
        rfc3339(asked.leader_at),
        give_or_take.as_millis()
    );
    let thing = format!("{pod}: clock");
    Some(
        Finding::new(severity, Area::Clock, Word::of("ClocksDiffer"), thing, cause)
            .with(evidence)
            .next("date --utc"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question at 100,000 s that took so long, and what the leader's clock said, in milliseconds.
    fn check(round_trip_ms: u64, leader_ms: u64, want: Option<(Severity, &str)>) {
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let asked = Asked {
            before: at(100_000_000),
            after: at(100_000_000 + round_trip_ms),
            leader_at: at(leader_ms),
        };
        let found = judge("demo-0", "demo-1", &asked);
        let got = found.as_ref().map(|one| (one.severity, one.cause.as_str()));
        assert_eq!(got, want);
    }

    #[test]
    fn half_of_the_round_trip_is_no_difference() {
        check(2, 100_000_001, None);
        check(0, 100_004_999, None);
        check(20_000, 100_000_000, None);
        check(20_000, 100_014_000, None);
        let cause = |rest| Some((Severity::Later, rest));
        check(
            2,
            100_006_001,
            cause("its clock is 6.0 s behind that of the leader, demo-1; certificates are judged by it"),
        );
        check(
            2,
            99_994_001,
            cause("its clock is 6.0 s ahead of that of the leader, demo-1; certificates are judged by it"),
        );
        check(
            2,
            100_600_001,
            Some((
                Severity::Hurts,
                "its clock is 600.0 s behind that of the leader, demo-1; certificates are judged by it",
            )),
        );
    }

    #[test]
    fn a_clock_that_was_set_back_meanwhile_says_nothing() {
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        assert_eq!(judge("a", "b", &Asked { before: at(2), after: at(1), leader_at: at(1_000_000) }), None);
    }
}
