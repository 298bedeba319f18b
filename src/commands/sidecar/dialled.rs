//! Whom the sidecar looks at, with the leaf and the trust that are installed now.

use crate::certificates::bundle::Bundle;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::verify::tls_client;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::node_id::NodeId;
use crate::pki::handshake::TlsClient;
use crate::quorum::io::Controller;
use crate::reload::listener::Serves;

/// Of many brokers, so many are asked at a time.
const WITNESSES: usize = 2;

/// The controllers and brokers of the cluster as this node dials them.
#[derive(Default)]
pub struct Dialled {
    bundle: Option<Bundle>,
    /// All controllers.
    pub controllers: Vec<Controller>,
    /// This node's listener for brokers, where it has one.
    pub own_broker: Option<Endpoint>,
    other_brokers: Vec<(NodeId, Endpoint)>,
}

impl Dialled {
    /// Takes what is installed now; connections that are open stay.
    pub fn refresh(&mut self, context: &Context) {
        let Some(listener) = context.controllers.listener() else { return };
        if !context.controllers.has_tls() {
            if self.controllers.is_empty() {
                self.dial(context, None);
            }
            return;
        }
        // Between two files of a renewal there may be nothing; what was there is still good.
        let Ok(bundle) = context.installed_for(listener) else { return };
        let is_same = |known: &Bundle| {
            known.leaf().fingerprint() == bundle.leaf().fingerprint() && known.anchors() == bundle.anchors()
        };
        if self.bundle.as_ref().is_some_and(is_same) {
            return;
        }
        if let Ok(client) = tls_client(&bundle) {
            self.dial(context, Some(&client));
            self.bundle = Some(bundle);
        }
    }

    fn dial(&mut self, context: &Context, client: Option<&TlsClient>) {
        let login = context.login.as_ref();
        self.controllers = context.controllers.dialled(client, login);
        let listener = context.channels.listeners.iter().find(|one| one.serves == Serves::Brokers);
        let Some(listener) = listener else { return };
        // The listener between brokers may have a certificate of its own.
        let own = context.installed_for(&listener.name).ok().and_then(|bundle| tls_client(&bundle).ok());
        let client = own.as_ref().or(client);
        let is_dialled = client.is_some() || !listener.security_protocol.has_tls();
        self.own_broker = is_dialled.then(|| context.endpoint(listener, client));
        self.other_brokers = context.controllers.other_brokers(listener.security_protocol, client, login);
    }

    /// Two other brokers, other ones each time.
    pub fn witnesses(&self, turn: usize) -> Vec<(NodeId, Endpoint)> {
        let from = turn.checked_rem(self.other_brokers.len()).unwrap_or(0);
        let count = WITNESSES.min(self.other_brokers.len());
        self.other_brokers.iter().cycle().skip(from).take(count).cloned().collect()
    }
}
