//! The webhook over real sockets on loopback: what it takes, and what it does not make anything of.
#![allow(clippy::unwrap_used, reason = "a test stops loudly")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request;
use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use kraftlet::health::connections::io as connections;
use kraftlet::health::connections::io::Port;
use kraftlet::inject::io::Webhook;
use kraftlet::inject::ours::Means;
use kraftlet::kubernetes::io::Api;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What the webhook says to a request with this body, and this length if it is another than the body's.
async fn ask(port: u16, body: &[u8], length: Option<usize>) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let length = length.unwrap_or(body.len());
    let head =
        format!("POST /admit HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A review of a pod that asks for the sidecar alone, with `more` in it.
fn review(more: &Value) -> Vec<u8> {
    let annotations = json!({
        "kraftlet.dev/inject": "true", "kraftlet.dev/mode": "attach",
        "kraftlet.dev/server-properties": "/opt/kafka/config/kafka.properties"
    });
    let object = json!({
        "metadata": {"annotations": annotations, "more": more},
        "spec": {"containers": [{"name": "kafka", "image": "apache/kafka:4.4.0"}]}
    });
    let request = json!({"uid": "u", "resource": {"resource": "pods"}, "namespace": "n", "object": object});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    review.to_string().into_bytes()
}

/// Serves a webhook that asks `api`, until the second is dropped.
async fn serve(api: Api) -> (u16, watch::Sender<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap().port();
    let means = Means { image: "kraftlet:test".to_owned(), signer_ca: None };
    let webhook = Arc::new(Webhook::new(api, means));
    let answer = move |request| {
        let webhook = Arc::clone(&webhook);
        async move { webhook.answer(request).await }
    };
    let (end, ended) = watch::channel(());
    tokio::spawn(connections::accept(Port::plain(listener, Duration::from_secs(10)), answer, ended));
    (at, end)
}

#[tokio::test]
async fn settings_are_asked_for_four_at_a_time_and_once_for_all_who_wait() {
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)));
    let counted = Arc::clone(&counts);
    let service = tower::service_fn(move |_: Request<kube::client::Body>| {
        let counts = Arc::clone(&counted);
        async move {
            let (now, most, all) = (&counts.0, &counts.1, &counts.2);
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            all.fetch_add(1, Ordering::Relaxed);
            for _ in 0..2000 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::Relaxed);
            let body = Full::new(Bytes::from_static(b"{\"kind\": \"Status\", \"code\": 404}"));
            Ok::<_, std::convert::Infallible>(Response::builder().status(404).body(body).unwrap())
        }
    });
    let api = Api::over(kube::Client::new(service, "kraftlet-system"), "kraftlet-system");
    let (at, _end) = serve(api).await;
    let mut asking = tokio::task::JoinSet::new();
    for index in 0..30 {
        let annotations =
            json!({"kraftlet.dev/inject": "true", "kraftlet.dev/cluster": format!("c{}", index % 10)});
        let object = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        let request =
            json!({"uid": "u", "resource": {"resource": "statefulsets"}, "namespace": "n", "object": object});
        let review = json!({"apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
        asking.spawn(async move { ask(at, review.as_bytes(), None).await });
    }
    while let Some(said) = asking.join_next().await {
        let (code, said) = said.unwrap();
        assert!(code == 200 && said.contains("there is no ConfigMap c"), "{said}");
    }
    let (most, all) = (counts.1.load(Ordering::Relaxed), counts.2.load(Ordering::Relaxed));
    assert!(most <= 4, "{most} at a time");
    assert!(all < 30, "{all} in all");
}

#[tokio::test]
async fn bytes_that_would_take_too_much_are_refused_before_anything_is_made_of_them() {
    let (at, _end) = serve(Api::at("127.0.0.1", "1", Path::new("/nowhere"), "kraftlet-system")).await;
    let refused = |(code, said): (u16, String), want: &str| {
        assert_eq!((code, said.as_str()), (400, want));
    };
    refused(
        ask(at, b"", Some(100_000_000)).await,
        "the review has more than 3145728 bytes, so it is about no object that etcd would keep\n",
    );
    let bomb = review(&json!(vec![json!({"": 0}); 20_000]));
    assert!(bomb.len() < 200_000);
    let (code, said) = ask(at, &bomb, None).await;
    assert!(code == 400 && said.ends_with("bytes in memory; 12582912 are given to one\n"), "{code} {said}");
    let (code, said) = ask(at, &b"[".repeat(1_000_000), None).await;
    assert!(code == 400 && said.starts_with("the review would take 193000000 bytes"), "{code} {said}");
    refused(
        ask(at, b"{}", None).await,
        "this is no AdmissionReview: missing field `request` at line 1 column 2\n",
    );
    // What is large and plain is taken, again and again: no room is lost.
    let large = review(&json!("{[,".repeat(600_000)));
    for _ in 0..20 {
        let (code, said) = ask(at, &large, None).await;
        assert!(code == 200 && said.contains("\"allowed\":true"), "{code} {said}");
    }
}
