//! Why this node's storage is not touched: one sentence per obstacle.

use std::path::PathBuf;

use crate::kafka::checkpoint::CheckpointError;
use crate::kafka::meta_properties::MetaPropertiesError;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::ClusterId;
use crate::kafka::uuid::Uuid;
use crate::kafka::version::KafkaVersion;
use crate::storage::found::FileFault;
use crate::storage::found::Names;
use crate::storage::wait::Wait;

/// One obstacle. As long as there is any, nothing has been written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is a file where a directory should be.
    #[error("log directory {}: {} is a file; want a directory", path.display(), file.display())]
    NotADirectory {
        /// The log directory.
        path: PathBuf,
        /// It, or what should be a directory above it.
        file: PathBuf,
    },
    /// A volume that is not mounted, or a link that was copied.
    #[error("log directory {} is a symbolic link to {}, which does not exist", path.display(), target.display())]
    DanglingLink {
        /// The log directory.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// The operating system does not let us look.
    #[error("log directory {} cannot be read by uid {uid}: {error}", path.display())]
    Unreadable {
        /// The log directory.
        path: PathBuf,
        /// Who looked.
        uid: u32,
        /// The operating system's words.
        error: String,
    },
    /// Two settings lead to one place.
    #[error(
        "log directories {} and {} are the same directory; Kafka, which compares their spellings, would take \
         them for two",
        first.display(), second.display()
    )]
    SameDirectory {
        /// One spelling.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// A broker loads every sub-directory of its log directories.
    #[error(
        "log directory {} lies in log directory {}, where a broker wants partitions of topics only",
        inner.display(), outer.display()
    )]
    Nested {
        /// The one above.
        outer: PathBuf,
        /// The one below.
        inner: PathBuf,
    },
    /// Nothing can be written.
    #[error("log directory {} is not formatted and {} is on a read-only file system", path.display(), place.display())]
    ReadOnly {
        /// The log directory.
        path: PathBuf,
        /// Where something would have to be written.
        place: PathBuf,
    },
    /// Owner and mode forbid it.
    #[error(
        "log directory {} is not formatted and {} belongs to {uid}:{gid} with mode {mode:04o}; \
         want it writable for {our_uid}:{our_gid}, which this process is",
        path.display(), place.display()
    )]
    NotWritable {
        /// The log directory.
        path: PathBuf,
        /// Where something would have to be written.
        place: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its permission bits.
        mode: u32,
        /// Who we are.
        our_uid: u32,
        /// And in which group.
        our_gid: u32,
    },
    /// Files that root makes are not Kafka's.
    #[error(
        "log directory {} is not formatted and {} belongs to uid {uid}, but this process is root, and Kafka could \
         not use what root writes there; want this process to run as uid {uid}",
        path.display(), place.display()
    )]
    OwnedByAnother {
        /// The log directory.
        path: PathBuf,
        /// Where something would have to be written.
        place: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Not enough room for a few small files.
    #[error("log directory {} is not formatted and its file system has {found} {unit} free; want {wanted}", path.display())]
    NoRoom {
        /// The first log directory on that file system.
        path: PathBuf,
        /// What is counted, `bytes` or `files`.
        unit: &'static str,
        /// How many are free.
        found: u64,
        /// How many all the steps on that file system need.
        wanted: u64,
    },
    /// A file that decides something was not read.
    #[error("{} {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
    },
    /// A temporary file cannot be written over.
    #[error("{} {what}; want nothing there, or a file of this process", path.display())]
    Blocked {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// The directory's own word is not to be understood.
    #[error("log directory {} does not say whose it is", path.display())]
    MetaProperties {
        /// The log directory.
        path: PathBuf,
        /// What is wrong in its `meta.properties`.
        #[source]
        source: MetaPropertiesError,
    },
    /// A volume of another pod.
    #[error("log directory {} belongs to node.id {found}; want {wanted}", path.display())]
    OtherNode {
        /// The log directory.
        path: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Who we are.
        wanted: NodeId,
    },
    /// A volume of another cluster.
    #[error("log directory {} belongs to cluster.id {found}; want {wanted}", path.display())]
    OtherCluster {
        /// The log directory.
        path: PathBuf,
        /// Whose it is; at most 64 characters of it.
        found: String,
        /// Who we are.
        wanted: ClusterId,
    },
    /// Kafka refuses to start with it.
    #[error("log directory {} has directory.id {found}, which Kafka reserves; want one of its own", path.display())]
    ReservedDirectoryId {
        /// The log directory.
        path: PathBuf,
        /// The id.
        found: Uuid,
    },
    /// One was copied from the other.
    #[error(
        "log directories {} and {} have the same directory.id {id}; want one each: one is a copy",
        first.display(), second.display()
    )]
    SameDirectoryId {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The id.
        id: Uuid,
    },
    /// Kafka's own tool passes over this in silence, and the node then is no voter.
    #[error(
        "log directory {} has directory.id {}; want {wanted}, under which the settings name node.id {node_id} as an \
         initial voter", path.display(), found.map_or("none".to_owned(), |id| id.to_string())
    )]
    VoterDirectoryId {
        /// The metadata log directory.
        path: PathBuf,
        /// This node.
        node_id: NodeId,
        /// The id in its `meta.properties`.
        found: Option<Uuid>,
        /// The id in the settings.
        wanted: Uuid,
    },
    /// The node was formatted with another list, and two lists make two clusters.
    #[error("{} names the voters {found}; want {wanted} as in the settings", path.display())]
    OtherVoters {
        /// The first snapshot.
        path: PathBuf,
        /// `<node id>@<directory id>` each.
        found: String,
        /// Likewise.
        wanted: String,
    },
    /// `metadata.log.dir` was changed, but not the data moved.
    #[error(
        "log directory {} holds the metadata log {}; want that in {}, the metadata log directory",
        path.display(), crate::kafka::checkpoint::METADATA_PARTITION, metadata_log_dir.display()
    )]
    MetadataLogElsewhere {
        /// Where it is.
        path: PathBuf,
        /// Where it should be.
        metadata_log_dir: PathBuf,
    },
    /// Formatting would give the data another identity.
    #[error("log directory {} has no meta.properties but holds {what} ({names}); want them together", path.display())]
    DataWithoutIdentity {
        /// The log directory.
        path: PathBuf,
        /// `topic partitions` or `a metadata log`.
        what: &'static str,
        /// Some of them.
        names: Names,
    },
    /// The root of a volume.
    #[error(
        "log directory {} holds lost+found, so it is the root of a file system, and a broker wants partitions of \
         topics only; want a sub-directory, for example {}", path.display(), path.join("kafka").display()
    )]
    LostAndFound {
        /// The log directory.
        path: PathBuf,
    },
    /// A broker stops when it meets them.
    #[error("log directory {} holds {names}; a broker wants partitions of topics only, named <topic>-<n>", path.display())]
    Foreign {
        /// The log directory.
        path: PathBuf,
        /// Sub-directories only; files do not disturb Kafka.
        names: Names,
    },
    /// Kafka would stop at it, or begin with other records.
    #[error("{} cannot be used", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        source: CheckpointError,
    },
    /// An older Kafka looks for the bootstrap records in another file.
    #[error("{} was formatted by Kafka 4.4 or newer, whose layout Kafka {kafka} does not read; want 4.4 at least", path.display())]
    NewerLayout {
        /// The metadata log directory.
        path: PathBuf,
        /// What is to read it.
        kafka: KafkaVersion,
    },
    /// Kafka would silently begin with its newest metadata version and without SCRAM users.
    #[error("{} is formatted and has never been used, but holds neither bootstrap.checkpoint nor the records of one", path.display())]
    NoBootstrapRecords {
        /// The metadata log directory.
        path: PathBuf,
    },
    /// The metadata log is empty, and using it could lose committed records.
    #[error("metadata log directory {} of node.id {node_id} holds no metadata log: {wait}", path.display())]
    EmptyDisk {
        /// The metadata log directory.
        path: PathBuf,
        /// This node.
        node_id: NodeId,
        /// Why not now.
        wait: Wait,
    },
}

impl Refusal {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotADirectory { .. } => "LogDirNotADirectory",
            Self::DanglingLink { .. } => "LogDirDanglingLink",
            Self::Unreadable { .. } => "LogDirUnreadable",
            Self::SameDirectory { .. } => "LogDirTwice",
            Self::Nested { .. } => "LogDirNested",
            Self::ReadOnly { .. } => "LogDirReadOnly",
            Self::NotWritable { .. } => "LogDirNotWritable",
            Self::OwnedByAnother { .. } => "LogDirOwnedByAnother",
            Self::NoRoom { .. } => "LogDirNoRoom",
            Self::File { fault, .. } => fault.reason(),
            Self::Blocked { .. } => "TemporaryFileBlocked",
            Self::MetaProperties { source, .. } => source.reason(),
            Self::OtherNode { .. } => "LogDirOfAnotherNode",
            Self::OtherCluster { .. } => "LogDirOfAnotherCluster",
            Self::ReservedDirectoryId { .. } => "ReservedDirectoryId",
            Self::SameDirectoryId { .. } => "DirectoryIdTwice",
            Self::VoterDirectoryId { .. } => "VoterDirectoryIdDiffers",
            Self::OtherVoters { .. } => "InitialVotersDiffer",
            Self::MetadataLogElsewhere { .. } => "MetadataLogElsewhere",
            Self::DataWithoutIdentity { .. } => "DataWithoutMetaProperties",
            Self::LostAndFound { .. } => "LogDirIsVolumeRoot",
            Self::Foreign { .. } => "LogDirHasForeignEntries",
            Self::Checkpoint { source, .. } => source.reason(),
            Self::NewerLayout { .. } => "LayoutFromNewerKafka",
            Self::NoBootstrapRecords { .. } => "NoBootstrapRecords",
            Self::EmptyDisk { wait, .. } => wait.reason(),
        }
    }

    /// Whether trying again later, with nothing changed by a person, may end otherwise.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::EmptyDisk { wait, .. } if wait.may_pass())
    }
}
