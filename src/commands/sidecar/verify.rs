//! The proof of one certificate: handshakes with every listener that has it, and what the engines in Kafka report.

use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;
use tokio::time::sleep;

use crate::certificates::bundle::Bundle;
use crate::certificates::turn::Answer;
use crate::certificates::turn::Reason;
use crate::certificates::turn::Seen;
use crate::cluster::settings::Reload;
use crate::commands::failure::chain;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::hands::Hands;
use crate::commands::sidecar::keystore::Keystore;
use crate::kafka::endpoint::Endpoint;
use crate::pki::certificate::Certificate;
use crate::pki::certificate::Fingerprint;
use crate::pki::certificate::Usage;
use crate::pki::chain as pki_chain;
use crate::pki::handshake::TlsClient;
use crate::pki::io as pki_io;
use crate::reload::channel::Way;
use crate::reload::engine::io as engine_io;
use crate::reload::engine::report::EngineState;
use crate::reload::io as reload_io;
use crate::reload::io::Check;
use crate::reload::listener::NodeListener;
use crate::reload::start_note::Material;
use crate::reload::trigger;
use crate::reload::verify::Meaning;
use crate::reload::verify::Ours;
use crate::reload::verify::Report;
use crate::reload::verify::Verdict;
use crate::reload::verify::Wanted;

/// Kafka's own reload takes about a second, on a busy machine some; then the machine tries again by itself.
const VERIFY_WITHIN: Duration = Duration::from_secs(15);

/// The engines load within some tens of milliseconds after a handshake; this is how often their report is read.
const LOOK_AT_REPORT_EVERY: Duration = Duration::from_millis(5);

/// How long handshakes wait for the engines. Those that refuse the files, or do not report, are looked at all the same.
const LOAD_WITHIN: Duration = Duration::from_secs(1);

impl Hands {
    /// Looks until every listener serves what is installed and every engine has loaded it, or time is up.
    pub(crate) async fn verify(&self) -> Result<Answer, Reason> {
        let bundle = self.installed()?;
        let checks = checks(&self.context, self.keystore.as_ref(), &bundle, self.previous_leaf())?;
        let deadline = Instant::now() + VERIFY_WITHIN;
        self.let_engines_load(&bundle, &checks).await;
        let reports = reload_io::verify(&checks, deadline).await;
        self.context.has_seen(reports.clone());
        let broken = reports.iter().find(|report| report.verdict.meaning() == Meaning::NewLeafBroken);
        let missing = reports.iter().find(|report| report.verdict.meaning() != Meaning::Verified);
        if let Some(report) = broken.or(missing) {
            // An old leaf may be seen broken while the trust around it moves; only a new one is put back for that.
            let seen = if broken.is_some() { Seen::Broken } else { Seen::NotYet };
            let reason = match self.needs_restart(report) {
                Some(reason) => reason,
                None => Reason::new(report.verdict.reason(), report.to_string()),
            };
            return Ok(Answer::NotVerified { reason, seen });
        }
        match self.loaded(&bundle, deadline).await {
            None => {
                if let Some(trust) = Material::of_trust(bundle.anchors()) {
                    let name = self.name().to_owned();
                    self.context.trust_reloaded.borrow_mut().insert(name, trust.fingerprint);
                }
                Ok(Answer::Verified)
            }
            Some(reason) => Ok(Answer::NotVerified { reason, seen: Seen::NotYet }),
        }
    }

    /// Where a listener presents a former leaf and can take no other any more.
    fn needs_restart(&self, report: &Report) -> Option<Reason> {
        let (Verdict::StillOld { leaf } | Verdict::Other { leaf }) = &report.verdict else { return None };
        let listeners = &self.context.channels.listeners;
        let listener = listeners.iter().find(|one| one.name.as_str() == report.listener)?;
        let ended_at = *self.context.former_leaves(&listener.name).get(leaf)?;
        let takes_another = trigger::takes_another(listener.serves, ended_at, SystemTime::now());
        (self.context.reload == Reload::AdminApi && !takes_another).then(|| {
            let (listener, leaf) = (&listener.name, leaf.short());
            let sentence =
                format!("listener {listener} presents leaf {leaf}, which has expired; Kafka takes no other there before it is restarted");
            Reason::new("ReloadNeedsRestart", sentence)
        })
    }

    /// One connection has all engines of the node look at their files. Handshakes before they have loaded them would only
    /// show what was there before, and take the time of the machine.
    async fn let_engines_load(&self, bundle: &Bundle, checks: &[Check]) {
        if self.context.engine_report.is_some() {
            let first: Vec<Check> = checks.first().into_iter().cloned().collect();
            let deadline = Instant::now() + LOAD_WITHIN;
            tokio::join!(reload_io::look(&first, deadline), self.loaded(bundle, deadline));
        }
    }

    /// What engine has not loaded the bundle when time is up; `None` when all have, or where there is no engine.
    async fn loaded(&self, bundle: &Bundle, deadline: Instant) -> Option<Reason> {
        let report_path = self.context.engine_report.as_ref()?;
        let prefixes: Vec<String> = self
            .context
            .channels_of(self.keystore.listeners())
            .filter(|channel| channel.leaf_by == Way::Engine)
            .map(|channel| channel.listener.to_string().to_lowercase())
            .collect();
        if prefixes.is_empty() {
            return None;
        }
        let leaf = bundle.leaf().fingerprint();
        let trust = Material::of_trust(bundle.anchors()).map(|trust| trust.fingerprint);
        loop {
            let states = match engine_io::read(report_path) {
                Ok(report) => report.map(|report| report.states).unwrap_or_default(),
                Err(error) => return Some(Reason::new(error.reason(), chain(&error))),
            };
            let reason = not_loaded(&states, &prefixes, leaf, trust)?;
            if deadline <= Instant::now() {
                return Some(reason);
            }
            sleep(LOOK_AT_REPORT_EVERY).await;
        }
    }
}

/// The handshakes that show what is in these stores; `previous` is the leaf before, where it is known.
pub(crate) fn checks(
    context: &Context,
    stores: &dyn Keystore,
    bundle: &Bundle,
    previous: Option<Fingerprint>,
) -> Result<Vec<Check>, Reason> {
    let client = tls_client(bundle)?;
    let ours = ours(bundle, SystemTime::now());
    let check = |listener: &NodeListener| Check {
        listener: listener.name.to_string(),
        endpoint: Endpoint { login: None, ..context.endpoint(listener, Some(&client)) },
        handshakes: handshakes(context.reload, listener),
        wanted: Wanted {
            leaf: bundle.leaf().fingerprint(),
            issuers: bundle.intermediates().iter().map(Certificate::fingerprint).collect(),
            previous,
            ours,
        },
    };
    Ok(context.listeners_of(stores.listeners()).map(check).collect())
}

/// Every thread of a listener reloads by itself. Connections come to them in turn, but others connect meanwhile too, so
/// twice as many are made; with the engine one for each will do, for there every instance reports what it has.
fn handshakes(reload: Reload, listener: &NodeListener) -> usize {
    let threads = usize::try_from(listener.network_threads).unwrap_or(1);
    match reload {
        Reload::Engine => threads,
        Reload::AdminApi => 2 * threads,
    }
}

/// The first engine that has not loaded this leaf and this trust.
fn not_loaded(
    states: &[EngineState],
    prefixes: &[String],
    leaf: Fingerprint,
    trust: Option<Fingerprint>,
) -> Option<Reason> {
    let of_prefix = |prefix: &String| states.iter().find(|state| state.listener == *prefix).is_none();
    if let Some(prefix) = prefixes.iter().find(|prefix| of_prefix(prefix)) {
        let sentence = format!("the engine has not reported for listener {}", prefix.to_uppercase());
        return Some(Reason::new("EngineNotReported", sentence));
    }
    let ours = states.iter().filter(|state| prefixes.contains(&state.listener));
    let mut behind = ours.filter(|state| state.leaf != Some(leaf) || state.trust != trust);
    let state = behind.next()?;
    let listener = state.listener.to_uppercase();
    Some(match &state.error {
        Some(error) => Reason::new(
            "EngineRefused",
            format!("the engine of listener {listener} keeps what it has: {error}"),
        ),
        None => Reason::new(
            "EngineNotLoaded",
            format!("the engine of listener {listener} has not loaded leaf {} yet", leaf.short()),
        ),
    })
}

/// What the agent shows and trusts when it looks at its own node.
///
/// A leaf for clients may be of a public CA that is not among the node's anchors; then the last certificate of its own
/// chain is what it can be verified against.
pub(crate) fn tls_client(bundle: &Bundle) -> Result<TlsClient, Reason> {
    let mut anchors = bundle.anchors().to_vec();
    anchors.extend(bundle.intermediates().last().cloned());
    pki_io::tls_client(bundle.key(), bundle.chain(), &anchors)
        .map_err(|error| Reason::new(error.reason(), chain(&error)))
}

fn ours(bundle: &Bundle, now: SystemTime) -> Ours {
    let verified = pki_chain::verify(
        bundle.leaf(),
        bundle.intermediates(),
        bundle.anchors(),
        now,
        Some(Usage::ClientAuth),
    );
    if verified.is_ok() { Ours::MustBeTaken } else { Ours::MayBeRefused }
}
