//! `kubectl kraftlet explain`: the lines that a pod's server.properties would have with the settings as they are now.
//!
//! The settings are read from their ConfigMap, and what the pod is told of itself from the API server. Files that are only
//! in the pod (more properties, passwords) are not read from here, and that is said.

use std::collections::BTreeMap;

use clap::Args;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::json;

use crate::cluster::line::Line;
use crate::cluster::model::Cluster;
use crate::cluster::model::Node;
use crate::cluster::parse;
use crate::cluster::settings::Store;
use crate::commands::explain;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs;
use crate::commands::kubectl::pods::Pod;
use crate::commands::kubectl::session::Aim;
use crate::commands::kubectl::session::ClusterArgs;
use crate::commands::kubectl::session::Session;
use crate::commands::kubectl::session::with_cluster;
use crate::commands::kubectl::status::ANSWER_WITHIN;
use crate::commands::status;
use crate::commands::status::Output;
use crate::commands::table::BOLD;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::inject::words;
use crate::kubernetes::resource::Resource;
use crate::pod::facts;

/// Print every line of a pod's server.properties with its origin.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl kraftlet explain --namespace prod --pod events-0
  kubectl kraftlet explain --namespace prod --pod events-0 --output json | jq '.changes'

What it would do to the disks is said inside the pod:
  kubectl exec events-0 --namespace prod --container kraftlet -- kraftlet explain
Needs the rights to list pods, to get ConfigMaps, and to get and create pods/portforward.
Exit codes: 0 done; 1 may pass if tried again; 2 a person must change something; 64 wrong settings or usage.")]
pub struct Explain {
    /// The pod
    #[arg(long, value_name = "POD")]
    pod: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

struct View {
    cluster: Cluster,
    node: Node,
    lines: Vec<Line>,
    changed: Result<Option<Vec<Text>>, String>,
    unknown: Vec<String>,
}

/// The text to print.
pub fn run(cluster: &ClusterArgs, args: &Explain) -> Result<String, Failure> {
    let view = with_cluster(cluster, Aim::Act, async |session| {
        let pods = session.named(std::slice::from_ref(&args.pod));
        let pods = pods.map_err(|error| Failure::of(Exit::Usage, "PodNotFound", &error))?;
        let Some(pod) = pods.first() else {
            return Err(Failure::new(Exit::Usage, "PodNotFound", "no pod was named"));
        };
        let (name, text) = settings(&session, pod).await?;
        let mut view = view(pod, session.api.namespace(), &name, &text)?;
        let answer = status::ask(vec![session.agent(pod)], ANSWER_WITHIN).await.pop();
        let said = answer.map(|(_, said)| said.map_err(|error| crate::commands::failure::chain(&error)));
        view.changed = said.transpose().map(|snapshot| snapshot.and_then(changed));
        Ok(view)
    })?;
    Ok(match args.output {
        Output::Table => view.table(),
        Output::Json => format!("{:#}\n", view.json()),
    })
}

/// The settings and where they are.
async fn settings(session: &Session, pod: &Pod) -> Result<(String, String), Failure> {
    let name = pod.metadata.annotations.get(words::CLUSTER).ok_or_else(|| {
        let message =
            format!("{} has no annotation {}; want one that names its settings", pod.name(), words::CLUSTER);
        Failure::new(Exit::Person, "SettingsNotNamed", message)
    })?;
    let place = Resource::CONFIG_MAPS.named(session.api.namespace(), name);
    let place = place.map_err(|error| Failure::of(Exit::Person, "NameInvalid", &error))?;
    let what = format!("ConfigMap {name}");
    let found: ConfigMap = session.api.get(&place).await.map_err(|error| Aim::Act.refused(&what, &error))?;
    let key = words::SETTINGS_KEY;
    match found.data.get(key) {
        Some(text) => Ok((format!("{what} key {key}"), text.clone())),
        None => {
            let there = Vec::from_iter(found.data.keys().map(String::as_str)).join(", ");
            let message = format!("{what} has the keys {there:?}; want {key}");
            Err(Failure::new(Exit::Usage, "SettingsMissing", message))
        }
    }
}

fn view(pod: &Pod, namespace: &str, name: &str, text: &str) -> Result<View, Failure> {
    let cluster = parse::parse(name, text.as_bytes())
        .map_err(|problems| Failure::new(Exit::Usage, problems.reason(), problems))?;
    let (environment, mut unknown) = pod.environment(namespace);
    let facts = facts::parse(&environment, "", &BTreeMap::new())
        .map_err(|error| Failure::new(Exit::Usage, error.reason(), error))?;
    let node = inputs::node_of(&cluster, &facts)?;
    let server = inputs::server_properties(&cluster, &node, &facts, &environment, &BTreeMap::new(), None)?;
    unknown.push(format!("the files in {} of the pod", cluster.settings.properties_folder));
    if cluster.certificates.values().any(|one| one.store == Store::Pkcs12) {
        unknown.push("the passwords of PKCS12 stores".to_owned());
    }
    Ok(View { cluster, node, lines: server.lines, changed: Ok(None), unknown })
}

fn changed(snapshot: Snapshot) -> Option<Vec<Text>> {
    Some(snapshot.settings?.changed_keys)
}

impl View {
    fn table(&self) -> String {
        let (node, version) = (&self.node, &self.cluster.kafka_version);
        let mut text = format!(
            "{BOLD}{}{BOLD:#}: node {}, {}, Kafka {version}\n\n{BOLD}server.properties{BOLD:#}\n",
            node.pod, node.node_id, node.pool.roles
        );
        text.push_str(&explain::lines(&self.lines));
        let pending = match &self.changed {
            Ok(Some(keys)) if keys.is_empty() => "Kafka was started with these lines.".to_owned(),
            Ok(Some(keys)) => {
                let keys: Vec<&str> = keys.iter().map(Text::as_str).collect();
                format!("A restart is pending: Kafka was started with other values of {}.", keys.join(", "))
            }
            Ok(None) => "What Kafka was started with is not known: its agent has not compared it.".to_owned(),
            Err(why) => format!("What Kafka was started with is not known: {why}."),
        };
        text.push_str(&format!("\n{pending}\nNot read from here: {}.\n", self.unknown.join("; ")));
        text
    }

    fn json(&self) -> Json {
        json!({
            "pod": self.node.pod.to_string(),
            "nodeId": self.node.node_id.get(),
            "roles": self.node.pool.roles.to_string(),
            "lines": explain::json_of_lines(&self.lines),
            "changes": self.changed.as_ref().ok().and_then(Option::as_ref)
                .map(|keys| keys.iter().map(|key| key.as_str()).collect::<Json>()),
            "notRead": self.unknown,
        })
    }
}
