//! The facts of one X.509 certificate that Kafka or its peers act upon.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::time::Duration;
use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;
use x509_parser::x509::X509Name;

use crate::pki::key_kind::KeyKind;
use crate::pki::key_kind::significant_bits;
use crate::pki::subject;
use crate::pki::validity::Validity;

/// One certificate: its bytes and what they say, parsed once.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    subject: String,
    issuer: String,
    /// Where the subject is one common name and nothing else.
    common_name: Option<String>,
    raw_subject: Vec<u8>,
    raw_issuer: Vec<u8>,
    dns_names: Vec<String>,
    ip_addresses: Vec<IpAddr>,
    not_before: SystemTime,
    not_after: SystemTime,
    /// `None`: the extension is absent, and every usage is allowed.
    extended_key_usage: Option<BTreeSet<Usage>>,
    signing: Signing,
    role: Role,
    key_kind: KeyKind,
    public_key: Vec<u8>,
    public_key_info: Vec<u8>,
    signature_algorithm: String,
    fingerprint: Fingerprint,
}

/// SHA-256 of a certificate: what tells two leaves apart in messages and in handshakes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// Text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hex digits in small letters")]
pub struct FingerprintError;

/// What a leaf may be used for in a handshake. A Kafka node is both: it serves, and it is a client of its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// `serverAuth`.
    ServerAuth,
    /// `clientAuth`.
    ClientAuth,
}

/// Whether a certificate may issue others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Basic constraints say `CA:TRUE`.
    Ca,
    /// All others.
    Leaf,
}

/// What the key usage extension says about signing, which every handshake with ECDHE does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signing {
    Allowed,
    Forbidden,
}

/// Bytes that are no certificate we could judge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Larger than any certificate in use.
    #[error("certificate of {size} bytes; want at most {}", Certificate::MAX_BYTES)]
    TooLarge {
        /// Bytes found.
        size: usize,
    },
    /// No X.509 at all, or a part of it broken.
    #[error("not an X.509 certificate: {what}")]
    Malformed {
        /// What the parser said, or which part is wrong.
        what: String,
    },
}

impl CertificateError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "CertificateTooLarge",
            Self::Malformed { .. } => "CertificateMalformed",
        }
    }
}

impl Certificate {
    /// A certificate with hundreds of names has some 20 KiB; TLS itself would carry 16 MiB.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Parses one DER certificate; bytes after it are an error.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > Self::MAX_BYTES {
            return Err(CertificateError::TooLarge { size: der.len() });
        }
        let (rest, x509) = X509Certificate::from_der(der).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed { what: format!("{} bytes follow it", rest.len()) });
        }
        let (dns_names, ip_addresses) = subject_alternative_names(&x509)?;
        let key = x509.public_key();
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            subject: subject::render(x509.subject()),
            issuer: subject::render(x509.issuer()),
            common_name: only_common_name(x509.subject()),
            raw_subject: x509.subject().as_raw().to_vec(),
            raw_issuer: x509.issuer().as_raw().to_vec(),
            dns_names,
            ip_addresses,
            not_before: system_time(x509.validity().not_before)?,
            not_after: system_time(x509.validity().not_after)?,
            extended_key_usage: extended_key_usage(&x509)?,
            signing: signing(&x509)?,
            role: match x509.basic_constraints().map_err(malformed)? {
                Some(constraints) if constraints.value.ca => Role::Ca,
                _ => Role::Leaf,
            },
            key_kind: key_kind(key),
            public_key: key.subject_public_key.data.to_vec(),
            public_key_info: key.raw.to_vec(),
            signature_algorithm: x509.signature_algorithm.algorithm.to_id_string(),
            fingerprint: Fingerprint::of(der),
        })
    }

    /// The bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The subject as Kafka's principal has it after `User:`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The common name as it is, unescaped, where it is all of the subject.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The issuer, in the same notation.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Subject alternative names of type dNSName, as written, wildcards included.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// Subject alternative names of type iPAddress.
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.ip_addresses
    }

    /// The first second at which it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The last second at which it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Both dates.
    pub fn validity(&self) -> Validity {
        Validity { not_before: self.not_before, not_after: self.not_after }
    }

    /// Whether the extended key usage names this usage, or is absent.
    ///
    /// `anyExtendedKeyUsage` counts for nothing: Java takes it, rustls and with it our own probes do not.
    pub fn allows(&self, usage: Usage) -> bool {
        self.extended_key_usage.as_ref().is_none_or(|usages| usages.contains(&usage))
    }

    /// Whether the key usage, where present, lets the key sign a handshake (Java's `EndEntityChecker` insists).
    pub fn allows_digital_signature(&self) -> bool {
        self.signing == Signing::Allowed
    }

    /// CA or leaf.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Kind and size of its key.
    pub fn key_kind(&self) -> &KeyKind {
        &self.key_kind
    }

    /// The public key without its algorithm: an EC point, or an RSAPublicKey.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The public key with its algorithm: SubjectPublicKeyInfo in DER.
    pub fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// SHA-256 over the bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether `issuer` bears the name this certificate gives for its issuer. Says nothing about signatures.
    pub fn names_as_issuer(&self, issuer: &Self) -> bool {
        self.raw_issuer == issuer.raw_subject
    }

    /// Whether it names itself as its issuer, as roots do.
    pub fn is_self_issued(&self) -> bool {
        self.raw_issuer == self.raw_subject
    }

    /// The name of a broken hash in its signature; `None` for a sound one. A root's own signature protects nothing.
    pub fn weak_signature(&self) -> Option<&'static str> {
        match self.signature_algorithm.as_str() {
            "1.2.840.113549.1.1.2" => Some("MD2"),
            "1.2.840.113549.1.1.4" => Some("MD5"),
            "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => {
                Some("SHA-1")
            }
            _ => None,
        }
    }
}

impl Fingerprint {
    /// Of these bytes.
    pub fn of(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self(bytes)
    }

    /// The first 8 hex digits, enough for a message.
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

/// The 64 hex digits that `Display` prints; capital ones and colons between, as OpenSSL prints them, are refused.
impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(FingerprintError);
        }
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low).ok_or(FingerprintError)?;
        }
        Ok(Self(bytes))
    }
}

impl Usage {
    /// The word that OpenSSL and cert-manager use.
    pub fn word(self) -> &'static str {
        match self {
            Self::ServerAuth => "serverAuth",
            Self::ClientAuth => "clientAuth",
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} {:?})", self.fingerprint.short(), self.subject)
    }
}

fn malformed(error: impl fmt::Display) -> CertificateError {
    CertificateError::Malformed { what: error.to_string() }
}

fn only_common_name(name: &X509Name<'_>) -> Option<String> {
    let common_name = name.iter_common_name().next()?.as_str().ok()?;
    (name.iter_attributes().count() == 1).then(|| common_name.to_owned())
}

fn system_time(time: ASN1Time) -> Result<SystemTime, CertificateError> {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
    .ok_or_else(|| malformed("a date out of range"))
}

fn subject_alternative_names(
    x509: &X509Certificate<'_>,
) -> Result<(Vec<String>, Vec<IpAddr>), CertificateError> {
    let mut dns_names = Vec::new();
    let mut ip_addresses = Vec::new();
    let Some(extension) = x509.subject_alternative_name().map_err(malformed)? else {
        return Ok((dns_names, ip_addresses));
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => ip_addresses.push(ip_address(bytes)?),
            _ => {}
        }
    }
    Ok((dns_names, ip_addresses))
}

fn ip_address(bytes: &[u8]) -> Result<IpAddr, CertificateError> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    <[u8; 16]>::try_from(bytes)
        .map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
        .map_err(|_| malformed(format!("an IP address of {} bytes among its names", bytes.len())))
}

fn extended_key_usage(x509: &X509Certificate<'_>) -> Result<Option<BTreeSet<Usage>>, CertificateError> {
    Ok(x509.extended_key_usage().map_err(malformed)?.map(|extension| {
        [(extension.value.server_auth, Usage::ServerAuth), (extension.value.client_auth, Usage::ClientAuth)]
            .into_iter()
            .filter_map(|(named, usage)| named.then_some(usage))
            .collect()
    }))
}

fn signing(x509: &X509Certificate<'_>) -> Result<Signing, CertificateError> {
    Ok(match x509.key_usage().map_err(malformed)? {
        Some(extension) if !extension.value.digital_signature() => Signing::Forbidden,
        _ => Signing::Allowed,
    })
}

fn key_kind(key: &SubjectPublicKeyInfo<'_>) -> KeyKind {
    let rsa_bits = match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => significant_bits(rsa.modulus),
        _ => 0,
    };
    KeyKind::from_algorithm(&key.algorithm, rsa_bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::ExtendedKeyUsagePurpose;
    use rcgen::IsCa;
    use rcgen::KeyUsagePurpose;

    use super::*;
    use crate::pki::testing;

    #[test]
    fn a_fingerprint_is_read_as_it_is_printed() {
        let fingerprint = Fingerprint::of(b"x");
        let text = fingerprint.to_string();
        assert_eq!(text.parse(), Ok(fingerprint));
        for wrong in ["", &text[1..], &format!("{text}0"), &text.to_uppercase(), &text.replace('2', "g")] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError), "{wrong}");
        }
    }

    #[test]
    fn a_leaf_tells_its_facts() {
        let ca = testing::root("ca");
        let leaf =
            ca.sign(testing::leaf_params("demo-node", &["kafka-0.kafka", "10.0.0.1", "*.x", "fd00::1"]));
        let found = &leaf.certificate;
        assert_eq!(
            (found.subject(), found.issuer(), found.common_name()),
            ("CN=demo-node", "CN=ca", Some("demo-node"))
        );
        assert_eq!(found.dns_names(), ["kafka-0.kafka", "*.x"]);
        let addresses: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        assert_eq!(found.ip_addresses(), addresses);
        let day = testing::days(1);
        assert_eq!(
            (found.not_before(), found.not_after()),
            (testing::now() - day, testing::now() + day * 89)
        );
        assert!(found.allows(Usage::ServerAuth) && found.allows(Usage::ClientAuth));
        assert!(found.allows_digital_signature());
        assert_eq!((found.role(), found.key_kind()), (Role::Leaf, &KeyKind::EcdsaP256));
        assert!(found.names_as_issuer(&ca.certificate) && !found.is_self_issued());
        assert!(ca.certificate.is_self_issued() && ca.certificate.role() == Role::Ca);
        assert_eq!(found.weak_signature(), None);
        assert_eq!(found.fingerprint().to_string().len(), 64);
        assert!(found.fingerprint().to_string().starts_with(&found.fingerprint().short()));
        assert_eq!(found.fingerprint().short().len(), 8);
    }

    #[test]
    fn usages_are_those_the_extension_names_and_all_without_it() {
        let ca = testing::root("ca");
        let check = |named: &[ExtendedKeyUsagePurpose], server, client| {
            let mut params = testing::leaf_params("n", &[]);
            params.extended_key_usages = named.to_vec();
            let leaf = ca.sign(params).certificate;
            assert_eq!((leaf.allows(Usage::ServerAuth), leaf.allows(Usage::ClientAuth)), (server, client));
        };
        check(&[], true, true);
        check(&[ExtendedKeyUsagePurpose::ServerAuth], true, false);
        check(&[ExtendedKeyUsagePurpose::ClientAuth], false, true);
        check(&[ExtendedKeyUsagePurpose::Any], false, false);
    }

    #[test]
    fn a_key_usage_without_signing_is_seen() {
        let mut params = testing::leaf_params("n", &[]);
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        params.is_ca = IsCa::ExplicitNoCa;
        let leaf = testing::root("ca").sign(params).certificate;
        assert!(!leaf.allows_digital_signature() && leaf.role() == Role::Leaf);
    }

    #[test]
    fn a_subject_of_two_parts_is_no_common_name_alone() {
        let mut params = testing::leaf_params("n", &[]);
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "acme");
        let leaf = testing::root("ca").sign(params).certificate;
        assert_eq!((leaf.subject(), leaf.common_name()), ("O=acme,CN=n", None));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let der = testing::root("ca").certificate.der().to_vec();
        let check = |der: &[u8], reason, message: &str| {
            let error = Certificate::from_der(der).unwrap_err();
            assert_eq!(error.reason(), reason);
            assert!(error.to_string().starts_with(message), "{error}");
        };
        check(b"", "CertificateMalformed", "not an X.509 certificate: ");
        check(&der[..der.len() - 1], "CertificateMalformed", "not an X.509 certificate: ");
        check(
            &[&der[..], b"xy"].concat(),
            "CertificateMalformed",
            "not an X.509 certificate: 2 bytes follow it",
        );
        check(&[0; 64 * 1024 + 1], "CertificateTooLarge", "certificate of 65537 bytes; want at most 65536");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_changed_byte_makes_it_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut der = EXAMPLE.with(Clone::clone);
            for (index, byte) in changes {
                let at = index.index(der.len());
                der[at] = byte;
            }
            if let Ok(certificate) = Certificate::from_der(&der) {
                let _ = (format!("{certificate:?}"), certificate.weak_signature());
            }
        }
    }

    thread_local! {
        static EXAMPLE: Vec<u8> = {
            let params = testing::leaf_params("demo-node", &["kafka-0.kafka", "10.0.0.1"]);
            testing::root("ca").sign(params).certificate.der().to_vec()
        };
    }
}
