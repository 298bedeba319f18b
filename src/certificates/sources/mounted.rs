//! A folder that somebody else fills: `tls.crt`, `tls.key` and `ca.crt`, as cert-manager, KubeDB and `kubectl create
//! secret tls` name them.
//!
//! The kubelet changes a mounted Secret by turning one symbolic link, `..data`, to a folder with all the new files, and
//! then deletes the old folder. The link is resolved once and all files are read from where it led; when it has turned
//! meanwhile, all are read again. So a key never meets the certificate of another day.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::causes::chain;
use crate::certificates::bundle::Bundle;
use crate::certificates::request::Request;
use crate::certificates::sources::Remedy;
use crate::certificates::sources::Source;
use crate::certificates::sources::SourceError;
use crate::certificates::sources::small_file;
use crate::certificates::sources::small_file::FileError;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::chain::PemError;
use crate::pki::private_key::PrivateKey;
use crate::pki::private_key::PrivateKeyError;

/// The folder. What a request trusts further is trusted beside its `ca.crt`.
#[derive(Debug, Clone)]
pub struct Mounted {
    folder: PathBuf,
    files: Files,
}

/// The names of the three files; those of key and chain may be one.
#[derive(Debug, Clone, Copy)]
struct Files {
    chain: &'static str,
    key: &'static str,
    anchors: &'static str,
}

/// A folder that gave no certificate: all that is wrong with its files.
#[derive(Debug, thiserror::Error)]
pub enum MountedError {
    /// One or more files cannot be used.
    #[error("certificate folder {}: {}", folder.display(), sentences(problems))]
    Files {
        /// The folder.
        folder: PathBuf,
        /// Each file and what is wrong with it; never empty.
        problems: Vec<(PathBuf, FileProblem)>,
    },
    /// Somebody writes into it without end.
    #[error("certificate folder {} changed {READS} times while it was read", folder.display())]
    Changing {
        /// The folder.
        folder: PathBuf,
    },
}

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It cannot be read.
    #[error(transparent)]
    File(FileError),
    /// It holds no key we take.
    #[error("{0}")]
    Key(PrivateKeyError),
    /// It holds no certificates we take.
    #[error("{}", chain(.0))]
    Certificates(PemError),
}

impl MountedError {
    /// The word for logs, Events and metrics; of several problems the first one's.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Files { problems, .. } => {
                problems.first().map_or("CertificateFileMissing", |(_, problem)| problem.reason())
            }
            Self::Changing { .. } => "CertificateFolderChanging",
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::Files { problems, .. } => {
                let needs_person = |problem: &FileProblem| problem.remedy() == Remedy::ChangeSomething;
                if problems.iter().any(|(_, problem)| needs_person(problem)) {
                    Remedy::ChangeSomething
                } else {
                    Remedy::TryAgain
                }
            }
            Self::Changing { .. } => Remedy::TryAgain,
        }
    }
}

impl FileProblem {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::File(error) => error.reason(),
            Self::Key(error) => error.reason(),
            Self::Certificates(error) => error.reason(),
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::File(error) => error.remedy(),
            Self::Key(_) | Self::Certificates(_) => Remedy::ChangeSomething,
        }
    }
}

/// The kubelet turns the link once a minute at most; a folder that changes under five readings is not a Secret.
const READS: usize = 5;

impl Mounted {
    /// Where a request names further anchors, `ca.crt` may be missing or empty (cert-manager leaves it so where an
    /// issuer names no CA, and it is no safe source of trust where one does: cert-manager#5851).
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self::of_files(folder, "tls.crt", "tls.key", "ca.crt")
    }

    /// The same with other names.
    pub(crate) fn of_files(
        folder: impl Into<PathBuf>,
        chain: &'static str,
        key: &'static str,
        anchors: &'static str,
    ) -> Self {
        Self { folder: folder.into(), files: Files { chain, key, anchors } }
    }

    /// Each name once.
    fn names(&self) -> Vec<&'static str> {
        let Files { chain, key, anchors } = self.files;
        let mut names = vec![chain, key, anchors];
        names.dedup();
        names
    }

    /// Reads until two looks at the folder, one before and one after, are the same.
    fn read(&self, request: &Request) -> Result<Bundle, MountedError> {
        for _ in 0..READS {
            let before = Generation::look(&self.folder, &self.names());
            let bundle = self.read_from(&before.folder, request);
            if Generation::look(&self.folder, &self.names()) == before {
                return bundle;
            }
        }
        Err(MountedError::Changing { folder: self.folder.clone() })
    }

    fn read_from(&self, folder: &Path, request: &Request) -> Result<Bundle, MountedError> {
        let mut problems = Vec::new();
        let files = &self.files;
        let at = |name| (folder.join(name), self.folder.join(name));
        let (chain, key, ca) = (at(files.chain), at(files.key), at(files.anchors));
        let chain = kept(certificates(&chain.0), &chain.1, &mut problems);
        let key = kept(private_key(&key.0), &key.1, &mut problems);
        let mut anchors = Vec::new();
        let has_further = !request.further_anchors().is_empty();
        match certificates(&ca.0) {
            Err(FileProblem::File(FileError::Missing | FileError::Empty)) if has_further => {}
            read => anchors.extend(kept(read, &ca.1, &mut problems).into_iter().flatten()),
        }
        // Key and chain may be one file, which is missing once.
        problems.dedup_by(|later, one| {
            let is_of_file = |problem: &FileProblem| matches!(problem, FileProblem::File(_));
            later.0 == one.0 && is_of_file(&later.1) && is_of_file(&one.1)
        });
        anchors.extend(request.further_anchors().iter().cloned());
        let mut chain = chain.into_iter().flatten();
        match (key, chain.next()) {
            (Some(key), Some(leaf)) if problems.is_empty() => {
                Ok(Bundle::new(key, leaf, chain.collect(), anchors))
            }
            _ => Err(MountedError::Files { folder: self.folder.clone(), problems }),
        }
    }
}

impl Source for Mounted {
    fn describe(&self) -> String {
        let names = self.names();
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        format!("read {} and {last} from {}", others.join(", "), self.folder.display())
    }

    fn fetch(&self, request: &Request, _now: SystemTime) -> Result<Bundle, SourceError> {
        self.read(request).map_err(|error| {
            let (reason, remedy) = (error.reason(), error.remedy());
            SourceError::new(error, reason, remedy)
        })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.names().into_iter().map(|name| self.folder.join(name)).collect()
    }

    fn issues(&self) -> bool {
        false
    }
}

/// What the folder looked like at one moment.
#[derive(Debug, PartialEq, Eq)]
struct Generation {
    /// Where `..data` leads, or the folder itself where there is none.
    folder: PathBuf,
    /// Inode, size and time of change of each file, for folders that are not the kubelet's.
    stamps: Vec<Option<(u64, u64, i64, i64)>>,
}

impl Generation {
    fn look(mounted: &Path, names: &[&str]) -> Self {
        let folder = match fs::read_link(mounted.join("..data")) {
            Ok(target) => mounted.join(target),
            Err(_) => mounted.to_owned(),
        };
        let stamp = |name: &&str| {
            let found = fs::metadata(folder.join(name)).ok()?;
            Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
        };
        let stamps = names.iter().map(stamp).collect();
        Self { folder, stamps }
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, FileProblem> {
    let bytes = small_file::read(path).map_err(FileProblem::File)?;
    chain::parse_pem(&bytes).map_err(FileProblem::Certificates)
}

fn private_key(path: &Path) -> Result<PrivateKey, FileProblem> {
    let bytes = small_file::read(path).map_err(FileProblem::File)?;
    PrivateKey::from_pem(&bytes).map_err(FileProblem::Key)
}

fn kept<T>(
    read: Result<T, FileProblem>,
    shown: &Path,
    problems: &mut Vec<(PathBuf, FileProblem)>,
) -> Option<T> {
    read.map_err(|problem| problems.push((shown.to_owned(), problem))).ok()
}

fn sentences(problems: &[(PathBuf, FileProblem)]) -> impl fmt::Display {
    let sentence = |(file, problem): &(PathBuf, FileProblem)| match problem {
        FileProblem::File(error) => format!("{} {error}", file.display()),
        FileProblem::Key(_) | FileProblem::Certificates(_) => format!("{}: {problem}", file.display()),
    };
    problems.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;
    use std::thread;

    use super::*;
    use crate::disk::io::apply;
    use crate::disk::step::Step;
    use crate::pki::key_kind::KeyAlgorithm;
    use crate::pki::stores::certificate_pem;
    use crate::pki::testing;
    use crate::pki::testing::Issued;

    fn request() -> Request {
        let hosts = ["a".parse().unwrap()];
        Request::new("node", hosts, KeyAlgorithm::default(), testing::days(1)).unwrap()
    }

    fn write(folder: &Path, name: &str, content: &str) {
        apply([&Step::replace(folder.join(name), content, 0o644)]).unwrap();
    }

    fn pem(certificates: &[&Issued]) -> String {
        certificates.iter().map(|issued| certificate_pem(&issued.certificate)).collect()
    }

    /// A folder with a good pair, its chain and its CA.
    fn filled(folder: &Path) -> (Issued, Issued, Issued) {
        let root = testing::root("root");
        let middle = root.sign(testing::ca_params("middle"));
        let leaf = middle.sign(testing::leaf_params("node", &["a"]));
        write(folder, "tls.crt", &pem(&[&leaf, &middle]));
        write(folder, "tls.key", &leaf.key_pair.serialize_pem());
        write(folder, "ca.crt", &pem(&[&root]));
        (root, middle, leaf)
    }

    #[test]
    fn a_folder_gives_its_pair_its_chain_and_every_ca() {
        let home = tempfile::tempdir().unwrap();
        let (root, middle, leaf) = filled(home.path());
        let [old, third, fourth] = ["old", "third", "fourth"].map(testing::root);
        write(home.path(), "ca.crt", &pem(&[&root, &old, &root]));
        let source = Mounted::new(home.path());
        let asked = request().with_further_anchors(pem(&[&third, &old]).as_bytes()).unwrap();
        let asked = asked.with_further_anchors(pem(&[&fourth]).as_bytes()).unwrap();
        let bundle = source.fetch(&asked, testing::now()).unwrap();
        assert_eq!((bundle.leaf(), bundle.intermediates()), (&leaf.certificate, &[middle.certificate][..]));
        assert!(bundle.key().matches(bundle.leaf()));
        let anchors = [&root, &old, &third, &fourth].map(|issued| issued.certificate.clone());
        assert_eq!(bundle.anchors(), anchors);
        assert_eq!(source.trusted(&asked).unwrap(), None);
    }

    #[test]
    fn all_files_that_cannot_be_used_are_named_at_once() {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().display().to_string();
        let check = |want: &str, reason, remedy| {
            let error = Mounted::new(home.path()).fetch(&request(), testing::now()).unwrap_err();
            assert_eq!(error.to_string().replace(&at, "DIR"), format!("certificate folder DIR: {want}"));
            assert_eq!((error.reason(), error.remedy()), (reason, remedy));
        };
        check(
            "DIR/tls.crt is missing; DIR/tls.key is missing; DIR/ca.crt is missing",
            "CertificateFileMissing",
            Remedy::TryAgain,
        );
        filled(home.path());
        write(home.path(), "ca.crt", "");
        check("DIR/ca.crt is empty", "CertificateFileEmpty", Remedy::TryAgain);
        write(home.path(), "ca.crt", "-----BEGIN CERTIFICATE-----\naGFsbG8=\n-----END CERTIFICATE-----\n");
        write(home.path(), "tls.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
        write(home.path(), "tls.crt", "hello");
        let error = Mounted::new(home.path()).fetch(&request(), testing::now()).unwrap_err();
        let text = error.to_string().replace(&at, "DIR");
        assert!(
            text.contains("DIR/tls.crt: no certificate in it; want PEM blocks BEGIN CERTIFICATE; "),
            "{text}"
        );
        assert!(text.contains("DIR/tls.key: the private key is encrypted; "), "{text}");
        assert!(
            text.contains("DIR/ca.crt: certificate 1 cannot be parsed: not an X.509 certificate: "),
            "{text}"
        );
        assert_eq!((error.reason(), error.remedy()), ("CertificatesMissing", Remedy::ChangeSomething));
    }

    #[test]
    fn without_a_ca_file_further_trust_will_do() {
        let home = tempfile::tempdir().unwrap();
        let (root, _, _) = filled(home.path());
        let asked = request().with_further_anchors(pem(&[&root]).as_bytes()).unwrap();
        let source = Mounted::new(home.path());
        write(home.path(), "ca.crt", "");
        let bundle = source.fetch(&asked, testing::now()).unwrap();
        assert_eq!(bundle.anchors(), std::slice::from_ref(&root.certificate));
        fs::rename(home.path().join("ca.crt"), home.path().join("gone")).unwrap();
        assert_eq!(source.fetch(&asked, testing::now()).unwrap().anchors(), [root.certificate]);
    }

    /// As the kubelet does it: a new folder, the link turned to it, the old folder deleted.
    fn turn(home: &Path, old: Option<tempfile::TempDir>) -> tempfile::TempDir {
        let generation = tempfile::Builder::new().prefix("..2026").tempdir_in(home).unwrap();
        filled(generation.path());
        let target = generation.path().file_name().unwrap();
        symlink(target, home.join("..data_tmp")).unwrap();
        fs::rename(home.join("..data_tmp"), home.join("..data")).unwrap();
        drop(old);
        generation
    }

    #[test]
    fn a_link_that_turns_while_it_is_read_never_mixes_two_generations() {
        let home = tempfile::tempdir().unwrap();
        let mut generation = turn(home.path(), None);
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(name), home.path().join(name)).unwrap();
        }
        let source = Mounted::new(home.path());
        let done = AtomicBool::new(false);
        let read = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut read = 0;
                while !done.load(Ordering::Relaxed) || read == 0 {
                    match source.fetch(&request(), testing::now()) {
                        Ok(bundle) => {
                            assert!(bundle.key().matches(bundle.leaf()));
                            let order = chain::check_order(bundle.chain().chain(bundle.anchors()));
                            assert_eq!(order, Ok(()));
                            read += 1;
                        }
                        Err(error) => assert_eq!(error.reason(), "CertificateFolderChanging", "{error}"),
                    }
                }
                read
            });
            for _ in 0..60 {
                generation = turn(home.path(), Some(generation));
            }
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap()
        });
        assert!(read > 0);
    }

    #[test]
    fn describing_touches_nothing() {
        let source = Mounted::new("/nowhere");
        assert_eq!(source.describe(), "read tls.crt, tls.key and ca.crt from /nowhere");
    }
}
