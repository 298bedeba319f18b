//! DescribeQuorum: who leads, who votes, and how far each replica is.
//!
//! Request 55, versions 0 to 2 (`DescribeQuorumRequest.json`, `DescribeQuorumResponse.json`; KIP-595, KIP-836,
//! KIP-853). Only the leader answers; the principal needs DESCRIBE on the cluster.

use std::ops::RangeInclusive;

use crate::kafka::node_id::NodeId;
use crate::kafka::requests::ResponseError;
use crate::kafka::requests::encode_request;
use crate::kafka::requests::read_header;
use crate::kafka::requests::refusal;
use crate::kafka::uuid::Uuid;
use crate::kafka::wire::Reader;
use crate::kafka::wire::Writer;

/// The request's number.
pub const DESCRIBE_QUORUM: i16 = 55;

/// The versions this program speaks: 3.7 and 3.8 answer up to 1, newer ones 2.
pub const DESCRIBE_QUORUM_VERSIONS: RangeInclusive<i16> = 0..=2;

/// The topic that the quorum replicates.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// The quorum as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumInfo {
    /// The leader, if there is one.
    pub leader_id: Option<NodeId>,
    /// How many leaders there have been.
    pub leader_epoch: i32,
    /// Below this offset all is committed; unknown until the leader of a new epoch has committed something.
    pub high_watermark: Option<i64>,
    /// Who votes, the leader too.
    pub voters: Vec<ReplicaState>,
    /// Who only follows: brokers, and controllers that have not joined. The leader forgets them after 300 s of silence.
    pub observers: Vec<ReplicaState>,
}

/// One replica of the metadata log. The times are the leader's clock; only their differences mean anything here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaState {
    /// Its node id.
    pub replica_id: NodeId,
    /// The id of its metadata directory; from version 2 on, and where the replica said it.
    pub directory_id: Option<Uuid>,
    /// The offset after its last record, if the leader knows it.
    pub log_end_offset: Option<i64>,
    /// Milliseconds since 1970 of its last fetch; from version 1 on. For the leader itself: now.
    pub last_fetch_timestamp_ms: Option<i64>,
    /// Milliseconds since 1970 when it last had all that the leader had; from version 1 on. For the leader itself: now.
    pub last_caught_up_timestamp_ms: Option<i64>,
}

/// A whole request.
pub fn encode_describe_quorum(version: i16, correlation_id: i32) -> Vec<u8> {
    let mut body = Writer::new();
    body.compact_length(1).compact_string(METADATA_TOPIC);
    body.compact_length(1).i32(0).no_tagged_fields();
    body.no_tagged_fields().no_tagged_fields();
    encode_request(DESCRIBE_QUORUM, version, correlation_id, &body.into_bytes())
}

/// Reads a response of `version`, without its length.
pub fn decode_describe_quorum(
    response: &[u8],
    version: i16,
    correlation_id: i32,
) -> Result<QuorumInfo, ResponseError> {
    let mut reader = Reader::new(response);
    read_header(&mut reader, correlation_id)?;
    let code = reader.i16()?;
    refusal(code, error_message(&mut reader, version)?)?;
    // A topic has at least a name, a count of partitions and a count of tags.
    let topics = reader.compact_array(3, |reader| {
        let name = reader.compact_string()?;
        let partitions = reader.compact_array(24, |reader| decode_partition(reader, version))?;
        reader.skip_tagged_fields()?;
        Ok::<_, ResponseError>((name, partitions))
    })?;
    // The voters' endpoints follow in version 2; they are of no use here.
    let partition = topics
        .into_iter()
        .filter(|(name, _)| *name == METADATA_TOPIC)
        .flat_map(|(_, partitions)| partitions)
        .find(|(index, _)| *index == 0);
    partition.ok_or(ResponseError::NoMetadataPartition)?.1
}

/// A partition's index, and what the leader says of it or why it does not.
type Partition = (i32, Result<QuorumInfo, ResponseError>);

fn decode_partition(reader: &mut Reader<'_>, version: i16) -> Result<Partition, ResponseError> {
    let index = reader.i32()?;
    let code = reader.i16()?;
    let message = error_message(reader, version)?;
    let (leader_id, leader_epoch, high_watermark) = (reader.i32()?, reader.i32()?, reader.i64()?);
    // Id and offset are in every version, then a count of tags.
    let mut replicas = || reader.compact_array(13, |reader| decode_replica(reader, version));
    let (voters, observers) = (replicas()?, replicas()?);
    reader.skip_tagged_fields()?;
    let quorum = QuorumInfo {
        leader_id: NodeId::try_from(leader_id).ok(),
        leader_epoch,
        high_watermark: known(high_watermark),
        voters,
        observers,
    };
    Ok((index, refusal(code, message).map(|()| quorum)))
}

fn decode_replica(reader: &mut Reader<'_>, version: i16) -> Result<ReplicaState, ResponseError> {
    let id = reader.i32()?;
    let directory_id = if version >= 2 { Some(reader.uuid()?) } else { None };
    let log_end_offset = known(reader.i64()?);
    let mut time = || if version >= 1 { Ok(known(reader.i64()?)) } else { Ok::<_, ResponseError>(None) };
    let (last_fetch_timestamp_ms, last_caught_up_timestamp_ms) = (time()?, time()?);
    reader.skip_tagged_fields()?;
    Ok(ReplicaState {
        replica_id: NodeId::try_from(id)
            .map_err(|_| ResponseError::Field { field: "replicaId", value: id.into() })?,
        // All zero: the replica is of a static quorum and did not say.
        directory_id: directory_id.filter(|id| *id.bytes() != [0; 16]),
        log_end_offset,
        last_fetch_timestamp_ms,
        last_caught_up_timestamp_ms,
    })
}

fn error_message<'a>(reader: &mut Reader<'a>, version: i16) -> Result<Option<&'a str>, ResponseError> {
    if version >= 2 { Ok(reader.compact_nullable_string()?) } else { Ok(None) }
}

/// -1 is Kafka's word for unknown, in offsets as in times.
fn known(value: i64) -> Option<i64> {
    (value >= 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::DescribeQuorumRequest;
    use kafka_protocol::messages::DescribeQuorumResponse;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::messages::ResponseHeader;
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::describe_quorum_request as theirs;
    use kafka_protocol::protocol::Decodable;
    use kafka_protocol::protocol::Encodable;
    use kafka_protocol::protocol::StrBytes;
    use proptest::prelude::*;

    use super::*;

    fn response(version: i16, topic: &'static str, index: i32, code: i16) -> Vec<u8> {
        let mut bytes = Writer::new();
        let no_message = |bytes: &mut Writer| {
            if version >= 2 {
                bytes.unsigned_varint(0);
            }
        };
        let replica = |bytes: &mut Writer, id: i32, directory: u128, offset: i64, time: i64| {
            bytes.i32(id);
            if version >= 2 {
                bytes.uuid(Uuid::from_bytes(directory.to_be_bytes()));
            }
            bytes.i64(offset);
            if version >= 1 {
                bytes.i64(time).i64(time);
            }
            bytes.no_tagged_fields();
        };
        bytes.i32(5).no_tagged_fields().i16(0);
        no_message(&mut bytes);
        bytes.compact_length(1).compact_string(topic).compact_length(1).i32(index).i16(code);
        no_message(&mut bytes);
        bytes.i32(1).i32(7).i64(42).compact_length(2);
        replica(&mut bytes, 1, 9, 43, 1000);
        replica(&mut bytes, 2, 0, -1, -1);
        bytes.compact_length(1);
        replica(&mut bytes, 3, 300, 40, 900);
        bytes.no_tagged_fields().no_tagged_fields();
        if version >= 2 {
            bytes.compact_length(1).i32(1).compact_length(1);
            bytes.compact_string("CONTROLLER").compact_string("host1").u16(9093).no_tagged_fields();
            bytes.no_tagged_fields();
        }
        bytes.no_tagged_fields();
        bytes.into_bytes()
    }

    #[test]
    fn our_request_is_that_of_another_encoder() {
        for version in DESCRIBE_QUORUM_VERSIONS {
            let header = RequestHeader::default()
                .with_request_api_key(55)
                .with_request_api_version(version)
                .with_correlation_id(5)
                .with_client_id(Some(StrBytes::from_static_str("kraftlet")));
            let partition = theirs::PartitionData::default().with_partition_index(0);
            let topic = theirs::TopicData::default()
                .with_topic_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
                .with_partitions(vec![partition]);
            let mut want = Vec::new();
            header.encode(&mut want, 2).unwrap();
            DescribeQuorumRequest::default().with_topics(vec![topic]).encode(&mut want, version).unwrap();
            assert_eq!(encode_describe_quorum(version, 5)[4..], want);
        }
    }

    #[test]
    fn another_decoder_agrees_with_ours() {
        for version in DESCRIBE_QUORUM_VERSIONS {
            let bytes = response(version, METADATA_TOPIC, 0, 0);
            let mut rest = &bytes[..];
            assert_eq!(ResponseHeader::decode(&mut rest, 1).unwrap().correlation_id, 5);
            let body = DescribeQuorumResponse::decode(&mut rest, version).unwrap();
            assert!(rest.is_empty());
            let theirs = &body.topics[0].partitions[0];
            let ours = decode_describe_quorum(&bytes, version, 5).unwrap();
            assert_eq!(ours.leader_id.map(NodeId::get), Some(theirs.leader_id.0));
            assert_eq!(
                (ours.leader_epoch, ours.high_watermark),
                (theirs.leader_epoch, Some(theirs.high_watermark))
            );
            let replicas = theirs.current_voters.iter().chain(&theirs.observers);
            for (ours, theirs) in ours.voters.iter().chain(&ours.observers).zip(replicas) {
                assert_eq!(ours.replica_id.get(), theirs.replica_id.0);
                assert_eq!(ours.log_end_offset.unwrap_or(-1), theirs.log_end_offset);
                assert_eq!(ours.last_fetch_timestamp_ms.unwrap_or(-1), theirs.last_fetch_timestamp);
                assert_eq!(ours.last_caught_up_timestamp_ms.unwrap_or(-1), theirs.last_caught_up_timestamp);
                let directory_id = ours.directory_id.map_or([0; 16], |id| *id.bytes());
                assert_eq!(directory_id, *theirs.replica_directory_id.as_bytes());
            }
        }
    }

    #[test]
    fn what_a_leader_does_not_know_is_none() {
        for version in DESCRIBE_QUORUM_VERSIONS {
            let quorum =
                decode_describe_quorum(&response(version, METADATA_TOPIC, 0, 0), version, 5).unwrap();
            assert_eq!(quorum.leader_id.map(NodeId::get), Some(1));
            assert_eq!((quorum.leader_epoch, quorum.high_watermark), (7, Some(42)));
            let seen: Vec<_> = quorum.voters.iter().chain(&quorum.observers).collect();
            let ids: Vec<_> = seen.iter().map(|replica| replica.replica_id.get()).collect();
            assert_eq!(ids, [1, 2, 3]);
            let offsets: Vec<_> = seen.iter().map(|replica| replica.log_end_offset).collect();
            assert_eq!(offsets, [Some(43), None, Some(40)]);
            let times: Vec<_> = seen.iter().map(|replica| replica.last_fetch_timestamp_ms).collect();
            assert_eq!(times, if version >= 1 { [Some(1000), None, Some(900)] } else { [None; 3] });
            let directories: Vec<_> = seen.iter().map(|replica| replica.directory_id).collect();
            let uuid = |value: u128| Some(Uuid::from_bytes(value.to_be_bytes()));
            assert_eq!(directories, if version >= 2 { [uuid(9), None, uuid(300)] } else { [None; 3] });
        }
    }

    #[test]
    fn a_refusal_and_an_answer_to_another_question_are_errors() {
        for (topic, index, code, want) in [
            (METADATA_TOPIC, 0, 6, "the answer is NOT_LEADER_OR_FOLLOWER, error 6"),
            (METADATA_TOPIC, 1, 0, "the answer does not mention __cluster_metadata-0"),
            ("other", 0, 0, "the answer does not mention __cluster_metadata-0"),
        ] {
            let error = decode_describe_quorum(&response(2, topic, index, code), 2, 5).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0i16..3) {
            let _ = decode_describe_quorum(&bytes, version, 5);
        }

        #[test]
        fn no_changed_bytes_are_a_panic(
            version in 0i16..3,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = response(version, METADATA_TOPIC, 0, 0);
            for (at, to) in changes {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            let _ = decode_describe_quorum(&bytes, version, 5);
        }
    }
}
