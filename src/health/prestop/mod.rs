//! The wait before a node stops: when it is over, and what is said then.
//!
//! The kubelet calls before it stops Kafka, and stops it as soon as there is an answer. The call itself only announces
//! the stop and waits for the snapshot to say that the node can be done without: whoever else calls does no harm.

pub mod io;

use std::fmt;
use std::time::Duration;

use crate::quorum::view::Stop;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// Nothing holds the node back, or its release was announced.
    Over,
    /// It had so long, and was not over.
    TooLong(Duration),
    /// The agent ends.
    AgentStops,
}

/// What Kafka gets of the grace period at least, and of a long one a fifth: it moves its leaderships, waits for the
/// controller's word (`BrokerLifecycleManager.beginControlledShutdown`) and flushes its logs. After the grace period it
/// is killed and has to recover them.
const FOR_KAFKA: Duration = Duration::from_secs(30);

/// How long a call before a stop may take of a pod's `terminationGracePeriodSeconds`, which it counts against. Of a short
/// one both get half.
pub fn within(grace: Duration) -> Duration {
    grace.saturating_sub(FOR_KAFKA.max(grace / 5).min(grace / 2))
}

/// Whether the wait is over: the release is announced; or the stop is, and a look after that found nothing that holds
/// the node back.
pub fn is_over(stop: Option<&Stop>) -> bool {
    let Some(stop) = stop else { return false };
    let is_seen = stop.announced_at.is_some_and(|at| stop.seen_at.is_some_and(|seen_at| seen_at > at));
    stop.released_at.is_some() || (is_seen && stop.blockers.is_empty())
}

/// What is said of a wait that ended so.
pub fn sentence(waited: Waited, stop: Option<&Stop>) -> String {
    let blockers = stop.map(|stop| stop.blockers.as_slice()).unwrap_or_default();
    let mut not_awaited: Vec<_> =
        blockers.iter().map(|one| format!("{}: {}", one.reason, one.sentence)).collect();
    if not_awaited.is_empty() && !is_over(stop) {
        not_awaited.push("a look after the stop was announced".to_owned());
    }
    if not_awaited.is_empty() {
        waited.to_string()
    } else {
        format!("{waited}; not awaited: {}", not_awaited.join("; "))
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("this node may stop"),
            Self::TooLong(waited) => write!(f, "this node has waited for {} s", waited.as_secs()),
            Self::AgentStops => f.write_str("the agent ends"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::health::testing::at;
    use crate::quorum::view::Blocker;

    #[test]
    fn a_node_waits_for_a_look_that_is_younger_than_the_announcement() {
        let check =
            |announced_at: Option<u64>, seen_at: Option<u64>, blocked, released_at: Option<u64>, want| {
                let date = |seconds: Option<u64>| -> Option<SystemTime> { seconds.map(at) };
                let blocker = Blocker { reason: "NoSpareVoter".to_owned(), sentence: "want 2".to_owned() };
                let stop = Stop {
                    blockers: if blocked { vec![blocker] } else { vec![] },
                    notes: vec![],
                    seen_at: date(seen_at),
                    announced_at: date(announced_at),
                    released_at: date(released_at),
                };
                assert_eq!(is_over(Some(&stop)), want, "{stop:?}");
            };
        assert!(!is_over(None));
        check(None, None, false, None, false);
        check(None, Some(5), false, None, false);
        check(Some(5), None, false, None, false);
        check(Some(5), Some(5), false, None, false);
        check(Some(5), Some(6), true, None, false);
        check(Some(5), Some(6), false, None, true);
        check(Some(5), Some(6), true, Some(7), true);
    }

    #[test]
    fn kafka_gets_its_part_of_the_grace_period() {
        for (grace, want) in [(0, 0), (10, 5), (30, 15), (60, 30), (90, 60), (300, 240), (3600, 2880)] {
            assert_eq!(within(Duration::from_secs(grace)), Duration::from_secs(want), "{grace}");
        }
    }

    #[test]
    fn what_was_not_awaited_is_said() {
        let blocked = crate::health::testing::full().stop.unwrap();
        let free = Stop { blockers: vec![], ..blocked.clone() };
        let too_long = Waited::TooLong(Duration::from_secs(240));
        let not_looked = "; not awaited: a look after the stop was announced";
        for (waited, stop, want) in [
            (Waited::Over, Some(&free), "this node may stop".to_owned()),
            (
                too_long,
                Some(&blocked),
                "this node has waited for 240 s; not awaited: NoSpareVoter: without this node 1 of 3 voters follows; \
                 want 2"
                    .to_owned(),
            ),
            (too_long, None, format!("this node has waited for 240 s{not_looked}")),
            (Waited::AgentStops, None, format!("the agent ends{not_looked}")),
        ] {
            assert_eq!(sentence(waited, stop), want);
        }
    }
}
