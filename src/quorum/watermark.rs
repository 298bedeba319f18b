//! The high watermark over time: when it last moved, and since when more was committed than somebody has applied.

use std::collections::VecDeque;
use std::time::Duration;

use crate::quorum::own::Own;
use crate::quorum::timeline::Mark;
use crate::quorum::timeline::Timeline;
use crate::quorum::voters::Reading;

/// The high watermarks of the last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watermark {
    last: Option<(i32, Option<i64>)>,
    moved: Mark,
    pending_since: Option<Mark>,
    steps: VecDeque<(Mark, i64)>,
}

/// A high watermark below one seen before: committed records are gone. A new leader tells none before it has committed
/// a record of its own (`LeaderState.maybeUpdateHighWatermark`), so none is lower without a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WentBack {
    /// The one seen before.
    pub from: i64,
    /// The one now.
    pub to: i64,
}

/// Steps are this far apart at least, so that a minute has as many as are kept.
const APART: Duration = Duration::from_secs(1);
const MOST: usize = 61;

impl Watermark {
    /// Takes in what a leader said at the last look; `is_first` where it is the first answer after there was none, for
    /// nobody can say whether it stood still meanwhile.
    pub fn take(&mut self, reading: &Reading, is_first: bool, timeline: &Timeline) -> Result<(), WentBack> {
        let now = timeline.now();
        let seen = (reading.epoch, reading.high_watermark);
        if is_first || self.last != Some(seen) {
            self.moved = now;
            self.pending_since = None;
        }
        self.last = Some(seen);
        let is_pending = match (reading.log_end_offset, reading.high_watermark) {
            (Some(end), Some(high_watermark)) => end > high_watermark,
            (Some(_) | None, None) => true,
            (None, Some(_)) => false,
        };
        self.pending_since = if is_pending { self.pending_since.or(Some(now)) } else { None };
        reading.high_watermark.map_or(Ok(()), |to| self.step(to, timeline))
    }

    fn step(&mut self, to: i64, timeline: &Timeline) -> Result<(), WentBack> {
        let now = timeline.now();
        match self.steps.back().copied() {
            Some((_, from)) if to < from => {
                self.steps.clear();
                self.steps.push_back((now, to));
                return Err(WentBack { from, to });
            }
            Some((mark, from)) if to == from || timeline.age(mark) < APART => {}
            Some(_) | None => self.steps.push_back((now, to)),
        }
        if self.steps.len() > MOST {
            self.steps.pop_front();
        }
        Ok(())
    }

    /// Since when it stands still for longer than it may. Where nothing is written while nothing happens, only while
    /// records wait for being committed.
    pub fn still_since(&self, own: &Own, timeline: &Timeline) -> Option<Mark> {
        let since = if own.no_op_interval.is_some() { Some(self.moved) } else { self.pending_since };
        since.filter(|since| timeline.age(*since) > own.wedged_after())
    }

    /// Since when it has been known that more was committed than the record at offset `applied`; `None` where nothing
    /// more is. At most about a minute back.
    pub fn behind_since(&self, applied: i64) -> Option<Mark> {
        let next = applied.saturating_add(1);
        self.steps.iter().find(|(_, high_watermark)| *high_watermark > next).map(|(mark, _)| *mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::at;
    use crate::quorum::testing::info;
    use crate::quorum::testing::own;

    /// Answers as (second, epoch, high watermark or -1, log end offset), and when it is first said to stand still.
    fn still_at(no_op_ms: Option<u64>, answers: &[(u64, i32, i64, i64)]) -> Option<u64> {
        let own = Own { no_op_interval: no_op_ms.map(Duration::from_millis), ..own(1) };
        let (mut watermark, mut timeline) = (Watermark::default(), Timeline::default());
        answers.iter().find_map(|&(second, epoch, high_watermark, end)| {
            timeline.advance(at(second));
            let mut info = info(1, epoch, high_watermark, &[(1, 0)]);
            info.high_watermark = Some(high_watermark).filter(|offset| *offset >= 0);
            info.voters[0].log_end_offset = Some(end);
            watermark.take(&Reading::of(&info, &own).unwrap(), second == 0, &timeline).unwrap();
            watermark.still_since(&own, &timeline).map(|_| second)
        })
    }

    #[test]
    fn it_stands_still_when_it_has_not_moved_for_twenty_no_op_intervals() {
        let idle: Vec<_> = (0..60).map(|second| (second, 7, 100, 100)).collect();
        let waiting: Vec<_> = (0..60).map(|second| (second, 7, 100, 101)).collect();
        let unknown: Vec<_> = (0..60).map(|second| (second, 7, -1, 101)).collect();
        let moving: Vec<_> =
            (0..60).map(|second| (second, 7, 100 + i64::try_from(second / 9).unwrap(), 200)).collect();
        let new_leader: Vec<_> =
            (0..15).map(|second| (second, if second < 8 { 7 } else { 8 }, 100, 100)).collect();
        for (no_op_ms, answers, want) in [
            (Some(500), &idle, Some(11)),
            (Some(2_000), &idle, Some(41)),
            (Some(500), &waiting, Some(11)),
            (Some(500), &unknown, Some(11)),
            (Some(500), &moving, None),
            (Some(500), &new_leader, None),
            (None, &idle, None),
            (None, &waiting, Some(11)),
            (None, &unknown, Some(11)),
        ] {
            assert_eq!(still_at(no_op_ms, answers), want, "{no_op_ms:?} {:?}", answers.first());
        }
    }

    #[test]
    fn one_that_goes_back_is_told_once() {
        let (mut watermark, mut timeline) = (Watermark::default(), Timeline::default());
        for (second, high_watermark, want) in [
            (0, 100, Ok(())),
            (1, 105, Ok(())),
            (2, 40, Err(WentBack { from: 105, to: 40 })),
            (3, 40, Ok(())),
            (4, 41, Ok(())),
        ] {
            timeline.advance(at(second));
            let reading = Reading::of(&info(1, 7, high_watermark, &[(1, 0)]), &own(1)).unwrap();
            assert_eq!(watermark.take(&reading, false, &timeline), want);
        }
    }

    #[test]
    fn it_is_known_since_when_more_is_committed_than_somebody_has() {
        let (mut watermark, mut timeline) = (Watermark::default(), Timeline::default());
        let start = timeline.now();
        for second in 0..200 {
            timeline.advance(at(second));
            let high_watermark = 100 + 2 * i64::try_from(second).unwrap();
            let reading = Reading::of(&info(1, 7, high_watermark, &[(1, 0)]), &own(1)).unwrap();
            watermark.take(&reading, false, &timeline).unwrap();
        }
        assert!(watermark.steps.len() <= MOST);
        // The high watermark is 498 at 199 s, and was 438 at 169 s.
        for (applied, want) in
            [(497, None), (600, None), (496, Some(0)), (437, Some(29)), (436, Some(30)), (0, Some(60))]
        {
            let age = watermark.behind_since(applied).map(|mark| timeline.age(mark).as_secs());
            assert_eq!(age, want, "{applied}");
        }
        assert_eq!(timeline.age(start).as_secs(), 199);
        assert_eq!(watermark.behind_since(i64::MAX), None);
    }
}
