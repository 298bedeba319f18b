//! The loop that writes Events of this pod, where its owner wants them.
//!
//! They are for whoever looks at the pod and has no agent at hand. Nobody waits for them, so the loop has no beat: an API
//! server that does not answer, or a right that is missing, is no failing of the agent.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::causes::chain;
use crate::commands::sidecar::context::Context;
use crate::health::notice::MOST;
use crate::health::notice::Notice;
use crate::health::notice::notices;
use crate::health::snapshot::Snapshot;
use crate::kubernetes::io::Api;
use crate::signer::event::About;
use crate::signer::event::Teller;
use crate::signer::event::Word;
use crate::signer::events::io as events;

/// The pod of which it is told.
#[derive(Debug, Clone)]
pub struct OfPod {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: `kubectl describe` shows only Events that have it.
    pub uid: String,
}

/// What two snapshots bring at once. While the API server does not answer, more is not told: the log has it all.
const MOST_WAITING: usize = 2 * MOST;

/// Tells for ever. Where nobody wants it, not even a client of the API server is made.
pub async fn watch(context: Rc<Context>, snapshots: watch::Receiver<Arc<Snapshot>>) {
    if context.inputs.as_ref().is_some_and(|inputs| inputs.cluster.settings.agent.events) {
        match (Api::in_cluster(), std::env::var("POD_UID")) {
            (Ok(api), Ok(uid)) => tell(api, OfPod { name: context.pod.clone(), uid }, snapshots).await,
            (Err(error), _) => {
                tracing::info!(reason = error.reason(), "no Events of this pod: {}", chain(&error));
            }
            (Ok(_), Err(_)) => {
                tracing::info!(reason = "PodFactsUnusable", "no Events of this pod: POD_UID is not set");
            }
        }
    }
    pending().await
}

/// Tells what is new in the snapshots, until there are no more, by this API server.
pub async fn tell(api: Api, pod: OfPod, snapshots: watch::Receiver<Arc<Snapshot>>) {
    let (words, told) = mpsc::channel(MOST_WAITING);
    let teller = Teller { controller: "kraftlet.dev/sidecar", action: "Watch", instance: pod.name.clone() };
    let namespace = api.namespace().to_owned();
    tokio::join!(follow(snapshots, words, &namespace, &pod), events::tell(api, teller, told));
}

/// What has changed twice while nobody looked is one change.
async fn follow(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    words: mpsc::Sender<Word>,
    namespace: &str,
    pod: &OfPod,
) {
    let mut before: Option<Arc<Snapshot>> = None;
    loop {
        let now = Arc::clone(&snapshots.borrow_and_update());
        for notice in notices(before.as_deref(), &now) {
            let _ = words.try_send(word(notice, namespace, pod));
        }
        before = Some(now);
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

fn word(notice: Notice, namespace: &str, pod: &OfPod) -> Word {
    let OfPod { name, uid } = pod.clone();
    let about = match notice.certificate {
        None => About::Pod { name, uid },
        Some(certificate) => {
            About::Certificate { pod: name, uid, certificate: certificate.as_str().to_owned() }
        }
    };
    Word {
        namespace: namespace.to_owned(),
        about,
        kind: notice.kind,
        reason: notice.reason,
        note: notice.sentence.as_str().to_owned(),
    }
}
