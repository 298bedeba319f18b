//! What handshakes with every listener have shown: does Kafka run, does it answer, and does it show a leaf that its peers
//! can use.
//!
//! One cause is one finding. A node none of whose listeners is there is a Kafka that does not run. And where a leaf is
//! refused, either its owner is to blame or he who refuses it: whoever has more of the others against him.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::next::Place;
use crate::health::text::Word;
use crate::health::text::rfc3339;
use crate::pki::certificate::Certificate;
use crate::pki::certificate::Fingerprint;
use crate::reload::handshake::End;
use crate::reload::handshake::Observation;

/// One handshake of one node with one listener of another, or of its own.
#[derive(Debug, Clone)]
pub struct Shaken {
    /// The pod that looked, with its own leaf and trust.
    pub by: String,
    /// The pod that was looked at.
    pub pod: String,
    /// The listener's name.
    pub listener: String,
    /// What was seen.
    pub seen: Observation,
    /// The leaf that was presented, where it could be read.
    pub leaf: Option<Certificate>,
    /// The leaf that is installed there, where the files are at hand.
    pub installed: Option<Fingerprint>,
}

/// What is wrong with one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    NobodyListens,
    NoAnswer,
    Unreachable,
    NothingPresented,
    Expired,
    NotYetValid,
    NotGood,
    Refuses,
    OldLeaf,
}

/// What becomes one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group<'a> {
    /// Whom it is about.
    pod: &'a str,
    trouble: Trouble,
    /// Whether that is who looked.
    blames_looker: bool,
}

/// All that is wrong, by node.
pub fn judge(all: &[Shaken], now: SystemTime, place: &Place) -> Vec<Finding> {
    let troubled: Vec<(&Shaken, Trouble, String)> =
        all.iter().filter_map(|one| trouble(one, now).map(|(trouble, why)| (one, trouble, why))).collect();
    let mut groups: BTreeMap<Group<'_>, Vec<(&Shaken, &str)>> = BTreeMap::new();
    for (one, trouble, why) in &troubled {
        let blames_looker = *trouble == Trouble::Refuses && is_lookers_fault(one, &troubled);
        let pod = if blames_looker { &one.by } else { &one.pod };
        groups.entry(Group { pod, trouble: *trouble, blames_looker }).or_default().push((one, why));
    }
    groups.into_iter().map(|(group, seen)| finding(all, &group, &seen, place)).collect()
}

/// Whether a node's Kafka is there, by any of its listeners.
pub fn is_running(all: &[Shaken], pod: &str) -> bool {
    all.iter().filter(|one| one.pod == pod).any(answers)
}

/// Whether a listener of a node, whatever the case of its name, was looked at and nobody answered.
pub fn is_closed(all: &[Shaken], pod: &str, listener: &str) -> bool {
    let of_it = || all.iter().filter(|one| one.pod == pod && one.listener.eq_ignore_ascii_case(listener));
    of_it().count() > 0 && !of_it().any(answers)
}

fn answers(one: &Shaken) -> bool {
    match &one.seen.end {
        End::Answered | End::RefusesOurs(_) | End::NotGood(_) | End::NothingPresented(_) => true,
        End::NobodyListens(_) | End::Unreachable(_) | End::Slow(_) => false,
    }
}

fn trouble(one: &Shaken, now: SystemTime) -> Option<(Trouble, String)> {
    let (trouble, why) = match &one.seen.end {
        End::NobodyListens(why) => (Trouble::NobodyListens, why.clone()),
        End::Slow(why) => (Trouble::NoAnswer, why.clone()),
        End::Unreachable(why) => (Trouble::Unreachable, why.clone()),
        End::NothingPresented(why) => (Trouble::NothingPresented, why.clone()),
        End::RefusesOurs(why) => (Trouble::Refuses, why.clone()),
        End::NotGood(why) => (dates(one, now), why.clone()),
        End::Answered => {
            let served = one.seen.presented.first()?;
            let installed = one.installed.filter(|installed| installed != served)?;
            let why = format!("it presents leaf {}, and {} is installed", served.short(), installed.short());
            (Trouble::OldLeaf, why)
        }
    };
    Some((trouble, why))
}

fn dates(one: &Shaken, now: SystemTime) -> Trouble {
    match &one.leaf {
        Some(leaf) if leaf.not_after() < now => Trouble::Expired,
        Some(leaf) if now < leaf.not_before() => Trouble::NotYetValid,
        Some(_) | None => Trouble::NotGood,
    }
}

/// Each leaf that was presented, once.
fn leaves(seen: &[(&Shaken, &str)]) -> BTreeSet<String> {
    let leaves = seen.iter().filter_map(|(one, _)| one.leaf.as_ref());
    let line = |leaf: &Certificate| {
        let (from, until) = (rfc3339(leaf.not_before()), rfc3339(leaf.not_after()));
        let name = leaf.fingerprint().short();
        format!("leaf {name} of {}, valid from {from:.0} until {until:.0}", leaf.subject())
    };
    leaves.map(line).collect()
}

/// More nodes refuse his leaf than the one who refuses it has refused.
fn is_lookers_fault(one: &Shaken, troubled: &[(&Shaken, Trouble, String)]) -> bool {
    let refusals =
        || troubled.iter().filter(|(_, trouble, _)| *trouble == Trouble::Refuses).map(|(one, _, _)| *one);
    let refusing: BTreeSet<&str> =
        refusals().filter(|other| other.by == one.by).map(|other| other.pod.as_str()).collect();
    let refused: BTreeSet<&str> =
        refusals().filter(|other| other.pod == one.pod).map(|other| other.by.as_str()).collect();
    refusing.len() > refused.len()
}

fn finding(all: &[Shaken], group: &Group<'_>, seen: &[(&Shaken, &str)], place: &Place) -> Finding {
    let Group { pod, trouble, blames_looker } = *group;
    let names: BTreeSet<&str> = seen.iter().map(|(one, _)| one.listener.as_str()).collect();
    let of_pod: BTreeSet<&str> =
        all.iter().filter(|one| one.pod == pod).map(|one| one.listener.as_str()).collect();
    let is_whole = !blames_looker && names == of_pod;
    let thing = match (blames_looker, is_whole) {
        (true, _) => format!("{pod}: leaf"),
        (false, true) => format!("{pod}: Kafka"),
        (false, false) if names.len() == 1 => format!("{pod}: listener {}", joined(&names)),
        (false, false) => format!("{pod}: listeners {}", joined(&names)),
    };
    let (reason, cause) = words(trouble, blames_looker, is_whole);
    let severity = if trouble == Trouble::OldLeaf { Severity::Later } else { Severity::Hurts };
    let next = match trouble {
        Trouble::NobodyListens | Trouble::NoAnswer | Trouble::Unreachable => place.describe(pod),
        Trouble::NothingPresented | Trouble::Expired | Trouble::OldLeaf => place.renew(pod),
        Trouble::NotYetValid => "date --utc".to_owned(),
        Trouble::NotGood | Trouble::Refuses => place.status(),
    };
    let found = Finding::new(severity, Area::Kafka, Word::of(reason), thing, cause);
    found.with_all(leaves(seen)).with_all(evidence(seen)).next(next)
}

fn words(trouble: Trouble, blames_looker: bool, is_whole: bool) -> (&'static str, &'static str) {
    match trouble {
        Trouble::NobodyListens if is_whole => {
            ("KafkaDown", "its Kafka does not run: nobody listens at any of its listeners")
        }
        Trouble::NobodyListens => ("ListenerDown", "nobody listens there, while others of the node are open"),
        Trouble::NoAnswer if is_whole => (
            "KafkaDoesNotAnswer",
            "its Kafka takes no connections, or takes them and is silent: frozen, or cut off",
        ),
        Trouble::NoAnswer => {
            ("ListenerDoesNotAnswer", "no answer comes in time, while others of the node answer")
        }
        Trouble::Unreachable => ("ListenerUnreachable", "it cannot be reached, or breaks off"),
        Trouble::NothingPresented => (
            "NothingPresented",
            "it breaks the handshake off and presents no leaf: it has none that it can use",
        ),
        Trouble::Expired => ("LeafExpired", "it presents a leaf that has expired"),
        Trouble::NotYetValid => (
            "LeafNotYetValid",
            "it presents a leaf that is not valid yet: the clock here is late, or its maker's early",
        ),
        Trouble::NotGood => ("LeafNotGood", "it presents a leaf that its peers cannot take"),
        Trouble::Refuses if blames_looker => ("LeafRefused", "its peers refuse the leaf that it shows"),
        Trouble::Refuses => ("PeersRefused", "it refuses leaves that others take: its trust is not theirs"),
        Trouble::OldLeaf => {
            ("OldLeafServed", "it does not serve the leaf that is installed: Kafka has not reloaded")
        }
    }
}

/// A line for each listener and reason, with those who saw it.
fn evidence(seen: &[(&Shaken, &str)]) -> Vec<String> {
    let mut lines: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (one, why) in seen {
        lines.entry((&one.pod, &one.listener, why)).or_default().insert(&one.by);
    }
    let line = |((pod, listener, why), by): ((&str, &str, &str), BTreeSet<&str>)| {
        format!("listener {listener} of {pod}: {why}, seen from {}", joined(&by))
    };
    lines.into_iter().map(line).collect()
}

fn joined(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;

    /// Nodes 0, 1 and 2 with listeners A and B, each looked at by each; `end` says how it ended.
    fn look(end: impl Fn(&str, &str, &str) -> End) -> Vec<Shaken> {
        let pods = ["demo-0", "demo-1", "demo-2"];
        let mut all = Vec::new();
        for by in pods {
            for pod in pods {
                for listener in ["A", "B"] {
                    let end = end(by, pod, listener);
                    let seen = Observation { presented: vec![Fingerprint::of(pod.as_bytes())], end };
                    let (by, pod, listener) = (by.to_owned(), pod.to_owned(), listener.to_owned());
                    all.push(Shaken { by, pod, listener, seen, leaf: None, installed: None });
                }
            }
        }
        all
    }

    fn check(all: &[Shaken], want: &[(&str, &str)]) {
        let place = Place::Machine { settings: "c.yaml".to_owned() };
        let findings = judge(all, testing::now(), &place);
        let got: Vec<_> = findings.iter().map(|one| (one.thing.as_str(), one.reason.as_str())).collect();
        assert_eq!(got, want);
    }

    fn why() -> String {
        "why".to_owned()
    }

    #[test]
    fn one_cause_is_one_finding() {
        check(&look(|_, _, _| End::Answered), &[]);
        let down = look(|_, pod, _| if pod == "demo-1" { End::NobodyListens(why()) } else { End::Answered });
        check(&down, &[("demo-1: Kafka", "KafkaDown")]);
        assert_eq!((is_running(&down, "demo-1"), is_running(&down, "demo-0")), (false, true));
        assert_eq!((is_closed(&down, "demo-1", "a"), is_closed(&down, "demo-0", "a")), (true, false));
        assert!(!is_closed(&down, "demo-1", "elsewhere"));
        check(
            &look(|_, pod, listener| match (pod, listener) {
                ("demo-1", "B") => End::NobodyListens(why()),
                ("demo-2", _) => End::Slow(why()),
                _ => End::Answered,
            }),
            &[("demo-1: listener B", "ListenerDown"), ("demo-2: Kafka", "KafkaDoesNotAnswer")],
        );
        let nothing =
            look(|_, pod, _| if pod == "demo-0" { End::NothingPresented(why()) } else { End::Answered });
        check(&nothing, &[("demo-0: Kafka", "NothingPresented")]);
    }

    #[test]
    fn evidence_names_each_listener_once_with_all_who_saw_it() {
        let down = look(|_, pod, _| if pod == "demo-1" { End::NobodyListens(why()) } else { End::Answered });
        let place = Place::Machine { settings: "c.yaml".to_owned() };
        let evidence: Vec<_> = judge(&down, testing::now(), &place).remove(0).evidence;
        let evidence: Vec<&str> = evidence.iter().map(|line| line.as_str()).collect();
        assert_eq!(
            evidence,
            [
                "listener A of demo-1: why, seen from demo-0, demo-1, demo-2",
                "listener B of demo-1: why, seen from demo-0, demo-1, demo-2"
            ]
        );
    }

    #[test]
    fn whoever_has_more_of_the_others_against_him_is_to_blame() {
        let leaf =
            look(
                |by, pod, _| {
                    if by == "demo-2" && pod != "demo-2" { End::RefusesOurs(why()) } else { End::Answered }
                },
            );
        check(&leaf, &[("demo-2: leaf", "LeafRefused")]);
        let trust = look(|by, pod, listener| {
            if pod == "demo-2" && by != "demo-2" && listener == "A" {
                End::RefusesOurs(why())
            } else {
                End::Answered
            }
        });
        check(&trust, &[("demo-2: listener A", "PeersRefused")]);
    }

    #[test]
    fn a_leaf_that_is_not_good_says_why_by_its_dates() {
        let ca = testing::root("ca");
        let leaf_of = |from_days: u64, until_days: u64| {
            let mut params = testing::leaf_params("node", &["a"]);
            let start = testing::now() - testing::days(10);
            params.not_before = (start + testing::days(from_days)).into();
            params.not_after = (start + testing::days(until_days)).into();
            ca.sign(params).certificate
        };
        for (leaf, want) in [
            (Some(leaf_of(1, 9)), "LeafExpired"),
            (Some(leaf_of(11, 20)), "LeafNotYetValid"),
            (Some(leaf_of(1, 20)), "LeafNotGood"),
            (None, "LeafNotGood"),
        ] {
            let mut all = look(|_, pod, _| if pod == "demo-1" { End::NotGood(why()) } else { End::Answered });
            all.iter_mut().for_each(|one| one.leaf.clone_from(&leaf));
            check(&all, &[("demo-1: Kafka", want)]);
        }
    }

    #[test]
    fn a_listener_that_serves_another_leaf_than_is_installed_has_not_reloaded() {
        let mut all = look(|_, _, _| End::Answered);
        all.iter_mut().for_each(|one| one.installed = Some(Fingerprint::of(b"demo-0")));
        all.retain(|one| one.pod != "demo-2");
        check(&all, &[("demo-1: Kafka", "OldLeafServed")]);
    }
}
