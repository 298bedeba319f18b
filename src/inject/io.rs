//! The webhook: reviews come in by TLS, the settings they need are asked of the API server, and answers go out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Body;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header;
use hyper::header::HeaderValue;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
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
use crate::inject::review::Question;
use crate::inject::review::ReviewError;
use crate::inject::weight;
use crate::inject::words;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::resource::Resource;

/// etcd keeps no object above 1.5 MiB, and a review may hold the object twice.
const MOST_REVIEW_BYTES: usize = 3 * 1024 * 1024;

/// A usual review has some 10 KiB, and its room: whoever sends a long one slowly keeps no usual one waiting.
const USUAL_BYTES: usize = 32 * 1024;

/// Of all reviews that are being read what is beyond that. With these and the next three the webhook stays below the 96Mi
/// of manifests/install/webhook.yaml: 10 MiB are its own, 20 are the connections' (256 of 48 KiB and of a usual review), 16
/// these while their buffers grow, 24 what they become, 20 the ConfigMaps (of at most 1.5 MiB, which is there thrice).
const MOST_BYTES_IN_FLIGHT: usize = 8 * 1024 * 1024;

/// What one review may take once it is read: a StatefulSet with five thousand variables, as it is and as it was.
const MOST_REVIEW_WEIGHT: usize = 12 * 1024 * 1024;

/// Of all reviews that are being answered; a pod's takes some 100 KiB.
const MOST_WEIGHT_IN_FLIGHT: usize = 2 * MOST_REVIEW_WEIGHT;

/// ConfigMaps that are asked for at a time; each is there in milliseconds.
const MOST_READS: usize = 4;

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
    /// Bytes of reviews that arrive.
    arriving: Semaphore,
    /// Bytes that reviews take which are answered. Who has some of these waits for no others.
    answering: Semaphore,
    /// ConfigMaps that are asked for.
    reading: Semaphore,
}

/// A review that is not answered.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("the review has not arrived within {} s; there may be too many others", READ_WITHIN.as_secs())]
    Late,
    #[error(
        "the review has more than {MOST_REVIEW_BYTES} bytes, so it is about no object that etcd would keep"
    )]
    TooLong,
    #[error("the review would take {0} bytes in memory; {MOST_REVIEW_WEIGHT} are given to one")]
    TooHeavy(usize),
    #[error("the review did not arrive")]
    Broken(#[source] hyper::Error),
    #[error(transparent)]
    Unreadable(ReviewError),
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
        Self {
            api,
            means: Mutex::new(Arc::new(means)),
            settings: Mutex::default(),
            arriving: Semaphore::new(MOST_BYTES_IN_FLIGHT),
            answering: Semaphore::new(MOST_WEIGHT_IN_FLIGHT),
            reading: Semaphore::new(MOST_READS),
        }
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
        let read = timeout(READ_WITHIN, self.question(body)).await.unwrap_or(Err(Unanswered::Late));
        // The room is given back when the answer is made.
        let (question, _room) = match read {
            Ok(read) => read,
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

    /// The question in a body, and the room that it takes. The room for bytes is taken as they come, so that nobody gets any
    /// for bytes that he only speaks of.
    async fn question(&self, mut body: Incoming) -> Result<(Question, SemaphorePermit<'_>), Unanswered> {
        if body.size_hint().lower() > MOST_REVIEW_BYTES as u64 {
            return Err(Unanswered::TooLong);
        }
        let mut bytes = Vec::new();
        let mut room = taken(&self.arriving, 0).await?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(Unanswered::Broken)?;
            let Some(more) = frame.data_ref() else { continue };
            if bytes.len() + more.len() > MOST_REVIEW_BYTES {
                return Err(Unanswered::TooLong);
            }
            let beyond = (bytes.len() + more.len()).saturating_sub(USUAL_BYTES.max(bytes.len()));
            if beyond > 0 {
                room.merge(taken(&self.arriving, beyond).await?);
            }
            bytes.extend_from_slice(more);
        }
        let weight = weight::of_json(&bytes);
        if weight > MOST_REVIEW_WEIGHT {
            return Err(Unanswered::TooHeavy(weight));
        }
        let room = taken(&self.answering, weight).await?;
        let question = review::parse(&bytes).map_err(Unanswered::Unreadable)?;
        Ok((question, room))
    }

    /// The settings of a ConfigMap: those that were read just now, or those that are there.
    async fn cluster(&self, namespace: &str, name: &str) -> Result<Arc<Cluster>, Refusal> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(known) = self.known(&key) {
            return known;
        }
        // It is never closed. Whoever has waited may find what another has read.
        let _turn = self.reading.acquire().await;
        if let Some(known) = self.known(&key) {
            return known;
        }
        let now = Instant::now();
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

    fn known(&self, key: &(String, String)) -> Option<Result<Arc<Cluster>, Refusal>> {
        let known = self.settings.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        known.filter(|read| read.at.elapsed() < BELIEVED_FOR).map(|read| read.cluster)
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

/// Waits until there is room for so many bytes; the caller has the deadline.
async fn taken(room: &Semaphore, bytes: usize) -> Result<SemaphorePermit<'_>, Unanswered> {
    let bytes = u32::try_from(bytes).map_err(|_| Unanswered::TooLong)?;
    // It is never closed.
    room.acquire_many(bytes).await.map_err(|_| Unanswered::Late)
}

fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text.to_owned())));
    *answer.status_mut() = status;
    answer
}
