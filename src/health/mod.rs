//! What the agent knows at one moment, and how it is told: to people, to probes, to metrics and to other agents.

pub mod text;
pub mod recent;
pub mod channel;
pub mod certificate;
pub mod order;
pub mod snapshot;
pub mod wire;
mod quorum_document;
pub mod document;
pub mod verdict;
pub mod notice;
pub mod check;
pub mod pulse;
pub mod probe;
pub mod latency;
mod series;
mod quorum_metrics;
pub mod metrics;
pub mod address;
pub mod doctor;
pub mod page;
pub mod reply;
pub mod routes;
pub mod connections;
pub mod client;
pub mod prestop;
pub mod io;
#[cfg(test)]
pub(crate) mod testing;
