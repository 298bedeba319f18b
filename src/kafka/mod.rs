//! What Kafka reads and says: ids, versions, files on its disks, and the few requests this program sends.
//!
//! Everything here is bytes in, values out and back, to the byte as Kafka's own tools have it; only the `io` of
//! each folder opens a connection or draws a random number.

pub mod uuid;
pub mod node_id;
pub mod version;
pub mod features;
pub mod properties;
pub mod meta_properties;
pub mod wire;
pub mod record_batch;
pub mod scram;
pub mod metadata_records;
pub mod checkpoint;
pub mod requests;
pub mod describe_quorum;
pub mod describe_cluster;
pub mod alter_configs;
pub mod topics;
pub mod topic_configs;
pub mod login;
pub mod scram_client;
pub mod sasl;
pub mod endpoint;
pub mod ask_error;
pub mod address;
pub mod connection;
pub mod io;
