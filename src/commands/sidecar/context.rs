//! What all loops of the sidecar know of the node.

use std::path::Path;

use crate::cluster::server_properties;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs::Inputs;
use crate::commands::sidecar::board::Board;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::endpoint::Tls;
use crate::kafka::login::Login;
use crate::pki::handshake::TlsClient;
use crate::pki::hostname::Host;
use crate::reload::channel::Channel;
use crate::reload::channel::ChannelName;
use crate::reload::channel::NodeChannels;
use crate::reload::listener::NodeListener;
use crate::reload::node_properties::NodeProperties;

/// The node, and where to write what becomes of it.
pub struct Context {
    /// The settings and what follows from them.
    pub inputs: Inputs,
    /// The snapshot.
    pub board: Board,
    /// The node's channels, as its properties have them.
    pub channels: NodeChannels,
    /// How the agent logs in where a listener has SASL.
    pub login: Option<Login>,
}

impl Context {
    /// The node that `inputs` are of.
    pub fn channels_of(inputs: &Inputs) -> Result<NodeChannels, Failure> {
        let text = server_properties::render("", &inputs.server.lines);
        let unusable = |reason, error: &dyn std::error::Error| Failure::of(Exit::Usage, reason, error);
        let properties =
            NodeProperties::parse(&text).map_err(|error| unusable("PropertiesInvalid", &error))?;
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
            login: self.login.clone(),
        }
    }
}
