//! Reads the settings file and the files it names.

use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::disk;

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct ReadError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A ConfigMap or a Secret holds at most 1 MiB, so no file that is mounted is larger; and the engine's jar is smaller.
const LARGEST_BYTES: u64 = 1024 * 1024;

/// What was read; it may hold a password, so it is wiped on drop.
pub type Bytes = Zeroizing<Vec<u8>>;

impl ReadError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "FileUnreadable"
    }
}

/// The whole file, or one byte more than the largest that is mounted: enough to be told that it is too large.
pub fn read(path: &Path) -> Result<Bytes, ReadError> {
    let read = || {
        let mut bytes = Zeroizing::new(Vec::new());
        let not_a_file = || io::Error::new(io::ErrorKind::InvalidInput, "not a file");
        let file = disk::io::open_regular(path)?.ok_or_else(not_a_file)?;
        file.take(LARGEST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| ReadError { path: path.to_owned(), source })
}

/// The files of a folder by name, hidden ones left out (a ConfigMap mount keeps `..data` there); none when there is
/// no such folder.
pub fn read_folder(folder: &Path) -> Result<Vec<(PathBuf, Bytes)>, ReadError> {
    let at = |source| ReadError { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(at)?.path();
        if !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(|path| read(&path).map(|bytes| (path, bytes))).collect()
}
