//! The controller quorum: what is seen of it, what that means, and whether this node may stop now.

pub mod view;
pub mod sighting;
