//! Our own CA in a folder, for one machine: a demo, a test, a laptop.
//!
//! `ca.key` holds the CA's key and its certificate in one PEM file, so that there is no moment at which one is there
//! without the other; `ca.crt` is a copy of the certificate for people and clients, and is written again where it is
//! missing. A folder with somebody's own CA (`ca.crt` and a `ca.key` with the key alone) is used as it is. What is
//! half there is never replaced: a new CA would cut off every node that trusts the old one.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::request::Request;
use crate::certificates::sources::Remedy;
use crate::certificates::sources::Source;
use crate::certificates::sources::SourceError;
use crate::certificates::sources::small_file;
use crate::certificates::sources::small_file::FileError;
use crate::disk;
use crate::disk::io::DiskError;
use crate::disk::step::Step;
use crate::pki;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::chain::PemError;
use crate::pki::io::PkiError;
use crate::pki::key_kind::KeyAlgorithm;
use crate::pki::private_key::PrivateKey;
use crate::pki::private_key::PrivateKeyError;
use crate::pki::sign;
use crate::pki::sign::Ca;
use crate::pki::sign::LeafRequest;
use crate::pki::sign::SignError;
use crate::pki::stores;

/// The CA in this folder.
#[derive(Debug, Clone)]
pub struct LocalCa {
    folder: PathBuf,
    lock_within: Duration,
}

/// A CA that cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum LocalCaError {
    /// The folder cannot be locked.
    #[error("cannot lock the CA folder {}", folder.display())]
    Lock {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else holds the lock, much longer than it takes to make a CA.
    #[error("the CA folder {} has been locked by another process for {} s", folder.display(), waited.as_secs())]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// A certificate without its key: not ours to replace.
    #[error("{} is there and {} is not; want both, or neither for a new CA", certificate.display(), key.display())]
    KeyMissing {
        /// `ca.crt`.
        certificate: PathBuf,
        /// `ca.key`.
        key: PathBuf,
    },
    /// A key without a certificate, which we never leave behind.
    #[error("{} has no certificate with it and {} is not there; want both, or neither for a new CA", key.display(), certificate.display())]
    CertificateMissing {
        /// `ca.crt`.
        certificate: PathBuf,
        /// `ca.key`.
        key: PathBuf,
    },
    /// The two files are of two CAs.
    #[error("{} is not the certificate in {}", certificate.display(), key.display())]
    Differ {
        /// `ca.crt`.
        certificate: PathBuf,
        /// `ca.key`.
        key: PathBuf,
    },
    /// A file cannot be read.
    #[error("{} {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, told in this sentence.
        problem: FileError,
    },
    /// `ca.key` holds no key.
    #[error("{} holds no usable key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: PrivateKeyError,
    },
    /// A file holds broken certificates.
    #[error("{} holds no usable certificate", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: PemError,
    },
    /// The pair is no CA, or it cannot sign.
    #[error("the CA in {} cannot be used", folder.display())]
    Sign {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: SignError,
    },
    /// No key could be made.
    #[error("the CA in {} cannot issue", folder.display())]
    Pki {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: PkiError,
    },
    /// The CA cannot be stored.
    #[error("the CA cannot be stored")]
    Disk {
        /// The step that was refused.
        #[source]
        source: DiskError,
    },
}

impl LocalCaError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Lock { .. } => "CaFolderNotLocked",
            Self::Busy { .. } => "CaFolderBusy",
            Self::KeyMissing { .. } => "CaKeyMissing",
            Self::CertificateMissing { .. } => "CaCertificateMissing",
            Self::Differ { .. } => "CaFilesDiffer",
            Self::File { problem, .. } => problem.reason(),
            Self::Key { source, .. } => source.reason(),
            Self::Certificates { source, .. } => source.reason(),
            Self::Sign { source, .. } => source.reason(),
            Self::Pki { source, .. } => source.reason(),
            Self::Disk { source } => source.reason(),
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::Busy { .. } | Self::Pki { .. } => Remedy::TryAgain,
            Self::Disk { source } => Remedy::of(source.may_pass()),
            Self::Lock { source, .. } => Remedy::of(disk::io::may_pass(source)),
            Self::File { problem, .. } => problem.remedy(),
            Self::KeyMissing { .. }
            | Self::CertificateMissing { .. }
            | Self::Differ { .. }
            | Self::Key { .. }
            | Self::Certificates { .. }
            | Self::Sign { .. } => Remedy::ChangeSomething,
        }
    }
}

/// Long enough that nobody thinks about it.
const CA_LIFETIME: Duration = sign::MAX_LIFETIME;

/// Making a CA takes milliseconds; who holds the lock for longer is stopped or stuck.
const LOCK_WITHIN: Duration = Duration::from_secs(30);

impl LocalCa {
    /// The folder and those above it are made with the CA.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), lock_within: LOCK_WITHIN }
    }

    /// The CA, made where there is none. At most one process at a time is beyond the lock.
    fn load_or_make(&self, now: SystemTime) -> Result<LoadedCa, LocalCaError> {
        let missing = disk::io::missing(&self.folder).into_iter();
        let mode = |path: &PathBuf| if *path == self.folder { 0o700 } else { 0o755 };
        let steps: Vec<Step> = missing.map(|path| Step::CreateDir { mode: mode(&path), path }).collect();
        disk::io::apply(&steps).map_err(|source| LocalCaError::Disk { source })?;
        let _lock = self.lock()?;
        let Some(loaded) = self.load()? else {
            return self.make(now);
        };
        let (certificate_path, _) = self.paths();
        if !certificate_path.exists() {
            self.write_copy(loaded.ca.certificate())?;
        }
        Ok(loaded)
    }

    /// The lock is on the folder itself and ends with the file handle, so that nothing is left behind.
    fn lock(&self) -> Result<fs::File, LocalCaError> {
        let folder = self.folder.clone();
        let (sender, receiver) = mpsc::channel();
        // A thread of its own, because waiting for a lock has no deadline. If it comes too late, nobody listens and
        // the handle is dropped with the lock.
        let wait = move || {
            let locked = fs::File::open(&folder).and_then(|folder| folder.lock().map(|()| folder));
            let _ = sender.send(locked);
        };
        let not_locked = |source| LocalCaError::Lock { folder: self.folder.clone(), source };
        thread::Builder::new().spawn(wait).map_err(not_locked)?;
        match receiver.recv_timeout(self.lock_within) {
            Ok(locked) => locked.map_err(not_locked),
            Err(_) => Err(LocalCaError::Busy { folder: self.folder.clone(), waited: self.lock_within }),
        }
    }

    /// The CA in the folder; `None` where there is none at all. Only reads.
    fn load(&self) -> Result<Option<LoadedCa>, LocalCaError> {
        let (certificate_path, key_path) = self.paths();
        let public = optional_certificates(&certificate_path)?;
        let secret = match small_file::read(&key_path) {
            Ok(bytes) => bytes,
            Err(FileError::Missing) if public.is_empty() => return Ok(None),
            Err(FileError::Missing) => {
                return Err(LocalCaError::KeyMissing { certificate: certificate_path, key: key_path });
            }
            Err(problem) => return Err(LocalCaError::File { path: key_path, problem }),
        };
        let key = PrivateKey::from_pem(&secret)
            .map_err(|source| LocalCaError::Key { path: key_path.clone(), source })?;
        let beside_key = parse_optional(&secret, &key_path)?;
        let certificate = match (beside_key.into_iter().next(), public.first()) {
            (None, None) => {
                return Err(LocalCaError::CertificateMissing {
                    certificate: certificate_path,
                    key: key_path,
                });
            }
            (Some(own), Some(copy)) if own != *copy => {
                return Err(LocalCaError::Differ { certificate: certificate_path, key: key_path });
            }
            (Some(own), _) => own,
            (None, Some(theirs)) => theirs.clone(),
        };
        let ca = Ca::new(certificate, key).map_err(|source| self.cannot_sign(source))?;
        Ok(Some(LoadedCa { ca, further_anchors: public.into_iter().skip(1).collect() }))
    }

    fn make(&self, now: SystemTime) -> Result<LoadedCa, LocalCaError> {
        let no_chance = |source| LocalCaError::Pki { folder: self.folder.clone(), source };
        let key = pki::io::generate(KeyAlgorithm::default()).map_err(no_chance)?;
        let serial = pki::io::random_serial().map_err(no_chance)?;
        // A name of its own: verifiers tell CAs by name first, and a second one called the same would be taken for a
        // forgery of the first.
        let name = format!("kraftlet CA {}", serial.short());
        let ca = Ca::self_signed(&name, key, serial, CA_LIFETIME, now)
            .map_err(|source| self.cannot_sign(source))?;
        let (_, key_path) = self.paths();
        let mut secret = stores::keystore_pem(ca.key(), [ca.certificate()]);
        let step = Step::replace(key_path, std::mem::take(&mut *secret), 0o600);
        disk::io::apply([&step]).map_err(|source| LocalCaError::Disk { source })?;
        self.write_copy(ca.certificate())?;
        Ok(LoadedCa { ca, further_anchors: Vec::new() })
    }

    fn write_copy(&self, certificate: &Certificate) -> Result<(), LocalCaError> {
        let (path, _) = self.paths();
        let step = Step::replace(path, stores::certificate_pem(certificate), 0o644);
        disk::io::apply([&step]).map_err(|source| LocalCaError::Disk { source })
    }

    fn issue(&self, request: &Request, now: SystemTime) -> Result<Bundle, LocalCaError> {
        let no_chance = |source| LocalCaError::Pki { folder: self.folder.clone(), source };
        let loaded = self.load_or_make(now)?;
        let key = pki::io::generate(request.key_algorithm()).map_err(no_chance)?;
        let public_key_info = sign::public_key_info(&key).map_err(|source| self.cannot_sign(source))?;
        let wanted = LeafRequest {
            public_key_info: &public_key_info,
            common_name: request.common_name(),
            hosts: request.hosts(),
            lifetime: request.lifetime(),
            backdated_by: sign::MAX_BACKDATED_BY,
        };
        let serial = pki::io::random_serial().map_err(no_chance)?;
        let leaf = loaded.ca.sign(&wanted, serial, now).map_err(|source| self.cannot_sign(source))?;
        Ok(Bundle::new(key, leaf, Vec::new(), loaded.anchors(request)))
    }

    fn cannot_sign(&self, source: SignError) -> LocalCaError {
        LocalCaError::Sign { folder: self.folder.clone(), source }
    }

    fn paths(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("ca.crt"), self.folder.join("ca.key"))
    }
}

impl Source for LocalCa {
    fn describe(&self) -> String {
        let folder = self.folder.display();
        format!("issue from the CA in {folder} (ca.crt, ca.key), which is made there if there is none")
    }

    fn fetch(&self, request: &Request, now: SystemTime) -> Result<Bundle, SourceError> {
        self.issue(request, now).map_err(source_error)
    }

    fn files(&self) -> Vec<PathBuf> {
        let (certificate, key) = self.paths();
        vec![certificate, key]
    }

    fn issues(&self) -> bool {
        true
    }

    fn makes_a_ca(&self) -> bool {
        let (_, key_path) = self.paths();
        !key_path.exists()
    }

    fn trusted(&self, request: &Request) -> Result<Option<Vec<Certificate>>, SourceError> {
        if !self.folder.exists() {
            return Ok(None);
        }
        let load = || {
            let _lock = self.lock()?;
            self.load()
        };
        Ok(load().map_err(source_error)?.map(|loaded| loaded.anchors(request)))
    }
}

/// A CA, and what else its `ca.crt` lists.
struct LoadedCa {
    ca: Ca,
    further_anchors: Vec<Certificate>,
}

impl LoadedCa {
    fn anchors(&self, request: &Request) -> Vec<Certificate> {
        let own = std::iter::once(self.ca.certificate());
        own.chain(&self.further_anchors).chain(request.further_anchors()).cloned().collect()
    }
}

fn source_error(error: LocalCaError) -> SourceError {
    let (reason, remedy) = (error.reason(), error.remedy());
    SourceError::new(error, reason, remedy)
}

fn optional_certificates(path: &Path) -> Result<Vec<Certificate>, LocalCaError> {
    match small_file::read(path) {
        Ok(bytes) => {
            let refused = |source| LocalCaError::Certificates { path: path.to_owned(), source };
            chain::parse_pem(&bytes).map_err(refused)
        }
        Err(FileError::Missing) => Ok(Vec::new()),
        Err(problem) => Err(LocalCaError::File { path: path.to_owned(), problem }),
    }
}

fn parse_optional(pem: &[u8], path: &Path) -> Result<Vec<Certificate>, LocalCaError> {
    match chain::parse_pem(pem) {
        Err(PemError::Empty) => Ok(Vec::new()),
        parsed => parsed.map_err(|source| LocalCaError::Certificates { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::pki::certificate::Usage;
    use crate::pki::testing;

    fn request() -> Request {
        let hosts = ["kafka-0.kafka", "10.0.0.1"].map(|host| host.parse().unwrap());
        Request::new("demo-node", hosts, KeyAlgorithm::default(), testing::days(30)).unwrap()
    }

    fn fetch(source: &LocalCa) -> Bundle {
        source.fetch(&request(), testing::now()).unwrap()
    }

    fn refusal(source: &LocalCa) -> (&'static str, Remedy) {
        let error = source.fetch(&request(), testing::now()).unwrap_err();
        (error.reason(), error.remedy())
    }

    fn write(path: PathBuf, content: &str) {
        disk::io::apply([&Step::replace(path, content, 0o644)]).unwrap();
    }

    fn set_aside(path: &Path) {
        fs::rename(path, path.with_extension("aside")).unwrap();
    }

    #[test]
    fn the_first_use_makes_a_ca_and_the_next_ones_use_it() {
        let home = tempfile::tempdir().unwrap();
        let source = LocalCa::new(home.path().join("ca"));
        assert_eq!(source.trusted(&request()).unwrap(), None);
        assert!(source.makes_a_ca());
        let (first, second) = (fetch(&source), fetch(&source));
        assert_eq!(first.anchors(), second.anchors());
        assert!(!source.makes_a_ca());
        assert_eq!(source.trusted(&request()).unwrap().unwrap(), first.anchors());
        assert_ne!(first.key().public_key(), second.key().public_key());
        for bundle in [&first, &second] {
            for usage in [Usage::ServerAuth, Usage::ClientAuth] {
                chain::verify(bundle.leaf(), &[], bundle.anchors(), testing::now(), Some(usage)).unwrap();
            }
            assert!(bundle.key().matches(bundle.leaf()));
            assert_eq!(bundle.leaf().subject(), "CN=demo-node");
        }
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let (certificate, key) = source.paths();
        assert_eq!((mode(home.path().join("ca")), mode(certificate), mode(key)), (0o700, 0o644, 0o600));
        assert_eq!(fs::read_dir(home.path().join("ca")).unwrap().count(), 2);
        let ca = &first.anchors()[0];
        assert!(ca.subject().starts_with("CN=kraftlet CA "), "{}", ca.subject());
        assert_eq!(ca.not_after(), testing::now() + testing::days(3650));
    }

    #[test]
    fn many_that_begin_at_once_make_one_ca() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("ca");
        let anchors: Vec<Vec<Certificate>> = thread::scope(|scope| {
            let begin = || fetch(&LocalCa::new(&folder)).anchors().to_vec();
            let running: Vec<_> = (0..12).map(|_| scope.spawn(begin)).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(anchors.iter().all(|found| found.len() == 1 && *found == anchors[0]));
    }

    #[test]
    fn a_crash_before_the_copy_heals_and_leaves_of_before_stay_trusted() {
        let home = tempfile::tempdir().unwrap();
        let source = LocalCa::new(home.path().join("ca"));
        let before = fetch(&source);
        let (certificate, _) = source.paths();
        let copy = fs::read(&certificate).unwrap();
        set_aside(&certificate);
        write(home.path().join("ca/ca.key.tmp"), "half a k");
        // The copy alone is no reason to ask last, and without the certificate that the others know.
        assert!(!source.makes_a_ca());
        assert_eq!(fetch(&source).anchors(), before.anchors());
        assert_eq!(fs::read(&certificate).unwrap(), copy);
    }

    #[test]
    fn what_is_half_there_is_refused_and_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let source = LocalCa::new(home.path());
        fetch(&source);
        let (certificate, key) = source.paths();
        let (whole_certificate, whole_key) =
            (fs::read_to_string(&certificate).unwrap(), fs::read_to_string(&key).unwrap());
        let key_alone = whole_key.split_inclusive("-----END PRIVATE KEY-----\n").next().unwrap();

        set_aside(&key);
        assert_eq!(refusal(&source), ("CaKeyMissing", Remedy::ChangeSomething));
        assert_eq!(fs::read_to_string(&certificate).unwrap(), whole_certificate);
        assert!(!key.exists());

        set_aside(&certificate);
        write(key.clone(), key_alone);
        assert_eq!(refusal(&source), ("CaCertificateMissing", Remedy::ChangeSomething));
        assert!(!certificate.exists());

        write(key.clone(), &whole_key);
        write(certificate.clone(), &stores::certificate_pem(&testing::root("other").certificate));
        assert_eq!(refusal(&source), ("CaFilesDiffer", Remedy::ChangeSomething));

        write(key.clone(), key_alone);
        assert_eq!(refusal(&source), ("CaKeyMismatch", Remedy::ChangeSomething));

        write(key.clone(), &whole_key[..100]);
        assert_eq!(refusal(&source), ("KeyMalformed", Remedy::ChangeSomething));
        write(key.clone(), "");
        assert_eq!(refusal(&source), ("CertificateFileEmpty", Remedy::TryAgain));
    }

    #[test]
    fn somebodys_own_ca_is_used_with_all_of_its_anchors() {
        let home = tempfile::tempdir().unwrap();
        let root = testing::root("their root");
        let middle = root.sign(testing::ca_params("their CA"));
        let both = [&middle, &root].map(|issued| stores::certificate_pem(&issued.certificate)).concat();
        write(home.path().join("ca.crt"), &both);
        write(home.path().join("ca.key"), &middle.key_pair.serialize_pem());
        let bundle = fetch(&LocalCa::new(home.path()));
        assert_eq!(bundle.leaf().issuer(), "CN=their CA");
        assert_eq!(bundle.anchors(), [middle.certificate, root.certificate]);
    }

    #[test]
    fn a_leaf_that_is_no_ca_signs_nothing() {
        let home = tempfile::tempdir().unwrap();
        let leaf = testing::root("ca").sign(testing::leaf_params("node", &["a"]));
        write(home.path().join("ca.crt"), &stores::certificate_pem(&leaf.certificate));
        write(home.path().join("ca.key"), &leaf.key_pair.serialize_pem());
        assert_eq!(refusal(&LocalCa::new(home.path())), ("CaIsNoCa", Remedy::ChangeSomething));
    }

    #[test]
    fn a_folder_that_somebody_holds_locked_is_reported_and_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let held = fs::File::open(home.path()).unwrap();
        held.lock().unwrap();
        let source = LocalCa { folder: home.path().to_owned(), lock_within: Duration::ZERO };
        assert_eq!(refusal(&source), ("CaFolderBusy", Remedy::TryAgain));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("file").join("ca");
        fs::write(home.path().join("file"), "in the way").unwrap();
        let error = LocalCa::new(&folder).fetch(&request(), testing::now()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        let found = (error.to_string(), cause);
        assert_eq!(
            found,
            ("the CA cannot be stored".to_owned(), format!("cannot create directory {}", folder.display()))
        );
        assert_eq!(error.remedy(), Remedy::ChangeSomething);
    }
}
