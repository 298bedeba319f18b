//! DescribeConfigs, as far as it says how many replicas of a topic must be in sync for a write to be taken.
//!
//! Request 32, version 4, which every supported release knows (`DescribeConfigsRequest.json`). The value is the one in
//! force, whether it is the topic's, the cluster's or the default. The principal needs DESCRIBE_CONFIGS on the topic.

use std::collections::BTreeMap;

use crate::kafka::requests::ErrorCode;
use crate::kafka::requests::ResponseError;
use crate::kafka::requests::encode_request;
use crate::kafka::requests::for_a_log_line;
use crate::kafka::requests::read_header;
use crate::kafka::requests::refusal;
use crate::kafka::wire::Reader;
use crate::kafka::wire::Writer;

const DESCRIBE_CONFIGS: i16 = 32;
const DESCRIBE_CONFIGS_VERSION: i16 = 4;

/// `ConfigResource.Type.TOPIC`.
const TOPIC: i8 = 2;

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// Topics in one question. An answer has about 40 bytes and the name for each, and Kafka's longest name has 249.
pub const MOST_TOPICS: usize = 1000;

/// A whole request about these topics.
pub fn encode_min_insync_replicas(topics: &[&str], correlation_id: i32) -> Vec<u8> {
    let mut body = Writer::new();
    body.compact_length(topics.len());
    for topic in topics {
        body.i8(TOPIC).compact_string(topic);
        body.compact_length(1).compact_string(MIN_INSYNC_REPLICAS).no_tagged_fields();
    }
    // Without synonyms and without documentation.
    body.i8(0).i8(0).no_tagged_fields();
    encode_request(DESCRIBE_CONFIGS, DESCRIBE_CONFIGS_VERSION, correlation_id, &body.into_bytes())
}

/// Reads the response, without its length, about these topics. One that is not there any more is left out.
pub fn decode_min_insync_replicas(
    response: &[u8],
    topics: &[&str],
    correlation_id: i32,
) -> Result<BTreeMap<String, u32>, ResponseError> {
    let mut reader = Reader::new(response);
    read_header(&mut reader, correlation_id)?;
    let _throttle_time_ms = reader.i32()?;
    // Error code, two strings, the type, a count of keys and one of tags.
    let outcomes = reader.compact_array(7, |reader| {
        let code = reader.i16()?;
        let outcome = refusal(code, reader.compact_nullable_string()?);
        let resource = (reader.i8()?, reader.compact_string()?);
        let values = reader.compact_array(9, decode_value)?;
        reader.skip_tagged_fields()?;
        Ok::<_, ResponseError>((resource, outcome.map(|()| values.into_iter().flatten().next())))
    })?;
    let mut outcomes: BTreeMap<_, _> = outcomes.into_iter().collect();
    let mut found = BTreeMap::new();
    for topic in topics {
        match outcomes.remove(&(TOPIC, *topic)) {
            Some(Ok(Some(value))) => drop(found.insert((*topic).to_owned(), number(value)?)),
            Some(Err(ResponseError::Refused { code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, .. })) => {}
            Some(Err(error)) => return Err(error),
            Some(Ok(None)) | None => return Err(ResponseError::NoSuchResource),
        }
    }
    Ok(found)
}

/// The value of a key, where it is ours.
fn decode_value<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, ResponseError> {
    let (key, value) = (reader.compact_string()?, reader.compact_nullable_string()?);
    let (_read_only, _source, _is_sensitive) = (reader.i8()?, reader.i8()?, reader.i8()?);
    reader.compact_array(4, |reader| {
        reader.compact_string()?;
        reader.compact_nullable_string()?;
        reader.i8()?;
        reader.skip_tagged_fields()
    })?;
    let (_type, _documentation) = (reader.i8()?, reader.compact_nullable_string()?);
    reader.skip_tagged_fields()?;
    Ok(value.filter(|_| key == MIN_INSYNC_REPLICAS))
}

fn number(value: &str) -> Result<u32, ResponseError> {
    let error = || ResponseError::Value { key: MIN_INSYNC_REPLICAS, value: for_a_log_line(value) };
    value.parse().map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::DescribeConfigsRequest;
    use kafka_protocol::messages::DescribeConfigsResponse;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::messages::ResponseHeader;
    use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
    use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
    use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
    use kafka_protocol::messages::describe_configs_response::DescribeConfigsSynonym;
    use kafka_protocol::protocol::Encodable;
    use kafka_protocol::protocol::StrBytes;
    use proptest::prelude::*;

    use super::*;

    /// What is said of a topic: its name, an error code, and a key with a value.
    type Said<'a> = (i8, &'static str, i16, &'static str, Option<&'static str>);

    /// A response as another encoder writes it.
    fn response(said: &[Said<'_>]) -> Vec<u8> {
        let text = StrBytes::from_static_str;
        let results = said.iter().map(|(resource, topic, code, key, value)| {
            let synonym = DescribeConfigsSynonym::default().with_name(text("s")).with_value(Some(text("9")));
            let config = DescribeConfigsResourceResult::default()
                .with_name(text(key))
                .with_value(value.map(text))
                .with_synonyms(vec![synonym])
                .with_config_type(3)
                .with_documentation(Some(text("how many")));
            DescribeConfigsResult::default()
                .with_error_code(*code)
                .with_error_message((*code != 0).then(|| text("no")))
                .with_resource_type(*resource)
                .with_resource_name(text(topic))
                .with_configs(if *code == 0 { vec![config] } else { Vec::new() })
        });
        let mut bytes = Vec::new();
        ResponseHeader::default().with_correlation_id(5).encode(&mut bytes, 1).unwrap();
        let body = DescribeConfigsResponse::default().with_results(results.collect());
        body.encode(&mut bytes, 4).unwrap();
        bytes
    }

    #[test]
    fn our_request_is_that_of_another_encoder() {
        let text = StrBytes::from_static_str;
        let resources = ["a", "b.c"].map(|topic| {
            DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(topic))
                .with_configuration_keys(Some(vec![text("min.insync.replicas")]))
        });
        let mut want = Vec::new();
        RequestHeader::default()
            .with_request_api_key(32)
            .with_request_api_version(4)
            .with_correlation_id(5)
            .with_client_id(Some(text("kraftlet")))
            .encode(&mut want, 2)
            .unwrap();
        DescribeConfigsRequest::default().with_resources(resources.to_vec()).encode(&mut want, 4).unwrap();
        assert_eq!(encode_min_insync_replicas(&["a", "b.c"], 5)[4..], want);
    }

    #[test]
    fn each_topic_has_its_number() {
        const KEY: &str = MIN_INSYNC_REPLICAS;
        let check = |said: &[Said<'_>], want: Result<&[(&str, u32)], &str>| {
            let got = decode_min_insync_replicas(&response(said), &["a", "b"], 5);
            let want =
                want.map(|pairs| pairs.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect());
            assert_eq!(got.map_err(|error| error.to_string()), want.map_err(str::to_owned));
        };
        let b = (2, "b", 0, KEY, Some("2"));
        check(&[(2, "a", 0, KEY, Some("1")), b], Ok(&[("a", 1), ("b", 2)]));
        check(&[b, (2, "c", 29, KEY, None), (2, "a", 0, KEY, Some("3"))], Ok(&[("a", 3), ("b", 2)]));
        check(&[(2, "a", 3, KEY, None), b], Ok(&[("b", 2)]));
        let none = "the answer does not mention what was asked about";
        check(&[b], Err(none));
        check(&[(4, "a", 0, KEY, Some("1")), b], Err(none));
        check(&[(2, "a", 0, "retention.ms", Some("1")), b], Err(none));
        check(&[(2, "a", 0, KEY, None), b], Err(none));
        check(&[(2, "a", 29, KEY, None), b], Err("the answer is TOPIC_AUTHORIZATION_FAILED, error 29 (no)"));
        let error = "the answer has min.insync.replicas \"-1\"; want a number";
        check(&[(2, "a", 0, KEY, Some("-1")), b], Err(error));
    }

    #[test]
    fn an_answer_that_ends_too_soon_is_an_error() {
        let whole = response(&[(2, "a", 0, MIN_INSYNC_REPLICAS, Some("2"))]);
        for end in 0..whole.len() - 1 {
            assert!(decode_min_insync_replicas(&whole[..end], &["a"], 5).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, to in any::<u8>(),
        ) {
            let _ = decode_min_insync_replicas(&bytes, &["a"], 5);
            let mut changed = response(&[(2, "a", 0, MIN_INSYNC_REPLICAS, Some("2"))]);
            let at = at.index(changed.len());
            changed[at] = to;
            let _ = decode_min_insync_replicas(&changed, &["a"], 5);
        }
    }
}
