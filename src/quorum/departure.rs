//! What a node announces of its own stop, from the call before it until its Kafka is back.
//!
//! Peers read the two dates and wait: while it is announced, if their turn comes later; and from the release on until this
//! node's Kafka has gone and come back. Each stage ends by itself, so that a call after which nobody stops anything holds
//! nobody up for longer than the pod's grace period.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the clock on the wall, which may be set: for people and peers.
    pub date: SystemTime,
    /// By the clock that only goes forward: to measure with.
    pub clock: Instant,
}

/// How far the stop of this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Departure {
    /// Nobody has said that it will stop, or it is back.
    #[default]
    Stays,
    /// It waits until it can be done without.
    Waits {
        /// Since when.
        announced_at: Moment,
    },
    /// Its wait is over; its Kafka is told to stop, is away, or starts.
    Goes {
        /// Since when it was announced.
        announced_at: Moment,
        /// Since when it may go.
        released_at: Moment,
        /// Whether its Kafka was seen to be away.
        was_away: bool,
    },
}

/// What a look has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// A look after the announcement found nothing that holds the node back.
    pub is_free: bool,
    /// This node's own Kafka.
    pub kafka: Kafka,
}

/// This node's own Kafka, as its ports show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kafka {
    /// A port of it takes connections.
    There,
    /// Nobody listens.
    Away,
    /// It was not looked at.
    Unknown,
}

/// How long a stop may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long the node waits for others.
    pub wait: Duration,
    /// `terminationGracePeriodSeconds` of the pod: by then the kubelet has killed Kafka.
    pub grace: Duration,
}

impl Moment {
    fn is_longer_ago(self, length: Duration, now: Self) -> bool {
        now.clock.saturating_duration_since(self.clock) > length
    }
}

impl Departure {
    /// Somebody calls who is about to stop this node, and waits for a release that is not older than the call. Who calls
    /// again finds out again whether it may, for the first call may have been followed by no stop; while Kafka is away
    /// there is nothing to find out.
    pub fn called(self, now: Moment) -> Self {
        match self {
            Self::Stays | Self::Goes { was_away: false, .. } => Self::Waits { announced_at: now },
            Self::Waits { .. } => self,
            Self::Goes { announced_at, was_away: true, .. } => {
                Self::Goes { announced_at, released_at: now, was_away: true }
            }
        }
    }

    /// After a look.
    pub fn after(self, seen: Seen, patience: Patience, now: Moment) -> Self {
        match self {
            Self::Stays => self,
            Self::Waits { announced_at } => {
                let was_away = seen.kafka == Kafka::Away;
                if seen.is_free || was_away || announced_at.is_longer_ago(patience.wait, now) {
                    Self::Goes { announced_at, released_at: now, was_away }
                } else {
                    self
                }
            }
            Self::Goes { announced_at, released_at, was_away } => match seen.kafka {
                _ if released_at.is_longer_ago(patience.grace, now) => Self::Stays,
                Kafka::There if was_away => Self::Stays,
                Kafka::Away => Self::Goes { announced_at, released_at, was_away: true },
                Kafka::There | Kafka::Unknown => self,
            },
        }
    }

    /// Since when it is announced.
    pub fn announced_at(self) -> Option<SystemTime> {
        match self {
            Self::Stays => None,
            Self::Waits { announced_at } | Self::Goes { announced_at, .. } => Some(announced_at.date),
        }
    }

    /// Since when it may go.
    pub fn released_at(self) -> Option<SystemTime> {
        match self {
            Self::Stays | Self::Waits { .. } => None,
            Self::Goes { released_at, .. } => Some(released_at.date),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::at;

    /// So many seconds after the beginning by the one clock, and by the other.
    fn moment(began: Instant, clock: u64, date: u64) -> Moment {
        Moment { date: at(date), clock: began + Duration::from_secs(clock) }
    }

    /// A call at second 10, and a look at each of these seconds: `-` blocked, `f` free, `x` away, `?` not looked at, `c`
    /// another call.
    fn after(looks: &[(u64, char)]) -> Departure {
        let began = Instant::now();
        let patience = Patience { wait: Duration::from_secs(40), grace: Duration::from_secs(60) };
        let called = Departure::default().called(moment(began, 10, 10));
        looks.iter().fold(called, |departure, (second, kind)| {
            let now = moment(began, *second, *second);
            let kafka = match kind {
                'c' => return departure.called(now),
                'x' => Kafka::Away,
                '?' => Kafka::Unknown,
                _ => Kafka::There,
            };
            departure.after(Seen { is_free: *kind == 'f', kafka }, patience, now)
        })
    }

    fn check(looks: &[(u64, char)], announced: Option<u64>, released: Option<u64>) {
        let departure = after(looks);
        assert_eq!(departure.announced_at(), announced.map(at), "{looks:?}");
        assert_eq!(departure.released_at(), released.map(at), "{looks:?}");
    }

    #[test]
    fn a_node_is_announced_until_its_kafka_has_gone_and_come_back() {
        check(&[], Some(10), None);
        check(&[(11, '-'), (50, '-')], Some(10), None);
        check(&[(11, '-'), (12, 'f')], Some(10), Some(12));
        check(&[(12, 'f'), (13, '-'), (14, '?')], Some(10), Some(12));
        check(&[(12, 'f'), (13, 'x'), (20, 'x'), (21, '?')], Some(10), Some(12));
        check(&[(12, 'f'), (13, 'x'), (20, 'f')], None, None);
    }

    #[test]
    fn no_stage_lasts_longer_than_it_may() {
        check(&[(51, '-')], Some(10), Some(51));
        // Kafka ended by itself, or was killed: there is nothing left to wait for.
        check(&[(11, 'x')], Some(10), Some(11));
        check(&[(11, 'x'), (30, '-')], None, None);
        // Nobody stopped it, or it does not come back.
        check(&[(12, 'f'), (72, '-')], Some(10), Some(12));
        check(&[(12, 'f'), (73, '-')], None, None);
        check(&[(12, 'f'), (13, 'x'), (73, 'x')], None, None);
    }

    #[test]
    fn a_clock_that_is_set_changes_nothing() {
        let began = Instant::now();
        let patience = Patience { wait: Duration::from_secs(40), grace: Duration::from_secs(60) };
        let blocked = Seen { is_free: false, kafka: Kafka::There };
        let waits = Departure::default().called(moment(began, 10, 10_000));
        for date in [0, 10_001, 90_000] {
            assert_eq!(waits.after(blocked, patience, moment(began, 11, date)), waits);
        }
    }

    #[test]
    fn who_calls_again_waits_again_unless_kafka_is_away() {
        check(&[(20, 'c')], Some(10), None);
        check(&[(12, 'f'), (20, 'c')], Some(20), None);
        check(&[(12, 'f'), (20, 'c'), (21, '-'), (22, 'f')], Some(20), Some(22));
        check(&[(12, 'f'), (13, 'x'), (20, 'c')], Some(10), Some(20));
    }
}
