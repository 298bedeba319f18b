//! The same injection as a MutatingAdmissionPolicy (KEP-3962), for those who want no server in the way of their pods.
//!
//! CEL reads no YAML, so a policy cannot read settings: it carries what was decided for one StatefulSet when it was
//! printed, and has to be printed again when settings or StatefulSet change. It says no sentence where something is wrong,
//! and does not look at StatefulSets and settings as they are applied; `kraftlet inject` does both as it prints.

use serde_json::Value;
use serde_json::json;

use crate::inject::draft::Operation;
use crate::inject::words;

/// A StatefulSet, and what its pods get.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub set: String,
    /// The name of Kafka's container.
    pub container: String,
    /// Where it is in the template, as a JSON pointer.
    pub pointer: String,
    /// What is done to a pod.
    pub operations: Vec<Operation>,
}

const GROUP: &str = "admissionregistration.k8s.io/v1";

/// The policies of these StatefulSets, and one that refuses pods that ask for kraftlet and got nothing.
pub fn policies(decided: &[Decided]) -> Vec<Value> {
    let name = |one: &Decided| format!("kraftlet.{}.{}", one.namespace, one.set);
    let mut objects = Vec::new();
    for one in decided {
        objects.push(object("MutatingAdmissionPolicy", &name(one), mutation(one)));
        let binding = json!({"policyName": name(one)});
        objects.push(object("MutatingAdmissionPolicyBinding", &name(one), binding));
    }
    objects.push(object("ValidatingAdmissionPolicy", LEFT_OUT, left_out()));
    let binding = json!({"policyName": LEFT_OUT, "validationActions": ["Deny"]});
    objects.push(object("ValidatingAdmissionPolicyBinding", LEFT_OUT, binding));
    objects
}

/// Without it a pod whose policy is missing would run a Kafka without TLS.
const LEFT_OUT: &str = "kraftlet.dev";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn mutation(one: &Decided) -> Value {
    let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": one.namespace}});
    let owner = format!(
        "object.metadata.?ownerReferences.orValue([]).exists(o, o.kind == \"StatefulSet\" && o.name == {} && o.?controller.orValue(false))",
        json!(one.set)
    );
    let index = format!("object.spec.containers.map(c, c.name).indexOf({})", json!(one.container));
    json!({
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"namespaceSelector": namespace, "resourceRules": [created_pods()]},
        "matchConditions": [
            {"name": "asks-for-kraftlet", "expression": asks()},
            {"name": "is-of-the-stateful-set", "expression": owner},
            {"name": "was-not-injected-before", "expression": format!("!{}", has_sidecar())}
        ],
        // Another webhook may have put containers before it. Where there is none of this name the patch fails, and with it
        // the pod.
        "variables": [{"name": "kafka", "expression": index}],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch(one)}}]
    })
}

fn left_out() -> Value {
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [created_pods()]},
        "matchConditions": [{"name": "asks-for-kraftlet", "expression": asks()}],
        "validations": [{
            "expression": has_sidecar(),
            "message": "kraftlet: the pod asks for kraftlet, and no policy gave it; print one with kraftlet inject --as-policy"
        }]
    })
}

fn created_pods() -> Value {
    json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]})
}

fn asks() -> String {
    format!("object.metadata.?annotations[?{}].orValue(\"\") == \"true\"", json!(words::INJECT))
}

fn has_sidecar() -> String {
    format!("object.spec.?initContainers.orValue([]).exists(c, c.name == {})", json!(words::SIDECAR))
}

/// The patch as CEL: an expression for a list of `JSONPatch`, one operation on a line.
fn patch(one: &Decided) -> String {
    let lines: Vec<String> = one.operations.iter().map(|operation| step(one, operation)).collect();
    format!("{}\n", lines.join(" +\n"))
}

/// Lists that we put items into. In the template they may be missing and in the pod be there: a StatefulSet adds the
/// volumes of its claims, the API server that of the pod's token.
const LISTS: [&str; 4] = ["volumes", "initContainers", "env", "volumeMounts"];

fn step(one: &Decided, operation: &Operation) -> String {
    let inner = operation.path.strip_prefix(&one.pointer).filter(|rest| rest.starts_with('/'));
    let (path, place) = match inner {
        Some(rest) => (
            format!("\"/spec/containers/\" + string(variables.kafka) + {}", json!(rest)),
            "object.spec.containers[variables.kafka]",
        ),
        None => (json!(operation.path).to_string(), "object.spec"),
    };
    let key = operation.path.rsplit('/').next().unwrap_or_default();
    let Some(items) = operation.value.as_array().filter(|_| LISTS.contains(&key)) else {
        return format!("[{}]", add(&path, &cel(&operation.value)));
    };
    let made = format!("(has({place}.{key}) ? [] : [{}])", add(&path, "[]"));
    let put = items.iter().map(|item| add(&format!("{path} + \"/-\""), &cel(item)));
    format!("{made} +\n[{}]", put.collect::<Vec<_>>().join(", "))
}

fn add(path: &str, value: &str) -> String {
    format!("JSONPatch{{op: \"add\", path: {path}, value: {value}}}")
}

/// A value as a literal of CEL. Kubernetes' CEL has one type for all items of a list, and for all values of a map.
fn cel(value: &Value) -> String {
    let among = |all: &[&Value], one: &Value| {
        if all.iter().all(|value| value.is_string()) { cel(one) } else { format!("dyn({})", cel(one)) }
    };
    match value {
        Value::Array(items) => {
            let all: Vec<&Value> = items.iter().collect();
            let items: Vec<String> = items.iter().map(|item| among(&all, item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let all: Vec<&Value> = entries.values().collect();
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", json!(key), among(&all, value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        // What JSON writes of texts, numbers and words is CEL.
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::draft::Draft;

    #[test]
    fn a_list_is_made_only_where_it_is_missing_and_kafka_is_found_by_its_name() {
        let pod = json!({"spec": {"containers": [{"name": "proxy"}, {"name": "kafka"}]}});
        let mut draft = Draft::new(&pod);
        draft.push("/spec", "volumes", json!({"name": "run", "emptyDir": {"medium": "Memory"}}));
        draft.push("/spec/containers/1", "env", json!({"name": "A", "value": "say \"x\""}));
        draft.set("/spec", "enableServiceLinks", json!(false));
        let one = Decided {
            namespace: "prod".to_owned(),
            set: "events".to_owned(),
            container: "kafka".to_owned(),
            pointer: "/spec/containers/1".to_owned(),
            operations: draft.into_operations(),
        };
        let want = [
            r#"(has(object.spec.volumes) ? [] : [JSONPatch{op: "add", path: "/spec/volumes", value: []}]) +"#,
            r#"[JSONPatch{op: "add", path: "/spec/volumes" + "/-", value: {"emptyDir": dyn({"medium": "Memory"}), "name": dyn("run")}}] +"#,
            r#"(has(object.spec.containers[variables.kafka].env) ? [] : [JSONPatch{op: "add", path: "/spec/containers/" + string(variables.kafka) + "/env", value: []}]) +"#,
            r#"[JSONPatch{op: "add", path: "/spec/containers/" + string(variables.kafka) + "/env" + "/-", value: {"name": "A", "value": "say \"x\""}}] +"#,
            r#"[JSONPatch{op: "add", path: "/spec/enableServiceLinks", value: false}]"#,
        ];
        assert_eq!(patch(&one), format!("{}\n", want.join("\n")));
    }

    #[test]
    fn what_is_printed_are_the_policies_and_the_one_that_refuses_the_rest() {
        let one = Decided {
            namespace: "prod".to_owned(),
            set: "events".to_owned(),
            container: "kafka".to_owned(),
            pointer: "/spec/containers/0".to_owned(),
            operations: Vec::new(),
        };
        let kinds: Vec<String> = policies(&[one])
            .iter()
            .map(|object| {
                format!(
                    "{} {}",
                    object["kind"].as_str().unwrap(),
                    object["metadata"]["name"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(
            kinds,
            [
                "MutatingAdmissionPolicy kraftlet.prod.events",
                "MutatingAdmissionPolicyBinding kraftlet.prod.events",
                "ValidatingAdmissionPolicy kraftlet.dev",
                "ValidatingAdmissionPolicyBinding kraftlet.dev"
            ]
        );
    }
}
