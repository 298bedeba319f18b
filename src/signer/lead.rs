//! Who leads, of several replicas: the rules of client-go's leader election, over one Lease.
//!
//! The times in a Lease are those of its writer's clock and are never compared with ours. What counts is how long ago
//! we saw the Lease change: a leader that has not written for the duration it promised is gone. And a leader that could
//! not write for a shorter time stops leading by itself, before anybody else may begin.

use std::time::Duration;
use std::time::Instant;

use serde::Deserialize;
use serde::Serialize;

use crate::kubernetes::meta::Meta;

/// A Lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Lease {
    /// `metadata`.
    pub metadata: Meta,
    /// `spec`.
    pub spec: LeaseSpec,
}

/// Who holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// The leader; empty where it has gone in good order.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub holder_identity: String,
    /// How long others wait for its next word.
    pub lease_duration_seconds: u64,
    /// Since when it leads.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub acquire_time: String,
    /// Its last word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub renew_time: String,
    /// How often it has changed hands.
    pub lease_transitions: u64,
}

/// The Lease's name, in the signer's namespace.
pub const LEASE: &str = "kraftlet-signer";

/// client-go's defaults.
pub const LEASE_LASTS: Duration = Duration::from_secs(15);
/// A leader that could not write for so long leads no more.
pub const RENEW_WITHIN: Duration = Duration::from_secs(10);
/// Everybody looks so often.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What one replica has seen.
#[derive(Debug, Clone)]
pub struct Election {
    name: String,
    /// The Lease as it was last seen to change, and when.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Election {
    /// Of the replica called so; two of one name would both lead.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), seen: None }
    }

    /// What is to be written in the place of `found`, or `None` where somebody else leads. `read_at` is a time after `found`
    /// was read: by one before it, a Lease that was written meanwhile would seem to have been silent since. `written_at` is
    /// the time by the clock on the wall, for people to read.
    pub fn wish(&mut self, found: &Lease, read_at: Instant, written_at: &str) -> Option<LeaseSpec> {
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != found.spec) {
            self.seen = Some((found.spec.clone(), read_at));
        }
        let spec = &found.spec;
        let is_mine = spec.holder_identity == self.name;
        if !is_mine && !spec.holder_identity.is_empty() {
            let (_, since) = self.seen.as_ref()?;
            // Nobody is believed who promises to be silent for long.
            let lasts = Duration::from_secs(spec.lease_duration_seconds).clamp(LEASE_LASTS, 4 * LEASE_LASTS);
            if read_at.duration_since(*since) < lasts {
                return None;
            }
        }
        Some(LeaseSpec {
            holder_identity: self.name.clone(),
            lease_duration_seconds: LEASE_LASTS.as_secs(),
            acquire_time: if is_mine { spec.acquire_time.clone() } else { written_at.to_owned() },
            renew_time: written_at.to_owned(),
            lease_transitions: spec.lease_transitions + u64::from(!is_mine),
        })
    }

    /// What is left behind in good order, so that nobody waits.
    pub fn farewell(&self, found: &Lease) -> Option<LeaseSpec> {
        (found.spec.holder_identity == self.name).then(|| LeaseSpec {
            holder_identity: String::new(),
            lease_duration_seconds: 1,
            ..found.spec.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_no_time_do_two_lead_whatever_fails() {
        // A lease with compare-and-set, three replicas that fail to reach it at times, and a step of one second.
        for seed in 0u64..200 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut draw = |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let begin = Instant::now();
            let mut lease = Lease::default();
            let mut version = 0u64;
            let mut replicas: Vec<(Election, Option<Instant>, u64)> =
                ["a", "b", "c"].map(|name| (Election::new(name), None, 0)).to_vec();
            let mut led = 0;
            for second in 0..600u64 {
                let now = begin + Duration::from_secs(second);
                for (election, leads_until, cut_off) in &mut replicas {
                    if *cut_off > 0 {
                        *cut_off -= 1;
                        continue;
                    }
                    if draw(60) == 0 {
                        *cut_off = draw(40);
                    }
                    if !second.is_multiple_of(2) {
                        continue;
                    }
                    // What it read may be old by the time it writes.
                    let (read, read_version) = (lease.clone(), version);
                    if let Some(wish) = election.wish(&read, now, &second.to_string())
                        && read_version == version
                    {
                        lease.spec = wish;
                        version += 1;
                        *leads_until = Some(now + RENEW_WITHIN);
                    }
                }
                let leading = replicas.iter().filter(|(_, until, _)| until.is_some_and(|until| now < until));
                let leading = leading.count();
                assert!(leading <= 1, "seed {seed}: {leading} lead at second {second}");
                led += leading;
            }
            assert!(led > 400, "seed {seed}: somebody led for only {led} of 600 s");
        }
    }

    #[test]
    fn a_leader_that_says_goodbye_is_followed_at_once() {
        let now = Instant::now();
        let (mut one, mut other) = (Election::new("one"), Election::new("other"));
        let mut lease = Lease::default();
        lease.spec = one.wish(&lease, now, "t").unwrap();
        assert_eq!(other.wish(&lease, now, "t"), None);
        assert_eq!(other.farewell(&lease), None);
        lease.spec = one.farewell(&lease).unwrap();
        assert_eq!(other.wish(&lease, now, "t").unwrap().lease_transitions, 2);
    }
}
