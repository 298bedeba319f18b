//! The pods of a cluster as the API server has them: which there are, whether they are ready, and why one is not.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;

use crate::health::text::Text;
use crate::inject::words;
use crate::kubernetes::meta::Meta;
use crate::pod::name::PodName;

/// A pod, as far as it is used.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its name, labels and uid.
    pub metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    ports: Vec<Port>,
    env: Vec<Variable>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Variable {
    name: String,
    value: String,
    value_from: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    name: String,
    container_port: u16,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    #[serde(rename = "podIP")]
    pod_ip: String,
    phase: String,
    conditions: Vec<Condition>,
    init_container_statuses: Vec<ContainerStatus>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    message: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    state: State,
    last_state: State,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Ended>,
    running: Option<serde::de::IgnoredAny>,
    terminated: Option<Ended>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ended {
    reason: String,
    message: String,
    exit_code: i32,
}

/// Which cluster is meant cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Nobody has the label.
    #[error(
        "namespace {namespace} has no pod with the label {label}; want the namespace of a cluster",
        label = words::CLUSTER
    )]
    None {
        /// Where we looked.
        namespace: String,
    },
    /// Not the one that was named.
    #[error("namespace {namespace} has no pod of cluster {wanted}; it has those of {there}")]
    Unknown {
        /// Where we looked.
        namespace: String,
        /// What was asked for.
        wanted: String,
        /// What is there.
        there: String,
    },
    /// Several, and none was named.
    #[error("namespace {namespace} has the clusters {there}; want one of them with --cluster")]
    Several {
        /// Where we looked.
        namespace: String,
        /// What is there.
        there: String,
    },
}

/// The read port where the pod does not say another.
const READ_PORT: u16 = 9640;

/// The name of the cluster that is meant, and its pods in the order of their names and ordinals.
pub fn choose(
    pods: Vec<Pod>,
    wanted: Option<&str>,
    namespace: &str,
) -> Result<(String, Vec<Pod>), ChoiceError> {
    let namespace = namespace.to_owned();
    let mut clusters: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in pods {
        if let Some(cluster) = pod.metadata.labels.get(words::CLUSTER) {
            clusters.entry(cluster.clone()).or_default().push(pod);
        }
    }
    let there = Vec::from_iter(clusters.keys().cloned()).join(", ");
    let several = clusters.len() > 1;
    let (name, mut pods) = match wanted {
        _ if clusters.is_empty() => return Err(ChoiceError::None { namespace }),
        None if several => return Err(ChoiceError::Several { namespace, there }),
        None => clusters.pop_first().ok_or(ChoiceError::None { namespace })?,
        Some(wanted) => match clusters.remove_entry(wanted) {
            Some(cluster) => cluster,
            None => return Err(ChoiceError::Unknown { namespace, wanted: wanted.to_owned(), there }),
        },
    };
    pods.sort_by_key(Pod::place);
    Ok((name, pods))
}

impl Pod {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The port where its agent is asked, or why nobody answers there.
    pub fn read_port(&self) -> Result<u16, String> {
        let agent = |one: &&ContainerStatus| one.name == words::SIDECAR;
        if !self.containers().any(|one| one.name == words::SIDECAR) {
            return Err(format!("the pod has no container {}: nothing was injected", words::SIDECAR));
        }
        if !self.statuses().filter(agent).any(|one| one.state.running.is_some()) {
            return Err(self.why_it_does_not_run());
        }
        let ports = self.containers().filter(|one| one.name == words::SIDECAR).flat_map(|one| &one.ports);
        let named = ports.into_iter().find(|port| port.name == words::SIDECAR);
        Ok(named.map_or(READ_PORT, |port| port.container_port))
    }

    /// Why the pod is not ready to serve; `None`: it is.
    pub fn not_ready(&self) -> Option<String> {
        if self.metadata.deletion_timestamp.is_some() {
            return Some("it is being deleted".to_owned());
        }
        let ready = self.status.conditions.iter().find(|one| one.r#type == "Ready");
        match ready {
            Some(ready) if ready.status == "True" => None,
            Some(_) if self.status.phase == "Running" && self.stuck().is_none() => {
                Some("it runs and is not ready".to_owned())
            }
            Some(_) | None => Some(self.why_it_does_not_run()),
        }
    }

    /// What keeps its containers from running.
    fn why_it_does_not_run(&self) -> String {
        let unscheduled =
            self.status.conditions.iter().find(|one| one.r#type == "PodScheduled" && one.status == "False");
        match (self.stuck(), unscheduled) {
            (Some(why), _) => why,
            (None, Some(condition)) => format!("the pod has no node: {}", Text::new(&condition.message)),
            (None, None) => format!("the pod is {}", self.status.phase),
        }
    }

    /// The first container that should run and does not, with its last words.
    fn stuck(&self) -> Option<String> {
        let statuses = self.statuses();
        let mut stuck = statuses.filter(|one| {
            let done = one.state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0);
            one.state.running.is_none()
                && !done
                && (one.state.waiting.is_some() || one.state.terminated.is_some())
        });
        let container = stuck.next()?;
        let ContainerStatus { name, state, last_state } = container;
        let now = match (&state.waiting, &state.terminated) {
            (Some(waiting), _) => format!("container {name} waits ({})", waiting.reason),
            (None, Some(ended)) => format!("container {name} has ended with {}", ended.exit_code),
            (None, None) => return None,
        };
        let ended = state.terminated.as_ref().or(last_state.terminated.as_ref());
        // The kubelet's own sentence says which image or volume; ours is in the termination log.
        let waits_for = state.waiting.as_ref().map(|one| one.message.as_str());
        let words = ended.map(|ended| ended.message.as_str()).filter(|words| !words.is_empty()).or(waits_for);
        Some(match words.map(str::trim).filter(|words| !words.is_empty()) {
            // They are a container's, and end in a terminal.
            Some(words) => format!("{now}: {}", Text::new(words)),
            None => now,
        })
    }

    /// The environment of `kraftlet init` in this pod, and which of its variables are not known here.
    pub fn environment(&self, namespace: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let (mut known, mut unknown) = (BTreeMap::new(), Vec::new());
        let init = self.spec.init_containers.iter().find(|one| one.name == words::INIT);
        for Variable { name, value, value_from } in init.into_iter().flat_map(|init| &init.env) {
            match value_from {
                None => drop(known.insert(name.clone(), value.clone())),
                Some(_) if name.starts_with("KAFKA_") => unknown.push(format!("variable {name}")),
                Some(_) => {}
            }
        }
        let zone = self.metadata.labels.get("topology.kubernetes.io/zone").cloned().unwrap_or_default();
        let facts = [
            ("POD_NAME", self.metadata.name.clone()),
            ("POD_NAMESPACE", namespace.to_owned()),
            ("POD_IP", self.status.pod_ip.clone()),
            ("NODE_NAME", self.spec.node_name.clone()),
            ("POD_ZONE", zone),
        ];
        known.extend(facts.map(|(name, value)| (name.to_owned(), value)));
        (known, unknown)
    }

    /// In the order in which they run.
    fn statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    fn containers(&self) -> impl Iterator<Item = &Container> {
        self.spec.init_containers.iter().chain(&self.spec.containers)
    }

    fn place(&self) -> (String, u32) {
        match self.name().parse::<PodName>() {
            Ok(name) => (name.stateful_set().to_owned(), name.ordinal().number()),
            Err(_) => (self.name().to_owned(), 0),
        }
    }
}

/// The StatefulSets that the pods are of.
pub fn stateful_sets(pods: &[Pod]) -> BTreeSet<&str> {
    pods.iter().filter_map(|pod| Some(pod.metadata.stateful_set()?.name.as_str())).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::Value as Json;
    use serde_json::json;

    use super::*;

    /// A pod of cluster `events` with this status.
    pub(crate) fn pod(name: &str, status: Json) -> Pod {
        let pod = json!({
            "metadata": {"name": name, "uid": format!("uid-of-{name}"), "labels": {"kraftlet.dev/cluster": "events"}},
            "spec": {
                "initContainers": [{"name": "kraftlet-init"}, {
                    "name": "kraftlet",
                    "ports": [{"name": "metrics", "containerPort": 1}, {"name": "kraftlet", "containerPort": 9740}],
                }],
                "containers": [{"name": "kafka"}],
            },
            "status": status,
        });
        serde_json::from_value(pod).unwrap()
    }

    pub(crate) fn ready() -> Json {
        json!({
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "initContainerStatuses": [
                {"name": "kraftlet-init", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
                {"name": "kraftlet", "state": {"running": {"startedAt": "2026-11-23T18:08:54Z"}}},
            ],
            "containerStatuses": [{"name": "kafka", "state": {"running": {}}}],
        })
    }

    fn of(cluster: &str, name: &str) -> Pod {
        let mut pod = pod(name, ready());
        pod.metadata.labels.insert(words::CLUSTER.to_owned(), cluster.to_owned());
        pod
    }

    #[test]
    fn the_one_cluster_of_a_namespace_needs_no_name_and_of_several_one_has_to_be_said() {
        let check = |pods: &[(&str, &str)], wanted: Option<&str>, want: Result<&str, &str>| {
            let pods = pods.iter().map(|(cluster, name)| of(cluster, name)).collect();
            let got = choose(pods, wanted, "prod").map(|(name, pods)| {
                let pods: Vec<_> = pods.iter().map(Pod::name).collect();
                format!("{name}: {}", pods.join(" "))
            });
            assert_eq!(
                got.map_err(|error| error.to_string()),
                want.map(str::to_owned).map_err(str::to_owned)
            );
        };
        let one = [("events", "events-10"), ("events", "events-2"), ("events", "broker-0")];
        let two = [("events", "events-0"), ("logs", "logs-0")];
        check(&one, None, Ok("events: broker-0 events-2 events-10"));
        check(&two, Some("logs"), Ok("logs: logs-0"));
        check(
            &two,
            None,
            Err("namespace prod has the clusters events, logs; want one of them with --cluster"),
        );
        check(&two, Some("x"), Err("namespace prod has no pod of cluster x; it has those of events, logs"));
        let none =
            "namespace prod has no pod with the label kraftlet.dev/cluster; want the namespace of a cluster";
        check(&[], None, Err(none));
        check(&[], Some("events"), Err(none));
    }

    #[test]
    fn a_pod_that_does_not_run_says_why_in_its_own_last_words() {
        let check = |status: Json, port: Result<u16, &str>, not_ready: Option<&str>| {
            let pod = pod("events-0", status);
            assert_eq!(pod.read_port(), port.map_err(str::to_owned));
            assert_eq!(pod.not_ready().as_deref(), not_ready);
        };
        check(ready(), Ok(9740), None);
        let mut starting = ready();
        starting["conditions"][0]["status"] = json!("False");
        check(starting, Ok(9740), Some("it runs and is not ready"));
        let why = "the pod has no node: 0/3 nodes are available";
        let unscheduled = json!({
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
        });
        check(unscheduled, Err(why), Some(why));
        let refused = "container kraftlet-init waits (CrashLoopBackOff): error: /data is of another cluster [OtherCluster]";
        let init = json!({
            "phase": "Pending",
            "conditions": [{"type": "Ready", "status": "False"}],
            "initContainerStatuses": [{
                "name": "kraftlet-init",
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                "lastState": {"terminated": {
                    "exitCode": 2, "reason": "Error", "message": "error: /data is of another cluster [OtherCluster]\n",
                }},
            }, {"name": "kraftlet", "state": {"waiting": {"reason": "PodInitializing"}}}],
        });
        check(init, Err(refused), Some(refused));
        let hostile = json!({
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "kafka", "state": {"terminated": {
                "exitCode": 1, "message": "no space\u{1b}[2J\nleft",
            }}}],
        });
        let why = "container kafka has ended with 1: no space [2J left";
        assert_eq!(pod("events-0", hostile).not_ready().as_deref(), Some(why));
        let mut crashed = ready();
        crashed["conditions"][0]["status"] = json!("False");
        crashed["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        check(crashed, Ok(9740), Some("container kafka waits (CrashLoopBackOff)"));
        let mut leaving = pod("events-0", ready());
        leaving.metadata.deletion_timestamp = Some("2026-11-23T18:08:54Z".to_owned());
        assert_eq!(leaving.not_ready().as_deref(), Some("it is being deleted"));
        let bare: Pod = serde_json::from_value(json!({"metadata": {"name": "x-0"}})).unwrap();
        assert_eq!(
            bare.read_port(),
            Err("the pod has no container kraftlet: nothing was injected".to_owned())
        );
    }
}
