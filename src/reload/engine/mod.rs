//! kraftlet's engine inside Kafka: what it says it has loaded.

pub mod report;
pub mod io;
