//! What the certificate of one node must be.

use std::time::Duration;

use crate::cluster::certificate::Certificate as OfSettings;
use crate::cluster::model::Cluster;
use crate::cluster::model::Node;
use crate::cluster::names;
use crate::cluster::names::NamesError;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::chain::PemError;
use crate::pki::hostname::Host;
use crate::pki::key_kind::KeyAlgorithm;
use crate::pki::sign;

/// What to ask a source for. Sources that cannot issue (`mounted`) take only the further anchors from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    common_name: String,
    hosts: Vec<Host>,
    key_algorithm: KeyAlgorithm,
    lifetime: Duration,
    further_anchors: Vec<Certificate>,
}

/// A request that no source could fulfil.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The names.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// None, or longer than [`sign::MAX_COMMON_NAME`].
    #[error("common name {common_name:?} has {length} characters; want 1 to {}", sign::MAX_COMMON_NAME)]
    CommonName {
        /// As given, cut short.
        common_name: String,
        /// Its characters.
        length: usize,
    },
    /// A leaf without names vouches for nobody.
    #[error("no host names for the certificate; want at least one advertised name")]
    NoHosts,
    /// Too short to be renewed in time, or longer than a CA of ours lives.
    #[error("certificate lifetime of {} s; want {} s to {} s", found.as_secs(), sign::MIN_LIFETIME.as_secs(), sign::MAX_LIFETIME.as_secs())]
    Lifetime {
        /// As given.
        found: Duration,
    },
    /// The further trust anchors cannot be read.
    #[error("further trust anchors cannot be used")]
    FurtherAnchors {
        /// Why not.
        #[source]
        source: PemError,
    },
}

impl RequestError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Names(error) => error.reason(),
            Self::CommonName { .. } => "CommonNameLength",
            Self::NoHosts => "NoCertificateHosts",
            Self::Lifetime { .. } => "CertificateLifetime",
            Self::FurtherAnchors { source } => source.reason(),
        }
    }
}

impl Request {
    /// What the settings say of `certificate` on `node`. The agent asks for this, and the signer signs this.
    pub fn of_node(cluster: &Cluster, node: &Node, certificate: &OfSettings) -> Result<Self, RequestError> {
        let hosts = names::all(cluster, node, certificate)?;
        Self::new(&certificate.common_name, hosts, certificate.key_algorithm, certificate.lifetime)
    }

    /// `hosts` are the names and addresses a peer may dial, in the order in which the certificate shall list them;
    /// those that come twice are taken once.
    pub fn new(
        common_name: &str,
        hosts: impl IntoIterator<Item = Host>,
        key_algorithm: KeyAlgorithm,
        lifetime: Duration,
    ) -> Result<Self, RequestError> {
        let length = common_name.chars().count();
        if !(1..=sign::MAX_COMMON_NAME).contains(&length) {
            let common_name = common_name.chars().take(80).collect();
            return Err(RequestError::CommonName { common_name, length });
        }
        if !(sign::MIN_LIFETIME..=sign::MAX_LIFETIME).contains(&lifetime) {
            return Err(RequestError::Lifetime { found: lifetime });
        }
        let mut once: Vec<Host> = Vec::new();
        for host in hosts {
            if !once.contains(&host) {
                once.push(host);
            }
        }
        if once.is_empty() {
            return Err(RequestError::NoHosts);
        }
        Ok(Self {
            common_name: common_name.to_owned(),
            hosts: once,
            key_algorithm,
            lifetime,
            further_anchors: Vec::new(),
        })
    }

    /// Trust the CAs in this PEM text beside those of the source.
    pub fn with_further_anchors(mut self, pem: &[u8]) -> Result<Self, RequestError> {
        let anchors = chain::parse_pem(pem).map_err(|source| RequestError::FurtherAnchors { source })?;
        self.further_anchors.extend(anchors);
        Ok(self)
    }

    /// The subject is `CN=` and this.
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    /// The subject alternative names, each once.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The kind of key to make.
    pub fn key_algorithm(&self) -> KeyAlgorithm {
        self.key_algorithm
    }

    /// From issue to expiry.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Trust anchors beside those of the source.
    pub fn further_anchors(&self) -> &[Certificate] {
        &self.further_anchors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn hosts(names: &[&str]) -> Vec<Host> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_host_named_twice_is_asked_for_once() {
        let request = Request::new(
            "demo-node",
            hosts(&["Kafka-0.kafka", "10.0.0.1", "kafka-0.kafka", "10.0.0.1"]),
            KeyAlgorithm::default(),
            DAY,
        )
        .unwrap();
        assert_eq!(request.common_name(), "demo-node");
        assert_eq!(request.hosts(), hosts(&["kafka-0.kafka", "10.0.0.1"]));
    }

    #[test]
    fn what_no_source_could_fulfil_is_refused() {
        let check = |common_name: &str, names: &[&str], lifetime, reason, message: &str| {
            let error =
                Request::new(common_name, hosts(names), KeyAlgorithm::default(), lifetime).unwrap_err();
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, message));
        };
        check("", &["a"], DAY, "CommonNameLength", "common name \"\" has 0 characters; want 1 to 64");
        check(
            "a",
            &[],
            DAY,
            "NoCertificateHosts",
            "no host names for the certificate; want at least one advertised name",
        );
        check(
            "a",
            &["a"],
            DAY * 3651,
            "CertificateLifetime",
            "certificate lifetime of 315446400 s; want 60 s to 315360000 s",
        );
    }
}
