//! How long probes took to answer, counted in buckets; a count is one addition, whoever else counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::health::probe::Probe;

/// Upper bounds in microseconds. A probe has a millisecond; what lies far beyond is a machine that does something else.
const BOUNDS_US: [u64; 8] = [25, 50, 100, 250, 500, 1_000, 10_000, 100_000];

/// Of every probe.
#[derive(Debug, Default)]
pub struct Latencies {
    startupz: Buckets,
    livez: Buckets,
    readyz: Buckets,
    safe_to_stop: Buckets,
}

/// One probe's answers until now, as OpenMetrics wants them.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Seconds of all answers.
    pub sum: f64,
    /// Answers.
    pub count: u64,
    /// Upper bounds in seconds, the last is infinite, and how many answers lie below each and above the one before.
    pub buckets: Vec<(f64, u64)>,
}

#[derive(Debug, Default)]
struct Buckets {
    below: [AtomicU64; BOUNDS_US.len()],
    above_all: AtomicU64,
    sum_ns: AtomicU64,
}

impl Latencies {
    /// An answer took so long.
    pub fn took(&self, probe: Probe, time: Duration) {
        let buckets = self.of(probe);
        let below = BOUNDS_US.iter().zip(&buckets.below);
        let bucket = below.into_iter().find(|(bound, _)| time.as_micros() < u128::from(**bound));
        bucket.map_or(&buckets.above_all, |(_, bucket)| bucket).fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or_default();
        buckets.sum_ns.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub fn histogram(&self, probe: Probe) -> Histogram {
        let Buckets { below, above_all, sum_ns } = self.of(probe);
        let count = |bucket: &AtomicU64| bucket.load(Ordering::Relaxed);
        let seconds = |micros: &u64| Duration::from_micros(*micros).as_secs_f64();
        let mut buckets: Vec<_> = BOUNDS_US.iter().map(seconds).zip(below.iter().map(count)).collect();
        buckets.push((f64::INFINITY, count(above_all)));
        Histogram {
            sum: Duration::from_nanos(count(sum_ns)).as_secs_f64(),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }

    fn of(&self, probe: Probe) -> &Buckets {
        match probe {
            Probe::Startupz => &self.startupz,
            Probe::Livez => &self.livez,
            Probe::Readyz => &self.readyz,
            Probe::SafeToStop => &self.safe_to_stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_in_one_bucket() {
        let latencies = Latencies::default();
        for micros in [0, 24, 25, 999, 1_000, 2_000_000] {
            latencies.took(Probe::Readyz, Duration::from_micros(micros));
        }
        let got = latencies.histogram(Probe::Readyz);
        let counts: Vec<u64> = got.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!((counts, got.count), (vec![2, 1, 0, 0, 0, 1, 1, 0, 1], 6));
        assert_eq!(got.buckets.last().map(|(bound, _)| *bound), Some(f64::INFINITY));
        assert!((got.sum - 2.002_048).abs() < 1e-9, "{}", got.sum);
        assert_eq!(latencies.histogram(Probe::Livez).count, 0);
    }
}
