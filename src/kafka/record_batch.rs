//! Record batches of magic 2, uncompressed: the container of everything in Kafka's metadata files.
//!
//! The layout is `org.apache.kafka.common.record.DefaultRecordBatch` and `DefaultRecord`; the checksum is CRC-32C
//! over all that follows it.

use crate::kafka::wire::Reader;
use crate::kafka::wire::WireError;
use crate::kafka::wire::Writer;

/// A batch as `MemoryRecordsBuilder` writes it for metadata: no producer, leader epoch 0, one time for all records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    /// The offset of the first record.
    pub base_offset: i64,
    /// Whether the records steer the log itself instead of being its content.
    pub kind: BatchKind,
    /// Milliseconds since 1970 of all the records.
    pub timestamp_ms: i64,
    /// The records; never none in what Kafka writes.
    pub records: Vec<Record>,
}

/// What a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchKind {
    /// Content.
    Data,
    /// Control records.
    Control,
}

/// One record; headers are not kept, metadata has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key; null in a data batch of metadata.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// Bytes that are no batch this program can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the last record batch has {want} bytes, of which {have} are there")]
    Truncated {
        /// Bytes that the batch has.
        want: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// The checksum is that of other bytes.
    #[error("a record batch has checksum {found:08x}; its bytes make {computed:08x}")]
    Checksum {
        /// The one in the batch.
        found: u32,
        /// The one of the bytes.
        computed: u32,
    },
    /// A field that no writer of such a batch writes.
    #[error("a record batch has {field} {value}")]
    Field {
        /// The field, by its name in Kafka.
        field: &'static str,
        /// What stands there.
        value: i64,
    },
    /// A format that came after this program.
    #[error("a record batch has {field} {value}, which this program cannot read")]
    Unknown {
        /// The field, by its name in Kafka.
        field: &'static str,
        /// What stands there.
        value: i64,
    },
    /// A record that does not add up.
    #[error("a record in a batch cannot be read")]
    Record(#[from] WireError),
}

impl BatchError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "RecordBatchTruncated",
            Self::Checksum { .. } | Self::Field { .. } | Self::Record(_) => "RecordBatchDamaged",
            Self::Unknown { .. } => "RecordBatchFromNewerKafka",
        }
    }
}

/// Base offset and length: what precedes the bytes that the length counts.
const PREFIX: usize = 12;
/// Where the version of the format stands.
const MAGIC_AT: usize = 16;
/// Leader epoch, magic and checksum, at the front of what the length counts.
const BEFORE_CHECKSUMMED: usize = 9;
/// A record has at least a length, attributes, two deltas, two lengths and the header count.
const SMALLEST_RECORD: usize = 7;

const ATTRIBUTE_COMPRESSION: i16 = 0b111;
const ATTRIBUTE_CONTROL: i16 = 0x20;

impl RecordBatch {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Writer::new();
        let attributes = match self.kind {
            BatchKind::Data => 0,
            BatchKind::Control => ATTRIBUTE_CONTROL,
        };
        let count = i32::try_from(self.records.len()).unwrap_or(i32::MAX);
        body.i16(attributes).i32(count.saturating_sub(1)).i64(self.timestamp_ms).i64(self.timestamp_ms);
        // Producer id, producer epoch, base sequence: none.
        body.i64(-1).i16(-1).i32(-1).i32(count);
        for (offset_delta, record) in (0..).zip(&self.records) {
            let mut inner = Writer::new();
            inner.i8(0).varlong(0).varint(offset_delta);
            inner.varint_bytes(record.key.as_deref()).varint_bytes(record.value.as_deref()).varint(0);
            body.varint_bytes(Some(&inner.into_bytes()));
        }
        let body = body.into_bytes();
        let length = i32::try_from(body.len() + BEFORE_CHECKSUMMED).unwrap_or(i32::MAX);
        let mut batch = Writer::new();
        batch.i64(self.base_offset).i32(length).i32(0).i8(2).u32(crc32c::crc32c(&body)).raw(&body);
        batch.into_bytes()
    }

    /// Reads one batch off the front.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, BatchError> {
        let have = reader.left();
        let truncated = |want| BatchError::Truncated { want, have };
        // Before the length is believed, so that a file of another kind is not called a cut off one.
        match reader.rest().get(MAGIC_AT).map(|magic| magic.cast_signed()) {
            None | Some(2) => {}
            // Three versions came in twelve years; a letter in this place is no version.
            Some(magic @ 3..=9) => return Err(BatchError::Unknown { field: "magic", value: magic.into() }),
            Some(magic) => return Err(BatchError::Field { field: "magic", value: magic.into() }),
        }
        let mut prefix = Reader::new(reader.take(PREFIX).map_err(|_| truncated(PREFIX))?);
        let base_offset = prefix.i64()?;
        let length = prefix.i32()?;
        let bad_length = BatchError::Field { field: "batchLength", value: length.into() };
        let length = usize::try_from(length).map_err(|_| bad_length.clone())?;
        if length < BEFORE_CHECKSUMMED {
            return Err(bad_length);
        }
        let content = reader.take(length).map_err(|_| truncated(length.saturating_add(PREFIX)))?;
        let mut content = Reader::new(content);
        let (_leader_epoch, _magic) = (content.i32()?, content.i8()?);
        let found = content.u32()?;
        let computed = crc32c::crc32c(content.rest());
        if found != computed {
            return Err(BatchError::Checksum { found, computed });
        }
        Self::decode_checked(base_offset, content)
    }

    /// Reads what the checksum covers.
    fn decode_checked(base_offset: i64, mut body: Reader<'_>) -> Result<Self, BatchError> {
        let attributes = body.i16()?;
        if attributes & ATTRIBUTE_COMPRESSION != 0 {
            let value = i64::from(attributes & ATTRIBUTE_COMPRESSION);
            return Err(BatchError::Unknown { field: "compression", value });
        }
        let kind = if attributes & ATTRIBUTE_CONTROL == 0 { BatchKind::Data } else { BatchKind::Control };
        let _last_offset_delta = body.i32()?;
        let timestamp_ms = body.i64()?;
        let _max_timestamp = body.i64()?;
        let _producer = body.take(8 + 2 + 4)?;
        let count = body.i32()?;
        let bad_count = BatchError::Field { field: "recordCount", value: count.into() };
        let count = usize::try_from(count).map_err(|_| bad_count.clone())?;
        if count > body.left() / SMALLEST_RECORD {
            return Err(bad_count);
        }
        let mut records = Vec::with_capacity(count);
        for _ in 0..count {
            let bytes = body.varint_bytes()?.ok_or(WireError::NoLength)?;
            records.push(Record::decode(Reader::new(bytes))?);
        }
        body.finish()?;
        Ok(Self { base_offset, kind, timestamp_ms, records })
    }
}

impl Record {
    fn decode(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let _attributes = reader.i8()?;
        let _timestamp_delta = reader.varlong()?;
        let _offset_delta = reader.varint()?;
        let key = reader.varint_bytes()?.map(<[u8]>::to_vec);
        let value = reader.varint_bytes()?.map(<[u8]>::to_vec);
        for _ in 0..reader.varint()? {
            reader.varint_bytes()?.ok_or(WireError::NoLength)?;
            reader.varint_bytes()?;
        }
        reader.finish()?;
        Ok(Self { key, value })
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::records::RecordBatchDecoder;
    use proptest::prelude::*;

    use super::*;

    fn batches() -> impl Strategy<Value = RecordBatch> {
        let record =
            any::<(Option<Vec<u8>>, Option<Vec<u8>>)>().prop_map(|(key, value)| Record { key, value });
        let kind = prop_oneof![Just(BatchKind::Data), Just(BatchKind::Control)];
        (0..i64::MAX / 2, kind, 0..i64::MAX / 2, prop::collection::vec(record, 1..5)).prop_map(
            |(base_offset, kind, timestamp_ms, records)| RecordBatch {
                base_offset,
                kind,
                timestamp_ms,
                records,
            },
        )
    }

    #[test]
    fn the_header_is_that_of_default_record_batch() {
        let record = Record { key: None, value: Some(vec![0xab]) };
        let batch =
            RecordBatch { base_offset: 1, kind: BatchKind::Control, timestamp_ms: 2, records: vec![record] };
        let bytes = batch.encode();
        // Base offset, length, leader epoch, magic.
        assert_eq!(&bytes[..17], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 57, 0, 0, 0, 0, 2]);
        // Attributes, last offset delta, two times, no producer, one record.
        assert_eq!(&bytes[21..35], &[0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(&bytes[43..57], &[0xff; 14]);
        // Length 7, attributes, two deltas, null key, one byte, no headers.
        assert_eq!(&bytes[57..], &[0, 0, 0, 1, 14, 0, 0, 0, 1, 2, 0xab, 0]);
    }

    #[test]
    fn a_record_count_beyond_the_bytes_is_refused_before_anything_is_made_of_it() {
        let record = Record { key: None, value: None };
        let batch =
            RecordBatch { base_offset: 0, kind: BatchKind::Data, timestamp_ms: 0, records: vec![record] };
        let mut bytes = batch.encode();
        bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        let checksum = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        let error = RecordBatch::decode(&mut Reader::new(&bytes)).unwrap_err();
        assert_eq!(error, BatchError::Field { field: "recordCount", value: i32::MAX.into() });
    }

    proptest! {
        #[test]
        fn a_batch_is_read_back_by_us_and_by_another_decoder(batch in batches()) {
            let bytes = batch.encode();
            prop_assert_eq!(RecordBatch::decode(&mut Reader::new(&bytes)), Ok(batch.clone()));
            let others = RecordBatchDecoder::decode_all(&mut &bytes[..]).unwrap();
            prop_assert_eq!(others.len(), 1);
            for (index, (other, ours)) in others[0].records.iter().zip(&batch.records).enumerate() {
                prop_assert_eq!(other.offset, batch.base_offset + index as i64);
                prop_assert_eq!(other.timestamp, batch.timestamp_ms);
                prop_assert_eq!(other.control, batch.kind == BatchKind::Control);
                prop_assert_eq!(other.key.as_deref(), ours.key.as_deref());
                prop_assert_eq!(other.value.as_deref(), ours.value.as_deref());
            }
        }

        #[test]
        fn a_changed_bit_is_an_error_and_never_a_panic(batch in batches(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = batch.encode();
            // The base offset and the leader epoch are outside the checksum.
            let at = 16 + at.index(bytes.len() - 16);
            bytes[at] ^= 1u8 << bit;
            prop_assert!(RecordBatch::decode(&mut Reader::new(&bytes)).is_err());
        }

        #[test]
        fn a_shorter_batch_is_truncated(batch in batches(), end in any::<prop::sample::Index>()) {
            let bytes = batch.encode();
            let cut = &bytes[..end.index(bytes.len())];
            let error = RecordBatch::decode(&mut Reader::new(cut)).unwrap_err();
            let truncated = matches!(error, BatchError::Truncated { .. });
            prop_assert!(truncated, "{}", error);
        }
    }
}
