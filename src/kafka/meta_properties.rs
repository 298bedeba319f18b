//! `meta.properties`: the file by which a log directory says whose it is.
//!
//! It is written last, so its presence means that the directory is formatted
//! (`org.apache.kafka.metadata.properties.MetaProperties`, version 1).

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::kafka::node_id::NodeId;
use crate::kafka::node_id::NodeIdError;
use crate::kafka::properties;
use crate::kafka::properties::PropertiesError;
use crate::kafka::uuid::Uuid;
use crate::kafka::uuid::UuidError;

/// What a version 1 file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`, as it stands there: a directory formatted by other means may carry any text.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: NodeId,
    /// `directory.id`; missing where Kafka before 3.7 formatted the directory. It may be a reserved value, which
    /// makes Kafka refuse to start: the caller says so.
    pub directory_id: Option<Uuid>,
}

/// A `meta.properties` that this program cannot use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesError {
    /// The bytes are no properties file.
    #[error("meta.properties cannot be read as a properties file")]
    NotProperties(#[source] PropertiesError),
    /// There are NUL bytes in it, as a file has after a power cut that lost its content.
    #[error("meta.properties holds NUL bytes, so its content was lost or it is another kind of file")]
    NotText,
    /// A key that must be there is not.
    #[error("meta.properties has no {0}")]
    MissingKey(&'static str),
    /// The value of `node.id`.
    #[error("meta.properties has an unusable node.id")]
    NodeId(#[source] NodeIdError),
    /// The value of `directory.id`.
    #[error("meta.properties has an unusable directory.id")]
    DirectoryId(#[source] UuidError),
    /// The value of `version` is no number.
    #[error("meta.properties has version {0:?}; want 1")]
    UnknownVersion(String),
    /// A newer Kafka wrote it.
    #[error("meta.properties has version {0}, from a newer Kafka; this program knows version 1")]
    NewerVersion(u32),
    /// A broker that kept its metadata in ZooKeeper wrote it.
    #[error("meta.properties has version 0, from a broker that used ZooKeeper; want version 1, from KRaft")]
    ZooKeeper,
}

impl MetaPropertiesError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotProperties(_)
            | Self::NotText
            | Self::MissingKey(_)
            | Self::NodeId(_)
            | Self::DirectoryId(_)
            | Self::UnknownVersion(_) => "MetaPropertiesUnreadable",
            Self::NewerVersion(_) => "MetaPropertiesFromNewerKafka",
            Self::ZooKeeper => "MetaPropertiesFromZooKeeper",
        }
    }
}

impl MetaProperties {
    /// Reads the content of a `meta.properties`; of a key that is there twice the last one counts, as for Kafka.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetaPropertiesError> {
        let pairs = properties::parse(bytes).map_err(MetaPropertiesError::NotProperties)?;
        if bytes.contains(&0) {
            return Err(MetaPropertiesError::NotText);
        }
        let value = |wanted| pairs.iter().rfind(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
        let required = |wanted| value(wanted).ok_or(MetaPropertiesError::MissingKey(wanted));
        match value("version") {
            Some("1") => {}
            Some("0") => return Err(MetaPropertiesError::ZooKeeper),
            // Before KRaft the file had no version at first; but then it has the broker's id.
            None if value("broker.id").is_some() => return Err(MetaPropertiesError::ZooKeeper),
            None => return Err(MetaPropertiesError::MissingKey("version")),
            Some(other) => {
                return Err(match other.parse() {
                    Ok(number) if number > 1 => MetaPropertiesError::NewerVersion(number),
                    _ => MetaPropertiesError::UnknownVersion(other.chars().take(40).collect()),
                });
            }
        }
        Ok(Self {
            cluster_id: required("cluster.id")?.to_owned(),
            node_id: required("node.id")?.parse().map_err(MetaPropertiesError::NodeId)?,
            directory_id: value("directory.id")
                .map(|text| text.parse().map_err(MetaPropertiesError::DirectoryId))
                .transpose()?,
        })
    }

    /// The bytes that Kafka's own tool would write at `written_at` in the time zone UTC.
    ///
    /// `Properties.store(Writer, "")` begins with an empty comment and the date, and lists the keys in the order of
    /// its hash table, as seen from JDK 17. Readers do not care about the order; equal inputs give equal bytes.
    pub fn encode(&self, written_at: SystemTime) -> Vec<u8> {
        // Times that no clock shows (before the year -9999) fall back to 1970: the line is a comment.
        let written_at = Timestamp::try_from(written_at).unwrap_or_default().to_zoned(TimeZone::UTC);
        let mut text = format!("#\n#{}\n", written_at.strftime("%a %b %d %H:%M:%S UTC %Y"));
        text.push_str(&format!("node.id={}\n", self.node_id));
        if let Some(directory_id) = self.directory_id {
            text.push_str(&format!("directory.id={directory_id}\n"));
        }
        text.push_str(&format!("version=1\ncluster.id={}\n", java_escaped(&self.cluster_id)));
        text.into_bytes()
    }
}

/// A value as `Properties.store` escapes it: more than it needs, but this is what stands in Kafka's own files.
///
/// Characters above 0x7e are escaped too, where Kafka writes them as UTF-8 and reads them as ISO-8859-1, so that its
/// own `meta.properties` comes back with another cluster id; a [`crate::kafka::uuid::ClusterId`] has none of them.
fn java_escaped(value: &str) -> String {
    let line = properties::render_line("", value);
    let mut escaped = String::with_capacity(line.len());
    for character in line.chars().skip(1) {
        if matches!(character, '=' | ':' | '#' | '!') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const KAFKAS: &str = "#\n#Sun Nov 22 10:31:03 UTC 2026\nnode.id=1\ndirectory.id=JEXY6aqzQY-32P5TStzaFg\n\
                          version=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\n";

    fn sample() -> MetaProperties {
        MetaProperties {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: "1".parse().unwrap(),
            directory_id: Some("JEXY6aqzQY-32P5TStzaFg".parse().unwrap()),
        }
    }

    #[test]
    fn the_bytes_are_those_of_kafkas_own_tool() {
        let written_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_343_463_999);
        assert_eq!(String::from_utf8(sample().encode(written_at)).unwrap(), KAFKAS);
        assert_eq!(MetaProperties::decode(KAFKAS.as_bytes()), Ok(sample()));
    }

    #[test]
    fn any_cluster_id_comes_back() {
        for cluster_id in ["a:b=c", " x", "#", "\\", "é", "\n"] {
            let written =
                MetaProperties { cluster_id: cluster_id.to_owned(), directory_id: None, ..sample() };
            assert_eq!(MetaProperties::decode(&written.encode(SystemTime::UNIX_EPOCH)), Ok(written));
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_apart() {
        for (text, want) in [
            ("version=1\nnode.id=1\ncluster.id=x", "ok"),
            ("version=0\nversion=1\nnode.id=1\ncluster.id=x", "ok"),
            ("", "MissingKey(\"version\")"),
            ("version=1\nnode.id=1", "MissingKey(\"cluster.id\")"),
            ("version=1\ncluster.id=x", "MissingKey(\"node.id\")"),
            ("version=0\nbroker.id=1\ncluster.id=x", "ZooKeeper"),
            ("broker.id=1\ncluster.id=x", "ZooKeeper"),
            ("version=2\nnode.id=1\ncluster.id=x", "NewerVersion(2)"),
            ("version=one", "UnknownVersion(\"one\")"),
            ("version=-1", "UnknownVersion(\"-1\")"),
            ("version=1\nnode.id=-1\ncluster.id=x", "NodeId(NodeIdError(\"-1\"))"),
            ("version=1\nnode.id=1\ncluster.id=x\ndirectory.id=x", "DirectoryId(Malformed(\"x\"))"),
            ("a=\\u", "NotProperties(MalformedEscape { line: 1 })"),
            ("\0\0\0\0", "NotText"),
        ] {
            let got = MetaProperties::decode(text.as_bytes());
            assert_eq!(got.map_or_else(|error| format!("{error:?}"), |_| "ok".to_owned()), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            cluster_id in "[^\\x00]*", id in 0..=i32::MAX, directory_id in any::<Option<[u8; 16]>>(), at in 0..u32::MAX,
        ) {
            let node_id = id.try_into().unwrap();
            let directory_id = directory_id.map(Uuid::from_bytes);
            let written = MetaProperties { cluster_id, node_id, directory_id };
            let bytes = written.encode(SystemTime::UNIX_EPOCH + Duration::from_secs(at.into()));
            prop_assert_eq!(MetaProperties::decode(&bytes), Ok(written));
        }

        #[test]
        fn no_changed_bytes_are_a_panic(at in 0..KAFKAS.len(), to in any::<u8>(), end in 0..KAFKAS.len()) {
            let mut bytes = KAFKAS.as_bytes().to_vec();
            bytes[at] = to;
            bytes.truncate(end.max(at));
            let _ = MetaProperties::decode(&bytes);
        }
    }
}
