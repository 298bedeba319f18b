//! The building blocks of Kafka's bytes: big-endian numbers, varints, compact strings and arrays, tagged fields.
//!
//! Every length that is read is compared with what is left before anything is made of it, so that eight hostile
//! bytes cannot ask for a gigabyte. The encoding is that of `org.apache.kafka.common.protocol.types` and
//! `common.utils.ByteUtils`; "compact" is KIP-482.

use crate::kafka::uuid::Uuid;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// There are fewer bytes than the next value has.
    #[error("{left} bytes are left where {want} are wanted")]
    Truncated {
        /// Bytes that the value has.
        want: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A variable-length number that does not end.
    #[error("a variable-length number is too long")]
    VarintTooLong,
    /// A length below zero, or the mark for null where null cannot be.
    #[error("a length is negative or null where a value is wanted")]
    NoLength,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// Bytes after the last field.
    #[error("{0} bytes follow the last field")]
    Trailing(usize),
}

impl WireError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "BytesMissing",
            Self::VarintTooLong | Self::NoLength | Self::NotUtf8 | Self::Trailing(_) => "BytesUnreadable",
        }
    }
}

/// Reads values off the front of a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// Appends values to a buffer.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Fails where bytes are left.
    pub fn finish(&self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Trailing(self.rest.len())) }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let truncated = WireError::Truncated { want: count, left: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let truncated = WireError::Truncated { want: N, left: self.rest.len() };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// An int8.
    pub fn i8(&mut self) -> Result<i8, WireError> {
        self.array().map(i8::from_be_bytes)
    }

    /// An int16.
    pub fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// An uint16.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// An int32.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// An uint32.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// An int64.
    pub fn i64(&mut self) -> Result<i64, WireError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A uuid.
    pub fn uuid(&mut self) -> Result<Uuid, WireError> {
        self.array().map(Uuid::from_bytes)
    }

    fn base_128(&mut self, bits: u32) -> Result<u64, WireError> {
        let mut value = 0;
        let mut shift = 0;
        while shift < bits {
            let [byte] = self.array()?;
            let septet = u64::from(byte & 0x7f);
            // The last septet may only carry the bits that the number still has.
            if bits - shift < 7 && septet >> (bits - shift) != 0 {
                return Err(WireError::VarintTooLong);
            }
            value |= septet << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
        Err(WireError::VarintTooLong)
    }

    /// An unsigned varint of 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, WireError> {
        let value = self.base_128(32)?;
        u32::try_from(value).map_err(|_| WireError::VarintTooLong)
    }

    /// A zigzag varint of 32 bits.
    pub fn varint(&mut self) -> Result<i32, WireError> {
        let value = self.unsigned_varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A zigzag varint of 64 bits.
    pub fn varlong(&mut self) -> Result<i64, WireError> {
        let value = self.base_128(64)?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Bytes behind a zigzag varint length, -1 for null, as in a record.
    pub fn varint_bytes(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| WireError::NoLength)?).map(Some),
        }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, WireError> {
        let length_plus_one = self.unsigned_varint()?;
        Ok(length_plus_one.checked_sub(1).and_then(|length| usize::try_from(length).ok()))
    }

    /// Compact bytes, not null.
    pub fn compact_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.compact_length()?.ok_or(WireError::NoLength)?;
        self.take(length)
    }

    /// A compact string, not null.
    pub fn compact_string(&mut self) -> Result<&'a str, WireError> {
        self.compact_nullable_string()?.ok_or(WireError::NoLength)
    }

    /// A compact string or null.
    pub fn compact_nullable_string(&mut self) -> Result<Option<&'a str>, WireError> {
        match self.compact_length()? {
            None => Ok(None),
            Some(length) => std::str::from_utf8(self.take(length)?).map(Some).map_err(|_| WireError::NotUtf8),
        }
    }

    /// A compact array, not null, of elements that have at least `smallest` bytes each.
    pub fn compact_array<T, E: From<WireError>>(
        &mut self,
        smallest: usize,
        element: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        self.compact_nullable_array(smallest, element)?.ok_or(WireError::NoLength.into())
    }

    /// The same, or null.
    pub fn compact_nullable_array<T, E: From<WireError>>(
        &mut self,
        smallest: usize,
        element: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, E> {
        match self.compact_length()? {
            None => Ok(None),
            Some(count) => self.elements(count, smallest, element).map(Some),
        }
    }

    /// A string as it was before KIP-482, not null.
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        let length = usize::try_from(self.i16()?).map_err(|_| WireError::NoLength)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| WireError::NotUtf8)
    }

    /// An array as it was before KIP-482, not null, of elements that have at least `smallest` bytes each.
    pub fn inflexible_array<T, E: From<WireError>>(
        &mut self,
        smallest: usize,
        element: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let count = usize::try_from(self.i32()?).map_err(|_| WireError::NoLength)?;
        self.elements(count, smallest, element)
    }

    fn elements<T, E: From<WireError>>(
        &mut self,
        count: usize,
        smallest: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let want = count.saturating_mul(smallest.max(1));
        if want > self.left() {
            return Err(WireError::Truncated { want, left: self.left() }.into());
        }
        // Grown step by step: an element in memory may be far larger than on the wire.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Passes over tagged fields: they are additions that an older reader may ignore (KIP-482).
    pub fn skip_tagged_fields(&mut self) -> Result<(), WireError> {
        self.tagged_fields(|_, _| Ok(()))
    }

    /// Tagged fields, each with its tag and a reader of its own.
    pub fn tagged_fields<E: From<WireError>>(
        &mut self,
        mut read: impl FnMut(u32, Reader<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()?;
            let value = self.take(usize::try_from(length).map_err(|_| WireError::NoLength)?)?;
            read(tag, Reader::new(value))?;
        }
        Ok(())
    }
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer that does not move before it holds so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// What has been written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// An int8.
    pub fn i8(&mut self, value: i8) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// An int16.
    pub fn i16(&mut self, value: i16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// An uint16.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// An int32.
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// An uint32.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// An int64.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// A uuid.
    pub fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.raw(value.bytes())
    }

    fn base_128(&mut self, mut value: u64) -> &mut Self {
        while value > 0x7f {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }

    /// An unsigned varint.
    pub fn unsigned_varint(&mut self, value: u32) -> &mut Self {
        self.base_128(u64::from(value))
    }

    /// A zigzag varint of 32 bits.
    pub fn varint(&mut self, value: i32) -> &mut Self {
        self.base_128(u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()))
    }

    /// A zigzag varint of 64 bits.
    pub fn varlong(&mut self, value: i64) -> &mut Self {
        self.base_128(((value << 1) ^ (value >> 63)).cast_unsigned())
    }

    /// Bytes behind a zigzag varint length, -1 for null, as in a record.
    pub fn varint_bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            None => self.varint(-1),
            Some(bytes) => self.varlong(length(bytes.len())).raw(bytes),
        }
    }

    /// The length of a compact array, its elements to follow.
    pub fn compact_length(&mut self, count: usize) -> &mut Self {
        self.base_128(length(count).cast_unsigned() + 1)
    }

    /// Compact bytes.
    pub fn compact_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.compact_length(bytes.len()).raw(bytes)
    }

    /// A compact string.
    pub fn compact_string(&mut self, text: &str) -> &mut Self {
        self.compact_bytes(text.as_bytes())
    }

    /// A string as it was before KIP-482. Those that are written are a few bytes long.
    pub fn string(&mut self, text: &str) -> &mut Self {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX)).raw(text.as_bytes())
    }

    /// A compact string or array that is null.
    pub fn null(&mut self) -> &mut Self {
        self.unsigned_varint(0)
    }

    /// No tagged fields, where a message ends.
    pub fn no_tagged_fields(&mut self) -> &mut Self {
        self.unsigned_varint(0)
    }
}

/// The length of something in memory, which is never above `isize::MAX`; what is written here is a few kilobytes.
fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn varints_are_those_of_byte_utils() {
        for (value, want) in [
            (0, vec![0]),
            (-1, vec![1]),
            (1, vec![2]),
            (63, vec![0x7e]),
            (64, vec![0x80, 1]),
            (-65, vec![0x81, 1]),
            (i32::MAX, vec![0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut writer = Writer::new();
            writer.varint(value);
            assert_eq!(writer.into_bytes(), want);
            assert_eq!(Reader::new(&want).varint(), Ok(value));
        }
        let nine_ff = [0xff; 9];
        let longest = [&nine_ff[..], &[1]].concat();
        assert_eq!(Reader::new(&longest).varlong(), Ok(i64::MIN));
    }

    #[test]
    fn a_varint_that_does_not_end_or_overflows_is_refused() {
        for bytes in [&[0xff; 6][..], &[0xff, 0xff, 0xff, 0xff, 0x1f]] {
            assert_eq!(Reader::new(bytes).unsigned_varint(), Err(WireError::VarintTooLong));
        }
        assert_eq!(Reader::new(&[0xff; 11]).varlong(), Err(WireError::VarintTooLong));
        assert_eq!(Reader::new(&[0xff]).varint(), Err(WireError::Truncated { want: 1, left: 0 }));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_anything_is_made_of_it() {
        // 2^32 - 2 elements or bytes.
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        let want = 0xffff_fffe;
        let mut elements = 0;
        let array = Reader::new(&huge).compact_array(3, |reader| {
            elements += 1;
            reader.i8()
        });
        assert_eq!(array, Err(WireError::Truncated { want: want * 3, left: 1 }));
        assert_eq!(elements, 0);
        assert_eq!(Reader::new(&huge).compact_bytes(), Err(WireError::Truncated { want, left: 1 }));
        assert_eq!(Reader::new(&huge).compact_string(), Err(WireError::Truncated { want, left: 1 }));
        assert_eq!(Reader::new(&[3]).varint_bytes(), Err(WireError::NoLength));
        assert_eq!(Reader::new(&[0]).compact_bytes(), Err(WireError::NoLength));
        assert_eq!(Reader::new(&[0]).compact_nullable_string(), Ok(None));
        assert_eq!(Reader::new(&[2, 0xff]).compact_string(), Err(WireError::NotUtf8));
    }

    #[test]
    fn tagged_fields_are_passed_over() {
        let mut reader = Reader::new(&[2, 0, 1, 0xaa, 5, 2, 0xbb, 0xcc, 7]);
        reader.skip_tagged_fields().unwrap();
        assert_eq!(reader.i8(), Ok(7));
        assert_eq!(reader.finish(), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            small in any::<i32>(), large in any::<i64>(), unsigned in any::<u32>(), text in any::<String>(),
            bytes in any::<Option<Vec<u8>>>(),
        ) {
            let mut writer = Writer::new();
            writer.varint(small).varlong(large).unsigned_varint(unsigned).compact_string(&text);
            writer.varint_bytes(bytes.as_deref()).i32(small).no_tagged_fields();
            let written = writer.into_bytes();
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.varint(), Ok(small));
            prop_assert_eq!(reader.varlong(), Ok(large));
            prop_assert_eq!(reader.unsigned_varint(), Ok(unsigned));
            prop_assert_eq!(reader.compact_string(), Ok(text.as_str()));
            prop_assert_eq!(reader.varint_bytes(), Ok(bytes.as_deref()));
            prop_assert_eq!(reader.i32(), Ok(small));
            prop_assert_eq!(reader.skip_tagged_fields(), Ok(()));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }
}
