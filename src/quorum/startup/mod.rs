//! How far this node's Kafka has started, seen from its log directories and its listener alone: no JMX, no process.
//!
//! A running Kafka holds a lock on the file `.lock` of each log directory (`LogManager`, `KafkaRaftManager`), and the
//! kernel tells everybody who asks whether somebody holds it, in another container too. So each start has a moment
//! before it at which nobody held the lock, and what was touched after that moment was touched by this start.

pub mod traces;
pub mod start;
pub mod io;
