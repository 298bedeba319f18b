//! The two files that format a KRaft log directory, as lists of record batches.
//!
//! Up to Kafka 4.3 the bootstrap records lie in `bootstrap.checkpoint`, and a dynamic quorum's first voters in the
//! snapshot `00000000000000000000-0000000000.checkpoint`, which then holds control records only. From 4.4 on
//! (KIP-1170) that snapshot holds the bootstrap records too and the other file is gone. Writers:
//! `BatchFileWriter` and `RecordsSnapshotWriter`.

use crate::kafka::metadata_records::ControlRecord;
use crate::kafka::metadata_records::MetadataRecord;
use crate::kafka::metadata_records::RecordError;
use crate::kafka::metadata_records::Voter;
use crate::kafka::record_batch::BatchError;
use crate::kafka::record_batch::BatchKind;
use crate::kafka::record_batch::Record;
use crate::kafka::record_batch::RecordBatch;
use crate::kafka::wire::Reader;

/// The name of the bootstrap records' file up to Kafka 4.3, in every log directory.
pub const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";

/// The name of the first snapshot, in the directory of the metadata partition: offset 0, epoch 0.
pub const FIRST_SNAPSHOT: &str = "00000000000000000000-0000000000.checkpoint";

/// The directory of the metadata partition, in the metadata log directory.
pub const METADATA_PARTITION: &str = "__cluster_metadata-0";

/// No tool writes more: a batch has at most 8 MiB (`KafkaRaftClient.MAX_BATCH_SIZE_BYTES`) and three are enough.
pub const MAX_BYTES: usize = 24 * 1024 * 1024;

/// What a checkpoint says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The level of `kraft.version`, if it is recorded.
    pub kraft_version: Option<i16>,
    /// The voters, if they are recorded.
    pub voters: Option<Vec<Voter>>,
    /// The data records, in order.
    pub records: Vec<MetadataRecord>,
}

/// A checkpoint that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It ends too early: the disk was full, or a copy was cut off.
    #[error("the checkpoint is cut off at byte {0}: it does not end in a snapshot footer")]
    Truncated(usize),
    /// A batch is damaged.
    #[error("the checkpoint is damaged at byte {at}")]
    DamagedBatch {
        /// Where the batch begins.
        at: usize,
        /// What is wrong.
        #[source]
        source: BatchError,
    },
    /// A record is damaged, though the checksum is right.
    #[error("the checkpoint is damaged in the batch at byte {at}")]
    DamagedRecord {
        /// Where the batch begins.
        at: usize,
        /// What is wrong.
        #[source]
        source: RecordError,
    },
    /// The records are not in the order of a checkpoint.
    #[error("the checkpoint has {0}")]
    Malformed(&'static str),
    /// A newer Kafka wrote a batch.
    #[error("the checkpoint is from a newer Kafka")]
    NewerBatch(#[source] BatchError),
    /// A newer Kafka wrote a record.
    #[error("the checkpoint is from a newer Kafka")]
    NewerRecord(#[source] RecordError),
    /// Too big for what it should be.
    #[error("the checkpoint has {0} bytes; one that was made by formatting has at most {MAX_BYTES}")]
    TooLarge(usize),
}

impl CheckpointError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated(_) => "CheckpointTruncated",
            Self::DamagedBatch { .. }
            | Self::DamagedRecord { .. }
            | Self::Malformed(_)
            | Self::TooLarge(_) => "CheckpointDamaged",
            Self::NewerBatch(_) | Self::NewerRecord(_) => "CheckpointFromNewerKafka",
        }
    }
}

/// The content of `bootstrap.checkpoint`: header (its time is 0), the records, footer, in a batch each.
pub fn encode_bootstrap_checkpoint(records: &[MetadataRecord], now_ms: i64) -> Vec<u8> {
    let header = [ControlRecord::SnapshotHeader { last_contained_log_timestamp: 0 }];
    encode(&header, records, now_ms)
}

/// The content of the first snapshot.
///
/// Legacy (3.9 to 4.3): `kraft_version` 1, the voters and no records. From 4.4: the records always; `kraft_version`
/// and voters where the quorum is dynamic. A `kraft_version` of 0 is not recorded, and
/// neither are voters without one: that is a static quorum, which has its voters in the settings.
///
/// The voters may come in any order.
pub fn encode_first_snapshot(
    kraft_version: Option<i16>,
    voters: Option<&[Voter]>,
    records: &[MetadataRecord],
    now_ms: i64,
) -> Vec<u8> {
    let mut controls = vec![ControlRecord::SnapshotHeader { last_contained_log_timestamp: now_ms }];
    if let Some(level @ 1..) = kraft_version {
        controls.push(ControlRecord::KRaftVersion(level));
        controls.extend(voters.map(|voters| ControlRecord::Voters(in_kafkas_order(voters))));
    }
    encode(&controls, records, now_ms)
}

/// Reads either file. Never panics and never makes more of the bytes than they are.
pub fn decode_checkpoint(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    if bytes.len() > MAX_BYTES {
        return Err(CheckpointError::TooLarge(bytes.len()));
    }
    let mut decoder = Decoder::default();
    let mut reader = Reader::new(bytes);
    while reader.left() > 0 {
        let at = bytes.len() - reader.left();
        let batch = RecordBatch::decode(&mut reader).map_err(|source| match source {
            BatchError::Truncated { .. } => CheckpointError::Truncated(bytes.len()),
            BatchError::Unknown { .. } => CheckpointError::NewerBatch(source),
            _ => CheckpointError::DamagedBatch { at, source },
        })?;
        for record in &batch.records {
            decoder.take(batch.kind, record, at)?;
        }
    }
    match decoder.stage {
        Stage::Done => Ok(decoder.checkpoint),
        Stage::Begin | Stage::Within => Err(CheckpointError::Truncated(bytes.len())),
    }
}

fn encode(controls: &[ControlRecord], records: &[MetadataRecord], now_ms: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut base_offset = 0;
    let mut append = |kind, records: Vec<Record>| {
        // A batch of nothing does not exist.
        if records.is_empty() {
            return;
        }
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        let batch = RecordBatch { base_offset, kind, timestamp_ms: now_ms, records };
        bytes.extend_from_slice(&batch.encode());
        base_offset = base_offset.saturating_add(count);
    };
    append(BatchKind::Control, controls.iter().filter_map(ControlRecord::encode).collect());
    append(BatchKind::Data, records.iter().map(MetadataRecord::encode).collect());
    append(BatchKind::Control, ControlRecord::SnapshotFooter.encode().into_iter().collect());
    bytes
}

/// The order in which the real tool writes voters: that of a `java.util.HashMap` copied from another, which
/// `VoterSet.fromMap` does. No reader depends on it; equal bytes do. The sizes are those of JDK 17; from 19 on
/// copies are smaller (JDK-8281631), which only shows where ids straddle a power of two.
fn in_kafkas_order(voters: &[Voter]) -> Vec<Voter> {
    // A map is resized when it is more than three quarters full, and begins with 16 buckets.
    let first_buckets = (voters.len() * 4).div_ceil(3).next_power_of_two().max(16) as u32;
    let copy_buckets = (voters.len() * 4 / 3 + 1).next_power_of_two() as u32;
    let mut ordered = voters.to_vec();
    ordered.sort_by_key(|voter| {
        let id = voter.node_id.get().cast_unsigned();
        let hash = id ^ (id >> 16);
        (hash & (copy_buckets - 1), hash & (first_buckets - 1), id)
    });
    ordered
}

/// A checkpoint as it comes in: header first, footer last, nothing after it.
#[derive(Default)]
struct Decoder {
    stage: Stage,
    checkpoint: Checkpoint,
}

#[derive(Default)]
enum Stage {
    #[default]
    Begin,
    Within,
    Done,
}

impl Decoder {
    fn take(&mut self, kind: BatchKind, record: &Record, at: usize) -> Result<(), CheckpointError> {
        let damaged = |source| match source {
            RecordError::Unknown { .. } => CheckpointError::NewerRecord(source),
            _ => CheckpointError::DamagedRecord { at, source },
        };
        let control = match kind {
            BatchKind::Control => Some(ControlRecord::decode(record).map_err(damaged)?),
            BatchKind::Data => None,
        };
        match (&self.stage, control) {
            (Stage::Begin, Some(ControlRecord::SnapshotHeader { .. })) => self.stage = Stage::Within,
            (Stage::Begin, _) => return Err(CheckpointError::Malformed("no snapshot header at its front")),
            (Stage::Done, _) => return Err(CheckpointError::Malformed("records after its footer")),
            (Stage::Within, None) => {
                self.checkpoint.records.push(MetadataRecord::decode(record).map_err(damaged)?);
            }
            (Stage::Within, Some(ControlRecord::SnapshotFooter)) => self.stage = Stage::Done,
            (Stage::Within, Some(ControlRecord::KRaftVersion(level))) => {
                self.checkpoint.kraft_version = Some(level);
            }
            (Stage::Within, Some(ControlRecord::Voters(voters))) => self.checkpoint.voters = Some(voters),
            (Stage::Within, Some(ControlRecord::SnapshotHeader { .. })) => {
                return Err(CheckpointError::Malformed("two snapshot headers"));
            }
            (Stage::Within, Some(ControlRecord::Other(_))) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kafka::scram::ScramCredential;
    use crate::kafka::scram::ScramMechanism;
    use crate::kafka::uuid::Uuid;

    fn voter(id: i32, host: &str) -> Voter {
        Voter {
            node_id: id.try_into().unwrap(),
            directory_id: "JEXY6aqzQY-32P5TStzaFg".parse().unwrap(),
            listener_name: "CONTROLLER".to_owned(),
            host: host.to_owned(),
            port: 9093,
        }
    }

    fn feature(name: &str, level: i16) -> MetadataRecord {
        MetadataRecord::FeatureLevel { name: name.to_owned(), level }
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_records_are_kafkas_to_the_byte() {
        for (record, want) in [
            (ControlRecord::SnapshotHeader { last_contained_log_timestamp: 0 }, "0000 0000000000000000 00"),
            (ControlRecord::SnapshotFooter, "0000 00"),
            (ControlRecord::KRaftVersion(1), "0000 0001 00"),
            (
                ControlRecord::Voters(vec![voter(1, "host1")]),
                "0000 02 00000001 2445d8e9aab3418fb7d8fe534adcda16 02 0b434f4e54524f4c4c4552 06686f737431 2385 00 \
                 0000 0001 00 00 00",
            ),
        ] {
            let encoded = record.encode().unwrap();
            assert_eq!(encoded.value, Some(hex(want)));
            assert_eq!(ControlRecord::decode(&encoded), Ok(record));
        }
        let encoded = feature("metadata.version", 30).encode();
        assert_eq!(encoded.value, Some(hex("01 0c 00 11 6d657461646174612e76657273696f6e 001e 00")));
        let credential = ScramCredential::from_record(ScramMechanism::Sha512, "ada", b"s", b"k", b"v", 4096);
        let encoded = MetadataRecord::UserScramCredential(credential).encode();
        assert_eq!(encoded.value, Some(hex("01 0b 00 04616461 02 0273 026b 0276 00001000 00")));
    }

    #[test]
    fn an_ipv6_host_is_spelled_as_java_spells_it() {
        for (host, want) in [
            ("::1", "0:0:0:0:0:0:0:1"),
            ("2001:DB8::a0", "2001:db8:0:0:0:0:0:a0"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("kafka-0.kafka", "kafka-0.kafka"),
        ] {
            let encoded = ControlRecord::Voters(vec![voter(1, host)]).encode().unwrap();
            let ControlRecord::Voters(voters) = ControlRecord::decode(&encoded).unwrap() else { panic!() };
            assert_eq!(voters[0].host, want);
        }
    }

    /// The wanted orders are those of JDK 17.
    #[test]
    fn voters_are_written_in_the_order_of_kafkas_hash_map() {
        for (ids, want) in [
            (vec![3, 1, 2], vec![1, 2, 3]),
            (vec![1000, 1001, 1002], vec![1000, 1001, 1002]),
            (vec![6, 7, 8], vec![8, 6, 7]),
            (vec![3, 4], vec![4, 3]),
            (vec![15, 16, 17, 18, 19], vec![16, 17, 18, 19, 15]),
            (vec![8, 16, 0], vec![0, 16, 8]),
            (vec![65536, 1, 2], vec![1, 65536, 2]),
        ] {
            let voters: Vec<_> = ids.iter().map(|id| voter(*id, "h")).collect();
            let ordered: Vec<_> = in_kafkas_order(&voters).iter().map(|voter| voter.node_id.get()).collect();
            assert_eq!(ordered, want, "{ids:?}");
        }
    }

    #[test]
    fn each_layout_holds_what_its_kafka_writes() {
        let records = [feature("metadata.version", 33), feature("group.version", 1)];
        let voters = [voter(1, "a"), voter(2, "b")];
        let batches = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let mut shapes = Vec::new();
            while reader.left() > 0 {
                let batch = RecordBatch::decode(&mut reader).unwrap();
                shapes.push((batch.base_offset, batch.kind, batch.records.len()));
            }
            shapes
        };
        const CONTROL: BatchKind = BatchKind::Control;
        const DATA: BatchKind = BatchKind::Data;
        for (bytes, want, kraft_version, has_voters, has_records) in [
            (
                encode_bootstrap_checkpoint(&records, 5),
                vec![(0, CONTROL, 1), (1, DATA, 2), (3, CONTROL, 1)],
                None,
                false,
                true,
            ),
            (
                encode_first_snapshot(Some(1), Some(&voters), &[], 5),
                vec![(0, CONTROL, 3), (3, CONTROL, 1)],
                Some(1),
                true,
                false,
            ),
            (
                encode_first_snapshot(Some(1), None, &records, 5),
                vec![(0, CONTROL, 2), (2, DATA, 2), (4, CONTROL, 1)],
                Some(1),
                false,
                true,
            ),
            (
                encode_first_snapshot(Some(0), None, &records, 5),
                vec![(0, CONTROL, 1), (1, DATA, 2), (3, CONTROL, 1)],
                None,
                false,
                true,
            ),
        ] {
            assert_eq!(batches(&bytes), want);
            let checkpoint = decode_checkpoint(&bytes).unwrap();
            assert_eq!(checkpoint.kraft_version, kraft_version);
            assert_eq!(checkpoint.voters.as_deref(), has_voters.then_some(&voters[..]));
            assert_eq!(checkpoint.records, if has_records { records.to_vec() } else { vec![] });
        }
    }

    #[test]
    fn cut_off_and_damaged_and_newer_are_told_apart() {
        let records = [feature("metadata.version", 33)];
        let whole = encode_bootstrap_checkpoint(&records, 5);
        let changed = |at: usize, to: u8| {
            let mut bytes = whole.clone();
            bytes[at] = to;
            bytes
        };
        let first_batch = 12 + whole[11] as usize;
        let newer_type = MetadataRecord::Other { api_key: 12, version: 1, body: vec![] };
        let mut two = whole.clone();
        two.extend_from_slice(&whole);
        for (bytes, want) in [
            (vec![], "CheckpointTruncated"),
            (whole[..whole.len() - 1].to_vec(), "CheckpointTruncated"),
            // Cut off exactly between two batches.
            (whole[..first_batch].to_vec(), "CheckpointTruncated"),
            (changed(16, 3), "CheckpointFromNewerKafka"),
            (changed(16, 1), "CheckpointDamaged"),
            (changed(40, 9), "CheckpointDamaged"),
            (whole[first_batch..].to_vec(), "CheckpointDamaged"),
            (two, "CheckpointDamaged"),
            (b"not a checkpoint at all, but long enough".to_vec(), "CheckpointDamaged"),
            (vec![0; 4096], "CheckpointDamaged"),
            (encode_bootstrap_checkpoint(&[newer_type], 5), "ok"),
        ] {
            let got = decode_checkpoint(&bytes);
            assert_eq!(got.map_or_else(|error| error.reason(), |_| "ok"), want, "{} bytes", bytes.len());
        }
    }

    fn records() -> impl Strategy<Value = Vec<MetadataRecord>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..70);
        let mechanism = prop_oneof![Just(ScramMechanism::Sha256), Just(ScramMechanism::Sha512)];
        let credential = (mechanism, any::<String>(), bytes(), bytes(), bytes(), any::<i32>()).prop_map(
            |(mechanism, name, salt, stored, server, iterations)| {
                let made =
                    ScramCredential::from_record(mechanism, &name, &salt, &stored, &server, iterations);
                MetadataRecord::UserScramCredential(made)
            },
        );
        let level = (any::<String>(), any::<i16>())
            .prop_map(|(name, level)| MetadataRecord::FeatureLevel { name, level });
        let other = (13..u32::MAX, any::<u32>(), bytes())
            .prop_map(|(api_key, version, body)| MetadataRecord::Other { api_key, version, body });
        prop::collection::vec(prop_oneof![credential, level, other], 0..6)
    }

    fn voters() -> impl Strategy<Value = Vec<Voter>> {
        let voter = (0..40i32, any::<[u8; 16]>(), "[A-Z]{1,9}", "[a-z.]{1,30}", any::<u16>()).prop_map(
            |(id, directory_id, listener_name, host, port)| Voter {
                node_id: id.try_into().unwrap(),
                directory_id: Uuid::from_bytes(directory_id),
                listener_name,
                host,
                port,
            },
        );
        prop::collection::vec(voter, 0..7)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(records in records(), voters in voters(), now_ms in any::<i64>()) {
            let bytes = encode_first_snapshot(Some(1), Some(&voters), &records, now_ms);
            let checkpoint = decode_checkpoint(&bytes).unwrap();
            prop_assert_eq!(checkpoint.kraft_version, Some(1));
            prop_assert_eq!(checkpoint.voters, Some(in_kafkas_order(&voters)));
            prop_assert_eq!(checkpoint.records, records);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_checkpoint(&bytes);
        }

        /// The checksum would catch nearly every change, so it is made right again: the record decoders see them.
        #[test]
        fn no_changed_bytes_are_a_panic(
            records in records(), voters in voters(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let whole = encode_first_snapshot(Some(1), Some(&voters), &records, 7);
            let length = i32::from_be_bytes(whole[8..12].try_into().unwrap()) as usize + 12;
            let mut bytes = whole;
            for (at, to) in changes {
                bytes[21 + at.index(length - 21)] = to;
            }
            let checksum = crc32c::crc32c(&bytes[21..length]);
            bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
            let _ = decode_checkpoint(&bytes);
        }
    }
}
