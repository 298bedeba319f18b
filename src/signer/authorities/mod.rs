//! The CAs: made when they are first needed, published, replaced when they are due.

pub mod owner;
pub mod publish;
pub mod publisher;
pub mod io;
