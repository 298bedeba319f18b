//! A running node's TLS channels: which there are, how each takes new files, which leaf each one uses.

pub mod engine_report;
pub mod io;
