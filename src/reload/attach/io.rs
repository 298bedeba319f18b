//! Reads a foreign node's properties and every file that they name, all of one moment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::certificates::sources::small_file;
use crate::kafka::version::KafkaVersion;
use crate::reload::attach::attached::Attached;
use crate::reload::attach::finding::AttachError;

/// The kubelet turns a mounted Secret once a minute at most; files that change under five readings are being written
/// by somebody who does not stop.
const READS: usize = 5;

/// Looks at the node whose `server.properties` is at `path`; writes nothing. A Secret that turns while it is read, or a
/// keystore that is replaced, is read again, so that a key never meets the certificate of another day.
pub fn look(path: &Path, release: Option<KafkaVersion>) -> Result<Attached, AttachError> {
    for _ in 0..READS {
        let mut stamps = Vec::new();
        let mut read = |file: &Path| {
            stamps.push((file.to_owned(), Stamp::of(file)));
            small_file::read(file)
        };
        let bytes = read(path).map_err(|problem| AttachError::File { path: path.to_owned(), problem })?;
        let attached = Attached::new(path, &bytes, release, &mut read);
        if unchanged(&stamps) {
            return attached;
        }
    }
    Err(AttachError::Changing { path: path.to_owned(), times: READS })
}

/// Which file it was: device, inode, size and time of change.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(u64, u64, u64, i64, i64);

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self(found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    }
}

fn unchanged(stamps: &[(PathBuf, Option<Stamp>)]) -> bool {
    stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::stores;
    use crate::pki::testing;

    const HAND_MADE: &str = include_str!("../../../tests/fixtures/attach/hand-made.properties");

    fn reasons(attached: &Attached) -> Vec<String> {
        let all = attached.certificates.iter().flat_map(|one| &one.findings);
        all.map(|finding| format!("{}: {finding}", finding.reason())).collect()
    }

    #[test]
    fn the_files_are_read_and_what_is_wrong_with_one_is_said() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().display().to_string();
        let path = |name: &str| root.path().join(name);
        fs::write(path("server.properties"), HAND_MADE.replace("/etc/kafka/tls", &folder)).unwrap();
        let ca = testing::root("ca");
        let leaf = ca.sign(testing::leaf_params("node", &["a"]));
        let keystore = stores::keystore_pem(&leaf.private_key(), [&leaf.certificate]);
        fs::write(path("keystore.pem"), &keystore).unwrap();
        fs::write(path("ca.crt"), stores::truststore_pem([&ca.certificate])).unwrap();
        let found = || look(&path("server.properties"), None).unwrap();
        assert_eq!(reasons(&found()), Vec::<String>::new());
        let bundle = found().certificates[0].bundle().unwrap();
        assert_eq!((bundle.leaf(), bundle.anchors()), (&leaf.certificate, [ca.certificate].as_slice()));

        let check = |reason: &str, sentence: &str| {
            let found = found();
            assert_eq!(reasons(&found), [format!("{reason}: {folder}/keystore.pem {sentence}")]);
            assert!(found.certificates[0].bundle().is_none() && found.certificates[0].anchors.len() == 1);
        };
        fs::write(path("keystore.pem"), "").unwrap();
        check("CertificateFileEmpty", "is empty");
        fs::File::create(path("keystore.pem")).unwrap().set_len(20 * 1024 * 1024).unwrap();
        check("CertificateFileTooLarge", "has more than 1048576 bytes");
        fs::remove_file(path("keystore.pem")).unwrap();
        check("CertificateFileMissing", "is missing");
        fs::create_dir(path("keystore.pem")).unwrap();
        check("CertificateFileNotRegular", "is not a regular file");
    }

    #[test]
    fn properties_that_are_not_there_end_the_attempt() {
        let error = look(Path::new("/nowhere/server.properties"), None).unwrap_err();
        assert_eq!(
            (error.reason(), error.to_string().as_str()),
            ("CertificateFileMissing", "/nowhere/server.properties is missing")
        );
    }
}
