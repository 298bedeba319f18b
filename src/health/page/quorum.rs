//! The quorum as this node sees it: how it is, who leads, and how each voter follows.

use std::cmp::Reverse;
use std::fmt;
use std::time::SystemTime;

use crate::health::page::html::Html;
use crate::health::page::html::Tone;
use crate::health::page::when::Span;
use crate::health::text::Text;
use crate::kafka::node_id::NodeId;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::quorum::view::Voter;
use crate::quorum::view::VoterStanding;

/// Three or five, seldom more; of a quorum that has more, those in trouble are shown first.
const MOST_VOTERS: usize = 15;

/// The section of the quorum; `own` is this node.
pub fn quorum(page: &mut Html, quorum: &Quorum, own: NodeId, now: SystemTime) {
    let (tone, word) = state(quorum.state);
    page.raw("<section><h2>Quorum ").mark(tone, word).raw("</h2><p>").text(Text::new(&quorum.sentence));
    page.raw("<small>").lasting(quorum.since, now).raw("</small></p><dl class=facts>");
    page.raw("<div><dt>Leader</dt><dd>");
    match quorum.leader {
        Some(leader) => page.text(format_args!("node {leader}")),
        None => page.raw("none"),
    };
    page.raw("</dd></div><div><dt>Epoch</dt><dd>");
    number(page, quorum.epoch);
    page.raw("</dd></div><div><dt>Voters that may fail</dt><dd>");
    number(page, quorum.spare);
    page.raw("</dd></div><div><dt>High watermark</dt><dd>");
    number(page, quorum.high_watermark);
    page.raw("</dd></div><div><dt>Seen</dt><dd>");
    match quorum.seen_at {
        Some(at) => page.ago(at, now),
        None => page.raw("never"),
    };
    page.raw("</dd></div></dl>");
    voters(page, &quorum.voters, own);
    page.raw("</section>");
}

fn number(page: &mut Html, number: Option<impl fmt::Display>) {
    match number {
        Some(number) => page.number(number),
        None => page.raw("not known"),
    };
}

fn voters(page: &mut Html, voters: &[Voter], own: NodeId) {
    if voters.is_empty() {
        return;
    }
    page.raw("<table class=voters><thead><tr><th scope=col>Voter</th><th scope=col>Follows</th>");
    page.raw("<th scope=col class=number>Records behind</th><th scope=col class=number>Since last fetch</th></tr></thead><tbody>");
    let mut shown: Vec<&Voter> = voters.iter().collect();
    if shown.len() > MOST_VOTERS {
        shown.sort_by_key(|voter| Reverse(follows(voter.standing).0));
    }
    for voter in shown.into_iter().take(MOST_VOTERS) {
        let (tone, word) = follows(voter.standing);
        page.raw("<tr><th scope=row>").text(format_args!("node {}", voter.node_id));
        if voter.node_id == own {
            page.raw("<small>this node</small>");
        }
        page.raw("</th><td>").mark(tone, word).raw("</td><td class=number>");
        number(page, voter.lag);
        page.raw("</td><td class=number>");
        match voter.last_fetch_ago {
            _ if voter.standing == VoterStanding::Leader => page.raw("–"),
            Some(ago) => page.text(Span(ago)),
            None => page.raw("not known"),
        };
        page.raw("</td></tr>");
    }
    page.raw("</tbody></table>").more(voters.len().saturating_sub(MOST_VOTERS));
}

/// A state in a word, and how good it is.
pub fn state(state: QuorumState) -> (Tone, &'static str) {
    match state {
        QuorumState::Unknown => (Tone::Quiet, "not known yet"),
        QuorumState::Forming => (Tone::Quiet, "forming"),
        QuorumState::Healthy => (Tone::Good, "healthy"),
        QuorumState::Degraded => (Tone::Warn, "degraded"),
        QuorumState::MajorityLost => (Tone::Bad, "majority lost"),
        QuorumState::Leaderless => (Tone::Bad, "no leader"),
        QuorumState::Unstable => (Tone::Warn, "unstable"),
        QuorumState::Wedged => (Tone::Bad, "wedged"),
    }
}

fn follows(standing: VoterStanding) -> (Tone, &'static str) {
    match standing {
        VoterStanding::Leader => (Tone::Good, "leads"),
        VoterStanding::CaughtUp => (Tone::Good, "caught up"),
        VoterStanding::Behind => (Tone::Warn, "behind"),
        VoterStanding::Silent => (Tone::Bad, "silent"),
    }
}
