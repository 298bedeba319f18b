//! Text that may be shown: one line, printable, of bounded length; and the words that name reasons.
//!
//! What the snapshot says is made of errors, subjects of leaves and words of peers, and ends in a terminal, a metric
//! or another agent's memory. So whatever became a [`Text`] can do no harm there, wherever it came from.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;

/// One line of printable text, cut after [`Text::MOST_CHARS`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(String);

/// An UpperCamelCase word, as reasons and stages are: `SourceHasNotRenewed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(Cow<'static, str>);

/// Text that is no such word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no word; want UpperCamelCase, at most {max} letters and digits", max = Word::MOST_CHARS)]
pub struct WordError(Text);

impl Text {
    /// Twice what `kubectl describe` shows of a message without wrapping it into a wall; errors chain up to about 300.
    pub const MOST_CHARS: usize = 600;

    /// Whatever it prints, made harmless: line breaks and control characters become blanks, marks that turn the
    /// direction of text are left out, and a long text ends with an ellipsis.
    pub fn new(text: impl fmt::Display) -> Self {
        let mut plain = Plain { text: String::new(), chars: 0 };
        // The only error is our own, of a text that is full.
        let _ = fmt::write(&mut plain, format_args!("{text}"));
        Self(plain.text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A time as RFC 3339 writes it, in UTC.
pub fn rfc3339(at: SystemTime) -> Timestamp {
    // A leaf without an end is good until the last second of 9999 (RFC 5280, 4.1.2.5), which is after what jiff knows.
    let last = if at < SystemTime::UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::try_from(at).unwrap_or(last)
}

/// Collects what is printable until it is full, so that a long text is never held whole.
struct Plain {
    text: String,
    chars: usize,
}

impl fmt::Write for Plain {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars().filter(|char| !turns_direction(*char)) {
            if self.chars == Text::MOST_CHARS {
                self.text.pop();
                self.text.push('…');
                self.chars += 1;
            }
            if self.chars > Text::MOST_CHARS {
                return Err(fmt::Error);
            }
            self.text.push(if char.is_control() || is_line_break(char) { ' ' } else { char });
            self.chars += 1;
        }
        Ok(())
    }
}

/// The bidirectional controls of Unicode (UAX #9), with which a text can show other words than it holds.
fn turns_direction(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The two that are no control characters.
fn is_line_break(char: char) -> bool {
    matches!(char, '\u{2028}' | '\u{2029}')
}

/// In quotes, as a `String`.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Text {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl Word {
    /// The longest of ours has 30; Kubernetes allows reasons of 128 (events.k8s.io/v1).
    pub const MOST_CHARS: usize = 64;

    /// A word of this program, as a `reason()` gives it.
    pub const fn of(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Word {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let is_word = text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.len() <= Self::MOST_CHARS
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_word { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(WordError(Text::new(text))) }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_printable_line() {
        for (input, want) in [
            ("listener CLIENT: not there", "listener CLIENT: not there"),
            ("CN=Käse 日本 😀", "CN=Käse 日本 😀"),
            ("a\r\nb\tc\u{1b}[31md\u{9b}e\u{2028}f\0", "a  b c [31md e f "),
            ("gpj.\u{202e}exe\u{2066}", "gpj.exe"),
        ] {
            assert_eq!(Text::new(input).as_str(), want, "{input:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_shows_it() {
        let full = "é".repeat(Text::MOST_CHARS);
        assert_eq!(Text::new(&full).as_str(), full);
        let cut = Text::new(format_args!("{full}{full}"));
        assert_eq!(cut.as_str().chars().count(), Text::MOST_CHARS);
        assert!(cut.as_str().ends_with("é…"));
    }

    #[test]
    fn a_reason_is_one_word() {
        for word in ["Renewed", "SourceHasNotRenewed", "E2"] {
            assert_eq!(
                word.parse(),
                Ok(Word::of(match word {
                    "Renewed" => "Renewed",
                    "E2" => "E2",
                    _ => "SourceHasNotRenewed",
                }))
            );
        }
        for text in ["", "renewed", "Re newed", "Renewed\n", "Ré", &"A".repeat(65)] {
            let error = text.parse::<Word>().unwrap_err().to_string();
            assert!(
                error.ends_with("is no word; want UpperCamelCase, at most 64 letters and digits"),
                "{error}"
            );
        }
    }
}
