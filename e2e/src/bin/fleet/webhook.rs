//! Reviews in a second of the webhook's CPU, and how long each takes when 300 come in a second.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::request;
use hyper::body::Bytes;
use kraftlet::inject::io::REVIEWS;
use kraftlet::inject::io::Webhook;
use kraftlet::inject::ours::Means;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::served;
use crate::served::Problem;
use crate::served::Served;
use crate::signer::SETTINGS;

/// API servers keep a few connections.
const CONNECTIONS: usize = 4;

/// A whole fleet that starts at once.
const REVIEWS_PER_SECOND: u32 = 300;

/// The size of the pod's JSON: a Kafka with its owner's variables, as the API server sends it.
const POD_BYTES: usize = 7 * 1024;

/// Serves as the webhook does, with settings from memory.
pub(crate) async fn serve() -> Result<(), Problem> {
    let api = served::api(answer);
    let means = Means { image: "kraftlet:0.1.0".to_owned(), signer_ca: Some(SIGNER_CA.to_owned()) };
    let webhook = Arc::new(Webhook::new(api.clone(), means));
    let answer = move |request| {
        let webhook = Arc::clone(&webhook);
        async move { webhook.answer(request).await }
    };
    let authorities = served::authorities(&api)?;
    served::serve(&authorities, answer).await
}

/// What a pod is given has the size of a certificate.
const SIGNER_CA: &str = concat!(
    "-----BEGIN CERTIFICATE-----\n",
    "MIIBfTCCASOgAwIBAgIUIR4cnw0CAQEwCgYIKoZIzj0EAwIwGzEZMBcGA1UEAwwQa3JhZnRsZXQgdGVzdCBD\n",
    "MIIBfTCCASOgAwIBAgIUIR4cnw0CAQEwCgYIKoZIzj0EAwIwGzEZMBcGA1UEAwwQa3JhZnRsZXQgdGVzdCBD\n",
    "-----END CERTIFICATE-----\n"
);

/// The API server's answers.
fn answer(path: &str) -> (u16, Value) {
    match path.split('?').next() {
        Some(path) if path.ends_with("/configmaps/events") => {
            (200, json!({"metadata": {"name": "events"}, "data": {"cluster.yaml": SETTINGS}}))
        }
        _ => (404, json!({"kind": "Status", "code": 404})),
    }
}

/// Asks as fast as it can, then so often for so many seconds, and prints what that took.
pub(crate) async fn measure(count: usize, seconds: u32) -> Result<(), Problem> {
    let webhook = Arc::new(Served::begin("webhook")?);
    let review = Bytes::from(review().to_string());
    flood(&webhook, &review, CONNECTIONS * 50).await?;
    let cpu = webhook.cpu()?;
    flood(&webhook, &review, count).await?;
    let cpu = webhook.cpu()?.saturating_sub(cpu);
    let answered = (count / CONNECTIONS * CONNECTIONS) as f64;
    let rate = answered / cpu.as_secs_f64().max(0.001);
    println!(
        "reviews of a pod of {POD_BYTES} bytes         {rate:6.0} per CPU second   ({:.2} s CPU)",
        cpu.as_secs_f64()
    );
    let mut took = paced(&webhook, &review, seconds).await?;
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "at {REVIEWS_PER_SECOND} reviews a second           {:6.2} ms p50, {:.2} ms p99, {:.2} ms at most ({} reviews)",
        ms(at(50)),
        ms(at(99)),
        ms(took.last().copied().unwrap_or_default()),
        took.len()
    );
    println!("the webhook's memory                {:6} kB at most", webhook.memory("VmHWM")?);
    Ok(())
}

/// A pod of a StatefulSet with the defaults that the API server has put in.
fn review() -> Value {
    let mut pod = json!({
        "metadata": {
            "name": "kafka-0", "generateName": "kafka-", "namespace": "prod",
            "labels": {"app": "kafka", "statefulset.kubernetes.io/pod-name": "kafka-0", "apps.kubernetes.io/pod-index": "0"},
            "annotations": {"kraftlet.dev/inject": "true", "kraftlet.dev/cluster": "events"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "kafka", "uid": "s-1", "controller": true}]
        },
        "spec": {
            "containers": [{
                "name": "kafka", "image": "apache/kafka:4.4.0", "imagePullPolicy": "IfNotPresent", "env": [],
                "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "data", "mountPath": "/var/lib/kafka/data"},
                    {"name": "kube-api-access", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
                ]
            }],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-kafka-0"}},
                {"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
                ]}}
            ],
            "hostname": "kafka-0", "subdomain": "events", "serviceAccountName": "kafka", "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "enableServiceLinks": true,
            "schedulerName": "default-scheduler", "preemptionPolicy": "PreemptLowerPriority",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
        }
    });
    // An owner's own variables, which are not Kafka's properties.
    for number in 0.. {
        if pod.to_string().len() >= POD_BYTES {
            break;
        }
        if let Some(env) = pod.pointer_mut("/spec/containers/0/env").and_then(Value::as_array_mut) {
            env.push(json!({"name": format!("OWNER_VARIABLE_{number}"), "value": "some words that somebody wrote there"}));
        }
    }
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "prod",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "system:serviceaccount:kube-system:statefulset-controller"},
            "object": pod, "oldObject": null, "dryRun": false
        }
    })
}

fn request() -> request::Builder {
    Request::post(REVIEWS).header("host", "localhost").header("content-type", "application/json")
}

/// A patch has to come back.
fn is_patched(answer: &[u8]) -> Result<(), Problem> {
    let answer: Value = serde_json::from_slice(answer)?;
    match answer.pointer("/response/patch") {
        Some(_) => Ok(()),
        None => Err(format!("no patch in {answer}").into()),
    }
}

async fn flood(webhook: &Arc<Served>, review: &Bytes, count: usize) -> Result<(), Problem> {
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let (webhook, review) = (Arc::clone(webhook), review.clone());
        workers.push(tokio::spawn(async move {
            let mut connection = webhook.connect().await?;
            let mut last = Bytes::new();
            for _ in 0..count / CONNECTIONS {
                last = served::ask(&mut connection, request(), review.clone()).await?;
            }
            is_patched(&last)
        }));
    }
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

/// Each review has its instant.
async fn paced(webhook: &Arc<Served>, review: &Bytes, seconds: u32) -> Result<Vec<Duration>, Problem> {
    let between = Duration::from_secs(1) / REVIEWS_PER_SECOND;
    let begin = Instant::now() + Duration::from_millis(100);
    let mut workers = Vec::new();
    for worker in 0..CONNECTIONS {
        let (webhook, review) = (Arc::clone(webhook), review.clone());
        workers.push(tokio::spawn(async move {
            let mut connection = webhook.connect().await?;
            let mut took = Vec::new();
            for number in (worker as u32..REVIEWS_PER_SECOND * seconds).step_by(CONNECTIONS) {
                let due = begin + between * number;
                // Who was kept busy by the one before counts from when he should have begun; a timer's millisecond is not
                // the webhook's.
                let is_late = Instant::now() > due;
                sleep_until(due).await;
                let begun = if is_late { due } else { Instant::now() };
                served::ask(&mut connection, request(), review.clone()).await?;
                took.push(begun.elapsed());
            }
            Ok::<_, Problem>(took)
        }));
    }
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await??);
    }
    Ok(all)
}
