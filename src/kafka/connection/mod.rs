//! A connection to a listener: opened, asked, closed.

pub mod io;
