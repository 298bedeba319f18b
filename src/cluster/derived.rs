//! The lines of server.properties that follow from the cluster and the node.
//!
//! The rules are those of KafkaConfig.validateValues, KRaftConfigs and QuorumConfig, which differ by role and by
//! release; `rules` checks the finished file against the same rules from the other side.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cluster::certificate::Certificate;
use crate::cluster::engine;
use crate::cluster::line::Line;
use crate::cluster::line::Origin;
use crate::cluster::listener::Listener;
use crate::cluster::model::Cluster;
use crate::cluster::model::Node;
use crate::cluster::model::Quorum;
use crate::cluster::settings::Authorizer;
use crate::cluster::settings::ClientAuth;
use crate::cluster::settings::Reload;
use crate::cluster::settings::SaslMechanism;
use crate::cluster::settings::Store;
use crate::cluster::template::TemplateError;
use crate::pki::stores::StorePassword;

/// What a node's lines follow from, beside the cluster.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// The node.
    pub node: &'a Node,
    /// The pod's namespace.
    pub namespace: Option<&'a str>,
    /// The zone, for `broker.rack`.
    pub zone: Option<&'a str>,
    /// Where kraftlet writes.
    pub run_folder: &'a Path,
    /// The passwords of PKCS12 stores, by the certificate's name.
    pub store_passwords: &'a BTreeMap<String, StorePassword>,
}

/// Every line that follows from the settings, and those that a person may change (origin `Default`).
pub fn lines(cluster: &Cluster, setting: &Setting<'_>) -> Result<Vec<Line>, TemplateError> {
    let mut lines = identity(cluster, setting)?;
    lines.extend(listeners(cluster, setting)?);
    lines.extend(security(cluster, setting));
    lines.extend(replication(cluster, setting.node));
    Ok(lines)
}

/// `host:port`, with brackets around an IPv6 address.
pub fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn identity(cluster: &Cluster, setting: &Setting<'_>) -> Result<Vec<Line>, TemplateError> {
    let node = setting.node;
    let mut lines = vec![
        derived("node.id", node.node_id.to_string()),
        derived("process.roles", node.pool.roles.to_string()),
    ];
    let mut log_dirs = Vec::new();
    for template in &cluster.templates.log_dirs {
        log_dirs.push(cluster.render(template, node)?);
    }
    lines.push(derived("log.dirs", log_dirs.join(",")));
    if let Some(template) = &cluster.templates.metadata_log_dir {
        lines.push(derived("metadata.log.dir", cluster.render(template, node)?));
    }
    if let Some(zone) = setting.zone.filter(|_| node.pool.roles.is_broker()) {
        lines.push(derived("broker.rack", zone));
    }
    let mut voters = Vec::new();
    let mut addresses = Vec::new();
    if let Some(listener) = cluster.controller_listener() {
        for peer in cluster.nodes(setting.namespace).iter().filter(|peer| peer.pool.roles.is_controller()) {
            let (host, port) = cluster.address(peer, listener)?;
            let address = host_port(&host, port);
            if addresses.contains(&address) {
                let template = listener.advertised_host.to_string();
                return Err(TemplateError::SameAddress(template, address));
            }
            addresses.push(address.clone());
            voters.push(match cluster.quorum {
                Quorum::Static => format!("{}@{address}", peer.node_id),
                Quorum::Dynamic(_) => address,
            });
        }
    }
    let key = match cluster.quorum {
        Quorum::Static => "controller.quorum.voters",
        Quorum::Dynamic(_) => "controller.quorum.bootstrap.servers",
    };
    lines.push(derived(key, voters.join(",")));
    Ok(lines)
}

fn listeners(cluster: &Cluster, setting: &Setting<'_>) -> Result<Vec<Line>, TemplateError> {
    let node = setting.node;
    let bind_host = cluster.bind_host(node)?;
    let mut bound = Vec::new();
    let mut advertised = Vec::new();
    for listener in cluster.listeners_of(node) {
        bound.push(format!("{}://{}", listener.name, host_port(&bind_host, listener.port)));
        // Before 3.9 a controller's listener must not be advertised; from 3.9 on it is what KIP-853 tells peers.
        if !listener.is_for_controllers() || cluster.kafka_version.at_least(3, 9) {
            let (host, port) = cluster.address(node, listener)?;
            advertised.push(format!("{}://{}", listener.name, host_port(&host, port)));
        }
    }
    let mut lines = vec![derived("listeners", bound.join(","))];
    if !advertised.is_empty() {
        lines.push(derived("advertised.listeners", advertised.join(",")));
    }
    let protocols: Vec<String> =
        cluster.listeners.iter().map(|one| format!("{}:{}", one.name, one.security_protocol)).collect();
    lines.push(derived("listener.security.protocol.map", protocols.join(",")));
    let named = |which: fn(&Listener) -> bool| cluster.listeners.iter().find(|one| which(one));
    if let Some(listener) = named(Listener::is_for_controllers) {
        lines.push(derived("controller.listener.names", &listener.name));
        lines.extend(mechanism("sasl.mechanism.controller.protocol", listener));
    }
    // Naming it on a controller that has no such listener is an error up to 3.8 and without effect later.
    if let Some(listener) = named(Listener::is_for_brokers).filter(|_| node.pool.roles.is_broker()) {
        lines.push(derived("inter.broker.listener.name", &listener.name));
        lines.extend(mechanism("sasl.mechanism.inter.broker.protocol", listener));
    }
    Ok(lines)
}

fn mechanism(key: &str, listener: &Listener) -> Option<Line> {
    listener.sasl_mechanisms.first().map(|mechanism| derived(key, mechanism.to_string()))
}

/// Stores, client certificates, logins and the authorizer.
fn security(cluster: &Cluster, setting: &Setting<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    let own: Vec<&Listener> = cluster.listeners_of(setting.node).collect();
    for listener in &cluster.listeners {
        let serves = own.iter().any(|one| one.name == listener.name);
        // A broker has no controller listener, but its raft client takes its certificate from that listener's keys.
        if !serves && !listener.is_for_controllers() {
            continue;
        }
        if let Some(certificate) = cluster.certificate(listener) {
            lines.extend(stores(setting, certificate, |key| listener.key(key)));
            match cluster.settings.reload {
                Reload::Engine => lines.extend(engine::lines(listener, setting.run_folder)),
                Reload::AdminApi => {}
            }
            if serves && listener.client_auth != ClientAuth::None {
                lines.push(derived(listener.key("ssl.client.auth"), listener.client_auth.to_string()));
            }
        }
        if !listener.sasl_mechanisms.is_empty() {
            let names: Vec<String> = listener.sasl_mechanisms.iter().map(ToString::to_string).collect();
            lines.push(derived(listener.key("sasl.enabled.mechanisms"), names.join(",")));
        }
        for mechanism in &listener.sasl_mechanisms {
            if let SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 = mechanism {
                let key = listener.key(&format!("{}.sasl.jaas.config", mechanism.to_string().to_lowercase()));
                let module = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
                lines.push(Line::new(key, module, Origin::Default));
            }
        }
    }
    if cluster.settings.authorizer == Authorizer::Standard {
        lines.push(derived(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        ));
        lines.push(derived("super.users", super_users(cluster).join(";")));
    }
    lines
}

/// The principals that may do everything: the subjects of all certificates that nodes have, and those of the settings.
pub fn super_users(cluster: &Cluster) -> Vec<String> {
    let mut principals = Vec::new();
    for listener in cluster.listeners.iter().filter(|one| one.is_for_controllers() || one.is_for_brokers()) {
        principals.extend(cluster.certificate(listener).map(Certificate::principal));
    }
    principals.extend(cluster.settings.super_users.iter().cloned());
    let mut unique = Vec::new();
    for principal in principals {
        if !unique.contains(&principal) {
            unique.push(principal);
        }
    }
    unique
}

/// The lines that name a certificate's two stores; `key` puts a listener's prefix before each, or none.
pub fn stores(setting: &Setting<'_>, certificate: &Certificate, key: impl Fn(&str) -> String) -> Vec<Line> {
    let (word, suffix) = match certificate.store {
        Store::Pem => ("PEM", "pem"),
        Store::Pkcs12 => ("PKCS12", "p12"),
    };
    let folder = setting.run_folder.join("tls").join(&certificate.name);
    let mut lines = Vec::new();
    for store in ["keystore", "truststore"] {
        let location = folder.join(format!("{store}.{suffix}"));
        lines.push(derived(key(&format!("ssl.{store}.type")), word));
        lines.push(derived(key(&format!("ssl.{store}.location")), location.display().to_string()));
        if let Some(password) = setting.store_passwords.get(&certificate.name) {
            lines.push(derived(key(&format!("ssl.{store}.password")), password.expose()));
        }
    }
    lines
}

/// As many copies as there are brokers for, up to three; one copy may be missing for a write, where there are three.
fn replication(cluster: &Cluster, node: &Node) -> Vec<Line> {
    let brokers: usize =
        cluster.pools.iter().filter(|pool| pool.roles.is_broker()).map(|pool| pool.pods().count()).sum();
    let copies = brokers.clamp(1, 3).to_string();
    let in_sync = if brokers >= 3 { "2" } else { "1" };
    let default = |key: &str, value: &str| Line::new(key, value, Origin::Default);
    // Controllers need these two as well: from 4.1 on they write min.insync.replicas into the metadata log (KIP-966).
    let mut lines =
        vec![default("default.replication.factor", &copies), default("min.insync.replicas", in_sync)];
    if node.pool.roles.is_broker() {
        lines.push(default("offsets.topic.replication.factor", &copies));
        lines.push(default("transaction.state.log.replication.factor", &copies));
        lines.push(default("transaction.state.log.min.isr", in_sync));
        if cluster.kafka_version.at_least(4, 1) {
            lines.push(default("share.coordinator.state.topic.replication.factor", &copies));
            lines.push(default("share.coordinator.state.topic.min.isr", in_sync));
        }
    }
    lines
}

fn derived(key: impl Into<String>, value: impl Into<String>) -> Line {
    Line::new(key, value, Origin::Derived)
}
