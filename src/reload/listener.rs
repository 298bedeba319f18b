//! A node's listeners as its `server.properties` has them, and how this pod reaches them.
//!
//! The rules are those of KafkaConfig, SocketServerConfigs and ChannelBuilders. The agent dials the address that is
//! bound, but asks for the name that peers and clients dial: the certificate vouches for that one.

use std::collections::BTreeMap;

use crate::cluster::derived::host_port;
use crate::cluster::settings::ClientAuth;
use crate::cluster::settings::SecurityProtocol;
use crate::pki::hostname::Host;
use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::NodeProperties;

/// One listener that the node has bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeListener {
    /// Its name.
    pub name: ListenerName,
    /// Who talks here.
    pub serves: Serves,
    /// Where this pod reaches it: the bound host, or loopback where all addresses are bound.
    pub host: String,
    /// The bound port.
    pub port: u16,
    /// The name to verify: the advertised host, or the host of the node's own entry among the voters, or the bound
    /// host. `None` where only the machine's own name is advertised, which the properties do not say, or a name that no
    /// certificate can vouch for.
    pub tls_name: Option<Host>,
    /// TLS or not, SASL or not.
    pub security_protocol: SecurityProtocol,
    /// Whether it asks its clients for a certificate.
    pub client_auth: ClientAuth,
    /// What a client may log in with, as Kafka writes it; empty without SASL.
    pub sasl_mechanisms: Vec<String>,
    /// How many threads serve it, each with TLS settings of its own.
    pub network_threads: u32,
}

/// Who talks on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// The controller quorum and brokers that talk to it.
    Controllers,
    /// Brokers among themselves, and perhaps clients.
    Brokers,
    /// Clients alone.
    Clients,
}

/// Properties from which the listeners, or the node that has them, cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Not KRaft, or not a node's own properties.
    #[error("{key} is missing; want the server.properties of a node in KRaft mode")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value that Kafka would refuse too.
    #[error("{key} is {value:?}; want {wanted}")]
    Invalid {
        /// The key.
        key: String,
        /// The value, cut short.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A listener whose protocol is not said.
    #[error("listener {listener} has no entry in listener.security.protocol.map")]
    NoProtocol {
        /// The listener.
        listener: ListenerName,
    },
}

impl NodeError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "NodePropertyMissing",
            Self::Invalid { .. } => "NodePropertyInvalid",
            Self::NoProtocol { .. } => "ListenerProtocolUnknown",
        }
    }

    /// A value as it was found, cut short: it comes from outside.
    pub(crate) fn invalid(key: impl Into<String>, value: &str, wanted: &'static str) -> Self {
        Self::Invalid { key: key.into(), value: value.chars().take(80).collect(), wanted }
    }
}

impl NodeListener {
    /// `host:port` to dial, an IPv6 address in brackets.
    pub fn address(&self) -> String {
        host_port(&self.host, self.port)
    }
}

/// `num.network.threads` where nobody sets it (ServerConfigs.NUM_NETWORK_THREADS_DEFAULT in SocketServerConfigs).
const NETWORK_THREADS: u32 = 3;

/// A bound, so that a file cannot ask for handshakes without end; the busiest brokers run some tens.
const MOST_NETWORK_THREADS: u32 = 1024;

/// The listeners of the node, in the order of the file.
pub fn listeners(properties: &NodeProperties) -> Result<Vec<NodeListener>, NodeError> {
    let bound = end_points(properties, "listeners")?;
    // KafkaConfig.effectiveAdvertisedBrokerListeners: who is not advertised is advertised as it is bound.
    let advertised: BTreeMap<ListenerName, String> = end_points(properties, "advertised.listeners")?
        .into_iter()
        .map(|point| (point.name, point.host))
        .collect();
    let controllers = controller_names(properties);
    let inter_broker = inter_broker_name(properties)?;
    let mut listeners = Vec::new();
    for EndPoint { name, host, port } in bound {
        let security_protocol = security_protocol(properties, &name)?;
        let serves = match () {
            () if controllers.contains(&name) => Serves::Controllers,
            () if name == inter_broker => Serves::Brokers,
            () => Serves::Clients,
        };
        let of_voters = (controllers.first() == Some(&name)).then(|| voter_host(properties)).flatten();
        let shown = [advertised.get(&name).cloned(), of_voters, Some(host.clone())];
        let tls_name = shown.into_iter().flatten().find(|host| !is_wildcard(host));
        listeners.push(NodeListener {
            serves,
            host: reached_at(&host),
            port,
            tls_name: tls_name.and_then(|host| host.parse().ok()),
            security_protocol,
            client_auth: client_auth(properties, &name, security_protocol)?,
            sasl_mechanisms: sasl_mechanisms(properties, &name, security_protocol),
            network_threads: network_threads(properties, &name)?,
            name,
        });
    }
    Ok(listeners)
}

/// The names in `controller.listener.names`; clients of the quorum take the first one's settings.
pub fn controller_names(properties: &NodeProperties) -> Vec<ListenerName> {
    properties.list("controller.listener.names").into_iter().map(ListenerName::new).collect()
}

/// The listener between brokers: by name, or the one that is called like the protocol.
pub fn inter_broker_name(properties: &NodeProperties) -> Result<ListenerName, NodeError> {
    let named = properties.value("inter.broker.listener.name");
    let by_protocol = || properties.value("security.inter.broker.protocol").unwrap_or("PLAINTEXT");
    Ok(ListenerName::new(named.unwrap_or_else(by_protocol)))
}

/// The protocol of a listener, one that this node does not bind included (a broker names the controllers' listener).
pub fn security_protocol(
    properties: &NodeProperties,
    listener: &ListenerName,
) -> Result<SecurityProtocol, NodeError> {
    const KEY: &str = "listener.security.protocol.map";
    const WANTED: &str = "name:protocol pairs with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL";
    for pair in properties.list(KEY) {
        let (name, protocol) = pair.split_once(':').ok_or_else(|| NodeError::invalid(KEY, pair, WANTED))?;
        if ListenerName::new(name) == *listener {
            return protocol_named(protocol.trim()).ok_or_else(|| NodeError::invalid(KEY, pair, WANTED));
        }
    }
    // Without a map every protocol is a listener's name, and controllers' listeners are plaintext where no other
    // listener has TLS or SASL (KafkaConfig.effectiveListenerSecurityProtocolMap).
    let no_map = properties.value(KEY).is_none();
    let secured = |point: &str| {
        let name = point.split("://").next().unwrap_or_default();
        matches!(protocol_named(&name.to_uppercase()), Some(protocol) if protocol != SecurityProtocol::Plaintext)
    };
    match protocol_named(listener.as_str()) {
        Some(protocol) if no_map => Ok(protocol),
        _ if no_map
            && controller_names(properties).contains(listener)
            && !properties.list("listeners").into_iter().any(secured) =>
        {
            Ok(SecurityProtocol::Plaintext)
        }
        _ => Err(NodeError::NoProtocol { listener: listener.clone() }),
    }
}

/// `name://host:port`, with or without a host.
struct EndPoint {
    name: ListenerName,
    host: String,
    port: u16,
}

fn end_points(properties: &NodeProperties, key: &'static str) -> Result<Vec<EndPoint>, NodeError> {
    let text = properties.list(key);
    if text.is_empty() && key == "listeners" {
        return Err(NodeError::Missing { key });
    }
    let point = |text: &&str| {
        let (name, address) = text.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(EndPoint { name: ListenerName::new(name), host: host.to_owned(), port })
    };
    let wanted = "name://host:port with a port from 1 to 65535";
    text.iter().map(|text| point(text).ok_or_else(|| NodeError::invalid(key, text, wanted))).collect()
}

fn protocol_named(name: &str) -> Option<SecurityProtocol> {
    match name {
        "PLAINTEXT" => Some(SecurityProtocol::Plaintext),
        "SSL" => Some(SecurityProtocol::Ssl),
        "SASL_PLAINTEXT" => Some(SecurityProtocol::SaslPlaintext),
        "SASL_SSL" => Some(SecurityProtocol::SaslSsl),
        _ => None,
    }
}

fn is_wildcard(host: &str) -> bool {
    matches!(host, "" | "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0")
}

/// A server that binds all addresses is there on loopback as well.
fn reached_at(bound: &str) -> String {
    match bound {
        "::" | "0:0:0:0:0:0:0:0" => "::1".to_owned(),
        bound if is_wildcard(bound) => "127.0.0.1".to_owned(),
        bound => bound.to_owned(),
    }
}

/// The host of this node's own entry in `controller.quorum.voters`, which is what peers dial in a static quorum.
fn voter_host(properties: &NodeProperties) -> Option<String> {
    let node_id = properties.value("node.id").or_else(|| properties.value("broker.id"))?;
    let voters = properties.list("controller.quorum.voters");
    let address = voters.into_iter().find_map(|voter| voter.strip_prefix(node_id)?.strip_prefix('@'))?;
    let (host, _port) = address.rsplit_once(':')?;
    Some(host.trim_matches(['[', ']']).to_owned())
}

/// On SASL_SSL only a line of the listener's own counts (ChannelBuilders.create switches it off otherwise).
fn client_auth(
    properties: &NodeProperties,
    listener: &ListenerName,
    protocol: SecurityProtocol,
) -> Result<ClientAuth, NodeError> {
    let own = listener.key("ssl.client.auth");
    let value = match protocol {
        SecurityProtocol::Ssl => properties.of_listener(listener, "ssl.client.auth"),
        SecurityProtocol::SaslSsl => properties.value(&own),
        SecurityProtocol::Plaintext | SecurityProtocol::SaslPlaintext => None,
    };
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("none") => Ok(ClientAuth::None),
        Some("requested") => Ok(ClientAuth::Requested),
        Some("required") => Ok(ClientAuth::Required),
        Some(other) => Err(NodeError::invalid(own, other, "required, requested or none")),
    }
}

fn sasl_mechanisms(
    properties: &NodeProperties,
    listener: &ListenerName,
    protocol: SecurityProtocol,
) -> Vec<String> {
    if !protocol.has_sasl() {
        return Vec::new();
    }
    // BrokerSecurityConfigs.DEFAULT_SASL_ENABLED_MECHANISMS.
    let value = properties.of_listener(listener, "sasl.enabled.mechanisms").unwrap_or("GSSAPI");
    value.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

fn network_threads(properties: &NodeProperties, listener: &ListenerName) -> Result<u32, NodeError> {
    const KEY: &str = "num.network.threads";
    let Some(text) = properties.of_listener(listener, KEY) else { return Ok(NETWORK_THREADS) };
    let count = text.parse().ok().filter(|count| (1..=MOST_NETWORK_THREADS).contains(count));
    count.ok_or_else(|| NodeError::invalid(listener.key(KEY), text, "a whole number from 1 to 1024"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &str) -> Result<Vec<String>, String> {
        let properties = NodeProperties::parse(lines.as_bytes()).unwrap();
        let shown = |one: NodeListener| {
            let name = one.tls_name.map_or("?".to_owned(), |name| name.to_string());
            format!(
                "{} {:?} {} as {name} {} {:?} [{}] x{}",
                one.name,
                one.serves,
                host_port(&one.host, one.port),
                one.security_protocol,
                one.client_auth,
                one.sasl_mechanisms.join(","),
                one.network_threads
            )
        };
        let listeners = listeners(&properties).map_err(|error| format!("{}: {error}", error.reason()))?;
        Ok(listeners.into_iter().map(shown).collect())
    }

    fn check(lines: &str, want: &[&str]) {
        assert_eq!(found(lines).unwrap(), want, "{lines}");
    }

    #[test]
    fn a_combined_node_has_listeners_for_controllers_brokers_and_clients() {
        check(
            "node.id=1\nlisteners=CONTROLLER://0.0.0.0:9093,INTERNAL://:9092,EXTERNAL://[::]:9094\n\
             advertised.listeners=INTERNAL://kafka-0.kafka:9092,EXTERNAL://[fd00::1]:30001\n\
             controller.quorum.voters=11@kafka-10.kafka:9093,1@kafka-0.kafka:9093\n\
             listener.security.protocol.map=controller:SSL, INTERNAL:SASL_SSL, EXTERNAL:SASL_SSL\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=INTERNAL\nssl.client.auth=required\n\
             listener.name.external.ssl.client.auth=REQUESTED\nsasl.enabled.mechanisms=SCRAM-SHA-512\n\
             num.network.threads=2\nlistener.name.external.num.network.threads=5\n\
             listener.name.external.sasl.enabled.mechanisms=PLAIN, SCRAM-SHA-256",
            &[
                "CONTROLLER Controllers 127.0.0.1:9093 as kafka-0.kafka SSL Required [] x2",
                "INTERNAL Brokers 127.0.0.1:9092 as kafka-0.kafka SASL_SSL None [SCRAM-SHA-512] x2",
                "EXTERNAL Clients [::1]:9094 as fd00::1 SASL_SSL Requested [PLAIN,SCRAM-SHA-256] x5",
            ],
        );
    }

    #[test]
    fn without_a_map_a_listener_is_called_like_its_protocol() {
        check(
            "listeners=SSL://b:9092,PLAINTEXT://:9091",
            &[
                "SSL Clients b:9092 as b SSL None [] x3",
                "PLAINTEXT Brokers 127.0.0.1:9091 as ? PLAINTEXT None [] x3",
            ],
        );
        check(
            "listeners=C://c:1,PLAINTEXT://b:2\ncontroller.listener.names=C",
            &[
                "C Controllers c:1 as c PLAINTEXT None [] x3",
                "PLAINTEXT Brokers b:2 as b PLAINTEXT None [] x3",
            ],
        );
    }

    #[test]
    fn what_kafka_would_refuse_is_refused_with_the_key() {
        let check = |lines: &str, want: &str| assert_eq!(found(lines).unwrap_err(), want, "{lines}");
        check(
            "a=b",
            "NodePropertyMissing: listeners is missing; want the server.properties of a node in KRaft mode",
        );
        check(
            "listeners=SSL:9092",
            "NodePropertyInvalid: listeners is \"SSL:9092\"; want name://host:port with a port from 1 to 65535",
        );
        check(
            "listeners=OWN://:9092",
            "ListenerProtocolUnknown: listener OWN has no entry in listener.security.protocol.map",
        );
        check(
            "listeners=SSL://:1\nssl.client.auth=yes",
            "NodePropertyInvalid: listener.name.ssl.ssl.client.auth is \"yes\"; want required, requested or none",
        );
        check(
            "listeners=SSL://:1\nnum.network.threads=0",
            "NodePropertyInvalid: listener.name.ssl.num.network.threads is \"0\"; want a whole number from 1 to 1024",
        );
    }
}
