//! `kraftlet sidecar`: beside Kafka as long as it runs. Keeps the certificates alive, and says how things are.
//!
//! One thread and a few loops on it: one for each certificate, one that looks at the channels, the two HTTP ports, and
//! the one that passes orders on. They share nothing but the board, where each writes its own part of the snapshot.
//! The loops wait for nobody: not for Kafka to be up, not for peers, so the pod never waits for the agent.

pub mod log;
pub mod board;
pub mod watch;
pub mod context;
pub mod hands;
pub mod verify;
pub mod show;
pub mod peers;
pub mod trust;
pub mod keeper;
pub mod orders;
pub mod show_channels;
pub mod observe;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::SystemTime;

use clap::Args;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::sync::watch as watch_channel;
use tokio::task::JoinSet;
use tokio::task::LocalSet;

use crate::cluster::certificate::Certificate;
use crate::commands::certificates;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::init;
use crate::commands::inputs;
use crate::commands::inputs::InputArgs;
use crate::commands::inputs::Inputs;
use crate::commands::sidecar::board::Board;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::log::LogFormat;
use crate::health::address;
use crate::health::io as health_io;
use crate::health::snapshot;
use crate::health::snapshot::Agent;
use crate::health::snapshot::Mode;
use crate::health::snapshot::Node;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::reload::channel::NodeChannels;

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

/// The loops, until one of the two signals. A loop that ends by itself is a defect, and ends the process.
async fn drive(inputs: Inputs) -> Result<(), Failure> {
    let started_at = SystemTime::now();
    let bound = address::bound(&inputs.cluster, &inputs.node)?;
    let listeners = health_io::listen(&bound).await.map_err(|error| {
        let ports = format!("{} and {}", bound.read_port, bound.orders);
        Failure::new(Exit::Again, "PortTaken", format!("cannot listen on ports {ports}: {error}"))
    })?;
    let channels = Context::channels_of(&inputs)?;
    let needed: Vec<Certificate> = certificates::needed(&inputs).into_iter().cloned().collect();
    let (board, snapshots) = Board::new(first_snapshot(&inputs, &channels, &needed, started_at));
    let context = Rc::new(Context::new(inputs, board.clone(), channels));
    let mut loops = JoinSet::new();
    let (orders, taken) = mpsc::channel(MOST_ORDERS);
    let (stop, mut stopped) = watch_channel::channel(());
    loops.spawn_local(health_io::serve(listeners, snapshots, orders, async move {
        let _ = stopped.changed().await;
    }));
    let mut keepers = BTreeMap::new();
    for certificate in needed {
        let (tell, told) = mpsc::channel(MOST_ORDERS);
        keepers.insert(certificate.name.clone(), tell);
        loops.spawn_local(keeper::keep(Rc::clone(&context), certificate, told));
    }
    loops.spawn_local(orders::pass_on(board.clone(), taken, keepers));
    loops.spawn_local(observe::observe(Rc::clone(&context)));
    board.happened(
        "Started",
        &format!("kraftlet sidecar of {} (node {})", context.inputs.node.pod, context.inputs.node.node_id),
    );
    tokio::select! {
        signal = ended() => signal?,
        _ = loops.join_next() => {
            return Err(Failure::new(Exit::Again, "LoopEnded", "one of the agent's loops has ended by itself"));
        }
    }
    drop(stop);
    loops.abort_all();
    Ok(())
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

fn first_snapshot(
    inputs: &Inputs,
    channels: &NodeChannels,
    needed: &[Certificate],
    now: SystemTime,
) -> Snapshot {
    let node = Node {
        pod: Text::new(&inputs.node.pod),
        node_id: inputs.node.node_id,
        roles: channels.roles,
        cluster_name: Some(Text::new(&inputs.cluster.settings.name)),
        cluster_id: Some(Text::new(&inputs.cluster.cluster_id)),
    };
    let agent = Agent {
        version: Text::new(env!("CARGO_PKG_VERSION")),
        started_at: now,
        mode: Mode::Managed,
        reload: inputs.cluster.settings.reload,
    };
    let mut snapshot = Snapshot::new(node, agent);
    let shown =
        |one: &Certificate| snapshot::Certificate::new(Text::new(&one.name), Word::of(trust::SETTLED), now);
    snapshot.certificates = needed.iter().map(shown).collect();
    snapshot
}
