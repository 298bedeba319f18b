//! `kubectl kraftlet`: this program, run by a person against all pods of a cluster.
//!
//! It opens no new door and needs no new rights: whoever may list pods and forward their ports may look and give orders,
//! and whoever may evict them may restart them.

pub mod overheard;
pub mod child;
pub mod proxy;
pub mod pods;
pub mod session;
pub mod status;
pub mod page;
pub mod doctor;
pub mod explain;
pub mod renew;
pub mod turn;
pub mod restart;

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use clap::Subcommand;

use crate::commands::failure::Failure;
use crate::commands::kubectl::doctor::Doctor;
use crate::commands::kubectl::explain::Explain;
use crate::commands::kubectl::page::Page;
use crate::commands::kubectl::renew::Renew;
use crate::commands::kubectl::restart::Restart;
use crate::commands::kubectl::session::ClusterArgs;
use crate::commands::kubectl::status::Status;

/// Look after a Kafka cluster whose pods have kraftlet beside them
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-kraftlet",
    bin_name = "kubectl kraftlet",
    version,
    max_term_width = 110,
    after_help = "Where there is no kubectl-kraftlet on the PATH: kraftlet --kubernetes <COMMAND>."
)]
pub struct KubectlLine {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the leaf in use on every TLS channel, the quorum, each node's part in it, and what is wrong
    Status(Status),
    /// Show the same in a browser of this machine
    Page(Page),
    /// Ask the API server and every agent what is wrong, and say of each thing what to do next
    Doctor(Doctor),
    /// Have the agents fetch, install, reload and verify their certificates now, one after the other
    Renew(Renew),
    /// Restart the pods, one at a time, each when its agent says that it may stop
    Restart(Restart),
    /// Print every line of a pod's server.properties with its origin
    Explain(Explain),
}

/// kubectl runs plugins by this name.
const PLUGIN: &str = "kubectl-kraftlet";

/// The same without that name.
const FLAG: &str = "--kubernetes";

/// The arguments, where a person means a cluster from outside; `None` where this pod is meant.
///
/// It is another command line and not another flag: most flags of the one have no meaning in the other.
pub fn arguments(mut arguments: Vec<OsString>) -> Option<Vec<OsString>> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    let is_plugin = name.is_some_and(|name| name == PLUGIN);
    let flag = arguments.iter().position(|one| one == FLAG);
    if let Some(flag) = flag {
        arguments.remove(flag);
    }
    (is_plugin || flag.is_some()).then_some(arguments)
}

/// The text to print, and what makes the exit code another than 0.
pub fn run(line: &KubectlLine) -> Result<(String, Option<Failure>), Failure> {
    let KubectlLine { cluster, command } = line;
    match command {
        Command::Status(args) => status::run(cluster, args),
        Command::Page(args) => page::run(cluster, args).map(|()| (String::new(), None)),
        Command::Doctor(args) => doctor::run(cluster, args),
        Command::Renew(args) => renew::run(cluster, args).map(|()| (String::new(), None)),
        Command::Explain(args) => explain::run(cluster, args).map(|text| (text, None)),
        Command::Restart(args) => restart::run(cluster, args).map(|()| (String::new(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_or_the_flag_says_that_a_cluster_is_meant() {
        for (line, want) in [
            ("kraftlet status", None),
            ("/usr/bin/kubectl-kraftlet status -n prod", Some("/usr/bin/kubectl-kraftlet status -n prod")),
            ("kraftlet --kubernetes status", Some("kraftlet status")),
            ("kraftlet status --kubernetes -n prod", Some("kraftlet status -n prod")),
            ("./kraftlet-kubectl-kraftlet status", None),
        ] {
            let split = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(arguments(split(line)), want.map(split), "{line}");
        }
    }

    #[test]
    fn the_command_line_has_no_contradictions() {
        <KubectlLine as clap::CommandFactory>::command().debug_assert();
    }
}
