//! PodCertificateRequests (KEP-4317): what one says, and what is answered.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::inject::words;
use crate::kubernetes::meta::Meta;
use crate::pki::csr::BareRequest;
use crate::pki::csr::CsrError;
use crate::pki::validity::Validity;
use crate::signer::admit::Claim;
use crate::signer::event::whole_time;
use crate::signer::refusal::Refusal;

/// A request of a kubelet for a certificate of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodCertificateRequest {
    /// `metadata`.
    pub metadata: Meta,
    /// `spec`.
    pub spec: Spec,
    status: Status,
}

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Who shall sign.
    pub signer_name: String,
    pod_name: String,
    #[serde(rename = "podUID")]
    pod_uid: String,
    service_account_name: String,
    node_name: String,
    max_expiration_seconds: Option<u64>,
    unverified_user_annotations: BTreeMap<String, String>,
    #[serde(rename = "stubPKCS10Request")]
    stub_pkcs10_request: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
}

/// One event of a watch.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.
    #[serde(rename = "type")]
    pub kind: String,
    /// The object, or what is wrong.
    pub object: Value,
}

/// The one that listeners use unless they name another.
const DEFAULT_CERTIFICATE: &str = "node";

/// What the kubelet asks for where the volume says nothing.
const DEFAULT_MOST_SECONDS: u64 = 86400;

impl PodCertificateRequest {
    /// Whether nobody has answered it.
    pub fn is_open(&self) -> bool {
        let answers = ["Issued", "Denied", "Failed"];
        self.status.conditions.iter().all(|one| !answers.contains(&one.r#type.as_str()))
    }

    /// What it says of the pod.
    pub fn claim(&self) -> Claim {
        Claim {
            namespace: self.metadata.namespace.clone(),
            service_account: self.spec.service_account_name.clone(),
            pod: self.spec.pod_name.clone(),
            uid: self.spec.pod_uid.clone(),
            machine: Some(self.spec.node_name.clone()),
        }
    }

    /// Which certificate of the settings it wants.
    pub fn certificate(&self) -> &str {
        let named = self.spec.unverified_user_annotations.get(words::CERTIFICATE);
        named.map_or(DEFAULT_CERTIFICATE, String::as_str)
    }

    /// From its first second to its last, the certificate may live for so long.
    pub fn longest(&self) -> Duration {
        Duration::from_secs(self.spec.max_expiration_seconds.unwrap_or(DEFAULT_MOST_SECONDS))
    }

    /// The key.
    pub fn key(&self) -> Result<BareRequest, CsrError> {
        let der = STANDARD
            .decode(&self.spec.stub_pkcs10_request)
            .map_err(|_| CsrError::Malformed { what: "it is not base64".to_owned() })?;
        BareRequest::from_der(&der)
    }
}

/// The certificate, as a change of the request's status.
pub fn issued(chain_pem: &str, leaf: Validity, begin_refresh_at: SystemTime, now: SystemTime) -> Value {
    let message = "signed by kraftlet";
    json!({"status": {
        "conditions": [condition("Issued", "Issued", message, now)],
        "certificateChain": chain_pem,
        "notBefore": whole_time(leaf.not_before),
        "notAfter": whole_time(leaf.not_after),
        "beginRefreshAt": whole_time(begin_refresh_at),
    }})
}

/// That there will be none. It is the last word for this pod.
pub fn denied(refusal: &Refusal, sentence: &str, now: SystemTime) -> Value {
    // The kubelet takes it for a format.
    let message = sentence.replace('%', "");
    json!({"status": {"conditions": [condition("Denied", refusal.reason(), &message, now)]}})
}

fn condition(kind: &str, reason: &str, message: &str, now: SystemTime) -> Value {
    let mut message = message.to_owned();
    message.truncate(message.floor_char_boundary(1024));
    json!({
        "type": kind, "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": whole_time(now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;

    #[test]
    fn a_request_is_open_until_somebody_has_answered() {
        let check = |status: Value, want| {
            let request: PodCertificateRequest =
                serde_json::from_value(json!({"metadata": {"name": "r"}, "status": status})).unwrap();
            assert_eq!(request.is_open(), want);
        };
        check(json!({}), true);
        check(json!({"conditions": []}), true);
        for answer in ["Issued", "Denied", "Failed"] {
            check(json!({"conditions": [{"type": answer, "status": "True"}]}), false);
        }
    }

    #[test]
    fn what_a_kubelet_writes_is_read() {
        let request: PodCertificateRequest = serde_json::from_value(json!({
            "metadata": {"name": "req-x", "namespace": "prod"},
            "spec": {
                "signerName": "kraftlet.dev/kafka-node", "podName": "kafka-0", "podUID": "u-1",
                "serviceAccountName": "kafka", "serviceAccountUID": "a-1", "nodeName": "machine-1", "nodeUID": "n-1",
                "maxExpirationSeconds": 3600, "stubPKCS10Request": "AAAA",
                "unverifiedUserAnnotations": {"kraftlet.dev/certificate": "web"},
            },
        }))
        .unwrap();
        let claim = request.claim();
        assert_eq!(
            (claim.pod.as_str(), claim.uid.as_str(), claim.machine.as_deref()),
            ("kafka-0", "u-1", Some("machine-1"))
        );
        assert_eq!((request.certificate(), request.longest().as_secs()), ("web", 3600));
        assert_eq!(request.key().unwrap_err().reason(), "RequestMalformed");
    }

    #[test]
    fn a_denial_has_no_percent_sign_in_it() {
        let refusal = Refusal::NoCertificate { name: "%s%n".to_owned() };
        let patch = denied(&refusal, &refusal.to_string(), testing::now());
        assert!(!patch.to_string().contains('%'), "{patch}");
    }
}
