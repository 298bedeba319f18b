//! The work of one certificate's renewal: asks, reads, writes, as the renewal machine says. It decides nothing.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::certificates::bundle::Bundle;
use crate::certificates::turn::Answer;
use crate::certificates::turn::Content;
use crate::certificates::turn::Leaf;
use crate::certificates::turn::Part;
use crate::certificates::turn::Reason;
use crate::certificates::turn::Work;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::keystore::Keystore;
use crate::pki::certificate::Certificate;
use crate::pki::certificate::Fingerprint;
use crate::reload::channel::LeafShown;
use crate::reload::channel::Way;

/// One certificate of this node, and what its renewal has in hand.
pub struct Hands {
    /// The node.
    pub context: Rc<Context>,
    /// The certificate's stores.
    pub keystore: Rc<dyn Keystore>,
    /// Fetched, and not installed yet.
    pub(crate) fetched: RefCell<Option<Bundle>>,
    /// The truststore that a change of CA wants here; empty when it wants none.
    pub(crate) planned: RefCell<Vec<Certificate>>,
    /// A person has ordered that anchors which the source does not name any more are let go of.
    pub(crate) forget: Cell<bool>,
    /// What was installed last.
    in_use: RefCell<Option<Bundle>>,
    /// The leaf before that.
    previous: Cell<Option<Fingerprint>>,
    /// Since when turns fail, and the last reason that the log was told.
    ailing: Cell<Option<(SystemTime, Option<&'static str>)>>,
    /// The last leaf that every channel has shown.
    good: Cell<Option<Fingerprint>>,
    /// When a leaf was installed that no channel has shown yet.
    installed_at: Cell<Option<Instant>>,
    /// How long it took from there until every channel showed it.
    verify_took: Cell<Option<Duration>>,
}

impl Hands {
    /// With what lies on the disk, and nothing in hand yet.
    pub fn new(context: Rc<Context>, keystore: Rc<dyn Keystore>) -> Self {
        let in_use = keystore.installed().ok().flatten();
        Self {
            context,
            keystore,
            fetched: RefCell::default(),
            planned: RefCell::default(),
            forget: Cell::default(),
            in_use: RefCell::new(in_use),
            previous: Cell::default(),
            ailing: Cell::default(),
            good: Cell::default(),
            installed_at: Cell::default(),
            verify_took: Cell::default(),
        }
    }

    /// The certificate's name.
    pub fn name(&self) -> &str {
        self.keystore.name()
    }

    /// Does one piece of work and says what became of it.
    pub async fn perform(&self, work: Work) -> Answer {
        let done = match work {
            Work::Fetch => self.fetch().await,
            Work::Preflight => self.preflight(),
            Work::AskPeers => self.ask_peers().await,
            Work::Install(part) => self.install(part),
            Work::Reload(_) => self.reload().await,
            Work::Verify(_) => self.verify().await,
            Work::RollBack(part) => self.keystore.put_back(part).map(|()| Answer::RolledBack),
        };
        if matches!((work, &done), (Work::Verify(Part::Leaf), Ok(Answer::Verified))) {
            self.verify_took.set(self.installed_at.take().map(|at| at.elapsed()));
        }
        done.unwrap_or_else(Answer::Failed)
    }

    /// What is installed.
    pub fn installed(&self) -> Result<Bundle, Reason> {
        let installed = self.keystore.installed()?;
        installed.ok_or_else(|| Reason::new("KeystoreMissing", "there is no keystore that can be read"))
    }

    /// The channels that show this certificate and take no other before Kafka is restarted.
    pub fn not_reloadable(&self) -> Vec<String> {
        let of_ours = self.context.channels_of(self.keystore.listeners());
        let stays = of_ours.filter(|channel| {
            matches!(channel.leaf_by, Way::NotReloadable(_)) && channel.leaf_shown != LeafShown::No
        });
        stays.map(|channel| channel.name.to_string()).collect()
    }

    /// The leaf that was installed before the present one, in this process.
    pub(crate) fn previous_leaf(&self) -> Option<Fingerprint> {
        self.previous.get()
    }

    /// How long it took from the installed file to the last channel that showed it; told once.
    pub(crate) fn verify_took(&self) -> Option<Duration> {
        self.verify_took.take()
    }

    /// A turn has ended well.
    pub(crate) fn is_well(&self) {
        self.ailing.set(None);
    }

    /// A turn has failed at `now`: for how long they have.
    pub(crate) fn ailing_for(&self, now: SystemTime) -> Duration {
        let (since, told) = self.ailing.get().unwrap_or((now, None));
        self.ailing.set(Some((since, told)));
        now.duration_since(since).unwrap_or_default()
    }

    /// Whether the log was last told something else. It is told now.
    pub(crate) fn is_news(&self, reason: &'static str) -> bool {
        let Some((since, told)) = self.ailing.get() else { return true };
        self.ailing.set(Some((since, Some(reason))));
        told != Some(reason)
    }

    /// Tells which leaf every channel was last seen to show.
    pub fn is_good(&self, good: Option<Fingerprint>) {
        self.good.set(good);
    }

    /// A source may wait for a lock, and an RSA key takes seconds: not on the thread that answers probes.
    async fn fetch(&self) -> Result<Answer, Reason> {
        let fetching = tokio::task::spawn_blocking(self.keystore.fetching()?);
        let bundle =
            fetching.await.map_err(|_| Reason::new("FetchFailed", "the source's reader broke off"))??;
        let there = if self.keystore.is_ours() {
            self.keystore.installed()?
        } else {
            // Trust that has changed is to be reloaded as a leaf that has.
            self.in_use.borrow().clone().filter(|in_use| in_use.anchors() == bundle.anchors())
        };
        let is_same = there.is_some_and(|there| there.has_key_and_chain_of(&bundle));
        let content = if is_same { Content::AsInstalled } else { Content::New };
        let leaf = leaf_of(bundle.leaf());
        self.fetched.replace(Some(bundle));
        Ok(Answer::Fetched { leaf, content })
    }

    /// What was fetched, with the trust that it will meet here.
    fn candidate(&self) -> Result<Bundle, Reason> {
        let fetched = self.fetched.borrow();
        let fetched = fetched.as_ref().ok_or_else(|| Reason::new("NothingFetched", "nothing was fetched"))?;
        if !self.keystore.is_ours() {
            return Ok(fetched.clone());
        }
        let installed = self.keystore.installed()?;
        let trusted = installed.iter().flat_map(|bundle| bundle.anchors());
        Ok(fetched.trusting(fetched.anchors().iter().chain(trusted).cloned()))
    }

    fn preflight(&self) -> Result<Answer, Reason> {
        let candidate = self.candidate()?;
        self.keystore.check(&candidate, self.in_use.borrow().as_ref(), SystemTime::now())?;
        Ok(Answer::Passed)
    }

    fn install(&self, part: Part) -> Result<Answer, Reason> {
        if part == Part::Trust && self.planned.borrow().is_empty() {
            return Ok(Answer::NothingToDo);
        }
        let wanted = match part {
            Part::Leaf => self.candidate()?,
            Part::Trust => self.planned_trust()?,
        };
        let there = self.keystore.installed().ok().flatten().map(|bundle| bundle.leaf().fingerprint());
        let keep = match part {
            // What was never seen to work is no good to go back to.
            Part::Leaf => there.is_some() && there == self.good.get(),
            Part::Trust => true,
        };
        self.keystore.install(part, &wanted, keep)?;
        if part == Part::Leaf {
            let before = self.in_use.borrow().as_ref().map(|bundle| bundle.leaf().fingerprint());
            self.installed_at.set(Some(Instant::now()));
            self.previous.set(before);
            self.fetched.replace(None);
        }
        self.in_use.replace(Some(wanted));
        Ok(Answer::Installed)
    }
}

/// What the renewal machine knows of a leaf.
pub fn leaf_of(leaf: &Certificate) -> Leaf {
    Leaf { fingerprint: leaf.fingerprint(), validity: leaf.validity() }
}
