//! Who the controllers are as this node's configuration has it, and how the node speaks with them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::derived::host_port;
use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::QuorumKind;
use crate::cluster::settings::SecurityProtocol;
use crate::commands::failure::Failure;
use crate::commands::inputs::Inputs;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::endpoint::Tls;
use crate::kafka::login::Login;
use crate::kafka::node_id::NodeId;
use crate::pki::handshake::TlsClient;
use crate::quorum::io::Controller;
use crate::quorum::own;
use crate::quorum::own::Own;
use crate::reload::channel::NodeChannels;
use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::NodeProperties;

/// The controllers, and what this node knows of itself and of them before it has looked.
pub struct Controllers {
    /// Their listener and its protocol; `None` where the properties name none.
    listener: Option<(ListenerName, SecurityProtocol)>,
    addresses: Vec<Address>,
    /// The other brokers' listeners for brokers, where the settings know them.
    other_brokers: Vec<Address>,
    /// What verdicts are made with.
    pub own: Own,
    /// Where `meta.properties` of the metadata log lies.
    pub metadata_log_dir: Option<PathBuf>,
    /// All log directories, that of the metadata log among them.
    pub log_dirs: Vec<PathBuf>,
}

struct Address {
    node_id: Option<NodeId>,
    host: String,
    port: u16,
}

impl Controllers {
    /// Of a node that `kraftlet init` has prepared: the settings know every node.
    pub fn of_settings(
        inputs: &Inputs,
        properties: &NodeProperties,
        channels: &NodeChannels,
    ) -> Result<Self, Failure> {
        let cluster = &inputs.cluster;
        let nodes = cluster.nodes(inputs.facts.namespace.as_deref());
        let (mut addresses, mut other_brokers) = (Vec::new(), Vec::new());
        let (mut controllers, mut brokers) = (BTreeSet::new(), BTreeSet::new());
        for node in &nodes {
            if node.pool.roles.is_broker() {
                brokers.insert(node.node_id);
                let listener = cluster.listeners_of(node).find(|one| one.is_for_brokers());
                if let Some(listener) = listener.filter(|_| node.node_id != inputs.node.node_id) {
                    let (host, port) = cluster.address(node, listener)?;
                    other_brokers.push(Address { node_id: Some(node.node_id), host, port });
                }
            }
            if let Some(listener) = cluster.controller_listener().filter(|_| node.pool.roles.is_controller())
            {
                let (host, port) = cluster.address(node, listener)?;
                controllers.insert(node.node_id);
                addresses.push(Address { node_id: Some(node.node_id), host, port });
            }
        }
        let own = Own {
            formed: cluster.settings.formed,
            controllers,
            brokers,
            ..own(properties, inputs.node.node_id, inputs.node.pool.roles)
        };
        Ok(Self { other_brokers, ..Self::new(properties, channels, addresses, own) })
    }

    /// Of a node that somebody else configures: `controller.quorum.voters` or `controller.quorum.bootstrap.servers`,
    /// whichever is there.
    pub fn of_properties(properties: &NodeProperties, channels: &NodeChannels) -> Self {
        let voters = properties.list("controller.quorum.voters");
        let voters = voters.iter().filter_map(|voter| {
            let (node_id, address) = voter.split_once('@')?;
            Some((node_id.parse().ok(), address))
        });
        let servers = properties.list("controller.quorum.bootstrap.servers");
        let servers = servers.iter().map(|address| (None, *address));
        let address = |(node_id, text): (Option<NodeId>, &str)| {
            let (host, port) = text.rsplit_once(':')?;
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            Some(Address { node_id, host, port: port.parse().ok()? })
        };
        let addresses: Vec<Address> = voters.chain(servers).filter_map(address).collect();
        let controllers = addresses.iter().filter_map(|one| one.node_id).collect();
        // Whether it has run before nobody says. To take it for young is the safe side: its pods may have to become ready
        // one after the other, and the first leader that is seen settles it.
        let own = Own { controllers, ..own(properties, channels.node_id, channels.roles) };
        Self::new(properties, channels, addresses, own)
    }

    fn new(properties: &NodeProperties, channels: &NodeChannels, addresses: Vec<Address>, own: Own) -> Self {
        // Kafka's order: one key counts, and a list goes before its singular.
        let keys = ["log.dirs", "log.dir"].map(|key| properties.list(key));
        let log_dirs = keys.into_iter().find(|list| !list.is_empty()).unwrap_or_default();
        let log_dirs: Vec<PathBuf> = log_dirs.into_iter().map(PathBuf::from).collect();
        let own_place = properties.list("metadata.log.dir").first().map(PathBuf::from);
        let metadata_log_dir = own_place.or_else(|| log_dirs.first().cloned());
        let all: BTreeSet<PathBuf> = log_dirs.into_iter().chain(metadata_log_dir.clone()).collect();
        Self {
            listener: channels.controllers.clone(),
            addresses,
            other_brokers: Vec::new(),
            own,
            metadata_log_dir,
            log_dirs: all.into_iter().collect(),
        }
    }

    /// Their listener; `None` where the properties name none.
    pub fn listener(&self) -> Option<&ListenerName> {
        self.listener.as_ref().map(|(name, _)| name)
    }

    /// Whether their listener has TLS.
    pub fn has_tls(&self) -> bool {
        self.listener.as_ref().is_some_and(|(_, protocol)| protocol.has_tls())
    }

    /// Every controller as it is dialled with this leaf and trust; without them a listener that has TLS is not dialled.
    pub fn dialled(&self, client: Option<&TlsClient>, login: Option<&Login>) -> Vec<Controller> {
        let controller = |one: &Address| {
            let endpoint = endpoint(one, self.listener.as_ref()?.1, client, login)?;
            Some(Controller { node_id: one.node_id, endpoint })
        };
        self.addresses.iter().filter_map(controller).collect()
    }

    /// The other brokers' listeners for brokers, which speak `protocol` as this node's own does.
    pub fn other_brokers(
        &self,
        protocol: SecurityProtocol,
        client: Option<&TlsClient>,
        login: Option<&Login>,
    ) -> Vec<(NodeId, Endpoint)> {
        let broker = |one: &Address| Some((one.node_id?, endpoint(one, protocol, client, login)?));
        self.other_brokers.iter().filter_map(broker).collect()
    }
}

/// An address as it is dialled; `None` where it has TLS and no client for it is there, or no certificate can name it.
fn endpoint(
    one: &Address,
    protocol: SecurityProtocol,
    client: Option<&TlsClient>,
    login: Option<&Login>,
) -> Option<Endpoint> {
    let tls = match client {
        _ if !protocol.has_tls() => None,
        Some(client) => Some(Tls::new(client.clone(), &one.host)?),
        None => return None,
    };
    let login = login.cloned().filter(|_| protocol.has_sasl());
    Some(Endpoint { address: host_port(&one.host, one.port), tls, login })
}

/// What the node's own properties say, by Kafka's defaults where they are silent.
fn own(properties: &NodeProperties, node_id: NodeId, roles: ProcessRoles) -> Own {
    let milliseconds = |key, default: Duration| {
        let found = properties.value(key).and_then(|text| text.trim().parse().ok());
        found.map_or(default, Duration::from_millis)
    };
    let is_static = !properties.list("controller.quorum.voters").is_empty();
    let no_op_interval = milliseconds("metadata.max.idle.interval.ms", own::NO_OP_INTERVAL);
    Own {
        node_id,
        roles,
        directory_id: None,
        quorum: if is_static { QuorumKind::Static } else { QuorumKind::Dynamic },
        formed: false,
        controllers: BTreeSet::new(),
        brokers: BTreeSet::new(),
        fetch_timeout: milliseconds("controller.quorum.fetch.timeout.ms", own::FETCH_TIMEOUT),
        no_op_interval: Some(no_op_interval).filter(|interval| !interval.is_zero()),
        session_timeout: milliseconds("broker.session.timeout.ms", own::SESSION_TIMEOUT),
    }
}
