//! One change to the disk, said before it is done.
//!
//! `init` gathers all its steps first, so that a refusal has written nothing, and so that `explain` can show the
//! very list that `init` would carry out. There is no step that deletes: a file that is in the way is named in a
//! refusal, and a person decides.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// A change that can be repeated: carried out twice, or once after a crash half-way, it leaves the same disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make one directory; its parent exists, by an earlier step or from before.
    CreateDir {
        /// The directory.
        path: PathBuf,
        /// Permission bits, for example `0o755`; not subject to the umask. A set-group-ID bit that the directory
        /// inherits stays.
        mode: u32,
    },
    /// Make sure that the names in a directory are on the disk, where somebody who was killed may have made one.
    SyncDir {
        /// The directory.
        path: PathBuf,
    },
    /// Put a whole file in place: a temporary file beside it, fsync, rename, fsync of the directory.
    ReplaceFile {
        /// The file.
        path: PathBuf,
        /// The temporary file's name, in the same directory. It is always the same for the same file, so that the
        /// run after a crash writes over what the crash left.
        temporary_name: String,
        /// All the bytes.
        content: Content,
        /// Permission bits, set before the first byte is written.
        mode: u32,
    },
}

/// The bytes of a file that may hold a key: prints its size only, and is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Zeroizing<Vec<u8>>);

impl Step {
    /// A file replaced by way of `<name>.tmp`.
    pub fn replace(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        let path = path.into();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self::ReplaceFile {
            path,
            temporary_name: format!("{name}.tmp"),
            content: Content::new(content),
            mode,
        }
    }
}

impl Content {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the one who writes them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDir { path, mode } => {
                write!(f, "create directory {} (mode {mode:04o})", path.display())
            }
            Self::SyncDir { path } => write!(f, "sync directory {}", path.display()),
            Self::ReplaceFile { path, content, mode, .. } => {
                write!(f, "write {} ({} bytes, mode {mode:04o})", path.display(), content.0.len())
            }
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_never_prints_what_it_writes() {
        let step = Step::replace("/run/kraftlet/tls/node/keystore.pem", "-----BEGIN PRIVATE KEY-----", 0o440);
        let shown = format!("{step} {step:?}");
        assert!(!shown.contains("PRIVATE"), "{shown}");
        assert!(shown.contains("write /run/kraftlet/tls/node/keystore.pem (27 bytes, mode 0440)"), "{shown}");
    }
}
