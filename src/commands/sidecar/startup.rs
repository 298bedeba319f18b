//! The loop that watches how far Kafka has started: the locks of its log directories, and the recovery of its logs.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::errand::Errand;
use crate::quorum::startup::io as startup_io;
use crate::quorum::startup::io::Walk;
use crate::quorum::startup::start::LogDir;
use crate::quorum::startup::start::Recovering;
use crate::quorum::startup::start::Start;
use crate::quorum::view::Recovery;

/// Between looks at the locks, a few system calls each: no Kafka ends and has its locks again in so short a time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between walks through the partitions, which may be thousands.
const WALK_EVERY: Duration = Duration::from_secs(2);

/// A turn takes a second: the disk is not waited for.
const TURNS_WITHIN: Duration = Duration::from_secs(30);

/// What a look at the disk brings.
struct Found {
    at: SystemTime,
    log_dirs: Vec<LogDir>,
}

/// What a walk brings; it is given back for the next one.
struct Walked {
    walk: Walk,
    since: SystemTime,
    recovery: Recovery,
}

/// Looks for ever. A disk that hangs keeps the looks at it waiting, and nobody else.
pub async fn watch(context: Rc<Context>) {
    let beat = context.pulse.loop_named("startup", TURNS_WITHIN, Instant::now());
    let paths: Arc<[PathBuf]> = context.controllers.log_dirs.clone().into();
    let mut start = Start::default();
    let (mut looks, mut walks) = (Errand::default(), Errand::default());
    let mut walk = Walk::default();
    let mut shown = None;
    loop {
        beat.beat(Instant::now());
        if let Some(Some(Found { at, log_dirs })) = looks.ended().await {
            start.take(&log_dirs, context.heard.get(), at);
        }
        if let Some(Some(walked)) = walks.ended().await {
            let Walked { walk: back, since, recovery } = walked;
            start.has_recovered(since, recovery);
            walk = back;
        }
        if looks.is_due(LOOK_EVERY) {
            looks.begin(look(Arc::clone(&paths)));
        }
        match start.recovering() {
            Some(recovering) if walks.is_due(WALK_EVERY) => {
                walks.begin(count(std::mem::take(&mut walk), Arc::clone(&paths), recovering));
            }
            Some(_) => {}
            None => walk = Walk::default(),
        }
        let now = start.startup();
        if now != shown {
            shown.clone_from(&now);
            context.board.change(|snapshot| snapshot.startup = now);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn look(paths: Arc<[PathBuf]>) -> Option<Found> {
    spawn_blocking(move || {
        let log_dirs = startup_io::look(&paths);
        // The time after it: what was touched before a lock was seen to be free is not of the next start.
        Found { at: SystemTime::now(), log_dirs }
    })
    .await
    .ok()
}

async fn count(mut walk: Walk, paths: Arc<[PathBuf]>, recovering: Recovering) -> Option<Walked> {
    spawn_blocking(move || {
        let recovery = walk.count(&paths, &recovering, SystemTime::now());
        Walked { walk, since: recovering.since, recovery }
    })
    .await
    .ok()
}
