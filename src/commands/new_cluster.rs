//! `kraftlet new-cluster`: prints settings that make a working cluster.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use crate::cluster::parse;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::kafka::io as kafka_io;
use crate::kafka::uuid::ClusterId;

/// Prints a settings file with a fresh cluster id.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet new-cluster > cluster.yaml
  kraftlet new-cluster --name events --mode dedicated --quorum dynamic > cluster.yaml
  kraftlet new-cluster --local /tmp/kafka --replicas 1 > cluster.yaml   # everything on this machine
  kraftlet new-cluster --local /tmp/kafka --lifetime 2m > cluster.yaml  # certificates soon due")]
pub struct NewCluster {
    /// The cluster's name; its StatefulSet is called the same, or <name>-broker and <name>-controller
    #[arg(long, default_value = "kafka")]
    name: String,
    /// The Kafka release that will run
    #[arg(long, default_value = "4.4.0")]
    kafka_version: String,
    /// How many brokers, or combined nodes
    #[arg(long, default_value_t = 3)]
    replicas: u32,
    /// How many controllers, where they are nodes of their own
    #[arg(long, default_value_t = 3)]
    controllers: u32,
    /// Whether controllers are nodes of their own
    #[arg(long, value_enum, default_value_t = Mode::Combined)]
    mode: Mode,
    /// How the voters of the quorum are known; dynamic needs Kafka 3.9
    #[arg(long, value_enum, default_value_t = Kind::Static)]
    quorum: Kind,
    /// Keep everything below this folder of this machine: disks, certificates and a CA of its own
    #[arg(long, value_name = "FOLDER")]
    local: Option<PathBuf>,
    /// How long a certificate of the local CA lives, for example 2m; by default 30 days
    #[arg(long, requires = "local")]
    lifetime: Option<String>,
    /// How Kafka takes a new certificate while it runs
    #[arg(long, value_enum, default_value_t = Reload::Engine)]
    reload: Reload,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Combined,
    Dedicated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Static,
    Dynamic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reload {
    /// kraftlet's SslEngineFactory: every channel
    Engine,
    /// No foreign class in Kafka; its raft client needs a restart
    AdminApi,
}

/// Controllers of a dedicated cluster begin here, as KubeDB's do, so that 1000 brokers fit below.
const FIRST_CONTROLLER: u32 = 1000;

/// On one machine a node id and 1 are the last number of an address, which ends at 254.
const LAST_LOCAL_NODE: u32 = 253;

/// Controllers on one machine begin here, so that a hundred brokers fit below.
const FIRST_LOCAL_CONTROLLER: u32 = 100;

/// The settings' text; it has been read back and found good.
pub fn run(args: &NewCluster) -> Result<String, Failure> {
    let no_random = |error: &dyn std::error::Error| Failure::of(Exit::Again, "NoRandomness", error);
    let cluster_id = kafka_io::random_cluster_id().map_err(|error| no_random(&error))?;
    let mut text = format!(
        "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: {}\nclusterId: {cluster_id}\nkafkaVersion: {}\n\
         formed: false # say true once the cluster runs: an empty disk is then never formatted blindly\n",
        args.name, args.kafka_version,
    );
    if args.quorum == Kind::Dynamic {
        text.push_str("quorum:\n  type: dynamic\n  initialControllers: # for the formation only\n");
        for node_id in args.controller_ids() {
            let directory_id = kafka_io::random_directory_id().map_err(|error| no_random(&error))?;
            let _ = writeln!(text, "  - {{nodeId: {node_id}, directoryId: {directory_id}}}");
        }
    }
    text.push_str(&args.pools());
    if args.reload == Reload::AdminApi {
        text.push_str("reload: adminApi\n");
    }
    if let Some(folder) = &args.local {
        let folder = std::path::absolute(folder)
            .map_err(|error| Failure::of(Exit::Usage, "FolderUnusable", &error))?;
        // Without a slash at its end, which Kafka would not take for the same directory.
        let folder: PathBuf = folder.components().collect();
        text.push_str(&args.on_this_machine(&folder.display().to_string(), &loopback_range(&cluster_id)));
    }
    match parse::parse("<new cluster>", text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(problems) => Err(Failure::new(Exit::Usage, problems.reason(), problems)),
    }
}

impl NewCluster {
    fn controller_ids(&self) -> std::ops::Range<u32> {
        match self.mode {
            Mode::Combined => 0..self.replicas,
            Mode::Dedicated => {
                let first = self.first_controller();
                first..first.saturating_add(self.controllers)
            }
        }
    }

    fn first_controller(&self) -> u32 {
        if self.local.is_some() { FIRST_LOCAL_CONTROLLER } else { FIRST_CONTROLLER }
    }

    fn pools(&self) -> String {
        let Self { name, replicas, controllers, .. } = self;
        let range = |first: u32, last: u32| match self.local {
            Some(_) => format!("  nodeIds: {{first: {first}, last: {last}}}\n"),
            None if first > 0 => format!("  nodeIds: {{first: {first}}}\n"),
            None => String::new(),
        };
        let first = self.first_controller();
        match self.mode {
            Mode::Combined => format!(
                "pools:\n- statefulSet: {name}\n  roles: [broker, controller]\n  replicas: {replicas}\n{}",
                range(0, LAST_LOCAL_NODE)
            ),
            Mode::Dedicated => format!(
                "pools:\n- statefulSet: {name}-controller\n  roles: [controller]\n  replicas: {controllers}\n{}\
                 - statefulSet: {name}-broker\n  roles: [broker]\n  replicas: {replicas}\n{}",
                range(first, LAST_LOCAL_NODE),
                range(0, first - 1)
            ),
        }
    }

    fn on_this_machine(&self, folder: &str, range: &str) -> String {
        let lifetime = match &self.lifetime {
            Some(lifetime) => format!("    lifetime: {}\n", quoted(lifetime)),
            None => String::new(),
        };
        format!(
            "# All nodes on this machine, each with a loopback address of its own.\n\
             host: \"{range}.{{nodeId+1}}\"\nbindHost: \"{range}.{{nodeId+1}}\"\n\
             runFolder: {0}\nstorage:\n  logDirs:\n  - {1}\npropertiesFolder: {2}\n\
             certificates:\n  node:\n    source:\n      localCa:\n        folder: {3}\n{lifetime}",
            quoted(&format!("{folder}/pods/{{pod}}/run")),
            quoted(&format!("{folder}/pods/{{pod}}/data")),
            quoted(&format!("{folder}/properties")),
            quoted(&format!("{folder}/ca")),
        )
    }
}

/// The first three numbers of the nodes' addresses, from the cluster's random id, so that two clusters on one machine
/// seldom meet. None is 0 or 255, and so none is in 127.0, where other programs listen.
fn loopback_range(cluster_id: &ClusterId) -> String {
    let number =
        cluster_id.as_str().bytes().fold(0_u32, |number, byte| (number * 31 + u32::from(byte)) % (254 * 254));
    format!("127.{}.{}", 1 + number / 254, 1 + number % 254)
}

/// A YAML text in double quotes, which are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
