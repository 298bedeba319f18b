//! The loop that looks at the cluster: how the quorum is, what this node is in it, and whether it may stop now.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio::time::sleep_until;
use tokio::time::timeout_at;

use crate::cluster::io as cluster_io;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::dialled::Dialled;
use crate::commands::sidecar::errand::Errand;
use crate::commands::sidecar::neighbours;
use crate::commands::sidecar::neighbours::Said;
use crate::commands::sidecar::partitions;
use crate::commands::sidecar::show_quorum;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::meta_properties::MetaProperties;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::Uuid;
use crate::quorum::departure::Departure;
use crate::quorum::departure::Kafka;
use crate::quorum::departure::Moment;
use crate::quorum::departure::Seen;
use crate::quorum::io::BrokerLooker;
use crate::quorum::io::Controller;
use crate::quorum::io::Looker;
use crate::quorum::isr::Isr;
use crate::quorum::judge::Judge;
use crate::quorum::own::Own;
use crate::quorum::sighting::Answer;
use crate::quorum::sighting::BrokerSighting;
use crate::quorum::sighting::OwnBroker;
use crate::quorum::sighting::Sighting;
use crate::quorum::startup::start::Heard;
use crate::quorum::stop::PeerStop;
use crate::quorum::view::BrokerStanding;
use crate::quorum::view::Stop;

/// Between looks; a pod's own share is added, so that a cluster's agents do not ask all at once.
const LOOK_EVERY: Duration = Duration::from_millis(1000);
const SHARE: Duration = Duration::from_millis(37);
const SHARES: u32 = 7;

/// What one round of questions gets. A leader answers within milliseconds; half of the fetch timeout is long.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// At every third look at the controllers, also at the brokers: what is seen there changes within seconds, not sooner. A
/// broker that does not serve yet is looked at each time.
const BROKER_EVERY: usize = 3;

/// At so many looks the stores are read once: connections outlive leaves, and a new leaf is for the next connection. While
/// nobody answers it is for every look.
const REFRESH_EVERY: usize = 15;

/// Between looks at the partitions and at the other agents, as long as nobody waits for the outcome.
const AT_REST_EVERY: Duration = Duration::from_secs(15);

/// A turn of the loop takes a few seconds at most.
const TURNS_WITHIN: Duration = Duration::from_secs(30);

/// What the loop has seen, and how it looks.
struct Watch {
    judge: Judge,
    dialled: Dialled,
    looker: Looker,
    broker_looker: BrokerLooker,
    disk: Errand<Option<Uuid>>,
    partitions: Errand<Option<Isr>>,
    neighbours: Errand<Vec<Said>>,
    peers: BTreeMap<NodeId, PeerStop>,
    departure: Departure,
    kafka: Kafka,
    turn: usize,
}

/// Looks for ever.
pub async fn watch(context: Rc<Context>) {
    let beat = context.pulse.loop_named("quorum", TURNS_WITHIN, Instant::now());
    let mut watch = Watch {
        judge: Judge::new(context.controllers.own.clone()),
        dialled: Dialled::default(),
        looker: Looker::default(),
        broker_looker: BrokerLooker::default(),
        disk: Errand::default(),
        partitions: Errand::default(),
        neighbours: Errand::default(),
        peers: BTreeMap::new(),
        departure: Departure::default(),
        kafka: Kafka::Unknown,
        turn: 0,
    };
    loop {
        beat.beat(Instant::now());
        watch.know(&context).await;
        watch.look(&context).await;
        watch.look_around(&context).await;
        let stop = watch.stop(&context);
        show_quorum::show(&context, &watch.judge, stop);
        watch.turn = watch.turn.wrapping_add(1);
        let next = Instant::now() + LOOK_EVERY + share(context.channels.node_id);
        if timeout_at(next.into(), context.stops.notified()).await.is_ok() {
            let before = watch.departure;
            watch.departure = before.called(now());
            show_quorum::tell_departure(&context, before, watch.departure, &[]);
            // The first call makes haste; a second one waits for the looks that are made anyway.
            if before != Departure::Stays {
                sleep_until(next.into()).await;
            }
        }
    }
}

impl Watch {
    /// What can change while the agent runs: the installed leaf, and a disk that is formatted.
    async fn know(&mut self, context: &Context) {
        if let Some(Some(directory_id)) = self.disk.ended().await {
            let own = self.judge.own().clone();
            self.judge.know(Own { directory_id: Some(directory_id), ..own });
        }
        if self.disk.is_due(AT_REST_EVERY)
            && let Some(log_dir) = context.controllers.metadata_log_dir.clone()
        {
            // A disk that hangs is waited for by nobody.
            self.disk.begin(async { spawn_blocking(move || directory_id(&log_dir)).await.ok().flatten() });
        }
        if self.judge.history().without_since().is_some() || self.turn.is_multiple_of(REFRESH_EVERY) {
            self.dialled.refresh(context);
        }
    }

    /// Asks the controllers, and at every third turn the brokers.
    async fn look(&mut self, context: &Context) {
        let (node_id, roles) = (self.judge.own().node_id, self.judge.own().roles);
        let is_own = |one: &Controller| roles.is_controller() && one.node_id == Some(node_id);
        let place = self.dialled.controllers.iter().position(is_own);
        let mut sighting = self.looker.look(&self.dialled.controllers, place, ANSWER_WITHIN).await;
        if let Some(broker) = self.dialled.witnesses(self.turn).first() {
            self.looker.ask_broker(&mut sighting, broker, ANSWER_WITHIN).await;
        }
        if roles.is_controller() {
            self.kafka = controller_of(&sighting, place);
        }
        if !roles.is_broker() {
            context.heard.set(Some(Heard::of_controller(&sighting, place)));
        }
        self.judge.take(&sighting);
        let serves = self.judge.broker().is_some_and(|one| one.standing == BrokerStanding::Unfenced);
        if roles.is_broker() && (!serves || self.turn.is_multiple_of(BROKER_EVERY)) {
            let witnesses = self.dialled.witnesses(self.turn / BROKER_EVERY);
            let own = self.dialled.own_broker.as_ref();
            let sighting = self.broker_looker.look(node_id, own, &witnesses, ANSWER_WITHIN).await;
            if !roles.is_controller() {
                self.kafka = broker_of(&sighting);
            }
            context.heard.set(Some(Heard::of_broker(&sighting)));
            self.judge.take_broker(&sighting);
        }
    }

    /// Takes what slower looks have brought, and begins the next ones: without haste, unless somebody waits for them.
    async fn look_around(&mut self, context: &Rc<Context>) {
        if let Some(Some(isr)) = self.partitions.ended().await {
            self.judge.take_isr(isr);
        }
        if let Some(said) = self.neighbours.ended().await {
            self.peers.extend(said.iter().map(|one| (one.stop.node_id, one.stop)));
            let quorums = said.into_iter().filter_map(|one| Some((one.stop.node_id, one.quorum?)));
            self.judge.take_peers(&quorums.collect::<Vec<_>>());
        }
        let is_leaving = self.departure != Departure::Stays;
        let own = self.judge.own();
        if own.roles.is_broker() && self.partitions.is_due(every(is_leaving)) {
            // Itself last: what it knows may be old just when it matters.
            let others = self.dialled.witnesses(self.turn).into_iter().map(|(_, endpoint)| endpoint);
            let brokers: Vec<Endpoint> = others.chain(self.dialled.own_broker.clone()).collect();
            self.partitions.begin(partitions::read(own.node_id, brokers));
        }
        if self.neighbours.is_due(every(is_leaving || self.judge.disagreement().is_some())) {
            self.neighbours.begin(neighbours::ask(Rc::clone(context)));
        }
    }

    /// Whether the node may stop, and how far its stop is.
    fn stop(&mut self, context: &Context) -> Stop {
        let now = now();
        let peers: Vec<PeerStop> = self.peers.values().copied().collect();
        let before = self.departure;
        let stop = self.judge.stop(&peers, before.announced_at(), before.released_at(), now.date);
        let is_seen =
            before.announced_at().is_some_and(|at| stop.seen_at.is_some_and(|seen_at| at < seen_at));
        let seen = Seen { is_free: is_seen && stop.blockers.is_empty(), kafka: self.kafka };
        self.departure = before.after(seen, context.patience, now);
        show_quorum::tell_departure(context, before, self.departure, &stop.blockers);
        Stop {
            announced_at: self.departure.announced_at(),
            released_at: self.departure.released_at(),
            ..stop
        }
    }
}

fn now() -> Moment {
    Moment { date: SystemTime::now(), clock: Instant::now() }
}

fn every(is_awaited: bool) -> Duration {
    if is_awaited { LOOK_EVERY } else { AT_REST_EVERY }
}

/// This node's Kafka as its controller's listener shows it.
fn controller_of(sighting: &Sighting, place: Option<usize>) -> Kafka {
    match place.and_then(|place| sighting.controllers.get(place)).map(|asked| &asked.answer) {
        Some(Answer::Leads(_) | Answer::Follows | Answer::Refuses(_) | Answer::Silent(_)) => Kafka::There,
        Some(Answer::Closed(_)) => Kafka::Away,
        Some(Answer::Away(_) | Answer::NotAsked) | None => Kafka::Unknown,
    }
}

/// This node's Kafka as its broker's listener shows it.
fn broker_of(sighting: &BrokerSighting) -> Kafka {
    match sighting.own {
        Some(OwnBroker::Answers { .. } | OwnBroker::Silent) => Kafka::There,
        Some(OwnBroker::Closed) => Kafka::Away,
        None => Kafka::Unknown,
    }
}

/// The id of a metadata directory, as soon as it is formatted.
fn directory_id(log_dir: &Path) -> Option<Uuid> {
    let bytes = cluster_io::read(&log_dir.join("meta.properties")).ok()?;
    MetaProperties::decode(&bytes).ok()?.directory_id
}

/// A node's own part of a second.
fn share(node_id: NodeId) -> Duration {
    SHARE * (node_id.get().unsigned_abs() % SHARES)
}
