//! Asking a controller, over real sockets on loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
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
use kraftlet::kafka::login::Login;
use kraftlet::kafka::login::Mechanism;
use kraftlet::kafka::scram::ScramMechanism;

use crate::loopback::Authority;
use crate::loopback::IMPATIENCE;
use crate::loopback::Listener;
use crate::loopback::PATIENCE;
use crate::loopback::run;
use crate::loopback::serve;

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
    ask_with(listener, server, client, None, patience)
}

fn ask_with(
    listener: Listener,
    server: Option<Arc<ServerConfig>>,
    client: Option<Tls>,
    login: Option<Login>,
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
        let endpoint = Endpoint { address, tls: client, login };
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
fn a_login_is_taken_or_refused_with_a_reason() {
    for (mechanism, password, want) in [
        (Mechanism::Plain, "sesame", "ok"),
        (Mechanism::Plain, "simsim", "LoginRefused"),
        (Mechanism::Scram(ScramMechanism::Sha256), "sesame", "SaslMechanismNotEnabled"),
    ] {
        let login = Login::new(mechanism, "ada", password.to_owned().into()).unwrap();
        let got = ask_with(Listener::Login, None, None, Some(login), PATIENCE);
        assert!(!got.as_ref().is_err_and(AskError::nobody_there));
        assert_eq!(got.as_ref().map_or_else(AskError::reason, |_| "ok"), want, "{got:?}");
    }
}

#[test]
fn a_login_that_gets_no_sense_ends() {
    let login = || Login::new(Mechanism::Plain, "ada", "sesame".to_owned().into()).unwrap();
    for (bytes, want) in [
        (&b""[..], "PeerDoesNotAnswer"),
        (&[0x7f, 0xff, 0xff, 0xff], "PeerAnswerUnreadable"),
        (&[0, 0, 0, 10, 0, 0, 0, 1, 0, 33, 0x7f, 0xff, 0xff, 0xff], "PeerAnswerUnreadable"),
        (&[0, 0, 0, 6, 0, 0, 0, 1, 0, 34], "PeerRefuses"),
    ] {
        let error = ask_with(Listener::Bytes(bytes), None, None, Some(login()), PATIENCE).unwrap_err();
        assert_eq!(error.reason(), want, "{error}");
    }
}

#[test]
fn random_ids_are_usable_and_differ() {
    assert_ne!(random_cluster_id().unwrap(), random_cluster_id().unwrap());
    assert_ne!(random_directory_id().unwrap(), random_directory_id().unwrap());
}
