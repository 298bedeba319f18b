//! Whose turn it is to be restarted, and when that may go on: decided from what the API server and the agents say.
//!
//! Brokers come first, then the controllers, and the leader last of all: whenever another restarts the quorum keeps its
//! leader, so there is one election in the whole round and not one for each controller. Who leads is looked at before
//! each turn, for it may have changed.

use std::collections::BTreeSet;

use crate::commands::kubectl::pods::Pod;
use crate::health::snapshot::Mode;
use crate::health::snapshot::Settings;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::quorum::view::MemberStanding;
use crate::quorum::view::QuorumState;

/// A pod, and what its agent says.
#[derive(Debug, Clone)]
pub struct Found {
    /// The pod.
    pub pod: Pod,
    /// Its agent's words, or why there are none.
    pub status: Result<Snapshot, String>,
}

/// The next of `remaining`; `None` when none is left. An error says for what the turn has to wait.
pub fn next<'a>(remaining: &BTreeSet<String>, found: &'a [Found]) -> Result<Option<&'a Found>, String> {
    let said = said(remaining, found)?;
    Ok(said.into_iter().min_by_key(|(_, snapshot)| place(snapshot)).map(|(one, _)| one))
}

/// Those of `names` whose Kafka has to start again for something to come into force. An error says who says nothing, or
/// has not looked yet.
pub fn pending(names: &BTreeSet<String>, found: &[Found]) -> Result<BTreeSet<String>, String> {
    let mut pending = BTreeSet::new();
    for (one, snapshot) in said(names, found)? {
        let name = one.pod.name();
        if is_pending(snapshot) {
            pending.insert(name.to_owned());
        } else if snapshot.settings.is_none() && snapshot.agent.mode == Mode::Managed {
            let why = "has not compared the settings with what its Kafka was started with yet";
            return Err(format!("the agent of {name} {why}"));
        }
    }
    Ok(pending)
}

/// Why no pod but `name` is to be away: of all pods that were there at the beginning one is gone or not ready.
pub fn others(name: &str, names: &BTreeSet<String>, pods: &[Pod]) -> Result<(), String> {
    for other in names.iter().filter(|one| one.as_str() != name) {
        let pod = pods.iter().find(|pod| pod.name() == other);
        match pod.map(Pod::not_ready) {
            None => return Err(format!("pod {other} is gone, and no other has come for it yet")),
            Some(Some(why)) => return Err(format!("pod {other} is not ready: {why}")),
            Some(None) => {}
        }
    }
    Ok(())
}

/// Why no other would come up in its place: its own agent says that the settings as they are now are refused.
pub fn could_not_start(snapshot: &Snapshot) -> Option<&Text> {
    let refused = snapshot.conditions.iter().find(|condition| condition.reason == Settings::REFUSED);
    refused.map(|condition| &condition.sentence)
}

/// Whether the pod that was evicted has been followed by one that does its work. An error says what is not yet so.
pub fn is_back(found: &Found, uid: &str) -> Result<(), String> {
    if found.pod.metadata.uid == uid {
        return Err("its containers end".to_owned());
    }
    if let Some(why) = found.pod.not_ready() {
        return Err(why);
    }
    let snapshot = found.status.as_ref().map_err(|why| format!("its agent says nothing: {why}"))?;
    match (&snapshot.quorum, snapshot.agent.mode) {
        (Some(quorum), _) if quorum.state == QuorumState::Healthy => Ok(()),
        (Some(quorum), _) => Err(format!("the quorum is {}: {}", quorum.state, quorum.sentence)),
        (None, Mode::Managed) => Err("its agent has not looked at the quorum yet".to_owned()),
        // An attached agent may have nobody to ask; that the pod is ready is all that can be known.
        (None, Mode::Attached) => Ok(()),
    }
}

/// What each of `names` says; all of them have to.
fn said<'a>(names: &BTreeSet<String>, found: &'a [Found]) -> Result<Vec<(&'a Found, &'a Snapshot)>, String> {
    let mut said = Vec::new();
    for name in names {
        let one = found.iter().find(|one| one.pod.name() == name);
        let one = one.ok_or_else(|| format!("pod {name} is gone, and no other has come for it yet"))?;
        let snapshot =
            one.status.as_ref().map_err(|why| format!("the agent of {name} says nothing: {why}"))?;
        said.push((one, snapshot));
    }
    Ok(said)
}

/// Settings that are refused are not compared, and are others than those that Kafka was started with.
fn is_pending(snapshot: &Snapshot) -> bool {
    snapshot.settings.as_ref().is_some_and(Settings::is_pending)
        || could_not_start(snapshot).is_some()
        || snapshot.channels.iter().any(|channel| channel.restart_needed_by.is_some())
}

fn place(snapshot: &Snapshot) -> (bool, bool, i32) {
    let leads = snapshot.member.as_ref().is_some_and(|member| member.standing == MemberStanding::Leader);
    (snapshot.node.roles.is_controller(), leads, snapshot.node.node_id.get())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::pool::ProcessRoles;
    use crate::commands::kubectl::pods::tests::pod;
    use crate::commands::kubectl::pods::tests::ready;
    use crate::health::snapshot::Condition;
    use crate::health::testing::full;
    use crate::health::text::Word;

    fn found(name: &str, node_id: i32, roles: ProcessRoles, leads: bool) -> Found {
        let mut snapshot = full();
        snapshot.node.node_id = node_id.try_into().unwrap();
        snapshot.node.roles = roles;
        snapshot.member.as_mut().unwrap().standing =
            if leads { MemberStanding::Leader } else { MemberStanding::CaughtUp };
        snapshot.quorum.as_mut().unwrap().state = QuorumState::Healthy;
        Found { pod: pod(name, ready()), status: Ok(snapshot) }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn brokers_are_first_and_the_leader_is_the_very_last() {
        use ProcessRoles::Broker;
        use ProcessRoles::Controller;
        let all = [
            found("controller-0", 0, Controller, true),
            found("controller-1", 1, Controller, false),
            found("broker-0", 100, Broker, false),
            found("broker-1", 101, Broker, false),
        ];
        let mut remaining = names(&["broker-0", "broker-1", "controller-0", "controller-1"]);
        for want in ["broker-0", "broker-1", "controller-1", "controller-0"] {
            let got = next(&remaining, &all).unwrap().unwrap().pod.name().to_owned();
            assert_eq!(got, want);
            remaining.remove(want);
        }
        assert!(next(&remaining, &all).unwrap().is_none());
    }

    #[test]
    fn nobody_is_next_while_somebody_who_should_be_says_nothing() {
        let mut silent = found("events-1", 1, ProcessRoles::Combined, false);
        silent.status = Err("it does not answer in time".to_owned());
        let all = [found("events-0", 0, ProcessRoles::Combined, true), silent];
        let got = next(&names(&["events-0", "events-1"]), &all).unwrap_err();
        assert_eq!(got, "the agent of events-1 says nothing: it does not answer in time");
        let got = next(&names(&["events-0", "events-2"]), &all).unwrap_err();
        assert_eq!(got, "pod events-2 is gone, and no other has come for it yet");
        assert_eq!(next(&names(&["events-0"]), &all).unwrap().unwrap().pod.name(), "events-0");
    }

    #[test]
    fn what_has_to_start_again_is_told_by_its_settings_and_by_channels_that_nothing_reloads() {
        let mut all = [0, 1, 2].map(|id| found(&format!("events-{id}"), id, ProcessRoles::Combined, false));
        for one in &mut all {
            let snapshot = one.status.as_mut().unwrap();
            snapshot.settings = Some(Settings::default());
            snapshot.channels.iter_mut().for_each(|channel| channel.restart_needed_by = None);
        }
        let names = names(&["events-0", "events-1", "events-2"]);
        assert_eq!(pending(&names, &all), Ok(BTreeSet::new()));
        let changed = all[1].status.as_mut().unwrap().settings.as_mut().unwrap();
        changed.changed_keys.push(crate::health::text::Text::new("log.retention.hours"));
        all[2].status.as_mut().unwrap().channels[0].restart_needed_by =
            Some(std::time::SystemTime::UNIX_EPOCH);
        let got = pending(&names, &all).unwrap();
        assert_eq!(got.iter().map(String::as_str).collect::<Vec<_>>(), ["events-1", "events-2"]);
        // Settings that nobody has compared are not known to be the same.
        all[0].status.as_mut().unwrap().settings = None;
        let why =
            "the agent of events-0 has not compared the settings with what its Kafka was started with yet";
        assert_eq!(pending(&names, &all), Err(why.to_owned()));
        all[0].status.as_mut().unwrap().agent.mode = Mode::Attached;
        assert_eq!(pending(&names, &all), Ok(got));
        all[0].status = Err("it does not answer in time".to_owned());
        assert!(pending(&names, &all).is_err());
    }

    #[test]
    fn who_could_not_start_again_says_so_among_its_conditions() {
        let refused = "with the settings as they are now this pod could not start again: no pool has node 7";
        for (reasons, want) in [
            (vec![], None),
            (vec![("SourceHasNotRenewed", "the leaf is old")], None),
            (vec![("SettingsRefused", refused)], Some(refused)),
            (vec![("SourceHasNotRenewed", "the leaf is old"), ("SettingsRefused", refused)], Some(refused)),
        ] {
            let mut snapshot = full();
            let condition = |(reason, sentence): (&'static str, &str)| Condition {
                reason: Word::of(reason),
                sentence: Text::new(sentence),
                since: snapshot.at,
                matters_at: snapshot.at,
                remedy: None,
            };
            snapshot.conditions = reasons.into_iter().map(condition).collect();
            snapshot.channels.iter_mut().for_each(|channel| channel.restart_needed_by = None);
            snapshot.settings = Some(Settings::default());
            assert_eq!(could_not_start(&snapshot).map(Text::as_str), want);
            // Its turn has to come, so that somebody hears of it.
            assert_eq!(is_pending(&snapshot), want.is_some());
        }
    }

    #[test]
    fn no_pod_goes_while_another_is_away() {
        let all = names(&["events-0", "events-1", "events-2"]);
        let mut pods = vec![pod("events-0", ready()), pod("events-1", ready()), pod("events-2", ready())];
        assert_eq!(others("events-0", &all, &pods), Ok(()));
        pods[1].metadata.deletion_timestamp = Some("2026-11-23T18:08:54Z".to_owned());
        let why = "pod events-1 is not ready: it is being deleted";
        assert_eq!(others("events-0", &all, &pods), Err(why.to_owned()));
        // Only those of the others count.
        assert_eq!(others("events-1", &all, &pods), Ok(()));
        pods.remove(1);
        let why = "pod events-1 is gone, and no other has come for it yet";
        assert_eq!(others("events-0", &all, &pods), Err(why.to_owned()));
    }

    #[test]
    fn a_pod_is_back_when_another_one_is_ready_and_sees_the_quorum_healthy() {
        let combined = || found("events-0", 0, ProcessRoles::Combined, false);
        assert_eq!(is_back(&combined(), "another"), Ok(()));
        assert_eq!(is_back(&combined(), "uid-of-events-0"), Err("its containers end".to_owned()));
        let starting = Found { pod: pod("events-0", json!({"phase": "Pending"})), ..combined() };
        assert_eq!(is_back(&starting, "another"), Err("the pod is Pending".to_owned()));
        let change = |change: fn(&mut Snapshot)| {
            let mut found = combined();
            found.status.as_mut().map(change).unwrap();
            is_back(&found, "another")
        };
        let degraded = change(|one| one.quorum.as_mut().unwrap().state = QuorumState::Degraded);
        assert!(degraded.unwrap_err().starts_with("the quorum is Degraded: "));
        let unseen = change(|one| one.quorum = None);
        assert_eq!(unseen, Err("its agent has not looked at the quorum yet".to_owned()));
        let attached = change(|one| {
            one.quorum = None;
            one.agent.mode = Mode::Attached;
        });
        assert_eq!(attached, Ok(()));
    }
}
