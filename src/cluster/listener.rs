//! A listener: where nodes are reached, by whom, and how a connection is secured.

use crate::cluster::settings;
use crate::cluster::settings::ClientAuth;
use crate::cluster::settings::Peer;
use crate::cluster::settings::SaslMechanism;
use crate::cluster::settings::SecurityProtocol;
use crate::cluster::template::Template;
use crate::kafka::login::Mechanism;
use crate::kafka::scram::ScramMechanism;

/// A listener of all nodes that have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The name in capital letters, as Kafka normalises it (org.apache.kafka.common.network.ListenerName).
    pub name: String,
    /// The port it binds.
    pub port: u16,
    /// TLS or not, SASL or not.
    pub security_protocol: SecurityProtocol,
    /// What the server asks of its client; always `None` without TLS.
    pub client_auth: ClientAuth,
    /// SASL mechanisms; empty exactly when the protocol has no SASL.
    pub sasl_mechanisms: Vec<SaslMechanism>,
    /// The name of the certificate it serves, where it has TLS.
    pub certificate: Option<String>,
    /// The name clients are sent to.
    pub advertised_host: Template,
    /// The port clients are sent to.
    pub advertised_port: Template,
    serves: Vec<Peer>,
}

impl Listener {
    /// The listener, or all that is wrong with it: for each problem the key and a sentence.
    ///
    /// `host` is the settings' own; where that is no template it has been told, and a listener that needs it is
    /// refused without a word.
    pub fn new(
        listener: &settings::Listener,
        host: Option<&Template>,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        let name = listener.name.to_uppercase();
        let well_named = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if !well_named {
            let message = format!(
                "listener name {:?}: want letters, digits, '_' and '-', a letter first",
                listener.name
            );
            wrong.push(("name", message));
        }
        if listener.port == 0 {
            wrong.push(("port", format!("listener {name}: port 0 is none; want 1 to 65535")));
        }
        let controllers = listener.serves.contains(&Peer::Controllers);
        if listener.serves.is_empty() || (controllers && listener.serves.len() > 1) {
            let message = format!(
                "listener {name} is for {:?}; want [controllers] alone, or brokers, clients, or both",
                listener.serves
            );
            wrong.push(("for", message));
        }
        let protocol = listener.security_protocol;
        wrong.extend(sasl(listener, &name).map(|message| ("saslMechanisms", message)));
        if !protocol.has_tls() && listener.client_auth.is_some() {
            wrong.push(("clientAuth", format!("listener {name} is {protocol}, which has no certificates")));
        }
        let default_auth = match protocol {
            SecurityProtocol::Ssl => ClientAuth::Required,
            // ChannelBuilders.create switches client certificates off on SASL_SSL unless they are asked for.
            SecurityProtocol::SaslSsl | SecurityProtocol::Plaintext | SecurityProtocol::SaslPlaintext => {
                ClientAuth::None
            }
        };
        let mut template = |key, text: &str| match text.parse::<Template>() {
            Ok(template) => Some(template),
            Err(error) => {
                wrong.push((key, error.to_string()));
                None
            }
        };
        let advertised_host = match &listener.advertised_host {
            Some(text) => template("advertisedHost", text),
            None => host.cloned(),
        };
        let port = listener.advertised_port.clone().unwrap_or_else(|| listener.port.to_string());
        let advertised_port = template("advertisedPort", &port);
        match (advertised_host, advertised_port) {
            (Some(advertised_host), Some(advertised_port)) if wrong.is_empty() => Ok(Self {
                name,
                port: listener.port,
                security_protocol: protocol,
                client_auth: listener.client_auth.unwrap_or(default_auth),
                sasl_mechanisms: listener.sasl_mechanisms.clone(),
                certificate: protocol.has_tls().then(|| listener.certificate.clone()),
                advertised_host,
                advertised_port,
                serves: listener.serves.clone(),
            }),
            _ => Err(wrong),
        }
    }

    /// Whether the controller quorum talks here.
    pub fn is_for_controllers(&self) -> bool {
        self.serves.contains(&Peer::Controllers)
    }

    /// Whether brokers talk here among themselves.
    pub fn is_for_brokers(&self) -> bool {
        self.serves.contains(&Peer::Brokers)
    }

    /// Whether clients are sent here.
    pub fn is_for_clients(&self) -> bool {
        self.serves.contains(&Peer::Clients)
    }

    /// `listener.name.<name in small letters>.<key>` (ListenerName.configPrefix; the match is case-sensitive).
    pub fn key(&self, key: &str) -> String {
        format!("listener.name.{}.{key}", self.name.to_lowercase())
    }
}

/// What is wrong with a listener's SASL mechanisms.
fn sasl(listener: &settings::Listener, name: &str) -> Option<String> {
    let protocol = listener.security_protocol;
    let mechanisms = &listener.sasl_mechanisms;
    let scram = |one: &SaslMechanism| matches!(one, SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512);
    if protocol.has_sasl() && mechanisms.is_empty() {
        Some(format!("listener {name} is {protocol}; want at least one mechanism"))
    } else if !protocol.has_sasl() && !mechanisms.is_empty() {
        Some(format!("listener {name} is {protocol}, which has no SASL"))
    } else if listener.serves.contains(&Peer::Controllers) && mechanisms.iter().any(scram) {
        // SCRAM credentials are records of the metadata log, which nobody can read before controllers have met.
        Some(format!("listener {name} is for controllers, which cannot use SCRAM"))
    } else {
        None
    }
}

impl SecurityProtocol {
    /// Whether connections are encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether a client logs in.
    pub fn has_sasl(self) -> bool {
        matches!(self, Self::SaslSsl | Self::SaslPlaintext)
    }
}

impl SaslMechanism {
    /// As the agent's own client speaks it; `None` where it does not.
    pub fn login(self) -> Option<Mechanism> {
        match self {
            Self::Plain => Some(Mechanism::Plain),
            Self::ScramSha256 => Some(Mechanism::Scram(ScramMechanism::Sha256)),
            Self::ScramSha512 => Some(Mechanism::Scram(ScramMechanism::Sha512)),
            Self::OauthBearer => None,
        }
    }
}

impl std::fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ssl => "SSL",
            Self::SaslSsl => "SASL_SSL",
            Self::Plaintext => "PLAINTEXT",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
        })
    }
}

impl std::fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        })
    }
}

impl std::fmt::Display for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::Requested => "requested",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(yaml: &str) -> Result<Listener, String> {
        let settings: settings::Listener = serde_saphyr::from_str(yaml).unwrap();
        Listener::new(&settings, Some(&"{pod}".parse().unwrap())).map_err(|wrong| {
            wrong.iter().map(|(key, message)| format!("{key}: {message}")).collect::<Vec<_>>().join("; ")
        })
    }

    #[test]
    fn a_listener_asks_for_certificates_unless_it_logs_in_otherwise() {
        let ssl = listener("{name: client, port: 9092, for: [clients]}").unwrap();
        assert_eq!((ssl.name.as_str(), ssl.client_auth), ("CLIENT", ClientAuth::Required));
        assert_eq!(ssl.key("ssl.keystore.type"), "listener.name.client.ssl.keystore.type");
        let sasl = listener(
            "{name: A, port: 1, for: [clients], securityProtocol: SASL_SSL, saslMechanisms: [SCRAM-SHA-512]}",
        );
        assert_eq!(sasl.unwrap().client_auth, ClientAuth::None);
    }

    #[test]
    fn what_is_wrong_with_a_listener_is_said_all_at_once() {
        assert_eq!(
            listener("{name: 9x, port: 0, for: [controllers, clients], saslMechanisms: [PLAIN], advertisedPort: '{x}'}")
                .unwrap_err(),
            "name: listener name \"9x\": want letters, digits, '_' and '-', a letter first; \
             port: listener 9X: port 0 is none; want 1 to 65535; \
             for: listener 9X is for [Controllers, Clients]; want [controllers] alone, or brokers, clients, or both; \
             saslMechanisms: listener 9X is SSL, which has no SASL; \
             advertisedPort: template \"{x}\": \"x\" is unknown in braces; want pod, statefulSet, ordinal, nodeId, \
             namespace, service, clusterDomain, name, podIp or nodeName, or a sum over ordinal and nodeId"
        );
    }
}
