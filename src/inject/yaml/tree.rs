//! One YAML document as a tree that knows which bytes each value is made of.

use std::ops::Range;

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;
use serde_saphyr::granit_parser::Event;
use serde_saphyr::granit_parser::Parser;
use serde_saphyr::granit_parser::ScalarStyle;
use serde_saphyr::granit_parser::StrInput;
use serde_saphyr::granit_parser::StructureStyle;

/// A value and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From its first byte to behind its last; of a collection in braces, with these.
    pub bytes: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// The shapes of YAML.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A text, a number, a truth value, or nothing.
    Scalar(Value),
    /// A list.
    Sequence {
        /// In brackets, and not by indentation.
        is_flow: bool,
        /// The items.
        items: Vec<Node>,
    },
    /// Keys, each with its first byte, and values.
    Mapping {
        /// In braces, and not by indentation.
        is_flow: bool,
        /// In the order of the file.
        entries: Vec<(usize, String, Node)>,
    },
}

/// A document that is not changed here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// It is not YAML.
    #[error("line {line}: not YAML: {what}")]
    NotYaml {
        /// Counted from 1.
        line: usize,
        /// The parser's words.
        what: String,
    },
    /// Something that YAML has and manifests rarely do.
    #[error("line {line}: {what}")]
    NotTaken {
        /// Counted from 1.
        line: usize,
        /// What.
        what: &'static str,
    },
    /// What would be put into it would be read as something else.
    #[error(
        "the form of this document cannot be edited here, though it can be read; want it as kubectl prints it"
    )]
    NotEdited,
}

/// Deeper than any manifest; keeps the recursion bounded.
const DEEPEST: usize = 64;

/// The tree of a document; `None` where there is nothing but comments.
pub fn parse(text: &str) -> Result<Option<Node>, TreeError> {
    let mut reader = Reader { text, parser: Parser::new_from_str(text), line: 1 };
    let mut root = None;
    loop {
        let (event, bytes) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => return Ok(root),
            _ if root.is_some() => return Err(reader.not_taken("a second document")),
            event => root = Some(reader.node(event, bytes, 0)?),
        }
    }
}

impl Node {
    /// The value as JSON has it.
    pub fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Sequence { items, .. } => Value::Array(items.iter().map(Self::value).collect()),
            Kind::Mapping { entries, .. } => {
                let pairs = entries.iter().map(|(_, key, node)| (key.clone(), node.value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// What is below it under a key, or at an index.
    pub fn child(&self, part: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Scalar(_) => None,
            Kind::Sequence { items, .. } => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            Kind::Mapping { entries, .. } => {
                entries.iter().find(|(_, key, _)| key == part).map(|(_, _, node)| node)
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn node(&mut self, event: Event<'a>, bytes: Range<usize>, depth: usize) -> Result<Node, TreeError> {
        if depth > DEEPEST {
            return Err(self.not_taken("nested deeper than 64 levels"));
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => return Err(self.not_taken("aliases are not followed; write the value out")),
        };
        if anchor != 0 {
            return Err(self.not_taken("anchors are not followed; write the value out"));
        }
        if tag {
            return Err(self.not_taken("tags are not read"));
        }
        match event {
            Event::Scalar(text, style, ..) => {
                let value =
                    if style == ScalarStyle::Plain { plain(&text) } else { Value::String(text.into_owned()) };
                let mut bytes = bytes;
                if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                    // The parser has read the next line's indentation before it knew that the text was at its end.
                    let own = self.text.get(bytes.clone()).unwrap_or_default();
                    bytes.end = bytes.start + own.trim_end_matches(' ').len();
                }
                Ok(Node { bytes, kind: Kind::Scalar(value) })
            }
            Event::SequenceStart(style, ..) => self.sequence(style == StructureStyle::Flow, bytes, depth),
            _ => self.mapping(matches!(event, Event::MappingStart(StructureStyle::Flow, ..)), bytes, depth),
        }
    }

    fn sequence(&mut self, is_flow: bool, begin: Range<usize>, depth: usize) -> Result<Node, TreeError> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, bytes) = self.next()?;
            if let Event::SequenceEnd = event {
                let last = items.last().map_or(begin.end, |node| node.bytes.end);
                let end = if is_flow { bytes.end } else { last };
                return Ok(Node { bytes: begin.start..end, kind: Kind::Sequence { is_flow, items } });
            }
            items.push(self.node(event, bytes, depth + 1)?);
        }
    }

    fn mapping(&mut self, is_flow: bool, begin: Range<usize>, depth: usize) -> Result<Node, TreeError> {
        let mut entries: Vec<(usize, String, Node)> = Vec::new();
        loop {
            let (event, bytes) = self.next()?;
            if let Event::MappingEnd = event {
                let last = entries.last().map_or(begin.end, |(_, _, node)| node.bytes.end);
                let end = if is_flow { bytes.end } else { last };
                return Ok(Node { bytes: begin.start..end, kind: Kind::Mapping { is_flow, entries } });
            }
            let key = self.node(event, bytes, depth + 1)?;
            let name = match key.kind {
                Kind::Scalar(Value::String(name)) => name,
                // `1: a` and `true: b`; JSON has only texts for keys.
                Kind::Scalar(other) => other.to_string(),
                Kind::Sequence { .. } | Kind::Mapping { .. } => {
                    return Err(self.not_taken("want a word as the key, not a list or a mapping"));
                }
            };
            let (event, bytes) = self.next()?;
            let mut node = self.node(event, bytes, depth + 1)?;
            if node.bytes.is_empty() {
                // A value that is not there would stand behind its key's colon.
                let behind = self.text.get(key.bytes.end..).and_then(|rest| rest.find(':'));
                let at = behind.map_or(key.bytes.end, |colon| key.bytes.end + colon + 1);
                node.bytes = at..at;
            }
            // A text of several lines begins with the sign that it is one, which the parser leaves out.
            let between = self.text.get(key.bytes.end..node.bytes.start).unwrap_or_default();
            let header = between.trim_start_matches(|c: char| c == ':' || c.is_whitespace());
            if header.starts_with(['|', '>']) {
                node.bytes.start -= header.len();
            }
            entries.push((key.bytes.start, name, node));
        }
    }

    /// The next event that is not a comment, and its bytes.
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), TreeError> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => {
                    self.line = span.start.line();
                    return Ok((event, span.byte_range().unwrap_or_default()));
                }
                Some(Err(error)) => {
                    let line = error.marker().line();
                    return Err(TreeError::NotYaml { line, what: error.info() });
                }
                None => return Ok((Event::StreamEnd, 0..0)),
            }
        }
    }

    fn not_taken(&self, what: &'static str) -> TreeError {
        TreeError::NotTaken { line: self.line, what }
    }
}

/// A word without quotes (YAML 1.2, core schema).
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return None;
    }
    let whole = text.strip_prefix("0o").map(|octal| i64::from_str_radix(octal, 8));
    let whole = whole.or_else(|| text.strip_prefix("0x").map(|hex| i64::from_str_radix(hex, 16)));
    match whole.unwrap_or_else(|| text.parse::<i64>()) {
        Ok(whole) => Some(whole.into()),
        Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
    }
}
