//! The controller quorum in `kraftlet status`: one block, whoever says it, and who says otherwise.

use std::fmt::Write;
use std::time::SystemTime;

use anstyle::Style;

use crate::commands::table;
use crate::commands::table::BOLD;
use crate::commands::table::Cell;
use crate::commands::table::GREEN;
use crate::commands::table::RED;
use crate::commands::table::YELLOW;
use crate::commands::table::date;
use crate::commands::table::none;
use crate::commands::table::span;
use crate::health::probe;
use crate::health::snapshot::Snapshot;
use crate::quorum::disagreement::disagreement;
use crate::quorum::view::BrokerStanding;
use crate::quorum::view::MemberStanding;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::quorum::view::Voter;
use crate::quorum::view::VoterStanding;

/// The quorum in the words of the node that has the newest of them, and then every node's part in it.
pub fn block(snapshots: &[&Snapshot], now: SystemTime) -> String {
    let mut text = String::new();
    if let Some((snapshot, quorum)) = newest(snapshots) {
        let style = style_of(quorum.state);
        let _ = writeln!(
            text,
            "{BOLD}quorum{BOLD:#}: {style}{}{style:#} since {}, as {} sees it: {}",
            quorum.state,
            date(quorum.since),
            snapshot.node.pod,
            quorum.sentence
        );
        let seen = quorum.seen_at.map_or_else(|| "no leader has answered yet".to_owned(), |at| ago(at, now));
        let offset = |offset: i64| format!(", high watermark {offset}");
        if let (Some(leader), Some(epoch)) = (quorum.leader, quorum.epoch) {
            let offset = quorum.high_watermark.map(offset).unwrap_or_default();
            let _ = writeln!(text, "leader {leader}, epoch {epoch}{offset}, {}, seen {seen}", spare(quorum));
        }
        for sentence in disagreements(snapshots) {
            let _ = writeln!(text, "{YELLOW}{sentence}{YELLOW:#}");
        }
        let voters: Vec<_> = quorum.voters.iter().map(voter).collect();
        table::section(&mut text, &table::render(["VOTER", "STANDING", "LAG", "LAST FETCH"], &voters));
    }
    let nodes: Vec<_> = snapshots.iter().filter(|one| knows(one)).map(|one| node(one, now)).collect();
    table::section(&mut text, &table::render(["NODE", "IN THE QUORUM", "AS A BROKER", "READY"], &nodes));
    text
}

/// Where nodes see different quorums, or no leader where another sees one.
///
/// In the second of an election some are behind, and that shows too.
pub fn disagreements(snapshots: &[&Snapshot]) -> Vec<String> {
    let said = || snapshots.iter().filter_map(|one| Some((*one, one.quorum.as_ref()?)));
    let mut sentences = Vec::from_iter(disagreement(said().map(|(one, quorum)| (one.node.node_id, quorum))));
    if said().any(|(_, quorum)| quorum.spare.is_some()) {
        for (snapshot, quorum) in said().filter(|(_, quorum)| quorum.spare.is_none()) {
            let pod = &snapshot.node.pod;
            sentences.push(format!("{pod} sees no leader: {}: {}", quorum.state, quorum.sentence));
        }
    }
    sentences
}

/// The checks of `/readyz` that fail; empty: ready.
pub fn not_ready(snapshot: &Snapshot, now: SystemTime) -> Vec<String> {
    let checks = probe::readyz(snapshot, now);
    let failed = checks.all.iter().filter(|one| !one.ok);
    failed.map(|one| format!("{}: {}", one.name, one.sentence)).collect()
}

/// An agent of the first version says nothing of the quorum, and so nothing can be said of its readiness.
pub fn knows(snapshot: &Snapshot) -> bool {
    snapshot.quorum.is_some() || snapshot.broker.is_some() || snapshot.startup.is_some()
}

/// Of those that see a leader the one of the highest epoch, and of these whoever has seen it last.
fn newest<'a>(snapshots: &[&'a Snapshot]) -> Option<(&'a Snapshot, &'a Quorum)> {
    let said = snapshots.iter().filter_map(|one| Some((*one, one.quorum.as_ref()?)));
    said.max_by_key(|(_, quorum)| (quorum.spare.is_some(), quorum.epoch, quorum.seen_at))
}

fn spare(quorum: &Quorum) -> String {
    let count = quorum.voters.len();
    let voters = if count == 1 { "1 voter".to_owned() } else { format!("{count} voters") };
    match quorum.spare {
        None => voters,
        Some(0) => format!("{voters}, none may fail"),
        Some(spare) => format!("{voters}, {spare} more may fail"),
    }
}

fn voter(voter: &Voter) -> [Cell; 4] {
    let style = match voter.standing {
        VoterStanding::Leader | VoterStanding::CaughtUp => GREEN,
        VoterStanding::Behind => YELLOW,
        VoterStanding::Silent => RED,
    };
    [
        Cell::plain(voter.node_id),
        Cell::styled(voter.standing, style),
        Cell::plain(voter.lag.map_or_else(none, |lag| lag.to_string())),
        Cell::plain(voter.last_fetch_ago.map_or_else(none, |ago| format!("{} ago", span(ago)))),
    ]
}

fn node(snapshot: &Snapshot, now: SystemTime) -> [Cell; 4] {
    let member = snapshot.member.as_ref().map(|member| member.standing);
    let broker = snapshot.broker.as_ref().map(|broker| broker.standing);
    let failed = not_ready(snapshot, now);
    [
        Cell::plain(&snapshot.node.pod),
        Cell::styled(member.map_or_else(none, |one| one.to_string()), member.map_or(Style::new(), of_member)),
        Cell::styled(broker.map_or_else(none, |one| one.to_string()), broker.map_or(Style::new(), of_broker)),
        if failed.is_empty() {
            Cell::styled("yes", GREEN)
        } else {
            Cell::styled(format!("no: {}", failed.join("; ")), RED)
        },
    ]
}

fn style_of(state: QuorumState) -> Style {
    match state {
        QuorumState::Healthy => GREEN,
        QuorumState::Unknown | QuorumState::Forming | QuorumState::Degraded | QuorumState::Unstable => YELLOW,
        QuorumState::MajorityLost | QuorumState::Leaderless | QuorumState::Wedged => RED,
    }
}

fn of_member(standing: MemberStanding) -> Style {
    match standing {
        MemberStanding::Leader | MemberStanding::CaughtUp | MemberStanding::Observer => GREEN,
        MemberStanding::Unknown | MemberStanding::Behind => YELLOW,
        MemberStanding::Silent
        | MemberStanding::Wedged
        | MemberStanding::NotAVoter
        | MemberStanding::LostIdentity
        | MemberStanding::Unseen => RED,
    }
}

fn of_broker(standing: BrokerStanding) -> Style {
    match standing {
        BrokerStanding::Unfenced => GREEN,
        BrokerStanding::Unknown | BrokerStanding::Starting | BrokerStanding::Stale => YELLOW,
        BrokerStanding::Fenced | BrokerStanding::Frozen => RED,
    }
}

fn ago(at: SystemTime, now: SystemTime) -> String {
    format!("{} ago", span(now.duration_since(at).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;
    use crate::health::text::Text;

    fn named(pod: &str) -> Snapshot {
        let mut snapshot = full();
        snapshot.node.pod = Text::new(pod);
        snapshot
    }

    fn quorum(snapshot: &mut Snapshot) -> &mut Quorum {
        snapshot.quorum.as_mut().unwrap()
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn one_block_says_how_the_quorum_is_and_what_each_node_is_in_it() {
        let mut behind = named("demo-1");
        behind.member.as_mut().unwrap().standing = MemberStanding::Behind;
        let got = plain(&block(&[&full(), &behind], at(60)));
        let want = "\
quorum: Degraded since 2027-01-15T08:00:20Z, as demo-1 sees it: 2 of 3 voters follow leader 1 in epoch 7; voter 2 was last heard of 41 s ago
leader 1, epoch 7, high watermark 4711, 3 voters, none may fail, seen 1s ago

VOTER  STANDING  LAG  LAST FETCH
0      CaughtUp  0    0s ago
1      Leader    0    0s ago
2      Silent    -    41s ago

NODE    IN THE QUORUM  AS A BROKER  READY
demo-0  CaughtUp       Unfenced     yes
demo-1  Behind         Unfenced     no: member: Behind: voter 0 has all records of leader 1
";
        assert_eq!(got, want);
    }

    #[test]
    fn an_agent_that_says_nothing_of_the_quorum_is_not_blamed_for_it() {
        let full = full();
        let old = Snapshot::new(full.node.clone(), full.agent.clone());
        assert_eq!(block(&[&old], at(60)), "");
        assert_eq!(disagreements(&[&old, &full]), [""; 0]);
    }

    #[test]
    fn nodes_that_see_another_quorum_are_named() {
        let check = |change: fn(&mut Quorum), want: &[&str]| {
            let mut other = named("demo-1");
            other.node.node_id = 1.try_into().unwrap();
            change(quorum(&mut other));
            assert_eq!(disagreements(&[&full(), &other]), want);
            assert_eq!(disagreements(&[&other, &full()]), want);
        };
        check(
            |quorum| quorum.epoch = Some(6),
            &[
                "node 1 sees node 1 lead in epoch 6 with voters 0, 1, 2; node 0 sees node 1 lead in epoch 7 with voters 0, 1, 2",
            ],
        );
        check(
            |quorum| {
                quorum.spare = None;
                quorum.state = QuorumState::Leaderless;
                quorum.sentence = "nobody answers".to_owned();
            },
            &["demo-1 sees no leader: Leaderless: nobody answers"],
        );
        // What they have seen at other moments is no disagreement.
        check(
            |quorum| {
                quorum.high_watermark = Some(4700);
                quorum.seen_at = Some(at(58));
            },
            &[],
        );
    }
}
