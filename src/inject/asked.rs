//! What a pod's annotations ask for.

use serde_json::Value;

use crate::inject::refusal::Refusal;
use crate::inject::words;
use crate::kafka::version::KafkaVersion;
use crate::pod::name::is_dns_name;

/// What is wanted of kraftlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// To configure Kafka, by the settings of this ConfigMap.
    Manage {
        /// The ConfigMap's name.
        cluster: String,
    },
    /// To stand beside a Kafka that somebody else configures.
    Attach {
        /// Where its properties are.
        server_properties: String,
        /// Its release, if it is said.
        kafka_version: Option<String>,
        /// What the cluster is to be called, if it is said.
        cluster: Option<String>,
    },
}

/// Reads the annotations in `metadata`.
pub fn asked(metadata: &Value) -> Result<Asked, Refusal> {
    let annotation = |name: &str| {
        let value = metadata.get("annotations").and_then(|all| all.get(name));
        value.and_then(Value::as_str)
    };
    match annotation(words::INJECT) {
        None | Some("false") => return Ok(Asked::Nothing),
        Some("true") => {}
        Some(other) => return Err(Refusal::annotation(words::INJECT, other, "\"true\" or \"false\"")),
    }
    match annotation(words::MODE) {
        None | Some("manage") => {
            let name = annotation(words::CLUSTER).unwrap_or_default();
            if !is_dns_name(name) {
                let want = "the name of the ConfigMap that has the settings under cluster.yaml";
                return Err(Refusal::annotation(words::CLUSTER, name, want));
            }
            Ok(Asked::Manage { cluster: name.to_owned() })
        }
        Some("attach") => {
            let path = annotation(words::SERVER_PROPERTIES).unwrap_or_default();
            if !path.starts_with('/') {
                let want = "the absolute path of the server.properties that Kafka is started with";
                return Err(Refusal::annotation(words::SERVER_PROPERTIES, path, want));
            }
            let version = annotation(words::KAFKA_VERSION).map(str::to_owned);
            if let Some(text) = version.as_deref().filter(|text| text.parse::<KafkaVersion>().is_err()) {
                return Err(Refusal::annotation(words::KAFKA_VERSION, text, "a release such as 4.4.0"));
            }
            let cluster = annotation(words::CLUSTER).map(str::to_owned);
            if let Some(name) = cluster.as_deref().filter(|name| !is_label(name)) {
                let want = "a name for the cluster, as a label may have";
                return Err(Refusal::annotation(words::CLUSTER, name, want));
            }
            Ok(Asked::Attach { server_properties: path.to_owned(), kafka_version: version, cluster })
        }
        Some(other) => Err(Refusal::annotation(words::MODE, other, "\"manage\" or \"attach\"")),
    }
}

/// Names of DNS are labels' values too, as long as they are short.
fn is_label(name: &str) -> bool {
    is_dns_name(name) && name.len() <= 63
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_say_what_is_wanted() {
        let check = |annotations: Value, want: Result<Asked, &str>| {
            let found = asked(&json!({"annotations": annotations}));
            assert_eq!(found.map_err(|refusal| refusal.to_string()), want.map_err(str::to_owned));
        };
        check(json!({}), Ok(Asked::Nothing));
        check(json!({"kraftlet.dev/inject": "false"}), Ok(Asked::Nothing));
        check(
            json!({"kraftlet.dev/inject": "true", "kraftlet.dev/cluster": "events"}),
            Ok(Asked::Manage { cluster: "events".to_owned() }),
        );
        check(
            json!({"kraftlet.dev/inject": "true", "kraftlet.dev/mode": "attach",
                   "kraftlet.dev/server-properties": "/opt/kafka/config/kafka.properties"}),
            Ok(Asked::Attach {
                server_properties: "/opt/kafka/config/kafka.properties".to_owned(),
                kafka_version: None,
                cluster: None,
            }),
        );
        check(
            json!({"kraftlet.dev/inject": "yes"}),
            Err(r#"annotation kraftlet.dev/inject: "yes"; want "true" or "false""#),
        );
        check(
            json!({"kraftlet.dev/inject": "true"}),
            Err(
                r#"annotation kraftlet.dev/cluster: ""; want the name of the ConfigMap that has the settings under cluster.yaml"#,
            ),
        );
        check(
            json!({"kraftlet.dev/inject": "true", "kraftlet.dev/mode": "both"}),
            Err(r#"annotation kraftlet.dev/mode: "both"; want "manage" or "attach""#),
        );
    }
}
