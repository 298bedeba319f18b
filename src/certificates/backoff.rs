//! How long to wait after a failure.
//!
//! Twice as long after each failure in a row, so that a source that is in trouble is not asked to death, but never so
//! long that the installed leaf would run out before several more attempts. The jitter comes from the node's name: when
//! a source comes back, a fleet that waited for it does not come at one instant.

use std::time::Duration;

use crate::certificates::chance::Chance;
use crate::certificates::schedule::RETRY_TURN;

/// A first failure is often a file that is being written, or a connection that broke.
const FIRST: Duration = Duration::from_secs(1);

/// As long as a source that issues is waited for.
pub const LONGEST: Duration = RETRY_TURN;

/// The longest wait once the leaf has run out: nobody can talk to the node, and each second counts.
const LONGEST_WITHOUT_LEAF: Duration = Duration::from_secs(30);

/// One wait takes at most this share of what is left, so there are many attempts before the end.
const SHARE_OF_LEFT: u32 = 8;

/// The wait after `failures` failures in a row (1 or more) of the node that `chance` is of, when the installed leaf
/// has `left` to live. From half a second to five minutes.
pub fn wait(chance: Chance, failures: u32, left: Duration) -> Duration {
    let longest = if left.is_zero() { LONGEST_WITHOUT_LEAF } else { LONGEST.min(left / SHARE_OF_LEFT) };
    // 2^9 seconds are longer than the longest wait.
    let doublings = failures.saturating_sub(1).min(9);
    let full = (FIRST * (1 << doublings)).min(longest).max(FIRST);
    let full_ms = u64::try_from(full.as_millis()).unwrap_or(u64::MAX);
    // Between half of it and all of it.
    Duration::from_millis(full_ms / 2 + chance.with(failures.into()).below(full_ms / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// The wait without jitter lies between these, both in milliseconds.
    fn check(failures: u32, left: Duration, want: std::ops::RangeInclusive<u128>) {
        for name in ["kafka-0", "kafka-1", "kafka-2"] {
            let found = wait(Chance::of(&[name]), failures, left);
            assert!(want.contains(&found.as_millis()), "{failures} failures, {left:?} left: {found:?}");
            assert_eq!(found, wait(Chance::of(&[name]), failures, left));
        }
    }

    #[test]
    fn waits_double_up_to_five_minutes() {
        check(0, DAY, 500..=1000);
        check(1, DAY, 500..=1000);
        check(2, DAY, 1000..=2000);
        check(5, DAY, 8000..=16_000);
        check(10, DAY, 150_000..=300_000);
        check(u32::MAX, DAY * 3650, 150_000..=300_000);
    }

    #[test]
    fn no_wait_takes_more_than_an_eighth_of_the_life_that_is_left() {
        check(10, Duration::from_secs(80), 5_000..=10_000);
        check(10, Duration::from_millis(1), 500..=1000);
        check(10, Duration::ZERO, 15_000..=30_000);
    }

    #[test]
    fn nodes_do_not_wait_equally_long() {
        let waits = ["kafka-0", "kafka-1", "kafka-2"].map(|name| wait(Chance::of(&[name]), 9, DAY));
        assert!(waits[0] != waits[1] && waits[1] != waits[2] && waits[0] != waits[2], "{waits:?}");
    }
}
