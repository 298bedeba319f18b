//! From what was found to what is wanted: the steps, or every reason against them at once.
//!
//! The rules are those of `kafka-storage format --ignore-formatted` (`Formatter`, `MetaPropertiesEnsemble`), run before
//! every start. A formatted directory stays as it is to the byte; one without `meta.properties` is formatted, also
//! where a format was killed half-way, ours or the tool's. What the tool would pass over in silence and Kafka would
//! stop at, or lose data by, is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::disk::step::Step;
use crate::kafka::metadata_records::Voter;
use crate::kafka::uuid::DirectoryId;
use crate::kafka::uuid::Uuid;
use crate::storage::controller;
use crate::storage::empty_disk::Answer;
use crate::storage::found::DirState;
use crate::storage::found::Found;
use crate::storage::found::FoundDir;
use crate::storage::inspect;
use crate::storage::inspect::Judged;
use crate::storage::inspect::Standing;
use crate::storage::layout;
use crate::storage::layout::Format;
use crate::storage::note::Note;
use crate::storage::refusal::Refusal;
use crate::storage::wanted::InitialVoters;
use crate::storage::wanted::Wanted;

/// What to do, and what will be true afterwards.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In this order; none where everything is formatted.
    pub steps: Vec<Step>,
    /// Every directory, the metadata log directory first.
    pub directories: Vec<Directory>,
    /// What a person should know, though nothing is refused for it.
    pub notes: Vec<Note>,
}

/// One directory after the steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// As it is spelled in `server.properties`.
    pub path: PathBuf,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was formatted and is not touched. Kafka before 3.7 gave no id; newer ones add it at their start.
    Kept {
        /// Its `directory.id`.
        directory_id: Option<Uuid>,
    },
    /// It is formatted by the steps.
    Formatted {
        /// The `directory.id` it gets.
        directory_id: DirectoryId,
        /// What Kafka's tool calls such a directory.
        kind: Kind,
    },
    /// It is on a broken disk and is left alone.
    LeftAlone,
}

/// What Kafka's tool calls a directory (`Formatter.DirectoryType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not the metadata log directory.
    Data,
    /// The metadata log directory, without initial voters.
    Metadata,
    /// The metadata log directory, with initial voters among which this node is not.
    DynamicMetadata,
    /// The metadata log directory of an initial voter.
    DynamicMetadataVoter,
}

/// Plans. `answers` are those of the other controllers, needed where [`controller::needs_asking`] says so;
/// `fresh_id` draws a random directory id; `now` goes into the files.
///
/// If there is any refusal, there is no step: all of them come at once, in the order of the directories.
pub fn plan(
    found: &Found,
    wanted: &Wanted,
    answers: &[Answer],
    mut fresh_id: impl FnMut() -> DirectoryId,
    now: SystemTime,
) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut notes = Vec::new();
    paths(found, wanted, &mut refusals);
    let mut judged = Vec::new();
    for (index, dir) in found.dirs.iter().enumerate() {
        // A second spelling of a directory is refused above; everything else is said of the first one only.
        if found.dirs.iter().take(index).any(|earlier| is_same(earlier, dir)) {
            continue;
        }
        if let Some(standing) = inspect::inspect(dir, found.process, wanted, &mut refusals) {
            judged.push(Judged { dir, standing });
        }
    }
    failing(&judged, wanted, found, &mut refusals, &mut notes);
    directory_ids(&judged, &mut refusals);
    let role = controller::judge(&judged, wanted, answers, &mut refusals, &mut notes);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut plan = Plan { steps: Vec::new(), directories: Vec::new(), notes };
    let mut rooms = BTreeMap::new();
    for Judged { dir, standing } in judged {
        let fate = match standing {
            Standing::Formatted(meta) => Fate::Kept { directory_id: meta.directory_id },
            Standing::Failing(_) => Fate::LeftAlone,
            Standing::Unformatted => {
                let (format, kind) = format(dir, wanted, role, &mut fresh_id);
                let steps = layout::steps(&format, found.process, wanted, now);
                Room::of(dir, &mut rooms).add(&steps);
                plan.steps.extend(steps);
                Fate::Formatted { directory_id: format.directory_id, kind }
            }
        };
        plan.directories.push(Directory { path: dir.path.clone(), fate });
    }
    refusals.extend(rooms.into_values().flat_map(Room::refusals));
    if refusals.is_empty() { Ok(plan) } else { Err(refusals) }
}

fn format<'a>(
    dir: &'a FoundDir,
    wanted: &Wanted,
    role: controller::Role,
    fresh_id: &mut impl FnMut() -> DirectoryId,
) -> (Format<'a>, Kind) {
    let fresh = fresh_id();
    if !wanted.is_metadata_log_dir(&dir.path) {
        return (Format { dir, directory_id: fresh, voters: None }, Kind::Data);
    }
    let metadata = (Format { dir, directory_id: fresh, voters: None }, Kind::Metadata);
    let initial = match role {
        controller::Role::InitialController => wanted.initial_voters(),
        controller::Role::Other => None,
    };
    match initial {
        None | Some(InitialVoters::Unknown) => metadata,
        Some(InitialVoters::Standalone { listener_name, host, port }) => {
            let voter = Voter {
                node_id: wanted.node_id,
                directory_id: fresh.uuid(),
                listener_name: listener_name.clone(),
                host: host.clone(),
                port: *port,
            };
            let format = Format { dir, directory_id: fresh, voters: Some(vec![voter]) };
            (format, Kind::DynamicMetadataVoter)
        }
        Some(InitialVoters::Voters(voters)) => {
            let own = voters.iter().find(|voter| voter.node_id == wanted.node_id);
            let own_id = own.and_then(|voter| DirectoryId::try_from(voter.directory_id).ok());
            let kind = if own_id.is_some() { Kind::DynamicMetadataVoter } else { Kind::DynamicMetadata };
            let directory_id = own_id.unwrap_or(fresh);
            (Format { dir, directory_id, voters: Some(voters.clone()) }, kind)
        }
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.fate {
            Fate::Kept { directory_id: Some(id) } => {
                write!(f, "{path} is formatted, directory.id {id}; kept")
            }
            Fate::Kept { directory_id: None } => write!(f, "{path} is formatted, without directory.id; kept"),
            Fate::Formatted { directory_id, kind } => {
                write!(f, "{path} becomes a {kind} with directory.id {directory_id}")
            }
            Fate::LeftAlone => write!(f, "{path} is on a broken disk; left alone"),
        }
    }
}

/// In the words of Kafka's tool.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data directory",
            Self::Metadata => "metadata directory",
            Self::DynamicMetadata => "dynamic metadata directory",
            Self::DynamicMetadataVoter => "dynamic metadata voter directory",
        })
    }
}

/// Two settings that lead to one directory, or into one another.
fn paths(found: &Found, wanted: &Wanted, refusals: &mut Vec<Refusal>) {
    for (index, first) in found.dirs.iter().enumerate() {
        for second in found.dirs.iter().skip(index + 1) {
            if is_same(first, second) {
                let (first, second) = (first.path.clone(), second.path.clone());
                refusals.push(Refusal::SameDirectory { first, second });
                continue;
            }
            for (outer, inner) in [(first, second), (second, first)] {
                let is_within = inner.path.starts_with(&outer.path);
                if is_within && wanted.is_read_by_log_manager(&outer.path) {
                    let (outer, inner) = (outer.path.clone(), inner.path.clone());
                    refusals.push(Refusal::Nested { outer, inner });
                }
            }
        }
    }
}

fn is_same(first: &FoundDir, second: &FoundDir) -> bool {
    // `Path` compares without trailing slashes, which is all that can be said of two that do not exist.
    let same_file = match (&first.state, &second.state) {
        (DirState::Here(first), DirState::Here(second)) => {
            (first.access.device, first.access.inode) == (second.access.device, second.access.inode)
        }
        _ => false,
    };
    same_file || first.path == second.path
}

fn failing(
    judged: &[Judged<'_>],
    wanted: &Wanted,
    found: &Found,
    refusals: &mut Vec<Refusal>,
    notes: &mut Vec<Note>,
) {
    let has_other = judged.iter().any(|judged| matches!(judged.standing, Standing::Formatted(_)));
    for Judged { dir, standing } in judged {
        let Standing::Failing(error) = standing else { continue };
        let (path, error) = (dir.path.clone(), error.clone());
        // Without its metadata log directory Kafka does not start at all.
        if has_other && !wanted.is_metadata_log_dir(&path) {
            notes.push(Note::FailingDisk { path, error });
        } else {
            refusals.push(Refusal::Unreadable { path, uid: found.process.uid, error });
        }
    }
}

fn directory_ids(judged: &[Judged<'_>], refusals: &mut Vec<Refusal>) {
    let mut known: BTreeMap<Uuid, &Path> = BTreeMap::new();
    for judged in judged {
        let Some(id) = judged.formatted().and_then(|meta| meta.directory_id) else { continue };
        match known.get(&id) {
            None => {
                known.insert(id, &judged.dir.path);
            }
            Some(first) => {
                let (first, second) = ((*first).to_owned(), judged.dir.path.clone());
                refusals.push(Refusal::SameDirectoryId { first, second, id });
            }
        }
    }
}

/// The room that the steps need on one file system.
struct Room<'a> {
    path: &'a Path,
    free_bytes: u64,
    free_files: Option<u64>,
    bytes: u64,
    files: u64,
}

impl<'a> Room<'a> {
    /// The largest block of the file systems in common use, so the most that the end of a file can waste.
    const BLOCK: u64 = 4096;

    fn of<'r>(dir: &'a FoundDir, rooms: &'r mut BTreeMap<u64, Self>) -> &'r mut Self {
        let access = match &dir.state {
            DirState::Missing { access, .. } => Some(*access),
            DirState::Here(contents) => Some(contents.access),
            DirState::DanglingLink { .. }
            | DirState::NotADirectory { .. }
            | DirState::Unreadable { .. }
            | DirState::Failing { .. } => None,
        };
        rooms.entry(access.map_or(0, |access| access.device)).or_insert(Self {
            path: &dir.path,
            free_bytes: access.map_or(0, |access| access.free_bytes),
            free_files: access.and_then(|access| access.free_files),
            bytes: 0,
            files: 0,
        })
    }

    fn add(&mut self, steps: &[Step]) {
        for step in steps {
            let (bytes, files) = match step {
                Step::CreateDir { .. } => (Self::BLOCK, 1),
                Step::SyncDir { .. } => (0, 0),
                Step::ReplaceFile { content, .. } => {
                    let blocks = (content.bytes().len() as u64).div_ceil(Self::BLOCK);
                    (blocks.saturating_mul(Self::BLOCK), 1)
                }
            };
            self.bytes = self.bytes.saturating_add(bytes);
            self.files = self.files.saturating_add(files);
        }
    }

    fn refusals(self) -> Vec<Refusal> {
        let path = self.path.to_owned();
        let mut refusals = Vec::new();
        if self.free_bytes < self.bytes {
            let (found, wanted) = (self.free_bytes, self.bytes);
            refusals.push(Refusal::NoRoom { path: path.clone(), unit: "bytes", found, wanted });
        }
        if let Some(found) = self.free_files.filter(|free| *free < self.files) {
            refusals.push(Refusal::NoRoom { path, unit: "files", found, wanted: self.files });
        }
        refusals
    }
}
