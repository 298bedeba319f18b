//! Lines of server.properties that people add: from the settings, from files, from the environment, in that order.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cluster::line::Line;
use crate::cluster::line::Origin;
use crate::cluster::pool::ProcessRoles;
use crate::cluster::protected;
use crate::cluster::settings::Properties;
use crate::kafka::properties;

/// Variables that begin with KAFKA_ and are for Kafka's start scripts, not for server.properties: the list of
/// Apache's image (KafkaDockerWrapper.ExcludeServerPropsEnv), and those that KubeDB, Bitnami and run-class read.
const NOT_PROPERTIES: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_PORT",
    "KAFKA_DEBUG",
    "KAFKA_HOME",
    "KAFKA_MODE",
    "KAFKA_CLUSTER_ID",
    "KAFKA_USER",
    "KAFKA_PASSWORD",
    "KAFKA_SCRAM_256_USERS",
    "KAFKA_SCRAM_512_USERS",
    "KAFKA_SCRAM_256_PASSWORDS",
    "KAFKA_SCRAM_512_PASSWORDS",
];

/// The lines of the settings for a node of these roles: those for all, then those for the role.
pub fn from_settings(properties: &Properties, roles: ProcessRoles) -> Vec<Line> {
    let of_role = match roles {
        ProcessRoles::Broker => &properties.broker,
        ProcessRoles::Controller => &properties.controller,
        ProcessRoles::Combined => &properties.combined,
    };
    let lines = |role, map: &BTreeMap<String, String>| -> Vec<Line> {
        map.iter().map(|(key, value)| Line::new(key, value, Origin::Settings(role))).collect()
    };
    let mut all = lines("all", &properties.all);
    all.extend(lines(roles.word(), of_role));
    all
}

/// The lines of `all.properties`, then of `<role>.properties`; or all that is wrong with any of the files, also with
/// those of another role, because a slip there shows itself only when that role starts.
pub fn from_files<'a>(
    files: impl IntoIterator<Item = (&'a Path, &'a [u8])>,
    roles: ProcessRoles,
) -> Result<Vec<Line>, Vec<String>> {
    let mut of_all = Vec::new();
    let mut of_role = Vec::new();
    let mut wrong = Vec::new();
    for (path, bytes) in files {
        let shown = path.display().to_string();
        let stem =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".properties"));
        let Some(role @ ("all" | "broker" | "controller" | "combined")) = stem else {
            let want = "want all.properties, broker.properties, controller.properties or combined.properties";
            wrong.push(format!("{shown}: {want}"));
            continue;
        };
        let pairs = match properties::parse(bytes) {
            Ok(pairs) => pairs,
            Err(error) => {
                wrong.push(format!("{shown}: {error}"));
                continue;
            }
        };
        for (key, value) in pairs {
            wrong.extend(protected::problem(&key).map(|problem| format!("{shown}: {problem}")));
            let line = Line::new(key, value, Origin::File(shown.clone()));
            if role == "all" {
                of_all.push(line);
            } else if role == roles.word() {
                of_role.push(line);
            }
        }
    }
    of_all.extend(of_role);
    if wrong.is_empty() { Ok(of_all) } else { Err(wrong) }
}

/// The lines of `KAFKA_*` variables, named as Apache's image does it (KafkaDockerWrapper): `_` is a dot, `__` an
/// underscore, `___` a hyphen.
pub fn from_environment(environment: &BTreeMap<String, String>) -> Result<Vec<Line>, Vec<String>> {
    let mut lines = Vec::new();
    let mut wrong = Vec::new();
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix("KAFKA_") else { continue };
        if NOT_PROPERTIES.contains(&variable.as_str()) || name.ends_with("_OPTS") || name == "OPTS" {
            continue;
        }
        if is_service_link(name, value) {
            continue;
        }
        let key = name.to_lowercase().replace('_', ".").replace("...", "-").replace("..", "_");
        match protected::problem(&key) {
            Some(problem) => wrong.push(format!("{variable}: {problem}")),
            None => lines.push(Line::new(key, value, Origin::Environment(variable.clone()))),
        }
    }
    if wrong.is_empty() { Ok(lines) } else { Err(wrong) }
}

/// Whether a variable is one that the kubelet makes for a Service called kafka or kafka-something
/// (k8s.io/kubernetes/pkg/kubelet/envvars): KAFKA_SERVICE_HOST, KAFKA_PORT_9092_TCP_ADDR and so on.
///
/// Their names alone could be meant as properties, so their values decide where a property could look the same.
fn is_service_link(name: &str, value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
    let url = |text: &str| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    let within = |suffix: &str| name == suffix || name.ends_with(&format!("_{suffix}"));
    let of_port = name.rsplit_once("PORT_").is_some_and(|(_, rest)| {
        let mut parts = rest.split('_');
        let is_port = parts.next().is_some_and(digits);
        is_port && parts.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    });
    of_port
        || (within("SERVICE_HOST") && address(value))
        || ((within("SERVICE_PORT") || name.contains("SERVICE_PORT_")) && digits(value))
        || (within("PORT") && url(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
        let map = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Ok(from_environment(&map)?.iter().map(Line::render).collect())
    }

    #[test]
    fn variables_are_named_as_apaches_image_names_them() {
        let lines = environment(&[
            ("KAFKA_LOG_RETENTION_HOURS", "24"),
            ("KAFKA_FOO__BAR", "1"),
            ("KAFKA_LISTENER_NAME_CLIENT_SCRAM___SHA___512_SASL_JAAS_CONFIG", "x"),
            ("KAFKA_HEAP_OPTS", "-Xmx1G"),
            ("KAFKA_OPTS", "-Dx=y"),
            ("KAFKA_CLUSTER_ID", "abc"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(
            lines.unwrap(),
            ["foo_bar=1", "listener.name.client.scram-sha-512.sasl.jaas.config=x", "log.retention.hours=24"]
        );
    }

    #[test]
    fn service_links_are_no_properties() {
        let links = [
            ("KAFKA_PORT", "tcp://10.96.0.7:9092"),
            ("KAFKA_SERVICE_HOST", "10.96.0.7"),
            ("KAFKA_SERVICE_PORT", "9092"),
            ("KAFKA_SERVICE_PORT_CLIENT", "9092"),
            ("KAFKA_PORT_9092_TCP", "tcp://10.96.0.7:9092"),
            ("KAFKA_PORT_9092_TCP_ADDR", "10.96.0.7"),
            ("KAFKA_PORT_9092_TCP_PORT", "9092"),
            ("KAFKA_PORT_9092_TCP_PROTO", "tcp"),
            ("KAFKA_PODS_SERVICE_HOST", "10.96.0.8"),
            ("KAFKA_PODS_PORT_9092_TCP_PROTO", "tcp"),
        ];
        assert_eq!(environment(&links).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_owned_key_is_refused_with_the_variable_or_the_file() {
        assert_eq!(
            environment(&[("KAFKA_NODE_ID", "7"), ("KAFKA_LOG_DIRS", "/x")]).unwrap_err(),
            [
                "KAFKA_LOG_DIRS: `log.dirs` cannot be set here; its value comes from `storage`",
                "KAFKA_NODE_ID: `node.id` cannot be set here; its value comes from `pools[].nodeIds` and the pod's ordinal",
            ]
        );
        let files: [(&Path, &[u8]); 3] = [
            (Path::new("/p/all.properties"), b"a=1\nlisteners=X\n"),
            (Path::new("/p/brokr.properties"), b""),
            (Path::new("/p/controller.properties"), b"a=\\u00"),
        ];
        let wrong = from_files(files, ProcessRoles::Broker).unwrap_err();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert_eq!(
            wrong[0],
            "/p/all.properties: `listeners` cannot be set here; its value comes from `listeners`"
        );
    }

    #[test]
    fn the_file_of_the_role_comes_after_that_for_all() {
        let files: [(&Path, &[u8]); 3] = [
            (Path::new("/p/all.properties"), b"a=1"),
            (Path::new("/p/broker.properties"), b"a=2"),
            (Path::new("/p/combined.properties"), b"a=3"),
        ];
        let lines: Vec<String> =
            from_files(files, ProcessRoles::Combined).unwrap().iter().map(Line::render).collect();
        assert_eq!(lines, ["a=1", "a=3"]);
    }
}
