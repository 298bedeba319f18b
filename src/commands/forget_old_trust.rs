//! `kraftlet forget-old-trust`: ends a change of CA for clients, whom nobody can ask.

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

/// Have the agents forget an old CA.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet forget-old-trust --certificate clients         # this pod's node
  kraftlet forget-old-trust --certificate clients --all   # all nodes of this machine

Between nodes an old CA goes by itself when no node needs it. Where clients are checked
against the same trust it stays until it expires, for nobody here sees their leaves; this
says that no client has one of it any more. What a node still needs is kept all the same.
Exit codes: 0 done; 1 may pass if tried again; 2 a person must change something;
64 wrong settings or usage.")]
pub struct ForgetOldTrust {
    #[command(flatten)]
    agents: AgentArgs,
    /// The certificate whose trust it is
    #[arg(long, value_name = "NAME")]
    certificate: String,
    /// How long to wait for each node
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_timeout)]
    timeout: Duration,
}

/// Gives the orders, and says what becomes of them as it goes.
pub fn run(args: &ForgetOldTrust) -> Result<(), Failure> {
    let agents = agents::orders_ports(&args.agents)?;
    let wish = Wish::ForgetOldTrust { certificate: Text::new(&args.certificate) };
    orders::give(&agents, &wish, Patience::Done(args.timeout))
}
