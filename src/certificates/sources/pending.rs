//! A request that nobody has decided yet, and its key, beside the stores: the next fetch goes on waiting for the same
//! answer, also where it is another run of `init`, or the sidecar. The run folder is memory and ends with the pod.

use std::path::Path;

use zeroize::Zeroizing;

use crate::certificates::sources::small_file;
use crate::disk;
use crate::disk::io::DiskError;
use crate::disk::step::Step;
use crate::pki::private_key::PrivateKey;

/// What was asked for, and the key that the answer will be for.
pub(crate) struct Pending {
    /// The object that carries the request.
    pub name: String,
    /// All that was wanted, in one line; the answer to another question is of no use.
    pub wanted: String,
    /// Never shown to anybody.
    pub key: PrivateKey,
}

/// The file has a key, and nobody but the agent reads it.
const FILE_MODE: u32 = 0o600;

/// The stores' own folder and those above it, with the modes that `init` gives them.
const STORES_MODE: u32 = 0o750;
const FOLDER_MODE: u32 = 0o755;

/// What was kept. A file that cannot be read counts as none: then the question is asked anew.
pub(crate) fn read(folder: &Path, file: &str) -> Option<Pending> {
    let bytes = small_file::read(&folder.join(file)).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let (name, rest) = text.split_once('\n')?;
    let (wanted, pem) = rest.split_once('\n')?;
    let key = PrivateKey::from_pem(pem.as_bytes()).ok()?;
    Some(Pending { name: name.to_owned(), wanted: wanted.to_owned(), key })
}

/// Keeps it in the place of what was kept before, and makes the folders below the run folder.
///
/// Without a run folder, which is outside of pods, nothing is kept: `init` makes it after its plan, and plans again where
/// it finds something in it.
pub(crate) fn write(folder: &Path, file: &str, pending: &Pending) -> Result<(), DiskError> {
    if !folder.ancestors().nth(2).is_some_and(Path::is_dir) {
        return Ok(());
    }
    let pem = pending.key.to_pem();
    let head = format!("{}\n{}\n", pending.name, pending.wanted);
    // Sized at once: a buffer that grows would leave copies of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(head.len() + pem.len()));
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(pem.as_bytes());
    let mode = |path: &Path| if path == folder { STORES_MODE } else { FOLDER_MODE };
    let missing = disk::io::missing(folder).into_iter();
    let mut steps: Vec<Step> = missing.map(|path| Step::CreateDir { mode: mode(&path), path }).collect();
    steps.push(Step::replace(folder.join(file), std::mem::take(&mut *bytes), FILE_MODE));
    disk::io::apply(&steps)
}

/// Empties the file: nothing is deleted, and a key that is done with does not stay behind. Where that fails, the next fetch
/// finds the request decided, and forgets it then.
pub(crate) fn forget(folder: &Path, file: &str) {
    let path = folder.join(file);
    if path.exists() {
        let _ = disk::io::apply([&Step::replace(path, Vec::new(), FILE_MODE)]);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::pki::key_kind::KeyAlgorithm;

    #[test]
    fn what_is_kept_reads_back_until_it_is_forgotten_and_nobody_else_reads_it() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("tls/node");
        let key = crate::pki::io::generate(KeyAlgorithm::default()).unwrap();
        let pending = Pending { name: "kafka-0-node-1".to_owned(), wanted: "{\"a\":1}".to_owned(), key };
        forget(&folder, "pending");
        assert!(!folder.exists() && read(&folder, "pending").is_none());
        for _ in 0..2 {
            write(&folder, "pending", &pending).unwrap();
        }
        let found = read(&folder, "pending").unwrap();
        assert_eq!((&found.name, &found.wanted), (&pending.name, &pending.wanted));
        assert_eq!(found.key.pkcs8_der(), pending.key.pkcs8_der());
        let mode = |path: &str| fs::metadata(run.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("tls"), mode("tls/node"), mode("tls/node/pending")), (0o755, 0o750, 0o600));
        forget(&folder, "pending");
        assert_eq!(fs::read(folder.join("pending")).unwrap(), b"");
        assert!(read(&folder, "pending").is_none());
    }

    #[test]
    fn without_a_run_folder_nothing_is_kept_and_an_odd_file_is_none() {
        let root = tempfile::tempdir().unwrap();
        let key = crate::pki::io::generate(KeyAlgorithm::default()).unwrap();
        let pending = Pending { name: "a".to_owned(), wanted: "b".to_owned(), key };
        write(&root.path().join("run/tls/node"), "pending", &pending).unwrap();
        assert!(!root.path().join("run").exists());
        for odd in ["a", "a\n", "a\nb\n", "a\nb\n-----BEGIN PRIVATE KEY-----\n"] {
            fs::write(root.path().join("pending"), odd).unwrap();
            assert!(read(root.path(), "pending").is_none(), "{odd:?}");
        }
    }
}
