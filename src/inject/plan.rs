//! The whole decision: a pod, what it asks for and the settings, to what has to be changed, or to a refusal.

use serde_json::Value;
use serde_json::json;

use crate::cluster::model::Cluster;
use crate::cluster::pool::Pool;
use crate::inject::draft::Draft;
use crate::inject::draft::Operation;
use crate::inject::kafka;
use crate::inject::mount;
use crate::inject::mount::Mounts;
use crate::inject::ours;
use crate::inject::ours::Means;
use crate::inject::refusal::Refusal;
use crate::inject::subject::KnownBy;
use crate::inject::subject::Subject;
use crate::inject::subject::User;
use crate::inject::subject::annotation;
use crate::inject::subject::has_named;
use crate::inject::subject::list;
use crate::inject::subject::text;
use crate::inject::variables;
use crate::inject::words;

/// What has to be done to a pod, and what its owner should know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Changes in their order; none where the pod has everything.
    pub operations: Vec<Operation>,
    /// Sentences that `kubectl` shows.
    pub warnings: Vec<String>,
}

/// The StatefulSet whose pod it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its headless Service, which is a pod's `subdomain`.
    pub service: Option<&'a str>,
    /// Its namespace, where that is known.
    pub namespace: Option<&'a str>,
}

/// This version, left on what was injected.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Adds kraftlet to a pod whose Kafka it configures, with the settings in the ConfigMap `config_map`.
pub fn manage(
    pod: &Value,
    set: Set<'_>,
    config_map: &str,
    cluster: &Cluster,
    means: &Means,
) -> Result<Plan, Refusal> {
    let subject = Subject::find(pod)?;
    belongs(set, cluster)?;
    let run_folder = &cluster.settings.run_folder;
    if run_folder.contains('{') {
        let message =
            format!("the settings' runFolder is {run_folder:?}; want one for all pods, without braces");
        return Err(Refusal::new("SettingsUnfit", message));
    }
    let wrong = variables::problems(subject.list("env"));
    if !wrong.is_empty() {
        let message = format!("container {}: {}", subject.name(), wrong.join("; "));
        return Err(Refusal::new("PropertiesInvalid", message));
    }
    let user = subject.user()?;
    let mounts = Mounts::of(&subject, cluster)?;
    let mut draft = Draft::new(pod);
    let mut warnings = Vec::new();
    label(&mut draft, &cluster.settings.name)?;
    let grace = u64::from(cluster.settings.agent.termination_grace_period_seconds);
    whole_pod(&mut draft, user, grace);
    for volume in ours::volumes(config_map, cluster, set.namespace)? {
        add_volume(&mut draft, volume);
    }
    kafka::manage(&mut draft, &mut warnings, &subject, cluster)?;
    kafka::ask_the_agent(&mut draft, &mut warnings, &subject, cluster.settings.agent.port);
    if ours::needs_signer(cluster) && means.signer_ca.is_none() {
        let message = "the settings have certificates from the signer, and the signer's CA is not known here; is the signer installed?";
        return Err(Refusal::new("SignerUnknown", message));
    }
    add_container(&mut draft, ours::init(&subject, cluster, &mounts, means, user));
    add_container(&mut draft, ours::sidecar(&subject, cluster, &mounts, means, user));
    Ok(finish(pod, draft, warnings))
}

/// Adds the sidecar alone, beside a Kafka that somebody else configures. `cluster` is the name by which `kubectl kraftlet`
/// finds its pods.
pub fn attach(
    pod: &Value,
    cluster: Option<&str>,
    server_properties: &str,
    kafka_version: Option<&str>,
    means: &Means,
) -> Result<Plan, Refusal> {
    let subject = Subject::find(pod)?;
    let user = subject.user()?;
    let grace = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
    let grace = grace.unwrap_or(DEFAULT_GRACE_SECONDS);
    let mounts = mount::all_read_only(&subject);
    let mut draft = Draft::new(pod);
    let mut warnings = Vec::new();
    if let Some(name) = cluster {
        label(&mut draft, name)?;
    }
    // Nothing else would say it the next time: an attached Kafka's container has no mount of ours.
    if matches!(subject.known_by(), KnownBy::Image | KnownBy::BeingAlone) {
        draft.set("/metadata/annotations", words::CONTAINER, json!(subject.name()));
    }
    kafka::ask_the_agent(&mut draft, &mut warnings, &subject, ours::ATTACHED_PORT);
    add_volume(&mut draft, ours::run_volume());
    let sidecar = ours::attached(&subject, server_properties, kafka_version, grace, mounts, means, user);
    add_container(&mut draft, sidecar);
    Ok(finish(pod, draft, warnings))
}

/// Kubernetes' own (`v1.DefaultTerminationGracePeriodSeconds`).
const DEFAULT_GRACE_SECONDS: u64 = 30;

/// The pool that a StatefulSet is.
pub fn pool<'a>(set: &str, cluster: &'a Cluster) -> Result<&'a Pool, Refusal> {
    cluster.pools.iter().find(|pool| pool.stateful_set == set).ok_or_else(|| {
        let pools: Vec<&str> = cluster.pools.iter().map(|pool| pool.stateful_set.as_str()).collect();
        let message =
            format!("StatefulSet {set} is none of the settings' pools, which are {}", pools.join(", "));
        Refusal::new("UnknownStatefulSet", message)
    })
}

/// Names are resolved by the Service that the StatefulSet names; certificates and voters by that of the settings.
fn belongs(set: Set<'_>, cluster: &Cluster) -> Result<(), Refusal> {
    let pool = pool(set.name, cluster)?;
    let found = set.service.unwrap_or_default();
    if found == pool.service {
        return Ok(());
    }
    let message = format!(
        "StatefulSet {} has the Service {found:?}; the settings have {:?}, by which its pods would be called in vain",
        set.name, pool.service
    );
    Err(Refusal::new("OtherService", message))
}

/// The label by which `kubectl kraftlet` finds a cluster's pods. Somebody's own may be what his Service selects by.
fn label(draft: &mut Draft<'_>, cluster: &str) -> Result<(), Refusal> {
    match draft.pod().pointer("/metadata/labels").and_then(|labels| text(labels, words::CLUSTER)) {
        Some(found) if found != cluster => {
            let message = format!(
                "label {} is {found:?}, and the cluster is called {cluster:?}; want the same, or no such label",
                words::CLUSTER
            );
            return Err(Refusal::new("LabelDiffers", message));
        }
        Some(_) => {}
        None => draft.set("/metadata/labels", words::CLUSTER, json!(cluster)),
    }
    Ok(())
}

/// What concerns the pod as a whole.
fn whole_pod(draft: &mut Draft<'_>, user: User, grace: u64) {
    let pod = draft.pod();
    if pod
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_u64)
        .is_none_or(|found| found < grace)
    {
        draft.set("/spec", "terminationGracePeriodSeconds", json!(grace));
    }
    // Kubernetes writes its default, true, before anybody can ask; and of KAFKA_PORT=tcp://… nothing good comes.
    set_if_other(draft, "/spec", "enableServiceLinks", json!(false));
    if pod.pointer("/spec/securityContext/fsGroup").is_none() {
        draft.set("/spec/securityContext", "fsGroup", json!(user.gid));
        if pod.pointer("/spec/securityContext/fsGroupChangePolicy").is_none() {
            draft.set("/spec/securityContext", "fsGroupChangePolicy", json!("OnRootMismatch"));
        }
    }
}

fn set_if_other(draft: &mut Draft<'_>, parent: &str, key: &str, value: Value) {
    if draft.pod().pointer(parent).and_then(|parent| parent.get(key)) != Some(&value) {
        draft.set(parent, key, value);
    }
}

fn add_volume(draft: &mut Draft<'_>, volume: Value) {
    let name = text(&volume, "name").unwrap_or_default();
    if !has_named(list(draft.pod().get("spec"), "volumes"), name) {
        draft.push("/spec", "volumes", volume);
    }
}

fn add_container(draft: &mut Draft<'_>, container: Value) {
    let name = text(&container, "name").unwrap_or_default();
    if !has_named(list(draft.pod().get("spec"), "initContainers"), name) {
        draft.push("/spec", "initContainers", container);
    }
}

/// Says which version was injected, where anything was; one that was there before stays, and says its own.
fn finish(pod: &Value, draft: Draft<'_>, mut warnings: Vec<String>) -> Plan {
    let mut draft = draft;
    match annotation(pod, words::INJECTED) {
        None => draft.set("/metadata/annotations", words::INJECTED, json!(VERSION)),
        Some(version) if version != VERSION => warnings.push(format!(
            "kraftlet {version} was injected before; it stays, and this is {VERSION}. Inject the manifest as it was written"
        )),
        Some(_) => {}
    }
    Plan { operations: draft.into_operations(), warnings }
}
