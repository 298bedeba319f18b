//! Asking a controller, over real sockets on loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

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
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use kraftlet::kafka::ask_error::AskError;
use kraftlet::kafka::describe_quorum::QuorumInfo;
use kraftlet::kafka::endpoint::Endpoint;
use kraftlet::kafka::endpoint::Tls;
use kraftlet::kafka::io::describe_quorum;
use kraftlet::kafka::io::random_cluster_id;
use kraftlet::kafka::io::random_directory_id;
use kraftlet::kafka::wire::Writer;
use kraftlet::pki::handshake::TlsClient;

/// Long enough for any machine; nothing waits for it but a failure.
const PATIENCE: Duration = Duration::from_secs(20);
/// For the cases that must run into it.
const IMPATIENCE: Duration = Duration::from_millis(300);

/// What a listener does with one connection.
#[derive(Clone)]
enum Listener {
    /// Answers like a controller of this partition error code.
    Controller(i16),
    /// Answers ApiVersions, but knows no DescribeQuorum.
    NoQuorum,
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

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, listener: Listener) -> std::io::Result<()> {
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
            (Listener::Controller(_), Ok(18)) => api_versions(55),
            (Listener::NoQuorum, Ok(18)) => api_versions(3),
            (Listener::Controller(code), Ok(55)) => quorum(*code),
            other => panic!("unexpected request {:?}", other.1),
        };
        let mut response = request[4..8].to_vec();
        response.extend_from_slice(&body.into_bytes());
        stream.write_u32(response.len() as u32).await?;
        stream.write_all(&response).await?;
        stream.flush().await?;
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A question to a listener without TLS.
async fn ask_at(address: &str, patience: Duration) -> AskError {
    let endpoint = Endpoint { address: address.to_owned(), tls: None, login: None };
    describe_quorum(&endpoint, Instant::now() + patience).await.unwrap_err()
}

/// One question to one listener.
fn ask(
    listener: Listener,
    server: Option<Arc<ServerConfig>>,
    client: Option<Tls>,
    patience: Duration,
) -> Result<QuorumInfo, AskError> {
    run(async {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (stream, _) = socket.accept().await.unwrap();
            match server {
                None => serve(stream, listener).await,
                Some(config) => serve(TlsAcceptor::from(config).accept(stream).await?, listener).await,
            }
        });
        let endpoint = Endpoint { address, tls: client, login: None };
        describe_quorum(&endpoint, Instant::now() + patience).await
    })
}

#[test]
fn a_leader_tells_of_the_quorum() {
    let quorum = ask(Listener::Controller(0), None, None, PATIENCE).unwrap();
    assert_eq!(quorum.leader_id.map(|id| id.get()), Some(1));
    assert_eq!((quorum.leader_epoch, quorum.high_watermark), (7, Some(42)));
    assert_eq!((quorum.voters.len(), quorum.observers.len()), (1, 0));
}

#[test]
fn who_is_there_but_does_not_answer_is_not_nobody() {
    for (listener, patience, want) in [
        (Listener::Controller(6), PATIENCE, "PeerRefuses"),
        (Listener::Controller(31), PATIENCE, "PeerRefuses"),
        (Listener::NoQuorum, PATIENCE, "PeerAnswerUnreadable"),
        (Listener::Bytes(&[0x7f, 0xff, 0xff, 0xff]), PATIENCE, "PeerAnswerUnreadable"),
        (Listener::Bytes(&[0, 0, 0, 2, 0, 0]), PATIENCE, "PeerAnswerUnreadable"),
        (Listener::Bytes(&[21, 3, 3, 0, 2, 2, 40]), PATIENCE, "PeerRefusesTls"),
        (Listener::Bytes(&[0, 0, 0, 9, 1]), PATIENCE, "PeerDoesNotAnswer"),
        (Listener::Bytes(&[]), PATIENCE, "PeerDoesNotAnswer"),
        (Listener::Silent, IMPATIENCE, "PeerDoesNotAnswer"),
    ] {
        let error = ask(listener, None, None, patience).unwrap_err();
        assert_eq!(error.reason(), want, "{error}");
        assert!(!error.nobody_there(), "{error}");
    }
}

#[test]
fn a_port_without_a_listener_is_nobody() {
    let error = run(async {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        drop(socket);
        ask_at(&address, PATIENCE).await
    });
    assert_eq!(error.reason(), "PeerUnreachable");
    assert!(error.nobody_there(), "{error}");
}

#[test]
fn an_address_that_drops_packets_is_not_nobody() {
    let error = run(async {
        // Linux drops what would connect to a listener whose queue is full.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(stream) = timeout(IMPATIENCE, TcpStream::connect(address)).await {
            held.push(stream.unwrap());
            assert!(held.len() < 100, "the queue is never full");
        }
        ask_at(&address.to_string(), IMPATIENCE).await
    });
    assert!(matches!(error, AskError::ConnectTimedOut { .. }), "{error:?}");
    assert!(!error.nobody_there(), "{error}");
}

#[test]
fn an_address_that_is_none_is_not_nobody() {
    for address in ["localhost", "localhost:", "localhost:kafka", "localhost:65536", ""] {
        let error = run(ask_at(address, PATIENCE));
        assert_eq!(error.reason(), "InvalidAddress");
        assert!(!error.nobody_there(), "{error}");
    }
}

/// A CA and what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn leaf(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["kafka-0.kafka".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        (vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A listener that wants a leaf of this CA.
    fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&provider));
        let (chain, key) = self.leaf();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key);
        Arc::new(config.unwrap())
    }

    /// A client that trusts this CA and shows a leaf of `own`.
    fn client(&self, own: Option<&Self>, server_name: &str) -> Tls {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots(), Arc::clone(&provider));
        let verifier: Arc<dyn ServerCertVerifier> = verifier.build().unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier));
        let config = match own.map(Self::leaf) {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
            None => config.with_no_client_auth(),
        };
        Tls::new(TlsClient::new(config, verifier), server_name).unwrap()
    }
}

#[test]
fn mutual_tls_is_spoken_and_whoever_refuses_it_is_there() {
    let (ours, other) = (Authority::new(), Authority::new());
    for (client, want) in [
        (Some(ours.client(Some(&ours), "kafka-0.kafka")), "ok"),
        (Some(ours.client(Some(&ours), "kafka-1.kafka")), "PeerRefusesTls"),
        (Some(other.client(Some(&ours), "kafka-0.kafka")), "PeerRefusesTls"),
        // In TLS 1.3 the handshake is over when the server refuses our leaf: the first answer says so.
        (Some(ours.client(Some(&other), "kafka-0.kafka")), "PeerRefusesTls"),
        (Some(ours.client(None, "kafka-0.kafka")), "PeerRefusesTls"),
        // A request in plaintext is answered by an alert.
        (None, "PeerRefusesTls"),
    ] {
        let got = ask(Listener::Controller(0), Some(ours.server()), client, PATIENCE);
        assert!(!got.as_ref().is_err_and(AskError::nobody_there));
        assert_eq!(got.as_ref().map_or_else(AskError::reason, |_| "ok"), want, "{got:?}");
    }
}

#[test]
fn tls_to_a_plaintext_listener_is_not_nobody() {
    let ours = Authority::new();
    let client = ours.client(Some(&ours), "kafka-0.kafka");
    let error = ask(Listener::Bytes(b""), None, Some(client), IMPATIENCE).unwrap_err();
    assert!(!error.nobody_there(), "{error}");
}

#[test]
fn random_ids_are_usable_and_differ() {
    assert_ne!(random_cluster_id().unwrap(), random_cluster_id().unwrap());
    assert_ne!(random_directory_id().unwrap(), random_directory_id().unwrap());
}
