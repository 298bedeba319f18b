//! A certificate authority: made, loaded with suspicion, and asked for leaves.
//!
//! rcgen writes what it is told, so everything that must hold is checked here: a loaded CA is a CA and its key is its
//! own, and what was signed verifies against it before anybody sees it (a CA subject that repeats an attribute type,
//! `DC=com, DC=acme`, comes out of rcgen as another name). The time of signing is an argument, and so is the serial
//! number; ECDSA draws its nonce inside aws-lc.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::PublicKeyData;
use rcgen::SanType;
use rcgen::SerialNumber;
use rcgen::SignatureAlgorithm;
use rcgen::SigningKey;
use rcgen::SubjectPublicKeyInfo;
use rustls_pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::pki::certificate::Certificate;
use crate::pki::certificate::CertificateError;
use crate::pki::certificate::Role;
use crate::pki::certificate::Usage;
use crate::pki::chain;
use crate::pki::chain::VerifyError;
use crate::pki::hostname::Host;
use crate::pki::private_key::PrivateKey;

/// A CA certificate together with its own key, ready to sign: to load a key takes longer than to sign with it.
pub struct Ca {
    certificate: Certificate,
    key: PrivateKey,
    issuer: Issuer<'static, SigningPair>,
}

/// The key as rcgen uses it, wiped on drop.
struct SigningPair(Zeroizing<KeyPair>);

/// A serial number: positive, 16 bytes, the same length for any chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial([u8; 16]);

/// What a CA is asked to sign. It decides extensions, key usage and dates itself.
#[derive(Debug, Clone)]
pub struct LeafRequest<'a> {
    /// SubjectPublicKeyInfo in DER; see [`public_key_info`].
    pub public_key_info: &'a [u8],
    /// The whole subject is `CN=` and this.
    pub common_name: &'a str,
    /// The subject alternative names.
    pub hosts: &'a [Host],
    /// From `now` to expiry; cut short where the CA expires earlier.
    pub lifetime: Duration,
    /// How long before `now` it may begin: [`MAX_BACKDATED_BY`], or less where somebody else checks the dates.
    pub backdated_by: Duration,
}

/// Why there is no CA, or no leaf from it.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The certificate cannot issue.
    #[error("{subject:?} is no CA certificate")]
    NoCa {
        /// Its subject.
        subject: String,
    },
    /// The key belongs to another certificate.
    #[error("the key does not belong to the CA certificate {subject:?}")]
    KeyMismatch {
        /// Its subject.
        subject: String,
    },
    /// A CA past its time issues nothing that anybody would take.
    #[error("the CA {subject:?} has expired")]
    Expired {
        /// Its subject.
        subject: String,
    },
    /// rcgen refused the key, a name or the request.
    #[error("the certificate cannot be made")]
    Rcgen {
        /// What it said.
        #[source]
        source: rcgen::Error,
    },
    /// A date before 1970 or after 9999.
    #[error("the certificate's dates are out of range")]
    Dates,
    /// What was made cannot be read back.
    #[error("the certificate that was made cannot be read back")]
    Unreadable {
        /// Why not.
        #[source]
        source: CertificateError,
    },
    /// What was made does not verify against the CA that made it.
    #[error("the certificate that was made does not verify against the CA {subject:?}")]
    NotVerified {
        /// The CA's subject.
        subject: String,
        /// Why not.
        #[source]
        source: VerifyError,
    },
}

impl SignError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoCa { .. } => "CaIsNoCa",
            Self::KeyMismatch { .. } => "CaKeyMismatch",
            Self::Expired { .. } => "CaExpired",
            Self::Rcgen { .. } => "CertificateNotMade",
            Self::Dates => "CertificateDates",
            Self::Unreadable { .. } => "CertificateUnreadable",
            Self::NotVerified { .. } => "CertificateNotVerified",
        }
    }
}

/// Enough for a node to start and to be renewed once; tests of expiry live at this end.
pub const MIN_LIFETIME: Duration = Duration::from_secs(60);

/// Ten years: so long lives a CA of ours, and a leaf that outlives its CA is no leaf.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// X.520 ends a common name at 64 characters (`ub-common-name`), and OpenSSL insists.
pub const MAX_COMMON_NAME: usize = 64;

/// Clocks of nodes differ by seconds; a leaf that is valid only from this very moment is refused by a peer that is
/// behind. Five minutes is Kerberos' old figure for the same trouble, and what any leaf of more than 100 minutes gets.
pub const MAX_BACKDATED_BY: Duration = Duration::from_secs(5 * 60);

/// The share of a short lifetime by which a leaf is backdated. A renew point is a share of the whole life, and one that
/// began five minutes before the birth of a leaf of two minutes would be past on the day it is made.
const BACKDATED_SHARE: u32 = 20;

impl Ca {
    /// Makes a root that may sign leaves and no further CA (path length 0).
    pub fn self_signed(
        common_name: &str,
        key: PrivateKey,
        serial: Serial,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Self, SignError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name_only(common_name);
        params.serial_number = Some(serial.into());
        (params.not_before, params.not_after) = dates(now, now.checked_add(lifetime), MAX_BACKDATED_BY)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        let made = params.self_signed(&*key_pair(&key)?).map_err(rcgen_refused)?;
        Self::new(read_back(&made)?, key)
    }

    /// Takes a CA from outside: the certificate must be a CA's, and the key its own.
    pub fn new(certificate: Certificate, key: PrivateKey) -> Result<Self, SignError> {
        let subject = || certificate.subject().to_owned();
        match certificate.role() {
            Role::Ca if key.matches(&certificate) => {
                let pair = SigningPair(key_pair(&key)?);
                let issuer = Issuer::from_ca_cert_der(certificate.der(), pair).map_err(rcgen_refused)?;
                Ok(Self { certificate, key, issuer })
            }
            Role::Ca => Err(SignError::KeyMismatch { subject: subject() }),
            Role::Leaf => Err(SignError::NoCa { subject: subject() }),
        }
    }

    /// The CA's certificate: the trust anchor of all it signs.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The CA's key, for the one who stores it.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Signs a leaf for both ends of a handshake, valid from a little before `now`, and verifies it.
    pub fn sign(
        &self,
        request: &LeafRequest<'_>,
        serial: Serial,
        now: SystemTime,
    ) -> Result<Certificate, SignError> {
        let ca_ends_at = self.certificate.not_after();
        if ca_ends_at <= now {
            return Err(SignError::Expired { subject: self.certificate.subject().to_owned() });
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name_only(request.common_name);
        params.subject_alt_names =
            request.hosts.iter().map(san).collect::<Result<_, _>>().map_err(rcgen_refused)?;
        params.serial_number = Some(serial.into());
        let ends_at = now.checked_add(request.lifetime).map(|at| at.min(ca_ends_at));
        (params.not_before, params.not_after) = dates(now, ends_at, request.backdated_by)?;
        params.is_ca = IsCa::ExplicitNoCa;
        // RSA key exchange of TLS 1.2 encrypts to the key; ECDSA keys cannot, and ignore it.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let public_key = SubjectPublicKeyInfo::from_der(request.public_key_info).map_err(rcgen_refused)?;
        let leaf = read_back(&params.signed_by(&public_key, &self.issuer).map_err(rcgen_refused)?)?;
        self.verify(&leaf, now)?;
        Ok(leaf)
    }

    fn verify(&self, leaf: &Certificate, now: SystemTime) -> Result<(), SignError> {
        let anchors = std::slice::from_ref(&self.certificate);
        let refused =
            |source| SignError::NotVerified { subject: self.certificate.subject().to_owned(), source };
        chain::verify(leaf, &[], anchors, now, Some(Usage::ServerAuth)).map_err(refused)?;
        // An anchor limits no usage, so the second one needs no second signature to be checked.
        if leaf.allows(Usage::ClientAuth) {
            return Ok(());
        }
        Err(refused(VerifyError::UsageNotAllowed { usage: Some(Usage::ClientAuth) }))
    }
}

impl PublicKeyData for SigningPair {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(&*self.0)
    }
}

impl SigningKey for SigningPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        SigningKey::sign(&*self.0, message)
    }
}

impl Serial {
    /// From chance; two bits are set so that the number is positive and as long as any other.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        Self(bytes)
    }

    /// 8 hex digits of it, for names that must differ.
    pub fn short(&self) -> String {
        self.0.iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect()
    }

    /// All of it in hex digits, as `openssl x509 -serial` prints them in capitals.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<Serial> for SerialNumber {
    fn from(serial: Serial) -> Self {
        Self::from_slice(&serial.0)
    }
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").field("certificate", &self.certificate).field("key", &self.key).finish()
    }
}

/// The public half of `key` as a [`LeafRequest`] takes it.
pub fn public_key_info(key: &PrivateKey) -> Result<Vec<u8>, SignError> {
    Ok(key_pair(key)?.subject_public_key_info())
}

pub(crate) fn key_pair(key: &PrivateKey) -> Result<Zeroizing<KeyPair>, SignError> {
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(key.pkcs8_der())).map(Zeroizing::new).map_err(rcgen_refused)
}

pub(crate) fn common_name_only(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

pub(crate) fn san(host: &Host) -> Result<SanType, rcgen::Error> {
    Ok(match host {
        Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
        Host::Address(address) => SanType::IpAddress(*address),
    })
}

/// How long before its making a leaf of this lifetime begins, in whole seconds as certificates count.
fn backdated_by(lifetime: Duration) -> Duration {
    Duration::from_secs((lifetime / BACKDATED_SHARE).as_secs()).min(MAX_BACKDATED_BY)
}

fn dates(
    now: SystemTime,
    ends_at: Option<SystemTime>,
    at_most: Duration,
) -> Result<(OffsetDateTime, OffsetDateTime), SignError> {
    // Of the life that is left to it: a CA near its end cuts leaves short.
    let lifetime = ends_at.and_then(|at| at.duration_since(now).ok()).unwrap_or(Duration::ZERO);
    let begins_at = now.checked_sub(backdated_by(lifetime).min(at_most));
    Ok((date(begins_at)?, date(ends_at)?))
}

fn date(at: Option<SystemTime>) -> Result<OffsetDateTime, SignError> {
    at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(SignError::Dates)
}

fn read_back(made: &rcgen::Certificate) -> Result<Certificate, SignError> {
    Certificate::from_der(made.der()).map_err(|source| SignError::Unreadable { source })
}

fn rcgen_refused(source: rcgen::Error) -> SignError {
    SignError::Rcgen { source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::key_kind::KeyAlgorithm;
    use crate::pki::testing;

    fn key(algorithm: KeyAlgorithm) -> PrivateKey {
        crate::pki::io::generate(algorithm).unwrap()
    }

    fn ca(lifetime: Duration) -> Ca {
        let serial = Serial::from_random([7; 16]);
        Ca::self_signed("test CA", key(KeyAlgorithm::default()), serial, lifetime, testing::now()).unwrap()
    }

    fn sign(ca: &Ca, key: &PrivateKey, lifetime: Duration) -> Result<Certificate, SignError> {
        let hosts: Vec<Host> =
            ["kafka-0.kafka", "10.0.0.1"].iter().map(|host| host.parse().unwrap()).collect();
        let public_key_info = public_key_info(key).unwrap();
        let request = LeafRequest {
            public_key_info: &public_key_info,
            common_name: "demo-node",
            hosts: &hosts,
            lifetime,
            backdated_by: MAX_BACKDATED_BY,
        };
        ca.sign(&request, Serial::from_random([0xff; 16]), testing::now())
    }

    #[test]
    fn a_leaf_is_what_was_asked_for_and_begins_a_little_before_its_making() {
        let ca = ca(testing::days(3650));
        for algorithm in KeyAlgorithm::ALL
            .into_iter()
            .filter(|a| !matches!(a, KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096))
        {
            let key = key(algorithm);
            let leaf = sign(&ca, &key, testing::days(30)).unwrap();
            assert!(key.matches(&leaf));
            assert_eq!(*leaf.key_kind(), algorithm.kind());
            assert_eq!((leaf.subject(), leaf.issuer()), ("CN=demo-node", "CN=test CA"));
            assert_eq!(leaf.dns_names(), ["kafka-0.kafka"]);
            assert_eq!(leaf.ip_addresses(), ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
            assert_eq!(leaf.not_before(), testing::now() - Duration::from_secs(300));
            assert_eq!(leaf.not_after(), testing::now() + testing::days(30));
            assert_eq!((leaf.role(), leaf.allows_digital_signature()), (Role::Leaf, true));
        }
    }

    #[test]
    fn a_leaf_never_outlives_its_ca() {
        let ca = ca(testing::days(10));
        let leaf = sign(&ca, &key(KeyAlgorithm::default()), testing::days(30)).unwrap();
        assert_eq!(leaf.not_after(), ca.certificate().not_after());
    }

    #[test]
    fn a_ca_may_sign_leaves_and_no_further_ca() {
        let ours = ca(testing::days(10));
        let (_, x509) = x509_parser::parse_x509_certificate(ours.certificate().der()).unwrap();
        let constraints = x509.basic_constraints().unwrap().unwrap();
        assert_eq!((constraints.critical, constraints.value.ca), (true, true));
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        let usage = x509.key_usage().unwrap().unwrap().value;
        assert_eq!((usage.key_cert_sign(), usage.crl_sign(), usage.digital_signature()), (true, true, false));
    }

    #[test]
    fn a_certificate_without_its_key_or_that_is_no_ca_is_no_ca() {
        let root = testing::root("root");
        let leaf = root.sign(testing::leaf_params("node", &["a"]));
        let check = |certificate: &Certificate, key, reason, message: &str| {
            let error = Ca::new(certificate.clone(), key).unwrap_err();
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, message));
        };
        let mismatch = "the key does not belong to the CA certificate \"CN=root\"";
        check(&root.certificate, leaf.private_key(), "CaKeyMismatch", mismatch);
        check(&leaf.certificate, leaf.private_key(), "CaIsNoCa", "\"CN=node\" is no CA certificate");
    }

    #[test]
    fn a_ca_past_its_time_signs_nothing() {
        let mut params = testing::ca_params("old");
        params.not_after = testing::now().into();
        let old = testing::Issued::self_signed(params, &rcgen::PKCS_ECDSA_P256_SHA256);
        let old = Ca::new(old.certificate.clone(), old.private_key()).unwrap();
        let error = sign(&old, &key(KeyAlgorithm::default()), testing::days(1)).unwrap_err();
        assert_eq!(error.to_string(), "the CA \"CN=old\" has expired");
    }

    // DC=com, DC=acme: rcgen keeps one value per attribute type, so the issuer it writes is not the CA's subject.
    #[test]
    fn a_ca_whose_name_repeats_a_type_is_found_out_before_anybody_sees_its_leaf() {
        let pem = include_bytes!("../../tests/fixtures/keys/repeated-dc-ca.pem");
        let certificate = chain::parse_pem(pem).unwrap().remove(0);
        assert_eq!(certificate.subject(), "CN=ca,DC=acme,DC=com");
        let ca = Ca::new(certificate, PrivateKey::from_pem(pem).unwrap()).unwrap();
        let error = sign(&ca, &key(KeyAlgorithm::default()), testing::days(1)).unwrap_err();
        assert_eq!(error.reason(), "CertificateNotVerified");
        assert!(
            matches!(error, SignError::NotVerified { source: VerifyError::UnknownIssuer { .. }, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn a_serial_is_positive_and_always_as_long() {
        for byte in [0, 0x7f, 0x80, 0xff] {
            let Serial(bytes) = Serial::from_random([byte; 16]);
            assert!((0x40..0x80).contains(&bytes[0]), "{bytes:?}");
        }
        assert_eq!(Serial::from_random([0xab; 16]).short(), "abababab");
    }
}
