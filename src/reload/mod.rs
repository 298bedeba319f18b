//! A running node's TLS channels: which there are, how each takes new files, which leaf each one uses.
//!
//! All of it follows from the node's own `server.properties`, whoever wrote that: the same lines are read for a node
//! that kraftlet configured and for one that it is attached to.

pub mod node_properties;
pub mod store;
pub mod listener;
pub mod channel;
pub mod start_note;
pub mod observed;
pub mod coverage;
pub mod allowed_change;
pub mod config_provider;
pub mod attach;
