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
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::health::connections::io::MOST_HEADER_BYTES;
use crate::health::connections::io::MOST_HEADERS;
use crate::health::document;
use crate::health::document::DocumentError;
use crate::health::order::OrderStatus;
use crate::health::order::Wish;
use crate::health::reply::Refusal;
use crate::health::reply::Taken;
use crate::health::routes;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::kafka::address::io::dial;
use crate::kafka::ask_error::AskError;

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
    let (mut sender, connection) = http1::Builder::new()
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
