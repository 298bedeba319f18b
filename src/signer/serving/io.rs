//! The signer as a server: a leaf of its own CA, for the names of its Service, made in memory and never written.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::pki;
use crate::pki::certificate::Certificate;
use crate::pki::hostname::Host;
use crate::pki::key_kind::KeyAlgorithm;
use crate::pki::sign;
use crate::pki::sign::LeafRequest;
use crate::signer::authorities::io::Authorities;
use crate::signer::authorities::io::May;
use crate::signer::authorities::owner::Owner;
use crate::signer::refusal::Refusal;

/// What is served with, and until when.
#[derive(Debug, Clone)]
pub struct Serving {
    /// For rustls.
    pub config: Arc<ServerConfig>,
    /// When there has to be another.
    pub renew_at: SystemTime,
    /// The CA it is of.
    pub anchor: Certificate,
}

/// A leaf in memory costs nothing to replace, and one that was stolen is of no use for long.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A leaf for the Service called `service` in `namespace`.
pub async fn leaf(
    authorities: &Authorities,
    service: &str,
    namespace: &str,
    may: May,
) -> Result<Serving, Refusal> {
    let authority = authorities.of(&Owner::Signer, LIFETIME, may).await?;
    let now = SystemTime::now();
    let key = pki::io::generate(KeyAlgorithm::default()).map_err(Refusal::Pki)?;
    let public_key_info = sign::public_key_info(&key).map_err(Refusal::Sign)?;
    let hosts: Vec<Host> = [
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        format!("{service}.{namespace}"),
        service.to_owned(),
    ]
    .iter()
    .filter_map(|name| name.parse().ok())
    .collect();
    let request = LeafRequest {
        public_key_info: &public_key_info,
        common_name: "kraftlet-signer",
        hosts: &hosts,
        lifetime: LIFETIME,
        backdated_by: sign::MAX_BACKDATED_BY,
    };
    let serial = pki::io::random_serial().map_err(Refusal::Pki)?;
    let leaf = authority.ca.sign(&request, serial, now).map_err(Refusal::Sign)?;
    let chain = std::iter::once(&leaf).chain(&authority.intermediates).map(|one| one.der().clone());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()));
    let config = ServerConfig::builder_with_provider(pki::io::crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain.collect(), key));
    let mut config = config.map_err(|source| {
        Refusal::Pki(pki::io::PkiError::Tls { leaf: leaf.fingerprint().short(), source })
    })?;
    // A pod asks once in hours: a session that is kept for it is kept for nothing.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let life = leaf.not_after().duration_since(now).unwrap_or_default();
    let renew_at = now.checked_add(life / 3 * 2).unwrap_or(now);
    Ok(Serving { config: Arc::new(config), renew_at, anchor: authority.ca.certificate().clone() })
}
