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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::BasicConstraints;
    use rcgen::ExtendedKeyUsagePurpose;
    use rcgen::IsCa;

    use super::*;
    use crate::pki::stores::certificate_pem;
    use crate::pki::testing;
    use crate::pki::testing::Issued;

    fn verified(leaf: &Issued, between: &[&Issued], anchors: &[&Issued], usage: Option<Usage>) -> String {
        let list = |all: &[&Issued]| all.iter().map(|one| one.certificate.clone()).collect::<Vec<_>>();
        match verify(&leaf.certificate, &list(between), &list(anchors), testing::now(), usage) {
            Ok(()) => "verified".to_owned(),
            Err(error) => error.reason().to_owned(),
        }
    }

    #[test]
    fn a_file_of_certificates_is_read_in_its_order_around_keys_and_text() {
        let (a, b) = (testing::root("a"), testing::root("b"));
        let pem = format!(
            "subject=CN = b\n{}{}\n# then\n{}",
            certificate_pem(&b.certificate),
            a.key_pair.serialize_pem(),
            certificate_pem(&a.certificate)
        );
        assert_eq!(parse_pem(pem.as_bytes()).unwrap(), [b.certificate.clone(), a.certificate]);
        assert_eq!(parse_pem(pem.replace('\n', "\r\n").as_bytes()).unwrap()[0], b.certificate);
    }

    #[test]
    fn what_is_no_file_of_certificates_has_its_own_sentence() {
        let good = certificate_pem(&testing::root("a").certificate);
        let check = |pem: &[u8], reason, message: &str| {
            let error = parse_pem(pem).unwrap_err();
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, message));
        };
        check(b"", "CertificatesMissing", "no certificate in it; want PEM blocks BEGIN CERTIFICATE");
        check(
            &vec![b'\n'; MAX_PEM_BYTES + 1],
            "CertificatesTooLarge",
            "1048577 bytes of certificates; want at most 1048576",
        );
        let torn = format!("{good}{}", &good[..good.len() / 2]);
        check(torn.as_bytes(), "CertificatesMalformed", "certificate 2 cannot be parsed as PEM");
        let foreign = format!("{good}-----BEGIN CERTIFICATE-----\naGFsbG8=\n-----END CERTIFICATE-----\n");
        check(foreign.as_bytes(), "CertificateMalformed", "certificate 2 cannot be parsed");
    }

    #[test]
    fn a_chain_is_in_order_when_each_names_the_next() {
        let root = testing::root("root");
        let middle = root.sign(testing::ca_params("middle"));
        let leaf = middle.sign(testing::leaf_params("node", &["a"]));
        let check = |chain: &[&Issued], want: &str| {
            let found = check_order(chain.iter().map(|issued| &issued.certificate));
            assert_eq!(found.map_or_else(|error| error.to_string(), |()| "in order".to_owned()), want);
        };
        check(&[&leaf], "in order");
        check(&[&leaf, &middle], "in order");
        check(&[&leaf, &middle, &root], "in order");
        let foreign = "is not the issuer of the one before it, which names";
        check(&[&leaf, &root], &format!("certificate 2 (\"CN=root\") {foreign} \"CN=middle\""));
        check(&[&middle, &leaf], &format!("certificate 2 (\"CN=node\") {foreign} \"CN=root\""));
        check(&[&leaf, &middle, &leaf], "certificate 3 (\"CN=node\") is there twice");
        check(&[&root, &root], "certificate 2 (\"CN=root\") is there twice");
    }

    #[test]
    fn a_leaf_verifies_over_its_intermediates_and_the_ways_to_fail_are_told_apart() {
        let root = testing::root("root");
        let middle = root.sign(testing::ca_params("middle"));
        let leaf = middle.sign(testing::leaf_params("node", &["a"]));
        let stranger = testing::root("stranger");
        let namesake = testing::root("root");
        for usage in [None, Some(Usage::ServerAuth), Some(Usage::ClientAuth)] {
            let check = |between: &[&Issued], anchors: &[&Issued], want| {
                assert_eq!(verified(&leaf, between, anchors, usage), want);
            };
            check(&[&middle], &[&root], "verified");
            check(&[&middle, &root], &[&stranger, &root], "verified");
            check(&[], &[&middle], "verified");
            check(&[], &[&root], "IssuerNotTrusted");
            check(&[&middle], &[&stranger], "IssuerNotTrusted");
            check(&[&middle], &[&namesake], "ChainSignatureWrong");
            check(&[&middle], &[], "TrustAnchorsMissing");
        }
        assert_eq!(verified(&middle, &[], &[&root], None), "LeafIsCa");
        let below_leaf = leaf.sign(testing::leaf_params("below", &["b"]));
        assert_eq!(verified(&below_leaf, &[&leaf, &middle], &[&root], None), "IssuerIsNoCa");
    }

    #[test]
    fn dates_usages_and_constraints_are_told_apart() {
        let root = testing::root("root");
        let check = |leaf: &Issued, between: &[&Issued], usage, want| {
            assert_eq!(verified(leaf, between, &[&root], usage), want);
        };
        let mut params = testing::leaf_params("node", &["a"]);
        params.not_after = (testing::now() - testing::days(0) - Duration::from_secs(1)).into();
        check(&root.sign(params.clone()), &[], None, "ChainExpired");
        params.not_before = (testing::now() + Duration::from_secs(1)).into();
        params.not_after = (testing::now() + testing::days(1)).into();
        check(&root.sign(params), &[], None, "ChainNotYetValid");

        let mut server_only = testing::ca_params("server only");
        server_only.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_only = root.sign(server_only);
        let leaf = server_only.sign(testing::leaf_params("node", &["a"]));
        check(&leaf, &[&server_only], Some(Usage::ServerAuth), "verified");
        check(&leaf, &[&server_only], Some(Usage::ClientAuth), "ChainUsageNotAllowed");
        check(&leaf, &[&server_only], None, "verified");

        let mut last = testing::ca_params("last");
        last.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let last = root.sign(last);
        let beyond = last.sign(testing::ca_params("beyond"));
        let leaf = beyond.sign(testing::leaf_params("node", &["a"]));
        check(&leaf, &[&beyond, &last], None, "ChainConstraint");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn no_bytes_make_reading_panic(
            noise in prop::collection::vec(any::<u8>(), 0..400),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut pem = EXAMPLE.with(Clone::clone).into_bytes();
            let at = at.index(pem.len());
            pem[at] = byte;
            let _ = parse_pem(&pem);
            let _ = parse_pem(&noise);
            pem.splice(at..at, noise);
            let _ = parse_pem(&pem);
        }
    }

    thread_local! {
        static EXAMPLE: String = certificate_pem(&testing::root("a").certificate).repeat(2);
    }
}
