//! kraftlet
fn main() {}
