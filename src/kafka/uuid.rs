//! Kafka's 128-bit ids as text, and the two that an operator meets: directory ids and cluster ids.
//!
//! Kafka writes such an id as 22 characters of base64url without padding (`org.apache.kafka.common.Uuid`). The text
//! is checked here once; after that nobody has to ask whether an id is reserved, begins with a dash (which Kafka's
//! own command line takes for an option) or was copied from a tutorial.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;

/// Kafka's `Uuid`: any 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// The id of one log directory, never one of Kafka's reserved values
/// (`org.apache.kafka.common.DirectoryId`, KIP-858).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(Uuid);

/// The id of a cluster: the text of 16 bytes, not beginning with `-`, and none of the ids printed in tutorials.
///
/// Kafka 3.9 and newer take any text. This type does not: Kafka 3.7 and 3.8 do not start with one that is no uuid,
/// and two clusters that share a copied id can mix their metadata once an address is mistyped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(String);

/// An id that cannot be used; the text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UuidError {
    /// The text is not 16 bytes in base64url.
    #[error("id {0:?} is not 16 bytes in base64url without padding; want 22 characters of A-Z a-z 0-9 - _")]
    Malformed(String),
    /// The value is one of Kafka's reserved directory ids.
    #[error("directory id {0} is one of the first 100 ids, which Kafka reserves")]
    ReservedDirectoryId(Uuid),
    /// The cluster id begins with a dash.
    #[error("cluster id {0} begins with \"-\", which Kafka's own tools take for an option")]
    LeadingDash(String),
    /// The cluster id has other spellings of the same bytes.
    #[error(
        "cluster id {given} is not how Kafka spells its 16 bytes; some releases would store it as {spelled}"
    )]
    NotCanonical {
        /// The text as given.
        given: String,
        /// What Kafka 3.7 and 3.8 would write in its place.
        spelled: Uuid,
    },
    /// The cluster id is a published example.
    #[error("cluster id {id} is the example of {source_of}, so other clusters have it; want one of your own")]
    WellKnown {
        /// The text as given.
        id: String,
        /// Where it is printed.
        source_of: &'static str,
    },
}

impl UuidError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "MalformedId",
            Self::ReservedDirectoryId(_) => "ReservedDirectoryId",
            Self::LeadingDash(_) | Self::NotCanonical { .. } => "UnusableClusterId",
            Self::WellKnown { .. } => "WellKnownClusterId",
        }
    }
}

/// Cluster ids that are printed somewhere, so that unrelated clusters have them, and where.
///
/// Compared as 16 bytes, because some of them have bits set that the 16 bytes do not hold, and are found in the
/// wild in both spellings (`MkU3OEVBNTcwNTJENDM2Qk` and `…Qg`).
const WELL_KNOWN: &[(&str, &str)] = &[
    // apache/kafka, docker/examples/docker-compose-files; KubeDB's Kafka images use the same.
    ("4L6g3nShT-eMCtK--X86sw", "Apache Kafka's docker-compose files and of KubeDB"),
    // apache/kafka, docker/resources/common-scripts/configureDefaults: used when CLUSTER_ID is not set.
    ("5L6g3nShT-eMCtK--X86sw", "the apache/kafka image, which uses it when none is set"),
    // confluentinc/cp-all-in-one, cp-all-in-one-kraft/docker-compose.yml.
    ("MkU3OEVBNTcwNTJENDM2Qk", "Confluent's cp-all-in-one"),
    // Confluent's documentation of its Docker images (`docker run … -e CLUSTER_ID=ciWo7IWazngRchmPES6q5A==`).
    ("ciWo7IWazngRchmPES6q5A", "Confluent's Docker documentation"),
    // apache/kafka, config/kraft/README.md up to 3.9 (what `random-uuid` "prints"), and countless tutorials since.
    ("xtzWWN4bTjitpL3kfd9s5g", "Apache Kafka's KRaft README"),
    // Found in docker-compose files of many repositories, with the images of Apache, Confluent and Debezium.
    ("q1Sh-9_ISia_zwGINzRvyQ", "many published docker-compose files"),
    // bitnami/containers, bitnami/kafka/README.md and docker-compose-cluster.yml.
    ("abcdefghijklmnopqrstuv", "Bitnami's docker-compose files"),
];

/// base64url as `java.util.Base64.getUrlDecoder` reads it: bits that do not fit the last byte are dropped.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

impl Uuid {
    /// Takes the 16 bytes, most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, most significant first, as they are in records.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether Kafka keeps this value for itself: the first 100 values, and, because `DirectoryId.reserved` compares
    /// signed, all whose upper half is zero and whose lower half has its highest bit set.
    pub fn is_reserved(&self) -> bool {
        let value = u128::from_be_bytes(self.0);
        value < 100 || (value >> 63) == 1
    }

    /// The version 4 uuid (RFC 9562) made of 16 random bytes.
    const fn version_4(random: [u8; 16]) -> Self {
        let value = u128::from_be_bytes(random);
        let version = (value & !(0xf << 76)) | (4 << 76);
        Self(((version & !(0b11 << 62)) | (0b10 << 62)).to_be_bytes())
    }
}

impl DirectoryId {
    /// A directory id from 16 random bytes, or `None` where its text would begin with `-` or it is reserved: the
    /// caller draws again, as `DirectoryId.random` does.
    pub fn from_random(random: [u8; 16]) -> Option<Self> {
        let uuid = Uuid(random);
        if uuid.to_string().starts_with('-') { None } else { Self::try_from(uuid).ok() }
    }

    /// The id as any other.
    pub const fn uuid(&self) -> Uuid {
        self.0
    }
}

impl ClusterId {
    /// A cluster id from 16 random bytes, a version 4 uuid as `Uuid.randomUuid` makes them, or `None` where its text
    /// would begin with `-` or is no usable id: the caller draws again.
    pub fn from_random(random: [u8; 16]) -> Option<Self> {
        Uuid::version_4(random).to_string().parse().ok()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As strict and as lenient as `Uuid.fromString`: 22 characters, or the same with its padding `==`; bits of the last
/// character that do not fit the 16 bytes are dropped.
impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        // Only the beginning of an absurd text is repeated in the error.
        let malformed = || UuidError::Malformed(text.chars().take(40).collect());
        let unpadded = if text.len() == 24 { text.strip_suffix("==").unwrap_or(text) } else { text };
        if unpadded.len() != 22 {
            return Err(malformed());
        }
        let bytes = BASE64.decode(unpadded).map_err(|_| malformed())?;
        Ok(Self(<[u8; 16]>::try_from(bytes).map_err(|_| malformed())?))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64.encode(self.0))
    }
}

/// The text: sixteen numbers tell nobody anything.
impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

impl TryFrom<Uuid> for DirectoryId {
    type Error = UuidError;

    fn try_from(uuid: Uuid) -> Result<Self, UuidError> {
        if uuid.is_reserved() { Err(UuidError::ReservedDirectoryId(uuid)) } else { Ok(Self(uuid)) }
    }
}

impl FromStr for DirectoryId {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        Self::try_from(text.parse::<Uuid>()?)
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<DirectoryId> for Uuid {
    fn from(id: DirectoryId) -> Self {
        id.0
    }
}

impl FromStr for ClusterId {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let uuid: Uuid = text.parse()?;
        for (known, source_of) in WELL_KNOWN {
            if known.parse() == Ok(uuid) {
                return Err(UuidError::WellKnown { id: text.to_owned(), source_of });
            }
        }
        if text.starts_with('-') {
            return Err(UuidError::LeadingDash(text.to_owned()));
        }
        if uuid.to_string() != text {
            return Err(UuidError::NotCanonical { given: text.to_owned(), spelled: uuid });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_and_printed_as_kafka_does() {
        for (text, want) in [
            ("AAAAAAAAAAAAAAAAAAAAAA", Ok(0)),
            ("AAAAAAAAAAAAAAAAAAAAAQ", Ok(1)),
            ("AAAAAAAAAAAAAAAAAAAAAQ==", Ok(1)),
            ("JEXY6aqzQY-32P5TStzaFg", Ok(0x2445_d8e9_aab3_418f_b7d8_fe53_4adc_da16)),
            // The last character may carry bits that no byte holds: Java drops them.
            ("AAAAAAAAAAAAAAAAAAAAAf", Ok(1)),
            ("AAAAAAAAAAAAAAAAAAAAAQ=", Err(())),
            ("AAAAAAAAAAAAAAAAAAAAAAAA", Err(())),
            ("AAAAAAAAAAAAAAAAAAAAA", Err(())),
            ("AAAAAAAAAA+AAAAAAAAAAA", Err(())),
            ("AAAAAAAAAA AAAAAAAAAAA", Err(())),
            ("ééééééééééé", Err(())),
            ("", Err(())),
        ] {
            let read = text.parse::<Uuid>();
            assert_eq!(
                read.clone().map_err(|_| ()),
                want.map(|value: u128| Uuid(value.to_be_bytes())),
                "{text}"
            );
            if let Ok(uuid) = read {
                assert_eq!(uuid.to_string().parse(), Ok(uuid));
            }
        }
    }

    #[test]
    fn the_first_hundred_ids_are_reserved_and_so_are_negative_low_halves() {
        for (value, want) in [
            (0u128, true),
            (2, true),
            (99, true),
            (100, false),
            (1 << 63, true),
            ((1 << 64) - 1, true),
            (1 << 62, false),
            (1 << 64, false),
            ((1 << 64) + (1 << 63), false),
        ] {
            let uuid = Uuid(value.to_be_bytes());
            assert_eq!(uuid.is_reserved(), want, "{value:#x}");
            assert_eq!(DirectoryId::try_from(uuid).is_err(), want, "{value:#x}");
            assert_eq!(uuid.to_string().parse::<DirectoryId>().is_err(), want, "{value:#x}");
        }
    }

    #[test]
    fn random_ids_never_begin_with_a_dash() {
        // 0xf8.. begins with "-" (62).
        assert_eq!(DirectoryId::from_random([0xf8; 16]), None);
        assert_eq!(DirectoryId::from_random([0; 16]), None);
        assert_eq!(DirectoryId::from_random([7; 16]).map(|id| id.uuid()), Some(Uuid([7; 16])));
        assert_eq!(ClusterId::from_random([0xf8; 16]), None);
        let id = ClusterId::from_random([7; 16]).unwrap();
        let bytes = *id.as_str().parse::<Uuid>().unwrap().bytes();
        assert_eq!((bytes[6] >> 4, bytes[8] >> 6), (4, 0b10));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_cluster_id_is_refused_with_the_reason() {
        for (text, want) in [
            ("JEXY6aqzQY-32P5TStzaFg", "ok"),
            ("4L6g3nShT-eMCtK--X86sw", "WellKnownClusterId"),
            ("5L6g3nShT-eMCtK--X86sw", "WellKnownClusterId"),
            ("MkU3OEVBNTcwNTJENDM2Qk", "WellKnownClusterId"),
            ("MkU3OEVBNTcwNTJENDM2Qg", "WellKnownClusterId"),
            ("abcdefghijklmnopqrstuv", "WellKnownClusterId"),
            ("ciWo7IWazngRchmPES6q5A==", "WellKnownClusterId"),
            ("-EXY6aqzQY-32P5TStzaFg", "UnusableClusterId"),
            ("JEXY6aqzQY-32P5TStzaFh", "UnusableClusterId"),
            ("JEXY6aqzQY-32P5TStzaFg==", "UnusableClusterId"),
            ("my-cluster", "MalformedId"),
            ("", "MalformedId"),
        ] {
            let got = text.parse::<ClusterId>().map_or_else(|error| error.reason(), |_| "ok");
            assert_eq!(got, want, "{text}");
        }
    }
}
