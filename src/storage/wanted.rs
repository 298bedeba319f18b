//! What this node's storage must be: the settings and the pod's identity, as far as disks are concerned.

use std::path::Path;
use std::path::PathBuf;

use crate::cluster::pool::ProcessRoles;
use crate::kafka::metadata_records::MetadataRecord;
use crate::kafka::metadata_records::Voter;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::ClusterId;
use crate::kafka::version::KafkaVersion;

/// The storage of one node, as it has to be before its Kafka starts.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The node.
    pub node_id: NodeId,
    /// The cluster it belongs to.
    pub cluster_id: ClusterId,
    /// `process.roles`.
    pub roles: ProcessRoles,
    /// The release that will read the directories; it decides the layout.
    pub kafka_version: KafkaVersion,
    /// The data records a new cluster begins with: feature levels, then SCRAM credentials.
    pub records: Vec<MetadataRecord>,
    /// `log.dirs`, as spelled in `server.properties`.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, or the first of `log_dirs`. Kafka compares the spellings: `/a` and `/a/` are two.
    pub metadata_log_dir: PathBuf,
    /// How the controllers find their voters.
    pub quorum: Quorum,
    /// Whether the settings have other controllers than this node.
    pub others: Others,
    /// Whether the cluster holds records yet.
    pub cluster: Cluster,
}

/// How the controllers find their voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// `controller.quorum.voters`: voters are in the settings of every node, `kraft.version` is 0.
    Static,
    /// `controller.quorum.bootstrap.servers`: voters are in the metadata log, `kraft.version` is 1 (KIP-853).
    Dynamic(InitialVoters),
}

/// The voters with which a dynamic quorum begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitialVoters {
    /// This node alone: `--standalone`.
    Standalone {
        /// The first controller listener.
        listener_name: String,
        /// Where the others reach it.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A list that is the same on every node: `--initial-controllers`.
    Voters(Vec<Voter>),
    /// None: this node begins as an observer, `--no-initial-controllers`.
    Unknown,
}

/// Whether the settings have other controllers, which may hold the records that this node has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// At least one.
    There,
    /// This is the only one.
    Nobody,
}

/// What the settings say of the cluster's age (`formed`), or a person who looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// It holds no record yet.
    NeverFormed,
    /// It has had a leader, so an empty controller disk is a lost one.
    Formed,
    /// It has formed, and a person accepts, for this node by name, that committed records may be lost.
    FormedAndLossAccepted,
}

impl Wanted {
    /// All directories that have to be formatted, each spelling once: the metadata log directory first, then the
    /// others in the order of their names.
    ///
    /// The metadata directory is first in every walk over the directories, and so in the steps: as long as it is
    /// not formatted, no other directory becomes so, and therefore "another one is formatted and this one is not"
    /// means that its disk was lost.
    pub fn directories(&self) -> Vec<&Path> {
        let mut others: Vec<&Path> = self.log_dirs.iter().map(PathBuf::as_path).collect();
        // `Path` takes "/a" and "/a/" for equal; Kafka does not.
        others.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        others.dedup_by(|a, b| a.as_os_str() == b.as_os_str());
        others.retain(|dir| !self.is_metadata_log_dir(dir));
        let mut all = vec![self.metadata_log_dir.as_path()];
        all.extend(others);
        all
    }

    /// The voters a dynamic quorum begins with; `None` where the quorum is static.
    pub fn initial_voters(&self) -> Option<&InitialVoters> {
        match &self.quorum {
            Quorum::Static => None,
            Quorum::Dynamic(initial) => Some(initial),
        }
    }

    /// Whether `dir` is the metadata log directory, letter by letter.
    pub fn is_metadata_log_dir(&self, dir: &Path) -> bool {
        dir.as_os_str() == self.metadata_log_dir.as_os_str()
    }

    /// Whether a broker's `LogManager` will load every sub-directory of `dir`.
    pub fn is_read_by_log_manager(&self, dir: &Path) -> bool {
        self.roles.is_broker() && self.log_dirs.iter().any(|log_dir| log_dir.as_os_str() == dir.as_os_str())
    }
}
