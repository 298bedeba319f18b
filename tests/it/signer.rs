//! `kraftlet signer`, the built program, beside an API server in memory; and the sources that ask it.

use std::io::Read;
use std::net::TcpListener;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kraftlet::certificates::bundle::Bundle;
use kraftlet::certificates::request::Request;
use kraftlet::certificates::sources::Source;
use kraftlet::certificates::sources::signer::Signer;
use kraftlet::pki::chain;
use kraftlet::pki::csr;
use kraftlet::pki::io::generate;
use kraftlet::pki::key_kind::KeyAlgorithm;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use serde_json::json;

use crate::api_server;
use crate::api_server::Objects;
use crate::api_server::Server;
use crate::loopback::PATIENCE;

const POD: &str = "/api/v1/namespaces/prod/pods/kafka-0";
const CONFIG_MAP: &str = "/api/v1/namespaces/prod/configmaps/events-settings";
const TRUST: &str = "/api/v1/namespaces/prod/configmaps/kraftlet-trust";
const SECRET: &str = "/api/v1/namespaces/system/secrets/prod.events";
const SERVING: &str = "/api/v1/namespaces/system/configmaps/kraftlet-serving-ca";
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/namespaces/prod/podcertificaterequests";
const BUNDLE: &str = "/apis/certificates.k8s.io/v1/clustertrustbundles/kraftlet.dev:kafka-node:prod.events";

const SETTINGS: &str = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: events\n\
    clusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\nkafkaVersion: 4.4.0\n\
    pools:\n- {statefulSet: kafka, roles: [broker, controller], replicas: 3}\n\
    certificates:\n  node: {source: {signer: {}}, lifetime: 2h}\n  web: {source: {podCertificate: {}}, lifetime: 1d}\n";

/// Signers, and what they need.
struct Bench {
    home: tempfile::TempDir,
    objects: Objects,
    api: Server,
    signers: Vec<(Child, u16)>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        for (signer, _) in &mut self.signers {
            let _ = signer.kill();
            let _ = signer.wait();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} has not come");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

impl Bench {
    /// A namespace `prod` with a pod `kafka-0` whose token is `token-0`.
    fn begin(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let objects = Objects::default();
        let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "kafka", "uid": "s-1", "controller": true}]);
        objects.put(
            POD,
            json!({
                "metadata": {
                    "name": "kafka-0", "namespace": "prod", "uid": "u-0", "ownerReferences": owner,
                    "annotations": {"kraftlet.dev/inject": "true", "kraftlet.dev/cluster": "events-settings"},
                },
                "spec": {"nodeName": "machine-1", "serviceAccountName": "kafka"},
                "status": {"phase": "Pending", "podIP": "127.0.0.1"},
            }),
        );
        objects.put(
            "/apis/apps/v1/namespaces/prod/statefulsets/kafka",
            json!({"metadata": {"name": "kafka", "namespace": "prod", "uid": "s-1"}}),
        );
        objects.put(CONFIG_MAP, json!({"metadata": {"name": "events-settings", "uid": "c-1"}, "data": {"cluster.yaml": SETTINGS}}));
        objects.token(
            "token-0",
            json!({"authenticated": true, "audiences": ["kraftlet-signer"], "user": {
            "username": "system:serviceaccount:prod:kafka", "extra": {
                "authentication.kubernetes.io/pod-name": ["kafka-0"],
                "authentication.kubernetes.io/pod-uid": ["u-0"],
                "authentication.kubernetes.io/node-name": ["machine-1"],
            }}}),
        );
        std::fs::write(home.path().join("pod-token"), "token-0\n").unwrap();
        let api = api_server::serve(&objects, home.path(), "system");
        let mut bench = Self { home, objects, api, signers: Vec::new() };
        bench.another("one", arguments);
        bench
    }

    fn another(&mut self, name: &str, arguments: &[&str]) -> u16 {
        let port = free_port();
        let signer = Command::new(env!("CARGO_BIN_EXE_kraftlet"))
            .args(["signer", "--identity", name, "--service", "localhost", "--port", &port.to_string()])
            .arg("--service-account")
            .arg(self.home.path())
            .args(arguments)
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", self.api.port.to_string())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.signers.push((signer, port));
        port
    }

    fn port(&self) -> u16 {
        self.signers.last().unwrap().1
    }

    fn serving_ca(&self) -> String {
        let text = |found: Value| found["data"]["ca.crt"].as_str().map(str::to_owned);
        until("the signer's CA", || self.objects.get(SERVING).and_then(text))
    }

    fn source(&self) -> Signer {
        let (stores, token) = (self.home.path().join("stores"), self.home.path().join("pod-token"));
        let address = format!("localhost:{}", self.port());
        Signer::new(&address, "node", &stores, &token, &self.serving_ca())
    }

    fn fetch(&self) -> Result<Bundle, String> {
        let fetched = self.source().fetch(&request(), SystemTime::now());
        fetched.map_err(|error| kraftlet::causes::chain(&error))
    }

    fn ask_as_kubelet(&self, name: &str, uid: &str) {
        let pem = csr::bare(&generate(KeyAlgorithm::default()).unwrap()).unwrap();
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap();
        self.objects.put(
            &format!("{REQUESTS}/{name}"),
            json!({"metadata": {"name": name, "namespace": "prod"}, "spec": {
                "signerName": "kraftlet.dev/kafka-node", "podName": "kafka-0", "podUID": uid,
                "serviceAccountName": "kafka", "nodeName": "machine-1", "maxExpirationSeconds": 7200,
                "unverifiedUserAnnotations": {"kraftlet.dev/certificate": "web"},
                "stubPKCS10Request": STANDARD.encode(der.as_ref()),
            }}),
        );
    }

    fn answer_to(&self, name: &str) -> Option<Value> {
        let status = self.objects.get(&format!("{REQUESTS}/{name}"))?["status"].clone();
        (!status.is_null()).then_some(status)
    }

    /// What the last signer has said, once it is over.
    fn log(mut self) -> String {
        let (mut signer, _) = self.signers.pop().unwrap();
        signer.kill().unwrap();
        let mut log = String::new();
        signer.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        signer.wait().unwrap();
        log
    }
}

pub(crate) fn request() -> Request {
    // What the agent works out from the same settings; the source sends none of it.
    let hosts = vec!["kafka-0.events".parse().unwrap()];
    Request::new("events-node", hosts, KeyAlgorithm::default(), Duration::from_secs(7200)).unwrap()
}

#[test]
fn a_pod_gets_the_certificate_that_its_settings_say_and_the_trust_is_published_before() {
    let bench = Bench::begin(&[]);
    let stores = bench.home.path().join("stores");
    let bundle = bench.fetch().unwrap();
    let leaf = bundle.leaf();
    assert_eq!(leaf.subject(), "CN=events-node");
    assert_eq!(leaf.dns_names(), ["kafka-0.events.prod.svc.cluster.local"]);
    assert!(bundle.key().matches(leaf));
    let life = leaf.validity().life();
    assert_eq!(life, Duration::from_secs(7200 + 300));
    chain::verify(leaf, &[], bundle.anchors(), SystemTime::now(), None).unwrap();
    let published = bench.objects.get(TRUST).unwrap()["data"]["events.crt"].clone();
    assert_eq!(chain::parse_pem(published.as_str().unwrap().as_bytes()).unwrap(), bundle.anchors());
    assert_eq!(bench.objects.get(BUNDLE).unwrap()["spec"]["trustBundle"], published);
    let secret = bench.objects.get(SECRET).unwrap();
    assert!(secret["metadata"]["annotations"]["kraftlet.dev/leaves-until"].is_string(), "{secret}");
    // A source that has written nothing keeps nothing; once it has stores, it knows whom to trust.
    assert!(!stores.exists());
    assert_eq!(bench.source().trusted(&request()).unwrap(), None);
    std::fs::create_dir(&stores).unwrap();
    let trusted = bench.source().trusted(&request()).unwrap();
    assert_eq!(trusted.as_deref(), Some(bundle.anchors()));
    assert!(stores.join("signer.json").exists());
    let log = bench.log();
    assert!(log.contains("CertificateIssued") && log.contains("\"names\":\"kafka-0.events.prod"), "{log}");
    assert!(!log.contains("token-0") && !log.contains("PRIVATE"), "{log}");
}

#[test]
fn a_signer_is_known_by_its_ca_and_nobody_else_is_asked() {
    let bench = Bench::begin(&[]);
    let _ = bench.fetch().unwrap();
    let stranger = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
    let token = bench.home.path().join("pod-token");
    let address = format!("localhost:{}", bench.port());
    let stores = bench.home.path().join("stores");
    let ask = |ca: &str| {
        let source = Signer::new(&address, "node", &stores, &token, ca);
        std::fs::create_dir_all(&stores).unwrap();
        source.trusted(&request()).unwrap_err().reason()
    };
    assert_eq!(ask(&stranger), "SignerNotTrusted");
    assert_eq!(ask(""), "SignerCaMissing");
}

#[test]
fn who_is_not_what_he_says_gets_nothing() {
    let bench = Bench::begin(&[]);
    bench.fetch().unwrap();
    let refusal = |change: &dyn Fn(&mut Value), path: &str| {
        let before = bench.objects.get(path).unwrap();
        bench.objects.change(path, change);
        let refused = bench.fetch().unwrap_err();
        bench.objects.put(path, before);
        refused
    };
    let check = |found: String, want: &str| assert!(found.contains(want), "{found}");
    check(refusal(&|pod| pod["metadata"]["uid"] = json!("u-9"), POD), "[PodUnknown]");
    check(refusal(&|pod| pod["metadata"]["annotations"] = json!({}), POD), "[PodNotInjected]");
    check(refusal(&|pod| pod["status"]["podIP"] = json!("10.1.2.3"), POD), "[CallerAddressOther]");
    let yaml = SETTINGS.replace("signer: {}", "localCa: {folder: /ca}");
    check(refusal(&|map| map["data"]["cluster.yaml"] = json!(yaml), CONFIG_MAP), "[OtherSource]");
    check(refusal(&|map| map["data"]["cluster.yaml"] = json!("a: b"), CONFIG_MAP), "[SettingsInvalid]");
    check(refusal(&|map| map["data"] = json!({}), CONFIG_MAP), "[SettingsMissing]");
    let yaml = SETTINGS.replace("lifetime: 2h", "keyAlgorithm: ecdsa-p384");
    check(refusal(&|map| map["data"]["cluster.yaml"] = json!(yaml), CONFIG_MAP), "[KeyKindOther]");
    // A token that nobody knows is told of beside the signer: whose it is nobody can say.
    std::fs::write(bench.home.path().join("pod-token"), "token-of-a-pod-that-is-gone\n").unwrap();
    check(bench.fetch().unwrap_err(), "[TokenRefused]");
    let of_signer = "/apis/events.k8s.io/v1/namespaces/system/events";
    let turned_away =
        until("the word of a stranger", || bench.objects.named_below(of_signer).into_iter().next());
    assert_eq!(turned_away["reason"], "TokenRefused");
    assert_eq!(turned_away["regarding"]["kind"], "Lease");
    // What was wrong is told of the pod.
    let events = "/apis/events.k8s.io/v1/namespaces/prod/events";
    let told = |reason: &'static str| {
        until(reason, || bench.objects.named_below(events).into_iter().find(|one| one["reason"] == reason))
    };
    assert_eq!(told("PodNotInjected")["regarding"]["uid"], "u-0");
    let note = told("CallerAddressOther")["note"].to_string();
    assert!(note.contains("sent from 127.0.0.1"), "{note}");
    assert_eq!(told("CertificateIssued")["type"], "Normal");
}

#[test]
fn kubelets_are_answered_and_what_a_person_can_make_good_is_left_open() {
    let bench = Bench::begin(&[]);
    bench.ask_as_kubelet("req-a", "u-0");
    let issued = until("an answer to the kubelet", || bench.answer_to("req-a"));
    assert_eq!(issued["conditions"][0]["type"], "Issued", "{issued}");
    let chain = chain::parse_pem(issued["certificateChain"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(chain[0].validity().life(), Duration::from_secs(7200));
    bench.ask_as_kubelet("req-b", "u-9");
    let denied = until("a denial", || bench.answer_to("req-b"));
    assert_eq!(
        (&denied["conditions"][0]["type"], &denied["conditions"][0]["reason"]),
        (&json!("Denied"), &json!("PodUnknown"))
    );
    let events = "/apis/events.k8s.io/v1/namespaces/prod/events";
    let told = until("the word of a pod that is not there", || {
        bench.objects.named_below(events).into_iter().find(|one| one["reason"] == "PodUnknown")
    });
    assert_eq!(
        (&told["regarding"]["kind"], &told["regarding"]["name"]),
        (&json!("PodCertificateRequest"), &json!("req-b"))
    );
    // Settings that are not there yet, and then are.
    let settings = bench.objects.get(CONFIG_MAP).unwrap();
    bench.objects.change(CONFIG_MAP, |map| map["data"] = json!({}));
    bench.ask_as_kubelet("req-c", "u-0");
    until("the word that settings are missing", || {
        bench.objects.named_below(events).into_iter().find(|one| one["reason"] == "SettingsMissing")
    });
    assert_eq!(bench.answer_to("req-c"), None);
    bench.objects.put(CONFIG_MAP, settings);
    let issued = until("a late answer", || bench.answer_to("req-c"));
    assert_eq!(issued["conditions"][0]["type"], "Issued");
    // A pod that runs is not told no: its kubelet would never ask again.
    bench.objects.change(POD, |pod| {
        pod["status"]["containerStatuses"] = json!([{"state": {"running": {}}}]);
        pod["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:00:00Z");
    });
    bench.ask_as_kubelet("req-d", "u-0");
    until("the word that the pod ends", || {
        bench.objects.named_below(events).into_iter().find(|one| one["reason"] == "PodEnds")
    });
    assert_eq!(bench.answer_to("req-d"), None);
}

#[test]
fn one_of_two_leads_and_the_other_follows_when_it_ends() {
    let mut bench = Bench::begin(&[]);
    bench.objects.not_served("/apis/certificates.k8s.io");
    bench.fetch().unwrap();
    bench.another("two", &[]);
    // It is asked while it does not lead, and goes on asking until it does.
    let (mut first, _) = bench.signers.remove(0);
    assert!(Command::new("kill").arg(first.id().to_string()).status().unwrap().success());
    assert!(first.wait().unwrap().success());
    let bundle = bench.fetch().unwrap();
    assert_eq!(bundle.anchors().len(), 1);
    let holder = &bench.objects.get("/apis/coordination.k8s.io/v1/namespaces/system/leases/kraftlet-signer");
    assert_eq!(holder.as_ref().unwrap()["spec"]["holderIdentity"], "two");
}

#[test]
fn a_ca_that_is_due_is_trusted_beside_the_next_one_before_that_one_signs() {
    let bench = Bench::begin(&["--ca-lifetime", "1m", "--ca-renew-at-percent", "10", "--trust-first", "1m"]);
    let first = bench.fetch().unwrap();
    // Due after six seconds; the next look takes it a stage further.
    let both = until("a second CA in what is published", || {
        let text = bench.objects.get(TRUST)?["data"]["events.crt"].as_str()?.to_owned();
        let anchors = chain::parse_pem(text.as_bytes()).ok()?;
        (anchors.len() == 2).then_some(anchors)
    });
    let second = bench.fetch().unwrap();
    assert_eq!(second.anchors().len(), 2);
    assert!(both.contains(&first.anchors()[0]));
    chain::verify(second.leaf(), &[], first.anchors(), SystemTime::now(), None).unwrap();
    let noted = |found: Value| {
        found["metadata"]["annotations"]["kraftlet.dev/next-trusted-since"].is_string().then_some(())
    };
    until("the note that it is published", || bench.objects.get(SECRET).and_then(noted));
}

#[test]
fn a_ca_that_somebody_brought_is_published_though_nobody_asks_and_so_is_its_successor() {
    let bench = Bench::begin(&["--trust-first", "1m"]);
    let brought = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let (first, next) = (brought("first"), brought("next"));
    let put = |trust: &str| {
        let data = [("tls.crt", first.0.as_str()), ("tls.key", first.1.as_str()), ("ca.crt", trust)];
        let data: serde_json::Map<String, Value> =
            data.map(|(key, pem)| (key.to_owned(), json!(STANDARD.encode(pem)))).into_iter().collect();
        bench
            .objects
            .put(SECRET, json!({"metadata": {"name": "prod.events", "namespace": "system"}, "data": data}));
    };
    let published = |count: usize| {
        until("what is published", || {
            let bundle = bench.objects.get(BUNDLE)?["spec"]["trustBundle"].as_str()?.to_owned();
            let anchors = chain::parse_pem(bundle.as_bytes()).ok()?;
            (anchors.len() == count).then_some(())
        });
    };
    put(&first.0);
    published(1);
    put(&format!("{}{}", first.0, next.0));
    published(2);
    let bundle = bench.fetch().unwrap();
    assert_eq!(bundle.anchors().len(), 2);
    let secret = bench.objects.get(SECRET).unwrap();
    assert!(secret["metadata"]["annotations"].is_null(), "it is not ours to write: {secret}");
}
