//! What this node is as a broker: as others list it and as the leader hears it.
//!
//! A broker that the controllers have fenced believes itself well, and lists itself as it last knew. So its own answers
//! are taken for two things only: that its listener is open and silent, or closed, and how far its metadata are. A
//! broker alone in its cluster has nobody to list it and is judged by the leader.

use std::time::Duration;

use crate::quorum::history::History;
use crate::quorum::own::DAMPING;
use crate::quorum::own::Own;
use crate::quorum::sighting::BrokerSighting;
use crate::quorum::sighting::Listed;
use crate::quorum::sighting::OwnBroker;
use crate::quorum::timeline::Held;
use crate::quorum::timeline::Mark;
use crate::quorum::timeline::Timeline;
use crate::quorum::timeline::hold;
use crate::quorum::timeline::seconds;
use crate::quorum::view::Broker;
use crate::quorum::view::BrokerStanding;

/// The standing that holds, look by look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerVerdict {
    timeline: Timeline,
    held: Option<Held<BrokerStanding>>,
    silent_since: Option<Mark>,
    fenced_since: Option<Mark>,
    /// Since when the leader does not mention it.
    unmentioned_since: Option<Mark>,
    applied: Option<i64>,
}

/// A broker may be so long behind what was committed. To be absent is noticed after the session timeout of 9 s; one that
/// is there and applies slowly deserves longer: a change of 100,000 partitions takes some 10 s. And it is a quarter of
/// the 120 s (`delivery.timeout.ms`) for which a producer goes on trying.
pub const STALE_AFTER: Duration = Duration::from_secs(30);

/// Two others have to agree where there are two, for one may be cut off itself.
const WITNESSES: usize = 2;

/// What the evidence of one look amounts to.
enum Evidence {
    Serves(String),
    Fenced(String),
    Nothing,
}

impl BrokerVerdict {
    /// Judges after a look at the brokers, with what is known of the controllers.
    pub fn judge(&mut self, sighting: &BrokerSighting, history: &History, own: &Own) -> Broker {
        self.timeline.advance(sighting.at);
        let now = self.timeline.now();
        self.take(sighting);
        let (standing, from, sentence) = match sighting.own {
            Some(OwnBroker::Closed) => {
                (BrokerStanding::Starting, now, "its listeners are not open yet".to_owned())
            }
            Some(OwnBroker::Silent) if self.is_frozen(own) => {
                let since = self.silent_since.unwrap_or(now);
                let age = seconds(self.timeline.age(since));
                let sentence = format!("its listener takes connections and has answered none for {age}");
                (BrokerStanding::Frozen, since, sentence)
            }
            Some(OwnBroker::Answers { .. } | OwnBroker::Silent) | None => {
                self.by_others(sighting, history, own)
            }
        };
        let since = hold(&mut self.held, standing, from);
        Broker { standing, sentence, since: self.timeline.date(since), metadata_lag: self.lag(history) }
    }

    fn take(&mut self, sighting: &BrokerSighting) {
        let now = self.timeline.now();
        match sighting.own {
            Some(OwnBroker::Silent) => self.silent_since = self.silent_since.or(Some(now)),
            Some(OwnBroker::Answers { applied }) => (self.silent_since, self.applied) = (None, applied),
            Some(OwnBroker::Closed) => (self.silent_since, self.applied) = (None, None),
            None => {}
        }
    }

    fn is_frozen(&self, own: &Own) -> bool {
        self.silent_since.is_some_and(|since| self.timeline.age(since) >= own.frozen_after())
    }

    fn by_others(
        &mut self,
        sighting: &BrokerSighting,
        history: &History,
        own: &Own,
    ) -> (BrokerStanding, Mark, String) {
        let now = self.timeline.now();
        let before = self.held.as_ref().map_or(BrokerStanding::Unknown, |held| held.value);
        match self.evidence(sighting, history, own) {
            Evidence::Fenced(sentence) => {
                let since = *self.fenced_since.get_or_insert(now);
                let is_fresh = serves(before) && self.timeline.age(since) < DAMPING;
                let standing = if is_fresh { before } else { BrokerStanding::Fenced };
                (standing, since, sentence)
            }
            Evidence::Serves(sentence) => {
                self.fenced_since = None;
                self.fresh_or_stale(history, sentence)
            }
            // Only a leader fences. While there is none, or a new one that has had no time to miss it, what was known
            // last is still so.
            Evidence::Nothing if serves(before) => {
                (before, now, "nobody contradicts what was last said of it: that it serves".to_owned())
            }
            Evidence::Nothing => {
                self.fenced_since = None;
                let sentence = "neither the leader nor another broker says anything of it".to_owned();
                (BrokerStanding::Unknown, now, sentence)
            }
        }
    }

    fn evidence(&mut self, sighting: &BrokerSighting, history: &History, own: &Own) -> Evidence {
        let now = self.timeline.now();
        let others = || sighting.listed_by.iter().filter(|(node_id, _)| *node_id != own.node_id);
        let (fenced, all): (usize, usize) =
            others().fold((0, 0), |(fenced, all), (_, listed)| match listed {
                Listed::Fenced => (fenced + 1, all + 1),
                Listed::Unfenced => (fenced, all + 1),
            });
        let heard = self.heard(history, own, now);
        if let Some(Err(silence)) = &heard {
            return Evidence::Fenced(silence.clone());
        }
        // With one witness less than there could be, what the leader hears decides.
        let wanted = own.other_brokers().clamp(1, WITNESSES);
        let unfenced = all - fenced;
        let listed = format!("{unfenced} of {all} other brokers list it as one that serves");
        match (heard, fenced, unfenced) {
            (_, fenced, unfenced) if fenced >= wanted && fenced > unfenced => {
                Evidence::Fenced(format!("{fenced} of {all} other brokers list it as fenced"))
            }
            (Some(Ok(heard)), _, 1..) => Evidence::Serves(format!("{listed}, and {heard}")),
            (Some(Ok(heard)), 0, 0) => {
                Evidence::Serves(format!("{heard}, and no other broker was there to ask"))
            }
            (Some(Ok(heard)), _, 0) => Evidence::Serves(format!("{heard}, though {listed}")),
            (None, 0, 1..) => Evidence::Serves(format!("{listed}; no leader says anything of it")),
            (None, _, _) if unfenced > fenced => {
                Evidence::Serves(format!("{listed}; no leader says anything of it"))
            }
            (Some(Err(_)) | None, _, _) => Evidence::Nothing,
        }
    }

    /// Whether the leader hears of it, as a voter or an observer; `None` where no leader answers or it may not have had
    /// the time yet.
    fn heard(&mut self, history: &History, own: &Own, now: Mark) -> Option<Result<String, String>> {
        let reading = history.reading().filter(|_| history.without_since().is_none());
        let Some(reading) = reading else {
            self.unmentioned_since = None;
            return None;
        };
        let leader = reading.leader;
        let row = reading.observer.as_ref().or_else(|| reading.voter(own.node_id));
        match row.and_then(|row| row.last_fetch_ago) {
            Some(ago) => {
                self.unmentioned_since = None;
                let sentence = |what: &str| format!("leader {leader} has {what} it {} ago", seconds(ago));
                Some(if ago <= own.session_timeout {
                    Ok(sentence("heard of"))
                } else {
                    Err(format!(
                        "{}, longer than the session of {}",
                        sentence("last heard of"),
                        seconds(own.session_timeout)
                    ))
                })
            }
            None => {
                let since = *self.unmentioned_since.get_or_insert(now);
                let age = self.timeline.age(since);
                (age > own.session_timeout).then(|| Err(format!("leader {leader} has not heard of it")))
            }
        }
    }

    fn fresh_or_stale(&self, history: &History, sentence: String) -> (BrokerStanding, Mark, String) {
        let now = self.timeline.now();
        let behind = self.applied.and_then(|applied| history.watermark().behind_since(applied));
        let age = behind.map(|since| history.timeline().age(since)).unwrap_or_default();
        if age <= STALE_AFTER {
            return (BrokerStanding::Unfenced, now, sentence);
        }
        let lag = self.lag(history).unwrap_or_default();
        let sentence = format!(
            "its metadata have been behind for more than {}, now by {lag} records; {sentence}",
            seconds(STALE_AFTER)
        );
        (BrokerStanding::Stale, now, sentence)
    }

    /// Records that are committed and that it has not applied; the high watermark is one after the last of them.
    fn lag(&self, history: &History) -> Option<u64> {
        let high_watermark = history.last_reading()?.high_watermark?;
        let next = self.applied?.saturating_add(1);
        Some(u64::try_from(high_watermark.saturating_sub(next)).unwrap_or_default())
    }
}

fn serves(standing: BrokerStanding) -> bool {
    match standing {
        BrokerStanding::Unfenced | BrokerStanding::Stale => true,
        BrokerStanding::Unknown
        | BrokerStanding::Starting
        | BrokerStanding::Fenced
        | BrokerStanding::Frozen => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::node_id::NodeId;
    use crate::quorum::sighting::Answer;
    use crate::quorum::sighting::Asked;
    use crate::quorum::sighting::Sighting;
    use crate::quorum::testing::asked;
    use crate::quorum::testing::at;
    use crate::quorum::testing::info;
    use crate::quorum::testing::node;
    use crate::quorum::testing::own;

    struct Watch {
        own: Own,
        history: History,
        verdict: BrokerVerdict,
        second: u64,
    }

    /// What the leader says of broker 101.
    #[derive(Clone, Copy)]
    enum Leader {
        /// Heard of it so many milliseconds ago.
        Heard(i64),
        Nothing,
        Away,
    }

    impl Watch {
        fn of(brokers: &[i32]) -> Self {
            let own = Own { brokers: brokers.iter().map(|id| node(*id)).collect(), ..own(101) };
            Self { own, history: History::default(), verdict: BrokerVerdict::default(), second: 0 }
        }

        /// For so many seconds: what the own listener says (a answers with all, A with the offset 10, c closed, s silent,
        /// n not asked), how the others list it (u unfenced, f fenced), what the leader says.
        fn see(&mut self, seconds: u64, port: char, others: &str, leader: Leader) -> Broker {
            let mut last = None;
            for _ in 0..seconds {
                self.second += 1;
                let high_watermark = 1_000 + 2 * i64::try_from(self.second).unwrap();
                let mut said = info(1, 7, high_watermark, &[(1, 0), (2, 200), (3, 200)]);
                let controllers = match leader {
                    Leader::Heard(ago) => {
                        said.observers[0].last_fetch_timestamp_ms = Some(1_000_000 - ago);
                        vec![said]
                    }
                    Leader::Nothing => {
                        said.observers.clear();
                        vec![said]
                    }
                    Leader::Away => vec![],
                };
                let leads = |info| Asked {
                    node_id: Some(node(1)),
                    address: "host1:9093".to_owned(),
                    answer: Answer::Leads(info),
                };
                let mut controllers: Vec<_> = controllers.into_iter().map(leads).collect();
                if controllers.is_empty() {
                    controllers = asked("ccc");
                }
                self.history.take(&Sighting { at: at(self.second), controllers }, &self.own);
                let listed = |(id, listed): (i32, char)| -> (NodeId, Listed) {
                    (node(id), if listed == 'u' { Listed::Unfenced } else { Listed::Fenced })
                };
                let sighting = BrokerSighting {
                    at: at(self.second),
                    own: match port {
                        'a' => Some(OwnBroker::Answers { applied: Some(high_watermark - 1) }),
                        'A' => Some(OwnBroker::Answers { applied: Some(10) }),
                        'c' => Some(OwnBroker::Closed),
                        's' => Some(OwnBroker::Silent),
                        _ => None,
                    },
                    listed_by: (102..).zip(others.chars()).map(listed).collect(),
                };
                last = Some(self.verdict.judge(&sighting, &self.history, &self.own));
            }
            last.unwrap()
        }
    }

    const HEARD: Leader = Leader::Heard(300);

    #[test]
    fn others_and_the_leader_say_what_a_broker_is() {
        use BrokerStanding::Fenced;
        use BrokerStanding::Starting;
        use BrokerStanding::Unfenced;
        use BrokerStanding::Unknown;
        let (three, one): (&[i32], &[i32]) = (&[101, 102, 103], &[101]);
        for (brokers, port, others, leader, want) in [
            (three, 'a', "uu", HEARD, Unfenced),
            (three, 'n', "uu", HEARD, Unfenced),
            (three, 'c', "ff", HEARD, Starting),
            (three, 'a', "ff", HEARD, Fenced),
            // One that lists it otherwise may be cut off itself.
            (three, 'a', "fu", HEARD, Unfenced),
            (three, 'a', "f", HEARD, Unfenced),
            (three, 'a', "u", HEARD, Unfenced),
            (three, 'a', "", HEARD, Unfenced),
            (three, 'a', "uu", Leader::Away, Unfenced),
            (three, 'a', "ff", Leader::Away, Fenced),
            (three, 'a', "fu", Leader::Away, Unknown),
            (three, 'a', "f", Leader::Away, Unknown),
            // Whatever it says itself.
            (three, 'a', "", Leader::Away, Unknown),
            (three, 'a', "uu", Leader::Heard(9_001), Fenced),
            (three, 'a', "uu", Leader::Heard(9_000), Unfenced),
            (&[101, 102], 'a', "f", HEARD, Fenced),
            (&[101, 102, 103, 104, 105], 'a', "ffuu", HEARD, Unfenced),
            (&[101, 102, 103, 104, 105], 'a', "fffu", HEARD, Fenced),
            (one, 'a', "", HEARD, Unfenced),
            (one, 'a', "", Leader::Heard(10_000), Fenced),
            (one, 'a', "", Leader::Nothing, Unknown),
        ] {
            let found = Watch::of(brokers).see(1, port, others, leader);
            assert_eq!(found.standing, want, "{brokers:?} {port} {others} {}", found.sentence);
        }
    }

    #[test]
    fn a_leader_that_does_not_mention_it_is_believed_after_the_session() {
        let mut watch = Watch::of(&[101]);
        assert_eq!(watch.see(10, 'a', "", Leader::Nothing).standing, BrokerStanding::Unknown);
        assert_eq!(watch.see(1, 'a', "", Leader::Nothing).standing, BrokerStanding::Fenced);
        // A new leader has not heard of it yet.
        assert_eq!(watch.see(1, 'a', "", HEARD).standing, BrokerStanding::Unfenced);
        assert_eq!(watch.see(9, 'a', "", Leader::Nothing).standing, BrokerStanding::Unfenced);
    }

    #[test]
    fn a_moment_changes_nothing_and_what_lasts_is_dated_from_its_beginning() {
        let mut watch = Watch::of(&[101, 102, 103]);
        assert_eq!(watch.see(3, 'a', "uu", HEARD).standing, BrokerStanding::Unfenced);
        assert_eq!(watch.see(3, 'a', "ff", HEARD).standing, BrokerStanding::Unfenced);
        let fenced = watch.see(1, 'a', "ff", HEARD);
        assert_eq!((fenced.standing, fenced.since), (BrokerStanding::Fenced, at(4)));
        assert_eq!(watch.see(1, 'a', "uu", HEARD).standing, BrokerStanding::Unfenced);
        // Frozen: others list it until its session ends.
        assert_eq!(watch.see(5, 's', "uu", HEARD).standing, BrokerStanding::Unfenced);
        let frozen = watch.see(1, 's', "uu", HEARD);
        assert_eq!((frozen.standing, frozen.since), (BrokerStanding::Frozen, at(9)));
        assert_eq!(watch.see(1, 'a', "uu", HEARD).standing, BrokerStanding::Unfenced);
        // The controllers are gone, and every other broker: it stays what it was, as long as it answers.
        assert_eq!(watch.see(300, 'a', "", Leader::Away).standing, BrokerStanding::Unfenced);
        assert_eq!(watch.see(1, 'c', "", Leader::Away).standing, BrokerStanding::Starting);
        assert_eq!(watch.see(1, 'a', "", Leader::Away).standing, BrokerStanding::Unknown);
    }

    #[test]
    fn metadata_are_stale_when_they_have_been_behind_for_half_a_minute() {
        let mut watch = Watch::of(&[101, 102, 103]);
        let fresh = watch.see(40, 'a', "uu", HEARD);
        assert_eq!((fresh.standing, fresh.metadata_lag), (BrokerStanding::Unfenced, Some(0)));
        let mut watch = Watch::of(&[101, 102, 103]);
        assert_eq!(watch.see(31, 'A', "uu", HEARD).standing, BrokerStanding::Unfenced);
        let stale = watch.see(1, 'A', "uu", HEARD);
        assert_eq!((stale.standing, stale.metadata_lag), (BrokerStanding::Stale, Some(1_053)));
        assert_eq!(watch.see(1, 'a', "uu", HEARD).standing, BrokerStanding::Unfenced);
        // Without a leader nothing is committed.
        assert_eq!(watch.see(300, 'a', "uu", Leader::Away).standing, BrokerStanding::Unfenced);
    }
}
