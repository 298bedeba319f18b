//! What is told of a pod or of a CA, as an Event beside it: few, however often something happens.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::health::notice::Kind;
use crate::health::text;
use crate::inject::words;
use crate::signer::lead::LEASE;

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Where it happened.
    pub namespace: String,
    /// What it is about, in this namespace.
    pub about: About,
    /// Good or bad.
    pub kind: Kind,
    /// The word.
    pub reason: text::Word,
    /// A sentence.
    pub note: String,
}

/// What something is told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A pod, by its name and uid.
    Pod {
        /// The name.
        name: String,
        /// The uid.
        uid: String,
    },
    /// One certificate of a pod. It is told of the pod; of two certificates the same word is two things.
    Certificate {
        /// The pod's name.
        pod: String,
        /// The pod's uid.
        uid: String,
        /// The certificate, by the name in the settings.
        certificate: String,
    },
    /// A PodCertificateRequest, of a pod that is not there.
    Request {
        /// The name.
        name: String,
        /// The uid.
        uid: String,
    },
    /// The signer, by its Lease: somebody asks who is nobody that is known.
    Signer,
    /// The ConfigMap that says whom the pods of a cluster trust.
    Trust {
        /// The cluster, by the name in its settings.
        cluster: String,
    },
}

/// Who tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teller {
    /// `reportingController`.
    pub controller: &'static str,
    /// `action`: what it does there.
    pub action: &'static str,
    /// `reportingInstance`: the pod that it is in.
    pub instance: String,
}

/// What has been told lately.
#[derive(Debug, Default)]
pub struct Told {
    /// For each object and reason: until when nothing more is told, and how often there was something.
    quiet: BTreeMap<(String, About, text::Word), (SystemTime, u32)>,
}

/// The same is told again after this time; a pod that is refused asks every few seconds.
const QUIET_FOR: Duration = Duration::from_secs(10 * 60);

/// So many objects and reasons are remembered; beyond, nothing is told.
const MOST_REMEMBERED: usize = 1024;

/// `note` has at most 1024 bytes (`events.k8s.io/v1`).
const MOST_NOTE_BYTES: usize = 1000;

impl About {
    /// The name of the object.
    pub fn name(&self) -> &str {
        match self {
            Self::Pod { name, .. } | Self::Request { name, .. } => name,
            Self::Certificate { pod, .. } => pod,
            Self::Signer => LEASE,
            Self::Trust { .. } => words::TRUST,
        }
    }

    /// As it is remembered: requests that somebody makes up are one, or he would fill the table with them.
    fn kept(&self) -> Self {
        match self {
            Self::Request { .. } => Self::Request { name: String::new(), uid: String::new() },
            Self::Pod { .. } | Self::Certificate { .. } | Self::Signer | Self::Trust { .. } => self.clone(),
        }
    }

    fn reference(&self, namespace: &str) -> Value {
        let name = self.name();
        match self {
            Self::Pod { uid, .. } | Self::Certificate { uid, .. } => {
                json!({"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid})
            }
            Self::Request { uid, .. } => json!({
                "apiVersion": "certificates.k8s.io/v1", "kind": "PodCertificateRequest",
                "namespace": namespace, "name": name, "uid": uid,
            }),
            Self::Signer => {
                json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": namespace, "name": name})
            }
            Self::Trust { .. } => {
                json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": name})
            }
        }
    }
}

impl Told {
    /// Whether to tell it now; if so, how often it was not told since the last time.
    pub fn is_news(&mut self, word: &Word, now: SystemTime) -> Option<u32> {
        let key = (word.namespace.clone(), word.about.kept(), word.reason.clone());
        if let Some((until, times)) = self.quiet.get_mut(&key).filter(|(until, _)| now < *until) {
            // A clock that was set back makes nobody quiet for longer.
            *until = (*until).min(now.checked_add(QUIET_FOR).unwrap_or(now));
            *times = times.saturating_add(1);
            return None;
        }
        if self.quiet.len() >= MOST_REMEMBERED {
            self.quiet.retain(|_, (until, _)| now < *until);
        }
        if self.quiet.len() >= MOST_REMEMBERED && !self.quiet.contains_key(&key) {
            return None;
        }
        let until = now.checked_add(QUIET_FOR).unwrap_or(now);
        self.quiet.insert(key, (until, 0)).map_or(Some(0), |(_, times)| Some(times))
    }
}

/// The Event. `name` is unique in the namespace.
pub fn event(word: &Word, untold: u32, name: &str, teller: &Teller, now: SystemTime) -> Value {
    let mut note = word.note.clone();
    if untold > 0 {
        note.push_str(&format!(" (and {untold} times before)"));
    }
    note.truncate(note.floor_char_boundary(MOST_NOTE_BYTES));
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": word.namespace, "name": name},
        "eventTime": micro_time(now),
        "reportingController": teller.controller,
        "reportingInstance": teller.instance.chars().take(128).collect::<String>(),
        "action": teller.action,
        "reason": word.reason.as_str(),
        "type": match word.kind {
            Kind::Normal => "Normal",
            Kind::Warning => "Warning",
        },
        "note": note,
        "regarding": word.about.reference(&word.namespace),
    })
}

/// `metav1.MicroTime`: exactly six digits after the point.
pub fn micro_time(at: SystemTime) -> String {
    Timestamp::try_from(at).map(|at| format!("{at:.6}")).unwrap_or_default()
}

/// `metav1.Time`: whole seconds.
pub fn whole_time(at: SystemTime) -> String {
    Timestamp::try_from(at).map(|at| format!("{at:.0}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;

    fn word(uid: &str, reason: &'static str) -> Word {
        let about = About::Pod { name: "kafka-0".to_owned(), uid: uid.to_owned() };
        let (namespace, reason) = ("prod".to_owned(), text::Word::of(reason));
        Word { namespace, about, kind: Kind::Warning, reason, note: "é".repeat(800) }
    }

    #[test]
    fn a_pod_that_is_refused_for_ever_is_told_of_every_ten_minutes() {
        let mut told = Told::default();
        let now = testing::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(told.is_news(&word("a", "X"), now), Some(0));
        for second in 1..600 {
            assert_eq!(told.is_news(&word("a", "X"), at(second)), None);
        }
        assert_eq!(told.is_news(&word("a", "Y"), at(1)), Some(0));
        assert_eq!(told.is_news(&word("a", "X"), at(600)), Some(599));
        for pod in 0..5000 {
            told.is_news(&word(&pod.to_string(), "X"), at(601));
        }
        assert_eq!(told.quiet.len(), MOST_REMEMBERED);
    }

    #[test]
    fn a_word_of_another_certificate_is_news() {
        let mut told = Told::default();
        let of = |certificate: &str| {
            let (pod, uid, certificate) = ("kafka-0".to_owned(), "a".to_owned(), certificate.to_owned());
            Word { about: About::Certificate { pod, uid, certificate }, ..word("a", "Renewed") }
        };
        for (certificate, want) in [("node", Some(0)), ("client", Some(0)), ("node", None)] {
            assert_eq!(told.is_news(&of(certificate), testing::now()), want, "{certificate}");
        }
        assert_eq!(of("node").about.reference("prod"), word("a", "Renewed").about.reference("prod"));
    }

    #[test]
    fn an_event_is_as_the_api_server_takes_it() {
        let teller =
            Teller { controller: "kraftlet.dev/signer", action: "Sign", instance: "signer-0".to_owned() };
        let made = event(&word("a", "X"), 3, "kafka-0.1", &teller, testing::now());
        assert_eq!(made["eventTime"], "2026-11-23T12:00:00.000000Z");
        assert!(made["note"].as_str().unwrap().len() <= MOST_NOTE_BYTES);
        assert_eq!(whole_time(testing::now()), "2026-11-23T12:00:00Z");
    }
}
