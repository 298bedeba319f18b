//! Which nodes are looked at: that of this pod, or those of this machine.

use crate::cluster::model::Node;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs;
use crate::commands::inputs::InputArgs;
use crate::commands::inputs::Inputs;
use crate::health::address;
use crate::health::doctor::next::Place;

/// The nodes whose files are here, and all that are known.
pub struct Nodes {
    /// What is known of each whose files are here; at least one.
    pub here: Vec<Inputs>,
    /// All nodes of the settings.
    pub all: Vec<Node>,
    /// Where the doctor runs.
    pub place: Place,
}

impl Nodes {
    /// Reads the settings. Problems of theirs are wrong settings for the doctor as for everybody: without them nothing is
    /// known.
    pub fn read(args: &InputArgs, is_all: bool) -> Result<Self, Failure> {
        let cluster = inputs::read_cluster(&args.settings)?;
        let settings = args.settings.display().to_string();
        if !is_all && args.pod_name.is_none() {
            let own = inputs::read(args)?;
            let place = if has_own_address(&own)? {
                Place::Machine { settings }
            } else {
                Place::Pod { own: own.node.pod.to_string(), namespace: own.facts.namespace.clone() }
            };
            let all = own.cluster.nodes(own.facts.namespace.as_deref());
            return Ok(Self { here: vec![own], all, place });
        }
        let pods: Vec<String> = match &args.pod_name {
            Some(pod) => vec![pod.clone()],
            None => cluster.nodes(None).iter().map(|node| node.pod.to_string()).collect(),
        };
        let mut here = Vec::new();
        for pod in pods {
            let args = InputArgs {
                settings: args.settings.clone(),
                pod_info: args.pod_info.clone(),
                pod_name: Some(pod.clone()),
            };
            let inputs = inputs::read(&args)?;
            if !has_own_address(&inputs)? {
                let message = format!(
                    "the files of {pod} are in its own pod, for it has no loopback address of its own here; run kraftlet doctor there"
                );
                return Err(Failure::new(Exit::Usage, "FilesOutOfReach", message));
            }
            here.push(inputs);
        }
        let all =
            here.first().map(|one| one.cluster.nodes(one.facts.namespace.as_deref())).unwrap_or_default();
        Ok(Self { here, all, place: Place::Machine { settings } })
    }

    /// The pods whose files are here.
    pub fn pods(&self) -> Vec<String> {
        self.here.iter().map(|one| one.node.pod.to_string()).collect()
    }
}

/// Nodes of one machine have a loopback address each, and so their files lie side by side.
fn has_own_address(inputs: &Inputs) -> Result<bool, Failure> {
    Ok(address::bound(&inputs.cluster, &inputs.node)?.read.is_some())
}
