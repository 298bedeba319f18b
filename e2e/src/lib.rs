//! What needs real Kafka beside kraftlet: the golden files, the benchmark and the programs that the scripts call.

pub mod golden;
pub mod ask;
