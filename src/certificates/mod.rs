//! The room `certificates`.
