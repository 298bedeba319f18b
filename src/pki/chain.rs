//! Certificates in a row: read from PEM, put in question, verified up to a trust anchor.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::TrustAnchor;
use rustls_pki_types::UnixTime;
use rustls_pki_types::pem::PemObject;
use webpki::EndEntityCert;
use webpki::Error;
use webpki::ExtendedKeyUsageValidator;
use webpki::KeyPurposeIdIter;
use webpki::KeyUsage;

use crate::pki::certificate::Certificate;
use crate::pki::certificate::CertificateError;
use crate::pki::certificate::Usage;

/// A file of certificates that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Larger than any file of certificates a node needs.
    #[error("{size} bytes of certificates; want at most {MAX_PEM_BYTES}")]
    TooLarge {
        /// Bytes found.
        size: usize,
    },
    /// No PEM block that holds a certificate.
    #[error("no certificate in it; want PEM blocks BEGIN CERTIFICATE")]
    Empty,
    /// A block that begins and does not end, or is not base64.
    #[error("certificate {position} cannot be parsed as PEM")]
    Malformed {
        /// Counted from one.
        position: usize,
    },
    /// A block with something else inside.
    #[error("certificate {position} cannot be parsed")]
    Certificate {
        /// Counted from one.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
}

/// The first place where a chain is not in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The next certificate did not issue this one.
    #[error(
        "certificate {position} ({subject:?}) is not the issuer of the one before it, which names {wanted:?}"
    )]
    Foreign {
        /// Of the certificate that does not fit, counted from one.
        position: usize,
        /// Its subject.
        subject: String,
        /// The issuer named by the certificate before it.
        wanted: String,
    },
    /// The same certificate twice.
    #[error("certificate {position} ({subject:?}) is there twice")]
    Repeated {
        /// Of the second, counted from one.
        position: usize,
        /// Its subject.
        subject: String,
    },
}

/// Why a leaf does not verify against trust anchors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Nothing to verify against.
    #[error("no trust anchors")]
    NoAnchors,
    /// A trust anchor that cannot be used as one.
    #[error("trust anchor {subject:?} cannot be used: {what}")]
    AnchorUnusable {
        /// Its subject.
        subject: String,
        /// What the verifier said.
        what: String,
    },
    /// No path from the leaf to an anchor.
    #[error("no path from {subject:?}, issued by {issuer:?}, to a trust anchor")]
    UnknownIssuer {
        /// The leaf's subject.
        subject: String,
        /// The leaf's issuer.
        issuer: String,
    },
    /// A signature in the chain is not its issuer's: an anchor or intermediate of the same name and another key.
    #[error("a signature in the chain is not by the issuer it names")]
    BadSignature,
    /// The leaf or an intermediate is past its time.
    #[error("a certificate in the chain has expired")]
    Expired,
    /// The leaf or an intermediate is ahead of its time.
    #[error("a certificate in the chain is not yet valid")]
    NotYetValid,
    /// The leaf, or a CA above it, may not be used so.
    #[error("a certificate in the chain does not allow {}", usage.map_or("any usage", Usage::word))]
    UsageNotAllowed {
        /// The usage asked for.
        usage: Option<Usage>,
    },
    /// A CA certificate where a leaf was wanted.
    #[error("the leaf is a CA certificate")]
    CaAsLeaf,
    /// A leaf that issued another.
    #[error("a certificate in the chain was issued by one that is no CA")]
    IssuerIsNoCa,
    /// A CA forbids it: path length or name constraints.
    #[error("a CA in the chain does not permit it: {what}")]
    Constraint {
        /// Which constraint.
        what: &'static str,
    },
    /// SHA-1, MD5, or an algorithm that is not known here.
    #[error("a certificate in the chain is signed in a way that is not accepted")]
    SignatureAlgorithm,
    /// Anything else the verifier refuses.
    #[error("the chain does not verify: {what}")]
    Other {
        /// What the verifier said.
        what: String,
    },
}

impl PemError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "CertificatesTooLarge",
            Self::Empty => "CertificatesMissing",
            Self::Malformed { .. } => "CertificatesMalformed",
            Self::Certificate { source, .. } => source.reason(),
        }
    }
}

impl OrderError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "ChainOutOfOrder",
            Self::Repeated { .. } => "ChainRepeats",
        }
    }
}

impl VerifyError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoAnchors => "TrustAnchorsMissing",
            Self::AnchorUnusable { .. } => "TrustAnchorUnusable",
            Self::UnknownIssuer { .. } => "IssuerNotTrusted",
            Self::BadSignature => "ChainSignatureWrong",
            Self::Expired => "ChainExpired",
            Self::NotYetValid => "ChainNotYetValid",
            Self::UsageNotAllowed { .. } => "ChainUsageNotAllowed",
            Self::CaAsLeaf => "LeafIsCa",
            Self::IssuerIsNoCa => "IssuerIsNoCa",
            Self::Constraint { .. } => "ChainConstraint",
            Self::SignatureAlgorithm => "ChainSignatureAlgorithm",
            Self::Other { .. } => "ChainNotVerified",
        }
    }
}

/// What webpki asks of the extended key usages on the path.
struct UsedAs(Option<Usage>);

impl ExtendedKeyUsageValidator for UsedAs {
    fn validate(&self, named: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        match self.0 {
            Some(Usage::ServerAuth) => KeyUsage::server_auth().validate(named),
            Some(Usage::ClientAuth) => KeyUsage::client_auth().validate(named),
            None => Ok(()),
        }
    }
}

/// A Secret holds at most 1 MiB; a whole system's bundle of public CAs has some 220 KiB.
pub const MAX_PEM_BYTES: usize = 1024 * 1024;

/// Reads all certificates of a PEM file in the order in which they stand there; keys and text between them are passed
/// over. At least one.
pub fn parse_pem(pem: &[u8]) -> Result<Vec<Certificate>, PemError> {
    if pem.len() > MAX_PEM_BYTES {
        return Err(PemError::TooLarge { size: pem.len() });
    }
    let mut certificates = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let position = index + 1;
        let der = der.map_err(|_| PemError::Malformed { position })?;
        certificates
            .push(Certificate::from_der(&der).map_err(|source| PemError::Certificate { position, source })?);
    }
    if certificates.is_empty() { Err(PemError::Empty) } else { Ok(certificates) }
}

/// Whether each certificate names the next as its issuer and none comes twice, the leaf first.
///
/// Java's key stores refuse all else ("Certificate chain is not valid"), so Kafka would not start. Names are compared
/// byte for byte as verifiers do.
pub fn check_order<'a>(chain: impl IntoIterator<Item = &'a Certificate>) -> Result<(), OrderError> {
    let mut seen = BTreeSet::new();
    let mut last: Option<&Certificate> = None;
    for (index, certificate) in chain.into_iter().enumerate() {
        let before = last.replace(certificate);
        let position = index + 1;
        if !seen.insert(certificate.fingerprint()) {
            return Err(OrderError::Repeated { position, subject: certificate.subject().to_owned() });
        }
        if let Some(before) = before.filter(|before| !before.names_as_issuer(certificate)) {
            return Err(OrderError::Foreign {
                position,
                subject: certificate.subject().to_owned(),
                wanted: before.issuer().to_owned(),
            });
        }
    }
    Ok(())
}

/// Verifies signatures, dates, usage and constraints from `leaf` over `intermediates` to one of `anchors`, as a peer
/// does in a handshake, names of hosts aside. Without `usage` the question is of trust alone.
///
/// Anchors are trusted whatever their own dates are, as Java's PKIX does too.
pub fn verify(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: &[Certificate],
    now: SystemTime,
    usage: Option<Usage>,
) -> Result<(), VerifyError> {
    if anchors.is_empty() {
        return Err(VerifyError::NoAnchors);
    }
    let roots = anchors.iter().map(trust_anchor).collect::<Result<Vec<_>, _>>()?;
    let between: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|certificate| certificate.der().clone()).collect();
    let end_entity = EndEntityCert::try_from(leaf.der()).map_err(|error| explain(error, leaf, usage))?;
    end_entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &roots,
            &between,
            unix_time(now),
            UsedAs(usage),
            None,
            None,
        )
        .map(|_path| ())
        .map_err(|error| explain(error, leaf, usage))
}

fn trust_anchor(certificate: &Certificate) -> Result<TrustAnchor<'_>, VerifyError> {
    webpki::anchor_from_trusted_cert(certificate.der()).map_err(|error| VerifyError::AnchorUnusable {
        subject: certificate.subject().to_owned(),
        what: error.to_string(),
    })
}

fn unix_time(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

fn explain(error: Error, leaf: &Certificate, usage: Option<Usage>) -> VerifyError {
    match error {
        Error::UnknownIssuer => VerifyError::UnknownIssuer {
            subject: leaf.subject().to_owned(),
            issuer: leaf.issuer().to_owned(),
        },
        Error::InvalidSignatureForPublicKey => VerifyError::BadSignature,
        Error::CertExpired { .. } => VerifyError::Expired,
        Error::CertNotValidYet { .. } => VerifyError::NotYetValid,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            VerifyError::UsageNotAllowed { usage }
        }
        Error::CaUsedAsEndEntity => VerifyError::CaAsLeaf,
        Error::EndEntityUsedAsCa => VerifyError::IssuerIsNoCa,
        Error::PathLenConstraintViolated => VerifyError::Constraint { what: "its path length" },
        Error::NameConstraintViolation => VerifyError::Constraint { what: "its name constraints" },
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | Error::SignatureAlgorithmMismatch => VerifyError::SignatureAlgorithm,
        other => VerifyError::Other { what: other.to_string() },
    }
}
