//! The probes as tables: from the snapshot to checks. Nobody is asked here; whoever looks has looked before.
//!
//! **`readyz`: this node serves.** What is asked of a node depends on the quorum:
//!
//! | quorum | controller | broker | combined |
//! |---|---|---|---|
//! | not looked at yet | not ready | unfenced | not ready |
//! | forming | its listener | unfenced | its listener |
//! | formed | leader or caught up | unfenced | both |
//! | majority lost, leaderless, wedged, or nobody can tell | not ready | unfenced | unfenced |
//!
//! and always that its listeners were shown to serve a leaf that is valid now. A controller that waits for later pods
//! of its StatefulSet is ready (OrderedReady would never start them). A dedicated controller without a quorum is not,
//! which stops a rolling restart and does nothing else; a node that serves data is not taken from its clients for it,
//! and the verdict stands beside it. Nothing here is about another node: not one voter that is silent, nor one broker.
//!
//! An agent that has just started knows nothing, so its node is not ready until the first look, a second or two: that
//! is shorter than one failed probe, and to remember over a restart what may no longer be so would be a guess.
//!
//! **`startupz`: Kafka has come up once**, with the progress of log recovery. It must not become the startup probe of
//! Kafka's container: that would kill a Kafka that recovers, and one whose agent is down.
//!
//! **`livez`: the agent's own loops turn.** Only the agent's container may be restarted by it.

use std::borrow::Cow;
use std::time::Instant;
use std::time::SystemTime;

use crate::cluster::pool::ProcessRoles;
use crate::health::channel::Channel;
use crate::health::check::Check;
use crate::health::check::Checks;
use crate::health::pulse::Pulse;
use crate::health::pulse::Rhythm;
use crate::health::snapshot::Snapshot;
use crate::health::text::rfc3339;
use crate::quorum::stop::FRESH;
use crate::quorum::view::Blocker;
use crate::quorum::view::BrokerStanding;
use crate::quorum::view::MemberStanding;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::reload::coverage::Standing;

/// What is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// How far Kafka has started.
    Startupz,
    /// Whether the agent's own loops turn.
    Livez,
    /// Whether this node serves.
    Readyz,
    /// Whether this node may stop now.
    SafeToStop,
}

/// The rows of the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Unseen,
    Forming,
    Formed,
    Without,
}

/// What must be so for a node to be ready, beside its listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nothing more: that its own listener serves is enough.
    Listener,
    /// It leads or has caught up.
    Member,
    /// It is unfenced.
    Broker,
    /// Both of these.
    MemberAndBroker,
    /// What this quorum does not give: the node is not ready, whatever it is itself.
    Quorum,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Startupz, Self::Livez, Self::Readyz, Self::SafeToStop];

    /// Where it is answered.
    pub fn path(self) -> &'static str {
        match self {
            Self::Startupz => "/startupz",
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::SafeToStop => "/v1/safe-to-stop",
        }
    }
}

/// The table above.
fn asked(row: Row, roles: ProcessRoles) -> Asked {
    match (row, roles) {
        (Row::Unseen, ProcessRoles::Controller | ProcessRoles::Combined) => Asked::Quorum,
        (Row::Forming, ProcessRoles::Controller | ProcessRoles::Combined) => Asked::Listener,
        (Row::Formed, ProcessRoles::Controller) => Asked::Member,
        (Row::Formed, ProcessRoles::Combined) => Asked::MemberAndBroker,
        (Row::Without, ProcessRoles::Controller) => Asked::Quorum,
        (Row::Without, ProcessRoles::Combined) | (_, ProcessRoles::Broker) => Asked::Broker,
    }
}

fn row(quorum: Option<&Quorum>) -> Row {
    match quorum.map(|quorum| quorum.state) {
        None => Row::Unseen,
        Some(QuorumState::Forming) => Row::Forming,
        // Where leaders come and go, each says what this node is.
        Some(QuorumState::Healthy | QuorumState::Degraded | QuorumState::Unstable) => Row::Formed,
        Some(
            QuorumState::Unknown | QuorumState::MajorityLost | QuorumState::Leaderless | QuorumState::Wedged,
        ) => Row::Without,
    }
}

/// Whether this node serves.
pub fn readyz(snapshot: &Snapshot, now: SystemTime) -> Checks<'_> {
    let asked = asked(row(snapshot.quorum.as_ref()), snapshot.node.roles);
    let mut all = vec![listeners(snapshot, asked, now), quorum(snapshot, asked)];
    match asked {
        Asked::Listener | Asked::Quorum => {}
        Asked::Member => all.push(member(snapshot)),
        Asked::Broker => all.push(broker(snapshot)),
        Asked::MemberAndBroker => all.extend([member(snapshot), broker(snapshot)]),
    }
    Checks { probe: "readyz", all }
}

/// How far Kafka has started.
pub fn startupz(snapshot: &Snapshot) -> Checks<'_> {
    let Some(startup) = &snapshot.startup else {
        let all =
            vec![Check::failed("storage", "StorageUnseen: nobody has looked at the log directories yet")];
        return Checks { probe: "startupz", all };
    };
    let storage = if startup.formatted {
        Check::ok("storage", "")
    } else {
        Check::failed("storage", "NotFormatted: a log directory has no meta.properties yet")
    };
    let mut all = vec![storage];
    if let Some(recovery) = startup.recovery {
        let progress = format!("{} of {} logs recovered", recovery.done, recovery.all);
        all.push(if recovery.done < recovery.all {
            Check::failed("recovery", format!("LogRecovery: {progress}"))
        } else {
            Check::ok("recovery", progress)
        });
    }
    all.push(if startup.metadata_applied {
        Check::ok("metadata", "")
    } else {
        Check::failed("metadata", "NoMetadata: this node has not answered with metadata applied yet")
    });
    Checks { probe: "startupz", all }
}

/// Whether the agent's own loops turn.
pub fn livez(pulse: &Pulse, now: Instant) -> Checks<'static> {
    let check = |one: Rhythm| {
        if one.is_well() {
            return Check::ok(one.name, "");
        }
        let (silent, longest) = (one.silent_for.as_secs(), one.longest.as_secs());
        Check::failed(
            one.name,
            format!("LoopStuck: it has not turned for {silent} s; want at most {longest} s"),
        )
    };
    Checks { probe: "livez", all: pulse.rhythms(now).into_iter().map(check).collect() }
}

/// Whether this node may stop now.
pub fn safe_to_stop(snapshot: &Snapshot, now: SystemTime) -> Checks<'_> {
    let stop = snapshot.stop.as_ref();
    // A look that is dated later than now is of a clock that was set back: it is not old.
    let age = stop.and_then(|stop| stop.seen_at).map(|at| now.duration_since(at).unwrap_or_default());
    let seen = match age {
        None => Check::failed("looked", "StopUnseen: nobody has looked whether this node may stop"),
        Some(age) if age > FRESH => {
            let (age, fresh) = (age.as_secs(), FRESH.as_secs());
            Check::failed("looked", format!("LookOld: the last look was {age} s ago; want at most {fresh} s"))
        }
        Some(_) => Check::ok("looked", ""),
    };
    let mut all = vec![seen];
    for Blocker { reason, sentence } in stop.into_iter().flat_map(|stop| &stop.blockers) {
        all.push(Check::failed("stop", format!("{reason}: {sentence}")));
    }
    Checks { probe: "safe-to-stop", all }
}

/// Every listener that has a certificate; while the quorum forms one is enough, for a broker opens its own only when it
/// is unfenced (BrokerServer).
fn listeners(snapshot: &Snapshot, asked: Asked, now: SystemTime) -> Check<'_> {
    const NAME: &str = "listeners";
    if snapshot.certificates.is_empty() {
        return Check::ok(NAME, "no listener has a certificate that this agent knows");
    }
    if snapshot.channels.is_empty() {
        return Check::failed(NAME, "ListenersUnseen: nobody has looked at the listeners yet");
    }
    let looked_at = || snapshot.channels.iter().filter(|one| is_looked_at(one));
    let wrong: Vec<_> = looked_at().filter_map(|one| wrong(one, now)).collect();
    let one_is_enough = asked == Asked::Listener;
    if wrong.is_empty() || (one_is_enough && wrong.len() < looked_at().count()) {
        return Check::ok(NAME, "");
    }
    Check::failed(NAME, wrong.join("; "))
}

/// A listener of a certificate that the agent knows.
fn is_looked_at(channel: &Channel) -> bool {
    channel.is_listener() && !channel.certificate.as_str().is_empty()
}

/// Why a listener does not serve a leaf that is valid now.
fn wrong(channel: &Channel, now: SystemTime) -> Option<String> {
    let name = &channel.name;
    let Some(leaf) = channel.leaf.filter(|_| channel.standing == Standing::Served) else {
        return Some(format!("ListenerUnseen: {name} has shown no leaf since its Kafka started"));
    };
    let leaf_name = leaf.fingerprint.short();
    match leaf.not_after {
        None => Some(format!("LeafUnknown: {name} serves leaf {leaf_name}, and nobody knows until when")),
        Some(end) if end <= now => {
            Some(format!("LeafExpired: {name} serves leaf {leaf_name}, which ended at {:.0}", rfc3339(end)))
        }
        Some(_) => None,
    }
}

fn quorum(snapshot: &Snapshot, asked: Asked) -> Check<'_> {
    let said = match &snapshot.quorum {
        None => Cow::Borrowed("QuorumUnseen: nobody has looked at the quorum yet"),
        Some(quorum) if quorum.state == QuorumState::Healthy => Cow::Borrowed(""),
        Some(quorum) => Cow::Owned(format!("{}: {}", quorum.state, quorum.sentence)),
    };
    Check { name: "quorum", ok: asked != Asked::Quorum, sentence: said }
}

fn member(snapshot: &Snapshot) -> Check<'_> {
    let Some(member) = &snapshot.member else {
        return Check::failed("member", "MemberUnseen: no leader has said yet what this node is");
    };
    match member.standing {
        MemberStanding::Leader | MemberStanding::CaughtUp => Check::ok("member", ""),
        MemberStanding::Unknown
        | MemberStanding::Behind
        | MemberStanding::Silent
        | MemberStanding::Wedged
        | MemberStanding::Observer
        | MemberStanding::NotAVoter
        | MemberStanding::LostIdentity
        | MemberStanding::Unseen => {
            Check::failed("member", format!("{}: {}", member.standing, member.sentence))
        }
    }
}

/// Old metadata are told and no reason to take the broker from its clients.
fn broker(snapshot: &Snapshot) -> Check<'_> {
    let Some(broker) = &snapshot.broker else {
        return Check::failed("broker", "BrokerUnseen: nobody has looked at this broker yet");
    };
    let said = || format!("{}: {}", broker.standing, broker.sentence);
    match broker.standing {
        BrokerStanding::Unfenced => Check::ok("broker", ""),
        BrokerStanding::Stale => Check::ok("broker", said()),
        BrokerStanding::Unknown
        | BrokerStanding::Starting
        | BrokerStanding::Fenced
        | BrokerStanding::Frozen => Check::failed("broker", said()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;
    use crate::health::text::Text;
    use crate::quorum::view::Recovery;
    use crate::quorum::view::Startup;
    use crate::quorum::words::Words;

    const WELL: (MemberStanding, BrokerStanding) = (MemberStanding::CaughtUp, BrokerStanding::Unfenced);

    /// A node of these roles that sees this.
    fn node(
        roles: ProcessRoles,
        state: Option<QuorumState>,
        (member, broker): (MemberStanding, BrokerStanding),
    ) -> Snapshot {
        let mut snapshot = full();
        snapshot.node.roles = roles;
        snapshot.quorum = snapshot.quorum.and_then(|quorum| Some(Quorum { state: state?, ..quorum }));
        snapshot.member.as_mut().unwrap().standing = member;
        snapshot.broker.as_mut().unwrap().standing = broker;
        snapshot
    }

    /// The names of the checks that fail, where any do.
    fn failed(checks: &Checks<'_>) -> String {
        let failed: Vec<_> = checks.all.iter().filter(|one| !one.ok).map(|one| one.name).collect();
        assert_eq!(checks.passes(), failed.is_empty());
        failed.join(" ")
    }

    const ROLES: [ProcessRoles; 3] = [ProcessRoles::Controller, ProcessRoles::Broker, ProcessRoles::Combined];

    #[test]
    fn a_node_is_ready_as_the_table_says() {
        let starting = (MemberStanding::Unknown, BrokerStanding::Starting);
        let leads = (MemberStanding::Leader, BrokerStanding::Unfenced);
        let behind = (MemberStanding::Behind, BrokerStanding::Unfenced);
        let unknown = (MemberStanding::Unknown, BrokerStanding::Unfenced);
        let stale = (MemberStanding::CaughtUp, BrokerStanding::Stale);
        let fenced = (MemberStanding::CaughtUp, BrokerStanding::Fenced);
        for (state, node_is, want) in [
            // The quorum, what this node is in it; what fails on a controller, a broker, a combined node.
            (None, WELL, ["quorum", "", "quorum"]),
            (None, starting, ["quorum", "broker", "quorum"]),
            (Some(QuorumState::Forming), starting, ["", "broker", ""]),
            (Some(QuorumState::Healthy), WELL, ["", "", ""]),
            (Some(QuorumState::Healthy), leads, ["", "", ""]),
            (Some(QuorumState::Healthy), behind, ["member", "", "member"]),
            (Some(QuorumState::Healthy), fenced, ["", "broker", "broker"]),
            (Some(QuorumState::Healthy), stale, ["", "", ""]),
            (Some(QuorumState::Healthy), starting, ["member", "broker", "member broker"]),
            (Some(QuorumState::Degraded), WELL, ["", "", ""]),
            (Some(QuorumState::Degraded), behind, ["member", "", "member"]),
            (Some(QuorumState::Unstable), WELL, ["", "", ""]),
            (Some(QuorumState::MajorityLost), unknown, ["quorum", "", ""]),
            (Some(QuorumState::MajorityLost), leads, ["quorum", "", ""]),
            (Some(QuorumState::MajorityLost), fenced, ["quorum", "broker", "broker"]),
            (Some(QuorumState::Leaderless), unknown, ["quorum", "", ""]),
            (Some(QuorumState::Leaderless), starting, ["quorum", "broker", "broker"]),
            (Some(QuorumState::Wedged), leads, ["quorum", "", ""]),
            (Some(QuorumState::Wedged), stale, ["quorum", "", ""]),
            (Some(QuorumState::Unknown), unknown, ["quorum", "", ""]),
        ] {
            for (roles, want) in ROLES.into_iter().zip(want) {
                let snapshot = node(roles, state, node_is);
                assert_eq!(failed(&readyz(&snapshot, at(60))), want, "{state:?} {node_is:?} {roles}");
            }
        }
    }

    #[test]
    fn only_a_leader_and_a_caught_up_voter_are_ready_members() {
        for standing in MemberStanding::ALL {
            let ready = matches!(standing, MemberStanding::Leader | MemberStanding::CaughtUp);
            let snapshot = node(
                ProcessRoles::Controller,
                Some(QuorumState::Healthy),
                (*standing, BrokerStanding::Unknown),
            );
            let want = if ready { "" } else { "member" };
            assert_eq!(failed(&readyz(&snapshot, at(60))), want, "{standing}");
        }
    }

    #[test]
    fn what_others_are_changes_no_readiness() {
        for roles in ROLES {
            let mut snapshot = node(roles, Some(QuorumState::Degraded), WELL);
            snapshot.quorum.as_mut().unwrap().voters.clear();
            snapshot.conditions.clear();
            let alone = failed(&readyz(&snapshot, at(60)));
            let among_sick = failed(&readyz(&node(roles, Some(QuorumState::Degraded), WELL), at(60)));
            assert_eq!((alone.as_str(), among_sick.as_str()), ("", ""), "{roles}");
        }
    }

    #[test]
    fn a_listener_has_to_be_seen_with_a_leaf_that_is_valid_now() {
        let check = |snapshot: &Snapshot, seconds, want: &str| {
            let checks = readyz(snapshot, at(seconds));
            assert_eq!(checks.all[0].name, "listeners");
            let said = if checks.all[0].ok { "" } else { &checks.all[0].sentence };
            assert_eq!(said, want);
        };
        let served = node(ProcessRoles::Combined, Some(QuorumState::Healthy), WELL);
        check(&served, 119, "");
        let expired =
            "LeafExpired: listener CLIENT serves leaf 9f91161f, which ended at 2027-01-15T08:02:00Z";
        check(&served, 120, expired);

        let mut two = served.clone();
        let mut controller = two.channels[0].clone();
        controller.name = Text::new("listener CONTROLLER");
        two.channels.insert(1, controller);
        two.channels[0].standing = Standing::Unknown;
        let unseen = "ListenerUnseen: listener CLIENT has shown no leaf since its Kafka started";
        check(&two, 60, unseen);
        // A broker opens its listeners when it is unfenced, which takes a quorum.
        two.quorum.as_mut().unwrap().state = QuorumState::Forming;
        check(&two, 60, "");
        two.channels[1].standing = Standing::Unknown;
        check(
            &two,
            60,
            &format!(
                "{unseen}; ListenerUnseen: listener CONTROLLER has shown no leaf since its Kafka started"
            ),
        );

        let mut not_owned = served.clone();
        not_owned.channels[0].standing = Standing::Unknown;
        not_owned.channels[0].certificate = Text::default();
        check(&not_owned, 60, "");
        let mut just_started = served.clone();
        just_started.channels.clear();
        check(&just_started, 60, "ListenersUnseen: nobody has looked at the listeners yet");
        just_started.certificates.clear();
        check(&just_started, 60, "");
        let mut undated = served;
        undated.channels[0].leaf.as_mut().unwrap().not_after = None;
        check(&undated, 60, "LeafUnknown: listener CLIENT serves leaf 9f91161f, and nobody knows until when");
    }

    #[test]
    fn the_verdict_stands_beside_a_node_that_is_ready_without_a_quorum() {
        let snapshot = node(ProcessRoles::Combined, Some(QuorumState::Leaderless), WELL);
        let got = readyz(&snapshot, at(60)).verbose();
        let want = "[+]listeners ok\n[+]quorum ok: Leaderless: 2 of 3 voters follow leader 1 in epoch 7; voter 2 was last \
                    heard of 41 s ago\n[+]broker ok\nreadyz check passed\n";
        assert_eq!(got, want);
        let snapshot =
            node(ProcessRoles::Controller, Some(QuorumState::Healthy), (MemberStanding::Behind, WELL.1));
        assert_eq!(
            readyz(&snapshot, at(60)).brief(),
            "member: Behind: voter 0 has all records of leader 1\n"
        );
    }

    #[test]
    fn an_agent_that_has_only_begun_knows_nothing_and_says_so() {
        let full = full();
        for roles in ROLES {
            let mut snapshot = Snapshot::new(full.node.clone(), full.agent.clone());
            snapshot.node.roles = roles;
            snapshot.certificates.clone_from(&full.certificates);
            assert!(!readyz(&snapshot, at(0)).passes(), "{roles}");
            assert_eq!(failed(&startupz(&snapshot)), "storage");
            assert_eq!(failed(&safe_to_stop(&snapshot, at(0))), "looked");
        }
    }

    #[test]
    fn a_slow_start_shows_how_far_it_has_come() {
        let mut snapshot = full();
        for (formatted, metadata_applied, recovery, want) in [
            (true, true, None, ""),
            (true, true, Some((12, 12)), ""),
            (false, false, None, "NotFormatted: a log directory has no meta.properties yet|NoMetadata"),
            (true, false, Some((3, 12)), "LogRecovery: 3 of 12 logs recovered|NoMetadata"),
            (true, false, Some((12, 12)), "NoMetadata: this node has not answered with metadata applied yet"),
        ] {
            let recovery = recovery.map(|(done, all)| Recovery { done, all });
            snapshot.startup = Some(Startup { formatted, metadata_applied, recovery });
            let checks = startupz(&snapshot);
            let said: Vec<_> = checks.all.iter().filter(|one| !one.ok).map(|one| &one.sentence).collect();
            let want: Vec<_> = want.split_terminator('|').collect();
            assert_eq!(said.len(), want.len(), "{said:?}");
            assert!(said.iter().zip(&want).all(|(said, want)| said.starts_with(want)), "{said:?}");
        }
    }

    #[test]
    fn a_node_may_stop_when_nothing_that_was_just_seen_holds_it_back() {
        // The fixture was looked at when 59 s had passed.
        let mut snapshot = full();
        assert_eq!(
            safe_to_stop(&snapshot, at(60)).brief(),
            "stop: NoSpareVoter: without this node 1 of 3 voters follows; want 2\n"
        );
        snapshot.stop.as_mut().unwrap().blockers.clear();
        for (seconds, want) in [(60, ""), (89, ""), (90, "looked"), (1, "")] {
            assert_eq!(failed(&safe_to_stop(&snapshot, at(seconds))), want, "{seconds}");
        }
    }

    #[test]
    fn liveness_is_about_the_loops_of_the_agent() {
        let began = Instant::now();
        let pulse = Pulse::new(began);
        assert!(livez(&pulse, began).passes());
        let _beat = pulse.loop_named("observer", Duration::from_secs(40), began);
        assert_eq!(livez(&pulse, began + Duration::from_secs(40)).brief(), "ok\n");
        assert_eq!(
            livez(&pulse, began + Duration::from_secs(41)).brief(),
            "observer: LoopStuck: it has not turned for 41 s; want at most 40 s\n"
        );
    }
}
