//! Publishes whom to trust.

pub mod io;
