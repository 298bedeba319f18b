//! One TLS handshake as a client, and what the other side presented in it, even where it did not succeed.
//!
//! rustls tells nothing of a chain that it refuses. But "the listener still presents the old leaf" has to be said of
//! expired leaves, of leaves of another CA and of leaves with another name too, so each handshake has a verifier of
//! its own that notes the chain and then checks it as strictly as ever. Sessions are never resumed: a resumed one
//! presents nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::OnceLock;

use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::client::Resumption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::UnixTime;

use crate::pki::certificate::Certificate;
use crate::pki::certificate::CertificateError;
use crate::pki::certificate::Fingerprint;

/// What the agent's own handshakes are made with: the leaf it shows and whom it trusts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: ClientConfig,
    verifier: Arc<dyn ServerCertVerifier>,
    /// Leaves that are taken as they are.
    pinned: Arc<BTreeSet<Fingerprint>>,
}

/// What will have been seen of one handshake, readable at any time.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Record>);

/// What the other side of one handshake presented. Nothing of it is checked by being here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presented {
    chain: Vec<CertificateDer<'static>>,
    wants_ours: bool,
}

#[derive(Debug, Default)]
struct Record {
    chain: OnceLock<Vec<CertificateDer<'static>>>,
    wants_ours: OnceLock<()>,
}

impl TlsClient {
    /// A configuration, and the verifier it was built with.
    pub fn new(mut config: ClientConfig, verifier: Arc<dyn ServerCertVerifier>) -> Self {
        config.resumption = Resumption::disabled();
        Self { config, verifier, pinned: Arc::default() }
    }

    /// The same, which also takes exactly these leaves, whatever their dates, names and issuers are. That the other side
    /// has the leaf's key is checked as ever. For asking a listener to replace an expired leaf, never for verifying one.
    pub fn also_taking(self, leaves: BTreeSet<Fingerprint>) -> Self {
        Self { pinned: Arc::new(leaves), ..self }
    }

    /// What one handshake is made with, and where its chain will be seen.
    pub fn handshake(&self) -> (Arc<ClientConfig>, Seen) {
        let seen = Seen::default();
        let mut config = self.config.clone();
        let verifier = Noting {
            seen: seen.clone(),
            verifier: Arc::clone(&self.verifier),
            pinned: Arc::clone(&self.pinned),
        };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        let resolver = Arc::clone(&config.client_auth_cert_resolver);
        config.client_auth_cert_resolver = Arc::new(Showing { seen: seen.clone(), resolver });
        (Arc::new(config), seen)
    }
}

impl Seen {
    /// What has been presented so far.
    pub fn presented(&self) -> Presented {
        Presented {
            chain: self.0.chain.get().cloned().unwrap_or_default(),
            wants_ours: self.0.wants_ours.get().is_some(),
        }
    }
}

impl Presented {
    /// The fingerprint of the leaf; `None` where nothing was presented.
    pub fn leaf(&self) -> Option<Fingerprint> {
        self.chain.first().map(|der| Fingerprint::of(der))
    }

    /// The fingerprints of all that was presented, the leaf first.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.chain.iter().map(|der| Fingerprint::of(der)).collect()
    }

    /// All that was presented, the leaf first, or why one of them is no certificate.
    pub fn certificates(&self) -> Result<Vec<Certificate>, CertificateError> {
        self.chain.iter().map(|der| Certificate::from_der(der)).collect()
    }

    /// Whether the other side asked for our leaf. Where it did not, its answers say nothing about our leaf.
    pub fn wants_ours(&self) -> bool {
        self.wants_ours
    }
}

/// Notes what is presented before it is checked, or taken because it is one of those that are known.
#[derive(Debug)]
struct Noting {
    seen: Seen,
    verifier: Arc<dyn ServerCertVerifier>,
    pinned: Arc<BTreeSet<Fingerprint>>,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // rustls reads at most 64 KiB of them.
        let chain = std::iter::once(end_entity).chain(intermediates);
        // There is one Certificate message in a handshake; were there two, the first would count.
        let _ = self.seen.0.chain.set(chain.map(|der| der.clone().into_owned()).collect());
        if self.pinned.contains(&Fingerprint::of(end_entity)) {
            return Ok(ServerCertVerified::assertion());
        }
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Shows our leaf to whoever asks, and notes that somebody asked.
#[derive(Debug)]
struct Showing {
    seen: Seen,
    resolver: Arc<dyn ResolvesClientCert>,
}

impl ResolvesClientCert for Showing {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let _ = self.seen.0.wants_ours.set(());
        self.resolver.resolve(issuers, schemes)
    }

    fn has_certs(&self) -> bool {
        self.resolver.has_certs()
    }
}
