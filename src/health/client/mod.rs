//! Asking an agent: what commands do, and other agents.

pub mod way;
pub mod io;
