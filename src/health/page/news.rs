//! What wants attention, and what happened lately.

use std::time::SystemTime;

use crate::health::page::html::Html;
use crate::health::snapshot::Condition;
use crate::health::snapshot::Event;
use crate::health::snapshot::Snapshot;

/// More are more than a person takes in; the first are those that hurt.
const MOST_CONDITIONS: usize = 20;
/// About a screen.
const MOST_EVENTS: usize = 12;

/// What is not as it should be, what hurts first; nothing where all is well.
pub fn conditions(page: &mut Html, snapshot: &Snapshot, now: SystemTime) {
    if snapshot.conditions.is_empty() {
        return;
    }
    let mut all: Vec<&Condition> = snapshot.conditions.iter().collect();
    all.sort_by_key(|one| one.matters_at);
    page.raw("<section class=wide><h2>Wants attention</h2>");
    for condition in all.into_iter().take(MOST_CONDITIONS) {
        let class =
            if condition.matters(now) { "<article class=bad><h3>" } else { "<article class=warn><h3>" };
        page.raw(class)
            .text(&condition.reason)
            .raw("</h3><p>")
            .text(&condition.sentence)
            .raw("</p><p class=note>");
        if condition.matters(now) {
            page.lasting(condition.since, now);
        } else {
            page.raw("begins to hurt ")
                .ago(condition.matters_at, now)
                .raw(", at ")
                .date(condition.matters_at);
        }
        page.raw("</p>");
        if let Some(remedy) = &condition.remedy {
            page.raw("<p class=try>try <code>").text(remedy).raw("</code></p>");
        }
        page.raw("</article>");
    }
    page.more(snapshot.conditions.len().saturating_sub(MOST_CONDITIONS)).raw("</section>");
}

/// The last events, newest first.
pub fn events(page: &mut Html, snapshot: &Snapshot, now: SystemTime) {
    page.raw("<section class=last><h2>Last events</h2>");
    let last: Vec<&Event> = snapshot.events.iter().rev().take(MOST_EVENTS).collect();
    if last.is_empty() {
        page.raw("<p class=note>None since this agent began.</p></section>");
        return;
    }
    page.raw("<ol class=events>");
    for event in last {
        page.raw("<li><b>").text(&event.reason).raw("</b> ").ago(event.at, now).raw("<p>");
        page.text(&event.sentence).raw("</p></li>");
    }
    page.raw("</ol></section>");
}
