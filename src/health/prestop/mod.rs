//! The wait before a node stops: when it is over, and what is said then.
//!
//! The kubelet calls before it stops Kafka, and stops it as soon as there is an answer. The call itself only announces
//! the stop and waits for the snapshot to say that the node can be done without: whoever else calls does no harm.

pub mod io;

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

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

/// Whether the wait of somebody who called then is over: a release is announced that is not older.
pub fn is_over(stop: Option<&Stop>, called_at: SystemTime) -> bool {
    let released_at = stop.and_then(|stop| stop.released_at);
    released_at.is_some_and(|released_at| called_at <= released_at)
}

/// Whether the node may stop, and nothing was not awaited.
pub fn is_safe(waited: Waited, stop: Option<&Stop>) -> bool {
    waited == Waited::Over && stop.is_some_and(|stop| stop.blockers.is_empty())
}

/// What is said of a wait that ended so.
pub fn sentence(waited: Waited, stop: Option<&Stop>) -> String {
    let blockers = stop.map(|stop| stop.blockers.as_slice()).unwrap_or_default();
    let mut not_awaited: Vec<_> =
        blockers.iter().map(|one| format!("{}: {}", one.reason, one.sentence)).collect();
    if not_awaited.is_empty() && waited != Waited::Over {
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
    use super::*;
    use crate::health::testing::at;

    #[test]
    fn a_caller_waits_for_a_release_that_is_not_older_than_the_call() {
        let full = crate::health::testing::full().stop.unwrap();
        for (released_at, want) in [(None, false), (Some(4), false), (Some(5), true), (Some(6), true)] {
            let stop = Stop { released_at: released_at.map(at), ..full.clone() };
            assert_eq!(is_over(Some(&stop), at(5)), want, "{released_at:?}");
        }
        assert!(!is_over(None, at(5)));
    }

    #[test]
    fn a_stop_is_safe_where_its_release_found_nothing_in_the_way() {
        let blocked = crate::health::testing::full().stop.unwrap();
        let free = Stop { blockers: vec![], ..blocked.clone() };
        assert!(is_safe(Waited::Over, Some(&free)));
        assert!(!is_safe(Waited::Over, Some(&blocked)));
        assert!(!is_safe(Waited::AgentStops, Some(&free)));
        assert!(!is_safe(Waited::TooLong(Duration::ZERO), Some(&free)));
        assert!(!is_safe(Waited::Over, None));
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
