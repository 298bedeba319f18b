//! Who this is and how it is, in one look; and at the foot, who says it.

use std::time::SystemTime;

use crate::cluster::settings::Reload;
use crate::health::check::Checks;
use crate::health::page::channels;
use crate::health::page::html::Html;
use crate::health::page::html::Tone;
use crate::health::page::part;
use crate::health::page::quorum;
use crate::health::page::style::STYLE;
use crate::health::probe;
use crate::health::snapshot::Settings;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::verdict::Verdict;

/// Everything before the sections.
pub fn head(page: &mut Html, snapshot: &Snapshot, now: SystemTime) {
    let node = &snapshot.node;
    top(page, node.cluster_name.as_ref(), &node.pod, verdict(snapshot.verdict(now)));
    page.raw("<p class=note>").text(format_args!("node {}, {}", node.node_id, node.roles));
    if let Some(id) = &node.cluster_id {
        page.raw(" · cluster id <code>").text(id).raw("</code>");
    }
    if snapshot.settings.as_ref().is_some_and(Settings::is_pending) {
        page.raw(" · <b class=warn>restart pending</b>: the settings have changed");
    }
    page.raw("</p></header>");
}

/// The page's begin, up to the verdict on what it is about.
pub fn top(page: &mut Html, cluster: Option<&Text>, title: &Text, (tone, word): (Tone, &'static str)) {
    page.raw("<!doctype html><html lang=en><head><meta charset=utf-8><title>")
        .text(title)
        .raw(": ")
        .raw(word);
    page.raw("</title><meta name=viewport content=\"width=device-width,initial-scale=1\">");
    page.raw("<meta http-equiv=refresh content=10><link rel=icon href=\"data:image/svg+xml,");
    page.raw(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='3' fill='%23",
    );
    page.raw(match tone {
        Tone::Good | Tone::Quiet => "1f883d",
        Tone::Warn => "d4a72c",
        Tone::Bad => "d1242f",
    });
    page.raw("'/></svg>\"><style>").raw(STYLE).raw("</style></head><body><header><p class=over>kraftlet");
    if let Some(name) = cluster {
        page.raw(" · cluster ").text(name);
    }
    page.raw("</p><h1>")
        .text(title)
        .raw("</h1><p class=\"verdict ")
        .raw(tone.class())
        .raw("\">")
        .raw(word)
        .raw("</p>");
}

/// The few answers that most people come for.
pub fn tiles(page: &mut Html, snapshot: &Snapshot, now: SystemTime) {
    page.raw("<dl class=tiles>");
    let ready = probe::readyz(snapshot, now);
    answer(page, "Readiness", part::is_ready(&ready), &ready, "every check passes");
    if let Some(seen) = &snapshot.quorum {
        let (tone, word) = quorum::state(seen.state);
        tile(page, "Quorum", tone, |page| {
            page.raw(word);
        });
        match seen.leader {
            Some(leader) if leader == snapshot.node.node_id => page.raw("this node leads"),
            Some(leader) => page.text(format_args!("node {leader} leads")),
            None => page.raw("no leader was seen"),
        };
        page.raw("</dd></div>");
    }
    if let Some((channel, life)) = channels::shortest(snapshot, now) {
        tile(page, "Shortest life", life.tone(), |page| {
            page.text(life.words());
        });
        page.text(&channel.name).raw("</dd></div>");
    }
    let next = snapshot.certificates.iter().filter_map(|one| Some((one.next_renewal_at?, &one.name)));
    if let Some((at, name)) = next.min() {
        tile(page, "Next renewal", Tone::Quiet, |page| {
            page.ago(at, now);
        });
        page.raw("certificate ").text(name).raw("</dd></div>");
    }
    let stop = probe::safe_to_stop(snapshot, now);
    answer(page, "Stopping", part::may_stop(&stop), &stop, "nothing holds it back");
    page.raw("</dl>");
}

/// A tile of what a probe answers; its note is the word of the first check that failed.
fn answer(
    page: &mut Html,
    name: &'static str,
    (tone, word): (Tone, &'static str),
    checks: &Checks<'_>,
    well: &'static str,
) {
    tile(page, name, tone, |page| {
        page.raw(word);
    });
    match checks.all.iter().find(|check| !check.ok) {
        Some(failed) => page.text(Text::new(failed.sentence.split(':').next().unwrap_or_default())),
        None => page.raw(well),
    };
    page.raw("</dd></div>");
}

/// A tile up to its note, which comes next.
pub fn tile(page: &mut Html, name: &'static str, tone: Tone, value: impl FnOnce(&mut Html)) {
    page.raw("<div class=").raw(tone.class()).raw("><dt>").raw(name).raw("</dt><dd>");
    value(page);
    page.raw("</dd><dd class=note>");
}

/// Who says it, since when, and where the rest is.
pub fn foot(page: &mut Html, snapshot: &Snapshot, now: SystemTime) {
    let agent = &snapshot.agent;
    page.raw("<footer><p>As of ").date(snapshot.at).raw(", refreshed every 10 seconds. More: ");
    page.raw("<a href=\"/readyz?verbose\">checks</a>, <a href=/v1/status>status</a>, <a href=/metrics>metrics</a>.</p><p>kraftlet ")
        .text(&agent.version);
    page.raw(", ").text(agent.mode).raw(match agent.reload {
        Reload::Engine => ", reloads by its engine in Kafka",
        Reload::AdminApi => ", reloads by Kafka's Admin API",
    });
    page.raw(", began ").ago(agent.started_at, now).raw("</p></footer></body></html>\n");
}

/// How it is, in a word.
pub fn verdict(verdict: Verdict) -> (Tone, &'static str) {
    match verdict {
        Verdict::Healthy => (Tone::Good, "healthy"),
        Verdict::Warned => (Tone::Warn, "healthy, and will not stay so"),
        Verdict::NotHealthy => (Tone::Bad, "not healthy"),
    }
}
