//! Whom to trust, published: in a ConfigMap beside each cluster, and in a ClusterTrustBundle where those are served.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::inject::words;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::io::Patch;
use crate::kubernetes::resource::Resource;
use crate::signer::authorities::owner::Owner;
use crate::signer::authorities::publish;
use crate::signer::authorities::publish::Entry;
use crate::signer::refusal::Refusal;

/// Publishes as one signer.
#[derive(Debug)]
pub struct Publisher {
    api: Api,
    signer_name: String,
    /// When this API server said that it has no ClusterTrustBundles.
    no_bundles_at: Mutex<Option<Instant>>,
}

/// An API server without ClusterTrustBundles gets them by an upgrade, and pods wait for theirs.
const NOT_SERVED_FOR: Duration = Duration::from_secs(5 * 60);

impl Publisher {
    /// As the signer of this name.
    pub fn new(api: Api, signer_name: &str) -> Self {
        Self { api, signer_name: signer_name.to_owned(), no_bundles_at: Mutex::default() }
    }

    /// Writes it down wherever those look who have to trust the owner's CA.
    pub async fn publish(&self, owner: &Owner, pem: &str) -> Result<(), Refusal> {
        let entry = Entry::of(owner, self.api.namespace());
        self.entry(&entry, pem).await.map_err(Refusal::asking("the ConfigMap with the trust"))?;
        if let Owner::Cluster { namespace, cluster } = owner
            && self.has_bundles()
        {
            let name = words::trust_bundle(&self.signer_name, namespace, cluster);
            self.bundle(&name, pem).await.map_err(Refusal::asking("the ClusterTrustBundle"))?;
        }
        Ok(())
    }

    fn has_bundles(&self) -> bool {
        let said_at = *self.no_bundles_at.lock().unwrap_or_else(PoisonError::into_inner);
        said_at.is_none_or(|at| at.elapsed() >= NOT_SERVED_FOR)
    }

    async fn entry(&self, entry: &Entry, pem: &str) -> Result<(), ApiError> {
        let place = Resource::CONFIG_MAPS.named(&entry.namespace, entry.name)?;
        match self.api.patch::<Value>(&place, Patch::Merge, &entry.patch(pem)).await {
            Err(error) if error.is_not_found() => {}
            patched => return patched.map(drop),
        }
        let all = Resource::CONFIG_MAPS.of_namespace(&entry.namespace)?;
        match self.api.create::<Value>(&all, &entry.whole(pem)).await {
            Err(error) if error.is_conflict() => {
                self.api.patch::<Value>(&place, Patch::Merge, &entry.patch(pem)).await.map(drop)
            }
            made => made.map(drop),
        }
    }

    async fn bundle(&self, name: &str, pem: &str) -> Result<(), ApiError> {
        let resource = Resource::CLUSTER_TRUST_BUNDLES;
        let place = resource.of_cluster(name)?;
        let patch = json!({"spec": {"trustBundle": pem}});
        match self.api.patch::<Value>(&place, Patch::Merge, &patch).await {
            Err(error) if error.is_not_found() => {}
            patched => return patched.map(drop),
        }
        let bundle = publish::bundle(name, &self.signer_name, pem);
        match self.api.create::<Value>(&resource.all(), &bundle).await {
            // An API server before 1.37, or one where somebody has turned them off.
            Err(error) if error.is_not_found() => {
                let mut said_at = self.no_bundles_at.lock().unwrap_or_else(PoisonError::into_inner);
                if said_at.replace(Instant::now()).is_none() {
                    tracing::info!(
                        reason = "NoClusterTrustBundles",
                        "this API server has no ClusterTrustBundles"
                    );
                }
                Ok(())
            }
            Err(error) if error.is_conflict() => {
                self.api.patch::<Value>(&place, Patch::Merge, &patch).await.map(drop)
            }
            made => made.map(drop),
        }
    }
}
