//! All nodes of a cluster on one page: the same look as a node's own, by the same rules.

use std::time::SystemTime;

use crate::health::page::channels;
use crate::health::page::head;
use crate::health::page::html::Html;
use crate::health::page::html::Tone;
use crate::health::page::news;
use crate::health::page::part;
use crate::health::page::quorum;
use crate::health::snapshot::Settings;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::verdict::Verdict;

/// A pod's name, and what its agent says or why it says nothing.
pub type Said = (Text, Result<Snapshot, Text>);

/// What is shown of a large cluster; the rest is a number.
const MOST_NODES: usize = 200;

/// Of so many nodes it is said what wants attention: where all are sick, they are so for one reason.
const MOST_SICK: usize = 10;

/// A sentence for each StatefulSet that has too few pods, or why that is not known.
pub type Missing = Result<Vec<Text>, Text>;

/// The page of a cluster as it is at `now`.
pub fn render(cluster: &Text, said: &[Said], missing: &Missing, now: SystemTime) -> String {
    let mut page = Html::default();
    let verdict = if there_are(missing) { (Tone::Bad, "pods are missing") } else { verdict(said, now) };
    head::top(&mut page, None, cluster, verdict);
    page.raw("</header><main>");
    tiles(&mut page, said, now);
    show_missing(&mut page, missing);
    let sick = || snapshots(said).filter(|one| !one.conditions.is_empty());
    for snapshot in sick().take(MOST_SICK) {
        page.raw("<div class=wide><p class=over>").text(&snapshot.node.pod).raw("</p>");
        news::conditions(&mut page, snapshot, now);
        page.raw("</div>");
    }
    page.more(sick().count().saturating_sub(MOST_SICK));
    page.raw("<section class=wide><h2>Nodes</h2><table class=halves><thead><tr><th scope=col>Pod</th>");
    page.raw("<th scope=col>Shortest life</th></tr></thead><tbody>");
    for one in said.iter().take(MOST_NODES) {
        row(&mut page, one, now);
    }
    page.raw("</tbody></table>").more(said.len().saturating_sub(MOST_NODES)).raw("</section></main>");
    page.raw("<footer><p>As of ").date(now).raw(", refreshed every 10 seconds. It only shows; ");
    page.raw("<code>kubectl kraftlet --help</code> says what can be done.</p></footer></body></html>\n");
    page.finish()
}

fn there_are(missing: &Missing) -> bool {
    missing.as_ref().is_ok_and(|missing| !missing.is_empty())
}

fn show_missing(page: &mut Html, missing: &Missing) {
    match missing {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            page.raw("<section class=wide><h2>Wants attention</h2>");
            for sentence in missing.iter().take(MOST_SICK) {
                page.raw("<article class=bad><h3>PodsMissing</h3><p>").text(sentence).raw("</p></article>");
            }
            page.more(missing.len().saturating_sub(MOST_SICK)).raw("</section>");
        }
        Err(why) => {
            page.raw("<section class=wide><p class=note>Whether pods are missing is not known: ").text(why);
            page.raw("</p></section>");
        }
    }
}

fn snapshots(said: &[Said]) -> impl Iterator<Item = &Snapshot> {
    said.iter().filter_map(|(_, said)| said.as_ref().ok())
}

/// As good as the worst of all; who says nothing is no good news.
fn verdict(said: &[Said], now: SystemTime) -> (Tone, &'static str) {
    if said.iter().any(|(_, said)| said.is_err()) {
        return (Tone::Bad, "not all nodes answer");
    }
    let worst = snapshots(said).map(|one| head::verdict(one.verdict(now)));
    worst.max_by_key(|(tone, _)| *tone).unwrap_or((Tone::Bad, "there are no nodes"))
}

fn tiles(page: &mut Html, said: &[Said], now: SystemTime) {
    page.raw("<dl class=tiles>");
    let healthy = snapshots(said).filter(|one| one.verdict(now) != Verdict::NotHealthy).count();
    let tone = if healthy == said.len() { Tone::Good } else { Tone::Bad };
    head::tile(page, "Healthy nodes", tone, |page| {
        page.number(healthy).raw(" of ").number(said.len());
    });
    page.raw("by their own agents</dd></div>");
    // Whoever has seen the leader last knows best.
    let seen = snapshots(said).filter_map(|one| one.quorum.as_ref()).max_by_key(|seen| seen.seen_at);
    if let Some(seen) = seen {
        let (tone, word) = quorum::state(seen.state);
        head::tile(page, "Quorum", tone, |page| {
            page.raw(word);
        });
        match seen.leader {
            Some(leader) => page.text(format_args!("node {leader} leads")),
            None => page.raw("no leader was seen"),
        };
        page.raw("</dd></div>");
    }
    let lives = snapshots(said).filter_map(|one| Some((one, channels::shortest(one, now)?)));
    if let Some((node, (channel, life))) = lives.min_by_key(|(_, (_, life))| life.not_after) {
        head::tile(page, "Shortest life", life.tone(), |page| {
            page.text(life.words());
        });
        page.text(&node.node.pod).raw(", ").text(&channel.name).raw("</dd></div>");
    }
    let pending = snapshots(said).filter(|one| is_pending(one)).count();
    if pending > 0 {
        head::tile(page, "Restart pending", Tone::Warn, |page| {
            page.number(pending);
        });
        page.raw("their settings have changed</dd></div>");
    }
    page.raw("</dl>");
}

fn is_pending(snapshot: &Snapshot) -> bool {
    snapshot.settings.as_ref().is_some_and(Settings::is_pending)
}

fn row(page: &mut Html, (pod, said): &Said, now: SystemTime) {
    page.raw("<tr><th scope=row>").text(pod).raw("<small>");
    let snapshot = match said {
        Ok(snapshot) => snapshot,
        Err(why) => {
            page.mark(Tone::Bad, "does not answer").raw("</small></th><td><small>").text(why);
            page.raw("</small></td></tr>");
            return;
        }
    };
    let (tone, word) = head::verdict(snapshot.verdict(now));
    page.mark(tone, word);
    if let Some(member) = &snapshot.member {
        let (tone, word) = part::standing(member.standing);
        page.raw(" ").mark(tone, word);
    }
    if is_pending(snapshot) {
        page.raw(" ").mark(Tone::Warn, "restart pending");
    }
    let node = &snapshot.node;
    page.raw("</small><small>").text(format_args!("node {}, {}", node.node_id, node.roles));
    page.raw("</small></th><td>");
    match channels::shortest(snapshot, now) {
        Some((channel, life)) => {
            life.show(page);
            page.raw("<small>").text(&channel.name).raw("</small>");
        }
        None => {
            page.raw("<small>not known</small>");
        }
    }
    page.raw("</td></tr>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;

    #[test]
    fn it_is_as_good_as_the_worst_node_and_nothing_of_theirs_is_markup() {
        let said = |name: &str, said| (Text::new(name), said);
        let all = [said("events-0", Ok(full())), said("events-<1>", Err(Text::new("no <way> to it")))];
        let none = Ok(Vec::new());
        let page = render(&Text::new("events"), &all, &none, at(60));
        assert!(page.contains("<h1>events</h1><p class=\"verdict bad\">not all nodes answer</p>"), "{page}");
        assert!(page.contains("events-&lt;1&gt;") && page.contains("no &lt;way&gt; to it"), "{page}");
        assert!(!page.contains("<1>") && !page.contains("<way>"), "{page}");
        let page = render(&Text::new("events"), &all[..1], &none, at(60));
        let (_, word) = head::verdict(full().verdict(at(60)));
        assert!(page.contains(&format!("\">{word}</p>")), "{page}");
        assert!(render(&Text::new("events"), &[], &none, at(60)).contains("there are no nodes"));
        let missing = Ok(vec![Text::new("StatefulSet <b> has 2 pods; want 3")]);
        let page = render(&Text::new("events"), &all[..1], &missing, at(60));
        assert!(page.contains("<p class=\"verdict bad\">pods are missing</p>"), "{page}");
        assert!(page.contains("StatefulSet &lt;b&gt; has 2 pods; want 3"), "{page}");
        // Who may not look for them has no news of the cluster.
        let page = render(&Text::new("events"), &all[..1], &Err(Text::new("no right")), at(60));
        assert!(
            page.contains(&format!("\">{word}</p>")) && page.contains("is not known: no right"),
            "{page}"
        );
    }
}
