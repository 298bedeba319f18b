//! Stores, a source and a node for tests of the loops: all in memory, and as they are told.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc as threads;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::certificates::bundle::Bundle;
use crate::certificates::schedule::Schedule;
use crate::certificates::schedule::Slot;
use crate::certificates::turn::Part;
use crate::certificates::turn::Reason;
use crate::cluster::pool::ProcessRoles;
use crate::cluster::settings::Reload;
use crate::commands::sidecar::board::Board;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::controllers::Controllers;
use crate::commands::sidecar::keystore::Fetching;
use crate::commands::sidecar::keystore::Keystore;
use crate::commands::sidecar::keystore::Trusting;
use crate::health::pulse::Pulse;
use crate::pki::renew_point::RenewPoint;
use crate::pki::testing;
use crate::quorum::departure::Patience;
use crate::reload::channel::NodeChannels;
use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::NodeProperties;
use crate::reload::start_note::Material;

/// What the source does when it is asked.
#[allow(clippy::large_enum_variant, reason = "there is one of it at a time")]
pub(crate) enum Fetched {
    Gives(Bundle),
    Fails,
    /// Until the other end is dropped.
    Hangs(threads::Receiver<()>),
}

/// Stores in memory, and a source that does as it is told and then fails.
pub(crate) struct Stores {
    pub(crate) installed: RefCell<Bundle>,
    kept: RefCell<Option<Bundle>>,
    source: RefCell<VecDeque<Fetched>>,
    /// What was done, and when.
    pub(crate) done: RefCell<Vec<(&'static str, Instant)>>,
}

impl Stores {
    fn did(&self, what: &'static str) {
        self.done.borrow_mut().push((what, Instant::now()));
    }

    pub(crate) fn done(&self) -> Vec<&'static str> {
        self.done.borrow().iter().map(|(what, _)| *what).collect()
    }
}

impl Keystore for Stores {
    fn name(&self) -> &str {
        "node"
    }

    fn listeners(&self) -> &[ListenerName] {
        &[]
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn issues(&self) -> bool {
        true
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(RenewPoint::from_percent(66).unwrap(), Slot::new("c", "kafka-0", 0, 3))
    }

    fn installed(&self) -> Result<Option<Bundle>, Reason> {
        Ok(Some(self.installed.borrow().clone()))
    }

    fn last_good(&self) -> Result<Option<Bundle>, Reason> {
        Ok(self.kept.borrow().clone())
    }

    fn former(&self) -> Vec<Material> {
        Vec::new()
    }

    fn fetching(&self) -> Result<Fetching, Reason> {
        self.did("fetch");
        let next = self.source.borrow_mut().pop_front().unwrap_or(Fetched::Fails);
        Ok(Box::new(move || match next {
            Fetched::Gives(bundle) => Ok(bundle),
            Fetched::Fails => Err(Reason::new("SourceAway", "nobody is there")),
            Fetched::Hangs(released) => {
                let _ = released.recv();
                Err(Reason::new("SourceAway", "it took too long"))
            }
        }))
    }

    fn trusting(&self) -> Result<Option<Trusting>, Reason> {
        Ok(None)
    }

    fn check(&self, _: &Bundle, _: Option<&Bundle>, _: SystemTime) -> Result<(), Reason> {
        Ok(())
    }

    fn install(&self, _part: Part, wanted: &Bundle, keep: bool) -> Result<(), Reason> {
        self.did("install");
        let before = self.installed.replace(wanted.clone());
        if keep {
            self.kept.replace(Some(before));
        }
        Ok(())
    }

    fn put_back(&self, _part: Part) -> Result<(), Reason> {
        self.did("put back");
        self.installed.replace(self.kept.borrow().clone().unwrap());
        Ok(())
    }
}

/// What is installed lives half an hour; then the source is asked, and does these things in turn.
pub(crate) fn stores(source: impl IntoIterator<Item = Fetched>) -> Rc<Stores> {
    Rc::new(Stores {
        installed: RefCell::new(bundle(30)),
        kept: RefCell::default(),
        source: source.into_iter().collect::<VecDeque<_>>().into(),
        done: RefCell::default(),
    })
}

/// Made as the tests begin, for so many minutes.
pub(crate) fn bundle(minutes: u64) -> Bundle {
    let ca = testing::root("ca");
    let mut params = testing::leaf_params("kafka-0", &["kafka-0.kafka"]);
    params.not_before = testing::now().into();
    params.not_after = (testing::now() + Duration::from_secs(60 * minutes)).into();
    let leaf = ca.sign(params);
    Bundle::new(leaf.private_key(), leaf.certificate, Vec::new(), [ca.certificate])
}

/// A node without listeners, whose engine takes everything.
pub(crate) fn context(board: Board, stores: &Rc<Stores>) -> Context {
    let channels = NodeChannels {
        node_id: 0.try_into().unwrap(),
        roles: ProcessRoles::Combined,
        listeners: Vec::new(),
        controllers: None,
        channels: Vec::new(),
    };
    Context {
        board,
        pod: "kafka-0".to_owned(),
        reload: Reload::Engine,
        release: None,
        login: None,
        controllers: Controllers::of_properties(&NodeProperties::from_pairs([]), &channels),
        channels,
        engine_report: None,
        start_note: None,
        inputs: None,
        input_args: None,
        keystores: vec![Rc::clone(stores) as Rc<dyn Keystore>],
        trust_reloaded: RefCell::default(),
        seen: RefCell::default(),
        look: Notify::new(),
        heard: Cell::default(),
        pulse: Pulse::new(Instant::now().into_std()),
        stops: Arc::default(),
        patience: Patience { wait: Duration::from_secs(60), grace: Duration::from_secs(90) },
    }
}
