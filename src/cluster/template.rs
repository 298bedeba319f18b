//! Names with holes: `{pod}.{service}.{namespace}.svc.{clusterDomain}`, `{30000+ordinal}`.
//!
//! One file describes all nodes, so what differs between them is written once, as a template, and filled in for the
//! node at hand and for each of its peers.

use std::fmt;
use std::str::FromStr;

/// A text with expressions in braces. Parsed once; [`Template::render`] can then only fail for a fact that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

/// What the words of a template stand for, for one node.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// `{pod}`, for example kafka-0.
    pub pod: String,
    /// `{statefulSet}`
    pub stateful_set: &'a str,
    /// `{ordinal}`
    pub ordinal: i64,
    /// `{nodeId}`
    pub node_id: i64,
    /// `{namespace}`, where one is known.
    pub namespace: Option<&'a str>,
    /// `{service}`
    pub service: &'a str,
    /// `{clusterDomain}`
    pub cluster_domain: &'a str,
    /// `{name}`, the cluster's.
    pub name: &'a str,
    /// `{podIp}`, known of the pod at hand only.
    pub pod_ip: Option<String>,
    /// `{nodeName}`, the machine's, known of the pod at hand only.
    pub node_name: Option<&'a str>,
}

/// A template that cannot be read, or not be filled in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not a template.
    #[error("template {0:?}: {1}")]
    Malformed(String, String),
    /// `{namespace}` where none is known.
    #[error("template {0:?} needs the namespace; want POD_NAMESPACE, or `namespace` in the settings")]
    NoNamespace(String),
    /// `{podIp}` or `{nodeName}` where it is not known: of a peer, or without the downward API.
    #[error("template {0:?} needs {1}, which is known of this pod only, and only where the pod is told")]
    NotKnown(String, &'static str),
    /// A name that nobody can dial.
    #[error("template {0:?} gives {1:?}; want a DNS name, or an IP address that is somebody's")]
    NotAHost(String, String),
    /// Two nodes that cannot be told apart.
    #[error(
        "template {0:?} gives two nodes the same address {1}; want one for each, with {{pod}}, {{ordinal}} or {{nodeId}}"
    )]
    SameAddress(String, String),
    /// A port that is none.
    #[error("template {0:?} gives {1:?}; want a port, 1 to 65535")]
    NotAPort(String, String),
    /// Longer than any name, address or path that is used.
    #[error("template of {0} bytes; want at most {LONGEST_BYTES}")]
    TooLong(usize),
    /// Calculated past what a number holds.
    #[error("template {0:?}: the number is too large")]
    Overflow(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Word(Word),
    /// A sum of products: `30000+ordinal*10` is `[[30000], [ordinal, 10]]`.
    Sum(Vec<Vec<Factor>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Pod,
    StatefulSet,
    Namespace,
    Service,
    ClusterDomain,
    Name,
    PodIp,
    NodeName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Factor {
    Number(i64),
    Ordinal,
    NodeId,
}

/// A DNS name has at most 253 bytes, and nobody mounts a path this long. A sum takes fifty times its text in memory, and
/// each listener may have a copy.
const LONGEST_BYTES: usize = 1024;

impl TemplateError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "TemplateUnusable"
    }
}

impl Template {
    /// The text for one node.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, TemplateError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Word(word) => text.push_str(self.word(*word, scope)?),
                Part::Sum(terms) => {
                    let sum =
                        sum(terms, scope).ok_or_else(|| TemplateError::Overflow(self.source.clone()))?;
                    text.push_str(&sum.to_string());
                }
            }
        }
        Ok(text)
    }

    fn not_known(&self, variable: &'static str) -> TemplateError {
        TemplateError::NotKnown(self.source.clone(), variable)
    }

    fn word<'s>(&self, word: Word, scope: &'s Scope<'_>) -> Result<&'s str, TemplateError> {
        Ok(match word {
            Word::Pod => &scope.pod,
            Word::StatefulSet => scope.stateful_set,
            Word::Service => scope.service,
            Word::ClusterDomain => scope.cluster_domain,
            Word::Name => scope.name,
            Word::PodIp => scope.pod_ip.as_deref().ok_or_else(|| self.not_known("POD_IP"))?,
            Word::NodeName => scope.node_name.ok_or_else(|| self.not_known("NODE_NAME"))?,
            Word::Namespace => {
                scope.namespace.ok_or_else(|| TemplateError::NoNamespace(self.source.clone()))?
            }
        })
    }
}

fn sum(terms: &[Vec<Factor>], scope: &Scope<'_>) -> Option<i64> {
    terms.iter().try_fold(0_i64, |sum, term| {
        let product = term.iter().try_fold(1_i64, |product, factor| {
            product.checked_mul(match factor {
                Factor::Number(number) => *number,
                Factor::Ordinal => scope.ordinal,
                Factor::NodeId => scope.node_id,
            })
        })?;
        sum.checked_add(product)
    })
}

fn expression(text: &str) -> Result<Part, String> {
    let word = match text.trim() {
        "pod" => Some(Word::Pod),
        "statefulSet" => Some(Word::StatefulSet),
        "namespace" => Some(Word::Namespace),
        "service" => Some(Word::Service),
        "clusterDomain" => Some(Word::ClusterDomain),
        "name" => Some(Word::Name),
        "podIp" => Some(Word::PodIp),
        "nodeName" => Some(Word::NodeName),
        _ => None,
    };
    if let Some(word) = word {
        return Ok(Part::Word(word));
    }
    if text.trim().is_empty() {
        return Err("nothing stands in braces".to_owned());
    }
    // A difference is a sum with a negative term, so "a-b" is read as "a+-1*b".
    let signed = text.replace('-', "+-");
    let terms = signed.split('+').enumerate().filter(|(index, term)| *index > 0 || !term.trim().is_empty());
    let terms: Result<Vec<_>, String> = terms.map(|(_, term)| product(term)).collect();
    Ok(Part::Sum(terms?))
}

fn product(term: &str) -> Result<Vec<Factor>, String> {
    let (sign, term) = match term.trim().strip_prefix('-') {
        Some(rest) => (Some(Factor::Number(-1)), rest),
        None => (None, term),
    };
    let factors = term.split('*').map(|factor| match factor.trim() {
        "ordinal" => Ok(Factor::Ordinal),
        "nodeId" => Ok(Factor::NodeId),
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map(Factor::Number).map_err(|_| format!("{digits} is too large"))
        }
        other => Err(format!(
            "{other:?} is unknown in braces; want pod, statefulSet, ordinal, nodeId, namespace, service, \
             clusterDomain, name, podIp or nodeName, or a sum over ordinal and nodeId"
        )),
    });
    sign.into_iter().map(Ok).chain(factors).collect()
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Self, TemplateError> {
        if source.len() > LONGEST_BYTES {
            return Err(TemplateError::TooLong(source.len()));
        }
        let malformed = |why: String| TemplateError::Malformed(source.to_owned(), why);
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((text, after)) = rest.split_once('{') {
            let (inside, behind) =
                after.split_once('}').ok_or_else(|| malformed("'{' is never closed".to_owned()))?;
            parts.push(Part::Text(text.to_owned()));
            parts.push(expression(inside).map_err(malformed)?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        let stray = parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains('}')));
        if stray {
            return Err(malformed("'}' closes nothing".to_owned()));
        }
        Ok(Self { source: source.to_owned(), parts })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope<'static> {
        Scope {
            pod: "kafka-2".to_owned(),
            stateful_set: "kafka",
            ordinal: 2,
            node_id: 1002,
            namespace: None,
            service: "kafka-pods",
            cluster_domain: "cluster.local",
            name: "prod",
            pod_ip: None,
            node_name: Some("worker-7"),
        }
    }

    #[test]
    fn a_template_is_filled_in_for_a_node() {
        let check = |template: &str, want: &str| {
            assert_eq!(template.parse::<Template>().unwrap().render(&scope()).unwrap(), want, "{template}");
        };
        check("{pod}.{service}.svc.{clusterDomain}", "kafka-2.kafka-pods.svc.cluster.local");
        check("{30000+ordinal}", "30002");
        check("{ 9000 + ordinal * 10 - 1 }", "9019");
        check("{nodeId-1000}", "2");
        check("{-1*ordinal}", "-2");
        check("b{ordinal}.{name}.example.com", "b2.prod.example.com");
        check("9092", "9092");
        check("{nodeName}", "worker-7");
    }

    #[test]
    fn a_bad_template_says_why() {
        let check = |template: &str, want: &str| {
            let error = template.parse::<Template>().and_then(|parsed| parsed.render(&scope())).unwrap_err();
            assert_eq!(error.to_string(), want);
        };
        check("{pod", r#"template "{pod": '{' is never closed"#);
        check("a{}b", r#"template "a{}b": nothing stands in braces"#);
        check("pod}", r#"template "pod}": '}' closes nothing"#);
        check(
            "{hostname}",
            r#"template "{hostname}": "hostname" is unknown in braces; want pod, statefulSet, ordinal, nodeId, namespace, service, clusterDomain, name, podIp or nodeName, or a sum over ordinal and nodeId"#,
        );
        check(
            "{namespace}",
            r#"template "{namespace}" needs the namespace; want POD_NAMESPACE, or `namespace` in the settings"#,
        );
        check(
            "{9223372036854775807*nodeId}",
            r#"template "{9223372036854775807*nodeId}": the number is too large"#,
        );
        check(&format!("{{{}1}}", "1+".repeat(600)), "template of 1203 bytes; want at most 1024");
    }
}
