//! Versions: which Kafka is in the image, and which metadata version the cluster is formatted with.
//!
//! The two differ: a Kafka 4.4 may run a cluster of metadata version 4.3 so that it can be rolled back. What may be
//! combined is one table, from `org.apache.kafka.server.common.MetadataVersion` of each release.

use std::fmt;
use std::str::FromStr;

/// A Kafka release from 3.7 to 4.4, with or without its patch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KafkaVersion {
    major: u8,
    minor: u8,
    patch: Option<u16>,
}

/// A level of `metadata.version`, 3.3-IV0 or newer: older ones never ran KRaft in production and no supported
/// release can format them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(i16);

/// A version that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not a Kafka release this program knows.
    #[error("Kafka version {0:?} is not known; want 3.7 to 4.4, for example \"4.4.0\"")]
    UnknownKafka(String),
    /// Not a metadata version this program knows.
    #[error("metadata version {0:?} is not known; want 3.3 to 4.4, for example \"4.3\" or \"4.3-IV0\"")]
    UnknownMetadata(String),
    /// The Kafka release does not know the metadata version.
    #[error("metadata version {wanted} is newer than Kafka {kafka} knows; want {newest} at most")]
    TooNew {
        /// What was wanted.
        wanted: MetadataVersion,
        /// The release.
        kafka: KafkaVersion,
        /// The newest it can take.
        newest: MetadataVersion,
    },
    /// The Kafka release cannot begin a cluster with the metadata version.
    #[error("metadata version {wanted} is older than Kafka {kafka} can begin with; want {oldest} at least")]
    TooOld {
        /// What was wanted.
        wanted: MetadataVersion,
        /// The release.
        kafka: KafkaVersion,
        /// The oldest it can take.
        oldest: MetadataVersion,
    },
}

impl VersionError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownKafka(_) => "UnknownKafkaVersion",
            Self::UnknownMetadata(_) => "UnknownMetadataVersion",
            Self::TooNew { .. } => "MetadataVersionTooNew",
            Self::TooOld { .. } => "MetadataVersionTooOld",
        }
    }
}

/// Release, and the levels of its IV0 and of its last IV, which is the one `--release-version X.Y` means.
const RELEASES: &[(u8, u8, i16, i16)] = &[
    (3, 3, 4, 7),
    (3, 4, 8, 8),
    (3, 5, 9, 11),
    (3, 6, 12, 14),
    (3, 7, 15, 19),
    (3, 8, 20, 20),
    (3, 9, 21, 21),
    (4, 0, 22, 25),
    (4, 1, 26, 27),
    (4, 2, 28, 29),
    (4, 3, 30, 30),
    (4, 4, 31, 33),
];

impl KafkaVersion {
    /// Whether this release is `major.minor` or newer.
    pub fn at_least(self, major: u8, minor: u8) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// What this release formats when nobody says otherwise: its `LATEST_PRODUCTION`.
    pub fn default_metadata_version(self) -> MetadataVersion {
        let newest = |&&(major, minor, _, _): &&(u8, u8, i16, i16)| self.at_least(major, minor);
        MetadataVersion(RELEASES.iter().rfind(newest).map_or(0, |(_, _, _, last)| *last))
    }

    /// The oldest metadata version this release can begin a cluster with: 3.3-IV3 from 4.0, 3.3-IV0 before
    /// (`MetadataVersion.MINIMUM_VERSION`, `MINIMUM_BOOTSTRAP_VERSION`).
    pub fn oldest_metadata_version(self) -> MetadataVersion {
        MetadataVersion(if self.at_least(4, 0) { 7 } else { 4 })
    }

    /// Checks that this release can format a cluster of metadata version `wanted`.
    pub fn check(self, wanted: MetadataVersion) -> Result<(), VersionError> {
        let (oldest, newest) = (self.oldest_metadata_version(), self.default_metadata_version());
        if wanted > newest {
            return Err(VersionError::TooNew { wanted, kafka: self, newest });
        }
        if wanted < oldest {
            return Err(VersionError::TooOld { wanted, kafka: self, oldest });
        }
        Ok(())
    }
}

impl MetadataVersion {
    /// The number in a FeatureLevelRecord.
    pub const fn level(self) -> i16 {
        self.0
    }

    /// Whether a UserScramCredentialRecord may be among the bootstrap records: from 3.5-IV2 on
    /// (`MetadataVersion.isScramSupported`, KIP-900).
    pub const fn supports_scram(self) -> bool {
        self.0 >= 11
    }
}

/// `X.Y` or `X.Y.Z`.
impl FromStr for KafkaVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let unknown = || VersionError::UnknownKafka(text.chars().take(40).collect());
        let (major, minor, patch) = numbers(text).ok_or_else(unknown)?;
        let known = RELEASES.iter().any(|&(a, b, _, _)| (a, b) == (major, minor));
        if !known || (major, minor) < (3, 7) {
            return Err(unknown());
        }
        Ok(Self { major, minor, patch })
    }
}

impl fmt::Display for KafkaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// A release (`X.Y`, `X.Y.Z`: its last IV) or an exact version (`X.Y-IVn`), as `--release-version` takes them.
impl FromStr for MetadataVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let unknown = || VersionError::UnknownMetadata(text.chars().take(40).collect());
        let (release, iv) = match text.split_once("-IV") {
            Some((release, iv)) => (release, Some(number::<i16>(iv).ok_or_else(unknown)?)),
            None => (text, None),
        };
        let (major, minor, patch) = numbers(release).ok_or_else(unknown)?;
        let found = RELEASES.iter().find(|&&(a, b, _, _)| (a, b) == (major, minor));
        let &(_, _, first, last) = found.ok_or_else(unknown)?;
        match iv {
            None => Ok(Self(last)),
            Some(iv) if patch.is_none() && iv <= last - first => Ok(Self(first + iv)),
            Some(_) => Err(unknown()),
        }
    }
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (major, minor, first, last) in RELEASES {
            if (*first..=*last).contains(&self.0) {
                return write!(f, "{major}.{minor}-IV{}", self.0 - first);
            }
        }
        self.0.fmt(f)
    }
}

fn numbers(text: &str) -> Option<(u8, u8, Option<u16>)> {
    let mut parts = text.splitn(3, '.');
    let (major, minor) = (number(parts.next()?)?, number(parts.next()?)?);
    let patch = match parts.next() {
        Some(patch) => Some(number(patch)?),
        None => None,
    };
    Some((major, minor, patch))
}

/// Digits only, and no leading zero, so that what is printed is what was read.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(text: &str) -> KafkaVersion {
        text.parse().unwrap()
    }

    #[test]
    fn kafka_3_7_to_4_4_are_read_and_nothing_else() {
        for text in ["3.7", "3.7.2", "3.9.2", "4.0.0", "4.4", "4.4.0", "4.4.12"] {
            assert_eq!(kafka(text).to_string(), text);
        }
        for text in [
            "3.6",
            "3.6.9",
            "3.10",
            "4.5",
            "5.0",
            "4",
            "4.",
            "4.4.",
            "4.4.0.1",
            "4.4.0-rc1",
            "+4.4",
            "04.4",
            "",
        ] {
            let error = text.parse::<KafkaVersion>().unwrap_err();
            assert!(error.to_string().contains("3.7 to 4.4"), "{text}");
        }
        assert!(kafka("3.9.2") < kafka("4.0.0"));
        assert!(
            kafka("3.9.2").at_least(3, 9) && kafka("4.0").at_least(3, 9) && !kafka("3.8.1").at_least(3, 9)
        );
    }

    #[test]
    fn a_release_formats_its_latest_production_metadata_version() {
        for (text, level, shown) in [
            ("3.7.2", 19, "3.7-IV4"),
            ("3.8.1", 20, "3.8-IV0"),
            ("3.9.2", 21, "3.9-IV0"),
            ("4.0.2", 25, "4.0-IV3"),
            ("4.1.2", 27, "4.1-IV1"),
            ("4.2.1", 29, "4.2-IV1"),
            ("4.3.1", 30, "4.3-IV0"),
            ("4.4.0", 33, "4.4-IV2"),
        ] {
            let version = kafka(text).default_metadata_version();
            assert_eq!((version.level(), version.to_string().as_str()), (level, shown), "{text}");
        }
    }

    #[test]
    fn a_metadata_version_is_read_as_release_version_is() {
        for (text, want) in [
            ("4.3", Some(30)),
            ("4.3.1", Some(30)),
            ("4.3-IV0", Some(30)),
            ("3.3-IV0", Some(4)),
            ("3.3", Some(7)),
            ("4.4", Some(33)),
            ("4.4-IV0", Some(31)),
            ("4.4-IV3", None),
            ("4.3.1-IV0", None),
            ("4.3-IV", None),
            ("4.3-IV-1", None),
            ("4.3-iv0", None),
            ("3.2", None),
            ("4.5", None),
            ("30", None),
            ("", None),
        ] {
            let read = text.parse::<MetadataVersion>();
            assert_eq!(read.clone().ok().map(MetadataVersion::level), want, "{text}");
            if let Ok(version) = read {
                assert_eq!(version.to_string().parse(), Ok(version));
            }
        }
    }

    #[test]
    fn scram_users_may_be_formatted_from_3_5_on() {
        for (text, want) in
            [("3.4", false), ("3.5-IV1", false), ("3.5-IV2", true), ("3.5", true), ("4.4", true)]
        {
            assert_eq!(text.parse::<MetadataVersion>().unwrap().supports_scram(), want, "{text}");
        }
    }

    #[test]
    fn a_metadata_version_out_of_the_releases_range_is_refused() {
        for (release, wanted, want) in [
            ("4.4.0", "4.3", "ok"),
            ("4.4.0", "4.4", "ok"),
            ("4.4.0", "3.3-IV3", "ok"),
            ("4.4.0", "3.3-IV2", "MetadataVersionTooOld"),
            ("3.9.2", "3.3-IV0", "ok"),
            ("3.9.2", "4.0", "MetadataVersionTooNew"),
            ("4.3.1", "4.4-IV0", "MetadataVersionTooNew"),
        ] {
            let got = kafka(release).check(wanted.parse().unwrap());
            assert_eq!(got.as_ref().map_or_else(VersionError::reason, |()| "ok"), want, "{release} {wanted}");
        }
        assert_eq!(
            kafka("4.3.1").check("4.4".parse().unwrap()).unwrap_err().to_string(),
            "metadata version 4.4-IV2 is newer than Kafka 4.3.1 knows; want 4.3-IV0 at most"
        );
    }
}
