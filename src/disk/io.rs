//! Carries steps out, durably and in order.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::fcntl::OFlag;

use crate::disk::step::Step;

/// A step that the operating system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct DiskError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// `S_ISGID` of inode(7): what is made in such a directory has its group.
const SET_GROUP_ID: u32 = 0o2000;

impl DiskError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "DiskFull",
            io::ErrorKind::ReadOnlyFilesystem => "DiskReadOnly",
            io::ErrorKind::PermissionDenied => "DiskPermissionDenied",
            _ => "DiskFailed",
        }
    }

    /// Whether the same step may succeed later without anybody's help.
    pub fn may_pass(&self) -> bool {
        may_pass(&self.source)
    }
}

/// Whether what the system refused may succeed later without anybody's help: room comes back, a disk or a network
/// recovers, a busy machine is less busy. An owner, a mode, a kind of file or a mount does not change by itself.
pub fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(
            Errno::ENOSPC
                | Errno::EDQUOT
                | Errno::EIO
                | Errno::EINTR
                | Errno::EAGAIN
                | Errno::EBUSY
                | Errno::ETIMEDOUT
                | Errno::ENOMEM
                | Errno::ENOLCK
                | Errno::EMFILE
                | Errno::ENFILE
        )
    )
}

/// Does the steps in order and stops at the first that fails; what was done before stays, and a later call with the
/// same steps completes it.
///
/// Each step is on the disk when the next one begins, so "the last file exists" proves that all the others do.
pub fn apply<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Result<(), DiskError> {
    for step in steps {
        match step {
            Step::CreateDir { path, mode } => create_dir(path, *mode)?,
            Step::SyncDir { path } => sync(path)?,
            Step::ReplaceFile { path, temporary_name, content, mode } => {
                replace_file(path, &path.with_file_name(temporary_name), content.bytes(), *mode)?;
            }
        }
    }
    Ok(())
}

/// The directories down to `path` that do not exist yet, outermost first: what [`Step::CreateDir`] has to make.
pub fn missing(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .map(PathBuf::from)
        .collect();
    missing.reverse();
    missing
}

/// Opens a file to read it; `None` where there is something else: a folder, a pipe, a socket, a device.
///
/// A pipe does not keep the caller waiting for somebody who writes to it.
pub fn open_regular(path: &Path) -> io::Result<Option<fs::File>> {
    match fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
        Ok(file) => Ok(if file.metadata()?.is_file() { Some(file) } else { None }),
        // What the kernel says of a socket.
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether nothing is in `dir`; one that cannot be read is not known to be empty.
pub fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// Keeps other runs of the same kind out of `dir` until the value is dropped; the kernel lets go when the process
/// ends, however it ends. `None` when somebody else is in.
pub fn lock(dir: &Path) -> Result<Option<Flock<fs::File>>, DiskError> {
    let file = fs::File::open(dir).map_err(at("open", dir))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(at("lock", dir)(error.into())),
    }
}

fn create_dir(path: &Path, mode: u32) -> Result<(), DiskError> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made.map_err(at("create directory", path))?,
    }
    // The umask has been taken off at creation; a directory left by a crash may still have that mode. A volume's
    // own root, which somebody else may own, is never made by us and so never gets here.
    // The set-group-ID bit that it inherits is how a volume with an `fsGroup` gives all below it to the pod's group,
    // without which a Kafka of another user cannot read its key.
    let made = fs::metadata(path).map_err(at("look at", path))?;
    let mode = mode | (made.permissions().mode() & SET_GROUP_ID);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at("set the mode of", path))?;
    sync_parent(path)
}

fn replace_file(path: &Path, temporary: &Path, bytes: &[u8], mode: u32) -> Result<(), DiskError> {
    // A read-only temporary file of a run that was killed cannot be opened for writing by anyone but root: it was
    // made in the place of the same file by the same rule, so writing a fresh one over it loses nothing.
    // Where it is a link, its target is somebody else's file, and that is not emptied.
    let open = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode | 0o200);
        options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(temporary)
    };
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && temporary.is_file() => {
            fs::set_permissions(temporary, fs::Permissions::from_mode(mode | 0o200))
                .map_err(at("open", temporary))?;
            open()
        }
        opened => opened,
    }
    .map_err(at("create", temporary))?;
    // Before the first byte, because a file that a killed run left keeps its own mode when it is opened.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(at("set the mode of", temporary))?;
    file.write_all(bytes).map_err(at("write", temporary))?;
    file.sync_all().map_err(at("sync", temporary))?;
    drop(file);
    fs::rename(temporary, path).map_err(at("write", path))?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> Result<(), DiskError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    sync(parent)
}

fn sync(directory: &Path) -> Result<(), DiskError> {
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(at("sync", directory))
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |source| DiskError { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_a_file_land_with_their_modes_and_twice_is_once() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("tls");
        let steps = [
            Step::CreateDir { path: dir.clone(), mode: 0o750 },
            Step::replace(dir.join("keystore.pem"), "key", 0o440),
        ];
        for _ in 0..2 {
            apply(&steps).unwrap();
            assert_eq!(fs::read(dir.join("keystore.pem")).unwrap(), b"key");
            assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o750);
            assert_eq!(fs::metadata(dir.join("keystore.pem")).unwrap().permissions().mode() & 0o7777, 0o440);
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_directory_keeps_the_set_group_id_bit_of_the_volume() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o2777)).unwrap();
        let [outer, inner] = ["tls", "tls/node"].map(|name| root.path().join(name));
        let steps = [(&outer, 0o755), (&inner, 0o750)];
        let steps = steps.map(|(path, mode)| Step::CreateDir { path: path.clone(), mode });
        for _ in 0..2 {
            apply(&steps).unwrap();
            let modes = [&outer, &inner].map(|dir| fs::metadata(dir).unwrap().permissions().mode() & 0o7777);
            assert_eq!(modes, [0o2755, 0o2750]);
        }
    }

    #[test]
    fn room_and_health_may_come_back_and_rights_do_not() {
        let check = |errno: Errno, want| {
            let error = at("write", Path::new("/a"))(errno.into());
            assert_eq!(error.may_pass(), want, "{errno}");
        };
        for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EIO, Errno::EINTR, Errno::EMFILE] {
            check(errno, true);
        }
        let for_a_person = [
            Errno::EACCES,
            Errno::EPERM,
            Errno::EROFS,
            Errno::ENOTDIR,
            Errno::EISDIR,
            Errno::ELOOP,
            Errno::ENOENT,
        ];
        for errno in for_a_person {
            check(errno, false);
        }
    }

    #[test]
    fn what_a_crash_left_is_written_over() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join("a.tmp");
        apply([&Step::replace(&left, "half of someth", 0o400)]).unwrap();
        apply([&Step::replace(root.path().join("a"), "whole", 0o400)]).unwrap();
        assert!(!left.exists());
        assert_eq!(fs::read(root.path().join("a")).unwrap(), b"whole");
    }

    #[test]
    fn one_at_a_time_is_in_a_locked_directory() {
        let root = tempfile::tempdir().unwrap();
        let first = lock(root.path()).unwrap();
        assert!(first.is_some());
        assert!(lock(root.path()).unwrap().is_none());
        drop(first);
        assert!(lock(root.path()).unwrap().is_some());
    }

    #[test]
    fn a_temporary_file_that_is_a_link_is_an_error_and_its_target_is_not_touched() {
        let root = tempfile::tempdir().unwrap();
        apply([&Step::replace(root.path().join("precious"), "content", 0o644)]).unwrap();
        std::os::unix::fs::symlink("precious", root.path().join("a.tmp")).unwrap();
        let error = apply([&Step::replace(root.path().join("a"), "whole", 0o400)]).unwrap_err();
        assert!(error.to_string().ends_with("/a.tmp"), "{error}");
        assert_eq!(fs::read(root.path().join("precious")).unwrap(), b"content");
        assert!(!root.path().join("a").exists());
    }

    #[test]
    fn a_directory_is_flushed_by_name() {
        let root = tempfile::tempdir().unwrap();
        apply([&Step::SyncDir { path: root.path().to_owned() }]).unwrap();
        let error = apply([&Step::SyncDir { path: root.path().join("none") }]).unwrap_err();
        assert!(error.to_string().starts_with("cannot sync "), "{error}");
    }

    #[test]
    fn an_error_names_the_file_and_its_source_the_cause() {
        let error = apply([&Step::replace("/nowhere/at/all", "", 0o644)]).unwrap_err();
        assert_eq!(error.to_string(), "cannot create /nowhere/at/all.tmp");
        assert_eq!(error.reason(), "DiskFailed");
    }
}
