//! The channels with the life that is left on each, and the certificates with their renewals.

use std::time::SystemTime;

use crate::health::certificate::Certificate;
use crate::health::certificate::Outcome;
use crate::health::certificate::State;
use crate::health::channel::Channel;
use crate::health::page::html::Html;
use crate::health::page::html::Tone;
use crate::health::page::life::Life;
use crate::health::page::when::Span;
use crate::health::snapshot::Snapshot;
use crate::reload::coverage::Standing;

/// A combined node with many listeners has about twenty.
const MOST_CHANNELS: usize = 40;
/// One, or a few for clients.
const MOST_CERTIFICATES: usize = 10;

/// The leaf whose life ends first, of those in use.
pub fn shortest(snapshot: &Snapshot, now: SystemTime) -> Option<(&Channel, Life)> {
    let lives = snapshot.channels.iter().filter_map(|one| Some((one, life(snapshot, one, now)?)));
    lives.min_by_key(|(_, life)| life.not_after)
}

/// The section of the channels.
pub fn channels(page: &mut Html, snapshot: &Snapshot, now: SystemTime) {
    page.raw("<section><h2>TLS channels</h2>");
    if snapshot.channels.is_empty() {
        page.raw("<p class=note>None was looked at yet.</p></section>");
        return;
    }
    page.raw("<table class=halves><thead><tr><th scope=col>Channel</th><th scope=col>Life left</th></tr></thead><tbody>");
    for channel in snapshot.channels.iter().take(MOST_CHANNELS) {
        let (tone, word) = standing(channel);
        page.raw("<tr><th scope=row>").text(&channel.name).raw("<small>").mark(tone, word);
        if let Some(leaf) = channel.leaf {
            page.raw(" <span class=keep>leaf <code>").text(leaf.fingerprint.short()).raw("</code></span>");
        }
        if let Some(by) = channel.restart_needed_by {
            page.raw(if by > now {
                "<br><b class=warn>restart Kafka</b> before "
            } else {
                "<br><b class=bad>restart Kafka</b>, due since "
            });
            page.date(by);
        }
        page.raw("</small></th><td>");
        match life(snapshot, channel, now) {
            Some(life) => life.show(page),
            None => {
                page.raw("<small>not known</small>");
            }
        }
        page.raw("</td></tr>");
    }
    page.raw("</tbody></table>").more(snapshot.channels.len().saturating_sub(MOST_CHANNELS));
    page.raw("</section>");
}

/// The section of the certificates.
pub fn certificates(page: &mut Html, snapshot: &Snapshot, now: SystemTime) {
    page.raw("<section><h2>Certificates</h2>");
    if snapshot.certificates.is_empty() {
        page.raw("<p class=note>This node has none.</p>");
    }
    for certificate in snapshot.certificates.iter().take(MOST_CERTIFICATES) {
        let (tone, word) = state(certificate);
        page.raw("<h3>").text(&certificate.name).raw(" ").mark(tone, word).raw("</h3><dl class=rows>");
        if let Some(leaf) = &certificate.installed {
            page.raw("<dt>Installed</dt><dd>");
            Life::new(leaf.not_after, Some(certificate), now).show(page);
            page.raw("</dd><dt>Leaf</dt><dd><code>").text(leaf.fingerprint.short()).raw("</code> ");
            page.text(&leaf.subject).raw("<small>from ").text(&leaf.issuer).raw("</small></dd>");
        }
        page.raw("<dt>Next renewal</dt><dd>");
        match certificate.next_renewal_at {
            Some(at) => page.ago(at, now).raw("<small>").date(at).raw("</small>"),
            None => page.raw("not planned"),
        };
        page.raw("</dd><dt>Last outcome</dt><dd>");
        match &certificate.last_outcome {
            Some(last) => outcome(page, last, certificate.attempts, now),
            None => {
                page.raw("none yet");
            }
        }
        page.raw("</dd>");
        trust(page, certificate, now);
        page.raw("</dl>");
    }
    page.more(snapshot.certificates.len().saturating_sub(MOST_CERTIFICATES)).raw("</section>");
}

fn outcome(page: &mut Html, last: &Outcome, attempts: u32, now: SystemTime) {
    let class = if attempts == 0 { "<b>" } else { "<b class=warn>" };
    page.raw(class).text(&last.reason).raw("</b> ").ago(last.at, now);
    if attempts > 1 {
        page.text(format_args!(", {attempts} attempts"));
    }
    page.raw("<small>").text(&last.sentence);
    page.text(format_args!(" (the whole turn took {})", Span(last.took))).raw("</small>");
}

fn trust(page: &mut Html, certificate: &Certificate, now: SystemTime) {
    let trust = &certificate.trust;
    let (count, word) = (trust.anchors.len(), if trust.anchors.len() == 1 { "CA" } else { "CAs" });
    page.raw("<dt>Trust</dt><dd>").text(format_args!("{count} {word}, {}", trust.stage)).raw(" ");
    page.raw("<small>").lasting(trust.since, now);
    for (index, name) in trust.waits_for.iter().take(MOST_CERTIFICATES).enumerate() {
        page.raw(if index == 0 { "; waits for " } else { ", " }).text(name);
    }
    page.raw("</small></dd>");
}

fn life(snapshot: &Snapshot, channel: &Channel, now: SystemTime) -> Option<Life> {
    let certificate = snapshot.certificates.iter().find(|one| one.name == channel.certificate);
    Some(Life::new(channel.leaf?.not_after?, certificate, now))
}

fn standing(channel: &Channel) -> (Tone, &'static str) {
    match channel.standing {
        Standing::Served => (Tone::Good, "served"),
        Standing::Loaded => (Tone::Good, "loaded"),
        Standing::InUseUntilReconnect => (Tone::Quiet, "in use until it reconnects"),
        Standing::InUseUntilRestart => (Tone::Warn, "in use until a restart"),
        Standing::Unknown => (Tone::Quiet, "not seen yet"),
    }
}

fn state(certificate: &Certificate) -> (Tone, &'static str) {
    match certificate.state {
        State::Serving => (Tone::Good, "serving"),
        State::Fetching => (Tone::Quiet, "fetching"),
        State::Installing => (Tone::Quiet, "installing"),
        State::Reloading => (Tone::Quiet, "reloading"),
        State::Verifying => (Tone::Quiet, "verifying"),
        State::Waiting => (Tone::Warn, "waiting"),
        State::RollingBack => (Tone::Bad, "rolling back"),
    }
}
