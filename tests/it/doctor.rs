//! The doctor, as a person runs it on a machine without Kafka: what it finds, in which order, and what it leaves alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value as Json;

use crate::program::Machine;
use crate::program::ends;
use crate::program::text;

const DOCTOR: &[&str] = &["doctor", "--all", "--output", "json"];

/// All findings, the worst first.
fn findings(machine: &Machine, code: i32, environment: &[(&str, &str)]) -> Vec<Json> {
    let output = machine.run(DOCTOR, environment);
    ends(&output, code, &[]);
    let said: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["checks"].as_u64().unwrap() > 5, "{said:#}");
    said["findings"].as_array().unwrap().clone()
}

fn reasons(findings: &[Json]) -> Vec<&str> {
    findings.iter().map(|one| one["reason"].as_str().unwrap()).collect()
}

fn prepared() -> Machine {
    let machine = Machine::new(&["--replicas", "1"]);
    ends(&machine.init(&[("POD_NAME", "demo-0")]), 0, &[]);
    machine
}

/// What is found where all is prepared and nothing runs.
const NOTHING_RUNS: [&str; 3] = ["KafkaDown", "QuorumForming", "AgentDown"];

#[test]
fn where_nothing_was_prepared_everything_that_is_missing_is_named() {
    let machine = Machine::new(&["--replicas", "1"]);
    let findings = findings(&machine, 1, &[]);
    let want = [
        "LogDirNotFormatted",
        "StoreMissing",
        "StoreMissing",
        "PropertiesMissing",
        "PropertiesMissing",
        "EngineJarMissing",
        "AgentDown",
        "QuorumNotAsked",
    ];
    assert_eq!(reasons(&findings), want);
    assert!(!machine.path("pods").exists() && !machine.path("ca").exists());
}

#[test]
fn where_nothing_runs_that_is_all_that_is_found_and_nothing_is_written() {
    let machine = prepared();
    let before = machine.files("");
    assert_eq!(reasons(&findings(&machine, 1, &[])), NOTHING_RUNS);
    let output = machine.run(&["doctor", "--pod-name", "demo-0"], &[]);
    let want = "demo-0: Kafka: its Kafka does not run: nobody listens at any of its listeners [NotHealthy]";
    ends(&output, 1, &[want]);
    let said = text(&output.stdout);
    assert!(said.starts_with("hurts  demo-0: Kafka  KafkaDown\n") && !said.contains('\u{1b}'), "{said}");
    assert!(machine.files("") == before, "the doctor wrote something");
}

#[test]
fn a_disk_that_was_swapped_and_files_that_anybody_may_read_come_before_what_follows_from_them() {
    let machine = prepared();
    let keystore = machine.path("pods/demo-0/run/tls/node/keystore.pem");
    fs::set_permissions(&keystore, fs::Permissions::from_mode(0o644)).unwrap();
    let meta = machine.path("pods/demo-0/data/meta.properties");
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, text.replace("node.id=0", "node.id=7")).unwrap();
    fs::write(machine.path("pods/demo-0/run/engine/ssl-engine.jar"), b"PK\x03\x04 of another release")
        .unwrap();
    let environment = [("KAFKA_NUM_PARTITIONS", "5")];
    let findings = findings(&machine, 1, &environment);
    let want = [
        &["LogDirOfAnotherNode", "SecretReadableByAll"],
        NOTHING_RUNS.as_slice(),
        &["RestartPending", "EngineJarDiffers"],
    ];
    assert_eq!(reasons(&findings), want.concat());
    assert_eq!(findings[5]["evidence"][0], "num.partitions is nothing; want 5");
}

#[test]
fn what_is_said_to_be_done_next_can_be_done() {
    let machine = Machine::new(&["--replicas", "1"]);
    let mut commands: Vec<String> = Vec::new();
    for machine in [&machine, &prepared()] {
        let findings = findings(machine, 1, &[]);
        commands.extend(findings.iter().filter_map(|one| Some(one["next"].as_str()?.to_owned())));
    }
    assert!(commands.len() > 5);
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words.first(), Some(&"kraftlet"), "{command}");
        // With --help all other arguments are read, and refused where they are none.
        ends(&machine.run(&[&words[1..], &["--help"]].concat(), &[]), 0, &[]);
    }
}

#[test]
fn files_that_are_elsewhere_and_settings_that_are_wrong_are_wrong_usage() {
    let machine = Machine::new(&[]);
    let settings = machine.run(&["new-cluster"], &[]);
    fs::write(machine.path("cluster.yaml"), settings.stdout).unwrap();
    for arguments in [["doctor", "--all"].as_slice(), &["doctor", "--pod-name", "kafka-1"]] {
        let output = machine.run(arguments, &[("POD_NAMESPACE", "prod")]);
        ends(&output, 64, &["are in its own pod", "[FilesOutOfReach]"]);
    }
    ends(&machine.run(&["doctor", "--all", "--pod-name", "kafka-0"], &[]), 64, &["cannot be used with"]);
    fs::write(machine.path("cluster.yaml"), "kind: none\n").unwrap();
    ends(&machine.run(&["doctor", "--all"], &[]), 64, &["[SettingsInvalid]"]);
    let help = machine.run(&["doctor", "--help"], &[]);
    ends(&help, 0, &[]);
    assert!(text(&help.stdout).contains("Examples:"));
}
