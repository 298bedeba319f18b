//! What kraftlet's signer answers, and its source reads: one shape on the wire.

use serde::Deserialize;
use serde::Serialize;

/// The audience of the tokens that the signer takes. A token for it is of no use anywhere else.
pub const AUDIENCE: &str = "kraftlet-signer";

/// Where a certificate is asked for; `?certificate=` says which of the settings'.
pub const SIGN: &str = "/v1/sign";

/// Where only the trust of one is asked for.
pub const TRUST: &str = "/v1/trust";

/// The longest answer: trust anchors are bounded by what a ConfigMap holds.
pub const MOST_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// A certificate, and whom to trust from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// PEM, the leaf first; empty where only trust was asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub certificate_chain: String,
    /// PEM: the CAs of the cluster, of which there are two while one takes the place of the other.
    pub trust_anchors: String,
    /// PEM: whom to trust as the signer the next time.
    pub serving_anchors: String,
}

/// Why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Refused {
    /// A word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// The reason of a refusal by a replica that does not lead; the other one does.
pub const NOT_LEADING: &str = "NotLeading";
