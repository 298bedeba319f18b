//! What `look` found: facts about every log directory, without an opinion.

use std::path::PathBuf;

use crate::disk::step::Content;

/// All directories, in the order in which they were asked for.
#[derive(Debug, Clone)]
pub struct Found {
    /// Who this process is.
    pub process: Process,
    /// One entry per directory.
    pub dirs: Vec<FoundDir>,
}

/// The effective user and group of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// One directory.
#[derive(Debug, Clone)]
pub struct FoundDir {
    /// As it was asked for.
    pub path: PathBuf,
    /// What is there.
    pub state: DirState,
}

/// What is where a log directory should be.
#[derive(Debug, Clone)]
pub enum DirState {
    /// Nothing.
    Missing {
        /// The directories to make, the outermost first, ending with the log directory itself.
        to_make: Vec<PathBuf>,
        /// The nearest that exists.
        ancestor: PathBuf,
        /// And who may write there.
        access: Access,
    },
    /// A symbolic link to nothing.
    DanglingLink {
        /// Where it points.
        target: PathBuf,
    },
    /// A file, here or on the way here.
    NotADirectory {
        /// Which one.
        file: PathBuf,
    },
    /// It cannot be read; the text is the operating system's.
    Unreadable {
        /// For example `Permission denied (os error 13)`.
        error: String,
    },
    /// The disk beneath answers with an I/O error; the text is the operating system's.
    Failing {
        /// For example `Input/output error (os error 5)`.
        error: String,
    },
    /// A directory.
    Here(Box<Contents>),
}

/// Whose a directory is, and what can be done in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The device number of its file system.
    pub device: u64,
    /// With `device`, the directory's identity, whatever path led to it.
    pub inode: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whether this process can make files in it.
    pub write: Write,
    /// Bytes that this process can still write.
    pub free_bytes: u64,
    /// Files that can still be made, or `None` where the file system has no fixed number of them.
    pub free_files: Option<u64>,
}

/// Whether this process can make files in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// It can.
    Allowed,
    /// Owner and mode do not let it.
    Denied,
    /// The file system is mounted read-only.
    ReadOnly,
}

/// What is in a directory.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Of the directory itself.
    pub access: Access,
    /// Whether the directory's own name may not be on the disk yet: somebody who was killed may just have made it
    /// in a parent in which this process can make directories.
    pub is_perhaps_new: bool,
    /// `meta.properties`
    pub meta_properties: FoundFile,
    /// `bootstrap.checkpoint`
    pub bootstrap_checkpoint: FoundFile,
    /// `__cluster_metadata-0`
    pub metadata_log: MetadataLog,
    /// Sub-directories that are partitions of topics.
    pub partitions: Names,
    /// Whether `lost+found` is there: the root of a file system.
    pub has_lost_and_found: bool,
    /// Other sub-directories that Kafka's `LogManager` stops at.
    pub foreign: Names,
    /// Temporary files in the place where ours go, that cannot be written over.
    pub blocked: Vec<Blocked>,
}

/// A file that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundFile {
    /// Nothing of that name.
    Absent,
    /// All its bytes. They may hold SCRAM credentials, so they do not print.
    Read(Content),
    /// It is there, and was not read.
    Fault(FileFault),
}

/// Why a file that is there was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// Kafka replaces its files by rename, which would replace the link and not the file.
    #[error("is a symbolic link to {}; want the file itself", target.display())]
    Link {
        /// Where it points.
        target: PathBuf,
    },
    /// A directory, a pipe, a device.
    #[error("is no regular file")]
    NotAFile,
    /// A file where a directory should be.
    #[error("is no directory")]
    NotADirectory,
    /// Much larger than Kafka makes it.
    #[error("has {size} bytes; want at most {limit}")]
    TooLarge {
        /// In bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// The text is the operating system's.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// `__cluster_metadata-0` in a log directory.
#[derive(Debug, Clone)]
pub enum MetadataLog {
    /// Nothing of that name.
    Absent,
    /// Something that is no directory, or cannot be read.
    Fault(FileFault),
    /// A directory.
    Here {
        /// Whose it is.
        access: Access,
        /// The snapshot that a format writes.
        first_snapshot: FoundFile,
        /// Everything that no format writes: Kafka has run on this directory.
        used: Names,
        /// Whether there is a log segment that is not empty, or a later snapshot.
        has_records: bool,
        /// Whether the memory of epochs and votes is there.
        has_quorum_state: bool,
    },
}

/// Some names out of many: enough for a sentence, however large the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The first few, in order.
    pub first: Vec<String>,
    /// How many there are.
    pub count: usize,
}

/// A temporary file that cannot be written over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The file.
    pub path: PathBuf,
    /// What it is instead of a file of this process.
    pub what: String,
}

impl FileFault {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Link { .. } => "StorageFileIsLink",
            Self::NotAFile => "StorageFileNotAFile",
            Self::NotADirectory => "StorageFileNotADirectory",
            Self::TooLarge { .. } => "StorageFileTooLarge",
            Self::Unreadable(_) => "StorageFileUnreadable",
        }
    }
}

impl Contents {
    /// Whether Kafka has run on the metadata log here.
    pub fn has_used_metadata_log(&self) -> bool {
        matches!(&self.metadata_log, MetadataLog::Here { used, .. } if !used.is_empty())
    }

    /// The snapshot that a format writes.
    pub fn first_snapshot(&self) -> &FoundFile {
        match &self.metadata_log {
            MetadataLog::Here { first_snapshot, .. } => first_snapshot,
            MetadataLog::Absent | MetadataLog::Fault(_) => &FoundFile::Absent,
        }
    }
}

impl Names {
    /// How many names a sentence can carry.
    const SHOWN: usize = 5;

    /// Counts a name, and keeps it if it is among the first.
    pub fn add(&mut self, name: &str) {
        self.count += 1;
        let place = self.first.partition_point(|known| known.as_str() < name);
        if place < Self::SHOWN {
            // A name is at most 255 bytes on Linux; the bound holds elsewhere as well.
            self.first.insert(place, name.chars().take(255).collect());
            self.first.truncate(Self::SHOWN);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// For example `a-0, b-1 and 7 more`.
impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.count.saturating_sub(self.first.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_show_the_first_few_in_order_and_count_the_rest() {
        let mut names = Names::default();
        for number in (0..8).rev() {
            names.add(&format!("t-{number}"));
        }
        assert_eq!(names.to_string(), "t-0, t-1, t-2, t-3, t-4 and 3 more");
        let mut one = Names::default();
        one.add("lost+found");
        assert_eq!(one.to_string(), "lost+found");
    }
}
