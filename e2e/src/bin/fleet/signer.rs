//! How many certificates the signer makes in a second of CPU, and how much memory it needs.
//!
//! The signer runs in a process of its own, with all of its code: TLS, HTTP, the questions to the API server and what it
//! makes of the answers. Only the API server is not there: its answers come from memory. So what is counted is ours.
//!
//!     signer [CERTIFICATES]      e.g. 20000; prints one line for each way of asking

use std::io::BufRead;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use http::Method;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use kraftlet::health::connections::io as connections;
use kraftlet::health::connections::io::Port;
use kraftlet::kubernetes::io::Api;
use kraftlet::pki::csr;
use kraftlet::pki::io::crypto_provider;
use kraftlet::pki::io::generate;
use kraftlet::pki::key_kind::KeyAlgorithm;
use kraftlet::pki::renew_point::RenewPoint;
use kraftlet::signer::authorities::io::Authorities;
use kraftlet::signer::authorities::io::May;
use kraftlet::signer::election::io::Leading;
use kraftlet::signer::io::Limits;
use kraftlet::signer::io::Office;
use kraftlet::signer::limit::Limit;
use kraftlet::signer::limit::Rate;
use kraftlet::signer::lookup::io::Lookup;
use kraftlet::signer::serving::io as serving;
use kraftlet::signer::stages::Timetable;
use kube::Client;
use kube::client::Body;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

const SETTINGS: &str = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: events\n\
    clusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\nkafkaVersion: 4.4.0\n\
    pools:\n- {statefulSet: kafka, roles: [broker, controller], replicas: 3}\n\
    certificates:\n  node: {source: {signer: {}}}\n";

/// As many connections as are kept at once.
const CONNECTIONS: usize = 8;

/// Connections are closed after a minute; each asks for fewer than it could in that time.
const PER_CONNECTION: usize = 1000;

/// What goes wrong here goes wrong at once and is told.
type Problem = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "20000".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Problem::from).and_then(|runtime| match argument.as_str() {
        "serve" => runtime.block_on(serve()),
        count => runtime.block_on(measure(count.parse()?)),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(1)
        }
    }
}

/// The API server's answers.
fn answer(
    secrets: &Mutex<std::collections::BTreeMap<String, Value>>,
    method: &Method,
    path: &str,
    body: &[u8],
) -> (u16, Value) {
    if path.ends_with("/tokenreviews") {
        return (
            201,
            json!({"status": {"authenticated": true, "audiences": ["kraftlet-signer"], "user": {
            "username": "system:serviceaccount:prod:kafka", "uid": "a-1", "groups": ["system:serviceaccounts"],
            "extra": {
                "authentication.kubernetes.io/pod-name": ["kafka-0"],
                "authentication.kubernetes.io/pod-uid": ["u-0"],
                "authentication.kubernetes.io/node-name": ["machine-1"],
            }}}}),
        );
    }
    if path.contains("/secrets") {
        let Ok(mut secrets) = secrets.lock() else { return (500, json!({})) };
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let name =
            sent["metadata"]["name"].as_str().or(path.rsplit('/').next()).unwrap_or_default().to_owned();
        if *method != Method::GET {
            secrets.insert(name.clone(), sent);
        }
        return secrets.get(&name).map_or((404, json!({})), |found| (200, found.clone()));
    }
    let file = path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    match file {
        "kafka-0" => (
            200,
            json!({
                "metadata": {
                    "name": "kafka-0", "namespace": "prod", "uid": "u-0",
                    "annotations": {"kraftlet.dev/inject": "true", "kraftlet.dev/cluster": "settings"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "kafka", "uid": "s-1", "controller": true}],
                },
                "spec": {"nodeName": "machine-1", "serviceAccountName": "kafka", "containers": [{"name": "kafka", "image": "apache/kafka:4.4.0"}]},
                "status": {"phase": "Pending", "podIP": "10.1.2.3"},
            }),
        ),
        "kafka" => (200, json!({"metadata": {"name": "kafka", "uid": "s-1"}})),
        "settings" => (
            200,
            json!({"metadata": {"uid": "c-1", "resourceVersion": "1"}, "data": {"cluster.yaml": SETTINGS}}),
        ),
        _ => (200, json!({})),
    }
}

async fn serve() -> Result<(), Problem> {
    let secrets = Arc::new(Mutex::new(std::collections::BTreeMap::new()));
    let service = tower::service_fn(move |request: Request<Body>| {
        let secrets = Arc::clone(&secrets);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let (code, told) = answer(&secrets, &head.method, &head.uri.to_string(), &body);
            let bytes = Bytes::from(serde_json::to_vec(&told)?);
            Ok::<_, Problem>(Response::builder().status(code).body(Full::new(bytes))?)
        }
    });
    let api = Api::over(Client::new(service, "system"), "system");
    let day = Duration::from_secs(86400);
    let renew_point = RenewPoint::from_percent(80)?;
    let timetable = Timetable { lifetime: 3650 * day, renew_point, trusted_first: day };
    let authorities = Arc::new(Authorities::new(api.clone(), "kraftlet.dev/kafka-node", timetable));
    let first = serving::leaf(&authorities, "localhost", "system", May::Make).await?;
    let rate = || Rate { burst: 1 << 30, every: Duration::from_nanos(1) };
    let limits = Limits { all: Limit::new(rate(), 16), pod: Limit::new(rate(), 16) };
    let (words, mut told) = mpsc::channel(16);
    tokio::spawn(async move { while told.recv().await.is_some() {} });
    let lookup = Lookup::new(api);
    let office =
        Office::new(lookup, authorities, Leading::always(), limits, words, "kraftlet.dev/kafka-node");
    let office = Arc::new(office);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    print!("{}", kraftlet::pki::stores::certificate_pem(&first.anchor));
    println!();
    let (_end, ended) = watch::channel(());
    let (_served, serves) = watch::channel(first.config);
    let port = Port { listener, longest_answer: day, most_connections: 128, tls: Some(serves) };
    let answer = move |request| kraftlet::commands::signer::server::answer(Arc::clone(&office), request);
    connections::accept(port, answer, ended).await;
    Ok(())
}

/// A signer, and how it is asked.
struct Signer {
    process: Child,
    address: SocketAddr,
    tls: TlsConnector,
    csr: Bytes,
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Signer {
    fn begin() -> Result<Self, Problem> {
        let mut process =
            Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let port: u16 = lines.next().ok_or("no port")??.parse()?;
        let mut pem = String::new();
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            pem.push_str(&line);
            pem.push('\n');
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
        let config = ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let csr = Bytes::from(csr::bare(&generate(KeyAlgorithm::EcdsaP256)?)?);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { process, address, tls: TlsConnector::from(Arc::new(config)), csr })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Problem> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn ask(&self, sender: &mut SendRequest<Full<Bytes>>) -> Result<(), Problem> {
        let request = Request::post("/v1/sign?certificate=node")
            .header("host", "localhost")
            .header("authorization", "Bearer token")
            .body(Full::new(self.csr.clone()))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != 200 {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(())
    }

    /// Asks so many times, with so many certificates for each connection.
    async fn load(self: &Arc<Self>, count: usize, per_connection: usize) -> Result<(), Problem> {
        let mut workers = Vec::new();
        for _ in 0..CONNECTIONS {
            let signer = Arc::clone(self);
            workers.push(tokio::spawn(async move {
                let mut left = count / CONNECTIONS;
                while left > 0 {
                    let mut sender = signer.connect().await?;
                    for _ in 0..per_connection.min(left) {
                        signer.ask(&mut sender).await?;
                    }
                    left -= per_connection.min(left);
                }
                Ok::<_, Problem>(())
            }));
        }
        for worker in workers {
            worker.await??;
        }
        Ok(())
    }

    /// CPU time that it has had, from the kernel's ticks of 10 ms.
    fn cpu(&self) -> Result<Duration, Problem> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|one| one.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// A line of its status, in kB.
    fn memory(&self, line: &str) -> Result<u64, Problem> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let found = status.lines().find_map(|one| one.strip_prefix(line)).unwrap_or_default();
        Ok(found.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
    }
}

async fn measure(count: usize) -> Result<(), Problem> {
    let signer = Arc::new(Signer::begin()?);
    signer.load(CONNECTIONS * 20, 10).await?;
    let idle = signer.memory("VmRSS")?;
    for (way, per_connection) in [("kept connections", PER_CONNECTION), ("a handshake for each", 1)] {
        let (cpu, begun) = (signer.cpu()?, Instant::now());
        signer.load(count, per_connection).await?;
        let (cpu, wall) = (signer.cpu()?.saturating_sub(cpu), begun.elapsed());
        let made = (count / CONNECTIONS * CONNECTIONS) as f64;
        println!(
            "{way}: {:.0} certificates per CPU second ({:.2} s CPU, {:.2} s wall)",
            made / cpu.as_secs_f64().max(0.001),
            cpu.as_secs_f64(),
            wall.as_secs_f64()
        );
    }
    println!("memory: {idle} kB after a few, {} kB at most", signer.memory("VmHWM")?);
    Ok(())
}
