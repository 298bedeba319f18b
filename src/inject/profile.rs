//! How images of Kafka are made: the user they run as, and what starts Kafka in them.
//!
//! An image cannot be looked into from here. What a pod says itself goes first; what it leaves open is taken from this
//! table, and what neither knows is refused. Only `apache` is run in our tests, in an image of the same layout; the others
//! are as their makers document them.

use std::fmt;
use std::str::FromStr;

/// A kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// `apache/kafka`: user `appuser`, 1000 (apache/kafka, docker/jvm/Dockerfile).
    Apache,
    /// `confluentinc/cp-kafka` and `cp-server`: user `appuser`, 1000 (confluentinc/common-docker, base/Dockerfile).
    Confluent,
    /// `bitnami/kafka` and `bitnamilegacy/kafka`: user 1001 of group 0 (bitnami/containers, non-root images).
    Bitnami,
    /// KubeDB's images: Apache's layout; the operator sets user 1001.
    Kubedb,
}

/// What a profile says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The user.
    pub uid: u32,
    /// A group that may write the disks.
    pub gid: u32,
    /// What starts Kafka, before the path of its properties.
    pub start: &'static str,
}

impl Profile {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Apache, Self::Confluent, Self::Bitnami, Self::Kubedb];

    /// The profile that an image's name speaks of.
    pub fn of_image(image: &str) -> Option<Self> {
        let name = image.split('@').next().unwrap_or_default();
        // A tag's colon comes after the last slash, a port's before it.
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        let last = last.split(':').next().unwrap_or_default();
        let maker = folder.rsplit('/').next().unwrap_or_default();
        match (maker, last) {
            // Not kafka-native, which has neither a JVM nor this script.
            ("apache", "kafka") => Some(Self::Apache),
            ("confluentinc", "cp-kafka" | "cp-server") => Some(Self::Confluent),
            ("bitnami" | "bitnamilegacy" | "bitnamisecure", "kafka") => Some(Self::Bitnami),
            ("kubedb" | "appscode-images", "kafka") => Some(Self::Kubedb),
            _ => None,
        }
    }

    /// What it says.
    pub fn facts(self) -> Facts {
        match self {
            Self::Apache => Facts { uid: 1000, gid: 1000, start: "/opt/kafka/bin/kafka-server-start.sh" },
            Self::Confluent => Facts { uid: 1000, gid: 1000, start: "/usr/bin/kafka-server-start" },
            Self::Bitnami => {
                Facts { uid: 1001, gid: 1001, start: "/opt/bitnami/kafka/bin/kafka-server-start.sh" }
            }
            Self::Kubedb => Facts { uid: 1001, gid: 1001, start: "/opt/kafka/bin/kafka-server-start.sh" },
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::Confluent => "confluent",
            Self::Bitnami => "bitnami",
            Self::Kubedb => "kubedb",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|one| one.word() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|one| one.word()).collect();
            format!("one of {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_makers() {
        let check =
            |image: &str, want: Option<Profile>| assert_eq!(Profile::of_image(image), want, "{image}");
        check("apache/kafka:4.4.0", Some(Profile::Apache));
        check("registry.example:5000/mirror/apache/kafka:4.4.0", Some(Profile::Apache));
        check("apache/kafka@sha256:00", Some(Profile::Apache));
        check("docker.example/confluentinc/cp-kafka", Some(Profile::Confluent));
        check("bitnamilegacy/kafka:4.0", Some(Profile::Bitnami));
        check("ghcr.example/appscode-images/kafka:4.0.0", Some(Profile::Kubedb));
        check("apache/kafka-native:4.4.0", None);
        check("kafka:4", None);
        check("example/my-kafka", None);
        check("", None);
    }
}
