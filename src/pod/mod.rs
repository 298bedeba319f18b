//! Who this pod is: its name, its ordinal, and what Kubernetes says of it.

pub mod name;
pub mod facts;
pub mod io;
