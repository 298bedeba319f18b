//! Handshakes with listeners, and the request to reload.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::causes::chain;
use crate::kafka::ask_error::AskError;
use crate::kafka::connection::io::Connection;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::node_id::NodeId;
use crate::kafka::version::KafkaVersion;
use crate::pki::handshake::Presented;
use crate::reload::handshake::Observation;
use crate::reload::probe::Trust;
use crate::reload::trigger::TriggerError;
use crate::reload::verify;
use crate::reload::verify::Meaning;
use crate::reload::verify::Report;
use crate::reload::verify::Verdict;
use crate::reload::verify::Wanted;

/// A listener of this node, and what it should serve.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its name.
    pub listener: String,
    /// Where it is. No login: ApiVersions is answered before one.
    pub endpoint: Endpoint,
    /// How many handshakes have to show the new leaf, in a row. Each network thread has stores of its own and reloads
    /// by itself; the acceptor hands connections to the threads in turn (SocketServer.Acceptor), so that twice as many
    /// handshakes as threads meet all of them even where half of the turns are somebody else's.
    pub handshakes: usize,
    /// What it should serve.
    pub wanted: Wanted,
}

/// One handshake may take so long, within the deadline of all. A thread of Kafka that hangs is met again by a later one.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(3);

/// So many handshakes with one listener go on at once: as many as Kafka has threads for them by default.
const AT_ONCE: usize = 3;

/// The pause after the first look that was too early, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause. Kafka's own reload takes a second, and a look is one handshake as long as nothing has changed.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Looks at all listeners at the same time, again and again until each serves what it should or the deadline has
/// passed. The reports are in the order of the checks.
pub async fn verify(checks: &[Check], deadline: Instant) -> Vec<Report> {
    let mut reports = look(checks, deadline).await;
    let mut pause = FIRST_PAUSE;
    loop {
        let missing: Vec<usize> = (0..reports.len())
            .filter(|at| reports.get(*at).is_some_and(|one| one.verdict.meaning() != Meaning::Verified))
            .collect();
        let next = Instant::now() + pause;
        if missing.is_empty() || next >= deadline {
            return reports;
        }
        sleep_until(next).await;
        let again: Vec<Check> = missing.iter().filter_map(|at| checks.get(*at).cloned()).collect();
        for (at, report) in missing.into_iter().zip(look(&again, deadline).await) {
            if let Some(old) = reports.get_mut(at) {
                *old = report;
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Looks at all listeners once, at the same time. The reports are in the order of the checks.
pub async fn look(checks: &[Check], deadline: Instant) -> Vec<Report> {
    let mut looking = JoinSet::new();
    for (at, check) in checks.iter().cloned().enumerate() {
        looking.spawn(async move {
            let verdict = look_at(&check, deadline).await;
            (at, Report { listener: check.listener, want: check.wanted.leaf, verdict })
        });
    }
    let mut reports = looking.join_all().await;
    reports.sort_by_key(|(at, _)| *at);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// One handshake, and if it shows the new leaf, all the others; the first that does not ends it.
async fn look_at(check: &Check, deadline: Instant) -> Verdict {
    let endpoint = Arc::new(check.endpoint.clone());
    let mut seen = vec![observe(&endpoint, deadline).await];
    let is_good = |seen: &[Observation]| verify::judge(&check.wanted, seen) == Verdict::Served;
    let mut left = check.handshakes.saturating_sub(1);
    let mut under_way = JoinSet::new();
    while is_good(&seen) {
        while left > 0 && under_way.len() < AT_ONCE {
            let endpoint = Arc::clone(&endpoint);
            under_way.spawn(async move { observe(&endpoint, deadline).await });
            left -= 1;
        }
        match under_way.join_next().await {
            Some(Ok(one)) => seen.push(one),
            // A task ends early only together with this one.
            Some(Err(_)) | None => break,
        }
    }
    verify::judge(&check.wanted, &seen)
}

async fn observe(endpoint: &Endpoint, deadline: Instant) -> Observation {
    match greet(endpoint, deadline.min(Instant::now() + HANDSHAKE_WITHIN)).await {
        Ok(presented) => Observation::answered(&presented),
        Err((error, presented)) => Observation::failed(&error, &presented, chain(&error)),
    }
}

/// What was seen of one listener of a peer.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it makes of our leaf.
    pub trust: Trust,
    /// What it presented itself.
    pub presented: Presented,
}

/// Shows a peer the leaf of `endpoint`, which need not be installed, and learns whether the peer takes it.
pub async fn probe(endpoint: &Endpoint, deadline: Instant) -> Seen {
    match greet(endpoint, deadline).await {
        Ok(presented) => Seen { trust: Trust::answered(&presented), presented },
        Err((error, presented)) => {
            Seen { trust: Trust::failed(&error, &presented, chain(&error)), presented }
        }
    }
}

/// A handshake, ApiVersions and its answer; in any case what the other side presented.
async fn greet(endpoint: &Endpoint, deadline: Instant) -> Result<Presented, (AskError, Presented)> {
    let mut connection = match Connection::open(endpoint, deadline).await {
        Ok(connection) => connection,
        Err(error) => {
            let presented = error.presented().cloned().unwrap_or_default();
            return Err((error, presented));
        }
    };
    let presented = connection.presented().clone();
    match connection.api_versions().await {
        Ok(_) => {
            connection.close().await;
            Ok(presented)
        }
        Err(error) => Err((error, presented)),
    }
}

/// Has a broker or a combined node read its stores again; `endpoint` is a listener of its own, for brokers or clients.
/// An answer means that it was told to, no more.
pub async fn reload_itself(
    endpoint: &Endpoint,
    node_id: NodeId,
    key: &str,
    deadline: Instant,
) -> Result<(), TriggerError> {
    let told = async {
        let mut connection = Connection::open(endpoint, deadline).await?;
        connection.unset(node_id, key).await?;
        connection.close().await;
        Ok(())
    };
    told.await.map_err(TriggerError::Ask)
}

/// Has a dedicated controller read its stores again, by way of the active controller, which is found by asking all of
/// `controllers` at once who leads: only the leader answers. `release` is that of Kafka, where it is known.
pub async fn reload_controller(
    controllers: &[Endpoint],
    node_id: NodeId,
    key: &str,
    release: Option<KafkaVersion>,
    deadline: Instant,
) -> Result<(), TriggerError> {
    let mut asked = JoinSet::new();
    for endpoint in controllers {
        let endpoint = endpoint.clone();
        asked.spawn(async move {
            let mut connection = Connection::open(&endpoint, deadline).await?;
            connection.describe_quorum().await?;
            Ok::<_, AskError>(connection)
        });
    }
    let mut said = Vec::new();
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(mut connection)) => {
                let told = connection.unset(node_id, key).await;
                connection.close().await;
                return told.map_err(|error| TriggerError::of_controller(error, node_id, release));
            }
            Ok(Err(error)) => said.push(chain(&error)),
            // A task ends early only together with this one.
            Err(_) => {}
        }
    }
    said.sort();
    Err(TriggerError::NoActiveController { said })
}
