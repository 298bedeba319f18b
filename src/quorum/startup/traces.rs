//! What log recovery leaves in the directory of a partition.
//!
//! After an unclean stop `LogLoader` reads every segment from the recovery point on, the last one always and at the end. It
//! first deletes the producer snapshots above a segment's beginning, and when it has read the segment it writes one that
//! is named after the offset where the segment ends. So a snapshot above the beginning of the last segment that was
//! written since the start says that all of the log has been read. A last segment without records has no such snapshot;
//! its indexes are shortened and made long again, and nothing is written to them before that.
//!
//! A log that ended cleanly is opened without either, and one whose name ends with `-delete` is not recovered at all.

use std::time::SystemTime;

/// The newest files of a partition, as their names say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Newest {
    segment: Option<u64>,
    snapshot: Option<u64>,
}

/// The file that shows whether a log has been recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witness {
    /// This one, by its time.
    Snapshot(String),
    /// Where `log` is empty, `time_index` by its time; where it is not, the log has not been recovered.
    EmptySegment {
        /// The last segment.
        log: String,
        /// Its time index.
        time_index: String,
    },
}

/// The digits in the name of a segment's file (`LogFileUtils.filenamePrefixFromOffset`).
const DIGITS: usize = 20;

/// Whether a directory in a log directory holds a partition whose log is recovered after an unclean stop
/// (`UnifiedLog.parseTopicPartitionName`): `<topic>-<partition>`, and `<topic>-<partition>.<id>` with `-future` or
/// `-stray` behind it. The metadata log belongs to the quorum, and is loaded before the others.
pub fn is_recovered_at_start(name: &str) -> bool {
    let moved = name.strip_suffix("-future").or_else(|| name.strip_suffix("-stray"));
    let name = match moved.map(|rest| rest.rsplit_once('.')) {
        Some(Some((name, _))) => name,
        Some(None) => return false,
        None => name,
    };
    name.rsplit_once('-').is_some_and(|(topic, partition)| {
        let is_number = !partition.is_empty() && partition.bytes().all(|one| one.is_ascii_digit());
        is_number && !topic.is_empty() && topic != "__cluster_metadata"
    })
}

/// Whether something that was touched at `touched_at` was touched by the start that began after `since`. A time to come is
/// that of a clock that was wrong, and says nothing.
pub fn is_of_this_start(touched_at: SystemTime, since: SystemTime, now: SystemTime) -> bool {
    since <= touched_at && touched_at <= now
}

impl Newest {
    /// Takes in the name of one more file in the partition's directory.
    pub fn take(&mut self, name: &str) {
        let Some((offset, kind)) = name.split_once('.').filter(|(digits, _)| digits.len() == DIGITS) else {
            return;
        };
        let Ok(offset) = offset.parse() else { return };
        match kind {
            "log" => self.segment = self.segment.max(Some(offset)),
            "snapshot" => self.snapshot = self.snapshot.max(Some(offset)),
            // Indexes, and files on their way to be deleted or swapped in.
            _ => {}
        }
    }

    /// The file to look at; `None` where there is no segment yet, so that nothing has been loaded.
    pub fn witness(&self) -> Option<Witness> {
        let segment = self.segment?;
        Some(match self.snapshot.filter(|snapshot| *snapshot > segment) {
            Some(snapshot) => Witness::Snapshot(format!("{snapshot:020}.snapshot")),
            None => Witness::EmptySegment {
                log: format!("{segment:020}.log"),
                time_index: format!("{segment:020}.timeindex"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::at;

    #[test]
    fn partitions_are_told_by_the_names_of_their_directories() {
        let check = |name: &str, want: bool| assert_eq!(is_recovered_at_start(name), want, "{name}");
        check("orders-0", true);
        check("__consumer_offsets-49", true);
        check("a-b-c-12", true);
        check("dots.in.it-3", true);
        check("orders-0.5f3a91c2e02d7b45f3a91c2e02d7b4d1-future", true);
        check("orders-0.5f3a91c2e02d7b45f3a91c2e02d7b4d1-stray", true);
        check("orders-0.5f3a91c2e02d7b45f3a91c2e02d7b4d1-delete", false);
        check("orders-future", false);
        check("orders-0x", false);
        check("orders-", false);
        check("-0", false);
        check("lost+found", false);
        check("remote-log-index-cache", false);
        check("__cluster_metadata-0", false);
        check("", false);
    }

    #[test]
    fn the_newest_files_say_which_one_to_look_at() {
        let check = |names: &[&str], want: Option<&str>| {
            let mut newest = Newest::default();
            names.iter().for_each(|name| newest.take(name));
            let witness = newest.witness().map(|witness| match witness {
                Witness::Snapshot(name) => name,
                Witness::EmptySegment { log, .. } => log,
            });
            assert_eq!(witness.as_deref(), want, "{names:?}");
        };
        let (log_0, log_7) = ("00000000000000000000.log", "00000000000000000007.log");
        let (snapshot_7, snapshot_9) = ("00000000000000000007.snapshot", "00000000000000000009.snapshot");
        check(&[], None);
        check(&["partition.metadata", "leader-epoch-checkpoint", snapshot_7], None);
        check(&[log_0, snapshot_7], Some(snapshot_7));
        check(&[log_7, snapshot_7, log_0], Some(log_7));
        check(&[snapshot_9, log_7, snapshot_7, log_0], Some(snapshot_9));
        check(&[log_0, "00000000000000000007.log.deleted", "7.log", "0000000000000000000x.log"], Some(log_0));
        check(&[log_0, "99999999999999999999.log"], Some(log_0));
        check(&["00000000000000000000.timeindex", "00000000000000000000.log.swap"], None);
    }

    #[test]
    fn only_what_was_touched_after_the_beginning_and_before_now_is_of_this_start() {
        for (touched, want) in [(9, false), (10, true), (20, true), (21, false)] {
            assert_eq!(is_of_this_start(at(touched), at(10), at(20)), want, "{touched}");
        }
    }
}
