//! Logging in: SaslHandshake names the mechanism, SaslAuthenticate carries its messages.
//!
//! Requests 17, version 1, and 36, version 2, which every supported release knows (`SaslHandshakeRequest.json`,
//! `SaslAuthenticateRequest.json`; KIP-43, KIP-152, KIP-368). Their bodies hold secrets: nobody logs them.

use zeroize::Zeroizing;

use crate::kafka::login::Login;
use crate::kafka::login::Mechanism;
use crate::kafka::requests::ErrorCode;
use crate::kafka::requests::ResponseError;
use crate::kafka::requests::encode_inflexible_request;
use crate::kafka::requests::encode_request;
use crate::kafka::requests::for_a_log_line;
use crate::kafka::requests::read_header;
use crate::kafka::requests::read_inflexible_header;
use crate::kafka::requests::refusal;
use crate::kafka::scram_client::ScramRefusal;
use crate::kafka::wire::Reader;
use crate::kafka::wire::Writer;

const SASL_HANDSHAKE: i16 = 17;
/// From version 1 on, the mechanism's messages are Kafka requests of their own.
const SASL_HANDSHAKE_VERSION: i16 = 1;
const SASL_AUTHENTICATE: i16 = 36;
const SASL_AUTHENTICATE_VERSION: i16 = 2;

/// What a listener says to a mechanism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handshake {
    /// Go on.
    Taken,
    /// Not this one; those that are, in one line.
    NotEnabled(String),
}

/// Why a login failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// Kafka says no, in its own words.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// Not SCRAM as it should be.
    #[error(transparent)]
    Scram(#[from] ScramRefusal),
}

impl LoginRefusal {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Response(ResponseError::Refused {
                code: ErrorCode::SASL_AUTHENTICATION_FAILED, ..
            }) => "LoginRefused",
            Self::Response(other) => other.reason(),
            Self::Scram(refusal) => refusal.reason(),
        }
    }
}

/// A whole SaslHandshake request.
pub fn encode_handshake(mechanism: Mechanism, correlation_id: i32) -> Vec<u8> {
    let mut body = Writer::new();
    body.string(&mechanism.to_string());
    encode_inflexible_request(SASL_HANDSHAKE, SASL_HANDSHAKE_VERSION, correlation_id, &body.into_bytes())
}

/// Reads a SaslHandshake response, without its length.
pub fn decode_handshake(response: &[u8], correlation_id: i32) -> Result<Handshake, ResponseError> {
    let mut reader = Reader::new(response);
    read_inflexible_header(&mut reader, correlation_id)?;
    let code = reader.i16()?;
    if ErrorCode::new(code) != ErrorCode::UNSUPPORTED_SASL_MECHANISM {
        return refusal(code, None).map(|()| Handshake::Taken);
    }
    let names = reader.inflexible_array(2, Reader::string)?;
    Ok(Handshake::NotEnabled(if names.is_empty() {
        "none".to_owned()
    } else {
        for_a_log_line(&names.join(", "))
    }))
}

/// A whole SaslAuthenticate request with one message of the mechanism.
pub fn encode_authenticate(message: &[u8], correlation_id: i32) -> Vec<u8> {
    // Room for the longest varint, so that the message is in one place and is wiped there.
    let mut body = Writer::with_capacity(message.len() + 6);
    body.compact_bytes(message).no_tagged_fields();
    let body = Zeroizing::new(body.into_bytes());
    encode_request(SASL_AUTHENTICATE, SASL_AUTHENTICATE_VERSION, correlation_id, &body)
}

/// Reads a SaslAuthenticate response, without its length: the server's message of the mechanism.
pub fn decode_authenticate(response: &[u8], correlation_id: i32) -> Result<Vec<u8>, ResponseError> {
    let mut reader = Reader::new(response);
    read_header(&mut reader, correlation_id)?;
    let code = reader.i16()?;
    refusal(code, reader.compact_nullable_string()?)?;
    // How long the session lives follows: no connection of ours lives that long.
    Ok(reader.compact_bytes()?.to_vec())
}

/// The one message of PLAIN (RFC 4616): nobody else's identity, user, password.
pub fn plain_message(login: &Login) -> Zeroizing<Vec<u8>> {
    let (username, password) = (login.username().as_bytes(), login.password().as_bytes());
    let mut message = Zeroizing::new(Vec::with_capacity(2 + username.len() + password.len()));
    for part in [b"\0", username, b"\0", password] {
        message.extend_from_slice(part);
    }
    message
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::messages::SaslAuthenticateRequest;
    use kafka_protocol::messages::SaslAuthenticateResponse;
    use kafka_protocol::messages::SaslHandshakeRequest;
    use kafka_protocol::messages::SaslHandshakeResponse;
    use kafka_protocol::protocol::Decodable;
    use kafka_protocol::protocol::Encodable;
    use kafka_protocol::protocol::StrBytes;
    use proptest::prelude::*;

    use super::*;
    use crate::kafka::scram::ScramMechanism;

    fn request(api_key: i16, version: i16, header: i16, body: &impl Encodable) -> Vec<u8> {
        let mut bytes = Vec::new();
        RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(version)
            .with_correlation_id(5)
            .with_client_id(Some(StrBytes::from_static_str("kraftlet")))
            .encode(&mut bytes, header)
            .unwrap();
        body.encode(&mut bytes, version).unwrap();
        bytes
    }

    fn handshake_response(code: i16, mechanisms: &[&str]) -> Vec<u8> {
        let mut bytes = Writer::new();
        bytes.i32(5).i16(code).i32(mechanisms.len() as i32);
        for name in mechanisms {
            bytes.string(name);
        }
        bytes.into_bytes()
    }

    fn authenticate_response(code: i16, message: Option<&str>) -> Vec<u8> {
        let mut bytes = Writer::new();
        bytes.i32(5).no_tagged_fields().i16(code);
        match message {
            Some(message) => bytes.compact_string(message),
            None => bytes.null(),
        };
        bytes.compact_bytes(b"r=x").i64(0).no_tagged_fields();
        bytes.into_bytes()
    }

    #[test]
    fn another_decoder_agrees_with_ours() {
        let bytes = handshake_response(33, &["PLAIN", "GSSAPI"]);
        let mut rest = &bytes[4..];
        let theirs = SaslHandshakeResponse::decode(&mut rest, 1).unwrap();
        assert!(rest.is_empty());
        assert_eq!((theirs.error_code, theirs.mechanisms.len()), (33, 2));
        let bytes = authenticate_response(58, Some("no"));
        let mut rest = &bytes[5..];
        let theirs = SaslAuthenticateResponse::decode(&mut rest, 2).unwrap();
        assert!(rest.is_empty());
        assert_eq!((theirs.error_code, theirs.error_message.as_deref()), (58, Some("no")));
        assert_eq!(&theirs.auth_bytes[..], b"r=x");
    }

    #[test]
    fn our_requests_are_those_of_another_encoder() {
        let name = StrBytes::from_static_str("SCRAM-SHA-512");
        let body = SaslHandshakeRequest::default().with_mechanism(name);
        let ours = encode_handshake(Mechanism::Scram(ScramMechanism::Sha512), 5);
        assert_eq!(ours[4..], request(17, 1, 1, &body));
        assert_eq!(ours[..4], (ours.len() as u32 - 4).to_be_bytes());
        let login = Login::new(Mechanism::Plain, "ada", Zeroizing::new("x".repeat(200))).unwrap();
        let message = plain_message(&login);
        assert_eq!(*message, [b"\0ada\0", &[b'x'; 200][..]].concat());
        let body = SaslAuthenticateRequest::default().with_auth_bytes(message.to_vec().into());
        assert_eq!(encode_authenticate(&message, 5)[4..], request(36, 2, 2, &body));
    }

    #[test]
    fn what_a_listener_says_is_understood() {
        let handshake = |code, names: &[&str]| decode_handshake(&handshake_response(code, names), 5);
        assert_eq!(handshake(0, &["PLAIN"]), Ok(Handshake::Taken));
        assert_eq!(
            handshake(33, &["PLAIN", "GSSAPI"]),
            Ok(Handshake::NotEnabled("PLAIN, GSSAPI".to_owned()))
        );
        assert_eq!(handshake(33, &[]), Ok(Handshake::NotEnabled("none".to_owned())));
        assert_eq!(handshake(34, &[]).unwrap_err().to_string(), "the answer is ILLEGAL_SASL_STATE, error 34");
        assert_eq!(decode_authenticate(&authenticate_response(0, None), 5), Ok(b"r=x".to_vec()));
        let refused = decode_authenticate(&authenticate_response(58, Some("Invalid username")), 5);
        let refused = LoginRefusal::from(refused.unwrap_err());
        assert_eq!(
            refused.to_string(),
            "the answer is SASL_AUTHENTICATION_FAILED, error 58 (Invalid username)"
        );
        assert_eq!(refused.reason(), "LoginRefused");
    }

    #[test]
    fn an_answer_that_ends_too_soon_is_an_error() {
        let (handshake, authenticate) =
            (handshake_response(33, &["PLAIN", "GSSAPI"]), authenticate_response(0, Some("x")));
        for end in 0..handshake.len() {
            assert!(decode_handshake(&handshake[..end], 5).is_err(), "{end}");
        }
        // The session's life and the tags are not read.
        for end in 0..authenticate.len() - 9 {
            assert!(decode_authenticate(&authenticate[..end], 5).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0usize..40, to in any::<u8>(),
        ) {
            let _ = (decode_handshake(&bytes, 5), decode_authenticate(&bytes, 5));
            let changed = |mut whole: Vec<u8>| {
                let at = at % whole.len();
                whole[at] = to;
                whole
            };
            let _ = decode_handshake(&changed(handshake_response(33, &["PLAIN", "GSSAPI"])), 5);
            let _ = decode_authenticate(&changed(authenticate_response(58, Some("no"))), 5);
        }
    }
}
