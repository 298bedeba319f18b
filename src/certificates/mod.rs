//! A node's certificate: fetched from a source, checked before anything is written, installed as Kafka reads it.

pub mod request;
pub mod bundle;
pub mod sources;
pub mod finding;
pub mod requirements;
pub mod preflight;
pub mod install;
