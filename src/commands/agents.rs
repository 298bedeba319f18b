//! Which agents a command speaks with: that of this pod, or those of all nodes of the settings.

use std::collections::BTreeMap;

use clap::Args;

use crate::cluster::model::Cluster;
use crate::cluster::model::Node;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs;
use crate::commands::inputs::InputArgs;
use crate::health::address;
use crate::health::client::way::Way;
use crate::pod::io as pod_io;

/// Whom to ask.
#[derive(Debug, Args)]
pub struct AgentArgs {
    #[command(flatten)]
    inputs: InputArgs,
    /// All nodes of the settings, in place of this pod's
    #[arg(long, conflicts_with_all = ["pod_name", "address"])]
    pub all: bool,
    /// Where the agent listens, in place of what the settings say
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
}

/// An agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The pod it is in, or its address where that is all that is known.
    pub name: String,
    /// How the port is reached that was asked for.
    pub way: Way,
}

/// The agents' read ports.
pub fn read_ports(args: &AgentArgs) -> Result<Vec<Agent>, Failure> {
    agents(args, |cluster, node| {
        Ok(if is_another_pod(args) {
            address::read_address(cluster, node)?
        } else {
            address::own_read_address(cluster, node)?
        })
    })
}

/// The agents' ports for orders.
///
/// Those are on loopback: of several nodes each must have an address of its own, as `new-cluster --local` gives them.
pub fn orders_ports(args: &AgentArgs) -> Result<Vec<Agent>, Failure> {
    let agents = agents(args, |cluster, node| Ok(address::bound(cluster, node)?.orders.to_string()))?;
    let mut by_address = BTreeMap::new();
    for Agent { name, way } in &agents {
        let address = way.to_string();
        if let Some(other) = by_address.insert(address.clone(), name) {
            let message = format!(
                "{other} and {name} both take orders at {address}, each on its own machine or pod; ask each of them there"
            );
            return Err(Failure::new(Exit::Usage, "OrdersOutOfReach", message));
        }
    }
    Ok(agents)
}

fn agents(
    args: &AgentArgs,
    address: impl Fn(&Cluster, &Node) -> Result<String, Failure>,
) -> Result<Vec<Agent>, Failure> {
    if let Some(address) = &args.address {
        return Ok(vec![Agent { name: address.clone(), way: Way::Dialled(address.clone()) }]);
    }
    let cluster = inputs::read_cluster(&args.inputs.settings)?;
    let nodes = if args.all {
        cluster.nodes(namespace(args)?.as_deref())
    } else {
        vec![inputs::node_of(&cluster, &inputs::read_pod(&args.inputs)?.facts)?]
    };
    let agent =
        |node: &Node| Ok(Agent { name: node.pod.to_string(), way: Way::Dialled(address(&cluster, node)?) });
    nodes.iter().map(agent).collect()
}

/// The namespace, which those who ask for all nodes know without being a pod of them.
fn namespace(args: &AgentArgs) -> Result<Option<String>, Failure> {
    let (mut environment, _) = pod_io::environment();
    let mut files = pod_io::downward_api(&args.inputs.pod_info)
        .map_err(|error| Failure::of(Exit::Usage, "PodFactsUnusable", &error))?;
    Ok(environment.remove("POD_NAMESPACE").or_else(|| Some(files.remove("namespace")?.trim().to_owned())))
}

fn is_another_pod(args: &AgentArgs) -> bool {
    args.all || args.inputs.pod_name.is_some()
}
