//! A node's certificate: fetched from a source, checked before anything is written, installed as Kafka reads it.

pub mod chance;
pub mod schedule;
pub mod backoff;
pub mod turn;
pub mod open;
pub mod policy;
pub mod renewal;
pub mod request;
pub mod signing;
pub mod bundle;
pub mod sources;
pub mod finding;
pub mod requirements;
pub mod preflight;
pub mod install;
pub mod trust;
