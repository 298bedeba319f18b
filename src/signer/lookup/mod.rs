//! Asks the API server who asks, and what the settings say of him.

pub mod io;
