//! Orders: what a person may ask of the agent, and what has become of it.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::json;

use crate::health::text::Text;
use crate::health::text::Word;
use crate::quorum::words::words;

/// A wish that was taken, under the number by which its outcome is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Unique among the orders of a node, also over restarts of its agent.
    pub number: u64,
    /// What is wished.
    pub wish: Wish,
}

/// What is wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Renew one certificate, or all: fetch, install, reload, verify.
    Renew {
        /// Its name; `None`: each of this node's.
        certificate: Option<Text>,
    },
    /// Let go of the anchors that only an old CA needs, without waiting for the date.
    ForgetOldTrust {
        /// The certificate whose trust it is.
        certificate: Text,
    },
}

/// What has become of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderStatus {
    /// The number under which it was taken.
    pub number: u64,
    /// When it was taken.
    pub at: SystemTime,
    /// How far it has come.
    pub state: OrderState,
    /// How it ended, or why it goes on: `Renewed`, `Waiting`.
    pub reason: Word,
    /// The same for a person.
    pub sentence: Text,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Taken, and at work.
    Running,
    /// Done, and shown to be.
    Done,
    /// Ended otherwise; it may pass if it is ordered again.
    Failed,
    /// Ended otherwise, and a person must change something first.
    Refused,
}

words!(OrderState: Running, Done, Failed, Refused);

/// A body that is no wish.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// No JSON, or not of this shape.
    #[error("the order cannot be read: {0}")]
    Unreadable(Text),
    /// The order needs a certificate's name.
    #[error("the order names no certificate; want {{\"certificate\": \"<name>\"}}")]
    NoCertificate,
}

/// What crosses the wire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    certificate: Option<String>,
}

impl WishError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "OrderUnreadable"
    }
}

impl Wish {
    /// A wish to renew, from the body of a request; an empty body is a wish for all.
    pub fn renew(body: &[u8]) -> Result<Self, WishError> {
        Ok(Self::Renew { certificate: certificate(body)? })
    }

    /// A wish to forget, from the body of a request.
    pub fn forget_old_trust(body: &[u8]) -> Result<Self, WishError> {
        Ok(Self::ForgetOldTrust { certificate: certificate(body)?.ok_or(WishError::NoCertificate)? })
    }

    /// The certificate it names.
    pub fn certificate(&self) -> Option<&Text> {
        match self {
            Self::Renew { certificate } => certificate.as_ref(),
            Self::ForgetOldTrust { certificate } => Some(certificate),
        }
    }

    /// The path it is posted to.
    pub fn path(&self) -> &'static str {
        match self {
            Self::Renew { .. } => RENEW,
            Self::ForgetOldTrust { .. } => FORGET_OLD_TRUST,
        }
    }

    /// The body it is posted with.
    pub fn body(&self) -> Json {
        match self.certificate() {
            Some(certificate) => json!({ "certificate": certificate.as_str() }),
            None => json!({}),
        }
    }
}

/// Where a wish to renew is posted.
pub const RENEW: &str = "/v1/renew";

/// Where a wish to forget is posted.
pub const FORGET_OLD_TRUST: &str = "/v1/forget-old-trust";

fn certificate(body: &[u8]) -> Result<Option<Text>, WishError> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let shape: Shape =
        serde_json::from_slice(body).map_err(|error| WishError::Unreadable(Text::new(error)))?;
    Ok(shape.certificate.map(Text::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_strictly_and_comes_back_as_it_was() {
        let node = || Some(Text::new("node"));
        for (body, want) in [
            ("", Ok(None)),
            (" \n", Ok(None)),
            ("{}", Ok(None)),
            (r#"{"certificate": null}"#, Ok(None)),
            (r#"{"certificate": "node"}"#, Ok(node())),
            (r#"{"certifikate": "node"}"#, Err("the order cannot be read: unknown field `certifikate`")),
            (r#"{"certificate": 7}"#, Err("the order cannot be read: invalid type: integer `7`")),
            ("[", Err("the order cannot be read: EOF")),
            ("\u{0}", Err("the order cannot be read: expected value")),
        ] {
            match (Wish::renew(body.as_bytes()), want) {
                (Ok(wish), Ok(certificate)) => {
                    assert_eq!(wish, Wish::Renew { certificate });
                    assert_eq!(Wish::renew(wish.body().to_string().as_bytes()), Ok(wish));
                }
                (Err(error), Err(want)) => assert!(error.to_string().starts_with(want), "{error}"),
                (got, want) => panic!("{body:?}: {got:?}, want {want:?}"),
            }
        }
    }

    #[test]
    fn to_forget_one_must_say_for_which_certificate() {
        let error = Wish::forget_old_trust(b"{}").unwrap_err();
        assert_eq!(error.to_string(), "the order names no certificate; want {\"certificate\": \"<name>\"}");
        let wish = Wish::ForgetOldTrust { certificate: Text::new("node") };
        assert_eq!(Wish::forget_old_trust(wish.body().to_string().as_bytes()), Ok(wish));
    }
}
