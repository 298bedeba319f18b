//! A controller whose metadata log is empty: may its Kafka start, or would committed records be lost?
//!
//! A voter that forgot what it had acknowledged is the one thing Raft does not survive. With `kraft.version` 0 a voter
//! is only a number, so an emptied disk votes as if nothing had happened; together with another voter that lags, it
//! elects a leader without records that were committed, and they are gone (KIP-853 says so as its first motive). With
//! `kraft.version` 1 a voter is a number and a directory id, so a fresh directory is a mere observer, but a kept
//! `meta.properties` beside a lost log votes as before.
//!
//! The rule. Let `n` be the voters, and let *holders* be those whose log is known to reach the high watermark: the
//! leader, and every other voter that has fetched lately and was not behind it. Our own log counts as empty, whatever
//! the leader remembers of it. A leader needs `n/2 + 1` votes, and no holder votes for a log shorter than its own.
//! So if fewer than `n/2 + 1` voters are no holders, nobody without all committed records can be elected, and an
//! empty log may join. With three voters that means: the leader and the other one. Records committed after the answer
//! change nothing, because the leader does not count us before we have fetched them.
//!
//! "Lately" matters: the leader keeps the last offset of a voter that is gone, and that disk may be lost as well. If
//! two disks are lost at once, each of the two nodes sees the other one silent and does not count it.
//!
//! In a young cluster nobody leads yet, and each voter has to start without asking. But where enough others are
//! *there* to elect a leader without us, they either do so in a moment or are an old cluster in between two leaders:
//! then we wait as well. No cluster fails to form by that, because those who are waited for do not need us.
//!
//! A person may decide otherwise, for one node by name (`storage.formatEmptyDiskOf`): then the
//! node begins as in a new cluster, unless a leader of a dynamic quorum is there to be joined. Only a person can, where there is no other controller to ask: its records are gone.
//!
//! What is left, and no rule on one node can see:
//! * `formed: false` kept in the settings of a cluster that has formed. Then silence of the other controllers is taken
//!   for youth. A leader that answers is believed over the settings; a cluster that is down cannot answer.
//! * A disk that went back in time (a restored snapshot of a volume) has a log, only an old one. It looks like a
//!   voter that was away, and Kafka takes it for one.
//! * A deleted `quorum-state` beside an intact log: a vote may be given twice in one epoch. `plan` notes it.
//! * Two dynamic quorums formed from two lists: `plan` compares the list in the first snapshot with the settings'
//!   before the first start.

use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::describe_quorum::ReplicaState;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::DirectoryId;
use crate::storage::wait::Formed;
use crate::storage::wait::Wait;
use crate::storage::wanted::Others;

/// What is known on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// This node.
    pub node_id: NodeId,
    /// Where its voters are named.
    pub voters: VotersIn,
    /// Whether the settings have other controllers.
    pub others: Others,
    /// Whether the cluster is known to hold records, and from what.
    pub formed: Formed,
    /// The id of the directory, where it is formatted already and only the log is missing.
    pub directory_id: Option<DirectoryId>,
}

/// Where the voters of a quorum are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VotersIn {
    /// In the settings: `kraft.version` 0.
    Settings,
    /// In the metadata log: `kraft.version` 1.
    MetadataLog,
}

/// What another controller said when asked for the state of the quorum.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Which one was asked.
    pub from: NodeId,
    /// The quorum as its leader sees it, or why there is no such answer.
    pub said: Result<QuorumInfo, NoAnswer>,
}

/// Why a controller did not tell the state of the quorum; the text says it to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// It is certain that no Kafka was reached there.
    NobodyThere(String),
    /// Somebody is there and is not the leader, or does not speak with us; or this node cannot tell.
    NoLeader(String),
}

/// What may be done with the empty metadata log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmptyDisk {
    /// Go on as if the cluster were new: it is, or this voter can do no harm.
    AsConfigured,
    /// Format without voters and with a fresh directory id: the cluster has voters, and this node asks to join.
    AsObserver,
    /// Not now.
    Wait(Wait),
}

/// A voter that has not fetched for so long is held for gone by the leader itself
/// (`controller.quorum.fetch.timeout.ms`, 2 s by default); a healthy one fetches twice a second.
const LATELY_MS: i64 = 2_000;

/// Decides. `answers` are those of the other controllers; none is needed where the disk is known to do no harm.
pub fn may_use_empty_disk(situation: &Situation, answers: &[Answer]) -> EmptyDisk {
    // First of all: the only controller of a dynamic quorum would be an observer of nobody for ever. But where a
    // leader answers, a fresh directory joins as an observer, and what a person would have accepted is not needed.
    if situation.formed == Formed::LossAccepted {
        let is_fresh = situation.directory_id.is_none();
        let joins = situation.voters == VotersIn::MetadataLog && is_fresh && has_leader(answers);
        return if joins { EmptyDisk::AsObserver } else { EmptyDisk::AsConfigured };
    }
    let has_formed = has_leader(answers) || situation.formed != Formed::NotKnown;
    if !has_formed {
        return young(answers);
    }
    if situation.others == Others::Nobody {
        return EmptyDisk::Wait(Wait::NobodyToAsk { formed: situation.formed.clone() });
    }
    // Nobody can have counted a directory id that does not exist yet.
    if situation.voters == VotersIn::MetadataLog && situation.directory_id.is_none() {
        return EmptyDisk::AsObserver;
    }
    let Some((leader, info)) = leader(answers) else {
        return EmptyDisk::Wait(Wait::NoLeader { formed: situation.formed.clone(), asked: asked(answers) });
    };
    judge(situation, leader, info)
}

/// Nothing says that the cluster has formed, and nobody leads.
fn young(answers: &[Answer]) -> EmptyDisk {
    let is_there = |answer: &&Answer| !matches!(answer.said, Err(NoAnswer::NobodyThere(_)));
    let there = answers.iter().filter(is_there).count();
    let majority = answers.len().saturating_add(1) / 2 + 1;
    if there < majority {
        return EmptyDisk::AsConfigured;
    }
    EmptyDisk::Wait(Wait::LeaderExpected { there, majority, asked: asked(answers) })
}

fn asked(answers: &[Answer]) -> Vec<(NodeId, String)> {
    let why = |answer: &Answer| match &answer.said {
        Ok(_) => "knows no leader".to_owned(),
        Err(NoAnswer::NobodyThere(why) | NoAnswer::NoLeader(why)) => why.clone(),
    };
    answers.iter().map(|answer| (answer.from, why(answer))).collect()
}

/// Whether any controller answers as, or for, a leader. Without us there is one only if the others have elected it,
/// so the cluster has formed, or does so in this moment.
pub fn has_leader(answers: &[Answer]) -> bool {
    leader(answers).is_some()
}

/// The leader of the highest epoch: one that was deposed may answer as well, for a moment.
fn leader(answers: &[Answer]) -> Option<(NodeId, &QuorumInfo)> {
    let infos = answers.iter().filter_map(|answer| answer.said.as_ref().ok());
    infos.filter_map(|info| Some((info.leader_id?, info))).max_by_key(|(_, info)| info.leader_epoch)
}

fn judge(situation: &Situation, leader: NodeId, info: &QuorumInfo) -> EmptyDisk {
    let me = situation.node_id;
    let is_me = |voter: &&ReplicaState| {
        voter.replica_id == me
            && match situation.voters {
                VotersIn::Settings => true,
                VotersIn::MetadataLog => {
                    situation.directory_id.is_some_and(|id| voter.directory_id == Some(id.uuid()))
                }
            }
    };
    if !info.voters.iter().any(|voter| is_me(&voter)) {
        return match situation.voters {
            // The directory does not vote, so it can do no harm.
            VotersIn::MetadataLog => EmptyDisk::AsConfigured,
            // It would vote all the same, and nobody would count it among those who have to agree.
            VotersIn::Settings => EmptyDisk::Wait(Wait::NotAVoter {
                leader,
                voters: info.voters.iter().map(|voter| voter.replica_id).collect(),
            }),
        };
    }
    let epoch = info.leader_epoch;
    let Some(high_watermark) = info.high_watermark else {
        return EmptyDisk::Wait(Wait::NothingCommitted { leader, epoch });
    };
    // All timestamps are the leader's, and its own is the time of the answer.
    let now_ms = info
        .voters
        .iter()
        .find(|voter| voter.replica_id == leader)
        .and_then(|leader| leader.last_fetch_timestamp_ms);
    let mut holders = 0;
    let mut behind = Vec::new();
    for voter in info.voters.iter().filter(|voter| voter.replica_id != me) {
        let is_leader = voter.replica_id == leader;
        match lag(voter, high_watermark, now_ms) {
            Some(lag) if !is_leader => behind.push(format!("voter {} {lag}", voter.replica_id)),
            _ => holders += 1,
        }
    }
    let voters = info.voters.len();
    let needed = voters - voters / 2;
    if holders >= needed {
        return EmptyDisk::AsConfigured;
    }
    EmptyDisk::Wait(Wait::TooFewHolders { leader, epoch, high_watermark, voters, holders, needed, behind })
}

/// What keeps a voter from being counted among the holders, or `None`.
fn lag(voter: &ReplicaState, high_watermark: i64, now_ms: Option<i64>) -> Option<String> {
    match voter.log_end_offset {
        Some(offset) if offset >= high_watermark => {}
        Some(offset) => return Some(format!("has log end offset {offset}")),
        None => return Some("has not fetched".to_owned()),
    }
    let since = voter.last_fetch_timestamp_ms.zip(now_ms).map(|(fetched, now)| now.saturating_sub(fetched));
    match since {
        Some(since_ms) if since_ms <= LATELY_MS => None,
        Some(since_ms) => Some(format!("has not fetched for {since_ms} ms")),
        None => Some("does not say when it last fetched".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: i32) -> NodeId {
        NodeId::try_from(id).unwrap()
    }

    fn directory(number: u8) -> DirectoryId {
        DirectoryId::from_random([number; 16]).unwrap()
    }

    /// Voters as (node id, log end offset, milliseconds of silence); the first one leads.
    fn quorum(epoch: i32, high_watermark: Option<i64>, voters: &[(i32, i64, i64)]) -> Answer {
        let voters: Vec<_> = voters
            .iter()
            .map(|&(id, log_end_offset, silent_ms)| ReplicaState {
                replica_id: node(id),
                directory_id: Some(directory(u8::try_from(id).unwrap()).uuid()),
                log_end_offset: Some(log_end_offset),
                last_fetch_timestamp_ms: Some(5_000_000 - silent_ms),
                last_caught_up_timestamp_ms: None,
            })
            .collect();
        let leader_id = voters.first().map(|leader| leader.replica_id);
        let info =
            QuorumInfo { leader_id, leader_epoch: epoch, high_watermark, voters, observers: Vec::new() };
        Answer { from: node(9), said: Ok(info) }
    }

    fn decide(
        voters: VotersIn,
        formed: Formed,
        directory_id: Option<DirectoryId>,
        answers: &[Answer],
    ) -> &'static str {
        let situation = Situation { node_id: node(1), voters, others: Others::There, formed, directory_id };
        match may_use_empty_disk(&situation, answers) {
            EmptyDisk::AsConfigured => "go",
            EmptyDisk::AsObserver => "observe",
            EmptyDisk::Wait(wait) => wait.reason(),
        }
    }

    #[test]
    fn a_static_voter_goes_on_when_those_without_all_records_cannot_elect_a_leader() {
        const BEHIND: &str = "EmptyDiskOthersBehind";
        for (voters, want) in [
            // Three voters: the leader and the other one, whatever the leader remembers of us.
            (vec![(2, 100, 0), (1, 100, 0), (3, 100, 500)], "go"),
            (vec![(2, 100, 0), (1, 0, 0), (3, 100, 2_000)], "go"),
            (vec![(2, 100, 0), (1, 100, 0), (3, 99, 0)], BEHIND),
            // Its disk may be as empty as ours.
            (vec![(2, 100, 0), (1, 100, 0), (3, 100, 2_001)], BEHIND),
            // Five: two may be lost at once, not three.
            (vec![(2, 100, 0), (1, 0, 0), (3, 100, 0), (4, 100, 0), (5, 0, 9_999)], "go"),
            (vec![(2, 100, 0), (1, 0, 0), (3, 100, 0), (4, 99, 0), (5, 100, 9_999)], BEHIND),
            // Four: a majority is three, so two without are too few to elect.
            (vec![(2, 100, 0), (1, 0, 0), (3, 100, 0), (4, 0, 0)], "go"),
            (vec![(2, 100, 0), (1, 0, 0), (3, 1, 0), (4, 0, 0)], BEHIND),
            // Two: nobody without the leader.
            (vec![(2, 100, 0), (1, 0, 0)], "go"),
            (vec![(2, 100, 0), (3, 100, 0)], "EmptyDiskNotAVoter"),
        ] {
            let answers = [quorum(7, Some(100), &voters)];
            for formed in [Formed::BySettings, Formed::NotKnown, Formed::ByDirectory("/data/1".into())] {
                assert_eq!(decide(VotersIn::Settings, formed, None, &answers), want, "{voters:?}");
            }
            assert_eq!(decide(VotersIn::Settings, Formed::LossAccepted, None, &answers), "go");
        }
    }

    #[test]
    fn silence_is_youth_only_where_nothing_says_that_the_cluster_has_formed() {
        let silent =
            [Answer { from: node(2), said: Err(NoAnswer::NobodyThere("nobody listens".to_owned())) }];
        let mut leaderless = quorum(7, None, &[(2, 100, 0)]);
        if let Ok(info) = &mut leaderless.said {
            info.leader_id = None;
        }
        for answers in [&[][..], &silent, &[leaderless]] {
            assert_eq!(decide(VotersIn::Settings, Formed::NotKnown, None, answers), "go");
            assert_eq!(decide(VotersIn::Settings, Formed::BySettings, None, answers), "EmptyDiskNoLeader");
            assert_eq!(decide(VotersIn::MetadataLog, Formed::NotKnown, None, answers), "go");
            assert_eq!(decide(VotersIn::MetadataLog, Formed::BySettings, None, answers), "observe");
        }
        let young = [quorum(1, None, &[(2, 1, 0), (3, 1, 0), (1, 0, 0)])];
        assert_eq!(decide(VotersIn::Settings, Formed::NotKnown, None, &young), "EmptyDiskNothingCommitted");
    }

    #[test]
    fn a_young_voter_waits_where_the_others_can_elect_a_leader_without_it() {
        let nobody = |from| Answer { from: node(from), said: Err(NoAnswer::NobodyThere("gone".to_owned())) };
        let there =
            |from| Answer { from: node(from), said: Err(NoAnswer::NoLeader("not leader".to_owned())) };
        for (answers, want) in [
            (vec![nobody(2), nobody(3)], "go"),
            (vec![nobody(2), there(3)], "go"),
            (vec![there(2), there(3)], "EmptyDiskLeaderExpected"),
            (vec![there(2)], "go"),
            (vec![there(2), there(3), nobody(4), nobody(5)], "go"),
            (vec![there(2), there(3), there(4), nobody(5)], "EmptyDiskLeaderExpected"),
        ] {
            for voters in [VotersIn::Settings, VotersIn::MetadataLog] {
                assert_eq!(decide(voters, Formed::NotKnown, None, &answers), want, "{answers:?}");
            }
        }
    }

    #[test]
    fn the_leader_of_the_highest_epoch_is_believed() {
        let old = quorum(6, Some(10), &[(2, 10, 0), (3, 10, 0), (1, 10, 0)]);
        let new = quorum(7, Some(100), &[(3, 100, 0), (2, 10, 9_000), (1, 0, 0)]);
        for answers in [[old.clone(), new.clone()], [new, old]] {
            assert_eq!(
                decide(VotersIn::Settings, Formed::BySettings, None, &answers),
                "EmptyDiskOthersBehind"
            );
        }
    }

    #[test]
    fn a_dynamic_voter_is_one_by_its_directory_id() {
        let behind = [quorum(7, Some(100), &[(2, 100, 0), (1, 100, 0), (3, 99, 0)])];
        let whole = [quorum(7, Some(100), &[(2, 100, 0), (1, 100, 0), (3, 100, 0)])];
        for (directory_id, answers, want) in [
            (None, &behind, "observe"),
            (Some(directory(50)), &behind, "go"),
            (Some(directory(1)), &behind, "EmptyDiskOthersBehind"),
            (Some(directory(1)), &whole, "go"),
        ] {
            let got = decide(VotersIn::MetadataLog, Formed::BySettings, directory_id, answers);
            assert_eq!(got, want, "{directory_id:?}");
        }
        let kept = Some(directory(1));
        assert_eq!(decide(VotersIn::MetadataLog, Formed::BySettings, kept, &[]), "EmptyDiskNoLeader");
    }

    #[test]
    fn an_only_controller_that_lost_its_disk_is_for_a_person() {
        for voters in [VotersIn::Settings, VotersIn::MetadataLog] {
            for directory_id in [None, Some(directory(1))] {
                let decide = |formed: Formed| {
                    let situation =
                        Situation { node_id: node(1), voters, others: Others::Nobody, formed, directory_id };
                    may_use_empty_disk(&situation, &[])
                };
                assert_eq!(decide(Formed::NotKnown), EmptyDisk::AsConfigured);
                assert_eq!(decide(Formed::LossAccepted), EmptyDisk::AsConfigured);
                for formed in [Formed::BySettings, Formed::ByDirectory("/data/1".into())] {
                    let wait = Wait::NobodyToAsk { formed: formed.clone() };
                    assert!(!wait.may_pass());
                    assert_eq!(decide(formed), EmptyDisk::Wait(wait));
                }
            }
        }
        assert_eq!(
            Wait::NobodyToAsk { formed: Formed::BySettings }.to_string(),
            "the settings say that the cluster has formed, and there is no other controller that could hold its \
             records; whoever accepts that committed records may be lost names the pod in storage.formatEmptyDiskOf"
        );
    }

    #[test]
    fn an_accepted_loss_comes_first() {
        let there =
            |from| Answer { from: node(from), said: Err(NoAnswer::NoLeader("not leader".to_owned())) };
        for voters in [VotersIn::Settings, VotersIn::MetadataLog] {
            assert_eq!(decide(voters, Formed::LossAccepted, None, &[]), "go");
            assert_eq!(decide(voters, Formed::LossAccepted, None, &[there(2), there(3)]), "go");
        }
        let leads = [quorum(7, Some(100), &[(2, 100, 0), (3, 100, 0), (1, 0, 90_000)])];
        assert_eq!(decide(VotersIn::Settings, Formed::LossAccepted, None, &leads), "go");
        assert_eq!(decide(VotersIn::MetadataLog, Formed::LossAccepted, None, &leads), "observe");
    }

    #[test]
    fn each_reason_to_wait_says_the_numbers() {
        let situation = Situation {
            node_id: node(1),
            voters: VotersIn::Settings,
            others: Others::There,
            formed: Formed::BySettings,
            directory_id: None,
        };
        for (answers, want) in [
            (
                vec![],
                "the settings say that the cluster has formed, but no leader answers to say whether the others \
                 hold all its records (none was asked); whoever accepts that committed records may be lost names the \
                 pod in storage.formatEmptyDiskOf",
            ),
            (
                vec![Answer { from: node(2), said: Err(NoAnswer::NobodyThere("nobody listens".to_owned())) }],
                "the settings say that the cluster has formed, but no leader answers to say whether the others \
                 hold all its records (controller 2: nobody listens); whoever accepts that committed records may be \
                 lost names the pod in storage.formatEmptyDiskOf",
            ),
            (
                vec![quorum(
                    7,
                    Some(100),
                    &[(2, 100, 0), (1, 0, 0), (3, 80, 0), (4, 100, 12_000), (5, 100, 0)],
                )],
                "2 of the 4 other voters hold all records up to high watermark 100 of leader 2 in epoch 7; want 3, \
                 so that a majority without them is impossible (voter 3 has log end offset 80; voter 4 has not \
                 fetched for 12000 ms); whoever accepts that committed records may be lost names the pod in \
                 storage.formatEmptyDiskOf",
            ),
            (
                vec![quorum(7, None, &[(2, 100, 0), (1, 0, 0)])],
                "leader 2 in epoch 7 does not know yet up to where records are committed; want a high watermark",
            ),
            (
                vec![quorum(7, Some(1), &[(2, 100, 0), (3, 0, 0)])],
                "leader 2 counts the voters 2, 3; want this node among them, as in its own settings",
            ),
        ] {
            match may_use_empty_disk(&situation, &answers) {
                EmptyDisk::Wait(wait) => assert_eq!(wait.to_string(), want),
                other => panic!("{other:?}; want {want}"),
            }
        }
    }
}
