//! Waits for the snapshot to say that the node may stop.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::health::prestop;
use crate::health::prestop::Waited;
use crate::health::snapshot::Snapshot;

/// Waits `within` at most, for somebody who called then; the snapshot is the last that was seen.
pub async fn wait(
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    called_at: SystemTime,
    within: Duration,
) -> (Waited, Arc<Snapshot>) {
    let mut snapshots = snapshots.clone();
    let is_over = |snapshot: &Arc<Snapshot>| prestop::is_over(snapshot.stop.as_ref(), called_at);
    let waited = match timeout(within, snapshots.wait_for(is_over)).await {
        Ok(Ok(snapshot)) => return (Waited::Over, Arc::clone(&snapshot)),
        Ok(Err(_)) => Waited::AgentStops,
        Err(_) => Waited::TooLong(within),
    };
    let last = Arc::clone(&snapshots.borrow());
    (waited, last)
}
