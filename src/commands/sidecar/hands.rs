//! The work of one certificate's renewal: asks, reads, writes, as the renewal machine says. It decides nothing.

use std::cell::Cell;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::finding::Severity;
use crate::certificates::install;
use crate::certificates::install::Installed;
use crate::certificates::turn::Answer;
use crate::certificates::turn::Content as Fetched;
use crate::certificates::turn::Leaf;
use crate::certificates::turn::Part;
use crate::certificates::turn::Reason;
use crate::certificates::turn::Work;
use crate::cluster::certificate::Certificate;
use crate::commands::certificates::Order;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::sidecar::context::Context;
use crate::disk::io as disk_io;
use crate::disk::step::Step;
use crate::pki::certificate::Certificate as X509;
use crate::pki::certificate::Fingerprint;

/// One certificate of this node, and what its renewal has in hand.
pub struct Hands {
    pub(crate) context: Rc<Context>,
    pub(crate) certificate: Certificate,
    /// Fetched, and not installed yet.
    pub(crate) fetched: RefCell<Option<Bundle>>,
    /// The last leaf that every channel has shown: what lies on the disk is kept before it is replaced, if it is this.
    good: Cell<Option<Fingerprint>>,
    /// The leaf that was installed before the present one.
    previous: Cell<Option<Fingerprint>>,
    /// The truststore that the change of a CA wants here; empty when it wants none.
    pub(crate) planned: RefCell<Vec<X509>>,
    /// A person has ordered that anchors which the source does not name any more are let go of.
    pub(crate) forget: Cell<bool>,
}

impl Hands {
    /// Nothing in hand yet.
    pub fn new(context: Rc<Context>, certificate: Certificate) -> Self {
        Self {
            context,
            certificate,
            fetched: RefCell::default(),
            good: Cell::default(),
            previous: Cell::default(),
            planned: RefCell::default(),
            forget: Cell::default(),
        }
    }

    /// Does one piece of work and says what became of it.
    pub async fn perform(&self, work: Work) -> Answer {
        let done = match work {
            Work::Fetch => self.fetch().await,
            Work::Preflight => self.preflight(),
            Work::AskPeers => self.ask_peers().await,
            Work::Install(part) => self.install(part),
            Work::Reload(part) => self.reload(part).await,
            Work::Verify(part) => self.verify(part).await,
            Work::RollBack(part) => self.roll_back(part),
        };
        done.unwrap_or_else(Answer::Failed)
    }

    /// The order for the certificate, made anew each time: files that the settings name may have changed.
    pub fn order(&self) -> Result<Order, Reason> {
        Order::new(&self.context.inputs, &self.certificate).map_err(|failure| reason(&failure))
    }

    /// What is installed, where it can be read.
    pub fn installed(&self) -> Result<Option<Bundle>, Reason> {
        let order = self.order()?;
        Ok(install::read(&order.installed(), order.kind()))
    }

    /// The last good leaf that was kept, where it can be read.
    pub fn last_good(&self) -> Result<Option<Bundle>, Reason> {
        let order = self.order()?;
        let kept = Installed { truststore: order.installed().truststore, ..order.last_good() };
        Ok(install::read(&kept, order.kind()))
    }

    /// Where the stores are.
    pub fn folder(&self) -> PathBuf {
        self.context.inputs.run_folder.join("tls").join(&self.certificate.name)
    }

    /// The files whose content decides what the source gives.
    pub fn files(&self) -> Vec<PathBuf> {
        self.order()
            .map(|order| order.source().files())
            .unwrap_or_default()
            .into_iter()
            .chain(self.certificate.trust.clone())
            .collect()
    }

    /// Whether the source makes a new leaf when it is asked.
    pub fn source_issues(&self) -> bool {
        self.order().is_ok_and(|order| order.source().issues())
    }

    /// The leaf that was installed before the present one, in this process.
    pub(crate) fn previous_leaf(&self) -> Option<Fingerprint> {
        self.previous.get()
    }

    /// Tells which leaf every channel was last seen to show.
    pub fn is_good(&self, good: Option<Fingerprint>) {
        self.good.set(good);
    }

    /// A source may wait for a lock, and an RSA key takes seconds: not on the thread that answers probes.
    async fn fetch(&self) -> Result<Answer, Reason> {
        let order = self.order()?;
        let installed = install::read(&order.installed(), order.kind());
        let fetching = tokio::task::spawn_blocking(move || {
            // A new CA would cut off every node that trusts the one that was there.
            if order.makes_a_ca() {
                return Err(Reason::new(
                    "CaMissing",
                    format!("there is no CA any more: {}", order.source().describe()),
                ));
            }
            order.fetch(SystemTime::now()).map_err(|error| Reason::new(error.reason(), chain(&error)))
        });
        let bundle =
            fetching.await.map_err(|_| Reason::new("FetchFailed", "the source's reader broke off"))??;
        let is_same = |installed: &Bundle| {
            installed.key().pkcs8_der() == bundle.key().pkcs8_der() && installed.chain().eq(bundle.chain())
        };
        let content =
            if installed.as_ref().is_some_and(is_same) { Fetched::AsInstalled } else { Fetched::New };
        let leaf = leaf_of(bundle.leaf());
        self.fetched.replace(Some(bundle));
        Ok(Answer::Fetched { leaf, content })
    }

    /// What was fetched, with the trust that it will meet here.
    fn candidate(&self) -> Result<Bundle, Reason> {
        let fetched = self.fetched.borrow();
        let fetched = fetched.as_ref().ok_or_else(|| Reason::new("NothingFetched", "nothing was fetched"))?;
        let installed = self.installed()?;
        let trusted = installed.iter().flat_map(|bundle| bundle.anchors());
        Ok(fetched.trusting(fetched.anchors().iter().chain(trusted).cloned()))
    }

    fn preflight(&self) -> Result<Answer, Reason> {
        let (order, candidate) = (self.order()?, self.candidate()?);
        let findings = order.findings(&candidate, SystemTime::now());
        let refusals: Vec<_> =
            findings.iter().filter(|finding| finding.severity() == Severity::Refusal).collect();
        match refusals.first() {
            None => Ok(Answer::Passed),
            Some(first) => {
                let said: Vec<String> = refusals.iter().map(|finding| chain(*finding)).collect();
                Err(Reason::new(first.reason(), said.join("; ")))
            }
        }
    }

    fn install(&self, part: Part) -> Result<Answer, Reason> {
        let order = self.order()?;
        let installed = order.installed();
        let now_there = install::read(&installed, order.kind());
        let (wanted, store) = match part {
            Part::Leaf => (self.candidate()?, install::Store::Keystore),
            Part::Trust => (self.planned_trust()?, install::Store::Truststore),
        };
        let mut steps = Vec::new();
        // What was never seen to work is no good to go back to.
        let there = now_there.as_ref().map(|bundle| bundle.leaf().fingerprint());
        if there.is_some() && there == self.good.get() {
            steps.extend(install::keep_last_good(store, order.folder(), order.kind(), &installed));
        }
        let all =
            order.steps(&wanted, &installed).map_err(|error| Reason::new(error.reason(), chain(&error)))?;
        match now_there {
            Some(_) => steps.extend(install::only(store, order.kind(), all)),
            // With one store missing both are written.
            None => steps.extend(all),
        }
        apply(&steps)?;
        if part == Part::Leaf {
            self.previous.set(there);
            self.fetched.replace(None);
        }
        Ok(Answer::Installed)
    }

    fn roll_back(&self, part: Part) -> Result<Answer, Reason> {
        let order = self.order()?;
        let store = match part {
            Part::Leaf => install::Store::Keystore,
            Part::Trust => install::Store::Truststore,
        };
        let step = install::put_back(store, order.folder(), order.kind(), &order.last_good());
        let step = step.ok_or_else(|| {
            let name = install::last_good_name(store, order.kind());
            Reason::new("LastGoodMissing", format!("{} is not there", order.folder().join(name).display()))
        })?;
        apply(&[step])?;
        Ok(Answer::RolledBack)
    }
}

/// What the renewal machine knows of a leaf.
pub fn leaf_of(leaf: &X509) -> Leaf {
    Leaf { fingerprint: leaf.fingerprint(), validity: leaf.validity() }
}

/// A command's failure in the machine's words.
pub fn reason(failure: &Failure) -> Reason {
    Reason::new(failure.reason(), failure.sentence())
}

fn apply(steps: &[Step]) -> Result<(), Reason> {
    disk_io::apply(steps).map_err(|error| Reason::new(error.reason(), chain(&error)))
}
