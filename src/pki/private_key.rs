//! A private key in the one form Kafka reads: PKCS#8, not encrypted.
//!
//! Kafka's PEM store takes `BEGIN PRIVATE KEY` only (DefaultSslEngineFactory, KIP-651), while OpenSSL, cert-manager and
//! others also write PKCS#1 (`BEGIN RSA PRIVATE KEY`) and SEC1 (`BEGIN EC PRIVATE KEY`); those are converted. A key of a
//! kind that Kafka cannot serve is read too and knows its kind, so that preflight can name it beside all else that is
//! wrong with the pair.

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
use aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1_SIGNING;
use aws_lc_rs::signature::ECDSA_P521_SHA512_ASN1_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::EcdsaSigningAlgorithm;
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::asn1_rs::Any;
use x509_parser::asn1_rs::FromDer;
use x509_parser::asn1_rs::Tag;
use x509_parser::x509::AlgorithmIdentifier;
use zeroize::Zeroizing;

use crate::pki::certificate::Certificate;
use crate::pki::key_kind::KeyKind;
use crate::pki::key_kind::significant_bits;

/// A private key: never printed, never serialized, wiped on drop.
#[derive(Clone)]
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    kind: KeyKind,
    /// As a certificate carries it; empty where the key is of a kind that we cannot load.
    public_key: Vec<u8>,
}

/// Why some bytes are no key for a Kafka node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// Larger than any key in use.
    #[error("key file of {size} bytes; want at most {}", PrivateKey::MAX_PEM_BYTES)]
    TooLarge {
        /// Bytes found.
        size: usize,
    },
    /// No PEM block that holds a key.
    #[error("no private key in it; want one PEM block BEGIN PRIVATE KEY")]
    Missing,
    /// Kafka takes exactly one; which of them was meant is not ours to guess.
    #[error("{count} private keys in it; want one")]
    Several {
        /// Keys found.
        count: usize,
    },
    /// Encrypted, in any of the three ways.
    #[error("the private key is encrypted; want it without a password, as cert-manager writes it")]
    Encrypted,
    /// Not PEM, or PEM around something else.
    #[error("the private key cannot be parsed as {form}")]
    Malformed {
        /// `PEM`, `PKCS#8`, `PKCS#1 (RSA)` or `SEC1 (EC)`.
        form: &'static str,
    },
    /// PKCS#1 and SEC1 are converted only for kinds that Kafka serves.
    #[error("the private key is {kind}, in a form that is not converted; want PKCS#8 of RSA or ECDSA")]
    NotConverted {
        /// The kind found.
        kind: KeyKind,
    },
}

impl PrivateKeyError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "KeyTooLarge",
            Self::Missing => "KeyMissing",
            Self::Several { .. } => "KeySeveral",
            Self::Encrypted => "KeyEncrypted",
            Self::Malformed { .. } => "KeyMalformed",
            Self::NotConverted { .. } => "KeyNotConverted",
        }
    }
}

impl PrivateKey {
    /// The chain may be in the same file, and a Secret holds at most 1 MiB.
    pub const MAX_PEM_BYTES: usize = 1024 * 1024;

    /// Reads the one key in `pem`; certificates and text around it are passed over.
    pub fn from_pem(pem: &[u8]) -> Result<Self, PrivateKeyError> {
        if pem.len() > Self::MAX_PEM_BYTES {
            return Err(PrivateKeyError::TooLarge { size: pem.len() });
        }
        // The bodies of encrypted keys are not what their labels say, so this comes before any parsing.
        if contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, b"Proc-Type: 4,ENCRYPTED") {
            return Err(PrivateKeyError::Encrypted);
        }
        let keys = PrivateKeyDer::pem_slice_iter(pem)
            .map(|key| key.map(Zeroizing::new))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| PrivateKeyError::Malformed { form: "PEM" })?;
        let [key] = keys.as_slice() else {
            return Err(match keys.len() {
                0 => PrivateKeyError::Missing,
                count => PrivateKeyError::Several { count },
            });
        };
        match &**key {
            PrivateKeyDer::Pkcs8(der) => Self::from_pkcs8_der(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => Self::from_pkcs1_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(der) => Self::from_sec1_der(der.secret_sec1_der()),
            _ => Err(PrivateKeyError::Malformed { form: "PEM" }),
        }
    }

    /// Reads a PKCS#8 key of any kind. One that Kafka serves is written anew in version 1 of that form, so that no
    /// reader depends on what the key's maker put in or left out.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let malformed = || PrivateKeyError::Malformed { form: "PKCS#8" };
        let (algorithm, body) = split_pkcs8(der).ok_or_else(malformed)?;
        let kind = KeyKind::from_algorithm(&algorithm, rsa_bits(body).unwrap_or(0));
        let (pkcs8, public_key) = match &kind {
            KeyKind::Rsa { .. } if kind.is_weak() || !kind.is_served_by_kafka() => {
                rsa_bits(body).map(|_| (der.to_vec(), Vec::new())).ok_or_else(malformed)?
            }
            KeyKind::Rsa { .. } => rsa::KeyPair::from_pkcs8(der)
                .ok()
                .and_then(|pair| {
                    let pkcs8 = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).ok()?;
                    Some((pkcs8.as_ref().to_vec(), pair.public_key().as_ref().to_vec()))
                })
                .ok_or_else(malformed)?,
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => load_ec(&kind, der)
                .and_then(|pair| {
                    let pkcs8 = pair.to_pkcs8v1().ok()?;
                    Some((pkcs8.as_ref().to_vec(), pair.public_key().as_ref().to_vec()))
                })
                .ok_or_else(malformed)?,
            KeyKind::EcdsaOther { .. } | KeyKind::Other { .. } => (der.to_vec(), Vec::new()),
        };
        Ok(Self { pkcs8: Zeroizing::new(pkcs8), kind, public_key })
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let malformed = || PrivateKeyError::Malformed { form: "PKCS#1 (RSA)" };
        let kind = KeyKind::Rsa { bits: rsa_bits(der).ok_or_else(malformed)? };
        if kind.is_weak() || !kind.is_served_by_kafka() {
            return Err(PrivateKeyError::NotConverted { kind });
        }
        let pair = rsa::KeyPair::from_der(der).map_err(|_| malformed())?;
        let pkcs8 = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).map_err(|_| malformed())?;
        Self::from_pkcs8_der(pkcs8.as_ref())
    }

    fn from_sec1_der(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let malformed = || PrivateKeyError::Malformed { form: "SEC1 (EC)" };
        let curve = sec1_curve(der).ok_or_else(malformed)?;
        let kind = KeyKind::from_oids("1.2.840.10045.2.1", Some(&curve), 0);
        if !kind.is_served_by_kafka() {
            return Err(PrivateKeyError::NotConverted { kind });
        }
        let pair = load_ec(&kind, der).ok_or_else(malformed)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| malformed())?;
        Self::from_pkcs8_der(pkcs8.as_ref())
    }

    /// Kind and size.
    pub fn kind(&self) -> &KeyKind {
        &self.kind
    }

    /// The key as PKCS#8 in DER. For those who write a store or load it to sign; nobody prints it.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The key as a PEM block `PRIVATE KEY`.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(STANDARD.encode(self.pkcs8.as_slice()));
        // Sized at once: a string that grows would leave copies of the key behind.
        let mut pem = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 64));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        for (index, c) in body.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(c);
        }
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        pem
    }

    /// The public half as a certificate carries it; empty for a kind that Kafka does not serve and for a weak one.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Whether `leaf` is the certificate of this key. Never true for a kind that Kafka does not serve.
    pub fn matches(&self, leaf: &Certificate) -> bool {
        !self.public_key.is_empty() && self.kind == *leaf.key_kind() && self.public_key == leaf.public_key()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Display for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// PKCS#8: a sequence of version, algorithm, and the key of that algorithm as an octet string.
fn split_pkcs8(der: &[u8]) -> Option<(AlgorithmIdentifier<'_>, &[u8])> {
    let outer = sequence(der)?;
    let (rest, _version) = element(outer, Tag::Integer)?;
    let (rest, algorithm) = AlgorithmIdentifier::from_der(rest).ok()?;
    let (_attributes, body) = element(rest, Tag::OctetString)?;
    Some((algorithm, body))
}

/// The bits of the modulus, the second number of an RSAPrivateKey (RFC 8017).
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let (rest, _version) = element(sequence(der)?, Tag::Integer)?;
    let (_rest, modulus) = element(rest, Tag::Integer)?;
    Some(significant_bits(modulus))
}

/// The curve in the parameters of an ECPrivateKey (RFC 5915).
fn sec1_curve(der: &[u8]) -> Option<String> {
    let (rest, _version) = element(sequence(der)?, Tag::Integer)?;
    let (rest, _key) = element(rest, Tag::OctetString)?;
    let (_rest, parameters) = Any::from_der(rest).ok()?;
    let (_rest, curve) = Any::from_der(parameters.data).ok()?;
    if curve.tag() != Tag::Oid {
        return None;
    }
    Some(curve.as_oid().ok()?.to_id_string())
}

fn sequence(der: &[u8]) -> Option<&[u8]> {
    element(der, Tag::Sequence).map(|(_rest, content)| content)
}

fn element(der: &[u8], tag: Tag) -> Option<(&[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    (any.tag() == tag).then_some((rest, any.data))
}

fn load_ec(kind: &KeyKind, der: &[u8]) -> Option<EcdsaKeyPair> {
    let algorithm: &'static EcdsaSigningAlgorithm = match kind {
        KeyKind::EcdsaP256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        KeyKind::EcdsaP384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        KeyKind::EcdsaP521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        KeyKind::Rsa { .. } | KeyKind::EcdsaOther { .. } | KeyKind::Other { .. } => return None,
    };
    EcdsaKeyPair::from_private_key_der(algorithm, der).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pki::testing;

    const P256_SEC1: &[u8] = include_bytes!("../../tests/fixtures/keys/p256.sec1.pem");
    const RSA_PKCS1: &[u8] = include_bytes!("../../tests/fixtures/keys/rsa2048.pkcs1.pem");

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/fixtures/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn every_form_of_a_served_key_becomes_the_pkcs8_that_openssl_writes() {
        let check = |name: &str, pkcs8: &str, kind: &str| {
            let key = PrivateKey::from_pem(&fixture(name)).unwrap();
            assert_eq!(key.to_pem().as_bytes(), fixture(pkcs8), "{name}");
            assert_eq!(key.kind().to_string(), kind);
            assert!(key.kind().is_served_by_kafka() && !key.public_key().is_empty());
        };
        check("p256.sec1", "p256.pkcs8", "ECDSA on P-256");
        check("p256.pkcs8", "p256.pkcs8", "ECDSA on P-256");
        check("rsa2048.pkcs1", "rsa2048.pkcs8", "RSA of 2048 bits");
        check("rsa2048.pkcs8", "rsa2048.pkcs8", "RSA of 2048 bits");
        for name in ["p384.sec1", "p521.sec1"] {
            let key = PrivateKey::from_pem(&fixture(name)).unwrap();
            let again = PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap();
            assert_eq!((again.kind(), again.public_key()), (key.kind(), key.public_key()));
        }
    }

    #[test]
    fn a_key_that_kafka_cannot_serve_is_read_and_named() {
        let check = |name: &str, kind: &str, served, weak| {
            let key = PrivateKey::from_pem(&fixture(name)).unwrap();
            let found = (key.kind().to_string(), key.kind().is_served_by_kafka(), key.kind().is_weak());
            assert_eq!(found, (kind.to_owned(), served, weak), "{name}");
            assert!(key.public_key().is_empty());
        };
        check("ed25519.pkcs8", "Ed25519", false, false);
        check("rsapss.pkcs8", "RSASSA-PSS", false, false);
        check("dsa.pkcs8", "DSA", false, false);
        check("secp256k1.pkcs8", "ECDSA on curve secp256k1", false, false);
        check("p224.pkcs8", "ECDSA on curve P-224", false, true);
        check("explicit.pkcs8", "ECDSA on curve given by explicit parameters", false, false);
        check("rsa1024.pkcs8", "RSA of 1024 bits", true, true);
    }

    #[test]
    fn what_is_no_key_for_a_node_has_its_own_sentence() {
        let check = |pem: &[u8], reason, message: &str| {
            let error = PrivateKey::from_pem(pem).unwrap_err();
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, message));
        };
        let encrypted = "the private key is encrypted; want it without a password, as cert-manager writes it";
        check(&fixture("encrypted.pkcs8"), "KeyEncrypted", encrypted);
        check(&fixture("encrypted.sec1"), "KeyEncrypted", encrypted);
        let missing = "no private key in it; want one PEM block BEGIN PRIVATE KEY";
        check(b"", "KeyMissing", missing);
        check(b"\xff\xfe binary \0", "KeyMissing", missing);
        let not_converted = "in a form that is not converted; want PKCS#8 of RSA or ECDSA";
        let rsa = format!("the private key is RSA of 1024 bits, {not_converted}");
        check(&fixture("rsa1024.pkcs1"), "KeyNotConverted", &rsa);
        let curve = format!("the private key is ECDSA on curve P-224, {not_converted}");
        check(&fixture("p224.sec1"), "KeyNotConverted", &curve);
        check(&[P256_SEC1, RSA_PKCS1].concat(), "KeySeveral", "2 private keys in it; want one");
        check(&P256_SEC1[..P256_SEC1.len() - 40], "KeyMalformed", "the private key cannot be parsed as PEM");
        let label = |from: &str, to: &str| String::from_utf8(P256_SEC1.to_vec()).unwrap().replace(from, to);
        check(
            label("EC PRIVATE", "PRIVATE").as_bytes(),
            "KeyMalformed",
            "the private key cannot be parsed as PKCS#8",
        );
        check(
            &vec![b'x'; PrivateKey::MAX_PEM_BYTES + 1],
            "KeyTooLarge",
            "key file of 1048577 bytes; want at most 1048576",
        );
    }

    #[test]
    fn a_key_matches_its_own_leaf_and_no_other() {
        let (ca, other) = (testing::root("a"), testing::root("a"));
        assert!(ca.private_key().matches(&ca.certificate));
        assert!(!ca.private_key().matches(&other.certificate));
        let rsa = PrivateKey::from_pem(RSA_PKCS1).unwrap();
        assert!(!rsa.matches(&ca.certificate));
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = PrivateKey::from_pem(P256_SEC1).unwrap();
        assert_eq!(format!("{key} {key:?} {:?}", Some(&key)), "<redacted> <redacted> Some(<redacted>)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_bytes_make_it_panic(
            which in 0..3usize,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut pem = match which {
                0 => P256_SEC1.to_vec(),
                1 => RSA_PKCS1.to_vec(),
                _ => noise.clone(),
            };
            for (index, byte) in changes.iter().filter(|_| which < 2) {
                let at = index.index(pem.len());
                pem[at] = *byte;
            }
            let _ = PrivateKey::from_pem(&pem);
            let _ = PrivateKey::from_pkcs8_der(&noise);
            // And the same below the PEM: any DER in a well-formed block.
            let block = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(&noise));
            let _ = PrivateKey::from_pem(block.as_bytes());
        }

        #[test]
        fn no_changed_der_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut der = PrivateKey::from_pem(P256_SEC1).unwrap().pkcs8_der().to_vec();
            let at = at.index(der.len());
            der[at] = byte;
            let _ = PrivateKey::from_pkcs8_der(&der);
            let _ = PrivateKey::from_sec1_der(&der);
            let _ = PrivateKey::from_pkcs1_der(&der);
        }
    }
}
