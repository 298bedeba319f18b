//! Which topics there are, and where their partitions are in sync: a page at a time.
//!
//! DescribeTopicPartitions, request 75, version 0 (KIP-966; 3.8 and newer), which brokers answer in order of the names
//! and as far as the limit goes; and for 3.7 Metadata, request 3, version 12, of all topics at once. Both leave out
//! topics that our principal may not DESCRIBE and say nothing of it.

use std::ops::RangeInclusive;

use crate::kafka::node_id::NodeId;
use crate::kafka::requests::ResponseError;
use crate::kafka::requests::encode_request;
use crate::kafka::requests::read_header;
use crate::kafka::requests::refusal;
use crate::kafka::wire::Reader;
use crate::kafka::wire::Writer;

/// The request's number.
pub const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

/// The versions this program speaks.
pub const DESCRIBE_TOPIC_PARTITIONS_VERSIONS: RangeInclusive<i16> = 0..=0;

/// The request's number.
pub const METADATA: i16 = 3;

/// The versions this program speaks: every supported release knows 12.
pub const METADATA_VERSIONS: RangeInclusive<i16> = 12..=12;

/// Partitions in a page. A broker gives at most 2000 (`max.request.partition.size.limit`), and a page of 1000 has about
/// 100 kB on the wire.
const PAGE_PARTITIONS: i32 = 1000;

/// Some topics. Where there are more pages, they are in order of their names, and of the first and the last topic some
/// partitions may be in the page before or in the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The topics.
    pub topics: Vec<Topic>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Cursor>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions in this page.
    pub partitions: Vec<Partition>,
}

/// A partition as the controllers see it, as far as the broker that was asked has heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// The leader, if there is one that serves the listener that was asked.
    pub leader: Option<NodeId>,
    /// All replicas.
    pub replicas: Vec<NodeId>,
    /// Those in sync, the leader too.
    pub isr: Vec<NodeId>,
}

/// The partition that a page begins with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    topic: String,
    index: i32,
}

/// A whole DescribeTopicPartitions request for the page that begins at `cursor`, without one for the first.
pub fn encode_describe_topic_partitions(cursor: Option<&Cursor>, correlation_id: i32) -> Vec<u8> {
    let mut body = Writer::new();
    // No topics mean all.
    body.compact_length(0).i32(PAGE_PARTITIONS);
    match cursor {
        None => body.i8(-1),
        Some(cursor) => body.i8(1).compact_string(&cursor.topic).i32(cursor.index).no_tagged_fields(),
    };
    body.no_tagged_fields();
    encode_request(DESCRIBE_TOPIC_PARTITIONS, 0, correlation_id, &body.into_bytes())
}

/// Reads the response about the page that begins at `cursor`, without its length. A next page that does not begin behind
/// this one is an error, so that no answer can make us ask in a circle.
pub fn decode_describe_topic_partitions(
    response: &[u8],
    cursor: Option<&Cursor>,
    correlation_id: i32,
) -> Result<Page, ResponseError> {
    let mut reader = Reader::new(response);
    read_header(&mut reader, correlation_id)?;
    let _throttle_time_ms = reader.i32()?;
    let topics = decode_topics(&mut reader, |reader| {
        let partition = decode_replicas(reader)?;
        for _eligible_or_last_known_leaders in 0..2 {
            reader.compact_nullable_array(4, |reader| reader.i32().map(drop))?;
        }
        Ok(partition)
    })?;
    let next = match reader.i8()? {
        -1 => None,
        _ => Some(Cursor { topic: reader.compact_string()?.to_owned(), index: reader.i32()? }),
    };
    match next {
        Some(next) if cursor.is_some_and(|cursor| *cursor >= next) => Err(ResponseError::Circle),
        next => Ok(Page { topics, next }),
    }
}

/// A whole Metadata request for all topics. It creates none.
pub fn encode_metadata(correlation_id: i32) -> Vec<u8> {
    let mut body = Writer::new();
    // No list means all; no topic is created; nobody asks what may be done with them.
    body.null().i8(0).i8(0).no_tagged_fields();
    encode_request(METADATA, *METADATA_VERSIONS.end(), correlation_id, &body.into_bytes())
}

/// Reads the response, without its length: one page.
pub fn decode_metadata(response: &[u8], correlation_id: i32) -> Result<Page, ResponseError> {
    let mut reader = Reader::new(response);
    read_header(&mut reader, correlation_id)?;
    let _throttle_time_ms = reader.i32()?;
    // Id, host, port, rack and a count of tags, for each broker.
    reader.compact_array(11, |reader| {
        reader.i32()?;
        reader.compact_string()?;
        reader.i32()?;
        reader.compact_nullable_string()?;
        reader.skip_tagged_fields()
    })?;
    let (_cluster_id, _controller_id) = (reader.compact_nullable_string()?, reader.i32()?);
    Ok(Page { topics: decode_topics(&mut reader, decode_replicas)?, next: None })
}

fn decode_topics(
    reader: &mut Reader<'_>,
    mut partition: impl FnMut(&mut Reader<'_>) -> Result<Partition, ResponseError>,
) -> Result<Vec<Topic>, ResponseError> {
    // Error code, name, id, whether it is internal, counts of partitions and tags, what may be done with it.
    reader.compact_array(26, |reader| {
        let (code, name) = (reader.i16()?, reader.compact_nullable_string()?);
        // Who asks for all topics gets only those that are there: an error of one would leave a hole in the picture.
        refusal(code, name)?;
        let name = name.unwrap_or_default().to_owned();
        let (_topic_id, _is_internal) = (reader.uuid()?, reader.i8()?);
        // Error code, three numbers, three counts and one of tags.
        let partitions = reader.compact_array(18, |reader| {
            let partition = partition(reader)?;
            let _offline_replicas = reader.compact_array(4, |reader| reader.i32().map(drop))?;
            reader.skip_tagged_fields()?;
            Ok::<_, ResponseError>(partition)
        })?;
        let _authorized_operations = reader.i32()?;
        reader.skip_tagged_fields()?;
        Ok(Topic { name, partitions })
    })
}

/// The beginning of a partition, which is the same in both answers. Its error code says only that there is no leader.
fn decode_replicas(reader: &mut Reader<'_>) -> Result<Partition, ResponseError> {
    let _code = reader.i16()?;
    let (index, leader, _leader_epoch) = (reader.i32()?, reader.i32()?, reader.i32()?);
    let mut node_ids = || reader.compact_array(4, decode_node_id);
    let (replicas, isr) = (node_ids()?, node_ids()?);
    Ok(Partition { index, leader: NodeId::try_from(leader).ok(), replicas, isr })
}

fn decode_node_id(reader: &mut Reader<'_>) -> Result<NodeId, ResponseError> {
    let id = reader.i32()?;
    NodeId::try_from(id).map_err(|_| ResponseError::Field { field: "replicaNodes", value: id.into() })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::DescribeTopicPartitionsRequest;
    use kafka_protocol::messages::DescribeTopicPartitionsResponse;
    use kafka_protocol::messages::MetadataRequest;
    use kafka_protocol::messages::MetadataResponse;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::messages::ResponseHeader;
    use kafka_protocol::messages::describe_topic_partitions_request as asked;
    use kafka_protocol::messages::describe_topic_partitions_response as answered;
    use kafka_protocol::messages::metadata_response as all;
    use kafka_protocol::protocol::Encodable;
    use kafka_protocol::protocol::StrBytes;
    use proptest::prelude::*;

    use super::*;

    fn name<T: From<StrBytes>>(text: &'static str) -> T {
        StrBytes::from_static_str(text).into()
    }

    fn cursor(topic: &str, index: i32) -> Cursor {
        Cursor { topic: topic.to_owned(), index }
    }

    /// A response with its header, as another encoder writes it.
    fn response(version: i16, body: &impl Encodable) -> Vec<u8> {
        let mut bytes = Vec::new();
        ResponseHeader::default().with_correlation_id(5).encode(&mut bytes, 1).unwrap();
        body.encode(&mut bytes, version).unwrap();
        bytes
    }

    fn request(api_key: i16, version: i16, body: &impl Encodable) -> Vec<u8> {
        let header = RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(version)
            .with_correlation_id(5)
            .with_client_id(Some(StrBytes::from_static_str("kraftlet")));
        let mut bytes = Vec::new();
        header.encode(&mut bytes, 2).unwrap();
        body.encode(&mut bytes, version).unwrap();
        bytes
    }

    /// Two topics: `a-0` on 1, 2 and 3, in sync on 1 and 3, led by 3; and `b-7` on 2 alone, where nobody leads.
    fn paged(code: i16, next: Option<(&'static str, i32)>) -> Vec<u8> {
        let partition = |index: i32, leader: i32, replicas: &[i32], isr: &[i32]| {
            answered::DescribeTopicPartitionsResponsePartition::default()
                .with_error_code(if leader < 0 { 5 } else { 0 })
                .with_partition_index(index)
                .with_leader_id(leader.into())
                .with_leader_epoch(9)
                .with_replica_nodes(replicas.iter().map(|id| (*id).into()).collect())
                .with_isr_nodes(isr.iter().map(|id| (*id).into()).collect())
                .with_eligible_leader_replicas((leader < 0).then(|| vec![4.into(), 5.into()]))
                .with_last_known_elr(Some(vec![6.into()]))
                .with_offline_replicas(vec![7.into()])
        };
        let topic = |text, partition| {
            answered::DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(code)
                .with_name(Some(name(text)))
                .with_partitions(vec![partition])
        };
        let next = next.map(|(topic, index)| {
            answered::Cursor::default().with_topic_name(name(topic)).with_partition_index(index)
        });
        let body = DescribeTopicPartitionsResponse::default()
            .with_topics(vec![
                topic("a", partition(0, 3, &[1, 2, 3], &[1, 3])),
                topic("b", partition(7, -1, &[2], &[])),
            ])
            .with_next_cursor(next);
        response(0, &body)
    }

    /// The same in a Metadata response.
    fn at_once(code: i16) -> Vec<u8> {
        let partition = |index: i32, leader: i32, replicas: &[i32], isr: &[i32]| {
            all::MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(leader.into())
                .with_replica_nodes(replicas.iter().map(|id| (*id).into()).collect())
                .with_isr_nodes(isr.iter().map(|id| (*id).into()).collect())
                .with_offline_replicas(vec![7.into()])
        };
        let topic = |text, partition| {
            all::MetadataResponseTopic::default()
                .with_error_code(code)
                .with_name(Some(name(text)))
                .with_partitions(vec![partition])
        };
        let broker = all::MetadataResponseBroker::default()
            .with_node_id(1.into())
            .with_host(StrBytes::from_static_str("kafka-1.kafka"))
            .with_port(9092);
        let body = MetadataResponse::default()
            .with_brokers(vec![broker.clone(), broker.with_rack(Some(StrBytes::from_static_str("r")))])
            .with_cluster_id(Some(StrBytes::from_static_str("c")))
            .with_topics(vec![
                topic("a", partition(0, 3, &[1, 2, 3], &[1, 3])),
                topic("b", partition(7, -1, &[2], &[])),
            ]);
        response(12, &body)
    }

    #[test]
    fn our_requests_are_those_of_another_encoder() {
        for (ours, theirs) in [(None, None), (Some(cursor("a.b", 12)), Some(("a.b", 12)))] {
            let theirs = theirs.map(|(topic, index)| {
                asked::Cursor::default().with_topic_name(name(topic)).with_partition_index(index)
            });
            let body = DescribeTopicPartitionsRequest::default()
                .with_response_partition_limit(1000)
                .with_cursor(theirs);
            assert_eq!(encode_describe_topic_partitions(ours.as_ref(), 5)[4..], request(75, 0, &body));
        }
        let body = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
        assert_eq!(encode_metadata(5)[4..], request(3, 12, &body));
    }

    #[test]
    fn both_answers_say_where_partitions_are_in_sync() {
        let page = decode_describe_topic_partitions(&paged(0, Some(("b", 8))), None, 5).unwrap();
        let ids = |ids: &[i32]| ids.iter().map(|id| NodeId::try_from(*id).unwrap()).collect::<Vec<_>>();
        let topic = |name: &str, index, leader: Option<i32>, replicas: &[i32], isr: &[i32]| Topic {
            name: name.to_owned(),
            partitions: vec![Partition {
                index,
                leader: leader.map(|id| id.try_into().unwrap()),
                replicas: ids(replicas),
                isr: ids(isr),
            }],
        };
        let topics = vec![topic("a", 0, Some(3), &[1, 2, 3], &[1, 3]), topic("b", 7, None, &[2], &[])];
        assert_eq!(page, Page { topics: topics.clone(), next: Some(cursor("b", 8)) });
        assert_eq!(decode_metadata(&at_once(0), 5).unwrap(), Page { topics, next: None });
    }

    #[test]
    fn a_page_is_followed_by_one_that_begins_behind_it() {
        for (asked, next, want) in [
            (None, None, true),
            (None, Some(("a", 0)), true),
            (Some(("a", 0)), None, true),
            (Some(("a", 0)), Some(("a", 1)), true),
            (Some(("a", 9)), Some(("b", 0)), true),
            (Some(("a", 1)), Some(("a", 1)), false),
            (Some(("a", 1)), Some(("a", 0)), false),
            (Some(("b", 0)), Some(("a", 7)), false),
        ] {
            let asked = asked.map(|(topic, index)| cursor(topic, index));
            match decode_describe_topic_partitions(&paged(0, next), asked.as_ref(), 5) {
                Ok(page) => {
                    assert!(want, "{asked:?} {next:?}");
                    assert_eq!(page.next, next.map(|(topic, index)| cursor(topic, index)));
                }
                Err(error) => {
                    assert!(!want, "{asked:?} {next:?}");
                    assert_eq!(error.to_string(), "the answer goes back to where it began");
                }
            }
        }
    }

    #[test]
    fn a_topic_that_is_not_described_leaves_no_hole() {
        let want = "the answer is TOPIC_AUTHORIZATION_FAILED, error 29 (a)";
        let error = decode_describe_topic_partitions(&paged(29, None), None, 5).unwrap_err();
        assert_eq!(error.to_string(), want);
        assert_eq!(decode_metadata(&at_once(29), 5).unwrap_err().to_string(), want);
    }

    #[test]
    fn an_answer_that_ends_too_soon_is_an_error() {
        let whole = paged(0, Some(("b", 8)));
        // The last two bytes are the tags of the cursor and of the answer.
        for end in 0..whole.len() - 2 {
            assert!(decode_describe_topic_partitions(&whole[..end], None, 5).is_err(), "{end}");
        }
        let whole = at_once(0);
        for end in 0..whole.len() - 1 {
            assert!(decode_metadata(&whole[..end], 5).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_describe_topic_partitions(&bytes, Some(&cursor("a", 1)), 5);
            let _ = decode_metadata(&bytes, 5);
        }

        #[test]
        fn no_changed_bytes_are_a_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let (mut one, mut other) = (paged(0, Some(("b", 8))), at_once(0));
            for (at, to) in changes {
                for bytes in [&mut one, &mut other] {
                    let at = at.index(bytes.len());
                    bytes[at] = to;
                }
            }
            let _ = decode_describe_topic_partitions(&one, None, 5);
            let _ = decode_metadata(&other, 5);
        }
    }
}
