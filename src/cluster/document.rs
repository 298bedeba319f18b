//! A YAML text as a tree that knows where each value stands.
//!
//! The settings are read twice: here, to find every problem at once and to point at it, and then by serde into the
//! types of `settings`. Values keep the text they were written as, so `kafkaVersion: 4.10` stays "4.10".
//!
//! Anchors, aliases and tags are refused. A settings file has no use for them, and without aliases no small file can
//! unfold into a large one. What else bounds the tree: the bytes of the text, its depth, the number of its values and the
//! length of each. The parser itself looks ahead 1024 characters for the end of a key (granit-parser, `ParserOptions`).

use serde_saphyr::granit_parser::Event;
use serde_saphyr::granit_parser::Parser;
use serde_saphyr::granit_parser::ScalarStyle;

use crate::cluster::problem::Place;
use crate::cluster::problem::Problem;

/// One value and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// The three shapes of YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, as written; `plain` when it stands without quotes, so that it may also be a number or a truth value.
    Scalar {
        /// The text, escapes undone.
        text: String,
        /// Without quotes.
        plain: bool,
    },
    /// `- a`
    Sequence(Vec<Node>),
    /// `key: value`, in the order of the file, each key with its place.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it stands.
    pub place: Place,
    /// Its text.
    pub text: String,
}

/// The settings of a large cluster have some 10 KiB. The webhook and the signer read everybody's, and have 64 MiB each.
const LARGEST_BYTES: usize = 256 * 1024;

/// Keys, values, lists and mappings. Four maps with a thousand properties each are half of it.
const MOST_VALUES: usize = 16_384;

/// One text. A few PEM certificates as the value of a property are the longest that anybody has a use for, and what is
/// written once may be copied for each listener.
const LONGEST_TEXT_BYTES: usize = 32 * 1024;

/// Deeper than any settings file; keeps the recursion of the reader bounded.
const DEEPEST: usize = 32;

/// The tree of `bytes`, or the one thing that keeps it from being a tree.
pub fn parse(bytes: &[u8]) -> Result<Node, Problem> {
    let top = Place::default();
    if bytes.len() > LARGEST_BYTES {
        let message = format!("the settings are {} bytes; want at most {LARGEST_BYTES}", bytes.len());
        return Err(Problem::new(top, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let mut reader = Reader { parser: Parser::new_from_str(text), place: top, values: 0 };
    let root = reader.document()?;
    match root {
        Some(node) => Ok(node),
        None => Err(Problem::new(top, "the settings are empty; want a mapping with `apiVersion`, `kind`, …")),
    }
}

impl Node {
    /// The value below `path`, for example `["pools", "1", "replicas"]`; sequences are entered by index.
    pub fn find(&self, path: &[String]) -> Option<&Node> {
        path.iter().try_fold(self, |node, segment| node.child(segment).map(|(_, child)| child))
    }

    /// Where `path` stands, or where its nearest ancestor does when it is not written.
    pub fn place_of(&self, path: &[String]) -> Place {
        let mut node = self;
        let mut place = self.place;
        for segment in path {
            let Some((key_place, child)) = node.child(segment) else { break };
            place = key_place;
            node = child;
        }
        place
    }

    fn child(&self, segment: &str) -> Option<(Place, &Node)> {
        match &self.value {
            Value::Scalar { .. } => None,
            Value::Sequence(items) => {
                segment.parse().ok().and_then(|index: usize| items.get(index)).map(|item| (item.place, item))
            }
            Value::Mapping(entries) => {
                let found = entries.iter().find(|(key, _)| key.text == segment);
                found.map(|(key, value)| (key.place, value))
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    place: Place,
    /// How many have begun.
    values: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node>, Problem> {
        let mut root = None;
        loop {
            match self.next()? {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(root),
                _ if root.is_some() => {
                    return Err(Problem::new(self.place, "a second YAML document begins here; want one"));
                }
                event => root = Some(self.node(event, 0)?),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, Problem> {
        let place = self.place;
        let refuse = |what: &str| Err(Problem::new(place, format!("{what} are not read in settings")));
        if depth > DEEPEST {
            return Err(Problem::new(place, format!("nested deeper than {DEEPEST} levels")));
        }
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(Problem::new(place, format!("more than {MOST_VALUES} keys and values; want fewer")));
        }
        let value = match event {
            Event::Alias(_) | Event::UnresolvedAlias(_) | Event::Anchor(..) => return refuse("aliases"),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _)
                if anchor != 0 =>
            {
                return refuse("anchors");
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => return refuse("tags"),
            Event::Scalar(text, ..) if text.len() > LONGEST_TEXT_BYTES => {
                let message = format!("a text of {} bytes; want at most {LONGEST_TEXT_BYTES}", text.len());
                return Err(Problem::new(place, message));
            }
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => Value::Sequence(self.sequence(depth)?),
            Event::MappingStart(..) => Value::Mapping(self.mapping(depth)?),
            _ => return Err(Problem::new(place, "want a value here")),
        };
        Ok(Node { place, value })
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(items),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let event = match self.next()? {
                Event::MappingEnd => return Ok(entries),
                event => event,
            };
            let key = self.node(event, depth + 1)?;
            let Value::Scalar { text, .. } = key.value else {
                return Err(Problem::new(key.place, "want a word as the key, not a list or a mapping"));
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            entries.push((Key { place: key.place, text }, value));
        }
    }

    /// The next event that is not a comment; `self.place` is where it begins.
    fn next(&mut self) -> Result<Event<'a>, Problem> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => {
                    self.place = Place::new(span.start.line(), span.start.col() + 1);
                    return Ok(event);
                }
                Some(Err(error)) => {
                    let place = Place::new(error.marker().line(), error.marker().col() + 1);
                    return Err(Problem::new(place, format!("not YAML: {}", error.info())));
                }
                None => return Ok(Event::StreamEnd),
            }
        }
    }
}

fn not_utf8(bytes: &[u8], valid_up_to: usize) -> Problem {
    let before = bytes.get(..valid_up_to).unwrap_or_default();
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let byte = bytes.get(valid_up_to).copied().unwrap_or_default();
    let place = Place::new(line, valid_up_to - line_start + 1);
    Problem::new(place, format!("byte 0x{byte:02x} is not UTF-8; want the settings in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        let problem = parse(bytes).unwrap_err();
        format!("{}:{} {}", problem.place.line, problem.place.column, problem.message)
    }

    #[test]
    fn a_value_keeps_its_text_and_its_place() {
        let root = parse(b"kafkaVersion: 4.10\npools:\n- replicas: \"3\"\n").unwrap();
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let version = root.find(&path("kafkaVersion")).unwrap();
        assert_eq!(version.value, Value::Scalar { text: "4.10".into(), plain: true });
        assert_eq!(root.place_of(&path("pools.0.replicas")), Place::new(3, 3));
        assert_eq!(root.place_of(&path("pools.0.roles")), Place::new(3, 3), "its nearest ancestor");
        assert_eq!(root.place_of(&path("listeners")), Place::new(1, 1));
    }

    #[test]
    fn what_is_no_tree_is_refused_with_its_place() {
        assert_eq!(problem(b""), "1:1 the settings are empty; want a mapping with `apiVersion`, `kind`, …");
        assert_eq!(problem(b"a: 1\nb: \xff"), "2:4 byte 0xff is not UTF-8; want the settings in UTF-8");
        assert_eq!(problem(b"a: &x 1\nb: *x"), "1:7 anchors are not read in settings");
        assert_eq!(problem(b"a: !!str 1"), "1:10 tags are not read in settings");
        assert_eq!(problem(b"a: 1\n---\nb: 2"), "3:1 a second YAML document begins here; want one");
        assert!(problem("- ".repeat(100).as_bytes()).contains("nested deeper than 32 levels"));
        assert!(
            problem(&vec![b'a'; 5_000_000]).contains("the settings are 5000000 bytes; want at most 262144")
        );
        assert!(problem(&b"- 1\n".repeat(60_000)).ends_with(" more than 16384 keys and values; want fewer"));
        let long = [&b"a: "[..], &[b'x'; 40_000]].concat();
        assert_eq!(problem(&long), "1:4 a text of 40000 bytes; want at most 32768");
        assert!(problem(b"a: [1").starts_with("1:4 not YAML: unclosed bracket"), "{}", problem(b"a: [1"));
    }

    #[test]
    fn an_alias_bomb_is_refused_at_its_first_anchor() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..30 {
            let below = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert_eq!(problem(bomb.as_bytes()), "1:9 anchors are not read in settings");
    }
}
