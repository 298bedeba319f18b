//! Reads what the partitions of this broker would suffer if it stopped.

use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::kafka::ask_error::AskError;
use crate::kafka::connection::io::Connection;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::node_id::NodeId;
use crate::quorum::isr::Isr;

/// One page of a thousand partitions with what must be in sync, from one broker.
const PAGE_WITHIN: Duration = Duration::from_secs(3);

/// All of them: it counts from the beginning of a read, and has to be young until the next one has ended.
const READ_WITHIN: Duration = Duration::from_secs(12);

/// A million partitions, the most that KRaft is made for.
const MOST_PAGES: usize = 1_000;

/// From the first of these brokers that tells them all; `None` where none does.
pub async fn read(broker: NodeId, witnesses: Vec<Endpoint>) -> Option<Isr> {
    let deadline = Instant::now() + READ_WITHIN;
    for endpoint in &witnesses {
        if let Ok(Some(isr)) = read_from(broker, endpoint, deadline).await {
            return Some(isr);
        }
    }
    None
}

async fn read_from(broker: NodeId, endpoint: &Endpoint, deadline: Instant) -> Result<Option<Isr>, AskError> {
    let next = || deadline.min(Instant::now() + PAGE_WITHIN);
    let mut isr = Isr::new(broker, SystemTime::now());
    let mut connection = Connection::open(endpoint, next()).await?;
    let mut cursor = None;
    for _page in 0..MOST_PAGES {
        connection.until(next());
        let page = connection.topics_page(cursor.as_ref()).await?;
        let min_insync_replicas = connection.min_insync_replicas(&isr.topics(&page)).await?;
        isr.take(&page, &min_insync_replicas);
        cursor = page.next;
        if cursor.is_none() {
            connection.close().await;
            return Ok(Some(isr));
        }
    }
    Ok(None)
}
