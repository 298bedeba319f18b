//! How a command ends that could not do its work: an exit code, and sentences for whoever was woken.

use std::fmt;

pub use crate::causes::chain;
use crate::cluster::template::TemplateError;

/// The exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It may pass if it is tried again: 1.
    Again,
    /// A person must change something: 2.
    Person,
    /// `status`: something hurts: 1.
    NotHealthy,
    /// `status`: not everybody could be asked: 2.
    CouldNotTell,
    /// Wrong usage or wrong settings: 64 (EX_USAGE of sysexits.h).
    Usage,
}

/// Why a command ends early. Nothing has been written, unless a message says what.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    messages: Vec<(String, &'static str)>,
    advice: Option<String>,
}

impl Exit {
    /// The number a shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Again | Self::NotHealthy => 1,
            Self::Person | Self::CouldNotTell => 2,
            Self::Usage => 64,
        }
    }
}

impl Failure {
    /// One message, with the reason's word.
    pub fn new(exit: Exit, reason: &'static str, message: impl fmt::Display) -> Self {
        Self { exit, messages: vec![(message.to_string(), reason)], advice: None }
    }

    /// Several at once; `None` when there are none.
    pub fn all(exit: Exit, messages: Vec<(String, &'static str)>) -> Option<Self> {
        (!messages.is_empty()).then_some(Self { exit, messages, advice: None })
    }

    /// An error and its causes, joined by `": "`.
    pub fn of(exit: Exit, reason: &'static str, error: &dyn std::error::Error) -> Self {
        Self::new(exit, reason, chain(error))
    }

    /// Joins two failures; the graver exit code stands: what a person must change does not pass by itself.
    pub fn and(mut self, other: Self) -> Self {
        if other.exit.code() > self.exit.code() {
            self.exit = other.exit;
        }
        self.messages.extend(other.messages);
        self
    }

    /// With a line of advice for whoever reads the last of the messages.
    pub fn with_advice(mut self, advice: &str) -> Self {
        self.advice = Some(advice.to_owned());
        self
    }

    /// The word of the first message.
    pub fn reason(&self) -> &'static str {
        self.messages.first().map_or("Failed", |(_, reason)| reason)
    }

    /// All messages in one line.
    pub fn sentence(&self) -> String {
        self.messages.iter().map(|(message, _)| message.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

/// A template that cannot be filled in is a setting that does not fit the pod.
impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::new(Exit::Usage, "TemplateUnusable", error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (message, reason)) in self.messages.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "error: {message} [{reason}]")?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "\ntry: {advice}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_all_at_once_and_the_graver_code_stands() {
        let failure = Failure::new(Exit::Again, "QuorumNotReady", "no leader answers").and(Failure::new(
            Exit::Person,
            "OtherCluster",
            "/data is of another cluster",
        ));
        assert_eq!(failure.exit().code(), 2);
        assert_eq!(
            failure.to_string(),
            "error: no leader answers [QuorumNotReady]\nerror: /data is of another cluster [OtherCluster]"
        );
    }
}
