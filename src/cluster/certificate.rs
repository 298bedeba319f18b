//! A certificate of each node: where it comes from, what it says, how long it lives.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Span;
use jiff::SpanRelativeTo;
use jiff::Unit;

use crate::cluster::settings;
use crate::cluster::settings::Store;
use crate::cluster::source::Source;
use crate::cluster::template::Template;
use crate::pki::key_kind::KeyAlgorithm;
use crate::pki::renew_point::RenewPoint;
use crate::pki::sign;

/// One entry of `certificates`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The name listeners use; also the name of its folder.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// The subject's common name, the same on all nodes.
    pub common_name: String,
    /// Further names and addresses in it.
    pub names: Vec<Template>,
    /// The kind of key.
    pub key_algorithm: KeyAlgorithm,
    /// How long a new one lives.
    pub lifetime: Duration,
    /// When it is renewed.
    pub renew_point: RenewPoint,
    /// PEM files with further trust anchors.
    pub trust: Vec<PathBuf>,
    /// The kind of keystore.
    pub store: Store,
    /// The file with the password of a PKCS12 store.
    pub store_password_file: Option<PathBuf>,
}

impl Certificate {
    /// The certificate, or all that is wrong with it: for each problem the key and a sentence.
    pub fn new(
        name: &str,
        settings: &settings::Certificate,
        cluster: &str,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        // The name becomes a folder below the run folder.
        if name.contains('.') || !crate::pod::name::is_dns_name(name) {
            wrong.push(("", format!("certificate name {name:?}; want lower-case letters, digits and '-'")));
        }
        let source =
            Source::new(name, &settings.source).map_err(|message| wrong.push(("source", message))).ok();
        let common_name = settings.common_name.clone().unwrap_or_else(|| format!("{cluster}-node"));
        // Letters that RFC 2253 need not escape: the subject is compared with super.users letter by letter.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if !(1..=sign::MAX_COMMON_NAME).contains(&common_name.len()) || !common_name.chars().all(plain) {
            let want = "want 1 to 64 letters, digits, '-', '.' and '_'";
            wrong.push(("commonName", format!("common name {common_name:?}; {want}")));
        }
        let mut names = Vec::new();
        for text in &settings.names {
            match text.parse() {
                Ok(template) => names.push(template),
                Err(error) => wrong.push(("names", format!("{error}"))),
            }
        }
        let key_algorithm = settings.key_algorithm.parse::<KeyAlgorithm>();
        let key_algorithm =
            key_algorithm.map_err(|error| wrong.push(("keyAlgorithm", error.to_string()))).ok();
        let lifetime = lifetime(&settings.lifetime).map_err(|message| wrong.push(("lifetime", message))).ok();
        let renew_point = RenewPoint::from_percent(settings.renew_at_percent.into());
        let renew_point = renew_point.map_err(|error| wrong.push(("renewAtPercent", error.to_string()))).ok();
        match (settings.store, &settings.store_password_file) {
            (Store::Pkcs12, None) => {
                wrong.push(("store", "a PKCS12 store needs `storePasswordFile`".to_owned()));
            }
            // FilePemStore refuses a store password (KIP-651).
            (Store::Pem, Some(_)) => {
                wrong.push(("storePasswordFile", "a PEM store has no password".to_owned()));
            }
            (Store::Pkcs12, Some(_)) | (Store::Pem, None) => {}
        }
        match (source, key_algorithm, lifetime, renew_point) {
            (Some(source), Some(key_algorithm), Some(lifetime), Some(renew_point)) if wrong.is_empty() => {
                Ok(Self {
                    name: name.to_owned(),
                    source,
                    common_name,
                    names,
                    key_algorithm,
                    lifetime,
                    renew_point,
                    trust: settings.trust.iter().map(PathBuf::from).collect(),
                    store: settings.store,
                    store_password_file: settings.store_password_file.as_ref().map(PathBuf::from),
                })
            }
            _ => Err(wrong),
        }
    }

    /// The principal Kafka gives a peer that shows this certificate (KafkaPrincipalBuilder, without mapping rules).
    pub fn principal(&self) -> String {
        format!("User:CN={}", self.common_name)
    }
}

/// `30d`, `12h`, `2m`: jiff's friendly spans; a day has 24 hours here.
pub(crate) fn lifetime(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<Span>()
        .and_then(|span| span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())))
        .map_err(|_| format!("lifetime {text:?}; want a time such as 30d, 12h or 90m"))?;
    let lifetime = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if (sign::MIN_LIFETIME..=sign::MAX_LIFETIME).contains(&lifetime) {
        Ok(lifetime)
    } else {
        Err(format!("lifetime {text}; want 1m to 3650d"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(yaml: &str) -> Result<Certificate, Vec<(&'static str, String)>> {
        Certificate::new("node", &serde_saphyr::from_str(yaml).unwrap(), "kafka")
    }

    #[test]
    fn a_certificate_needs_no_settings() {
        let node = certificate("{}").unwrap();
        assert_eq!(node.principal(), "User:CN=kafka-node");
        assert_eq!(node.lifetime, Duration::from_secs(30 * 86400));
        assert_eq!(node.source, Source::Mounted("/etc/kraftlet/certificates/node".parse().unwrap()));
    }

    #[test]
    fn what_is_wrong_with_it_is_said_all_at_once() {
        let wrong = certificate(
            "{source: {mounted: {folder: tls}}, commonName: 'a,b', lifetime: 1s, renewAtPercent: 99, store: pkcs12, \
             keyAlgorithm: ed25519, names: ['{x']}",
        );
        let keys: Vec<&str> = wrong.unwrap_err().iter().map(|(key, _)| *key).collect();
        assert_eq!(
            keys,
            ["source", "commonName", "names", "keyAlgorithm", "lifetime", "renewAtPercent", "store"]
        );
        assert!(certificate("{lifetime: soon}").unwrap_err()[0].1.starts_with("lifetime \"soon\"; want"));
        assert!(certificate("{lifetime: 2m}").is_ok());
    }
}
