//! The findings for a person, and for a program.

use std::fmt::Write;
use std::time::Duration;

use anstyle::AnsiColor;
use anstyle::Style;
use serde_json::Value as Json;
use serde_json::json;

use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::finding::Sheet;

/// What is shown.
pub struct View<'a> {
    /// The findings.
    pub sheet: &'a Sheet,
    /// The pods that were looked at.
    pub nodes: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

const BOLD: Style = Style::new().bold();
const DIMMED: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

impl View<'_> {
    /// A paragraph for each finding, and one line in the end that says what was checked.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let findings = self.sheet.findings();
        for finding in &findings {
            let _ = writeln!(text, "{}", paragraph(finding));
        }
        for what in self.sheet.unchecked() {
            let _ = writeln!(text, "{DIMMED}not checked: {what}{DIMMED:#}");
        }
        let checked = format!(
            "{} of {} in {} ms",
            counted(self.sheet.count(), "check"),
            self.nodes.join(", "),
            self.took.as_millis()
        );
        let _ = match self.sheet.worst() {
            None => writeln!(text, "{GREEN}healthy{GREEN:#}: {checked}, and nothing was found"),
            Some(_) => writeln!(text, "{}: {checked}", counted(findings.len(), "finding")),
        };
        text
    }

    /// The same.
    pub fn json(&self) -> Json {
        let findings = self.sheet.findings();
        let findings = findings.iter().map(|one| {
            json!({
                "severity": one.severity.word(),
                "area": one.area.word(),
                "reason": one.reason.as_str(),
                "thing": one.thing.as_str(),
                "cause": one.cause.as_str(),
                "evidence": one.evidence.iter().map(|line| line.as_str()).collect::<Json>(),
                "next": one.next.as_ref().map(|next| next.as_str()),
            })
        });
        json!({
            "nodes": self.nodes,
            "checks": self.sheet.count(),
            "tookMs": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "findings": findings.collect::<Json>(),
            "notChecked": self.sheet.unchecked().iter().map(|what| what.as_str()).collect::<Json>(),
        })
    }
}

fn paragraph(finding: &Finding) -> String {
    let Finding { severity, reason, thing, cause, .. } = finding;
    let (style, word) = match severity {
        Severity::Outage => (RED.bold(), "outage"),
        Severity::Hurts => (RED, "hurts"),
        Severity::CannotTell => (YELLOW, "cannot tell"),
        Severity::Later => (YELLOW, "later"),
    };
    let mut text = format!("{style}{word}{style:#}  {BOLD}{thing}{BOLD:#}  {DIMMED}{reason}{DIMMED:#}\n");
    let _ = writeln!(text, "  {cause}");
    for line in &finding.evidence {
        let _ = writeln!(text, "  - {line}");
    }
    if let Some(next) = &finding.next {
        let _ = writeln!(text, "  next: {next}");
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::doctor::finding::Area;
    use crate::health::text::Word;

    fn drawn(sheet: &Sheet) -> String {
        let nodes = vec!["demo-0".to_owned(), "demo-1".to_owned()];
        let view = View { sheet, nodes, took: Duration::from_millis(640) };
        anstream::adapter::strip_str(&view.table()).to_string()
    }

    #[test]
    fn a_healthy_cluster_is_one_line() {
        let mut sheet = Sheet::default();
        sheet.checks(42, None);
        assert_eq!(drawn(&sheet), "healthy: 42 checks of demo-0, demo-1 in 640 ms, and nothing was found\n");
    }

    #[test]
    fn a_finding_is_a_paragraph_with_its_cause_its_evidence_and_what_to_do_next() {
        let mut sheet = Sheet::default();
        let down = Finding::new(
            Severity::Hurts,
            Area::Kafka,
            Word::of("KafkaDown"),
            "demo-1: Kafka",
            "it does not run",
        );
        sheet.check([down.with("listener A: refused").next("kubectl describe pod demo-1")]);
        sheet.skip("the jar");
        assert_eq!(
            drawn(&sheet),
            "hurts  demo-1: Kafka  KafkaDown\n  it does not run\n  - listener A: refused\n  \
             next: kubectl describe pod demo-1\n\nnot checked: the jar\n1 finding: 1 check of demo-0, demo-1 in 640 ms\n"
        );
        let json = View { sheet: &sheet, nodes: Vec::new(), took: Duration::ZERO }.json();
        assert_eq!(json["findings"][0]["next"], "kubectl describe pod demo-1");
        assert_eq!((&json["findings"][0]["severity"], &json["checks"]), (&json!("hurts"), &json!(1)));
    }
}
