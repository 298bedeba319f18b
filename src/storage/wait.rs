//! Why an empty metadata log must not be used yet, in sentences.

use std::fmt;
use std::path::PathBuf;

use crate::kafka::node_id::NodeId;

/// Why an empty metadata log must not be used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The cluster has formed, and nobody else can hold its records.
    NobodyToAsk {
        /// From what the cluster is known to hold records.
        formed: Formed,
    },
    /// No controller answered as the leader.
    NoLeader {
        /// From what the cluster is known to hold records.
        formed: Formed,
        /// Who was asked, and what each said.
        asked: Vec<(NodeId, String)>,
    },
    /// Nobody leads, but enough controllers are there, or may be, to elect one without us.
    LeaderExpected {
        /// How many are there or may be.
        there: usize,
        /// How many it takes.
        majority: usize,
        /// Who was asked, and what each said.
        asked: Vec<(NodeId, String)>,
    },
    /// A leader is there, but does not know yet up to where records are committed.
    NothingCommitted {
        /// The leader that answered.
        leader: NodeId,
        /// Its epoch.
        epoch: i32,
    },
    /// Too few voters hold all committed records.
    TooFewHolders {
        /// The leader that answered.
        leader: NodeId,
        /// Its epoch.
        epoch: i32,
        /// Up to where records are committed.
        high_watermark: i64,
        /// How many voters there are, this node included.
        voters: usize,
        /// How many others hold everything.
        holders: usize,
        /// How many of them are needed.
        needed: usize,
        /// The others that do not, each with what is known.
        behind: Vec<String>,
    },
    /// The leader does not count this node among its voters, though its own settings do.
    NotAVoter {
        /// The leader that answered.
        leader: NodeId,
        /// The node ids it counts.
        voters: Vec<NodeId>,
    },
}

/// Whether the cluster is known to hold records, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Formed {
    /// Nothing says so.
    NotKnown,
    /// The settings do.
    BySettings,
    /// This directory of the same node has been used, or formatted, before.
    ByDirectory(PathBuf),
    /// It has, and a person accepts the loss for this node.
    LossAccepted,
}

/// How a person goes on all the same. It may lose records, so it is no advice.
const BY_A_PERSON: &str =
    "; whoever accepts that committed records may be lost names the pod in storage.formatEmptyDiskOf";

impl Wait {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NobodyToAsk { .. } => "EmptyDiskNobodyToAsk",
            Self::NoLeader { .. } => "EmptyDiskNoLeader",
            Self::LeaderExpected { .. } => "EmptyDiskLeaderExpected",
            Self::NothingCommitted { .. } => "EmptyDiskNothingCommitted",
            Self::TooFewHolders { .. } => "EmptyDiskOthersBehind",
            Self::NotAVoter { .. } => "EmptyDiskNotAVoter",
        }
    }

    /// Whether trying again later, with nothing changed by a person, may end otherwise.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NobodyToAsk { .. } | Self::NotAVoter { .. } => false,
            Self::NoLeader { .. }
            | Self::LeaderExpected { .. }
            | Self::NothingCommitted { .. }
            | Self::TooFewHolders { .. } => true,
        }
    }
}

impl fmt::Display for Formed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotKnown => f.write_str("nothing says that the cluster has formed"),
            Self::BySettings => f.write_str("the settings say that the cluster has formed"),
            Self::ByDirectory(path) => {
                write!(f, "{} of the same node has been in use, so the cluster has formed", path.display())
            }
            Self::LossAccepted => f.write_str("the cluster has formed, and the loss is accepted"),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyToAsk { formed } => write!(
                f,
                "{formed}, and there is no other controller that could hold its records{BY_A_PERSON}"
            ),
            Self::NoLeader { formed, asked } => {
                write!(f, "{formed}, but no leader answers to say whether the others hold all its records")?;
                listed(f, asked)?;
                f.write_str(BY_A_PERSON)
            }
            Self::LeaderExpected { there, majority, asked } => {
                write!(
                    f,
                    "{there} other controllers are there or may be, and {majority} can elect a leader without this node; want \
                     its word on whether they hold records already"
                )?;
                listed(f, asked)?;
                f.write_str(BY_A_PERSON)
            }
            Self::NothingCommitted { leader, epoch } => write!(
                f,
                "leader {leader} in epoch {epoch} does not know yet up to where records are committed; want a high \
                 watermark"
            ),
            Self::TooFewHolders { leader, epoch, high_watermark, voters, holders, needed, behind } => write!(
                f,
                "{holders} of the {} other voters hold all records up to high watermark {high_watermark} of leader \
                 {leader} in epoch {epoch}; want {needed}, so that a majority without them is impossible \
                 ({}){BY_A_PERSON}",
                voters.saturating_sub(1),
                behind.join("; ")
            ),
            Self::NotAVoter { leader, voters } => {
                let voters: Vec<_> = voters.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "leader {leader} counts the voters {}; want this node among them, as in its own settings",
                    voters.join(", ")
                )
            }
        }
    }
}

fn listed(f: &mut fmt::Formatter<'_>, asked: &[(NodeId, String)]) -> fmt::Result {
    for (index, (node_id, said)) in asked.iter().enumerate() {
        write!(f, "{}controller {node_id}: {said}", if index == 0 { " (" } else { "; " })?;
    }
    f.write_str(if asked.is_empty() { " (none was asked)" } else { ")" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_its_leader_does_not_count_is_for_a_person() {
        let leader = NodeId::try_from(2).unwrap();
        assert!(!Wait::NotAVoter { leader, voters: vec![leader] }.may_pass());
        assert!(!Wait::NobodyToAsk { formed: Formed::BySettings }.may_pass());
        assert!(Wait::NoLeader { formed: Formed::BySettings, asked: vec![] }.may_pass());
        assert!(Wait::NothingCommitted { leader, epoch: 1 }.may_pass());
    }
}
