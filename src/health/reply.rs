//! The two small answers in JSON: an order was taken, and a request is refused.

use serde::Deserialize;
use serde::Serialize;

/// The answer to an order that was taken.
#[derive(Serialize, Deserialize)]
pub struct Taken {
    /// The number it is asked for by.
    pub order: u64,
}

/// The answer to a request that is refused.
#[derive(Serialize, Deserialize)]
pub struct Refusal {
    /// The word.
    pub reason: String,
    /// The same for a person.
    pub message: String,
}
