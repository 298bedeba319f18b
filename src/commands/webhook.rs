//! `kraftlet webhook`: the API server asks it about pods, StatefulSets and settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use clap::Args;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::causes::chain;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::sidecar::log;
use crate::commands::sidecar::log::LogFormat;
use crate::health::connections::io as connections;
use crate::health::connections::io::Port;
use crate::inject::io::Webhook;
use crate::inject::ours::Means;
use crate::inject::serving::io::Identity;
use crate::inject::serving::succession::Succession;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::pki::hostname::Host;

/// Answer the API server's questions about pods that ask for kraftlet.
#[derive(Debug, Args)]
#[command(
    after_help = "It makes and renews its own serving certificate, and adds its CA to the caBundle of the configurations
called --configuration. With --certificate-folder somebody else does both, such as cert-manager and its cainjector."
)]
pub struct WebhookArgs {
    /// The port to listen at, with TLS
    #[arg(long, default_value_t = 9443)]
    port: u16,
    /// The image that pods get
    #[arg(long, env = "KRAFTLET_IMAGE")]
    image: String,
    /// The Service that the API server calls; the certificate is for its names
    #[arg(long, env = "KRAFTLET_WEBHOOK_SERVICE", default_value = "kraftlet-webhook")]
    service: String,
    /// The MutatingWebhookConfiguration and the ValidatingWebhookConfiguration
    #[arg(long, env = "KRAFTLET_WEBHOOK_CONFIGURATION", default_value = "kraftlet")]
    configuration: String,
    /// A folder with tls.crt and tls.key, in place of a certificate of its own
    #[arg(long, env = "KRAFTLET_WEBHOOK_CERTIFICATE_FOLDER", value_name = "FOLDER")]
    certificate_folder: Option<PathBuf>,
    /// The form of the log
    #[arg(long, env = "KRAFTLET_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

/// How often the certificate, the configurations and the signer's CA are looked at. It is also how long a replica that
/// was pushed out of the bundle stays out of it.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Where it begins, the API server may not be ready, nor the configurations be there.
const FIRST_LOOK_EVERY: Duration = Duration::from_secs(1);

/// A review is answered from memory, or after one question to the API server.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// API servers keep some connections each; probes come and go.
const MOST_CONNECTIONS: usize = 256;

/// Serves until it is told to stop.
pub fn run(args: &WebhookArgs) -> Result<(), Failure> {
    log::begin(args.log_format);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Again, "RuntimeFailed", error))?;
    runtime.block_on(serve(args))
}

async fn serve(args: &WebhookArgs) -> Result<(), Failure> {
    let api = Api::in_cluster().map_err(|error| refused(&error))?;
    let names = names(&args.service, api.namespace())?;
    let webhook = Arc::new(Webhook::new(api.clone(), Means { image: args.image.clone(), signer_ca: None }));
    let mut stop =
        signal(SignalKind::terminate()).map_err(|error| Failure::new(Exit::Again, "SignalsFailed", error))?;
    let mut keeper =
        Keeper { args, api, names, webhook: Arc::clone(&webhook), identities: Succession::default() };
    let first = async {
        while !keeper.look().await {
            sleep(FIRST_LOOK_EVERY).await;
        }
        keeper.identities.shown().map(|identity| Arc::clone(&identity.config))
    };
    let config = tokio::select! {
        config = first => config,
        _ = stop.recv() => return Ok(()),
    };
    let Some(config) = config else { return Ok(()) };
    let (configs, shown) = watch::channel(config);
    let listener = connections::bind_all(args.port).await.map_err(|error| {
        Failure::new(Exit::Again, "PortTaken", format!("cannot listen on port {}: {error}", args.port))
    })?;
    tracing::info!(port = args.port, "the webhook answers");
    let (running, stopped) = watch::channel(());
    let answer = move |request| {
        let webhook = Arc::clone(&webhook);
        async move { webhook.answer(request).await }
    };
    let port = Port {
        listener,
        longest_answer: LONGEST_ANSWER,
        most_connections: MOST_CONNECTIONS,
        tls: Some(shown),
    };
    let serving = connections::accept(port, answer, stopped);
    let keeping = async {
        loop {
            sleep(LOOK_EVERY).await;
            keeper.look().await;
            if let Some(identity) = keeper.identities.shown() {
                configs.send_if_modified(|config| {
                    let is_other = !Arc::ptr_eq(config, &identity.config);
                    *config = Arc::clone(&identity.config);
                    is_other
                });
            }
        }
    };
    let ending = async {
        stop.recv().await;
        drop(running);
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(serving, ending) } => Ok(()),
        () = keeping => Ok(()),
    }
}

/// Keeps what the webhook needs from others.
struct Keeper<'a> {
    args: &'a WebhookArgs,
    api: Api,
    names: Vec<Host>,
    webhook: Arc<Webhook>,
    identities: Succession<Identity>,
}

impl Keeper<'_> {
    /// Renews what is due, and says it to those who have to know; whether there is a certificate that the API server
    /// trusts. What goes wrong is said, and tried again at the next look.
    async fn look(&mut self) -> bool {
        let now = SystemTime::now();
        if let Err(error) = self.webhook.look_for_signer().await {
            tracing::warn!(reason = error.reason(), "the signer's CA: {}", chain(&error));
        }
        if self.identities.turn() {
            tracing::info!("the webhook has a new certificate");
        }
        let shown = self.identities.shown();
        let next = match &self.args.certificate_folder {
            Some(folder) => Identity::read(folder).map(Some),
            None if shown.is_none_or(|identity| identity.is_due(now)) => {
                Identity::make(&self.names, now).map(Some)
            }
            None => Ok(None),
        };
        let next = match next {
            Ok(next) => next.filter(|next| shown.is_none_or(|identity| !identity.is(next))),
            Err(error) => {
                tracing::error!(reason = "WebhookCertificate", "{error}");
                None
            }
        };
        let Some(identity) = next.as_ref().or(shown) else { return false };
        // A look before it is shown, so that nobody meets a certificate that he does not trust yet.
        if let Err(error) = identity.announce(&self.api, &self.args.configuration, now).await {
            tracing::error!(
                reason = error.reason(),
                "the webhook's CA cannot be announced: {}",
                chain(&error)
            );
            return false;
        }
        match next {
            // Whoever fills the folder has announced it himself.
            Some(next) if self.args.certificate_folder.is_some() => {
                tracing::info!("the webhook has a new certificate");
                self.identities.show(next);
            }
            Some(next) => self.identities.announce(next),
            None => {}
        }
        true
    }
}

/// What the API server calls a Service by, and what others might.
fn names(service: &str, namespace: &str) -> Result<Vec<Host>, Failure> {
    let names = [
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        format!("{service}.{namespace}"),
        service.to_owned(),
    ];
    let read =
        |name: String| name.parse().map_err(|error| Failure::new(Exit::Usage, "ServiceInvalid", error));
    names.into_iter().map(read).collect::<Result<_, Failure>>()
}

fn refused(error: &ApiError) -> Failure {
    let exit = if error.may_pass() { Exit::Again } else { Exit::Person };
    Failure::of(exit, error.reason(), error)
}
