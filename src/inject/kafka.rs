//! What changes in Kafka's own container: how it is started, what it sees, and how it is asked and stopped.

use serde_json::Value;
use serde_json::json;

use crate::cluster::engine;
use crate::cluster::model::Cluster;
use crate::cluster::settings::Reload;
use crate::health::routes::ORDER_HEADER;
use crate::health::routes::PRESTOP;
use crate::health::routes::PRESTOP_HEADER_VALUE;
use crate::inject::draft::Draft;
use crate::inject::ours;
use crate::inject::refusal::Refusal;
use crate::inject::subject::Subject;
use crate::inject::subject::text;

/// Where Java finds classes; the engine's jar has to be among them.
const CLASS_PATH: &str = "CLASSPATH";

/// Has Kafka start with what `init` writes.
pub fn manage(
    draft: &mut Draft<'_>,
    warnings: &mut Vec<String>,
    subject: &Subject<'_>,
    cluster: &Cluster,
) -> Result<(), Refusal> {
    let pointer = subject.pointer();
    let run_folder = &cluster.settings.run_folder;
    let mounts = subject.list("volumeMounts");
    if mounts.iter().all(|mount| text(mount, "mountPath") != Some(run_folder)) {
        draft.push(&pointer, "volumeMounts", ours::run_mount(run_folder));
    }
    let properties = format!("{run_folder}/server.properties");
    let given: Vec<&Value> = subject.list("command").iter().chain(subject.list("args")).collect();
    if given.is_empty() {
        draft.set(&pointer, "command", json!([subject.start()?, properties]));
    } else if !given.iter().any(|word| word.as_str().is_some_and(|word| word.contains(&properties))) {
        warnings.push(format!(
            "container {}: its command does not name {properties}, which Kafka must be started with",
            subject.name()
        ));
    }
    if cluster.settings.reload == Reload::Engine {
        class_path(draft, subject, run_folder)?;
    }
    Ok(())
}

/// Has the kubelet ask the agent whether Kafka serves, and wait for its word before a stop.
pub fn ask_the_agent(draft: &mut Draft<'_>, warnings: &mut Vec<String>, subject: &Subject<'_>, port: u16) {
    let (pointer, name) = (subject.pointer(), subject.name());
    let ready = json!({"path": "/readyz", "port": port});
    match subject.container().get("readinessProbe") {
        None => draft.set(
            &pointer,
            "readinessProbe",
            json!({"httpGet": ready, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 3}),
        ),
        Some(probe) if asks(probe, "/readyz", port) => {}
        Some(_) => warnings.push(format!(
            "container {name} has a readiness probe of its own; it stays, and the agent's port {port}, /readyz, says more"
        )),
    }
    let header = json!([{"name": ORDER_HEADER, "value": PRESTOP_HEADER_VALUE}]);
    let hook = json!({"httpGet": {"path": PRESTOP, "port": port, "httpHeaders": header}});
    match subject.container().pointer("/lifecycle/preStop") {
        None => draft.set(&format!("{pointer}/lifecycle"), "preStop", hook),
        Some(hook) if asks(hook, PRESTOP, port) => {}
        Some(_) => warnings.push(format!(
            "container {name} has a preStop hook of its own; it stays, so a stop does not wait until the quorum can spare \
             this node"
        )),
    }
    for probe in ["livenessProbe", "startupProbe"] {
        if subject.container().get(probe).is_some() {
            warnings.push(format!(
                "container {name} has a {probe}; it stays, and will restart a Kafka that only takes its time (Kafka needs none)"
            ));
        }
    }
}

fn asks(probe: &Value, path: &str, port: u16) -> bool {
    let get = probe.get("httpGet");
    get.and_then(|get| text(get, "path")) == Some(path)
        && get.and_then(|get| get.get("port")?.as_u64()) == Some(port.into())
}

/// Puts the engine's jar before whatever else is in the class path.
fn class_path(draft: &mut Draft<'_>, subject: &Subject<'_>, run_folder: &str) -> Result<(), Refusal> {
    let jar = engine::jar(run_folder.as_ref()).display().to_string();
    let variables = subject.list("env");
    let found = variables.iter().enumerate().find(|(_, one)| text(one, "name") == Some(CLASS_PATH));
    match found.map(|(index, one)| (index, text(one, "value"))) {
        None => draft.push(&subject.pointer(), "env", json!({"name": CLASS_PATH, "value": jar})),
        Some((_, Some(value))) if value.split(':').any(|part| part == jar) => {}
        Some((index, Some(value))) => {
            let both = if value.is_empty() { jar } else { format!("{jar}:{value}") };
            draft.set(&format!("{}/env/{index}", subject.pointer()), "value", json!(both));
        }
        Some((_, None)) => {
            let message = format!(
                "container {}: {CLASS_PATH} comes from elsewhere (valueFrom), so {jar} cannot be put before it; give it as a \
                 value, or say `reload: adminApi` in the settings",
                subject.name()
            );
            return Err(Refusal::new("ClassPathUnusable", message));
        }
    }
    Ok(())
}
