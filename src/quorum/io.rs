//! Looks at the controllers: who leads, and what the leader says; and at what brokers say of a broker.
//!
//! All who are asked are asked at the same time, so that one that is frozen does not make the others wait.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;
use std::time::SystemTime;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::causes::chain;
use crate::kafka::ask_error::AskError;
use crate::kafka::connection::io::Connection;
use crate::kafka::describe_cluster::ListedBroker;
use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::node_id::NodeId;
use crate::kafka::requests::ApiVersions;
use crate::quorum::line::io::Line;
use crate::quorum::sighting::Answer;
use crate::quorum::sighting::Asked;
use crate::quorum::sighting::BrokerSighting;
use crate::quorum::sighting::Listed;
use crate::quorum::sighting::OwnBroker;
use crate::quorum::sighting::Sighting;

/// A controller, and how it is reached.
#[derive(Debug, Clone)]
pub struct Controller {
    /// Its node id, where it is known.
    pub node_id: Option<NodeId>,
    /// Its listener. What it holds of leaf and trust is for the next connection.
    pub endpoint: Endpoint,
}

/// Looks again and again.
#[derive(Default)]
pub struct Looker {
    asked: Vec<Line<Answer>>,
    /// To brokers, as long as no controller speaks with this node.
    brokers: BTreeMap<NodeId, Line<Answer>>,
    /// Where the last leader that answered is.
    leader: Option<usize>,
}

/// Looks at this broker, and at what others say of it.
#[derive(Default)]
pub struct BrokerLooker {
    own: Line<Option<OwnBroker>>,
    others: BTreeMap<NodeId, Line<Option<Listed>>>,
}

impl Looker {
    /// Looks once. This node's own controller is asked each time, and the last leader; the others only where that one
    /// does not lead any more. `own` is this node's place in `controllers`, which keep their places from look to look.
    /// All of it ends `within` that long for each of the two rounds.
    pub async fn look(
        &mut self,
        controllers: &[Controller],
        own: Option<usize>,
        within: Duration,
    ) -> Sighting {
        let at = SystemTime::now();
        self.asked.resize_with(controllers.len(), Line::default);
        let mut answers: Vec<Answer> = vec![Answer::NotAsked; controllers.len()];
        let first: Vec<usize> = match self.leader {
            Some(leader) => own.into_iter().filter(|own| *own != leader).chain([leader]).collect(),
            None => (0..controllers.len()).collect(),
        };
        self.ask(controllers, own, &first, within, &mut answers).await;
        if !answers.iter().any(leads) {
            let others: Vec<usize> = (0..controllers.len()).filter(|index| !first.contains(index)).collect();
            self.ask(controllers, own, &others, within, &mut answers).await;
        }
        self.leader = best(&answers);
        let asked = controllers.iter().zip(answers).map(|(controller, answer)| Asked {
            node_id: controller.node_id,
            address: controller.endpoint.address.clone(),
            answer,
        });
        Sighting { at, controllers: asked.collect() }
    }

    /// Where no controller speaks with this node, asks another broker, which passes the question on to the leader. What
    /// it says beside that is of no use: that it cannot reach a leader says nothing of the controllers.
    pub async fn ask_broker(
        &mut self,
        sighting: &mut Sighting,
        (node_id, endpoint): &(NodeId, Endpoint),
        within: Duration,
    ) {
        let speaks = |one: &Asked| matches!(one.answer, Answer::Leads(_) | Answer::Follows);
        if sighting.controllers.iter().any(speaks) {
            self.brokers.clear();
            return;
        }
        let deadline = Instant::now() + within;
        let line = self.brokers.entry(*node_id).or_default();
        let said = line.ask(endpoint, deadline, Connection::describe_quorum, answer).await;
        if leads(&said) {
            let (node_id, address) = (Some(*node_id), endpoint.address.clone());
            sighting.controllers.push(Asked { node_id, address, answer: said });
        }
    }

    async fn ask(
        &mut self,
        controllers: &[Controller],
        own: Option<usize>,
        whom: &[usize],
        within: Duration,
        answers: &mut [Answer],
    ) {
        let deadline = Instant::now() + within;
        let mut asking = JoinSet::new();
        for &index in whom {
            let (Some(controller), Some(line)) = (controllers.get(index), self.asked.get_mut(index)) else {
                continue;
            };
            let (endpoint, mut line) = (controller.endpoint.clone(), std::mem::take(line));
            let read = if own == Some(index) { own_answer } else { answer };
            asking.spawn(async move {
                let answer = line.ask(&endpoint, deadline, Connection::describe_quorum, read).await;
                (index, line, answer)
            });
        }
        for (index, line, answer) in asking.join_all().await {
            if let (Some(kept), Some(said)) = (self.asked.get_mut(index), answers.get_mut(index)) {
                *kept = line;
                *said = answer;
            }
        }
    }
}

impl BrokerLooker {
    /// Looks once: at this broker's own listener between brokers, and at `witnesses`, other brokers who list it.
    /// All of it ends `within` that long.
    pub async fn look(
        &mut self,
        node_id: NodeId,
        own: Option<&Endpoint>,
        witnesses: &[(NodeId, Endpoint)],
        within: Duration,
    ) -> BrokerSighting {
        let at = SystemTime::now();
        let deadline = Instant::now() + within;
        self.others.retain(|one, _| witnesses.iter().any(|(witness, _)| witness == one));
        let mut asking = JoinSet::new();
        for (witness, endpoint) in witnesses {
            let (witness, endpoint) = (*witness, endpoint.clone());
            let mut line = self.others.remove(&witness).unwrap_or_default();
            asking.spawn(async move {
                let listed = |said| listed(node_id, said);
                let answer = line.ask(&endpoint, deadline, Connection::describe_cluster, listed).await;
                (witness, line, answer)
            });
        }
        let own = match own {
            Some(own) => self.own.ask(own, deadline, Connection::api_versions, of_itself).await,
            None => None,
        };
        let mut listed_by = Vec::new();
        for (witness, line, answer) in asking.join_all().await {
            self.others.insert(witness, line);
            listed_by.extend(answer.map(|listed| (witness, listed)));
        }
        BrokerSighting { at, own, listed_by }
    }
}

/// What this broker's own listener says of it; nothing where it could not be asked. Who refuses us is there and awake, and
/// where not even a connection comes about, the queue of those that nobody takes is full.
fn of_itself(said: Result<ApiVersions, AskError>) -> Option<OwnBroker> {
    match said {
        Ok(versions) => Some(OwnBroker::Answers { applied: versions.finalized_epoch() }),
        Err(AskError::AnswerTimedOut { .. } | AskError::ConnectTimedOut { .. }) => Some(OwnBroker::Silent),
        Err(error) if is_closed(&error) => Some(OwnBroker::Closed),
        Err(
            AskError::InvalidAddress { .. }
            | AskError::NoSuchName { .. }
            | AskError::Resolver { .. }
            | AskError::ResolverTimedOut { .. }
            | AskError::NobodyListens { .. }
            | AskError::Connect { .. },
        ) => None,
        Err(
            AskError::Tls { .. }
            | AskError::Ended { .. }
            | AskError::WantsTls { .. }
            | AskError::TooLong { .. }
            | AskError::NotAsked { .. }
            | AskError::Mechanism { .. }
            | AskError::Login { .. }
            | AskError::NoNonce { .. }
            | AskError::Response { .. },
        ) => Some(OwnBroker::Answers { applied: None }),
    }
}

/// Whether the machine answers that nobody listens.
fn is_closed(error: &AskError) -> bool {
    matches!(error, AskError::NobodyListens { source, .. } if source.kind() == ErrorKind::ConnectionRefused)
}

/// How another broker lists this one; nothing where that one gives no list.
fn listed(node_id: NodeId, said: Result<Vec<ListedBroker>, AskError>) -> Option<Listed> {
    let brokers = said.ok()?;
    let serves = brokers.iter().any(|one| one.node_id == node_id && !one.is_fenced);
    Some(if serves { Listed::Unfenced } else { Listed::Fenced })
}

fn leads(answer: &Answer) -> bool {
    matches!(answer, Answer::Leads(_))
}

/// Of several that say they lead, the one of the highest epoch.
fn best(answers: &[Answer]) -> Option<usize> {
    let epochs = answers.iter().enumerate().filter_map(|(index, answer)| match answer {
        Answer::Leads(info) => Some((info.leader_epoch, index)),
        Answer::Follows
        | Answer::NotAsked
        | Answer::Refuses(_)
        | Answer::Silent(_)
        | Answer::Closed(_)
        | Answer::Away(_) => None,
    });
    epochs.max().map(|(_, index)| index)
}

/// What this node's own controller said. Between a node and itself no connection is lost: one that does not come about
/// waits in a queue that is full, for nobody takes any.
fn own_answer(said: Result<QuorumInfo, AskError>) -> Answer {
    match said {
        Err(error @ AskError::ConnectTimedOut { .. }) => Answer::Silent(chain(&error)),
        said => answer(said),
    }
}

/// What a controller said, from how the question ended.
fn answer(said: Result<QuorumInfo, AskError>) -> Answer {
    let error = match said {
        Ok(info) => return Answer::Leads(info),
        Err(error) => error,
    };
    let sentence = chain(&error);
    match error {
        error if error.is_not_leader() => Answer::Follows,
        error if is_closed(&error) => Answer::Closed(sentence),
        AskError::InvalidAddress { .. }
        | AskError::NoSuchName { .. }
        | AskError::Resolver { .. }
        | AskError::ResolverTimedOut { .. }
        | AskError::NobodyListens { .. }
        | AskError::Connect { .. }
        | AskError::ConnectTimedOut { .. } => Answer::Away(sentence),
        AskError::AnswerTimedOut { .. } => Answer::Silent(sentence),
        AskError::Tls { .. }
        | AskError::Ended { .. }
        | AskError::WantsTls { .. }
        | AskError::TooLong { .. }
        | AskError::NotAsked { .. }
        | AskError::Mechanism { .. }
        | AskError::Login { .. }
        | AskError::NoNonce { .. }
        | AskError::Response { .. } => Answer::Refuses(sentence),
    }
}
