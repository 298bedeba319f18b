//! What the engines inside Kafka say they have loaded.
//!
//! `images/ssl-engine` writes a JSON object on each line: first the process and how many lines follow, then one for
//! all instances of a listener and side that share their stores and so are always in the same state. An instance of
//! the engine knows its listener's prefix and whether it was a server or a client so far, and no more: the raft client
//! and the channels from broker to controller share a prefix. The file comes from another process: nothing in it is
//! believed to be well-formed or small.

use std::time::Duration;
use std::time::SystemTime;

use serde::Deserialize;

use crate::pki::certificate::Fingerprint;

/// What the engines of one Kafka process have loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineReport {
    /// Another one after each start of Kafka.
    pub process: String,
    /// Their states; none once a Kafka that stops has closed its channels.
    pub states: Vec<EngineState>,
}

/// The state of some instances of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineState {
    /// The listener's name in small letters, as in `listener.name.<name>.`.
    pub listener: String,
    /// Which ends of connections they were.
    pub usage: Usage,
    /// How many instances.
    pub instances: u32,
    /// The leaf that new connections show; `None` without a keystore.
    pub leaf: Option<Fingerprint>,
    /// The trust anchors of new connections: SHA-256 over the anchors' fingerprints as `Display` prints them, sorted,
    /// each once, one behind another. `None` without a truststore of their own.
    pub trust: Option<Fingerprint>,
    /// The first eight digits of the anchors' fingerprints, sorted; of more than 16 only the first.
    pub anchors: Vec<String>,
    /// When they last loaded files, or refused them.
    pub at: SystemTime,
    /// Why the files that lie there now are not what is loaded; `None` where they are.
    pub error: Option<String>,
}

/// Which ends of connections an instance has been so far; one that was none yet is not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// The end that is dialled.
    Server,
    /// The end that dials.
    Client,
    /// Both: Kafka tries the listener between brokers with itself when it starts.
    Both,
}

/// Bytes that are no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// More than the engine ever writes.
    #[error("the engine's report has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// A line that is not what the engine writes.
    #[error("line {line} of the engine's report: {what}")]
    Malformed {
        /// From 1.
        line: usize,
        /// What was found.
        what: String,
    },
    /// Some states are not in it, so nothing can be said of all.
    #[error("the engine's report has {found} states; want the {wanted} that it counts")]
    Incomplete {
        /// Lines found.
        found: usize,
        /// Lines counted.
        wanted: usize,
    },
}

/// The engine writes at most 48 lines, of a little more than 1 KiB where they have the longest of errors.
pub const MAX_BYTES: usize = 64 * 1024;

/// The engine cuts its sentences here.
const MAX_ERROR_CHARS: usize = 300;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    process: String,
    lines: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    listener: String,
    side: Usage,
    leaf: Option<String>,
    trust: Option<String>,
    anchors: Vec<String>,
    at_ms: u64,
    error: Option<String>,
    instances: u32,
}

impl ReportError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "EngineReportTooLarge",
            Self::Malformed { .. } => "EngineReportMalformed",
            Self::Incomplete { .. } => "EngineReportIncomplete",
        }
    }
}

/// Reads the bytes of the file.
pub fn parse(bytes: &[u8]) -> Result<EngineReport, ReportError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReportError::TooLarge);
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    let (head, number) = lines.next().unwrap_or((b"", 1));
    let head: Head = serde_json::from_slice(head).map_err(|error| malformed(number, &error))?;
    if !is_name(&head.process) {
        return Err(malformed(number, "the process has no plain name"));
    }
    let mut states = Vec::new();
    for (line, number) in lines {
        let line: Line = serde_json::from_slice(line).map_err(|error| malformed(number, &error))?;
        states.push(state(line).map_err(|what| malformed(number, what))?);
    }
    if states.len() != head.lines {
        return Err(ReportError::Incomplete { found: states.len(), wanted: head.lines });
    }
    Ok(EngineReport { process: head.process, states })
}

fn malformed(line: usize, what: impl ToString) -> ReportError {
    ReportError::Malformed { line, what: plain(&what.to_string()) }
}

fn state(line: Line) -> Result<EngineState, &'static str> {
    let fingerprint = |text: Option<String>| {
        text.map(|text| text.parse::<Fingerprint>()).transpose().map_err(|_| "a fingerprint is none")
    };
    if !is_name(&line.listener) {
        return Err("the listener has no plain name");
    }
    if !line.anchors.iter().all(|anchor| is_name(anchor)) {
        return Err("an anchor's fingerprint is none");
    }
    Ok(EngineState {
        listener: line.listener,
        usage: line.side,
        instances: line.instances,
        leaf: fingerprint(line.leaf)?,
        trust: fingerprint(line.trust)?,
        anchors: line.anchors,
        at: SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_millis(line.at_ms))
            .ok_or("the time is none")?,
        error: line.error.as_deref().map(plain),
    })
}

/// What can be printed anywhere: small letters, digits, `-`, `_`, and not too many.
fn is_name(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=255).contains(&text.len()) && text.bytes().all(is_plain)
}

/// One line of printable ASCII, as the engine writes it.
fn plain(text: &str) -> String {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(MAX_ERROR_CHARS).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"process":"5d1611a1-4074","lines":1}"#;

    fn line(listener: &str, leaf: &str, at_ms: &str, error: &str) -> String {
        format!(
            r#"{{"listener":"{listener}","side":"client","leaf":{leaf},"trust":null,"anchors":["0a1b2c3d"],"atMs":{at_ms},"error":{error},"instances":7}}"#
        )
    }

    fn of(line: &str) -> Result<EngineReport, ReportError> {
        parse(format!("{HEAD}\n{line}\n").as_bytes())
    }

    #[test]
    fn a_report_is_read_as_the_engine_writes_it() {
        let leaf = Fingerprint::of(b"leaf");
        let want = EngineState {
            listener: "controller".to_owned(),
            usage: Usage::Client,
            instances: 7,
            leaf: Some(leaf),
            trust: None,
            anchors: vec!["0a1b2c3d".to_owned()],
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_844_000_123),
            error: None,
        };
        let found = of(&line("controller", &format!("\"{leaf}\""), "1763844000123", "null")).unwrap();
        assert_eq!(found, EngineReport { process: "5d1611a1-4074".to_owned(), states: vec![want] });
        let closed = parse(b"{\"process\":\"p\",\"lines\":0}\n").unwrap();
        assert_eq!(closed.states, []);
    }

    #[test]
    fn what_the_engine_does_not_write_is_an_error_and_says_which_line() {
        let check = |bytes: &[u8], want: &str| {
            let error = parse(bytes).unwrap_err();
            assert!(error.to_string().starts_with(want), "{error}; want {want}");
            assert!(error.to_string().is_ascii() && error.to_string().len() < 400, "{error}");
        };
        check(b"", "line 1 of the engine's report: EOF");
        check(b"\xff\xfe", "line 1 of the engine's report: expected value");
        check(b"{\"process\":\"p\",\"lines\":2}\n", "the engine's report has 0 states; want the 2");
        check(b"{\"process\":\"p\",\"lines\":18446744073709551615}", "the engine's report has 0 states");
        check(b"{\"process\":\"\x1b[2J\",\"lines\":0}", "line 1 of the engine's report");
        check(b"{\"process\":\"a\\nb\",\"lines\":0}", "line 1 of the engine's report: the process");
        check(&[b'\n'; MAX_BYTES + 1], "the engine's report has more than 65536 bytes");
        check(&"[".repeat(MAX_BYTES).into_bytes(), "line 1 of the engine's report");
        let good = line("client", "null", "0", "null");
        let lines = [
            (good.replace("client\",\"side\":\"client", "client\",\"side\":\"peer"), "unknown variant"),
            (good.replace("\"instances\":7", "\"instances\":-7"), "invalid value"),
            (good.replace('}', ",\"more\":1}"), "unknown field"),
            (good[..good.len() / 2].to_owned(), "EOF"),
            (line("CLIENT", "null", "0", "null"), "the listener has no plain name"),
            (line("../client", "null", "0", "null"), "the listener has no plain name"),
            (line("client", "\"ab\"", "0", "null"), "a fingerprint is none"),
            (good.replace("0a1b2c3d", "0A"), "an anchor's fingerprint is none"),
        ];
        for (line, want) in lines {
            check(format!("{HEAD}\n{line}\n").as_bytes(), &format!("line 2 of the engine's report: {want}"));
        }
    }

    #[test]
    fn an_error_is_one_short_line_and_no_time_is_too_late() {
        let long = format!("\"no\\nlines, no {} \\u001b[31m {}\"", '\u{202e}', "x".repeat(1000));
        let error = of(&line("client", "null", "0", &long)).unwrap().states[0].error.clone().unwrap();
        assert!(error.starts_with("no?lines, no ? ?[31m xxx") && error.len() == MAX_ERROR_CHARS, "{error}");
        // Whether a system's clock goes so far or not: no panic.
        let _ = of(&line("client", "null", "18446744073709551615", "null"));
    }

    #[test]
    fn a_report_cut_anywhere_is_never_taken_for_a_whole_one() {
        let whole = format!("{HEAD}\n{}\n", line("client", "null", "0", "null"));
        for end in 0..whole.len() - 1 {
            assert!(parse(&whole.as_bytes()[..end]).is_err(), "{end}");
        }
        assert!(parse(whole.as_bytes()).is_ok());
    }
}
