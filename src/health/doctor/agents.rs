//! The agents: are they there, are they of this release, do their loops turn, and what do they say that no look from
//! outside has shown.
//!
//! What was looked at afresh counts more than what an agent remembers: a condition for which there is a finding already
//! is not told twice, and of the quorum the fresh verdict alone is told where it is not whole.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::next::Place;
use crate::health::snapshot::Condition;
use crate::health::snapshot::Snapshot;
use crate::health::text::Word;
use crate::health::text::rfc3339;
use crate::kafka::node_id::NodeId;

/// What became of a question to one agent.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its pod.
    pub pod: String,
    /// The node it should stand beside, where the settings were read.
    pub node_id: Option<NodeId>,
    /// What it said of its node.
    pub status: Result<Snapshot, Silence>,
    /// Whether it says that its loops turn; why not. Not asked where it did not answer before.
    pub is_live: Result<(), String>,
}

/// No status, and why. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// It is certain that no agent is there.
    Nobody(String),
    /// It did not answer, or cannot be reached.
    NoAnswer(String),
    /// Whoever answers is no agent of this release.
    Strange(String),
}

/// What is wrong, of all of them together; `known` is what was found otherwise, `version` that of this program.
pub fn judge(
    all: &[Heard],
    version: &str,
    known: &[&Finding],
    now: SystemTime,
    place: &Place,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        all.iter().flat_map(|heard| by_itself(heard, version, now, place)).collect();
    findings.extend(conditions(all, known, now, place));
    findings
}

fn by_itself(heard: &Heard, version: &str, now: SystemTime, place: &Place) -> Vec<Finding> {
    let Heard { pod, node_id, status, is_live } = heard;
    let finding = |severity, reason, cause: String| {
        Finding::new(severity, Area::Agent, Word::of(reason), format!("{pod}: agent"), cause)
    };
    let snapshot = match status {
        Ok(snapshot) => snapshot,
        Err(Silence::Nobody(why)) => {
            let cause = "no agent is there: nobody renews this node's certificates, and its probes fail";
            let found = finding(Severity::Hurts, "AgentDown", cause.to_owned());
            return vec![found.with(why).next(place.describe(pod))];
        }
        Err(Silence::NoAnswer(why)) => {
            let found = finding(Severity::CannotTell, "AgentDoesNotAnswer", "it does not answer".to_owned());
            return vec![found.with(why).next(place.describe(pod))];
        }
        Err(Silence::Strange(why)) => {
            let cause = "whoever answers there is no agent, or one of another release";
            return vec![finding(Severity::CannotTell, "NotAnAgent", cause.to_owned()).with(why)];
        }
    };
    let mut findings = Vec::new();
    if let Some(node_id) = node_id.filter(|node_id| snapshot.node.node_id != *node_id) {
        let cause =
            format!("it stands beside node {}; the settings have node {node_id} here", snapshot.node.node_id);
        findings.push(finding(Severity::Hurts, "AgentOfAnotherNode", cause).next(place.explain(pod)));
    }
    if snapshot.agent.version.as_str() != version {
        let cause = format!("it is kraftlet {}, and this is {version}", snapshot.agent.version);
        findings.push(finding(Severity::Later, "AgentVersionDiffers", cause).next(place.status()));
    }
    if let Err(why) = is_live {
        let cause = "it says that one of its loops does not turn; its container is about to be restarted";
        findings.push(
            finding(Severity::Hurts, "AgentNotLive", cause.to_owned()).with(why).next(place.describe(pod)),
        );
    }
    let expired = snapshot.channels.iter().filter_map(|channel| {
        let not_after = channel.leaf?.not_after.filter(|not_after| *not_after <= now)?;
        Some(format!("{} since {:.0}", channel.name, rfc3339(not_after)))
    });
    let expired: Vec<String> = expired.collect();
    if !expired.is_empty() {
        let cause = "by what it knows, channels of its node use a leaf that has expired";
        let found = finding(Severity::Hurts, "ChannelUsesExpiredLeaf", cause.to_owned());
        findings.push(found.with_all(expired).next(place.status()));
    }
    findings
}

/// One finding for each reason, whoever gives it.
fn conditions(all: &[Heard], known: &[&Finding], now: SystemTime, place: &Place) -> Vec<Finding> {
    let mut groups: BTreeMap<(Severity, &Word), Vec<(&str, &Condition)>> = BTreeMap::new();
    for heard in all {
        let Ok(snapshot) = &heard.status else { continue };
        for condition in &snapshot.conditions {
            let is_told = |one: &&&Finding| {
                let is_of_pod = one.thing.as_str().starts_with(&format!("{}:", heard.pod));
                let is_of_quorum = |word: &Word| word.as_str().starts_with("Quorum");
                (one.reason == condition.reason && is_of_pod)
                    || (is_of_quorum(&one.reason) && is_of_quorum(&condition.reason))
            };
            if known.iter().find(is_told).is_none() {
                let severity = if condition.matters(now) { Severity::Hurts } else { Severity::Later };
                groups.entry((severity, &condition.reason)).or_default().push((&heard.pod, condition));
            }
        }
    }
    let mut findings = Vec::new();
    for ((severity, reason), said) in groups {
        let pods: Vec<&str> = said.iter().map(|(pod, _)| *pod).collect();
        let pods = pods.join(", ");
        let thing =
            if said.len() == 1 { format!("{pods}: condition") } else { format!("condition of {pods}") };
        let Some((_, first)) = said.first() else { continue };
        let mut found = Finding::new(severity, Area::Agent, (*reason).clone(), thing, &first.sentence);
        found = found.with_all(said.iter().map(|(pod, one)| {
            let (since, matters_at) = (rfc3339(one.since), rfc3339(one.matters_at));
            match severity {
                Severity::Later => {
                    format!("the agent of {pod} says so since {since:.0}; it matters at {matters_at:.0}")
                }
                Severity::Outage | Severity::Hurts | Severity::CannotTell => {
                    format!("the agent of {pod} says so since {since:.0}")
                }
            }
        }));
        findings.push(found.next(next(&said, place)));
    }
    findings
}

/// What an agent says to do is said for its own pod; and this is the doctor already.
fn next(said: &[(&str, &Condition)], place: &Place) -> String {
    let remedy = said.iter().find_map(|(pod, one)| Some((*pod, one.remedy.as_ref()?.as_str())));
    match (remedy, place) {
        (Some((pod, remedy)), _) if remedy.starts_with("kraftlet renew") => place.renew(pod),
        (Some((_, remedy)), Place::Pod { .. } | Place::Cluster { .. })
            if !remedy.starts_with("kraftlet doctor") =>
        {
            remedy.to_owned()
        }
        (Some(_) | None, Place::Pod { .. } | Place::Machine { .. } | Place::Cluster { .. }) => place.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;

    fn heard(pod: &str, change: impl FnOnce(&mut Snapshot)) -> Heard {
        let mut snapshot = full();
        snapshot.conditions.clear();
        change(&mut snapshot);
        let node_id = Some(full().node.node_id);
        Heard { pod: pod.to_owned(), node_id, status: Ok(snapshot), is_live: Ok(()) }
    }

    fn silent(silence: Silence) -> Heard {
        Heard { status: Err(silence), ..heard("demo-0", |_| ()) }
    }

    fn check(all: &[Heard], known: &[&Finding], want: &[(Severity, &str, &str)]) {
        let version = full().agent.version;
        let place = Place::Machine { settings: "c.yaml".to_owned() };
        let found = judge(all, version.as_str(), known, at(60), &place);
        let got: Vec<_> =
            found.iter().map(|one| (one.severity, one.reason.as_str(), one.thing.as_str())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn each_thing_that_can_be_wrong_with_an_agent_has_its_word() {
        let agent = |severity, word| (severity, word, "demo-0: agent");
        let why = || "why".to_owned();
        check(&[heard("demo-0", |_| ())], &[], &[]);
        check(&[silent(Silence::Nobody(why()))], &[], &[agent(Severity::Hurts, "AgentDown")]);
        check(&[silent(Silence::NoAnswer(why()))], &[], &[agent(Severity::CannotTell, "AgentDoesNotAnswer")]);
        check(&[silent(Silence::Strange(why()))], &[], &[agent(Severity::CannotTell, "NotAnAgent")]);
        let other = heard("demo-0", |one| one.node.node_id = NodeId::try_from(77).unwrap());
        check(&[other], &[], &[agent(Severity::Hurts, "AgentOfAnotherNode")]);
        let older = heard("demo-0", |one| one.agent.version = crate::health::text::Text::new("0.0.0"));
        check(&[older], &[], &[agent(Severity::Later, "AgentVersionDiffers")]);
        let stuck = Heard { is_live: Err(why()), ..heard("demo-0", |_| ()) };
        check(&[stuck], &[], &[agent(Severity::Hurts, "AgentNotLive")]);
        let mut late = heard("demo-0", |_| ());
        if let Ok(snapshot) = &mut late.status {
            snapshot
                .channels
                .iter_mut()
                .filter_map(|one| one.leaf.as_mut())
                .for_each(|leaf| leaf.not_after = Some(at(60)));
        }
        check(&[late], &[], &[agent(Severity::Hurts, "ChannelUsesExpiredLeaf")]);
    }

    #[test]
    fn conditions_are_told_once_and_not_where_a_fresh_look_told_them() {
        let condition = full().conditions.first().unwrap().clone();
        let reason = condition.reason.clone();
        let word = reason.as_str();
        let with = |pod: &str| heard(pod, |one| one.conditions.push(condition.clone()));
        // It matters at 110.
        check(&[with("demo-0")], &[], &[(Severity::Later, word, "demo-0: condition")]);
        let both = [with("demo-0"), with("demo-1")];
        check(&both, &[], &[(Severity::Later, word, "condition of demo-0, demo-1")]);
        let fresh =
            |area, thing: &str| Finding::new(Severity::Hurts, area, reason.clone(), thing, "a fresh look");
        check(&both, &[&fresh(Area::Kafka, "demo-0: x")], &[(Severity::Later, word, "demo-1: condition")]);
    }

    #[test]
    fn of_the_quorum_the_fresh_verdict_is_told() {
        let mut condition = full().conditions.first().unwrap().clone();
        condition.reason = Word::of("QuorumDegraded");
        let with = [heard("demo-0", |one| one.conditions.push(condition))];
        let fresh = Finding::new(
            Severity::Outage,
            Area::Quorum,
            Word::of("QuorumMajorityLost"),
            "controller quorum",
            "",
        );
        check(&with, &[&fresh], &[]);
        check(&with, &[], &[(Severity::Later, "QuorumDegraded", "demo-0: condition")]);
    }

    #[test]
    fn what_to_do_next_is_said_for_where_the_doctor_runs() {
        let condition = full().conditions.first().unwrap().clone();
        let machine = Place::Machine { settings: "c.yaml".to_owned() };
        let pod = Place::Pod { own: "demo-0".to_owned(), namespace: None };
        for (remedy, place, want) in [
            (Some("kubectl get pods"), &pod, "kubectl get pods"),
            (Some("kraftlet doctor"), &pod, "kraftlet status --all"),
            (None, &pod, "kraftlet status --all"),
            (Some("kubectl get pods"), &machine, "kraftlet status --all --settings c.yaml"),
            (Some("kraftlet renew"), &machine, "kraftlet renew --pod-name demo-1 --settings c.yaml"),
        ] {
            let remedy = remedy.map(crate::health::text::Text::new);
            let condition = Condition { remedy, ..condition.clone() };
            assert_eq!(next(&[("demo-1", &condition)], place), want);
        }
    }
}
