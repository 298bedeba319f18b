//! What a probe answers: checks, each with a name, and a sentence where there is something to say.
//!
//! It is written as Kubernetes' own servers write theirs, so that nobody has to learn it; but the sentences are shown,
//! for whoever reads an event at night has nothing else.

use std::borrow::Cow;
use std::fmt::Write;

/// One thing a probe looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check<'a> {
    /// Its name, one word.
    pub name: &'a str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Why not, or what is worth saying although it is; it may be empty.
    pub sentence: Cow<'a, str>,
}

/// All that one probe looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks<'a> {
    /// The probe's name: `readyz`.
    pub probe: &'static str,
    /// In the order in which they are shown.
    pub all: Vec<Check<'a>>,
}

impl<'a> Check<'a> {
    /// One that is as it should be; `remark` may be empty.
    pub fn ok(name: &'a str, remark: impl Into<Cow<'a, str>>) -> Self {
        Self { name, ok: true, sentence: remark.into() }
    }

    /// One that is not.
    pub fn failed(name: &'a str, sentence: impl Into<Cow<'a, str>>) -> Self {
        Self { name, ok: false, sentence: sentence.into() }
    }
}

impl Checks<'_> {
    /// Whether all are as they should be.
    pub fn passes(&self) -> bool {
        self.all.iter().all(|check| check.ok)
    }

    /// `ok`, or each check that failed, a line for each.
    pub fn brief(&self) -> String {
        if self.passes() {
            return "ok\n".to_owned();
        }
        let mut text = String::new();
        for check in self.all.iter().filter(|check| !check.ok) {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{}: {}", check.name, check.sentence);
        }
        text
    }

    /// Every check with its sentence, and the whole.
    pub fn verbose(&self) -> String {
        let mut text = String::new();
        for Check { name, ok, sentence } in &self.all {
            let (mark, word) = if *ok { ('+', "ok") } else { ('-', "failed") };
            let colon = if sentence.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "[{mark}]{name} {word}{colon}{sentence}");
        }
        let word = if self.passes() { "passed" } else { "failed" };
        let _ = writeln!(text, "{} check {word}", self.probe);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(all: Vec<Check<'_>>, brief: &str, verbose: &str) {
        let checks = Checks { probe: "readyz", all };
        assert_eq!((checks.brief().as_str(), checks.verbose().as_str()), (brief, verbose));
    }

    #[test]
    fn probes_are_written_as_kubernetes_writes_them() {
        check(vec![], "ok\n", "readyz check passed\n");
        check(
            vec![Check::ok("listeners", ""), Check::ok("quorum", "Wedged: it stands still")],
            "ok\n",
            "[+]listeners ok\n[+]quorum ok: Wedged: it stands still\nreadyz check passed\n",
        );
        check(
            vec![Check::ok("listeners", ""), Check::failed("member", "Behind: 7 records behind")],
            "member: Behind: 7 records behind\n",
            "[+]listeners ok\n[-]member failed: Behind: 7 records behind\nreadyz check failed\n",
        );
    }
}
