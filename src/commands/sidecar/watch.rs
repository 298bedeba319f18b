//! Wakes whoever follows files when they may have changed.
//!
//! The folders are watched, not the files: a mounted Secret changes by the turn of a link in its folder, and a watch on
//! a file follows the file that is gone. An event is only a hint, and none may come (network file systems, no inotify
//! instance left), so everybody looks every [`POLL_EVERY`] as well, and compares contents.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use notify::Event;
use notify::EventKind;
use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::certificates::sources::content::ContentHash;

/// Without an event, files are looked at so often.
pub const POLL_EVERY: Duration = Duration::from_secs(30);

/// Who writes several files does it within this time; a half-written set is not looked at.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// Somebody who never stops writing is looked at all the same.
const SETTLED_AT_LAST: Duration = Duration::from_secs(2);

/// Files that are followed.
pub struct Watch {
    files: Vec<PathBuf>,
    hint: Arc<Notify>,
    /// When to look without an event. It is kept here because who waits is often called away and comes back.
    look_at: Cell<Instant>,
    // It watches as long as it lives.
    _watcher: Option<Rc<RecommendedWatcher>>,
}

impl Watch {
    /// Follows these files from now on. Where the kernel gives no watch, only the clock wakes.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let hint = Arc::new(Notify::new());
        let watcher = watcher(&files, &hint);
        if let Err(error) = &watcher {
            tracing::warn!(reason = "WatchFailed", "files are looked at every 30 s only: {error}");
        }
        Self {
            files,
            hint,
            look_at: Cell::new(Instant::now() + POLL_EVERY),
            _watcher: watcher.ok().map(Rc::new),
        }
    }

    /// What is in the files now.
    pub fn content(&self) -> ContentHash {
        ContentHash::of(&self.files)
    }

    /// Returns once the files hold something else than `known`, and have stopped changing.
    pub async fn changed_from(&self, known: &ContentHash) {
        loop {
            let _ = timeout_at(self.look_at.get(), self.hint.notified()).await;
            // Whoever is called away from here on has used up the hint, and looks at once when it comes back.
            self.look_at.set(Instant::now());
            let mut content = self.content();
            if content == *known {
                self.look_at.set(Instant::now() + POLL_EVERY);
                continue;
            }
            let at_last = Instant::now() + SETTLED_AT_LAST;
            while Instant::now() < at_last {
                tokio::time::sleep(SETTLED_AFTER).await;
                let again = self.content();
                if again == content {
                    break;
                }
                content = again;
            }
            if content != *known {
                return;
            }
        }
    }
}

fn watcher(files: &[PathBuf], hint: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let hint = Arc::clone(hint);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Our own reading makes Access events, which would wake us for ever.
        if event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_))) {
            hint.notify_one();
        }
    })?;
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}
