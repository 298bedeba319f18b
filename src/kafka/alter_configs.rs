//! IncrementalAlterConfigs, as far as it makes Kafka read its stores again: one key of one node is unset.
//!
//! Request 44, version 1, which every supported release knows (`IncrementalAlterConfigsRequest.json`; KIP-339). A key
//! that has no dynamic value may be unset all the same: nothing is stored, but the node it concerns reloads all its
//! stores (`DynamicConfigPublisher.reloadUpdatedFilesWithoutConfigChange`). The principal needs ALTER_CONFIGS on the
//! cluster.

use crate::kafka::node_id::NodeId;
use crate::kafka::requests::ResponseError;
use crate::kafka::requests::encode_request;
use crate::kafka::requests::read_header;
use crate::kafka::requests::refusal;
use crate::kafka::wire::Reader;
use crate::kafka::wire::Writer;

const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
const INCREMENTAL_ALTER_CONFIGS_VERSION: i16 = 1;

/// `ConfigResource.Type.BROKER`: a node, whatever its roles are.
const BROKER: i8 = 4;

/// `AlterConfigOp.OpType.DELETE`.
const DELETE: i8 = 1;

/// A whole request that unsets `key` of a node.
pub fn encode_unset(node_id: NodeId, key: &str, correlation_id: i32) -> Vec<u8> {
    let mut body = Writer::new();
    body.compact_length(1).i8(BROKER).compact_string(&node_id.to_string());
    body.compact_length(1).compact_string(key).i8(DELETE).null().no_tagged_fields();
    // Not only validated: that would reload nothing.
    body.no_tagged_fields().i8(0).no_tagged_fields();
    let body = body.into_bytes();
    encode_request(INCREMENTAL_ALTER_CONFIGS, INCREMENTAL_ALTER_CONFIGS_VERSION, correlation_id, &body)
}

/// Reads the response, without its length: whether the change of this node was taken. That it was says nothing about
/// the stores, which are read later.
pub fn decode_unset(response: &[u8], node_id: NodeId, correlation_id: i32) -> Result<(), ResponseError> {
    let mut reader = Reader::new(response);
    read_header(&mut reader, correlation_id)?;
    let _throttle_time_ms = reader.i32()?;
    // Error code, two strings, the type and a count of tags.
    let outcomes = reader.compact_array(6, |reader| {
        let code = reader.i16()?;
        let outcome = refusal(code, reader.compact_nullable_string()?);
        let resource = (reader.i8()?, reader.compact_string()?);
        reader.skip_tagged_fields()?;
        Ok::<_, ResponseError>((resource, outcome))
    })?;
    let name = node_id.to_string();
    let ours = outcomes.into_iter().find(|(resource, _)| *resource == (BROKER, name.as_str()));
    ours.map_or(Err(ResponseError::NoSuchResource), |(_, outcome)| outcome)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::IncrementalAlterConfigsRequest;
    use kafka_protocol::messages::IncrementalAlterConfigsResponse;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
    use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
    use kafka_protocol::protocol::Decodable;
    use kafka_protocol::protocol::Encodable;
    use kafka_protocol::protocol::StrBytes;
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "listener.name.internal.ssl.keystore.location";

    fn node(id: i32) -> NodeId {
        id.try_into().unwrap()
    }

    fn response(resource: i8, name: &str, code: i16, message: Option<&str>) -> Vec<u8> {
        let mut bytes = Writer::new();
        bytes.i32(5).no_tagged_fields().i32(0).compact_length(1).i16(code);
        match message {
            Some(message) => bytes.compact_string(message),
            None => bytes.null(),
        };
        bytes.i8(resource).compact_string(name).no_tagged_fields().no_tagged_fields();
        bytes.into_bytes()
    }

    #[test]
    fn another_decoder_agrees_with_ours() {
        let bytes = response(4, "7", 102, Some("no"));
        let mut rest = &bytes[5..];
        let theirs = IncrementalAlterConfigsResponse::decode(&mut rest, 1).unwrap();
        assert!(rest.is_empty());
        let theirs = &theirs.responses[0];
        assert_eq!((theirs.error_code, theirs.error_message.as_deref()), (102, Some("no")));
        assert_eq!((theirs.resource_type, theirs.resource_name.as_str()), (4, "7"));
    }

    #[test]
    fn our_request_is_that_of_another_encoder() {
        let config = AlterableConfig::default()
            .with_name(StrBytes::from_static_str(KEY))
            .with_config_operation(1)
            .with_value(None);
        let resource = AlterConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(StrBytes::from_static_str("7"))
            .with_configs(vec![config]);
        let mut want = Vec::new();
        RequestHeader::default()
            .with_request_api_key(44)
            .with_request_api_version(1)
            .with_correlation_id(5)
            .with_client_id(Some(StrBytes::from_static_str("kraftlet")))
            .encode(&mut want, 2)
            .unwrap();
        IncrementalAlterConfigsRequest::default()
            .with_resources(vec![resource])
            .encode(&mut want, 1)
            .unwrap();
        assert_eq!(encode_unset(node(7), KEY, 5)[4..], want);
    }

    #[test]
    fn only_the_word_about_this_node_counts() {
        for (resource, name, code, message, want) in [
            (4, "7", 0, None, Ok(())),
            (
                4,
                "7",
                102,
                Some("No node with id 7 found."),
                Err("the answer is BROKER_ID_NOT_REGISTERED, error 102 (No node with id 7 found.)"),
            ),
            (4, "7", 41, None, Err("the answer is NOT_CONTROLLER, error 41")),
            (4, "8", 0, None, Err("the answer does not mention what was asked about")),
            (2, "7", 0, None, Err("the answer does not mention what was asked about")),
        ] {
            let got = decode_unset(&response(resource, name, code, message), node(7), 5);
            assert_eq!(got.map_err(|error| error.to_string()), want.map_err(str::to_owned));
        }
    }

    #[test]
    fn an_answer_that_ends_too_soon_is_an_error() {
        let whole = response(4, "7", 102, Some("no"));
        for end in 0..whole.len() - 1 {
            assert!(decode_unset(&whole[..end], node(7), 5).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0usize..20, to in any::<u8>(),
        ) {
            let _ = decode_unset(&bytes, node(7), 5);
            let mut changed = response(4, "7", 102, Some("no"));
            changed[at] = to;
            let _ = decode_unset(&changed, node(7), 5);
        }
    }
}
