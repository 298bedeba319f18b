//! The agent's HTTP over real sockets on loopback, and the commands that speak with it, with a made-up driver behind it.

use std::fs;
use std::future::pending;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener as StdListener;
use std::net::TcpStream as StdStream;
use std::process::Command;
use std::process::Output;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::SystemTime;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;

use kraftlet::health::client::io as client;
use kraftlet::health::client::io::AgentError;
use kraftlet::health::client::way::Way;
use kraftlet::health::document;
use kraftlet::health::io as health_io;
use kraftlet::health::io::Listeners;
use kraftlet::health::io::Serving;
use kraftlet::health::order::Order;
use kraftlet::health::order::OrderState;
use kraftlet::health::order::OrderStatus;
use kraftlet::health::order::Wish;
use kraftlet::health::pulse::Pulse;
use kraftlet::health::recent::Recent;
use kraftlet::health::snapshot::Snapshot;
use kraftlet::health::text::Text;
use kraftlet::health::text::Word;
use kraftlet::quorum::view::MemberStanding;

use crate::program::ends;
use crate::program::text;

/// Long enough for any machine; nothing waits for it but a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// For the cases that must run into it.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(300);

/// How the made-up driver ends an order of a node.
type Script = fn(&str) -> OrderState;

/// An agent whose driver is made up, on a thread of its own; it ends when it is dropped.
struct Agent {
    read: SocketAddr,
    orders: SocketAddr,
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Agent {
    fn start(
        listeners: (StdListener, StdListener),
        snapshot: Snapshot,
        taken: &Taken,
        script: Script,
    ) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (read, orders) = (listeners.0.local_addr().unwrap(), listeners.1.local_addr().unwrap());
        let taken = Arc::clone(taken);
        let thread = std::thread::spawn(move || {
            let listen = |listener: StdListener| {
                listener.set_nonblocking(true).unwrap();
                TcpListener::from_std(listener).unwrap()
            };
            run(async {
                let listeners = Listeners { read: listen(listeners.0), orders: listen(listeners.1) };
                let (publish, snapshots) = watch::channel(Arc::new(snapshot));
                let (sender, orders) = mpsc::channel(1);
                let shutdown = async {
                    let _ = stopped.await;
                };
                let serving = serving(snapshots, sender);
                tokio::select! {
                    () = health_io::serve(listeners, serving, shutdown) => {}
                    () = drive(publish, orders, taken, script) => {}
                }
            });
        });
        Self { read, orders, thread: Some(thread), stop: Some(stop) }
    }

    fn alone(snapshot: Snapshot) -> Self {
        let bind = || StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self::start((bind(), bind()), snapshot, &Taken::default(), |_| OrderState::Done)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What the agents of a test took, in their order.
type Taken = Arc<Mutex<Vec<String>>>;

/// A port whose loops have all just turned, and where a stop waits for as long as it takes.
pub(crate) fn serving(snapshots: watch::Receiver<Arc<Snapshot>>, orders: mpsc::Sender<Order>) -> Serving {
    let pulse = Pulse::new(std::time::Instant::now());
    Serving { snapshots, orders, pulse, stops: Arc::default(), prestop_within: PATIENCE }
}

async fn drive(
    publish: watch::Sender<Arc<Snapshot>>,
    mut orders: mpsc::Receiver<Order>,
    taken: Taken,
    script: Script,
) {
    while let Some(order) = orders.recv().await {
        let pod = publish.borrow().node.pod.to_string();
        let wish = match &order.wish {
            Wish::Renew { certificate: None } => "renew".to_owned(),
            Wish::Renew { certificate: Some(name) } => format!("renew {name}"),
            Wish::ForgetOldTrust { certificate } => format!("forget {certificate}"),
        };
        taken.lock().unwrap().push(format!("{pod} {wish}"));
        let state = script(&pod);
        let (reason, sentence) = match state {
            OrderState::Done => ("Renewed", "leaf 9f91161f is served by every listener"),
            OrderState::Running => ("Verifying", "listener CLIENT still presents leaf 5f3a91c2"),
            OrderState::Failed => ("SourceUnreachable", "the source does not answer"),
            OrderState::Refused => ("KeyMismatch", "the key is of another leaf"),
        };
        publish.send_modify(|snapshot| {
            Arc::make_mut(snapshot).report_order(OrderStatus {
                number: order.number,
                at: SystemTime::now(),
                state,
                reason: Word::of(reason),
                sentence: Text::new(sentence),
            });
        });
    }
    pending().await
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The snapshot of the fixture, with its leaves good for another hour, and nothing wrong.
pub(crate) fn healthy(pod: &str) -> Snapshot {
    let mut snapshot = document::parse(include_bytes!("../fixtures/status.json")).unwrap();
    let later = SystemTime::now() + Duration::from_secs(3600);
    snapshot.node.pod = Text::new(pod);
    for certificate in &mut snapshot.certificates {
        certificate.installed.as_mut().unwrap().not_after = later;
    }
    for channel in &mut snapshot.channels {
        if let Some(leaf) = &mut channel.leaf {
            leaf.not_after = Some(later);
        }
    }
    snapshot.conditions.clear();
    snapshot.orders = Recent::default();
    snapshot
}

/// Sends these bytes and reads to the end of the connection.
pub(crate) fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = StdStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // An agent that refuses a request in its middle may have closed before all of it was written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    text(&answer)
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

const OURS: &str = "x-kraftlet: order\r\n";

#[test]
fn the_read_port_answers_from_the_snapshot() {
    let agent = Agent::alone(healthy("demo-0"));
    let get = |path| raw(agent.read, &request("GET", path, "", ""));
    let livez = get("/livez");
    assert!(livez.starts_with("HTTP/1.1 200 OK\r\n") && livez.ends_with("\r\n\r\nok\n"), "{livez}");
    let status = get("/v1/status");
    assert!(status.contains("content-type: application/json\r\n"), "{status}");
    let body = status.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(document::parse(body.as_bytes()).unwrap().node.pod.as_str(), "demo-0");
    let metrics = get("/metrics");
    for want in [
        "content-type: application/openmetrics-text",
        "kraftlet_leaf_not_after_seconds{",
        "process_resident_memory_bytes ",
        "# EOF\n",
    ] {
        assert!(metrics.contains(want), "want {want} in\n{metrics}");
    }
    let page = get("/");
    for want in [
        "content-type: text/html; charset=utf-8\r\n",
        "content-security-policy: default-src 'none';",
        "<h1>demo-0</h1>",
    ] {
        assert!(page.contains(want), "want {want} in\n{page}");
    }
    for (method, path, want) in [
        ("GET", "/nothing", "404 Not Found"),
        ("POST", "/v1/renew", "404 Not Found"),
        ("GET", "/v1/orders/1", "404 Not Found"),
        ("DELETE", "/v1/status", "405 Method Not Allowed"),
    ] {
        let answer = raw(agent.read, &request(method, path, OURS, ""));
        assert!(answer.starts_with(&format!("HTTP/1.1 {want}\r\n")), "{method} {path}: {answer}");
        assert!(answer.contains("\"reason\""), "{answer}");
    }
}

#[test]
fn an_order_is_taken_under_a_number_that_tells_its_outcome() {
    let agent = Agent::alone(healthy("demo-0"));
    let address = agent.orders.to_string();
    let deadline = || Instant::now() + PATIENCE;
    let status = run(async {
        let wish = Wish::Renew { certificate: Some(Text::new("node")) };
        let first = client::give(&Way::Dialled(address.to_string()), &wish, deadline()).await.unwrap();
        let status = loop {
            let status =
                client::status_of_order(&Way::Dialled(address.to_string()), first, deadline()).await.unwrap();
            if status.state != OrderState::Running {
                break status;
            }
            tokio::task::yield_now().await;
        };
        let second = client::give(&Way::Dialled(address.to_string()), &wish, deadline()).await.unwrap();
        assert!(second > first, "{second} {first}");
        status
    });
    assert_eq!((status.state, status.reason.as_str()), (OrderState::Done, "Renewed"));
    for (request, want) in [
        (request("GET", "/v1/orders/7", OURS, ""), "OrderUnknown"),
        (
            request("POST", "/v1/renew", OURS, "{\"certificate\": \"moon\"}"),
            "node demo-0 has no certificate moon",
        ),
        (request("POST", "/v1/renew", OURS, "{\"what\": 1}"), "unknown field `what`"),
        (request("POST", "/v1/forget-old-trust", OURS, ""), "the order names no certificate"),
        (request("POST", "/v1/renew", "", ""), "NotFromABrowser"),
        (
            request("POST", "/v1/renew", "x-kraftlet: order\r\norigin: http://localhost\r\n", ""),
            "NotFromABrowser",
        ),
        (request("OPTIONS", "/v1/renew", "origin: http://example.com\r\n", ""), "NotFromABrowser"),
        (request("GET", "/v1/status", OURS, ""), "NotFound"),
    ] {
        let answer = raw(agent.orders, &request);
        assert!(answer.contains(want) && answer.starts_with("HTTP/1.1 4"), "want {want} in {answer}");
    }
}

#[test]
fn orders_that_nobody_has_time_for_are_refused() {
    run(async {
        let bind = async || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let listeners = Listeners { read: bind().await, orders: bind().await };
        let address = listeners.orders.local_addr().unwrap().to_string();
        let (_publish, snapshots) = watch::channel(Arc::new(healthy("demo-0")));
        let (sender, orders) = mpsc::channel(2);
        let asking = async {
            let give = async || {
                let wish = Wish::Renew { certificate: None };
                client::give(&Way::Dialled(address.to_string()), &wish, Instant::now() + PATIENCE).await
            };
            let number = give().await.unwrap();
            let waiting = client::status_of_order(
                &Way::Dialled(address.to_string()),
                number,
                Instant::now() + PATIENCE,
            )
            .await
            .unwrap();
            assert_eq!((waiting.state, waiting.reason.as_str()), (OrderState::Running, "Taken"));
            give().await.unwrap();
            let refused = give().await.unwrap_err();
            assert!(refused.to_string().ends_with("[TooManyOrders]") && refused.may_pass(), "{refused}");
            drop(orders);
            let refused = give().await.unwrap_err();
            assert!(refused.to_string().ends_with("[AgentStops]"), "{refused}");
        };
        tokio::select! {
            () = health_io::serve(listeners, serving(snapshots, sender), pending()) => {}
            () = asking => {}
        }
    });
}

#[test]
fn what_is_too_much_is_cut_off_and_the_next_is_answered() {
    let agent = Agent::alone(healthy("demo-0"));
    let long = "x".repeat(100_000);
    let many: String = (0..100).map(|n| format!("h{n}: x\r\n")).collect();
    for (bytes, want) in [
        (request("GET", &format!("/{long}"), "", ""), "HTTP/1.1 4"),
        (request("GET", "/livez", &format!("x: {long}\r\n"), ""), "HTTP/1.1 431"),
        (request("GET", "/livez", &many, ""), "HTTP/1.1 431"),
        (b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".repeat(50), "HTTP/1.1 400"),
        (b"\0".repeat(100_000), "HTTP/1.1 400"),
    ] {
        let answer = raw(agent.read, &bytes);
        assert!(answer.starts_with(want) || answer.is_empty(), "want {want}: {answer}");
        assert!(raw(agent.read, &request("GET", "/livez", "", "")).ends_with("ok\n"));
    }
    let order = request("POST", "/v1/renew", OURS, &format!("{{\"certificate\": \"{long}\"}}"));
    let answer = raw(agent.orders, &order);
    assert!(answer.contains("want at most 4096 bytes") || answer.is_empty(), "{answer}");
}

#[test]
fn connections_that_say_nothing_make_room_for_one_that_does() {
    let agent = Agent::alone(healthy("demo-0"));
    let silent: Vec<StdStream> = (0..100).map(|_| StdStream::connect(agent.read).unwrap()).collect();
    assert!(raw(agent.read, &request("GET", "/livez", "", "")).ends_with("ok\n"));
    drop(silent);
}

#[test]
fn an_agent_that_stops_does_not_wait_for_connections_that_are_kept() {
    let agent = Agent::alone(healthy("demo-0"));
    let mut kept = StdStream::connect(agent.read).unwrap();
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut begin = [0; 12];
    kept.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    let _silent = StdStream::connect(agent.orders).unwrap();
    let address = agent.read;
    drop(agent);
    assert!(StdStream::connect(address).is_err());
}

/// A server that reads a request, writes these bytes, and then keeps the connection or ends it.
fn answering(bytes: Vec<u8>, keeps: bool) -> SocketAddr {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&bytes);
        if keeps {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

#[test]
fn a_peer_can_say_what_it_likes() {
    let head = "HTTP/1.1 200 OK\r\n";
    let status = document::render(&healthy("demo-1"));
    for (bytes, keeps, want) in [
        (format!("{head}\r\n{status}").into_bytes(), false, None),
        (format!("{head}content-length: {}\r\n\r\n{status}", status.len()).into_bytes(), true, None),
        (format!("{head}\r\n").into_bytes(), false, Some("StatusUnreadable")),
        (format!("{head}\r\n{{}}").into_bytes(), false, Some("StatusUnreadable")),
        (format!("{head}content-length: 4\r\n\r\n{{}}").into_bytes(), false, Some("NotAnAgent")),
        (format!("{head}\r\n{}", " ".repeat(2 << 20)).into_bytes(), false, Some("NotAnAgent")),
        (format!("{head}x: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes(), false, Some("NotAnAgent")),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), false, Some("NotAnAgent")),
        (b"\x15\x03\x03\x00\x02\x02\x28".to_vec(), false, Some("NotAnAgent")),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n".to_vec(), false, Some("NotAnAgent")),
        (
            b"HTTP/1.1 503 No\r\n\r\n{\"reason\": \"A\", \"message\": \"b\\u001b[2J\"}".to_vec(),
            false,
            Some("AgentRefuses"),
        ),
        (vec![], false, Some("NotAnAgent")),
        (head.as_bytes().to_vec(), true, Some("AgentDoesNotAnswer")),
    ] {
        let patience = if want == Some("AgentDoesNotAnswer") { IMPATIENCE } else { PATIENCE };
        let shown = text(&bytes[..bytes.len().min(60)]);
        let address = answering(bytes, keeps).to_string();
        let got = run(client::status_of(&Way::Dialled(address.to_string()), Instant::now() + patience));
        assert_eq!(got.as_ref().err().map(AgentError::reason), want, "{shown:?}: {got:?}");
        if let Err(error) = got {
            assert!(!error.to_string().contains('\u{1b}'), "{error}");
        }
    }
    let nobody = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let error =
        run(client::status_of(&Way::Dialled(nobody.to_string()), Instant::now() + PATIENCE)).unwrap_err();
    assert_eq!((error.reason(), error.may_pass()), ("AgentUnreachable", true));
}

/// The nodes of one machine: settings, and an agent for each.
struct Fleet {
    folder: TempDir,
    agents: Vec<Agent>,
    taken: Taken,
}

impl Fleet {
    /// `net` is the third number of the nodes' addresses, another for each test.
    fn new(net: u8, snapshots: Vec<Snapshot>, script: Script) -> Self {
        let taken = Taken::default();
        let mut ports = (0, 0);
        let mut agents = Vec::new();
        let replicas = snapshots.len();
        for (ordinal, snapshot) in snapshots.into_iter().enumerate() {
            let ip = IpAddr::from([127, 83, net, u8::try_from(ordinal).unwrap() + 1]);
            let read = StdListener::bind((ip, ports.0)).unwrap();
            let orders = StdListener::bind((ip, ports.1)).unwrap();
            ports = (read.local_addr().unwrap().port(), orders.local_addr().unwrap().port());
            agents.push(Agent::start((read, orders), snapshot, &taken, script));
        }
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: demo\nclusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\n\
             kafkaVersion: 4.4.0\npools:\n- {{statefulSet: demo, roles: [broker, controller], replicas: {replicas}}}\n\
             host: \"127.83.{net}.{{ordinal+1}}\"\nbindHost: \"127.83.{net}.{{ordinal+1}}\"\n\
             agent: {{port: {}, ordersPort: {}}}\n",
            ports.0, ports.1
        );
        fs::write(folder.path().join("cluster.yaml"), settings).unwrap();
        Self { folder, agents, taken }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kraftlet"));
        let settings = self.folder.path().join("cluster.yaml");
        command.args(arguments).env_clear().env("KRAFTLET_SETTINGS", settings).env("POD_NAME", "demo-0");
        command.output().unwrap()
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

#[test]
fn status_ends_with_0_where_all_is_well() {
    let fleet = Fleet::new(1, vec![healthy("demo-0"), healthy("demo-1")], |_| OrderState::Done);
    let one = fleet.run(&["status"]);
    ends(&one, 0, &[]);
    let said = text(&one.stdout);
    for want in [
        "demo-0: healthy, restart pending, node 0, broker,controller, managed, agent 0.1.0\n\nquorum: Degraded since 2027-01-15T08:00:20Z, as demo-0 sees it: ",
        "\nleader 1, epoch 7, high watermark 4711, 3 voters, none may fail, seen ",
        "\n\nVOTER  STANDING  LAG  LAST FETCH\n0      CaughtUp  0    0s ago\n",
        "\n\nNODE    IN THE QUORUM  AS A BROKER  READY\ndemo-0  CaughtUp       Unfenced     yes\n",
        "\n\nNODE    CERTIFICATE  STATE    LEAF      NEXT RENEWAL",
        "demo-0  node         Serving  9f91161f  2027-01-15T08:01:20Z  Renewed ",
        "listener CLIENT  9f91161f",
        "inUseUntilRestart, restart needed by 2027-01-15T08:01:50Z\n",
        "demo-0  replica fetcher  -         -                     -     unknown\n",
        "\ndemo-0: restart pending for log.retention.hours\n",
    ] {
        assert!(said.contains(want), "want {want:?} in\n{said}");
    }
    assert!(!said.contains("demo-1") && !said.contains('\u{1b}'), "{said}");
    let all = fleet.run(&["status", "--all", "--output", "json"]);
    ends(&all, 0, &[]);
    let json: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    for (pointer, want) in [
        ("/nodes/0/agent", "demo-0"),
        ("/nodes/1/agent", "demo-1"),
        ("/nodes/1/verdict", "healthy"),
        ("/nodes/1/status/node/pod", "demo-1"),
    ] {
        assert_eq!(json.pointer(pointer).and_then(|value| value.as_str()), Some(want), "{json:#}");
    }
    assert_eq!(json.pointer("/nodes/1/ready"), Some(&true.into()), "{json:#}");
    assert_eq!(json.pointer("/nodes/1/status/quorum/leader"), Some(&1.into()), "{json:#}");
    assert_eq!(json.pointer("/disagreements"), Some(&serde_json::json!([])), "{json:#}");
}

#[test]
fn status_shows_one_quorum_and_who_sees_another() {
    let (mut elsewhere, mut behind) = (healthy("demo-1"), healthy("demo-2"));
    elsewhere.quorum.as_mut().unwrap().epoch = Some(6);
    elsewhere.node.node_id = 1.try_into().unwrap();
    behind.node.node_id = 2.try_into().unwrap();
    behind.member.as_mut().unwrap().standing = MemberStanding::Behind;
    let fleet = Fleet::new(8, vec![healthy("demo-0"), elsewhere, behind], |_| OrderState::Done);
    let all = fleet.run(&["status", "--all"]);
    ends(&all, 0, &[]);
    let said = text(&all.stdout);
    for want in [
        "\nnode 1 sees node 1 lead in epoch 6 with voters 0, 1, 2; nodes 0, 2 see node 1 lead in epoch 7 with voters 0, 1, 2\n",
        "\ndemo-1  CaughtUp       Unfenced     yes\n",
        "\ndemo-2  Behind         Unfenced     no: member: Behind: ",
    ] {
        assert!(said.contains(want), "want {want:?} in\n{said}");
    }
    assert_eq!(said.matches("VOTER  STANDING").count(), 1, "{said}");
    let json = fleet.run(&["status", "--all", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.pointer("/nodes/2/ready"), Some(&false.into()), "{json:#}");
    assert_eq!(json["disagreements"].as_array().map(Vec::len), Some(1), "{json:#}");
}

#[test]
fn status_ends_with_1_where_something_hurts_and_2_where_it_cannot_tell() {
    let fixture = document::parse(include_bytes!("../fixtures/status.json")).unwrap();
    let mut warned = healthy("demo-0");
    warned.conditions = fixture.conditions;
    warned.conditions[0].matters_at = SystemTime::now() + Duration::from_secs(3600);
    let mut hurt = warned.clone();
    hurt.node.pod = Text::new("demo-1");
    hurt.conditions[0].matters_at = SystemTime::now();
    let mut expired = healthy("demo-2");
    expired.channels[0].leaf.as_mut().unwrap().not_after = Some(SystemTime::UNIX_EPOCH);
    let mut fleet = Fleet::new(2, vec![warned, hurt, expired, healthy("demo-3")], |_| OrderState::Done);

    let one = fleet.run(&["status"]);
    ends(&one, 0, &[]);
    let said = text(&one.stdout);
    for want in [
        "demo-0: healthy, and will not stay so",
        "demo-0: RestartNeeded, matters at ",
        "  try: kubectl rollout restart",
    ] {
        assert!(said.contains(want), "want {want:?} in\n{said}");
    }
    let all = [
        "demo-1 is not healthy: RestartNeeded [NotHealthy]",
        "demo-2 is not healthy: listener CLIENT uses an expired leaf",
    ];
    ends(&fleet.run(&["status", "--all"]), 1, &all);

    fleet.agents.truncate(3);
    let down = [
        "demo-3: no agent is there, or it cannot be reached: nobody listens at 127.83.2.4:",
        "[AgentUnreachable]",
    ];
    ends(&fleet.run(&["status", "--all"]), 1, &[&down[..], &all[..]].concat());
    ends(&fleet.run(&["status", "--pod-name", "demo-3"]), 2, &down);
    let json = fleet.run(&["status", "--pod-name", "demo-3", "--output", "json"]);
    ends(&json, 2, &[]);
    assert!(text(&json.stdout).contains("\"verdict\": \"unknown\""), "{}", text(&json.stdout));
    let address = fleet.agents[0].read.to_string();
    ends(&fleet.run(&["status", "--settings", "/nowhere", "--address", &address]), 0, &[]);
    ends(&fleet.run(&["status", "--settings", "/nowhere"]), 64, &["[FileUnreadable]"]);
    ends(&fleet.run(&["status", "--address", "moon"]), 2, &["\"moon\" is no address; want host:port"]);
}

#[test]
fn renew_asks_one_node_after_the_other_and_none_after_one_that_failed() {
    let nodes = || ["demo-0", "demo-1", "demo-2"].map(healthy).to_vec();
    let fleet = Fleet::new(3, nodes(), |_| OrderState::Done);
    let all = fleet.run(&["renew", "--all"]);
    ends(&all, 0, &[]);
    assert_eq!(fleet.taken(), ["demo-0 renew", "demo-1 renew", "demo-2 renew"]);
    let want = "demo-2: Renewed: leaf 9f91161f is served by every listener\n";
    assert!(text(&all.stdout).ends_with(want), "{}", text(&all.stdout));
    ends(&fleet.run(&["renew", "--wait", "--certificate", "node"]), 0, &[]);
    ends(&fleet.run(&["forget-old-trust", "--certificate", "node", "--pod-name", "demo-1"]), 0, &[]);
    assert_eq!(fleet.taken()[3..], ["demo-0 renew node", "demo-1 forget node"]);
    ends(
        &fleet.run(&["renew", "--certificate", "moon"]),
        2,
        &["node demo-0 has no certificate moon [CertificateUnknown]"],
    );

    let script = |pod: &str| if pod == "demo-1" { OrderState::Failed } else { OrderState::Done };
    let fleet = Fleet::new(4, nodes(), script);
    let failed = fleet.run(&["renew", "--all"]);
    ends(&failed, 1, &["demo-1: the source does not answer (SourceUnreachable) [OrderFailed]"]);
    assert!(text(&failed.stdout).ends_with("not asked: demo-2\n"), "{}", text(&failed.stdout));
    assert_eq!(fleet.taken(), ["demo-0 renew", "demo-1 renew"]);
}

#[test]
fn renew_says_how_it_ended_by_its_exit_code() {
    let fleet = Fleet::new(5, vec![healthy("demo-0")], |_| OrderState::Refused);
    ends(
        &fleet.run(&["renew", "--wait"]),
        2,
        &["demo-0: the key is of another leaf (KeyMismatch) [OrderFailed]"],
    );
    let taken = fleet.run(&["renew"]);
    ends(&taken, 0, &[]);
    assert!(
        text(&taken.stdout).starts_with("demo-0: taken as order 1800000000001"),
        "{}",
        text(&taken.stdout)
    );

    let fleet = Fleet::new(6, vec![healthy("demo-0")], |_| OrderState::Running);
    let want = "demo-0: not done in 1 s: listener CLIENT still presents leaf 5f3a91c2 (Verifying) [OrderNotDoneInTime]";
    ends(&fleet.run(&["renew", "--wait", "--timeout", "1s"]), 1, &[want]);
    ends(&fleet.run(&["renew", "--timeout", "soon"]), 64, &["want a time such as 90s or 2m"]);
    ends(&fleet.run(&["forget-old-trust"]), 64, &["--certificate <NAME>"]);
}

#[test]
fn nodes_that_take_orders_on_one_address_are_not_ordered_from_elsewhere() {
    let fleet = Fleet::new(7, vec![healthy("demo-0"), healthy("demo-1")], |_| OrderState::Done);
    let settings = fleet.folder.path().join("cluster.yaml");
    let without = fs::read_to_string(&settings).unwrap();
    let without: String = without
        .lines()
        .filter(|line| !line.starts_with("bindHost"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&settings, without).unwrap();
    let want = ["demo-0 and demo-1 both take orders at 127.0.0.1:", "[OrdersOutOfReach]"];
    ends(&fleet.run(&["renew", "--all"]), 64, &want);
    assert_eq!(fleet.taken(), [""; 0]);
    let address = fleet.agents[1].orders.to_string();
    ends(&fleet.run(&["renew", "--wait", "--address", &address]), 0, &[]);
    assert_eq!(fleet.taken(), ["demo-1 renew"]);
}
