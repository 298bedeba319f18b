//! How Kafka is made to take a new leaf while it runs, and the handshakes that show that it did.
//!
//! That a request was answered proves nothing: Kafka reloads later, thread by thread, and reports failures only in its
//! log. Only handshakes that show the new leaf count.

pub mod network_threads;
pub mod verify;
pub mod probe;
pub mod trigger;
pub mod engine_report;
pub mod io;
