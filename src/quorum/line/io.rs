//! Asks again and again on one connection, for a handshake each second would cost both sides more than everything else the
//! agent does. One that breaks is made anew at once; one that cannot be made is tried again after a pause that grows, and
//! until then the answer stays what it was.

use std::time::Duration;

use tokio::time::Instant;

use crate::kafka::ask_error::AskError;
use crate::kafka::connection::io::Connection;
use crate::kafka::endpoint::Endpoint;

/// A connection that is kept, and what is said while none can be made.
pub struct Line<T> {
    connection: Option<Connection>,
    /// No new connection before this.
    pause: Option<Pause<T>>,
}

struct Pause<T> {
    until: Instant,
    length: Duration,
    answer: T,
}

/// The pause after a connection that could not be made, and the longest it grows to: sooner than an election may take,
/// and not so often that the log of a peer that refuses us fills up.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { connection: None, pause: None }
    }
}

impl<T: Clone> Line<T> {
    /// Asks one question of whoever is at `endpoint`, and gives what `answer` makes of how that ended. All of it ends at
    /// `deadline`.
    pub async fn ask<R>(
        &mut self,
        endpoint: &Endpoint,
        deadline: Instant,
        question: impl AsyncFn(&mut Connection) -> Result<R, AskError>,
        answer: impl Fn(Result<R, AskError>) -> T,
    ) -> T {
        if let Some(mut connection) = self.connection.take() {
            connection.until(deadline);
            match question(&mut connection).await {
                // Kafka ends connections in peace as well: by its end, and after ten minutes of silence.
                Err(AskError::Ended { .. }) => {}
                said => return self.keep(connection, said, answer),
            }
        }
        if let Some(pause) = self.pause.as_ref().filter(|pause| Instant::now() < pause.until) {
            return pause.answer.clone();
        }
        match Connection::open(endpoint, deadline).await {
            Ok(mut connection) => {
                let said = question(&mut connection).await;
                self.keep(connection, said, answer)
            }
            Err(error) => self.wait(answer(Err(error))),
        }
    }

    /// Keeps a connection that has answered, whatever it said.
    fn keep<R>(
        &mut self,
        connection: Connection,
        said: Result<R, AskError>,
        answer: impl Fn(Result<R, AskError>) -> T,
    ) -> T {
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

    fn wait(&mut self, answer: T) -> T {
        let before = self.pause.take().map(|pause| pause.length.saturating_mul(2).min(LONGEST_PAUSE));
        let length = before.unwrap_or(FIRST_PAUSE);
        self.pause = Some(Pause { until: Instant::now() + length, length, answer: answer.clone() });
        answer
    }
}
