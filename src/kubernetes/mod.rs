//! The API server: what is asked of it, how its refusals read, and the one client.
//!
//! Objects are read into shapes of our own that name only the fields that are used: the whole types of Kubernetes would
//! double this program, and an object of a newer Kubernetes is read as well as one of an older.

pub mod resource;
pub mod error;
pub mod meta;
pub mod io;
pub mod forward;
