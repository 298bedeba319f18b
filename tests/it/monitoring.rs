//! The alerts and the dashboard name what there is: metrics that the agent gives, commands that the program has.
//!
//! `e2e/monitoring.sh` has promtool read the dashboard's queries, which are left in a folder for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value as Json;
use serde_json::json;

use kraftlet::health::document;
use kraftlet::health::latency::Latencies;
use kraftlet::health::metrics;
use kraftlet::health::metrics::Process;
use kraftlet::health::probe::Probe;

use crate::program::text;

fn manifest(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/monitoring").join(name)).unwrap()
}

fn yaml(name: &str) -> Json {
    serde_saphyr::from_str(&manifest(name)).unwrap()
}

fn dashboard() -> Json {
    serde_json::from_str(&manifest("dashboard.json")).unwrap()
}

/// The values of these keys, wherever they are.
fn values<'a>(document: &'a Json, keys: &[&str]) -> Vec<&'a str> {
    match document {
        Json::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(text) if keys.contains(&name.as_str()) => vec![text],
                _ => values(value, keys),
            })
            .collect(),
        Json::Array(all) => all.iter().flat_map(|one| values(one, keys)).collect(),
        _ => Vec::new(),
    }
}

/// Our metrics that a query names.
fn metrics_of(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    words.filter(|word| word.starts_with("kraftlet_") || word.starts_with("process_"))
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_there_are() {
    let snapshot = document::parse(include_bytes!("../fixtures/status.json")).unwrap();
    let latencies = Latencies::default();
    let probes = Probe::ALL.map(|probe| (probe, latencies.histogram(probe)));
    let process = Process { now: snapshot.at, resident_bytes: Some(1), probes };
    let said = metrics::render(Arc::new(snapshot), process);
    let there: BTreeSet<&str> =
        said.lines().filter_map(|line| line.split(['{', ' ']).next()).filter(|name| *name != "#").collect();
    let (alerts, dashboard) = (yaml("alerts.yaml"), dashboard());
    let mut queries = values(&alerts, &["expr"]);
    queries.extend(values(&dashboard, &["expr", "definition", "query"]));
    let named: BTreeSet<&str> = queries.iter().flat_map(|query| metrics_of(query)).collect();
    assert!(named.len() > 20, "{named:?}");
    let unknown: Vec<_> = named.difference(&there).collect();
    assert!(unknown.is_empty(), "{unknown:?} in\n{said}");
}

#[test]
fn each_alert_says_what_it_is_and_names_a_command_that_there_is() {
    let help = Command::new(env!("CARGO_BIN_EXE_kraftlet")).arg("--help").output().unwrap();
    let help = text(&help.stdout);
    let commands: BTreeSet<&str> = help.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let alerts = yaml("alerts.yaml");
    for group in alerts["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let name = rule["alert"].as_str().unwrap();
            let severity = rule["labels"]["severity"].as_str().unwrap();
            assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
            for annotation in ["summary", "description"] {
                assert!(rule["annotations"][annotation].is_string(), "{name} has no {annotation}");
            }
            let runbook = rule["annotations"]["runbook"].as_str().unwrap();
            let command = runbook.strip_prefix("kraftlet ").and_then(|rest| rest.split(' ').next()).unwrap();
            assert!(commands.contains(command), "{name}: {runbook}");
        }
    }
}

#[test]
fn each_alert_is_shown_to_fire_and_to_be_silent() {
    let (alerts, tests) = (yaml("alerts.yaml"), yaml("alerts.test.yaml"));
    let checks: Vec<&Json> = tests["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array().unwrap())
        .collect();
    for name in values(&alerts, &["alert"]) {
        for fires in [true, false] {
            let is_shown = checks
                .iter()
                .any(|check| check["alertname"] == name && check["exp_alerts"].is_array() == fires);
            assert!(is_shown, "{name} is not tested to {}", if fires { "fire" } else { "be silent" });
        }
    }
}

#[test]
fn the_dashboards_queries_are_left_for_promtool() {
    let dashboard = dashboard();
    let rules: Vec<Json> = values(&dashboard["panels"], &["expr"])
        .iter()
        .enumerate()
        .map(|(index, query)| json!({"record": format!("panel:{index}"), "expr": query.replace("$__rate_interval", "5m")}))
        .collect();
    assert!(rules.len() > 20, "{rules:?}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("monitoring");
    fs::create_dir_all(&folder).unwrap();
    let file = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    // Every JSON text is YAML.
    fs::write(folder.join("queries.yaml"), format!("{file:#}")).unwrap();
}

#[test]
fn the_dashboards_panels_do_not_lie_on_each_other() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24 && ids.insert(panel["id"].as_u64()), "{}", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} at {x}, {y}", panel["title"]);
            }
        }
    }
}
