//! Why a pod that asks for kraftlet cannot have it, in a sentence that stands alone: of a pod that is denied, this is all
//! there is to see.

use crate::causes::chain;
use crate::cluster::problem::Problems;

/// A pod, a StatefulSet or settings that are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    reason: &'static str,
    message: String,
}

impl Refusal {
    /// `reason` is the word for logs, Events and metrics.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// An annotation that says nothing that is known.
    pub fn annotation(name: &str, found: &str, want: &str) -> Self {
        Self::new("AnnotationInvalid", format!("annotation {name}: {found:?}; want {want}"))
    }

    /// Settings that make no cluster.
    pub fn settings(problems: &Problems) -> Self {
        Self::new("SettingsInvalid", chain(problems))
    }

    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}
