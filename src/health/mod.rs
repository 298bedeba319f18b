//! What the agent knows at one moment, and how it is told: to people, to probes, to metrics and to other agents.

pub mod text;
pub mod snapshot;
pub mod order;
pub mod routes;
pub mod io;
