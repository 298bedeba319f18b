//! What `kubectl proxy` opens: a socket with an API server behind it, which forwards ports to agents from memory.
//!
//! A port-forward is the one thing that it speaks itself: WebSocket (RFC 6455) with the channels of `v4.channel.k8s.io`,
//! of which the first is the port and the second its errors.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kraftlet::health::connections::io::Answer;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use crate::api_server;
use crate::api_server::Objects;

/// What the agent of a pod answers, by path: a status and a body.
pub(crate) type Agent = BTreeMap<&'static str, (u16, Value)>;

/// The API server, the agents behind it, and what was asked of it.
#[derive(Clone, Default)]
pub(crate) struct Proxied {
    pub(crate) objects: Objects,
    pub(crate) agents: Arc<Mutex<BTreeMap<String, Agent>>>,
    /// A file to write when something is asked, of which nothing is answered any more.
    pub(crate) silent_after: Option<PathBuf>,
}

/// Answers at the socket until what is returned is dropped.
pub(crate) fn serve(proxied: &Proxied, socket: &Path) -> oneshot::Sender<()> {
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (end, ended) = oneshot::channel();
    let proxied = proxied.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = UnixListener::from_std(listener).unwrap();
            tokio::select! {
                _ = ended => {}
                () = accept(listener, proxied) => {}
            }
        });
    });
    end
}

async fn accept(listener: UnixListener, proxied: Proxied) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let proxied = proxied.clone();
        let service = service_fn(move |request| {
            let proxied = proxied.clone();
            async move { Ok::<_, Infallible>(proxied.answer(request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}

impl Proxied {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if let Some(file) = &self.silent_after {
            std::fs::write(file, "").unwrap();
            return std::future::pending().await;
        }
        let path = request.uri().path().to_owned();
        let agent = path.strip_suffix("/portforward").and_then(|pod| {
            let (_, pod) = pod.rsplit_once('/')?;
            self.agents.lock().unwrap().get(pod).cloned()
        });
        if let Some(agent) = agent {
            return forward(request, agent);
        }
        let is_eviction = request.method() == Method::POST && path.ends_with("/eviction");
        let answer = api_server::answer(self.objects.clone(), request).await;
        if is_eviction && answer.status().is_success() {
            // The StatefulSet has made another one in no time.
            let pod = path.trim_end_matches("/eviction");
            self.objects.change(pod, |pod| pod["metadata"]["uid"] = "another".into());
        }
        answer
    }
}

/// Switches to WebSocket, and has the agent answer the one request that comes.
fn forward(request: Request<Incoming>, agent: Agent) -> Answer {
    let key = request.headers()["sec-websocket-key"].to_str().unwrap();
    let key = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes()));
    let port = request.uri().query().and_then(|query| query.split_once("ports=")).unwrap().1;
    let port: u16 = port.parse().unwrap();
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.unwrap();
        // Whoever asked may have gone.
        let _ = exchange(TokioIo::new(upgraded), port, &agent).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .header("sec-websocket-protocol", "v4.channel.k8s.io")
        .body(Full::new(Bytes::new()))
        .unwrap()
}

async fn exchange(
    mut wire: impl AsyncRead + AsyncWrite + Unpin,
    port: u16,
    agent: &Agent,
) -> std::io::Result<()> {
    for channel in [0, 1] {
        send(&mut wire, channel, &port.to_le_bytes()).await?;
    }
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let message = receive(&mut wire).await?;
        request.extend_from_slice(&message[1..]);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let (code, body) = agent.get(path).unwrap_or_else(|| panic!("an agent is asked for {path}"));
    let body = body.to_string();
    let answer = format!("HTTP/1.1 {code} Said\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // A frame whose length has two bytes.
    for piece in answer.as_bytes().chunks(0x7fff) {
        send(&mut wire, 0, piece).await?;
    }
    wire.read_to_end(&mut Vec::new()).await.map(|_| ())
}

/// A binary message of one frame.
async fn send(wire: &mut (impl AsyncWrite + Unpin), channel: u8, bytes: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(bytes.len() + 1).unwrap();
    let mut frame = vec![0x82];
    if length < 126 {
        frame.push(u8::try_from(length).unwrap());
    } else {
        frame.push(126);
        frame.extend(length.to_be_bytes());
    }
    frame.push(channel);
    frame.extend_from_slice(bytes);
    wire.write_all(&frame).await?;
    wire.flush().await
}

/// A client's frame, which is masked; a request is short.
async fn receive(wire: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 2];
    wire.read_exact(&mut head).await?;
    let length = match head[1] & 0x7f {
        126 => usize::from(wire.read_u16().await?),
        length => usize::from(length),
    };
    let mut mask = [0; 4];
    wire.read_exact(&mut mask).await?;
    let mut payload = vec![0; length];
    wire.read_exact(&mut payload).await?;
    let unmasked = payload.iter().zip(mask.iter().cycle());
    Ok(unmasked.map(|(byte, mask)| byte ^ mask).collect())
}
