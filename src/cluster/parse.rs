//! The bytes of a settings file to a cluster, or to everything that is wrong with them.

use schemars::schema_for;
use serde_json::Value as Json;

use crate::cluster::check;
use crate::cluster::document;
use crate::cluster::model::Cluster;
use crate::cluster::problem::Place;
use crate::cluster::problem::Problem;
use crate::cluster::problem::Problems;
use crate::cluster::settings::Settings;
use crate::cluster::validate;

/// The JSON schema of the settings (draft 2020-12).
pub fn schema() -> Json {
    schema_for!(Settings).to_value()
}

/// Reads the settings; `file` is the name that messages give.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Cluster, Problems> {
    let all = |problems| Problems::new(file, bytes, problems);
    let root = document::parse(bytes).map_err(|problem| all(vec![problem]))?;
    let departures = check::check(&root, &schema());
    if !departures.is_empty() {
        return Err(all(departures));
    }
    // The tree fits the schema, so the types take it. Should they not, serde's own words are better than none. What is
    // bounded in the tree is bounded here: the text is the same, and the reader's own budget (serde-saphyr, `Budget`: depth
    // 64, 250,000 nodes) is wider.
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let settings: Settings = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or_else(Place::default, |at| {
            Place::new(usize::try_from(at.line()).unwrap_or(1), usize::try_from(at.column()).unwrap_or(1))
        });
        all(vec![Problem::new(place, error.to_string())])
    })?;
    validate::validate(settings).map_err(|wrong| {
        all(wrong.into_iter().map(|one| Problem::new(root.place_of(&one.path), one.message)).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cluster::problem::MOST_FOUND;
    use crate::pod::facts::PodFacts;

    const HEAD: &str = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: kafka\n\
                        clusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\nkafkaVersion: 4.4.0\n";
    const POOL: &str = "pools:\n- {statefulSet: kafka, roles: [broker, controller], replicas: 3}\n";

    fn problems(yaml: &str) -> Vec<String> {
        match parse("cluster.yaml", yaml.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(found) => {
                let line = |p: &Problem| format!("{}:{} {}", p.place.line, p.place.column, p.message);
                found.problems.iter().map(line).collect()
            }
        }
    }

    #[test]
    fn six_lines_are_a_cluster() {
        let cluster = parse("cluster.yaml", format!("{HEAD}{POOL}").as_bytes()).unwrap();
        let nodes = cluster.nodes(Some("prod"));
        let controller = cluster.controller_listener().unwrap();
        let voters: Vec<String> = nodes
            .iter()
            .map(|node| {
                let (host, port) = cluster.address(node, controller).unwrap();
                format!("{}@{host}:{port}", node.node_id)
            })
            .collect();
        assert_eq!(
            voters,
            [
                "0@kafka-0.kafka.prod.svc.cluster.local:9093",
                "1@kafka-1.kafka.prod.svc.cluster.local:9093",
                "2@kafka-2.kafka.prod.svc.cluster.local:9093"
            ]
        );
        assert_eq!(cluster.certificates["node"].principal(), "User:CN=kafka-node");
    }

    #[test]
    fn kubedbs_numbers_are_a_pool_from_1000() {
        let pools = "pools:\n- {statefulSet: kf-broker, roles: [broker], replicas: 2}\n\
                     - {statefulSet: kf-controller, roles: [controller], replicas: 3, nodeIds: {first: 1000}}\n";
        let cluster = parse("f", format!("{HEAD}{pools}").as_bytes()).unwrap();
        let ids: Vec<String> = cluster.nodes(None).iter().map(|node| node.node_id.to_string()).collect();
        assert_eq!(ids, ["0", "1", "1000", "1001", "1002"]);
    }

    #[test]
    fn a_pod_that_is_no_node_is_refused_with_the_pools_there_are() {
        let cluster = parse("f", format!("{HEAD}{POOL}").as_bytes()).unwrap();
        let check = |pod: &str, want: &str| {
            let facts = PodFacts {
                name: pod.parse().unwrap(),
                namespace: None,
                ip: None,
                node_name: None,
                zone: None,
            };
            assert_eq!(cluster.node(&facts).unwrap_err().to_string(), want);
        };
        check(
            "zookeeper-0",
            r#"POD_NAME: pod zookeeper-0 is of StatefulSet "zookeeper"; the settings have pools for kafka"#,
        );
        check(
            "kafka-1000",
            "POD_NAME: pod kafka-1000 has no node id; pool kafka has 0..999, one for each ordinal",
        );
        check(
            "kafka-3",
            "POD_NAME: controller kafka-3 (node 3) is not among the voters; a static quorum's voters are the pool's \
             `replicas`, which every node must know before this one starts",
        );
    }

    #[test]
    fn values_that_do_not_fit_together_are_said_all_at_once() {
        let yaml = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: Kafka\nclusterId: 4L6g3nShT-eMCtK--X86sw\n\
                    kafkaVersion: 3.8\nmetadataVersion: 4.0\nquorum: {type: dynamic}\n\
                    pools:\n- {statefulSet: a, roles: [controller], replicas: 3}\n- {statefulSet: b, roles: [controller], replicas: 1}\n\
                    superUsers: [admin]\nproperties: {all: {node.id: 7, num.partitions: 3}}\n\
                    storage: {logDirs: [data]}\ncertificates: {node: {store: pkcs12, keyAlgorithm: ed25519}}\n\
                    agent: {sasl: {mechanism: OAUTHBEARER, username: '', passwordFile: f}}\n";
        let found = problems(yaml);
        for want in [
            r#"3:1 "Kafka" is no DNS name"#,
            "4:1 ",
            "6:1 ",
            "8:1 no pool has the role broker; want one",
            "10:3 node ids of pools a (0..999) and b (0..999) overlap; want `nodeIds` apart",
            "11:14 principal \"admin\"; want <type>:<name>",
            "12:20 `node.id` cannot be set here; its value comes from `pools[].nodeIds` and the pod's ordinal",
            "13:21 \"data\" is no folder; want an absolute path",
            "14:23 a PKCS12 store needs `storePasswordFile`",
            "14:38 ",
            "15:16 the agent cannot log in with OAUTHBEARER; want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            "15:40 the agent's login has no user name",
            "7:1 4 controllers form a dynamic quorum; want `initialControllers`",
        ] {
            assert!(found.iter().any(|one| one.starts_with(want)), "{want}\n{found:#?}");
        }
        assert_eq!(found.len(), 13, "{found:#?}");
    }

    #[test]
    fn what_stands_for_nothing_is_said_in_the_settings_own_words() {
        let yaml = format!("{HEAD}{POOL}").replace("name: kafka", "name: ~");
        assert_eq!(problems(&yaml), ["3:7 `name` is empty; want a text"]);
        let bad_host = format!("{HEAD}{POOL}host: '{{pod'\n");
        assert_eq!(problems(&bad_host), [r#"8:1 template "{pod": '{' is never closed"#], "told once");
    }

    #[test]
    fn a_host_is_somebodys_name_or_address() {
        let address = |host: &str| {
            let yaml = format!("{HEAD}{POOL}host: {host:?}\n");
            let cluster = parse("f", yaml.as_bytes()).unwrap();
            let nodes = cluster.nodes(None);
            cluster
                .address(&nodes[0], cluster.controller_listener().unwrap())
                .map_err(|error| error.to_string())
        };
        assert_eq!(address("10.0.0.{nodeId+1}").unwrap(), ("10.0.0.1".to_owned(), 9093));
        assert_eq!(address("[fd00::{nodeId+1}]").unwrap().0, "fd00::1");
        for odd in ["", "a,b", "foo bar", "a@b", "/etc", "x:9", "::", "0.0.0.0", "[kafka]", "b\u{fc}cher"] {
            let error = address(odd).unwrap_err();
            assert!(error.contains("want a DNS name, or an IP address"), "{odd:?}: {error}");
        }
    }

    #[test]
    fn listeners_must_serve_controllers_and_brokers_once_each() {
        let listeners = "listeners:\n- {name: A, port: 9092, for: [clients]}\n- {name: a, port: 9092, for: [clients], certificate: web}\n";
        assert_eq!(
            problems(&format!("{HEAD}{POOL}{listeners}")),
            [
                "8:1 0 listeners are for brokers; want exactly one",
                "8:1 0 listeners are for controllers; want exactly one",
                "10:4 two listeners are called A",
                r#"10:41 no certificate is called "web"; `certificates` has none of that name"#,
            ]
        );
    }

    #[test]
    fn initial_controllers_must_be_controllers_of_the_pools() {
        let quorum = "quorum:\n  type: dynamic\n  initialControllers:\n  - {nodeId: 0, directoryId: JEXY6aqzQY-32P5TStzaFg}\n  \
                      - {nodeId: 7, directoryId: JEXY6aqzQY-32P5TStzaFg}\n  - {nodeId: 0, directoryId: AAAAAAAAAAAAAAAAAAAAAA}\n";
        let found = problems(&format!("{HEAD}{POOL}{quorum}"));
        assert!(found.iter().any(|one| one == "12:6 no controller of any pool has node id 7"), "{found:#?}");
        assert!(found.iter().any(|one| one.starts_with("13:17 ")), "{found:#?}");
    }

    /// Every list and map of the settings: what comes before and after its entries, one entry, its name and its bound.
    /// The `#` of an entry is its number.
    const LISTS: &[(&str, &str, &str, &str, usize)] = &[
        ("pools: [", "{statefulSet: a, roles: [broker], replicas: 1},", "]", "pools", 64),
        ("pools: [{roles: [", "broker,", "]}]", "pools[0].roles", 64),
        ("listeners: [", "{name: A, port: 1, for: [clients], certificate: z},", "]", "listeners", 64),
        ("listeners: [{for: [", "clients,", "]}]", "listeners[0].for", 64),
        ("listeners: [{saslMechanisms: [", "PLAIN,", "]}]", "listeners[0].saslMechanisms", 64),
        ("storage: {logDirs: [", "/a,", "]}", "storage.logDirs", 64),
        ("storage: {formatEmptyDiskOf: [", "a,", "]}", "storage.formatEmptyDiskOf", 1000),
        ("certificates: {", "a#: {lifetime: 1s},", "}", "certificates", 64),
        ("certificates: {a: {names: [", "'{x}',", "]}}", "certificates.a.names", 64),
        ("certificates: {a: {trust: [", "a,", "]}}", "certificates.a.trust", 64),
        ("superUsers: [", "a,", "]", "superUsers", 1000),
        ("scramUsers: [", "{name: a, mechanism: PLAIN, passwordFile: f},", "]", "scramUsers", 1000),
        (
            "quorum: {type: dynamic, initialControllers: [",
            "{nodeId: 7, directoryId: x},",
            "]}",
            "quorum.initialControllers",
            64,
        ),
        ("properties: {all: {", "a#: x,", "}}", "properties.all", 1000),
        ("properties: {broker: {", "a#: x,", "}}", "properties.broker", 1000),
        ("properties: {controller: {", "a#: x,", "}}", "properties.controller", 1000),
        ("properties: {combined: {", "a#: x,", "}}", "properties.combined", 1000),
    ];

    #[test]
    fn a_list_that_is_too_long_is_refused_by_its_name_before_its_entries_are_compared() {
        for (before, entry, after, key, most) in LISTS {
            let entries = |count: usize| -> String {
                (0..count).map(|number| entry.replace('#', &number.to_string())).collect()
            };
            let pools = if before.starts_with("pools") { "" } else { POOL };
            let yaml = |count| format!("{HEAD}{pools}{before}{}{after}\n", entries(count));
            let said = format!("`{key}` has {} entries; want at most {most}", most + 1);
            let found = problems(&yaml(most + 1));
            assert!(found.iter().any(|one| one.ends_with(&said)), "{said}\n{found:#?}");
            for count in [most + 1, 2000, 1024 * 1024 / entry.len()] {
                assert!((1..=5).contains(&problems(&yaml(count)).len()), "{count} of {key}");
            }
            let found = problems(&yaml(*most));
            assert!(!found.iter().any(|one| one.contains("entries")), "{key}: {found:#?}");
            assert!(found.len() <= MOST_FOUND, "{} of {key}", found.len());
        }
    }

    #[test]
    fn every_list_and_every_map_of_the_settings_has_a_bound() {
        let mut open = vec![schema()];
        let mut found = 0;
        while let Some(one) = open.pop() {
            let is_map = one.get("additionalProperties").is_some_and(Json::is_object);
            for (is_so, keyword) in [(one["type"] == "array", "maxItems"), (is_map, "maxProperties")] {
                found += usize::from(is_so);
                assert!(!is_so || one[keyword].is_u64(), "{one}");
            }
            match one {
                Json::Object(entries) => open.extend(entries.into_iter().map(|(_, value)| value)),
                Json::Array(items) => open.extend(items),
                _ => {}
            }
        }
        assert_eq!(found, LISTS.len());
    }

    #[test]
    fn what_is_wrong_with_hostile_settings_is_small() {
        let certificates: String = (0..64).map(|number| format!("a{number}: {{}},")).collect();
        let unknown: String = (0..8000).map(|number| format!("x{number}: 1\n")).collect();
        let long = "\u{1}".repeat(4000);
        for yaml in [
            format!("{HEAD}{POOL}certificates: {{{certificates}}}\n")
                .replace("name: kafka\n", &format!("name: {:?}\n", "x".repeat(30_000))),
            format!("{HEAD}{POOL}{unknown}"),
            format!(
                "{HEAD}{POOL}superUsers: [{}]\n",
                format!("{long:?},").replace("\\u{1}", "\\x01").repeat(12)
            ),
            format!(
                "{HEAD}{POOL}certificates: {{{}: {{lifetime: 1s, store: pkcs12}}}}\n",
                "A".repeat(30_000)
            ),
            format!("{HEAD}{POOL}superUsers: [{}]\n", "a,".repeat(1000)),
        ] {
            let error = parse("f", yaml.as_bytes()).unwrap_err();
            assert!(error.problems.len() <= MOST_FOUND, "{}", error.problems.len());
            let bytes: usize = error.problems.iter().map(|one| one.message.len()).sum();
            assert!(bytes < 120_000, "{bytes} bytes in {} problems", error.problems.len());
            assert!(error.to_string().len() < 40_000);
        }
        let many = parse("f", format!("{HEAD}{POOL}{unknown}").as_bytes()).unwrap_err().to_string();
        assert!(many.ends_with("\nf: 81 more like these, and then nobody looked any further"), "{many}");
    }
}
