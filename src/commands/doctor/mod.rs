//! `kraftlet doctor`: every check afresh, from nobody's memory.
//!
//! Looks at the files and disks of a node, shakes hands with every listener, asks the controllers and the agents; then
//! [`crate::health::doctor`] judges what was seen. Nothing is written, and nobody is told to do anything.

pub mod nodes;
pub mod local;
pub mod handshakes;
pub mod quorum;
pub mod agents;
pub mod looked;
pub mod sheet;
pub mod show;

use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use clap::Args;
use clap::ValueEnum;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::commands::doctor::looked::Looked;
use crate::commands::doctor::nodes::Nodes;
use crate::commands::doctor::show::View;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs::InputArgs;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::finding::Sheet;

/// Check everything afresh: settings, files, certificates, handshakes, quorum, disks, clocks, engine and agents.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet doctor                                # in a pod: this node, and its peers as it sees them
  kubectl exec demo-0 -c kraftlet -- kraftlet doctor
  kraftlet doctor --all --settings cluster.yaml  # all nodes, where they run on one machine
  kraftlet doctor --output json | jq '.findings[0]'

Each finding has its cause, its evidence and a command that is safe to run; the worst comes first.
Nothing is written. A healthy cluster takes about a second; where no leader answers, or one commits
nothing, the doctor waits as long as an election may take before it says so.

Exit codes: 0 nothing hurts, also where something will at a later date; 1 something hurts now;
2 something could not be looked at; 64 wrong settings or usage.")]
pub struct Doctor {
    #[command(flatten)]
    inputs: InputArgs,
    /// All nodes of the settings, where they run on this machine
    #[arg(long, conflicts_with = "pod_name")]
    all: bool,
    /// The jar of kraftlet's engine that belongs to this agent; what Kafka loads is compared with it
    #[arg(
        long,
        env = "KRAFTLET_ENGINE_JAR",
        default_value = "/usr/share/kraftlet/ssl-engine.jar",
        value_name = "FILE"
    )]
    engine_jar: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Nobody is shown progress of what is over within a second.
const QUIET_FOR: Duration = Duration::from_secs(1);

const TURN_EVERY: Duration = Duration::from_millis(100);

/// A renewal that is under way installs a leaf before Kafka serves it, for a second where Kafka reloads by itself; and an
/// agent looks at the quorum each second. Whoever looks in between looks again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// The text to print, and what makes the exit code another than 0.
pub fn run(args: &Doctor) -> Result<(String, Option<Failure>), Failure> {
    let begun = Instant::now();
    let nodes = Nodes::read(&args.inputs, args.all)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(Exit::CouldNotTell, "RuntimeFailed", &error))?;
    let bar = ProgressBar::new_spinner().with_style(style());
    let sheet = runtime.block_on(with_progress(&bar, examine(args, &nodes, &bar)));
    bar.finish_and_clear();
    // The resolver runs on a thread that cannot be interrupted; nobody waits for it.
    runtime.shutdown_background();
    let sheet = sheet?;
    let view = View { sheet: &sheet, nodes: nodes.pods(), took: begun.elapsed() };
    let text = match args.output {
        Output::Table => view.table(),
        Output::Json => format!("{:#}\n", view.json()),
    };
    Ok((text, failure(&sheet)))
}

async fn examine(args: &Doctor, nodes: &Nodes, bar: &ProgressBar) -> Result<Sheet, Failure> {
    bar.set_message(format!("looking at {}", nodes.pods().join(", ")));
    let mut looked = Looked::look(nodes, &args.engine_jar).await?;
    if looked.is_moving() {
        bar.set_message("something is changing; looking again soon");
        sleep(LOOK_AGAIN_AFTER).await;
        looked = Looked::look(nodes, &args.engine_jar).await?;
    }
    Ok(sheet::fill(nodes, &looked, SystemTime::now()))
}

/// Turns the bar from the moment when somebody may wonder.
async fn with_progress<T>(bar: &ProgressBar, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = timeout(QUIET_FOR, &mut work).await {
        return done;
    }
    loop {
        bar.tick();
        if let Ok(done) = timeout(TURN_EVERY, &mut work).await {
            return done;
        }
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// What hurts goes before what could not be told: it is certain.
pub fn failure(sheet: &Sheet) -> Option<Failure> {
    let worst = sheet.findings().first().copied().cloned()?;
    let (exit, reason) = match worst.severity {
        Severity::Outage | Severity::Hurts => (Exit::NotHealthy, "NotHealthy"),
        Severity::CannotTell => (Exit::CouldNotTell, "CouldNotTell"),
        Severity::Later => return None,
    };
    Some(Failure::new(exit, reason, format!("{}: {}", worst.thing, worst.cause)))
}
