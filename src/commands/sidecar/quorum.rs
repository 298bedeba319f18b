//! The loop that looks at the controllers: how the quorum is, and what this node is in it.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::certificates::bundle::Bundle;
use crate::cluster::io as cluster_io;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::verify::tls_client;
use crate::health::snapshot::Condition;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::meta_properties::MetaProperties;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::Uuid;
use crate::pki::handshake::TlsClient;
use crate::quorum::conditions::Condition as Stated;
use crate::quorum::conditions::conditions;
use crate::quorum::io::BrokerLooker;
use crate::quorum::io::Controller;
use crate::quorum::io::Looker;
use crate::quorum::judge::Judge;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::reload::listener::Serves;

/// Between looks; a pod's own share is added, so that a cluster's agents do not ask all at once.
const LOOK_EVERY: Duration = Duration::from_millis(1000);
const SHARE: Duration = Duration::from_millis(37);
const SHARES: u32 = 7;

/// What one round of questions gets. A leader answers within milliseconds; half of the fetch timeout is long.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// At every third look at the controllers, also at the brokers: what is seen there changes within seconds, not sooner.
const BROKER_EVERY: usize = 3;

/// Of many brokers, so many are asked at a time.
const WITNESSES: usize = 2;

/// Whom to look at, with the leaf and the trust that they are dialled with.
#[derive(Default)]
struct Dialled {
    bundle: Option<Bundle>,
    controllers: Vec<Controller>,
    own_broker: Option<Endpoint>,
    other_brokers: Vec<(NodeId, Endpoint)>,
}

/// Looks for ever.
pub async fn watch(context: Rc<Context>) {
    let mut own = context.controllers.own.clone();
    let mut judge = Judge::new(own.clone());
    let mut looker = Looker::default();
    let mut broker_looker = BrokerLooker::default();
    let mut dialled = Dialled::default();
    let mut turn = 0;
    loop {
        if own.directory_id.is_none() {
            own.directory_id = directory_id(&context);
            judge.know(own.clone());
        }
        dialled.refresh(&context);
        let is_own = |one: &Controller| own.roles.is_controller() && one.node_id == Some(own.node_id);
        let place = dialled.controllers.iter().position(is_own);
        judge.take(&looker.look(&dialled.controllers, place, ANSWER_WITHIN).await);
        if own.roles.is_broker() && turn % BROKER_EVERY == 0 {
            let witnesses = dialled.witnesses(turn / BROKER_EVERY);
            let own_listener = dialled.own_broker.as_ref();
            let sighting = broker_looker.look(own.node_id, own_listener, &witnesses, ANSWER_WITHIN).await;
            judge.take_broker(&sighting);
        }
        turn = turn.wrapping_add(1);
        show(&context, &judge);
        sleep(LOOK_EVERY + share(own.node_id)).await;
    }
}

/// What the judge has found becomes part of the snapshot.
fn show(context: &Context, judge: &Judge) {
    let before = context.board.quorum();
    context.board.change(|snapshot| {
        snapshot.quorum = judge.quorum().cloned();
        snapshot.broker = judge.broker().cloned();
        snapshot.member = judge.member().filter(|_| judge.own().roles.is_controller()).cloned();
    });
    if let Some(quorum) = judge.quorum() {
        tell(context, before.as_ref(), quorum);
    }
    let condition = |one: Stated| Condition {
        reason: Word::of(one.reason),
        sentence: Text::new(one.sentence),
        since: one.since,
        matters_at: one.matters_at,
        remedy: Some(Text::new(one.remedy)),
    };
    context.board.conditions("quorum", conditions(judge).into_iter().map(condition).collect());
}

impl Dialled {
    /// Takes what is installed now; connections that are open stay.
    fn refresh(&mut self, context: &Context) {
        let Some(listener) = context.controllers.listener() else { return };
        if !context.controllers.has_tls() {
            if self.controllers.is_empty() {
                self.dial(context, None);
            }
            return;
        }
        // Between two files of a renewal there may be nothing; what was there is still good.
        let Ok(bundle) = context.installed_for(listener) else { return };
        let is_same = |known: &Bundle| {
            known.leaf().fingerprint() == bundle.leaf().fingerprint() && known.anchors() == bundle.anchors()
        };
        if self.bundle.as_ref().is_some_and(is_same) {
            return;
        }
        if let Ok(client) = tls_client(&bundle) {
            self.dial(context, Some(&client));
            self.bundle = Some(bundle);
        }
    }

    fn dial(&mut self, context: &Context, client: Option<&TlsClient>) {
        let login = context.login.as_ref();
        self.controllers = context.controllers.dialled(client, login);
        let listener = context.channels.listeners.iter().find(|one| one.serves == Serves::Brokers);
        let Some(listener) = listener else { return };
        // The listener between brokers may have a certificate of its own.
        let own = context.installed_for(&listener.name).ok().and_then(|bundle| tls_client(&bundle).ok());
        let client = own.as_ref().or(client);
        self.own_broker = client.map(|client| context.endpoint(listener, client));
        self.other_brokers = context.controllers.other_brokers(listener.security_protocol, client, login);
    }

    /// Two other brokers, other ones each time.
    fn witnesses(&self, turn: usize) -> Vec<(NodeId, Endpoint)> {
        let from = turn.checked_rem(self.other_brokers.len()).unwrap_or(0);
        let count = WITNESSES.min(self.other_brokers.len());
        self.other_brokers.iter().cycle().skip(from).take(count).cloned().collect()
    }
}

/// The id of this node's metadata directory, as soon as it is formatted.
fn directory_id(context: &Context) -> Option<Uuid> {
    let path = context.controllers.metadata_log_dir.as_ref()?.join("meta.properties");
    let bytes = cluster_io::read(&path).ok()?;
    MetaProperties::decode(&bytes).ok()?.directory_id
}

/// A new leader and another state are told once.
fn tell(context: &Context, before: Option<&Quorum>, now: &Quorum) {
    let was = before.map_or(QuorumState::Unknown, |before| before.state);
    if was != now.state {
        match now.state {
            QuorumState::Healthy => context.board.happened("QuorumHealthy", &now.sentence),
            QuorumState::Unknown | QuorumState::Forming => {
                context.board.happened("QuorumForming", &now.sentence)
            }
            QuorumState::Degraded => context.board.went_wrong("QuorumDegraded", &now.sentence),
            QuorumState::MajorityLost => context.board.went_wrong("QuorumMajorityLost", &now.sentence),
            QuorumState::Leaderless => context.board.went_wrong("QuorumLeaderless", &now.sentence),
            QuorumState::Unstable => context.board.went_wrong("QuorumUnstable", &now.sentence),
            QuorumState::Wedged => context.board.went_wrong("QuorumWedged", &now.sentence),
        }
    } else if let (Some(before), Some(leader)) = (before.and_then(|before| before.leader), now.leader)
        && before != leader
    {
        let sentence = format!("node {leader} leads the quorum; it was node {before}");
        context.board.happened("LeaderChanged", &sentence);
    }
}

/// A node's own part of a second.
fn share(node_id: NodeId) -> Duration {
    SHARE * (node_id.get().unsigned_abs() % SHARES)
}
