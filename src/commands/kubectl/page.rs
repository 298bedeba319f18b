//! `kubectl kraftlet page`: all nodes of a cluster in a browser of this machine.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use clap::Args;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header;
use hyper::header::HeaderValue;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::causes::chain;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::kubectl::session::Aim;
use crate::commands::kubectl::session::ClusterArgs;
use crate::commands::kubectl::session::INTERRUPTED;
use crate::commands::kubectl::session::Session;
use crate::commands::kubectl::session::with_cluster;
use crate::commands::kubectl::status::ANSWER_WITHIN;
use crate::commands::status;
use crate::health::connections::io as connections;
use crate::health::connections::io::Answer;
use crate::health::connections::io::Port;
use crate::health::page;
use crate::health::page::fleet;
use crate::health::text::Text;

/// Show the nodes of a cluster in a browser.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl kraftlet page --namespace prod
  kubectl kraftlet page --namespace prod --port 8080

It is served to this machine alone, shows and does nothing else, and ends with Ctrl-C.
Needs the rights to list pods and to get and create pods/portforward.")]
pub struct Page {
    /// The port of this machine; 0 is any that is free
    #[arg(long, default_value_t = 9645)]
    port: u16,
}

/// Several browsers ask no more often than one does.
const SHOWN_FOR: Duration = Duration::from_secs(2);

struct Shown {
    session: Session,
    /// The names by which this machine is asked; of any other somebody else's page made a name for it.
    hosts: [String; 2],
    last: Mutex<Option<(Instant, Bytes)>>,
}

/// Serves until it is ended.
pub fn run(cluster: &ClusterArgs, args: &Page) -> Result<(), Failure> {
    let served = with_cluster(cluster, Aim::Look, async |session| {
        let unusable = |error: std::io::Error| {
            Failure::new(
                Exit::CouldNotTell,
                "PortTaken",
                format!("cannot listen on port {}: {error}", args.port),
            )
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(unusable)?;
        let port = listener.local_addr().map_err(unusable)?.port();
        eprintln!("cluster {} at http://127.0.0.1:{port}/ until Ctrl-C", session.cluster);
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let shown = Arc::new(Shown { session, hosts, last: Mutex::default() });
        let (_running, stopped) = watch::channel(());
        let answer = move |request| {
            let shown = Arc::clone(&shown);
            async move { shown.answer(request).await }
        };
        connections::accept(Port::plain(listener, 2 * ANSWER_WITHIN), answer, stopped).await;
        Ok(())
    });
    // That is how it ends.
    served.or_else(|failure| if failure.reason() == INTERRUPTED { Ok(()) } else { Err(failure) })
}

impl Shown {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        if !host.is_some_and(|host| self.hosts.iter().any(|own| own == host)) {
            return plain(StatusCode::MISDIRECTED_REQUEST, "want 127.0.0.1 or localhost\n");
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => {
                let mut answer = Response::new(Full::new(self.page().await));
                let headers = answer.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page::CONTENT_TYPE));
                let policy = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
                headers.insert(header::CONTENT_SECURITY_POLICY, policy);
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                answer
            }
            _ => plain(StatusCode::NOT_FOUND, "there is nothing here; want GET /\n"),
        }
    }

    async fn page(&self) -> Bytes {
        let mut last = self.last.lock().await;
        if let Some((_, page)) = last.as_ref().filter(|(at, _)| at.elapsed() < SHOWN_FOR) {
            return page.clone();
        }
        // A pod that was made anew has another way to it.
        let (said, missing) = match self.session.pods_now().await {
            Ok(pods) => {
                let agents = pods.iter().map(|pod| self.session.agent(pod)).collect();
                let missing = match self.session.missing(&pods).await {
                    Ok(missing) => Ok(missing.into_iter().map(Text::new).collect()),
                    Err(error) => Err(Text::new(chain(&error))),
                };
                let answers = status::ask(agents, ANSWER_WITHIN).await.into_iter();
                let said = answers.map(|(agent, said)| {
                    (Text::new(agent.name), said.map_err(|error| Text::new(chain(&error))))
                });
                (said.collect(), missing)
            }
            Err(error) => {
                (vec![(Text::new("the API server"), Err(Text::new(chain(&error))))], Ok(Vec::new()))
            }
        };
        let text = fleet::render(&Text::new(&self.session.cluster), &said, &missing, SystemTime::now());
        let page = Bytes::from(text);
        *last = Some((Instant::now(), page.clone()));
        page
    }
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer
}
