//! Chance and TLS: keys made, serial numbers drawn, and what the agent's own handshakes are configured with.

use std::sync::Arc;
use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::rand;
use aws_lc_rs::rsa;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
use aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::EcdsaSigningAlgorithm;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use crate::pki::certificate::Certificate;
use crate::pki::handshake::TlsClient;
use crate::pki::key_kind::KeyAlgorithm;
use crate::pki::private_key::PrivateKey;
use crate::pki::private_key::PrivateKeyError;
use crate::pki::sign::Serial;

/// No key, no number, no configuration.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// aws-lc made no key, which means that the system gives no random bytes.
    #[error("cannot make a key of kind {algorithm}")]
    Generate {
        /// The kind asked for.
        algorithm: KeyAlgorithm,
    },
    /// A key that was just made does not read as one.
    #[error("the key that was made cannot be read back")]
    Unreadable {
        /// Why not.
        #[source]
        source: PrivateKeyError,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// rustls refuses the pair, an anchor or the versions.
    #[error("cannot configure TLS with leaf {leaf}")]
    Tls {
        /// The leaf's short fingerprint.
        leaf: String,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// There is no anchor, so nobody could be trusted.
    #[error("cannot configure TLS with leaf {leaf}: no trust anchor")]
    NoAnchors {
        /// The leaf's short fingerprint.
        leaf: String,
    },
}

impl PkiError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Generate { .. } | Self::Random => "NoRandomness",
            Self::Unreadable { .. } => "KeyUnreadable",
            Self::Tls { .. } | Self::NoAnchors { .. } => "TlsNotConfigured",
        }
    }
}

/// The one crypto provider of the process (aws-lc), installed as rustls' default the first time it is asked for.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| {
        // An error says that a default is there already; ours is passed on by hand in any case.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    });
    Arc::clone(provider)
}

/// Makes a fresh key. RSA takes up to seconds, ECDSA less than a millisecond.
pub fn generate(algorithm: KeyAlgorithm) -> Result<PrivateKey, PkiError> {
    let der = match algorithm {
        KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyAlgorithm::Rsa2048 => rsa(KeySize::Rsa2048),
        KeyAlgorithm::Rsa3072 => rsa(KeySize::Rsa3072),
        KeyAlgorithm::Rsa4096 => rsa(KeySize::Rsa4096),
    }
    .ok_or(PkiError::Generate { algorithm })?;
    PrivateKey::from_pkcs8_der(&der).map_err(|source| PkiError::Unreadable { source })
}

/// Draws a serial number.
pub fn random_serial() -> Result<Serial, PkiError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| PkiError::Random)?;
    Ok(Serial::from_random(bytes))
}

/// What the agent's own handshakes use: the node's leaf as client certificate, the node's trust anchors, TLS 1.2 and 1.3.
pub fn tls_client<'a>(
    key: &PrivateKey,
    chain: impl IntoIterator<Item = &'a Certificate>,
    anchors: &[Certificate],
) -> Result<TlsClient, PkiError> {
    let chain: Vec<_> = chain.into_iter().collect();
    let leaf = || chain.first().map(|leaf| leaf.fingerprint().short()).unwrap_or_default();
    let refused = |source| PkiError::Tls { leaf: leaf(), source };
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.der().clone()).map_err(refused)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto_provider()).build();
    // Without revocation lists, an empty list of anchors is the one thing that the builder refuses.
    let verifier: Arc<dyn ServerCertVerifier> = verifier.map_err(|_| PkiError::NoAnchors { leaf: leaf() })?;
    let configure = |verifier| {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()));
        ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(chain.iter().map(|certificate| certificate.der().clone()).collect(), key)
    };
    let config = configure(Arc::clone(&verifier)).map_err(refused)?;
    Ok(TlsClient::new(config, verifier))
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Option<Zeroizing<Vec<u8>>> {
    let pair = EcdsaKeyPair::generate(algorithm).ok()?;
    Some(Zeroizing::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec()))
}

fn rsa(size: KeySize) -> Option<Zeroizing<Vec<u8>>> {
    let pair = rsa::KeyPair::generate(size).ok()?;
    let der = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).ok()?;
    Some(Zeroizing::new(der.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;

    use rustls::ClientConnection;
    use rustls::ProtocolVersion;
    use rustls::ServerConfig;
    use rustls::ServerConnection;
    use rustls::server::WebPkiClientVerifier;
    use rustls_pki_types::ServerName;

    use super::*;
    use crate::pki::testing;
    use crate::pki::testing::Issued;

    #[test]
    fn a_made_key_is_of_the_kind_asked_for_and_new_each_time() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
            let key = generate(algorithm).unwrap();
            assert_eq!(*key.kind(), algorithm.kind());
            assert!(!key.public_key().is_empty());
        }
        let [a, b] = [(); 2].map(|()| generate(KeyAlgorithm::default()).unwrap());
        assert_ne!(a.public_key(), b.public_key());
        assert_ne!(random_serial().unwrap(), random_serial().unwrap());
    }

    /// Both ends of a connection in memory, until the server has read what the client wrote.
    fn talk(
        client: Arc<ClientConfig>,
        name: &'static str,
        server: ServerConfig,
    ) -> Result<ProtocolVersion, rustls::Error> {
        let mut client = ClientConnection::new(client, ServerName::try_from(name).unwrap())?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        client.writer().write_all(b"hello").unwrap();
        // A handshake takes two round trips; ten are more than any.
        for _ in 0..10 {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut arrived = wire.as_slice();
            while !arrived.is_empty() {
                server.read_tls(&mut arrived).unwrap();
                server.process_new_packets()?;
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut arrived = wire.as_slice();
            while !arrived.is_empty() {
                client.read_tls(&mut arrived).unwrap();
                client.process_new_packets()?;
            }
            let mut heard = [0; 5];
            if matches!(server.reader().read(&mut heard), Ok(5)) {
                return Ok(server.protocol_version().unwrap());
            }
        }
        Err(rustls::Error::HandshakeNotComplete)
    }

    fn server_config(
        ca: &Issued,
        leaf: &Issued,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(ca.certificate.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider()).build().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf.private_key().pkcs8_der().to_vec()));
        ServerConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![leaf.certificate.der().clone()], key)
            .unwrap()
    }

    // rustls asks the system for the time, so these certificates live from long ago to long from now.
    fn timeless(mut params: rcgen::CertificateParams) -> rcgen::CertificateParams {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2999, 1, 1);
        params
    }

    #[test]
    fn our_own_handshake_shows_the_nodes_leaf_with_tls_1_2_and_1_3() {
        let ca = Issued::self_signed(timeless(testing::ca_params("ca")), &rcgen::PKCS_ECDSA_P256_SHA256);
        let leaf = ca.sign(timeless(testing::leaf_params("node", &["kafka-0.kafka"])));
        let client = |anchor: &Issued| {
            tls_client(&leaf.private_key(), [&leaf.certificate], std::slice::from_ref(&anchor.certificate))
                .unwrap()
        };
        let stranger = testing::root("stranger");
        for (version, want) in [
            (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
            (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
        ] {
            for (anchor, name, want) in [
                (&ca, "kafka-0.kafka", Some(want)),
                (&stranger, "kafka-0.kafka", None),
                (&ca, "kafka-1.kafka", None),
            ] {
                let (config, seen) = client(anchor).handshake();
                assert_eq!(seen.presented().leaf(), None);
                let got = talk(config, name, server_config(&ca, &leaf, version));
                assert_eq!(got.ok(), want, "{name}");
                // What was presented is known all the same.
                let presented = seen.presented();
                assert_eq!(presented.fingerprints(), [leaf.certificate.fingerprint()]);
                assert_eq!(presented.certificates().unwrap(), std::slice::from_ref(&leaf.certificate));
                assert!(presented.wants_ours());
            }
        }
    }

    #[test]
    fn a_pair_that_does_not_match_makes_no_configuration() {
        let (a, b) = (testing::root("a"), testing::root("b"));
        let error =
            tls_client(&a.private_key(), [&b.certificate], std::slice::from_ref(&a.certificate)).unwrap_err();
        assert_eq!(error.reason(), "TlsNotConfigured");
        assert_eq!(
            error.to_string(),
            format!("cannot configure TLS with leaf {}", b.certificate.fingerprint().short())
        );
    }

    #[test]
    fn nobody_is_trusted_without_an_anchor() {
        let one = testing::root("a");
        let error = tls_client(&one.private_key(), [&one.certificate], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot configure TLS with leaf {}: no trust anchor",
                one.certificate.fingerprint().short()
            )
        );
    }
}
