//! The names in a node's certificate.
//!
//! The agent asks for them and the signer writes them, each from the settings: they come to the same names because this
//! is the one place where names are worked out.

use crate::cluster::certificate::Certificate;
use crate::cluster::model::Cluster;
use crate::cluster::model::Node;
use crate::cluster::template::TemplateError;
use crate::pki::hostname::Host;
use crate::pki::hostname::HostError;

/// A name that cannot be worked out, or that no certificate can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// A template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// What a template gave.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl NamesError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Template(error) => error.reason(),
            Self::Host(error) => error.reason(),
        }
    }
}

/// Every name under which peers and clients dial `node` and see `certificate`, each once.
pub fn advertised(
    cluster: &Cluster,
    node: &Node,
    certificate: &Certificate,
) -> Result<Vec<Host>, NamesError> {
    let mut hosts = Vec::new();
    for listener in
        cluster.listeners_of(node).filter(|one| one.certificate.as_ref() == Some(&certificate.name))
    {
        let (host, _) = cluster.address(node, listener)?;
        // Listeners mostly share one name, and one finding about it is enough.
        let host = host.parse::<Host>()?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// All names: the advertised ones first, then those by which people in the cluster call the pod.
pub fn all(cluster: &Cluster, node: &Node, certificate: &Certificate) -> Result<Vec<Host>, NamesError> {
    let mut hosts = advertised(cluster, node, certificate)?;
    for template in std::iter::once(&cluster.templates.host).chain(&certificate.names) {
        hosts.push(cluster.render(template, node)?.parse::<Host>()?);
    }
    Ok(hosts)
}
