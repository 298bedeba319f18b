//! The command line: one file for each subcommand, which drives and decides nothing.

pub mod failure;
//pub mod new_cluster;
