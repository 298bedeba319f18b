//! How the quorum is: from what the looks have shown to one state, a sentence, and since when.
//!
//! In this order. Without a leader that a majority follows, for as long as an election may take, it stays what it was:
//! nobody is woken for a failover. After that, who of the controllers is there decides. With a leader: leaders that come
//! and go, then a high watermark that stands still, then voters that do not follow. A quorum that was whole stays so for
//! a moment; to become whole every voter has to follow.

use crate::quorum::history::History;
use crate::quorum::own::DAMPING;
use crate::quorum::own::Own;
use crate::quorum::presence::WithoutLeader;
use crate::quorum::timeline::Held;
use crate::quorum::timeline::Mark;
use crate::quorum::timeline::hold;
use crate::quorum::timeline::seconds;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::quorum::view::Voter;
use crate::quorum::view::VoterStanding;
use crate::quorum::voters::Reading;
use crate::quorum::voters::caught_up;
use crate::quorum::voters::fetching;
use crate::quorum::voters::has_all;
use crate::quorum::voters::majority;
use crate::quorum::voters::spare;

/// The state that holds, look by look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    held: Option<Held<QuorumState>>,
}

impl Verdict {
    /// Judges after a look; `None` before the first.
    pub fn judge(&mut self, history: &History, own: &Own) -> Option<Quorum> {
        history.timeline().at()?;
        let (state, from, sentence) = match (history.without_since(), history.reading()) {
            (None, Some(reading)) => self.with_leader(history, own, reading),
            (since, reading) => {
                let since = since.unwrap_or(history.timeline().now());
                self.without_leader(history, own, since, reading)
            }
        };
        let since = hold(&mut self.held, state, from);
        let last = history.last_reading();
        Some(Quorum {
            state,
            sentence,
            since: history.timeline().date(since),
            seen_at: history.read_at(),
            leader: last.map(|reading| reading.leader),
            epoch: last.map(|reading| reading.epoch),
            epochs_per_minute: history.terms().epochs(),
            high_watermark: last.and_then(|reading| reading.high_watermark),
            voters: last.map(|reading| reading.voters.clone()).unwrap_or_default(),
            spare: history.reading().map(|reading| spare(&reading.voters)),
        })
    }

    fn state(&self) -> QuorumState {
        self.held.as_ref().map(|held| held.value).unwrap_or_default()
    }

    fn without_leader(
        &self,
        history: &History,
        own: &Own,
        since: Mark,
        reading: Option<&Reading>,
    ) -> (QuorumState, Mark, String) {
        let last = last_leader(history);
        if !history.has_formed(own) {
            let sentence = format!("no leader has been elected yet; {}", present(history, own));
            return (QuorumState::Forming, since, sentence);
        }
        if history.timeline().age(since) < own.election_grace() {
            let grace = seconds(own.election_grace());
            let what = match reading {
                Some(reading) => format!("{}, but too few follow at the moment", leads(reading)),
                None => format!("no leader answers at the moment{last}"),
            };
            let sentence = format!("{what}; an election takes up to {grace}");
            return (self.state(), since, sentence);
        }
        if let Some(reading) = reading {
            let sentence = format!(
                "{} answers, but only {} of {}, and {} are needed{}",
                leads(reading),
                follow(fetching(&reading.voters)),
                voters(reading.voters.len()),
                majority(reading.voters.len()),
                failing(reading),
            );
            return (QuorumState::MajorityLost, since, sentence);
        }
        let (state, words) = match history.presence().without_leader(history.voters(own)) {
            WithoutLeader::Leaderless => {
                (QuorumState::Leaderless, "no leader answers, although enough are there")
            }
            WithoutLeader::MajorityLost => {
                (QuorumState::MajorityLost, "no leader answers, and too few are there to elect one")
            }
            WithoutLeader::CutOff => (
                QuorumState::Unknown,
                "no leader answers, and those that cannot be reached may have one: they are gone, or this node is cut off",
            ),
            WithoutLeader::Refused => {
                (QuorumState::Unknown, "no leader answers, and those that refuse this agent may have one")
            }
        };
        (state, since, format!("{words}: {}{last}", present(history, own)))
    }

    fn with_leader(&self, history: &History, own: &Own, reading: &Reading) -> (QuorumState, Mark, String) {
        let leads = leads(reading);
        if let Some(since) = history.terms().storm_since() {
            let (leaders, epochs) = (history.terms().leaders(), history.terms().epochs());
            let sentence =
                format!("{leads}, and is one of {leaders} leaders within a minute, with {epochs} new epochs");
            return (QuorumState::Unstable, since, sentence);
        }
        if let Some(since) = history.watermark().still_since(own, history.timeline()) {
            return (QuorumState::Wedged, since, wedged(own, reading));
        }
        let all = voters(reading.voters.len());
        let may_fail = match spare(&reading.voters) {
            0 => "none may fail".to_owned(),
            spare => format!("{spare} more may fail"),
        };
        let Some(since) = history.lagging_since() else {
            let now = history.timeline().now();
            return (QuorumState::Healthy, now, format!("{leads}; {all} follow, {may_fail}"));
        };
        let is_fresh = self.state() == QuorumState::Healthy && history.timeline().age(since) < DAMPING;
        let state = if is_fresh { QuorumState::Healthy } else { QuorumState::Degraded };
        let count = caught_up(&reading.voters);
        let sentence = format!("{leads}; {} of {all}, {may_fail}{}", follow(count), failing(reading));
        (state, since, sentence)
    }
}

fn wedged(own: &Own, reading: &Reading) -> String {
    let longer = seconds(own.wedged_after());
    let stands = match reading.high_watermark {
        Some(offset) => format!("its high watermark {offset} has not moved for longer than {longer}"),
        None => format!("it has committed nothing for longer than {longer}"),
    };
    let usual = match own.no_op_interval {
        Some(interval) => format!("; when all is well it moves every {} ms", interval.as_millis()),
        None => "; there are records that wait for it".to_owned(),
    };
    format!("{}, but {stands}{usual}{}", leads(reading), failing(reading))
}

fn leads(reading: &Reading) -> String {
    format!("node {} leads in epoch {}", reading.leader, reading.epoch)
}

fn last_leader(history: &History) -> String {
    history
        .last_reading()
        .map(|last| format!("; node {} led last, in epoch {}", last.leader, last.epoch))
        .unwrap_or_default()
}

/// Who is there, of how many.
fn present(history: &History, own: &Own) -> String {
    let count = history.voters(own);
    format!("of {} {}, and {} are needed", voters(count), history.presence().sentence(), majority(count))
}

fn voters(count: usize) -> String {
    if count == 1 { "1 voter".to_owned() } else { format!("{count} voters") }
}

fn follow(count: usize) -> String {
    if count == 1 { "1 follows".to_owned() } else { format!("{count} follow") }
}

/// Each voter that does not follow, and how far it is.
fn failing(reading: &Reading) -> String {
    let words: Vec<_> =
        reading.voters.iter().filter(|voter| !has_all(voter.standing)).map(how_it_follows).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) }
}

/// `voter 3 has not fetched for 4.2 s`.
pub fn how_it_follows(voter: &Voter) -> String {
    let id = voter.node_id;
    let lag = voter.lag.map_or("an unknown number of".to_owned(), |lag| lag.to_string());
    match (voter.standing, voter.last_fetch_ago) {
        (VoterStanding::Leader, _) => format!("voter {id} leads"),
        (VoterStanding::CaughtUp, _) => format!("voter {id} is caught up"),
        (VoterStanding::Behind, _) => format!("voter {id} is {lag} records behind"),
        (VoterStanding::Silent, Some(ago)) => format!("voter {id} has not fetched for {}", seconds(ago)),
        (VoterStanding::Silent, None) => format!("voter {id} has not fetched from this leader"),
    }
}
