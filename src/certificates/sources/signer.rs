//! kraftlet's signer: the key is made here and stays here, and the signer is shown its public half.
//!
//! Who we are it learns from the pod's projected token, and what the certificate says from the settings, so there is
//! nothing to ask for but "the one called so". Each answer brings whom to trust, in the cluster and as the signer the
//! next time; that part is kept beside the stores, and asked for again when it is older than [`ASK_AGAIN`]: a new CA is
//! trusted long before it signs.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Method;
use hyper::Request as HttpRequest;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::certificates::bundle::Bundle;
use crate::certificates::request::Request;
use crate::certificates::signing;
use crate::certificates::signing::Refused;
use crate::certificates::signing::Signed;
use crate::certificates::sources::Remedy;
use crate::certificates::sources::Source;
use crate::certificates::sources::SourceError;
use crate::certificates::sources::kept;
use crate::certificates::sources::small_file;
use crate::certificates::sources::small_file::FileError;
use crate::certificates::sources::waiting::wait_for;
use crate::kafka::address::io::dial;
use crate::kafka::ask_error::AskError;
use crate::pki;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::chain::PemError;
use crate::pki::csr;
use crate::pki::io::PkiError;
use crate::pki::sign::SignError;

/// The signer at one address, for one certificate of the settings.
#[derive(Debug, Clone)]
pub struct Signer {
    address: String,
    certificate: String,
    /// Where the certificate's stores are.
    folder: PathBuf,
    token: PathBuf,
    /// PEM: whom to trust as the signer before it has said anything.
    first_anchors: String,
}

/// A signer that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The token.
    #[error("the signer's token {} {problem}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, told in this sentence.
        problem: FileError,
    },
    /// The token is no text.
    #[error("the signer's token {} is no token", path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
    },
    /// Nothing says whom to trust.
    #[error("nobody says which CA the signer's certificate is of; want {SIGNER_CA}, which injection sets")]
    NoAnchors,
    /// Whom to trust cannot be read.
    #[error("{what} cannot be read")]
    Pem {
        /// What.
        what: &'static str,
        /// Why not.
        #[source]
        source: PemError,
    },
    /// No connection.
    #[error("the signer cannot be reached")]
    Unreachable(#[source] AskError),
    /// Not the signer, or one whose CA we do not know.
    #[error("no TLS with the signer at {address}")]
    Tls {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("the signer at {address} does not answer within {} s", within.as_secs())]
    TimedOut {
        /// Where.
        address: String,
        /// How long it had.
        within: Duration,
    },
    /// No HTTP, or an answer that breaks off or is too long.
    #[error("the signer at {address} does not answer as a signer does: {what}")]
    NotASigner {
        /// Where.
        address: String,
        /// What was wrong.
        what: String,
    },
    /// It says no.
    #[error("the signer refuses: {message} [{reason}]")]
    Refused {
        /// HTTP's number.
        status: u16,
        /// Its word.
        reason: String,
        /// Its sentence.
        message: String,
    },
    /// It has signed another key.
    #[error("the signer's certificate is not for our key")]
    OtherKey,
    /// Our key.
    #[error("no key could be made for the certificate")]
    Pki(#[source] PkiError),
    /// Our request.
    #[error("no request could be made for the certificate")]
    Csr(#[source] SignError),
    /// No event loop, which is no file descriptors or no memory.
    #[error("the system gives no event loop")]
    System(#[source] io::Error),
}

/// The environment variable with the CA of the signer's own certificate, as PEM.
pub const SIGNER_CA: &str = "KRAFTLET_SIGNER_CA";

/// Where injection mounts the token.
pub const TOKEN_FOLDER: &str = "/var/run/secrets/kraftlet.dev/signer";

/// The token's file there.
pub const TOKEN_FILE: &str = "token";

/// A part of what was answered last, beside the stores.
const KEPT: &str = "signer.json";

/// So old may be what is known of whom to trust.
pub const ASK_AGAIN: Duration = Duration::from_secs(10 * 60);

/// The last question of a fetch begins within this time. A leader that has gone is followed by another within 15 s, and
/// the renewal machine gives a fetch half a minute.
const FETCH_WITHIN: Duration = Duration::from_secs(17);

/// For one question of a fetch.
const ASK_WITHIN: Duration = Duration::from_secs(12);

/// For the question whom to trust. The sidecar begins it again at each of its ticks, which are 10 s apart.
const ASK_TRUST_WITHIN: Duration = Duration::from_secs(5);

/// Before a replica that does not lead is left for another: a Service has two, and does not say which leads.
const NOT_LEADING_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_NOT_LEADING_PAUSE: Duration = Duration::from_secs(1);

/// Between two attempts of one fetch, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

impl SignerError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Token { problem, .. } => problem.reason(),
            Self::NoToken { .. } => "TokenUnusable",
            Self::NoAnchors => "SignerCaMissing",
            Self::Pem { source, .. } => source.reason(),
            Self::Unreachable(_) => "SignerUnreachable",
            Self::Tls { .. } => "SignerNotTrusted",
            Self::TimedOut { .. } => "SignerTimedOut",
            Self::NotASigner { .. } => "NotASigner",
            Self::Refused { .. } => "SignerRefuses",
            Self::OtherKey => "SignerOtherKey",
            Self::Pki(error) => error.reason(),
            Self::Csr(error) => error.reason(),
            Self::System(_) => "RuntimeFailed",
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::Token { problem, .. } => problem.remedy(),
            Self::Unreachable(_) | Self::Tls { .. } | Self::TimedOut { .. } | Self::NotASigner { .. } => {
                Remedy::TryAgain
            }
            // Rights and tokens may be about to be given, and a pod about to be seen.
            Self::Refused { status, .. } => Remedy::of(matches!(status, 401 | 429 | 500..=599)),
            Self::Pki(_) | Self::System(_) => Remedy::TryAgain,
            Self::NoToken { .. } | Self::NoAnchors | Self::Pem { .. } | Self::OtherKey | Self::Csr(_) => {
                Remedy::ChangeSomething
            }
        }
    }
}

impl Signer {
    /// As injection has prepared it. `folder` is that of the certificate's stores.
    pub fn in_pod(address: &str, certificate: &str, folder: &Path) -> Self {
        let first_anchors = std::env::var(SIGNER_CA).unwrap_or_default();
        Self::new(address, certificate, folder, &Path::new(TOKEN_FOLDER).join(TOKEN_FILE), &first_anchors)
    }

    /// With the token in this file, and these anchors for the signer's own certificate.
    pub fn new(address: &str, certificate: &str, folder: &Path, token: &Path, first_anchors: &str) -> Self {
        Self {
            address: address.to_owned(),
            certificate: certificate.to_owned(),
            folder: folder.to_owned(),
            token: token.to_owned(),
            first_anchors: first_anchors.to_owned(),
        }
    }

    fn issue(&self, request: &Request) -> Result<Bundle, SignerError> {
        let key = pki::io::generate(request.key_algorithm()).map_err(SignerError::Pki)?;
        let csr = Bytes::from(csr::bare(&key).map_err(SignerError::Csr)?);
        let signed = wait_for(async {
            let end = Instant::now() + FETCH_WITHIN;
            let mut pause = FIRST_PAUSE;
            loop {
                let done = self.ask(Method::POST, signing::SIGN, csr.clone()).await;
                let may_pass = done.as_ref().is_err_and(|error| error.remedy() == Remedy::TryAgain);
                if !may_pass || Instant::now() + pause >= end {
                    return done;
                }
                sleep(pause).await;
                pause *= 2;
            }
        });
        let signed = signed.map_err(SignerError::System)??;
        let mut chain = certificates(&signed.certificate_chain, "the certificate of the signer's answer")?;
        let anchors = certificates(&signed.trust_anchors, "the trust of the signer's answer")?;
        let leaf = chain.remove(0);
        if !key.matches(&leaf) {
            return Err(SignerError::OtherKey);
        }
        kept::write(&self.folder, KEPT, signed);
        Ok(Bundle::new(
            key,
            leaf,
            chain,
            anchors.into_iter().chain(request.further_anchors().iter().cloned()),
        ))
    }

    /// Whom the cluster trusts, as it was said last, or is said now.
    fn anchors(&self, request: &Request) -> Result<Vec<Certificate>, SignerError> {
        let (kept, age) = kept::read(&self.folder, KEPT);
        let signed = match (kept, age) {
            (Some(kept), Some(age)) if age < ASK_AGAIN => kept,
            (kept, _) => {
                let asked = wait_for(self.ask(Method::GET, signing::TRUST, Bytes::new()));
                match (asked.map_err(SignerError::System).flatten(), kept) {
                    (Ok(signed), _) => {
                        // What cannot be read is not kept.
                        certificates(&signed.trust_anchors, "the trust of the signer's answer")?;
                        kept::write(&self.folder, KEPT, signed.clone());
                        signed
                    }
                    // With the signer away, what it said last holds.
                    (Err(_), Some(kept)) => kept,
                    (Err(error), None) => return Err(error),
                }
            }
        };
        let anchors = certificates(&signed.trust_anchors, "the trust of the signer's answer")?;
        Ok(anchors.into_iter().chain(request.further_anchors().iter().cloned()).collect())
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Signed, SignerError> {
        let within = if method == Method::GET { ASK_TRUST_WITHIN } else { ASK_WITHIN };
        let deadline = Instant::now() + within;
        let mut pause = NOT_LEADING_PAUSE;
        loop {
            let timed_out = |_| SignerError::TimedOut { address: self.address.clone(), within };
            let asked = self.ask_by(method.clone(), path, body.clone(), deadline);
            let done = timeout_at(deadline, asked).await.map_err(timed_out)?;
            let is_standby =
                matches!(&done, Err(SignerError::Refused { reason, .. }) if reason == signing::NOT_LEADING);
            if !is_standby || Instant::now() + pause >= deadline {
                return done;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_NOT_LEADING_PAUSE);
        }
    }

    async fn ask_by(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Signed, SignerError> {
        let not_a_signer = |what: String| SignerError::NotASigner { address: self.address.clone(), what };
        let request = self.request(method, path, body)?;
        let config = self.tls()?;
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|error| not_a_signer(error.to_string()))?;
        let stream = dial(&self.address, deadline).await.map_err(SignerError::Unreachable)?;
        let tls = |source| SignerError::Tls { address: self.address.clone(), source };
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(tls)?;
        let broken = |error: hyper::Error| not_a_signer(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let answered = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), signing::MOST_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| not_a_signer(error.to_string()))?.to_bytes();
            Ok((status, body))
        };
        let mut connection = std::pin::pin!(connection);
        let mut answered = std::pin::pin!(answered);
        let (status, body) = tokio::select! {
            answered = answered.as_mut() => answered,
            // It may have ended with the answer.
            _ = connection.as_mut() => answered.await,
        }?;
        if status == 200 {
            return serde_json::from_slice(&body).map_err(|error| not_a_signer(error.to_string()));
        }
        let Refused { reason, message } = serde_json::from_slice(&body).unwrap_or_default();
        let short = |text: String| text.chars().take(500).collect::<String>();
        Err(SignerError::Refused { status, reason: short(reason), message: short(message) })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<HttpRequest<Full<Bytes>>, SignerError> {
        let token = small_file::read(&self.token)
            .map_err(|problem| SignerError::Token { path: self.token.clone(), problem })?;
        let no_token = || SignerError::NoToken { path: self.token.clone() };
        let text = std::str::from_utf8(&token).map_err(|_| no_token())?;
        let bearer = Zeroizing::new(format!("Bearer {}", text.trim()));
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| no_token())?;
        bearer.set_sensitive(true);
        HttpRequest::builder()
            .method(method)
            .uri(format!("{path}?certificate={}", self.certificate))
            .header(header::HOST, &self.address)
            .header(header::AUTHORIZATION, bearer)
            .header(header::CONNECTION, "close")
            .body(Full::new(body))
            .map_err(|error| SignerError::NotASigner {
                address: self.address.clone(),
                what: error.to_string(),
            })
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, SignerError> {
        let kept = kept::read(&self.folder, KEPT).0.unwrap_or_default().serving_anchors;
        let mut roots = RootCertStore::empty();
        for (pem, what) in [(&self.first_anchors, SIGNER_CA), (&kept, "the signer's CA that was kept")] {
            if !pem.trim().is_empty() {
                for anchor in certificates(pem, what)? {
                    // What rustls does not take as a root is trusted for nothing.
                    let _ = roots.add(anchor.der().clone());
                }
            }
        }
        if roots.is_empty() {
            return Err(SignerError::NoAnchors);
        }
        let config = ClientConfig::builder_with_provider(pki::io::crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|source| SignerError::Tls {
                address: self.address.clone(),
                source: io::Error::other(source),
            })?;
        Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }
}

impl Source for Signer {
    fn describe(&self) -> String {
        format!("have the signer at {} sign a key that is made here", self.address)
    }

    fn fetch(&self, request: &Request, _now: SystemTime) -> Result<Bundle, SourceError> {
        self.issue(request).map_err(source_error)
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn issues(&self) -> bool {
        true
    }

    fn trusted(&self, request: &Request) -> Result<Option<Vec<Certificate>>, SourceError> {
        if !self.folder.exists() {
            return Ok(None);
        }
        self.anchors(request).map(Some).map_err(source_error)
    }
}

fn source_error(error: SignerError) -> SourceError {
    let (reason, remedy) = (error.reason(), error.remedy());
    SourceError::new(error, reason, remedy)
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<Certificate>, SignerError> {
    chain::parse_pem(pem.as_bytes()).map_err(|source| SignerError::Pem { what, source })
}
