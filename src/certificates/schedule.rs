//! When a leaf is due.
//!
//! A leaf has to be renewed by its renew point, which is the same for all leaves that were made together: a fleet that
//! was created at one instant would come to its CA at one instant for ever. And two controllers of a quorum should not
//! be at it together, whenever their leaves were made.
//!
//! So renewals take place on a grid on the wall clock. Its period is a little less than what the renew point allows, and
//! a leaf is due at the last instant of the grid before its renew point. Each node has its own phase in the period:
//!
//! ```text
//!   renew point of a leaf:                             v
//!   node 0:   |               |               |               |            due at the 3rd
//!   node 1:        |               |               |               |       due at the 3rd
//!   node 2:             |               |               |                  due at the 2nd
//!             <----- period ----->
//! ```
//!
//! - The date follows from the leaf and from who the node is: a restart does not move it, and no state is kept.
//! - Nodes of a cluster have slots of their own in the period, so no two of them meet, whatever the dates of their
//!   leaves are. That needs one period for all of them; lives that differ by seconds are rounded to one.
//! - A fleet that was created at one instant is spread within its first life, and each node then renews once a period.
//!
//! The period is at most 3/4 of the time from birth to renew point. The other quarter is room: a renewal that took long
//! does not make the next one skip an instant of the grid.

use std::time::Duration;
use std::time::SystemTime;

use crate::certificates::chance::Chance;
use crate::pki::renew_point::RenewPoint;
use crate::pki::validity::Validity;

/// When the leaves of one node are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    renew_point: RenewPoint,
    slot: Slot,
}

/// A node's place in the period: distinct for the nodes of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Where the cluster's first slot begins: clusters of a fleet do not know each other.
    cluster: Chance,
    /// Below `count`.
    number: u64,
    /// A power of two.
    count: u64,
    /// Where in the slot: in its first half, so that there is time between any two nodes.
    jitter: Chance,
}

/// The most that a certificate is backdated by its maker; see [`crate::pki::sign`], and longer is not usual.
const MAX_BACKDATED_BY: Duration = Duration::from_secs(5 * 60);

/// Files that came from outside wait no longer than this for their turn: they are there, and a person may be watching.
pub const MAX_TURN: Duration = Duration::from_secs(10 * 60);

/// A person who has repaired a source does not want to wait longer to see it work.
pub const RETRY_TURN: Duration = Duration::from_secs(5 * 60);

impl Slot {
    /// The slot of the node called `name` that stands at `rank`, counted from 0, among the `nodes` of the cluster.
    ///
    /// All nodes must count in the same order; voters first, then by node id, so that a cluster which gets more brokers
    /// keeps the slots of its voters until the number of nodes doubles.
    pub fn new(cluster_id: &str, name: &str, rank: usize, nodes: usize) -> Self {
        // Twice as many as nodes, so that some may come; and never so few that three controllers are side by side.
        let nodes = u64::try_from(nodes.max(rank.saturating_add(1))).unwrap_or(u64::MAX);
        let count = nodes.saturating_mul(2).clamp(8, 1 << 32).next_power_of_two();
        // An odd step meets every slot once before it meets one again. The golden section keeps any number of nodes
        // apart from each other, be it 3 or 300.
        let step = (count * 618 / 1000) | 1;
        let rank = u64::try_from(rank).unwrap_or(u64::MAX) % count;
        Self {
            cluster: Chance::of(&["cluster", cluster_id]),
            number: rank * step % count,
            count,
            jitter: Chance::of(&["node", cluster_id, name]),
        }
    }

    /// This node's instant in a period, in milliseconds after its beginning.
    fn phase_ms(&self, period_ms: u64) -> u64 {
        let width_ms = period_ms / self.count;
        let begins_ms =
            u64::try_from(u128::from(period_ms) * u128::from(self.number) / u128::from(self.count));
        let own_ms = begins_ms.unwrap_or(0) + self.jitter.below(width_ms / 2 + 1);
        // Of each period another chance: those who are due together should not be late together as well.
        (self.cluster.with(period_ms).below(period_ms) + own_ms) % period_ms.max(1)
    }
}

impl Schedule {
    /// For a node with this slot.
    pub fn new(renew_point: RenewPoint, slot: Slot) -> Self {
        Self { renew_point, slot }
    }

    /// When a leaf of this validity is due: after its birth and never after its renew point.
    pub fn due_at(&self, leaf: Validity) -> SystemTime {
        let latest_at = self.renew_point.of(leaf);
        let backdated_by = MAX_BACKDATED_BY.min(leaf.life() / 20);
        let room = self.renew_point.share_of(leaf).saturating_sub(backdated_by);
        let period_ms = rounded_down(whole_ms(room) / 4 * 3);
        let Some(latest_ms) = ms_since_1970(latest_at).filter(|_| period_ms > 0) else { return latest_at };
        let since_instant_ms =
            (latest_ms % period_ms + period_ms - self.slot.phase_ms(period_ms)) % period_ms;
        latest_at.checked_sub(Duration::from_millis(since_instant_ms)).unwrap_or(latest_at)
    }

    /// When a leaf of this validity should have been renewed, whoever does it.
    pub fn late_at(&self, leaf: Validity) -> SystemTime {
        self.renew_point.of(leaf)
    }

    /// When a leaf that came from outside, and was seen at `seen_at`, is taken in place of `installed`.
    ///
    /// At the node's instant in a shorter period, of ten minutes or an eighth of the life that is left to the installed
    /// leaf. At once when that one has run out, is not valid yet, or has less than a quarter of its life left: then
    /// being alone matters less than being in time.
    pub fn turn_at(&self, installed: Validity, seen_at: SystemTime) -> SystemTime {
        let left = installed.left(seen_at);
        if !installed.holds(seen_at) || left < installed.life() / 4 {
            return seen_at;
        }
        self.instant_from((left / 8).min(MAX_TURN), seen_at)
    }

    /// When to ask a source that issues again, after it failed at `now`: at the node's instant in a period of five
    /// minutes. All who wait for one source ask it when it is back, and no two nodes of a cluster at one moment.
    ///
    /// `None` where the installed leaf has less than forty minutes left: then being in time matters more.
    pub fn retry_at(&self, installed: Validity, now: SystemTime) -> Option<SystemTime> {
        let is_calm = installed.holds(now) && installed.left(now) >= 8 * RETRY_TURN;
        // The instant at which it has just failed is over.
        let from = now.checked_add(Duration::from_secs(1))?;
        is_calm.then(|| self.instant_from(RETRY_TURN, from))
    }

    /// The node's first instant at or after `from`, in a period of about this length.
    fn instant_from(&self, period: Duration, from: SystemTime) -> SystemTime {
        let period_ms = rounded_down(whole_ms(period));
        let Some(from_ms) = ms_since_1970(from).filter(|_| period_ms > 0) else { return from };
        let until_instant_ms = (self.slot.phase_ms(period_ms) + period_ms - from_ms % period_ms) % period_ms;
        from.checked_add(Duration::from_millis(until_instant_ms)).unwrap_or(from)
    }
}

/// Down to 8 to 15 times a power of two: leaves whose lives differ a little have one period, and so one grid.
fn rounded_down(period_ms: u64) -> u64 {
    let low_bits = period_ms.checked_ilog2().unwrap_or(0).saturating_sub(3);
    period_ms >> low_bits << low_bits
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn ms_since_1970(at: SystemTime) -> Option<u64> {
    at.duration_since(SystemTime::UNIX_EPOCH).ok().map(whole_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const DAY: u64 = 24 * 60 * 60;
    /// 2026-11-23 12:00:00 UTC.
    const NOW: u64 = 1_795_435_200;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Of this lifetime, as our own CA makes it at this second.
    fn leaf(made_at: u64, lifetime: u64) -> Validity {
        let backdated_by = (lifetime / 20).min(5 * MINUTE);
        Validity { not_before: at(made_at - backdated_by), not_after: at(made_at + lifetime) }
    }

    fn schedule(cluster: &str, rank: usize, nodes: usize, percent: u64) -> Schedule {
        let slot = Slot::new(cluster, &format!("kafka-{rank}"), rank, nodes);
        Schedule::new(RenewPoint::from_percent(percent).unwrap(), slot)
    }

    #[test]
    fn a_leaf_is_due_after_its_birth_and_by_its_renew_point() {
        for percent in [10, 33, 66, 90] {
            for lifetime in [60, 61, 2 * MINUTE, 60 * MINUTE, 100 * MINUTE, DAY, 90 * DAY, 3650 * DAY] {
                for (cluster, made_at) in [("a", NOW), ("b", NOW + 17), ("c", NOW + 12_345_678)] {
                    for rank in 0..5 {
                        let leaf = leaf(made_at, lifetime);
                        let schedule = schedule(cluster, rank, 5, percent);
                        let due_at = schedule.due_at(leaf);
                        let latest_at = schedule.renew_point.of(leaf);
                        assert!(at(made_at) < due_at, "{percent} % of {lifetime} s: due before it is made");
                        assert!(
                            due_at <= latest_at,
                            "{percent} % of {lifetime} s: due after its renew point"
                        );
                    }
                }
            }
        }
    }

    /// The instants, in seconds after `NOW`, at which a node renews when each turn takes `took_s`.
    fn turns(schedule: Schedule, lifetime: u64, took_s: u64, count: usize) -> Vec<f64> {
        let mut made_at = NOW;
        let mut turns = Vec::new();
        for _ in 0..count {
            let due_at = schedule.due_at(leaf(made_at, lifetime));
            turns.push(due_at.duration_since(at(NOW)).unwrap().as_secs_f64());
            made_at = due_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 1 + took_s;
        }
        turns
    }

    #[test]
    fn a_leaf_of_two_minutes_is_renewed_about_once_a_minute() {
        for rank in 0..3 {
            for took_s in [0, 1, 5, 15] {
                let turns = turns(schedule("demo", rank, 3, 66), 120, took_s, 20);
                for pair in turns.windows(2) {
                    assert!((56.0..60.0).contains(&(pair[1] - pair[0])), "{turns:?}");
                }
            }
        }
    }

    #[test]
    fn each_node_has_one_instant_in_a_period_and_no_two_nodes_the_same() {
        for (nodes, lifetime, apart_s) in [(3, DAY, 2500), (5, DAY, 1250), (3, 120, 3), (300, DAY, 20)] {
            let mut phases: Vec<f64> = Vec::new();
            let mut period = 0.0;
            for rank in 0..nodes {
                // Leaves that were made at any time, the lives of which differ by a second.
                let schedule = schedule("kafka", rank, nodes, 66);
                let turns = turns(schedule, lifetime + (rank % 2) as u64, rank as u64 % 3, 4);
                period = turns[2] - turns[1];
                assert!((turns[3] - turns[2] - period).abs() < 0.01, "{turns:?}");
                phases.push(turns[3] % period);
            }
            phases.sort_by(f64::total_cmp);
            phases.push(phases[0] + period);
            let closest = phases.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::MAX, f64::min);
            assert!(
                closest > f64::from(apart_s),
                "{nodes} nodes, {lifetime} s: {closest} s apart of {period}"
            );
        }
    }

    #[test]
    fn the_date_depends_on_nothing_but_the_leaf_and_the_node() {
        let due_at = |rank, nodes| schedule("kafka", rank, nodes, 66).due_at(leaf(NOW, DAY));
        assert_eq!(due_at(1, 3), due_at(1, 3));
        // A fourth broker comes: nobody else moves.
        assert_eq!(due_at(1, 3), due_at(1, 4));
    }

    #[test]
    fn a_leaf_without_a_life_is_due_at_once() {
        let check = |not_before, not_after, want| {
            let validity = Validity { not_before, not_after };
            assert_eq!(schedule("kafka", 0, 3, 66).due_at(validity), want);
        };
        check(at(NOW), at(NOW), at(NOW));
        check(at(NOW), at(NOW - 1), at(NOW));
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(DAY * 100);
        check(before_1970, before_1970 + Duration::from_secs(DAY), before_1970 + Duration::from_secs(57_024));
    }

    #[test]
    fn a_source_that_failed_is_asked_again_in_the_nodes_own_instant_of_five_minutes() {
        let leaf = leaf(NOW, DAY);
        let again = |rank, failed_at: SystemTime| schedule("kafka", rank, 3, 66).retry_at(leaf, failed_at);
        let mut all: Vec<u128> = Vec::new();
        for rank in 0..3 {
            let first = again(rank, at(NOW + 16 * 60 * MINUTE)).unwrap();
            assert!(first <= at(NOW + 16 * 60 * MINUTE + 300), "{first:?}");
            // It failed again: the next one is a whole period later, wherever in between the answer came.
            let next = again(rank, first).unwrap();
            assert_eq!(again(rank, first + Duration::from_secs(30)), Some(next));
            assert_eq!(next.duration_since(first).unwrap(), Duration::from_millis(294_912));
            all.push(first.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() % 294_912);
        }
        all.sort_unstable();
        all.push(all[0] + 294_912);
        // Half of an eighth of the period.
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] > 18_000), "{all:?}");
        for too_late in [NOW + DAY - 39 * MINUTE, NOW + DAY, NOW - DAY] {
            assert_eq!(again(0, at(too_late)), None);
        }
    }

    #[test]
    fn files_from_outside_are_taken_in_the_nodes_turn_and_soon() {
        let wait = |rank, installed: Validity, seen_at| {
            let turn_at = schedule("kafka", rank, 3, 66).turn_at(installed, at(seen_at));
            turn_at.duration_since(at(seen_at)).unwrap().as_secs_f64()
        };
        let mut waits: Vec<f64> = (0..3).map(|rank| wait(rank, leaf(NOW, 90 * DAY), NOW + DAY)).collect();
        waits.sort_by(f64::total_cmp);
        assert!(waits[2] <= 600.0 && waits[1] - waits[0] > 30.0 && waits[2] - waits[1] > 30.0, "{waits:?}");
        for rank in 0..3 {
            // An eighth of 80 s.
            assert!(wait(rank, leaf(NOW, 120), NOW + 40) <= 10.0);
            for little_left in [NOW + 95, NOW + 120, NOW + 500] {
                assert!(wait(rank, leaf(NOW, 120), little_left) == 0.0);
            }
            assert!(wait(rank, leaf(NOW + DAY, DAY), NOW) == 0.0);
        }
    }
}
