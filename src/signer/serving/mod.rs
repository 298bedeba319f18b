//! The signer's own certificate.

pub mod io;
