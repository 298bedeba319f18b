//! One thing that is not as it should be: what, why, how that is known, and what to do next.
//!
//! Whoever reads it was woken and has not seen this program. So a finding names the thing and the cause, its evidence
//! has addresses and numbers, and the worst comes first; of equally bad ones, the one that explains the others.

use std::fmt;

use crate::health::text::Text;
use crate::health::text::Word;

/// How bad it is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be committed in the whole cluster.
    Outage,
    /// Something hurts now.
    Hurts,
    /// It could not be looked at.
    CannotTell,
    /// It will hurt at a later date.
    Later,
}

/// What a finding is about. In this order, because what comes first explains what comes later: a node without its disk
/// has no Kafka, and a quorum without its nodes has no leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Log directories.
    Disk,
    /// Keystores and what is in them.
    Certificates,
    /// `server.properties` and the files beside it.
    Files,
    /// What the engine in Kafka has loaded.
    Engine,
    /// The clocks of two machines.
    Clock,
    /// Kafka, as its listeners show it.
    Kafka,
    /// The controller quorum and a node's part in it.
    Quorum,
    /// What an agent says.
    Agent,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Where to look.
    pub area: Area,
    /// Its word.
    pub reason: Word,
    /// The name of the thing: `demo-1: listener CLIENT`.
    pub thing: Text,
    /// What is the case.
    pub cause: Text,
    /// How that is known, at most [`Finding::MOST_EVIDENCE`] lines.
    pub evidence: Vec<Text>,
    /// A command that exists and is safe to run.
    pub next: Option<Text>,
}

/// All findings of one run, and how many checks there were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    findings: Vec<Finding>,
    checks: usize,
    unchecked: Vec<Text>,
}

impl Finding {
    /// A finding fits on a screen.
    pub const MOST_EVIDENCE: usize = 8;

    /// Without evidence and next command.
    pub fn new(
        severity: Severity,
        area: Area,
        reason: Word,
        thing: impl fmt::Display,
        cause: impl fmt::Display,
    ) -> Self {
        let (thing, cause) = (Text::new(thing), Text::new(cause));
        Self { severity, area, reason, thing, cause, evidence: Vec::new(), next: None }
    }

    /// With one more line of evidence, while there is room.
    pub fn with(mut self, evidence: impl fmt::Display) -> Self {
        if self.evidence.len() < Self::MOST_EVIDENCE {
            self.evidence.push(Text::new(evidence));
        }
        self
    }

    /// With all of these lines; of too many the last says how many are left out.
    pub fn with_all<T: fmt::Display>(mut self, evidence: impl IntoIterator<Item = T>) -> Self {
        let mut lines: Vec<Text> = evidence.into_iter().map(Text::new).collect();
        let room = Self::MOST_EVIDENCE.saturating_sub(self.evidence.len());
        if lines.len() > room {
            let kept = room.saturating_sub(1);
            let left = lines.len() - kept;
            lines.truncate(kept);
            lines.push(Text::new(format_args!("and {left} more")));
        }
        self.evidence.extend(lines);
        self
    }

    /// With what to do next.
    pub fn next(self, command: impl fmt::Display) -> Self {
        Self { next: Some(Text::new(command)), ..self }
    }
}

impl Sheet {
    /// One check was made, and found this; mostly nothing.
    pub fn check(&mut self, found: impl IntoIterator<Item = Finding>) {
        self.checks += 1;
        self.findings.extend(found);
    }

    /// So many checks at once.
    pub fn checks(&mut self, count: usize, found: impl IntoIterator<Item = Finding>) {
        self.checks += count;
        self.findings.extend(found);
    }

    /// Something was not checked, and nobody need be told by an exit code.
    pub fn skip(&mut self, what: impl fmt::Display) {
        let what = Text::new(what);
        if !self.unchecked.contains(&what) {
            self.unchecked.push(what);
        }
    }

    /// How many checks there were.
    pub fn count(&self) -> usize {
        self.checks
    }

    /// What was not checked, and why not.
    pub fn unchecked(&self) -> &[Text] {
        &self.unchecked
    }

    /// All findings, each once: the worst first, then what explains others, then in the order in which they came.
    pub fn findings(&self) -> Vec<&Finding> {
        let mut findings: Vec<&Finding> = Vec::new();
        for finding in &self.findings {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings.sort_by_key(|finding| (finding.severity, finding.area));
        findings
    }

    /// The worst there is.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).min()
    }
}

impl Severity {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Hurts => "hurts",
            Self::CannotTell => "cannotTell",
            Self::Later => "later",
        }
    }
}

impl Area {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Certificates => "certificates",
            Self::Files => "files",
            Self::Engine => "engine",
            Self::Clock => "clock",
            Self::Kafka => "kafka",
            Self::Quorum => "quorum",
            Self::Agent => "agent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, area: Area, thing: &str) -> Finding {
        Finding::new(severity, area, Word::of("Reason"), thing, "cause")
    }

    #[test]
    fn the_worst_comes_first_and_of_equals_what_explains_the_others() {
        let mut sheet = Sheet::default();
        sheet.check([finding(Severity::Later, Area::Disk, "a"), finding(Severity::Hurts, Area::Agent, "b")]);
        sheet.check([
            finding(Severity::CannotTell, Area::Kafka, "c"),
            finding(Severity::Hurts, Area::Kafka, "d"),
        ]);
        sheet.checks(
            3,
            [finding(Severity::Outage, Area::Quorum, "e"), finding(Severity::Hurts, Area::Kafka, "d")],
        );
        sheet.check(None);
        let things: String = sheet.findings().iter().map(|finding| finding.thing.as_str()).collect();
        assert_eq!((things.as_str(), sheet.count(), sheet.worst()), ("edbca", 6, Some(Severity::Outage)));
        assert_eq!(Sheet::default().worst(), None);
    }

    #[test]
    fn evidence_fits_on_a_screen_and_says_what_is_left_out() {
        let finding = finding(Severity::Hurts, Area::Kafka, "a").with("first").with_all(0..20);
        assert_eq!(finding.evidence.len(), Finding::MOST_EVIDENCE);
        assert_eq!(finding.evidence.last().unwrap().as_str(), "and 14 more");
        assert_eq!(finding.clone().with("no room").evidence, finding.evidence);
    }

    #[test]
    fn what_was_not_checked_is_said_once() {
        let mut sheet = Sheet::default();
        sheet.skip("the jar");
        sheet.skip("the jar");
        assert_eq!(sheet.unchecked(), [Text::new("the jar")]);
    }
}
