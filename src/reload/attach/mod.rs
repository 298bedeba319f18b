//! Beside a Kafka that kraftlet did not configure (KubeDB, Strimzi, Bitnami, hand-made): what its own properties and
//! stores say.
//!
//! Nothing is written here: the files belong to whoever made them. The agent reads key, chain and trust anchors for its
//! own handshakes, watches the files, and asks Kafka to read them again.

pub mod finding;
pub mod material;
pub mod attached;
pub mod requirements;
pub mod io;
