//! Manifests as people write them: changed where something is added, and otherwise left to the byte.
//!
//! No YAML library in Rust writes back comments, order and quotes as it read them. So nothing is written back: the
//! parser says where each value stands, and text is put in between. The rest of the file is not touched.

pub mod tree;
pub mod write;
pub mod edit;
pub mod documents;
