//! `node.id`: the number by which Kafka knows a node.

use std::fmt;
use std::str::FromStr;

/// A node id, 0 to 2147483647 (`KRaftConfigs.NODE_ID_CONFIG`, an `int` that is at least 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(i32);

/// A node id that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node id {0:?} is not a whole number from 0 to 2147483647")]
pub struct NodeIdError(String);

impl NodeIdError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "InvalidNodeId"
    }
}

impl NodeId {
    /// The number, as it is in records and requests.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for NodeId {
    type Error = NodeIdError;

    fn try_from(id: i32) -> Result<Self, NodeIdError> {
        if id < 0 { Err(NodeIdError(id.to_string())) } else { Ok(Self(id)) }
    }
}

/// Reads decimal digits only: no sign, no blanks.
impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(id) if digits => Ok(Self(id)),
            _ => Err(NodeIdError(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_a_whole_number_that_fits() {
        for (text, want) in [
            ("0", Some(0)),
            ("1007", Some(1007)),
            ("2147483647", Some(i32::MAX)),
            ("2147483648", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1.0", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<NodeId>().ok().map(NodeId::get), want, "{text:?}");
        }
        assert!(NodeId::try_from(-1).is_err());
        assert_eq!(NodeId::try_from(7).unwrap().to_string(), "7");
    }
}
