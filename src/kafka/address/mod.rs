//! `host:port`, resolved and connected to, with a deadline.

pub mod io;
