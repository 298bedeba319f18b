//! Spans of time as people say them.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

/// A span in its one or two largest units: `3 h 20 min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// How far a time is from now: `3 h 20 min ago`, `in 5 s`, `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub at: SystemTime,
    /// From where it is seen.
    pub now: SystemTime,
}

/// From so many of the larger unit on the smaller one says nothing any more.
const ENOUGH: u64 = 10;

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")];
        for (unit, word, smaller, smaller_word) in units {
            let (count, rest) = (seconds / unit, seconds % unit / smaller);
            if count > 0 {
                write!(f, "{count} {word}")?;
                return if count < ENOUGH && rest > 0 { write!(f, " {rest} {smaller_word}") } else { Ok(()) };
            }
        }
        if seconds == 0 { write!(f, "{} ms", self.0.as_millis()) } else { write!(f, "{seconds} s") }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (span, is_past) = match self.at.duration_since(self.now) {
            Ok(ahead) => (ahead, false),
            Err(behind) => (behind.duration(), true),
        };
        match (span.as_secs(), is_past) {
            (0, _) => f.write_str("now"),
            (_, true) => write!(f, "{} ago", Span(span)),
            (_, false) => write!(f, "in {}", Span(span)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (ms, want) in [
            (0, "0 ms"),
            (412, "412 ms"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (90_000, "1 min 30 s"),
            (600_000 + 5_000, "10 min"),
            (12_000_000, "3 h 20 min"),
            (86_400_000 + 60_000, "1 d"),
            (90_000_000, "1 d 1 h"),
            (31 * 86_400_000 + 3_600_000, "31 d"),
        ] {
            assert_eq!(Span(Duration::from_millis(ms)).to_string(), want);
        }
    }

    #[test]
    fn a_moment_is_behind_or_ahead() {
        for (seconds, want) in [(95, "5 s ago"), (100, "now"), (105, "in 5 s")] {
            assert_eq!(Moment { at: at(seconds), now: at(100) }.to_string(), want);
        }
    }
}
