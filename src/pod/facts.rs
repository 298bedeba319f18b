//! What a pod is told about itself.
//!
//! Two ways, both of the downward API: environment variables, and files of a mounted volume. A fact that both give
//! must be the same in both; a stale copy in one of them is not something to guess about.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::pod::name::PodName;
use crate::pod::name::PodNameError;

/// The facts of one pod. Only the name is always there: bare machines have no namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// `metadata.name`.
    pub name: PodName,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `status.podIP`.
    pub ip: Option<IpAddr>,
    /// `spec.nodeName`: the machine.
    pub node_name: Option<String>,
    /// `metadata.labels['topology.kubernetes.io/zone']`, which becomes `broker.rack`.
    pub zone: Option<String>,
}

/// A fact that is missing, or that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// Nothing says which pod this is.
    #[error("POD_NAME is not set, and there is no file {0}; want the pod's name, <stateful-set>-<ordinal>")]
    NoName(String),
    /// The name is no pod's name.
    #[error("POD_NAME: {0}")]
    BadName(#[source] PodNameError),
    /// The pod's address is no address.
    #[error("POD_IP {0:?} is no IP address")]
    BadIp(String),
    /// The two ways disagree.
    #[error(
        "{variable} is {in_environment:?}, and {file} says {in_file:?}; want the same in both, or only one"
    )]
    Disagree {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        in_environment: String,
        /// The downward API's file.
        file: String,
        /// What is in it.
        in_file: String,
    },
}

impl FactsError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "PodFactsUnusable"
    }
}

/// Puts the facts together.
///
/// `environment` is the process's environment; `files` what the downward-API folder `folder` holds, by file name
/// (`name`, `namespace`, `zone`).
pub fn parse(
    environment: &BTreeMap<String, String>,
    folder: &str,
    files: &BTreeMap<String, String>,
) -> Result<PodFacts, FactsError> {
    let fact = |variable: &'static str, file: &str| {
        let in_environment = environment.get(variable).map(|value| value.trim()).filter(|v| !v.is_empty());
        let in_file = files.get(file).map(|value| value.trim()).filter(|value| !value.is_empty());
        match (in_environment, in_file) {
            (Some(a), Some(b)) if a != b => Err(FactsError::Disagree {
                variable,
                in_environment: a.to_owned(),
                file: format!("{folder}/{file}"),
                in_file: b.to_owned(),
            }),
            (a, b) => Ok(a.or(b).map(str::to_owned)),
        }
    };
    let name = fact("POD_NAME", "name")?.ok_or_else(|| FactsError::NoName(format!("{folder}/name")))?;
    let ip = match fact("POD_IP", "ip")? {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| FactsError::BadIp(text))?),
    };
    Ok(PodFacts {
        name: name.parse().map_err(FactsError::BadName)?,
        namespace: fact("POD_NAMESPACE", "namespace")?,
        ip,
        node_name: fact("NODE_NAME", "node")?,
        zone: fact("POD_ZONE", "zone")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(environment: &[(&str, &str)], files: &[(&str, &str)]) -> Result<PodFacts, FactsError> {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        parse(&map(environment), "/etc/podinfo", &map(files))
    }

    #[test]
    fn the_environment_and_the_folder_fill_each_other_in() {
        let found = facts(
            &[("POD_NAME", "kafka-1"), ("POD_IP", "10.1.2.3")],
            &[("namespace", "prod\n"), ("name", "kafka-1"), ("zone", "eu-1a")],
        )
        .unwrap();
        assert_eq!(found.name.to_string(), "kafka-1");
        assert_eq!(found.namespace.as_deref(), Some("prod"));
        assert_eq!(found.zone.as_deref(), Some("eu-1a"));
        assert_eq!(found.ip, Some("10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let check = |environment: &[(&str, &str)], files: &[(&str, &str)], want: &str| {
            let error = facts(environment, files).unwrap_err();
            assert_eq!(error.to_string(), want);
        };
        check(
            &[],
            &[],
            "POD_NAME is not set, and there is no file /etc/podinfo/name; want the pod's name, <stateful-set>-<ordinal>",
        );
        check(
            &[("POD_NAME", "kafka")],
            &[],
            r#"POD_NAME: pod name "kafka" has no ordinal; want <stateful-set>-<ordinal>"#,
        );
        check(&[("POD_NAME", "kafka-0"), ("POD_IP", "ten")], &[], r#"POD_IP "ten" is no IP address"#);
        check(
            &[("POD_NAME", "kafka-0")],
            &[("name", "kafka-1")],
            r#"POD_NAME is "kafka-0", and /etc/podinfo/name says "kafka-1"; want the same in both, or only one"#,
        );
    }
}
