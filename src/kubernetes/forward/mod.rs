//! A port of a pod, reached through the API server.

pub mod io;
