//! The room `pod`.
