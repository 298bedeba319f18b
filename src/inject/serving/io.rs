//! Makes the webhook's certificate, adds its CA to the configurations, and renews both before they are due.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::Value;

use crate::causes::chain as causes;
use crate::inject::serving::bundle;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::resource::Resource;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::hostname::Host;
use crate::pki::io as pki_io;
use crate::pki::key_kind::KeyAlgorithm;
use crate::pki::private_key::PrivateKey;
use crate::pki::renew_point::RenewPoint;
use crate::pki::sign;
use crate::pki::sign::Ca;
use crate::pki::sign::LeafRequest;

/// A certificate to serve with.
pub struct Identity {
    /// What a TLS server shows.
    pub config: Arc<ServerConfig>,
    /// The CA it is of, where it is our own.
    authority: Option<Certificate>,
    leaf: Certificate,
}

/// A certificate that cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct IdentityError(String);

/// A week: a replica lives about as long between two releases, and an authority that nobody took back is soon gone.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Half of the life is left for an API server that cannot be asked.
const RENEW_AT_PERCENT: u64 = 50;

/// Two replicas may write at the same time, and one of them then looks again.
const MOST_TRIES: usize = 5;

impl Identity {
    /// A CA and a leaf of it, for these names.
    pub fn make(names: &[Host], now: SystemTime) -> Result<Self, IdentityError> {
        let wrong = |error: &dyn std::error::Error| IdentityError(causes(error));
        let key = || pki_io::generate(KeyAlgorithm::EcdsaP256).map_err(|error| wrong(&error));
        let serial = || pki_io::random_serial().map_err(|error| wrong(&error));
        let authority = Ca::self_signed("kraftlet webhook CA", key()?, serial()?, LIFETIME, now)
            .map_err(|error| wrong(&error))?;
        let leaf_key = key()?;
        let public_key_info = sign::public_key_info(&leaf_key).map_err(|error| wrong(&error))?;
        let request = LeafRequest {
            public_key_info: &public_key_info,
            common_name: "kraftlet webhook",
            hosts: names,
            lifetime: LIFETIME,
            backdated_by: sign::MAX_BACKDATED_BY,
        };
        let leaf = authority.sign(&request, serial()?, now).map_err(|error| wrong(&error))?;
        let config = server_config(&leaf_key, std::slice::from_ref(&leaf))?;
        Ok(Self { config, authority: Some(authority.certificate().clone()), leaf })
    }

    /// `tls.crt` and `tls.key` of a folder, which somebody else fills and renews, and whose CA is his to announce.
    pub fn read(folder: &Path) -> Result<Self, IdentityError> {
        let read = |name: &str| {
            let file = folder.join(name);
            std::fs::read(&file)
                .map_err(|error| IdentityError(format!("cannot read {}: {error}", file.display())))
        };
        let wrong = |name: &str, error: &dyn std::error::Error| {
            IdentityError(format!("{}: {}", folder.join(name).display(), causes(error)))
        };
        let chain = chain::parse_pem(&read("tls.crt")?).map_err(|error| wrong("tls.crt", &error))?;
        let key = zeroize::Zeroizing::new(read("tls.key")?);
        let key = PrivateKey::from_pem(&key).map_err(|error| wrong("tls.key", &error))?;
        let leaf = chain.first().cloned().ok_or_else(|| IdentityError("no certificate".to_owned()))?;
        Ok(Self { config: server_config(&key, &chain)?, authority: None, leaf })
    }

    /// Whether it is time for another.
    pub fn is_due(&self, now: SystemTime) -> bool {
        let point = RenewPoint::from_percent(RENEW_AT_PERCENT).map(|point| point.of(self.leaf.validity()));
        point.map_or(true, |point| point <= now)
    }

    /// Whether both serve the same leaf.
    pub fn is(&self, other: &Self) -> bool {
        self.leaf.fingerprint() == other.leaf.fingerprint()
    }

    /// Makes sure that the API server trusts it, in the configurations called `name`.
    pub async fn announce(&self, api: &Api, name: &str, now: SystemTime) -> Result<(), ApiError> {
        let Some(authority) = &self.authority else { return Ok(()) };
        for kind in [Resource::MUTATING_WEBHOOKS, Resource::VALIDATING_WEBHOOKS] {
            let place = kind.of_cluster(name)?;
            let mut tries = 0;
            loop {
                let mut configuration: Value = api.get(&place).await?;
                if !bundle::add(&mut configuration, authority, now) {
                    break;
                }
                tries += 1;
                match api.replace::<Value>(&place, &configuration).await {
                    Ok(_) => break,
                    Err(error) if error.is_conflict() && tries < MOST_TRIES => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn server_config(key: &PrivateKey, chain: &[Certificate]) -> Result<Arc<ServerConfig>, IdentityError> {
    let chain = chain.iter().map(|one| one.der().clone()).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()));
    let config = ServerConfig::builder_with_provider(pki_io::crypto_provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| IdentityError(causes(&error)))?;
    Ok(Arc::new(config))
}
