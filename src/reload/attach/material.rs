//! Key, chain and trust anchors out of somebody else's stores.
//!
//! A store's form is told by its first bytes: Java opens a PKCS12 file that is called JKS and the other way round. Where
//! the key cannot be read (JKS, old ciphers), `tls.crt` and `tls.key` beside the store serve, as cert-manager and KubeDB
//! mount them, if they hold the same leaf.

use std::path::Path;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::certificates::sources::small_file::FileError;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::jks::Jks;
use crate::pki::private_key::PrivateKey;
use crate::pki::stores;
use crate::pki::stores::StorePassword;
use crate::reload::attach::finding::AttachFinding;
use crate::reload::config_provider::ReadFile;
use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::Secret;
use crate::reload::store::FileStore;
use crate::reload::store::Form;
use crate::reload::store::Store;
use crate::reload::store::Stores;

/// What the stores of a prefix hold, as far as it can be read.
#[derive(Debug, Default)]
pub struct Material {
    /// The private key.
    pub key: Option<PrivateKey>,
    /// The leaf and all after it; empty where nothing can be read.
    pub chain: Vec<Certificate>,
    /// The trust anchors.
    pub anchors: Vec<Certificate>,
    /// The files that were read or looked for: a change of one of them is a change of this.
    pub files: Vec<PathBuf>,
    /// What could not be read.
    pub findings: Vec<AttachFinding>,
}

/// Reads the stores of a listener's prefix.
pub fn read(listener: &ListenerName, stores: &Stores, read: &mut ReadFile<'_>) -> Material {
    let mut reading = Reading { found: Material::default(), read };
    match &stores.keystore {
        Some(Store::File(store)) => reading.keystore(store),
        Some(Store::Inline(text)) => {
            reading.note(AttachFinding::Inline { listener: listener.clone() });
            let place = listener.key("ssl.keystore");
            if !is_reference(text) {
                reading.found.chain = reading.certificates(place.clone(), text.expose().as_bytes());
                reading.found.key = reading.key(place, text.expose().as_bytes());
            }
        }
        None => {}
    }
    match &stores.truststore {
        Some(Store::File(store)) => reading.truststore(store),
        Some(Store::Inline(text)) if !is_reference(text) => {
            let place = listener.key("ssl.truststore.certificates");
            reading.found.anchors = reading.certificates(place, text.expose().as_bytes());
        }
        Some(Store::Inline(_)) | None => {}
    }
    if reading.found.anchors.is_empty() {
        reading.anchors_beside(stores);
    }
    if reading.found.anchors.is_empty() {
        reading.note(AttachFinding::NoTrust { listener: listener.clone() });
    }
    reading.found
}

/// To a config provider that is not followed, which has been named.
fn is_reference(text: &Secret) -> bool {
    text.expose().contains("${")
}

struct Reading<'a, 'b> {
    found: Material,
    read: &'a mut ReadFile<'b>,
}

impl Reading<'_, '_> {
    fn keystore(&mut self, store: &FileStore) {
        let Some(bytes) = self.file(&store.location) else { return };
        match form(store, &bytes) {
            Form::Pem => {
                let place = store.location.display().to_string();
                self.found.chain = self.certificates(place.clone(), &bytes);
                self.found.key = self.key(place, &bytes);
            }
            Form::Pkcs12 => match self.opened(store, &bytes, stores::read_keystore_pkcs12) {
                Some((key, chain)) => (self.found.key, self.found.chain) = (Some(key), chain),
                None => self.keystore_beside(&store.location, None),
            },
            Form::Jks => match Jks::parse(&bytes) {
                Ok(jks) => {
                    let chain = jks.chains.into_iter().next().unwrap_or_default();
                    self.keystore_beside(&store.location, Some(chain));
                }
                Err(problem) => self.note(AttachFinding::Jks { path: store.location.clone(), problem }),
            },
            form @ Form::Other => {
                self.note(AttachFinding::UnknownForm { path: store.location.clone(), form })
            }
        }
    }

    /// `in_store`: the chain of a store whose key alone is out of reach.
    fn keystore_beside(&mut self, store: &Path, in_store: Option<Vec<Certificate>>) {
        let [crt, key] = ["tls.crt", "tls.key"].map(|name| store.with_file_name(name));
        let (Some(crt_bytes), Some(key_bytes)) = (self.file_if_there(&crt), self.file_if_there(&key)) else {
            self.note(AttachFinding::KeyNotReadable { path: store.to_owned() });
            self.found.chain = in_store.unwrap_or_default();
            return;
        };
        let beside = self.certificates(crt.display().to_string(), &crt_bytes);
        let same = match (&in_store, beside.first()) {
            (Some(in_store), beside) => in_store.first() == beside,
            (None, _) => true,
        };
        if !same {
            let short = |chain: &[Certificate]| {
                chain.first().map_or("none".to_owned(), |leaf| leaf.fingerprint().short())
            };
            let in_store = in_store.unwrap_or_default();
            self.note(AttachFinding::BesideDiffers {
                pem: crt,
                beside: short(&beside),
                store: store.to_owned(),
                in_store: short(&in_store),
            });
            self.found.chain = in_store;
            return;
        }
        if in_store.is_none() {
            self.note(AttachFinding::NotCompared { pem: crt, store: store.to_owned() });
        }
        self.found.key = self.key(key.display().to_string(), &key_bytes);
        self.found.chain = in_store.unwrap_or(beside);
    }

    fn truststore(&mut self, store: &FileStore) {
        let Some(bytes) = self.file(&store.location) else { return };
        match form(store, &bytes) {
            Form::Pem => {
                self.found.anchors = self.certificates(store.location.display().to_string(), &bytes);
            }
            Form::Pkcs12 => {
                self.found.anchors =
                    self.opened(store, &bytes, stores::read_truststore_pkcs12).unwrap_or_default();
            }
            Form::Jks => match Jks::parse(&bytes) {
                // Java trusts certificates that stand alone; those of a key only as its chain.
                Ok(jks) => self.found.anchors = jks.trusted,
                Err(problem) => self.note(AttachFinding::Jks { path: store.location.clone(), problem }),
            },
            form @ Form::Other => {
                self.note(AttachFinding::UnknownForm { path: store.location.clone(), form })
            }
        }
    }

    /// `ca.crt` beside the keystore, or beside the truststore.
    fn anchors_beside(&mut self, stores: &Stores) {
        let located = [&stores.truststore, &stores.keystore].into_iter().flatten().filter_map(Store::file);
        let path = located.map(|store| store.location.with_file_name("ca.crt")).next();
        if let Some(path) = path
            && let Some(bytes) = self.file_if_there(&path)
        {
            self.found.anchors = self.certificates(path.display().to_string(), &bytes);
        }
    }

    fn opened<T>(
        &mut self,
        store: &FileStore,
        bytes: &[u8],
        open: fn(&[u8], &StorePassword) -> Option<T>,
    ) -> Option<T> {
        let path = store.location.clone();
        let Some(password) = &store.password else {
            self.note(AttachFinding::PasswordMissing { path });
            return None;
        };
        match StorePassword::new(Zeroizing::new(password.expose().to_owned())) {
            Ok(password) => {
                let opened = open(bytes, &password);
                if opened.is_none() {
                    self.note(AttachFinding::NotOpened { path });
                }
                opened
            }
            Err(problem) => {
                self.note(AttachFinding::Password { path, problem });
                None
            }
        }
    }

    fn certificates(&mut self, place: String, pem: &[u8]) -> Vec<Certificate> {
        chain::parse_pem(pem).unwrap_or_else(|problem| {
            self.note(AttachFinding::Certificates { place, problem });
            Vec::new()
        })
    }

    fn key(&mut self, place: String, pem: &[u8]) -> Option<PrivateKey> {
        PrivateKey::from_pem(pem).map_err(|problem| self.note(AttachFinding::Key { place, problem })).ok()
    }

    fn file(&mut self, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        self.found.files.push(path.to_owned());
        (self.read)(path)
            .map_err(|problem| self.note(AttachFinding::File { path: path.to_owned(), problem }))
            .ok()
    }

    /// A file that need not be there.
    fn file_if_there(&mut self, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        self.found.files.push(path.to_owned());
        match (self.read)(path) {
            Ok(bytes) => Some(bytes),
            Err(FileError::Missing) => None,
            Err(problem) => {
                self.note(AttachFinding::File { path: path.to_owned(), problem });
                None
            }
        }
    }

    fn note(&mut self, finding: AttachFinding) {
        self.found.findings.push(finding);
    }
}

/// By the bytes, but for PEM, which Kafka reads as PEM whatever is in it.
fn form(store: &FileStore, bytes: &[u8]) -> Form {
    match store.form {
        Form::Pem => Form::Pem,
        Form::Pkcs12 | Form::Jks | Form::Other if Jks::is_one(bytes) => Form::Jks,
        // A DER sequence of more than 127 bytes.
        Form::Pkcs12 | Form::Jks
            if bytes.starts_with(&[0x30]) && bytes.get(1).is_some_and(|b| b & 0x80 != 0) =>
        {
            Form::Pkcs12
        }
        Form::Pkcs12 | Form::Jks | Form::Other => Form::Other,
    }
}
