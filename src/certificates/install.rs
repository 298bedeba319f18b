//! The steps that put a checked certificate where Kafka reads it.
