//! The cluster: settings that make sense together.
//!
//! Everything a node needs to know about itself and its peers is worked out from here: node ids, names, voters. A
//! [`Cluster`] exists only when the settings had no problem, so nothing further on has to ask again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::cluster::certificate::Certificate;
use crate::cluster::listener::Listener;
use crate::cluster::pool::Pool;
use crate::cluster::settings::Settings;
use crate::cluster::template::Scope;
use crate::cluster::template::Template;
use crate::cluster::template::TemplateError;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::ClusterId;
use crate::kafka::uuid::DirectoryId;
use crate::kafka::version::KafkaVersion;
use crate::kafka::version::MetadataVersion;
use crate::pki::hostname::Host;
use crate::pod::facts::PodFacts;
use crate::pod::name::PodName;

/// A cluster whose settings have been checked as a whole.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its id.
    pub cluster_id: ClusterId,
    /// The Kafka release that runs.
    pub kafka_version: KafkaVersion,
    /// The metadata version it is formatted with.
    pub metadata_version: MetadataVersion,
    /// How voters are known.
    pub quorum: Quorum,
    /// StatefulSets; at least one has controllers and one has brokers.
    pub pools: Vec<Pool>,
    /// Listeners; exactly one for controllers, exactly one for brokers.
    pub listeners: Vec<Listener>,
    /// Certificates by name; there is always one called `node`.
    pub certificates: BTreeMap<String, Certificate>,
    /// Parsed templates.
    pub templates: Templates,
    /// The settings, for what needs no working out.
    pub settings: Settings,
}

/// How the voters of the quorum are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// `controller.quorum.voters`.
    Static,
    /// In the metadata log; formed by these, or, when there are none, by the one controller alone.
    Dynamic(BTreeMap<NodeId, DirectoryId>),
}

/// The templates of the settings that are not a listener's.
#[derive(Debug, Clone)]
pub struct Templates {
    /// `host`
    pub host: Template,
    /// `bindHost`
    pub bind_host: Template,
    /// `storage.logDirs`
    pub log_dirs: Vec<Template>,
    /// `storage.metadataLogDir`
    pub metadata_log_dir: Option<Template>,
    /// `runFolder`
    pub run_folder: Template,
}

/// One node: the pod at hand, or one of its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its pod.
    pub pod: PodName,
    /// Its number in Kafka.
    pub node_id: NodeId,
    /// Its pool.
    pub pool: Pool,
    namespace: Option<String>,
    ip: Option<IpAddr>,
    machine: Option<String>,
}

/// A pod that is no node of this cluster.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// No pool has the pod's StatefulSet.
    #[error("POD_NAME: pod {pod} is of StatefulSet {stateful_set:?}; the settings have pools for {pools}")]
    UnknownStatefulSet {
        /// The pod.
        pod: String,
        /// Its StatefulSet.
        stateful_set: String,
        /// Those of the settings.
        pools: String,
    },
    /// The ordinal is past the end of the pool's node ids.
    #[error("POD_NAME: pod {pod} has no node id; pool {pool} has {range}, one for each ordinal")]
    OutOfRange {
        /// The pod.
        pod: String,
        /// Its StatefulSet.
        pool: String,
        /// The pool's node ids.
        range: String,
    },
    /// A controller of a static quorum that is not among the voters.
    #[error(
        "POD_NAME: controller {pod} (node {node_id}) is not among the voters; a static quorum's voters are the \
         pool's `replicas`, which every node must know before this one starts"
    )]
    NotAVoter {
        /// The pod.
        pod: String,
        /// Its node id.
        node_id: NodeId,
    },
}

impl NodeError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownStatefulSet { .. } => "UnknownStatefulSet",
            Self::OutOfRange { .. } => "OrdinalOutOfRange",
            Self::NotAVoter { .. } => "NotAVoter",
        }
    }
}

impl Cluster {
    /// The node that a pod is.
    pub fn node(&self, facts: &PodFacts) -> Result<Node, NodeError> {
        let pod = &facts.name;
        let pool = self.pools.iter().find(|pool| pool.stateful_set == pod.stateful_set());
        let pool = pool.ok_or_else(|| NodeError::UnknownStatefulSet {
            pod: pod.to_string(),
            stateful_set: pod.stateful_set().to_owned(),
            pools: self.pools.iter().map(|pool| pool.stateful_set.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let node_id = pool.node_id(pod.ordinal()).ok_or_else(|| NodeError::OutOfRange {
            pod: pod.to_string(),
            pool: pool.stateful_set.clone(),
            range: pool.range(),
        })?;
        if self.quorum == Quorum::Static && pool.roles.is_controller() && pool.pods().all(|one| one != *pod) {
            return Err(NodeError::NotAVoter { pod: pod.to_string(), node_id });
        }
        let node = self.node_of(pool, pod.clone(), node_id, facts.namespace.as_deref());
        Ok(Node { ip: facts.ip, machine: facts.node_name.clone(), ..node })
    }

    /// The nodes the cluster is meant to have, by node id. `namespace` is that of the pod at hand; the settings' goes
    /// before it.
    pub fn nodes(&self, namespace: Option<&str>) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for pool in &self.pools {
            for pod in pool.pods() {
                if let Some(node_id) = pool.node_id(pod.ordinal()) {
                    nodes.push(self.node_of(pool, pod, node_id, namespace));
                }
            }
        }
        nodes.sort_by_key(|node| node.node_id);
        nodes
    }

    /// The listener controllers talk on.
    pub fn controller_listener(&self) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.is_for_controllers())
    }

    /// The listeners a node of these roles has.
    pub fn listeners_of(&self, node: &Node) -> impl Iterator<Item = &Listener> {
        let (broker, controller) = (node.pool.roles.is_broker(), node.pool.roles.is_controller());
        self.listeners.iter().filter(move |one| if one.is_for_controllers() { controller } else { broker })
    }

    /// Name and port by which `node` is reached on `listener`; an IPv6 address comes without brackets.
    pub fn address(&self, node: &Node, listener: &Listener) -> Result<(String, u16), TemplateError> {
        let scope = self.scope_of(node);
        let port = listener.advertised_port.render(&scope)?;
        let number = port.parse().ok().filter(|number: &u16| *number > 0);
        let number =
            number.ok_or_else(|| TemplateError::NotAPort(listener.advertised_port.to_string(), port))?;
        Ok((host(&listener.advertised_host, &scope)?, number))
    }

    /// The address that `node` binds; empty for all addresses of the pod.
    pub fn bind_host(&self, node: &Node) -> Result<String, TemplateError> {
        let scope = self.scope_of(node);
        let text = self.templates.bind_host.render(&scope)?;
        let is_any = text.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
        if text.is_empty() || is_any { Ok(text) } else { host(&self.templates.bind_host, &scope) }
    }

    /// A template filled in for `node`.
    pub fn render(&self, template: &Template, node: &Node) -> Result<String, TemplateError> {
        template.render(&self.scope_of(node))
    }

    /// The certificate a listener serves, where it has TLS.
    pub fn certificate(&self, listener: &Listener) -> Option<&Certificate> {
        listener.certificate.as_ref().and_then(|name| self.certificates.get(name))
    }

    fn node_of(&self, pool: &Pool, pod: PodName, node_id: NodeId, namespace: Option<&str>) -> Node {
        let namespace = self.settings.namespace.clone().or_else(|| namespace.map(str::to_owned));
        Node { pod, node_id, pool: pool.clone(), namespace, ip: None, machine: None }
    }

    fn scope_of<'a>(&'a self, node: &'a Node) -> Scope<'a> {
        Scope {
            pod: node.pod.to_string(),
            stateful_set: node.pod.stateful_set(),
            ordinal: node.pod.ordinal().number().into(),
            node_id: node.node_id.get().into(),
            namespace: node.namespace.as_deref(),
            service: &node.pool.service,
            cluster_domain: &self.settings.cluster_domain,
            name: &self.settings.name,
            pod_ip: node.ip.map(|ip| ip.to_string()),
            node_name: node.machine.as_deref(),
        }
    }
}

/// A template filled in with the name or address of somebody; brackets around an IPv6 address are taken off.
fn host(template: &Template, scope: &Scope<'_>) -> Result<String, TemplateError> {
    let text = template.render(scope)?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text);
    let is_somebody = match bare.parse::<Host>() {
        Ok(Host::Address(address)) => !address.is_unspecified(),
        Ok(Host::Name(_)) => bare == text,
        Err(_) => false,
    };
    if is_somebody { Ok(bare.to_owned()) } else { Err(TemplateError::NotAHost(template.to_string(), text)) }
}
