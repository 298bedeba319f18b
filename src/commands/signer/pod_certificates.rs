//! The requests of kubelets: listed, watched, answered.
//!
//! A request that cannot be answered now stays, and is tried again: the pod waits, and so does its kubelet. There is
//! never more than a thousand in hand; for what found no room all is listed again as soon as there is some.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;

use crate::causes::chain;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::io::Patch;
use crate::kubernetes::io::Watch;
use crate::kubernetes::meta::List;
use crate::kubernetes::resource::Resource;
use crate::signer::election::io::Leading;
use crate::signer::io::Office;
use crate::signer::io::Verdict;
use crate::signer::refusal::Standing;
use crate::signer::requests::PodCertificateRequest;
use crate::signer::requests::Seen;

/// Some 3 KiB each.
const MOST_OPEN: usize = 1024;

/// Each asks the API server a few questions.
const MOST_AT_ONCE: usize = 8;

/// When nobody leads here, or the API server does not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// An API server without PodCertificateRequests gets them by an upgrade.
const NOT_SERVED_FOR: Duration = Duration::from_secs(10 * 60);

/// Even where no event was missed, all is listed again after this time.
const LIST_EVERY: Duration = Duration::from_secs(10 * 60);

/// The API server ends a watch after four minutes; one that goes on has died without a word.
const WATCH_AT_MOST: Duration = Duration::from_secs(280);

/// Between two attempts.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A request in hand.
struct Open {
    request: Arc<PodCertificateRequest>,
    try_at: Instant,
    attempts: u32,
    is_tried: bool,
}

/// A request's namespace and name.
type Key = (String, String);

/// All that are in hand.
#[derive(Default)]
struct Desk {
    open: BTreeMap<Key, Open>,
    working: JoinSet<(Key, Outcome)>,
    /// Whether one found no room.
    is_short: bool,
}

/// What became of one attempt.
enum Outcome {
    Answered,
    Left(Standing),
}

/// Answers as long as this process lives, while it leads.
pub async fn serve(api: Api, office: Arc<Office>, leading: Leading, signer_name: &str) {
    let fields = format!("spec.signerName={signer_name}");
    let mut desk = Desk::default();
    loop {
        if !leading.leads() {
            desk = Desk::default();
            sleep(LOOK_AGAIN).await;
            continue;
        }
        match round(&api, &office, &leading, &fields, &mut desk).await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => sleep(NOT_SERVED_FOR).await,
            // A watch that began too long ago: the next list says all.
            Err(error) if error.is_gone() => sleep(LOOK_AGAIN).await,
            Err(error) => {
                tracing::warn!(
                    reason = error.reason(),
                    "requests of kubelets cannot be read: {}",
                    chain(&error)
                );
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// One list and what follows, until it is time for another or this process leads no more.
async fn round(
    api: &Api,
    office: &Arc<Office>,
    leading: &Leading,
    fields: &str,
    desk: &mut Desk,
) -> Result<(), ApiError> {
    let place = Resource::POD_CERTIFICATE_REQUESTS.all();
    let list: List<PodCertificateRequest> = api.list_where(&place, fields).await?;
    let mut version = list.metadata.resource_version;
    desk.list(list.items);
    let end = Instant::now() + LIST_EVERY;
    while leading.leads() && Instant::now() < end {
        let mut watch = api.watch(&place, fields, &version).await?;
        let reopen_at = Instant::now() + WATCH_AT_MOST;
        while leading.leads() && Instant::now() < reopen_at.min(end) {
            desk.begin(api, office);
            if desk.has_room_again() {
                return Ok(());
            }
            let look_at = desk.next_at().min(Instant::now() + LOOK_AGAIN);
            tokio::select! {
                seen = next(&mut watch) => match seen? {
                    Some(seen) => desk.see(seen, &mut version)?,
                    None => break,
                },
                Some(done) = desk.working.join_next() => desk.done(done.ok()),
                () = sleep_until(look_at) => {}
            }
        }
    }
    Ok(())
}

async fn next(watch: &mut Watch) -> Result<Option<Seen>, ApiError> {
    watch.next().await
}

impl Desk {
    /// Takes all that are there. What is not there any more is let go, but for what is being answered.
    fn list(&mut self, all: Vec<PodCertificateRequest>) {
        let there: BTreeSet<Key> = all.iter().map(key).collect();
        self.open.retain(|key, one| one.is_tried || there.contains(key));
        self.is_short = false;
        for request in all {
            self.take(request);
        }
    }

    /// Whether what found no room would find some now.
    fn has_room_again(&self) -> bool {
        self.is_short && self.open.len() < MOST_OPEN / 2
    }

    fn take(&mut self, request: PodCertificateRequest) {
        let key = key(&request);
        if !request.is_open() {
            self.open.remove(&key);
        } else if self.open.len() < MOST_OPEN || self.open.contains_key(&key) {
            let request = Arc::new(request);
            self.open.entry(key).or_insert(Open {
                request,
                try_at: Instant::now(),
                attempts: 0,
                is_tried: false,
            });
        } else {
            self.is_short = true;
        }
    }

    /// What a watch has told. An error of the watch is one of ours: most often that it began too long ago.
    fn see(&mut self, seen: Seen, version: &mut String) -> Result<(), ApiError> {
        let Seen { kind, object } = seen;
        if kind == "ERROR" {
            let code = object.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
            return Err(ApiError::refused(code.unwrap_or(500), object.to_string().as_bytes()));
        }
        let at = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        if let Some(at) = at.filter(|at| !at.is_empty()) {
            at.clone_into(version);
        }
        let request = || serde_json::from_value(object).map_err(ApiError::NotUnderstood);
        match kind.as_str() {
            "ADDED" | "MODIFIED" => self.take(request()?),
            "DELETED" => drop(self.open.remove(&key(&request()?))),
            // A BOOKMARK's object has a version and nothing else: where lists and bytes are wanted it has null.
            _ => {}
        }
        Ok(())
    }

    fn next_at(&self) -> Instant {
        let far = Instant::now() + LIST_EVERY;
        self.open.values().filter(|one| !one.is_tried).map(|one| one.try_at).min().unwrap_or(far)
    }

    /// Begins as much as is due.
    fn begin(&mut self, api: &Api, office: &Arc<Office>) {
        let now = Instant::now();
        for (key, one) in self.open.iter_mut().filter(|(_, one)| !one.is_tried && one.try_at <= now) {
            if self.working.len() >= MOST_AT_ONCE {
                return;
            }
            one.is_tried = true;
            let (api, office, request) = (api.clone(), Arc::clone(office), Arc::clone(&one.request));
            let key = key.clone();
            self.working.spawn(async move { (key, attempt(&api, &office, &request).await) });
        }
    }

    fn done(&mut self, done: Option<(Key, Outcome)>) {
        let Some((key, outcome)) = done else { return };
        match outcome {
            Outcome::Answered => drop(self.open.remove(&key)),
            Outcome::Left(standing) => {
                let Some(one) = self.open.get_mut(&key) else { return };
                one.attempts = one.attempts.saturating_add(1);
                let doubled = FIRST_PAUSE * (1 << one.attempts.min(6));
                let pause = match standing {
                    Standing::Final => LONGEST_PAUSE,
                    Standing::Waits | Standing::MayPass => doubled.min(LONGEST_PAUSE),
                };
                one.try_at = Instant::now() + pause;
                one.is_tried = false;
            }
        }
    }
}

fn key(request: &PodCertificateRequest) -> Key {
    (request.metadata.namespace.clone(), request.metadata.name.clone())
}

async fn attempt(api: &Api, office: &Office, request: &PodCertificateRequest) -> Outcome {
    let change = match office.pod_certificate(request).await {
        Verdict::Answer(change) => change,
        Verdict::Leave(refusal) => return Outcome::Left(refusal.standing()),
    };
    let (namespace, name) = (&request.metadata.namespace, &request.metadata.name);
    let place = match Resource::POD_CERTIFICATE_REQUESTS.named(namespace, name) {
        Ok(place) => place.part("status"),
        Err(_) => return Outcome::Left(Standing::Final),
    };
    match api.patch::<Value>(&place, Patch::Merge, &change).await {
        Ok(_) => Outcome::Answered,
        // It has been answered, or collected.
        Err(error) if error.is_not_found() || error.is_conflict() => Outcome::Answered,
        Err(error) => {
            tracing::warn!(
                reason = error.reason(),
                "request {namespace}/{name} is not answered: {}",
                chain(&error)
            );
            Outcome::Left(Standing::MayPass)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(kind: &str, object: Value) -> Seen {
        Seen { kind: kind.to_owned(), object }
    }

    fn named(name: &str) -> Value {
        json!({"metadata": {"namespace": "prod", "name": name, "resourceVersion": "7"}})
    }

    #[test]
    fn a_watch_goes_on_from_where_it_was_told_that_it_is() {
        let (mut desk, mut version) = (Desk::default(), "1".to_owned());
        desk.see(seen("ADDED", named("req-a")), &mut version).unwrap();
        assert_eq!((desk.open.len(), version.as_str()), (1, "7"));
        // As the API server writes it: an object of the kind, with nothing in it but its version.
        let bookmark = json!({"kind": "PodCertificateRequest", "apiVersion": "certificates.k8s.io/v1",
            "metadata": {"resourceVersion": "12746"},
            "spec": {"signerName": "", "podName": "", "podUID": "", "maxExpirationSeconds": null,
                     "stubPKCS10Request": null, "unverifiedUserAnnotations": null},
            "status": {"conditions": null}});
        desk.see(seen("BOOKMARK", bookmark), &mut version).unwrap();
        assert_eq!((desk.open.len(), version.as_str()), (1, "12746"));
        desk.see(seen("DELETED", named("req-a")), &mut version).unwrap();
        assert!(desk.open.is_empty());
        let gone = desk.see(seen("ERROR", json!({"kind": "Status", "code": 410})), &mut version);
        assert!(gone.unwrap_err().is_gone());
    }

    #[test]
    fn what_found_no_room_is_listed_again_when_there_is_some() {
        let request = |number: usize| serde_json::from_value(named(&format!("req-{number}"))).unwrap();
        let mut desk = Desk::default();
        desk.list((0..MOST_OPEN).map(request).collect());
        assert!(!desk.is_short);
        desk.take(request(MOST_OPEN));
        assert_eq!((desk.open.len(), desk.is_short, desk.has_room_again()), (MOST_OPEN, true, false));
        desk.open.retain(|_, one| one.request.metadata.name.ends_with('7'));
        assert!(desk.has_room_again());
        desk.list(vec![request(7), request(MOST_OPEN)]);
        assert_eq!((desk.open.len(), desk.is_short), (2, false));
    }
}
