//! Real-Kafka tests.
