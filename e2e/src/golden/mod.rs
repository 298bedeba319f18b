//! Files made by Kafka's own storage tool, for the tests that compare kraftlet's bytes with Kafka's.

pub mod case;
pub mod cases;
pub mod normal;
pub mod make;
