//! The room `cluster`.
