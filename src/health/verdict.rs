//! Whether a node is healthy, as `status` and its exit code say it.

use std::time::SystemTime;

use crate::health::snapshot::Condition;
use crate::health::snapshot::Snapshot;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing to say.
    Healthy,
    /// Something will hurt at a date that has not come. A person has until then; nobody is woken.
    Warned,
    /// Something hurts.
    NotHealthy,
}

impl Snapshot {
    /// How the node is at `now`: by the conditions that matter, and by leaves in use that have expired, whatever the
    /// conditions say.
    pub fn verdict(&self, now: SystemTime) -> Verdict {
        let mut in_use = self.channels.iter().filter_map(|channel| channel.leaf?.not_after);
        let mut installed =
            self.certificates.iter().filter_map(|one| Some(one.installed.as_ref()?.not_after));
        let expired = in_use.any(|not_after| not_after <= now) || installed.any(|not_after| not_after <= now);
        if expired || self.conditions.iter().any(|condition| condition.matters(now)) {
            Verdict::NotHealthy
        } else if self.conditions.is_empty() {
            Verdict::Healthy
        } else {
            Verdict::Warned
        }
    }
}

impl Condition {
    /// Whether it hurts at `now`.
    pub fn matters(&self, now: SystemTime) -> bool {
        self.matters_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;

    #[test]
    fn what_will_hurt_is_not_what_hurts() {
        let mut quiet = full();
        quiet.conditions.clear();
        let mut without_leaves = quiet.clone();
        without_leaves.certificates.clear();
        without_leaves.channels.clear();
        // The condition matters at 110, where the raft client's leaf ends; the installed one ends at 120.
        for (snapshot, seconds, want) in [
            (full(), 60, Verdict::Warned),
            (full(), 110, Verdict::NotHealthy),
            (quiet.clone(), 60, Verdict::Healthy),
            (quiet, 110, Verdict::NotHealthy),
            (without_leaves, 130, Verdict::Healthy),
        ] {
            assert_eq!(snapshot.verdict(at(seconds)), want, "{seconds}");
        }
    }
}
