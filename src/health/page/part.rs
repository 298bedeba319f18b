//! This node's part: as a voter, as a broker, how far it has started, and whether it may stop.

use std::time::SystemTime;

use crate::health::check::Checks;
use crate::health::page::html::Html;
use crate::health::page::html::Tone;
use crate::health::page::life::bar;
use crate::health::text::Text;
use crate::quorum::view::Broker;
use crate::quorum::view::BrokerStanding;
use crate::quorum::view::Member;
use crate::quorum::view::MemberStanding;
use crate::quorum::view::Startup;
use crate::quorum::view::Stop;

/// As many as are read before somebody asks the machine instead.
const MOST_LINES: usize = 10;

/// What it is in the quorum.
pub fn member(page: &mut Html, member: &Member, now: SystemTime) {
    let (tone, word) = standing(member.standing);
    row(page, "<dt>In the quorum</dt><dd>", tone, word, &member.sentence, member.since, now);
}

/// The same in a word.
pub fn standing(standing: MemberStanding) -> (Tone, &'static str) {
    match standing {
        MemberStanding::Unknown => (Tone::Quiet, "not known yet"),
        MemberStanding::Leader => (Tone::Good, "leads"),
        MemberStanding::CaughtUp => (Tone::Good, "caught up"),
        MemberStanding::Behind => (Tone::Warn, "behind"),
        MemberStanding::Silent => (Tone::Bad, "silent"),
        MemberStanding::Wedged => (Tone::Bad, "wedged"),
        MemberStanding::Observer => (Tone::Good, "observes"),
        MemberStanding::NotAVoter => (Tone::Bad, "no voter"),
        MemberStanding::LostIdentity => (Tone::Bad, "lost its identity"),
        MemberStanding::Unseen => (Tone::Bad, "not seen by the leader"),
    }
}

/// What it is as a broker.
pub fn broker(page: &mut Html, broker: &Broker, now: SystemTime) {
    let (tone, word) = match broker.standing {
        BrokerStanding::Unknown => (Tone::Quiet, "not known yet"),
        BrokerStanding::Starting => (Tone::Quiet, "starting"),
        BrokerStanding::Unfenced => (Tone::Good, "serves"),
        BrokerStanding::Fenced => (Tone::Bad, "fenced"),
        BrokerStanding::Stale => (Tone::Warn, "stale"),
        BrokerStanding::Frozen => (Tone::Bad, "frozen"),
    };
    row(page, "<dt>As a broker</dt><dd>", tone, word, &broker.sentence, broker.since, now);
}

fn row(
    page: &mut Html,
    before: &'static str,
    tone: Tone,
    word: &'static str,
    sentence: &str,
    since: SystemTime,
    now: SystemTime,
) {
    page.raw(before).mark(tone, word).raw("<small>").text(Text::new(sentence));
    page.raw(", ").lasting(since, now).raw("</small></dd>");
}

/// How far it has started; once it has, there is nothing to say.
pub fn startup(page: &mut Html, startup: &Startup) {
    if startup.formatted && startup.metadata_applied {
        return;
    }
    page.raw("<dt>Start</dt><dd>");
    match (startup.recovery.filter(|recovery| recovery.done < recovery.all), startup.formatted) {
        (Some(recovery), _) => {
            let done = recovery.done.saturating_mul(1000).checked_div(recovery.all).unwrap_or_default();
            bar(page, Tone::Quiet, done.min(1000));
            page.mark(Tone::Quiet, "recovering logs").raw("<small>");
            page.number(recovery.done).raw(" of ").number(recovery.all).raw(" partitions</small>");
        }
        (None, true) => {
            page.mark(Tone::Quiet, "waits for metadata")
                .raw("<small>its log directories are formatted</small>");
        }
        (None, false) => {
            page.mark(Tone::Quiet, "not formatted yet");
        }
    }
    page.raw("</dd>");
}

/// Whether it is ready, and what keeps it from that.
pub fn ready(page: &mut Html, checks: &Checks<'_>) {
    let (tone, word) = is_ready(checks);
    page.raw("<dt>Readiness</dt><dd>").mark(tone, word);
    failed(page, checks);
    page.raw("</dd>");
}

/// Whether it may stop now, what holds it back, and what a stop costs whenever it is.
pub fn stopping(page: &mut Html, checks: &Checks<'_>, stop: Option<&Stop>, now: SystemTime) {
    let (tone, word) = may_stop(checks);
    page.raw("<dt>Stopping</dt><dd>").mark(tone, word);
    if let Some(at) = stop.and_then(|stop| stop.announced_at) {
        page.raw("<small>announced ").ago(at, now).raw("</small>");
    }
    failed(page, checks);
    let notes = stop.map(|stop| stop.notes.as_slice()).unwrap_or_default();
    for note in notes.iter().take(MOST_LINES) {
        page.raw("<small>").text(Text::new(&note.sentence)).raw("</small>");
    }
    page.more(notes.len().saturating_sub(MOST_LINES)).raw("</dd>");
}

fn failed(page: &mut Html, checks: &Checks<'_>) {
    let failed = || checks.all.iter().filter(|check| !check.ok);
    for check in failed().take(MOST_LINES) {
        page.raw("<small>").text(Text::new(&check.sentence)).raw("</small>");
    }
    page.more(failed().count().saturating_sub(MOST_LINES));
}

/// What `/readyz` answers, in a word.
pub fn is_ready(checks: &Checks<'_>) -> (Tone, &'static str) {
    if checks.passes() { (Tone::Good, "ready") } else { (Tone::Bad, "not ready") }
}

/// What `/v1/safe-to-stop` answers, in a word.
pub fn may_stop(checks: &Checks<'_>) -> (Tone, &'static str) {
    if checks.passes() { (Tone::Good, "may stop now") } else { (Tone::Warn, "must not stop now") }
}
