//! A certificate's stores: are they there, may they be read by whom they should, is what they hold good, and was it
//! renewed in time.

use std::path::Path;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::finding::Finding as Preflight;
use crate::certificates::finding::Severity as Gravity;
use crate::certificates::schedule::Schedule;
use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::next::Place;
use crate::health::doctor::properties::FoundFile;
use crate::health::doctor::properties::for_all;
use crate::health::doctor::properties::is_for_all;
use crate::health::text::Word;
use crate::health::text::rfc3339;
use crate::pki::validity::Validity;

/// The stores of one certificate of one node.
#[derive(Debug, Clone, Copy)]
pub struct Stores<'a> {
    /// The pod.
    pub pod: &'a str,
    /// The certificate's name in the settings.
    pub name: &'a str,
    /// Where each store is, and what was found there: keystore, then truststore.
    pub files: [(&'a Path, &'a FoundFile); 2],
    /// Key, chain and trust, where the stores can be read.
    pub bundle: Option<&'a Bundle>,
    /// What was found to be wrong with the bundle, each thing in a sentence with its causes.
    pub preflight: &'a [(Preflight, String)],
    /// When the leaf is due.
    pub schedule: &'a Schedule,
}

/// A renewal that fails is tried again and again; one that is late by this share of what was left then does not come.
const LATE_SHARE: u32 = 4;

/// What is wrong with them.
pub fn judge(stores: &Stores<'_>, now: SystemTime, place: &Place) -> Vec<Finding> {
    let Stores { pod, name, files, bundle, preflight, schedule } = stores;
    let thing = format!("{pod}: certificate {name}");
    let finding =
        |severity, reason, cause: String| Finding::new(severity, Area::Certificates, reason, &thing, cause);
    let mut findings = Vec::new();
    for (path, found) in files {
        let path = path.display();
        findings.extend(match found {
            FoundFile::Missing => {
                let cause = format!("{path} is not there, and Kafka does not start without it");
                Some(finding(Severity::Hurts, Word::of("StoreMissing"), cause).next(place.explain(pod)))
            }
            FoundFile::Unreadable(why) => {
                let cause = format!("{path} cannot be read: {why}");
                Some(finding(Severity::CannotTell, Word::of("StoreUnreadable"), cause))
            }
            FoundFile::Here { .. } => None,
        });
    }
    if let [(path, FoundFile::Here { mode, .. }), _] = files
        && is_for_all(*mode)
    {
        findings.push(for_all(&format!("{pod}: {}", path.display()), *mode));
    }
    let Some(bundle) = bundle else {
        if findings
            .iter()
            .all(|one| one.severity != Severity::CannotTell && one.reason.as_str() != "StoreMissing")
        {
            let cause = "no key with its chain and its trust anchors can be read from its stores";
            let finding = finding(Severity::Hurts, Word::of("StoreUnusable"), cause.to_owned());
            findings.push(finding.next(place.renew(pod)));
        }
        return findings;
    };
    let leaf = bundle.leaf();
    let validity = Validity { not_before: leaf.not_before(), not_after: leaf.not_after() };
    let shown = format!(
        "leaf {} of {}, valid from {:.0} until {:.0}; it is {:.0} now",
        leaf.fingerprint().short(),
        leaf.subject(),
        rfc3339(leaf.not_before()),
        rfc3339(leaf.not_after()),
        rfc3339(now)
    );
    for (one, sentence) in preflight.iter().filter(|(one, _)| !is_of_leaf(one, bundle)) {
        let severity = match one.severity() {
            Gravity::Refusal => Severity::Hurts,
            Gravity::Warning => Severity::Later,
        };
        let found = finding(severity, Word::of(one.reason()), sentence.clone());
        findings.push(found.with(&shown).next(place.renew(pod)));
    }
    let late_at = schedule.late_at(validity);
    let left_then = leaf.not_after().duration_since(late_at).unwrap_or_default();
    let is_late = late_at.checked_add(left_then / LATE_SHARE).is_some_and(|at| at <= now);
    if is_late && now < leaf.not_after() {
        let cause = format!("its leaf should have been renewed by {:.0}, and was not", rfc3339(late_at));
        let due = format!("it was due at {:.0}", rfc3339(schedule.due_at(validity)));
        let found = finding(Severity::Later, Word::of("RenewalLate"), cause);
        findings.push(found.with(&shown).with(due).next(place.renew(pod)));
    }
    findings
}

/// That the leaf ends soon is nothing to tell: a short life is a choice, and whether it is renewed in time is asked by
/// its own schedule.
fn is_of_leaf(finding: &Preflight, bundle: &Bundle) -> bool {
    matches!(finding, Preflight::ExpiresSoon { subject, .. } if *subject == bundle.leaf().subject())
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::time::Duration;

    use super::*;
    use crate::certificates::preflight;
    use crate::certificates::requirements::Authorization;
    use crate::certificates::requirements::Requirements;
    use crate::certificates::requirements::ShownTo;
    use crate::certificates::schedule::Slot;
    use crate::disk::step::Content;
    use crate::pki::renew_point::RenewPoint;
    use crate::pki::testing;

    fn here(mode: u32) -> FoundFile {
        FoundFile::Here { content: Content::new(*b"x"), mode }
    }

    /// A leaf of 90 days, good since yesterday, looked at after so many days.
    fn found(
        host: &str,
        after_days: u64,
        keystore: &FoundFile,
        bundle_is_there: bool,
    ) -> Vec<(Severity, String)> {
        let ca = testing::root("ca");
        let leaf = ca.sign(testing::leaf_params("node", &["kafka-0"]));
        let bundle = Bundle::new(leaf.private_key(), leaf.certificate, Vec::new(), [ca.certificate]);
        let requirements = Requirements {
            hosts: vec![host.parse().unwrap()],
            shown_to: ShownTo::Peers,
            authorization: Authorization::NotChecked,
            warn_within: testing::days(1),
        };
        let now = testing::now() + testing::days(after_days) - Duration::from_secs(3600);
        let preflight: Vec<_> = preflight::preflight(&bundle, &requirements, now)
            .into_iter()
            .map(|one| {
                let sentence = format!("{one}: {:?}", one.source().map(ToString::to_string));
                (one, sentence)
            })
            .collect();
        let schedule = Schedule::new(RenewPoint::from_percent(66).unwrap(), Slot::new("c", "demo-0", 0, 3));
        let truststore = here(0o444);
        let stores = Stores {
            pod: "demo-0",
            name: "node",
            files: [(Path::new("keystore.pem"), keystore), (Path::new("truststore.pem"), &truststore)],
            bundle: bundle_is_there.then_some(&bundle),
            preflight: if bundle_is_there { &preflight } else { &[] },
            schedule: &schedule,
        };
        let place = Place::Pod { own: "demo-0".to_owned(), namespace: None };
        judge(&stores, now, &place).into_iter().map(|one| (one.severity, one.reason.to_string())).collect()
    }

    #[test]
    fn each_thing_that_is_wrong_with_a_store_has_its_word() {
        let good = here(0o440);
        let unreadable = FoundFile::Unreadable("Permission denied".to_owned());
        let is = |findings: Vec<(Severity, String)>, want: &[(Severity, &str)]| {
            let want: Vec<_> = want.iter().map(|(severity, word)| (*severity, (*word).to_owned())).collect();
            assert_eq!(findings, want);
        };
        is(found("kafka-0", 1, &good, true), &[]);
        is(found("kafka-1", 1, &good, true), &[(Severity::Hurts, "HostNotCovered")]);
        is(found("kafka-0", 1, &here(0o644), true), &[(Severity::Hurts, "SecretReadableByAll")]);
        is(found("kafka-0", 1, &good, false), &[(Severity::Hurts, "StoreUnusable")]);
        is(found("kafka-0", 1, &FoundFile::Missing, false), &[(Severity::Hurts, "StoreMissing")]);
        is(found("kafka-0", 1, &unreadable, false), &[(Severity::CannotTell, "StoreUnreadable")]);
        is(found("kafka-0", 91, &good, true), &[(Severity::Hurts, "CertificateExpired")]);
    }

    #[test]
    fn a_leaf_is_late_by_its_own_schedule_and_not_by_the_days_that_are_left() {
        let good = here(0o440);
        // Two thirds of 90 days are over at day 58, and a quarter of the rest at day 66.
        for (days, want) in [(58, 0), (65, 0), (68, 1), (89, 1)] {
            let findings = found("kafka-0", days, &good, true);
            let late = findings.iter().filter(|one| **one == (Severity::Later, "RenewalLate".to_owned()));
            assert_eq!((late.count(), findings.len()), (want, want), "{days}");
        }
    }
}
