//! cert-manager: the key is made here and stays here, and a CertificateRequest carries a request that names everything.
//!
//! cert-manager signs what it is asked for, so whoever may create CertificateRequests for an issuer may name himself as
//! he likes, unless an approver (cert-manager's approver-policy) decides who may be called what. A cert-manager that
//! approves everything lets a pod name itself.
//!
//! Each request is an object of a new name. The pod may only create and get them: with a right to delete, a pod could
//! take away what another waits for. They belong to the pod where injection tells its uid, and go with it; cert-manager
//! itself collects only those that belong to a Certificate.
//!
//! A person, an approver or an ACME order may take minutes to decide, and a fetch has seconds. What is not decided is kept
//! with its key, and the next fetch goes on waiting for it: to ask anew each time would be never to be answered.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::certificates::bundle::Bundle;
use crate::certificates::request::Request;
use crate::certificates::signing::Signed;
use crate::certificates::sources::Remedy;
use crate::certificates::sources::Source;
use crate::certificates::sources::SourceError;
use crate::certificates::sources::kept;
use crate::certificates::sources::pending;
use crate::certificates::sources::pending::Pending;
use crate::certificates::sources::waiting::wait_for;
use crate::cluster::source::Issuer;
use crate::disk::io::DiskError;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::io::SERVICE_ACCOUNT;
use crate::kubernetes::resource::Resource;
use crate::pki;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::chain::PemError;
use crate::pki::csr;
use crate::pki::io::PkiError;
use crate::pki::private_key::PrivateKey;
use crate::pki::sign::SignError;
use crate::pki::validity::Validity;

/// An issuer of cert-manager, for one certificate of one pod.
#[derive(Debug, Clone)]
pub struct CertManager {
    issuer: Issuer,
    pod: String,
    certificate: String,
    /// Where the certificate's stores are.
    folder: PathBuf,
    service_account: PathBuf,
    /// Host and port; `None` for those of the environment.
    api_server: Option<(String, String)>,
    ready_within: Duration,
}

/// A cert-manager that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CertManagerError {
    /// The API server.
    #[error("{what}")]
    Api {
        /// What could not be done.
        what: String,
        /// Why not.
        #[source]
        source: ApiError,
    },
    /// Somebody has decided against it.
    #[error("CertificateRequest {name} is {condition}: {message}")]
    Refused {
        /// The object.
        name: String,
        /// `Denied`, `InvalidRequest` or `Failed`.
        condition: &'static str,
        /// What is said.
        message: String,
    },
    /// Nobody has decided, or the issuer is not done.
    #[error("CertificateRequest {name} is not ready after {} s: {message}", within.as_secs())]
    TimedOut {
        /// The object.
        name: String,
        /// How long it had.
        within: Duration,
        /// What is said of it.
        message: String,
    },
    /// What came is no certificate.
    #[error("the {what} of CertificateRequest {name} cannot be read")]
    Pem {
        /// Which part.
        what: &'static str,
        /// The object.
        name: String,
        /// Why not.
        #[source]
        source: PemError,
    },
    /// It is for another key.
    #[error("the certificate of CertificateRequest {name} is not for our key")]
    OtherKey {
        /// The object.
        name: String,
    },
    /// Our key.
    #[error("no key could be made for the certificate")]
    Pki(#[source] PkiError),
    /// Our request.
    #[error("no request could be made for the certificate")]
    Csr(#[source] SignError),
    /// Nothing is asked whose answer could be lost.
    #[error("the key of the CertificateRequest cannot be kept")]
    Kept(#[source] DiskError),
    /// No event loop, which is no file descriptors or no memory.
    #[error("the system gives no event loop")]
    System(#[source] io::Error),
}

/// As far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CertificateRequest {
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
    certificate: String,
    ca: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

/// What an object says of itself.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Ready,
    Refused(&'static str, String),
    Pending(String),
}

/// A part of what was answered last, beside the stores.
const KEPT: &str = "cert-manager.json";

/// What is not decided yet, beside the stores.
const PENDING: &str = "cert-manager-pending.pem";

/// An issuer that asks a CA over the network is done within seconds. The renewal machine gives a fetch half a minute.
const READY_WITHIN: Duration = Duration::from_secs(22);

/// cert-manager's leaves begin at the instant they are made, and its clock may be ahead of ours by a little.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl CertManagerError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Api { source, .. } => source.reason(),
            Self::Refused { condition, .. } => match *condition {
                "Denied" => "CertificateRequestDenied",
                "InvalidRequest" => "CertificateRequestInvalid",
                _ => "CertificateRequestFailed",
            },
            Self::TimedOut { .. } => "CertificateRequestPending",
            Self::Pem { source, .. } => source.reason(),
            Self::OtherKey { .. } => "CertificateOtherKey",
            Self::Pki(error) => error.reason(),
            Self::Csr(error) => error.reason(),
            Self::Kept(error) => error.reason(),
            Self::System(_) => "RuntimeFailed",
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::Api { source, .. } => Remedy::of(source.may_pass()),
            // An issuer fails for reasons of its own.
            Self::Refused { condition, .. } => Remedy::of(*condition == "Failed"),
            Self::Kept(error) => Remedy::of(error.may_pass()),
            Self::TimedOut { .. } | Self::Pki(_) | Self::System(_) => Remedy::TryAgain,
            Self::Pem { .. } | Self::OtherKey { .. } | Self::Csr(_) => Remedy::ChangeSomething,
        }
    }

    /// Whether the object is no longer there.
    fn is_gone(&self) -> bool {
        matches!(self, Self::Api { source, .. } if source.is_not_found())
    }

    /// Whether the object was certainly not made.
    fn has_asked_nothing(&self) -> bool {
        let Self::Api { source, .. } = self else { return false };
        match source {
            ApiError::NotInAPod { .. }
            | ApiError::Unreadable { .. }
            | ApiError::Unusable { .. }
            | ApiError::Place(_) => true,
            ApiError::Refused { code, .. } => (400..500).contains(code),
            ApiError::Unreachable(_)
            | ApiError::TimedOut { .. }
            | ApiError::TooLong { .. }
            | ApiError::NotUnderstood(_) => false,
        }
    }

    /// Whether the object may still be answered.
    fn leaves_it_open(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Api { .. }) && !self.is_gone()
    }
}

impl CertManager {
    /// Of the pod called `pod`, as its own service account. `folder` is that of the certificate's stores.
    pub fn in_pod(issuer: &Issuer, pod: &str, certificate: &str, folder: &Path) -> Self {
        Self::new(issuer, pod, certificate, folder, Path::new(SERVICE_ACCOUNT))
    }

    /// The same, as the service account in this folder.
    pub fn new(issuer: &Issuer, pod: &str, certificate: &str, folder: &Path, service_account: &Path) -> Self {
        Self {
            issuer: issuer.clone(),
            pod: pod.to_owned(),
            certificate: certificate.to_owned(),
            folder: folder.to_owned(),
            service_account: service_account.to_owned(),
            api_server: None,
            ready_within: READY_WITHIN,
        }
    }

    /// The same, by this API server and not by the environment's.
    pub fn at(self, host: &str, port: &str) -> Self {
        Self { api_server: Some((host.to_owned(), port.to_owned())), ..self }
    }

    /// The same, with this time for the answer to one fetch.
    pub fn ready_within(self, ready_within: Duration) -> Self {
        Self { ready_within, ..self }
    }

    fn api(&self) -> Result<Api, ApiError> {
        match &self.api_server {
            None => Api::of_service_account(&self.service_account),
            Some((host, port)) => Api::of_service_account_at(host, port, &self.service_account),
        }
    }

    fn issue(&self, request: &Request, now: SystemTime) -> Result<Bundle, CertManagerError> {
        let wanted = self.wanted(request);
        let end = Instant::now() + self.ready_within;
        if let Some(kept) = pending::read(&self.folder, PENDING).filter(|kept| kept.wanted == wanted) {
            match self.take(kept, request, end) {
                Err(error) if error.is_gone() => {}
                // It was signed and nobody came for it: an order of a person, say, that was given up.
                Ok(bundle) if is_half_over(bundle.leaf().validity(), now) => {}
                taken => return taken,
            }
        }
        let pending = self.begin(request, wanted)?;
        self.take(pending, request, end)
    }

    /// All that an answer depends on.
    fn wanted(&self, request: &Request) -> String {
        let Issuer { name, kind, group } = &self.issuer;
        let hosts: Vec<String> = request.hosts().iter().map(ToString::to_string).collect();
        json!({
            "issuer": [name, kind, group],
            "commonName": request.common_name(),
            "hosts": hosts,
            "keyAlgorithm": request.key_algorithm().to_string(),
            "seconds": request.lifetime().as_secs(),
        })
        .to_string()
    }

    /// Asks with a new key, which is kept before anybody is asked: an answer is of use only to its key.
    fn begin(&self, request: &Request, wanted: String) -> Result<Pending, CertManagerError> {
        let key = pki::io::generate(request.key_algorithm()).map_err(CertManagerError::Pki)?;
        let csr = csr::naming(&key, request.common_name(), request.hosts()).map_err(CertManagerError::Csr)?;
        let chance = pki::io::random_serial().map_err(CertManagerError::Pki)?;
        let name = format!("{}-{}-{}", self.pod, self.certificate, chance.short());
        let pending = Pending { name, wanted, key };
        pending::write(&self.folder, PENDING, &pending).map_err(CertManagerError::Kept)?;
        let made = wait_for(self.create(&pending.name, &csr, request.lifetime()));
        let made = made.map_err(CertManagerError::System)?;
        // After a lost answer the next fetch finds the object, or finds it gone.
        if made.as_ref().is_err_and(CertManagerError::has_asked_nothing) {
            pending::forget(&self.folder, PENDING);
        }
        made.map(|()| pending)
    }

    /// Waits for the answer to what was asked. Once it has come, whatever it is, nothing is kept of the question.
    fn take(&self, pending: Pending, request: &Request, end: Instant) -> Result<Bundle, CertManagerError> {
        let Pending { name, key, .. } = pending;
        let answered = wait_for(self.answer(&name, end)).map_err(CertManagerError::System)?;
        if !answered.as_ref().is_err_and(CertManagerError::leaves_it_open) {
            pending::forget(&self.folder, PENDING);
        }
        self.bundle(name, key, &answered?, request)
    }

    fn bundle(
        &self,
        name: String,
        key: PrivateKey,
        status: &Status,
        request: &Request,
    ) -> Result<Bundle, CertManagerError> {
        let mut chain = certificates(&name, "certificate", &status.certificate)?;
        let mut anchors = Vec::new();
        // An issuer of public certificates says nothing here; then the settings say whom to trust.
        if !status.ca.is_empty() {
            anchors = certificates(&name, "ca", &status.ca)?;
        }
        let leaf = chain.remove(0);
        if !key.matches(&leaf) {
            return Err(CertManagerError::OtherKey { name });
        }
        wait_for(begun(leaf.not_before())).map_err(CertManagerError::System)?;
        let trust_anchors = anchors.iter().map(pki::stores::certificate_pem).collect();
        kept::write(&self.folder, KEPT, Signed { trust_anchors, ..Signed::default() });
        Ok(Bundle::new(
            key,
            leaf,
            chain,
            anchors.into_iter().chain(request.further_anchors().iter().cloned()),
        ))
    }

    async fn create(&self, name: &str, csr: &str, lifetime: Duration) -> Result<(), CertManagerError> {
        let failed = failed(name, "made");
        let api = self.api().map_err(&failed)?;
        let namespace = api.namespace();
        let all = Resource::CERTIFICATE_REQUESTS.of_namespace(namespace).map_err(ApiError::from);
        let object = self.object(namespace, name, csr, lifetime);
        api.create::<Value>(&all.map_err(&failed)?, &object).await.map(drop).map_err(&failed)
    }

    async fn answer(&self, name: &str, end: Instant) -> Result<Status, CertManagerError> {
        let failed = failed(name, "read");
        let api = self.api().map_err(&failed)?;
        let one = Resource::CERTIFICATE_REQUESTS.named(api.namespace(), name).map_err(ApiError::from);
        let one = one.map_err(&failed)?;
        loop {
            let message = match api.get::<CertificateRequest>(&one).await {
                Ok(found) => match standing(&found.status) {
                    Standing::Ready => return Ok(found.status),
                    Standing::Refused(condition, message) => {
                        return Err(CertManagerError::Refused { name: name.to_owned(), condition, message });
                    }
                    Standing::Pending(message) => message,
                },
                Err(error) if error.may_pass() && !error.is_not_found() => error.to_string(),
                Err(error) => return Err(failed(error)),
            };
            if Instant::now() + LOOK_EVERY >= end {
                return Err(CertManagerError::TimedOut {
                    name: name.to_owned(),
                    within: self.ready_within,
                    message,
                });
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn object(&self, namespace: &str, name: &str, csr: &str, lifetime: Duration) -> Value {
        let Issuer { name: issuer, kind, group } = &self.issuer;
        let owners = match std::env::var("POD_UID") {
            Ok(uid) if !uid.is_empty() => {
                json!([{"apiVersion": "v1", "kind": "Pod", "name": self.pod, "uid": uid}])
            }
            _ => json!([]),
        };
        json!({
            "apiVersion": "cert-manager.io/v1",
            "kind": "CertificateRequest",
            "metadata": {
                "namespace": namespace, "name": name,
                "labels": {"app.kubernetes.io/managed-by": "kraftlet"},
                "ownerReferences": owners,
            },
            "spec": {
                "request": STANDARD.encode(csr),
                "issuerRef": {"name": issuer, "kind": kind, "group": group},
                "duration": format!("{}s", lifetime.as_secs()),
                "usages": ["digital signature", "key encipherment", "server auth", "client auth"],
            },
        })
    }
}

/// Waits until a leaf is valid by our clock; not for one that begins much later, which is for the preflight to say.
async fn begun(not_before: SystemTime) {
    let ahead = not_before.duration_since(SystemTime::now()).unwrap_or_default();
    if ahead <= BEGINS_WITHIN {
        sleep(ahead).await;
    }
}

impl Source for CertManager {
    fn describe(&self) -> String {
        let Issuer { name, kind, .. } = &self.issuer;
        format!("have cert-manager's {kind} {name} sign a key that is made here")
    }

    fn fetch(&self, request: &Request, now: SystemTime) -> Result<Bundle, SourceError> {
        self.issue(request, now).map_err(|error| {
            let (reason, remedy) = (error.reason(), error.remedy());
            SourceError::new(error, reason, remedy)
        })
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn issues(&self) -> bool {
        true
    }

    /// cert-manager says whom to trust only with a certificate, so it is what it said last.
    fn trusted(&self, request: &Request) -> Result<Option<Vec<Certificate>>, SourceError> {
        let kept = kept::read(&self.folder, KEPT).0.unwrap_or_default().trust_anchors;
        let anchors = chain::parse_pem(kept.as_bytes()).unwrap_or_default();
        let anchors: Vec<_> = anchors.into_iter().chain(request.further_anchors().iter().cloned()).collect();
        Ok((!anchors.is_empty()).then_some(anchors))
    }
}

/// A leaf with more than that behind it is renewed soon, and asking at once is one turn less.
fn is_half_over(validity: Validity, now: SystemTime) -> bool {
    validity.left(now) < validity.life() / 2
}

fn failed(name: &str, what: &str) -> impl Fn(ApiError) -> CertManagerError {
    let what = format!("CertificateRequest {name} cannot be {what}");
    move |source| CertManagerError::Api { what: what.clone(), source }
}

fn standing(status: &Status) -> Standing {
    let condition = |kind: &str| status.conditions.iter().find(|one| one.r#type == kind);
    let message = |one: &Condition| one.message.chars().take(500).collect::<String>();
    for kind in ["Denied", "InvalidRequest"] {
        if let Some(one) = condition(kind).filter(|one| one.status == "True") {
            return Standing::Refused(kind, message(one));
        }
    }
    match condition("Ready") {
        Some(one) if one.status == "True" && !status.certificate.is_empty() => Standing::Ready,
        Some(one) if one.reason == "Failed" => Standing::Refused("Failed", message(one)),
        Some(one) => Standing::Pending(message(one)),
        None => Standing::Pending("nobody has looked at it".to_owned()),
    }
}

fn certificates(name: &str, what: &'static str, encoded: &str) -> Result<Vec<Certificate>, CertManagerError> {
    let pem = STANDARD.decode(encoded).unwrap_or_default();
    chain::parse_pem(&pem).map_err(|source| CertManagerError::Pem { what, name: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_that_is_about_to_begin_is_waited_for_and_a_late_one_is_not() {
        let soon = SystemTime::now() + Duration::from_millis(30);
        wait_for(begun(soon)).unwrap();
        assert!(SystemTime::now() >= soon);
        let late = SystemTime::now() + BEGINS_WITHIN + Duration::from_secs(60);
        wait_for(begun(late)).unwrap();
        assert!(SystemTime::now() < late);
    }

    #[test]
    fn the_conditions_say_how_it_stands() {
        let check = |conditions: Value, certificate: &str, want: Standing| {
            let status = json!({"conditions": conditions, "certificate": certificate});
            assert_eq!(standing(&serde_json::from_value(status).unwrap()), want);
        };
        let one = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "so it is"});
        let said = || "so it is".to_owned();
        check(json!([]), "", Standing::Pending("nobody has looked at it".to_owned()));
        check(json!([one("Ready", "False", "Pending")]), "", Standing::Pending(said()));
        check(json!([one("Ready", "True", "Issued")]), "x", Standing::Ready);
        check(json!([one("Ready", "True", "Issued")]), "", Standing::Pending(said()));
        check(json!([one("Ready", "False", "Failed")]), "", Standing::Refused("Failed", said()));
        let denied = json!([one("Ready", "False", "Denied"), one("Denied", "True", "policy")]);
        check(denied, "", Standing::Refused("Denied", said()));
        check(json!([one("InvalidRequest", "True", "x")]), "x", Standing::Refused("InvalidRequest", said()));
    }
}
