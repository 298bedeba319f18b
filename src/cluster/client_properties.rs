//! `client.properties`: how a person in the pod reaches the cluster with Kafka's tools.

use crate::cluster::derived;
use crate::cluster::derived::Setting;
use crate::cluster::line::Line;
use crate::cluster::line::Origin;
use crate::cluster::model::Cluster;
use crate::cluster::template::TemplateError;

/// The lines: every broker's address on the clients' listener, and the node's own certificate.
///
/// None where this node cannot write a file that works: it does not have the certificate of the clients' listener (a
/// controller without brokers' certificates), or no broker can be named from here.
///
/// Where the listener has SASL, the login is left to the person: a file that everybody in the pod can read is no
/// place for it.
pub fn lines(cluster: &Cluster, setting: &Setting<'_>) -> Result<Vec<Line>, TemplateError> {
    let listener = cluster.listeners.iter().find(|one| one.is_for_clients());
    let listener = listener.or_else(|| cluster.listeners.iter().find(|one| one.is_for_brokers()));
    let Some(listener) = listener else { return Ok(Vec::new()) };
    let mut own = cluster.listeners_of(setting.node).chain(cluster.controller_listener());
    if listener.certificate.is_some() && !own.any(|one| one.certificate == listener.certificate) {
        return Ok(Vec::new());
    }
    let mut nodes = cluster.nodes(setting.namespace);
    nodes.retain(|node| node.pool.roles.is_broker() && node.pod != setting.node.pod);
    // A broker knows more of itself than of its peers, and may be one more than the settings count.
    nodes.extend(Some(setting.node.clone()).filter(|node| node.pool.roles.is_broker()));
    nodes.sort_by_key(|node| node.node_id);
    let mut servers = Vec::new();
    for node in &nodes {
        match cluster.address(node, listener) {
            Ok((host, port)) => servers.push(derived::host_port(&host, port)),
            // A peer that is advertised by its machine or its address cannot be named here; one server is enough.
            Err(TemplateError::NotKnown(..)) => {}
            Err(error) => return Err(error),
        }
    }
    if servers.is_empty() {
        return Ok(Vec::new());
    }
    let line = |key: &str, value: String| Line::new(key, value, Origin::Derived);
    let mut lines = vec![
        line("bootstrap.servers", servers.join(",")),
        line("security.protocol", listener.security_protocol.to_string()),
    ];
    if let Some(mechanism) = listener.sasl_mechanisms.first() {
        lines.push(line("sasl.mechanism", mechanism.to_string()));
    }
    if let Some(certificate) = cluster.certificate(listener) {
        lines.extend(derived::stores(setting, certificate, str::to_owned));
    }
    Ok(lines)
}
