//! An API server in memory: objects by their paths, versions, conflicts, watches, and tokens that it knows.
//!
//! It does what the signer needs of a real one and no more; `manifests/install` was tried against a real one.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use kraftlet::health::connections::io as connections;
use kraftlet::health::connections::io::Answer;
use kraftlet::health::connections::io::Port;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The objects, and who may say what.
#[derive(Clone, Default)]
pub(crate) struct Objects(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// By token: the status of a TokenReview.
    tokens: BTreeMap<String, Value>,
    /// Paths that are not served.
    missing: Vec<String>,
    /// By path: what is refused, and how.
    refusals: BTreeMap<String, (u16, String)>,
}

/// A server that ends with this.
pub(crate) struct Server {
    pub(crate) port: u16,
    _end: watch::Sender<()>,
}

impl Objects {
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut state = self.0.lock().unwrap();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.objects.insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(path).unwrap();
        change(&mut object);
        self.put(path, object);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    pub(crate) fn token(&self, token: &str, status: Value) {
        self.0.lock().unwrap().tokens.insert(token.to_owned(), status);
    }

    pub(crate) fn not_served(&self, path: &str) {
        self.0.lock().unwrap().missing.push(path.to_owned());
    }

    pub(crate) fn refuse(&self, path: &str, code: u16, message: &str) {
        self.0.lock().unwrap().refusals.insert(path.to_owned(), (code, message.to_owned()));
    }

    /// All whose paths are below this one.
    pub(crate) fn named_below(&self, path: &str) -> Vec<Value> {
        let below = format!("{path}/");
        let state = self.0.lock().unwrap();
        state.objects.iter().filter(|(at, _)| at.starts_with(&below)).map(|(_, one)| one.clone()).collect()
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: &Value) -> (u16, Value) {
        let mut state = self.0.lock().unwrap();
        if state.missing.iter().any(|missing| path.starts_with(missing.as_str())) {
            return refused(404, "the server could not find the requested resource");
        }
        if let Some((code, message)) = state.refusals.get(path) {
            return refused(*code, message);
        }
        if path.ends_with("/tokenreviews") {
            let token = body["spec"]["token"].as_str().unwrap_or_default();
            let unknown = json!({"authenticated": false, "error": "invalid bearer token"});
            let status = state.tokens.get(token).cloned().unwrap_or(unknown);
            return (201, json!({"status": status}));
        }
        let object = path.strip_suffix("/status").unwrap_or(path).to_owned();
        match *method {
            Method::GET if query.contains("watch=true") => {
                let after: u64 = query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("resourceVersion="))
                    .and_then(|version| version.parse().ok())
                    .unwrap_or_default();
                let version = |one: &Value| {
                    one["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap()
                };
                let plural = path.rsplit('/').next().unwrap();
                let news = state
                    .objects
                    .iter()
                    .filter(|(at, one)| at.contains(&format!("/{plural}/")) && version(one) > after);
                let lines: Vec<String> =
                    news.map(|(_, one)| json!({"type": "MODIFIED", "object": one}).to_string()).collect();
                (200, json!(lines.join("\n")))
            }
            Method::GET => match state.objects.get(&object) {
                Some(found) => (200, found.clone()),
                None if is_collection(path) => {
                    let plural = path.rsplit('/').next().unwrap();
                    let of = |at: &&String| {
                        at.starts_with(&format!("{path}/"))
                            || at.contains("/namespaces/")
                                && !path.contains("/namespaces/")
                                && at.contains(&format!("/{plural}/"))
                    };
                    let items: Vec<&Value> =
                        state.objects.iter().filter(|(at, _)| of(at)).map(|(_, one)| one).collect();
                    let version = state.version.to_string();
                    (200, json!({"metadata": {"resourceVersion": version}, "items": items}))
                }
                None => refused(404, "not found"),
            },
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                let at = format!("{path}/{name}");
                if state.objects.contains_key(&at) {
                    return refused(409, "already exists");
                }
                let mut made = body.clone();
                state.version += 1;
                made["metadata"]["resourceVersion"] = json!(state.version.to_string());
                made["metadata"]["uid"] = json!(format!("uid-{}", state.version));
                state.objects.insert(at, made.clone());
                (201, made)
            }
            Method::PUT | Method::PATCH => {
                let Some(found) = state.objects.get(&object).cloned() else {
                    return refused(404, "not found");
                };
                let version = &body["metadata"]["resourceVersion"];
                if *method == Method::PUT && *version != found["metadata"]["resourceVersion"] {
                    return refused(409, "the object has been modified");
                }
                let mut changed = if *method == Method::PUT { body.clone() } else { found };
                if *method == Method::PATCH {
                    merge(&mut changed, body);
                }
                state.version += 1;
                changed["metadata"]["resourceVersion"] = json!(state.version.to_string());
                state.objects.insert(object, changed.clone());
                (200, changed)
            }
            _ => refused(405, "method not allowed"),
        }
    }
}

fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.iter().position(|part| *part == "namespaces") {
        Some(at) => parts.len() == at + 3,
        None => parts.len() == if parts.first() == Some(&"api") { 3 } else { 4 },
    }
}

fn refused(code: u16, message: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "message": message, "code": code}))
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key.as_str()], value);
        }
    }
}

pub(crate) async fn answer(objects: Objects, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let (code, told) = objects.answer(&head.method, head.uri.path(), &query, &body);
    let bytes = match &told {
        Value::String(lines) => {
            // A watch: what is new, at most once a tenth of a second, and then the end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let newline = if lines.is_empty() { "" } else { "\n" };
            format!("{lines}{newline}").into_bytes()
        }
        told => serde_json::to_vec(told).unwrap(),
    };
    let mut answer = Response::new(Full::new(Bytes::from(bytes)));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

/// Serves `objects` on loopback, and writes a service account's `token`, `ca.crt` and `namespace` into `folder`.
pub(crate) fn serve(objects: &Objects, folder: &Path, namespace: &str) -> Server {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
    std::fs::write(folder.join("token"), "the-signers-token").unwrap();
    std::fs::write(folder.join("namespace"), namespace).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(kraftlet::pki::io::crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (end, ended) = watch::channel(());
    let (_, tls) = watch::channel(Arc::new(config));
    let objects = objects.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            let port = Port {
                listener,
                longest_answer: Duration::from_secs(10),
                most_connections: 64,
                tls: Some(tls),
            };
            connections::accept(port, move |request| answer(objects.clone(), request), ended).await;
        });
    });
    Server { port, _end: end }
}
