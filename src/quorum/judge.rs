//! All verdicts of one node: looks go in, views come out.

use std::time::SystemTime;

use crate::kafka::node_id::NodeId;
use crate::quorum::broker::BrokerVerdict;
use crate::quorum::disagreement::disagreement;
use crate::quorum::history::History;
use crate::quorum::isr::Isr;
use crate::quorum::member::MemberVerdict;
use crate::quorum::own::Own;
use crate::quorum::sighting::BrokerSighting;
use crate::quorum::sighting::Sighting;
use crate::quorum::stop::Facts;
use crate::quorum::stop::PeerStop;
use crate::quorum::stop::stop;
use crate::quorum::timeline::Mark;
use crate::quorum::verdict::Verdict;
use crate::quorum::view::Broker;
use crate::quorum::view::Member;
use crate::quorum::view::Quorum;
use crate::quorum::view::Stop;

/// What one agent concludes, look by look.
#[derive(Debug, Clone)]
pub struct Judge {
    own: Own,
    history: History,
    verdict: Verdict,
    member_verdict: MemberVerdict,
    broker_verdict: BrokerVerdict,
    quorum: Option<Quorum>,
    member: Option<Member>,
    broker: Option<Broker>,
    isr: Option<Isr>,
    below_since: Option<SystemTime>,
    sole_since: Option<SystemTime>,
    disagreement: Option<(Mark, String)>,
}

impl Judge {
    /// One that has seen nothing.
    pub fn new(own: Own) -> Self {
        Self {
            own,
            history: History::default(),
            verdict: Verdict::default(),
            member_verdict: MemberVerdict::default(),
            broker_verdict: BrokerVerdict::default(),
            quorum: None,
            member: None,
            broker: None,
            isr: None,
            below_since: None,
            sole_since: None,
            disagreement: None,
        }
    }

    /// What is known of this node from now on: the settings were changed, or its disk was formatted.
    pub fn know(&mut self, own: Own) {
        self.own = own;
    }

    /// Takes in a look at the controllers.
    pub fn take(&mut self, sighting: &Sighting) {
        self.history.take(sighting, &self.own);
        self.quorum = self.verdict.judge(&self.history, &self.own);
        self.member = self.member_verdict.judge(&self.history, &self.own);
    }

    /// Takes in a look at the brokers.
    pub fn take_broker(&mut self, sighting: &BrokerSighting) {
        self.broker = Some(self.broker_verdict.judge(sighting, &self.history, &self.own));
    }

    /// Takes in the partitions of this node, once all their pages are there.
    pub fn take_isr(&mut self, isr: Isr) {
        let since = |before: Option<SystemTime>, count| (count > 0).then(|| before.unwrap_or(isr.at()));
        self.below_since = since(self.below_since, isr.below().count());
        self.sole_since = since(self.sole_since, isr.sole().count());
        self.isr = Some(isr);
    }

    /// Takes in how the agents of other nodes see the quorum.
    pub fn take_peers(&mut self, peers: &[(NodeId, Quorum)]) {
        let own = self.quorum.as_ref().map(|quorum| (self.own.node_id, quorum));
        let all = own.into_iter().chain(peers.iter().map(|(node_id, quorum)| (*node_id, quorum)));
        let since = self.disagreement.as_ref().map_or(self.history.timeline().now(), |(since, _)| *since);
        self.disagreement = disagreement(all).map(|sentence| (since, sentence));
    }

    /// Whether this node may stop at `now`, by what was looked at and what the peers say; since when its stop is announced,
    /// and since when its wait is over.
    pub fn stop(
        &self,
        peers: &[PeerStop],
        announced_at: Option<SystemTime>,
        released_at: Option<SystemTime>,
        now: SystemTime,
    ) -> Stop {
        let facts = Facts {
            own: &self.own,
            quorum: self.quorum(),
            broker: self.broker(),
            isr: self.isr(),
            peers,
            looked_at: self.history.timeline().at(),
            announced_at,
            released_at,
        };
        stop(&facts, now)
    }

    /// What is known of this node.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// What the looks at the controllers have shown.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The quorum; `None` before the first look.
    pub fn quorum(&self) -> Option<&Quorum> {
        self.quorum.as_ref()
    }

    /// This node's part in it; `None` before the first look.
    pub fn member(&self) -> Option<&Member> {
        self.member.as_ref()
    }

    /// This node as a broker; `None` before the first look at the brokers.
    pub fn broker(&self) -> Option<&Broker> {
        self.broker.as_ref()
    }

    /// Its partitions; `None` before the first look at them.
    pub fn isr(&self) -> Option<&Isr> {
        self.isr.as_ref()
    }

    /// Since when some of them are under their `min.insync.replicas`.
    pub fn below_since(&self) -> Option<SystemTime> {
        self.below_since
    }

    /// How nodes see the quorum differently, and since when.
    pub fn disagreement(&self) -> Option<(Mark, &str)> {
        self.disagreement.as_ref().map(|(since, sentence)| (*since, sentence.as_str()))
    }

    /// Since when some of them have no other replica in sync.
    pub fn sole_since(&self) -> Option<SystemTime> {
        self.sole_since
    }
}
