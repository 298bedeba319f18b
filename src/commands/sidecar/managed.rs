//! Stores that kraftlet fetches, checks and installs: what the settings say, beside a Kafka that `init` has prepared.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::install;
use crate::certificates::install::Installed;
use crate::certificates::schedule::Schedule;
use crate::certificates::turn::Part;
use crate::certificates::turn::Reason;
use crate::cluster::certificate::Certificate as OfSettings;
use crate::cluster::settings::Reload;
use crate::commands::certificates;
use crate::commands::certificates::Order;
use crate::commands::failure::chain;
use crate::commands::inputs::Inputs;
use crate::commands::sidecar::keystore;
use crate::commands::sidecar::keystore::Fetching;
use crate::commands::sidecar::keystore::Keystore;
use crate::commands::sidecar::keystore::Trusting;
use crate::disk::io as disk_io;
use crate::disk::step::Step;
use crate::reload::allowed_change;
use crate::reload::channel::NodeChannels;
use crate::reload::listener::NodeListener;
use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::NodeProperties;
use crate::reload::start_note::Material;

/// One certificate of the settings.
pub struct Managed {
    inputs: Rc<Inputs>,
    properties: Rc<NodeProperties>,
    certificate: OfSettings,
    listeners: Vec<ListenerName>,
    bound: Vec<NodeListener>,
    /// What the stores held when they were last read. They are read often, and to open a PKCS12 store is work.
    last_read: RefCell<Option<(Installed, Bundle)>>,
}

impl Managed {
    /// The stores of `certificate`, and the channels of the node that read them.
    pub fn new(
        inputs: Rc<Inputs>,
        properties: Rc<NodeProperties>,
        certificate: OfSettings,
        channels: &NodeChannels,
    ) -> Self {
        let folder = inputs.run_folder.join("tls").join(&certificate.name);
        let mut listeners: Vec<ListenerName> = Vec::new();
        for channel in &channels.channels {
            let file = channel.stores.keystore.as_ref().and_then(|store| store.file());
            let is_ours = file.is_some_and(|file| file.location.parent() == Some(&folder));
            if is_ours && !listeners.contains(&channel.listener) {
                listeners.push(channel.listener.clone());
            }
        }
        let bound = channels.listeners.iter().filter(|one| listeners.contains(&one.name)).cloned().collect();
        Self { inputs, properties, certificate, listeners, bound, last_read: RefCell::default() }
    }

    /// Made anew each time: files that the settings name may have changed.
    fn order(&self) -> Result<Order, Reason> {
        Order::new(&self.inputs, &self.certificate)
            .map_err(|failure| Reason::new(failure.reason(), failure.sentence()))
    }

    /// An order to a source that is there. A new CA would cut off every node that trusts the one that was there.
    fn order_of_source(&self) -> Result<Order, Reason> {
        let order = self.order()?;
        if order.makes_a_ca() {
            let source = order.source().describe();
            return Err(Reason::new("CaMissing", format!("there is no CA any more: {source}")));
        }
        Ok(order)
    }
}

impl Keystore for Managed {
    fn name(&self) -> &str {
        &self.certificate.name
    }

    fn listeners(&self) -> &[ListenerName] {
        &self.listeners
    }

    fn files(&self) -> Vec<PathBuf> {
        let of_source = self.order().map(|order| order.source().files()).unwrap_or_default();
        of_source.into_iter().chain(self.certificate.trust.clone()).collect()
    }

    fn issues(&self) -> bool {
        certificates::source(&self.inputs, &self.certificate).is_ok_and(|source| source.issues())
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn schedule(&self) -> Schedule {
        certificates::schedule(&self.inputs, &self.certificate)
    }

    fn installed(&self) -> Result<Option<Bundle>, Reason> {
        let order = self.order()?;
        let found = order.installed();
        let mut last_read = self.last_read.borrow_mut();
        if !last_read.as_ref().is_some_and(|(last, _)| *last == found) {
            let bundle = install::read(&found, order.kind());
            *last_read = bundle.map(|bundle| (found, bundle));
        }
        Ok(last_read.as_ref().map(|(_, bundle)| bundle.clone()))
    }

    fn last_good(&self) -> Result<Option<Bundle>, Reason> {
        let order = self.order()?;
        let kept = Installed { truststore: order.installed().truststore, ..order.last_good() };
        Ok(install::read(&kept, order.kind()))
    }

    fn former(&self) -> Vec<Material> {
        let kept = self.last_good().ok().flatten();
        kept.map(|bundle| Material::of_leaf(bundle.leaf())).into_iter().collect()
    }

    fn fetching(&self) -> Result<Fetching, Reason> {
        let order = self.order_of_source()?;
        Ok(Box::new(move || {
            order.fetch(SystemTime::now()).map_err(|error| Reason::new(error.reason(), chain(&error)))
        }))
    }

    fn trusting(&self) -> Result<Option<Trusting>, Reason> {
        let order = self.order_of_source()?;
        Ok(Some(Box::new(move || {
            order.trusted(SystemTime::now()).map_err(|error| Reason::new(error.reason(), chain(&error)))
        })))
    }

    fn check(&self, candidate: &Bundle, in_use: Option<&Bundle>, now: SystemTime) -> Result<(), Reason> {
        keystore::refusals(&self.order()?.findings(candidate, now))?;
        match (self.inputs.cluster.settings.reload, in_use) {
            (Reload::AdminApi, Some(in_use)) => {
                would_be_taken(&self.properties, &self.bound, candidate, in_use, now)
            }
            (Reload::Engine, _) | (Reload::AdminApi, None) => Ok(()),
        }
    }

    fn install(&self, part: Part, wanted: &Bundle, keep: bool) -> Result<(), Reason> {
        let order = self.order()?;
        let installed = order.installed();
        let store = store(part);
        let mut steps = Vec::new();
        if keep {
            steps.extend(install::keep_last_good(store, order.folder(), order.kind(), &installed));
        }
        let all =
            order.steps(wanted, &installed).map_err(|error| Reason::new(error.reason(), chain(&error)))?;
        match install::read(&installed, order.kind()) {
            Some(_) => steps.extend(install::only(store, order.kind(), all)),
            // With one store missing both are written.
            None => steps.extend(all),
        }
        apply(&steps)
    }

    fn put_back(&self, part: Part) -> Result<(), Reason> {
        let order = self.order()?;
        let store = store(part);
        let step = install::put_back(store, order.folder(), order.kind(), &order.last_good());
        let step = step.ok_or_else(|| {
            let name = install::last_good_name(store, order.kind());
            Reason::new("LastGoodMissing", format!("{} is not there", order.folder().join(name).display()))
        })?;
        apply(&[step])
    }
}

/// What Kafka would refuse of a leaf that it is asked to take while it runs.
pub fn would_be_taken(
    properties: &NodeProperties,
    listeners: &[NodeListener],
    candidate: &Bundle,
    in_use: &Bundle,
    now: SystemTime,
) -> Result<(), Reason> {
    let refusals = allowed_change::refusals(properties, listeners, in_use, candidate, now);
    match refusals.first() {
        None => Ok(()),
        Some(first) => {
            let said: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            Err(Reason::new(first.reason(), said.join("; ")))
        }
    }
}

fn store(part: Part) -> install::Store {
    match part {
        Part::Leaf => install::Store::Keystore,
        Part::Trust => install::Store::Truststore,
    }
}

fn apply(steps: &[Step]) -> Result<(), Reason> {
    disk_io::apply(steps).map_err(|error| Reason::new(error.reason(), chain(&error)))
}
