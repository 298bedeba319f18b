//! A question of the API server to its answer, with the settings in between: which ones are needed, and then what follows.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::model::Cluster;
use crate::inject::asked;
use crate::inject::asked::Asked;
use crate::inject::judge;
use crate::inject::ours::Means;
use crate::inject::plan;
use crate::inject::plan::Plan;
use crate::inject::plan::Set;
use crate::inject::refusal::Refusal;
use crate::inject::review::Question;
use crate::inject::subject::text;

/// What an answer needs beside the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: this is it.
    Nothing(Plan),
    /// What is added to an attached pod.
    Means,
    /// The settings in this ConfigMap of the question's namespace.
    Settings(String),
}

/// What the question needs. Objects that do not ask for kraftlet are let pass; they should not come here.
pub fn needs(question: &Question) -> Result<Needs, Refusal> {
    let asked = match question.resource.resource.as_str() {
        "pods" => asked::asked(question.object.get("metadata").unwrap_or(&Value::Null))?,
        "statefulsets" => {
            asked::asked(question.object.pointer("/spec/template/metadata").unwrap_or(&Value::Null))?
        }
        "configmaps" => {
            let plan = if question.old_object.is_null() {
                judge::settings(&question.object).map(|_| Plan::default())
            } else {
                judge::changed_settings(&question.object, &question.old_object)
            };
            return plan.map(Needs::Nothing);
        }
        _ => Asked::Nothing,
    };
    Ok(match asked {
        Asked::Nothing => Needs::Nothing(Plan::default()),
        Asked::Attach { .. } => Needs::Means,
        Asked::Manage { cluster } => Needs::Settings(cluster),
    })
}

/// The answer, with the settings in `config_map`.
pub fn decide(
    question: &Question,
    config_map: &str,
    cluster: Result<Arc<Cluster>, Refusal>,
    means: &Means,
) -> Result<Plan, Refusal> {
    let object = &question.object;
    if question.resource.resource == "statefulsets" {
        return match cluster {
            Ok(cluster) => {
                judge::stateful_set(object, Some(&question.namespace), config_map, &cluster, means)
            }
            // They may come with the next document of the same file, or be in a dry run that keeps nothing. But where the pods
            // have asked before, the next one would be refused.
            Err(refusal)
                if refusal.reason() == NO_SETTINGS
                    && (question.dry_run || !has_asked(&question.old_object)) =>
            {
                Ok(Plan { operations: Vec::new(), warnings: vec![refusal.to_string()] })
            }
            Err(refusal) => Err(refusal),
        };
    }
    let set = owner(object, Some(&question.namespace))?;
    plan::manage(object, set, config_map, cluster?.as_ref(), means)
}

/// Whether the pods of this StatefulSet ask for settings.
fn has_asked(stateful_set: &Value) -> bool {
    let metadata = stateful_set.pointer("/spec/template/metadata");
    metadata.is_some_and(|metadata| matches!(asked::asked(metadata), Ok(Asked::Manage { .. })))
}

/// The answer to a pod, or a StatefulSet, whose Kafka somebody else configures.
pub fn attach(question: &Question, means: &Means) -> Result<Plan, Refusal> {
    let is_template = question.resource.resource == "statefulsets";
    let pod = if is_template { question.object.pointer("/spec/template") } else { Some(&question.object) };
    let pod = pod.unwrap_or(&Value::Null);
    let Asked::Attach { server_properties, kafka_version, cluster } =
        asked::asked(pod.get("metadata").unwrap_or(&Value::Null))?
    else {
        return Ok(Plan::default());
    };
    let cluster = cluster.as_deref().or_else(|| set_of(&question.object));
    let plan = plan::attach(pod, cluster, &server_properties, kafka_version.as_deref(), means)?;
    if !is_template {
        return Ok(plan);
    }
    let warnings = plan.warnings.into_iter().chain(judge::doubtful_container(pod)).collect();
    Ok(Plan { operations: Vec::new(), warnings })
}

/// The StatefulSet that a pod is of, or that the object is: whoever has no other name for the cluster calls it so.
pub fn set_of(object: &Value) -> Option<&str> {
    match object.pointer("/spec/template") {
        Some(_) => object.pointer("/metadata/name").and_then(Value::as_str),
        None => owner(object, None).ok().map(|set| set.name),
    }
}

/// There is no such ConfigMap. Of manifests the namespace may not be known; it is empty then.
pub fn no_settings(namespace: &str, name: &str) -> Refusal {
    let place = if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
    let message = format!("there is no ConfigMap {name}{place}, which should have the settings");
    Refusal::new(NO_SETTINGS, message)
}

const NO_SETTINGS: &str = "SettingsMissing";

/// The StatefulSet that controls a pod.
pub fn owner<'a>(pod: &'a Value, namespace: Option<&'a str>) -> Result<Set<'a>, Refusal> {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controls = |owner: &&Value| {
        owner.get("controller").and_then(Value::as_bool) == Some(true)
            && text(owner, "kind") == Some("StatefulSet")
    };
    let name = owners.and_then(|owners| owners.iter().find(controls)).and_then(|owner| text(owner, "name"));
    let name = name.ok_or_else(|| {
        let message = "the pod is of no StatefulSet; which node it is follows from the StatefulSet's name and the ordinal";
        Refusal::new("NotOfAStatefulSet", message)
    })?;
    let service = pod.pointer("/spec/subdomain").and_then(Value::as_str);
    Ok(Set { name, service, namespace })
}
