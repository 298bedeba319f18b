//! A cluster's CA as time goes by: the next move.
//!
//! Nobody who trusts only the old CA may meet a leaf of the new one, and nobody who still has a leaf of the old one may
//! be cut off. So a CA that is due is replaced in stages, and each has its dates:
//!
//! | stage | trusted | signs | ends |
//! |---|---|---|---|
//! | one CA | it | it | at its renew point: the next one is made |
//! | two, not known yet | both | the old one | when both have been published |
//! | two | both | the old one | after `trusted_first`, in which every pod asks for trust many times |
//! | two | both | the new one | when the last leaf of the old one has expired |
//!
//! The stage is data in the CA's Secret and nowhere else, so whoever leads goes on where another stopped.

use std::time::Duration;
use std::time::SystemTime;

use crate::pki::renew_point::RenewPoint;
use crate::pki::validity::Validity;

/// Where a CA stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stages {
    /// Of the CA that signs.
    pub signing: Validity,
    /// No leaf of it that was ever signed lives longer; `None` where none was.
    pub leaves_until: Option<SystemTime>,
    /// The one that will take its place.
    pub next: Option<Next>,
    /// No leaf of a CA that signed before lives longer; `None` where no such CA is trusted.
    pub old_until: Option<SystemTime>,
}

/// A CA that does not sign yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Its dates.
    pub validity: Validity,
    /// Since when it is published beside the other one; `None` before.
    pub trusted_since: Option<SystemTime>,
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetable {
    /// The life of a CA.
    pub lifetime: Duration,
    /// When it is due.
    pub renew_point: RenewPoint,
    /// For how long the next one is trusted before it signs.
    pub trusted_first: Duration,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// A new CA is made, and stored as the next one.
    MakeNext,
    /// The next one is published; then the time is noted.
    Publish,
    /// The next one signs from now on.
    Switch,
    /// The old one is trusted no more.
    DropOld,
    /// Nothing before this.
    Rest {
        /// When to look again.
        until: SystemTime,
    },
}

/// Clocks of pods may be behind ours: what has expired here may be in use there for as long.
pub const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(60 * 60);

/// The next move.
pub fn next_move(stages: &Stages, timetable: &Timetable, now: SystemTime) -> Move {
    let later = |at: SystemTime, by: Duration| at.checked_add(by).unwrap_or(at);
    let (change, at) = match stages.next {
        None => (Move::MakeNext, timetable.renew_point.of(stages.signing)),
        Some(Next { trusted_since: None, .. }) => return Move::Publish,
        // A CA past its end signs nothing that anybody takes: then waiting longer helps nobody.
        Some(Next { trusted_since: Some(since), .. }) => {
            (Move::Switch, later(since, timetable.trusted_first).min(stages.signing.not_after))
        }
    };
    if at <= now {
        return change;
    }
    match stages.old_until.map(|until| later(until, CLOCKS_DIFFER_BY)) {
        Some(until) if until <= now => Move::DropOld,
        Some(until) => Move::Rest { until: until.min(at) },
        None => Move::Rest { until: at },
    }
}

/// A move that was made, as a word and a sentence; nothing for one that only waits.
pub fn told(done: Move, trusted_first: Duration) -> Option<(&'static str, String)> {
    let hours = trusted_first.as_secs().div_ceil(60 * 60);
    match done {
        Move::MakeNext => {
            Some(("NextCaMade", "a new one has been made, and will be trusted beside it".to_owned()))
        }
        Move::Publish => {
            let sentence = format!("the new one is trusted beside it, and signs in {hours} h at the latest");
            Some(("NextCaTrusted", sentence))
        }
        Move::Switch => Some((
            "NextCaSigns",
            "the new one signs; the old one is trusted until its last leaf has expired".to_owned(),
        )),
        Move::DropOld => Some(("OldCaDropped", "the old one is trusted no more".to_owned())),
        Move::Rest { .. } => None,
    }
}

/// What is noted before a leaf that lives until `not_after` is given away, or `None` where what is noted will do.
///
/// Each note is a write, so it is for some leaves ahead: half of this one's life.
pub fn leaves_until(stages: &Stages, not_after: SystemTime, now: SystemTime) -> Option<SystemTime> {
    if stages.leaves_until.is_some_and(|noted| not_after <= noted) {
        return None;
    }
    let ahead = not_after.duration_since(now).unwrap_or_default() / 2;
    let until = not_after.checked_add(ahead).unwrap_or(not_after);
    Some(until.min(stages.signing.not_after).max(not_after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pki::testing;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A signer that does what it is told, and stops at any moment; and pods that ask it.
    struct World {
        now: SystemTime,
        stages: Stages,
        /// The CA that signs, the one that will, those that did: their numbers.
        signing: u32,
        next: Option<u32>,
        old: Vec<u32>,
        made: u32,
        published: Vec<u32>,
        /// For each pod its leaf's CA and end, and the CAs it trusts.
        pods: Vec<(u32, SystemTime, Vec<u32>)>,
    }

    fn timetable() -> Timetable {
        Timetable {
            lifetime: testing::days(90),
            renew_point: RenewPoint::from_percent(60).unwrap(),
            trusted_first: 24 * HOUR,
        }
    }

    fn life(now: SystemTime) -> Validity {
        Validity { not_before: now, not_after: now + timetable().lifetime }
    }

    impl World {
        fn begin(pods: usize) -> Self {
            let now = testing::now();
            let stages = Stages { signing: life(now), leaves_until: None, next: None, old_until: None };
            let mut world = Self {
                now,
                stages,
                signing: 0,
                next: None,
                old: Vec::new(),
                made: 0,
                published: vec![0],
                pods: Vec::new(),
            };
            for _ in 0..pods {
                let leaf = world.leaf();
                world.pods.push((leaf.0, leaf.1, vec![0]));
            }
            world
        }

        fn trusted(&self) -> Vec<u32> {
            let mut all = self.old.clone();
            all.push(self.signing);
            all.extend(self.next);
            all
        }

        fn leaf(&mut self) -> (u32, SystemTime) {
            let not_after = (self.now + testing::days(7)).min(self.stages.signing.not_after);
            if let Some(until) = leaves_until(&self.stages, not_after, self.now) {
                assert!(not_after <= until && until <= self.stages.signing.not_after);
                self.stages.leaves_until = Some(until);
            }
            (self.signing, not_after)
        }

        fn step(&mut self, dies: bool) {
            match next_move(&self.stages, &timetable(), self.now) {
                Move::MakeNext => {
                    self.made += 1;
                    self.next = Some(self.made);
                    self.stages.next = Some(Next { validity: life(self.now), trusted_since: None });
                }
                Move::Publish => {
                    self.published = self.trusted();
                    if !dies {
                        let next = self.stages.next.as_mut().unwrap();
                        next.trusted_since = Some(self.now);
                    }
                }
                Move::Switch => {
                    let next = self.stages.next.take().unwrap();
                    let until = self.stages.leaves_until.max(self.stages.old_until);
                    self.old.push(self.signing);
                    self.signing = self.next.take().unwrap();
                    self.stages = Stages {
                        signing: next.validity,
                        leaves_until: None,
                        next: None,
                        old_until: until.or(Some(self.now)),
                    };
                }
                Move::DropOld => {
                    self.old.clear();
                    self.stages.old_until = None;
                }
                Move::Rest { until } => assert!(until > self.now),
            }
        }
    }

    proptest! {
        #[test]
        fn at_no_time_does_a_pod_meet_a_leaf_that_it_does_not_trust(
            hours in proptest::collection::vec((1u64..20, 0usize..3, any::<bool>(), any::<bool>()), 300..900),
        ) {
            let mut world = World::begin(3);
            for (hours, pod, renews, dies) in hours {
                // Each pod asks for trust at least once in an hour or so; here all do, but for one that renews.
                world.now += u32::try_from(hours).unwrap() * HOUR;
                for _ in 0..3 {
                    world.step(dies);
                }
                let trusted = world.trusted();
                for one in &mut world.pods {
                    one.2.clone_from(&trusted);
                }
                let ends: Vec<bool> = world.pods.iter().map(|one| one.1 < world.now + 48 * HOUR).collect();
                for (index, ends) in ends.into_iter().enumerate() {
                    if ends || renews && index == pod {
                        let (ca, until) = world.leaf();
                        world.pods[index].0 = ca;
                        world.pods[index].1 = until;
                    }
                }
                for (_, _, trusted) in &world.pods {
                    for (ca, until, _) in &world.pods {
                        prop_assert!(*until <= world.now || trusted.contains(ca), "{ca} not in {trusted:?}");
                    }
                }
                prop_assert!(world.stages.signing.not_after > world.now, "the CA has run out");
                prop_assert!(world.trusted().len() <= 3);
            }
            prop_assert!(world.made > 0);
        }
    }

    #[test]
    fn the_stages_follow_each_other() {
        let now = testing::now();
        let at = |days: u64| now + testing::days(days);
        let one = Stages { signing: life(now), leaves_until: Some(at(5)), next: None, old_until: None };
        let check = |stages: &Stages, at, want| assert_eq!(next_move(stages, &timetable(), at), want);
        check(&one, now, Move::Rest { until: at(54) });
        check(&one, at(54), Move::MakeNext);
        let unknown = Stages { next: Some(Next { validity: life(at(54)), trusted_since: None }), ..one };
        check(&unknown, at(54), Move::Publish);
        let known =
            Stages { next: Some(Next { validity: life(at(54)), trusted_since: Some(at(54)) }), ..one };
        check(&known, at(54), Move::Rest { until: at(55) });
        check(&known, at(55), Move::Switch);
        // Nobody led for a long time: nothing is gained by waiting.
        let late = Stages { next: Some(Next { validity: life(at(90)), trusted_since: Some(at(90)) }), ..one };
        check(&late, at(90), Move::Switch);
        let both = Stages { signing: life(at(54)), leaves_until: None, next: None, old_until: Some(at(60)) };
        check(&both, at(55), Move::Rest { until: at(60) + CLOCKS_DIFFER_BY });
        check(&both, at(61), Move::DropOld);
    }
}
