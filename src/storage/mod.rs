//! Log directories: what is there, what this node needs, and the steps between the two, or a refusal.
//!
//! `look` reads and decides nothing, `plan` decides and touches nothing, and `crate::disk::io::apply` does. The rules
//! are those of `kafka-storage format --ignore-formatted`, which is run before every start, only stricter: what
//! Kafka would skip in silence, or write over, is a refusal here.

pub mod names;
pub mod wanted;
pub mod found;
pub mod wait;
pub mod empty_disk;
pub mod refusal;
pub mod note;
pub mod inspect;
pub mod layout;
pub mod controller;
pub mod plan;
pub mod io;
