//! Takes the connections of one port and answers on each, until it is told to stop.
//!
//! There is always room for one more. Where there are too many, the one that has been idle the longest is closed: a
//! probe is answered within its second, whoever keeps connections open. A connection in the middle of an answer is
//! never closed for that.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
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
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio::time::timeout;

/// What is sent back.
pub type Answer = Response<Full<Bytes>>;

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

/// Takes connections until `stopped` closes, and returns when the last of them has ended. An answer that `longest_answer`
/// allows for is finished though the connection's life is over; the agent's own end it outlives by a second.
pub async fn accept<A, F>(
    listener: TcpListener,
    longest_answer: Duration,
    answer: A,
    mut stopped: watch::Receiver<()>,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut guests = VecDeque::new();
    let numbers = Arc::new(AtomicU64::default());
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            taken = listener.accept() => match taken {
                Ok((stream, _)) if has_room(&mut guests).await => {
                    let seat = Arc::new(Seat::default());
                    seat.last.store(numbers.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                    let (kept, numbers) = (Arc::clone(&seat), Arc::clone(&numbers));
                    let connection = connection(stream, longest_answer, answer.clone(), (kept, numbers), stopped.clone());
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
async fn has_room(guests: &mut VecDeque<Guest>) -> bool {
    if guests.len() >= MOST_CONNECTIONS {
        // Those that have just come, and have sent their request already, are answered first.
        yield_now().await;
        guests.retain(|one| !one.task.is_finished());
    }
    if guests.len() < MOST_CONNECTIONS {
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

async fn connection<F: Future<Output = Answer> + Send>(
    stream: TcpStream,
    longest_answer: Duration,
    answer: impl Fn(Request<Incoming>) -> F,
    (seat, numbers): (Arc<Seat>, Arc<AtomicU64>),
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(|request| {
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
        .serve_connection(TokioIo::new(stream), service);
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
