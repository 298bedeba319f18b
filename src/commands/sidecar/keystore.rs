//! One certificate's stores: where they lie, where their content comes from, and what it must be.
//!
//! Two kinds: those that kraftlet fills itself, and those that somebody else fills beside a Kafka that it is attached
//! to. The loops treat both alike.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::finding::Finding;
use crate::certificates::finding::Severity;
use crate::certificates::schedule::Schedule;
use crate::certificates::turn::Part;
use crate::certificates::turn::Reason;
use crate::commands::failure::chain;
use crate::pki::certificate::Certificate;
use crate::reload::node_properties::ListenerName;
use crate::reload::start_note::Material;

/// A question to a source, to be asked on a thread where it may wait.
pub type Fetching = Box<dyn FnOnce() -> Result<Bundle, Reason> + Send>;

/// The same, asked only whom it trusts; `None` where it does not say without giving a certificate.
pub type Trusting = Box<dyn FnOnce() -> Result<Option<Vec<Certificate>>, Reason> + Send>;

/// The stores of one certificate.
pub trait Keystore {
    /// The certificate's name in status and orders.
    fn name(&self) -> &str;

    /// The prefixes of the channels that use it.
    fn listeners(&self) -> &[ListenerName];

    /// The files whose content decides what a fetch gives.
    fn files(&self) -> Vec<PathBuf>;

    /// Whether each fetch gives a fresh leaf.
    fn issues(&self) -> bool;

    /// Whether the stores are ours to write.
    fn is_ours(&self) -> bool;

    /// When leaves are due.
    fn schedule(&self) -> Schedule;

    /// What is installed, where it can be read.
    fn installed(&self) -> Result<Option<Bundle>, Reason>;

    /// The last good leaf that was kept, where it can be read.
    fn last_good(&self) -> Result<Option<Bundle>, Reason>;

    /// Leaves that lay in the stores before, and that Kafka may present for as long as it has not read them again.
    fn former(&self) -> Vec<Material>;

    /// Asks the source.
    fn fetching(&self) -> Result<Fetching, Reason>;

    /// Asks the source whom it trusts now; `None` where trust is somebody else's to change.
    fn trusting(&self) -> Result<Option<Trusting>, Reason>;

    /// Refuses a leaf that would not work. `in_use` is the one it would replace.
    fn check(&self, candidate: &Bundle, in_use: Option<&Bundle>, now: SystemTime) -> Result<(), Reason>;

    /// Writes one store, and may `keep` what it held before as the last good one.
    fn install(&self, part: Part, wanted: &Bundle, keep: bool) -> Result<(), Reason>;

    /// Writes the last good store back.
    fn put_back(&self, part: Part) -> Result<(), Reason>;
}

/// All refusals among the findings as one reason, named after the first.
pub fn refusals(findings: &[Finding]) -> Result<(), Reason> {
    let refusals: Vec<_> =
        findings.iter().filter(|finding| finding.severity() == Severity::Refusal).collect();
    match refusals.first() {
        None => Ok(()),
        Some(first) => {
            let said: Vec<String> = refusals.iter().map(|finding| chain(*finding)).collect();
            Err(Reason::new(first.reason(), said.join("; ")))
        }
    }
}
