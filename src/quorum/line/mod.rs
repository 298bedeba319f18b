//! A connection that is kept from look to look.

pub mod io;
