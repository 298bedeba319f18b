//! The resolver and the connection: what of the world lies below Kafka's protocol.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::kafka::ask_error::AskError;
use crate::kafka::ask_error::unresolved;

/// A connection to `address` (`host:port`, an IPv6 address in brackets), by the first of its addresses that takes one.
pub async fn dial(address: &str, deadline: Instant) -> Result<TcpStream, AskError> {
    let (host, port) = host_and_port(address)?;
    let lookup = async { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
    let resolved = if is_below_localhost(host) {
        resolve_local(address, port, lookup, deadline).await
    } else {
        resolve(address, lookup, deadline).await?
    };
    match timeout_at(deadline, connect(address, resolved)).await {
        Ok(connected) => connected,
        Err(_) => Err(AskError::ConnectTimedOut { address: address.to_owned() }),
    }
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
            Ok(stream) => {
                // A request is one write, and waits for no other. Without it the handshake is only slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
