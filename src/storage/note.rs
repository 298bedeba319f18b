//! What is not refused and yet worth a line for a person.

use std::fmt;
use std::path::PathBuf;

use crate::kafka::uuid::Uuid;

/// Something that is not refused and yet worth a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The disk of one of several log directories is broken.
    FailingDisk {
        /// The log directory.
        path: PathBuf,
        /// The operating system's words.
        error: String,
    },
    /// The cluster has formed, so this controller has no vote before it is added.
    JoinsAsObserver {
        /// The metadata log directory.
        path: PathBuf,
    },
    /// A person took the risk.
    LossAccepted {
        /// The metadata log directory.
        path: PathBuf,
    },
    /// The memory of votes is gone; a voter without it may vote twice in an epoch.
    NoQuorumState {
        /// The metadata log directory.
        path: PathBuf,
    },
    /// The node runs, but not under the id by which the settings know it.
    NotTheInitialVoter {
        /// The metadata log directory.
        path: PathBuf,
        /// The id there.
        found: Option<Uuid>,
        /// The id in the settings.
        settings: Uuid,
    },
}

impl Note {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::FailingDisk { .. } => "LogDirFailing",
            Self::JoinsAsObserver { .. } => "JoinsAsObserver",
            Self::LossAccepted { .. } => "EmptyDiskLossAccepted",
            Self::NoQuorumState { .. } => "NoQuorumState",
            Self::NotTheInitialVoter { .. } => "NotTheInitialVoter",
        }
    }
}

/// The sentence, and the word in brackets as in refusals.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailingDisk { path, error } => {
                write!(
                    f,
                    "log directory {} is left alone, and Kafka goes on without it: {error}",
                    path.display()
                )
            }
            Self::JoinsAsObserver { path } => write!(
                f,
                "metadata log directory {} is formatted without voters: the cluster has formed, and this node has to \
                 be added to its voters",
                path.display()
            ),
            Self::LossAccepted { path } => write!(
                f,
                "metadata log directory {} is used empty without asking the other voters, as the settings accept; \
                 committed records may be lost",
                path.display()
            ),
            Self::NoQuorumState { path } => write!(
                f,
                "metadata log directory {} has a metadata log but no quorum-state: this voter may vote twice in one \
                 epoch",
                path.display()
            ),
            Self::NotTheInitialVoter { path, found, settings } => write!(
                f,
                "log directory {} has directory.id {}, and the settings name {settings} as this node's initial voter; \
                 once the cluster has formed, say so in the settings",
                path.display(),
                found.map_or("none".to_owned(), |id| id.to_string())
            ),
        }?;
        write!(f, " [{}]", self.reason())
    }
}
