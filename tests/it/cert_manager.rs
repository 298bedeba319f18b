//! The source that asks cert-manager, beside an API server in memory; the test is the issuer.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kraftlet::certificates::bundle::Bundle;
use kraftlet::certificates::request::Request;
use kraftlet::certificates::sources::Remedy;
use kraftlet::certificates::sources::Source;
use kraftlet::certificates::sources::SourceError;
use kraftlet::certificates::sources::cert_manager::CertManager;
use kraftlet::cluster::source::Issuer;
use kraftlet::pki::io::generate;
use kraftlet::pki::io::random_serial;
use kraftlet::pki::key_kind::KeyAlgorithm;
use kraftlet::pki::sign::Ca;
use kraftlet::pki::sign::LeafRequest;
use kraftlet::pki::stores::certificate_pem;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use serde_json::json;

use crate::api_server;
use crate::api_server::Objects;
use crate::api_server::Server;
use crate::signer::request;
use crate::signer::until;

const REQUESTS: &str = "/apis/cert-manager.io/v1/namespaces/prod/certificaterequests";
const HOUR: Duration = Duration::from_secs(3600);

/// A pod, an API server, and an issuer's CA.
struct Bench {
    home: tempfile::TempDir,
    objects: Objects,
    api: Server,
    ca: Ca,
}

fn issuer(name: &str) -> Issuer {
    Issuer { name: name.into(), kind: "Issuer".into(), group: "cert-manager.io".into() }
}

impl Bench {
    fn begin() -> Self {
        let home = tempfile::tempdir().unwrap();
        let objects = Objects::default();
        let api = api_server::serve(&objects, home.path(), "prod");
        std::fs::create_dir(home.path().join("run")).unwrap();
        let key = generate(KeyAlgorithm::default()).unwrap();
        let begins_at = SystemTime::now() - 24 * HOUR;
        let ca = Ca::self_signed("issuer", key, random_serial().unwrap(), 48 * HOUR, begins_at).unwrap();
        Self { home, objects, api, ca }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("run/tls/node")
    }

    fn pending(&self) -> PathBuf {
        self.folder().join("cert-manager-pending.pem")
    }

    /// Of a process of its own each time.
    fn source(&self, issuer: &Issuer) -> CertManager {
        let port = self.api.port.to_string();
        CertManager::new(issuer, "kafka-0", "node", &self.folder(), self.home.path()).at("127.0.0.1", &port)
    }

    /// With one look at what has become of it.
    fn fetch_of(&self, issuer: &Issuer, request: &Request) -> Result<Bundle, SourceError> {
        self.source(issuer).ready_within(Duration::ZERO).fetch(request, SystemTime::now())
    }

    fn fetch(&self) -> Result<Bundle, SourceError> {
        self.fetch_of(&issuer("ca"), &request())
    }

    /// One that is not decided at once.
    fn is_pending(&self) {
        assert_eq!(self.fetch().unwrap_err().reason(), "CertificateRequestPending");
    }

    fn names(&self) -> Vec<String> {
        let name = |one: Value| one["metadata"]["name"].as_str().unwrap().to_owned();
        self.objects.named_below(REQUESTS).into_iter().map(name).collect()
    }

    /// Decides the one request that is open.
    fn judge(&self, want: &'static str, at: SystemTime) {
        let made = until("a CertificateRequest", || {
            let open = |one: &Value| one["status"].is_null();
            self.objects.named_below(REQUESTS).into_iter().find(open)
        });
        let name = made["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with("kafka-0-node-"), "{name}");
        assert_eq!(made["spec"]["usages"][2], "server auth");
        let pem = STANDARD.decode(made["spec"]["request"].as_str().unwrap()).unwrap();
        let csr = CertificateSigningRequestDer::from_pem_slice(&pem).unwrap();
        let params = rcgen::CertificateSigningRequestParams::from_der(&csr).unwrap();
        assert_eq!(params.params.subject_alt_names.len(), 1);
        let request = request();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&params.public_key);
        let wanted = LeafRequest {
            public_key_info: &spki,
            common_name: "events-node",
            hosts: request.hosts(),
            lifetime: HOUR,
            backdated_by: Duration::ZERO,
        };
        let leaf = self.ca.sign(&wanted, random_serial().unwrap(), at).unwrap();
        let encoded = |one| STANDARD.encode(certificate_pem(one));
        self.objects.change(&format!("{REQUESTS}/{name}"), |one| {
            one["status"] = json!({
                "conditions": [{"type": want, "status": "True", "message": "by policy"}],
                "certificate": encoded(&leaf), "ca": encoded(self.ca.certificate()),
            });
        });
    }
}

#[test]
fn cert_manager_is_asked_with_names_and_its_decision_is_awaited() {
    let bench = Bench::begin();
    let ask = || {
        let source = bench.source(&issuer("ca"));
        let fetched = source.fetch(&request(), SystemTime::now());
        fetched.map(|bundle| (bundle, source.trusted(&request()).unwrap()))
    };
    std::thread::scope(|scope| {
        let asked = scope.spawn(ask);
        bench.judge("Ready", SystemTime::now());
        let (bundle, trusted) = asked.join().unwrap().unwrap();
        assert_eq!(bundle.leaf().subject(), "CN=events-node");
        assert_eq!(bundle.anchors(), std::slice::from_ref(bench.ca.certificate()));
        assert_eq!(trusted.as_deref(), Some(bundle.anchors()));
        let asked = scope.spawn(ask);
        bench.judge("Denied", SystemTime::now());
        let refused = asked.join().unwrap().unwrap_err();
        assert_eq!(refused.reason(), "CertificateRequestDenied");
        assert!(refused.to_string().ends_with("is Denied: by policy"), "{refused}");
    });
}

#[test]
fn a_request_that_is_answered_late_is_taken_by_a_later_fetch_with_the_key_it_was_made_with() {
    let bench = Bench::begin();
    bench.is_pending();
    let kept = std::fs::read(bench.pending()).unwrap();
    assert_eq!(std::fs::metadata(bench.pending()).unwrap().permissions().mode() & 0o7777, 0o600);
    bench.is_pending();
    assert_eq!(std::fs::read(bench.pending()).unwrap(), kept);
    assert_eq!(bench.names().len(), 1);
    bench.judge("Ready", SystemTime::now());
    let bundle = bench.fetch().unwrap();
    assert!(bundle.key().matches(bundle.leaf()));
    assert!(String::from_utf8(kept).unwrap().ends_with(bundle.key().to_pem().as_str()));
    assert_eq!(bench.names().len(), 1);
    // The key is in the stores from now on, and the next leaf has another.
    assert_eq!(std::fs::read(bench.pending()).unwrap(), b"");
    bench.is_pending();
    assert_eq!(bench.names().len(), 2);
}

#[test]
fn a_request_that_is_denied_or_gone_or_was_answered_long_ago_is_not_waited_for_again() {
    let denied = Bench::begin();
    denied.is_pending();
    denied.judge("Denied", SystemTime::now());
    assert_eq!(denied.fetch().unwrap_err().reason(), "CertificateRequestDenied");
    assert_eq!(std::fs::read(denied.pending()).unwrap(), b"");
    denied.is_pending();
    assert_eq!(denied.names().len(), 2);

    let gone = Bench::begin();
    gone.is_pending();
    let first = gone.names();
    gone.objects.remove(&format!("{REQUESTS}/{}", first[0]));
    gone.is_pending();
    let second = gone.names();
    assert!(second.len() == 1 && first != second, "{second:?}");

    let old = Bench::begin();
    old.is_pending();
    old.judge("Ready", SystemTime::now() - HOUR * 2 / 3);
    old.is_pending();
    assert_eq!(old.names().len(), 2);
    old.judge("Ready", SystemTime::now() - HOUR / 3);
    old.fetch().unwrap();
}

#[test]
fn whoever_wants_something_else_asks_anew() {
    let bench = Bench::begin();
    bench.is_pending();
    let asked = |common_name: &str, host: &str, algorithm, lifetime| {
        Request::new(common_name, [host.parse().unwrap()], algorithm, lifetime).unwrap()
    };
    let (p256, host) = (KeyAlgorithm::EcdsaP256, "kafka-0.events");
    let wants = [
        (issuer("other"), request()),
        (issuer("ca"), asked("other", host, p256, 2 * HOUR)),
        (issuer("ca"), asked("events-node", "other", p256, 2 * HOUR)),
        (issuer("ca"), asked("events-node", host, KeyAlgorithm::EcdsaP384, 2 * HOUR)),
        (issuer("ca"), asked("events-node", host, p256, HOUR)),
    ];
    for (number, (issuer, request)) in wants.into_iter().enumerate() {
        for _ in 0..2 {
            let error = bench.fetch_of(&issuer, &request).unwrap_err();
            assert_eq!(error.reason(), "CertificateRequestPending");
            assert_eq!(bench.names().len(), number + 2);
        }
    }
}

#[test]
fn who_may_not_ask_keeps_nothing_and_who_may_not_keep_asks_nothing() {
    let bench = Bench::begin();
    bench.objects.not_served("/apis/cert-manager.io");
    for _ in 0..2 {
        let error = bench.fetch().unwrap_err();
        assert!(error.to_string().ends_with(" cannot be made"), "{error}");
        assert_eq!(std::fs::read(bench.pending()).unwrap(), b"");
    }
    let bench = Bench::begin();
    std::fs::write(bench.home.path().join("run/tls"), "in the way").unwrap();
    let error = bench.fetch().unwrap_err();
    assert_eq!((error.reason(), error.remedy()), ("DiskFailed", Remedy::ChangeSomething), "{error}");
    assert_eq!(bench.names(), [""; 0]);
}
