//! Takes part in the choice of a leader.

pub mod io;
