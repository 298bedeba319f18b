//! A part of the fleet in a process of its own, with its TLS and HTTP, and an API server that answers from memory.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use http::Request;
use http::Response;
use http::request;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use kraftlet::health::connections::io as connections;
use kraftlet::health::connections::io::Answer;
use kraftlet::health::connections::io::Port;
use kraftlet::kubernetes::io::Api;
use kraftlet::pki::io::crypto_provider;
use kraftlet::pki::renew_point::RenewPoint;
use kraftlet::pki::stores::certificate_pem;
use kraftlet::signer::authorities::io::Authorities;
use kraftlet::signer::authorities::io::May;
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

/// What goes wrong here goes wrong at once and is told.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The signer's name in Kubernetes.
pub(crate) const SIGNER_NAME: &str = "kraftlet.dev/kafka-node";

const DAY: Duration = Duration::from_secs(86400);

/// An API server that keeps Secrets, and answers the rest from memory: a path with its query to status and object.
pub(crate) fn api(answer: fn(&str) -> (u16, Value)) -> Api {
    let secrets = Arc::new(Mutex::new(BTreeMap::new()));
    let service = tower::service_fn(move |request: Request<Body>| {
        let secrets = Arc::clone(&secrets);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let path = head.uri.to_string();
            let (code, told) = match path.contains("/secrets") {
                true => kept(&secrets, &head.method, &path, &body),
                false => answer(&path),
            };
            let bytes = Bytes::from(serde_json::to_vec(&told)?);
            Ok::<_, Problem>(Response::builder().status(code).body(Full::new(bytes))?)
        }
    });
    Api::over(Client::new(service, "system"), "system")
}

fn kept(secrets: &Mutex<BTreeMap<String, Value>>, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
    let Ok(mut secrets) = secrets.lock() else { return (500, json!({})) };
    if *method == Method::GET && path.ends_with("/secrets") {
        return (200, json!({"items": secrets.values().collect::<Vec<_>>()}));
    }
    let sent: Value = serde_json::from_slice(body).unwrap_or_default();
    let named = sent["metadata"]["name"].as_str().or(path.rsplit('/').next());
    let name = named.unwrap_or_default().to_owned();
    if *method != Method::GET {
        secrets.insert(name.clone(), sent);
    }
    secrets.get(&name).map_or((404, json!({})), |found| (200, found.clone()))
}

/// The CAs that are kept in such an API server.
pub(crate) fn authorities(api: &Api) -> Result<Arc<Authorities>, Problem> {
    let renew_point = RenewPoint::from_percent(80)?;
    let timetable = Timetable { lifetime: 3650 * DAY, renew_point, trusted_first: DAY };
    // Nobody hears of its stages.
    let (words, _) = mpsc::channel(1);
    Ok(Arc::new(Authorities::new(api.clone(), SIGNER_NAME, timetable, words)))
}

/// Serves with a certificate of these authorities. Prints the port and whom to trust, for [`Served::begin`].
pub(crate) async fn serve<A, F>(authorities: &Authorities, answer: A) -> Result<(), Problem>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let leaf = serving::leaf(authorities, "localhost", "system", May::Make).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    println!("{}", certificate_pem(&leaf.anchor));
    let (_end, ended) = watch::channel(());
    let (_served, serves) = watch::channel(leaf.config);
    let port = Port { listener, longest_answer: DAY, most_connections: 128, tls: Some(serves) };
    connections::accept(port, answer, ended).await;
    Ok(())
}

/// Such a process.
pub(crate) struct Served {
    process: Child,
    address: SocketAddr,
    tls: TlsConnector,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Served {
    /// Starts this program again, to serve as `part`.
    pub(crate) fn begin(part: &str) -> Result<Self, Problem> {
        let program = std::env::current_exe()?;
        let mut process = Command::new(program).args(["serve", part]).stdout(Stdio::piped()).spawn()?;
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
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { process, address, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// A connection with a handshake of its own.
    pub(crate) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Problem> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// CPU time that it has had, from the kernel's ticks of 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration, Problem> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|one| one.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// A line of its status, in kB.
    pub(crate) fn memory(&self, line: &str) -> Result<u64, Problem> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let found = status.lines().find_map(|one| one.strip_prefix(line)).unwrap_or_default();
        Ok(found.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
    }
}

/// Asks, and gives the body of a good answer.
pub(crate) async fn ask(
    connection: &mut SendRequest<Full<Bytes>>,
    request: request::Builder,
    body: Bytes,
) -> Result<Bytes, Problem> {
    let answer = connection.send_request(request.body(Full::new(body))?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status != 200 {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(body)
}
