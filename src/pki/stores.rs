//! Keystores and truststores as the bytes Kafka reads.
//!
//! PEM is the house's form (KIP-651, `ssl.keystore.type=PEM`): one file with the key and its chain, so that no reader
//! ever sees half a pair, and one file with the trust anchors. PKCS12 is there for those who must have it. The two
//! stores are always two files: Java takes every certificate of a PKCS12 store for trusted, its own leaf among them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::Certificate as Pkcs12Certificate;
use p12_keystore::KeyStore;
use p12_keystore::KeyStoreEntry;
use p12_keystore::Pkcs12ImportPolicy;
use p12_keystore::PrivateKey as Pkcs12Key;
use p12_keystore::PrivateKeyChain;
use zeroize::Zeroizing;

use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::private_key::PrivateKey;

/// The password of a PKCS12 store: never printed, wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct StorePassword(Zeroizing<String>);

/// A PKCS12 store that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Java's tools ask for six characters, and a store without a password has no integrity check.
    #[error(
        "store password of {length} characters; want {} to {}",
        StorePassword::MIN_LENGTH,
        StorePassword::MAX_LENGTH
    )]
    Password {
        /// Characters found.
        length: usize,
    },
    /// Java derives a PBES2 key from printable ASCII only (`getSecretKey failed: Password is not ASCII`).
    #[error(
        "store password with a character that is not printable ASCII; want letters, digits and punctuation"
    )]
    PasswordCharacters,
    /// The PKCS12 writer refused the key or a certificate.
    #[error("cannot encode the {store} as PKCS12")]
    Encode {
        /// `keystore` or `truststore`.
        store: &'static str,
        /// What the writer said.
        #[source]
        source: p12_keystore::error::Error,
    },
}

impl StoreError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Password { .. } => "StorePasswordLength",
            Self::PasswordCharacters => "StorePasswordCharacters",
            Self::Encode { .. } => "StoreNotEncoded",
        }
    }
}

impl StorePassword {
    /// keytool refuses shorter ones.
    pub const MIN_LENGTH: usize = 6;
    /// Kafka reads it from a file that holds nothing else; longer is a wrong file.
    pub const MAX_LENGTH: usize = 1024;

    /// Takes the password as it is; who reads it from a file cuts the line end off.
    pub fn new(password: Zeroizing<String>) -> Result<Self, StoreError> {
        let length = password.chars().count();
        if !(Self::MIN_LENGTH..=Self::MAX_LENGTH).contains(&length) {
            return Err(StoreError::Password { length });
        }
        if !password.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(StoreError::PasswordCharacters);
        }
        Ok(Self(password))
    }

    /// The password itself, for the one who writes it into a store or into Kafka's file of secrets.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The alias of DefaultSslEngineFactory's in-memory store, so that both forms look the same in Kafka's log.
const ALIAS: &str = "kafka";

/// Key and chain as one PEM text, the key first.
pub fn keystore_pem<'a>(
    key: &PrivateKey,
    chain: impl IntoIterator<Item = &'a Certificate>,
) -> Zeroizing<Vec<u8>> {
    let key = key.to_pem();
    let chain: String = chain.into_iter().map(certificate_pem).collect();
    let mut bytes = Zeroizing::new(Vec::with_capacity(key.len() + chain.len()));
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(chain.as_bytes());
    bytes
}

/// The trust anchors as one PEM text, each once and in an order that does not depend on the order given, so that a
/// source that shuffles its CAs causes no reload.
pub fn truststore_pem<'a>(anchors: impl IntoIterator<Item = &'a Certificate>) -> Vec<u8> {
    sorted(anchors).into_iter().map(certificate_pem).collect::<String>().into_bytes()
}

/// Key and chain as PKCS12 (PBES2 with AES-256 and SHA-256, the default of Java 16 and later).
///
/// Salted: equal inputs give other bytes each time. The crate's own copies of the key are not wiped.
pub fn keystore_pkcs12<'a>(
    key: &PrivateKey,
    chain: impl IntoIterator<Item = &'a Certificate>,
    password: &StorePassword,
) -> Result<Vec<u8>, StoreError> {
    let encode = || -> Result<Vec<u8>, p12_keystore::error::Error> {
        let key = Pkcs12Key::from_der(key.pkcs8_der())?;
        let chain = chain
            .into_iter()
            .map(|certificate| Pkcs12Certificate::from_der(certificate.der()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut store = KeyStore::new();
        // The local key id only ties key and leaf together inside the file; Java itself writes a time there.
        let entry = PrivateKeyChain::new(ALIAS, key, chain);
        store.add_entry(ALIAS, KeyStoreEntry::PrivateKeyChain(entry));
        store.writer(password.expose()).write()
    };
    encode().map_err(|source| StoreError::Encode { store: "keystore", source })
}

/// The trust anchors as PKCS12, each once; salted as the keystore is.
pub fn truststore_pkcs12<'a>(
    anchors: impl IntoIterator<Item = &'a Certificate>,
    password: &StorePassword,
) -> Result<Vec<u8>, StoreError> {
    let encode = || -> Result<Vec<u8>, p12_keystore::error::Error> {
        let mut store = KeyStore::new();
        for (index, anchor) in sorted(anchors).into_iter().enumerate() {
            let anchor = Pkcs12Certificate::from_der(anchor.der())?;
            store.add_entry(&format!("{ALIAS}{index}"), KeyStoreEntry::Certificate(anchor));
        }
        store.writer(password.expose()).write()
    };
    encode().map_err(|source| StoreError::Encode { store: "truststore", source })
}

/// Key and chain of a PEM keystore of ours, the leaf first; `None` where it is not one.
pub fn read_keystore_pem(bytes: &[u8]) -> Option<(PrivateKey, Vec<Certificate>)> {
    Some((PrivateKey::from_pem(bytes).ok()?, chain::parse_pem(bytes).ok()?))
}

/// Key and chain of a PKCS12 keystore of ours; `None` where it is not one or has another password.
///
/// Only for files that we wrote: the work to open one is as large as the file demands.
pub fn read_keystore_pkcs12(
    bytes: &[u8],
    password: &StorePassword,
) -> Option<(PrivateKey, Vec<Certificate>)> {
    let store = KeyStore::from_pkcs12(bytes, password.expose(), Pkcs12ImportPolicy::Strict).ok()?;
    let (_alias, entry) = store.private_key_chain()?;
    let chain = entry.certs().iter().map(|certificate| Certificate::from_der(certificate.as_der()));
    Some((PrivateKey::from_pkcs8_der(entry.key().as_der()).ok()?, chain.collect::<Result<_, _>>().ok()?))
}

/// The anchors in a PKCS12 truststore of ours; `None` where it is not one or has another password.
///
/// Only for files that we wrote, as [`read_keystore_pkcs12`].
pub fn read_truststore_pkcs12(bytes: &[u8], password: &StorePassword) -> Option<Vec<Certificate>> {
    let store = KeyStore::from_pkcs12(bytes, password.expose(), Pkcs12ImportPolicy::Strict).ok()?;
    let anchors = store.entries().map(|(_alias, entry)| match entry {
        KeyStoreEntry::Certificate(anchor) => Certificate::from_der(anchor.as_der()).ok(),
        _ => None,
    });
    anchors.collect()
}

/// One certificate as a PEM block.
pub fn certificate_pem(certificate: &Certificate) -> String {
    let body = STANDARD.encode(certificate.der());
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (index, c) in body.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}

impl fmt::Debug for StorePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

fn sorted<'a>(anchors: impl IntoIterator<Item = &'a Certificate>) -> Vec<&'a Certificate> {
    let mut anchors: Vec<&Certificate> = anchors.into_iter().collect();
    anchors.sort_by_key(|anchor| (anchor.subject(), anchor.fingerprint()));
    anchors.dedup_by_key(|anchor| anchor.fingerprint());
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;

    fn password() -> StorePassword {
        StorePassword::new(Zeroizing::new("change it-1".to_owned())).unwrap()
    }

    #[test]
    fn a_keystore_gives_back_key_and_chain_in_both_forms() {
        let root = testing::root("root");
        let middle = root.sign(testing::ca_params("middle"));
        let leaf = middle.sign(testing::leaf_params("node", &["a"]));
        let chain = [leaf.certificate.clone(), middle.certificate.clone()];
        let pem = keystore_pem(&leaf.private_key(), &chain);
        let p12 = keystore_pkcs12(&leaf.private_key(), &chain, &password()).unwrap();
        for (key, found) in
            [read_keystore_pem(&pem).unwrap(), read_keystore_pkcs12(&p12, &password()).unwrap()]
        {
            assert_eq!(
                (key.pkcs8_der(), found.as_slice()),
                (leaf.private_key().pkcs8_der(), chain.as_slice())
            );
        }
        let wrong = StorePassword::new(Zeroizing::new("change it-2".to_owned())).unwrap();
        assert!(read_keystore_pkcs12(&p12, &wrong).is_none());
        assert!(read_keystore_pem(&p12).is_none() && read_keystore_pkcs12(&pem, &wrong).is_none());
    }

    #[test]
    fn a_pem_keystore_is_the_key_first_and_then_the_chain_in_lines_of_64() {
        let leaf = testing::root("node");
        let pem = String::from_utf8(keystore_pem(&leaf.private_key(), [&leaf.certificate]).to_vec()).unwrap();
        assert!(
            pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("-----END CERTIFICATE-----\n")
        );
        assert!(pem.lines().all(|line| !line.is_empty() && line.len() <= 64));
    }

    #[test]
    fn a_truststore_has_each_anchor_once_and_the_order_given_does_not_matter() {
        let [a, b, namesake] = ["a", "b", "a"].map(|name| testing::root(name).certificate);
        let pem = truststore_pem([&b, &a, &namesake, &b]);
        assert_eq!(pem, truststore_pem([&namesake, &b, &a]));
        assert_eq!(chain::parse_pem(&pem).unwrap().len(), 3);
        let p12 = truststore_pkcs12([&b, &a, &namesake, &b], &password()).unwrap();
        let store = KeyStore::from_pkcs12(&p12, password().expose(), Pkcs12ImportPolicy::Strict).unwrap();
        let aliases: Vec<&String> = store.entries().map(|(alias, _)| alias).collect();
        assert_eq!(aliases, ["kafka0", "kafka1", "kafka2"]);
        let found = read_truststore_pkcs12(&p12, &password()).unwrap();
        assert_eq!(truststore_pem(&found), pem);
    }

    #[test]
    fn a_password_is_never_printed_and_a_short_one_is_refused() {
        let error = StorePassword::new(Zeroizing::new("12345".to_owned())).unwrap_err();
        assert_eq!(
            (error.reason(), error.to_string().as_str()),
            ("StorePasswordLength", "store password of 5 characters; want 6 to 1024")
        );
        let line_end = StorePassword::new(Zeroizing::new("secret\n".to_owned())).unwrap_err();
        let umlaut = StorePassword::new(Zeroizing::new("chängeit".to_owned())).unwrap_err();
        assert_eq!([line_end.reason(), umlaut.reason()], ["StorePasswordCharacters"; 2]);
        assert_eq!(format!("{:?}", password()), "<redacted>");
        assert_eq!(password().clone().expose(), "change it-1");
    }
}
