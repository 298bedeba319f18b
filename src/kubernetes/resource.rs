//! Where objects are: the paths of the API server.

use crate::pod::name::is_dns_name;

/// A kind of object, as the API server's paths spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The version of the group.
    pub version: &'static str,
    /// The plural in lower case.
    pub plural: &'static str,
}

/// The path of one object, of a collection, or of a part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

/// A name that no object can have; in a path it would lead somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no name of a Kubernetes object")]
pub struct PlaceError {
    name: String,
}

impl Resource {
    /// Pods.
    pub const PODS: Self = Self { group: "", version: "v1", plural: "pods" };
    /// ConfigMaps.
    pub const CONFIG_MAPS: Self = Self { group: "", version: "v1", plural: "configmaps" };
    /// Secrets.
    pub const SECRETS: Self = Self { group: "", version: "v1", plural: "secrets" };
    /// StatefulSets.
    pub const STATEFUL_SETS: Self = Self { group: "apps", version: "v1", plural: "statefulsets" };
    /// Leases.
    pub const LEASES: Self = Self { group: "coordination.k8s.io", version: "v1", plural: "leases" };
    /// Events (the newer of the two APIs, which has a reason, an action and a note).
    pub const EVENTS: Self = Self { group: "events.k8s.io", version: "v1", plural: "events" };
    /// TokenReviews, which are created and not kept.
    pub const TOKEN_REVIEWS: Self =
        Self { group: "authentication.k8s.io", version: "v1", plural: "tokenreviews" };
    /// PodCertificateRequests (KEP-4317), served as v1 since 1.37.
    pub const POD_CERTIFICATE_REQUESTS: Self =
        Self { group: "certificates.k8s.io", version: "v1", plural: "podcertificaterequests" };
    /// ClusterTrustBundles (KEP-3257), served as v1 since 1.37.
    pub const CLUSTER_TRUST_BUNDLES: Self =
        Self { group: "certificates.k8s.io", version: "v1", plural: "clustertrustbundles" };
    /// cert-manager's requests for a certificate.
    pub const CERTIFICATE_REQUESTS: Self =
        Self { group: "cert-manager.io", version: "v1", plural: "certificaterequests" };
    /// What the API server calls at admission, and whom it trusts there.
    pub const MUTATING_WEBHOOKS: Self = Self {
        group: "admissionregistration.k8s.io",
        version: "v1",
        plural: "mutatingwebhookconfigurations",
    };
    /// The same of webhooks that only judge.
    pub const VALIDATING_WEBHOOKS: Self = Self {
        group: "admissionregistration.k8s.io",
        version: "v1",
        plural: "validatingwebhookconfigurations",
    };

    /// What `apiVersion` says of such an object.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// All of a namespace.
    pub fn of_namespace(&self, namespace: &str) -> Result<Place, PlaceError> {
        Ok(Place(format!("{}/namespaces/{}/{}", self.root(), checked(namespace)?, self.plural)))
    }

    /// One in a namespace.
    pub fn named(&self, namespace: &str, name: &str) -> Result<Place, PlaceError> {
        Ok(Place(format!("{}/{}", self.of_namespace(namespace)?.0, checked(name)?)))
    }

    /// All there are: of every namespace, or of the cluster where the kind has no namespace.
    pub fn all(&self) -> Place {
        Place(format!("{}/{}", self.root(), self.plural))
    }

    /// One that has no namespace.
    pub fn of_cluster(&self, name: &str) -> Result<Place, PlaceError> {
        Ok(Place(format!("{}/{}", self.all().0, checked(name)?)))
    }

    fn root(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        }
    }
}

impl Place {
    /// A part of this object, such as `status` or `eviction`.
    pub fn part(&self, part: &'static str) -> Self {
        Self(format!("{}/{part}", self.0))
    }

    /// The path, without a host and without parameters.
    pub fn path(&self) -> &str {
        &self.0
    }
}

/// Names are DNS names; those of trust bundles may have colons between their parts.
fn checked(name: &str) -> Result<&str, PlaceError> {
    if name.split(':').all(is_dns_name) {
        Ok(name)
    } else {
        Err(PlaceError { name: name.chars().take(253).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api_server() {
        let check = |place: Result<Place, PlaceError>, want: &str| assert_eq!(place.unwrap().path(), want);
        check(Resource::PODS.named("prod", "kafka-0"), "/api/v1/namespaces/prod/pods/kafka-0");
        check(Resource::STATEFUL_SETS.of_namespace("prod"), "/apis/apps/v1/namespaces/prod/statefulsets");
        check(
            Resource::CLUSTER_TRUST_BUNDLES.of_cluster("kraftlet.dev:kafka-node:prod.kafka"),
            "/apis/certificates.k8s.io/v1/clustertrustbundles/kraftlet.dev:kafka-node:prod.kafka",
        );
        let status = Resource::POD_CERTIFICATE_REQUESTS.named("prod", "req-x").map(|one| one.part("status"));
        check(status, "/apis/certificates.k8s.io/v1/namespaces/prod/podcertificaterequests/req-x/status");
        check(Ok(Resource::CONFIG_MAPS.all()), "/api/v1/configmaps");
        assert_eq!(Resource::LEASES.api_version(), "coordination.k8s.io/v1");
        assert_eq!(Resource::PODS.api_version(), "v1");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_no_name() {
        for name in ["", "..", "a/b", "a?b", "../secrets/x", "A", "a%2fb", "a:", "a\r\nb"] {
            assert!(Resource::PODS.named("prod", name).is_err(), "{name:?}");
            assert!(Resource::PODS.named(name, "kafka-0").is_err(), "{name:?}");
        }
    }
}
