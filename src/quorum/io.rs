//! Looks at the controllers: who leads, and what the leader says.
//!
//! Connections are kept, for a handshake each second would cost both sides more than everything else the agent does. A
//! connection that breaks is made anew at once; one that cannot be made is tried again after a pause that grows, and
//! until then the answer stays what it was. All who are asked are asked at the same time, so that one that is frozen
//! does not make the others wait.

use std::io::ErrorKind;
use std::time::Duration;
use std::time::SystemTime;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::kafka::ask_error::AskError;
use crate::kafka::connection::io::Connection;
use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::node_id::NodeId;
use crate::quorum::sighting::Answer;
use crate::quorum::sighting::Asked;
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
    asked: Vec<Line>,
    /// Where the last leader that answered is.
    leader: Option<usize>,
}

/// A controller and the connection to it.
#[derive(Default)]
struct Line {
    connection: Option<Connection>,
    /// No new connection before this.
    pause: Option<Pause>,
}

struct Pause {
    until: Instant,
    length: Duration,
    answer: Answer,
}

/// The pause after a connection that could not be made, and the longest it grows to: sooner than an election may take,
/// and not so often that the log of a peer that refuses us fills up.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

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
        self.ask(controllers, &first, within, &mut answers).await;
        if !answers.iter().any(leads) {
            let others: Vec<usize> = (0..controllers.len()).filter(|index| !first.contains(index)).collect();
            self.ask(controllers, &others, within, &mut answers).await;
        }
        self.leader = best(&answers);
        let asked = controllers.iter().zip(answers).map(|(controller, answer)| Asked {
            node_id: controller.node_id,
            address: controller.endpoint.address.clone(),
            answer,
        });
        Sighting { at, controllers: asked.collect() }
    }

    async fn ask(
        &mut self,
        controllers: &[Controller],
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
            asking.spawn(async move {
                let answer = line.ask(&endpoint, deadline).await;
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

impl Line {
    async fn ask(&mut self, endpoint: &Endpoint, deadline: Instant) -> Answer {
        if let Some(mut connection) = self.connection.take() {
            connection.until(deadline);
            match connection.describe_quorum().await {
                // Kafka ends connections in peace as well: by its end, and after ten minutes of silence.
                Err(AskError::Ended { .. }) => {}
                said => return self.keep(connection, said),
            }
        }
        if let Some(pause) = self.pause.as_ref().filter(|pause| Instant::now() < pause.until) {
            return pause.answer.clone();
        }
        match Connection::open(endpoint, deadline).await {
            Ok(mut connection) => {
                let said = connection.describe_quorum().await;
                self.keep(connection, said)
            }
            Err(error) => self.wait(answer(Err(error))),
        }
    }

    /// Keeps a connection that has answered, whatever it said.
    fn keep(&mut self, connection: Connection, said: Result<QuorumInfo, AskError>) -> Answer {
        let is_usable = match &said {
            Ok(_) => true,
            Err(error) => error.is_an_answer(),
        };
        let answer = answer(said);
        if !is_usable {
            return self.wait(answer);
        }
        self.connection = Some(connection);
        self.pause = None;
        answer
    }

    fn wait(&mut self, answer: Answer) -> Answer {
        let before = self.pause.take().map(|pause| pause.length.saturating_mul(2).min(LONGEST_PAUSE));
        let length = before.unwrap_or(FIRST_PAUSE);
        self.pause = Some(Pause { until: Instant::now() + length, length, answer: answer.clone() });
        answer
    }
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

/// What a controller said, from how the question ended.
fn answer(said: Result<QuorumInfo, AskError>) -> Answer {
    let error = match said {
        Ok(info) => return Answer::Leads(info),
        Err(error) => error,
    };
    let sentence = error.sentence();
    match error {
        error if error.is_not_leader() => Answer::Follows,
        AskError::NobodyListens { source, .. } if source.kind() == ErrorKind::ConnectionRefused => {
            Answer::Closed(sentence)
        }
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
