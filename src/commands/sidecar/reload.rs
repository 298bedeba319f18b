//! Asks a Kafka without the engine to read its stores again.
//!
//! A broker takes the request itself and passes it on to the active controller. Once its leaf has expired it gets no
//! connection there any more; the agent does, with the new leaf, and goes there itself. What the listeners present by
//! then is the expired leaf: this node's own former leaves are taken by their fingerprints.

use std::time::Duration;

use tokio::time::Instant;

use crate::certificates::turn::Answer;
use crate::certificates::turn::Reason;
use crate::cluster::settings::Reload;
use crate::commands::failure::chain;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::hands::Hands;
use crate::commands::sidecar::verify::tls_client;
use crate::kafka::endpoint::Endpoint;
use crate::pki::handshake::TlsClient;
use crate::reload::io as reload_io;
use crate::reload::listener::NodeListener;
use crate::reload::listener::Serves;
use crate::reload::node_properties::ListenerName;
use crate::reload::trigger;
use crate::reload::trigger::Route;
use crate::reload::trigger::TriggerError;

/// A request to a node that is busy reloading takes up to 7 s (observed on 4.4.0). The machine waits for two of them.
const RELOAD_WITHIN: Duration = Duration::from_secs(14);

impl Hands {
    /// Has Kafka read the stores: the engine does by itself, without it Kafka is asked to.
    pub(crate) async fn reload(&self) -> Result<Answer, Reason> {
        if self.context.reload == Reload::Engine {
            return Ok(Answer::Reloaded);
        }
        let told = match trigger::route(self.context.channels.roles.is_broker()) {
            Route::Itself => match self.ask_itself().await? {
                // Where that does not help either, what the node itself says is what a person should read.
                Err(error) if error.is_refusal() => match self.ask_active_controller().await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) | Err(_) => Err(error),
                },
                told => told,
            },
            Route::ActiveController => self.ask_active_controller().await?,
        };
        told.map(|()| Answer::Reloaded).map_err(|error| Reason::new(error.reason(), chain(&error)))
    }

    async fn ask_itself(&self) -> Result<Result<(), TriggerError>, Reason> {
        let channels = &self.context.channels;
        let is_asked = |one: &&NodeListener| one.serves != Serves::Controllers;
        let mut listeners: Vec<&NodeListener> = channels.listeners.iter().filter(is_asked).collect();
        // Brokers' own listener first: clients' may know other names.
        listeners.sort_by_key(|one| one.serves == Serves::Clients);
        let Some(listener) = listeners.first() else { return Err(nobody_to_ask()) };
        let client = client(&self.context, &listener.name)?;
        let endpoint = self.context.endpoint(listener, Some(&client));
        let key = trigger::key(listener.name.as_str());
        let deadline = Instant::now() + RELOAD_WITHIN;
        Ok(reload_io::reload_itself(&endpoint, channels.node_id, &key, deadline).await)
    }

    async fn ask_active_controller(&self) -> Result<Result<(), TriggerError>, Reason> {
        let context = &self.context;
        let Some(name) = context.controllers.listener() else { return Err(nobody_to_ask()) };
        let client = client(context, name)?;
        let controllers = context.controllers.dialled(Some(&client), context.login.as_ref());
        let controllers: Vec<Endpoint> = controllers.into_iter().map(|one| one.endpoint).collect();
        let (node_id, key) = (context.channels.node_id, trigger::key(name.as_str()));
        let deadline = Instant::now() + RELOAD_WITHIN;
        Ok(reload_io::reload_controller(&controllers, node_id, &key, context.release, deadline).await)
    }
}

/// Shows what is installed, and takes what was.
fn client(context: &Context, listener: &ListenerName) -> Result<TlsClient, Reason> {
    let former = context.former_leaves(listener).into_keys().collect();
    Ok(tls_client(&context.installed_for(listener)?)?.also_taking(former))
}

fn nobody_to_ask() -> Reason {
    Reason::new("NoListenerToAsk", "the node has no listener that takes the request")
}
