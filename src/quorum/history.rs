//! What the looks have shown over time, as much of it as a verdict needs: a few marks, never a list that grows.
//!
//! Whom to believe. Of several that say they lead, the one of the highest epoch. One of a lower epoch than was seen
//! before was deposed and has not noticed (it was frozen, or cut off): Kafka's own leader notices within 1.5 times the
//! fetch timeout (KAFKA-15489). Where such an answer lasts for longer than an election may, and no higher one is seen,
//! the quorum was made anew or has lost its records: then it is believed, and the loss is told.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::SystemTime;

use crate::kafka::node_id::NodeId;
use crate::quorum::own::Own;
use crate::quorum::presence::Presence;
use crate::quorum::presence::name;
use crate::quorum::sighting::Answer;
use crate::quorum::sighting::Sighting;
use crate::quorum::terms::Terms;
use crate::quorum::timeline::Mark;
use crate::quorum::timeline::Timeline;
use crate::quorum::voters::Reading;
use crate::quorum::voters::fetching;
use crate::quorum::voters::has_all;
use crate::quorum::voters::majority;
use crate::quorum::watermark::Watermark;
use crate::quorum::watermark::WentBack;

/// What the looks have shown, until now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    timeline: Timeline,
    /// The last answer that was believed.
    reading: Option<Reading>,
    read_at: Option<SystemTime>,
    /// Whether the last look had one.
    is_answered: bool,
    without_since: Option<Mark>,
    lagging_since: Option<Mark>,
    watermark: Watermark,
    terms: Terms,
    deposed_since: Option<Mark>,
    own_silent_since: Option<Mark>,
    presence: Presence,
    lost: Option<(Mark, Lost)>,
    refusals: Vec<Refusal>,
    rival: Option<(NodeId, i32)>,
    differs_since: Option<Mark>,
}

/// Signs that committed records are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A leader of a lower epoch than was seen before.
    EpochWentBack {
        /// The epoch seen before.
        from: i32,
        /// The epoch now.
        to: i32,
    },
    /// A high watermark below one seen before.
    HighWatermarkWentBack(WentBack),
}

/// A controller that refuses this agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its node id, or its address.
    pub name: String,
    /// What it said.
    pub sentence: String,
    /// Since when.
    pub since: Mark,
}

/// A sign of a loss is told for a day: whoever comes in the morning still sees it, and nothing takes it back.
const LOSS_TOLD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Refusals that are kept; a sentence of one is cut at so many bytes.
const MOST_REFUSALS: usize = 8;
const MOST_BYTES: usize = 300;

impl History {
    /// Takes one look in.
    pub fn take(&mut self, sighting: &Sighting, own: &Own) {
        self.timeline.advance(sighting.at);
        let now = self.timeline.now();
        let believed = self.believed(sighting, own);
        let voters: BTreeSet<NodeId> = match believed.as_ref().or(self.reading.as_ref()) {
            Some(reading) => reading.voters.iter().map(|voter| voter.node_id).collect(),
            None => own.controllers.clone(),
        };
        self.presence = Presence::of(&sighting.controllers, &voters);
        self.take_own_port(sighting, own);
        self.take_refusals(sighting);
        self.is_answered = believed.is_some();
        let is_followed = believed
            .as_ref()
            .is_some_and(|reading| fetching(&reading.voters) >= majority(reading.voters.len()));
        let had_none = self.without_since.is_some() || self.reading.is_none();
        self.without_since = if is_followed { None } else { self.without_since.or(Some(now)) };
        if let Some(reading) = believed {
            self.terms.take(self.reading.as_ref().map(|before| before.epoch), reading.epoch, now);
            if let Err(back) = self.watermark.take(&reading, had_none, &self.timeline) {
                self.lost = Some((now, Lost::HighWatermarkWentBack(back)));
            }
            let all_follow = reading.voters.iter().all(|voter| has_all(voter.standing));
            self.differs_since =
                if voters_differ(&reading, own) { self.differs_since.or(Some(now)) } else { None };
            self.lagging_since = if all_follow { None } else { self.lagging_since.or(Some(now)) };
            self.reading = Some(reading);
            self.read_at = Some(sighting.at);
        }
        self.terms.judge(&self.timeline);
    }

    /// The answer to go by, of this look.
    fn believed(&mut self, sighting: &Sighting, own: &Own) -> Option<Reading> {
        let mut readings: Vec<_> = sighting
            .controllers
            .iter()
            .filter_map(|one| match &one.answer {
                Answer::Leads(info) => Reading::of(info, own),
                Answer::Follows
                | Answer::NotAsked
                | Answer::Refuses(_)
                | Answer::Silent(_)
                | Answer::Closed(_)
                | Answer::Away(_) => None,
            })
            .collect();
        let known = self.reading.as_ref().map(|reading| (reading.leader, reading.epoch));
        // Of one epoch, the leader that was known before; raft has no second one.
        readings.sort_by_key(|reading| (reading.epoch, known == Some((reading.leader, reading.epoch))));
        let best = readings.pop();
        self.rival = best.as_ref().and_then(|best| {
            let is_rival = |one: &&Reading| one.epoch == best.epoch && one.leader != best.leader;
            readings.iter().find(is_rival).map(|rival| (rival.leader, rival.epoch))
        });
        let best = best?;
        match known {
            Some((_, epoch)) if best.epoch < epoch => {
                let since = *self.deposed_since.get_or_insert(self.timeline.now());
                if self.timeline.age(since) < own.election_grace() {
                    return None;
                }
                self.lost = Some((since, Lost::EpochWentBack { from: epoch, to: best.epoch }));
                self.terms = Terms::default();
                self.watermark = Watermark::default();
                self.reading = None;
            }
            Some(_) | None => {}
        }
        self.deposed_since = None;
        Some(best)
    }

    fn take_own_port(&mut self, sighting: &Sighting, own: &Own) {
        let now = self.timeline.now();
        let asked = sighting.controllers.iter().find(|one| one.node_id == Some(own.node_id));
        match asked.map(|one| &one.answer) {
            Some(Answer::Silent(_)) => self.own_silent_since = self.own_silent_since.or(Some(now)),
            Some(
                Answer::Leads(_) | Answer::Follows | Answer::Refuses(_) | Answer::Closed(_) | Answer::Away(_),
            ) => self.own_silent_since = None,
            // No news.
            Some(Answer::NotAsked) | None => {}
        }
    }

    fn take_refusals(&mut self, sighting: &Sighting) {
        let now = self.timeline.now();
        let before = std::mem::take(&mut self.refusals);
        let since = |name: &str| before.iter().find(|one| one.name == name).map_or(now, |one| one.since);
        for one in &sighting.controllers {
            if let Answer::Refuses(sentence) = &one.answer
                && self.refusals.len() < MOST_REFUSALS
            {
                let name = name(one);
                let end = sentence.floor_char_boundary(MOST_BYTES);
                let sentence = sentence.get(..end).unwrap_or_default().to_owned();
                self.refusals.push(Refusal { since: since(&name), name, sentence });
            }
        }
        // Once a leader has answered nobody else is asked: no news of those.
        let not_asked: Vec<_> =
            sighting.controllers.iter().filter(|one| one.answer == Answer::NotAsked).map(name).collect();
        let kept = before.into_iter().filter(|one| not_asked.contains(&one.name));
        self.refusals.extend(kept);
        self.refusals.truncate(MOST_REFUSALS);
    }

    /// Time, as the looks have it.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Whether the quorum ever had a leader, as far as this agent knows.
    pub fn has_formed(&self, own: &Own) -> bool {
        own.formed || self.reading.is_some()
    }

    /// The last answer of a leader that was believed, old as it may be.
    pub fn last_reading(&self) -> Option<&Reading> {
        self.reading.as_ref()
    }

    /// The answer of the last look.
    pub fn reading(&self) -> Option<&Reading> {
        self.reading.as_ref().filter(|_| self.is_answered)
    }

    /// When a leader last answered.
    pub fn read_at(&self) -> Option<SystemTime> {
        self.read_at
    }

    /// Since when no leader answers that a majority follows.
    pub fn without_since(&self) -> Option<Mark> {
        self.without_since
    }

    /// Since when some voter does not follow, or is behind.
    pub fn lagging_since(&self) -> Option<Mark> {
        self.lagging_since
    }

    /// The high watermark over time.
    pub fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// The leaders of the last minute.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Since when this node's own controller port is open and silent.
    pub fn own_silent_since(&self) -> Option<Mark> {
        self.own_silent_since
    }

    /// Who of the controllers was there in the last look.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// How many voters there are: as the leader last said, else by the settings, else those that were asked.
    pub fn voters(&self, own: &Own) -> usize {
        match &self.reading {
            Some(reading) => reading.voters.len(),
            None if own.controllers.is_empty() => self.presence.count(),
            None => own.controllers.len(),
        }
    }

    /// A sign that committed records are gone, and since when.
    pub fn lost(&self) -> Option<(Mark, Lost)> {
        self.lost.filter(|(mark, _)| self.timeline.age(*mark) < LOSS_TOLD_FOR)
    }

    /// Controllers that refuse this agent.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Another that leads in the same epoch, which cannot be in one quorum.
    pub fn rival(&self) -> Option<(NodeId, i32)> {
        self.rival
    }

    /// Since when the leader counts other voters than the settings have controllers, this node left aside.
    pub fn differs_since(&self) -> Option<Mark> {
        self.differs_since
    }
}

fn voters_differ(reading: &Reading, own: &Own) -> bool {
    let is_other = |node_id: &&NodeId| **node_id != own.node_id;
    let voters: BTreeSet<_> = reading.voters.iter().map(|voter| &voter.node_id).filter(is_other).collect();
    !own.controllers.is_empty() && voters != own.controllers.iter().filter(is_other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::sighting::Asked;
    use crate::quorum::testing::asked;
    use crate::quorum::testing::at;
    use crate::quorum::testing::info;
    use crate::quorum::testing::node;
    use crate::quorum::testing::own;

    fn leads(id: i32, epoch: i32) -> Asked {
        let mut asked = asked("f").remove(0);
        asked.node_id = Some(node(id));
        asked.answer = Answer::Leads(info(id, epoch, 100, &[(1, 0), (2, 0), (3, 0)]));
        asked
    }

    #[test]
    fn of_several_leaders_the_highest_epoch_is_believed_and_two_of_one_epoch_are_told() {
        for (answers, want_leader, want_rival) in [
            (vec![leads(1, 7)], 1, None),
            (vec![leads(1, 7), leads(2, 8)], 2, None),
            (vec![leads(2, 8), leads(1, 7)], 2, None),
            (vec![leads(1, 7), leads(1, 7)], 1, None),
            (vec![leads(3, 7), leads(1, 7)], 1, Some((node(3), 7))),
            (vec![leads(1, 7), leads(3, 7)], 1, Some((node(3), 7))),
        ] {
            let mut history = History::default();
            history.take(&Sighting { at: at(0), controllers: vec![leads(1, 7)] }, &own(3));
            history.take(&Sighting { at: at(1), controllers: answers.clone() }, &own(3));
            assert_eq!(
                history.reading().map(|reading| reading.leader),
                Some(node(want_leader)),
                "{answers:?}"
            );
            assert_eq!(history.rival(), want_rival, "{answers:?}");
        }
    }

    #[test]
    fn refusals_are_dated_bounded_and_kept_while_nobody_else_is_asked() {
        let mut history = History::default();
        let mut take = |seconds, seen: &str| {
            history.take(&Sighting { at: at(seconds), controllers: asked(seen) }, &own(3));
            let found = history.refusals().iter();
            found.map(|one| (one.name.clone(), history.timeline().date(one.since))).collect::<Vec<_>>()
        };
        assert_eq!(take(0, "frf"), [("2".to_owned(), at(0))]);
        assert_eq!(take(1, "nnn"), [("2".to_owned(), at(0))]);
        assert_eq!(take(2, "frr"), [("2".to_owned(), at(0)), ("3".to_owned(), at(2))]);
        assert_eq!(take(3, "ffn"), [("3".to_owned(), at(2))]);
        assert_eq!(take(4, &"r".repeat(40)).len(), MOST_REFUSALS);
        assert_eq!(take(5, "fff"), []);
        let mut long = asked("r");
        long[0].answer = Answer::Refuses("é".repeat(1_000));
        history.take(&Sighting { at: at(6), controllers: long }, &own(3));
        assert_eq!(history.refusals()[0].sentence.len(), MOST_BYTES);
    }
}
