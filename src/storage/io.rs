//! Looks at the log directories: every fact that a plan needs, read once, with a bound on every read.

use std::fs;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::fcntl::AT_FDCWD;
use nix::fcntl::AtFlags;
use nix::fcntl::OFlag;
use nix::sys::statvfs::FsFlags;
use nix::sys::statvfs::Statvfs;
use nix::sys::statvfs::statvfs;
use nix::unistd::AccessFlags;
use nix::unistd::faccessat;
use nix::unistd::getegid;
use nix::unistd::geteuid;

use crate::disk::step::Content;
use crate::kafka::checkpoint;
use crate::storage::found::Access;
use crate::storage::found::Blocked;
use crate::storage::found::Contents;
use crate::storage::found::DirState;
use crate::storage::found::FileFault;
use crate::storage::found::Found;
use crate::storage::found::FoundDir;
use crate::storage::found::FoundFile;
use crate::storage::found::MetadataLog;
use crate::storage::found::Names;
use crate::storage::found::Process;
use crate::storage::found::Write;
use crate::storage::names;
use crate::storage::names::SubDirectory;

/// Kafka writes about 120 bytes; a mebibyte leaves room for any comment.
const META_PROPERTIES_LIMIT: u64 = 1 << 20;

/// Twice the largest batch Kafka writes (`KafkaRaftClient.MAX_BATCH_SIZE_BYTES`), and a format writes one.
const CHECKPOINT_LIMIT: u64 = 16 << 20;

/// Looks at each directory. What goes wrong is a fact like any other, so this has no error.
pub fn look<'a>(dirs: impl IntoIterator<Item = &'a Path>) -> Found {
    Found {
        process: Process { uid: geteuid().as_raw(), gid: getegid().as_raw() },
        dirs: dirs.into_iter().map(|path| FoundDir { path: path.to_owned(), state: look_at(path) }).collect(),
    }
}

fn look_at(path: &Path) -> DirState {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => DirState::NotADirectory { file: path.to_owned() },
        Ok(metadata) => match contents(path, &metadata) {
            Ok(contents) => DirState::Here(Box::new(contents)),
            Err(error) => unreadable(&error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => missing(path),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let file = path.ancestors().find(|ancestor| ancestor.is_file()).unwrap_or(path);
            DirState::NotADirectory { file: file.to_owned() }
        }
        Err(error) => unreadable(&error),
    }
}

fn unreadable(error: &io::Error) -> DirState {
    // `EIO` is what a broken disk says; everything else (rights, a stale mount, a loop of links) is for a person.
    if error.raw_os_error() == Some(nix::errno::Errno::EIO as i32) {
        DirState::Failing { error: error.to_string() }
    } else {
        DirState::Unreadable { error: error.to_string() }
    }
}

fn missing(path: &Path) -> DirState {
    let mut to_make = Vec::new();
    for ancestor in path.ancestors() {
        // The ancestors of a relative path end with the empty path, which stands for the working directory.
        let ancestor = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        match fs::metadata(ancestor) {
            Ok(metadata) if !metadata.is_dir() => {
                return DirState::NotADirectory { file: ancestor.to_owned() };
            }
            Ok(metadata) => {
                to_make.reverse();
                return match access(ancestor, &metadata) {
                    Ok(access) => DirState::Missing { to_make, ancestor: ancestor.to_owned(), access },
                    Err(error) => unreadable(&error),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Ok(target) = fs::read_link(ancestor) {
                    return DirState::DanglingLink { target };
                }
                to_make.push(ancestor.to_owned());
            }
            Err(error) => return unreadable(&error),
        }
    }
    DirState::Unreadable { error: "no directory above it exists".to_owned() }
}

fn contents(path: &Path, metadata: &fs::Metadata) -> io::Result<Contents> {
    let mut partitions = Names::default();
    let mut foreign = Names::default();
    let mut has_lost_and_found = false;
    // One pass, however many partitions there are; only a few names are kept.
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match names::classify(&name) {
            SubDirectory::Partition if is_dir(&entry) => partitions.add(&name),
            SubDirectory::LostAndFound if is_dir(&entry) => has_lost_and_found = true,
            SubDirectory::Foreign if is_dir(&entry) => foreign.add(&name),
            // The metadata partition has its own look; plain files are never an obstacle to Kafka.
            _ => {}
        }
    }
    let metadata_partition = path.join(checkpoint::METADATA_PARTITION);
    let temporary = |name: &str| format!("{name}.tmp");
    let blocked = [
        path.join(temporary(names::META_PROPERTIES)),
        path.join(temporary(checkpoint::BOOTSTRAP_CHECKPOINT)),
        metadata_partition.join(names::FIRST_SNAPSHOT_TEMPORARY),
    ];
    Ok(Contents {
        access: access(path, metadata)?,
        is_perhaps_new: is_perhaps_new(path, metadata),
        meta_properties: read_file(&path.join(names::META_PROPERTIES), META_PROPERTIES_LIMIT),
        bootstrap_checkpoint: read_file(&path.join(checkpoint::BOOTSTRAP_CHECKPOINT), CHECKPOINT_LIMIT),
        metadata_log: metadata_log(&metadata_partition),
        partitions,
        has_lost_and_found,
        foreign,
        blocked: blocked.into_iter().filter_map(blocked_temporary).collect(),
    })
}

/// As `File.isDirectory` has it: a link to a directory is one.
fn is_dir(entry: &fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}

fn metadata_log(path: &Path) -> MetadataLog {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(metadata) if metadata.is_symlink() => return MetadataLog::Fault(link(path)),
        Ok(_) => return MetadataLog::Fault(FileFault::NotADirectory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return MetadataLog::Absent,
        Err(error) => return MetadataLog::Fault(FileFault::Unreadable(error.to_string())),
    };
    let mut used = Names::default();
    let mut has_records = false;
    let mut has_quorum_state = false;
    let entries = fs::read_dir(path).and_then(|entries| {
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if names::is_of_format(&name) {
                continue;
            }
            used.add(&name);
            has_quorum_state |= name == names::QUORUM_STATE;
            let is_segment = name.ends_with(".log") && entry.metadata().is_ok_and(|file| file.len() > 0);
            has_records |= is_segment || name.ends_with(".checkpoint");
        }
        Ok(())
    });
    match entries.and_then(|()| access(path, &metadata)) {
        Ok(access) => MetadataLog::Here {
            access,
            first_snapshot: read_file(&path.join(checkpoint::FIRST_SNAPSHOT), CHECKPOINT_LIMIT),
            used,
            has_records,
            has_quorum_state,
        },
        Err(error) => MetadataLog::Fault(FileFault::Unreadable(error.to_string())),
    }
}

fn link(path: &Path) -> FileFault {
    FileFault::Link { target: fs::read_link(path).unwrap_or_else(|_| PathBuf::from("?")) }
}

fn read_file(path: &Path, limit: u64) -> FoundFile {
    // Neither follow a link nor wait for the other end of a pipe.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return FoundFile::Absent,
        Err(_) if path.is_symlink() => return FoundFile::Fault(link(path)),
        Err(error) => return FoundFile::Fault(FileFault::Unreadable(error.to_string())),
    };
    let mut bytes = Vec::new();
    match file.metadata() {
        Ok(metadata) if !metadata.is_file() => FoundFile::Fault(FileFault::NotAFile),
        Ok(metadata) if metadata.len() > limit => {
            FoundFile::Fault(FileFault::TooLarge { size: metadata.len(), limit })
        }
        // One byte more than the limit would say that the file grew meanwhile.
        Ok(_) => match file.take(limit + 1).read_to_end(&mut bytes) {
            Ok(size) if size as u64 > limit => {
                FoundFile::Fault(FileFault::TooLarge { size: size as u64, limit })
            }
            Ok(_) => FoundFile::Read(Content::new(bytes)),
            Err(error) => FoundFile::Fault(FileFault::Unreadable(error.to_string())),
        },
        Err(error) => FoundFile::Fault(FileFault::Unreadable(error.to_string())),
    }
}

fn blocked_temporary(path: PathBuf) -> Option<Blocked> {
    let what = match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => "is a symbolic link".to_owned(),
        Ok(metadata) if !metadata.is_file() => "is no regular file".to_owned(),
        Ok(metadata) => {
            // A file of this process can be made writable again, whatever its mode.
            let is_ours = geteuid().is_root() || metadata.uid() == geteuid().as_raw();
            if is_ours || may(&path, AccessFlags::W_OK).is_ok() {
                return None;
            }
            format!("belongs to uid {} and this process, uid {}, may not write it", metadata.uid(), geteuid())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        // The directory is missing, or is no directory; that is told where it is looked at.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return None,
        Err(error) => format!("cannot be looked at: {error}"),
    };
    Some(Blocked { path, what })
}

fn access(path: &Path, metadata: &fs::Metadata) -> io::Result<Access> {
    let space = statvfs(path)?;
    Ok(Access {
        device: metadata.dev(),
        inode: metadata.ino(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: metadata.mode() & 0o7777,
        write: write(path)?,
        free_bytes: free_bytes(&space),
        free_files: free_files(&space),
    })
}

/// What an ordinary user can still write.
#[allow(clippy::unnecessary_cast, reason = "the counters have other widths on other systems")]
fn free_bytes(space: &Statvfs) -> u64 {
    (space.blocks_available() as u64).saturating_mul(space.fragment_size() as u64)
}

/// Some file systems make files as long as there are bytes, and then count none at all.
#[allow(clippy::unnecessary_cast, reason = "the counters have other widths on other systems")]
fn free_files(space: &Statvfs) -> Option<u64> {
    (space.files() > 0).then(|| space.files_available() as u64)
}

fn write(path: &Path) -> io::Result<Write> {
    // Root may write anywhere but on a read-only file system, so that comes first.
    if statvfs(path)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(Write::ReadOnly);
    }
    // Reading is needed as well: a directory that cannot be opened cannot be flushed.
    match may(path, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Ok(Write::Allowed),
        Err(nix::errno::Errno::EROFS) => Ok(Write::ReadOnly),
        Err(nix::errno::Errno::EACCES | nix::errno::Errno::EPERM) => Ok(Write::Denied),
        Err(error) => Err(error.into()),
    }
}

/// Asks for the effective user, who will do the writing; `access(2)` would ask for the real one.
fn may(path: &Path, flags: AccessFlags) -> nix::Result<()> {
    faccessat(AT_FDCWD, path, flags, AtFlags::AT_EACCESS)
}

/// Somebody who could make directories beside this one may have made this one and been killed before flushing its
/// name. The root of a volume, or a directory in a place where we may not write, was made by others, durably.
fn is_perhaps_new(path: &Path, metadata: &fs::Metadata) -> bool {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => return false,
    };
    let same_device = fs::metadata(parent).is_ok_and(|parent| parent.dev() == metadata.dev());
    same_device && write(parent).is_ok_and(|write| write == Write::Allowed)
}
