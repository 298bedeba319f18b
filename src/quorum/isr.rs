//! What the partitions of one broker would suffer if it stopped now.
//!
//! Pages of topics are folded one by one, so a cluster of a million partitions costs as much memory as one of ten: each
//! kind is a count and the first few names. Only what a wait can cure holds a stop back. A partition that has no more
//! replicas than must be in sync (one replica, the most frequent case) loses by every stop, today as tomorrow; to wait
//! for it would be to wait for ever.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use crate::kafka::node_id::NodeId;
use crate::kafka::topics::Page;
use crate::kafka::topics::Partition;
use crate::kafka::topics::Topic;
use crate::quorum::view::Blocker;
use crate::quorum::view::Note;

/// The partitions of one broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isr {
    broker: NodeId,
    at: SystemTime,
    all: u64,
    below: Few,
    sole: Few,
    under: Few,
    would_fall: Few,
    out_of_sync: Few,
    single: Few,
    tight: Few,
}

/// A count, and the first few names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Few {
    count: u64,
    names: Vec<String>,
}

/// As many as a person reads.
const MOST_NAMES: usize = 3;

/// Kafka's longest topic (`Topic.MAX_NAME_LENGTH`).
const MOST_BYTES: usize = 249;

impl Isr {
    /// Of a broker, nothing seen yet, by a look that began at `at`.
    pub fn new(broker: NodeId, at: SystemTime) -> Self {
        let few = Few::default;
        Self {
            broker,
            at,
            all: 0,
            below: few(),
            sole: few(),
            under: few(),
            would_fall: few(),
            out_of_sync: few(),
            single: few(),
            tight: few(),
        }
    }

    /// The topics of a page with a replica on the broker: those whose `min.insync.replicas` has to be asked for.
    pub fn topics<'a>(&self, page: &'a Page) -> Vec<&'a str> {
        let is_here = |partition: &Partition| partition.replicas.contains(&self.broker);
        let is_needed = |topic: &&Topic| topic.partitions.iter().any(is_here);
        page.topics.iter().filter(is_needed).map(|topic| topic.name.as_str()).collect()
    }

    /// Takes in a page and the `min.insync.replicas` of its topics. A topic without one is there no more.
    pub fn take(&mut self, page: &Page, min_insync_replicas: &BTreeMap<String, u32>) {
        for topic in &page.topics {
            if let Some(min_insync) = min_insync_replicas.get(&topic.name) {
                topic.partitions.iter().for_each(|partition| self.add(&topic.name, partition, *min_insync));
            }
        }
    }

    /// Adds a partition; those without a replica on the broker are passed over. Each counts as the worst that it is.
    fn add(&mut self, topic: &str, partition: &Partition, min_insync: u32) {
        let is_own = |node_id: &NodeId| *node_id == self.broker;
        if !partition.replicas.iter().any(is_own) {
            return;
        }
        self.all = self.all.saturating_add(1);
        let is_in_sync = partition.isr.iter().any(is_own);
        let (replicas, isr) = (partition.replicas.len(), partition.isr.len());
        let min_insync = usize::try_from(min_insync).unwrap_or(usize::MAX);
        if isr < min_insync {
            self.below.add(topic, partition);
        }
        let kind = match (is_in_sync, isr) {
            // Another may be in sync later; a single replica never has another.
            (true, _) if replicas == 1 => &mut self.single,
            (true, 0 | 1) => &mut self.sole,
            (true, isr) if isr < min_insync && replicas > min_insync => &mut self.under,
            (true, _) if replicas <= min_insync => &mut self.tight,
            (true, isr) if isr - 1 < min_insync => &mut self.would_fall,
            (true, _) => return,
            // It holds nothing up, so its stop takes nothing away.
            (false, _) => &mut self.out_of_sync,
        };
        kind.add(topic, partition);
    }

    /// When the look began.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// Partitions with a replica on this broker.
    pub fn partitions(&self) -> u64 {
        self.all
    }

    /// Partitions that have fewer replicas in sync than their `min.insync.replicas`, whatever that means for a stop.
    pub fn below(&self) -> &Few {
        &self.below
    }

    /// Partitions of which only this broker has all records, though they have other replicas.
    pub fn sole(&self) -> &Few {
        &self.sole
    }

    /// What holds a stop back, worst first.
    pub fn blockers(&self) -> Vec<Blocker> {
        let b = self.broker;
        let blocker = |few: &Few, reason: &str, what: &str| {
            few.any().then(|| Blocker { reason: reason.to_owned(), sentence: format!("{few}: {what}") })
        };
        let sole = format!(
            "no other replica is in sync than that of broker {b}, without which nobody can read or write"
        );
        let under =
            format!("fewer replicas in sync than min.insync.replicas already, that of broker {b} among them");
        let would_fall = format!("without broker {b} fewer replicas in sync than min.insync.replicas");
        [
            blocker(&self.sole, "SoleInSyncReplica", &sole),
            blocker(&self.under, "UnderMinIsr", &under),
            blocker(&self.would_fall, "WouldFallUnderMinIsr", &would_fall),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What suffers by any stop of this broker, whenever it is.
    pub fn notes(&self) -> Vec<Note> {
        let b = self.broker;
        let note = |few: &Few, reason: &str, what: &str| {
            few.any().then(|| Note { reason: reason.to_owned(), sentence: format!("{few}: {what}") })
        };
        let single = format!("one replica, on broker {b}: away while it is, whenever that is");
        let tight = format!(
            "as many replicas as min.insync.replicas: writes with acks=all wait while broker {b} is away"
        );
        let out_of_sync = format!("the replica on broker {b} is not in sync: its stop takes nothing away");
        [
            note(&self.single, "SingleReplica", &single),
            note(&self.tight, "NoReplicaToSpare", &tight),
            note(&self.out_of_sync, "NotInSync", &out_of_sync),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Few {
    fn add(&mut self, topic: &str, partition: &Partition) {
        self.count = self.count.saturating_add(1);
        if self.names.len() < MOST_NAMES {
            let end = topic.floor_char_boundary(MOST_BYTES);
            self.names.push(format!("{}-{}", topic.get(..end).unwrap_or_default(), partition.index));
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn any(&self) -> bool {
        self.count > 0
    }
}

/// `2 partitions (orders-0, orders-1)`.
impl fmt::Display for Few {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.count > MOST_NAMES as u64 { ", …" } else { "" };
        let noun = if self.count == 1 { "partition" } else { "partitions" };
        write!(f, "{} {noun} ({}{more})", self.count, self.names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quorum::testing::at;
    use crate::quorum::testing::node;
    use crate::quorum::testing::partition;

    /// Partitions as (replicas, in sync, min.insync.replicas), of a topic each; the broker is 1. Blockers, then notes.
    fn reasons(partitions: &[(&[i32], &[i32], u32)]) -> (Vec<String>, Vec<String>) {
        let mut isr = Isr::new(node(1), at(0));
        for (replicas, in_sync, min_insync) in partitions {
            isr.add("orders", &partition(0, replicas, in_sync), *min_insync);
        }
        let blockers = isr.blockers().into_iter().map(|blocker| blocker.reason).collect();
        (blockers, isr.notes().into_iter().map(|note| note.reason).collect())
    }

    #[test]
    fn only_what_a_wait_can_cure_holds_a_stop_back() {
        let all: &[i32] = &[1, 2, 3];
        for (replicas, in_sync, min_insync, blocker, note) in [
            (all, all, 2, None, None),
            (all, &[1, 2][..], 1, None, None),
            (all, &[1, 2], 2, Some("WouldFallUnderMinIsr"), None),
            (all, &[1], 2, Some("SoleInSyncReplica"), None),
            (all, &[1], 1, Some("SoleInSyncReplica"), None),
            (&[1, 2, 3, 4], &[1, 2], 3, Some("UnderMinIsr"), None),
            (all, all, 3, None, Some("NoReplicaToSpare")),
            (all, &[1, 2], 3, None, Some("NoReplicaToSpare")),
            (&[1, 2], &[1, 2], 2, None, Some("NoReplicaToSpare")),
            (&[1, 2], &[1], 2, Some("SoleInSyncReplica"), None),
            (&[1, 2], &[1, 2], 1, None, None),
            (&[1], &[1], 1, None, Some("SingleReplica")),
            (&[1], &[1], 2, None, Some("SingleReplica")),
            // Not in sync: no loss; and not its own at all.
            (all, &[2, 3], 2, None, Some("NotInSync")),
            (all, &[2], 2, None, Some("NotInSync")),
            (all, &[], 2, None, Some("NotInSync")),
            (&[1], &[], 1, None, Some("NotInSync")),
            (&[2, 3], &[2], 2, None, None),
            (&[1, 2], &[1, 2], 0, None, None),
        ] {
            let want = (Vec::from_iter(blocker.map(str::to_owned)), Vec::from_iter(note.map(str::to_owned)));
            assert_eq!(
                reasons(&[(replicas, in_sync, min_insync)]),
                want,
                "{replicas:?} {in_sync:?} {min_insync}"
            );
        }
    }

    #[test]
    fn blockers_come_worst_first_and_name_the_first_few() {
        let all: &[i32] = &[1, 2, 3];
        let some = [(all, &[1, 2][..], 2), (&[1, 2, 3, 4], &[1, 2], 3), (all, &[1], 2)];
        assert_eq!(reasons(&some).0, ["SoleInSyncReplica", "UnderMinIsr", "WouldFallUnderMinIsr"]);
        let mut isr = Isr::new(node(1), at(0));
        for index in 0..5 {
            isr.add("orders", &partition(index, &[1, 2, 3], &[1, 2]), 2);
        }
        assert_eq!(
            isr.blockers()[0].sentence,
            "5 partitions (orders-0, orders-1, orders-2, …): without broker 1 fewer replicas in sync than min.insync.replicas"
        );
        assert_eq!((isr.partitions(), isr.below().count(), isr.sole().count()), (5, 0, 0));
    }

    #[test]
    fn only_topics_with_a_replica_here_are_asked_about_and_one_that_is_gone_is_passed_over() {
        let topic = |name: &str, partitions| Topic { name: name.to_owned(), partitions };
        let page = Page {
            topics: vec![
                topic("elsewhere", vec![partition(0, &[2, 3], &[2])]),
                topic("gone", vec![partition(0, &[1, 2], &[1])]),
                topic("here", vec![partition(0, &[2, 3], &[2]), partition(1, &[1, 2], &[1])]),
            ],
            next: None,
        };
        let mut isr = Isr::new(node(1), at(0));
        assert_eq!(isr.topics(&page), ["gone", "here"]);
        isr.take(&page, &[("here".to_owned(), 1)].into());
        assert_eq!((isr.partitions(), isr.sole().to_string()), (1, "1 partition (here-1)".to_owned()));
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_each_partition_is_counted_once(
            partitions in prop::collection::vec(
                (".{0,300}", any::<i32>(), prop::collection::vec(0i32..5, 0..6), prop::collection::vec(0i32..5, 0..6), any::<u32>()),
                0..60,
            ),
        ) {
            let mut isr = Isr::new(node(1), at(0));
            for (topic, index, replicas, in_sync, min_insync) in &partitions {
                isr.add(topic, &partition(*index, replicas, in_sync), *min_insync % 5);
            }
            let kinds = [&isr.sole, &isr.under, &isr.would_fall, &isr.out_of_sync, &isr.single, &isr.tight];
            let counted: u64 = kinds.iter().map(|few| few.count).sum();
            prop_assert!(counted <= isr.partitions());
            prop_assert!(kinds.iter().all(|few| few.names.len() <= MOST_NAMES));
            prop_assert!(kinds.iter().all(|few| few.names.iter().all(|name| name.len() <= MOST_BYTES + 12)));
        }
    }
}
