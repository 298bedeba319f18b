//! From the handshakes with one listener to a verdict: is the new leaf served, and if not, is it the leaf's fault?
//!
//! The difference decides what is done next. Where Kafka is down, slow, or not done with its reload, the renewal is
//! tried again. Only where the new leaf was *seen* and the handshake fails all the same, or where the listener has
//! nothing to present any more, the former keystore is put back ([`Meaning::NewLeafBroken`]). A single such handshake
//! is enough for the verdict, but whoever acts on it waits for the deadline first: while stores are being replaced,
//! a listener may have the new leaf and the old trust for a moment.

use std::fmt;

use crate::pki::certificate::Fingerprint;
use crate::reload::handshake::End;
use crate::reload::handshake::Observation;

/// What a listener should serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The new leaf.
    pub leaf: Fingerprint,
    /// The certificates that should follow the leaf, in their order; more may follow. Empty where that does not matter.
    pub issuers: Vec<Fingerprint>,
    /// The leaf before it, where it is known.
    pub previous: Option<Fingerprint>,
    /// Whether the listener has to take the leaf that the agent shows.
    pub ours: Ours,
}

/// Whether a listener has to take the leaf that the agent shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// It trusts who issued our leaf: a refusal means that something is wrong with the leaf.
    MustBeTaken,
    /// It may trust others only (a listener for clients of another CA): then what it presents is all it can show.
    MayBeRefused,
}

/// What the handshakes with one listener show together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All show the new leaf and were answered.
    Served,
    /// The former leaf.
    StillOld {
        /// Which.
        leaf: Fingerprint,
    },
    /// Some the new leaf, some another: a reload is under way, thread by thread.
    Mixed {
        /// The other one.
        leaf: Fingerprint,
    },
    /// A leaf that is neither.
    Other {
        /// Which.
        leaf: Fingerprint,
    },
    /// The new leaf, but not with the certificates that belong to it.
    OtherChain,
    /// The new leaf is there and does not work, or nothing is there.
    Broken {
        /// What was seen.
        why: String,
    },
    /// No Kafka is there.
    NobodyListens {
        /// What was seen.
        why: String,
    },
    /// Kafka cannot be reached.
    Unreachable {
        /// What was seen.
        why: String,
    },
    /// Kafka does not answer in time.
    Slow {
        /// What was seen.
        why: String,
    },
}

/// What follows from a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The leaf is served.
    Verified,
    /// Not seen to be served, which may change by itself.
    NotYet,
    /// The new leaf was seen not to work: if the former one is still good, it is put back.
    NewLeafBroken,
}

/// A verdict on a listener, to be read by people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The listener's name.
    pub listener: String,
    /// What it should serve.
    pub want: Fingerprint,
    /// What it does.
    pub verdict: Verdict,
}

/// What is concluded from handshakes made one after another; from none, that there was no time for any.
pub fn judge(wanted: &Wanted, observations: &[Observation]) -> Verdict {
    let mut one = None;
    for verdict in observations.iter().map(|seen| judge_one(wanted, seen)) {
        one = Some(match one {
            None => verdict,
            Some(before) => together(before, verdict),
        });
    }
    one.unwrap_or_else(|| Verdict::Slow { why: "no handshake could be made in time".to_owned() })
}

/// What one handshake shows.
pub fn judge_one(wanted: &Wanted, seen: &Observation) -> Verdict {
    let leaf = seen.presented.first().copied();
    let is_new = leaf == Some(wanted.leaf);
    match (&seen.end, leaf) {
        (End::NothingPresented(why), _) => Verdict::Broken { why: why.clone() },
        (End::NotGood(why), _) if is_new => Verdict::Broken { why: why.clone() },
        (End::RefusesOurs(why), _) if is_new && wanted.ours == Ours::MustBeTaken => {
            Verdict::Broken { why: why.clone() }
        }
        (End::Answered | End::RefusesOurs(_) | End::NotGood(_), Some(leaf)) => of_leaf(wanted, leaf, seen),
        // An older leaf is known even where the rest did not come.
        (End::Unreachable(_) | End::Slow(_), Some(leaf)) if !is_new => of_leaf(wanted, leaf, seen),
        (End::Slow(why), _) => Verdict::Slow { why: why.clone() },
        (End::NobodyListens(why), _) => Verdict::NobodyListens { why: why.clone() },
        (End::Unreachable(why) | End::RefusesOurs(why) | End::NotGood(why), _) => {
            Verdict::Unreachable { why: why.clone() }
        }
        (End::Answered, None) => Verdict::Unreachable { why: "it answers without TLS".to_owned() },
    }
}

fn of_leaf(wanted: &Wanted, leaf: Fingerprint, seen: &Observation) -> Verdict {
    if leaf == wanted.leaf {
        let follow = seen.presented.get(1..).unwrap_or_default();
        if follow.starts_with(&wanted.issuers) { Verdict::Served } else { Verdict::OtherChain }
    } else if Some(leaf) == wanted.previous {
        Verdict::StillOld { leaf }
    } else {
        Verdict::Other { leaf }
    }
}

/// Two handshakes with one listener: the graver one, and where one was good and one was not, both.
fn together(a: Verdict, b: Verdict) -> Verdict {
    let (graver, other) = if gravity(&b) > gravity(&a) { (b, a) } else { (a, b) };
    match graver {
        Verdict::StillOld { leaf } | Verdict::Other { leaf }
            if matches!(other, Verdict::Served | Verdict::OtherChain) =>
        {
            Verdict::Mixed { leaf }
        }
        graver => graver,
    }
}

fn gravity(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Served => 0,
        Verdict::Slow { .. } => 1,
        Verdict::NobodyListens { .. } => 2,
        Verdict::Unreachable { .. } => 2,
        Verdict::OtherChain => 3,
        Verdict::StillOld { .. } => 4,
        Verdict::Other { .. } => 5,
        Verdict::Mixed { .. } => 6,
        Verdict::Broken { .. } => 7,
    }
}

impl Verdict {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Served => "NewLeafServed",
            Self::StillOld { .. } => "OldLeafServed",
            Self::Mixed { .. } => "TwoLeavesServed",
            Self::Other { .. } => "UnknownLeafServed",
            Self::OtherChain => "OtherChainServed",
            Self::Broken { .. } => "NewLeafBroken",
            Self::NobodyListens { .. } | Self::Unreachable { .. } => "ListenerUnreachable",
            Self::Slow { .. } => "ListenerDoesNotAnswer",
        }
    }

    /// What follows from it.
    pub fn meaning(&self) -> Meaning {
        match self {
            Self::Served => Meaning::Verified,
            Self::Broken { .. } => Meaning::NewLeafBroken,
            Self::StillOld { .. }
            | Self::Mixed { .. }
            | Self::Other { .. }
            | Self::OtherChain
            | Self::NobodyListens { .. }
            | Self::Unreachable { .. }
            | Self::Slow { .. } => Meaning::NotYet,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (listener, want) = (&self.listener, self.want.short());
        match &self.verdict {
            Verdict::Served => write!(f, "listener {listener} serves leaf {want}"),
            Verdict::StillOld { leaf } => {
                write!(f, "listener {listener} still presents leaf {}; want {want}", leaf.short())
            }
            Verdict::Mixed { leaf } => {
                write!(f, "listener {listener} presents leaf {} beside {want}", leaf.short())
            }
            Verdict::Other { leaf } => {
                write!(
                    f,
                    "listener {listener} presents leaf {}, which nobody knows; want {want}",
                    leaf.short()
                )
            }
            Verdict::OtherChain => {
                write!(
                    f,
                    "listener {listener} presents leaf {want} without the certificates that belong to it"
                )
            }
            Verdict::Broken { why } => {
                write!(f, "listener {listener} has leaf {want}, and handshakes fail: {why}")
            }
            Verdict::NobodyListens { why } | Verdict::Unreachable { why } => {
                write!(f, "listener {listener} cannot be reached to show leaf {want}: {why}")
            }
            Verdict::Slow { why } => {
                write!(f, "listener {listener} does not show leaf {want} in time: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(word: &str) -> Fingerprint {
        Fingerprint::of(word.as_bytes())
    }

    fn seen(leaf: &str, end: End) -> Observation {
        let presented = leaf.split_whitespace().map(of).collect();
        Observation { presented, end }
    }

    fn wanted(ours: Ours) -> Wanted {
        Wanted { leaf: of("new"), issuers: vec![of("ca")], previous: Some(of("old")), ours }
    }

    fn why() -> String {
        "so".to_owned()
    }

    #[test]
    fn only_a_new_leaf_that_does_not_work_is_broken() {
        use Meaning::*;
        for (leaf, end, want, meaning) in [
            ("new ca", End::Answered, "NewLeafServed", Verified),
            ("new ca root", End::Answered, "NewLeafServed", Verified),
            ("new", End::Answered, "OtherChainServed", NotYet),
            ("new other", End::Answered, "OtherChainServed", NotYet),
            ("old ca", End::Answered, "OldLeafServed", NotYet),
            ("else ca", End::Answered, "UnknownLeafServed", NotYet),
            ("", End::Answered, "ListenerUnreachable", NotYet),
            ("new ca", End::RefusesOurs(why()), "NewLeafBroken", NewLeafBroken),
            ("new ca", End::NotGood(why()), "NewLeafBroken", NewLeafBroken),
            ("", End::NothingPresented(why()), "NewLeafBroken", NewLeafBroken),
            // An old leaf that has expired, or that refuses the new one, is an old leaf.
            ("old ca", End::RefusesOurs(why()), "OldLeafServed", NotYet),
            ("old ca", End::NotGood(why()), "OldLeafServed", NotYet),
            ("old ca", End::Slow(why()), "OldLeafServed", NotYet),
            ("else", End::NotGood(why()), "UnknownLeafServed", NotYet),
            // Kafka is down or slow, whatever it presented before.
            ("new ca", End::Slow(why()), "ListenerDoesNotAnswer", NotYet),
            ("new ca", End::Unreachable(why()), "ListenerUnreachable", NotYet),
            ("", End::Slow(why()), "ListenerDoesNotAnswer", NotYet),
            ("", End::Unreachable(why()), "ListenerUnreachable", NotYet),
        ] {
            let verdict = judge(&wanted(Ours::MustBeTaken), &[seen(leaf, end.clone())]);
            assert_eq!((verdict.reason(), verdict.meaning()), (want, meaning), "{leaf} {end:?}");
        }
    }

    #[test]
    fn where_others_are_trusted_only_what_is_presented_counts() {
        for (end, want) in [
            (End::RefusesOurs(why()), "NewLeafServed"),
            (End::NotGood(why()), "NewLeafBroken"),
            (End::Slow(why()), "ListenerDoesNotAnswer"),
        ] {
            let verdict = judge(&wanted(Ours::MayBeRefused), &[seen("new ca", end.clone())]);
            assert_eq!(verdict.reason(), want, "{end:?}");
        }
    }

    #[test]
    fn handshakes_together_are_as_good_as_the_worst_of_them() {
        let new = || seen("new ca", End::Answered);
        let old = || seen("old ca", End::Answered);
        let slow = || seen("", End::Slow(why()));
        for (observations, want) in [
            (vec![new(), new(), new()], "NewLeafServed"),
            (vec![old(), old()], "OldLeafServed"),
            (vec![new(), old(), new()], "TwoLeavesServed"),
            (vec![old(), new()], "TwoLeavesServed"),
            (vec![new(), seen("else", End::Answered)], "TwoLeavesServed"),
            (vec![old(), seen("else", End::Answered)], "UnknownLeafServed"),
            (vec![new(), slow()], "ListenerDoesNotAnswer"),
            (vec![old(), slow()], "OldLeafServed"),
            (vec![new(), seen("", End::Unreachable(why()))], "ListenerUnreachable"),
            (vec![new(), old(), seen("new ca", End::NotGood(why()))], "NewLeafBroken"),
            (vec![], "ListenerDoesNotAnswer"),
        ] {
            let verdict = judge(&wanted(Ours::MustBeTaken), &observations);
            assert_eq!(verdict.reason(), want, "{observations:?}");
        }
    }

    #[test]
    fn a_report_is_a_sentence() {
        let (old, new) = (of("old").short(), of("new").short());
        for (verdict, want) in [
            (Verdict::Served, format!("listener INTERNAL serves leaf {new}")),
            (
                Verdict::StillOld { leaf: of("old") },
                format!("listener INTERNAL still presents leaf {old}; want {new}"),
            ),
            (
                Verdict::Mixed { leaf: of("old") },
                format!("listener INTERNAL presents leaf {old} beside {new}"),
            ),
            (
                Verdict::Other { leaf: of("old") },
                format!("listener INTERNAL presents leaf {old}, which nobody knows; want {new}"),
            ),
            (
                Verdict::OtherChain,
                format!("listener INTERNAL presents leaf {new} without the certificates that belong to it"),
            ),
            (
                Verdict::Broken { why: why() },
                format!("listener INTERNAL has leaf {new}, and handshakes fail: so"),
            ),
            (
                Verdict::Unreachable { why: why() },
                format!("listener INTERNAL cannot be reached to show leaf {new}: so"),
            ),
            (Verdict::Slow { why: why() }, format!("listener INTERNAL does not show leaf {new} in time: so")),
        ] {
            let report = Report { listener: "INTERNAL".to_owned(), want: of("new"), verdict };
            assert_eq!(report.to_string(), want);
        }
    }
}
