//! Takes the connections of one port and answers on each, until it is told to stop.
//!
//! There is always room for one more. Where there are too many, the one that has been idle the longest is closed: a
//! probe is answered within its second, whoever keeps connections open. A connection in the middle of an answer is
//! never closed for that.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What is sent back.
pub type Answer = Response<Full<Bytes>>;

/// Whom a request is from, as the connection says; each request has it in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller(pub IpAddr);

/// A kubelet, a Prometheus pair, some people and the peers of a change of CA, with room to spare; each costs some 10 KiB.
const MOST_CONNECTIONS: usize = 64;

/// A request is a few hundred bytes; hyper's smallest buffer is 8 KiB.
pub(crate) const MOST_HEADER_BYTES: usize = 8 * 1024;
pub(crate) const MOST_HEADERS: usize = 32;

/// How long a request may take to arrive, and a kept connection to be silent.
pub(crate) const READ_WITHIN: Duration = Duration::from_secs(5);

/// A connection is closed after this, so that one whose other end has gone, or never reads, does not stay.
const LIFE: Duration = Duration::from_secs(60);

/// What an answer that has begun gets at the end of its connection's life or of the agent's.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Before the next try where no connection could be taken, as when there are no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Where connections are taken, and how.
#[derive(Debug)]
pub struct Port {
    /// What is listened at.
    pub listener: TcpListener,
    /// The longest time that an answer may take.
    pub longest_answer: Duration,
    /// How many connections there may be.
    pub most_connections: usize,
    /// With TLS, as it is configured when a connection comes; without, where there is nothing.
    pub tls: Option<watch::Receiver<Arc<ServerConfig>>>,
}

/// What is said and heard, with TLS or without: one kind of connection, so that the server is compiled once.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

type Answerer = Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// One connection as the others see it.
struct Guest {
    task: AbortHandle,
    seat: Arc<Seat>,
}

#[derive(Default)]
struct Seat {
    is_answered: AtomicBool,
    /// The number of its last answer, or of its arrival, among all of the port.
    last: AtomicU64,
}

/// A seat while it is answered.
struct Answering {
    seat: Arc<Seat>,
    numbers: Arc<AtomicU64>,
}

/// Binds a port of all addresses: of IPv6 and IPv4 if the machine has both.
pub async fn bind_all(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        // A machine without IPv6 says so in one of several ways; a port that is taken is taken in both.
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}

/// Takes connections until `stopped` closes, and returns when the last of them has ended. An answer that `longest_answer`
/// allows for is finished though the connection's life is over; the agent's own end it outlives by a second.
pub async fn accept<A, F>(port: Port, answer: A, stopped: watch::Receiver<()>)
where
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    take(port, Arc::new(move |request| Box::pin(answer(request))), stopped).await;
}

impl Port {
    /// Without TLS, for the agent's own two ports.
    pub fn plain(listener: TcpListener, longest_answer: Duration) -> Self {
        Self { listener, longest_answer, most_connections: MOST_CONNECTIONS, tls: None }
    }
}

async fn take(port: Port, answer: Answerer, mut stopped: watch::Receiver<()>) {
    let Port { listener, longest_answer, most_connections, tls } = port;
    let mut connections = JoinSet::new();
    let mut guests = VecDeque::new();
    let numbers = Arc::new(AtomicU64::default());
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            taken = listener.accept() => match taken {
                Ok((stream, from)) if has_room(&mut guests, most_connections).await => {
                    let seat = Arc::new(Seat::default());
                    seat.last.store(numbers.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                    let (kept, numbers) = (Arc::clone(&seat), Arc::clone(&numbers));
                    let tls = tls.as_ref().map(|tls| Arc::clone(&tls.borrow()));
                    // IPv4 comes in its IPv6 dress where one socket listens for both.
                    let caller = Caller(from.ip().to_canonical());
                    let wire = (stream, tls, caller);
                    let connection = connection(wire, longest_answer, Arc::clone(&answer), (kept, numbers), stopped.clone());
                    guests.push_back(Guest { task: connections.spawn(connection), seat });
                }
                // All are in the middle of an answer.
                Ok(_) => {}
                // The other end has gone again, or there are no file descriptors left.
                Err(_) => sleep(ACCEPT_AGAIN).await,
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Makes room where there is none, if anybody is idle.
async fn has_room(guests: &mut VecDeque<Guest>, most: usize) -> bool {
    if guests.len() >= most {
        // Those that have just come, and have sent their request already, are answered first.
        yield_now().await;
        guests.retain(|one| !one.task.is_finished());
    }
    if guests.len() < most {
        return true;
    }
    let idle = guests.iter().enumerate().filter(|(_, one)| !one.seat.is_answered.load(Ordering::Relaxed));
    let longest = idle.min_by_key(|(_, one)| one.seat.last.load(Ordering::Relaxed)).map(|(index, _)| index);
    match longest.and_then(|index| guests.remove(index)) {
        Some(guest) => {
            guest.task.abort();
            true
        }
        None => false,
    }
}

async fn connection(
    (stream, tls, caller): (TcpStream, Option<Arc<ServerConfig>>, Caller),
    longest_answer: Duration,
    answer: Answerer,
    (seat, numbers): (Arc<Seat>, Arc<AtomicU64>),
    mut stopped: watch::Receiver<()>,
) {
    let Some(wire) = wire(stream, tls).await else { return };
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller);
        let answering = Answering::begin(&seat, &numbers);
        let answer = answer(request);
        async move {
            let answer = answer.await;
            drop(answering);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_WITHIN)
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(wire), service);
    let mut connection = pin!(connection);
    let mut last_words = LAST_WORDS;
    tokio::select! {
        // What went wrong with a connection is its other end's to know.
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
        () = sleep(LIFE) => if seat.is_answered.load(Ordering::Relaxed) {
            last_words += longest_answer;
        }
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = timeout(last_words, connection.as_mut()) => return,
        _ = stopped.changed(), if last_words > LAST_WORDS => {}
    }
    let _ = timeout(LAST_WORDS, connection).await;
}

/// `None` where the other end speaks no TLS, or not in time.
async fn wire(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Option<Wire> {
    let Some(tls) = tls else { return Some(Wire::Plain(stream)) };
    // An answer is one write; without this the last packet of a handshake waits for the one before.
    let _ = stream.set_nodelay(true);
    let accepted = timeout(READ_WITHIN, TlsAcceptor::from(tls).accept(stream)).await;
    accepted.ok()?.ok().map(|stream| Wire::Tls(Box::new(stream)))
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

impl Answering {
    fn begin(seat: &Arc<Seat>, numbers: &Arc<AtomicU64>) -> Self {
        seat.is_answered.store(true, Ordering::Relaxed);
        Self { seat: Arc::clone(seat), numbers: Arc::clone(numbers) }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.seat.last.store(self.numbers.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.seat.is_answered.store(false, Ordering::Relaxed);
    }
}
