//! When a certificate is due: a share of its life.

use std::time::Duration;
use std::time::SystemTime;

use crate::pki::certificate::Certificate;

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

    /// When this certificate is due.
    pub fn of(self, certificate: &Certificate) -> SystemTime {
        let begins_at = certificate.not_before();
        let life = certificate.not_after().duration_since(begins_at).unwrap_or(Duration::ZERO);
        // In milliseconds, so that a life of seconds has a renew point too. u128: no overflow at any life.
        let share_ms = life.as_millis() * u128::from(self.0) / 100;
        let share = Duration::from_millis(u64::try_from(share_ms).unwrap_or(u64::MAX));
        begins_at.checked_add(share).unwrap_or(certificate.not_after())
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
}
