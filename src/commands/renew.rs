//! `kraftlet renew`: has the agents renew now.

use std::time::Duration;

use clap::Args;

use crate::commands::agents;
use crate::commands::agents::AgentArgs;
use crate::commands::failure::Failure;
use crate::commands::orders;
use crate::commands::orders::Patience;
use crate::commands::orders::parse_timeout;
use crate::health::order::Wish;
use crate::health::text::Text;

/// Have the agents renew now.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet renew --wait                     # this pod's node; ends when it is verified
  kraftlet renew --all                      # all nodes of this machine
  kraftlet renew --address 127.0.0.1:9641   # through kubectl port-forward

With --all the next node is asked when the one before it is verified, and none after one
that failed.
Exit codes: 0 done; 1 may pass if tried again; 2 a person must change something;
64 wrong settings or usage.")]
pub struct Renew {
    #[command(flatten)]
    agents: AgentArgs,
    /// Only this certificate
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// Wait until it is verified; --all waits in any case
    #[arg(long)]
    wait: bool,
    /// How long to wait for each node
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_timeout)]
    timeout: Duration,
}

/// Gives the orders, and says what becomes of them as it goes.
pub fn run(args: &Renew) -> Result<(), Failure> {
    let agents = agents::orders_ports(&args.agents)?;
    let wish = Wish::Renew { certificate: args.certificate.as_ref().map(Text::new) };
    let waits = args.wait || args.agents.all;
    let patience = if waits { Patience::Done(args.timeout) } else { Patience::Taken };
    orders::give(&agents, &wish, patience)
}
