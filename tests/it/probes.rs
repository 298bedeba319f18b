//! Probes and the call before a stop, over real sockets, from a snapshot that the test publishes.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::watch;

use kraftlet::health::io as health_io;
use kraftlet::health::io::Listeners;
use kraftlet::health::io::Serving;
use kraftlet::health::pulse::Pulse;
use kraftlet::health::snapshot::Snapshot;
use kraftlet::quorum::view::Blocker;
use kraftlet::quorum::view::MemberStanding;
use kraftlet::quorum::view::QuorumState;
use kraftlet::quorum::view::Recovery;
use kraftlet::quorum::view::Startup;
use kraftlet::quorum::view::Stop;

use crate::health::IMPATIENCE;
use crate::health::healthy;
use crate::health::raw;
use crate::health::request;
use crate::health::run;
use crate::health::serving;

/// Serves this on a port of its own for as long as the test asks there.
async fn served(serving: Serving, test: impl AsyncFnOnce(SocketAddr)) {
    let bind = async || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let listeners = Listeners { read: bind().await, orders: bind().await };
    let address = listeners.read.local_addr().unwrap();
    tokio::select! {
        () = health_io::serve(listeners, serving, std::future::pending()) => {}
        () = test(address) => {}
    }
}

/// [`raw`], beside other things.
async fn asked(address: SocketAddr, request: Vec<u8>) -> String {
    tokio::task::spawn_blocking(move || raw(address, &request)).await.unwrap()
}

async fn probed(address: SocketAddr, path: &str) -> String {
    let answer = asked(address, request("GET", path, "", "")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    format!("{} {body}", &head["HTTP/1.1 ".len().."HTTP/1.1 200".len()])
}

/// One that may stop, and whose stop nobody has announced.
fn stoppable() -> Snapshot {
    let mut snapshot = healthy("demo-0");
    let now = SystemTime::now();
    snapshot.stop = Some(Stop {
        blockers: Vec::new(),
        notes: Vec::new(),
        seen_at: Some(now),
        announced_at: None,
        released_at: None,
    });
    snapshot
}

#[test]
fn probes_say_what_the_snapshot_says() {
    let (publish, snapshots) = watch::channel(Arc::new(stoppable()));
    let (orders, _taken) = mpsc::channel(1);
    run(served(serving(snapshots, orders), async |address| {
        let ready = "200 [+]listeners ok\n[+]quorum ok: Degraded: 2 of 3 voters follow leader 1 in epoch 7; voter 2 was \
                     last heard of 41 s ago\n[+]member ok\n[+]broker ok\nreadyz check passed\n";
        for (path, want) in [
            ("/readyz", "200 ok\n"),
            ("/readyz?verbose", ready),
            ("/livez?verbose", "200 livez check passed\n"),
            ("/startupz", "200 ok\n"),
        ] {
            assert_eq!(probed(address, path).await, want);
        }
        let may = probed(address, "/v1/safe-to-stop").await;
        assert!(may.starts_with("200 ") && may.contains("\"safe\": true"), "{may}");

        publish.send_modify(|snapshot| {
            let snapshot = Arc::make_mut(snapshot);
            snapshot.quorum.as_mut().unwrap().state = QuorumState::Healthy;
            snapshot.member.as_mut().unwrap().standing = MemberStanding::Behind;
            snapshot.startup = Some(Startup {
                formatted: true,
                metadata_applied: false,
                recovery: Some(Recovery { done: 3, all: 12 }),
            });
            let blocker = Blocker { reason: "NoSpareVoter".to_owned(), sentence: "want 2".to_owned() };
            snapshot.stop.as_mut().unwrap().blockers.push(blocker);
        });
        let sick = "voter 0 has all records of leader 1\n";
        let recovering = "503 [+]storage ok\n[-]recovery failed: LogRecovery: 3 of 12 logs recovered\n[-]metadata failed: ";
        assert_eq!(probed(address, "/readyz").await, format!("503 member: Behind: {sick}"));
        let startup = probed(address, "/startupz?verbose").await;
        assert!(startup.starts_with(recovering), "{startup}");
        let must_not = probed(address, "/v1/safe-to-stop").await;
        for want in [
            "503 ",
            "\"safe\": false",
            "\"sentence\": \"NoSpareVoter: want 2\"",
            "\"reason\": \"NoSpareVoter\"",
        ] {
            assert!(must_not.contains(want), "want {want} in {must_not}");
        }
        assert_eq!(probed(address, "/livez").await, "200 ok\n");
        let metrics = probed(address, "/metrics").await;
        for want in [
            "\nkraftlet_ready 0.0\n",
            "\nkraftlet_safe_to_stop 0.0\n",
            "\nkraftlet_probe_duration_seconds_count{path=\"/readyz\"} 3\n",
        ] {
            assert!(metrics.contains(want), "want {want} in {metrics}");
        }
    }));
}

#[test]
fn a_loop_that_does_not_turn_is_all_that_fails_liveness() {
    let (_publish, snapshots) = watch::channel(Arc::new(healthy("demo-0")));
    let (orders, _taken) = mpsc::channel(1);
    let serving = serving(snapshots, orders);
    let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    let pulse = Pulse::new(long_ago);
    let observer = pulse.loop_named("observer", Duration::from_secs(30), long_ago);
    run(served(Serving { pulse, ..serving }, async |address| {
        let stuck = probed(address, "/livez?verbose").await;
        assert!(stuck.starts_with("503 [-]observer failed: LoopStuck: it has not turned for 6"), "{stuck}");
        observer.beat(Instant::now());
        assert_eq!(probed(address, "/livez?verbose").await, "200 [+]observer ok\nlivez check passed\n");
    }));
}

const HOOK: &str = "x-kraftlet: prestop\r\n";

#[test]
fn a_hook_is_answered_when_the_node_may_stop_and_so_is_everybody_who_asks() {
    let (publish, snapshots) = watch::channel(Arc::new(stoppable()));
    let (orders, _taken) = mpsc::channel(1);
    let serving = serving(snapshots, orders);
    let stops = Arc::clone(&serving.stops);
    run(served(serving, async |address| {
        let stray = asked(address, request("GET", "/v1/prestop", "", "")).await;
        assert!(stray.starts_with("HTTP/1.1 403") && stray.contains("NotAPreStopHook"), "{stray}");
        let hook = || tokio::spawn(asked(address, request("GET", "/v1/prestop", HOOK, "")));
        let first = hook();
        stops.notified().await;
        let second = hook();
        stops.notified().await;
        // A release that was there before they called was for somebody else, and an announcement is none.
        let stop = |released_at: Option<SystemTime>| Stop {
            blockers: vec![],
            announced_at: Some(SystemTime::now()),
            released_at,
            ..stoppable().stop.unwrap()
        };
        for stop in [stop(Some(SystemTime::UNIX_EPOCH)), stop(None)] {
            publish.send_modify(|snapshot| Arc::make_mut(snapshot).stop = Some(stop));
            assert_eq!(probed(address, "/livez").await, "200 ok\n");
            assert!(!first.is_finished() && !second.is_finished());
        }
        publish.send_modify(|snapshot| Arc::make_mut(snapshot).stop = Some(stop(Some(SystemTime::now()))));
        for answer in [first.await.unwrap(), second.await.unwrap()] {
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"safe\": true"), "{answer}");
        }
    }));
}

#[test]
fn a_hook_waits_no_longer_than_it_may_and_says_what_it_has_not_awaited() {
    let (_publish, snapshots) = watch::channel(Arc::new(stoppable()));
    let (orders, _taken) = mpsc::channel(1);
    let serving = Serving { prestop_within: IMPATIENCE, ..serving(snapshots, orders) };
    run(served(serving, async |address| {
        let answer = asked(address, request("GET", "/v1/prestop", HOOK, "")).await;
        for want in ["HTTP/1.1 200", "\"safe\": false", "not awaited: a look after the stop was announced"] {
            assert!(answer.contains(want), "want {want} in {answer}");
        }
    }));
}

#[test]
fn a_crowd_keeps_neither_a_probe_nor_a_hook_from_its_answer() {
    let (publish, snapshots) = watch::channel(Arc::new(stoppable()));
    let (orders, _taken) = mpsc::channel(1);
    let serving = serving(snapshots, orders);
    let stops = Arc::clone(&serving.stops);
    run(served(serving, async |address| {
        let hook = || tokio::spawn(asked(address, request("GET", "/v1/prestop", HOOK, "")));
        let mut hooks = Vec::new();
        for _ in 0..16 {
            hooks.push(hook());
            stops.notified().await;
        }
        let one_too_many = hook().await.unwrap();
        assert!(
            one_too_many.starts_with("HTTP/1.1 503") && one_too_many.contains("TooManyStops"),
            "{one_too_many}"
        );
        let mut crowd = Vec::new();
        for _ in 0..200 {
            crowd.push(TcpStream::connect(address).await.unwrap());
        }
        assert_eq!(probed(address, "/livez").await, "200 ok\n");
        publish.send_modify(|snapshot| {
            let stop = Arc::make_mut(snapshot).stop.as_mut().unwrap();
            stop.released_at = Some(SystemTime::now());
        });
        for hook in hooks {
            let answer = hook.await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }));
}
