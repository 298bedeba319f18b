//! A look that takes its time, beside a loop that does not wait for it.

use tokio::task::JoinHandle;
use tokio::task::spawn_local;
use tokio::time::Duration;
use tokio::time::Instant;

/// One look at a time, and when the last one began.
pub struct Errand<T> {
    running: Option<JoinHandle<T>>,
    began: Option<Instant>,
}

impl<T> Default for Errand<T> {
    fn default() -> Self {
        Self { running: None, began: None }
    }
}

impl<T: 'static> Errand<T> {
    /// Whether the next one may begin: none is under way, and the last one began `every` ago or longer.
    pub fn is_due(&self, every: Duration) -> bool {
        self.running.is_none() && self.began.is_none_or(|began| began.elapsed() >= every)
    }

    /// Begins. The work has a deadline of its own.
    pub fn begin(&mut self, work: impl Future<Output = T> + 'static) {
        self.began = Some(Instant::now());
        self.running = Some(spawn_local(work));
    }

    /// What it has brought, once.
    pub async fn ended(&mut self) -> Option<T> {
        // An end that is there already is not waited for.
        let running = self.running.take_if(|running| running.is_finished())?;
        running.await.ok()
    }
}

impl<T> Drop for Errand<T> {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}
