//! Whom the sidecar looks at, with the leaf and the trust that are installed now.

use crate::certificates::bundle::Bundle;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::verify::tls_client;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::node_id::NodeId;
use crate::quorum::io::Controller;
use crate::reload::listener::NodeListener;
use crate::reload::listener::Serves;

/// Of many brokers, so many are asked at a time.
const WITNESSES: usize = 2;

/// The controllers and brokers of the cluster as this node dials them.
#[derive(Default)]
pub struct Dialled {
    /// What was installed for the controllers' listener and for the brokers'.
    bundles: [Option<Bundle>; 2],
    /// All controllers.
    pub controllers: Vec<Controller>,
    /// This node's listener for brokers, where it has one.
    pub own_broker: Option<Endpoint>,
    other_brokers: Vec<(NodeId, Endpoint)>,
}

impl Dialled {
    /// Takes what is installed now; connections that are open stay.
    pub fn refresh(&mut self, context: &Context) {
        let brokers = context.channels.listeners.iter().find(|one| one.serves == Serves::Brokers);
        // Between two files of a renewal there may be nothing; what was there is still good.
        let installed = |name| context.installed_for(name).ok();
        let found =
            [context.controllers.listener(), brokers.map(|one| &one.name)].map(|name| installed(name?));
        let is_new = self.bundles.iter().zip(&found).any(|(known, found)| match (known, found) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(known), Some(found)) => {
                known.leaf().fingerprint() != found.leaf().fingerprint() || known.anchors() != found.anchors()
            }
        });
        let needs_none = self.controllers.is_empty() && !context.controllers.has_tls();
        if is_new || needs_none {
            for (known, found) in self.bundles.iter_mut().zip(found) {
                *known = found.or(known.take());
            }
            self.dial(context, brokers);
        }
    }

    fn dial(&mut self, context: &Context, brokers: Option<&NodeListener>) {
        let [controllers, own] =
            self.bundles.each_ref().map(|bundle| bundle.as_ref().and_then(|one| tls_client(one).ok()));
        let login = context.login.as_ref();
        self.controllers = context.controllers.dialled(controllers.as_ref(), login);
        let Some(listener) = brokers else { return };
        let client = own.as_ref();
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
