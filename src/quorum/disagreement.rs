//! Do the nodes see the same quorum?
//!
//! Each agent asks for itself, and a leader has one epoch and one list of voters. Where two agents both hear a leader and
//! tell different things for longer than an election takes, the cluster is torn, or was formed twice.

use std::collections::BTreeMap;

use crate::kafka::node_id::NodeId;
use crate::quorum::view::Quorum;

/// More different quorums than anybody reads of.
const MOST: usize = 3;

/// What the quorum is to one node: leader, epoch and voters.
type Seen = (Option<NodeId>, Option<i32>, Vec<NodeId>);

/// How the nodes differ, in a sentence; `None` where all that hear a leader tell the same.
pub fn disagreement<'a>(nodes: impl Iterator<Item = (NodeId, &'a Quorum)>) -> Option<String> {
    let mut seen: BTreeMap<Seen, Vec<String>> = BTreeMap::new();
    // Without a leader that answers now, what is told is history.
    for (node_id, quorum) in nodes.filter(|(_, quorum)| quorum.spare.is_some()) {
        let voters = quorum.voters.iter().map(|voter| voter.node_id).collect();
        seen.entry((quorum.leader, quorum.epoch, voters)).or_default().push(node_id.to_string());
    }
    let sentences = seen.iter().take(MOST).map(|((leader, epoch, voters), nodes)| {
        let leader = leader.map_or("nobody".to_owned(), |leader| format!("node {leader}"));
        let voters: Vec<_> = voters.iter().map(ToString::to_string).collect();
        let who = match nodes.as_slice() {
            [one] => format!("node {one} sees"),
            several => format!("nodes {} see", several.join(", ")),
        };
        format!(
            "{who} {leader} lead in epoch {} with voters {}",
            epoch.unwrap_or_default(),
            voters.join(", ")
        )
    });
    (seen.len() > 1).then(|| sentences.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::judge::Judge;
    use crate::quorum::sighting::Answer;
    use crate::quorum::sighting::Asked;
    use crate::quorum::sighting::Sighting;
    use crate::quorum::testing::at;
    use crate::quorum::testing::info;
    use crate::quorum::testing::node;
    use crate::quorum::testing::own;

    fn sees(leader: i32, epoch: i32, voters: &[i32]) -> Quorum {
        let voters: Vec<_> = voters.iter().map(|id| (*id, 0)).collect();
        let answer = Answer::Leads(info(leader, epoch, 100, &voters));
        let asked = Asked { node_id: None, address: "host:9093".to_owned(), answer };
        let mut judge = Judge::new(own(1));
        judge.take(&Sighting { at: at(0), controllers: vec![asked] });
        judge.quorum().unwrap().clone()
    }

    #[test]
    fn nodes_that_hear_different_leaders_or_voters_disagree() {
        let mut silent = sees(2, 3, &[1, 2]);
        silent.spare = None;
        for (quorums, want) in [
            (vec![], None),
            (vec![sees(1, 7, &[1, 2, 3])], None),
            (vec![sees(1, 7, &[1, 2, 3]), sees(1, 7, &[3, 2, 1]), silent], None),
            (
                vec![sees(1, 7, &[1, 2, 3]), sees(2, 8, &[1, 2, 3]), sees(2, 8, &[1, 2, 3])],
                Some(
                    "node 11 sees node 1 lead in epoch 7 with voters 1, 2, 3; nodes 12, 13 see node 2 lead in epoch 8 \
                     with voters 1, 2, 3",
                ),
            ),
            (
                vec![sees(1, 7, &[1, 2, 3]), sees(1, 7, &[1, 2, 4])],
                Some(
                    "node 11 sees node 1 lead in epoch 7 with voters 1, 2, 3; node 12 sees node 1 lead in epoch 7 with \
                     voters 1, 2, 4",
                ),
            ),
        ] {
            let found = disagreement((11..).map(node).zip(&quorums));
            assert_eq!(found.as_deref(), want);
        }
    }
}
