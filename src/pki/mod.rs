//! Keys, certificates, chains and the stores Kafka reads them from.
//!
//! What is read here came from outside (a mounted Secret, a CA's answer, a handshake): every length is bounded and no
//! byte can make the agent panic. Making keys, and everything else that needs chance or a crypto provider, is in
//! [`io`]; signing and PKCS12 draw their nonces and salts inside their crates and decide nothing by them.

pub mod subject;
pub mod validity;
pub mod renew_point;
pub mod key_kind;
pub mod certificate;
pub mod private_key;
pub mod hostname;
pub mod chain;
pub mod stores;
pub mod jks;
pub mod sign;
pub mod csr;
pub mod handshake;
pub mod io;
#[cfg(test)]
pub(crate) mod testing;
