//! One directory at a time: is it this node's, is it formatted, may it be?

use std::path::Path;
use std::path::PathBuf;

use crate::disk::step::Content;
use crate::kafka::checkpoint;
use crate::kafka::checkpoint::Checkpoint;
use crate::kafka::meta_properties::MetaProperties;
use crate::storage::found::Access;
use crate::storage::found::Contents;
use crate::storage::found::DirState;
use crate::storage::found::FoundDir;
use crate::storage::found::FoundFile;
use crate::storage::found::MetadataLog;
use crate::storage::found::Process;
use crate::storage::found::Write;
use crate::storage::names;
use crate::storage::refusal::Refusal;
use crate::storage::wanted::Wanted;

/// What a directory is to this node, if nothing stands against it.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Formatted, for this node and cluster; stays as it is.
    Formatted(MetaProperties),
    /// To be formatted.
    Unformatted,
    /// On a disk that answers with I/O errors. Kafka goes on without such a directory if it has others
    /// (KIP-112), and so a node with one broken disk out of many is not kept from starting here.
    Failing(String),
}

/// A directory with its standing.
#[derive(Debug, Clone)]
pub struct Judged<'a> {
    /// As it was found.
    pub dir: &'a FoundDir,
    /// What it is to this node.
    pub standing: Standing,
}

/// What the metadata log directory holds of a format, decoded.
#[derive(Debug, Clone, Default)]
pub struct Checkpoints {
    /// `bootstrap.checkpoint`
    pub bootstrap: Option<Checkpoint>,
    /// The snapshot at offset 0 and epoch 0.
    pub first_snapshot: Option<Checkpoint>,
}

/// Judges one directory by itself. `None` means that the reasons have been added to `refusals`.
pub fn inspect(
    dir: &FoundDir,
    process: Process,
    wanted: &Wanted,
    refusals: &mut Vec<Refusal>,
) -> Option<Standing> {
    let path = dir.path.clone();
    let before = refusals.len();
    let standing = match &dir.state {
        DirState::NotADirectory { file } => {
            refusals.push(Refusal::NotADirectory { path, file: file.clone() });
            None
        }
        DirState::DanglingLink { target } => {
            refusals.push(Refusal::DanglingLink { path, target: target.clone() });
            None
        }
        DirState::Unreadable { error } => {
            refusals.push(Refusal::Unreadable { path, uid: process.uid, error: error.clone() });
            None
        }
        DirState::Failing { error } => Some(Standing::Failing(error.clone())),
        DirState::Missing { ancestor, access, .. } => {
            refusals.extend(write_refusal(&dir.path, ancestor, access, process));
            Some(Standing::Unformatted)
        }
        DirState::Here(contents) => {
            sub_directories(&dir.path, contents, wanted, refusals);
            match &contents.meta_properties {
                FoundFile::Absent => {
                    unformatted(&dir.path, contents, process, wanted, refusals);
                    Some(Standing::Unformatted)
                }
                FoundFile::Fault(fault) => {
                    let path = dir.path.join(names::META_PROPERTIES);
                    refusals.push(Refusal::File { path, fault: fault.clone() });
                    None
                }
                FoundFile::Read(bytes) => formatted(&dir.path, bytes, wanted, refusals),
            }
        }
    };
    standing.filter(|_| refusals.len() == before)
}

/// Reads the checkpoints of a formatted metadata log directory: Kafka reads both at every start.
pub fn checkpoints(path: &Path, contents: &Contents, refusals: &mut Vec<Refusal>) -> Checkpoints {
    let partition = path.join(checkpoint::METADATA_PARTITION);
    if let MetadataLog::Fault(fault) = &contents.metadata_log {
        refusals.push(Refusal::File { path: partition.clone(), fault: fault.clone() });
    }
    let mut decode = |path: PathBuf, file: &FoundFile| match file {
        FoundFile::Absent => None,
        FoundFile::Fault(fault) => {
            refusals.push(Refusal::File { path, fault: fault.clone() });
            None
        }
        FoundFile::Read(content) => match checkpoint::decode_checkpoint(content.bytes()) {
            Ok(checkpoint) => Some(checkpoint),
            Err(source) => {
                refusals.push(Refusal::Checkpoint { path, source });
                None
            }
        },
    };
    Checkpoints {
        bootstrap: decode(path.join(checkpoint::BOOTSTRAP_CHECKPOINT), &contents.bootstrap_checkpoint),
        first_snapshot: decode(partition.join(checkpoint::FIRST_SNAPSHOT), contents.first_snapshot()),
    }
}

impl Judged<'_> {
    /// What its `meta.properties` says, where it is formatted.
    pub fn formatted(&self) -> Option<&MetaProperties> {
        match &self.standing {
            Standing::Formatted(meta) => Some(meta),
            Standing::Unformatted | Standing::Failing(_) => None,
        }
    }
}

fn sub_directories(path: &Path, contents: &Contents, wanted: &Wanted, refusals: &mut Vec<Refusal>) {
    if !wanted.is_metadata_log_dir(path) && !matches!(contents.metadata_log, MetadataLog::Absent) {
        refusals.push(Refusal::MetadataLogElsewhere {
            path: path.to_owned(),
            metadata_log_dir: wanted.metadata_log_dir.clone(),
        });
    }
    // A controller's directory is not read by `LogManager`: at the root of a volume it is well.
    if !wanted.is_read_by_log_manager(path) {
        return;
    }
    if contents.has_lost_and_found {
        refusals.push(Refusal::LostAndFound { path: path.to_owned() });
    }
    if !contents.foreign.is_empty() {
        refusals.push(Refusal::Foreign { path: path.to_owned(), names: contents.foreign.clone() });
    }
}

fn formatted(path: &Path, bytes: &Content, wanted: &Wanted, refusals: &mut Vec<Refusal>) -> Option<Standing> {
    let path = path.to_owned();
    let meta = match MetaProperties::decode(bytes.bytes()) {
        Ok(meta) => meta,
        Err(source) => {
            refusals.push(Refusal::MetaProperties { path, source });
            return None;
        }
    };
    if meta.cluster_id != wanted.cluster_id.as_str() {
        let found = meta.cluster_id.chars().take(64).collect();
        refusals.push(Refusal::OtherCluster { path: path.clone(), found, wanted: wanted.cluster_id.clone() });
    }
    if meta.node_id != wanted.node_id {
        refusals.push(Refusal::OtherNode { path: path.clone(), found: meta.node_id, wanted: wanted.node_id });
    }
    if let Some(found) = meta.directory_id.filter(|id| id.is_reserved()) {
        refusals.push(Refusal::ReservedDirectoryId { path, found });
    }
    Some(Standing::Formatted(meta))
}

fn unformatted(
    path: &Path,
    contents: &Contents,
    process: Process,
    wanted: &Wanted,
    refusals: &mut Vec<Refusal>,
) {
    // Kafka's tool would format here and give the data a new directory id: a voter without its vote, partitions
    // assigned to a directory that is no more (KIP-858). Somebody or something has deleted meta.properties.
    let mut data = |what, names| {
        refusals.push(Refusal::DataWithoutIdentity { path: path.to_owned(), what, names });
    };
    if !contents.partitions.is_empty() {
        data("topic partitions", contents.partitions.clone());
    }
    if let MetadataLog::Here { used, .. } = &contents.metadata_log
        && !used.is_empty()
    {
        data("a metadata log", used.clone());
    }
    let partition = path.join(checkpoint::METADATA_PARTITION);
    for (path, file) in [
        (path.join(checkpoint::BOOTSTRAP_CHECKPOINT), &contents.bootstrap_checkpoint),
        (partition.join(checkpoint::FIRST_SNAPSHOT), contents.first_snapshot()),
    ] {
        // What is whole or half written by a format is written over; a link or a pipe nobody's format made.
        if let FoundFile::Fault(fault) = file {
            refusals.push(Refusal::File { path, fault: fault.clone() });
        }
    }
    for blocked in &contents.blocked {
        refusals.push(Refusal::Blocked { path: blocked.path.clone(), what: blocked.what.clone() });
    }
    refusals.extend(write_refusal(path, path, &contents.access, process));
    match &contents.metadata_log {
        MetadataLog::Here { access, .. } if wanted.is_metadata_log_dir(path) => {
            refusals.extend(write_refusal(path, &partition, access, process));
        }
        MetadataLog::Fault(fault) if wanted.is_metadata_log_dir(path) => {
            let fault = fault.clone();
            refusals.push(Refusal::File { path: partition, fault });
        }
        // In another directory it is refused for being there at all.
        MetadataLog::Here { .. } | MetadataLog::Fault(_) | MetadataLog::Absent => {}
    }
}

fn write_refusal(path: &Path, place: &Path, access: &Access, process: Process) -> Option<Refusal> {
    let (path, place) = (path.to_owned(), place.to_owned());
    match access.write {
        Write::ReadOnly => Some(Refusal::ReadOnly { path, place }),
        Write::Denied => Some(Refusal::NotWritable {
            path,
            place,
            uid: access.uid,
            gid: access.gid,
            mode: access.mode,
            our_uid: process.uid,
            our_gid: process.gid,
        }),
        // The first snapshot is readable for its owner alone, and directories are writable for theirs.
        Write::Allowed if process.uid == 0 && access.uid != 0 => {
            Some(Refusal::OwnedByAnother { path, place, uid: access.uid })
        }
        Write::Allowed => None,
    }
}
