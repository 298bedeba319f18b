//! What all loops of the sidecar know of the node.

use std::cell::RefCell;
use std::path::Path;
use std::path::PathBuf;

use tokio::sync::Notify;

use crate::certificates::schedule::Slot;
use crate::certificates::turn::Reason;
use crate::cluster::derived::host_port;
use crate::cluster::engine;
use crate::cluster::server_properties;
use crate::cluster::settings::ClientAuth;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs::Inputs;
use crate::commands::sidecar::board::Board;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::endpoint::Tls;
use crate::pki::handshake::TlsClient;
use crate::pki::hostname::Host;
use crate::reload::channel::Channel;
use crate::reload::channel::ChannelName;
use crate::reload::channel::NodeChannels;
use crate::reload::listener::NodeListener;
use crate::reload::listener::Serves;
use crate::reload::node_properties::NodeProperties;
use crate::reload::verify::Report;

/// The node, and where to write what becomes of it.
pub struct Context {
    /// The settings and what follows from them.
    pub inputs: Inputs,
    /// The snapshot.
    pub board: Board,
    /// The node's channels, as its properties have them.
    pub channels: NodeChannels,
    /// What handshakes have shown and the observer has not looked at yet.
    pub seen: RefCell<Vec<Report>>,
    /// Wakes the observer.
    pub look: Notify,
}

impl Context {
    /// Nothing seen yet.
    pub fn new(inputs: Inputs, board: Board, channels: NodeChannels) -> Self {
        Self { inputs, board, channels, seen: RefCell::default(), look: Notify::new() }
    }

    /// The node that `inputs` are of.
    pub fn channels_of(inputs: &Inputs) -> Result<NodeChannels, Failure> {
        let text = server_properties::render("", &inputs.server.lines);
        let unusable = |reason, error: &dyn std::error::Error| Failure::of(Exit::Usage, reason, error);
        let properties =
            NodeProperties::parse(text.as_bytes()).map_err(|error| unusable("PropertiesInvalid", &error))?;
        NodeChannels::of(&properties, Some(inputs.cluster.kafka_version))
            .map_err(|error| unusable(error.reason(), &error))
    }

    /// The channels whose keystore lies in this folder.
    pub fn channels_in<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Channel> {
        self.channels.channels.iter().filter(move |channel| {
            let keystore = channel.stores.keystore.as_ref().and_then(|store| store.file());
            keystore.is_some_and(|file| file.location.parent() == Some(folder))
        })
    }

    /// The listeners whose keystore lies in this folder.
    pub fn listeners_in<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a NodeListener> {
        self.channels_in(folder).filter_map(|channel| match &channel.name {
            ChannelName::Listener(name) => self.channels.listeners.iter().find(|one| one.name == *name),
            ChannelName::Client(_) => None,
        })
    }

    /// One of this node's listeners as the agent dials it.
    pub fn endpoint(&self, listener: &NodeListener, client: &TlsClient) -> Endpoint {
        let name = listener.tls_name.as_ref().map_or_else(|| listener.host.clone(), Host::to_string);
        Endpoint {
            address: listener.address(),
            tls: Tls::new(client.clone(), &name).filter(|_| listener.security_protocol.has_tls()),
            login: self.inputs.login.clone(),
        }
    }

    /// The controllers' listeners as the agent dials them, those of the settings.
    pub fn controllers(&self, client: &TlsClient) -> Result<Vec<Endpoint>, Reason> {
        let cluster = &self.inputs.cluster;
        let Some(listener) = cluster.controller_listener() else { return Ok(Vec::new()) };
        let nodes = cluster.nodes(self.inputs.facts.namespace.as_deref());
        let controllers = nodes.iter().filter(|node| node.pool.roles.is_controller());
        let endpoint = |node| {
            let (host, port) = cluster
                .address(node, listener)
                .map_err(|error| Reason::new("TemplateUnusable", error.to_string()))?;
            let tls = listener.certificate.as_ref().and_then(|_| Tls::new(client.clone(), &host));
            Ok(Endpoint { address: host_port(&host, port), tls, login: self.inputs.login.clone() })
        };
        controllers.map(endpoint).collect()
    }

    /// This node's place in the fleet's calendar: voters first, so that more brokers do not move them.
    pub fn slot(&self) -> Slot {
        let Inputs { cluster, node, facts, .. } = &self.inputs;
        let mut nodes = cluster.nodes(facts.namespace.as_deref());
        nodes.sort_by_key(|one| (!one.pool.roles.is_controller(), one.node_id));
        let rank = nodes.iter().position(|one| one.node_id == node.node_id).unwrap_or(nodes.len());
        Slot::new(&cluster.cluster_id.to_string(), &node.pod.to_string(), rank, nodes.len())
    }

    /// Where the engines in Kafka write what they have loaded.
    pub fn engine_report_path(&self) -> PathBuf {
        engine::report(&self.inputs.run_folder)
    }

    /// Whether clients that nobody here sees are checked against the truststore in this folder.
    pub fn clients_are_checked(&self, folder: &Path) -> bool {
        let asks = |one: &NodeListener| one.client_auth != ClientAuth::None && self.serves_clients(one);
        self.listeners_in(folder).any(asks)
    }

    fn serves_clients(&self, listener: &NodeListener) -> bool {
        match listener.serves {
            Serves::Clients => true,
            Serves::Controllers => false,
            Serves::Brokers => {
                let name = listener.name.to_string();
                self.inputs.cluster.listeners.iter().any(|one| one.name == name && one.is_for_clients())
            }
        }
    }

    /// What handshakes have shown; the observer looks at once.
    pub fn has_seen(&self, reports: Vec<Report>) {
        self.seen.borrow_mut().extend(reports);
        self.look.notify_one();
    }
}
