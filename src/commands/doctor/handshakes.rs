//! A handshake with every listener that a node has or meets: its own at the address they are bound to, its peers' by the
//! name under which it dials them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::causes::chain;
use crate::cluster::derived::host_port;
use crate::cluster::listener::Listener;
use crate::cluster::model::Node;
use crate::commands::doctor::local::Local;
use crate::commands::failure::Failure;
use crate::health::doctor::listeners::Shaken;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::endpoint::Tls;
use crate::pki::certificate::Fingerprint;
use crate::pki::hostname::Host;
use crate::reload::handshake::Observation;
use crate::reload::io as reload_io;

/// One handshake; a Kafka that is well takes milliseconds, and one of several on a busy machine some hundred.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(4);

/// So many at once: file descriptors are few on some machines, and each costs both sides some work.
const AT_ONCE: usize = 32;

/// One handshake that is to be made.
pub struct Question {
    by: String,
    pod: String,
    listener: String,
    endpoint: Endpoint,
    installed: Option<Fingerprint>,
}

/// What is to be asked by the nodes whose files are here, and which listeners nobody here can speak with.
pub fn questions(locals: &[Local<'_>], all: &[Node]) -> Result<(Vec<Question>, Vec<String>), Failure> {
    let (mut questions, mut without) = (Vec::new(), Vec::new());
    for local in locals {
        questions.extend(own(local, &mut without));
        for peer in all.iter().filter(|peer| peer.node_id != local.inputs.node.node_id) {
            let installed = locals.iter().find(|one| one.inputs.node.node_id == peer.node_id);
            questions.extend(of_peer(local, peer, installed, &mut without)?);
        }
    }
    Ok((questions, without))
}

/// Asks all of them; no more than a few at once.
pub async fn ask(questions: Vec<Question>) -> Vec<Shaken> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for (index, question) in questions.into_iter().enumerate() {
        let room = Arc::clone(&room);
        asked.spawn(async move {
            // It is never closed; without a place the question would be asked all the same.
            let _place = room.acquire_owned().await;
            (index, shake(question).await)
        });
    }
    let mut shaken = asked.join_all().await;
    shaken.sort_by_key(|(index, _)| *index);
    shaken.into_iter().map(|(_, one)| one).collect()
}

async fn shake(question: Question) -> Shaken {
    let Question { by, pod, listener, endpoint, installed } = question;
    let greeted = reload_io::greet(&endpoint, Instant::now() + HANDSHAKE_WITHIN).await;
    let (seen, presented) = match greeted {
        Ok(presented) => (Observation::answered(&presented), presented),
        Err((error, presented)) => (Observation::failed(&error, &presented, chain(&error)), presented),
    };
    let leaf = presented.certificates().ok().and_then(|chain| chain.into_iter().next());
    Shaken { by, pod, listener, seen, leaf, installed }
}

fn own(local: &Local<'_>, without: &mut Vec<String>) -> Vec<Question> {
    let mut questions = Vec::new();
    for listener in &local.channels.listeners {
        let settings = local.inputs.cluster.listeners.iter().find(|one| one.name == listener.name.as_str());
        let store = settings.and_then(|one| one.certificate.as_deref()).and_then(|name| local.store(name));
        let name = listener.tls_name.as_ref().map_or_else(|| listener.host.clone(), Host::to_string);
        let client = store.and_then(|store| store.client.clone());
        let tls = client.and_then(|client| Tls::new(client, &name));
        if listener.security_protocol.has_tls() && tls.is_none() {
            without.push(unspoken(&local.pod, listener.name.as_str(), &local.pod));
            continue;
        }
        questions.push(Question {
            by: local.pod.clone(),
            pod: local.pod.clone(),
            listener: listener.name.to_string(),
            endpoint: Endpoint {
                address: listener.address(),
                tls: tls.filter(|_| listener.security_protocol.has_tls()),
                login: None,
            },
            installed: store
                .and_then(|store| store.bundle.as_ref())
                .map(|bundle| bundle.leaf().fingerprint())
                .filter(|_| listener.security_protocol.has_tls()),
        });
    }
    questions
}

/// Only what nodes dial among themselves: a client's address may lead through a load balancer, which this node never uses.
fn of_peer(
    local: &Local<'_>,
    peer: &Node,
    there: Option<&Local<'_>>,
    without: &mut Vec<String>,
) -> Result<Vec<Question>, Failure> {
    let cluster = &local.inputs.cluster;
    let is_broker = local.inputs.node.pool.roles.is_broker();
    let is_met = |one: &&Listener| one.is_for_controllers() || (is_broker && one.is_for_brokers());
    let mut questions = Vec::new();
    for listener in cluster.listeners_of(peer).filter(is_met) {
        let (host, port) = cluster.address(peer, listener)?;
        let store = listener.certificate.as_deref().and_then(|name| local.store(name));
        let client = store.and_then(|store| store.client.clone());
        let tls = client.and_then(|client| Tls::new(client, &host));
        if listener.security_protocol.has_tls() && tls.is_none() {
            without.push(unspoken(&local.pod, &listener.name, &peer.pod.to_string()));
            continue;
        }
        let installed = there
            .zip(listener.certificate.as_deref())
            .and_then(|(there, name)| there.store(name)?.bundle.as_ref())
            .map(|bundle| bundle.leaf().fingerprint());
        questions.push(Question {
            by: local.pod.clone(),
            pod: peer.pod.to_string(),
            listener: listener.name.to_uppercase(),
            endpoint: Endpoint { address: host_port(&host, port), tls, login: None },
            installed,
        });
    }
    Ok(questions)
}

fn unspoken(by: &str, listener: &str, pod: &str) -> String {
    format!("handshakes of {by} with listener {listener} of {pod}: it has no certificate to show there")
}
