//! The objects of Kubernetes that the signer reads, with the fields that it reads.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use zeroize::Zeroizing;

use crate::kubernetes::meta::Meta;

/// A pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// `metadata`.
    pub metadata: Meta,
    /// `spec`.
    pub spec: PodSpec,
    /// `status`.
    pub status: PodStatus,
}

/// What a pod is to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The machine.
    pub node_name: String,
    /// Who it is to the API server.
    pub service_account_name: String,
    /// Whether its address is its machine's.
    pub host_network: bool,
}

/// What has become of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: String,
    /// Its address, once it has one.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// All of them, of a pod that has one in each family.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIp>,
    /// Its containers.
    pub container_statuses: Vec<ContainerStatus>,
    /// Those before.
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// One address of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// As text.
    pub ip: String,
}

/// What has become of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    restart_count: u32,
    state: ContainerState,
    last_state: ContainerState,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    running: Option<Something>,
    terminated: Option<Something>,
}

/// That something is there, whatever is in it.
#[derive(Debug, Clone, Deserialize)]
struct Something {}

/// Any object, where only its metadata matters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// `metadata`.
    pub metadata: Meta,
}

/// A ConfigMap.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ConfigMap {
    /// `metadata`.
    pub metadata: Meta,
    /// `data`.
    pub data: BTreeMap<String, String>,
}

/// A Secret.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Secret {
    /// `metadata`.
    pub metadata: Meta,
    /// `data`.
    pub data: BTreeMap<String, SecretBytes>,
}

/// One value of a Secret: never printed, wiped on drop.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

/// What a TokenReview answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TokenReview {
    /// `status`.
    pub status: TokenStatus,
}

/// Who a token is of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TokenStatus {
    /// Whether it is a token.
    pub authenticated: bool,
    /// Of the audiences that were asked for, those that it is for.
    pub audiences: Vec<String>,
    /// Who.
    pub user: User,
    /// Why it is none.
    pub error: String,
}

/// A user of the API server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct User {
    /// For example `system:serviceaccount:prod:kafka`.
    pub username: String,
    /// More about it, the pod among it.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Pod {
    /// Whether any of its containers has ever run. Before the first, the kubelet waits for the pod's volumes, and so for
    /// a pod certificate.
    pub fn has_begun(&self) -> bool {
        let has_run = |one: &ContainerStatus| {
            let states = [&one.state, &one.last_state];
            one.restart_count > 0
                || states.iter().any(|state| state.running.is_some() || state.terminated.is_some())
        };
        self.status.container_statuses.iter().chain(&self.status.init_container_statuses).any(has_run)
    }
}

impl SecretBytes {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl Serialize for SecretBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = STANDARD.decode(text.as_bytes());
        bytes.map(Self::new).map_err(|_| serde::de::Error::custom("a value of a Secret is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_written_and_never_printed() {
        let json = r#"{"metadata":{"name":"a"},"data":{"tls.key":"aGFsbG8="}}"#;
        let secret: Secret = serde_json::from_str(json).unwrap();
        assert_eq!(secret.data["tls.key"].expose(), b"hallo");
        assert_eq!(serde_json::to_string(&secret).unwrap(), json);
        assert!(!format!("{secret:?}").contains("hallo") && !format!("{secret:?}").contains("aGFs"));
    }

    #[test]
    fn a_pod_has_begun_once_a_container_of_it_has_run() {
        let check = |status: &str, want| {
            let pod: Pod = serde_json::from_str(&format!(r#"{{"status":{status}}}"#)).unwrap();
            assert_eq!(pod.has_begun(), want, "{status}");
        };
        check("{}", false);
        let waiting = r#"{"restartCount":0,"state":{"waiting":{"reason":"PodInitializing"}},"lastState":{}}"#;
        check(&format!(r#"{{"containerStatuses":[{waiting}],"initContainerStatuses":[{waiting}]}}"#), false);
        check(r#"{"initContainerStatuses":[{"state":{"running":{"startedAt":"x"}}}]}"#, true);
        check(r#"{"initContainerStatuses":[{"state":{"terminated":{"exitCode":0}}}]}"#, true);
        check(r#"{"containerStatuses":[{"restartCount":3}]}"#, true);
    }
}
