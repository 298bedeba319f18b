//! The agent's HTTP: two ports, served from memory, and the questions that commands and other agents ask there.
//!
//! Nothing here waits for anything but the network: an answer is the newest snapshot, an order is put into a queue
//! and told its number. The one exception is the call before a stop, whose purpose is to wait. Whoever is at the other
//! end is not trusted: headers, bodies, connections and their lives are bounded.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::header;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::health::address::Bound;
use crate::health::check::Checks;
use crate::health::connections::io as connections;
use crate::health::connections::io::Answer;
use crate::health::connections::io::MOST_HEADER_BYTES;
use crate::health::connections::io::MOST_HEADERS;
use crate::health::connections::io::READ_WITHIN;
use crate::health::document;
use crate::health::document::DocumentError;
use crate::health::latency::Latencies;
use crate::health::metrics;
use crate::health::metrics::Process;
use crate::health::order::Order;
use crate::health::order::Wish;
use crate::health::order::WishError;
use crate::health::page;
use crate::health::prestop;
use crate::health::prestop::io as prestop_io;
use crate::health::probe;
use crate::health::probe::Probe;
use crate::health::pulse::Pulse;
use crate::health::routes;
use crate::health::routes::Door;
use crate::health::routes::NotAnswered;
use crate::health::routes::Route;
use crate::health::snapshot::OrderState;
use crate::health::snapshot::OrderStatus;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::health::text::rfc3339;
use crate::kafka::address::io::dial;
use crate::kafka::ask_error::AskError;

/// The two ports, bound.
#[derive(Debug)]
pub struct Listeners {
    /// Status, metrics and probes.
    pub read: TcpListener,
    /// Orders.
    pub orders: TcpListener,
}

/// An order is a name in braces.
const MOST_ORDER_BYTES: usize = 4 * 1024;

/// A kubelet calls once; others wait with it, up to so many. What they hold is a connection each.
const MOST_PRESTOPS: usize = 16;

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What is served, and who is told.
#[derive(Debug)]
pub struct Serving {
    /// What every answer is made from.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where orders go; one that finds no room there is refused.
    pub orders: mpsc::Sender<Order>,
    /// The beats of the agent's loops.
    pub pulse: Pulse,
    /// Told whenever somebody calls who is about to stop this node.
    pub stops: Arc<Notify>,
    /// How long such a caller waits for an answer at most.
    pub prestop_within: Duration,
}

struct Shared {
    serving: Serving,
    latencies: Latencies,
    prestops: Semaphore,
    first_order: u64,
    next_order: AtomicU64,
}

/// The answer to an order that was taken.
#[derive(Serialize, Deserialize)]
struct Taken {
    order: u64,
}

/// The answer to a request that is refused.
#[derive(Serialize, Deserialize)]
struct Refusal {
    reason: String,
    message: String,
}

/// A question to an agent that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No address, or a name that does not resolve, or nobody listens.
    #[error("no agent is there, or it cannot be reached")]
    Unreachable(#[source] AskError),
    /// No whole answer before the deadline.
    #[error("{address} does not answer in time")]
    TimedOut {
        /// Where we asked.
        address: String,
    },
    /// What came is not HTTP, is too long or breaks off.
    #[error("{address} does not answer as an agent does: {what}")]
    NotAnAgent {
        /// Where we asked.
        address: String,
        /// What was wrong.
        what: Text,
    },
    /// It answers, and does not do it.
    #[error("{address} refuses: {message} [{word}]")]
    Refused {
        /// Where we asked.
        address: String,
        /// HTTP's number for it.
        status: u16,
        /// Its reason.
        word: Text,
        /// The same for a person.
        message: Text,
    },
    /// It answers, and the status cannot be read.
    #[error("the answer of {address} cannot be read")]
    Unreadable {
        /// Where we asked.
        address: String,
        /// What is wrong with it.
        #[source]
        source: DocumentError,
    },
}

impl AgentError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "AgentUnreachable",
            Self::TimedOut { .. } => "AgentDoesNotAnswer",
            Self::NotAnAgent { .. } => "NotAnAgent",
            Self::Refused { .. } => "AgentRefuses",
            Self::Unreadable { source, .. } => source.reason(),
        }
    }

    /// Whether it may pass if it is asked again.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut { .. } => true,
            // An order that a former agent took may be given again.
            Self::Refused { status, .. } => *status >= 500 || *status == StatusCode::GONE.as_u16(),
            Self::NotAnAgent { .. } | Self::Unreadable { .. } => false,
        }
    }
}

/// Binds both ports. Where the read port is for all addresses, those are of IPv6 and IPv4 if the machine has both.
pub async fn listen(bound: &Bound) -> io::Result<Listeners> {
    let read = match bound.read {
        Some(ip) => TcpListener::bind((ip, bound.read_port)).await?,
        None => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, bound.read_port)).await {
            Ok(listener) => listener,
            // A machine without IPv6 says so in one of several ways; a port that is taken is taken in both.
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, bound.read_port)).await?,
        },
    };
    Ok(Listeners { read, orders: TcpListener::bind(bound.orders).await? })
}

/// Serves both ports until `shutdown` is ready; then answers in progress are finished, within a second.
///
/// The numbers of orders begin with the milliseconds at which the agent began, so that no number comes again after a
/// restart.
pub async fn serve(listeners: Listeners, serving: Serving, shutdown: impl Future<Output = ()>) {
    let began = serving.snapshots.borrow().agent.started_at;
    let began = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let first_order = u64::try_from(began.as_millis()).unwrap_or_default();
    let longest_answer = serving.prestop_within.max(READ_WITHIN);
    let shared = Arc::new(Shared {
        serving,
        latencies: Latencies::default(),
        prestops: Semaphore::new(MOST_PRESTOPS),
        first_order,
        next_order: AtomicU64::new(first_order),
    });
    let (stop, stopped) = watch::channel(());
    let end = async move {
        shutdown.await;
        drop(stop);
    };
    let at = |door| {
        let shared = Arc::clone(&shared);
        move |request| answer(door, Arc::clone(&shared), request)
    };
    tokio::join!(
        connections::accept(listeners.read, longest_answer, at(Door::Read), stopped.clone()),
        connections::accept(listeners.orders, longest_answer, at(Door::Orders), stopped),
        end,
    );
}

async fn answer(door: Door, shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let shared = shared.as_ref();
    match routes::route(door, &head.method, head.uri.path(), &head.headers) {
        Ok(Route::Probe(probe)) => probed(shared, probe, routes::is_verbose(head.uri.query())),
        Ok(Route::Prestop) => prestop(shared).await,
        Ok(Route::Renew) => take(shared, body, Wish::renew).await,
        Ok(Route::ForgetOldTrust) => take(shared, body, Wish::forget_old_trust).await,
        Ok(Route::Page) => page_of(&shared.serving.snapshots.borrow()),
        Ok(Route::Status) => text(StatusCode::OK, JSON, document::render(&shared.serving.snapshots.borrow())),
        Ok(Route::Metrics) => {
            let snapshot = Arc::clone(&shared.serving.snapshots.borrow());
            let probes = Probe::ALL.map(|probe| (probe, shared.latencies.histogram(probe)));
            let process = Process { now: SystemTime::now(), resident_bytes: resident_bytes(), probes };
            text(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(snapshot, process))
        }
        Ok(Route::OrderStatus(number)) => order_status(shared, number),
        Err(why) => not_answered(why),
    }
}

/// From memory, and counted: how long it took includes the text, not the network.
fn probed(shared: &Shared, probe: Probe, verbose: bool) -> Answer {
    let began = Instant::now();
    let snapshot = shared.serving.snapshots.borrow();
    let plain = |checks: &Checks<'_>| {
        text(status_of_checks(checks), PLAIN, if verbose { checks.verbose() } else { checks.brief() })
    };
    let answer = match probe {
        Probe::Startupz => plain(&probe::startupz(&snapshot)),
        Probe::Livez => plain(&probe::livez(&shared.serving.pulse, began.into_std())),
        Probe::Readyz => plain(&probe::readyz(&snapshot, SystemTime::now())),
        Probe::SafeToStop => {
            let checks = probe::safe_to_stop(&snapshot, SystemTime::now());
            let failed: Vec<_> =
                checks.all.iter().filter(|one| !one.ok).map(|one| one.sentence.as_ref()).collect();
            let sentence =
                if failed.is_empty() { "this node may stop".to_owned() } else { failed.join("; ") };
            let body = document::render_stop(checks.passes(), &sentence, snapshot.stop.as_ref());
            text(status_of_checks(&checks), JSON, body)
        }
    };
    drop(snapshot);
    shared.latencies.took(probe, began.elapsed());
    answer
}

fn status_of_checks(checks: &Checks<'_>) -> StatusCode {
    if checks.passes() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Says that the node is about to stop, and answers when it may, or when its time is up. Kafka is stopped then, whatever
/// the answer is; so it is a success, and says what was not awaited.
async fn prestop(shared: &Shared) -> Answer {
    let Ok(_waiting) = shared.prestops.try_acquire() else {
        let message = format!("{MOST_PRESTOPS} others wait already for this node to stop");
        return refused(StatusCode::SERVICE_UNAVAILABLE, "TooManyStops", &message);
    };
    let serving = &shared.serving;
    let called_at = SystemTime::now();
    serving.stops.notify_one();
    let (waited, snapshot) = prestop_io::wait(&serving.snapshots, called_at, serving.prestop_within).await;
    let stop = snapshot.stop.as_ref();
    let safe = prestop::is_safe(waited, stop);
    let body = document::render_stop(safe, &prestop::sentence(waited, stop), stop);
    text(StatusCode::OK, JSON, body)
}

fn page_of(snapshot: &Snapshot) -> Answer {
    let mut answer = text(StatusCode::OK, page::CONTENT_TYPE, page::render(snapshot, SystemTime::now()));
    let policy = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}

fn not_answered(why: NotAnswered) -> Answer {
    let mut answer = refused(why.status(), why.reason(), &why);
    if let NotAnswered::MethodNotAllowed(method) = why {
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(method));
    }
    answer
}

/// Reads an order and puts it into the queue.
async fn take(shared: &Shared, body: Incoming, read: fn(&[u8]) -> Result<Wish, WishError>) -> Answer {
    let whole = timeout(READ_WITHIN, Limited::new(body, MOST_ORDER_BYTES).collect()).await;
    let Ok(Ok(body)) = whole else {
        let message = format!("the order did not arrive; want at most {MOST_ORDER_BYTES} bytes, in time");
        return refused(StatusCode::BAD_REQUEST, "OrderUnreadable", &message);
    };
    let wish = match read(&body.to_bytes()) {
        Ok(wish) => wish,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.reason(), &error),
    };
    if let Some(name) = wish.certificate() {
        let snapshot = shared.serving.snapshots.borrow();
        if snapshot.certificates.iter().all(|one| one.name != *name) {
            let message = format!("node {} has no certificate {name}", snapshot.node.pod);
            return refused(StatusCode::NOT_FOUND, "CertificateUnknown", &message);
        }
    }
    let number = shared.next_order.fetch_add(1, Ordering::Relaxed);
    match shared.serving.orders.try_send(Order { number, wish }) {
        Ok(()) => json(StatusCode::ACCEPTED, &Taken { order: number }),
        Err(TrySendError::Full(_)) => {
            let message = "the agent has more orders than it can take; ask again later";
            refused(StatusCode::SERVICE_UNAVAILABLE, "TooManyOrders", &message)
        }
        Err(TrySendError::Closed(_)) => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "AgentStops", &"the agent is about to stop")
        }
    }
}

/// What has become of an order: as the driver says, or, where it has not said anything yet, that it was taken.
fn order_status(shared: &Shared, number: u64) -> Answer {
    let snapshot = shared.serving.snapshots.borrow();
    if let Some(order) = snapshot.orders.iter().find(|order| order.number == number) {
        return text(StatusCode::OK, JSON, document::render_order(order));
    }
    let was_given = (shared.first_order..shared.next_order.load(Ordering::Relaxed)).contains(&number);
    let is_forgotten = snapshot.orders.iter().any(|order| order.number > number);
    if !was_given || is_forgotten {
        let message = format!(
            "nothing is known of order {number}; the agent began at {}",
            rfc3339(snapshot.agent.started_at)
        );
        return refused(StatusCode::GONE, "OrderUnknown", &message);
    }
    let order = OrderStatus {
        number,
        at: snapshot.at,
        state: OrderState::Running,
        reason: Word::of("Taken"),
        sentence: Text::new("the order was taken and has not begun"),
    };
    text(StatusCode::OK, JSON, document::render_order(&order))
}

/// The memory of this process that is resident, as the kernel says without asking any disk.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

fn refused(status: StatusCode, reason: &str, message: &dyn fmt::Display) -> Answer {
    json(status, &Refusal { reason: reason.to_owned(), message: message.to_string() })
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // Both shapes are texts and numbers, which always have a form in JSON.
    text(status, JSON, serde_json::to_string_pretty(value).unwrap_or_default() + "\n")
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// What the agent at `address` (`host:port`, its read port) says of its node. All of it ends at `deadline`.
pub async fn status_of(address: &str, deadline: Instant) -> Result<Snapshot, AgentError> {
    let body = ask(address, Method::GET, "/v1/status", String::new(), deadline).await?;
    document::parse(&body).map_err(|source| AgentError::Unreadable { address: address.to_owned(), source })
}

/// Whether the agent at `address` (its read port) says that its own loops turn. All of it ends at `deadline`.
pub async fn is_live(address: &str, deadline: Instant) -> Result<(), AgentError> {
    ask(address, Method::GET, "/livez", String::new(), deadline).await.map(drop)
}

/// Gives an order to the agent at `address` (its orders port), and gives back the number under which it was taken.
pub async fn give(address: &str, wish: &Wish, deadline: Instant) -> Result<u64, AgentError> {
    let body = ask(address, Method::POST, wish.path(), wish.body().to_string(), deadline).await?;
    let taken: Result<Taken, _> = serde_json::from_slice(&body);
    taken.map(|taken| taken.order).map_err(|error| not_an_agent(address, error))
}

/// What has become of an order that the agent at `address` (its orders port) has taken.
pub async fn status_of_order(
    address: &str,
    number: u64,
    deadline: Instant,
) -> Result<OrderStatus, AgentError> {
    let path = format!("{}{number}", routes::ORDERS);
    let body = ask(address, Method::GET, &path, String::new(), deadline).await?;
    document::parse_order(&body)
        .map_err(|source| AgentError::Unreadable { address: address.to_owned(), source })
}

/// One request on a connection of its own, and the body of an answer that is a success.
async fn ask(
    address: &str,
    method: Method,
    path: &str,
    body: String,
    deadline: Instant,
) -> Result<Bytes, AgentError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address)
        .header(routes::ORDER_HEADER, routes::ORDER_HEADER_VALUE)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| not_an_agent(address, error))?;
    let stream = dial(address, deadline).await.map_err(AgentError::Unreachable)?;
    let (status, body) = match timeout_at(deadline, exchange(address, stream, request)).await {
        Ok(answer) => answer?,
        Err(_) => return Err(AgentError::TimedOut { address: address.to_owned() }),
    };
    if status.is_success() {
        return Ok(body);
    }
    let Refusal { reason, message } = serde_json::from_slice(&body)
        .map_err(|_| not_an_agent(address, format_args!("status {}", status.as_u16())))?;
    Err(AgentError::Refused {
        address: address.to_owned(),
        status: status.as_u16(),
        word: Text::new(reason),
        message: Text::new(message),
    })
}

async fn exchange(
    address: &str,
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), AgentError> {
    let (mut sender, connection) = client::Builder::new()
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| not_an_agent(address, error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| not_an_agent(address, error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), document::MOST_BYTES).collect().await;
        let body = body.map_err(|error| not_an_agent(address, error))?;
        Ok((status, body.to_bytes()))
    };
    let mut exchange = pin!(exchange);
    tokio::select! {
        answer = exchange.as_mut() => answer,
        // What the connection brought before it ended may still be a whole answer.
        _ = connection => exchange.await,
    }
}

fn not_an_agent(address: &str, what: impl fmt::Display) -> AgentError {
    AgentError::NotAnAgent { address: address.to_owned(), what: Text::new(what) }
}
