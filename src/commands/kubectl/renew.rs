//! `kubectl kraftlet renew`: has the agents of a cluster renew, one after the other.

use std::time::Duration;

use clap::Args;

use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::kubectl::session::Aim;
use crate::commands::kubectl::session::ClusterArgs;
use crate::commands::kubectl::session::with_cluster;
use crate::commands::orders;
use crate::commands::orders::OnFailure;
use crate::commands::orders::Patience;
use crate::commands::orders::parse_timeout;
use crate::health::order::Wish;
use crate::health::text::Text;

/// Have the agents of a cluster renew now.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl kraftlet renew --namespace prod --all
  kubectl kraftlet renew --namespace prod --pod events-1 --wait

With --all the next pod is asked when the one before it is verified, and none after one that
failed, unless --keep-going is given.
Needs the rights to list pods and to get and create pods/portforward.
Exit codes: 0 done; 1 may pass if tried again; 2 a person must change something; 64 wrong usage.")]
pub struct Renew {
    /// The pod; may be given several times
    #[arg(long = "pod", value_name = "POD", required_unless_present = "all", conflicts_with = "all")]
    pods: Vec<String>,
    /// All pods of the cluster, one after the other
    #[arg(long)]
    all: bool,
    /// Only this certificate
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// Wait until it is verified; with several pods it is waited in any case
    #[arg(long)]
    wait: bool,
    /// How long to wait for each pod
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_timeout)]
    timeout: Duration,
    /// Go on with the next pod after one that failed
    #[arg(long)]
    keep_going: bool,
    /// Where the agents take orders, if the settings say another (agent.ordersPort)
    #[arg(long, value_name = "PORT", default_value_t = 9641)]
    orders_port: u16,
}

/// Gives the orders, and says what becomes of them as it goes.
pub fn run(cluster: &ClusterArgs, args: &Renew) -> Result<(), Failure> {
    let wish = Wish::Renew { certificate: args.certificate.as_ref().map(Text::new) };
    let waits = args.wait || args.all || args.pods.len() > 1;
    let patience = if waits { Patience::Done(args.timeout) } else { Patience::Taken };
    let on_failure = if args.keep_going { OnFailure::GoOn } else { OnFailure::Stop };
    with_cluster(cluster, Aim::Act, async |session| {
        let pods =
            session.named(&args.pods).map_err(|error| Failure::of(Exit::Usage, "PodNotFound", &error))?;
        let agents: Vec<_> = pods.iter().map(|pod| session.orders(pod, args.orders_port)).collect();
        orders::give_each(&agents, &wish, patience, on_failure).await
    })
}
