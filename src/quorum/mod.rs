//! The controller quorum: what is seen of it, what that means, and whether this node may stop now.

pub mod words;
pub mod view;
pub mod sighting;
pub mod own;
pub mod timeline;
pub mod voters;
pub mod presence;
pub mod terms;
pub mod watermark;
pub mod history;
pub mod verdict;
pub mod member;
pub mod broker;
pub mod isr;
pub mod startup;
pub mod stop;
pub mod departure;
pub mod disagreement;
pub mod judge;
pub mod conditions;
pub mod line;
pub mod io;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod scenarios;
