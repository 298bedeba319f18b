//! The webhook over real sockets on loopback: what it takes, and what it does not make anything of.
#![allow(clippy::unwrap_used, reason = "a test stops loudly")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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

#[tokio::test]
async fn bytes_that_would_take_too_much_are_refused_before_anything_is_made_of_them() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap().port();
    let means = Means { image: "kraftlet:test".to_owned(), signer_ca: None };
    let api = Api::at("127.0.0.1", "1", Path::new("/nowhere"), "kraftlet-system");
    let webhook = Arc::new(Webhook::new(api, means));
    let answer = move |request| {
        let webhook = Arc::clone(&webhook);
        async move { webhook.answer(request).await }
    };
    let (_end, ended) = watch::channel(());
    let port = Port::plain(listener, Duration::from_secs(10));
    tokio::spawn(connections::accept(port, answer, ended));
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
