//! The connections of one port: how many there may be, how long each lives, and who has to go when it is crowded.

pub mod io;
