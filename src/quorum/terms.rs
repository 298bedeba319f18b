//! Leaders that come and go: when is it a storm?

use std::collections::VecDeque;
use std::time::Duration;

use crate::quorum::timeline::Mark;
use crate::quorum::timeline::Timeline;

/// The epochs of the last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// When a leader of a new epoch was first seen, and how many epochs had begun since the one before.
    begun: VecDeque<(Mark, u32)>,
    storm_since: Option<Mark>,
}

/// Leaders that came within a minute make a storm. A failover is one, however many epochs its split votes cost, and a
/// roll of three controllers in a minute, the leader always next, is three. Four leave a leader 15 s to live, of which
/// the fetch timeout and an election take 3 to 5 s.
const STORM_BEGINS: usize = 4;

/// A storm is over when a minute has seen no more than one failover.
const STORM_ENDS: usize = 1;

const MINUTE: Duration = Duration::from_secs(60);

/// One look a second for a minute, and some.
const MOST: usize = 128;

impl Terms {
    /// Takes in that a leader of `epoch` was seen at `now`, and before it one of `before`.
    pub fn take(&mut self, before: Option<i32>, epoch: i32, now: Mark) {
        if let Some(before) = before
            && epoch > before
        {
            self.begun.push_back((now, epoch.abs_diff(before)));
        }
    }

    /// Forgets what is more than a minute old, and judges.
    pub fn judge(&mut self, timeline: &Timeline) {
        self.begun.retain(|(mark, _)| timeline.age(*mark) < MINUTE);
        while self.begun.len() > MOST {
            self.begun.pop_front();
        }
        if self.begun.len() >= STORM_BEGINS {
            let first = self.begun.front().map(|(mark, _)| *mark);
            self.storm_since = self.storm_since.or(first);
        } else if self.begun.len() <= STORM_ENDS {
            self.storm_since = None;
        }
    }

    /// Epochs that began in the last minute.
    pub fn epochs(&self) -> u32 {
        self.begun.iter().fold(0, |sum, (_, rise)| sum.saturating_add(*rise))
    }

    /// Leaders that came in the last minute.
    pub fn leaders(&self) -> usize {
        self.begun.len()
    }

    /// Since when leaders come and go; `None` while they do not.
    pub fn storm_since(&self) -> Option<Mark> {
        self.storm_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::at;

    /// A look each second; at those of `seen` a leader of a new epoch, with so many epochs since the last.
    fn storms(seen: &[(u64, i32)], until: u64) -> Vec<u64> {
        let (mut terms, mut timeline, mut epoch) = (Terms::default(), Timeline::default(), 7);
        let mut storms = Vec::new();
        for second in 0..until {
            timeline.advance(at(second));
            let rise: i32 = seen.iter().filter(|(at, _)| *at == second).map(|(_, rise)| rise).sum();
            terms.take(Some(epoch), epoch + rise, timeline.now());
            epoch += rise;
            terms.judge(&timeline);
            if terms.storm_since().is_some() {
                storms.push(second);
            }
        }
        storms
    }

    #[test]
    fn a_failover_and_a_roll_are_no_storm_and_four_leaders_in_a_minute_are() {
        assert_eq!(storms(&[(5, 1)], 100), Vec::<u64>::new());
        // Split votes, and a voter that was cut off and comes back with an epoch of its own.
        assert_eq!(storms(&[(5, 4), (30, 25)], 100), Vec::<u64>::new());
        assert_eq!(storms(&[(1, 1), (20, 2), (40, 1), (62, 1)], 200), Vec::<u64>::new());
        // From the fourth until only one of the last minute is left.
        assert_eq!(storms(&[(1, 1), (10, 1), (20, 1), (30, 1)], 200), (30..80).collect::<Vec<_>>());
        // One each 18 s, three or four in a minute: once begun it does not flicker.
        let slow: Vec<_> = (0..10).map(|term| (term * 18, 1)).collect();
        assert_eq!(storms(&slow, 180), (54..180).collect::<Vec<_>>());
    }

    #[test]
    fn epochs_are_counted_and_never_kept_without_bound() {
        let (mut terms, mut timeline) = (Terms::default(), Timeline::default());
        timeline.advance(at(0));
        for epoch in 0..1000 {
            terms.take(Some(epoch), epoch + 1, timeline.now());
            terms.judge(&timeline);
        }
        assert_eq!((terms.leaders(), terms.epochs()), (MOST, 128));
        terms.take(Some(-1), i32::MAX, timeline.now());
        terms.take(Some(i32::MIN), i32::MAX, timeline.now());
        assert_eq!(terms.epochs(), u32::MAX);
        terms.take(Some(7), 7, timeline.now());
        terms.take(Some(7), 6, timeline.now());
        terms.take(None, 6, timeline.now());
        assert_eq!(terms.leaders(), MOST + 2);
    }
}
