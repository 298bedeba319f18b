//! The kinds of keys, and which of them Kafka can serve.

use std::fmt;
use std::str::FromStr;

use x509_parser::asn1_rs::Any;
use x509_parser::asn1_rs::Tag;
use x509_parser::x509::AlgorithmIdentifier;

/// The kind of a key that was found somewhere, in a file or in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with the bits of its modulus.
    Rsa {
        /// Bits of the modulus.
        bits: usize,
    },
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// ECDSA on NIST P-521.
    EcdsaP521,
    /// ECDSA on another curve, by name where we know it and by OID otherwise.
    EcdsaOther {
        /// `P-224`, `secp256k1` … or the OID.
        curve: String,
    },
    /// Anything else: `Ed25519`, `DSA`, `RSASSA-PSS` … or the OID.
    Other {
        /// The name, or the OID where we know none.
        name: String,
    },
}

/// The kind of a key that is to be made: a closed set, all of which Kafka and every TLS peer take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum KeyAlgorithm {
    /// The default: small, fast to make, taken everywhere.
    #[default]
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
}

/// A word that names no algorithm.
#[derive(Debug, thiserror::Error)]
#[error("unknown key algorithm {found:?}; want ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or rsa-4096")]
pub struct UnknownKeyAlgorithm {
    found: String,
}

impl UnknownKeyAlgorithm {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "UnknownKeyAlgorithm"
    }
}

impl KeyKind {
    /// RSA keys below this are refused by today's TLS libraries, ours among them.
    pub const MIN_RSA_BITS: usize = 2048;
    /// Above this aws-lc does not load an RSA key, so our own probes could not use it.
    pub const MAX_RSA_BITS: usize = 8192;

    /// By the OIDs of a SubjectPublicKeyInfo or of a PKCS#8 key; `rsa_bits` is used for RSA only.
    pub fn from_oids(algorithm: &str, curve: Option<&str>, rsa_bits: usize) -> Self {
        let name = match algorithm {
            "1.2.840.113549.1.1.1" => return Self::Rsa { bits: rsa_bits },
            "1.2.840.10045.2.1" => return Self::from_curve(curve),
            "1.2.840.113549.1.1.10" => "RSASSA-PSS",
            "1.2.840.10040.4.1" => "DSA",
            "1.2.840.113549.1.3.1" => "Diffie-Hellman",
            "1.3.101.110" => "X25519",
            "1.3.101.111" => "X448",
            "1.3.101.112" => "Ed25519",
            "1.3.101.113" => "Ed448",
            "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
            "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
            "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
            other => other,
        };
        Self::Other { name: name.to_owned() }
    }

    /// By an AlgorithmIdentifier; `rsa_bits` is used for RSA only.
    pub fn from_algorithm(algorithm: &AlgorithmIdentifier<'_>, rsa_bits: usize) -> Self {
        // `as_oid` takes the bytes of any type for an OID, explicit curve parameters among them.
        let is_named = |parameters: &&Any<'_>| parameters.tag() == Tag::Oid;
        let curve = algorithm.parameters.as_ref().filter(is_named).and_then(|curve| curve.as_oid().ok());
        let curve = curve.map(|oid| oid.to_id_string());
        Self::from_oids(&algorithm.algorithm.to_id_string(), curve.as_deref(), rsa_bits)
    }

    fn from_curve(curve: Option<&str>) -> Self {
        let name = match curve {
            Some("1.2.840.10045.3.1.7") => return Self::EcdsaP256,
            Some("1.3.132.0.34") => return Self::EcdsaP384,
            Some("1.3.132.0.35") => return Self::EcdsaP521,
            Some("1.2.840.10045.3.1.1") => "P-192",
            Some("1.3.132.0.33") => "P-224",
            Some("1.3.132.0.10") => "secp256k1",
            Some("1.3.36.3.3.2.8.1.1.7") => "brainpoolP256r1",
            Some("1.3.36.3.3.2.8.1.1.11") => "brainpoolP384r1",
            Some(oid) => oid,
            None => "given by explicit parameters",
        };
        Self::EcdsaOther { curve: name.to_owned() }
    }

    /// Whether Kafka loads the key and its Java can use it in a handshake.
    ///
    /// `DefaultSslEngineFactory` tries the key factories RSA, DSA and EC only (Ed25519 ends in a misleading
    /// `Invalid RSA private key`); TLS 1.3 knows no DSA; and Java 16 and later know no other curves than these three.
    pub fn is_served_by_kafka(&self) -> bool {
        match self {
            Self::Rsa { bits } => *bits <= Self::MAX_RSA_BITS,
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => true,
            Self::EcdsaOther { .. } | Self::Other { .. } => false,
        }
    }

    /// Whether the key is too small to be worth serving, whatever its kind.
    pub fn is_weak(&self) -> bool {
        match self {
            Self::Rsa { bits } => *bits < Self::MIN_RSA_BITS,
            Self::EcdsaOther { curve } => matches!(curve.as_str(), "P-192" | "P-224"),
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 | Self::Other { .. } => false,
        }
    }
}

/// The bits of a big-endian number, leading zeros aside.
pub fn significant_bits(number: &[u8]) -> usize {
    let digits = number.iter().skip_while(|byte| **byte == 0).count();
    let first = number.iter().find(|byte| **byte != 0).map_or(0, |byte| byte.leading_zeros() as usize);
    digits * 8 - first
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA of {bits} bits"),
            Self::EcdsaP256 => f.write_str("ECDSA on P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA on P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA on P-521"),
            Self::EcdsaOther { curve } => write!(f, "ECDSA on curve {curve}"),
            Self::Other { name } => f.write_str(name),
        }
    }
}

impl KeyAlgorithm {
    /// What a projected pod certificate calls it (`keyType`, KEP-4317); it knows no RSA keys of 2048 bits.
    pub fn pod_certificate_key_type(self) -> Option<&'static str> {
        match self {
            Self::EcdsaP256 => Some("ECDSAP256"),
            Self::EcdsaP384 => Some("ECDSAP384"),
            Self::Rsa2048 => None,
            Self::Rsa3072 => Some("RSA3072"),
            Self::Rsa4096 => Some("RSA4096"),
        }
    }

    /// All of them, in the order in which help texts list them.
    pub const ALL: [Self; 5] =
        [Self::EcdsaP256, Self::EcdsaP384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The kind a key made by this algorithm has.
    pub fn kind(self) -> KeyKind {
        match self {
            Self::EcdsaP256 => KeyKind::EcdsaP256,
            Self::EcdsaP384 => KeyKind::EcdsaP384,
            Self::Rsa2048 => KeyKind::Rsa { bits: 2048 },
            Self::Rsa3072 => KeyKind::Rsa { bits: 3072 },
            Self::Rsa4096 => KeyKind::Rsa { bits: 4096 },
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownKeyAlgorithm;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.word() == word)
            .ok_or_else(|| UnknownKeyAlgorithm { found: word.chars().take(40).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_algorithm_prints_it_reads() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(algorithm.to_string().parse::<KeyAlgorithm>().unwrap(), algorithm);
            assert!(algorithm.kind().is_served_by_kafka() && !algorithm.kind().is_weak());
        }
        assert_eq!(KeyAlgorithm::default().to_string(), "ecdsa-p256");
        let error = "Ed25519".parse::<KeyAlgorithm>().unwrap_err();
        assert!(
            error.to_string().starts_with("unknown key algorithm \"Ed25519\"; want ecdsa-p256"),
            "{error}"
        );
    }

    #[test]
    fn kinds_are_named_and_judged() {
        let check = |algorithm, curve, bits, name: &str, served, weak| {
            let kind = KeyKind::from_oids(algorithm, curve, bits);
            assert_eq!(
                (kind.to_string().as_str(), kind.is_served_by_kafka(), kind.is_weak()),
                (name, served, weak)
            );
        };
        let ec = "1.2.840.10045.2.1";
        check("1.2.840.113549.1.1.1", None, 1024, "RSA of 1024 bits", true, true);
        check("1.2.840.113549.1.1.1", None, 4096, "RSA of 4096 bits", true, false);
        check("1.2.840.113549.1.1.1", None, 16384, "RSA of 16384 bits", false, false);
        check(ec, Some("1.3.132.0.34"), 0, "ECDSA on P-384", true, false);
        check(ec, Some("1.3.132.0.33"), 0, "ECDSA on curve P-224", false, true);
        check(ec, Some("1.3.132.0.10"), 0, "ECDSA on curve secp256k1", false, false);
        check(ec, None, 0, "ECDSA on curve given by explicit parameters", false, false);
        check("1.3.101.112", None, 0, "Ed25519", false, false);
        check("1.2.3.4", None, 0, "1.2.3.4", false, false);
    }
}
