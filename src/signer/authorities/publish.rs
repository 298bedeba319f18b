//! What is published of a CA, and where.

use serde_json::Value;
use serde_json::json;

use crate::inject::words;
use crate::signer::authorities::owner::Owner;

/// A key of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The ConfigMap's namespace.
    pub namespace: String,
    /// Its name.
    pub name: &'static str,
    /// The key.
    pub key: String,
}

impl Entry {
    /// Where the trust in this CA is published; `own` is the signer's namespace.
    pub fn of(owner: &Owner, own: &str) -> Self {
        match owner {
            Owner::Cluster { namespace, cluster } => {
                Self { namespace: namespace.clone(), name: words::TRUST, key: format!("{cluster}.crt") }
            }
            Owner::Signer => {
                Self { namespace: own.to_owned(), name: words::SERVING_CA, key: "ca.crt".to_owned() }
            }
        }
    }

    /// What changes this key and no other.
    pub fn patch(&self, pem: &str) -> Value {
        json!({"data": {&*self.key: pem}})
    }

    /// A ConfigMap with this key alone.
    pub fn whole(&self, pem: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "namespace": self.namespace, "name": self.name,
                "labels": {"app.kubernetes.io/managed-by": "kraftlet-signer"},
            },
            "data": {&*self.key: pem},
        })
    }
}

/// A ClusterTrustBundle. The API server refuses an anchor that comes twice.
pub fn bundle(name: &str, signer_name: &str, pem: &str) -> Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle",
        "metadata": {"name": name},
        "spec": {"signerName": signer_name, "trustBundle": pem},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_published_where_pods_look_for_it() {
        let owner = Owner::Cluster { namespace: "prod".into(), cluster: "events".into() };
        let entry = Entry::of(&owner, "kraftlet-system");
        assert_eq!(
            (entry.namespace.as_str(), entry.name, entry.key.as_str()),
            ("prod", words::TRUST, "events.crt")
        );
        assert_eq!(entry.patch("x"), json!({"data": {"events.crt": "x"}}));
        assert_eq!(Entry::of(&Owner::Signer, "kraftlet-system").namespace, "kraftlet-system");
        let name = words::trust_bundle("kraftlet.dev/kafka-node", "prod", "events");
        assert_eq!(name, "kraftlet.dev:kafka-node:prod.events");
    }
}
