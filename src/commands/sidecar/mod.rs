//! `kraftlet sidecar`: beside Kafka as long as it runs. Keeps the certificates alive, and says how things are.
//!
//! One thread and a few loops on it: one for each certificate, one that looks at the channels, the two HTTP ports, and
//! the one that passes orders on. They share nothing but the board, where each writes its own part of the snapshot.
//! The loops wait for nobody: not for Kafka to be up, not for peers, so the pod never waits for the agent.

pub mod log;
pub mod board;
pub mod watch;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::SystemTime;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::task::LocalSet;

use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::init;
use crate::commands::inputs;
use crate::commands::inputs::InputArgs;
use crate::commands::inputs::Inputs;
use crate::commands::sidecar::board::Board;
use crate::commands::sidecar::log::LogFormat;
use crate::health::io as health_io;
use crate::health::io::Listeners;
use crate::health::snapshot::Agent;
use crate::health::snapshot::Mode;
use crate::health::snapshot::Node;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;

/// Keep this pod's certificates alive while Kafka runs, and say how things are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet sidecar                                   beside a Kafka that kraftlet init has prepared
  kraftlet status; kraftlet renew --wait             what to ask it

SIGTERM ends it; Kafka goes on with the files that are there.")]
pub struct Sidecar {
    #[command(flatten)]
    inputs: InputArgs,
    /// How to write the log
    #[arg(long, env = "KRAFTLET_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// Orders that wait to be looked at; people give one at a time.
const MOST_ORDERS: usize = 16;

/// Runs until SIGTERM or SIGINT.
pub fn run(args: &Sidecar) -> Result<(), Failure> {
    log::begin(args.log_format);
    let inputs = inputs::read(&args.inputs)?;
    let _lock = init::lock(&inputs.run_folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Again, "RuntimeFailed", format!("no event loop: {error}")))?;
    LocalSet::new().block_on(&runtime, drive(inputs))
}

