//! A running node's TLS channels: which there are, how each takes new files, and the handshakes that show that it did.
//!
//! The channels follow from the node's own `server.properties`, whoever wrote that: the same lines are read for a node
//! that kraftlet configured and for one that it is attached to. That a request to reload was answered proves nothing:
//! Kafka reloads later, thread by thread, and reports failures only in its log. Only handshakes that show the new leaf
//! count.

pub mod node_properties;
pub mod store;
pub mod listener;
pub mod channel;
pub mod start_note;
pub mod observed;
pub mod coverage;
pub mod engine;
pub mod handshake;
pub mod verify;
pub mod probe;
pub mod trigger;
pub mod io;
pub mod allowed_change;
pub mod config_provider;
pub mod attach;
