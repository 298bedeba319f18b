//! The webhook's own certificate, which the API server verifies against the `caBundle` of the webhook's configuration.
//!
//! Each replica makes a small CA of its own in memory, and adds that CA to the bundle before it answers. So no key is
//! ever stored, no Secret has to be readable, and replicas need not know of one another.

pub mod bundle;
pub mod succession;
pub mod io;
