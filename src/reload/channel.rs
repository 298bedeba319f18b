//! A node's TLS channels, each with its stores and with what makes it take new ones.
//!
//! Observed on Kafka 3.9.2 to 4.4.0: a listener's keys feed its server side, and also the clients of this node that
//! dial such listeners elsewhere. An alter of the node's own resource reloads all of them but the raft client, whose
//! channel builder no release up to 4.4.0 registers (KAFKA-20025); an engine that follows the files reaches all.

use std::fmt;

use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::ClientAuth;
use crate::cluster::settings::SecurityProtocol;
use crate::kafka::node_id::NodeId;
use crate::kafka::version::KafkaVersion;
use crate::reload::listener;
use crate::reload::listener::NodeError;
use crate::reload::listener::NodeListener;
use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::NodeProperties;
use crate::reload::store::EngineClass;
use crate::reload::store::Store;
use crate::reload::store::Stores;

/// A node as its own `server.properties` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChannels {
    /// `node.id`.
    pub node_id: NodeId,
    /// `process.roles`.
    pub roles: ProcessRoles,
    /// Every listener that the node binds, those without TLS included: the agent may send its requests there.
    pub listeners: Vec<NodeListener>,
    /// The controllers' listener, which a broker names without binding it, and how it is spoken with.
    pub controllers: Option<(ListenerName, SecurityProtocol)>,
    /// The channels that have TLS: listeners first, in the order of the file, then clients.
    pub channels: Vec<Channel>,
}

/// One TLS channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Which one.
    pub name: ChannelName,
    /// The listener whose prefix its settings have.
    pub listener: ListenerName,
    /// What it is made from.
    pub stores: Stores,
    /// Whether it shows its leaf to anybody.
    pub leaf_shown: LeafShown,
    /// What makes it take a new leaf.
    pub leaf_by: Way,
    /// What makes it take new trust anchors.
    pub trust_by: Way,
}

/// Which channel of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChannelName {
    /// The server side of a listener.
    Listener(ListenerName),
    /// One of the node's own clients.
    Client(Client),
}

/// A node's own clients (KafkaRaftManager, NodeToControllerChannelManager, BrokerBlockingSender, NetworkUtils).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// Fetches and votes, on controllers and brokers.
    Raft,
    /// Heartbeats, forwarding, partition changes: brokers only.
    NodeToController,
    /// Tells the quorum who this controller is: controllers only.
    ControllerRegistration,
    /// Copies partitions: brokers only.
    ReplicaFetcher,
    /// Transaction markers, share state and other talk among brokers.
    BrokerToBroker,
}

/// Whether a channel shows its leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafShown {
    /// To everybody (a server), or to servers of its kind (a client).
    Yes,
    /// Its servers are elsewhere, and their settings are not known here: taken for yes.
    Perhaps,
    /// It has none, or no server of its kind asks for it.
    No,
}

/// What makes a channel take new files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// kraftlet's engine: at the next connection after the files have changed.
    Engine,
    /// A request to the node itself or to the active controller.
    AdminApi,
    /// Only a restart.
    NotReloadable(Why),
}

/// Why a channel needs a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The raft client without kraftlet's engine.
    RaftClient,
    /// Up to 4.2 the id of a controller that is no static voter is not known to the Admin API (KAFKA-18928).
    DedicatedController,
    /// As [`Self::DedicatedController`], perhaps: nobody said which release runs.
    ReleaseUnknown,
    /// The text stands in the properties; there is no file to read again.
    InlinePem,
    /// What somebody else's engine follows is not known.
    ForeignEngine(String),
}

impl NodeChannels {
    /// The node and its channels from its properties, config providers resolved. `release` is that of the running
    /// Kafka; without it what depends on it is taken for not reloadable.
    pub fn of(properties: &NodeProperties, release: Option<KafkaVersion>) -> Result<Self, NodeError> {
        let (node_id, roles) = (node_id(properties)?, roles(properties)?);
        let listeners = listener::listeners(properties)?;
        let node = Node {
            properties,
            listeners: &listeners,
            admin_api: admin_api(properties, roles, node_id, release),
        };
        let mut channels = Vec::new();
        for one in listeners.iter().filter(|one| one.security_protocol.has_tls()) {
            channels.push(node.channel(ChannelName::Listener(one.name.clone()), &one.name, LeafShown::Yes));
        }
        let controllers = match listener::controller_names(properties).into_iter().next() {
            Some(name) => {
                channels.extend(node.clients(&name, &clients_of_controllers(roles))?);
                let protocol = listener::security_protocol(properties, &name)?;
                Some((name, protocol))
            }
            None => None,
        };
        if roles.is_broker() {
            let brokers = listener::inter_broker_name(properties)?;
            channels.extend(node.clients(&brokers, &[Client::ReplicaFetcher, Client::BrokerToBroker])?);
        }
        Ok(Self { node_id, roles, listeners, controllers, channels })
    }
}

impl ChannelName {
    /// What the engine reports of a channel, beside its listener's prefix: `server` or `client`.
    pub fn side(&self) -> Side {
        match self {
            Self::Listener(_) => Side::Server,
            Self::Client(_) => Side::Client,
        }
    }
}

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The end that is dialled.
    Server,
    /// The end that dials.
    Client,
}

impl Why {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::RaftClient => "RaftClientNotReloadable",
            Self::DedicatedController => "DedicatedControllerNotReloadable",
            Self::ReleaseUnknown => "KafkaReleaseUnknown",
            Self::InlinePem => "InlinePemNotReloadable",
            Self::ForeignEngine(_) => "EngineUnknown",
        }
    }
}

struct Node<'a> {
    properties: &'a NodeProperties,
    listeners: &'a [NodeListener],
    /// What an alter of this node's own resource does.
    admin_api: Way,
}

impl Node<'_> {
    /// The clients that take their settings under this listener's prefix, if it has TLS.
    fn clients(&self, listener: &ListenerName, clients: &[Client]) -> Result<Vec<Channel>, NodeError> {
        let protocol = listener::security_protocol(self.properties, listener)?;
        if !protocol.has_tls() {
            return Ok(Vec::new());
        }
        let shown = self.asked_of_clients(listener, protocol);
        let channel = |client: &Client| self.channel(ChannelName::Client(*client), listener, shown);
        Ok(clients.iter().map(channel).collect())
    }

    /// Peers have the listener that this node has; where it has none of this name it cannot be known.
    fn asked_of_clients(&self, listener: &ListenerName, protocol: SecurityProtocol) -> LeafShown {
        let own = self.listeners.iter().find(|one| one.name == *listener);
        match own.map(|one| one.client_auth) {
            Some(ClientAuth::Required | ClientAuth::Requested) => LeafShown::Yes,
            Some(ClientAuth::None) => LeafShown::No,
            None if protocol.has_tls() => LeafShown::Perhaps,
            None => LeafShown::No,
        }
    }

    fn channel(&self, name: ChannelName, listener: &ListenerName, shown: LeafShown) -> Channel {
        let stores = Stores::of(self.properties, listener);
        let leaf_shown = if stores.keystore.is_some() { shown } else { LeafShown::No };
        let leaf_by = self.way(&name, stores.keystore.as_ref(), &stores.engine);
        let trust_by = self.way(&name, stores.truststore.as_ref(), &stores.engine);
        Channel { name, listener: listener.clone(), stores, leaf_shown, leaf_by, trust_by }
    }

    fn way(&self, name: &ChannelName, store: Option<&Store>, engine: &EngineClass) -> Way {
        match (store, engine) {
            (_, EngineClass::Foreign(class)) => Way::NotReloadable(Why::ForeignEngine(class.clone())),
            (Some(Store::Inline(_)), _) => Way::NotReloadable(Why::InlinePem),
            (_, EngineClass::Kraftlet) => Way::Engine,
            (_, EngineClass::Kafka) => match name {
                ChannelName::Client(Client::Raft) => Way::NotReloadable(Why::RaftClient),
                ChannelName::Listener(_)
                | ChannelName::Client(
                    Client::NodeToController
                    | Client::ControllerRegistration
                    | Client::ReplicaFetcher
                    | Client::BrokerToBroker,
                ) => self.admin_api.clone(),
            },
        }
    }
}

fn clients_of_controllers(roles: ProcessRoles) -> Vec<Client> {
    match roles {
        ProcessRoles::Broker => vec![Client::Raft, Client::NodeToController],
        ProcessRoles::Controller => vec![Client::Raft, Client::ControllerRegistration],
        ProcessRoles::Combined => {
            vec![Client::Raft, Client::NodeToController, Client::ControllerRegistration]
        }
    }
}

/// ConfigurationControlManager takes a request for ids that it knows: registered brokers, static voters and, from
/// 4.3 on, every controller.
fn admin_api(
    properties: &NodeProperties,
    roles: ProcessRoles,
    node_id: NodeId,
    release: Option<KafkaVersion>,
) -> Way {
    let voters = properties.list("controller.quorum.voters");
    let is_static_voter = voters
        .iter()
        .any(|voter| voter.split_once('@').is_some_and(|(id, _address)| id.parse() == Ok(node_id)));
    match (roles, release) {
        (ProcessRoles::Broker | ProcessRoles::Combined, _) => Way::AdminApi,
        (ProcessRoles::Controller, _) if is_static_voter => Way::AdminApi,
        (ProcessRoles::Controller, Some(release)) if release.at_least(4, 3) => Way::AdminApi,
        (ProcessRoles::Controller, Some(_)) => Way::NotReloadable(Why::DedicatedController),
        (ProcessRoles::Controller, None) => Way::NotReloadable(Why::ReleaseUnknown),
    }
}

/// `node.id`, or its older name (KafkaConfig.populateSynonyms).
fn node_id(properties: &NodeProperties) -> Result<NodeId, NodeError> {
    let text = properties.value("node.id").or_else(|| properties.value("broker.id"));
    let text = text.ok_or(NodeError::Missing { key: "node.id" })?;
    text.parse().map_err(|_| NodeError::invalid("node.id", text, "a whole number from 0 to 2147483647"))
}

fn roles(properties: &NodeProperties) -> Result<ProcessRoles, NodeError> {
    const KEY: &str = "process.roles";
    let roles = properties.list(KEY);
    match roles.as_slice() {
        [] => Err(NodeError::Missing { key: KEY }),
        ["broker"] => Ok(ProcessRoles::Broker),
        ["controller"] => Ok(ProcessRoles::Controller),
        ["broker", "controller"] | ["controller", "broker"] => Ok(ProcessRoles::Combined),
        _ => Err(NodeError::invalid(KEY, &roles.join(","), "broker, controller, or both, each once")),
    }
}

/// As a person would call it.
impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(name) => write!(f, "listener {name}"),
            Self::Client(client) => client.fmt(f),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raft => "raft client",
            Self::NodeToController => "node-to-controller client",
            Self::ControllerRegistration => "controller registration client",
            Self::ReplicaFetcher => "replica fetcher",
            Self::BrokerToBroker => "broker-to-broker client",
        })
    }
}

/// What a person has to know of it.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RaftClient => f.write_str("no Kafka release up to 4.4 reloads the raft client (KAFKA-20025)"),
            Self::DedicatedController => {
                f.write_str("up to Kafka 4.2 the Admin API does not know a controller of a dynamic quorum (KAFKA-18928)")
            }
            Self::ReleaseUnknown => f.write_str(
                "whether the Admin API knows a controller of a dynamic quorum depends on the Kafka release, which is not known",
            ),
            Self::InlinePem => f.write_str("the PEM text stands in the properties, so there is no file to read again"),
            Self::ForeignEngine(class) => write!(f, "what {class} follows is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reload::store::ENGINE_CLASS;

    /// As kraftlet itself writes it, less what no channel reads.
    fn own(roles: &str, quorum: &str, more: &str) -> String {
        let mut lines = format!(
            "node.id=3\nprocess.roles={roles}\n{quorum}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:SSL,INTERNAL:SSL,EXTERNAL:SASL_SSL\n\
             listener.name.controller.ssl.keystore.location=/run/kraftlet/tls/node/keystore.pem\n\
             listener.name.controller.ssl.keystore.type=PEM\n\
             listener.name.controller.ssl.truststore.location=/run/kraftlet/tls/node/truststore.pem\n\
             listener.name.controller.ssl.truststore.type=PEM\n{more}\n"
        );
        if roles != "broker" {
            lines.push_str("listener.name.controller.ssl.client.auth=required\n");
        }
        if roles != "controller" {
            lines.push_str(
                "inter.broker.listener.name=INTERNAL\nlistener.name.internal.ssl.client.auth=required\n\
                 listener.name.internal.ssl.keystore.location=/run/kraftlet/tls/node/keystore.pem\n\
                 listener.name.internal.ssl.keystore.type=PEM\n",
            );
        }
        lines.push_str(match roles {
            "controller" => "listeners=CONTROLLER://0.0.0.0:9093\n",
            "broker" => "listeners=INTERNAL://0.0.0.0:9092\n",
            _ => "listeners=CONTROLLER://0.0.0.0:9093,INTERNAL://0.0.0.0:9092,EXTERNAL://0.0.0.0:9094\n",
        });
        lines
    }

    const STATIC: &str = "controller.quorum.voters=3@kafka-0.kafka:9093";
    const DYNAMIC: &str = "controller.quorum.bootstrap.servers=kafka-0.kafka:9093";

    fn found(lines: &str, release: Option<&str>) -> Vec<String> {
        let properties = NodeProperties::parse(lines.as_bytes()).unwrap();
        let node = NodeChannels::of(&properties, release.map(|text| text.parse().unwrap())).unwrap();
        let way = |way: &Way| match way {
            Way::Engine => "engine".to_owned(),
            Way::AdminApi => "admin".to_owned(),
            Way::NotReloadable(why) => why.reason().to_owned(),
        };
        let shown = |one: &Channel| {
            let ways = if one.leaf_by == one.trust_by {
                way(&one.leaf_by)
            } else {
                format!("{}/{}", way(&one.leaf_by), way(&one.trust_by))
            };
            format!("{} ({}) {:?} {ways}", one.name, one.listener, one.leaf_shown)
        };
        node.channels.iter().map(shown).collect()
    }

    fn check(lines: &str, release: Option<&str>, want: &[&str]) {
        assert_eq!(found(lines, release), want, "{lines}");
    }

    #[test]
    fn with_the_admin_api_all_of_a_combined_node_reloads_but_its_raft_client() {
        check(
            &own("broker,controller", STATIC, ""),
            Some("4.4.0"),
            &[
                "listener CONTROLLER (CONTROLLER) Yes admin",
                "listener INTERNAL (INTERNAL) Yes admin",
                "listener EXTERNAL (EXTERNAL) No admin",
                "raft client (CONTROLLER) Yes RaftClientNotReloadable",
                "node-to-controller client (CONTROLLER) Yes admin",
                "controller registration client (CONTROLLER) Yes admin",
                "replica fetcher (INTERNAL) Yes admin",
                "broker-to-broker client (INTERNAL) Yes admin",
            ],
        );
    }

    #[test]
    fn with_our_engine_every_channel_that_names_it_follows_the_files() {
        let engine = format!("listener.name.controller.ssl.engine.factory.class={ENGINE_CLASS}");
        check(
            &own("controller", DYNAMIC, &engine),
            Some("3.9.2"),
            &[
                "listener CONTROLLER (CONTROLLER) Yes engine",
                "raft client (CONTROLLER) Yes engine",
                "controller registration client (CONTROLLER) Yes engine",
            ],
        );
    }

    #[test]
    fn a_broker_does_not_know_whether_controllers_ask_for_its_leaf() {
        check(
            &own("broker", STATIC, ""),
            None,
            &[
                "listener INTERNAL (INTERNAL) Yes admin",
                "raft client (CONTROLLER) Perhaps RaftClientNotReloadable",
                "node-to-controller client (CONTROLLER) Perhaps admin",
                "replica fetcher (INTERNAL) Yes admin",
                "broker-to-broker client (INTERNAL) Yes admin",
            ],
        );
    }

    #[test]
    fn a_dedicated_controller_reloads_as_a_static_voter_or_from_4_3_on() {
        let check = |quorum, release, want| {
            let found = found(&own("controller", quorum, ""), release);
            assert_eq!(
                found[0],
                format!("listener CONTROLLER (CONTROLLER) Yes {want}"),
                "{quorum} {release:?}"
            );
            assert_eq!(found[1], "raft client (CONTROLLER) Yes RaftClientNotReloadable");
        };
        check(STATIC, Some("3.9.2"), "admin");
        check(STATIC, None, "admin");
        check("controller.quorum.voters=13@kafka-0.kafka:9093", None, "KafkaReleaseUnknown");
        check(DYNAMIC, Some("4.2.1"), "DedicatedControllerNotReloadable");
        check(DYNAMIC, Some("4.3.1"), "admin");
        check(DYNAMIC, None, "KafkaReleaseUnknown");
    }

    #[test]
    fn text_in_the_properties_and_a_foreign_engine_need_a_restart() {
        let inline = "listener.name.controller.ssl.truststore.certificates=text";
        let raft = "raft client (CONTROLLER) Yes RaftClientNotReloadable/InlinePemNotReloadable";
        let found = found(&own("controller", STATIC, inline), Some("4.4.0"));
        assert_eq!(
            found[..2],
            ["listener CONTROLLER (CONTROLLER) Yes admin/InlinePemNotReloadable".to_owned(), raft.to_owned()]
        );
        let foreign = "listener.name.controller.ssl.engine.factory.class=org.x.Y";
        check(
            &own("controller", STATIC, foreign),
            Some("4.4.0"),
            &[
                "listener CONTROLLER (CONTROLLER) Yes EngineUnknown",
                "raft client (CONTROLLER) Yes EngineUnknown",
                "controller registration client (CONTROLLER) Yes EngineUnknown",
            ],
        );
    }

    #[test]
    fn a_quorum_with_a_login_does_not_see_the_leaf_and_a_plaintext_one_has_no_channel() {
        let lines = own("controller", STATIC, "")
            .replace("CONTROLLER:SSL", "CONTROLLER:SASL_SSL")
            .replace("listener.name.controller.ssl.client.auth=required\n", "");
        assert_eq!(found(&lines, None)[1], "raft client (CONTROLLER) No RaftClientNotReloadable");
        check(&lines.replace("SASL_SSL", "PLAINTEXT"), None, &[]);
    }

    #[test]
    fn a_file_that_is_not_a_nodes_is_refused() {
        let check = |lines: &str, want: &str| {
            let properties = NodeProperties::parse(lines.as_bytes()).unwrap();
            assert_eq!(NodeChannels::of(&properties, None).unwrap_err().to_string(), want);
        };
        let want = "want the server.properties of a node in KRaft mode";
        check("broker.id=1", &format!("process.roles is missing; {want}"));
        check("process.roles=broker", &format!("node.id is missing; {want}"));
        check("node.id=x", "node.id is \"x\"; want a whole number from 0 to 2147483647");
        check(
            "node.id=1\nprocess.roles=broker,broker",
            "process.roles is \"broker,broker\"; want broker, controller, or both, each once",
        );
    }
}
