//! What is worth telling beside the pod, in an Event: what one snapshot says that the one before it did not.
//!
//! Few, for Events are stored by the API server: a turn that has ended, a restart that is needed, and what begins to
//! hurt. The words are those of the snapshot, so that whoever has read an Event finds them in the status and in the log.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

use crate::health::certificate::Came;
use crate::health::certificate::Certificate;
use crate::health::certificate::Outcome;
use crate::health::channel::Channel;
use crate::health::snapshot::Condition;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::health::text::rfc3339;

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Good or bad.
    pub kind: Kind,
    /// The certificate that it is about, where it is about one.
    pub certificate: Option<Text>,
    /// Its word.
    pub reason: Word,
    /// What is the case.
    pub sentence: Text,
}

/// Good or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Normal`.
    Normal,
    /// `Warning`.
    Warning,
}

/// More than a node has certificates and troubles that begin at once.
pub const MOST: usize = 16;

/// What a Kafka that starts or stops looks like.
const KAFKA_STARTS: [&str; 4] =
    ["ListenerUnreachable", "ListenerDoesNotAnswer", "EngineNotReported", "PeerUnreachable"];

/// For so long that is no reason for a warning.
const KAFKA_STARTS_WITHIN: Duration = Duration::from_secs(45);

/// What there is to tell at `now`, the worst first. Without a snapshot before, of an agent that has just begun, it is only
/// what is wrong.
pub fn notices(before: Option<&Snapshot>, now: &Snapshot) -> Vec<Notice> {
    let (failed, renewed) = of_certificates(before, now);
    // A certificate without a leaf has a condition that matters at once, and its turn has said the same.
    let is_said = |one: &Notice| failed.iter().any(|turn| turn.reason == one.reason);
    let hurts = of_conditions(before, now).into_iter().filter(|one| !is_said(one));
    let mut all: Vec<Notice> = hurts.chain(of_channels(before, now)).collect();
    all.extend(failed);
    all.extend(renewed);
    all.truncate(MOST);
    all
}

/// Whether a failure of this word, which has lasted for so long, may be of a Kafka that starts or stops.
pub fn may_be_a_start(reason: &str, lasted: Duration) -> bool {
    lasted < KAFKA_STARTS_WITHIN && KAFKA_STARTS.contains(&reason)
}

/// The turns that have ended: those that failed, and those that brought a new leaf.
fn of_certificates(before: Option<&Snapshot>, now: &Snapshot) -> (Vec<Notice>, Vec<Notice>) {
    let (mut failed, mut renewed) = (Vec::new(), Vec::new());
    for certificate in &now.certificates {
        let Some(outcome) = &certificate.last_outcome else { continue };
        let known = before.map(|before| last_outcome(before, &certificate.name));
        if known.flatten() == Some(outcome) {
            continue;
        }
        let notice = |kind| Notice {
            kind,
            certificate: Some(certificate.name.clone()),
            reason: outcome.reason.clone(),
            sentence: Text::new(format_args!("{}: {}", with_leaf(certificate), outcome.sentence)),
        };
        match outcome.came() {
            Came::ToANewLeaf if known.is_some() => renewed.push(notice(Kind::Normal)),
            Came::ToANewLeaf | Came::ToTheOldLeaf => {}
            Came::ToNothing => {
                let lasted = outcome.at.duration_since(since(now, &outcome.reason).unwrap_or(outcome.at));
                if !may_be_a_start(outcome.reason.as_str(), lasted.unwrap_or_default()) {
                    failed.push(notice(Kind::Warning));
                }
            }
        }
    }
    (failed, renewed)
}

/// The date is at the beginning: a long sentence is cut at its end.
fn with_leaf(certificate: &Certificate) -> String {
    let leaf = match &certificate.installed {
        Some(leaf) => format!("leaf {}, good until {}", leaf.fingerprint.short(), rfc3339(leaf.not_after)),
        None => "no leaf is installed".to_owned(),
    };
    format!("certificate {} ({leaf})", certificate.name)
}

fn last_outcome<'a>(snapshot: &'a Snapshot, name: &Text) -> Option<&'a Outcome> {
    snapshot.certificates.iter().find(|one| one.name == *name)?.last_outcome.as_ref()
}

/// Since when there has been a condition of this word.
fn since(snapshot: &Snapshot, reason: &Word) -> Option<SystemTime> {
    snapshot.conditions.iter().filter(|one| one.reason == *reason).map(|one| one.since).min()
}

/// Channels that only a restart renews, all in one sentence. Once it is too late their conditions say so.
fn of_channels(before: Option<&Snapshot>, now: &Snapshot) -> Option<Notice> {
    let known = |channel: &Channel| {
        let channels = before.map(|before| before.channels.as_slice()).unwrap_or_default();
        channels.iter().find(|one| one.name == channel.name)?.restart_needed_by
    };
    let is_new = |one: &&Channel| {
        one.restart_needed_by.is_some_and(|by| by > now.at) && known(one) != one.restart_needed_by
    };
    let new: Vec<&Channel> = now.channels.iter().filter(is_new).collect();
    let by = new.iter().filter_map(|one| one.restart_needed_by).min()?;
    let names: Vec<&str> = new.iter().map(|one| one.name.as_str()).collect();
    Some(Notice {
        kind: Kind::Warning,
        certificate: None,
        reason: Word::of("RestartNeeded"),
        sentence: Text::new(format_args!(
            "Kafka has to be restarted before {}, for nothing else renews the leaf of: {}",
            rfc3339(by),
            names.join(", ")
        )),
    })
}

/// One for each word of which more conditions hurt than did.
fn of_conditions(before: Option<&Snapshot>, now: &Snapshot) -> Vec<Notice> {
    let hurt = before.map(hurting).unwrap_or_default();
    let is_more = |(reason, all): &(&Word, Vec<&Condition>)| hurt.get(reason).map_or(0, Vec::len) < all.len();
    let notice = |(reason, all): (&Word, Vec<&Condition>)| {
        let more = match all.len() {
            0 | 1 => String::new(),
            more => format!(" (and {} more of this word)", more.saturating_sub(1)),
        };
        Some(Notice {
            kind: Kind::Warning,
            certificate: None,
            reason: reason.clone(),
            sentence: Text::new(format_args!("{}{more}", all.first()?.sentence)),
        })
    };
    hurting(now).into_iter().filter(is_more).filter_map(notice).collect()
}

/// By their words: what hurt as the snapshot was made.
fn hurting(snapshot: &Snapshot) -> BTreeMap<&Word, Vec<&Condition>> {
    let mut all: BTreeMap<&Word, Vec<&Condition>> = BTreeMap::new();
    for condition in snapshot.conditions.iter().filter(|one| one.matters(snapshot.at)) {
        all.entry(&condition.reason).or_default().push(condition);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;
    use crate::health::testing::full;

    /// What is told of the snapshot that this makes of the tests' own, at so many seconds; `began` makes the one before.
    fn check(
        began: Option<fn(&mut Snapshot)>,
        change: impl FnOnce(&mut Snapshot),
        want: &[(Kind, &str, &str)],
    ) {
        let before = began.map(|began| {
            let mut before = full();
            began(&mut before);
            before
        });
        let mut now = before.clone().unwrap_or_else(full);
        change(&mut now);
        let told = notices(before.as_ref(), &now);
        let told: Vec<_> =
            told.iter().map(|one| (one.kind, one.reason.as_str(), one.sentence.as_str())).collect();
        assert_eq!(told, want);
        assert_eq!(notices(Some(&now), &now), [], "what was told is no news");
    }

    fn ends(snapshot: &mut Snapshot, reason: &'static str, sentence: &str, seconds: u64) {
        let outcome = snapshot.certificates[0].last_outcome.as_mut().unwrap();
        outcome.reason = Word::of(reason);
        outcome.sentence = Text::new(sentence);
        outcome.at = at(seconds);
    }

    fn condition(reason: &'static str, since: u64, matters: u64) -> Condition {
        Condition {
            reason: Word::of(reason),
            sentence: Text::new(format_args!("{reason} since {since}")),
            since: at(since),
            matters_at: at(matters),
            remedy: None,
        }
    }

    fn as_it_is(_: &mut Snapshot) {}

    const RESTART: (Kind, &str, &str) = (
        Kind::Warning,
        "RestartNeeded",
        "Kafka has to be restarted before 2027-01-15T08:01:50Z, for nothing else renews the leaf of: raft client",
    );

    #[test]
    fn an_agent_that_begins_tells_only_what_is_wrong() {
        check(None, as_it_is, &[RESTART]);
        check(None, |now| now.channels.clear(), &[]);
        let away = "certificate node (no leaf is installed): nobody is there";
        check(
            None,
            |now| {
                now.channels.clear();
                now.certificates[0].installed = None;
                ends(now, "SourceAway", "nobody is there", 58);
                now.conditions = vec![condition("SourceAway", 58, 58), condition("QuorumWedged", 9, 9)];
            },
            &[(Kind::Warning, "QuorumWedged", "QuorumWedged since 9"), (Kind::Warning, "SourceAway", away)],
        );
    }

    #[test]
    fn turns_are_told_with_the_leaf_that_is_there() {
        let leaf = "certificate node (leaf 9f91161f, good until 2027-01-15T08:02:00Z)";
        let said = |kind, reason, what: &str| (kind, reason, format!("{leaf}: {what}"));
        for (reason, want) in [
            ("Renewed", Some(Kind::Normal)),
            ("ListenersRenewed", Some(Kind::Normal)),
            ("Verified", None),
            ("SourceHasNotRenewed", Some(Kind::Warning)),
            ("NewLeafBroken", Some(Kind::Warning)),
        ] {
            let want = want.map(|kind| said(kind, reason, "so it is"));
            let want: Vec<_> = want.iter().map(|(kind, word, text)| (*kind, *word, text.as_str())).collect();
            check(Some(as_it_is), |now| ends(now, reason, "so it is", 60), &want);
        }
        check(Some(as_it_is), |now| now.certificates[0].attempts = 7, &[]);
    }

    #[test]
    fn a_kafka_that_starts_is_told_of_when_it_takes_too_long() {
        let sentence =
            "certificate node (leaf 9f91161f, good until 2027-01-15T08:02:00Z): nobody listens there";
        for (seconds, want) in
            [(0, None), (44, None), (45, Some((Kind::Warning, "ListenerUnreachable", sentence)))]
        {
            let fails = |now: &mut Snapshot| {
                ends(now, "ListenerUnreachable", "nobody listens there", seconds);
                now.conditions.push(condition("ListenerUnreachable", 0, 120));
            };
            check(Some(as_it_is), fails, want.as_slice());
        }
    }

    #[test]
    fn a_restart_is_told_of_once_for_each_date() {
        let none = |before: &mut Snapshot| before.channels[1].restart_needed_by = None;
        check(Some(none), |now| now.channels[1].restart_needed_by = Some(at(110)), &[RESTART]);
        check(Some(none), |now| now.channels[1].restart_needed_by = Some(at(60)), &[]);
        let both = "Kafka has to be restarted before 2027-01-15T08:01:50Z, for nothing else renews the leaf of: \
                    raft client, replica fetcher";
        let two = |now: &mut Snapshot| {
            now.channels[1].restart_needed_by = Some(at(110));
            now.channels[2].restart_needed_by = Some(at(130));
        };
        check(Some(none), two, &[(Kind::Warning, "RestartNeeded", both)]);
        check(Some(as_it_is), |now| now.channels[1].restart_needed_by = None, &[]);
    }

    #[test]
    fn a_condition_is_told_when_it_begins_to_hurt() {
        let hurts = (Kind::Warning, "RestartNeeded", "raft client keeps leaf cba06b57");
        check(Some(as_it_is), |now| now.at = at(109), &[]);
        check(Some(as_it_is), |now| now.at = at(110), &[hurts]);
        check(Some(as_it_is), |now| now.conditions.push(condition("QuorumDegraded", 60, 600)), &[]);
        let one_hurts = |before: &mut Snapshot| before.conditions = vec![condition("NotAVoter", 1, 2)];
        check(Some(one_hurts), |now| now.conditions[0].sentence = Text::new("other numbers"), &[]);
        let two = (Kind::Warning, "NotAVoter", "NotAVoter since 1 (and 1 more of this word)");
        check(Some(one_hurts), |now| now.conditions.push(condition("NotAVoter", 3, 4)), &[two]);
    }

    #[test]
    fn there_are_never_more_than_a_few_and_the_worst_come_first() {
        let many = |now: &mut Snapshot| {
            now.at = at(110);
            let one = now.certificates[0].clone();
            now.certificates =
                (0..99).map(|number| Certificate { name: Text::new(number), ..one.clone() }).collect();
        };
        let mut now = full();
        many(&mut now);
        let told = notices(Some(&full()), &now);
        assert_eq!(told.len(), MOST);
        assert_eq!(told[0].kind, Kind::Warning);
        assert_eq!(told[1].certificate, Some(Text::new("0")));
    }
}
