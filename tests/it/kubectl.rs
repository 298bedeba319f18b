//! `kubectl kraftlet`: by its name or by a flag, and through whatever kubectl is on the PATH.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value as Json;
use serde_json::json;

use kraftlet::health::document;
use kraftlet::health::snapshot::Condition;
use kraftlet::health::snapshot::Settings;
use kraftlet::health::snapshot::Snapshot;
use kraftlet::health::text::Text;
use kraftlet::quorum::view::MemberStanding;
use kraftlet::quorum::view::QuorumState;

use crate::health::PATIENCE;
use crate::health::healthy;
use crate::proxied;
use crate::proxied::Agent;
use crate::proxied::Proxied;

/// Does what KUBECTL_DOES says. A file of the repository: one that a test writes may still be open in a child that another
/// test has just forked, and then nobody can run it (ETXTBSY).
const KUBECTL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/kubectl");

fn check(arguments: &[&str], script: &str, code: i32, want: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kraftlet"));
    command.env("PATH", format!("{KUBECTL}:/usr/bin:/bin")).env("KUBECTL_DOES", script);
    let output = command.env("TMPDIR", folder.path()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(code), want), "{arguments:?}");
    // The folder with the socket is gone again.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_kubectl_says_is_told_as_the_reason() {
    let status = ["--kubernetes", "status", "--namespace", "prod", "--context", "moon"];
    let script = "[ \"$1\" = --context=moon ] && echo 'error: context \"moon\" does not exist' >&2; exit 1";
    let want = "error: kubectl proxy does not run: context \"moon\" does not exist [KubectlFailed]\n";
    check(&status, script, 2, want);
    let status = ["status", "--kubernetes"];
    let want = "error: kubectl proxy does not run: kubectl config view says \"current-context must exist\"; \
                want a context or --namespace [KubectlFailed]\n";
    check(&status, "echo 'error: current-context must exist' >&2; exit 1", 2, want);
}

/// Its last words come when it has been waited for: `$$` is kubectl itself, which answers signals until then.
#[test]
fn last_words_are_heard_when_kubectl_has_ended() {
    let script = "( while kill -0 $$ 2>/dev/null; do :; done; echo 'error: no route' >&2 ) & exit 1";
    let status = ["--kubernetes", "status", "--namespace", "prod"];
    check(&status, script, 2, "error: kubectl proxy does not run: no route [KubectlFailed]\n");
}

#[test]
fn the_plugin_has_a_command_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-kraftlet");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kraftlet"), &plugin).unwrap();
    for (program, flag) in
        [(plugin.as_path(), None), (Path::new(env!("CARGO_BIN_EXE_kraftlet")), Some("--kubernetes"))]
    {
        let output = Command::new(program).args(flag).arg("--help").output().unwrap();
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(help.contains("Usage: kubectl kraftlet [OPTIONS] <COMMAND>"), "{help}");
        let output =
            Command::new(program).args(flag).args(["renew", "--namespace", "prod"]).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
    }
}

/// Opens the socket of the test in place of its own, and then does nothing more.
const PROXIES: &str = "for one; do case $one in --unix-socket=*) ln -s \"$API\" \"${one#--unix-socket=}\"; esac; done; \
                       exec tail -f /dev/null";

const PODS: &str = "/api/v1/namespaces/prod/pods";
const STATEFUL_SET: &str = "/apis/apps/v1/namespaces/prod/statefulsets/events";
const CONFIG_MAP: &str = "/api/v1/namespaces/prod/configmaps/events";

/// A cluster of two pods, which are ready and whose agents see nothing wrong; the first leads the quorum.
fn cluster() -> Proxied {
    let proxied = Proxied::default();
    proxied.objects.put(STATEFUL_SET, json!({"spec": {"replicas": 2}}));
    for node_id in 0..2 {
        let name = format!("events-{node_id}");
        let pod = json!({
            "metadata": {
                "name": name, "namespace": "prod", "uid": format!("uid-{node_id}"),
                "labels": {"kraftlet.dev/cluster": "events"},
                "annotations": {"kraftlet.dev/cluster": "events"},
                "creationTimestamp": "2026-11-23T18:08:54Z",
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "events", "uid": "x", "controller": true,
                }],
            },
            "spec": {
                "nodeName": "worker-0",
                "initContainers": [{"name": "kraftlet-init", "env": []}, {"name": "kraftlet"}],
                "containers": [{"name": "kafka"}],
            },
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True"}],
                "initContainerStatuses": [{"name": "kraftlet", "state": {"running": {}}}],
                "containerStatuses": [{"name": "kafka", "state": {"running": {}}}],
            },
        });
        proxied.objects.put(&format!("{PODS}/{name}"), pod);
        let mut snapshot = healthy(&name);
        snapshot.node.node_id = node_id.try_into().unwrap();
        snapshot.quorum.as_mut().unwrap().state = QuorumState::Healthy;
        snapshot.member.as_mut().unwrap().standing =
            if node_id == 0 { MemberStanding::Leader } else { MemberStanding::CaughtUp };
        snapshot.settings = Some(Settings::default());
        snapshot.channels.iter_mut().for_each(|channel| channel.restart_needed_by = None);
        says(&proxied, &snapshot);
    }
    proxied
}

/// Has the agent of this pod say so. It may stop.
fn says(proxied: &Proxied, snapshot: &Snapshot) {
    let agent = Agent::from([
        ("/v1/status", (200, document::json(snapshot))),
        ("/v1/safe-to-stop", (200, json!({"apiVersion": "kraftlet.dev/v1", "safe": true, "sentence": ""}))),
        ("/livez", (200, json!("ok"))),
    ]);
    proxied.agents.lock().unwrap().insert(snapshot.node.pod.to_string(), agent);
}

fn snapshot_of(proxied: &Proxied, pod: &str) -> Snapshot {
    let agents = proxied.agents.lock().unwrap();
    document::parse(agents[pod]["/v1/status"].1.to_string().as_bytes()).unwrap()
}

/// The exit code, what is said of the work and what of failures.
fn ask(proxied: &Proxied, script: &str, line: &str) -> (i32, String, String) {
    let (folder, served) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let socket = served.path().join("api");
    let proxied = Proxied {
        silent_after: proxied.silent_after.as_ref().map(|file| served.path().join(file)),
        ..proxied.clone()
    };
    let _served = proxied::serve(&proxied, &socket);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kraftlet"));
    command.env("PATH", format!("{KUBECTL}:/usr/bin:/bin")).env("KUBECTL_DOES", script).env("API", &socket);
    command.env("TMPDIR", folder.path()).args(["--kubernetes", "--namespace", "prod"]);
    let output = command.args(line.split(' ')).timeout(PATIENCE).output().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn status_says_that_pods_are_missing() {
    let proxied = cluster();
    let (code, said, failed) = ask(&proxied, PROXIES, "status");
    assert_eq!((code, failed.as_str()), (0, ""), "{said}");
    assert!(said.starts_with("events-0: healthy, node 0,") && said.contains("events-1: healthy"), "{said}");

    proxied.objects.put(STATEFUL_SET, json!({"spec": {"replicas": 3}}));
    let why = "StatefulSet events has 2 pods; want 3";
    let (code, said, failed) = ask(&proxied, PROXIES, "status");
    assert_eq!((code, failed), (1, format!("error: {why} [PodsMissing]\n")));
    assert!(said.contains(&format!("\npods are missing: {why}\n")), "{said}");
    let (code, said, _) = ask(&proxied, PROXIES, "status --output json");
    let json: Json = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["missing"], &json["missingError"]), (1, &json!([why]), &Json::Null));

    // Who may not look for them is told so, and it is no news of the cluster.
    proxied.objects.refuse(STATEFUL_SET, 403, "statefulsets.apps \"events\" is forbidden");
    let (code, said, failed) = ask(&proxied, PROXIES, "status");
    assert_eq!((code, failed.as_str()), (0, ""), "{said}");
    let want = "\nwhether pods are missing is not known: the API server refuses: statefulsets.apps \"events\" is forbidden\n";
    assert!(said.contains(want), "{said}");
    proxied.objects.refuse(STATEFUL_SET, 500, "etcd is away");
    let (code, _, failed) = ask(&proxied, PROXIES, "status");
    let want = "error: whether pods are missing is not known: the API server refuses: etcd is away [ApiServerRefused]\n";
    assert_eq!((code, failed.as_str()), (2, want));
}

#[test]
fn a_cluster_that_is_not_there_is_wrong_usage_only_where_it_may_be_named_wrongly() {
    let none = "error: namespace prod has no pod with the label kraftlet.dev/cluster; want the namespace of a cluster \
                [ClusterNotFound]\n";
    let other = "error: namespace prod has no pod of cluster x; it has those of events [ClusterNotFound]\n";
    for (proxied, line, code, want) in [
        (Proxied::default(), "status", 2, none),
        (Proxied::default(), "doctor", 2, none),
        (Proxied::default(), "restart", 64, none),
        (cluster(), "status --cluster x", 64, other),
    ] {
        let (got, _, failed) = ask(&proxied, PROXIES, line);
        assert_eq!((got, failed.as_str()), (code, want), "{line}");
    }
}

#[test]
fn who_may_not_forward_ports_is_told_which_rights_that_takes() {
    let proxied = cluster();
    proxied.agents.lock().unwrap().clear();
    for pod in ["events-0", "events-1"] {
        proxied.objects.refuse(&format!("{PODS}/{pod}/portforward"), 403, "pods is forbidden");
    }
    let why = "port 9640 of pod events-1 is not forwarded: the API server refuses: no right to get and create \
               pods/portforward (403)";
    let (code, _, failed) = ask(&proxied, PROXIES, "status");
    assert_eq!(code, 2);
    assert!(failed.ends_with(&format!("error: events-1: {why} [PortNotForwarded]\n")), "{failed}");
    let (code, said, failed) = ask(&proxied, PROXIES, "doctor");
    assert_eq!(code, 2, "{said}{failed}");
    assert!(said.contains("no right to get and create pods/portforward"), "{said}");
}

#[test]
fn restart_says_whose_turn_it_would_be_and_has_one_after_the_other_come_back() {
    let proxied = cluster();
    let (code, said, failed) = ask(&proxied, PROXIES, "restart --dry-run");
    assert_eq!((code, failed.as_str()), (0, ""));
    assert_eq!(said, "events-1: may stop now\nevents-0: may stop now\n");
    let (code, said, failed) = ask(&proxied, PROXIES, "restart");
    assert_eq!((code, failed.as_str()), (0, ""), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let wants = [
        "events-1: evicted",
        "events-1: is back after ",
        "events-0: evicted",
        "events-0: is back after ",
        "2 pods of events restarted in ",
    ];
    assert!(
        lines.len() == wants.len() && lines.iter().zip(wants).all(|(line, want)| line.starts_with(want)),
        "{said}"
    );
    let evicted = proxied.objects.get(&format!("{PODS}/events-1/eviction/events-1")).unwrap();
    assert_eq!(evicted["deleteOptions"]["preconditions"]["uid"], "uid-1");
}

#[test]
fn restart_waits_for_the_disruption_budget_and_says_so_where_there_is_no_bar() {
    let proxied = cluster();
    let why = "Cannot evict pod as it would violate the pod's disruption budget.";
    proxied.objects.refuse(&format!("{PODS}/events-1/eviction"), 429, why);
    let (code, said, failed) = ask(&proxied, PROXIES, "restart --timeout 1s");
    assert_eq!(code, 1);
    assert_eq!(said, format!("events-1 may not stop: the API server refuses: {why}\n"));
    let want = format!(
        "error: after 1s events-1 may not stop: the API server refuses: {why} [NotInTime]\ntry: to go on with this round: \
         kubectl kraftlet restart --namespace prod --cluster events --created-until 2026-11-23T18:08:54Z\n"
    );
    assert_eq!(failed, want);
}

#[test]
fn restart_leaves_a_pod_alone_that_could_not_start_again() {
    let proxied = cluster();
    let mut snapshot = snapshot_of(&proxied, "events-1");
    let why = "with the settings as they are now this pod could not start again: no pool has node 1";
    snapshot.settings = None;
    snapshot.conditions.push(Condition {
        reason: Settings::REFUSED,
        sentence: Text::new(why),
        since: snapshot.at,
        matters_at: snapshot.at,
        remedy: None,
    });
    says(&proxied, &snapshot);
    let (code, said, _) = ask(&proxied, PROXIES, "restart --dry-run --only-pending");
    assert_eq!((code, said), (0, format!("events-0: needs no restart\nevents-1: is not to stop: {why}\n")));
    let (code, said, failed) = ask(&proxied, PROXIES, "restart");
    assert_eq!((code, said.as_str()), (2, ""));
    assert!(
        failed.starts_with(&format!("error: events-1 is not restarted: {why} [SettingsRefused]\n")),
        "{failed}"
    );
    assert_eq!(proxied.objects.get(&format!("{PODS}/events-1")).unwrap()["metadata"]["uid"], "uid-1");
}

#[test]
fn doctor_tells_what_the_api_server_knows_and_what_it_does_not_say() {
    let proxied = cluster();
    proxied.objects.put(STATEFUL_SET, json!({"spec": {"replicas": 3}}));
    let (code, said, failed) = ask(&proxied, PROXIES, "doctor");
    assert_eq!(code, 1, "{said}{failed}");
    assert!(said.contains("StatefulSet events has 2 pods; want 3"), "{said}");
    for (code, want) in [
        (403, "whether pods are missing: there is no right to read the StatefulSets"),
        (500, "whether pods are missing: the API server refuses: etcd is away"),
    ] {
        proxied.objects.refuse(STATEFUL_SET, code, "etcd is away");
        let (_, said, _) = ask(&proxied, PROXIES, "doctor");
        assert!(said.contains(&format!("not checked: {want}\n")), "{said}");
    }
}

#[test]
fn explain_renders_what_a_pod_would_be_started_with() {
    let proxied = cluster();
    let settings = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: events\nclusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\n\
                    kafkaVersion: 4.4.0\npools:\n- {statefulSet: events, roles: [broker, controller], replicas: 2}\n\
                    certificates:\n  node:\n    source: {secret: {name: events-node-tls}}\n";
    proxied.objects.put(CONFIG_MAP, json!({"data": {"cluster.yaml": settings}}));
    let (code, said, failed) = ask(&proxied, PROXIES, "explain --pod events-1");
    assert_eq!((code, failed.as_str()), (0, ""), "{said}");
    assert!(
        said.starts_with("events-1: node 1, ") && said.contains("Kafka was started with these lines."),
        "{said}"
    );
    proxied.objects.put(CONFIG_MAP, json!({"data": {"cluster.yaml": "kind: KafkaCluster\n"}}));
    assert_eq!(ask(&proxied, PROXIES, "explain --pod events-1").0, 64);
}

/// kubectl has ended by the same Ctrl-C before we look for it: a process that nobody has waited for is a zombie.
#[test]
fn ctrl_c_is_told_as_such_though_it_ends_kubectl_too() {
    let script = format!(
        "( until [ -e \"${{API%api}}asked\" ]; do :; done; kill -TERM $$; until grep -q ') Z' /proc/$$/stat; do :; done; \
         kill -INT $PPID ) 2>/dev/null & {PROXIES}"
    );
    let proxied = Proxied { silent_after: Some("asked".into()), ..cluster() };
    for (line, want) in [("status", 2), ("restart", 1)] {
        let (code, _, failed) = ask(&proxied, &script, line);
        assert_eq!((code, failed.as_str()), (want, "error: ended by SIGINT [Interrupted]\n"));
    }
}
