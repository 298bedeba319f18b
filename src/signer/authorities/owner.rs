//! Whose CA it is, and what its Secret is called.

use std::fmt;

use crate::pki::sign::MAX_COMMON_NAME;

/// Who is behind a CA.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// One Kafka cluster, by its namespace and the name in its settings. Not by its ConfigMap: those that kustomize makes
    /// are called otherwise after each change, and a cluster with a new name would have a new CA.
    Cluster {
        /// A DNS label: it has no dots.
        namespace: String,
        /// The name in the settings.
        cluster: String,
    },
    /// The signer itself, as a server.
    Signer,
}

/// The Secret of the signer's own CA. No cluster's: those have a dot.
pub const SERVING: &str = "kraftlet-serving";

impl Owner {
    /// The name of its Secret, in the signer's namespace.
    pub fn secret(&self) -> String {
        self.to_string()
    }

    /// The owner whose Secret is called so.
    pub fn of_secret(name: &str) -> Option<Self> {
        if name == SERVING {
            return Some(Self::Signer);
        }
        let (namespace, cluster) = name.split_once('.')?;
        Some(Self::Cluster { namespace: namespace.to_owned(), cluster: cluster.to_owned() })
    }

    /// What a new CA is called. `chance` tells it from the one before: verifiers tell CAs by name first, and would take
    /// one for a forgery of the other.
    pub fn common_name(&self, chance: &str) -> String {
        let fixed = "kraftlet CA  ".len() + chance.len();
        let whose: String = self.to_string().chars().take(MAX_COMMON_NAME.saturating_sub(fixed)).collect();
        format!("kraftlet CA {whose} {chance}")
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { namespace, cluster } => write!(f, "{namespace}.{cluster}"),
            Self::Signer => f.write_str(SERVING),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_belongs_to_one_owner() {
        let cluster = Owner::Cluster { namespace: "prod".into(), cluster: "events.eu".into() };
        assert_eq!(cluster.secret(), "prod.events.eu");
        assert_eq!(Owner::of_secret("prod.events.eu"), Some(cluster));
        assert_eq!(Owner::of_secret("kraftlet-serving"), Some(Owner::Signer));
        assert_eq!(Owner::of_secret("other"), None);
        let long = Owner::Cluster { namespace: "n".repeat(63), cluster: "c".repeat(253) };
        let name = long.common_name("01234567");
        assert_eq!(name.len(), MAX_COMMON_NAME);
        assert!(name.ends_with(" 01234567"));
    }
}
