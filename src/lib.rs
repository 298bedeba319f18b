//! kraftlet: the agent beside every Kafka pod.

pub mod disk;
pub mod pki;
pub mod kafka;
pub mod pod;
pub mod cluster;
pub mod storage;
pub mod certificates;
pub mod commands;
