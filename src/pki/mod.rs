//! The room `pki`.
