//! How often somebody may ask: a bucket of tokens for each, in a table that does not grow.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

/// How many at once, and how many in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// One more after each.
    pub every: Duration,
}

/// A bucket for each key.
#[derive(Debug)]
pub struct Limit {
    rate: Rate,
    most: usize,
    /// When each will be full again. Who is not here is full.
    full_at: BTreeMap<String, SystemTime>,
}

impl Limit {
    /// Remembers `most` who have asked; who asks when that many are about has to wait.
    pub fn new(rate: Rate, most: usize) -> Self {
        Self { rate, most, full_at: BTreeMap::new() }
    }

    /// Takes one token of `key`, or says when there will be one.
    pub fn take(&mut self, key: &str, now: SystemTime) -> Result<(), Duration> {
        let Rate { burst, every } = self.rate;
        let later = |by: Duration| now.checked_add(by).unwrap_or(now);
        let whole = every.saturating_mul(burst);
        // A clock that was set back must not lock anybody out for longer than the table remembers.
        let full_at = self.full_at.get(key).copied().unwrap_or(now).clamp(now, later(whole));
        let next = full_at.checked_add(every).unwrap_or(full_at);
        if let Ok(over) = next.duration_since(later(whole))
            && !over.is_zero()
        {
            return Err(over);
        }
        if !self.full_at.contains_key(key) && self.full_at.len() >= self.most {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= self.most {
                return Err(every);
            }
        }
        self.full_at.insert(key.to_owned(), next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_and_then_one_at_a_time_for_each() {
        let mut limit = Limit::new(Rate { burst: 3, every: 10 * SECOND }, 8);
        let now = testing::now();
        let three: Vec<_> = (0..4).map(|_| limit.take("a", now)).collect();
        assert_eq!(three, [Ok(()), Ok(()), Ok(()), Err(10 * SECOND)]);
        assert_eq!(limit.take("b", now), Ok(()));
        assert_eq!(limit.take("a", now + 4 * SECOND), Err(6 * SECOND));
        assert_eq!(limit.take("a", now + 10 * SECOND), Ok(()));
        assert_eq!(limit.take("a", now + 10 * SECOND), Err(10 * SECOND));
        // The clock goes back by a day.
        assert_eq!(limit.take("a", now - 86400 * SECOND).unwrap_err(), 10 * SECOND);
        assert_eq!(limit.take("a", now - 86390 * SECOND).unwrap_err(), 10 * SECOND);
    }

    #[test]
    fn the_table_does_not_grow_and_forgets_those_who_have_waited() {
        let mut limit = Limit::new(Rate { burst: 2, every: SECOND }, 3);
        let now = testing::now();
        for key in ["a", "b", "c"] {
            limit.take(key, now).unwrap();
        }
        assert_eq!(limit.take("d", now), Err(SECOND));
        assert_eq!(limit.take("d", now + SECOND), Ok(()));
        assert_eq!(limit.full_at.len(), 1);
    }
}
