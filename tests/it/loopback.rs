//! Listeners on loopback that behave as they are told, and certificates for both sides.

use kraftlet::kafka::endpoint::Tls;
use kraftlet::kafka::wire::Writer;
use kraftlet::pki::handshake::TlsClient;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

/// Long enough for any machine; nothing waits for it but a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// For the cases that must run into it.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(300);

/// What a listener does with one connection.
#[derive(Clone)]
pub(crate) enum Listener {
    /// Answers like a controller of this partition error code.
    Controller(i16),
    /// Takes a change of node 3.
    Broker,
    /// Answers ApiVersions, but knows no DescribeQuorum.
    NoQuorum,
    /// A controller that knows one user, `ada`, with the password `sesame`, by PLAIN.
    Login,
    /// Reads the request, writes these bytes and ends.
    Bytes(&'static [u8]),
    /// Reads for ever and says nothing.
    Silent,
}

fn api_versions(api_key: i16) -> Writer {
    let mut body = Writer::new();
    body.i16(0).compact_length(1).i16(api_key).i16(0).i16(2).no_tagged_fields().i32(0).no_tagged_fields();
    body
}

fn quorum(code: i16) -> Writer {
    let mut body = Writer::new();
    // Version 2: tags of the header, no error, one topic with one partition.
    body.no_tagged_fields().i16(0).unsigned_varint(0);
    body.compact_length(1).compact_string("__cluster_metadata").compact_length(1);
    body.i32(0).i16(code).unsigned_varint(0).i32(if code == 0 { 1 } else { -1 }).i32(7).i64(42);
    body.compact_length(1).i32(1).raw(&[9; 16]).i64(43).i64(1000).i64(1000).no_tagged_fields();
    body.compact_length(0).no_tagged_fields().no_tagged_fields();
    body.compact_length(0).no_tagged_fields();
    body
}

fn sasl_handshake(request: &[u8]) -> Writer {
    let mut body = Writer::new();
    body.i16(if request.ends_with(b"\0\x05PLAIN") { 0 } else { 33 }).i32(1).string("PLAIN");
    body
}

fn sasl_authenticate(request: &[u8]) -> Writer {
    let mut body = Writer::new();
    body.no_tagged_fields();
    if request.ends_with(b"\0ada\0sesame\0") {
        body.i16(0).null().compact_bytes(b"");
    } else {
        body.i16(58).compact_string("Authentication failed: Invalid username or password").compact_bytes(b"");
    }
    body.i64(0).no_tagged_fields();
    body
}

fn altered(node_id: &str) -> Writer {
    let mut body = Writer::new();
    body.no_tagged_fields().i32(0).compact_length(1).i16(0).null().i8(4).compact_string(node_id);
    body.no_tagged_fields().no_tagged_fields();
    body
}

pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    listener: Listener,
) -> std::io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        let mut request = vec![0; length as usize];
        stream.read_exact(&mut request).await?;
        let body = match (&listener, request[..2].try_into().map(i16::from_be_bytes)) {
            (Listener::Silent, _) => continue,
            (Listener::Bytes(bytes), _) => {
                stream.write_all(bytes).await?;
                return stream.shutdown().await;
            }
            (Listener::Login, Ok(17)) => sasl_handshake(&request),
            (Listener::Login, Ok(36)) => sasl_authenticate(&request),
            (Listener::Login | Listener::Controller(_), Ok(18)) => api_versions(55),
            (Listener::NoQuorum, Ok(18)) => api_versions(3),
            (Listener::Controller(code), Ok(55)) => quorum(*code),
            (Listener::Login, Ok(55)) => quorum(0),
            (Listener::Broker, Ok(44)) => altered("3"),
            other => panic!("unexpected request {:?}", other.1),
        };
        let mut response = request[4..8].to_vec();
        response.extend_from_slice(&body.into_bytes());
        stream.write_u32(response.len() as u32).await?;
        stream.write_all(&response).await?;
        stream.flush().await?;
    }
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A leaf with its chain, and a key.
pub(crate) struct Credential(pub(crate) Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Credential {
    /// The same leaf with a key that does not belong to it.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        Self(self.0.clone(), other.1.clone_key())
    }
}

/// A CA and what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn leaf(&self) -> Credential {
        self.sign(CertificateParams::new(vec!["kafka-0.kafka".to_owned()]).unwrap())
    }

    /// A leaf whose end is long past.
    pub(crate) fn expired_leaf(&self) -> Credential {
        let mut params = CertificateParams::new(vec!["kafka-0.kafka".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Credential {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Credential(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A listener that wants a leaf of this CA.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.server_with(&self.leaf())
    }

    /// A listener that wants a leaf of this CA and serves this one, whether its key belongs to it or not.
    pub(crate) fn server_with(&self, served: &Credential) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&provider));
        let key = provider.key_provider.load_private_key(served.1.clone_key()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(served.0.clone(), key))));
        Arc::new(config)
    }

    /// A listener that asks for no leaf.
    pub(crate) fn server_without_client_auth(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let Credential(chain, key) = self.leaf();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key);
        Arc::new(config.unwrap())
    }

    /// A client that trusts this CA and shows a leaf of `own`.
    pub(crate) fn client(&self, own: Option<&Self>, server_name: &str) -> Tls {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots(), Arc::clone(&provider));
        let verifier: Arc<dyn ServerCertVerifier> = verifier.build().unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier));
        let config = match own.map(Self::leaf) {
            Some(Credential(chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
            None => config.with_no_client_auth(),
        };
        Tls::new(TlsClient::new(config, verifier), server_name).unwrap()
    }
}
