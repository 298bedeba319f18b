//! The webhook: reviews come in by TLS, the settings they need are asked of the API server, and answers go out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header;
use hyper::header::HeaderValue;
use serde_json::Value;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::causes::chain;
use crate::cluster::model::Cluster;
use crate::health::connections::io::Answer;
use crate::health::connections::io::READ_WITHIN;
use crate::inject::admit;
use crate::inject::admit::Needs;
use crate::inject::judge;
use crate::inject::ours;
use crate::inject::ours::Means;
use crate::inject::refusal::Refusal;
use crate::inject::review;
use crate::inject::words;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::resource::Resource;

/// The API server's own limit for a request is 3 MiB; a review may hold the object twice.
const MOST_REVIEW_BYTES: usize = 7 * 1024 * 1024;

/// Where reviews are posted.
pub const REVIEWS: &str = "/admit";

/// Settings that were read are believed for so long: a StatefulSet's pods come in a row, and whoever applies settings and
/// then a StatefulSet takes longer.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// So many settings are kept; each has a few kilobytes.
const MOST_SETTINGS: usize = 256;

/// The webhook's state.
#[derive(Debug)]
pub struct Webhook {
    api: Api,
    means: Mutex<Arc<Means>>,
    settings: Mutex<HashMap<(String, String), Read>>,
}

/// Settings as they were when they were read.
#[derive(Debug, Clone)]
struct Read {
    at: Instant,
    cluster: Result<Arc<Cluster>, Refusal>,
}

impl Webhook {
    /// Asks `api` for settings, and adds to pods what `means` says.
    pub fn new(api: Api, means: Means) -> Self {
        Self { api, means: Mutex::new(Arc::new(means)), settings: Mutex::default() }
    }

    /// Reads whom pods have to trust as the signer, where there is one.
    pub async fn look_for_signer(&self) -> Result<(), ApiError> {
        let place = Resource::CONFIG_MAPS.named(self.api.namespace(), words::SERVING_CA)?;
        let signer_ca = match self.api.get::<Value>(&place).await {
            Ok(found) => found.pointer("/data/ca.crt").and_then(Value::as_str).map(str::to_owned),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let image = self.means().image.clone();
        *self.means.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Means { image, signer_ca });
        Ok(())
    }

    fn means(&self) -> Arc<Means> {
        Arc::clone(&self.means.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One HTTP request.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::POST, REVIEWS) => self.review(request.into_body()).await,
            (&Method::GET, "/livez" | "/readyz") => plain(StatusCode::OK, "ok\n"),
            _ => plain(
                StatusCode::NOT_FOUND,
                "there is nothing here; want POST /admit, GET /livez or /readyz\n",
            ),
        }
    }

    async fn review(&self, body: Incoming) -> Answer {
        let whole = timeout(READ_WITHIN, Limited::new(body, MOST_REVIEW_BYTES).collect()).await;
        let Ok(Ok(body)) = whole else {
            return plain(StatusCode::BAD_REQUEST, "the review did not arrive, or is too long\n");
        };
        let question = match review::parse(&body.to_bytes()) {
            Ok(question) => question,
            Err(error) => return plain(StatusCode::BAD_REQUEST, &format!("{}\n", chain(&error))),
        };
        let outcome = match admit::needs(&question) {
            Err(refusal) => Err(refusal),
            Ok(Needs::Nothing(plan)) => Ok(plan),
            Ok(Needs::Settings(name)) => {
                let cluster = self.cluster(&question.namespace, &name).await;
                let needs_signer = cluster.as_deref().is_ok_and(ours::needs_signer);
                // Whoever has just installed both does not wait for the next look. Without an answer nobody is trusted.
                if needs_signer && self.means().signer_ca.is_none() {
                    let _ = self.look_for_signer().await;
                }
                admit::decide(&question, &name, cluster, &self.means())
            }
            Ok(Needs::Means) => admit::attach(&question, &self.means()),
        };
        if let Err(refusal) = &outcome {
            tracing::info!(
                namespace = question.namespace,
                resource = question.resource.resource,
                reason = refusal.reason(),
                "refused: {refusal}"
            );
        }
        let mut answer = Response::new(Full::new(Bytes::from(review::answer(&question.uid, &outcome))));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    /// The settings of a ConfigMap: those that were read just now, or those that are there.
    async fn cluster(&self, namespace: &str, name: &str) -> Result<Arc<Cluster>, Refusal> {
        let key = (namespace.to_owned(), name.to_owned());
        let now = Instant::now();
        let known = self.settings.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(read) = known.filter(|read| now - read.at < BELIEVED_FOR) {
            return read.cluster;
        }
        let cluster = self.read(namespace, name).await;
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if settings.len() >= MOST_SETTINGS {
            settings.retain(|_, read| now - read.at < BELIEVED_FOR);
        }
        // What could not be asked for is not what is there.
        let is_known = cluster.as_ref().is_ok() || cluster.as_ref().is_err_and(|one| one.reason() != UNREAD);
        if is_known && settings.len() < MOST_SETTINGS {
            settings.insert(key, Read { at: now, cluster: cluster.clone() });
        }
        cluster
    }

    async fn read(&self, namespace: &str, name: &str) -> Result<Arc<Cluster>, Refusal> {
        let unread = |error: ApiError| {
            if error.is_not_found() {
                return admit::no_settings(namespace, name);
            }
            let message = format!("ConfigMap {name} with the settings cannot be read: {}", chain(&error));
            Refusal::new(UNREAD, message)
        };
        let place = Resource::CONFIG_MAPS.named(namespace, name).map_err(|error| unread(error.into()))?;
        let config_map: Value = self.api.get(&place).await.map_err(unread)?;
        judge::settings(&config_map).map(Arc::new)
    }
}

const UNREAD: &str = "SettingsUnread";

fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text.to_owned())));
    *answer.status_mut() = status;
    answer
}
