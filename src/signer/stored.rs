//! A CA as it lies in its Secret.
//!
//! | key | what |
//! |---|---|
//! | `tls.crt`, `tls.key` | the CA that signs; where it is an intermediate that somebody brought, what is above it follows |
//! | `ca.crt` | whom to trust, where that is not `tls.crt`; only of a CA that somebody brought |
//! | `next.crt`, `next.key` | the CA that will take its place |
//! | `old.crt` | those that signed before, as long as leaves of theirs are about |
//!
//! A Secret that we made has the annotation [`OWN`]; all others are somebody's own CA, are used as they are, and never
//! written. Whoever replaces such a CA keeps both in `ca.crt` for as long as it takes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::kubernetes::meta::Meta;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::chain::PemError;
use crate::pki::private_key::PrivateKey;
use crate::pki::private_key::PrivateKeyError;
use crate::pki::sign::Ca;
use crate::pki::sign::SignError;
use crate::pki::stores;
use crate::pki::validity::Validity;
use crate::signer::objects::Secret;
use crate::signer::objects::SecretBytes;
use crate::signer::stages::Next;
use crate::signer::stages::Stages;

/// A CA that can sign, and what is trusted with it.
#[derive(Debug)]
pub struct Authority {
    /// The CA.
    pub ca: Ca,
    /// What stands after a leaf.
    pub intermediates: Vec<Certificate>,
    /// Whom to trust.
    pub anchors: Vec<Certificate>,
    /// Where it stands; `None` for somebody's own, which is not ours to replace.
    pub stages: Option<Stages>,
}

/// A Secret that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// A key is missing.
    #[error("Secret {secret} has no {key}")]
    Missing {
        /// Which Secret.
        secret: String,
        /// Which of its keys.
        key: &'static str,
    },
    /// A key holds no private key.
    #[error("{key} of Secret {secret} holds no usable key")]
    Key {
        /// Which Secret.
        secret: String,
        /// Which of its keys.
        key: &'static str,
        /// Why not.
        #[source]
        source: PrivateKeyError,
    },
    /// A key holds no certificates.
    #[error("{key} of Secret {secret} holds no usable certificate")]
    Certificates {
        /// Which Secret.
        secret: String,
        /// Which of its keys.
        key: &'static str,
        /// Why not.
        #[source]
        source: PemError,
    },
    /// The pair is no CA.
    #[error("Secret {secret} holds no CA")]
    NoCa {
        /// Which Secret.
        secret: String,
        /// Why not.
        #[source]
        source: SignError,
    },
    /// An annotation of ours is not as we write it.
    #[error("annotation {annotation} of Secret {secret} is no time")]
    Annotation {
        /// Which Secret.
        secret: String,
        /// Which annotation.
        annotation: &'static str,
    },
}

impl StoredError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "CaSecretIncomplete",
            Self::Key { source, .. } => source.reason(),
            Self::Certificates { source, .. } => source.reason(),
            Self::NoCa { source, .. } => source.reason(),
            Self::Annotation { .. } => "CaSecretUnreadable",
        }
    }
}

/// On Secrets that the signer made.
pub const OWN: &str = "kraftlet.dev/ca";

/// A label for people to list them by.
pub const COMPONENT: &str = "kraftlet.dev/component";

/// Its value.
pub const COMPONENT_CA: &str = "signer-ca";

const LEAVES_UNTIL: &str = "kraftlet.dev/leaves-until";
const NEXT_TRUSTED_SINCE: &str = "kraftlet.dev/next-trusted-since";
const OLD_UNTIL: &str = "kraftlet.dev/old-until";

/// What is in the Secret.
pub fn read(secret: &Secret) -> Result<Authority, StoredError> {
    let name = || secret.metadata.name.clone();
    let key = private_key(secret, "tls.key")?.ok_or_else(|| missing(secret, "tls.key"))?;
    let mut chain = certificates(secret, "tls.crt")?.into_iter();
    let certificate = chain.next().ok_or_else(|| missing(secret, "tls.crt"))?;
    let no_ca = |source| StoredError::NoCa { secret: name(), source };
    if !secret.metadata.annotations.contains_key(OWN) {
        let mut anchors = certificates(secret, "ca.crt")?;
        let mut intermediates = Vec::new();
        if anchors.is_empty() {
            anchors.push(certificate.clone());
        }
        // A root in a chain is sent for nothing.
        if !certificate.is_self_issued() {
            intermediates.push(certificate.clone());
            intermediates.extend(chain.filter(|above| !above.is_self_issued()));
        }
        let ca = Ca::new(certificate, key).map_err(no_ca)?;
        return Ok(Authority { ca, intermediates, anchors, stages: None });
    }
    let next = certificates(secret, "next.crt")?.into_iter().next();
    let old = certificates(secret, "old.crt")?;
    let stages = Stages {
        signing: certificate.validity(),
        leaves_until: time(secret, LEAVES_UNTIL)?,
        next: match &next {
            Some(next) => {
                let trusted_since = time(secret, NEXT_TRUSTED_SINCE)?;
                Some(Next { validity: next.validity(), trusted_since })
            }
            None => None,
        },
        old_until: match old.iter().map(Certificate::not_after).max() {
            // Without a date they stay for as long as they could be of use to anybody.
            Some(end) => Some(time(secret, OLD_UNTIL)?.unwrap_or(end)),
            None => None,
        },
    };
    let mut anchors = vec![certificate.clone()];
    anchors.extend(next);
    anchors.extend(old);
    let ca = Ca::new(certificate, key).map_err(no_ca)?;
    Ok(Authority { ca, intermediates: Vec::new(), anchors, stages: Some(stages) })
}

/// A Secret for a new CA of our own.
pub fn made(namespace: &str, name: &str, ca: &Ca) -> Secret {
    let mut metadata = Meta::named(namespace, name);
    metadata.annotations.insert(OWN.to_owned(), "own".to_owned());
    metadata.labels.insert(COMPONENT.to_owned(), COMPONENT_CA.to_owned());
    let mut secret = Secret { metadata, data: BTreeMap::new() };
    put(&mut secret, "tls", ca);
    secret
}

/// With a CA that will take the place of the one that signs.
pub fn with_next(mut secret: Secret, ca: &Ca) -> Secret {
    secret.metadata.annotations.remove(NEXT_TRUSTED_SINCE);
    put(&mut secret, "next", ca);
    secret
}

/// The next one has been published.
pub fn with_trusted_since(mut secret: Secret, now: SystemTime) -> Secret {
    note(&mut secret, NEXT_TRUSTED_SINCE, now);
    secret
}

/// Leaves live until then.
pub fn with_leaves_until(mut secret: Secret, until: SystemTime) -> Secret {
    note(&mut secret, LEAVES_UNTIL, until);
    secret
}

/// The next one signs, and the one that did is trusted until its last leaf has expired.
pub fn switched(mut secret: Secret, stages: &Stages, now: SystemTime) -> Secret {
    let mut old = secret.data.remove("tls.crt").map(|pem| pem.expose().to_vec()).unwrap_or_default();
    if let Some(older) = secret.data.remove("old.crt") {
        old.extend_from_slice(older.expose());
    }
    secret.data.insert("old.crt".to_owned(), SecretBytes::new(old));
    for (from, to) in [("next.crt", "tls.crt"), ("next.key", "tls.key")] {
        if let Some(value) = secret.data.remove(from) {
            secret.data.insert(to.to_owned(), value);
        }
    }
    for annotation in [NEXT_TRUSTED_SINCE, LEAVES_UNTIL] {
        secret.metadata.annotations.remove(annotation);
    }
    let until = stages.leaves_until.max(stages.old_until).unwrap_or(now);
    note(&mut secret, OLD_UNTIL, until);
    secret
}

/// Those that signed before are trusted no more.
pub fn without_old(mut secret: Secret) -> Secret {
    secret.data.remove("old.crt");
    secret.metadata.annotations.remove(OLD_UNTIL);
    secret
}

fn put(secret: &mut Secret, name: &str, ca: &Ca) {
    let certificate = stores::certificate_pem(ca.certificate());
    secret.data.insert(format!("{name}.crt"), SecretBytes::new(certificate));
    let mut key = stores::keystore_pem(ca.key(), []);
    secret.data.insert(format!("{name}.key"), SecretBytes::new(std::mem::take(&mut *key)));
}

fn note(secret: &mut Secret, annotation: &str, at: SystemTime) {
    // Whole seconds, rounded up: no leaf outlives what is noted of it.
    let at = at.checked_add(std::time::Duration::from_millis(999)).unwrap_or(at);
    if let Ok(at) = Timestamp::try_from(at) {
        secret.metadata.annotations.insert(annotation.to_owned(), whole_seconds(at));
    }
}

fn whole_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn time(secret: &Secret, annotation: &'static str) -> Result<Option<SystemTime>, StoredError> {
    let Some(text) = secret.metadata.annotations.get(annotation) else { return Ok(None) };
    let at = text.parse::<Timestamp>().map(SystemTime::from);
    let broken = |_| StoredError::Annotation { secret: secret.metadata.name.clone(), annotation };
    at.map(Some).map_err(broken)
}

fn certificates(secret: &Secret, key: &'static str) -> Result<Vec<Certificate>, StoredError> {
    let Some(pem) = secret.data.get(key) else { return Ok(Vec::new()) };
    let broken = |source| StoredError::Certificates { secret: secret.metadata.name.clone(), key, source };
    chain::parse_pem(pem.expose()).map_err(broken)
}

fn private_key(secret: &Secret, key: &'static str) -> Result<Option<PrivateKey>, StoredError> {
    let Some(pem) = secret.data.get(key) else { return Ok(None) };
    let broken = |source| StoredError::Key { secret: secret.metadata.name.clone(), key, source };
    PrivateKey::from_pem(pem.expose()).map(Some).map_err(broken)
}

fn missing(secret: &Secret, key: &'static str) -> StoredError {
    StoredError::Missing { secret: secret.metadata.name.clone(), key }
}

impl Authority {
    /// The dates of the CA that signs.
    pub fn validity(&self) -> Validity {
        self.ca.certificate().validity()
    }

    /// Whom to trust, as PEM.
    pub fn anchors_pem(&self) -> String {
        String::from_utf8_lossy(&stores::truststore_pem(&self.anchors)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pki::io::generate;
    use crate::pki::key_kind::KeyAlgorithm;
    use crate::pki::sign::Serial;
    use crate::pki::testing;

    fn ca(number: u8) -> Ca {
        let key = generate(KeyAlgorithm::default()).unwrap();
        let serial = Serial::from_random([number; 16]);
        Ca::self_signed(&format!("CA {number}"), key, serial, testing::days(90), testing::now()).unwrap()
    }

    fn subjects(secret: &Secret) -> Vec<String> {
        read(secret).unwrap().anchors.iter().map(|one| one.subject().to_owned()).collect()
    }

    #[test]
    fn a_change_of_ca_lies_in_the_secret_from_its_first_stage_to_its_last() {
        let now = testing::now();
        let later = now + Duration::from_secs(1000);
        let first = made("kraftlet-system", "prod.events", &ca(1));
        assert_eq!(subjects(&first), ["CN=CA 1"]);
        let both = with_next(with_leaves_until(first, later), &ca(2));
        let stages = read(&both).unwrap().stages.unwrap();
        assert_eq!((stages.leaves_until, stages.next.unwrap().trusted_since), (Some(later), None));
        let both = with_trusted_since(both, now);
        let stages = read(&both).unwrap().stages.unwrap();
        assert_eq!(stages.next.unwrap().trusted_since, Some(now));
        assert_eq!(subjects(&both), ["CN=CA 1", "CN=CA 2"]);
        // As it comes back from the API server.
        let text = serde_json::to_string(&switched(both, &stages, now)).unwrap();
        let new: Secret = serde_json::from_str(&text).unwrap();
        assert_eq!(subjects(&new), ["CN=CA 2", "CN=CA 1"]);
        let stages = read(&new).unwrap().stages.unwrap();
        assert_eq!((stages.leaves_until, stages.next, stages.old_until), (None, None, Some(later)));
        let last = without_old(new);
        assert_eq!(subjects(&last), ["CN=CA 2"]);
        assert_eq!(read(&last).unwrap().stages.unwrap().old_until, None);
    }

    #[test]
    fn somebodys_own_ca_is_used_with_what_is_above_it_and_never_replaced() {
        let root = testing::root("root");
        let between = root.sign(testing::ca_params("between"));
        let mut secret = Secret { metadata: Meta::named("s", "prod.events"), data: BTreeMap::new() };
        let mut put = |key: &str, pem: String| secret.data.insert(key.to_owned(), SecretBytes::new(pem));
        let pem = |one: &testing::Issued| stores::certificate_pem(&one.certificate);
        put("tls.crt", pem(&between) + &pem(&root));
        put("tls.key", between.key_pair.serialize_pem());
        put("ca.crt", pem(&root));
        let authority = read(&secret).unwrap();
        assert_eq!(authority.intermediates, std::slice::from_ref(&between.certificate));
        assert_eq!(authority.anchors, std::slice::from_ref(&root.certificate));
        assert_eq!(authority.stages, None);
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_named() {
        let check = |change: &dyn Fn(&mut Secret), reason, message: &str| {
            let mut secret = made("s", "prod.events", &ca(1));
            change(&mut secret);
            let error = read(&secret).unwrap_err();
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, message));
        };
        let other = made("s", "other", &ca(2));
        check(&|s| drop(s.data.remove("tls.key")), "CaSecretIncomplete", "Secret prod.events has no tls.key");
        check(&|s| drop(s.data.remove("tls.crt")), "CaSecretIncomplete", "Secret prod.events has no tls.crt");
        check(
            &|s| drop(s.data.insert("tls.key".to_owned(), other.data["tls.key"].clone())),
            "CaKeyMismatch",
            "Secret prod.events holds no CA",
        );
        check(
            &|s| drop(s.metadata.annotations.insert(LEAVES_UNTIL.to_owned(), "soon".to_owned())),
            "CaSecretUnreadable",
            "annotation kraftlet.dev/leaves-until of Secret prod.events is no time",
        );
    }
}
