//! The certificates in a Java KeyStore (JKS).
//!
//! In this form only private keys are encrypted, each with the password; certificates stand there as they are. So the
//! leaf, its chain and the trust anchors can be read and compared without the password, and the key cannot be read at
//! all: it is taken from a PEM file beside the store. The form is that of `sun.security.provider.JavaKeyStore`.

use crate::pki::certificate::Certificate;
use crate::pki::certificate::CertificateError;

/// What a JKS file holds that can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jks {
    /// The chain of each private key, the leaf first.
    pub chains: Vec<Vec<Certificate>>,
    /// Certificates that stand alone: trust anchors.
    pub trusted: Vec<Certificate>,
}

/// Bytes that are no JKS store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JksError {
    /// It begins otherwise, or with a version that was never given out.
    #[error("not a JKS store of version 1 or 2")]
    NotJks,
    /// It ends before its last entry does.
    #[error("the JKS store ends before entry {entry} does")]
    Truncated {
        /// Counted from one.
        entry: u32,
    },
    /// An entry that is neither key nor certificate, or a certificate that is not X.509.
    #[error("entry {entry} of the JKS store is of an unknown kind")]
    Unknown {
        /// Counted from one.
        entry: u32,
    },
    /// A certificate that cannot be parsed.
    #[error("a certificate of entry {entry} cannot be parsed")]
    Certificate {
        /// Counted from one.
        entry: u32,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
}

impl JksError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotJks | Self::Truncated { .. } | Self::Unknown { .. } => "JksMalformed",
            Self::Certificate { source, .. } => source.reason(),
        }
    }
}

const MAGIC: u32 = 0xfeed_feed;
const KEY: u32 = 1;
const CERTIFICATE: u32 = 2;

impl Jks {
    /// Whether the bytes begin as a JKS store does, whatever its name says.
    pub fn is_one(bytes: &[u8]) -> bool {
        Reader { rest: bytes }.u32() == Some(MAGIC)
    }

    /// Reads all entries. The digest at the end needs the password and is not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, JksError> {
        let mut reader = Reader { rest: bytes };
        let version = match (reader.u32(), reader.u32()) {
            (Some(MAGIC), Some(version @ (1 | 2))) => version,
            _ => return Err(JksError::NotJks),
        };
        let mut jks = Self::default();
        // Each entry takes bytes, so a count that lies ends with the file.
        for entry in 1..=reader.u32().ok_or(JksError::NotJks)? {
            let cut = JksError::Truncated { entry };
            let kind = reader.entry_kind().ok_or(cut.clone())?;
            match kind {
                KEY => {
                    let count = reader.key().ok_or(cut)?;
                    let chain = (0..count).map(|_| reader.certificate(version, entry));
                    jks.chains.push(chain.collect::<Result<_, _>>()?);
                }
                CERTIFICATE => jks.trusted.push(reader.certificate(version, entry)?),
                _ => return Err(JksError::Unknown { entry }),
            }
        }
        Ok(jks)
    }
}

/// Big-endian numbers and counted bytes, off the front.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Past alias and date.
    fn entry_kind(&mut self) -> Option<u32> {
        let kind = self.u32()?;
        let alias = self.u16()?;
        self.take(usize::from(alias) + 8)?;
        Some(kind)
    }

    /// Past the encrypted key, to the count of its certificates.
    fn key(&mut self) -> Option<u32> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)?;
        self.u32()
    }

    fn certificate(&mut self, version: u32, entry: u32) -> Result<Certificate, JksError> {
        let cut = JksError::Truncated { entry };
        if version == 2 {
            let length = self.u16().ok_or(cut.clone())?;
            let kind = self.take(usize::from(length)).ok_or(cut.clone())?;
            if kind != b"X.509" {
                return Err(JksError::Unknown { entry });
            }
        }
        let der = self.u32().and_then(|length| self.take(usize::try_from(length).ok()?)).ok_or(cut)?;
        Certificate::from_der(der).map_err(|source| JksError::Certificate { entry, source })
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by keytool of JDK 17: a key with its leaf and root, and the root alone (tests/fixtures/stores/README.md).
    const KEYSTORE: &[u8] = include_bytes!("../../tests/fixtures/stores/keystore.jks");
    const TRUSTSTORE: &[u8] = include_bytes!("../../tests/fixtures/stores/truststore.jks");

    #[test]
    fn the_certificates_of_keytools_stores_are_read_without_the_password() {
        let jks = Jks::parse(KEYSTORE).unwrap();
        let subjects: Vec<Vec<&str>> =
            jks.chains.iter().map(|chain| chain.iter().map(Certificate::subject).collect()).collect();
        assert_eq!(subjects, [["CN=demo-pods.demo.svc", "CN=ca"]]);
        assert!(jks.trusted.is_empty() && Jks::is_one(KEYSTORE));
        let trusted = Jks::parse(TRUSTSTORE).unwrap();
        assert_eq!((trusted.trusted.as_slice(), trusted.chains.len()), (&jks.chains[0][1..], 0));
    }

    #[test]
    fn what_is_cut_or_is_no_store_is_refused() {
        let check = |bytes: &[u8], want: &str| assert_eq!(Jks::parse(bytes).unwrap_err().to_string(), want);
        check(b"", "not a JKS store of version 1 or 2");
        check(&KEYSTORE[..8], "not a JKS store of version 1 or 2");
        check(&KEYSTORE[..40], "the JKS store ends before entry 1 does");
        check(&KEYSTORE[..KEYSTORE.len() - 40], "the JKS store ends before entry 1 does");
        let with = |at: usize, byte: u8| {
            let mut bytes = KEYSTORE.to_vec();
            bytes[at] = byte;
            bytes
        };
        check(&with(7, 3), "not a JKS store of version 1 or 2");
        check(&with(15, 3), "entry 1 of the JKS store is of an unknown kind");
        check(&with(8, 0xff), "the JKS store ends before entry 2 does");
        assert!(!Jks::is_one(b"\x30\x82") && !Jks::is_one(b""));
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_do_no_harm(at in 0..KEYSTORE.len(), bytes in proptest::collection::vec(any::<u8>(), 1..8)) {
            let mut changed = KEYSTORE.to_vec();
            for (place, byte) in changed.iter_mut().skip(at).zip(bytes) {
                *place = byte;
            }
            let _ = Jks::parse(&changed);
        }
    }
}
