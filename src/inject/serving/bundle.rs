//! The `caBundle` of a webhook's configuration: everybody's CA, as long as it is valid.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;

use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::stores;

/// Replicas, twice over while they renew or are replaced, and some that were restarted. One that is pushed out by more
/// restarts than that adds itself again when it looks the next time.
const MOST_AUTHORITIES: usize = 16;

/// Adds `ours` to the bundle of every webhook in a configuration; whether anything had to be changed.
pub fn add(configuration: &mut Value, ours: &Certificate, now: SystemTime) -> bool {
    let webhooks = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
    let mut changed = false;
    for webhook in webhooks.into_iter().flatten() {
        let Some(client) = webhook.get_mut("clientConfig").and_then(Value::as_object_mut) else { continue };
        let bundle = client.get("caBundle").and_then(Value::as_str).unwrap_or_default();
        let with_ours = with(bundle, ours, now);
        if with_ours != bundle {
            client.insert("caBundle".to_owned(), json!(with_ours));
            changed = true;
        }
    }
    changed
}

/// The bundle with `ours` in it and without those that have expired; of too many the oldest go. What cannot be read is
/// dropped.
fn with(bundle: &str, ours: &Certificate, now: SystemTime) -> String {
    let pem = STANDARD.decode(bundle).unwrap_or_default();
    let mut all = chain::parse_pem(&pem).unwrap_or_default();
    all.retain(|one| one.not_after() > now);
    if all.iter().all(|one| one.fingerprint() != ours.fingerprint()) {
        all.push(ours.clone());
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.not_after()));
    while all.len() > MOST_AUTHORITIES {
        let Some(oldest) = all.iter().rposition(|one| one.fingerprint() != ours.fingerprint()) else { break };
        all.remove(oldest);
    }
    STANDARD.encode(stores::truststore_pem(&all))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::pki::io as pki_io;
    use crate::pki::key_kind::KeyAlgorithm;
    use crate::pki::sign::Ca;

    fn authority(begins: SystemTime, hours: u64) -> Certificate {
        let key = pki_io::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let serial = pki_io::random_serial().unwrap();
        let life = Duration::from_secs(hours * 3600);
        Ca::self_signed("kraftlet webhook", key, serial, life, begins).unwrap().certificate().clone()
    }

    fn read(configuration: &Value) -> BTreeSet<String> {
        let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap();
        let all = chain::parse_pem(&STANDARD.decode(bundle).unwrap()).unwrap();
        all.iter().map(|one| one.fingerprint().short()).collect()
    }

    #[test]
    fn everybody_adds_himself_and_the_expired_go() {
        let now = SystemTime::now();
        let mut configuration =
            json!({"webhooks": [{"clientConfig": {"caBundle": "bm9uc2Vuc2U="}}, {"clientConfig": {}}]});
        let (a, b) = (authority(now, 1), authority(now, 2));
        assert!(add(&mut configuration, &a, now));
        assert!(!add(&mut configuration, &a, now), "once is enough");
        assert!(add(&mut configuration, &b, now));
        assert_eq!(read(&configuration), [&a, &b].map(|one| one.fingerprint().short()).into());
        let later = now + Duration::from_secs(90 * 60);
        assert!(add(&mut configuration, &b, later));
        assert_eq!(read(&configuration), [b.fingerprint().short()].into());
    }

    #[test]
    fn the_bundle_has_an_end_and_ours_stays_in_it() {
        let now = SystemTime::now();
        let mut configuration = json!({"webhooks": [{"clientConfig": {}}]});
        let ours = authority(now, 1);
        for hours in 2..22 {
            add(&mut configuration, &authority(now, hours), now);
        }
        assert!(add(&mut configuration, &ours, now));
        assert_eq!(read(&configuration).len(), MOST_AUTHORITIES);
        assert!(read(&configuration).contains(&ours.fingerprint().short()));
    }
}
