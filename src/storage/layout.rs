//! The bytes of a format: which files, by version and role, and the steps that write them.
//!
//! Up to Kafka 4.3 every directory gets a `bootstrap.checkpoint`, and the metadata directory of a controller in a
//! dynamic quorum with known voters a first snapshot with nothing but those voters. From 4.4 on (KIP-1170) there is
//! no `bootstrap.checkpoint`; the metadata directory of every controller gets a first snapshot with the bootstrap
//! records. `Formatter.doFormat` of each release.
//!
//! In each directory `meta.properties` comes last, so that its presence proves all the rest. The tool flushes only
//! that file and the first snapshot; here everything is on the disk when the next step begins.

use std::path::Path;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::disk::step::Content;
use crate::disk::step::Step;
use crate::kafka::checkpoint;
use crate::kafka::meta_properties::MetaProperties;
use crate::kafka::metadata_records::Voter;
use crate::kafka::uuid::DirectoryId;
use crate::storage::found::DirState;
use crate::storage::found::FoundDir;
use crate::storage::found::MetadataLog;
use crate::storage::found::Process;
use crate::storage::names;
use crate::storage::wanted::Quorum;
use crate::storage::wanted::Wanted;

/// The tool makes directories and files with the usual umask, and the first snapshot read-only for its owner
/// (`FileRawSnapshotWriter.freeze`).
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
const SNAPSHOT_MODE: u32 = 0o400;

/// One directory to be formatted.
#[derive(Debug, Clone)]
pub struct Format<'a> {
    /// As it was found.
    pub dir: &'a FoundDir,
    /// The id it gets.
    pub directory_id: DirectoryId,
    /// The voters in the first snapshot, where the quorum is dynamic and begins with known ones.
    pub voters: Option<Vec<Voter>>,
}

/// The steps for one directory. `now` goes into the files.
pub fn steps(format: &Format<'_>, process: Process, wanted: &Wanted, now: SystemTime) -> Vec<Step> {
    let path = &format.dir.path;
    let now_ms = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let mut steps = directories(format.dir);
    if wanted.is_metadata_log_dir(path)
        && let Some(bytes) = first_snapshot(format, wanted, now_ms)
    {
        let partition = path.join(checkpoint::METADATA_PARTITION);
        steps.extend(metadata_partition(format.dir, &partition, process));
        steps.push(Step::ReplaceFile {
            path: partition.join(checkpoint::FIRST_SNAPSHOT),
            temporary_name: names::FIRST_SNAPSHOT_TEMPORARY.to_owned(),
            content: Content::new(bytes),
            mode: SNAPSHOT_MODE,
        });
    }
    if !has_bootstrap_in_snapshot(wanted) {
        let bytes = checkpoint::encode_bootstrap_checkpoint(&wanted.records, now_ms);
        steps.push(Step::replace(path.join(checkpoint::BOOTSTRAP_CHECKPOINT), bytes, FILE_MODE));
    }
    let meta = MetaProperties {
        cluster_id: wanted.cluster_id.as_str().to_owned(),
        node_id: wanted.node_id,
        directory_id: Some(format.directory_id.uuid()),
    };
    steps.push(Step::replace(path.join(names::META_PROPERTIES), meta.encode(now), FILE_MODE));
    steps
}

/// Whether the release that will read the directory looks for the bootstrap records in the first snapshot (KIP-1170).
/// An older one does not, and would begin with its newest metadata version instead; a newer one reads both.
pub fn has_bootstrap_in_snapshot(wanted: &Wanted) -> bool {
    wanted.kafka_version.at_least(4, 4)
}

fn first_snapshot(format: &Format<'_>, wanted: &Wanted, now_ms: i64) -> Option<Vec<u8>> {
    let kraft_version = match &wanted.quorum {
        Quorum::Static => 0,
        Quorum::Dynamic(_) => 1,
    };
    let voters = format.voters.as_deref();
    if has_bootstrap_in_snapshot(wanted) {
        let encode = checkpoint::encode_first_snapshot;
        return wanted
            .roles
            .is_controller()
            .then(|| encode(Some(kraft_version), voters, &wanted.records, now_ms));
    }
    voters.map(|voters| checkpoint::encode_first_snapshot(Some(kraft_version), Some(voters), &[], now_ms))
}

/// Makes the directory, or flushes its name if it may just have been made by a run that was killed.
fn directories(dir: &FoundDir) -> Vec<Step> {
    match &dir.state {
        DirState::Missing { to_make, .. } => {
            to_make.iter().map(|path| Step::CreateDir { path: path.clone(), mode: DIRECTORY_MODE }).collect()
        }
        DirState::Here(contents) if contents.is_perhaps_new => match dir.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => vec![Step::SyncDir { path: parent.to_owned() }],
            _ => vec![Step::SyncDir { path: ".".into() }],
        },
        // The other states are refused before there are steps.
        DirState::Here(_)
        | DirState::DanglingLink { .. }
        | DirState::NotADirectory { .. }
        | DirState::Unreadable { .. }
        | DirState::Failing { .. } => Vec::new(),
    }
}

fn metadata_partition(dir: &FoundDir, partition: &Path, process: Process) -> Option<Step> {
    if let DirState::Here(contents) = &dir.state
        && let MetadataLog::Here { access, .. } = &contents.metadata_log
        && access.uid != process.uid
    {
        // Somebody else made it, and only they could set its mode.
        return None;
    }
    Some(Step::CreateDir { path: partition.to_owned(), mode: DIRECTORY_MODE })
}
