//! A leader's answer, read: how each voter follows, how many may fail, and where this node is in it.
//!
//! Times in the answer are the leader's; its own row has the time of the answer, so only differences are used.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kafka::describe_quorum::QuorumInfo;
use crate::kafka::describe_quorum::ReplicaState;
use crate::kafka::node_id::NodeId;
use crate::quorum::own::Own;
use crate::quorum::view::Voter;
use crate::quorum::view::VoterStanding;

/// What a leader said, as far as anybody needs it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Who leads.
    pub leader: NodeId,
    /// In which epoch.
    pub epoch: i32,
    /// Up to where records are committed.
    pub high_watermark: Option<i64>,
    /// The end of the leader's log.
    pub log_end_offset: Option<i64>,
    /// By node id, each once.
    pub voters: Vec<Voter>,
    /// This node among the observers.
    pub observer: Option<Voter>,
    /// The end of this node's log, voter or observer.
    pub own_log_end_offset: Option<i64>,
}

impl Reading {
    /// Reads an answer; `None` where it names no leader or no voter, so that nothing follows from it.
    pub fn of(info: &QuorumInfo, own: &Own) -> Option<Self> {
        let leader = info.leader_id?;
        let rows = || info.voters.iter().chain(&info.observers);
        let leaders_row = rows().find(|row| row.replica_id == leader);
        // A leader that is about to remove itself is among neither; then the latest of all fetches is the nearest.
        let now_ms = leaders_row
            .and_then(|row| row.last_fetch_timestamp_ms)
            .or_else(|| rows().filter_map(|row| row.last_fetch_timestamp_ms).max());
        let log_end_offset = leaders_row.and_then(|row| row.log_end_offset);
        let high_watermark = info.high_watermark;
        let look = Look { leader, now_ms, log_end_offset, high_watermark, fetch_timeout: own.fetch_timeout };
        let mut voters = BTreeMap::new();
        for row in &info.voters {
            voters.entry(row.replica_id).or_insert_with(|| look.voter(row));
        }
        if voters.is_empty() {
            return None;
        }
        let is_own = |row: &&ReplicaState| row.replica_id == own.node_id;
        // A disk that was replaced leaves a row behind until the leader forgets it.
        let observer = info.observers.iter().filter(is_own).max_by_key(|row| row.last_fetch_timestamp_ms);
        let own_row = observer.or_else(|| info.voters.iter().find(is_own));
        Some(Self {
            leader,
            epoch: info.leader_epoch,
            high_watermark,
            log_end_offset,
            voters: voters.into_values().collect(),
            observer: observer.map(|row| look.voter(row)),
            own_log_end_offset: own_row.and_then(|row| row.log_end_offset),
        })
    }

    /// The voter of this node id.
    pub fn voter(&self, node_id: NodeId) -> Option<&Voter> {
        self.voters.iter().find(|voter| voter.node_id == node_id)
    }
}

struct Look {
    leader: NodeId,
    now_ms: Option<i64>,
    log_end_offset: Option<i64>,
    high_watermark: Option<i64>,
    fetch_timeout: Duration,
}

impl Look {
    fn voter(&self, row: &ReplicaState) -> Voter {
        // A time that the leader's clock has yet to come to is of before that clock was set back. One that fetches has a
        // new time in a moment; one that is gone would look alive until then.
        let ago = |then_ms: Option<i64>| {
            let ms = self.now_ms?.saturating_sub(then_ms?);
            let ahead = Duration::from_millis(u64::try_from(ms.saturating_neg()).unwrap_or_default());
            let ago = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
            (ahead <= self.fetch_timeout).then_some(ago)
        };
        let lag = self
            .log_end_offset
            .zip(row.log_end_offset)
            .map(|(end, own)| u64::try_from(end.saturating_sub(own)).unwrap_or_default());
        let last_fetch_ago = ago(row.last_fetch_timestamp_ms);
        let is_recent = |ago: Option<Duration>| ago.is_some_and(|ago| ago <= self.fetch_timeout);
        // Version 0 has no times: then the offsets have to do.
        let has_all = match self.now_ms {
            Some(_) => lag == Some(0) || is_recent(ago(row.last_caught_up_timestamp_ms)),
            None => row.log_end_offset.zip(self.high_watermark).is_some_and(|(own, high)| own >= high),
        };
        let fetches = match self.now_ms {
            Some(_) => is_recent(last_fetch_ago),
            None => row.log_end_offset.is_some(),
        };
        let standing = match (row.replica_id == self.leader, fetches, has_all) {
            (true, _, _) => VoterStanding::Leader,
            (false, false, _) => VoterStanding::Silent,
            (false, true, true) => VoterStanding::CaughtUp,
            (false, true, false) => VoterStanding::Behind,
        };
        Voter { node_id: row.replica_id, directory_id: row.directory_id, standing, lag, last_fetch_ago }
    }
}

/// How many of so many voters must agree.
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Those that have all there was: only they can commit another record at once.
pub fn caught_up(voters: &[Voter]) -> usize {
    voters.iter().filter(|voter| has_all(voter.standing)).count()
}

/// Those that the leader has heard of lately, behind or not: as long as they are a majority, it goes on leading.
pub fn fetching(voters: &[Voter]) -> usize {
    voters.iter().filter(|voter| voter.standing != VoterStanding::Silent).count()
}

/// How many more voters may fail: those that have all there was, less the majority.
pub fn spare(voters: &[Voter]) -> u32 {
    let spare = caught_up(voters).saturating_sub(majority(voters.len()));
    u32::try_from(spare).unwrap_or(u32::MAX)
}

/// Whether a voter leads or is caught up.
pub fn has_all(standing: VoterStanding) -> bool {
    match standing {
        VoterStanding::Leader | VoterStanding::CaughtUp => true,
        VoterStanding::Behind | VoterStanding::Silent => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::testing::info;
    use crate::quorum::testing::node;
    use crate::quorum::testing::own;

    /// Voters as (node id, log end offset, ms since the last fetch, ms since caught up); the first leads.
    fn check(voters: &[(i32, i64, i64, i64)], want_standings: &str, want_spare: u32) {
        let mut info = info(1, 7, 100, &[]);
        info.leader_id = voters.first().map(|voter| node(voter.0));
        info.voters = voters
            .iter()
            .map(|&(id, end, fetched, caught_up)| ReplicaState {
                replica_id: node(id),
                directory_id: None,
                log_end_offset: Some(end).filter(|end| *end >= 0),
                last_fetch_timestamp_ms: Some(1_000_000 - fetched).filter(|_| fetched >= 0),
                last_caught_up_timestamp_ms: Some(1_000_000 - caught_up).filter(|_| caught_up >= 0),
            })
            .collect();
        let reading = Reading::of(&info, &own(1)).unwrap();
        let standings: String = reading
            .voters
            .iter()
            .map(|voter| match voter.standing {
                VoterStanding::Leader => 'L',
                VoterStanding::CaughtUp => 'c',
                VoterStanding::Behind => 'b',
                VoterStanding::Silent => 's',
            })
            .collect();
        assert_eq!((standings.as_str(), spare(&reading.voters)), (want_standings, want_spare), "{voters:?}");
    }

    #[test]
    fn the_leaders_rows_say_who_follows_and_how_many_may_fail() {
        let (leads, follows, silent) = ((1, 100, 0, 0), |id| (id, 99, 300, 300), |id| (id, 90, 2_001, 2_001));
        check(&[leads], "L", 0);
        check(&[leads, follows(2), follows(3)], "Lcc", 1);
        check(&[leads, silent(2), follows(3)], "Lsc", 0);
        check(&[leads, silent(2), silent(3)], "Lss", 0);
        check(&[leads, follows(2), follows(3), follows(4)], "Lccc", 1);
        check(&[leads, follows(2), follows(3), follows(4), follows(5)], "Lcccc", 2);
        check(&[leads, follows(2), silent(3), follows(4), follows(5)], "Lcscc", 1);
        // Fetches, and was last caught up a minute ago, or never, but has all.
        check(&[leads, (2, 40, 100, 60_000), (3, 40, 100, -1)], "Lbb", 0);
        check(&[leads, (2, 100, 100, 60_000), (3, -1, -1, -1)], "Lcs", 0);
        // A fetch after the answer, and one exactly as long ago as is allowed.
        check(&[leads, (2, 101, -500, -500), (3, 99, 2_000, 2_000)], "Lsc", 0);
        // The leader's clock was set back by an hour.
        check(&[leads, (2, 99, -3_600_000, -3_600_000), follows(3)], "Lsc", 0);
        // The same voter twice, in disorder.
        check(&[(3, 100, 0, 0), follows(2), silent(2), follows(1)], "ccL", 1);
    }

    #[test]
    fn without_times_offsets_have_to_do() {
        let mut info = info(1, 7, 100, &[(1, 0), (2, 0), (3, 0)]);
        info.observers.clear();
        for (row, end) in info.voters.iter_mut().zip([Some(101), Some(99), None]) {
            (row.log_end_offset, row.last_fetch_timestamp_ms, row.last_caught_up_timestamp_ms) =
                (end, None, None);
        }
        let standings: Vec<_> =
            Reading::of(&info, &own(1)).unwrap().voters.iter().map(|voter| voter.standing).collect();
        assert_eq!(standings, [VoterStanding::Leader, VoterStanding::Behind, VoterStanding::Silent]);
    }

    #[test]
    fn an_answer_without_leader_or_voters_says_nothing() {
        assert_eq!(Reading::of(&info(1, 7, 100, &[]), &own(1)), None);
        let mut nobody_leads = info(1, 7, 100, &[(1, 0)]);
        nobody_leads.leader_id = None;
        assert_eq!(Reading::of(&nobody_leads, &own(1)), None);
    }
}
