//! `kubectl kraftlet status`: what all agents of a cluster say.

use std::time::Duration;

use clap::Args;

use crate::commands::failure::Failure;
use crate::commands::kubectl::session::Aim;
use crate::commands::kubectl::session::ClusterArgs;
use crate::commands::kubectl::session::with_cluster;
use crate::commands::status;
use crate::commands::status::Output;

/// Show what the agents of a cluster say.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl kraftlet status --namespace prod
  kubectl kraftlet status --namespace prod --cluster events --output json | jq '.nodes[].verdict'

Needs the rights to list pods and to get and create pods/portforward, and that to get statefulsets
to see that pods are missing.
Exit codes: 0 healthy, also where something will hurt at a later date; 1 something hurts
now; 2 could not tell; 64 wrong usage.")]
pub struct Status {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// The agent answers from memory; this is for the API server and the kubelet on the way, of which each may be far.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The text to print, and what makes the exit code another than 0.
pub fn run(cluster: &ClusterArgs, args: &Status) -> Result<(String, Option<Failure>), Failure> {
    let (answers, missing) = with_cluster(cluster, Aim::Look, async |session| {
        let missing = session.missing(&session.pods).await;
        Ok((status::ask(session.agents(), ANSWER_WITHIN).await, missing))
    })?;
    Ok(status::show(answers, Some(missing), args.output))
}
