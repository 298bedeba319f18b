//! What the renewal of a certificate goes by: its dates, its source, and whether there is a way back.

use crate::certificates::chance::Chance;
use crate::certificates::schedule::Schedule;

/// What does not change while a machine lives.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// When leaves are due.
    pub schedule: Schedule,
    /// Of the node's name; for waits.
    pub chance: Chance,
    /// What the source can do.
    pub source: Issues,
    /// Whether there is a way back.
    pub rollback: Rollback,
}

/// Whether a source makes a new leaf when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issues {
    /// It does.
    OnRequest,
    /// Somebody else renews, and the files change then (`mounted`).
    ByItself,
}

/// Whether the last good keystore can be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    /// It is kept beside the installed one.
    Possible,
    /// The files are not ours to write.
    Impossible,
}
