//! The share of a certificate's life after which it has to be renewed.
//!
//! This is the latest moment. When a node renews before it, so that a fleet does not do so all at once, is said in
//! [`crate::certificates::schedule`].

use std::time::Duration;
use std::time::SystemTime;

use crate::pki::validity::Validity;

/// The share of a certificate's life after which it is renewed, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RenewPoint(u8);

/// A share that leaves no life before it or no time after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("renew point of {found} percent; want 10 to 90")]
pub struct RenewPointError {
    found: u64,
}

impl RenewPointError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "RenewPointOutOfRange"
    }
}

impl RenewPoint {
    /// Below 10 a cluster does nothing but renew; above 90 a weekend without a CA is an outage.
    pub fn from_percent(percent: u64) -> Result<Self, RenewPointError> {
        match u8::try_from(percent) {
            Ok(percent @ 10..=90) => Ok(Self(percent)),
            _ => Err(RenewPointError { found: percent }),
        }
    }

    /// From `not_before` to the moment at which a certificate of this validity is due at the latest.
    pub fn share_of(self, validity: Validity) -> Duration {
        // In milliseconds, so that a life of seconds has a renew point too.
        let life_ms = u64::try_from(validity.life().as_millis()).unwrap_or(u64::MAX);
        // Whole hundreds and the rest apart: no overflow at any life, and no slow u128.
        let percent = u64::from(self.0);
        Duration::from_millis(life_ms / 100 * percent + life_ms % 100 * percent / 100)
    }

    /// When a certificate of this validity is due at the latest.
    pub fn of(self, validity: Validity) -> SystemTime {
        validity.not_before.checked_add(self.share_of(validity)).unwrap_or(validity.not_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_leaves_no_time_is_refused() {
        for percent in [0, 9, 91, 100, 1 << 40] {
            let error = RenewPoint::from_percent(percent).unwrap_err();
            assert_eq!(error.to_string(), format!("renew point of {percent} percent; want 10 to 90"));
        }
        for percent in [10, 90] {
            assert_eq!(RenewPoint::from_percent(percent), Ok(RenewPoint(u8::try_from(percent).unwrap())));
        }
    }

    #[test]
    fn the_point_is_a_share_of_the_life_whatever_the_dates_are() {
        let check = |from_s: u64, to_s: u64, percent, want_ms: u64| {
            let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let validity = Validity { not_before: at(from_s), not_after: at(to_s) };
            let point = RenewPoint::from_percent(percent).unwrap();
            assert_eq!(point.of(validity), at(from_s) + Duration::from_millis(want_ms));
        };
        check(1000, 1126, 66, 83_160);
        check(1000, 1001, 33, 330);
        check(1000, 1000, 66, 0);
        check(1000, 900, 66, 0);
        check(0, 253_402_300_799, 90, 228_062_070_719_100);
    }
}
