//! `kraftlet signer`: the only holder of the CAs' keys, where kraftlet is the issuer.
//!
//! One thread and a few loops: the port, the Lease, the signer's own certificate, the CAs that come due, the requests of
//! kubelets, and Events. Two replicas run, and one leads: only it signs and writes. Both are ready, and who asks the one
//! that does not lead is told so and asks again: so a rollout waits for nobody's Lease.

pub mod server;
pub mod pod_certificates;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use clap::Args;
use rustls::ServerConfig;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::causes::chain;
use crate::cluster::certificate::lifetime;
use crate::cluster::source::SIGNER_NAME;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::sidecar::log;
use crate::commands::sidecar::log::LogFormat;
use crate::health::connections::io as connections;
use crate::health::connections::io::Port;
use crate::kubernetes::io::Api;
use crate::kubernetes::io::SERVICE_ACCOUNT;
use crate::pki::renew_point::RenewPoint;
use crate::signer::authorities::io::Authorities;
use crate::signer::authorities::io::May;
use crate::signer::election::io::Candidate;
use crate::signer::election::io::Leading;
use crate::signer::event::Teller;
use crate::signer::events::io as events;
use crate::signer::io::Callers;
use crate::signer::io::Limits;
use crate::signer::io::Office;
use crate::signer::lookup::io::Lookup;
use crate::signer::serving::io as serving;
use crate::signer::serving::io::Serving;
use crate::signer::stages::Timetable;

/// Sign the certificates of all clusters' pods; runs in the cluster, in two replicas.
#[derive(Debug, Args)]
#[command(
    after_help = "The CA of a cluster is in the Secret <namespace>.<cluster> of the signer's own namespace. It is made
when it is first needed; a CA of your own is used where there is one (tls.crt, tls.key, and ca.crt with whom to trust)."
)]
pub struct Signer {
    /// The port
    #[arg(long, env = "KRAFTLET_PORT", default_value_t = 9643, value_name = "PORT")]
    port: u16,
    /// The Service by which pods call it
    #[arg(long, env = "KRAFTLET_SERVICE", default_value = "kraftlet-signer", value_name = "NAME")]
    service: String,
    /// The name by which kubelets ask for pod certificates
    #[arg(long, env = "KRAFTLET_SIGNER_NAME", default_value = SIGNER_NAME, value_name = "DOMAIN/PATH")]
    signer_name: String,
    /// How long a CA lives
    #[arg(long, env = "KRAFTLET_CA_LIFETIME", default_value = "3650d", value_parser = lifetime, value_name = "TIME")]
    ca_lifetime: Duration,
    /// After which share of its life a CA is replaced, in percent
    #[arg(long, env = "KRAFTLET_CA_RENEW_AT_PERCENT", default_value_t = 80, value_name = "PERCENT")]
    ca_renew_at_percent: u64,
    /// For how long a new CA is trusted before it signs; pods ask whom to trust every ten minutes
    #[arg(long, env = "KRAFTLET_TRUST_FIRST", default_value = "1d", value_parser = lifetime, value_name = "TIME")]
    trust_first: Duration,
    /// Sign also for a pod whose request comes from another address than the pod's, for networks that rewrite addresses
    #[arg(long, env = "KRAFTLET_ANY_ADDRESS")]
    any_address: bool,
    /// This replica's name in the Lease
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: String,
    /// The folder with token, ca.crt and namespace of the service account
    #[arg(long, env = "KRAFTLET_SERVICE_ACCOUNT", default_value = SERVICE_ACCOUNT, value_name = "FOLDER")]
    service_account: PathBuf,
    /// How to write the log
    #[arg(long, env = "KRAFTLET_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

/// Each connection costs some 40 KiB with TLS; pods ask once and go.
const MOST_CONNECTIONS: usize = 128;

/// The API server gets ten seconds for each of a few questions.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// When the API server does not give what is needed to begin.
const BEGIN_AGAIN: Duration = Duration::from_secs(2);

/// CAs live for months; their dates are looked at so often, and what was published is published again.
const LOOK_AFTER_EVERY: Duration = Duration::from_secs(10 * 60);

/// Answers in progress at the end.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_millis(1500);

/// Runs until SIGTERM or SIGINT.
pub fn run(args: &Signer) -> Result<(), Failure> {
    log::begin(args.log_format);
    let renew_point = RenewPoint::from_percent(args.ca_renew_at_percent)
        .map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?;
    let timetable = Timetable { lifetime: args.ca_lifetime, renew_point, trusted_first: args.trust_first };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(|error| Failure::new(Exit::Again, "RuntimeFailed", format!("no event loop: {error}")))?;
    runtime.block_on(drive(args, timetable))
}

async fn drive(args: &Signer, timetable: Timetable) -> Result<(), Failure> {
    let api = Api::of_service_account(&args.service_account)
        .map_err(|error| Failure::of(Exit::Again, error.reason(), &error))?;
    let listener = connections::bind_all(args.port).await.map_err(|error| {
        Failure::new(Exit::Again, "PortTaken", format!("cannot listen on port {}: {error}", args.port))
    })?;
    let (words, told) = mpsc::channel(events::MOST_WAITING);
    let authorities = Arc::new(Authorities::new(api.clone(), &args.signer_name, timetable, words.clone()));
    let (mut candidate, leading) = Candidate::new(api.clone(), &args.identity);
    let office = Arc::new(Office::new(
        Lookup::new(api.clone()),
        Arc::clone(&authorities),
        leading.clone(),
        Limits::default(),
        if args.any_address { Callers::Anywhere } else { Callers::AtHome },
        words,
        &args.signer_name,
    ));
    let teller =
        Teller { controller: "kraftlet.dev/signer", action: "Sign", instance: args.identity.clone() };
    let mut stop = ended()?;
    let names = (args.service.clone(), api.namespace().to_owned());
    let first = tokio::select! {
        first = first_leaf(&authorities, &names) => first,
        _ = stop.recv() => return Ok(()),
    };
    let (served, serves) = watch::channel(Arc::clone(&first.config));
    let (end, ended) = watch::channel(());
    let port = Port {
        listener,
        longest_answer: LONGEST_ANSWER,
        most_connections: MOST_CONNECTIONS,
        tls: Some(serves),
    };
    let at_port = Arc::clone(&office);
    let answer = move |request| server::answer(Arc::clone(&at_port), request);
    let mut server = tokio::spawn(connections::accept(port, answer, ended));
    tracing::info!(reason = "Started", "kraftlet signer at port {}", args.port);
    tokio::select! {
        _ = stop.recv() => {}
        () = candidate.run() => {}
        () = keep_serving(&authorities, &names, first, served) => {}
        () = look_after(&authorities, leading.clone(), timetable) => {}
        () = pod_certificates::serve(api.clone(), office, leading, &args.signer_name) => {}
        () = events::tell(api, teller, told) => {}
        _ = &mut server => return Err(Failure::new(Exit::Again, "LoopEnded", "the port's loop has ended by itself")),
    }
    candidate.leave().await;
    drop(end);
    let _ = timeout(LAST_ANSWERS_WITHIN, server).await;
    Ok(())
}

async fn first_leaf(authorities: &Authorities, (service, namespace): &(String, String)) -> Serving {
    loop {
        match serving::leaf(authorities, service, namespace, May::Make).await {
            Ok(first) => return first,
            Err(refusal) => {
                tracing::warn!(
                    reason = refusal.reason(),
                    "no certificate of my own yet: {}",
                    chain(&refusal)
                );
            }
        }
        sleep(BEGIN_AGAIN).await;
    }
}

/// Replaces the signer's own leaf when it is due, and when its CA has been replaced.
async fn keep_serving(
    authorities: &Authorities,
    (service, namespace): &(String, String),
    mut now_served: Serving,
    served: watch::Sender<Arc<ServerConfig>>,
) {
    loop {
        let left = now_served.renew_at.duration_since(SystemTime::now()).unwrap_or_default();
        sleep(left.min(LOOK_AFTER_EVERY).max(BEGIN_AGAIN)).await;
        match serving::leaf(authorities, service, namespace, May::Make).await {
            Ok(next) => {
                let is_due = now_served.renew_at <= SystemTime::now();
                if is_due || next.anchor != now_served.anchor {
                    served.send_replace(Arc::clone(&next.config));
                    now_served = next;
                }
            }
            Err(refusal) => {
                tracing::warn!(reason = refusal.reason(), "my own certificate stays: {}", chain(&refusal));
            }
        }
    }
}

/// Looks after the CAs as long as this replica leads: at once when it begins to.
async fn look_after(authorities: &Authorities, mut leading: Leading, timetable: Timetable) {
    let every = LOOK_AFTER_EVERY.min(timetable.trusted_first / 8).max(BEGIN_AGAIN);
    loop {
        while !leading.leads() {
            leading.changed().await;
        }
        authorities.forget();
        while leading.leads() {
            let pause = match authorities.look_after_all().await {
                Ok(()) => every,
                Err(refusal) => {
                    tracing::warn!(
                        reason = refusal.reason(),
                        "the CAs cannot be looked at: {}",
                        chain(&refusal)
                    );
                    BEGIN_AGAIN
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = lost(&mut leading) => {}
            }
        }
    }
}

async fn lost(leading: &mut Leading) {
    while leading.leads() {
        leading.changed().await;
    }
}

fn ended() -> Result<mpsc::Receiver<()>, Failure> {
    let cannot =
        |error| Failure::new(Exit::Again, "SignalsFailed", format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = sender.send(()).await;
    });
    Ok(receiver)
}
