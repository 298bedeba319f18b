//! What stands in the way of an agent beside a foreign Kafka, each thing in a sentence.

use std::path::PathBuf;

use crate::causes::chain;
use crate::certificates::sources::small_file::FileError;
use crate::kafka::properties::PropertiesError;
use crate::pki::chain::PemError;
use crate::pki::jks::JksError;
use crate::pki::private_key::PrivateKeyError;
use crate::pki::stores::StoreError;
use crate::reload::config_provider::UnresolvedReference;
use crate::reload::listener::NodeError;
use crate::reload::node_properties::ListenerName;
use crate::reload::store::Form;

/// Properties from which nothing can be told: the agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The file cannot be read.
    #[error("{} {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: FileError,
    },
    /// The file is no properties file.
    #[error("{} is no properties file", path.display())]
    Properties {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: PropertiesError,
    },
    /// The properties are not those of a node.
    #[error("{} does not describe a node", path.display())]
    Node {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: NodeError,
    },
    /// Somebody writes without end.
    #[error("the files that {} names changed {times} times while they were read", path.display())]
    Changing {
        /// The properties.
        path: PathBuf,
        /// How often they were read.
        times: usize,
    },
}

/// Something about one certificate, or one property, that the agent cannot use.
#[derive(Debug, thiserror::Error)]
pub enum AttachFinding {
    /// A password that only somebody else can look up.
    #[error(transparent)]
    Reference(UnresolvedReference),
    /// A store, or a file beside it, cannot be read.
    #[error("{} {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: FileError,
    },
    /// The text of a store is in the properties: KIP-651's inline form.
    #[error(
        "listener {listener}: the certificate stands in the properties themselves, so Kafka cannot be told to read it \
         again; a new one needs a restart"
    )]
    Inline {
        /// The listener whose prefix it has.
        listener: ListenerName,
    },
    /// No certificates in a PEM file or text.
    #[error("{place}: {}", chain(.problem))]
    Certificates {
        /// The file or the property.
        place: String,
        /// Why not.
        problem: PemError,
    },
    /// No key in a PEM file or text.
    #[error("{place}: {problem}")]
    Key {
        /// The file or the property.
        place: String,
        /// Why not.
        problem: PrivateKeyError,
    },
    /// A broken JKS file.
    #[error("{}: {}", path.display(), chain(.problem))]
    Jks {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: JksError,
    },
    /// A PKCS12 file needs a password.
    #[error("PKCS12 store {} cannot be opened: the properties have no password for it", path.display())]
    PasswordMissing {
        /// The file.
        path: PathBuf,
    },
    /// A password that no store of ours could have.
    #[error("PKCS12 store {} cannot be opened: {problem}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: StoreError,
    },
    /// A password that does not fit, or ciphers that are not in this program.
    #[error(
        "PKCS12 store {} cannot be opened: it is torn, the password is another, or it is encrypted with RC2 or triple DES",
        path.display()
    )]
    NotOpened {
        /// The file.
        path: PathBuf,
    },
    /// Bytes of no form that is known.
    #[error("store {} is neither PEM nor PKCS12 nor JKS; the properties call it {form}", path.display())]
    UnknownForm {
        /// The file.
        path: PathBuf,
        /// What the properties say.
        form: Form,
    },
    /// The key is in a form that only Java reads, and no PEM files lie beside it.
    #[error(
        "the key in {} cannot be read; want tls.crt and tls.key with the same leaf beside it, or the store as PEM or \
         PKCS12 with AES",
        path.display()
    )]
    KeyNotReadable {
        /// The store.
        path: PathBuf,
    },
    /// The PEM files beside a store are of another certificate.
    #[error("{} holds leaf {beside}, and {} holds leaf {in_store}", pem.display(), store.display())]
    BesideDiffers {
        /// The PEM file.
        pem: PathBuf,
        /// Its leaf, shortened.
        beside: String,
        /// The store.
        store: PathBuf,
        /// Its leaf, shortened.
        in_store: String,
    },
    /// Whether the PEM files hold what the store holds is left to the handshakes.
    #[error("{} is taken for what is in {}, which cannot be opened", pem.display(), store.display())]
    NotCompared {
        /// The PEM file.
        pem: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// No truststore that can be read: the agent cannot verify what a listener shows.
    #[error(
        "listener {listener}: no trust anchors can be read; want a truststore, or ca.crt beside the keystore"
    )]
    NoTrust {
        /// The listener whose prefix it has.
        listener: ListenerName,
    },
    /// A listener with TLS and without a keystore.
    #[error("listener {listener} has TLS, and the properties name no keystore for it")]
    NoKeystore {
        /// The listener.
        listener: ListenerName,
    },
}

impl AttachError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::File { problem, .. } => problem.reason(),
            Self::Properties { source, .. } => source.reason(),
            Self::Node { source, .. } => source.reason(),
            Self::Changing { .. } => "StoresChanging",
        }
    }
}

impl AttachFinding {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Reference(unresolved) => unresolved.reason(),
            Self::File { problem, .. } => problem.reason(),
            Self::Inline { .. } => "InlinePemNotReloadable",
            Self::Certificates { problem, .. } => problem.reason(),
            Self::Key { problem, .. } => problem.reason(),
            Self::Jks { problem, .. } => problem.reason(),
            Self::PasswordMissing { .. } => "StorePasswordMissing",
            Self::Password { problem, .. } => problem.reason(),
            Self::NotOpened { .. } => "StoreNotOpened",
            Self::UnknownForm { .. } => "StoreFormUnknown",
            Self::KeyNotReadable { .. } => "StoreKeyNotReadable",
            Self::BesideDiffers { .. } => "PemBesideDiffers",
            Self::NotCompared { .. } => "PemBesideNotCompared",
            Self::NoTrust { .. } => "TrustAnchorsMissing",
            Self::NoKeystore { .. } => "KeystoreMissing",
        }
    }
}
