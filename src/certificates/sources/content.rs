//! Whether files have changed: by what is in them, not by their dates.
//!
//! An event of the kernel is only a hint: events get lost, a Secret is mounted by turning links, and a file may be
//! written again with the same bytes.

use std::path::PathBuf;

use aws_lc_rs::digest;

use crate::certificates::sources::small_file;
use crate::certificates::sources::small_file::FileError;

/// What is in some files at one moment, or that they cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Reads the files, each bounded as a source reads it. A file that cannot be read counts by the reason.
    pub fn of(files: &[PathBuf]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for file in files {
            match small_file::read(file) {
                Ok(bytes) => {
                    context.update(&bytes.len().to_be_bytes());
                    context.update(&bytes);
                }
                Err(FileError::Missing) => context.update(b"missing"),
                Err(error) => context.update(error.reason().as_bytes()),
            }
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_hash_follows_the_content_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let files = [root.path().join("tls.crt"), root.path().join("tls.key")];
        let hash = || ContentHash::of(&files);
        let nothing = hash();
        fs::write(&files[0], "a").unwrap();
        let first = hash();
        assert_ne!(first, nothing);
        fs::write(&files[0], "a").unwrap();
        assert_eq!(hash(), first);
        fs::write(&files[1], "a").unwrap();
        fs::remove_file(&files[0]).unwrap();
        assert_ne!(hash(), first);
        fs::write(&files[1], "").unwrap();
        assert_ne!(hash(), nothing);
    }
}
