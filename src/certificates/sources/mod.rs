//! Where a certificate comes from: one file per source, and one line for each where the settings are read.

pub mod small_file;
pub mod content;
pub mod mounted;
pub mod local_ca;
pub mod pod_certificate;
mod waiting;
mod kept;
mod pending;
pub mod signer;
pub mod cert_manager;

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::request::Request;
use crate::pki::certificate::Certificate;

/// A place that gives certificates.
pub trait Source: Send + Sync {
    /// What [`fetch`](Self::fetch) would do, for `explain`; touches nothing.
    fn describe(&self) -> String;

    /// Reads or makes the certificate for `request`. `now` dates what is made.
    fn fetch(&self, request: &Request, now: SystemTime) -> Result<Bundle, SourceError>;

    /// The files whose content decides what [`fetch`](Self::fetch) gives: where one changes, it is time to fetch again.
    fn files(&self) -> Vec<PathBuf>;

    /// Whether each [`fetch`](Self::fetch) gives a fresh leaf. A source that cannot issue gives what somebody else has
    /// put there, and when that is due there is nothing to do but to wait.
    fn issues(&self) -> bool;

    /// Whether [`fetch`](Self::fetch) would have to make a CA first, which a plan that may still be refused must not.
    fn makes_a_ca(&self) -> bool {
        false
    }

    /// Whom a leaf of this source is verified against, where it issues a new leaf at each fetch and an installed one
    /// may be kept instead; `None` where there is nothing to keep, or nothing was ever issued. Makes nothing.
    fn trusted(&self, _request: &Request) -> Result<Option<Vec<Certificate>>, SourceError> {
        Ok(None)
    }
}

/// A source that gave nothing: the sentence and the reason are those of the source's own error.
#[derive(Debug)]
pub struct SourceError {
    error: Box<dyn Error + Send + Sync>,
    reason: &'static str,
    remedy: Remedy,
}

/// Who can make it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Time may: trying again is of use (exit code 1).
    TryAgain,
    /// A person must change something (exit code 2).
    ChangeSomething,
}

impl Remedy {
    /// Of a refusal of the operating system, as [`disk::io::may_pass`](crate::disk::io::may_pass) judges it.
    fn of(may_pass: bool) -> Self {
        if may_pass { Self::TryAgain } else { Self::ChangeSomething }
    }
}

impl SourceError {
    /// Wraps a source's own error.
    pub fn new(error: impl Error + Send + Sync + 'static, reason: &'static str, remedy: Remedy) -> Self {
        Self { error: Box::new(error), reason, remedy }
    }

    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Who can make it pass.
    pub fn remedy(&self) -> Remedy {
        self.remedy
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
