//! The questions to the API server, one after the other. Settings are parsed once for each of their versions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde_json::json;

use crate::certificates::signing::AUDIENCE;
use crate::cluster::model::Cluster;
use crate::cluster::parse;
use crate::inject::words;
use crate::kubernetes::io::Api;
use crate::kubernetes::resource::Resource;
use crate::pod::name::PodName;
use crate::signer::admit;
use crate::signer::admit::Claim;
use crate::signer::objects::ConfigMap;
use crate::signer::objects::Object;
use crate::signer::objects::Pod;
use crate::signer::objects::TokenReview;
use crate::signer::refusal::Refusal;

/// Asks.
#[derive(Debug)]
pub struct Lookup {
    api: Api,
    parsed: Mutex<Parsed>,
}

/// The settings of ConfigMaps, by namespace and name, each with the version that was parsed.
type Parsed = BTreeMap<(String, String), (String, Arc<Cluster>)>;

/// A pod that may have a certificate.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The pod.
    pub pod: Pod,
    /// Its name in parts.
    pub name: PodName,
    /// Its cluster.
    pub cluster: Arc<Cluster>,
}

/// Some 20 KiB each, and never more than ten times their text.
const MOST_PARSED: usize = 128;

/// Settings have a few hundred lines at most; longer ones are parsed each time, so that what is kept has a bound.
const MOST_KEPT_BYTES: usize = 16 * 1024;

impl Lookup {
    /// Asks this API server.
    pub fn new(api: Api) -> Self {
        Self { api, parsed: Mutex::default() }
    }

    /// Whose token it is.
    pub async fn claim(&self, token: &str) -> Result<Claim, Refusal> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        });
        let place = Resource::TOKEN_REVIEWS.all();
        let review: TokenReview =
            self.api.create(&place, &review).await.map_err(Refusal::asking("whose token it is"))?;
        Claim::of_token(&review.status, AUDIENCE)
    }

    /// The pod, where it is one.
    pub async fn pod(&self, claim: &Claim) -> Result<Pod, Refusal> {
        let place = Resource::PODS.named(&claim.namespace, &claim.pod).map_err(|_| claim.gone())?;
        match self.api.get(&place).await {
            Ok(pod) => Ok(pod),
            Err(error) if error.is_not_found() => Err(claim.gone()),
            Err(error) => Err(Refusal::asking("the pod")(error)),
        }
    }

    /// Checks the pod against what is claimed of it, and reads its settings.
    pub async fn admit(&self, claim: &Claim, pod: Pod) -> Result<Admitted, Refusal> {
        let owner = admit::owner_of(claim, &pod)?;
        let place =
            Resource::STATEFUL_SETS.named(&claim.namespace, owner).map_err(|_| Refusal::NoStatefulSet)?;
        let stateful_set: Object = match self.api.get(&place).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Err(Refusal::NoStatefulSet),
            Err(error) => return Err(Refusal::asking("the StatefulSet")(error)),
        };
        let (name, config_map) = admit::settings_of(&pod, &stateful_set)?;
        let cluster = self.settings(&claim.namespace, config_map).await?;
        Ok(Admitted { name, cluster, pod })
    }

    async fn settings(&self, namespace: &str, config_map: &str) -> Result<Arc<Cluster>, Refusal> {
        let called = || config_map.chars().take(253).collect::<String>();
        let none = || Refusal::NoSettings { config_map: called() };
        let place = Resource::CONFIG_MAPS.named(namespace, config_map).map_err(|_| none())?;
        let found: ConfigMap = match self.api.get(&place).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Err(none()),
            Err(error) => return Err(Refusal::asking("the settings")(error)),
        };
        let version = format!("{}/{}", found.metadata.uid, found.metadata.resource_version);
        let key = (namespace.to_owned(), config_map.to_owned());
        if let Some((_, cluster)) = self.locked().get(&key).filter(|(parsed, _)| *parsed == version) {
            return Ok(Arc::clone(cluster));
        }
        let text = found.data.get(words::SETTINGS_KEY).ok_or_else(none)?;
        let cluster = parse::parse(words::SETTINGS_KEY, text.as_bytes()).map_err(|problems| {
            let first = problems.problems.first();
            let problem = first.map(|one| one.message.chars().take(300).collect()).unwrap_or_default();
            Refusal::SettingsInvalid { config_map: called(), problem }
        })?;
        let cluster = Arc::new(cluster);
        if text.len() > MOST_KEPT_BYTES {
            return Ok(cluster);
        }
        let mut parsed = self.locked();
        if parsed.len() >= MOST_PARSED && !parsed.contains_key(&key) {
            parsed.clear();
        }
        parsed.insert(key, (version, Arc::clone(&cluster)));
        Ok(cluster)
    }

    fn locked(&self) -> MutexGuard<'_, Parsed> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
