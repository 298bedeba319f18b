//! Certificates in a second of the signer's CPU: a token's way, with the questions to the API server answered from memory.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::Request;
use hyper::body::Bytes;
use kraftlet::pki::csr;
use kraftlet::pki::io::generate;
use kraftlet::pki::key_kind::KeyAlgorithm;
use kraftlet::signer::election::io::Leading;
use kraftlet::signer::io::Callers;
use kraftlet::signer::io::Limits;
use kraftlet::signer::io::Office;
use kraftlet::signer::limit::Limit;
use kraftlet::signer::limit::Rate;
use kraftlet::signer::lookup::io::Lookup;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;

use crate::served;
use crate::served::Problem;
use crate::served::Served;

/// A cluster whose leaves come from the signer.
pub(crate) const SETTINGS: &str = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: events\n\
    clusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\nkafkaVersion: 4.4.0\n\
    pools:\n- {statefulSet: kafka, roles: [broker, controller], replicas: 3}\n\
    certificates:\n  node: {source: {signer: {}}}\n";

/// As many connections as are kept at once.
const CONNECTIONS: usize = 8;

/// Connections are closed after a minute; each asks for fewer than it could in that time.
const PER_CONNECTION: usize = 1000;

/// The API server's answers.
fn answer(path: &str) -> (u16, Value) {
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
                "status": {"phase": "Pending", "podIP": "127.0.0.1"},
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

/// Serves as the signer does that leads.
pub(crate) async fn serve() -> Result<(), Problem> {
    let api = served::api(answer);
    let authorities = served::authorities(&api)?;
    let rate = || Rate { burst: 1 << 30, every: Duration::from_nanos(1) };
    let limits = Limits { all: Limit::new(rate(), 16), pod: Limit::new(rate(), 16), ..Limits::default() };
    let (words, mut told) = mpsc::channel(16);
    tokio::spawn(async move { while told.recv().await.is_some() {} });
    let lookup = Lookup::new(api);
    let name = served::SIGNER_NAME;
    let office = Office::new(
        lookup,
        Arc::clone(&authorities),
        Leading::always(),
        limits,
        Callers::AtHome,
        words,
        name,
    );
    let office = Arc::new(office);
    let answer = move |request| kraftlet::commands::signer::server::answer(Arc::clone(&office), request);
    served::serve(&authorities, answer).await
}

/// Asks for so many certificates in each way, and prints what a second of CPU gave.
pub(crate) async fn measure(count: usize) -> Result<(), Problem> {
    let signer = Arc::new(Served::begin("signer")?);
    let csr = Bytes::from(csr::bare(&generate(KeyAlgorithm::EcdsaP256)?)?);
    load(&signer, &csr, CONNECTIONS * 20, 10).await?;
    let idle = signer.memory("VmRSS")?;
    for (way, per_connection) in [("kept connections", PER_CONNECTION), ("a handshake for each", 1)] {
        let (cpu, begun) = (signer.cpu()?, Instant::now());
        load(&signer, &csr, count, per_connection).await?;
        let (cpu, wall) = (signer.cpu()?.saturating_sub(cpu), begun.elapsed());
        let made = (count / CONNECTIONS * CONNECTIONS) as f64;
        println!(
            "certificates, {way:<21} {:6.0} per CPU second   ({:.2} s CPU, {:.2} s wall)",
            made / cpu.as_secs_f64().max(0.001),
            cpu.as_secs_f64(),
            wall.as_secs_f64()
        );
    }
    let most = signer.memory("VmHWM")?;
    println!("the signer's memory                 {idle:6} kB after a few, {most} kB at most");
    Ok(())
}

/// Asks so many times, with so many certificates for each connection.
async fn load(signer: &Arc<Served>, csr: &Bytes, count: usize, per_connection: usize) -> Result<(), Problem> {
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let (signer, csr) = (Arc::clone(signer), csr.clone());
        workers.push(tokio::spawn(async move {
            let mut left = count / CONNECTIONS;
            while left > 0 {
                let mut connection = signer.connect().await?;
                for _ in 0..per_connection.min(left) {
                    let request = Request::post("/v1/sign?certificate=node")
                        .header("host", "localhost")
                        .header("authorization", "Bearer token");
                    served::ask(&mut connection, request, csr.clone()).await?;
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
