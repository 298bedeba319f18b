//! What a renewal has not finished on the disk, store by store, and what goes on with it.

use crate::certificates::turn::Content;
use crate::certificates::turn::Part;
use crate::certificates::turn::Reason;
use crate::certificates::turn::Work;

/// What is unfinished about the leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// Every channel shows it, or there is none.
    Nothing,
    /// Not shown yet.
    Installed(Content),
    /// To be rolled back for this reason.
    Broken(Reason),
    /// The last good one is back for this reason, and not shown yet.
    RolledBack(Reason),
}

/// What is unfinished about the truststore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenTrust {
    /// No turn has left one.
    Nothing,
    /// Not shown yet.
    Installed {
        /// Whether the one before was finished; only then is it worth going back to.
        way_back: bool,
    },
    /// To be rolled back for this reason.
    Broken(Reason),
    /// The one before is back for this reason, and not shown yet.
    RolledBack(Reason),
}

impl Open {
    /// What goes on with it.
    pub fn work(&self) -> Option<Work> {
        match self {
            Self::Nothing => None,
            Self::Installed(_) | Self::RolledBack(_) => Some(Work::Reload(Part::Leaf)),
            Self::Broken(_) => Some(Work::RollBack(Part::Leaf)),
        }
    }
}

impl OpenTrust {
    /// After another was installed in its place.
    pub fn replaced(&self) -> Self {
        let way_back = match self {
            Self::Nothing | Self::RolledBack(_) => true,
            Self::Installed { .. } | Self::Broken(_) => false,
        };
        Self::Installed { way_back }
    }

    /// What goes on with it.
    pub fn work(&self) -> Option<Work> {
        match self {
            Self::Nothing => None,
            Self::Installed { .. } | Self::RolledBack(_) => Some(Work::Reload(Part::Trust)),
            Self::Broken(_) => Some(Work::RollBack(Part::Trust)),
        }
    }
}
