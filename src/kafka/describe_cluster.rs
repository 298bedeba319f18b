//! DescribeCluster: which brokers there are, and which of them are fenced.
//!
//! Request 60, versions 0 to 2 (`DescribeClusterRequest.json`, `DescribeClusterResponse.json`; KIP-700, KIP-1073). Up to
//! version 1 a broker lists those that are not fenced; from 2 on, which 4.0 knows, all of them if it is asked to.

use std::ops::RangeInclusive;

use crate::kafka::node_id::NodeId;
use crate::kafka::requests::ResponseError;
use crate::kafka::requests::encode_request;
use crate::kafka::requests::read_header;
use crate::kafka::requests::refusal;
use crate::kafka::wire::Reader;
use crate::kafka::wire::Writer;

/// The request's number.
pub const DESCRIBE_CLUSTER: i16 = 60;

/// The versions this program speaks.
pub const DESCRIBE_CLUSTER_VERSIONS: RangeInclusive<i16> = 0..=2;

/// `EndpointType`: brokers, not controllers.
const BROKERS: i8 = 1;

/// A broker in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedBroker {
    /// Its node id.
    pub node_id: NodeId,
    /// Whether it is fenced; before version 2 nobody in the list is.
    pub is_fenced: bool,
}

/// A whole request.
pub fn encode_describe_cluster(version: i16, correlation_id: i32) -> Vec<u8> {
    let mut body = Writer::new();
    // What may be done with the cluster is not asked.
    body.i8(0);
    if version >= 1 {
        body.i8(BROKERS);
    }
    if version >= 2 {
        body.i8(1);
    }
    body.no_tagged_fields();
    encode_request(DESCRIBE_CLUSTER, version, correlation_id, &body.into_bytes())
}

/// Reads a response of `version`, without its length.
pub fn decode_describe_cluster(
    response: &[u8],
    version: i16,
    correlation_id: i32,
) -> Result<Vec<ListedBroker>, ResponseError> {
    let mut reader = Reader::new(response);
    read_header(&mut reader, correlation_id)?;
    let _throttle_time_ms = reader.i32()?;
    let code = reader.i16()?;
    refusal(code, reader.compact_nullable_string()?)?;
    if version >= 1 {
        let _endpoint_type = reader.i8()?;
    }
    let (_cluster_id, _controller_id) = (reader.compact_string()?, reader.i32()?);
    // Id, host, port, rack and a count of tags.
    reader.compact_array(11, |reader| {
        let id = reader.i32()?;
        let (_host, _port, _rack) =
            (reader.compact_string()?, reader.i32()?, reader.compact_nullable_string()?);
        let is_fenced = version >= 2 && reader.i8()? != 0;
        reader.skip_tagged_fields()?;
        let node_id =
            NodeId::try_from(id).map_err(|_| ResponseError::Field { field: "brokerId", value: id.into() })?;
        Ok(ListedBroker { node_id, is_fenced })
    })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::DescribeClusterRequest;
    use kafka_protocol::messages::DescribeClusterResponse;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::messages::ResponseHeader;
    use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
    use kafka_protocol::protocol::Encodable;
    use kafka_protocol::protocol::StrBytes;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn our_request_is_that_of_another_encoder() {
        for version in DESCRIBE_CLUSTER_VERSIONS {
            let header = RequestHeader::default()
                .with_request_api_key(DESCRIBE_CLUSTER)
                .with_request_api_version(version)
                .with_correlation_id(5)
                .with_client_id(Some(StrBytes::from_static_str("kraftlet")));
            let mut body = DescribeClusterRequest::default();
            if version >= 1 {
                body = body.with_endpoint_type(BROKERS);
            }
            if version >= 2 {
                body = body.with_include_fenced_brokers(true);
            }
            let mut want = Vec::new();
            header.encode(&mut want, 2).unwrap();
            body.encode(&mut want, version).unwrap();
            assert_eq!(encode_describe_cluster(version, 5).get(4..), Some(&want[..]), "{version}");
        }
    }

    fn response(version: i16, id: i32, fenced: bool) -> Vec<u8> {
        let mut broker = DescribeClusterBroker::default().with_broker_id(BrokerId(id)).with_port(9092);
        if version >= 2 {
            broker = broker.with_is_fenced(fenced);
        }
        let body = DescribeClusterResponse::default().with_brokers(vec![broker]);
        let mut bytes = Vec::new();
        ResponseHeader::default().with_correlation_id(5).encode(&mut bytes, 1).unwrap();
        body.encode(&mut bytes, version).unwrap();
        bytes
    }

    #[test]
    fn who_is_listed_is_fenced_only_where_the_version_can_say_so() {
        let node_id = NodeId::try_from(7).unwrap();
        for (version, fenced, want) in
            [(0, true, false), (1, true, false), (2, true, true), (2, false, false)]
        {
            let found = decode_describe_cluster(&response(version, 7, fenced), version, 5).unwrap();
            assert_eq!(found, [ListedBroker { node_id, is_fenced: want }], "{version}");
        }
        assert!(decode_describe_cluster(&response(2, -1, false), 2, 5).is_err());
        assert!(decode_describe_cluster(&response(2, 7, false), 2, 6).is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_an_error_and_nothing_worse(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            version in 0i16..=2,
        ) {
            let _ = decode_describe_cluster(&bytes, version, 5);
        }
    }
}
