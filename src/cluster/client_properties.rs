//! `client.properties`: how a person in the pod reaches the cluster with Kafka's tools.

use crate::cluster::derived;
use crate::cluster::derived::Setting;
use crate::cluster::line::Line;
use crate::cluster::line::Origin;
use crate::cluster::model::Cluster;
use crate::cluster::template::TemplateError;

/// The lines: every broker's address on the clients' listener, and the node's own certificate.
///
/// Where the listener has SASL, the login is left to the person: a file that everybody in the pod can read is no
/// place for it.
pub fn lines(cluster: &Cluster, setting: &Setting<'_>) -> Result<Vec<Line>, TemplateError> {
    let listener = cluster.listeners.iter().find(|one| one.is_for_clients());
    let listener = listener.or_else(|| cluster.listeners.iter().find(|one| one.is_for_brokers()));
    let Some(listener) = listener else { return Ok(Vec::new()) };
    let mut servers = Vec::new();
    for node in cluster.nodes(setting.namespace).iter().filter(|node| node.pool.roles.is_broker()) {
        let address = if node.pod == setting.node.pod { setting.node } else { node };
        match cluster.address(address, listener) {
            Ok((host, port)) => servers.push(derived::host_port(&host, port)),
            // A peer that is advertised by its machine or its address cannot be named here; one server is enough.
            Err(TemplateError::NotKnown(..)) => {}
            Err(error) => return Err(error),
        }
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
