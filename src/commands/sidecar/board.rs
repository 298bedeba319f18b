//! Where the loops of the sidecar write what they know: the one snapshot, and the log beside it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::health::certificate::Certificate;
use crate::health::snapshot::Condition;
use crate::health::snapshot::Event;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::quorum::view::Quorum;

/// The snapshot's only writer; every loop has a copy.
#[derive(Clone)]
pub struct Board(Rc<Shared>);

struct Shared {
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// What each loop says is wrong now.
    conditions: RefCell<BTreeMap<String, Vec<Condition>>>,
}

impl Board {
    /// Begins with this snapshot; the receiver is for those who show it.
    pub fn new(snapshot: Snapshot) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let (sender, receiver) = watch::channel(Arc::new(snapshot));
        (Self(Rc::new(Shared { snapshots: sender, conditions: RefCell::default() })), receiver)
    }

    /// Changes the snapshot and dates it.
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        self.0.snapshots.send_modify(|snapshot| {
            let snapshot = Arc::make_mut(snapshot);
            change(snapshot);
            snapshot.at = SystemTime::now();
        });
    }

    /// The quorum as it was last shown.
    pub fn quorum(&self) -> Option<Quorum> {
        self.0.snapshots.borrow().quorum.clone()
    }

    /// Changes one certificate; one that the snapshot does not have yet is left out.
    pub fn certificate(&self, name: &str, change: impl FnOnce(&mut Certificate)) {
        self.change(|snapshot| {
            let certificate = snapshot.certificates.iter_mut().find(|one| one.name.as_str() == name);
            if let Some(certificate) = certificate {
                change(certificate);
            }
        });
    }

    /// Something happened that is as it should be.
    pub fn happened(&self, reason: &'static str, sentence: &str) {
        tracing::info!(reason, "{sentence}");
        self.event(reason, sentence);
    }

    /// Something happened that somebody should know.
    pub fn went_wrong(&self, reason: &'static str, sentence: &str) {
        tracing::warn!(reason, "{sentence}");
        self.event(reason, sentence);
    }

    fn event(&self, reason: &'static str, sentence: &str) {
        let event = Event { at: SystemTime::now(), reason: Word::of(reason), sentence: Text::new(sentence) };
        self.change(|snapshot| snapshot.events.push(event));
    }

    /// From now on these are the conditions that `owner` states; one that it stated before keeps its beginning.
    pub fn conditions(&self, owner: &str, mut now_true: Vec<Condition>) {
        let mut all = self.0.conditions.borrow_mut();
        let before = all.remove(owner).unwrap_or_default();
        for condition in &mut now_true {
            if let Some(known) = before.iter().find(|one| one.reason == condition.reason) {
                condition.since = known.since;
            }
        }
        all.insert(owner.to_owned(), now_true);
        let conditions = all.values().flatten().cloned().collect();
        drop(all);
        self.change(|snapshot| snapshot.conditions = conditions);
    }
}
