//! The host a client dials, and whether a certificate vouches for it as Java's HTTPS endpoint identification decides.
//!
//! Kafka's clients and brokers identify their peer with `ssl.endpoint.identification.algorithm=https`, which ends in
//! `sun.security.util.HostnameChecker`; an advertised name it does not accept means that nobody can connect, the node's
//! own raft client included.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::pki::certificate::Certificate;

/// A name or an address under which a node is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A DNS name, in lower case.
    Name(DnsName),
    /// An address.
    Address(IpAddr),
}

/// A DNS name that Java accepts as one: letters, digits, hyphens and dots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

/// A host that no certificate can vouch for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host {host:?} {problem}; want a DNS name of letters, digits and hyphens, or an IP address")]
pub struct HostError {
    host: String,
    problem: &'static str,
}

impl HostError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "HostNotVerifiable"
    }
}

impl Host {
    /// Whether `certificate` vouches for this host.
    ///
    /// Names match dNSName entries only: Java falls back to the common name where there is none, other clients do not.
    /// Addresses match iPAddress entries only.
    pub fn is_covered_by(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Name(name) => certificate.dns_names().iter().any(|pattern| name.matches(pattern)),
            Self::Address(address) => certificate.ip_addresses().contains(address),
        }
    }
}

impl DnsName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As `HostnameChecker` does for TLS: label by label, a wildcard in any label and in a part of one (`kafka-*`), never
    /// across a dot, and none in the last label (`*`, `*com`). OpenSSL and rustls take less: `*.` in front.
    fn matches(&self, pattern: &str) -> bool {
        let pattern = pattern.to_ascii_lowercase();
        let (labels, patterns) = (self.0.split('.'), pattern.split('.'));
        let last_is_plain = patterns.clone().next_back().is_some_and(|last| !last.contains('*'));
        last_is_plain
            && labels.clone().count() == patterns.clone().count()
            && labels.zip(patterns).all(|(label, pattern)| matches_label(label, pattern))
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match unbracketed.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

impl FromStr for DnsName {
    type Err = HostError;

    /// What `javax.net.ssl.SNIHostName` accepts, which HostnameChecker asks before it compares: STD 3 names without a
    /// dot at the end. Names beyond ASCII are refused here, since a server.properties would hold them escaped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = |problem| Err(HostError { host: text.chars().take(80).collect(), problem });
        if text.is_empty() {
            return problem("is empty");
        }
        if text.ends_with('.') {
            return problem("ends in a dot, which Java's endpoint identification refuses");
        }
        // RFC 1035; a SAN beyond it could not be looked up.
        if text.len() > 253 {
            return problem("is longer than 253 characters");
        }
        for label in text.split('.') {
            if label.is_empty() || label.len() > 63 {
                return problem("has a label that is empty or longer than 63 characters");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return problem("has a label that begins or ends with a hyphen");
            }
            if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return problem("has a character that Java's endpoint identification refuses");
            }
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `*` stands for any run of characters, the empty one too (HostnameChecker.matchWildCards).
fn matches_label(label: &str, pattern: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return label == pattern;
    };
    let Some(mut rest) = label.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = tail.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;

    const NAMES: [&str; 16] = [
        "kafka-0.kafka.ns.svc",
        "bar-0.kafka.ns.svc",
        "kafka-0",
        "a.com",
        "com",
        "kafka.x",
        "kf.x",
        "kfka.x",
        "aa.x",
        "a.x",
        "foo.x",
        "b.a.x",
        "x",
        "a1.kafka",
        "a.b",
        "a.bc",
    ];

    // Which of NAMES match was asked of `sun.security.util.HostnameChecker.getInstance(TYPE_TLS)` of OpenJDK 17.0.15,
    // with a certificate for each pattern.
    #[test]
    fn a_name_is_covered_where_java_says_so() {
        let ca = testing::root("ca");
        let check = |pattern: &str, want: &[&str]| {
            let mut params = testing::leaf_params("node", &[]);
            params.subject_alt_names = vec![rcgen::SanType::DnsName(pattern.try_into().unwrap())];
            let leaf = ca.sign(params).certificate;
            let covered: Vec<&str> =
                NAMES.into_iter().filter(|name| name.parse::<Host>().unwrap().is_covered_by(&leaf)).collect();
            assert_eq!(covered, want, "{pattern}");
        };
        check("kafka-0.kafka.ns.svc", &["kafka-0.kafka.ns.svc"]);
        check("*.kafka.ns.svc", &["kafka-0.kafka.ns.svc", "bar-0.kafka.ns.svc"]);
        check("kafka-*.kafka.ns.svc", &["kafka-0.kafka.ns.svc"]);
        check("*", &[]);
        check("*.", &[]);
        check("*com", &[]);
        check("*.com", &["a.com"]);
        check("k*f*a.x", &["kafka.x", "kfka.x"]);
        check("kafka-0.*.ns.svc", &["kafka-0.kafka.ns.svc"]);
        check("KAFKA-0.Kafka.ns.svc", &["kafka-0.kafka.ns.svc"]);
        check("*.*.ns.svc", &["kafka-0.kafka.ns.svc", "bar-0.kafka.ns.svc"]);
        check("a.b*", &[]);
        check("*a*.x", &["kafka.x", "kfka.x", "aa.x", "a.x"]);
        check("**.x", &["kafka.x", "kf.x", "kfka.x", "aa.x", "a.x", "foo.x"]);
        check("kafka-0.kafka.ns.svc.", &[]);
        check("under_score.x", &[]);
        check("*.svc", &[]);
        check("10.0.0.1", &[]);
        check("x.*", &[]);
        check("f*.x", &["foo.x"]);
        check("*-0.kafka.ns.svc", &["kafka-0.kafka.ns.svc", "bar-0.kafka.ns.svc"]);
        check("a*a.x", &["aa.x"]);
        check("*.kafka", &["a1.kafka"]);
    }

    #[test]
    fn an_address_is_covered_by_an_address_only() {
        let ca = testing::root("ca");
        let mut params = testing::leaf_params("10.0.0.3", &["10.0.0.1", "fd00::1"]);
        params.subject_alt_names.push(rcgen::SanType::DnsName("10.0.0.2".try_into().unwrap()));
        let leaf = ca.sign(params).certificate;
        let covered = |host: &str| host.parse::<Host>().unwrap().is_covered_by(&leaf);
        let hosts = ["10.0.0.1", "fd00:0::1", "[fd00::1]", "10.0.0.2", "10.0.0.3"];
        assert_eq!(hosts.map(covered), [true, true, true, false, false]);
    }

    #[test]
    fn a_leaf_without_names_covers_nothing_not_even_its_common_name() {
        let leaf = testing::root("ca").sign(testing::leaf_params("kafka-0", &[])).certificate;
        assert!(!"kafka-0".parse::<Host>().unwrap().is_covered_by(&leaf));
    }

    #[test]
    fn a_host_that_java_would_not_look_for_is_refused() {
        let check = |host: &str, problem: &str| {
            let error = host.parse::<Host>().unwrap_err();
            let want = format!(
                "host {host:?} {problem}; want a DNS name of letters, digits and hyphens, or an IP address"
            );
            assert_eq!(error.to_string(), want);
        };
        check("", "is empty");
        check("kafka-0.kafka.", "ends in a dot, which Java's endpoint identification refuses");
        check("under_score", "has a character that Java's endpoint identification refuses");
        check("*.kafka", "has a character that Java's endpoint identification refuses");
        check("käse", "has a character that Java's endpoint identification refuses");
        check("a..b", "has a label that is empty or longer than 63 characters");
        check("-a.b", "has a label that begins or ends with a hyphen");
        assert!("a".repeat(64).parse::<Host>().is_err() && "a.".repeat(127).parse::<Host>().is_err());
        assert_eq!("Kafka-0.NS".parse::<Host>().unwrap().to_string(), "kafka-0.ns");
    }
}
