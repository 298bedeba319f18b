//! Stores that somebody else fills, beside a Kafka that kraftlet did not configure. Read, and never written.
//!
//! What lies in the files is not what Kafka has: whoever writes them may write what nobody should be told to read. So
//! what counts as installed is what was in the files when it was last found good.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::preflight;
use crate::certificates::schedule::Schedule;
use crate::certificates::turn::Part;
use crate::certificates::turn::Reason;
use crate::commands::failure::chain;
use crate::commands::sidecar::keystore;
use crate::commands::sidecar::keystore::Fetching;
use crate::commands::sidecar::keystore::Keystore;
use crate::commands::sidecar::keystore::Trusting;
use crate::commands::sidecar::managed::would_be_taken;
use crate::kafka::version::KafkaVersion;
use crate::reload::attach;
use crate::reload::attach::attached::Attached;
use crate::reload::attach::attached::AttachedCertificate;
use crate::reload::attach::requirements::requirements;
use crate::reload::node_properties::ListenerName;
use crate::reload::start_note::Material;

/// One pair of stores of a foreign node.
pub struct AttachedStores {
    place: Place,
    name: String,
    listeners: Vec<ListenerName>,
    schedule: Schedule,
    /// What Kafka has, or has been told to read.
    taken: RefCell<Option<Bundle>>,
    /// The last leaves that lay in the files, good or not, the newest last.
    former: RefCell<VecDeque<Material>>,
}

/// Where a foreign node's properties are, and what a person has said of it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its `server.properties`.
    pub properties: PathBuf,
    /// The release that runs.
    pub release: Option<KafkaVersion>,
}

/// So many renewals may have gone by without one that Kafka took.
const MOST_FORMER: usize = 8;

/// A day before the end, whoever should have renewed is late.
const WARN_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

impl Place {
    /// Looks at the node.
    pub fn look(&self) -> Result<Attached, Reason> {
        attach::io::look(&self.properties, self.release)
            .map_err(|error| Reason::new(error.reason(), chain(&error)))
    }
}

impl AttachedStores {
    /// The stores of `certificate` of the node at `place`. What is in them counts as installed if it is good: Kafka, which
    /// may run already, has it or can be told to read it.
    pub fn new(place: Place, certificate: &AttachedCertificate, schedule: Schedule) -> Self {
        let (name, listeners) = (certificate.name.clone(), certificate.listeners.clone());
        let (taken, former) = (RefCell::default(), RefCell::default());
        let stores = Self { place, name, listeners, schedule, taken, former };
        if let Ok(found) = stores.found() {
            // One that has expired is what Kafka presents, perhaps.
            stores.lay_there(&found);
            let is_good = stores.check(&found, None, SystemTime::now()).is_ok();
            stores.taken.replace(is_good.then_some(found));
        }
        stores
    }

    fn lay_there(&self, found: &Bundle) {
        let mut former = self.former.borrow_mut();
        let leaf = Material::of_leaf(found.leaf());
        former.retain(|one| *one != leaf);
        former.push_back(leaf);
        if former.len() > MOST_FORMER {
            former.pop_front();
        }
    }

    /// What is in the files.
    fn found(&self) -> Result<Bundle, Reason> {
        self.look(|_, certificate| bundle(certificate))?
    }

    /// The node as it is now, and what this certificate is in it.
    fn look<T>(&self, with: impl FnOnce(&Attached, &AttachedCertificate) -> T) -> Result<T, Reason> {
        let attached = self.place.look()?;
        let certificate = attached.certificates.iter().find(|one| one.name == self.name);
        let certificate = certificate.ok_or_else(|| {
            let sentence = format!("{} names no stores for {}", self.place.properties.display(), self.name);
            Reason::new("KeystoreMissing", sentence)
        })?;
        Ok(with(&attached, certificate))
    }
}

/// Key, chain and trust, or the first thing that keeps the agent from reading them.
fn bundle(certificate: &AttachedCertificate) -> Result<Bundle, Reason> {
    certificate.bundle().ok_or_else(|| match certificate.findings.first() {
        Some(finding) => Reason::new(finding.reason(), finding.to_string()),
        None => Reason::new("StoreKeyNotReadable", format!("the key of {} cannot be read", certificate.name)),
    })
}

impl Keystore for AttachedStores {
    fn name(&self) -> &str {
        &self.name
    }

    fn listeners(&self) -> &[ListenerName] {
        &self.listeners
    }

    fn files(&self) -> Vec<PathBuf> {
        let of_certificate = self.look(|_, certificate| certificate.files.clone()).unwrap_or_default();
        std::iter::once(self.place.properties.clone()).chain(of_certificate).collect()
    }

    fn issues(&self) -> bool {
        false
    }

    fn is_ours(&self) -> bool {
        false
    }

    fn schedule(&self) -> Schedule {
        self.schedule
    }

    fn installed(&self) -> Result<Option<Bundle>, Reason> {
        Ok(self.taken.borrow().clone())
    }

    fn last_good(&self) -> Result<Option<Bundle>, Reason> {
        Ok(None)
    }

    fn former(&self) -> Vec<Material> {
        self.former.borrow().iter().copied().collect()
    }

    fn fetching(&self) -> Result<Fetching, Reason> {
        let found = self.found();
        Ok(Box::new(move || found))
    }

    fn trusting(&self) -> Result<Option<Trusting>, Reason> {
        Ok(None)
    }

    fn check(&self, candidate: &Bundle, in_use: Option<&Bundle>, now: SystemTime) -> Result<(), Reason> {
        self.look(|attached, certificate| {
            let leaf = in_use.map(Bundle::leaf);
            let requirements = requirements(attached, certificate, leaf, WARN_WITHIN);
            keystore::refusals(&preflight::preflight(candidate, &requirements, now))?;
            let bound: Vec<_> = attached.listeners_of(certificate).into_iter().cloned().collect();
            match in_use {
                Some(in_use) => would_be_taken(&attached.properties, &bound, candidate, in_use, now),
                None => Ok(()),
            }
        })?
    }

    fn install(&self, _part: Part, wanted: &Bundle, _keep: bool) -> Result<(), Reason> {
        let found = self.found()?;
        if !found.has_key_and_chain_of(wanted) || found.anchors() != wanted.anchors() {
            let sentence = format!("the stores of {} have changed since they were checked", self.name);
            return Err(Reason::new("StoresChanging", sentence));
        }
        self.lay_there(&found);
        self.taken.replace(Some(found));
        Ok(())
    }

    fn put_back(&self, _part: Part) -> Result<(), Reason> {
        Err(Reason::new("StoreNotOurs", "the stores are somebody else's to write"))
    }
}
