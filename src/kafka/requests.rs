//! What all requests share: the frame, the header, the error codes, and the request that asks for versions.
//!
//! Only the few requests this program sends are here. Headers: KIP-482 and `ApiMessageType.requestHeaderVersion`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::kafka::wire::Reader;
use crate::kafka::wire::WireError;
use crate::kafka::wire::Writer;

/// The longest answer that is read, in bytes. A DescribeQuorum answer has about 60 for each node, and a Metadata answer of
/// 3.7 about 40 for each partition that has three replicas.
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// Bytes of the length in front of each request and response.
pub const LENGTH_BYTES: usize = 4;

/// How the program names itself in the broker's logs and quotas.
const CLIENT_ID: &str = "kraftlet";

const API_VERSIONS: i16 = 18;
/// Every supported release knows it; newer versions only add what is not used here.
const API_VERSIONS_VERSION: i16 = 3;
/// A tag of the response (`ApiVersionsResponse.json`).
const FINALIZED_FEATURES_EPOCH: u32 = 1;

/// An error code in a response (`org.apache.kafka.common.protocol.Errors`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(i16);

/// Which versions of which requests the other side answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiVersions {
    ranges: BTreeMap<i16, RangeInclusive<i16>>,
    finalized_epoch: Option<i64>,
}

/// An answer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The bytes do not add up.
    #[error("the answer cannot be read")]
    Wire(#[from] WireError),
    /// An answer to something else.
    #[error("the answer is to request {found}; want {want}")]
    Correlation {
        /// The number in the answer.
        found: i32,
        /// The number in the request.
        want: i32,
    },
    /// The other side says no.
    #[error("the answer is {code}{}", message.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// Kafka's code.
        code: ErrorCode,
        /// Kafka's sentence, if there is one.
        message: Option<String>,
    },
    /// A field that cannot have the value.
    #[error("the answer has {field} {value}")]
    Field {
        /// The field, by its name in Kafka.
        field: &'static str,
        /// What stands there.
        value: i64,
    },
    /// A value that cannot be one of its key.
    #[error("the answer has {key} {value:?}; want a number")]
    Value {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
    },
    /// A page that would be followed by one that has been before.
    #[error("the answer goes back to where it began")]
    Circle,
    /// The answer does not speak of the metadata partition.
    #[error("the answer does not mention __cluster_metadata-0")]
    NoMetadataPartition,
    /// The answer does not speak of the resource.
    #[error("the answer does not mention what was asked about")]
    NoSuchResource,
}

impl ResponseError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "PeerRefuses",
            Self::Wire(_)
            | Self::Correlation { .. }
            | Self::Field { .. }
            | Self::Value { .. }
            | Self::Circle
            | Self::NoMetadataPartition
            | Self::NoSuchResource => "PeerAnswerUnreadable",
        }
    }
}

impl ErrorCode {
    /// No error.
    pub const NONE: Self = Self(0);
    /// Another controller leads.
    pub const NOT_LEADER_OR_FOLLOWER: Self = Self(6);
    /// There is no such topic.
    pub const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    /// Our principal may not ask.
    pub const CLUSTER_AUTHORIZATION_FAILED: Self = Self(31);
    /// The listener does not take the mechanism.
    pub const UNSUPPORTED_SASL_MECHANISM: Self = Self(33);
    /// Another controller is the active one.
    pub const NOT_CONTROLLER: Self = Self(41);
    /// Wrong user or password.
    pub const SASL_AUTHENTICATION_FAILED: Self = Self(58);
    /// No node with this id is registered.
    pub const BROKER_ID_NOT_REGISTERED: Self = Self(102);

    /// The code with this number.
    pub const fn new(code: i16) -> Self {
        Self(code)
    }

    /// Kafka's name, for the codes that can come in answer to our requests.
    fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            -1 => "UNKNOWN_SERVER_ERROR",
            0 => "NONE",
            3 => "UNKNOWN_TOPIC_OR_PARTITION",
            6 => "NOT_LEADER_OR_FOLLOWER",
            7 => "REQUEST_TIMED_OUT",
            17 => "INVALID_TOPIC_EXCEPTION",
            29 => "TOPIC_AUTHORIZATION_FAILED",
            31 => "CLUSTER_AUTHORIZATION_FAILED",
            33 => "UNSUPPORTED_SASL_MECHANISM",
            34 => "ILLEGAL_SASL_STATE",
            35 => "UNSUPPORTED_VERSION",
            40 => "INVALID_CONFIG",
            41 => "NOT_CONTROLLER",
            42 => "INVALID_REQUEST",
            44 => "POLICY_VIOLATION",
            58 => "SASL_AUTHENTICATION_FAILED",
            102 => "BROKER_ID_NOT_REGISTERED",
            104 => "INCONSISTENT_CLUSTER_ID",
            114 => "MISMATCHED_ENDPOINT_TYPE",
            115 => "UNSUPPORTED_ENDPOINT_TYPE",
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}, error {}", self.0),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl ApiVersions {
    /// `FinalizedFeaturesEpoch`. A broker says by it up to which offset it has applied the metadata
    /// (`KRaftMetadataCache.features`); on a controller it moves only when features change.
    pub fn finalized_epoch(&self) -> Option<i64> {
        self.finalized_epoch
    }

    /// The highest version that both sides know.
    pub fn best(&self, api_key: i16, ours: RangeInclusive<i16>) -> Option<i16> {
        let theirs = self.ranges.get(&api_key)?;
        let best = *ours.end().min(theirs.end());
        (ours.contains(&best) && theirs.contains(&best)).then_some(best)
    }
}

/// A whole request: length, header version 2, body.
pub fn encode_request(api_key: i16, api_version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    framed(api_key, api_version, correlation_id, &[0], body)
}

/// A whole request with a header of version 1, which has no tagged fields.
pub fn encode_inflexible_request(
    api_key: i16,
    api_version: i16,
    correlation_id: i32,
    body: &[u8],
) -> Vec<u8> {
    framed(api_key, api_version, correlation_id, &[], body)
}

/// Written once and never moved, so that a password in it is in one place only.
fn framed(api_key: i16, api_version: i16, correlation_id: i32, tags: &[u8], body: &[u8]) -> Vec<u8> {
    // Key, version, number and the length of the client id.
    let size = 10 + CLIENT_ID.len() + tags.len() + body.len();
    let mut request = Writer::with_capacity(LENGTH_BYTES + size);
    request.u32(u32::try_from(size).unwrap_or(u32::MAX)).i16(api_key).i16(api_version).i32(correlation_id);
    // The client id is the one string in a flexible header that is not compact.
    request.i16(CLIENT_ID.len() as i16).raw(CLIENT_ID.as_bytes()).raw(tags).raw(body);
    request.into_bytes()
}

/// Passes over the header of a response, version 1, and checks whose answer it is.
pub fn read_header(reader: &mut Reader<'_>, correlation_id: i32) -> Result<(), ResponseError> {
    read_inflexible_header(reader, correlation_id)?;
    Ok(reader.skip_tagged_fields()?)
}

/// Passes over the header of a response, version 0, and checks whose answer it is.
pub fn read_inflexible_header(reader: &mut Reader<'_>, want: i32) -> Result<(), ResponseError> {
    let found = reader.i32()?;
    if found == want { Ok(()) } else { Err(ResponseError::Correlation { found, want }) }
}

/// A whole ApiVersions request, version 3.
pub fn encode_api_versions(correlation_id: i32) -> Vec<u8> {
    let mut body = Writer::new();
    body.compact_string(env!("CARGO_PKG_NAME")).compact_string(env!("CARGO_PKG_VERSION")).no_tagged_fields();
    encode_request(API_VERSIONS, API_VERSIONS_VERSION, correlation_id, &body.into_bytes())
}

/// Reads an ApiVersions response, version 3, without its length. Its header is version 0 whatever its own version is
/// (KIP-511), and a refusal comes in the format of version 0, so that only the error code can be read.
pub fn decode_api_versions(response: &[u8], correlation_id: i32) -> Result<ApiVersions, ResponseError> {
    let mut reader = Reader::new(response);
    read_inflexible_header(&mut reader, correlation_id)?;
    refusal(reader.i16()?, None)?;
    let ranges = reader.compact_array(7, |reader| {
        let (api_key, min, max) = (reader.i16()?, reader.i16()?, reader.i16()?);
        reader.skip_tagged_fields()?;
        Ok::<_, WireError>((api_key, min..=max))
    })?;
    let _throttle_time_ms = reader.i32()?;
    let mut finalized_epoch = None;
    reader.tagged_fields(|tag, mut value| {
        if tag == FINALIZED_FEATURES_EPOCH {
            finalized_epoch = Some(value.i64()?).filter(|epoch| *epoch >= 0);
        }
        Ok::<_, WireError>(())
    })?;
    Ok(ApiVersions { ranges: ranges.into_iter().collect(), finalized_epoch })
}

/// An error code as a result.
pub fn refusal(code: i16, message: Option<&str>) -> Result<(), ResponseError> {
    match ErrorCode(code) {
        ErrorCode::NONE => Ok(()),
        // A hostile sentence may not fill the log.
        code => Err(ResponseError::Refused { code, message: message.map(for_a_log_line) }),
    }
}

/// What a peer says, as far as it may be repeated.
pub fn for_a_log_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiVersionsRequest;
    use kafka_protocol::messages::ApiVersionsResponse;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::messages::ResponseHeader;
    use kafka_protocol::protocol::Decodable;
    use kafka_protocol::protocol::Encodable;
    use kafka_protocol::protocol::StrBytes;
    use proptest::prelude::*;

    use super::*;

    fn response(error_code: i16) -> Vec<u8> {
        let mut bytes = Writer::new();
        bytes.i32(5).i16(error_code).compact_length(2);
        for (api_key, min, max) in [(55, 0, 2), (1, 4, 17)] {
            bytes.i16(api_key).i16(min).i16(max).no_tagged_fields();
        }
        bytes.i32(0).no_tagged_fields();
        bytes.into_bytes()
    }

    #[test]
    fn our_request_is_that_of_another_encoder() {
        let header = RequestHeader::default()
            .with_request_api_key(18)
            .with_request_api_version(3)
            .with_correlation_id(5)
            .with_client_id(Some(StrBytes::from_static_str("kraftlet")));
        let body = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("kraftlet"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut want = Vec::new();
        header.encode(&mut want, 2).unwrap();
        body.encode(&mut want, 3).unwrap();
        let bytes = encode_api_versions(5);
        assert_eq!(bytes[..4], (want.len() as u32).to_be_bytes());
        assert_eq!(bytes[4..], want);
    }

    #[test]
    fn the_highest_common_version_is_chosen() {
        let bytes = response(0);
        let mut rest = &bytes[..];
        assert_eq!(ResponseHeader::decode(&mut rest, 0).unwrap().correlation_id, 5);
        assert_eq!(ApiVersionsResponse::decode(&mut rest, 3).unwrap().api_keys.len(), 2);
        let versions = decode_api_versions(&bytes, 5).unwrap();
        for (api_key, ours, want) in [
            (55, 0..=2, Some(2)),
            (55, 0..=1, Some(1)),
            (55, 3..=4, None),
            (1, 0..=3, None),
            (1, 0..=4, Some(4)),
            (80, 0..=0, None),
        ] {
            assert_eq!(versions.best(api_key, ours), want, "{api_key}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..60, to in any::<u8>()) {
            let _ = decode_api_versions(&bytes, 5);
            let mut changed = response(0);
            if let Some(byte) = changed.get_mut(at) {
                *byte = to;
            }
            let _ = decode_api_versions(&changed, 5);
        }
    }

    #[test]
    fn an_answer_that_cannot_be_used_says_why() {
        let error = decode_api_versions(&response(0), 6).unwrap_err();
        assert_eq!(error.to_string(), "the answer is to request 5; want 6");
        let error = decode_api_versions(&response(35), 5).unwrap_err();
        assert_eq!(error.to_string(), "the answer is UNSUPPORTED_VERSION, error 35");
        let error = refusal(6, Some("try\nelsewhere")).unwrap_err();
        assert_eq!(error.to_string(), "the answer is NOT_LEADER_OR_FOLLOWER, error 6 (tryelsewhere)");
        let whole = response(0);
        for end in 0..20 {
            assert!(decode_api_versions(&whole[..end], 5).is_err(), "{end}");
        }
    }
}
