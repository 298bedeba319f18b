//! Feature levels: what a new cluster can do from its first record on.
//!
//! `metadata.version` decides the level of every other feature (`org.apache.kafka.server.common.Feature`:
//! the highest level whose bootstrap metadata version is not above it). `kraft.version` is not among them: it is
//! never a FeatureLevelRecord, but a control record of the log.

use crate::kafka::version::KafkaVersion;
use crate::kafka::version::MetadataVersion;

/// One feature and the level at which the cluster starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureLevel {
    /// Kafka's name, for example `metadata.version`.
    pub name: &'static str,
    /// The level, above 0.
    pub level: i16,
}

struct Feature {
    name: &'static str,
    level: i16,
    /// The metadata version level from which this is the default.
    from: i16,
    /// The first release whose tool knows the level.
    since: (u8, u8),
}

/// In alphabetical order, a feature's higher level after the lower. The level numbers on the right are
/// `MetadataVersion`'s.
const FEATURES: &[Feature] = &[
    Feature { name: "eligible.leader.replicas.version", level: 1, from: 26, since: (4, 0) },
    Feature { name: "group.version", level: 1, from: 22, since: (3, 9) },
    Feature { name: "share.version", level: 1, from: 28, since: (4, 1) },
    Feature { name: "share.version", level: 2, from: 31, since: (4, 4) },
    // Level 1 exists in 4.1, but unstable; it is for production from 4.2 on.
    Feature { name: "streams.version", level: 1, from: 29, since: (4, 2) },
    // Levels 1 and 2 came with the same metadata version, so level 1 is never a default.
    Feature { name: "transaction.version", level: 2, from: 24, since: (3, 9) },
];

/// The features in the order of the bootstrap records: `metadata.version` first, then alphabetically, and only
/// those above level 0 (`BootstrapMetadata.fromVersions`).
///
/// The caller has made sure with [`KafkaVersion::check`] that the two go together.
pub fn feature_levels(kafka: KafkaVersion, metadata: MetadataVersion) -> Vec<FeatureLevel> {
    let mut levels = vec![FeatureLevel { name: "metadata.version", level: metadata.level() }];
    for feature in FEATURES {
        let known = kafka.at_least(feature.since.0, feature.since.1);
        if known && metadata.level() >= feature.from {
            levels.pop_if(|last| last.name == feature.name);
            levels.push(FeatureLevel { name: feature.name, level: feature.level });
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_release_starts_with_the_features_of_its_own_tool() {
        const ELR: &str = "eligible.leader.replicas.version=1";
        for (kafka, metadata, want) in [
            ("3.7.2", "3.7", vec!["metadata.version=19"]),
            ("3.9.2", "3.9", vec!["metadata.version=21"]),
            ("4.0.2", "4.0", vec!["metadata.version=25", "group.version=1", "transaction.version=2"]),
            ("4.0.2", "4.0-IV1", vec!["metadata.version=23", "group.version=1"]),
            ("4.1.2", "4.1", vec!["metadata.version=27", ELR, "group.version=1", "transaction.version=2"]),
            ("4.4.0", "3.9", vec!["metadata.version=21"]),
            (
                "4.3.1",
                "4.3",
                vec![
                    "metadata.version=30",
                    ELR,
                    "group.version=1",
                    "share.version=1",
                    "streams.version=1",
                    "transaction.version=2",
                ],
            ),
            (
                "4.4.0",
                "4.4",
                vec![
                    "metadata.version=33",
                    ELR,
                    "group.version=1",
                    "share.version=2",
                    "streams.version=1",
                    "transaction.version=2",
                ],
            ),
        ] {
            let levels = feature_levels(kafka.parse().unwrap(), metadata.parse().unwrap());
            let got: Vec<_> = levels.iter().map(|level| format!("{}={}", level.name, level.level)).collect();
            assert_eq!(got, want, "{kafka} {metadata}");
        }
    }
}
