//! What this room has of the world: one question to one controller, and random ids.
//!
//! A question is one connection, one deadline for all of it, and a bound on every length. The caller learns not
//! only that there was no answer, but whether anybody was there: an empty disk may only be formatted as the first
//! of a cluster where nobody is.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use crate::kafka::describe_quorum::DESCRIBE_QUORUM;
use crate::kafka::describe_quorum::DESCRIBE_QUORUM_VERSIONS;
use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::describe_quorum::decode_describe_quorum;
use crate::kafka::describe_quorum::encode_describe_quorum;
use crate::kafka::requests::LENGTH_BYTES;
use crate::kafka::requests::MAX_RESPONSE_BYTES;
use crate::kafka::requests::ResponseError;
use crate::kafka::requests::decode_api_versions;
use crate::kafka::requests::encode_api_versions;
use crate::kafka::uuid::ClusterId;
use crate::kafka::uuid::DirectoryId;

/// How to speak TLS with a listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Our leaf and what we trust.
    pub config: Arc<ClientConfig>,
    /// The name that the other side's leaf must have.
    pub server_name: ServerName<'static>,
}

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address is none.
    #[error("{address:?} is no address; want host:port, an IPv6 address in brackets")]
    InvalidAddress {
        /// What we were given.
        address: String,
    },
    /// The name does not exist.
    #[error("{address} does not resolve")]
    NoSuchName {
        /// Where we asked.
        address: String,
        /// What the resolver says.
        #[source]
        source: io::Error,
    },
    /// Whether the name exists could not be learnt.
    #[error("{address} cannot be resolved now")]
    Resolver {
        /// Where we asked.
        address: String,
        /// What the resolver says.
        #[source]
        source: io::Error,
    },
    /// No word from the resolver before the deadline.
    #[error("the resolver does not answer in time for {address}")]
    ResolverTimedOut {
        /// Where we asked.
        address: String,
    },
    /// Nothing listens there, or there is no way there.
    #[error("nobody listens at {address}")]
    NobodyListens {
        /// Where we asked.
        address: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The connection could not be made for a reason that lies here.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where we asked.
        address: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// No connection before the deadline.
    #[error("{address} does not take a connection in time")]
    ConnectTimedOut {
        /// Where we asked.
        address: String,
    },
    /// A connection, but no whole answer before the deadline.
    #[error("{address} takes connections but does not answer in time")]
    AnswerTimedOut {
        /// Where we asked.
        address: String,
    },
    /// The other side refuses TLS, our leaf or is not who it should be.
    #[error("{address} and this node do not agree on TLS")]
    Tls {
        /// Where we asked.
        address: String,
        /// What TLS says.
        #[source]
        source: io::Error,
    },
    /// The connection ended before the answer did.
    #[error("{address} ends the connection without an answer")]
    Ended {
        /// Where we asked.
        address: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// A TLS alert where Kafka's protocol was expected.
    #[error("{address} speaks TLS; this node asked without it")]
    WantsTls {
        /// Where we asked.
        address: String,
    },
    /// An answer that is too long to be one.
    #[error("{address} announces an answer of {length} bytes; want at most {MAX_RESPONSE_BYTES}")]
    TooLong {
        /// Where we asked.
        address: String,
        /// What it announces.
        length: u32,
    },
    /// It does not know the question.
    #[error(
        "{address} does not answer DescribeQuorum; is it a controller listener or a broker in KRaft mode?"
    )]
    NotAsked {
        /// Where we asked.
        address: String,
    },
    /// An answer that is a refusal or makes no sense.
    #[error("{address} answers, but not with the quorum")]
    Response {
        /// Where we asked.
        address: String,
        /// What is wrong.
        #[source]
        source: ResponseError,
    },
}

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random numbers")]
pub struct RandomError;

impl RandomError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "NoRandomNumbers"
    }
}

impl AskError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidAddress { .. } => "InvalidAddress",
            Self::NoSuchName { .. } => "PeerNameUnknown",
            Self::Resolver { .. } | Self::ResolverTimedOut { .. } => "ResolverFailed",
            Self::NobodyListens { .. } | Self::ConnectTimedOut { .. } => "PeerUnreachable",
            Self::Connect { .. } => "ConnectFailed",
            Self::Tls { .. } | Self::WantsTls { .. } => "PeerRefusesTls",
            Self::AnswerTimedOut { .. } | Self::Ended { .. } => "PeerDoesNotAnswer",
            Self::TooLong { .. } | Self::NotAsked { .. } => "PeerAnswerUnreadable",
            Self::Response { source, .. } => source.reason(),
        }
    }

    /// Whether it is certain that no Kafka was reached: no such name, no listener, no way there. Everything else
    /// means that somebody is there, or that this node cannot tell.
    ///
    /// Silence is not certain: a partition or a NetworkPolicy drops packets to a controller that runs. A young cluster
    /// does not hang on that. On Kubernetes the headless name of a pod that does not exist does not resolve, and a pod
    /// that exists refuses a port on which nothing listens. Elsewhere packets to a machine that is off are lost, but
    /// once it is up it refuses too. Where a majority stays silent beyond that, no quorum could form over such a
    /// network either, so waiting costs nothing.
    pub fn nobody_there(&self) -> bool {
        match self {
            Self::NoSuchName { .. } | Self::NobodyListens { .. } => true,
            Self::InvalidAddress { .. }
            | Self::Resolver { .. }
            | Self::ResolverTimedOut { .. }
            | Self::ConnectTimedOut { .. }
            | Self::Connect { .. }
            | Self::AnswerTimedOut { .. }
            | Self::Tls { .. }
            | Self::Ended { .. }
            | Self::WantsTls { .. }
            | Self::TooLong { .. }
            | Self::NotAsked { .. }
            | Self::Response { .. } => false,
        }
    }
}

/// Asks the listener at `address` (`host:port`, an IPv6 address in brackets) how the quorum is.
///
/// Without `tls` the connection is plaintext. All of it, the resolver included, ends at `deadline`.
pub async fn describe_quorum(
    address: &str,
    tls: Option<&Tls>,
    deadline: Instant,
) -> Result<QuorumInfo, AskError> {
    let (host, port) = host_and_port(address)?;
    let lookup = async { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
    let resolved = if is_below_localhost(host) {
        resolve_local(address, port, lookup, deadline).await
    } else {
        resolve(address, lookup, deadline).await?
    };
    let stream = match timeout_at(deadline, connect(address, resolved)).await {
        Ok(connected) => connected?,
        Err(_) => return Err(AskError::ConnectTimedOut { address: address.to_owned() }),
    };
    let answer = async {
        match tls {
            None => ask(address, stream).await,
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.config));
                let handshake = connector.connect(tls.server_name.clone(), stream).await;
                let stream =
                    handshake.map_err(|source| AskError::Tls { address: address.to_owned(), source })?;
                ask(address, stream).await
            }
        }
    };
    match timeout_at(deadline, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(AskError::AnswerTimedOut { address: address.to_owned() }),
    }
}

/// A fresh cluster id.
pub fn random_cluster_id() -> Result<ClusterId, RandomError> {
    draw(ClusterId::from_random)
}

/// A fresh directory id.
pub fn random_directory_id() -> Result<DirectoryId, RandomError> {
    draw(DirectoryId::from_random)
}

/// Draws until an id is usable. One in 64 begins with a dash, so that a hundred failures in a row mean that the
/// numbers are not random.
fn draw<T>(from_random: fn([u8; 16]) -> Option<T>) -> Result<T, RandomError> {
    let random = SystemRandom::new();
    for _ in 0..100 {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|_| RandomError)?;
        if let Some(id) = from_random(bytes) {
            return Ok(id);
        }
    }
    Err(RandomError)
}

/// An IPv6 address loses its brackets.
fn host_and_port(address: &str) -> Result<(&str, u16), AskError> {
    let invalid = || AskError::InvalidAddress { address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    let port = port.parse().map_err(|_| invalid())?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((bare, port))
}

/// What `lookup` finds, in time.
async fn resolve(
    address: &str,
    lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, AskError> {
    match timeout_at(deadline, lookup).await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(source)) => Err(unresolved(address, source)),
        Err(_) => Err(AskError::ResolverTimedOut { address: address.to_owned() }),
    }
}

/// RFC 6761, section 6.3: names below localhost are this machine, whatever a name server says or does not say.
fn is_below_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// A name below localhost may have a loopback address of its own, in `/etc/hosts`. Where it has none, or the resolver
/// has no word, it is the first one. Half the time is left to connect: on a machine that cannot reach its name server
/// the whole would pass in silence.
async fn resolve_local(
    address: &str,
    port: u16,
    lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    deadline: Instant,
) -> Vec<SocketAddr> {
    let now = Instant::now();
    let half = now + deadline.saturating_duration_since(now) / 2;
    let first = || vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
    resolve(address, lookup, half).await.unwrap_or_else(|_| first())
}

async fn connect(address: &str, resolved: Vec<SocketAddr>) -> Result<TcpStream, AskError> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for socket_address in resolved {
        match TcpStream::connect(socket_address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    let address = address.to_owned();
    Err(match failure.kind() {
        io::ErrorKind::TimedOut => AskError::ConnectTimedOut { address },
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => AskError::NobodyListens { address, source: failure },
        _ => AskError::Connect { address, source: failure },
    })
}

/// What `getaddrinfo` says when it is certain: EAI_NONAME and EAI_NODATA, in glibc's and in musl's words. The codes do
/// not survive the standard library, only their text does.
const NO_SUCH_NAME: [&str; 4] = [
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "Name has no usable address",
];

/// Only the known words count: a name server that is down says nothing about who is there.
fn unresolved(address: &str, source: io::Error) -> AskError {
    let address = address.to_owned();
    let text = source.to_string();
    if NO_SUCH_NAME.iter().any(|words| text.contains(words)) {
        AskError::NoSuchName { address, source }
    } else {
        AskError::Resolver { address, source }
    }
}

/// ApiVersions, then DescribeQuorum. In TLS 1.3 a server that does not take our leaf says so only now.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    address: &str,
    mut stream: S,
) -> Result<QuorumInfo, AskError> {
    let named = || address.to_owned();
    let unusable = |source| AskError::Response { address: named(), source };
    let answer = exchange(address, &mut stream, &encode_api_versions(1)).await?;
    let versions = decode_api_versions(&answer, 1).map_err(unusable)?;
    let version = versions
        .best(DESCRIBE_QUORUM, DESCRIBE_QUORUM_VERSIONS)
        .ok_or_else(|| AskError::NotAsked { address: named() })?;
    let answer = exchange(address, &mut stream, &encode_describe_quorum(version, 2)).await?;
    decode_describe_quorum(&answer, version, 2).map_err(unusable)
}

/// One request out, one response in, without its length.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    address: &str,
    stream: &mut S,
    request: &[u8],
) -> Result<Vec<u8>, AskError> {
    let broken = |source| interrupted(address, source);
    let sent = match stream.write_all(request).await {
        Ok(()) => stream.flush().await,
        failed => failed,
    };
    let mut length = [0; LENGTH_BYTES];
    match (sent, stream.read_exact(&mut length).await) {
        (Ok(()), Ok(_)) => {}
        // Who refuses us may have closed before we had written; why, it said before that, and only a read shows it.
        (_, Err(error)) | (Err(error), Ok(_)) => return Err(broken(error)),
    }
    // The record of a TLS alert begins with 21 and major version 3; as a length that is 337 MB.
    if length.starts_with(&[21, 3]) {
        return Err(AskError::WantsTls { address: address.to_owned() });
    }
    let length = u32::from_be_bytes(length);
    let bounded = usize::try_from(length).ok().filter(|bytes| *bytes <= MAX_RESPONSE_BYTES);
    let size = bounded.ok_or_else(|| AskError::TooLong { address: address.to_owned(), length })?;
    let mut response = vec![0; size];
    stream.read_exact(&mut response).await.map_err(broken)?;
    Ok(response)
}

/// A TLS alert reaches the reader as an error of the stream with the alert inside.
fn interrupted(address: &str, source: io::Error) -> AskError {
    let address = address.to_owned();
    if source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        AskError::Tls { address, source }
    } else {
        AskError::Ended { address, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_is_certainly_unknown_is_nobody() {
        for (text, want) in [
            ("failed to lookup address information: Name or service not known", true),
            ("failed to lookup address information: Name does not resolve", true),
            ("failed to lookup address information: Temporary failure in name resolution", false),
            ("failed to lookup address information: Try again", false),
            ("failed to lookup address information: System error", false),
        ] {
            let error = unresolved("kafka-1.kafka:9093", io::Error::other(text));
            assert_eq!(matches!(error, AskError::NoSuchName { .. }), want, "{text}");
        }
    }

    #[test]
    fn a_name_below_localhost_is_the_first_loopback_address_only_where_it_has_none_of_its_own() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let resolved = |lookup: Option<io::Result<Vec<SocketAddr>>>| {
            let lookup = async {
                match lookup {
                    Some(found) => found,
                    None => std::future::pending().await,
                }
            };
            runtime.block_on(async {
                let deadline = Instant::now() + std::time::Duration::from_millis(20);
                resolve_local("demo-1.demo.localhost:9093", 9093, lookup, deadline).await
            })
        };
        let (own, first) = ("127.0.0.3:9093".parse().unwrap(), "127.0.0.1:9093".parse().unwrap());
        assert_eq!(resolved(Some(Ok(vec![own]))), [own]);
        for words in ["Name or service not known", "Temporary failure in name resolution"] {
            assert_eq!(resolved(Some(Err(io::Error::other(words)))), [first], "{words}");
        }
        assert_eq!(resolved(None), [first]);
        for (host, want) in [
            ("localhost", true),
            ("demo-1.demo.localhost", true),
            ("localhost.example", false),
            ("notlocalhost", false),
        ] {
            assert_eq!(is_below_localhost(host), want, "{host}");
        }
    }

    #[test]
    fn a_resolver_that_does_not_answer_says_nothing_about_who_is_there() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(async {
            let deadline = Instant::now() + std::time::Duration::from_millis(20);
            resolve("kafka-1.kafka:9093", std::future::pending(), deadline).await.unwrap_err()
        });
        assert_eq!(error.to_string(), "the resolver does not answer in time for kafka-1.kafka:9093");
        assert_eq!(error.reason(), "ResolverFailed");
        assert!(!error.nobody_there());
    }

    #[test]
    fn numbers_that_are_not_random_end_the_drawing() {
        assert!(draw(|_| None::<ClusterId>).is_err());
    }
}
