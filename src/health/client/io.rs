//! One question to an agent, on a connection of its own, and the answer. Whoever is at the other end is not trusted:
//! what it sends is bounded, and so is its time.

use std::fmt;
use std::pin::pin;

use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::health::client::way::Way;
use crate::health::connections::io::MOST_HEADER_BYTES;
use crate::health::connections::io::MOST_HEADERS;
use crate::health::document;
use crate::health::document::DocumentError;
use crate::health::order::OrderStatus;
use crate::health::order::Wish;
use crate::health::probe::Probe;
use crate::health::reply::Refusal;
use crate::health::reply::Taken;
use crate::health::routes;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::kafka::address::io::dial;
use crate::kafka::ask_error::AskError;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::forward::io::Forward;

/// A question to an agent that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No address, or a name that does not resolve, or nobody listens.
    #[error("no agent is there, or it cannot be reached")]
    Unreachable(#[source] AskError),
    /// The API server says that its pod does not run, so nobody was asked.
    #[error("the agent does not run: {0}")]
    NotRunning(Text),
    /// The API server does not forward the port.
    #[error("{address} is not forwarded")]
    NotForwarded {
        /// Where we asked.
        address: String,
        /// Why not.
        #[source]
        source: ApiError,
    },
    /// The port is forwarded, and nobody is behind it.
    #[error("{address} does not answer: {what}")]
    NobodyBehind {
        /// Where we asked.
        address: String,
        /// What the kubelet says.
        what: Text,
    },
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
            Self::Unreachable(_) | Self::NobodyBehind { .. } => "AgentUnreachable",
            Self::NotRunning(_) => "AgentDoesNotRun",
            Self::NotForwarded { .. } => "PortNotForwarded",
            Self::TimedOut { .. } => "AgentDoesNotAnswer",
            Self::NotAnAgent { .. } => "NotAnAgent",
            Self::Refused { .. } => "AgentRefuses",
            Self::Unreadable { source, .. } => source.reason(),
        }
    }

    /// Whether it may pass if it is asked again.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut { .. }
            | Self::NotRunning(_)
            | Self::NobodyBehind { .. } => true,
            // Rights do not come by themselves, though the API server's client hopes so for those of a pod.
            Self::NotForwarded { source: ApiError::Refused { code, .. }, .. } => *code != 403,
            Self::NotForwarded { source, .. } => source.may_pass(),
            // An order that a former agent took may be given again.
            Self::Refused { status, .. } => *status >= 500 || *status == StatusCode::GONE.as_u16(),
            Self::NotAnAgent { .. } | Self::Unreadable { .. } => false,
        }
    }
}

/// What the agent at the end of `way` (its read port) says of its node. All of it ends at `deadline`.
pub async fn status_of(way: &Way, deadline: Instant) -> Result<Snapshot, AgentError> {
    let body = ask(way, Method::GET, "/v1/status", String::new(), deadline).await?;
    document::parse(&body).map_err(|source| AgentError::Unreadable { address: way.to_string(), source })
}

/// Whether the agent at the end of `way` (its read port) says that its own loops turn. All of it ends at `deadline`.
pub async fn is_live(way: &Way, deadline: Instant) -> Result<(), AgentError> {
    ask(way, Method::GET, Probe::Livez.path(), String::new(), deadline).await.map(drop)
}

/// Whether the agent at the end of `way` (its read port) says that its node may stop now; else what holds it
/// back. All of it ends at `deadline`.
pub async fn may_stop(way: &Way, deadline: Instant) -> Result<Result<(), Text>, AgentError> {
    let path = Probe::SafeToStop.path();
    let (status, body) = exchange_once(way, Method::GET, path, String::new(), deadline).await?;
    if !matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE) {
        return Err(refusal(way, status, &body));
    }
    document::parse_stop(&body).map_err(|source| AgentError::Unreadable { address: way.to_string(), source })
}

/// Gives an order to the agent at the end of `way` (its orders port), and gives back the number under which it was taken.
pub async fn give(way: &Way, wish: &Wish, deadline: Instant) -> Result<u64, AgentError> {
    let body = ask(way, Method::POST, wish.path(), wish.body().to_string(), deadline).await?;
    let taken: Result<Taken, _> = serde_json::from_slice(&body);
    taken.map(|taken| taken.order).map_err(|error| not_an_agent(way, error))
}

/// What has become of an order that the agent at the end of `way` (its orders port) has taken.
pub async fn status_of_order(way: &Way, number: u64, deadline: Instant) -> Result<OrderStatus, AgentError> {
    let path = format!("{}{number}", routes::ORDERS);
    let body = ask(way, Method::GET, &path, String::new(), deadline).await?;
    document::parse_order(&body).map_err(|source| AgentError::Unreadable { address: way.to_string(), source })
}

/// The body of an answer that is a success.
async fn ask(
    way: &Way,
    method: Method,
    path: &str,
    body: String,
    deadline: Instant,
) -> Result<Bytes, AgentError> {
    let (status, body) = exchange_once(way, method, path, body, deadline).await?;
    if status.is_success() { Ok(body) } else { Err(refusal(way, status, &body)) }
}

/// One request on a connection of its own, and the answer.
async fn exchange_once(
    way: &Way,
    method: Method,
    path: &str,
    body: String,
    deadline: Instant,
) -> Result<(StatusCode, Bytes), AgentError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, way.host())
        .header(routes::ORDER_HEADER, routes::ORDER_HEADER_VALUE)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| not_an_agent(way, error))?;
    let answer = match way {
        Way::Closed { why, .. } => return Err(AgentError::NotRunning(why.clone())),
        Way::Dialled(address) => {
            let stream = dial(address, deadline).await.map_err(AgentError::Unreachable)?;
            timeout_at(deadline, exchange(way, stream, request)).await
        }
        Way::Forwarded { api, pod, port } => {
            let forwarded = async {
                let opened = api.forward(pod, *port).await;
                let not_forwarded = |source| AgentError::NotForwarded { address: way.to_string(), source };
                let Forward { stream, refusal } = opened.map_err(not_forwarded)?;
                match exchange(way, stream, request).await {
                    Ok(answer) => Ok(answer),
                    Err(error) => Err(match refusal.reason().await {
                        Some(reason) => {
                            AgentError::NobodyBehind { address: way.to_string(), what: Text::new(reason) }
                        }
                        None => error,
                    }),
                }
            };
            timeout_at(deadline, forwarded).await
        }
    };
    answer.unwrap_or_else(|_| Err(AgentError::TimedOut { address: way.to_string() }))
}

fn refusal(way: &Way, status: StatusCode, body: &[u8]) -> AgentError {
    let status = status.as_u16();
    match serde_json::from_slice(body) {
        Ok(Refusal { reason, message }) => AgentError::Refused {
            address: way.to_string(),
            status,
            word: Text::new(reason),
            message: Text::new(message),
        },
        Err(_) => not_an_agent(way, format_args!("status {status}")),
    }
}

async fn exchange(
    way: &Way,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), AgentError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| not_an_agent(way, error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| not_an_agent(way, error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), document::MOST_BYTES).collect().await;
        let body = body.map_err(|error| not_an_agent(way, error))?;
        Ok((status, body.to_bytes()))
    };
    let mut exchange = pin!(exchange);
    tokio::select! {
        answer = exchange.as_mut() => answer,
        // What the connection brought before it ended may still be a whole answer.
        _ = connection => exchange.await,
    }
}

fn not_an_agent(way: &Way, what: impl fmt::Display) -> AgentError {
    AgentError::NotAnAgent { address: way.to_string(), what: Text::new(what) }
}
