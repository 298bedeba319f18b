//! The page of some nodes, well and not. `e2e/page.sh` looks at them in a browser, in the folder they are left in.

use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use kraftlet::health::certificate::State;
use kraftlet::health::document;
use kraftlet::health::page;
use kraftlet::health::page::CONTENT_SECURITY_POLICY;
use kraftlet::health::page::fleet;
use kraftlet::health::recent::Recent;
use kraftlet::health::snapshot::Condition;
use kraftlet::health::snapshot::Event;
use kraftlet::health::snapshot::Snapshot;
use kraftlet::health::text::Text;
use kraftlet::health::text::Word;
use kraftlet::quorum::view::Blocker;
use kraftlet::quorum::view::Broker;
use kraftlet::quorum::view::BrokerStanding;
use kraftlet::quorum::view::Member;
use kraftlet::quorum::view::MemberStanding;
use kraftlet::quorum::view::Quorum;
use kraftlet::quorum::view::QuorumState;
use kraftlet::quorum::view::Recovery;
use kraftlet::quorum::view::Startup;
use kraftlet::quorum::view::Stop;
use kraftlet::quorum::view::Voter;
use kraftlet::quorum::view::VoterStanding;
use kraftlet::reload::coverage::Standing;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const DAY: i64 = 86_400;

fn at(seconds: i64) -> SystemTime {
    let now = SystemTime::UNIX_EPOCH + NOW;
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { now - span } else { now + span }
}

fn voter(node_id: u32, standing: VoterStanding, lag: u64, ago_ms: u64) -> Voter {
    Voter {
        node_id: node_id.to_string().parse().unwrap(),
        directory_id: None,
        standing,
        lag: Some(lag),
        last_fetch_ago: Some(Duration::from_millis(ago_ms)),
    }
}

/// Node 1 of three combined ones, with leaves of ninety days, reloaded by the engine.
fn well() -> Snapshot {
    let mut snapshot = document::parse(include_bytes!("../fixtures/status.json")).unwrap();
    snapshot.at = at(0);
    snapshot.agent.started_at = at(-3 * DAY);
    snapshot.node.pod = Text::new("events-1");
    snapshot.node.node_id = "1".parse().unwrap();
    snapshot.node.cluster_name = Some(Text::new("events"));
    let certificate = &mut snapshot.certificates[0];
    let leaf = certificate.installed.as_mut().unwrap();
    (leaf.not_before, leaf.not_after) = (at(-37 * DAY), at(53 * DAY));
    (leaf.subject, leaf.issuer) = (Text::new("CN=events-node"), Text::new("CN=events CA 0f126920"));
    certificate.next_renewal_at = Some(at(23 * DAY));
    certificate.last_outcome.as_mut().unwrap().at = at(-37 * DAY);
    certificate.trust.waits_for.clear();
    certificate.trust.since = at(-200 * DAY);
    let mut channel = snapshot.channels[0].clone();
    channel.leaf = Some(leaf.in_use());
    let channel = |name, standing| {
        channel.name = Text::new(name);
        channel.standing = standing;
        channel.clone()
    };
    snapshot.channels = [
        ("listener CLIENT", Standing::Served),
        ("listener INTERNAL", Standing::Served),
        ("listener CONTROLLER", Standing::Served),
        ("raft client", Standing::Loaded),
        ("NodeToController", Standing::Loaded),
        ("replica fetcher", Standing::InUseUntilReconnect),
    ]
    .map({
        let mut channel = channel;
        move |(name, standing)| channel(name, standing)
    })
    .to_vec();
    snapshot.conditions.clear();
    let event = |days, reason, sentence| Event {
        at: at(days * DAY),
        reason: Word::of(reason),
        sentence: Text::new(sentence),
    };
    snapshot.events = Recent::from_iter([
        event(-3, "LeaderElected", "node 1 leads epoch 7; it was node 2"),
        event(
            -1,
            "Verified",
            "certificate node: every channel shows the leaf that was there before (9f91161f)",
        ),
    ]);
    snapshot.quorum = Some(Quorum {
        state: QuorumState::Healthy,
        sentence: "node 1 leads epoch 7 and all 3 voters follow; 1 may fail".to_owned(),
        since: at(-3 * DAY),
        seen_at: Some(at(-1)),
        leader: Some("1".parse().unwrap()),
        epoch: Some(7),
        epochs_per_minute: 0,
        high_watermark: Some(1_482_113),
        voters: vec![
            voter(0, VoterStanding::CaughtUp, 0, 212),
            voter(1, VoterStanding::Leader, 0, 0),
            voter(2, VoterStanding::CaughtUp, 1, 431),
        ],
        spare: Some(1),
    });
    let sentence = "it leads epoch 7".to_owned();
    snapshot.member = Some(Member { standing: MemberStanding::Leader, sentence, since: at(-3 * DAY) });
    snapshot.broker = Some(Broker {
        standing: BrokerStanding::Unfenced,
        sentence: "brokers 0 and 2 list it, and it is 0 records behind".to_owned(),
        since: at(-3 * DAY),
        metadata_lag: Some(0),
    });
    snapshot.startup = Some(Startup { formatted: true, metadata_applied: true, recovery: None });
    snapshot.stop = Some(Stop {
        blockers: Vec::new(),
        notes: Vec::new(),
        seen_at: Some(at(-1)),
        announced_at: None,
        released_at: None,
    });
    snapshot
}

/// Its source is away, its raft client cannot reload, and another voter is silent.
fn sick() -> Snapshot {
    let mut snapshot = well();
    let quorum = snapshot.quorum.as_mut().unwrap();
    quorum.state = QuorumState::Degraded;
    quorum.sentence = "node 1 leads epoch 7; voter 2 has not fetched for 41 s; none may fail now".to_owned();
    (quorum.since, quorum.spare) = (at(-39), Some(0));
    quorum.voters[2] = voter(2, VoterStanding::Silent, 82_113, 41_000);
    let blocker =
        |reason: &str, sentence: &str| Blocker { reason: reason.to_owned(), sentence: sentence.to_owned() };
    snapshot.stop.as_mut().unwrap().blockers = vec![
        blocker("QuorumNeedsThisNode", "without this node 1 of 3 voters follows; 2 are wanted"),
        blocker(
            "PartitionsAtMinIsr",
            "3 partitions would have fewer in sync than min.insync.replicas, orders-4 first",
        ),
    ];
    let certificate = &mut snapshot.certificates[0];
    (certificate.state, certificate.attempts) = (State::Waiting, 14);
    certificate.next_renewal_at = Some(at(240));
    let leaf = certificate.installed.as_mut().unwrap();
    (leaf.not_before, leaf.not_after) = (at(-86 * DAY), at(4 * DAY));
    let last = certificate.last_outcome.as_mut().unwrap();
    (last.at, last.reason) = (at(-60), Word::of("SourceUnreachable"));
    last.sentence = Text::new("https://signer.kraftlet.svc:9443 does not answer: connection refused");
    certificate.trust.stage = Word::of("PeersUseOldCa");
    certificate.trust.waits_for = vec![Text::new("events-2")];
    let used = leaf.in_use();
    for channel in &mut snapshot.channels {
        channel.leaf = Some(used);
    }
    let raft = &mut snapshot.channels[3];
    raft.leaf.as_mut().unwrap().not_after = Some(at(-600));
    (raft.standing, raft.restart_needed_by) = (Standing::InUseUntilRestart, Some(at(-600)));
    let condition = |reason, sentence: &str, since, matters_at, remedy| Condition {
        reason: Word::of(reason),
        sentence: Text::new(sentence),
        since: at(since),
        matters_at: at(matters_at),
        remedy: Some(Text::new(remedy)),
    };
    let source = "certificate node: https://signer.kraftlet.svc:9443 does not answer: connection refused (14 attempts)";
    let raft = "raft client uses leaf 9f91161f, which has expired: the next election would not succeed";
    snapshot.conditions = vec![
        condition("SourceUnreachable", source, -7200, 4 * DAY, "kraftlet renew --wait"),
        condition(
            "RaftClientNotReloadable",
            raft,
            -86 * DAY,
            -600,
            "kubectl rollout restart statefulset/events",
        ),
    ];
    for one in snapshot.conditions.clone() {
        snapshot.events.push(Event {
            at: one.since.max(at(-7200)),
            reason: one.reason,
            sentence: one.sentence,
        });
    }
    snapshot
}

/// Kafka recovers its logs, and nobody has answered yet.
fn starting() -> Snapshot {
    let mut snapshot = well();
    snapshot.quorum = Some(Quorum {
        state: QuorumState::Unknown,
        sentence: "no controller has answered yet".to_owned(),
        since: at(-20),
        seen_at: None,
        leader: None,
        epoch: None,
        epochs_per_minute: 0,
        high_watermark: None,
        voters: Vec::new(),
        spare: None,
    });
    let sentence = "nobody was asked yet".to_owned();
    snapshot.member = Some(Member { standing: MemberStanding::Unknown, sentence, since: at(-20) });
    snapshot.broker = Some(Broker {
        standing: BrokerStanding::Starting,
        sentence: "nobody listens at 10.0.0.7:9092 yet".to_owned(),
        since: at(-20),
        metadata_lag: None,
    });
    let recovery = Some(Recovery { done: 1_312, all: 4_096 });
    snapshot.startup = Some(Startup { formatted: true, metadata_applied: false, recovery });
    snapshot.stop = None;
    snapshot.events = Recent::default();
    for channel in &mut snapshot.channels {
        (channel.leaf, channel.seen_at, channel.standing) = (None, None, Standing::Unknown);
    }
    snapshot
}

/// As much of everything as a snapshot can hold, in words that want to be markup and have no blank to break at.
fn huge() -> Snapshot {
    let mut snapshot = sick();
    let hostile = Text::new("\"'><script>alert(1)</script><b style=position:fixed>".repeat(20));
    snapshot.node.pod = hostile.clone();
    snapshot.node.cluster_name = Some(hostile.clone());
    let quorum = snapshot.quorum.as_mut().unwrap();
    quorum.sentence = hostile.to_string().repeat(100);
    quorum.voters = (0..300).map(|id| voter(id, VoterStanding::CaughtUp, u64::MAX, 86_400_000)).collect();
    quorum.voters.push(voter(2_147_483_647, VoterStanding::Silent, u64::MAX, u64::MAX));
    let stop = snapshot.stop.as_mut().unwrap();
    stop.blockers = vec![stop.blockers[0].clone(); 300];
    let certificate = &mut snapshot.certificates[0];
    certificate.installed.as_mut().unwrap().subject = hostile.clone();
    certificate.trust.waits_for = vec![hostile.clone(); 300];
    snapshot.certificates = vec![certificate.clone(); 300];
    snapshot.channels[0].name = hostile.clone();
    snapshot.channels = vec![snapshot.channels[0].clone(); 300];
    let mut condition = snapshot.conditions[0].clone();
    (condition.sentence, condition.remedy) = (hostile.clone(), Some(hostile.clone()));
    snapshot.conditions = vec![condition.clone(); 300];
    let event = Event { at: at(0), reason: condition.reason, sentence: hostile };
    snapshot.events = std::iter::repeat_n(event, 300).collect();
    snapshot
}

#[test]
fn every_page_is_bounded_and_has_nothing_but_our_own_markup() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&folder).unwrap();
    let empty = Snapshot::new(well().node, well().agent);
    let most = 20 * 1024;
    let node = |snapshot: Snapshot| page::render(&snapshot, at(0));
    let missing = Ok(vec![Text::new("StatefulSet events has 2 pods; want 3"); 300]);
    let cluster = |said: &[fleet::Said]| fleet::render(&Text::new("events"), said, &missing, at(0));
    let said = |snapshot: Snapshot| (snapshot.node.pod.clone(), Ok(snapshot));
    let silent = (Text::new("events-3"), Err(Text::new("no way to it: the pod has not begun")));
    for (name, page, most) in [
        ("well", node(well()), most),
        ("sick", node(sick()), most),
        ("starting", node(starting()), most),
        ("empty", node(empty), most),
        ("huge", node(huge()), 50 * most),
        ("fleet", cluster(&[said(well()), said(sick()), said(starting()), silent]), most),
        ("fleet-huge", cluster(&[vec![said(huge()); 12], vec![said(well()); 300]].concat()), 100 * most),
    ] {
        assert!(page.len() < most, "{name} has {} bytes", page.len());
        for never in ["<script", "<b style", "\u{0}"] {
            assert!(!page.contains(never), "{name} has {never}");
        }
        for tag in ["section", "table", "tbody", "tr", "td", "dl", "div", "article", "small", "p", "svg"] {
            let count = |text: &str| page.matches(text).count();
            let opened = count(&format!("<{tag} ")) + count(&format!("<{tag}>"));
            assert_eq!(opened, count(&format!("</{tag}>")), "{name}: {tag}");
        }
        // A file has no headers, so the policy that the agent sends with the page stands in the file.
        let policy =
            format!("<head><meta http-equiv=Content-Security-Policy content=\"{CONTENT_SECURITY_POLICY}\">");
        fs::write(folder.join(format!("{name}.html")), page.replacen("<head>", &policy, 1)).unwrap();
    }
}

#[test]
fn the_page_says_what_hurts_first_and_what_helps() {
    let page = page::render(&sick(), at(0));
    let mut rest = page.as_str();
    for want in [
        "<title>events-1: not healthy</title>",
        "<h1>events-1</h1>",
        "<h3>RaftClientNotReloadable</h3>",
        "kubectl rollout restart statefulset/events",
        "<h3>SourceUnreachable</h3>",
        "kraftlet renew --wait",
        "voter 2 has not fetched for 41 s",
        "82,113",
        "must not stop now",
        "QuorumNeedsThisNode",
        "<b class=bad>4 d</b>",
        "<b class=bad>restart Kafka</b>",
        "<b class=bad>expired</b>",
        "14 attempts",
        "PeersUseOldCa",
    ] {
        let place = rest.find(want).unwrap_or_else(|| panic!("no {want:?} in its place in\n{page}"));
        rest = &rest[place..];
    }
}
