//! A pod's name, split into StatefulSet and ordinal.

use std::fmt;
use std::str::FromStr;

/// The name of a StatefulSet's pod: `<stateful-set>-<ordinal>` (Kubernetes, "StatefulSets": ordinal index).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    stateful_set: String,
    ordinal: Ordinal,
}

/// A pod's number in its StatefulSet; it begins at `.spec.ordinals.start`, so it is not a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ordinal(u32);

/// A name that no pod of a StatefulSet can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PodNameError {
    /// Nothing that could be an ordinal behind the last hyphen.
    #[error("pod name {0:?} has no ordinal; want <stateful-set>-<ordinal>")]
    NoOrdinal(String),
    /// The ordinal does not fit an int32, which is what a StatefulSet counts with.
    #[error("pod name {0:?}: ordinal is greater than {max}", max = Ordinal::MAX)]
    OrdinalTooLarge(String),
    /// Not a DNS label, so no Kubernetes object is called this.
    #[error(
        "pod name {0:?} is no DNS name; want lower-case letters, digits, '-' and '.', at most 253 of them"
    )]
    NotADnsName(String),
}

impl PodName {
    /// The pod with this ordinal of this StatefulSet.
    pub fn new(stateful_set: &str, ordinal: Ordinal) -> Self {
        Self { stateful_set: stateful_set.to_owned(), ordinal }
    }

    /// The StatefulSet's name.
    pub fn stateful_set(&self) -> &str {
        &self.stateful_set
    }

    /// The pod's ordinal.
    pub fn ordinal(&self) -> Ordinal {
        self.ordinal
    }
}

impl Ordinal {
    /// `.spec.replicas` and `.spec.ordinals.start` are int32 (k8s.io/api/apps/v1).
    pub const MAX: u32 = i32::MAX as u32;

    /// `None` above [`Ordinal::MAX`].
    pub fn new(ordinal: u32) -> Option<Self> {
        (ordinal <= Self::MAX).then_some(Self(ordinal))
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Whether Kubernetes takes this as an object's name (RFC 1123 subdomain; apimachinery `validation.go`).
pub fn is_dns_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 253 && name.split('.').all(is_dns_label)
}

fn is_dns_label(label: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    label.len() <= 63
        && ends(label.chars().next())
        && ends(label.chars().next_back())
        && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

impl FromStr for PodName {
    type Err = PodNameError;

    fn from_str(name: &str) -> Result<Self, PodNameError> {
        if !is_dns_name(name) {
            return Err(PodNameError::NotADnsName(name.chars().take(253).collect()));
        }
        let (stateful_set, digits) =
            name.rsplit_once('-').ok_or_else(|| PodNameError::NoOrdinal(name.to_owned()))?;
        // "kafka-007" is nobody's pod: a StatefulSet writes its numbers without leading zeros.
        let padded = digits.len() > 1 && digits.starts_with('0');
        if stateful_set.is_empty()
            || digits.is_empty()
            || padded
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(PodNameError::NoOrdinal(name.to_owned()));
        }
        let ordinal = digits.parse().ok().and_then(Ordinal::new);
        let ordinal = ordinal.ok_or_else(|| PodNameError::OrdinalTooLarge(name.to_owned()))?;
        Ok(Self::new(stateful_set, ordinal))
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stateful_set, self.ordinal.0)
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_name_is_split_at_the_last_hyphen() {
        let name: PodName = "kafka-controller-12".parse().unwrap();
        assert_eq!((name.stateful_set(), name.ordinal().number()), ("kafka-controller", 12));
        assert_eq!(name.to_string(), "kafka-controller-12");
    }

    #[test]
    fn a_name_without_an_ordinal_says_what_was_found_and_wanted() {
        let check = |input: &str, want: &str| {
            assert_eq!(input.parse::<PodName>().unwrap_err().to_string(), want);
        };
        check("kafka", r#"pod name "kafka" has no ordinal; want <stateful-set>-<ordinal>"#);
        check("kafka-x", r#"pod name "kafka-x" has no ordinal; want <stateful-set>-<ordinal>"#);
        check("kafka-01", r#"pod name "kafka-01" has no ordinal; want <stateful-set>-<ordinal>"#);
        check("kafka-4294967296", r#"pod name "kafka-4294967296": ordinal is greater than 2147483647"#);
        check("kafka-2147483648", r#"pod name "kafka-2147483648": ordinal is greater than 2147483647"#);
        for odd in ["", "-0", "Kafka-0", "kafka-\u{661}", "kafka-0\n", "kafka/../-0"] {
            let error = odd.parse::<PodName>().unwrap_err();
            assert!(matches!(error, PodNameError::NotADnsName(_)), "{odd:?}: {error}");
        }
    }
}
