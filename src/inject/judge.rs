//! What is said at apply time: StatefulSets whose pods would be refused, and settings that make no cluster. A pod that
//! is refused is seen only in an event, when the pod it should follow has gone.

use std::cmp::Ordering;

use serde_json::Value;

use crate::cluster::model::Cluster;
use crate::cluster::parse;
use crate::cluster::pool::Pool;
use crate::inject::ours;
use crate::inject::ours::Means;
use crate::inject::plan;
use crate::inject::plan::Plan;
use crate::inject::plan::Set;
use crate::inject::refusal::Refusal;
use crate::inject::subject::KnownBy;
use crate::inject::subject::Subject;
use crate::inject::subject::text;
use crate::inject::words;
use crate::kafka::node_id::NodeId;

/// The settings in a ConfigMap.
pub fn settings(config_map: &Value) -> Result<Cluster, Refusal> {
    let name = config_map.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let data = config_map.get("data");
    let Some(yaml) = data.and_then(|data| text(data, words::SETTINGS_KEY)) else {
        let message = format!("ConfigMap {name} has no key {}; want the settings there", words::SETTINGS_KEY);
        return Err(Refusal::new("SettingsKeyMissing", message));
    };
    let file = format!("ConfigMap {name}, {}", words::SETTINGS_KEY);
    parse::parse(&file, yaml.as_bytes()).map_err(|problems| Refusal::settings(&problems))
}

/// Settings that are to take the place of others: what is on the disks already cannot be said otherwise.
pub fn changed_settings(config_map: &Value, before: &Value) -> Result<Plan, Refusal> {
    let now = settings(config_map)?;
    let Ok(before) = settings(before) else { return Ok(Plan::default()) };
    if now.cluster_id != before.cluster_id {
        let message = format!(
            "the cluster id was {} and would be {}; it is written on every disk and can never change",
            before.cluster_id, now.cluster_id
        );
        return Err(Refusal::new("ClusterIdChanged", message));
    }
    let node_ids = |cluster: &Cluster| {
        let of = |pool: &Pool| {
            let first = pool.pods().next().and_then(|pod| pool.node_id(pod.ordinal()));
            (pool.stateful_set.clone(), first)
        };
        cluster.pools.iter().map(of).collect::<Vec<_>>()
    };
    let later = node_ids(&now);
    for (set, first) in node_ids(&before) {
        if let Some((_, other)) = later.iter().find(|(name, other)| *name == set && *other != first) {
            let id = |id: Option<_>| id.map_or_else(String::new, |id: NodeId| id.to_string());
            let message = format!(
                "pool {set}: the first node id was {} and would be {}; node ids are written on the disks",
                id(first),
                id(*other)
            );
            return Err(Refusal::new("NodeIdsChanged", message));
        }
    }
    Ok(Plan::default())
}

/// A StatefulSet: whether its pods will be taken, and whether it is the pool that the settings speak of.
pub fn stateful_set(
    set: &Value,
    namespace: Option<&str>,
    config_map: &str,
    cluster: &Cluster,
    means: &Means,
) -> Result<Plan, Refusal> {
    let name = set.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let spec = set.get("spec").unwrap_or(&Value::Null);
    let service = text(spec, "serviceName");
    let template = spec.get("template").unwrap_or(&Value::Null);
    let owner = Set { name, service, namespace };
    let mut warnings = Vec::new();
    // Its pods are refused for that, and made as soon as it is known; the StatefulSet is right as it is.
    let signer_is_unknown = ours::needs_signer(cluster) && means.signer_ca.is_none();
    let with_any = Means { signer_ca: Some(String::new()), ..means.clone() };
    let means = if signer_is_unknown { &with_any } else { means };
    if signer_is_unknown {
        warnings.push("pods wait for the signer, whose CA is not known yet; is it installed?".to_owned());
    }
    warnings.extend(plan::manage(template, owner, config_map, cluster, means)?.warnings);
    warnings.extend(doubtful_container(template));
    let pool = plan::pool(name, cluster)?;
    let replicas = spec.get("replicas").and_then(Value::as_u64).unwrap_or(1);
    let wanted = u64::try_from(pool.pods().count()).unwrap_or(u64::MAX);
    let differs = format!("StatefulSet {name} has {replicas} replicas, its pool in the settings {wanted}");
    match replicas.cmp(&wanted) {
        Ordering::Greater if pool.roles.is_controller() => {
            let message = format!("{differs}; the voters are those of the settings, so change these first");
            return Err(Refusal::new("ReplicasDiffer", message));
        }
        Ordering::Equal => {}
        Ordering::Less | Ordering::Greater => warnings.push(differs),
    }
    if pool.roles.is_controller() && text(spec, "podManagementPolicy") != Some("Parallel") {
        warnings.push(format!(
            "StatefulSet {name} starts its pods one after the other; a quorum that was down as a whole comes back sooner, and \
             with a lost disk at all, with podManagementPolicy: Parallel"
        ));
    }
    Ok(Plan { operations: Vec::new(), warnings })
}

/// Says that a template's Kafka would not be known any more if another webhook added a container to its pods.
pub fn doubtful_container(template: &Value) -> Option<String> {
    let subject = Subject::find(template).ok().filter(|one| one.known_by() == KnownBy::BeingAlone)?;
    Some(format!(
        "container {} is taken for Kafka's because there is no other; where webhooks add containers to pods, name it with \
         the annotation {}",
        subject.name(),
        words::CONTAINER
    ))
}
