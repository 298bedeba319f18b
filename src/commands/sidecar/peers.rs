//! What is seen of the nodes of the cluster during a change of CA: what their agents say, what their listeners present,
//! and whether those take a new leaf.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::certificates::bundle::Bundle;
use crate::certificates::trust;
use crate::certificates::trust::Anchors;
use crate::certificates::trust::Peer;
use crate::certificates::trust::Probe;
use crate::certificates::trust::Report;
use crate::certificates::turn::Reason;
use crate::cluster::derived::host_port;
use crate::cluster::model::Cluster;
use crate::cluster::model::Node;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::verify::tls_client;
use crate::health::address;
use crate::health::client::io as client;
use crate::health::client::way::Way;
use crate::health::snapshot::Snapshot;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::endpoint::Tls;
use crate::pki::handshake::TlsClient;
use crate::reload::io as reload_io;
use crate::reload::io::Seen;
use crate::reload::probe::Trust;

/// All peers are looked at at once, and nobody is waited for longer.
const LOOK_WITHIN: Duration = Duration::from_secs(3);

/// Looks at every node of the settings that uses certificate `name`, this one included.
///
/// `known` is the installed leaf with all anchors that the node or its source knows; `next` a leaf that was fetched and
/// is not installed: it is what the listeners are shown.
pub async fn look(
    context: &Context,
    name: &str,
    known: &Bundle,
    next: Option<&Bundle>,
) -> Result<Vec<Peer>, Reason> {
    let shown = next.unwrap_or(known).trusting(known.anchors().iter().cloned());
    let client = tls_client(&shown)?;
    let deadline = Instant::now() + LOOK_WITHIN;
    let mut looking = JoinSet::new();
    let Some(inputs) = &context.inputs else { return Ok(Vec::new()) };
    let mut nodes = inputs.cluster.nodes(inputs.facts.namespace.as_deref());
    nodes.retain(|node| uses(&inputs.cluster, name, node));
    for (rank, node) in nodes.iter().enumerate() {
        let endpoints = endpoints(&inputs.cluster, name, node, &client);
        let address = address::read_address(&inputs.cluster, node).ok();
        let (pod, name, known) = (node.pod.to_string(), name.to_owned(), known.clone());
        looking.spawn(async move {
            let said = async { client::status_of(&Way::Dialled(address?), deadline).await.ok() };
            let seen = async {
                let mut all = Vec::new();
                for endpoint in &endpoints {
                    all.push(reload_io::probe(endpoint, deadline).await);
                }
                all
            };
            let (said, seen) = tokio::join!(said, seen);
            let report = said.and_then(|said| report(&said, &name));
            // Who has no listener for peers presents what its agent says, and nothing else.
            let presents = match (&report, endpoints.is_empty()) {
                (Some(report), true) => report.leaves.clone(),
                _ => presents(&seen, &known),
            };
            (rank, Peer { name: pod, report, probe: probe(&seen), presents })
        });
    }
    let mut peers = looking.join_all().await;
    peers.sort_by_key(|(rank, _)| *rank);
    Ok(peers.into_iter().map(|(_, peer)| peer).collect())
}

/// Whether a node has the certificate on a listener, or shows it to controllers as their client.
fn uses(cluster: &Cluster, name: &str, node: &Node) -> bool {
    let mut listeners = cluster.listeners_of(node).chain(cluster.controller_listener());
    listeners.any(|one| one.certificate.as_deref() == Some(name))
}

/// The listeners of a node that have this certificate and are for its peers.
fn endpoints(cluster: &Cluster, name: &str, node: &Node, client: &TlsClient) -> Vec<Endpoint> {
    let for_peers = cluster
        .listeners_of(node)
        .filter(|one| one.certificate.as_deref() == Some(name))
        .filter(|one| one.is_for_controllers() || one.is_for_brokers());
    let endpoint = |listener| {
        let (host, port) = cluster.address(node, listener).ok()?;
        Some(Endpoint {
            address: host_port(&host, port),
            tls: Some(Tls::new(client.clone(), &host)?),
            login: None,
        })
    };
    for_peers.filter_map(endpoint).collect()
}

fn report(said: &Snapshot, name: &str) -> Option<Report> {
    let certificate = said.certificates.iter().find(|one| one.name.as_str() == name)?;
    let trusted = certificate.trust.proven.iter().copied().collect();
    // All channels have one leaf, or it is not known.
    let leaves =
        certificate.trust.issued_by.iter().map(|issuers| issuers.iter().copied().collect()).collect();
    Some(Report { trusted, leaves })
}

fn probe(seen: &[Seen]) -> Probe {
    let took = |one: &Seen| matches!(one.trust, Trust::Trusted { .. });
    if !seen.is_empty() && seen.iter().all(took) { Probe::Accepted } else { Probe::NotAccepted }
}

/// For each leaf that was presented, the anchors under which it verifies; empty where a listener presented none.
fn presents(seen: &[Seen], known: &Bundle) -> Vec<Anchors> {
    let issuers = |one: &Seen| {
        let chain = one.presented.certificates().ok()?;
        let (leaf, intermediates) = chain.split_first()?;
        let at = leaf.not_before().max(known.leaf().not_before()).min(leaf.not_after());
        Some(trust::issuers(leaf, intermediates, known.anchors(), at))
    };
    seen.iter().map(issuers).collect::<Option<Vec<Anchors>>>().unwrap_or_default()
}
