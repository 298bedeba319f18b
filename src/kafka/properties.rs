//! `.properties` text exactly as `java.util.Properties` reads it, and a safe way to write it.
//!
//! Kafka reads its settings and `meta.properties` with `Properties.load(InputStream)`: ISO-8859-1, `\uXXXX`,
//! continuation lines. Anything less exact would let this program and Kafka see two different values in one file.

use std::fmt::Write;

/// Far above any real settings file; a bound, so that a mounted file cannot fill the memory.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A file that `Properties.load` would refuse, or one above [`MAX_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// A `\u` that is not followed by four hexadecimal digits.
    #[error("line {line}: \\u is not followed by four hexadecimal digits; want \\\\ for a backslash")]
    MalformedEscape {
        /// Counted from 1: the line of the file in which the escape stands.
        line: u32,
    },
    /// The file is too big.
    #[error("the file has {0} bytes; want at most {MAX_BYTES}")]
    TooLarge(usize),
}

impl PropertiesError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MalformedEscape { .. } => "MalformedProperties",
            Self::TooLarge(_) => "PropertiesTooLarge",
        }
    }
}

/// Reads all pairs, in the order of the file and with duplicates: Kafka takes the last one of a key, the caller may
/// want to name both.
///
/// Half a surrogate pair (`\ud83d` without its `\ude00`) is a `char` to Java and no character at all to Unicode; it
/// becomes U+FFFD. Kafka could not store it either: all its encodings are UTF-8.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, PropertiesError> {
    if bytes.len() > MAX_BYTES {
        return Err(PropertiesError::TooLarge(bytes.len()));
    }
    let mut lines =
        LogicalLines { bytes: bytes.iter().copied().peekable(), line: 1, after_carriage_return: false };
    let mut pairs = Vec::new();
    while let Some(line) = lines.next_line() {
        let (key, value) = split(&line);
        pairs.push((unescape(key)?, unescape(value)?));
    }
    Ok(pairs)
}

/// One line, without its end, that [`parse`] and Java read back as exactly this pair.
///
/// Everything outside printable ASCII is written as `\uXXXX`, so that the file means the same in ISO-8859-1 and UTF-8.
pub fn render_line(key: &str, value: &str) -> String {
    let mut line = String::with_capacity(key.len() + value.len() + 1);
    for character in key.chars() {
        if matches!(character, '=' | ':' | '#' | '!' | ' ') {
            line.push('\\');
        }
        push_escaped(&mut line, character);
    }
    line.push('=');
    if value.starts_with(' ') {
        line.push('\\');
    }
    for character in value.chars() {
        push_escaped(&mut line, character);
    }
    line
}

fn push_escaped(line: &mut String, character: char) {
    match character {
        '\\' => line.push_str("\\\\"),
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        '\x0c' => line.push_str("\\f"),
        ' '..='~' => line.push(character),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    }
}

/// A byte of a logical line and the line of the file it came from.
type Located = (u8, u32);

struct LogicalLines<I: Iterator<Item = u8>> {
    bytes: std::iter::Peekable<I>,
    line: u32,
    after_carriage_return: bool,
}

impl<I: Iterator<Item = u8>> LogicalLines<I> {
    /// The next line that holds a pair, continuation lines joined, as `Properties.LineReader` has it.
    fn next_line(&mut self) -> Option<Vec<Located>> {
        let mut joined: Vec<Located> = Vec::new();
        let mut at_line_start = true;
        let mut continued = false;
        let mut odd_backslashes = false;
        while let Some((byte, line)) = self.next_byte() {
            let ends_line = matches!(byte, b'\n' | b'\r');
            if at_line_start {
                if matches!(byte, b' ' | b'\t' | b'\x0c') || (ends_line && !continued) {
                    continue;
                }
                at_line_start = false;
                continued = false;
                // A comment may begin wherever nothing has been read yet, even after a lone backslash.
                if joined.is_empty() && matches!(byte, b'#' | b'!') {
                    self.skip_comment();
                    at_line_start = true;
                    continue;
                }
            }
            if !ends_line {
                joined.push((byte, line));
                odd_backslashes = byte == b'\\' && !odd_backslashes;
            } else if odd_backslashes {
                joined.pop();
                odd_backslashes = false;
                if self.bytes.peek().is_none() {
                    // Nothing follows: the line counts, even if the backslash was all of it.
                    return Some(joined);
                }
                if byte == b'\r' && self.bytes.peek() == Some(&b'\n') {
                    self.next_byte();
                }
                at_line_start = true;
                continued = true;
            } else if joined.is_empty() {
                at_line_start = true;
            } else {
                return Some(joined);
            }
        }
        let ends_in_backslash = odd_backslashes && joined.pop().is_some();
        (ends_in_backslash || !joined.is_empty()).then_some(joined)
    }

    fn next_byte(&mut self) -> Option<Located> {
        let byte = self.bytes.next()?;
        let line = self.line;
        let second_of_pair = byte == b'\n' && self.after_carriage_return;
        if matches!(byte, b'\n' | b'\r') && !second_of_pair {
            self.line += 1;
        }
        self.after_carriage_return = byte == b'\r';
        Some((byte, line))
    }

    fn skip_comment(&mut self) {
        while let Some((byte, _)) = self.next_byte() {
            if matches!(byte, b'\n' | b'\r') {
                return;
            }
        }
    }
}

/// Divides a logical line at its first separator that is not escaped.
fn split(line: &[Located]) -> (&[Located], &[Located]) {
    let blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\x0c');
    let mut escaped = false;
    let key_end = line.iter().position(|&(byte, _)| {
        let separates = !escaped && (blank(byte) || matches!(byte, b'=' | b':'));
        escaped = byte == b'\\' && !escaped;
        separates
    });
    let (key, rest) = line.split_at(key_end.unwrap_or(line.len()));
    // Blanks, then at most one `=` or `:`, then blanks.
    let mut separated = false;
    let value_start = rest.iter().position(|&(byte, _)| {
        let separates = !separated && matches!(byte, b'=' | b':');
        separated |= separates;
        !separates && !blank(byte)
    });
    (key, rest.split_at(value_start.unwrap_or(rest.len())).1)
}

fn unescape(text: &[Located]) -> Result<String, PropertiesError> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some((byte, _)) = bytes.next() {
        let unit = match byte {
            b'\\' => match bytes.next() {
                Some((b'u', line)) => hexadecimal(&mut bytes, line)?,
                Some((b't', _)) => u16::from(b'\t'),
                Some((b'n', _)) => u16::from(b'\n'),
                Some((b'r', _)) => u16::from(b'\r'),
                Some((b'f', _)) => 0x0c,
                Some((other, _)) => u16::from(other),
                None => continue,
            },
            _ => u16::from(byte),
        };
        units.push(unit);
    }
    Ok(String::from_utf16_lossy(&units))
}

fn hexadecimal(bytes: &mut impl Iterator<Item = Located>, line: u32) -> Result<u16, PropertiesError> {
    let mut value = 0;
    for _ in 0..4 {
        let digit = bytes.next().and_then(|(byte, _)| char::from(byte).to_digit(16));
        value = value * 16 + digit.ok_or(PropertiesError::MalformedEscape { line })?;
    }
    u16::try_from(value).map_err(|_| PropertiesError::MalformedEscape { line })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_is_read_as_java_reads_it() {
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: &[(&[u8], Pairs)] = &[
            (b"", &[]),
            (b"a=b", &[("a", "b")]),
            (b"a=b # c\n", &[("a", "b # c")]),
            (b"# x\n  ! y\r\n\ta:b\n", &[("a", "b")]),
            (b"a b", &[("a", "b")]),
            (b"a   =  b  ", &[("a", "b  ")]),
            (b"a==b", &[("a", "=b")]),
            (b"a = = b", &[("a", "= b")]),
            (b"a : = b", &[("a", "= b")]),
            (b"=v", &[("", "v")]),
            (b"key\nkey=", &[("key", ""), ("key", "")]),
            (b"a=1\rb=2\r\nc=3\n\n\nd=4", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]),
            (b"a=b\\\n   c", &[("a", "bc")]),
            (b"a=b\\\r\n\tc\r\nd=e", &[("a", "bc"), ("d", "e")]),
            (b"a=b\\\n\nc=d", &[("a", "b"), ("c", "d")]),
            (b"a=b\\\\\nc=d", &[("a", "b\\"), ("c", "d")]),
            (b"a\\\n#=b", &[("a#", "b")]),
            (b"\\\n#=b\nc=d", &[("c", "d")]),
            (b"a\\=b=c", &[("a=b", "c")]),
            (b"a\\ b:c", &[("a b", "c")]),
            (b"a=C:\\dir\\new", &[("a", "C:dir\new")]),
            (b"a=\\t\\n\\r\\f\\u00e9\\u00E9", &[("a", "\t\n\r\x0c\u{e9}\u{e9}")]),
            (b"a=\\ud83d\\ude00", &[("a", "\u{1f600}")]),
            (b"a=\\ud83dx", &[("a", "\u{fffd}x")]),
            ("a=é".as_bytes(), &[("a", "Ã©")]),
            (b"a=\xe9", &[("a", "é")]),
            (b"a=b\\", &[("a", "b")]),
            (b"\\", &[("", "")]),
            (b"\\\n", &[("", "")]),
            (b"\\\r", &[("", "")]),
            (b"\\\r\n", &[]),
            (b"\\\n ", &[]),
        ];
        for (bytes, want) in cases {
            let want: Vec<_> = want.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            assert_eq!(parse(bytes).unwrap(), want, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_malformed_escape_is_named_with_its_line() {
        for (text, want) in [
            ("a=\\u12", 1),
            ("a=b\r\n# c\r\n\r\nd=\\u12g4", 4),
            ("a=b\\\n  \\u\n", 2),
            ("a\\u00=39", 1),
            ("a=\\u+123", 1),
        ] {
            assert_eq!(
                parse(text.as_bytes()),
                Err(PropertiesError::MalformedEscape { line: want }),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_over_the_bound_is_refused() {
        assert_eq!(parse(&vec![b'\n'; MAX_BYTES]), Ok(vec![]));
        assert_eq!(parse(&vec![b'\n'; MAX_BYTES + 1]), Err(PropertiesError::TooLarge(MAX_BYTES + 1)));
    }

    #[test]
    fn a_line_is_written_so_that_it_means_the_same_in_any_encoding() {
        for (key, value, want) in [
            ("log.dirs", "/data/0", "log.dirs=/data/0"),
            ("a b", " c d ", "a\\ b=\\ c d "),
            ("#a", "#!=:", "\\#a=#!=:"),
            ("a", "é\u{1f600}\u{7f}\0", "a=\\u00e9\\ud83d\\ude00\\u007f\\u0000"),
            ("a", "C:\\new\nline\\", "a=C:\\\\new\\nline\\\\"),
        ] {
            assert_eq!(render_line(key, value), want);
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back(pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..8)) {
            let text: String = pairs.iter().map(|(key, value)| render_line(key, value) + "\n").collect();
            prop_assert_eq!(parse(text.as_bytes()), Ok(pairs));
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(prop::sample::select(&b"a=: \t\\u0f\r\n#!\xe9"[..]), 0..60)) {
            let _ = parse(&bytes);
        }
    }
}
