//! What else this room has of the world: one question to one controller, and random ids.

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;
use tokio::time::Instant;

use crate::kafka::ask_error::AskError;
use crate::kafka::connection::io::Connection;
use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::uuid::ClusterId;
use crate::kafka::uuid::DirectoryId;

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random numbers")]
pub struct RandomError;

impl RandomError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "NoRandomNumbers"
    }
}

/// Asks a listener how the quorum is. All of it, the resolver included, ends at `deadline`.
pub async fn describe_quorum(endpoint: &Endpoint, deadline: Instant) -> Result<QuorumInfo, AskError> {
    let mut connection = Connection::open(endpoint, deadline).await?;
    let answer = connection.describe_quorum().await;
    connection.close().await;
    answer
}

/// A fresh cluster id.
pub fn random_cluster_id() -> Result<ClusterId, RandomError> {
    draw(ClusterId::from_random)
}

/// A fresh directory id.
pub fn random_directory_id() -> Result<DirectoryId, RandomError> {
    draw(DirectoryId::from_random)
}

/// Draws until an id is usable. One in 64 begins with a dash, so that a hundred failures in a row mean that the
/// numbers are not random.
fn draw<T>(from_random: fn([u8; 16]) -> Option<T>) -> Result<T, RandomError> {
    let random = SystemRandom::new();
    for _ in 0..100 {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|_| RandomError)?;
        if let Some(id) = from_random(bytes) {
            return Ok(id);
        }
    }
    Err(RandomError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_random_end_the_drawing() {
        assert!(draw(|_| None::<ClusterId>).is_err());
    }
}
