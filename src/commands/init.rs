//! `kraftlet init`: everything that has to be on the disk before Kafka starts.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;
use std::time::SystemTime;

use clap::Args;
use jiff::Timestamp;
use nix::fcntl::Flock;

use crate::certificates::bundle::Bundle;
use crate::cluster::server_properties;
use crate::cluster::server_properties::SECRETS_FILE;
use crate::commands::certificates;
use crate::commands::certificates::Checked;
use crate::commands::certificates::Order;
use crate::commands::engine;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::inputs;
use crate::commands::inputs::InputArgs;
use crate::commands::inputs::Inputs;
use crate::commands::storage;
use crate::commands::storage::Credential;
use crate::disk::io as disk_io;
use crate::disk::io::DiskError;
use crate::disk::step::Step;
use crate::storage::plan::Plan;

/// Write server.properties, format the disks and install the certificate of this pod.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet init                                     # in a pod: POD_NAME and the settings are mounted
  POD_NAME=kafka-0 kraftlet init --settings cluster.yaml

Exit codes: 0 done; 1 may pass if tried again; 2 a person must change something; 64 wrong settings or usage.
A run that ends with 1, 2 or 64 before its first step has written nothing, except the key of a request to cert-manager
that is not decided.")]
pub struct Init {
    #[command(flatten)]
    inputs: InputArgs,
    /// The jar of kraftlet's engine, which Kafka loads where the settings say `reload: engine`
    #[arg(
        long,
        env = "KRAFTLET_ENGINE_JAR",
        default_value = "/usr/share/kraftlet/ssl-engine.jar",
        value_name = "FILE"
    )]
    engine_jar: PathBuf,
}

/// What `init` would do, whole: there is no half of it.
#[derive(Debug)]
pub struct Prepared {
    /// What it follows from.
    pub inputs: Inputs,
    /// What becomes of the disks.
    pub storage: Plan,
    /// The certificates that are installed.
    pub certificates: Vec<Checked>,
    /// Every step, in its order.
    pub steps: Vec<Step>,
}

/// The properties name nothing secret and are read by everybody in the pod.
const PROPERTIES_MODE: u32 = 0o644;

/// Passwords are for Kafka's user and for the pod's group, which Kafka may be in.
const SECRETS_MODE: u32 = 0o440;

const FOLDER_MODE: u32 = 0o755;

/// Does it, and gives back what to print.
pub fn run(args: &Init) -> Result<Vec<String>, Failure> {
    let begun = Instant::now();
    let inputs = inputs::read(&args.inputs)?;
    let run_folder = inputs.run_folder.clone();
    let jar = args.engine_jar.as_path();
    let (prepared, _lock) = if run_folder.exists() {
        let lock = lock(&run_folder)?;
        (prepare(inputs, jar)?, lock)
    } else {
        // All refusals come before the first change, and the folder to be locked is one.
        let prepared = prepare(inputs, jar)?;
        apply(&folders(&run_folder))?;
        let lock = lock(&run_folder)?;
        // Somebody else may have made the folder at the same time, and be done already: then the plan is old.
        if disk_io::is_empty(&run_folder) { (prepared, lock) } else { (prepare(prepared.inputs, jar)?, lock) }
    };
    apply(&prepared.steps)?;
    Ok(report(&prepared, begun))
}

/// Looks at everything and plans. The only thing it may write is a local CA that is not there yet, and that only when
/// nothing else is refused (and the copy of a CA's certificate, where somebody took it away), and the key of a request that
/// cert-manager has not decided: what is asked there cannot be taken back.
pub fn prepare(inputs: Inputs, engine_jar: &Path) -> Result<Prepared, Failure> {
    let wanted = storage::wanted(&inputs)?;
    let found = storage::look(&wanted);
    let needed = certificates::needed(&inputs);
    let (orders, unusable) = gather(needed.into_iter().map(|certificate| Order::new(&inputs, certificate)));
    let (making, reading): (Vec<Order>, Vec<Order>) = orders.into_iter().partition(Order::makes_a_ca);
    let (mut certificates, refused) = gather(reading.iter().map(|order| order.check()));
    let tls = match controller_bundle(&inputs, &certificates) {
        Some(bundle) => Some(certificates::tls_client(bundle)?),
        None => None,
    };
    let of_controllers =
        inputs.cluster.controller_listener().and_then(|listener| listener.certificate.as_deref());
    let credential = match &tls {
        Some(client) => Credential::Leaf(client),
        None if making.iter().any(|order| Some(order.name()) == of_controllers) => Credential::OfANewCa,
        None => Credential::None,
    };
    let (engine, no_engine) = gather([engine::steps(&inputs, engine_jar)]);
    let refused = [unusable, refused, no_engine].into_iter().flatten().reduce(Failure::and);
    let plan = match (storage::plan(&inputs, &wanted, &found, credential), refused) {
        (Ok(plan), None) => plan,
        (Ok(_), Some(refused)) => return Err(refused),
        (Err(not_stored), None) => return Err(not_stored),
        (Err(not_stored), Some(refused)) => return Err(refused.and(not_stored)),
    };
    let (made, refused) = gather(making.iter().map(|order| order.check()));
    if let Some(failure) = refused {
        return Err(failure);
    }
    certificates.extend(made);
    let mut steps = folders(&inputs.run_folder);
    steps.extend(folders(&inputs.run_folder.join("tls")));
    // A leaf that is kept is written all the same: its trust may have changed, and a truststore may be missing.
    steps.extend(certificates.iter().flat_map(|checked| checked.steps.iter().cloned()));
    steps.extend(engine.into_iter().flatten());
    steps.extend(property_files(&inputs));
    steps.extend(plan.steps.iter().cloned());
    Ok(Prepared { inputs, storage: plan, certificates, steps })
}

/// Everything that worked, and one failure for all that did not.
fn gather<T>(results: impl IntoIterator<Item = Result<T, Failure>>) -> (Vec<T>, Option<Failure>) {
    let mut worked = Vec::new();
    let mut failure = None;
    for result in results {
        match result {
            Ok(one) => worked.push(one),
            Err(other) => failure = [failure, Some(other)].into_iter().flatten().reduce(Failure::and),
        }
    }
    (worked, failure)
}

/// Keeps other runs out of the run folder: two at once would write over each other's files.
pub fn lock(run_folder: &Path) -> Result<Flock<File>, Failure> {
    disk_io::lock(run_folder).map_err(disk)?.ok_or_else(|| {
        let message = format!("another kraftlet is at work in {}", run_folder.display());
        Failure::new(Exit::Again, "AlreadyRunning", message)
    })
}

fn apply(steps: &[Step]) -> Result<(), Failure> {
    disk_io::apply(steps).map_err(disk)
}

fn disk(error: DiskError) -> Failure {
    let exit = if error.may_pass() { Exit::Again } else { Exit::Person };
    Failure::of(exit, error.reason(), &error)
}

/// The certificate that other controllers are asked with.
fn controller_bundle<'a>(inputs: &Inputs, certificates: &'a [Checked]) -> Option<&'a Bundle> {
    let name = inputs.cluster.controller_listener()?.certificate.as_ref()?;
    certificates.iter().find(|checked| checked.name == *name).map(|checked| &checked.bundle)
}

fn folders(path: &Path) -> Vec<Step> {
    disk_io::missing(path).into_iter().map(|path| Step::CreateDir { path, mode: FOLDER_MODE }).collect()
}

fn property_files(inputs: &Inputs) -> Vec<Step> {
    let folder = &inputs.run_folder;
    let by = format!("{}, written by kraftlet init; changes are lost at the next start", inputs.node.pod);
    let secrets: Vec<_> = inputs.server.secrets.iter().chain(&inputs.client.secrets).cloned().collect();
    let file = |name: &str, lines: &[_], mode| {
        Step::replace(folder.join(name), server_properties::render(&by, lines), mode)
    };
    let mut steps = Vec::new();
    // A password that is no longer in use does not stay behind: nothing is deleted, but the file is emptied.
    if !secrets.is_empty() || folder.join(SECRETS_FILE).exists() {
        steps.push(file(SECRETS_FILE, &secrets, SECRETS_MODE));
    }
    if !inputs.client.lines.is_empty() {
        steps.push(file("client.properties", &inputs.client.lines, PROPERTIES_MODE));
    }
    steps.push(file("server.properties", &inputs.server.lines, PROPERTIES_MODE));
    steps
}

/// What has been done, for the container's log.
fn report(prepared: &Prepared, begun: Instant) -> Vec<String> {
    let Inputs { cluster, node, run_folder, .. } = &prepared.inputs;
    let mut lines = vec![format!(
        "{} is node {} ({}) of cluster {}, Kafka {}",
        node.pod, node.node_id, node.pool.roles, cluster.cluster_id, cluster.kafka_version
    )];
    for checked in &prepared.certificates {
        let leaf = checked.bundle.leaf();
        let verb = if checked.kept { "kept" } else { "installed" };
        lines.push(format!(
            "certificate {}: {verb} leaf {} of {}, valid until {}",
            checked.name,
            leaf.fingerprint().short(),
            leaf.subject(),
            time(leaf.not_after())
        ));
        lines.extend(checked.warnings.iter().map(|warning| format!("warning: {warning}")));
    }
    lines.extend(prepared.storage.directories.iter().map(ToString::to_string));
    lines.extend(prepared.storage.notes.iter().map(|note| format!("note: {note}")));
    let properties: PathBuf = run_folder.join("server.properties");
    lines.push(format!(
        "wrote {} ({} lines) in {} ms",
        properties.display(),
        prepared.inputs.server.lines.len(),
        begun.elapsed().as_millis()
    ));
    let variable = engine::environment(&prepared.inputs);
    lines.extend(
        variable.map(|variable| format!("Kafka's container needs the environment variable {variable}")),
    );
    lines
}

fn time(at: SystemTime) -> String {
    Timestamp::try_from(at).map(|at| format!("{at:.0}")).unwrap_or_else(|_| "an unknown time".to_owned())
}
