//! The loop that writes Events of its pod, beside an API server in memory.

use std::sync::Arc;
use std::thread::JoinHandle;

use kraftlet::commands::sidecar::events::OfPod;
use kraftlet::commands::sidecar::events::tell;
use kraftlet::health::document;
use kraftlet::health::snapshot::Snapshot;
use kraftlet::health::text::Text;
use kraftlet::health::text::Word;
use kraftlet::kubernetes::io::Api;
use serde_json::Value;
use serde_json::json;
use tokio::sync::watch;

use crate::api_server;
use crate::api_server::Objects;
use crate::api_server::Server;
use crate::signer::until;

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/prod/events";

/// The loop, on a thread of its own, until there are no more snapshots.
struct Bench {
    objects: Objects,
    snapshots: watch::Sender<Arc<Snapshot>>,
    teller: JoinHandle<()>,
    _api: Server,
    _home: tempfile::TempDir,
}

impl Bench {
    fn begin(objects: Objects, first: Snapshot) -> Self {
        let home = tempfile::tempdir().unwrap();
        let server = api_server::serve(&objects, home.path(), "prod");
        let port = server.port.to_string();
        let folder = home.path().to_owned();
        let (snapshots, seen) = watch::channel(Arc::new(first));
        let teller = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let pod = OfPod { name: "demo-0".to_owned(), uid: "uid-0".to_owned() };
            runtime.block_on(async {
                let api = Api::of_service_account_at("127.0.0.1", &port, &folder).unwrap();
                tell(api, pod, seen).await;
            });
        });
        Self { objects, snapshots, teller, _api: server, _home: home }
    }

    fn events_of(&self, reason: &str) -> Vec<Value> {
        self.objects.named_below(EVENTS).into_iter().filter(|one| one["reason"] == reason).collect()
    }
}

fn snapshot() -> Snapshot {
    document::parse(include_bytes!("../fixtures/status.json")).unwrap()
}

/// Two certificates are renewed at once.
fn renewed() -> Snapshot {
    let mut snapshot = snapshot();
    let node = &mut snapshot.certificates[0];
    let outcome = node.last_outcome.as_mut().unwrap();
    (outcome.at, outcome.sentence) = (snapshot.at, Text::new("every channel shows the new leaf"));
    let mut client = node.clone();
    client.name = Text::new("client");
    snapshot.certificates.push(client);
    snapshot
}

#[test]
fn a_pod_has_events_of_a_restart_that_is_needed_and_of_each_new_leaf() {
    let bench = Bench::begin(Objects::default(), snapshot());
    until("the first Event", || bench.events_of("RestartNeeded").pop());
    bench.snapshots.send(Arc::new(renewed())).unwrap();
    until("two more", || (bench.events_of("Renewed").len() == 2).then_some(()));
    let told = bench.events_of("Renewed");
    let mut notes: Vec<&str> = told.iter().map(|one| one["note"].as_str().unwrap()).collect();
    notes.sort_unstable();
    let leaf = "(leaf 9f91161f, good until 2027-01-15T08:02:00Z): every channel shows the new leaf";
    assert_eq!(notes, [format!("certificate client {leaf}"), format!("certificate node {leaf}")]);
    for event in &told {
        assert_eq!((&event["type"], &event["action"]), (&json!("Normal"), &json!("Watch")));
        assert_eq!(event["reportingController"], "kraftlet.dev/sidecar");
        assert_eq!(event["reportingInstance"], "demo-0");
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "namespace": "prod", "name": "demo-0", "uid": "uid-0"});
        assert_eq!(event["regarding"], pod);
    }
    // The same again within ten minutes is not told.
    let mut again = renewed();
    again.certificates[0].last_outcome.as_mut().unwrap().at = again.agent.started_at;
    bench.snapshots.send(Arc::new(again)).unwrap();
    let Bench { objects, snapshots, teller, .. } = bench;
    drop(snapshots);
    teller.join().unwrap();
    assert_eq!(objects.named_below(EVENTS).len(), 3);
}

#[test]
fn without_the_right_there_are_no_events_and_nothing_else_happens() {
    let objects = Objects::default();
    let message = "events.events.k8s.io is forbidden: User cannot create resource";
    objects.refuse(EVENTS, 403, message);
    let bench = Bench::begin(objects, snapshot());
    let mut failed = renewed();
    failed.certificates[0].last_outcome.as_mut().unwrap().reason = Word::of("SourceUnreachable");
    bench.snapshots.send(Arc::new(failed)).unwrap();
    let Bench { objects, snapshots, teller, _api, _home } = bench;
    drop(snapshots);
    teller.join().unwrap();
    assert_eq!(objects.named_below(EVENTS), Vec::<Value>::new());
}
