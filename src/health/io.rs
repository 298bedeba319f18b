//! The agent's HTTP: two ports, served from memory.
//!
//! Nothing here waits for anything but the network: an answer is the newest snapshot, an order is put into a queue
//! and told its number. The one exception is the call before a stop, whose purpose is to wait. Whoever is at the other
//! end is not trusted: headers, bodies, connections and their lives are bounded.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header;
use hyper::header::HeaderValue;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::health::address::Bound;
use crate::health::check::Checks;
use crate::health::connections::io as connections;
use crate::health::connections::io::Answer;
use crate::health::connections::io::Port;
use crate::health::connections::io::READ_WITHIN;
use crate::health::document;
use crate::health::latency::Latencies;
use crate::health::metrics;
use crate::health::metrics::Process;
use crate::health::order::Order;
use crate::health::order::OrderState;
use crate::health::order::OrderStatus;
use crate::health::order::Wish;
use crate::health::order::WishError;
use crate::health::page;
use crate::health::prestop;
use crate::health::prestop::io as prestop_io;
use crate::health::probe;
use crate::health::probe::Probe;
use crate::health::pulse::Pulse;
use crate::health::reply::Refusal;
use crate::health::reply::Taken;
use crate::health::routes;
use crate::health::routes::Door;
use crate::health::routes::NotAnswered;
use crate::health::routes::Route;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::health::text::rfc3339;

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

/// Binds both ports.
pub async fn listen(bound: &Bound) -> io::Result<Listeners> {
    let read = match bound.read {
        Some(ip) => TcpListener::bind((ip, bound.read_port)).await?,
        None => connections::bind_all(bound.read_port).await?,
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
        connections::accept(Port::plain(listeners.read, longest_answer), at(Door::Read), stopped.clone()),
        connections::accept(Port::plain(listeners.orders, longest_answer), at(Door::Orders), stopped),
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
