//! kraftlet's engine in Kafka: is its jar the one that belongs to this agent, and has it loaded what is installed.

use std::path::Path;

use crate::disk::step::Content;
use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::next::Place;
use crate::health::doctor::properties::FoundFile;
use crate::health::text::Word;
use crate::health::text::rfc3339;
use crate::pki::certificate::Fingerprint;
use crate::reload::engine::report::EngineReport;

/// What should be loaded under one prefix of the node's properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// The listener's name in small letters.
    pub listener: String,
    /// The leaf in its keystore.
    pub leaf: Fingerprint,
    /// Its trust anchors, as the engine sums them up.
    pub trust: Option<Fingerprint>,
}

/// What the engines say, read after handshakes had them look at their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// There is none.
    Missing,
    /// It cannot be read: a reason's word and a sentence.
    Unreadable(&'static str, String),
    /// This.
    Here(EngineReport),
}

/// What is wrong with the jar at `path`; `image` is the one of this agent, where it has one.
pub fn jar(
    pod: &str,
    path: &Path,
    found: &FoundFile,
    image: Option<&Content>,
    place: &Place,
) -> Option<Finding> {
    let finding = |severity, reason, cause: &str| {
        let thing = format!("{pod}: {}", path.display());
        let finding = Finding::new(severity, Area::Engine, Word::of(reason), thing, cause);
        Some(finding.next(place.explain(pod)))
    };
    match found {
        FoundFile::Missing => finding(
            Severity::Hurts,
            "EngineJarMissing",
            "the engine's jar is not there, and Kafka does not start again without it",
        ),
        FoundFile::Unreadable(why) => {
            let cause = format!("the engine's jar cannot be read: {why}");
            finding(Severity::CannotTell, "EngineJarUnreadable", &cause)
        }
        FoundFile::Here { content, .. } if image.is_some_and(|image| image != content) => finding(
            Severity::Later,
            "EngineJarDiffers",
            "the engine's jar is not that of this agent: a restart of the pod is pending",
        ),
        FoundFile::Here { .. } => None,
    }
}

/// What is wrong with what a running Kafka's engines have loaded.
pub fn loaded(pod: &str, prefixes: &[Prefix], report: &Report, place: &Place) -> Vec<Finding> {
    let thing = |listener: &str| format!("{pod}: engine of listener {}", listener.to_uppercase());
    let finding = |severity, reason, thing: String, cause: String| {
        Finding::new(severity, Area::Engine, Word::of(reason), thing, cause)
    };
    let report = match report {
        _ if prefixes.is_empty() => return Vec::new(),
        Report::Missing => {
            let cause = "Kafka runs, and no engine in it has left a report: the jar is not on its class path, or it \
                         cannot write there";
            let finding =
                finding(Severity::Hurts, "EngineNotReported", format!("{pod}: engine"), cause.to_owned());
            return vec![finding.next(place.explain(pod))];
        }
        Report::Unreadable(reason, why) => {
            let cause = format!("the engine's report cannot be read: {why}");
            return vec![finding(Severity::CannotTell, reason, format!("{pod}: engine"), cause)];
        }
        Report::Here(report) => report,
    };
    let mut findings = Vec::new();
    for prefix in prefixes {
        let states: Vec<_> = report.states.iter().filter(|state| state.listener == prefix.listener).collect();
        if states.is_empty() {
            let cause = "Kafka runs, and this engine has not reported since it started";
            let found =
                finding(Severity::Hurts, "EngineNotReported", thing(&prefix.listener), cause.to_owned());
            findings.push(found.next(place.status()));
        }
        let is_behind = |leaf, trust| leaf != Some(prefix.leaf) || trust != prefix.trust;
        for state in states.iter().filter(|state| is_behind(state.leaf, state.trust)) {
            let leaf = state.leaf.map_or_else(|| "none".to_owned(), |leaf| leaf.short());
            let since = format!(
                "loaded leaf {leaf} at {:.0}; installed is {}",
                rfc3339(state.at),
                prefix.leaf.short()
            );
            let found = match &state.error {
                Some(error) => {
                    let cause =
                        format!("it refuses the files that lie there, and keeps what it has: {error}");
                    finding(Severity::Hurts, "EngineRefused", thing(&prefix.listener), cause)
                }
                None => {
                    let cause = "it has not loaded the leaf and the trust that are installed";
                    finding(Severity::Later, "EngineNotLoaded", thing(&prefix.listener), cause.to_owned())
                }
            };
            findings.push(found.with(since).next(place.renew(pod)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::reload::engine::report::EngineState;
    use crate::reload::engine::report::Usage;

    fn place() -> Place {
        Place::Pod { own: "demo-0".to_owned(), namespace: None }
    }

    #[test]
    fn a_jar_that_is_gone_hurts_and_another_one_will() {
        let here = |bytes: &[u8]| FoundFile::Here { content: Content::new(bytes), mode: 0o644 };
        let image = Content::new(*b"jar");
        for (found, image, want) in [
            (here(b"jar"), Some(&image), None),
            (here(b"old"), None, None),
            (here(b"old"), Some(&image), Some("EngineJarDiffers")),
            (FoundFile::Missing, Some(&image), Some("EngineJarMissing")),
            (FoundFile::Unreadable("no".to_owned()), None, Some("EngineJarUnreadable")),
        ] {
            let got = jar("demo-0", Path::new("ssl-engine.jar"), &found, image, &place());
            assert_eq!(got.as_ref().map(|one| one.reason.as_str()), want, "{found:?}");
        }
    }

    #[test]
    fn every_engine_has_what_is_installed_or_says_why_not() {
        let [new, old, trust] = [b"new", b"old", b"tru"].map(|bytes| Fingerprint::of(bytes));
        let prefixes = [Prefix { listener: "client".to_owned(), leaf: new, trust: Some(trust) }];
        let state = |listener: &str, leaf, trust, error: Option<&str>| EngineState {
            listener: listener.to_owned(),
            usage: Usage::Server,
            instances: 1,
            leaf: Some(leaf),
            trust: Some(trust),
            anchors: Vec::new(),
            at: SystemTime::UNIX_EPOCH,
            error: error.map(str::to_owned),
        };
        let good = state("client", new, trust, None);
        let here = |states: Vec<EngineState>| Report::Here(EngineReport { process: "p".to_owned(), states });
        for (report, want) in [
            (here(vec![good.clone()]), vec![]),
            (here(vec![good.clone(), state("internal", old, trust, None)]), vec![]),
            (here(vec![]), vec!["EngineNotReported"]),
            (here(vec![good.clone(), state("client", old, trust, None)]), vec!["EngineNotLoaded"]),
            (here(vec![state("client", new, old, None)]), vec!["EngineNotLoaded"]),
            (here(vec![state("client", old, trust, Some("no key"))]), vec!["EngineRefused"]),
            (Report::Missing, vec!["EngineNotReported"]),
            (Report::Unreadable("EngineReportMalformed", "line 1".to_owned()), vec!["EngineReportMalformed"]),
        ] {
            let found = loaded("demo-0", &prefixes, &report, &place());
            let got: Vec<&str> = found.iter().map(|one| one.reason.as_str()).collect();
            assert_eq!(got, want, "{report:?}");
        }
        assert!(loaded("demo-0", &[], &Report::Missing, &place()).is_empty());
    }
}
