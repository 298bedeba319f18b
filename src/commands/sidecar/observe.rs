//! The loop that looks at the node's channels: which leaf each uses, and by when Kafka has to be restarted.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;
use tokio::time::timeout;

use crate::certificates::bundle::Bundle;
use crate::cluster::io as cluster_io;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::keystore::Keystore;
use crate::commands::sidecar::show_channels;
use crate::commands::sidecar::verify::checks;
use crate::disk::io as disk_io;
use crate::disk::step::Step;
use crate::kafka::connection::io::Connection;
use crate::reload::channel::Side;
use crate::reload::coverage::coverage;
use crate::reload::engine::io as engine_io;
use crate::reload::engine::report::EngineState;
use crate::reload::engine::report::Usage;
use crate::reload::io as reload_io;
use crate::reload::io::Check;
use crate::reload::node_properties::ListenerName;
use crate::reload::observed::Observation;
use crate::reload::observed::Observed;
use crate::reload::start_note::Installed;
use crate::reload::start_note::Material;
use crate::reload::start_note::StartNote;
use crate::reload::verify::Report;
use crate::reload::verify::Verdict;

/// Between looks at a Kafka that is there: its end shows by the connection that is held, and handshakes cost both sides.
const LOOK_AT_REST_EVERY: Duration = Duration::from_secs(30);

/// Between looks as long as no connection can be held. Kafka takes longer than this to start again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// One look, all listeners at once.
const LOOK_WITHIN: Duration = Duration::from_secs(3);

/// The longest pause and a look, with room to spare.
const TURNS_WITHIN: Duration = Duration::from_secs(90);

/// The note is for the next agent and for people.
const NOTE_MODE: u32 = 0o644;

/// Looks for ever.
pub async fn observe(context: Rc<Context>) {
    let read = |path: &PathBuf| cluster_io::read(path).ok().map(|bytes| bytes.to_vec());
    let mut noted = context.start_note.as_ref().and_then(read).unwrap_or_default();
    let mut observed = Observed::new(StartNote::decode(&noted).unwrap_or_default());
    let names = context.keystores.iter().flat_map(|one| context.listeners_of(one.listeners()));
    let listeners = names.count();
    let mut held: Option<Connection> = None;
    let beat = context.pulse.loop_named("observer", TURNS_WITHIN, std::time::Instant::now());
    loop {
        beat.beat(std::time::Instant::now());
        let now = SystemTime::now();
        let with_content = |one| Some((one, Keystore::installed(one).ok()??));
        let bundles: Vec<(&dyn Keystore, Bundle)> =
            context.keystores.iter().map(Rc::as_ref).filter_map(with_content).collect();
        for (one, bundle) in &bundles {
            let installed = Installed::of(Some(bundle.leaf()), bundle.anchors());
            for channel in context.channels_of(one.listeners()) {
                observed.take(Observation::Installed { listener: channel.listener.clone(), installed }, now);
            }
        }
        // Before a look that takes its time: meanwhile the stores may be replaced.
        note(&context, &observed, &mut noted);
        let reports = std::mem::take(&mut *context.seen.borrow_mut());
        let reports = if reports.is_empty() { look(&context, &bundles).await } else { reports };
        for observation in seen(&reports, listeners, &bundles).into_iter().chain(loaded(&context, &bundles)) {
            observed.take(observation, now);
        }
        let covered = coverage(&context.channels, &observed);
        show_channels::show(&context, &covered, &bundles);
        note(&context, &observed, &mut noted);
        if held.is_none() && !reports.iter().any(is_refused) {
            held = hold(&context, &bundles).await;
        }
        let at_rest = held.is_some() || reports.is_empty();
        let pause = if at_rest { LOOK_AT_REST_EVERY } else { LOOK_EVERY };
        tokio::select! {
            () = ended(&mut held) => held = None,
            _ = timeout(pause, context.look.notified()) => {}
        }
    }
}

/// A connection to the first listener, to be told when Kafka ends. Kafka itself ends it after ten minutes of silence
/// (connections.max.idle.ms), which costs one look.
async fn hold(context: &Context, bundles: &[(&dyn Keystore, Bundle)]) -> Option<Connection> {
    let (stores, bundle) = bundles.first()?;
    let check = checks(context, *stores, bundle, None).ok()?.into_iter().next()?;
    Connection::open(&check.endpoint, Instant::now() + LOOK_WITHIN).await.ok()
}

async fn ended(held: &mut Option<Connection>) {
    match held {
        Some(connection) => connection.ended().await,
        None => pending().await,
    }
}

/// One handshake with each listener.
async fn look(context: &Context, bundles: &[(&dyn Keystore, Bundle)]) -> Vec<Report> {
    let all = bundles.iter().filter_map(|(stores, bundle)| checks(context, *stores, bundle, None).ok());
    let checks: Vec<Check> = all.flatten().map(|check| Check { handshakes: 1, ..check }).collect();
    reload_io::look(&checks, Instant::now() + LOOK_WITHIN).await
}

fn is_refused(report: &Report) -> bool {
    matches!(report.verdict, Verdict::NobodyListens { .. })
}

/// That Kafka is away is said only where a look at all listeners found each port refused: a name that does not resolve,
/// a reset or a deadline that passes is not that, and nor is one listener of several.
fn seen(reports: &[Report], listeners: usize, bundles: &[(&dyn Keystore, Bundle)]) -> Vec<Observation> {
    if reports.iter().any(is_refused) {
        let is_away = reports.len() == listeners && reports.iter().all(is_refused);
        return if is_away { vec![Observation::Away] } else { Vec::new() };
    }
    if reports.iter().all(|report| report.verdict != Verdict::Served) {
        return Vec::new();
    }
    let mut observations = vec![Observation::Up];
    for report in reports.iter().filter(|report| report.verdict == Verdict::Served) {
        let leaf =
            bundles.iter().map(|(_, bundle)| bundle.leaf()).find(|leaf| leaf.fingerprint() == report.want);
        let listener = ListenerName::new(&report.listener);
        observations.extend(leaf.map(|leaf| Observation::Served { listener, leaf: Material::of_leaf(leaf) }));
    }
    observations
}

/// Of several instances with one prefix and side, one that lags behind what is installed.
fn loaded(context: &Context, bundles: &[(&dyn Keystore, Bundle)]) -> Vec<Observation> {
    let Some(path) = &context.engine_report else { return Vec::new() };
    let Ok(Some(report)) = engine_io::read(path) else { return Vec::new() };
    // What the engines of this prefix should have.
    let is_current = |state: &EngineState| {
        let listener = ListenerName::new(&state.listener);
        let own = bundles.iter().find(|(stores, _)| stores.listeners().contains(&listener));
        own.is_some_and(|(_, bundle)| {
            let trust = Material::of_trust(bundle.anchors()).map(|trust| trust.fingerprint);
            state.leaf == Some(bundle.leaf().fingerprint()) && state.trust == trust
        })
    };
    let mut slowest: BTreeMap<(String, Side), &EngineState> = BTreeMap::new();
    for state in &report.states {
        let sides: &[Side] = match state.usage {
            Usage::Server => &[Side::Server],
            Usage::Client => &[Side::Client],
            Usage::Both => &[Side::Server, Side::Client],
        };
        for side in sides {
            let slot = slowest.entry((state.listener.clone(), *side)).or_insert(state);
            if is_current(slot) {
                *slot = state;
            }
        }
    }
    let observation = |((listener, side), state): ((String, Side), &EngineState)| Observation::Loaded {
        listener: ListenerName::new(&listener),
        side,
        leaf: state.leaf,
        trust: state.trust,
    };
    slowest.into_iter().map(observation).collect()
}

/// Keeps the note on the disk, when it has changed. What cannot be kept costs a restart that would not be needed.
fn note(context: &Context, observed: &Observed, noted: &mut Vec<u8>) {
    let Some(path) = &context.start_note else { return };
    let bytes = observed.note().encode();
    if bytes != *noted && disk_io::apply(&[Step::replace(path, bytes.clone(), NOTE_MODE)]).is_ok() {
        *noted = bytes;
    }
}
