//! The words that manifests, webhook and agents share.

/// Says that a pod wants kraftlet: `"true"`.
pub const INJECT: &str = "kraftlet.dev/inject";

/// Names the ConfigMap with the settings, in the pod's namespace, and, as a label, the cluster.
pub const CLUSTER: &str = "kraftlet.dev/cluster";

/// `manage`, the default, or `attach`: only the sidecar, beside a Kafka that somebody else configures.
pub const MODE: &str = "kraftlet.dev/mode";

/// Names Kafka's container, where it is neither the only one nor called `kafka`.
pub const CONTAINER: &str = "kraftlet.dev/container";

/// Says how Kafka's image is made, where its name does not.
pub const IMAGE_PROFILE: &str = "kraftlet.dev/image-profile";

/// Where an attached Kafka's `server.properties` is.
pub const SERVER_PROPERTIES: &str = "kraftlet.dev/server-properties";

/// The release of an attached Kafka.
pub const KAFKA_VERSION: &str = "kraftlet.dev/kafka-version";

/// Left on a pod: the version of kraftlet that was injected.
pub const INJECTED: &str = "kraftlet.dev/injected";

/// The part of a pod certificate's request that says which of the settings' certificates is wanted.
pub const CERTIFICATE: &str = "kraftlet.dev/certificate";

/// The key of the settings in their ConfigMap.
pub const SETTINGS_KEY: &str = "cluster.yaml";

/// The init container.
pub const INIT: &str = "kraftlet-init";

/// The native sidecar.
pub const SIDECAR: &str = "kraftlet";

/// The run folder's volume, in Kafka's container too.
pub const RUN_VOLUME: &str = "kraftlet-run";

/// Where the settings' ConfigMap is mounted. Not /etc/kraftlet itself: nothing can be mounted inside a ConfigMap.
pub const SETTINGS_FOLDER: &str = "/etc/kraftlet/settings";

/// The ConfigMap that says whom the pods of a namespace's clusters trust, a key for each cluster. One name for all of them,
/// so that a right to write can be given to it alone.
pub const TRUST: &str = "kraftlet-trust";

/// The ConfigMap in the signer's own namespace that says, with the key `ca.crt`, whom to trust as the signer.
pub const SERVING_CA: &str = "kraftlet-serving-ca";

/// The ClusterTrustBundle of a cluster that the signer called `signer_name` signs for: names that are linked to a signer
/// begin with its own (KEP-3257), and no dot is in a namespace's.
pub fn trust_bundle(signer_name: &str, namespace: &str, cluster: &str) -> String {
    format!("{}:{namespace}.{cluster}", signer_name.replace('/', ":"))
}
