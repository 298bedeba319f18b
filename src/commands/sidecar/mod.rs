//! `kraftlet sidecar`: beside Kafka as long as it runs. Keeps the certificates alive, and says how things are.
//!
//! One thread and a few loops on it: one for each certificate, one that looks at the channels, the two HTTP ports, and
//! the one that passes orders on. They share nothing but the board, where each writes its own part of the snapshot.
//! The loops wait for nobody: not for Kafka to be up, not for peers, so the pod never waits for the agent.

pub mod log;
pub mod board;
pub mod watch;
pub mod keystore;
pub mod managed;
pub mod attached;
pub mod controllers;
pub mod context;
#[cfg(test)]
pub(crate) mod testing;
pub mod hands;
pub mod verify;
pub mod reload;
pub mod show;
pub mod peers;
pub mod trust;
pub mod keeper;
pub mod orders;
pub mod show_channels;
pub mod observe;
pub mod errand;
pub mod dialled;
pub mod partitions;
pub mod neighbours;
pub mod show_quorum;
pub mod quorum;
pub mod startup;
pub mod settings;
pub mod events;
pub mod node;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::sync::watch as watch_channel;
use tokio::task::JoinSet;
use tokio::task::LocalSet;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs::InputArgs;
use crate::commands::sidecar::log::LogFormat;
use crate::commands::sidecar::node::AttachArgs;
use crate::commands::sidecar::node::Beside;
use crate::health::io as health_io;
use crate::health::io::Serving;

/// Keep this pod's certificates alive while Kafka runs, and say how things are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet sidecar                                   beside a Kafka that kraftlet init has prepared
  kraftlet sidecar --attach /opt/kafka/config/server.properties
                                                     beside a Kafka that somebody else configures: nothing is written
  kraftlet status; kraftlet renew --wait             what to ask it

SIGTERM ends it; Kafka goes on with the files that are there.")]
pub struct Sidecar {
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    attach: AttachArgs,
    /// How to write the log
    #[arg(long, env = "KRAFTLET_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// Orders that wait to be looked at; people give one at a time.
const MOST_ORDERS: usize = 16;

/// The server gives answers that have begun a second.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_millis(1500);

/// For names that are looked up and sources that are asked; each has a stack and an arena of its own.
const MOST_THREADS: usize = 4;
const THREADS_LIVE: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT.
pub fn run(args: &Sidecar) -> Result<(), Failure> {
    log::begin(args.log_format);
    let beside = match &args.attach.attach {
        Some(path) => Beside::attached(path, &args.attach)?,
        None => Beside::managed(&args.inputs)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MOST_THREADS)
        .thread_keep_alive(THREADS_LIVE)
        .build()
        .map_err(|error| Failure::new(Exit::Again, "RuntimeFailed", format!("no event loop: {error}")))?;
    LocalSet::new().block_on(&runtime, drive(beside))
}

/// The loops, until one of the two signals. A loop that ends by itself is a defect, and ends the process.
async fn drive(beside: Beside) -> Result<(), Failure> {
    let Beside { context, bound, snapshots, lock: _lock } = beside;
    let listeners = health_io::listen(&bound).await.map_err(|error| {
        let ports = format!("{} and {}", bound.read_port, bound.orders);
        Failure::new(Exit::Again, "PortTaken", format!("cannot listen on ports {ports}: {error}"))
    })?;
    let context = Rc::new(context);
    let mut loops = JoinSet::new();
    let (orders, taken) = mpsc::channel(MOST_ORDERS);
    let (stop, mut stopped) = watch_channel::channel(());
    let serving = Serving {
        snapshots: snapshots.clone(),
        orders,
        pulse: context.pulse.clone(),
        stops: Arc::clone(&context.stops),
        prestop_within: context.patience.wait,
    };
    let mut server = spawn_local(health_io::serve(listeners, serving, async move {
        let _ = stopped.changed().await;
    }));
    let mut keepers = BTreeMap::new();
    for keystore in &context.keystores {
        let (tell, told) = mpsc::channel(MOST_ORDERS);
        keepers.insert(keystore.name().to_owned(), tell);
        loops.spawn_local(keeper::keep(keeper::Real, Rc::clone(&context), Rc::clone(keystore), told));
    }
    loops.spawn_local(orders::pass_on(context.board.clone(), taken, keepers));
    loops.spawn_local(observe::observe(Rc::clone(&context)));
    loops.spawn_local(quorum::watch(Rc::clone(&context)));
    loops.spawn_local(startup::watch(Rc::clone(&context)));
    loops.spawn_local(settings::watch(Rc::clone(&context)));
    loops.spawn_local(events::watch(Rc::clone(&context), snapshots));
    let node_id = context.channels.node_id;
    context.board.happened("Started", &format!("kraftlet sidecar of {} (node {node_id})", context.pod));
    tokio::select! {
        signal = ended() => signal?,
        _ = loops.join_next() => return Err(ended_by_itself()),
        _ = &mut server => return Err(ended_by_itself()),
    }
    loops.shutdown().await;
    // Nobody writes to the board any more, and whoever waits for it is told so: a call before a stop gets its answer also
    // where the agent is stopped first.
    drop(context);
    drop(stop);
    let _ = timeout(LAST_ANSWERS_WITHIN, server).await;
    Ok(())
}

fn ended_by_itself() -> Failure {
    Failure::new(Exit::Again, "LoopEnded", "one of the agent's loops has ended by itself")
}

async fn ended() -> Result<(), Failure> {
    let cannot =
        |error| Failure::new(Exit::Again, "SignalsFailed", format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
