//! Sources that ask over the network, on whatever thread may wait: `init` has no event loop, and the sidecar's is never
//! kept waiting.

use std::io;

/// Waits for `future` on a small event loop of its own. A name that a resolver is still at work on is not waited for.
pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    let done = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(done)
}
