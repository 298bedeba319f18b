//! What a node announces of its own stop, from the call before it until its Kafka is back.
//!
//! Peers read the two dates and wait: while it is announced, if their turn comes later; and from the release on until this
//! node's Kafka has gone and come back. Each stage ends by itself, so that a call after which nobody stops anything holds
//! nobody up for longer than the pod's grace period.

use std::time::Duration;
use std::time::SystemTime;

/// How far the stop of this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Departure {
    /// Nobody has said that it will stop, or it is back.
    #[default]
    Stays,
    /// It waits until it can be done without.
    Waits {
        /// Since when.
        announced_at: SystemTime,
    },
    /// Its wait is over; its Kafka is told to stop, is away, or starts.
    Goes {
        /// Since when it was announced.
        announced_at: SystemTime,
        /// Since when it may go.
        released_at: SystemTime,
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

impl Departure {
    /// Somebody calls who is about to stop this node.
    pub fn called(self, now: SystemTime) -> Self {
        match self {
            Self::Stays => Self::Waits { announced_at: now },
            Self::Waits { .. } | Self::Goes { .. } => self,
        }
    }

    /// After a look.
    pub fn after(self, seen: Seen, patience: Patience, now: SystemTime) -> Self {
        // After the clock was set back a date may lie ahead; then as good as no time has passed.
        let is_over = |since, length| now.duration_since(since).unwrap_or_default() > length;
        match self {
            Self::Stays => self,
            Self::Waits { announced_at } => {
                let was_away = seen.kafka == Kafka::Away;
                if seen.is_free || was_away || is_over(announced_at, patience.wait) {
                    Self::Goes { announced_at, released_at: now, was_away }
                } else {
                    self
                }
            }
            Self::Goes { announced_at, released_at, was_away } => match seen.kafka {
                _ if is_over(released_at, patience.grace) => Self::Stays,
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
            Self::Waits { announced_at } | Self::Goes { announced_at, .. } => Some(announced_at),
        }
    }

    /// Since when it may go.
    pub fn released_at(self) -> Option<SystemTime> {
        match self {
            Self::Stays | Self::Waits { .. } => None,
            Self::Goes { released_at, .. } => Some(released_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::at;

    /// A call at second 10, and a look at each of these seconds: `-` blocked, `f` free, `x` free but away, `?` not looked at.
    fn after(looks: &[(u64, char)]) -> Departure {
        let patience = Patience { wait: Duration::from_secs(40), grace: Duration::from_secs(60) };
        looks.iter().fold(Departure::default().called(at(10)), |departure, (second, kind)| {
            let kafka = match kind {
                'x' => Kafka::Away,
                '?' => Kafka::Unknown,
                _ => Kafka::There,
            };
            departure.after(Seen { is_free: *kind == 'f', kafka }, patience, at(*second))
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
        // A clock that was set back ends nothing.
        check(&[(12, 'f'), (1, '-')], Some(10), Some(12));
    }

    #[test]
    fn a_second_call_changes_nothing() {
        for departure in [after(&[]), after(&[(12, 'f')])] {
            assert_eq!(departure.called(at(99)), departure);
        }
    }
}
