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

    /// HostnameChecker.matchLeftmostWildcard: wildcards in the first label only, there also in part of it (`kafka-*`),
    /// never across a dot; a pattern that ends in its wildcard's label (`*`, `*com`) matches nothing.
    fn matches(&self, pattern: &str) -> bool {
        let pattern = pattern.to_ascii_lowercase();
        let wildcard_at = pattern.rfind('*');
        let wildcard_is_last = |at| pattern.get(at..).is_none_or(|after: &str| !after.contains('.'));
        if pattern == "*." || wildcard_at.is_some_and(wildcard_is_last) {
            return false;
        }
        let (first, rest) = split_first_label(&self.0);
        let (first_pattern, rest_pattern) = split_first_label(&pattern);
        rest == rest_pattern && matches_label(first, first_pattern)
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

/// The first label, and the rest with its dot.
fn split_first_label(name: &str) -> (&str, &str) {
    name.find('.').and_then(|dot| name.split_at_checked(dot)).unwrap_or((name, ""))
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
