//! A cluster as one sees it from outside: the pods as the API server has them, beside what their agents say.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::next::Place;
use crate::health::probe;
use crate::health::snapshot::Settings;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::text::Word;

/// A pod.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its name.
    pub pod: &'a str,
    /// Why the API server does not have it as ready.
    pub not_ready: Option<&'a str>,
    /// What its agent says, where it says anything.
    pub status: Option<&'a Snapshot>,
}

/// What is wrong; `missing` are sentences of StatefulSets that have too few pods.
pub fn judge(all: &[Seen<'_>], missing: &[String], now: SystemTime, place: &Place) -> Vec<Finding> {
    let mut findings = Vec::new();
    for sentence in missing {
        let cause = "it has fewer pods than it wants; its events say why none is made";
        let found = Finding::new(Severity::Hurts, Area::Kafka, Word::of("PodsMissing"), "StatefulSet", cause);
        findings.push(found.with(sentence).next(place.events()));
    }
    for Seen { pod, not_ready, status } in all {
        if let Some(why) = not_ready {
            let failed = status.map(|snapshot| probe::readyz(snapshot, now).all).unwrap_or_default();
            let failed = failed.into_iter().filter(|check| !check.ok);
            let reason = Word::of("PodNotReady");
            let found = Finding::new(Severity::Hurts, Area::Kafka, reason, format!("{pod}: pod"), why);
            let found = found.with_all(failed.map(|one| format!("{}: {}", one.name, one.sentence)));
            findings.push(found.next(place.describe(pod)));
        }
    }
    findings.extend(twins(all, place));
    findings.extend(clusters(all, place));
    findings.extend(pending(all, place));
    findings
}

/// Two pods that are one node: each of them takes the other's place in the quorum.
fn twins(all: &[Seen<'_>], place: &Place) -> Vec<Finding> {
    let mut pods: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    for (pod, snapshot) in said(all) {
        pods.entry(snapshot.node.node_id.get()).or_default().push(pod);
    }
    let twins = pods.into_iter().filter(|(_, pods)| pods.len() > 1);
    let finding = |(node_id, pods): (i32, Vec<&str>)| {
        let cause = format!("all of these pods are node {node_id}; want one pod for each node id");
        let reason = Word::of("NodeIdTwice");
        let found = Finding::new(Severity::Hurts, Area::Quorum, reason, pods.join(", "), cause);
        found.next(place.status())
    };
    twins.map(finding).collect()
}

fn clusters(all: &[Seen<'_>], place: &Place) -> Option<Finding> {
    let mut ids: BTreeMap<&Text, Vec<&str>> = BTreeMap::new();
    for (pod, snapshot) in said(all) {
        if let Some(id) = &snapshot.node.cluster_id {
            ids.entry(id).or_default().push(pod);
        }
    }
    if ids.len() < 2 {
        return None;
    }
    let lines = ids.iter().map(|(id, pods)| format!("{id}: {}", pods.join(", ")));
    let cause = "pods of one cluster have different cluster ids, and do not speak with each other";
    let reason = Word::of("ClusterIdDiffers");
    let found = Finding::new(Severity::Hurts, Area::Quorum, reason, "cluster id", cause);
    Some(found.with_all(lines).next(place.status()))
}

fn pending(all: &[Seen<'_>], place: &Place) -> Option<Finding> {
    let changed = |(pod, snapshot): (&str, &Snapshot)| {
        let settings = snapshot.settings.as_ref().filter(|settings| Settings::is_pending(settings))?;
        let keys: Vec<&str> = settings.changed_keys.iter().map(Text::as_str).collect();
        Some((pod.to_owned(), keys.join(", ")))
    };
    let changed: Vec<(String, String)> = said(all).filter_map(changed).collect();
    if changed.is_empty() {
        return None;
    }
    let pods = changed.iter().map(|(pod, _)| pod.as_str()).collect::<Vec<_>>().join(", ");
    let cause = "the settings have changed since Kafka was started: a restart would bring them into force";
    let reason = Word::of("RestartPending");
    let found = Finding::new(Severity::Later, Area::Files, reason, pods, cause);
    Some(found.with_all(changed.iter().map(|(pod, keys)| format!("{pod}: {keys}"))).next(place.restart()))
}

fn said<'a>(all: &'a [Seen<'a>]) -> impl Iterator<Item = (&'a str, &'a Snapshot)> {
    all.iter().filter_map(|one| Some((one.pod, one.status?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;

    fn of(node_id: i32) -> Snapshot {
        let mut snapshot = full();
        snapshot.node.node_id = node_id.try_into().unwrap();
        snapshot.settings = Some(Settings::default());
        snapshot
    }

    fn check(all: &[(&str, Option<&str>, &Snapshot)], missing: &[&str], want: &[(Severity, &str, &str)]) {
        let seen = |&(pod, not_ready, status)| Seen { pod, not_ready, status: Some(status) };
        let seen: Vec<Seen<'_>> = all.iter().map(seen).collect();
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let place = Place::Cluster { flags: " --namespace prod".to_owned(), cluster: "events".to_owned() };
        let found = judge(&seen, &missing, at(60), &place);
        let got: Vec<_> =
            found.iter().map(|one| (one.severity, one.reason.as_str(), one.thing.as_str())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_cluster_is_judged_by_all_of_its_pods_together() {
        use Severity::Hurts;
        use Severity::Later;
        let (zero, one) = (of(0), of(1));
        let well = [("events-0", None, &zero), ("events-1", None, &one)];
        check(&well, &[], &[]);
        check(&well, &["events has 2 pods; want 3"], &[(Hurts, "PodsMissing", "StatefulSet")]);
        let away = [("events-0", None, &zero), ("events-1", Some("it is being deleted"), &one)];
        check(&away, &[], &[(Hurts, "PodNotReady", "events-1: pod")]);
        let twins = [("events-0", None, &zero), ("events-1", None, &zero)];
        check(&twins, &[], &[(Hurts, "NodeIdTwice", "events-0, events-1")]);
        let mut other = of(1);
        other.node.cluster_id = Some(Text::new("another"));
        check(
            &[("events-0", None, &zero), ("events-1", None, &other)],
            &[],
            &[(Hurts, "ClusterIdDiffers", "cluster id")],
        );
        let mut changed = of(1);
        changed.settings.as_mut().unwrap().changed_keys.push(Text::new("log.retention.hours"));
        check(
            &[("events-0", None, &zero), ("events-1", None, &changed)],
            &[],
            &[(Later, "RestartPending", "events-1")],
        );
    }
}
