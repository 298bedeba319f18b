//! The built binary, as a shell and a kubelet see it: exit codes, words, and what is on the disk afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use tempfile::TempDir;

/// A machine of one's own: a folder, and settings that keep everything in it.
pub(crate) struct Machine {
    folder: TempDir,
}

impl Machine {
    pub(crate) fn new(extra: &[&str]) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        let folder = machine.path("").display().to_string();
        let made =
            machine.run(&[&["new-cluster", "--name", "demo", "--local", &folder], extra].concat(), &[]);
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        fs::write(machine.path("cluster.yaml"), &made.stdout).unwrap();
        fs::write(machine.path("engine.jar"), ENGINE_JAR).unwrap();
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn edit(&self, from: &str, to: &str) {
        let settings = fs::read_to_string(self.path("cluster.yaml")).unwrap();
        assert!(settings.contains(from), "{settings}");
        fs::write(self.path("cluster.yaml"), settings.replace(from, to)).unwrap();
    }

    /// Gives the nodes another `host` than their random address.
    pub(crate) fn known_as(&self, host: &str) {
        let settings = fs::read_to_string(self.path("cluster.yaml")).unwrap();
        let line = settings.lines().find(|line| line.starts_with("host: ")).unwrap();
        self.edit(&format!("\n{line}\n"), &format!("\nhost: \"{host}\"\n"));
    }

    pub(crate) fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kraftlet"));
        command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(self.folder.path());
        command.env("KRAFTLET_ENGINE_JAR", self.path("engine.jar"));
        command.env("KRAFTLET_SETTINGS", self.path("cluster.yaml")).output().unwrap()
    }

    pub(crate) fn init(&self, environment: &[(&str, &str)]) -> Output {
        self.run(&["init"], environment)
    }

    /// Every file below a folder with its bytes.
    pub(crate) fn files(&self, below: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path(below)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        found
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn ends(output: &Output, code: i32, wanted: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}{}", text(&output.stdout));
    for want in wanted {
        assert!(said.contains(want), "want {want:?} in\n{said}");
    }
}

/// What `init` takes for a jar: it begins as one.
const ENGINE_JAR: &[u8] = b"PK\x03\x04 and so on";

pub(crate) const POD: (&str, &str) = ("POD_NAME", "demo-0");

#[test]
fn init_twice_is_init_once() {
    let machine = Machine::new(&["--replicas", "1"]);
    ends(&machine.init(&[POD]), 0, &[]);
    let first = machine.files("pods");
    let names: Vec<String> = first
        .keys()
        .map(|path| path.strip_prefix(machine.path("pods/demo-0")).unwrap().display().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "data/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint",
            "data/meta.properties",
            "run/client.properties",
            "run/engine/ssl-engine.jar",
            "run/server.properties",
            "run/tls/node/keystore.pem",
            "run/tls/node/truststore.pem",
        ]
    );
    ends(&machine.init(&[POD]), 0, &[]);
    assert!(machine.files("pods") == first, "the second run changed something");
}

#[test]
fn the_nodes_of_a_young_cluster_need_nobodys_word() {
    let machine = Machine::new(&[]);
    for pod in ["demo-2", "demo-0", "demo-1"] {
        ends(&machine.init(&[("POD_NAME", pod)]), 0, &[]);
    }
}

#[test]
fn all_problems_of_the_settings_come_at_once_with_their_lines() {
    let machine = Machine::new(&[]);
    machine.edit("kafkaVersion: 4.4.0", "kafkaVersion: 4.4.0\nreplicsa: 3\nformed: maybe");
    let output = machine.init(&[POD]);
    let file = machine.path("cluster.yaml").display().to_string();
    ends(
        &output,
        64,
        &[
            &format!("{file}:6:1: unknown key `replicsa`"),
            "    6 | replicsa: 3\n      | ^",
            &format!("{file}:7:9: `formed` is \"maybe\"; want true or false"),
            &format!("{file}:8:1: key `formed` stands here for the second time"),
            "[SettingsInvalid]",
        ],
    );
    assert!(machine.files("pods").is_empty());
}

#[test]
fn settings_that_are_no_settings_are_refused_with_one_clear_message() {
    let machine = Machine::new(&[]);
    let file = machine.path("cluster.yaml");
    for (bytes, want) in [
        (b"a: \xff".to_vec(), "1:4: byte 0xff is not UTF-8"),
        (vec![b'#'; 5_000_000], "want at most 262144"),
        (b"a: &a [1]\nb: [*a, *a]\n".to_vec(), "1:7: anchors are not read in settings"),
        (b"- 1\n".to_vec(), "the settings is a list; want a mapping"),
        (b"a: [\n".to_vec(), "not YAML"),
    ] {
        fs::write(&file, bytes).unwrap();
        ends(&machine.init(&[POD]), 64, &[want]);
    }
    fs::remove_file(&file).unwrap();
    ends(&machine.init(&[POD]), 64, &["cannot read ", "No such file or directory", "[FileUnreadable]"]);
    fs::create_dir(&file).unwrap();
    ends(&machine.init(&[POD]), 64, &["not a file"]);
}

#[test]
fn a_pod_that_is_no_node_is_wrong_usage() {
    let machine = Machine::new(&[]);
    ends(&machine.init(&[]), 64, &["POD_NAME is not set, and there is no file /etc/podinfo/name"]);
    ends(&machine.init(&[("POD_NAME", "demo")]), 64, &["pod name \"demo\" has no ordinal"]);
    ends(&machine.init(&[("POD_NAME", "demo-4294967296")]), 64, &["ordinal is greater than 2147483647"]);
    ends(&machine.init(&[("POD_NAME", "other-0")]), 64, &["the settings have pools for demo"]);
    ends(
        &machine.init(&[("POD_NAME", "demo-3")]),
        64,
        &["controller demo-3 (node 3) is not among the voters"],
    );
    assert!(machine.files("pods").is_empty());
}

#[test]
fn wrong_usage_ends_with_64_and_help_with_0() {
    let machine = Machine::new(&[]);
    ends(&machine.run(&["innit"], &[]), 64, &["unrecognized subcommand 'innit'"]);
    ends(&machine.run(&["init", "--settigns", "x"], &[]), 64, &["unexpected argument '--settigns'"]);
    let help = machine.run(&["init", "--help"], &[]);
    ends(&help, 0, &[]);
    assert!(text(&help.stdout).contains("Examples:"), "{}", text(&help.stdout));
    assert!(!text(&help.stdout).contains('\u{1b}'), "colour without a terminal");
}

#[test]
fn keys_that_kraftlet_owns_are_refused_wherever_they_come_from() {
    let machine = Machine::new(&[]);
    fs::create_dir(machine.path("properties")).unwrap();
    fs::write(machine.path("properties/all.properties"), "process.roles=broker\n").unwrap();
    ends(
        &machine.init(&[POD, ("KAFKA_NODE_ID", "7"), ("KAFKA_PORT", "tcp://10.0.0.1:9092")]),
        64,
        &[
            "all.properties: `process.roles` cannot be set here; its value comes from `pools[].roles`",
            "KAFKA_NODE_ID: `node.id` cannot be set here",
        ],
    );
    assert!(machine.files("pods").is_empty());
}

#[test]
fn the_last_of_settings_file_and_environment_wins() {
    let machine = Machine::new(&["--replicas", "1"]);
    machine.edit("kind: KafkaCluster", "kind: KafkaCluster\nproperties: {all: {a: s, b: s, c: s}}");
    fs::create_dir(machine.path("properties")).unwrap();
    fs::write(machine.path("properties/all.properties"), "b=f\nc=f\n").unwrap();
    fs::write(machine.path("properties/combined.properties"), "d: \\u00e9\\ud83d\\ude00\n").unwrap();
    ends(&machine.init(&[POD, ("KAFKA_C", "e")]), 0, &[]);
    let written = text(&machine.files("pods")[&machine.path("pods/demo-0/run/server.properties")]);
    for want in ["\na=s\n", "\nb=f\n", "\nc=e\n", "\nd=\\u00e9\\ud83d\\ude00\n"] {
        assert!(written.to_lowercase().contains(want), "want {want:?} in\n{written}");
    }
}

#[test]
fn a_password_is_only_in_the_file_for_passwords() {
    let machine = Machine::new(&["--replicas", "1"]);
    let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required password=\"hunter2\";";
    let environment = [POD, ("KAFKA_LISTENER_NAME_CLIENT_PLAIN_SASL_JAAS_CONFIG", jaas)];
    let init = machine.init(&environment);
    ends(&init, 0, &[]);
    let explain = machine.run(&["explain"], &environment);
    let holders: Vec<PathBuf> = machine
        .files("pods")
        .into_iter()
        .filter(|(_, bytes)| text(bytes).contains("hunter2"))
        .map(|(p, _)| p)
        .collect();
    let secrets = machine.path("pods/demo-0/run/secrets.properties");
    assert_eq!(holders, [secrets.as_path()]);
    assert_eq!(mode(&secrets), 0o440);
    ends(&machine.init(&[POD]), 0, &[]);
    assert!(!text(&fs::read(&secrets).unwrap()).contains("hunter2"), "a password stays that nobody uses");
    for output in [init, explain] {
        assert!(!format!("{}{}", text(&output.stdout), text(&output.stderr)).contains("hunter2"));
    }
}

#[test]
fn a_directory_of_another_cluster_or_node_is_refused_and_left_as_it_is() {
    let machine = Machine::new(&["--replicas", "1"]);
    ends(&machine.init(&[POD]), 0, &[]);
    let before = machine.files("pods/demo-0/data");
    let settings = fs::read_to_string(machine.path("cluster.yaml")).unwrap();
    let id = settings.lines().find_map(|line| line.strip_prefix("clusterId: ")).unwrap();
    machine.edit(id, "Xk3vXo2uTwq9ZQbn0eM1Jw");
    ends(&machine.init(&[POD]), 2, &[id, "Xk3vXo2uTwq9ZQbn0eM1Jw", "[LogDirOfAnotherCluster]"]);
    machine.edit("Xk3vXo2uTwq9ZQbn0eM1Jw", id);
    machine.edit("nodeIds: {first: 0,", "nodeIds: {first: 7,");
    ends(&machine.init(&[POD]), 2, &["node.id", "7"]);
    assert!(machine.files("pods/demo-0/data") == before);
}

#[test]
fn a_certificate_that_kafka_would_choke_on_is_refused_with_every_reason() {
    let machine = Machine::new(&["--replicas", "1"]);
    ends(&machine.init(&[POD]), 0, &[]);
    // The demo's own leaf, mounted for a pod of another cluster's name and with another key.
    let keystore = fs::read_to_string(machine.path("pods/demo-0/run/tls/node/keystore.pem")).unwrap();
    let ca_key = fs::read_to_string(machine.path("ca/ca.key")).unwrap();
    let block = |text: &str, kind: &str| {
        let begin = text.find(&format!("-----BEGIN {kind}")).unwrap();
        let end = text[begin..].find(&format!("-----END {kind}-----")).unwrap() + begin;
        format!("{}-----END {kind}-----\n", &text[begin..end])
    };
    let mounted = machine.path("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("tls.key"), block(&ca_key, "PRIVATE KEY")).unwrap();
    fs::write(mounted.join("tls.crt"), block(&keystore, "CERTIFICATE")).unwrap();
    fs::copy(machine.path("ca/ca.crt"), mounted.join("ca.crt")).unwrap();
    machine.edit("localCa", "mounted");
    machine.edit("/ca\"", "/mounted\"");
    machine.known_as("{pod}.elsewhere.localhost");
    machine.edit("name: demo", "name: other");
    let before = machine.files("pods");
    let refused = machine.init(&[POD]);
    ends(
        &refused,
        2,
        &["[KeyMismatch]", "[HostNotCovered]", "demo-0.elsewhere.localhost", "[PrincipalNotSuperUser]"],
    );
    // Its three listeners are known by one name, which is missing once.
    assert_eq!(text(&refused.stderr).matches("[HostNotCovered]").count(), 1);
    assert!(machine.files("pods") == before);
}

#[test]
fn explain_writes_nothing_and_shows_what_would_change() {
    let machine = Machine::new(&["--replicas", "1"]);
    let explained = machine.run(&["explain", "--pod-name", "demo-0"], &[]);
    ends(&explained, 0, &[]);
    assert!(!machine.path("pods").exists() && !machine.path("ca").exists());
    assert!(text(&explained.stdout).contains("The file is not there yet."));
    ends(&machine.init(&[POD]), 0, &[]);
    let json = machine.run(&["explain", "--output", "json"], &[POD, ("KAFKA_NUM_PARTITIONS", "5")]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        json["changes"],
        serde_json::json!([{"key": "num.partitions", "before": null, "after": "5"}]),
        "{json:#}"
    );
    let line = json["lines"].as_array().unwrap().iter().find(|line| line["key"] == "num.partitions").unwrap();
    assert_eq!(
        (line["origin"].as_str(), line["from"].as_str()),
        (Some("env"), Some("env KAFKA_NUM_PARTITIONS"))
    );
}

#[test]
fn the_folder_of_the_downward_api_says_who_the_pod_is() {
    let machine = Machine::new(&["--mode", "dedicated"]);
    fs::create_dir(machine.path("podinfo")).unwrap();
    for (name, value) in [("name", "demo-broker-2\n"), ("namespace", "prod"), ("zone", "eu-1a")] {
        fs::write(machine.path("podinfo").join(name), value).unwrap();
    }
    machine.known_as("{pod}.{namespace}.example.com");
    ends(&machine.run(&["init", "--pod-info", "podinfo"], &[]), 0, &[]);
    let written = text(&machine.files("pods")[&machine.path("pods/demo-broker-2/run/server.properties")]);
    for want in [
        "node.id=2\n",
        "process.roles=broker\n",
        "broker.rack=eu-1a\n",
        "demo-broker-2.prod.example.com:9092",
    ] {
        assert!(written.contains(want), "want {want:?} in\n{written}");
    }
    let other = [("POD_NAME", "demo-broker-1")];
    let want = "POD_NAME is \"demo-broker-1\", and podinfo/name says \"demo-broker-2\"";
    ends(&machine.run(&["init", "--pod-info", "podinfo"], &other), 64, &[want]);
}

#[test]
fn a_certificate_that_is_not_mounted_yet_may_come() {
    let machine = Machine::new(&["--replicas", "1"]);
    machine.edit("localCa", "mounted");
    let want = ["tls.crt is missing", "tls.key is missing", "ca.crt is missing", "[CertificateFileMissing]"];
    ends(&machine.init(&[POD]), 1, &want);
    assert!(!machine.path("pods").exists());
}

#[test]
fn two_voters_with_one_address_are_refused() {
    let machine = Machine::new(&[]);
    machine.known_as("kafka.example.com");
    ends(&machine.init(&[POD]), 64, &["gives two nodes the same address kafka.example.com:9093"]);
}

#[test]
fn what_is_no_text_or_no_file_is_refused_at_once() {
    let machine = Machine::new(&["--replicas", "1"]);
    fs::create_dir(machine.path("properties")).unwrap();
    let pipe = machine.path("properties/all.properties");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    ends(&machine.init(&[POD]), 64, &["all.properties", "not a file"]);
    fs::remove_file(&pipe).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kraftlet"));
    command
        .arg("init")
        .env_clear()
        .env("POD_NAME", "demo-0")
        .env("KRAFTLET_SETTINGS", machine.path("cluster.yaml"));
    command.env("KAFKA_A", std::ffi::OsStr::from_bytes(b"a\xff"));
    ends(&command.output().unwrap(), 64, &["KAFKA_A is not UTF-8"]);
    ends(&machine.init(&[POD, ("KAFKA_", "x")]), 64, &["KAFKA_: \"\" is no key"]);
}

#[test]
fn words_that_nobody_could_read_are_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kraftlet"));
    let output = command.arg("new-cluster").stdout(full).output().unwrap();
    ends(&output, 1, &["cannot write to standard output", "[OutputFailed]"]);
}

#[test]
fn explain_for_another_pod_does_not_take_this_pods_facts_for_its() {
    let machine = Machine::new(&[]);
    machine.edit("runFolder:", "properties: {all: {a: b}}\nrunFolder:");
    let here = [POD, ("POD_IP", "10.0.0.1"), ("POD_ZONE", "eu-1a"), ("NODE_NAME", "worker-1")];
    let explain = |pod: &str| {
        text(&machine.run(&["explain", "--pod-name", pod, "--pod-info", "/nowhere"], &here).stdout)
    };
    let other = explain("demo-1");
    assert!(other.contains("demo-1: node 1") && !other.contains("eu-1a"), "{other}");
    assert!(other.contains("note: init asks the other controllers first"), "{other}");
}

#[test]
fn two_runs_in_one_folder_do_not_meet() {
    let machine = Machine::new(&["--replicas", "1"]);
    ends(&machine.init(&[POD]), 0, &[]);
    let _held = kraftlet::disk::io::lock(&machine.path("pods/demo-0/run")).unwrap().unwrap();
    ends(&machine.init(&[POD]), 1, &["another kraftlet is at work in", "[AlreadyRunning]"]);
}

#[test]
fn a_cluster_id_is_random_and_never_begins_with_a_hyphen() {
    let machine = Machine::new(&[]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let id = text(&machine.run(&["cluster-id"], &[]).stdout).trim().to_owned();
        assert!(id.len() == 22 && !id.starts_with('-'), "{id}");
        assert!(seen.insert(id));
    }
}

#[test]
fn what_new_cluster_prints_fits_the_published_schema() {
    let machine = Machine::new(&[]);
    let schema: serde_json::Value = serde_json::from_slice(&machine.run(&["schema"], &[]).stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let shapes: [&[&str]; 5] = [
        &[],
        &["--mode", "dedicated"],
        &["--quorum", "dynamic", "--replicas", "5"],
        &["--mode", "dedicated", "--quorum", "dynamic", "--local", "/tmp/x"],
        &["--reload", "admin-api", "--local", "/tmp/x", "--lifetime", "2m"],
    ];
    for shape in shapes {
        let printed = machine.run(&[&["new-cluster"], shape].concat(), &[]);
        ends(&printed, 0, &[]);
        let document: serde_json::Value = serde_saphyr::from_slice(&printed.stdout).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{}", text(&printed.stdout));
    }
}

#[test]
fn each_node_on_one_machine_has_a_loopback_address_of_its_own() {
    let machine = Machine::new(&["--mode", "dedicated", "--lifetime", "2m", "--reload", "admin-api"]);
    let settings = fs::read_to_string(machine.path("cluster.yaml")).unwrap();
    let host = settings.lines().find_map(|line| line.strip_prefix("host: \"")).unwrap();
    let range = host.strip_suffix(".{nodeId+1}\"").unwrap();
    assert!(range.starts_with("127.") && !range.starts_with("127.0."), "{settings}");
    assert!(settings.contains(&format!("bindHost: \"{host}\n")), "{settings}");
    assert!(
        settings.contains("    lifetime: \"2m\"\n") && settings.contains("reload: adminApi\n"),
        "{settings}"
    );
    ends(&machine.init(&[("POD_NAME", "demo-controller-2")]), 0, &[]);
    let written = text(&machine.files("pods")[&machine.path("pods/demo-controller-2/run/server.properties")]);
    let want = format!("listeners=CONTROLLER://{range}.103:9093\n");
    assert!(written.contains(&want), "want {want:?} in\n{written}");
    let too_many = machine.run(&["new-cluster", "--local", "/tmp/x", "--replicas", "300"], &[]);
    ends(&too_many, 64, &["its range is 0..253"]);
    let alone = machine.run(&["new-cluster", "--lifetime", "2m"], &[]);
    ends(&alone, 64, &["--local"]);
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn controllers_behind_a_login_do_not_keep_a_young_cluster_from_forming() {
    let machine = Machine::new(&[]);
    let listeners = "listeners:\n\
        - {name: CONTROLLER, port: 9093, for: [controllers], securityProtocol: SASL_SSL, saslMechanisms: [PLAIN]}\n\
        - {name: CLIENT, port: 9092, for: [brokers, clients]}\n";
    machine.edit("kind: KafkaCluster\n", &format!("kind: KafkaCluster\n{listeners}"));
    ends(&machine.init(&[POD]), 0, &[]);
    machine.edit("formed: false", "formed: true");
    let want =
        "controller 0: not asked: listener CONTROLLER wants a login, and the settings have no `agent.sasl`";
    ends(&machine.init(&[("POD_NAME", "demo-1")]), 1, &["[EmptyDiskNoLeader]", want]);
    // With one they are asked.
    let password = machine.path("agent.password");
    let login =
        format!("agent: {{sasl: {{mechanism: PLAIN, username: kafka, passwordFile: {password:?}}}}}\n");
    machine.edit("kind: KafkaCluster\n", &format!("kind: KafkaCluster\n{login}"));
    ends(&machine.init(&[("POD_NAME", "demo-1")]), 64, &["agent.password"]);
    fs::write(&password, "sesame\n").unwrap();
    ends(
        &machine.init(&[("POD_NAME", "demo-1")]),
        1,
        &["[EmptyDiskNoLeader]", "controller 0: nobody listens at"],
    );
}

/// Settings with one controller.
const ALONE: &[&str] = &["--replicas", "1"];
const ALONE_AND_DYNAMIC: &[&str] = &["--replicas", "1", "--quorum", "dynamic"];

#[test]
fn an_only_controller_that_lost_its_disk_waits_for_a_person_and_then_comes_back() {
    for extra in [ALONE, ALONE_AND_DYNAMIC] {
        let machine = Machine::new(extra);
        machine.edit("formed: false", "formed: true");
        ends(&machine.init(&[POD]), 2, &["[EmptyDiskNobodyToAsk]", "storage.formatEmptyDiskOf"]);
        assert!(!machine.path("pods/demo-0/data").exists());
        machine.edit("storage:\n", "storage:\n  formatEmptyDiskOf: [demo-0]\n");
        let output = machine.init(&[POD]);
        ends(&output, 0, &[]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains("[EmptyDiskLossAccepted]"), "{said}");
        assert_eq!(said.contains("dynamic metadata voter directory"), extra == ALONE_AND_DYNAMIC, "{said}");
    }
}

#[test]
fn a_pod_in_format_empty_disk_of_is_formatted_in_a_cluster_that_is_not_said_to_have_formed() {
    let machine = Machine::new(ALONE);
    machine.edit("storage:\n", "storage:\n  formatEmptyDiskOf: [demo-0]\n");
    let output = machine.init(&[POD]);
    ends(&output, 0, &[]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains("[EmptyDiskLossAccepted]"), "{said}");
}

#[test]
fn a_node_whose_certificate_failed_asks_nobody() {
    let controller = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    controller.set_nonblocking(true).unwrap();
    let port = controller.local_addr().unwrap().port();
    let machine = Machine::new(&[]);
    let listeners = format!(
        "listeners:\n- {{name: CONTROLLER, port: {port}, for: [controllers], securityProtocol: SSL}}\n\
         - {{name: CLIENT, port: 9092, for: [brokers, clients]}}\n"
    );
    machine.edit("kind: KafkaCluster\n", &format!("kind: KafkaCluster\n{listeners}"));
    machine.edit("localCa", "mounted");
    machine.edit("formed: false", "formed: true");
    let want = "controller 1: not asked: listener CONTROLLER wants TLS, and the certificate is not usable";
    ends(&machine.init(&[POD]), 1, &["[CertificateFileMissing]", "[EmptyDiskNoLeader]", want]);
    let asked = controller.accept().map_err(|error| error.kind());
    assert_eq!(asked.err(), Some(std::io::ErrorKind::WouldBlock));
}

#[test]
fn the_engine_needs_its_jar_and_the_admin_api_does_not() {
    let machine = Machine::new(&["--replicas", "1"]);
    let want = [
        "cannot read none.jar: No such file or directory (os error 2); `reload: engine` needs kraftlet's jar; name it with \
         --engine-jar or KRAFTLET_ENGINE_JAR, or say `reload: adminApi` [EngineJarUnreadable]",
    ];
    ends(&machine.run(&["init", "--engine-jar", "none.jar"], &[POD]), 2, &want);
    fs::write(machine.path("no.jar"), "not a jar").unwrap();
    let no_jar = machine.run(&["init", "--engine-jar", "no.jar"], &[POD]);
    ends(&no_jar, 2, &["no.jar is no jar of kraftlet's engine; ", "[EngineJarUnusable]"]);
    assert!(machine.files("pods").is_empty());
    let done = machine.init(&[POD]);
    ends(&done, 0, &[]);
    let jar = machine.path("pods/demo-0/run/engine/ssl-engine.jar");
    let variable = format!("CLASSPATH={}", jar.display());
    assert!(text(&done.stdout).contains(&format!("environment variable {variable}\n")));
    assert!(text(&machine.run(&["explain"], &[POD]).stdout).contains(&variable));
    assert_eq!(mode(&jar), 0o644);
    assert_eq!(mode(jar.parent().unwrap()) & 0o777, 0o775);
    let machine = Machine::new(&["--replicas", "1", "--reload", "admin-api"]);
    let done = machine.run(&["init", "--engine-jar", "none.jar"], &[POD]);
    ends(&done, 0, &[]);
    assert!(!text(&done.stdout).contains("CLASSPATH"));
    let properties = fs::read_to_string(machine.path("pods/demo-0/run/server.properties")).unwrap();
    assert!(!properties.contains("engine") && !machine.path("pods/demo-0/run/engine").exists());
}

#[test]
fn the_engine_is_named_for_each_listener_that_a_node_has_or_calls() {
    let machine = Machine::new(&["--mode", "dedicated", "--replicas", "1"]);
    let named = |pod: &str| {
        ends(&machine.init(&[("POD_NAME", pod)]), 0, &[]);
        let run = machine.path(&format!("pods/{pod}/run"));
        let properties = fs::read_to_string(run.join("server.properties")).unwrap();
        let engine = format!("{}/", run.join("engine").display());
        let lines =
            properties.lines().filter(|line| line.contains("ssl.engine.") || line.contains(".kraftlet."));
        lines.map(|line| line.replace(&engine, "engine/")).collect::<Vec<_>>()
    };
    let of = |listener: &str| {
        [
            format!("listener.name.{listener}.kraftlet.log.dir=engine/{listener}"),
            format!(
                "listener.name.{listener}.ssl.engine.factory.class=dev.kraftlet.ssl.FileSslEngineFactory"
            ),
        ]
    };
    assert_eq!(named("demo-controller-0"), of("controller"));
    assert_eq!(named("demo-broker-0"), [of("client"), of("controller"), of("internal")].concat());
}
