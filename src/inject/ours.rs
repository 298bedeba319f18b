//! What is added to a pod: two containers and the volumes they share with Kafka.

use std::ops::RangeInclusive;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::certificates::signing;
use crate::certificates::sources::signer;
use crate::cluster::certificate::Certificate;
use crate::cluster::model::Cluster;
use crate::cluster::source::Source;
use crate::cluster::source::mounted_folder;
use crate::inject::mount::Mounts;
use crate::inject::refusal::Refusal;
use crate::inject::subject::Subject;
use crate::inject::subject::User;
use crate::inject::subject::has_named;
use crate::inject::subject::text;
use crate::inject::variables;
use crate::inject::words;
use crate::kubernetes::io::SERVICE_ACCOUNT;

/// What the injector was told itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Means {
    /// kraftlet's image.
    pub image: String,
    /// Whom the signer's own certificate is verified against, in PEM, where there is a signer.
    pub signer_ca: Option<String>,
}

const SETTINGS_VOLUME: &str = "kraftlet-settings";
const SIGNER_VOLUME: &str = "kraftlet-signer";
const API_VOLUME: &str = "kraftlet-api";

/// Some keystores and truststores, the engine's jar and its report: a megabyte at most, and as much again while written.
const RUN_SIZE: &str = "16Mi";

/// As long as the kubelet's own tokens for the API server.
const API_TOKEN_SECONDS: u32 = 3607;

/// The shortest that the API server gives; the kubelet renews it at four fifths.
const SIGNER_TOKEN_SECONDS: u32 = 600;

/// What Kubernetes takes as a pod certificate's `maxExpirationSeconds` (KEP-4317).
const POD_CERTIFICATE_SECONDS: RangeInclusive<u64> = 3600..=7_862_400;

/// A sidecar has 7 MB resident, `init` no more; the limit is for the day something goes wrong.
const MEMORY_REQUEST: &str = "16Mi";
const MEMORY_LIMIT: &str = "64Mi";
const CPU_REQUEST: &str = "10m";

/// In a Guaranteed pod requests are limits. An RSA key of 4096 bits takes seconds of a whole CPU, and a fetch has half a
/// minute.
const GUARANTEED_CPU: &str = "250m";

/// Where the certificates, tokens and settings lie that volumes bring.
pub fn volumes(config_map: &str, cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<Value>, Refusal> {
    let mut volumes = vec![run_volume(), json!({"name": SETTINGS_VOLUME, "configMap": {"name": config_map}})];
    for certificate in cluster.certificates.values() {
        let volume = certificate_volume(&certificate.name);
        match &certificate.source {
            Source::Secret(name) => {
                volumes.push(json!({"name": volume, "secret": {"secretName": name, "defaultMode": 0o440}}));
            }
            Source::PodCertificate(signer_name) => {
                volumes.push(pod_certificate_volume(cluster, certificate, signer_name, namespace)?);
            }
            Source::Mounted(_) | Source::Signer(_) | Source::CertManager(_) | Source::LocalCa(_) => {}
        }
    }
    if needs_signer(cluster) {
        volumes.push(json!({"name": SIGNER_VOLUME, "projected": {"defaultMode": 0o440, "sources": [
            {"serviceAccountToken": {"audience": signing::AUDIENCE, "path": signer::TOKEN_FILE,
                                     "expirationSeconds": SIGNER_TOKEN_SECONDS}}
        ]}}));
    }
    if needs_api(cluster) {
        volumes.push(json!({"name": API_VOLUME, "projected": {"defaultMode": 0o440, "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": API_TOKEN_SECONDS}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}
        ]}}));
    }
    Ok(volumes)
}

/// The run folder, of an attached agent too: it remembers there. Keys are in it, so it is memory.
pub fn run_volume() -> Value {
    json!({"name": words::RUN_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": RUN_SIZE}})
}

/// The run folder, for Kafka's container and ours. Kafka's engine writes there what it has loaded.
pub fn run_mount(run_folder: &str) -> Value {
    json!({"name": words::RUN_VOLUME, "mountPath": run_folder})
}

/// `kraftlet init`.
pub fn init(subject: &Subject<'_>, cluster: &Cluster, mounts: &Mounts, means: &Means, user: User) -> Value {
    let volume_mounts =
        own_mounts(cluster, asks_cert_manager(cluster)).into_iter().chain(mounts.for_init()).collect();
    let sees = Sees { volume_mounts, ..Sees::what_kafka_is_told(subject, cluster, means) };
    Value::Object(container(words::INIT, "init", means, user, sees))
}

/// `kraftlet sidecar`, which Kubernetes starts before Kafka and stops after it.
pub fn sidecar(
    subject: &Subject<'_>,
    cluster: &Cluster,
    mounts: &Mounts,
    means: &Means,
    user: User,
) -> Value {
    let volume_mounts =
        own_mounts(cluster, needs_api(cluster)).into_iter().chain(mounts.for_sidecar()).collect();
    let sees = Sees { volume_mounts, ..Sees::what_kafka_is_told(subject, cluster, means) };
    serving(container(words::SIDECAR, "sidecar", means, user, sees), cluster.settings.agent.port)
}

/// The sidecar of a Kafka that somebody else configures.
pub fn attached(
    subject: &Subject<'_>,
    server_properties: &str,
    kafka_version: Option<&str>,
    grace_period_seconds: u64,
    mounts: Vec<Value>,
    means: &Means,
    user: User,
) -> Value {
    let mut env = pod_variables();
    let mut variable = |name: &str, value: &str| env.push(json!({"name": name, "value": value}));
    variable("KRAFTLET_ATTACH", server_properties);
    variable("KRAFTLET_STATE", ATTACHED_RUN_FOLDER);
    variable("KRAFTLET_TERMINATION_GRACE_PERIOD_SECONDS", &grace_period_seconds.to_string());
    if let Some(version) = kafka_version {
        variable("KRAFTLET_KAFKA_VERSION", version);
    }
    let own = run_mount(ATTACHED_RUN_FOLDER);
    let volume_mounts = [own].into_iter().chain(mounts).collect();
    let sees = Sees { env, env_from: Vec::new(), volume_mounts, resources: resources(subject) };
    serving(container(words::SIDECAR, "sidecar", means, user, sees), ATTACHED_PORT)
}

/// Where an attached agent remembers what Kafka was started with.
pub const ATTACHED_RUN_FOLDER: &str = "/run/kraftlet";

/// The port of an attached agent, which has no settings to say another.
pub const ATTACHED_PORT: u16 = 9640;

/// Whether a leaf comes from the signer.
pub fn needs_signer(cluster: &Cluster) -> bool {
    cluster.certificates.values().any(|one| matches!(one.source, Source::Signer(_)))
}

/// Whether the sidecar asks the API server itself: for cert-manager's requests, and for Events of its pod.
fn needs_api(cluster: &Cluster) -> bool {
    cluster.settings.agent.events || asks_cert_manager(cluster)
}

/// The one thing for which `init` needs the API server, too.
fn asks_cert_manager(cluster: &Cluster) -> bool {
    cluster.certificates.values().any(|one| matches!(one.source, Source::CertManager(_)))
}

fn certificate_volume(certificate: &str) -> String {
    format!("kraftlet-certificate-{certificate}")
}

/// Key and chain, and whom they are trusted by: the kubelet swaps both at once.
fn pod_certificate_volume(
    cluster: &Cluster,
    certificate: &Certificate,
    signer_name: &str,
    namespace: Option<&str>,
) -> Result<Value, Refusal> {
    let name = &certificate.name;
    let key_type = certificate.key_algorithm.pod_certificate_key_type().ok_or_else(|| {
        let message =
            format!("certificate {name}: the kubelet makes no RSA keys of 2048 bits; want rsa-3072 or more");
        Refusal::new("KeyAlgorithmUnusable", message)
    })?;
    let namespace = cluster.settings.namespace.as_deref().or(namespace).ok_or_else(|| {
        let message = format!("certificate {name}: whom a pod certificate is trusted by depends on the namespace, which is not known");
        Refusal::new("NamespaceUnknown", message)
    })?;
    let seconds = certificate.lifetime.as_secs();
    if !POD_CERTIFICATE_SECONDS.contains(&seconds) {
        let message =
            format!("certificate {name}: lifetime of {seconds} s; a pod certificate's is 1h to 91d");
        return Err(Refusal::new("LifetimeUnusable", message));
    }
    Ok(json!({"name": certificate_volume(name), "projected": {"defaultMode": 0o440, "sources": [
        {"podCertificate": {
            "signerName": signer_name,
            "keyType": key_type,
            "credentialBundlePath": "bundle.pem",
            "maxExpirationSeconds": seconds,
            "userAnnotations": {words::CERTIFICATE: name}
        }},
        {"clusterTrustBundle": {"name": words::trust_bundle(signer_name, namespace, &cluster.settings.name), "path": "ca.crt"}}
    ]}}))
}

/// What a container is told, which folders it sees, and what it may take.
struct Sees {
    env: Vec<Value>,
    env_from: Vec<Value>,
    volume_mounts: Vec<Value>,
    resources: Value,
}

impl Sees {
    /// Who the pod is, where the settings are, and what people say of Kafka's properties.
    fn what_kafka_is_told(subject: &Subject<'_>, cluster: &Cluster, means: &Means) -> Self {
        let mut env = pod_variables();
        let settings = format!("{}/{}", words::SETTINGS_FOLDER, words::SETTINGS_KEY);
        env.push(json!({"name": "KRAFTLET_SETTINGS", "value": settings}));
        if let Some(pem) = means.signer_ca.as_ref().filter(|_| needs_signer(cluster)) {
            env.push(json!({"name": signer::SIGNER_CA, "value": pem}));
        }
        // Of two with one name the last is taken, so what is ours stays. The pod's facts have these names with everybody.
        let of_kafka = variables::properties(subject.list("env")).into_iter();
        let added: Vec<Value> = of_kafka
            .filter(|one| text(one, "name").is_some_and(|name| !has_named(&env, name)))
            .cloned()
            .collect();
        env.extend(added);
        let env_from = subject.list("envFrom").to_vec();
        Self { env, env_from, volume_mounts: Vec::new(), resources: resources(subject) }
    }
}

/// A container of ours, as Pod Security `restricted` has it.
fn container(name: &str, command: &str, means: &Means, user: User, sees: Sees) -> Map<String, Value> {
    let security = json!({
        "runAsNonRoot": true,
        "runAsUser": user.uid,
        "runAsGroup": user.gid,
        "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}
    });
    let mut container = Map::new();
    for (key, value) in [
        ("name", json!(name)),
        ("image", json!(means.image)),
        ("args", json!([command])),
        ("env", Value::Array(sees.env)),
        ("securityContext", security),
        ("resources", sees.resources),
        ("volumeMounts", Value::Array(sees.volume_mounts)),
    ] {
        container.insert(key.to_owned(), value);
    }
    if !sees.env_from.is_empty() {
        container.insert("envFrom".to_owned(), Value::Array(sees.env_from));
    }
    container
}

/// A Guaranteed pod stays one; in others the CPU has no limit.
fn resources(subject: &Subject<'_>) -> Value {
    if subject.is_guaranteed() {
        let both = json!({"cpu": GUARANTEED_CPU, "memory": MEMORY_LIMIT});
        return json!({"requests": both, "limits": both});
    }
    json!({
        "requests": {"cpu": CPU_REQUEST, "memory": MEMORY_REQUEST},
        "limits": {"memory": MEMORY_LIMIT}
    })
}

fn pod_variables() -> Vec<Value> {
    let fact = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    vec![
        fact("POD_NAME", "metadata.name"),
        fact("POD_NAMESPACE", "metadata.namespace"),
        fact("POD_UID", "metadata.uid"),
        fact("POD_IP", "status.podIP"),
        fact("NODE_NAME", "spec.nodeName"),
        // The rack. Copied from the node to the pod at binding, since Kubernetes 1.35.
        fact("POD_ZONE", "metadata.labels['topology.kubernetes.io/zone']"),
    ]
}

fn own_mounts(cluster: &Cluster, asks_api: bool) -> Vec<Value> {
    let read_only = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
    let mut mounts =
        vec![run_mount(&cluster.settings.run_folder), read_only(SETTINGS_VOLUME, words::SETTINGS_FOLDER)];
    for certificate in cluster.certificates.values() {
        if matches!(certificate.source, Source::Secret(_) | Source::PodCertificate(_)) {
            let volume = certificate_volume(&certificate.name);
            mounts.push(read_only(&volume, &mounted_folder(&certificate.name)));
        }
    }
    if needs_signer(cluster) {
        mounts.push(read_only(SIGNER_VOLUME, signer::TOKEN_FOLDER));
    }
    if asks_api {
        mounts.push(read_only(API_VOLUME, SERVICE_ACCOUNT));
    }
    mounts
}

/// What makes a container a native sidecar (KEP-753), and how the kubelet asks whether the agent itself lives. It has no
/// startup probe: Kafka would wait for it, and no agent is worth that.
fn serving(mut container: Map<String, Value>, port: u16) -> Value {
    let probe = json!({
        "httpGet": {"path": "/livez", "port": port},
        "initialDelaySeconds": 10,
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 6
    });
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("ports", json!([{"name": "kraftlet", "containerPort": port}])),
        ("livenessProbe", probe),
    ] {
        container.insert(key.to_owned(), value);
    }
    Value::Object(container)
}
