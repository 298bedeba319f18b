//! Where a listener is reached, and how it is spoken with.

use std::net::IpAddr;

use rustls_pki_types::ServerName;

use crate::kafka::login::Login;
use crate::pki::handshake::TlsClient;

/// A listener as a client sees it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `host:port`, an IPv6 address in brackets.
    pub address: String,
    /// How to speak TLS with it; without it the connection is plaintext.
    pub tls: Option<Tls>,
    /// How to log in; without it a listener with SASL answers ApiVersions and nothing else.
    pub login: Option<Login>,
}

/// How to speak TLS with a listener.
#[derive(Debug, Clone)]
pub struct Tls {
    client: TlsClient,
    server_name: ServerName<'static>,
}

impl Tls {
    /// With this leaf and trust, to a listener whose leaf names `host`, a name or an address without brackets; `None`
    /// where no certificate could name it.
    pub fn new(client: TlsClient, host: &str) -> Option<Self> {
        let server_name = match host.parse::<IpAddr>() {
            Ok(address) => ServerName::IpAddress(address.into()),
            Err(_) => ServerName::try_from(host.to_owned()).ok()?,
        };
        Some(Self { client, server_name })
    }

    /// The leaf and the trust.
    pub fn client(&self) -> &TlsClient {
        &self.client
    }

    /// The name that the other side's leaf must have.
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::io::tls_client;
    use crate::pki::testing;

    #[test]
    fn a_listener_is_known_by_a_name_or_an_address() {
        let ca = testing::root("ca");
        let client =
            tls_client(&ca.private_key(), [&ca.certificate], std::slice::from_ref(&ca.certificate)).unwrap();
        for (host, want) in [
            ("kafka-1.kafka", Some("kafka-1.kafka")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("127.0.0.3", Some("127.0.0.3")),
            ("kafka 1", None),
        ] {
            let got = Tls::new(client.clone(), host).map(|tls| tls.server_name().to_str().into_owned());
            assert_eq!(got.as_deref(), want, "{host}");
        }
    }
}
