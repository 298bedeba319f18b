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
        let step = count * 618 / 1000 | 1;
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
        (self.cluster.below(period_ms) + own_ms) % period_ms.max(1)
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
        let period_ms = rounded_down(whole_ms((left / 8).min(MAX_TURN)));
        let Some(seen_ms) = ms_since_1970(seen_at).filter(|_| period_ms > 0) else { return seen_at };
        let until_instant_ms = (self.slot.phase_ms(period_ms) + period_ms - seen_ms % period_ms) % period_ms;
        seen_at.checked_add(Duration::from_millis(until_instant_ms)).unwrap_or(seen_at)
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
