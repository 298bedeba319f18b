//! What a controller's metadata log directory must be before the quorum may count on it.

use crate::kafka::checkpoint::FIRST_SNAPSHOT;
use crate::kafka::checkpoint::METADATA_PARTITION;
use crate::kafka::meta_properties::MetaProperties;
use crate::kafka::metadata_records::Voter;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::DirectoryId;
use crate::kafka::uuid::Uuid;
use crate::storage::empty_disk;
use crate::storage::empty_disk::Answer;
use crate::storage::empty_disk::EmptyDisk;
use crate::storage::empty_disk::Situation;
use crate::storage::empty_disk::VotersIn;
use crate::storage::found::Contents;
use crate::storage::found::DirState;
use crate::storage::found::Found;
use crate::storage::found::FoundFile;
use crate::storage::found::MetadataLog;
use crate::storage::inspect;
use crate::storage::inspect::Checkpoints;
use crate::storage::inspect::Judged;
use crate::storage::inspect::Standing;
use crate::storage::layout;
use crate::storage::note::Note;
use crate::storage::refusal::Refusal;
use crate::storage::wait::Formed;
use crate::storage::wanted::Cluster;
use crate::storage::wanted::InitialVoters;
use crate::storage::wanted::Quorum;
use crate::storage::wanted::Wanted;

/// How the metadata log directory is formatted, if it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// With the initial voters of the settings.
    InitialController,
    /// Without: a broker, a voter of a static quorum, or an observer.
    Other,
}

/// Whether the other controllers have to be asked before a plan can be made: a controller's metadata log is empty,
/// and it could be a voter's.
///
/// Also where the directory is formatted already: between a format that was allowed and Kafka's first start the
/// other voters may have changed, and a log that was deleted beside its `meta.properties` looks the same.
pub fn needs_asking(found: &Found, wanted: &Wanted) -> bool {
    if !wanted.roles.is_controller() {
        return false;
    }
    let is_accepted = wanted.cluster == Cluster::FormedAndLossAccepted;
    let metadata_dir = found.dirs.iter().find(|dir| wanted.is_metadata_log_dir(&dir.path));
    let is_fresh = match metadata_dir.map(|dir| &dir.state) {
        Some(DirState::Missing { .. }) => true,
        Some(DirState::Here(contents)) if contents.has_used_metadata_log() => return false,
        Some(DirState::Here(contents)) => contents.meta_properties == FoundFile::Absent,
        // Refused, whatever anybody answers.
        Some(
            DirState::DanglingLink { .. }
            | DirState::NotADirectory { .. }
            | DirState::Unreadable { .. }
            | DirState::Failing { .. },
        )
        | None => return false,
    };
    match &wanted.quorum {
        // A fresh directory id has no vote, so it becomes an observer's.
        Quorum::Dynamic(InitialVoters::Unknown) => !is_fresh && !is_accepted,
        // Where a leader answers, the loss that was accepted need not happen: the node joins as an observer.
        Quorum::Dynamic(_) if is_accepted => is_fresh,
        Quorum::Dynamic(_) => !is_fresh || wanted.cluster == Cluster::NeverFormed,
        Quorum::Static => !is_accepted,
    }
}

/// Judges the metadata log directory among the others.
pub fn judge(
    judged: &[Judged<'_>],
    wanted: &Wanted,
    answers: &[Answer],
    refusals: &mut Vec<Refusal>,
    notes: &mut Vec<Note>,
) -> Role {
    let Some(metadata) = judged.iter().find(|judged| wanted.is_metadata_log_dir(&judged.dir.path)) else {
        return Role::Other;
    };
    let contents = match &metadata.dir.state {
        DirState::Here(contents) => Some(&**contents),
        _ => None,
    };
    let checkpoints = match (metadata.formatted(), contents) {
        (Some(_), Some(contents)) => inspect::checkpoints(&metadata.dir.path, contents, refusals),
        _ => Checkpoints::default(),
    };
    if let (Some(meta), Some(contents)) = (metadata.formatted(), contents) {
        layout_of(metadata, &checkpoints, wanted, refusals);
        if wanted.roles.is_controller() && contents.has_used_metadata_log() {
            used(metadata, meta, contents, wanted, notes);
        }
    }
    let is_used = contents.is_some_and(Contents::has_used_metadata_log);
    if !wanted.roles.is_controller() || is_used || matches!(metadata.standing, Standing::Failing(_)) {
        return Role::Other;
    }
    let formed = formed(judged, metadata, wanted);
    let is_new = formed == Formed::NotKnown && !empty_disk::has_leader(answers);
    if let Some(meta) = metadata.formatted()
        && is_new
    {
        before_first_start(metadata, meta, &checkpoints, wanted, refusals);
    }
    decide(metadata, formed, wanted, answers, refusals, notes)
}

fn decide(
    metadata: &Judged<'_>,
    formed: Formed,
    wanted: &Wanted,
    answers: &[Answer],
    refusals: &mut Vec<Refusal>,
    notes: &mut Vec<Note>,
) -> Role {
    let path = metadata.dir.path.clone();
    let directory_id = metadata.formatted().and_then(|meta| meta.directory_id);
    let situation = Situation {
        node_id: wanted.node_id,
        voters: match &wanted.quorum {
            Quorum::Static => VotersIn::Settings,
            Quorum::Dynamic(_) => VotersIn::MetadataLog,
        },
        others: wanted.others,
        formed,
        directory_id: directory_id.and_then(|id| DirectoryId::try_from(id).ok()),
    };
    match empty_disk::may_use_empty_disk(&situation, answers) {
        EmptyDisk::AsConfigured => {
            if situation.formed == Formed::LossAccepted {
                notes.push(Note::LossAccepted { path });
            }
            Role::InitialController
        }
        EmptyDisk::AsObserver => {
            notes.push(Note::JoinsAsObserver { path });
            Role::Other
        }
        EmptyDisk::Wait(wait) => {
            refusals.push(Refusal::EmptyDisk { path, node_id: wanted.node_id, wait });
            Role::Other
        }
    }
}

/// What on this node, or in its settings, says that the cluster holds records.
fn formed(judged: &[Judged<'_>], metadata: &Judged<'_>, wanted: &Wanted) -> Formed {
    match wanted.cluster {
        Cluster::FormedAndLossAccepted => return Formed::LossAccepted,
        Cluster::Formed => return Formed::BySettings,
        Cluster::NeverFormed => {}
    }
    let witness = judged.iter().find(|other| {
        let has_partitions = matches!(&other.dir.state, DirState::Here(here) if !here.partitions.is_empty());
        // The metadata log directory is always formatted first.
        let outlived = metadata.formatted().is_none() && other.formatted().is_some();
        has_partitions || outlived
    });
    witness.map_or(Formed::NotKnown, |witness| Formed::ByDirectory(witness.dir.path.clone()))
}

/// Which Kafka made the layout, and can ours read it?
fn layout_of(metadata: &Judged<'_>, checkpoints: &Checkpoints, wanted: &Wanted, refusals: &mut Vec<Refusal>) {
    let in_snapshot =
        checkpoints.first_snapshot.as_ref().is_some_and(|snapshot| !snapshot.records.is_empty());
    if in_snapshot && !layout::has_bootstrap_in_snapshot(wanted) {
        let (path, kafka) = (metadata.dir.path.clone(), wanted.kafka_version);
        refusals.push(Refusal::NewerLayout { path, kafka });
    }
}

/// A formatted directory on which Kafka has not run, in a cluster that holds no record yet.
fn before_first_start(
    metadata: &Judged<'_>,
    meta: &MetaProperties,
    checkpoints: &Checkpoints,
    wanted: &Wanted,
    refusals: &mut Vec<Refusal>,
) {
    let path = &metadata.dir.path;
    let DirState::Here(contents) = &metadata.dir.state else { return };
    // What is there but broken is refused already.
    let is_there = contents.bootstrap_checkpoint != FoundFile::Absent
        || checkpoints.first_snapshot.as_ref().is_some_and(|snapshot| !snapshot.records.is_empty())
        || matches!(contents.first_snapshot(), FoundFile::Fault(_));
    if !is_there {
        refusals.push(Refusal::NoBootstrapRecords { path: path.clone() });
    }
    let voters = match wanted.initial_voters() {
        None | Some(InitialVoters::Unknown) => return,
        Some(InitialVoters::Standalone { .. }) => {
            meta.directory_id.map(|id| vec![(wanted.node_id, id)]).unwrap_or_default()
        }
        Some(InitialVoters::Voters(voters)) => keys(voters),
    };
    if let Some((_, own)) = voters.iter().find(|(node_id, _)| *node_id == wanted.node_id)
        && meta.directory_id != Some(*own)
    {
        refusals.push(Refusal::VoterDirectoryId {
            path: path.clone(),
            node_id: wanted.node_id,
            found: meta.directory_id,
            wanted: *own,
        });
    }
    let found = checkpoints.first_snapshot.as_ref().and_then(|snapshot| snapshot.voters.as_deref());
    let found = found.map(keys).unwrap_or_default();
    let is_readable = !matches!(contents.first_snapshot(), FoundFile::Fault(_))
        && (checkpoints.first_snapshot.is_some() || *contents.first_snapshot() == FoundFile::Absent);
    if is_readable && found != voters {
        refusals.push(Refusal::OtherVoters {
            path: path.join(METADATA_PARTITION).join(FIRST_SNAPSHOT),
            found: listed(&found),
            wanted: listed(&voters),
        });
    }
}

/// A controller that has run: its log says who votes, and nothing here is refused for its age.
fn used(
    metadata: &Judged<'_>,
    meta: &MetaProperties,
    contents: &Contents,
    wanted: &Wanted,
    notes: &mut Vec<Note>,
) {
    let path = &metadata.dir.path;
    if let MetadataLog::Here { has_records: true, has_quorum_state: false, .. } = &contents.metadata_log {
        notes.push(Note::NoQuorumState { path: path.clone() });
    }
    if let (Cluster::NeverFormed, Some(InitialVoters::Voters(voters))) =
        (wanted.cluster, wanted.initial_voters())
        && let Some(own) = voters.iter().find(|voter| voter.node_id == wanted.node_id)
        && meta.directory_id != Some(own.directory_id)
    {
        notes.push(Note::NotTheInitialVoter {
            path: path.clone(),
            found: meta.directory_id,
            settings: own.directory_id,
        });
    }
}

/// Voters by identity. Addresses may change before the first start: the voters themselves correct them later
/// (`UpdateRaftVoter`).
fn keys(voters: &[Voter]) -> Vec<(NodeId, Uuid)> {
    let mut keys: Vec<_> = voters.iter().map(|voter| (voter.node_id, voter.directory_id)).collect();
    keys.sort_unstable();
    keys
}

fn listed(voters: &[(NodeId, Uuid)]) -> String {
    if voters.is_empty() {
        return "none".to_owned();
    }
    voters.iter().map(|(node_id, id)| format!("{node_id}@{id}")).collect::<Vec<_>>().join(",")
}
