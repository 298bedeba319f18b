//! The command line: one file for each subcommand, which drives and decides nothing.

pub mod failure;
pub mod inputs;
pub mod certificates;
pub mod storage;
pub mod engine;
pub mod init;
pub mod explain;
pub mod new_cluster;
pub mod sidecar;
pub mod signer;
pub mod table;
pub mod quorum_table;
pub mod agents;
pub mod orders;
pub mod status;
pub mod doctor;
pub mod renew;
pub mod forget_old_trust;
pub mod inject;
pub mod webhook;
pub mod kubectl;
pub mod command_line;

pub use command_line::main;
