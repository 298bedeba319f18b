//! The node the sidecar stands beside: one that `init` has prepared, or one that somebody else configures.

use std::cell::Cell;
use std::cell::RefCell;
use std::fs::File;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use clap::Args;
use nix::fcntl::Flock;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::certificates::schedule::Schedule;
use crate::certificates::schedule::Slot;
use crate::cluster::engine;
use crate::cluster::server_properties;
use crate::cluster::settings::Reload;
use crate::cluster::settings::default_termination_grace_period_seconds;
use crate::commands::certificates;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::init;
use crate::commands::inputs;
use crate::commands::inputs::InputArgs;
use crate::commands::inputs::Inputs;
use crate::commands::sidecar::attached::AttachedStores;
use crate::commands::sidecar::attached::Place;
use crate::commands::sidecar::board::Board;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::controllers::Controllers;
use crate::commands::sidecar::keystore::Keystore;
use crate::commands::sidecar::managed::Managed;
use crate::commands::sidecar::trust;
use crate::health::address;
use crate::health::address::Bound;
use crate::health::certificate;
use crate::health::prestop;
use crate::health::pulse::Pulse;
use crate::health::snapshot::Agent;
use crate::health::snapshot::Mode;
use crate::health::snapshot::Node;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::kafka::login::Login;
use crate::kafka::login::Mechanism;
use crate::kafka::node_id::NodeId;
use crate::kafka::version::KafkaVersion;
use crate::pki::renew_point::RenewPoint;
use crate::pod::name::PodName;
use crate::quorum::departure::Patience;
use crate::reload::channel::NodeChannels;
use crate::reload::node_properties::NodeProperties;

/// Beside a Kafka that kraftlet did not configure.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Beside a Kafka that somebody else configures: its server.properties
    #[arg(long, env = "KRAFTLET_ATTACH", value_name = "FILE")]
    pub attach: Option<PathBuf>,
    /// The Kafka release that runs there; some reloads depend on it
    #[arg(long, env = "KRAFTLET_KAFKA_VERSION", requires = "attach")]
    kafka_version: Option<KafkaVersion>,
    /// A folder to remember in what Kafka was started with, over restarts of the agent
    #[arg(long, env = "KRAFTLET_STATE", value_name = "FOLDER", requires = "attach")]
    state: Option<PathBuf>,
    /// The address to serve on; by default all of the pod's
    #[arg(long, env = "KRAFTLET_BIND", requires = "attach")]
    bind: Option<IpAddr>,
    /// The port of status and metrics
    #[arg(long, env = "KRAFTLET_PORT", default_value_t = 9640, requires = "attach")]
    port: u16,
    /// The port of orders, on loopback
    #[arg(long, env = "KRAFTLET_ORDERS_PORT", default_value_t = 9641, requires = "attach")]
    orders_port: u16,
    /// What the pod's spec says under this name: a call before a stop waits for less
    #[arg(long, env = "KRAFTLET_TERMINATION_GRACE_PERIOD_SECONDS", value_name = "SECONDS", requires = "attach",
        default_value_t = default_termination_grace_period_seconds())]
    termination_grace_period_seconds: u32,
    /// How to log in where a listener has SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
    #[arg(long, env = "KRAFTLET_SASL_MECHANISM", requires_all = ["attach", "sasl_username", "sasl_password_file"])]
    sasl_mechanism: Option<Mechanism>,
    /// The user to log in as
    #[arg(long, env = "KRAFTLET_SASL_USERNAME", requires = "sasl_mechanism")]
    sasl_username: Option<String>,
    /// The file that holds the password
    #[arg(long, env = "KRAFTLET_SASL_PASSWORD_FILE", value_name = "FILE", requires = "sasl_mechanism")]
    sasl_password_file: Option<PathBuf>,
}

/// Everything the loops begin with.
pub struct Beside {
    /// The node.
    pub context: Context,
    /// Where to serve.
    pub bound: Bound,
    /// What is served.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Keeps a second agent out; `None` where the agent has no folder of its own.
    pub lock: Option<Flock<File>>,
}

/// What the agent has noted of Kafka's start.
const NOTE_FILE: &str = "kafka-start.note";

/// Whoever renews a foreign node's certificates and has not at four fifths of a life is late: cert-manager and KubeDB
/// do at two thirds.
const FOREIGN_RENEW_PERCENT: u64 = 80;

impl Beside {
    /// A Kafka that `kraftlet init` has prepared with these settings.
    pub fn managed(args: &InputArgs) -> Result<Self, Failure> {
        let inputs = Rc::new(inputs::read(args)?);
        let lock = init::lock(&inputs.run_folder)?;
        let properties = Rc::new(properties(&inputs)?);
        let channels = NodeChannels::of(&properties, Some(inputs.cluster.kafka_version))
            .map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?;
        let needed = certificates::needed(&inputs).into_iter().cloned();
        let keystore = |certificate| {
            let (inputs, properties) = (Rc::clone(&inputs), Rc::clone(&properties));
            Rc::new(Managed::new(inputs, properties, certificate, &channels)) as Rc<dyn Keystore>
        };
        let keystores: Vec<Rc<dyn Keystore>> = needed.map(keystore).collect();
        let node = Node {
            pod: Text::new(&inputs.node.pod),
            node_id: inputs.node.node_id,
            roles: channels.roles,
            cluster_name: Some(Text::new(&inputs.cluster.settings.name)),
            cluster_id: Some(Text::new(&inputs.cluster.cluster_id)),
        };
        let controllers = Controllers::of_settings(&inputs, &properties, &channels)?;
        let reload = inputs.cluster.settings.reload;
        let (board, snapshots) = board(node, Mode::Managed, reload, &keystores);
        let context = Context {
            board,
            pod: inputs.node.pod.to_string(),
            channels,
            reload,
            release: Some(inputs.cluster.kafka_version),
            login: inputs.login.clone(),
            controllers,
            engine_report: (reload == Reload::Engine).then(|| engine::report(&inputs.run_folder)),
            start_note: Some(inputs.run_folder.join(NOTE_FILE)),
            inputs: Some(Rc::clone(&inputs)),
            input_args: Some(args.clone()),
            keystores,
            trust_reloaded: RefCell::default(),
            seen: RefCell::default(),
            look: Notify::new(),
            heard: Cell::default(),
            pulse: Pulse::new(Instant::now()),
            stops: Arc::default(),
            patience: patience(inputs.cluster.settings.agent.termination_grace_period_seconds),
        };
        let bound = address::bound(&inputs.cluster, &inputs.node)?;
        Ok(Self { context, bound, snapshots, lock: Some(lock) })
    }

    /// A Kafka whose `server.properties` somebody else has written.
    pub fn attached(path: &Path, args: &AttachArgs) -> Result<Self, Failure> {
        let place = Place { properties: path.to_owned(), release: args.kafka_version };
        let attached =
            place.look().map_err(|reason| Failure::new(Exit::Person, reason.word, reason.sentence))?;
        let lock = args.state.as_deref().map(init::lock).transpose()?;
        let pod = pod_name();

        let renew_point = RenewPoint::from_percent(FOREIGN_RENEW_PERCENT)
            .map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?;
        let schedule = Schedule::new(renew_point, slot_of(&pod, attached.node_id()));
        let keystore = |certificate| {
            Rc::new(AttachedStores::new(place.clone(), certificate, schedule)) as Rc<dyn Keystore>
        };
        let keystores: Vec<Rc<dyn Keystore>> = attached.certificates.iter().map(keystore).collect();
        let node = Node {
            pod: Text::new(&pod),
            node_id: attached.node_id(),
            roles: attached.roles(),
            cluster_name: None,
            cluster_id: None,
        };
        let (board, snapshots) = board(node, Mode::Attached, Reload::AdminApi, &keystores);
        for finding in &attached.findings {
            board.went_wrong(finding.reason(), &finding.to_string());
        }
        let login = login(args)?;
        let bound = bound(args);
        let context = Context {
            board,
            pod,
            controllers: Controllers::of_properties(&attached.properties, &attached.node),
            channels: attached.node,
            reload: Reload::AdminApi,
            release: args.kafka_version,
            login,
            engine_report: None,
            start_note: args.state.as_ref().map(|folder| folder.join(NOTE_FILE)),
            inputs: None,
            input_args: None,
            keystores,
            trust_reloaded: RefCell::default(),
            seen: RefCell::default(),
            look: Notify::new(),
            heard: Cell::default(),
            pulse: Pulse::new(Instant::now()),
            stops: Arc::default(),
            patience: patience(args.termination_grace_period_seconds),
        };
        Ok(Self { context, bound, snapshots, lock })
    }
}

/// What a stop may take, of a pod with this `terminationGracePeriodSeconds`.
fn patience(seconds: u32) -> Patience {
    let grace = Duration::from_secs(seconds.into());
    Patience { wait: prestop::within(grace), grace }
}

fn board(
    node: Node,
    mode: Mode,
    reload: Reload,
    keystores: &[Rc<dyn Keystore>],
) -> (Board, watch::Receiver<Arc<Snapshot>>) {
    let now = SystemTime::now();
    let agent = Agent { version: Text::new(env!("CARGO_PKG_VERSION")), started_at: now, mode, reload };
    let mut snapshot = Snapshot::new(node, agent);
    let shown = |one: &Rc<dyn Keystore>| {
        certificate::Certificate::new(Text::new(one.name()), Word::of(trust::SETTLED), now)
    };
    snapshot.certificates = keystores.iter().map(shown).collect();
    Board::new(snapshot)
}

fn properties(inputs: &Inputs) -> Result<NodeProperties, Failure> {
    let text = server_properties::render("", &inputs.server.lines);
    NodeProperties::parse(text.as_bytes())
        .map_err(|error| Failure::of(Exit::Usage, "PropertiesInvalid", &error))
}

/// The pod's name, or the machine's where there is no pod.
fn pod_name() -> String {
    let of_pod = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    of_pod.or_else(|| nix::unistd::gethostname().ok()?.into_string().ok()).unwrap_or_default()
}

/// A foreign node's peers are not known: its ordinal, or else its node id, is its place among them.
fn slot_of(pod: &str, node_id: NodeId) -> Slot {
    let name: Option<PodName> = pod.parse().ok();
    let set = name.as_ref().map(|name| name.stateful_set().to_owned()).unwrap_or_default();
    let ordinal =
        name.map_or(u32::try_from(node_id.get()).unwrap_or_default(), |name| name.ordinal().number());
    let rank = usize::try_from(ordinal).unwrap_or_default();
    Slot::new(&set, pod, rank, rank.saturating_add(1))
}

fn login(args: &AttachArgs) -> Result<Option<Login>, Failure> {
    let (Some(mechanism), Some(username), Some(file)) =
        (args.sasl_mechanism, &args.sasl_username, &args.sasl_password_file)
    else {
        return Ok(None);
    };
    let login = Login::new(mechanism, username, inputs::read_password(file)?);
    login.map(Some).map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))
}

fn bound(args: &AttachArgs) -> Bound {
    let own = args.bind.filter(IpAddr::is_loopback);
    let orders = own.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Bound { read: args.bind, read_port: args.port, orders: SocketAddr::new(orders, args.orders_port) }
}
