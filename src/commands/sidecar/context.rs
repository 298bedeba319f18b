//! What all loops of the sidecar know of the node.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Notify;

use crate::certificates::bundle::Bundle;
use crate::certificates::turn::Reason;
use crate::cluster::io as cluster_io;
use crate::cluster::settings::ClientAuth;
use crate::cluster::settings::Reload;
use crate::commands::inputs::InputArgs;
use crate::commands::inputs::Inputs;
use crate::commands::sidecar::board::Board;
use crate::commands::sidecar::controllers::Controllers;
use crate::commands::sidecar::keystore::Keystore;
use crate::health::pulse::Pulse;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::endpoint::Tls;
use crate::kafka::login::Login;
use crate::kafka::version::KafkaVersion;
use crate::pki::certificate::Fingerprint;
use crate::pki::handshake::TlsClient;
use crate::pki::hostname::Host;
use crate::quorum::departure::Patience;
use crate::quorum::startup::start::Heard;
use crate::reload::channel::Channel;
use crate::reload::channel::NodeChannels;
use crate::reload::listener::NodeListener;
use crate::reload::listener::Serves;
use crate::reload::node_properties::ListenerName;
use crate::reload::start_note::StartNote;
use crate::reload::verify::Report;

/// The node, and where to write what becomes of it.
pub struct Context {
    /// The snapshot.
    pub board: Board,
    /// The pod, or the host where there is no pod.
    pub pod: String,
    /// The node's channels, as its properties have them.
    pub channels: NodeChannels,
    /// How Kafka takes new stores.
    pub reload: Reload,
    /// The release that runs, where it is known.
    pub release: Option<KafkaVersion>,
    /// How the agent logs in where a listener has SASL.
    pub login: Option<Login>,
    /// The controllers.
    pub controllers: Controllers,
    /// Where the engines in Kafka write what they have loaded.
    pub engine_report: Option<PathBuf>,
    /// Where the agent notes what Kafka was started with.
    pub start_note: Option<PathBuf>,
    /// The settings, where there are any: the peers are known from them.
    pub inputs: Option<Rc<Inputs>>,
    /// How the settings are read again, where there are any.
    pub input_args: Option<InputArgs>,
    /// The stores of its certificates.
    pub keystores: Vec<Rc<dyn Keystore>>,
    /// Of each certificate without the engine: the trust anchors that Kafka was last seen to read with the leaf, by the
    /// fingerprint that `Material::of_trust` gives.
    pub trust_reloaded: RefCell<BTreeMap<String, Fingerprint>>,
    /// What handshakes have shown and the observer has not looked at yet.
    pub seen: RefCell<Vec<Report>>,
    /// Wakes the observer.
    pub look: Notify,
    /// What the node's own listener was last heard to say.
    pub heard: Cell<Option<Heard>>,
    /// The beats of the loops.
    pub pulse: Pulse,
    /// Told whenever somebody calls who is about to stop this node.
    pub stops: Arc<Notify>,
    /// How long such a stop may take.
    pub patience: Patience,
}

impl Context {
    /// The channels under these prefixes.
    pub fn channels_of<'a>(&'a self, prefixes: &'a [ListenerName]) -> impl Iterator<Item = &'a Channel> {
        self.channels.channels.iter().filter(|channel| prefixes.contains(&channel.listener))
    }

    /// The listeners among these that have TLS.
    pub fn listeners_of<'a>(&'a self, names: &'a [ListenerName]) -> impl Iterator<Item = &'a NodeListener> {
        let listeners = self.channels.listeners.iter();
        listeners.filter(|one| one.security_protocol.has_tls() && names.contains(&one.name))
    }

    /// What is installed for a listener: its peers know this leaf, and it is verified against this trust.
    pub fn installed_for(&self, listener: &ListenerName) -> Result<Bundle, Reason> {
        let installed = self.keystore_of(listener).map(|one| one.installed()).transpose()?.flatten();
        let sentence = || format!("listener {listener} has no keystore that can be read");
        installed.ok_or_else(|| Reason::new("KeystoreMissing", sentence()))
    }

    /// Leaves of this node that a listener may still present, with their ends: what its stores held before, and what Kafka
    /// may have been started with.
    pub fn former_leaves(&self, listener: &ListenerName) -> BTreeMap<Fingerprint, SystemTime> {
        let noted = self.start_note.as_ref().and_then(|path| cluster_io::read(path).ok());
        let noted = noted.and_then(|bytes| StartNote::decode(&bytes).ok());
        let candidates = noted.as_ref().and_then(|note| note.candidates(listener));
        let started_with = candidates.iter().flat_map(|found| &found.leaves).copied();
        let kept = self.keystore_of(listener).map(|one| one.former()).unwrap_or_default();
        kept.into_iter().chain(started_with).map(|leaf| (leaf.fingerprint, leaf.not_after)).collect()
    }

    fn keystore_of(&self, listener: &ListenerName) -> Option<&Rc<dyn Keystore>> {
        self.keystores.iter().find(|one| one.listeners().contains(listener))
    }

    /// One of this node's listeners as the agent dials it; with TLS if the listener has it and a client for it is there.
    pub fn endpoint(&self, listener: &NodeListener, client: Option<&TlsClient>) -> Endpoint {
        let name = listener.tls_name.as_ref().map_or_else(|| listener.host.clone(), Host::to_string);
        let client = client.filter(|_| listener.security_protocol.has_tls());
        Endpoint {
            address: listener.address(),
            tls: client.and_then(|client| Tls::new(client.clone(), &name)),
            // A listener without SASL takes no login (ILLEGAL_SASL_STATE).
            login: self.login.clone().filter(|_| listener.security_protocol.has_sasl()),
        }
    }

    /// Whether clients that nobody here sees are checked against the truststore of these listeners.
    pub fn clients_are_checked(&self, names: &[ListenerName]) -> bool {
        let asks = |one: &NodeListener| one.client_auth != ClientAuth::None && self.serves_clients(one);
        self.listeners_of(names).any(asks)
    }

    fn serves_clients(&self, listener: &NodeListener) -> bool {
        match (listener.serves, &self.inputs) {
            (Serves::Clients, _) => true,
            (Serves::Controllers, _) => false,
            (Serves::Brokers, None) => true,
            (Serves::Brokers, Some(inputs)) => {
                let name = listener.name.as_str();
                inputs.cluster.listeners.iter().any(|one| one.name == name && one.is_for_clients())
            }
        }
    }

    /// What handshakes have shown; the observer looks at once.
    pub fn has_seen(&self, reports: Vec<Report>) {
        self.seen.borrow_mut().extend(reports);
        self.look.notify_one();
    }
}
