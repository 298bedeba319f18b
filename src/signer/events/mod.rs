//! Tells of pods in Events.

pub mod io;
