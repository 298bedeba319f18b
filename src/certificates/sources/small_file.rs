//! Reads one file that may hold a key: whole, bounded, wiped afterwards.

use std::io;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::certificates::sources::Remedy;
use crate::disk;

/// A Secret or ConfigMap holds at most 1 MiB; a larger file is the wrong file.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// Why a file gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not there; a Secret may still be on its way.
    #[error("is missing")]
    Missing,
    /// There and empty, as cert-manager leaves `ca.crt` where an issuer names no CA.
    #[error("is empty")]
    Empty,
    /// A folder, a socket, a pipe.
    #[error("is not a regular file")]
    NotAFile,
    /// More than a Secret can hold.
    #[error("has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// The system refuses.
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

impl FileError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "CertificateFileMissing",
            Self::Empty => "CertificateFileEmpty",
            Self::NotAFile => "CertificateFileNotRegular",
            Self::TooLarge => "CertificateFileTooLarge",
            Self::Io(_) => "CertificateFileUnreadable",
        }
    }

    /// Who can make it pass.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Missing | Self::Empty => Remedy::TryAgain,
            Self::NotAFile | Self::TooLarge => Remedy::ChangeSomething,
            Self::Io(error) => Remedy::of(disk::io::may_pass(error)),
        }
    }
}

/// All bytes of the file, at least one.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = disk::io::open_regular(path).map_err(refused)?.ok_or(FileError::NotAFile)?;
    let length = file.metadata().map_err(refused)?.len();
    // Room at once: a buffer that grows would leave copies of a key behind.
    let room = usize::try_from(length.min(MAX_BYTES)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let count = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    match count {
        0 => Err(FileError::Empty),
        count if count as u64 > MAX_BYTES => Err(FileError::TooLarge),
        _ => Ok(bytes),
    }
}

fn refused(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing,
        _ => FileError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_kind_of_bad_file_has_its_own_sentence() {
        let root = tempfile::tempdir().unwrap();
        let check = |name: &str, reason, message: &str| {
            let error = read(&root.path().join(name)).unwrap_err();
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, message), "{name}");
        };
        let file = |name: &str, length: u64| {
            fs::File::create(root.path().join(name)).unwrap().set_len(length).unwrap();
        };
        file("empty", 0);
        file("large", MAX_BYTES + 1);
        file("full", MAX_BYTES);
        nix::unistd::mkfifo(&root.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        check("absent", "CertificateFileMissing", "is missing");
        check("empty", "CertificateFileEmpty", "is empty");
        check("large", "CertificateFileTooLarge", "has more than 1048576 bytes");
        check("pipe", "CertificateFileNotRegular", "is not a regular file");
        check(".", "CertificateFileNotRegular", "is not a regular file");
        assert_eq!(read(&root.path().join("loop")).unwrap_err().remedy(), Remedy::ChangeSomething);
        check(
            "loop",
            "CertificateFileUnreadable",
            "cannot be read: Too many levels of symbolic links (os error 40)",
        );
        assert_eq!(read(&root.path().join("full")).unwrap().len() as u64, MAX_BYTES);
    }
}
