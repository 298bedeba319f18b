//! The one client of the API server.
//!
//! A process in a pod speaks TLS with the service account's token, both read again from their files whenever they are
//! needed: they change under us. A person's command speaks through `kubectl proxy`, on a Unix socket that nobody else
//! may open: so contexts, plugins that log in and everything else people have in their kubeconfig work as in kubectl.
//!
//! Every answer has a deadline and a bound on its length.

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::Uri;
use http::header;
use http_body_util::BodyExt;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_rustls::HttpsConnector;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tower::BoxError;
use zeroize::Zeroizing;

use crate::kubernetes::error::ApiError;
use crate::kubernetes::resource::Place;
use crate::pki::io as pki_io;

/// The API server, as one service account or one person may use it.
#[derive(Clone)]
pub struct Api {
    client: Client,
    namespace: String,
    answer_within: Duration,
}

/// What an object has become, line by line.
#[derive(Debug)]
pub struct Watch {
    body: Body,
    buffer: Vec<u8>,
}

/// How a patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch {
    /// RFC 7386: what is named is replaced.
    Merge,
    /// Server-side apply: we own what we name, others what they name.
    Apply,
}

/// Where the kubelet puts what a service account is known by.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// An API server that is alive answers within a second; one that is starting, within a few.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The API server ends a watch after this time itself; a connection that has died without a word is noticed by it too.
const WATCH_SECONDS: u64 = 240;

/// Beyond what the API server says it would do.
const WATCH_WITHIN: Duration = Duration::from_secs(WATCH_SECONDS + 30);

/// etcd keeps no object above 1.5 MB; lists are of one namespace's pods, or of requests that go within minutes.
const MOST_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// One line of a watch is one object.
const MOST_EVENT_BYTES: usize = 2 * 1024 * 1024;

/// The manager that server-side apply knows us by.
const FIELD_MANAGER: &str = "kraftlet";

impl Api {
    /// As the pod's own service account.
    pub fn in_cluster() -> Result<Self, ApiError> {
        Self::of_service_account(Path::new(SERVICE_ACCOUNT))
    }

    /// The same, where the kubelet puts `token`, `ca.crt` and `namespace` into another folder.
    pub fn of_service_account(folder: &Path) -> Result<Self, ApiError> {
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        Self::of_service_account_at(&host, &port, folder)
    }

    /// The same, by this API server.
    pub fn of_service_account_at(host: &str, port: &str, folder: &Path) -> Result<Self, ApiError> {
        let namespace = read(&folder.join("namespace"))?;
        Ok(Self::at(host, port, folder, namespace.trim()))
    }

    /// The API server at `host`, with `token` and `ca.crt` from `folder`.
    pub fn at(host: &str, port: &str, folder: &Path, namespace: &str) -> Self {
        let host = match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => host.to_owned(),
        };
        let base = format!("https://{host}:{port}");
        let roots = folder.join("ca.crt");
        let connect = tower::service_fn(move |uri: Uri| {
            let connector = connector(&roots);
            Box::pin(async move { tower::ServiceExt::oneshot(connector?, uri).await })
        });
        let pool: legacy::Client<_, Body> =
            legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(2).build(connect);
        let token = folder.join("token");
        let service = tower::service_fn(move |request: Request<Body>| {
            let request = with_credentials(request, &base, &token);
            let pool = pool.clone();
            async move { Ok::<_, BoxError>(pool.request(request?).await?) }
        });
        Self::over(Client::new(service, namespace), namespace)
    }

    /// Through whatever listens at a Unix socket, which is `kubectl proxy`: a connection for each question.
    pub fn through(socket: &Path, namespace: &str) -> Self {
        let socket = Arc::new(socket.to_owned());
        let service = tower::service_fn(move |request| ask_through(Arc::clone(&socket), request));
        Self::over(Client::new(service, namespace), namespace)
    }

    /// Through a client that somebody else has made: one that answers from memory, to measure what is ours.
    pub fn over(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), answer_within: ANSWER_WITHIN }
    }

    /// The same, with another deadline for each answer: where a person has to log in first.
    pub fn answering_within(self, answer_within: Duration) -> Self {
        Self { answer_within, ..self }
    }

    /// The service account's namespace, or the one a person has chosen.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// kube's client, for what is no plain question: port-forwards.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The object.
    pub async fn get<T: DeserializeOwned>(&self, place: &Place) -> Result<T, ApiError> {
        self.ask(Method::GET, place, "", None).await
    }

    /// The objects that a label selector selects; all where it is empty.
    pub async fn list<T: DeserializeOwned>(&self, place: &Place, selector: &str) -> Result<T, ApiError> {
        let query =
            if selector.is_empty() { String::new() } else { format!("labelSelector={}", encoded(selector)) };
        self.ask(Method::GET, place, &query, None).await
    }

    /// The objects that a field selector selects.
    pub async fn list_where<T: DeserializeOwned>(&self, place: &Place, fields: &str) -> Result<T, ApiError> {
        self.ask(Method::GET, place, &format!("fieldSelector={}", encoded(fields)), None).await
    }

    /// Makes an object. Whether it was made before an answer was lost is not known: names decide.
    pub async fn create<T: DeserializeOwned>(
        &self,
        place: &Place,
        object: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.ask(Method::POST, place, "", Some((body(object)?, "application/json"))).await
    }

    /// Replaces an object; a conflict if it has changed since its `resourceVersion`.
    pub async fn replace<T: DeserializeOwned>(
        &self,
        place: &Place,
        object: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.ask(Method::PUT, place, "", Some((body(object)?, "application/json"))).await
    }

    /// Changes an object.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        place: &Place,
        kind: Patch,
        patch: &Value,
    ) -> Result<T, ApiError> {
        let manager = format!("fieldManager={FIELD_MANAGER}");
        let (query, content_type) = match kind {
            Patch::Merge => (manager, "application/merge-patch+json"),
            // The API server takes JSON for YAML.
            Patch::Apply => (manager + "&force=true", "application/apply-patch+yaml"),
        };
        self.ask(Method::PATCH, place, &query, Some((body(patch)?, content_type))).await
    }

    /// Deletes an object; `options` are a `DeleteOptions`.
    pub async fn delete(&self, place: &Place, options: &Value) -> Result<Value, ApiError> {
        self.ask(Method::DELETE, place, "", Some((body(options)?, "application/json"))).await
    }

    /// What becomes of objects from `resource_version` on. `fields` is a field selector, or empty.
    pub async fn watch(
        &self,
        place: &Place,
        fields: &str,
        resource_version: &str,
    ) -> Result<Watch, ApiError> {
        let query = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={}&fieldSelector={}",
            encoded(resource_version),
            encoded(fields)
        );
        let request = request(Method::GET, place, &query, None)?;
        let response = within(self.answer_within, self.client.send(request)).await?.map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(Watch { body: response.into_body(), buffer: Vec::new() });
        }
        Err(refused(response).await)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        place: &Place,
        query: &str,
        body: Option<(Vec<u8>, &'static str)>,
    ) -> Result<T, ApiError> {
        let request = request(method, place, query, body)?;
        within(self.answer_within, async {
            let response = self.client.send(request).await.map_err(unreachable)?;
            if !response.status().is_success() {
                return Err(refused(response).await);
            }
            let bytes = collect(response).await?;
            serde_json::from_slice(&bytes).map_err(ApiError::NotUnderstood)
        })
        .await?
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Watch {
    /// The next event, `{"type": …, "object": …}`; `None` when the API server has ended the watch.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        within(WATCH_WITHIN, async {
            loop {
                if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.buffer.drain(..=end).collect();
                    return serde_json::from_slice(&line).map(Some).map_err(ApiError::NotUnderstood);
                }
                if self.buffer.len() > MOST_EVENT_BYTES {
                    return Err(ApiError::TooLong { most: MOST_EVENT_BYTES });
                }
                match self.body.frame().await {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(unreachable(error)),
                    Some(Ok(frame)) => self.buffer.extend(frame.data_ref().into_iter().flatten()),
                }
            }
        })
        .await?
    }
}

async fn within<T>(within: Duration, future: impl Future<Output = T>) -> Result<T, ApiError> {
    timeout(within, future).await.map_err(|_| ApiError::TimedOut { within })
}

fn request(
    method: Method,
    place: &Place,
    query: &str,
    body: Option<(Vec<u8>, &'static str)>,
) -> Result<Request<Body>, ApiError> {
    let uri = if query.is_empty() { place.path().to_owned() } else { format!("{}?{query}", place.path()) };
    let mut request = Request::builder().method(method).uri(uri).header(header::ACCEPT, "application/json");
    let bytes = match body {
        Some((bytes, content_type)) => {
            request = request.header(header::CONTENT_TYPE, content_type);
            bytes
        }
        None => Vec::new(),
    };
    request.body(Body::from(bytes)).map_err(unreachable)
}

fn body(object: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(object).map_err(ApiError::NotUnderstood)
}

async fn refused(response: Response<Body>) -> ApiError {
    let code = response.status().as_u16();
    let body = within(ANSWER_WITHIN, collect(response)).await;
    ApiError::refused(code, &body.ok().and_then(Result::ok).unwrap_or_default())
}

async fn collect(response: Response<Body>) -> Result<Vec<u8>, ApiError> {
    match Limited::new(response.into_body(), MOST_ANSWER_BYTES).collect().await {
        Ok(whole) => Ok(whole.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::TooLong { most: MOST_ANSWER_BYTES }),
        Err(error) => Err(ApiError::Unreachable(error)),
    }
}

fn unreachable(error: impl Into<BoxError>) -> ApiError {
    ApiError::Unreachable(error.into())
}

/// The roots are read for each connection: a cluster's CA may change while we run.
fn connector(roots: &Path) -> Result<HttpsConnector<HttpConnector>, BoxError> {
    let pem = read(roots)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let unusable = || ApiError::Unusable { file: roots.to_owned(), want: "certificate authority" };
        store.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
    }
    let config = ClientConfig::builder_with_provider(pki_io::crypto_provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(ANSWER_WITHIN));
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    Ok(HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().wrap_connector(tcp))
}

fn with_credentials(mut request: Request<Body>, base: &str, token: &Path) -> Result<Request<Body>, ApiError> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("{base}{path}").parse().map_err(unreachable)?;
    let text = read(token)?;
    let bearer = Zeroizing::new(format!("Bearer {}", text.trim()));
    let mut value = HeaderValue::from_str(&bearer)
        .map_err(|_| ApiError::Unusable { file: token.to_owned(), want: "token" })?;
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(request)
}

async fn ask_through(
    socket: Arc<PathBuf>,
    mut request: Request<Body>,
) -> Result<Response<Incoming>, BoxError> {
    let stream = UnixStream::connect(socket.as_path()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer's body, or with the port-forward that the connection has become.
    tokio::spawn(connection.with_upgrades());
    // kubectl proxy answers only those who take it for localhost.
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    Ok(sender.send_request(request).await?)
}

fn variable(name: &'static str) -> Result<String, ApiError> {
    std::env::var(name).map_err(|_| ApiError::NotInAPod { what: name })
}

fn read(file: &Path) -> Result<Zeroizing<String>, ApiError> {
    std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(|source| ApiError::Unreadable { file: file.to_owned(), source })
}

/// Everything but letters, digits and a few signs is written as %XX.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
