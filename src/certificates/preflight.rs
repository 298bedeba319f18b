//! Whether a fetched certificate would work, before anything is written.
//!
//! Kafka itself checks little of this and late (Kafka 4.3.1 and 4.4.0, seen on real nodes): an expired leaf or the key
//! of another leaf stops a broker in its self-test, but a dedicated controller starts with either and fails in every
//! handshake; a leaf whose principal is not authorised ends the process at the next leader change. So everything that
//! is wrong is found here and said at once.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::certificates::bundle::Bundle;
use crate::pki::certificate::Certificate;
use crate::pki::certificate::Role;
use crate::pki::certificate::Usage;
use crate::pki::chain;
use crate::pki::chain::OrderError;
use crate::pki::chain::VerifyError;
use crate::pki::hostname::Host;
use crate::pki::key_kind::KeyKind;

/// What the node needs of its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// Every name and address under which the node is advertised.
    pub hosts: Vec<Host>,
    /// Who must be a super user.
    pub authorization: Authorization,
    /// A certificate that ends within this time is worth a warning.
    pub warn_within: Duration,
}

/// How Kafka will take the leaf's principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// The entries of `super.users`, each as `User:CN=…`; the leaf's principal must be one of them.
    SuperUsers(BTreeSet<String>),
    /// No authorizer, or principals are mapped by rules of the user's own: nothing can be said.
    NotChecked,
}

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
    /// A Kafka node is server and client to its peers with the same leaf.
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
            Self::ExpiresSoon { .. } => Severity::Warning,
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
            Self::WeakSignature { .. } => "SignatureWeak",
        }
    }
}

/// Everything that is wrong with `bundle` for this node at `now`, in the order key, leaf, chain, trust; empty when it
/// may be installed and nobody need know.
pub fn preflight(bundle: &Bundle, requirements: &Requirements, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_key(bundle, &mut findings);
    check_leaf(bundle.leaf(), requirements, &mut findings);
    check_signatures_and_dates(bundle, requirements, now, &mut findings);
    check_trust(bundle, now, &mut findings);
    findings
}

fn check_key(bundle: &Bundle, findings: &mut Vec<Finding>) {
    let kind = bundle.key().kind();
    let leaf = bundle.leaf();
    if kind.is_weak() {
        findings.push(Finding::KeyTooWeak { kind: kind.clone() });
    } else if !kind.is_served_by_kafka() {
        findings.push(Finding::KeyNotServed { kind: kind.clone() });
    }
    // Of a key that we cannot load only the kind can be compared.
    let mismatch = if bundle.key().public_key().is_empty() {
        kind != leaf.key_kind()
    } else {
        !bundle.key().matches(leaf)
    };
    if mismatch {
        findings.push(Finding::KeyMismatch { leaf: short(leaf), subject: name(leaf) });
    }
}

fn check_leaf(leaf: &Certificate, requirements: &Requirements, findings: &mut Vec<Finding>) {
    if leaf.role() == Role::Ca {
        findings.push(Finding::LeafIsCa { leaf: short(leaf), subject: name(leaf) });
    }
    for usage in [Usage::ServerAuth, Usage::ClientAuth] {
        if !leaf.allows(usage) {
            findings.push(Finding::UsageMissing { leaf: short(leaf), usage });
        }
    }
    if !leaf.allows_digital_signature() {
        findings.push(Finding::SigningNotAllowed { leaf: short(leaf) });
    }
    for host in requirements.hosts.iter().filter(|host| !host.is_covered_by(leaf)) {
        findings.push(Finding::HostNotCovered {
            leaf: short(leaf),
            host: host.clone(),
            names: names_of(leaf),
        });
    }
    if let Authorization::SuperUsers(super_users) = &requirements.authorization {
        let principal = format!("User:{}", leaf.subject());
        if !super_users.contains(&principal) {
            let super_users = super_users.iter().map(String::as_str).collect::<Vec<_>>().join(";");
            findings.push(Finding::NotSuperUser { principal, super_users });
        }
    }
}

fn check_signatures_and_dates(
    bundle: &Bundle,
    requirements: &Requirements,
    now: SystemTime,
    findings: &mut Vec<Finding>,
) {
    for certificate in bundle.chain() {
        let subject = name(certificate);
        // Nobody checks a root's signature on itself: it is trusted for its key.
        if let Some(hash) = certificate.weak_signature().filter(|_| !certificate.is_self_issued()) {
            findings.push(Finding::WeakSignature { subject: subject.clone(), hash });
        }
        if now < certificate.not_before() {
            let not_before = timestamp(certificate.not_before());
            findings.push(Finding::NotYetValid { subject, not_before, now: timestamp(now) });
        } else if certificate.not_after() < now {
            let not_after = timestamp(certificate.not_after());
            findings.push(Finding::Expired { subject, not_after, now: timestamp(now) });
        } else if ends_within(certificate, requirements.warn_within, now) {
            findings.push(Finding::ExpiresSoon { subject, not_after: timestamp(certificate.not_after()) });
        }
    }
    // Java and rustls trust an anchor whatever its dates are, OpenSSL's clients do not.
    for anchor in bundle.anchors().iter().filter(|anchor| bundle.chain().all(|known| known != *anchor)) {
        if ends_within(anchor, requirements.warn_within, now) {
            let not_after = timestamp(anchor.not_after());
            findings.push(Finding::ExpiresSoon { subject: name(anchor), not_after });
        }
    }
}

fn check_trust(bundle: &Bundle, now: SystemTime, findings: &mut Vec<Finding>) {
    let leaf = bundle.leaf();
    if let Err(source) = chain::check_order(bundle.chain()) {
        findings.push(Finding::ChainOrder { source });
    }
    // A leaf out of its time has been named; whether it is trusted is asked for a time when all of the chain is valid.
    let begins_at = bundle.chain().map(Certificate::not_before).max().unwrap_or(now);
    let ends_at = bundle.chain().map(Certificate::not_after).min().unwrap_or(now);
    let at = now.max(begins_at).min(ends_at);
    let verify = |usage| chain::verify(leaf, bundle.intermediates(), bundle.anchors(), at, usage);
    let mut refused = Vec::new();
    match verify(None) {
        Ok(()) => {
            let allowed =
                [Usage::ServerAuth, Usage::ClientAuth].into_iter().filter(|usage| leaf.allows(*usage));
            refused.extend(allowed.filter_map(|usage| verify(Some(usage)).err()));
        }
        Err(VerifyError::NoAnchors) => findings.push(Finding::AnchorsMissing),
        Err(VerifyError::UnknownIssuer { .. }) => findings.push(no_path(bundle)),
        // Named above, by the certificate that it is about.
        Err(VerifyError::CaAsLeaf) if leaf.role() == Role::Ca => {}
        Err(VerifyError::SignatureAlgorithm)
            if findings.iter().any(|finding| matches!(finding, Finding::WeakSignature { .. })) => {}
        Err(other) => refused.push(other),
    }
    for source in refused {
        findings.push(Finding::NotVerified { leaf: short(leaf), subject: name(leaf), source });
    }
}

/// Follows the names from the leaf upwards as far as the chain goes, to say where it ends.
fn no_path(bundle: &Bundle) -> Finding {
    let mut last = bundle.leaf();
    // Each certificate of the chain can be a step once at most.
    for _ in bundle.intermediates() {
        let next = bundle.intermediates().iter().find(|next| last.names_as_issuer(next) && *next != last);
        match next.filter(|_| !last.is_self_issued()) {
            Some(next) => last = next,
            None => break,
        }
    }
    if last.is_self_issued() {
        let leaf = bundle.leaf();
        return Finding::IssuerNotTrusted { leaf: short(leaf), subject: name(leaf), root: name(last) };
    }
    Finding::ChainIncomplete { last: name(last), wanted: last.issuer().to_owned() }
}

fn ends_within(certificate: &Certificate, within: Duration, now: SystemTime) -> bool {
    now.checked_add(within).is_none_or(|limit| certificate.not_after() <= limit)
}

fn short(certificate: &Certificate) -> String {
    certificate.fingerprint().short()
}

/// The subject, or the fingerprint where it is empty.
fn name(certificate: &Certificate) -> String {
    match certificate.subject() {
        "" => short(certificate),
        subject => subject.to_owned(),
    }
}

fn names_of(leaf: &Certificate) -> String {
    let addresses = leaf.ip_addresses().iter().map(ToString::to_string);
    let names: Vec<String> = leaf.dns_names().iter().cloned().chain(addresses).collect();
    if names.is_empty() { "no names".to_owned() } else { names.join(", ") }
}

/// RFC 3339 in UTC; a date beyond the year 9999 by its seconds.
fn timestamp(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| format!("{at:?}"), |at| at.to_string())
}
