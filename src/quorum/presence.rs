//! Who of the controllers is there, and what follows from it while no leader answers.
//!
//! This node sees a part of the network. A leader may hide behind every controller that cannot be reached or that
//! refuses this agent, so silence alone is no verdict: only where those who may hide cannot be a majority, nobody leads.

use std::collections::BTreeSet;

use crate::kafka::node_id::NodeId;
use crate::quorum::sighting::Answer;
use crate::quorum::sighting::Asked;
use crate::quorum::voters::majority;

/// Who is there, each kind by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// Answer, and do not lead.
    pub there: Vec<String>,
    /// Answer, and refuse this agent.
    pub refusing: Vec<String>,
    /// Their port is open, and no answer comes.
    pub silent: Vec<String>,
    /// Nobody listens on their machine.
    pub closed: Vec<String>,
    /// Cannot be reached, or were not asked.
    pub hidden: Vec<String>,
}

/// What follows while no leader answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutLeader {
    /// Enough are there to elect one.
    Leaderless,
    /// Too few are.
    MajorityLost,
    /// Enough cannot be reached to be a quorum that this node does not see.
    CutOff,
    /// Enough refuse this agent, or follow one that does.
    Refused,
}

/// More controllers than any quorum has; each costs a vote in every commit.
const MOST: usize = 64;

impl Presence {
    /// Counts those of `asked` that are `voters`; where no ids are known, all of them.
    pub fn of(asked: &[Asked], voters: &BTreeSet<NodeId>) -> Self {
        let mut presence = Self::default();
        let is_voter =
            |one: &&Asked| voters.is_empty() || one.node_id.is_none_or(|node_id| voters.contains(&node_id));
        for one in asked.iter().filter(is_voter).take(MOST) {
            let kind = match one.answer {
                // One that leads and is not believed is there all the same.
                Answer::Leads(_) | Answer::Follows => &mut presence.there,
                Answer::Refuses(_) => &mut presence.refusing,
                Answer::Silent(_) => &mut presence.silent,
                Answer::Closed(_) => &mut presence.closed,
                Answer::NotAsked | Answer::Away(_) => &mut presence.hidden,
            };
            kind.push(name(one));
        }
        presence
    }

    /// How many were counted.
    pub fn count(&self) -> usize {
        self.kinds().iter().map(|(names, _)| names.len()).sum()
    }

    /// What follows, in a quorum of so many voters.
    pub fn without_leader(&self, voters: usize) -> WithoutLeader {
        let majority = majority(voters);
        let (there, refusing, hidden) = (self.there.len(), self.refusing.len(), self.hidden.len());
        if there >= majority {
            WithoutLeader::Leaderless
        } else if hidden >= majority {
            WithoutLeader::CutOff
        } else if refusing > 0 && there + refusing + hidden >= majority {
            WithoutLeader::Refused
        } else {
            WithoutLeader::MajorityLost
        }
    }

    /// For a person: `1 is there (node 1), 2 are down (nodes 2, 3)`.
    pub fn sentence(&self) -> String {
        let parts: Vec<_> = self
            .kinds()
            .into_iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, word)| {
                let be = if names.len() == 1 { "is" } else { "are" };
                format!("{} {be} {word} ({})", names.len(), names.join(", "))
            })
            .collect();
        if parts.is_empty() { "none was asked".to_owned() } else { parts.join(", ") }
    }

    fn kinds(&self) -> [(&[String], &'static str); 5] {
        [
            (&self.there, "there"),
            (&self.refusing, "refusing this agent"),
            (&self.silent, "silent with an open port"),
            (&self.closed, "down"),
            (&self.hidden, "out of reach"),
        ]
    }
}

/// How a controller is called: by its id where that is known.
pub fn name(asked: &Asked) -> String {
    match asked.node_id {
        Some(node_id) => node_id.to_string(),
        None => asked.address.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::asked;

    #[test]
    fn who_is_there_decides_what_is_lost() {
        use WithoutLeader::CutOff;
        use WithoutLeader::Leaderless;
        use WithoutLeader::MajorityLost;
        use WithoutLeader::Refused;
        // f follows, r refuses, s silent, c closed, a away, n not asked, l leads and is not believed.
        for (seen, want) in [
            ("f", Leaderless),
            ("s", MajorityLost),
            ("c", MajorityLost),
            ("a", CutOff),
            ("r", Refused),
            ("fff", Leaderless),
            ("ffc", Leaderless),
            ("ffa", Leaderless),
            ("ffr", Leaderless),
            ("lfs", Leaderless),
            ("fcc", MajorityLost),
            ("fss", MajorityLost),
            ("fca", MajorityLost),
            ("cca", MajorityLost),
            ("faa", CutOff),
            ("caa", CutOff),
            ("aaa", CutOff),
            ("nnn", CutOff),
            ("frc", Refused),
            ("rrr", Refused),
            ("rcc", MajorityLost),
            ("fc", MajorityLost),
            ("fa", MajorityLost),
            ("ffcc", MajorityLost),
            ("fffc", Leaderless),
            ("ffccc", MajorityLost),
            ("fffcc", Leaderless),
            ("ffaaa", CutOff),
            ("ffaac", MajorityLost),
            ("ffrcc", Refused),
        ] {
            let presence = Presence::of(&asked(seen), &BTreeSet::new());
            assert_eq!(presence.count(), seen.len());
            assert_eq!(presence.without_leader(seen.len()), want, "{seen}");
        }
    }

    #[test]
    fn only_voters_are_counted_and_each_kind_is_named() {
        let voters = [1, 2].map(crate::quorum::testing::node).into();
        let mut some = asked("fcar");
        some[3].node_id = None;
        let presence = Presence::of(&some, &voters);
        assert_eq!(
            presence.sentence(),
            "1 is there (1), 1 is refusing this agent (host4:9093), 1 is down (2)"
        );
        assert_eq!(Presence::default().sentence(), "none was asked");
        let presence = Presence::of(&asked("ccss"), &BTreeSet::new());
        assert_eq!(presence.sentence(), "2 are silent with an open port (3, 4), 2 are down (1, 2)");
    }
}
