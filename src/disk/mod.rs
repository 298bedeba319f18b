//! Files that survive a crash: what to write is a list of steps, and one function carries them out.

pub mod step;
pub mod io;
