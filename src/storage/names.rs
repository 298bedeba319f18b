//! The names in a log directory: which file is which, and which sub-directories Kafka accepts.

use crate::kafka::checkpoint::FIRST_SNAPSHOT;

/// Says that a directory is formatted: written last (`MetaPropertiesEnsemble.META_PROPERTIES_NAME`).
pub const META_PROPERTIES: &str = "meta.properties";

/// Where the first snapshot is written before it is renamed. Kafka's own tool puts a random number in the middle;
/// ours is always the same, and Kafka removes either kind at its start (`KafkaRaftLog.recoverSnapshots`).
pub const FIRST_SNAPSHOT_TEMPORARY: &str = "00000000000000000000-0000000000-kraftlet.checkpoint.part";

/// The quorum's memory of epochs and votes (`FileQuorumStateStore`).
pub const QUORUM_STATE: &str = "quorum-state";

/// What the formatting tool of some file systems puts at their root.
const LOST_AND_FOUND: &str = "lost+found";

/// What a sub-directory of a log directory is to Kafka's `LogManager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubDirectory {
    /// The metadata log, which `LogManager` leaves to the raft layer.
    MetadataPartition,
    /// A partition of a topic, in use, moving or about to be deleted.
    Partition,
    /// The cache of tiered storage (`RemoteIndexCache.DIR_NAME`), which may be empty.
    RemoteIndexCache,
    /// At the root of a file system; a broker stops at it as at anything foreign.
    LostAndFound,
    /// Anything else: a broker stops at once when it meets it in one of its log directories.
    Foreign,
}

/// The rule of `LogManager.loadLogs` and `LocalLog.parseTopicPartitionName`, which is the same in 3.7 to 4.4.
pub fn classify(name: &str) -> SubDirectory {
    if name == "remote-log-index-cache" {
        return SubDirectory::RemoteIndexCache;
    }
    if name == LOST_AND_FOUND {
        return SubDirectory::LostAndFound;
    }
    match topic(name) {
        Some("__cluster_metadata") => SubDirectory::MetadataPartition,
        Some(_) => SubDirectory::Partition,
        None => SubDirectory::Foreign,
    }
}

/// Whether a file in the metadata partition can be there before Kafka's first start: only the first snapshot, and
/// what a format that was killed left of it. Everything else Kafka has written while it ran.
pub fn is_of_format(name: &str) -> bool {
    name == FIRST_SNAPSHOT || name.ends_with(".checkpoint.part")
}

/// The topic of a partition's directory, `<topic>-<n>`, or `<topic>-<n>.<unique id>-delete` and the like.
fn topic(name: &str) -> Option<&str> {
    let suffixed = ["-delete", "-future", "-stray"].iter().any(|suffix| name.ends_with(suffix));
    let partition_name = if suffixed {
        let (partition_name, unique) = name.rsplit_once('.')?;
        let unique = unique.rsplit_once('-').map_or("", |(unique, _)| unique);
        if unique.is_empty() || name.chars().any(char::is_whitespace) {
            return None;
        }
        partition_name
    } else {
        name
    };
    let (topic, number) = partition_name.rsplit_once('-')?;
    // `Integer.parseInt`, to which the text before the last dash can leave no sign but a plus.
    let is_number = number.parse::<i32>().is_ok();
    (!topic.is_empty() && is_number).then_some(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_directories_are_what_kafka_takes_them_for() {
        for (name, want) in [
            ("orders-0", SubDirectory::Partition),
            ("a-b-c-2147483647", SubDirectory::Partition),
            ("a.b-1", SubDirectory::Partition),
            ("__consumer_offsets-49", SubDirectory::Partition),
            ("orders-3.0f2b5e1c8a-delete", SubDirectory::Partition),
            ("orders-3.0f2b5e1c8a-future", SubDirectory::Partition),
            ("orders-3.0f2b5e1c8a-stray", SubDirectory::Partition),
            ("__cluster_metadata-0", SubDirectory::MetadataPartition),
            ("remote-log-index-cache", SubDirectory::RemoteIndexCache),
            ("lost+found", SubDirectory::LostAndFound),
            ("metadata", SubDirectory::Foreign),
            ("orders", SubDirectory::Foreign),
            ("orders-", SubDirectory::Foreign),
            ("-1", SubDirectory::Foreign),
            ("orders-x", SubDirectory::Foreign),
            ("orders-2147483648", SubDirectory::Foreign),
            ("orders-delete", SubDirectory::Foreign),
            ("orders-3-delete", SubDirectory::Foreign),
            ("orders.0f2b-delete", SubDirectory::Foreign),
            ("orders-3.-delete", SubDirectory::Foreign),
            (".snapshot", SubDirectory::Foreign),
            ("", SubDirectory::Foreign),
        ] {
            assert_eq!(classify(name), want, "{name}");
        }
    }

    #[test]
    fn only_a_format_writes_the_first_snapshot_and_its_parts() {
        for (name, want) in [
            (FIRST_SNAPSHOT, true),
            (FIRST_SNAPSHOT_TEMPORARY, true),
            ("00000000000000000000-0000000000-3141592653.checkpoint.part", true),
            ("00000000000000000000.log", false),
            ("00000000000000000120-0000000003.checkpoint", false),
            ("leader-epoch-checkpoint", false),
            ("partition.metadata", false),
            (QUORUM_STATE, false),
        ] {
            assert_eq!(is_of_format(name), want, "{name}");
        }
    }
}
