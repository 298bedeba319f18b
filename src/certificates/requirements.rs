//! What a node needs of its certificate, which follows from the listeners that use it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::pki::certificate::Usage;
use crate::pki::hostname::Host;

/// What the node needs of its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// Every name and address under which the node is advertised.
    pub hosts: Vec<Host>,
    /// Who sees the certificate.
    pub shown_to: ShownTo,
    /// Who must be a super user.
    pub authorization: Authorization,
    /// A certificate that ends within this time is worth a warning.
    pub warn_within: Duration,
}

/// Who sees the certificate, and so what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownTo {
    /// Other nodes: the node is their server and their client with the same leaf, and they check it with the same
    /// truststore (SslFactory tests just that at start, for the listener between brokers).
    Peers,
    /// Clients alone. They have a truststore of their own, and ours says which clients we trust: the leaf may well
    /// be of a public CA, which gives no clientAuth, and its root need not be among our anchors.
    Clients,
}

impl ShownTo {
    /// What the leaf must allow.
    pub fn usages(self) -> &'static [Usage] {
        match self {
            Self::Peers => &[Usage::ServerAuth, Usage::ClientAuth],
            Self::Clients => &[Usage::ServerAuth],
        }
    }
}

/// How Kafka will take the leaf's principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// The entries of `super.users`, each as `User:CN=…`; the leaf's principal must be one of them.
    SuperUsers(BTreeSet<String>),
    /// The property of this key makes principals of subjects in a way of its own: worth a warning.
    MappedBy(String),
    /// There is no authorizer, or nobody is known by this leaf's subject: there is nothing to say.
    NotChecked,
}
