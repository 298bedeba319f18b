//! The records in a checkpoint: features and users, and the control records around them.
//!
//! Formats from the generated classes `FeatureLevelRecord`, `UserScramCredentialRecord`, `SnapshotHeaderRecord`,
//! `SnapshotFooterRecord`, `KRaftVersionRecord` and `VotersRecord`, all version 0 and flexible.

use std::net::Ipv6Addr;

use crate::kafka::features::FeatureLevel;
use crate::kafka::node_id::NodeId;
use crate::kafka::record_batch::Record;
use crate::kafka::scram::ScramCredential;
use crate::kafka::scram::ScramMechanism;
use crate::kafka::uuid::Uuid;
use crate::kafka::wire::Reader;
use crate::kafka::wire::WireError;
use crate::kafka::wire::Writer;

/// A record of the metadata itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataRecord {
    /// A feature is at a level.
    FeatureLevel {
        /// Kafka's name of the feature.
        name: String,
        /// Its level.
        level: i16,
    },
    /// A user exists.
    UserScramCredential(ScramCredential),
    /// Any other record, or a newer version of these, kept as it is.
    Other {
        /// The type, by Kafka's number.
        api_key: u32,
        /// The version of the type.
        version: u32,
        /// The fields.
        body: Vec<u8>,
    },
}

/// A record about the log or the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlRecord {
    /// A snapshot begins.
    SnapshotHeader {
        /// Milliseconds since 1970, of the last record that the snapshot replaces.
        last_contained_log_timestamp: i64,
    },
    /// A snapshot is complete.
    SnapshotFooter,
    /// The level of `kraft.version`; 1 is a dynamic quorum (KIP-853).
    KRaftVersion(i16),
    /// Who votes.
    Voters(Vec<Voter>),
    /// A type that this program has no use for.
    Other(i16),
}

/// A controller that votes, with the one endpoint that formatting gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub node_id: NodeId,
    /// The `directory.id` of its metadata directory.
    pub directory_id: Uuid,
    /// The listener's name, in capitals as Kafka has it.
    pub listener_name: String,
    /// A name or address. Kafka spells IPv6 addresses in full, and so does what is encoded here.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes do not add up.
    #[error("a metadata record cannot be read")]
    Wire(#[from] WireError),
    /// A field has a value that it cannot have.
    #[error("a metadata record has {field} {value}")]
    Field {
        /// The field, by its name in Kafka.
        field: &'static str,
        /// What stands there.
        value: i64,
    },
    /// A format that came after this program.
    #[error("a metadata record has {field} {value}, which this program cannot read")]
    Unknown {
        /// The field, by its name in Kafka.
        field: &'static str,
        /// What stands there.
        value: i64,
    },
}

impl RecordError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wire(_) | Self::Field { .. } => "MetadataRecordDamaged",
            Self::Unknown { .. } => "MetadataRecordFromNewerKafka",
        }
    }
}

/// `AbstractApiMessageSerde` puts this in front of each data record.
const FRAME_VERSION: u32 = 1;

const USER_SCRAM_CREDENTIAL: u32 = 11;
const FEATURE_LEVEL: u32 = 12;

/// `ControlRecordType`.
const SNAPSHOT_HEADER: i16 = 3;
const SNAPSHOT_FOOTER: i16 = 4;
const KRAFT_VERSION: i16 = 5;
const KRAFT_VOTERS: i16 = 6;

/// What a voter of 3.9 to 4.4 says it can do (`KRaftVersion`): 0 to 1.
const SUPPORTED_KRAFT_VERSIONS: (i16, i16) = (0, 1);
/// Id, directory id, count of endpoints, two versions, two counts of tagged fields.
const SMALLEST_VOTER: usize = 4 + 16 + 1 + 4 + 2;

impl From<FeatureLevel> for MetadataRecord {
    fn from(feature: FeatureLevel) -> Self {
        Self::FeatureLevel { name: feature.name.to_owned(), level: feature.level }
    }
}

impl MetadataRecord {
    /// The record of a data batch.
    pub fn encode(&self) -> Record {
        let mut value = Writer::new();
        value.unsigned_varint(FRAME_VERSION);
        match self {
            Self::FeatureLevel { name, level } => {
                value.unsigned_varint(FEATURE_LEVEL).unsigned_varint(0);
                value.compact_string(name).i16(*level).no_tagged_fields();
            }
            Self::UserScramCredential(credential) => {
                value.unsigned_varint(USER_SCRAM_CREDENTIAL).unsigned_varint(0);
                value.compact_string(credential.name()).i8(credential.mechanism().code());
                value.compact_bytes(credential.salt()).compact_bytes(credential.stored_key());
                value.compact_bytes(credential.server_key()).i32(credential.iterations()).no_tagged_fields();
            }
            Self::Other { api_key, version, body } => {
                value.unsigned_varint(*api_key).unsigned_varint(*version).raw(body);
            }
        }
        Record { key: None, value: Some(value.into_bytes()) }
    }

    /// Reads the record of a data batch.
    pub fn decode(record: &Record) -> Result<Self, RecordError> {
        let mut value = Reader::new(record.value.as_deref().ok_or(WireError::NoLength)?);
        let frame_version = value.unsigned_varint()?;
        if frame_version != FRAME_VERSION {
            return Err(RecordError::Unknown { field: "frameVersion", value: frame_version.into() });
        }
        let (api_key, version) = (value.unsigned_varint()?, value.unsigned_varint()?);
        let decoded = match (api_key, version) {
            (FEATURE_LEVEL, 0) => {
                Self::FeatureLevel { name: value.compact_string()?.to_owned(), level: value.i16()? }
            }
            (USER_SCRAM_CREDENTIAL, 0) => Self::UserScramCredential(decode_credential(&mut value)?),
            _ => return Ok(Self::Other { api_key, version, body: value.rest().to_vec() }),
        };
        value.skip_tagged_fields()?;
        value.finish()?;
        Ok(decoded)
    }
}

fn decode_credential(value: &mut Reader<'_>) -> Result<ScramCredential, RecordError> {
    let name = value.compact_string()?;
    let code = value.i8()?;
    let mechanism = ScramMechanism::from_code(code)
        .ok_or(RecordError::Unknown { field: "mechanism", value: code.into() })?;
    let (salt, stored_key, server_key) =
        (value.compact_bytes()?, value.compact_bytes()?, value.compact_bytes()?);
    Ok(ScramCredential::from_record(mechanism, name, salt, stored_key, server_key, value.i32()?))
}

impl ControlRecord {
    /// The record of a control batch, or `None` for a type that this program cannot write.
    pub fn encode(&self) -> Option<Record> {
        let mut value = Writer::new();
        // The version of the body is its first field, and repeated nowhere.
        value.i16(0);
        let kind = match self {
            Self::SnapshotHeader { last_contained_log_timestamp } => {
                value.i64(*last_contained_log_timestamp);
                SNAPSHOT_HEADER
            }
            Self::SnapshotFooter => SNAPSHOT_FOOTER,
            Self::KRaftVersion(level) => {
                value.i16(*level);
                KRAFT_VERSION
            }
            Self::Voters(voters) => {
                value.compact_length(voters.len());
                for voter in voters {
                    voter.encode(&mut value);
                }
                KRAFT_VOTERS
            }
            Self::Other(_) => return None,
        };
        value.no_tagged_fields();
        let mut key = Writer::new();
        key.i16(0).i16(kind);
        Some(Record { key: Some(key.into_bytes()), value: Some(value.into_bytes()) })
    }

    /// Reads the record of a control batch.
    pub fn decode(record: &Record) -> Result<Self, RecordError> {
        let mut key = Reader::new(record.key.as_deref().ok_or(WireError::NoLength)?);
        let version = key.i16()?;
        if version < 0 {
            return Err(RecordError::Field { field: "control record version", value: version.into() });
        }
        let kind = key.i16()?;
        if !(SNAPSHOT_HEADER..=KRAFT_VOTERS).contains(&kind) {
            return Ok(Self::Other(kind));
        }
        let mut value = Reader::new(record.value.as_deref().ok_or(WireError::NoLength)?);
        let version = value.i16()?;
        if version != 0 {
            return Err(RecordError::Unknown { field: "control record version", value: version.into() });
        }
        let decoded = match kind {
            SNAPSHOT_HEADER => Self::SnapshotHeader { last_contained_log_timestamp: value.i64()? },
            SNAPSHOT_FOOTER => Self::SnapshotFooter,
            KRAFT_VERSION => Self::KRaftVersion(value.i16()?),
            _ => Self::Voters(value.compact_array(SMALLEST_VOTER, Voter::decode)?),
        };
        value.skip_tagged_fields()?;
        value.finish()?;
        Ok(decoded)
    }
}

impl Voter {
    fn encode(&self, value: &mut Writer) {
        value.i32(self.node_id.get()).uuid(self.directory_id).compact_length(1);
        value.compact_string(&self.listener_name).compact_string(&spelled(&self.host)).u16(self.port);
        value.no_tagged_fields();
        value.i16(SUPPORTED_KRAFT_VERSIONS.0).i16(SUPPORTED_KRAFT_VERSIONS.1).no_tagged_fields();
        value.no_tagged_fields();
    }

    fn decode(value: &mut Reader<'_>) -> Result<Self, RecordError> {
        let id = value.i32()?;
        let node_id =
            NodeId::try_from(id).map_err(|_| RecordError::Field { field: "voterId", value: id.into() })?;
        let directory_id = value.uuid()?;
        let mut endpoints = value.compact_array(5, |value| {
            let endpoint = (value.compact_string()?, value.compact_string()?, value.u16()?);
            value.skip_tagged_fields()?;
            Ok::<_, WireError>(endpoint)
        })?;
        let (Some((listener_name, host, port)), 0) = (endpoints.pop(), endpoints.len()) else {
            let value = i64::try_from(endpoints.len()).unwrap_or(i64::MAX).saturating_add(1);
            return Err(RecordError::Field { field: "voters with endpoints", value });
        };
        let (_least, _most) = (value.i16()?, value.i16()?);
        value.skip_tagged_fields()?;
        value.skip_tagged_fields()?;
        Ok(Self {
            node_id,
            directory_id,
            listener_name: listener_name.to_owned(),
            host: host.to_owned(),
            port,
        })
    }
}

/// The host as `InetSocketAddress.getHostString` gives it back: an IPv6 address in full, without leading zeros, or,
/// where it is an IPv4 address in IPv6 clothing, as that.
fn spelled(host: &str) -> String {
    let Ok(address) = host.parse::<Ipv6Addr>() else {
        return host.to_owned();
    };
    if let Some(ipv4) = address.to_ipv4_mapped() {
        return ipv4.to_string();
    }
    address.segments().map(|segment| format!("{segment:x}")).join(":")
}
