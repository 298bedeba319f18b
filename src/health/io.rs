//! The agent's HTTP: two ports, served from memory, and the questions that commands and other agents ask there.
//!
//! Nothing here waits for anything but the network: an answer is the newest snapshot, an order is put into a queue
//! and told its number. Whoever is at the other end is not trusted: headers, bodies, connections and their lives are
//! bounded.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
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
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use serde_json::Value as Json;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::health::order::Order;
use crate::health::order::Wish;
use crate::health::order::WishError;
use crate::health::routes;
use crate::health::routes::Door;
use crate::health::routes::NotAnswered;
use crate::health::routes::Route;
use crate::health::snapshot::Snapshot;

/// The two ports, bound.
#[derive(Debug)]
pub struct Listeners {
    /// Status, metrics and probes.
    pub read: TcpListener,
    /// Orders.
    pub orders: TcpListener,
}

/// A kubelet, a Prometheus pair, some people and the peers of a change of CA, with room to spare; each costs some 10 KiB.
const MOST_CONNECTIONS: usize = 64;

/// A request is a few hundred bytes; hyper's smallest buffer is 8 KiB.
const MOST_HEADER_BYTES: usize = 8 * 1024;
const MOST_HEADERS: usize = 32;

/// An order is a name in braces.
const MOST_ORDER_BYTES: usize = 4 * 1024;

/// How long a request may take to arrive, and a kept connection to be silent.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// A connection is closed after this, so that one whose other end has gone, or never reads, does not stay.
const LIFE: Duration = Duration::from_secs(60);

/// What an answer that has begun gets at the end of its connection's life or of the agent's.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Before the next try where no connection could be taken, as when there are no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What every answer is made from.
struct Shared {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    orders: mpsc::Sender<Order>,
    next_order: AtomicU64,
}

/// Serves both ports until `shutdown` is ready; then answers in progress are finished, within a second.
///
/// Orders go into `orders`; one that finds no room there is refused. Their numbers begin with the milliseconds at
/// which the agent began, so that no number comes again after a restart.
pub async fn serve(
    listeners: Listeners,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    orders: mpsc::Sender<Order>,
    shutdown: impl Future<Output = ()>,
) {
    let began =
        snapshots.borrow().agent.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let next_order = AtomicU64::new(u64::try_from(began.as_millis()).unwrap_or_default());
    let shared = Arc::new(Shared { snapshots, orders, next_order });
    let (stop, stopped) = watch::channel(());
    let end = async move {
        shutdown.await;
        drop(stop);
    };
    tokio::join!(
        accept(listeners.read, Door::Read, &shared, stopped.clone()),
        accept(listeners.orders, Door::Orders, &shared, stopped),
        end,
    );
}

/// Takes connections until `stopped` closes, and returns when the last of them has ended.
async fn accept(listener: TcpListener, door: Door, shared: &Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            taken = listener.accept(), if connections.len() < MOST_CONNECTIONS => match taken {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, door, Arc::clone(shared), stopped.clone()));
                }
                // The other end has gone again, or there are no file descriptors left.
                Err(_) => sleep(ACCEPT_AGAIN).await,
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, door: Door, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let service = service_fn(|request| answer(door, &shared, request));
    let connection = server::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_WITHIN)
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // What went wrong with a connection is its other end's to know.
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
        () = sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_WORDS, connection).await;
}

type Answer = Response<Full<Bytes>>;

async fn answer(door: Door, shared: &Shared, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    Ok(match routes::route(door, &head.method, head.uri.path(), &head.headers) {
        Ok(Route::Livez) => text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned()),
        Ok(Route::Renew) => take(shared, body, Wish::renew).await,
        Ok(Route::ForgetOldTrust) => take(shared, body, Wish::forget_old_trust).await,
        Ok(Route::Status | Route::Metrics | Route::OrderStatus(_)) => {
            refused(StatusCode::NOT_FOUND, "NotFound", &"not there")
        }
        Err(why) => not_answered(why),
    })
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
        let snapshot = shared.snapshots.borrow();
        if snapshot.certificates.iter().all(|one| one.name != *name) {
            let message = format!("node {} has no certificate {name}", snapshot.node.pod);
            return refused(StatusCode::NOT_FOUND, "CertificateUnknown", &message);
        }
    }
    let number = shared.next_order.fetch_add(1, Ordering::Relaxed);
    match shared.orders.try_send(Order { number, wish }) {
        Ok(()) => json(StatusCode::ACCEPTED, &json!({ "order": number })),
        Err(TrySendError::Full(_)) => {
            let message = "the agent has more orders than it can take; ask again later";
            refused(StatusCode::SERVICE_UNAVAILABLE, "TooManyOrders", &message)
        }
        Err(TrySendError::Closed(_)) => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "AgentStops", &"the agent is about to stop")
        }
    }
}

fn refused(status: StatusCode, reason: &str, message: &dyn fmt::Display) -> Answer {
    json(status, &json!({ "reason": reason, "message": message.to_string() }))
}

fn json(status: StatusCode, value: &Json) -> Answer {
    text(status, "application/json", format!("{value:#}\n"))
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
