//! What can be wrong with a certificate, each thing in a sentence of its own, and what Kafka would have done with it.

use crate::pki::certificate::Usage;
use crate::pki::chain::OrderError;
use crate::pki::chain::VerifyError;
use crate::pki::hostname::Host;
use crate::pki::key_kind::KeyKind;

/// One thing that is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// Kafka exits with a misleading `Invalid RSA private key`.
    #[error(
        "the key is {kind}; want ECDSA on P-256, P-384 or P-521, or RSA of 2048 to 8192 bits, which Kafka can serve"
    )]
    KeyNotServed {
        /// The kind found.
        kind: KeyKind,
    },
    /// TLS libraries refuse it, our own probes first.
    #[error(
        "the key is {kind}, which is too weak; want RSA of at least {} bits or ECDSA on P-256, P-384 or P-521",
        KeyKind::MIN_RSA_BITS
    )]
    KeyTooWeak {
        /// The kind found.
        kind: KeyKind,
    },
    /// Kafka loads such a pair without complaint: brokers exit with `Invalid CertificateVerify signature`, controllers
    /// start and fail in every handshake.
    #[error("the key does not belong to leaf {leaf} ({subject})")]
    KeyMismatch {
        /// The leaf's short fingerprint.
        leaf: String,
        /// The leaf's subject.
        subject: String,
    },
    /// Java's key store refuses the chain (`Certificate chain is not valid`), and Kafka does not start.
    #[error("the chain is not in order")]
    ChainOrder {
        /// The first place where it is not.
        #[source]
        source: OrderError,
    },
    /// Peers that do not happen to know the missing CA cannot build a path.
    #[error("the chain ends at {last}, whose issuer {wanted} is neither in the chain nor in the truststore")]
    ChainIncomplete {
        /// Subject of the last certificate that fits.
        last: String,
        /// The issuer it names.
        wanted: String,
    },
    /// Kafka's self-test at start fails (`PKIX path building failed`).
    #[error("the truststore does not trust leaf {leaf} ({subject}): its chain ends at root {root}")]
    IssuerNotTrusted {
        /// The leaf's short fingerprint.
        leaf: String,
        /// The leaf's subject.
        subject: String,
        /// The root that is not in the truststore.
        root: String,
    },
    /// Kafka does not start (`No matching CERTIFICATE entries in PEM file`).
    #[error("no trust anchors; want at least one CA certificate")]
    AnchorsMissing,
    /// The path to the anchor is there, and something on it is refused.
    #[error("leaf {leaf} ({subject}) does not verify against the truststore")]
    NotVerified {
        /// The leaf's short fingerprint.
        leaf: String,
        /// The leaf's subject.
        subject: String,
        /// Why not.
        #[source]
        source: VerifyError,
    },
    /// A broker exits with `CertificateNotYetValidException`; often it is the clock of the node that is wrong.
    #[error("certificate {subject} is not valid before {not_before}; it is {now} now")]
    NotYetValid {
        /// Of the leaf or of an intermediate.
        subject: String,
        /// Its first second.
        not_before: String,
        /// The time of the check.
        now: String,
    },
    /// A broker exits with `CertificateExpiredException`; a controller starts and nobody can talk to it.
    #[error("certificate {subject} expired at {not_after}; it is {now} now")]
    Expired {
        /// Of the leaf or of an intermediate.
        subject: String,
        /// Its last second.
        not_after: String,
        /// The time of the check.
        now: String,
    },
    /// It works, and not for long.
    #[error("certificate {subject} expires at {not_after}")]
    ExpiresSoon {
        /// Of the leaf, an intermediate or a trust anchor.
        subject: String,
        /// Its last second.
        not_after: String,
    },
    /// A Kafka node is server and client to its peers with the same leaf, and server alone to clients.
    #[error("the extended key usage of leaf {leaf} does not name {}", usage.word())]
    UsageMissing {
        /// The leaf's short fingerprint.
        leaf: String,
        /// The usage it lacks.
        usage: Usage,
    },
    /// Java refuses to sign or to accept a handshake with it.
    #[error("the key usage of leaf {leaf} does not allow digitalSignature")]
    SigningNotAllowed {
        /// The leaf's short fingerprint.
        leaf: String,
    },
    /// The node does not become ready: nobody accepts it under this name.
    #[error("leaf {leaf} does not cover host {host}; it has {names}")]
    HostNotCovered {
        /// The leaf's short fingerprint.
        leaf: String,
        /// The advertised host.
        host: Host,
        /// The names it has.
        names: String,
    },
    /// A pod that holds a CA can make itself any node of the cluster, and verifiers refuse it as a leaf.
    #[error("leaf {leaf} ({subject}) is a CA certificate")]
    LeafIsCa {
        /// The leaf's short fingerprint.
        leaf: String,
        /// The leaf's subject.
        subject: String,
    },
    /// The controllers answer CLUSTER_AUTHORIZATION_FAILED, and the node exits at the next leader change.
    #[error("principal {principal} is not a super user; super.users has {super_users}")]
    NotSuperUser {
        /// `User:` and the leaf's subject.
        principal: String,
        /// The entries, joined as Kafka writes them.
        super_users: String,
    },
    /// A person's own rules decide who this leaf is for Kafka.
    #[error(
        "{key} makes a principal of leaf {leaf} ({subject}) in a way of its own; whether it is a super user is not checked"
    )]
    PrincipalMapped {
        /// The leaf's short fingerprint.
        leaf: String,
        /// The leaf's subject.
        subject: String,
        /// The property that says how.
        key: String,
    },
    /// Refused by current TLS libraries; Java refuses MD5 outright.
    #[error("certificate {subject} is signed with {hash}; want SHA-256 or better")]
    WeakSignature {
        /// Of the leaf or of an intermediate.
        subject: String,
        /// `SHA-1`, `MD5` or `MD2`.
        hash: &'static str,
    },
}

/// What a finding means for the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The certificate must not be installed.
    Refusal,
    /// It works today; somebody should know.
    Warning,
}

impl Finding {
    /// Whether it stops the plan.
    pub fn severity(&self) -> Severity {
        match self {
            Self::ExpiresSoon { .. } | Self::PrincipalMapped { .. } => Severity::Warning,
            Self::KeyNotServed { .. }
            | Self::KeyTooWeak { .. }
            | Self::KeyMismatch { .. }
            | Self::ChainOrder { .. }
            | Self::ChainIncomplete { .. }
            | Self::IssuerNotTrusted { .. }
            | Self::AnchorsMissing
            | Self::NotVerified { .. }
            | Self::NotYetValid { .. }
            | Self::Expired { .. }
            | Self::UsageMissing { .. }
            | Self::SigningNotAllowed { .. }
            | Self::HostNotCovered { .. }
            | Self::LeafIsCa { .. }
            | Self::NotSuperUser { .. }
            | Self::WeakSignature { .. } => Severity::Refusal,
        }
    }

    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::KeyNotServed { .. } => "KeyNotServed",
            Self::KeyTooWeak { .. } => "KeyTooWeak",
            Self::KeyMismatch { .. } => "KeyMismatch",
            Self::ChainOrder { source } => source.reason(),
            Self::ChainIncomplete { .. } => "ChainIncomplete",
            Self::IssuerNotTrusted { .. } => "IssuerNotTrusted",
            Self::AnchorsMissing => "TrustAnchorsMissing",
            Self::NotVerified { source, .. } => source.reason(),
            Self::NotYetValid { .. } => "CertificateNotYetValid",
            Self::Expired { .. } => "CertificateExpired",
            Self::ExpiresSoon { .. } => "CertificateExpiresSoon",
            Self::UsageMissing { usage: Usage::ServerAuth, .. } => "ServerAuthMissing",
            Self::UsageMissing { usage: Usage::ClientAuth, .. } => "ClientAuthMissing",
            Self::SigningNotAllowed { .. } => "DigitalSignatureNotAllowed",
            Self::HostNotCovered { .. } => "HostNotCovered",
            Self::LeafIsCa { .. } => "LeafIsCa",
            Self::NotSuperUser { .. } => "PrincipalNotSuperUser",
            Self::PrincipalMapped { .. } => "PrincipalNotChecked",
            Self::WeakSignature { .. } => "SignatureWeak",
        }
    }
}
