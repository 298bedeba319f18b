//! A page as it grows, in which nothing is raw that does not stand in this program.
//!
//! Subjects of leaves, words of peers and names from files all come to the page. Markup is taken only as `'static`
//! text, which none of those can become; everything else goes through [`Html::text`] and is escaped there.

use std::fmt;
use std::fmt::Write;
use std::time::SystemTime;

use crate::health::page::when::Moment;
use crate::health::page::when::Span;
use crate::health::text::rfc3339;

/// What is written so far.
#[derive(Debug, Default)]
pub struct Html(String);

/// How good something is, as the colours say it; the words beside them always say it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not known, and no reason to worry.
    Quiet,
    /// Somebody should look in working hours.
    Warn,
    /// It hurts.
    Bad,
}

impl Html {
    /// Markup of this program, as it is.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Whatever it prints, escaped for an element and for an attribute in double quotes.
    pub fn text(&mut self, text: impl fmt::Display) -> &mut Self {
        // Writing to a text does not fail.
        let _ = write!(Escaping(&mut self.0), "{text}");
        self
    }

    /// A word with a mark in the colour of its tone.
    pub fn mark(&mut self, tone: Tone, word: &'static str) -> &mut Self {
        self.raw("<span class=\"mark ").raw(tone.class()).raw("\">").raw(word).raw("</span>")
    }

    /// How far away `at` is; the date is there for machines, and for a pointer that rests.
    pub fn ago(&mut self, at: SystemTime, now: SystemTime) -> &mut Self {
        self.time(at, Moment { at, now })
    }

    /// How long it has been so: `for 3 d`.
    pub fn lasting(&mut self, since: SystemTime, now: SystemTime) -> &mut Self {
        self.time(since, format_args!("for {}", Span(now.duration_since(since).unwrap_or_default())))
    }

    /// The date itself, to the minute: where seconds count, the time that is left says them.
    pub fn date(&mut self, at: SystemTime) -> &mut Self {
        self.time(at, readable(at).get(..16).map(|date| format!("{date}Z")).unwrap_or_default())
    }

    /// A number with its thousands apart.
    pub fn number(&mut self, number: impl fmt::Display) -> &mut Self {
        let digits = number.to_string();
        for (index, digit) in digits.chars().enumerate() {
            let follow = digits.len().saturating_sub(index);
            if index > 0 && follow % 3 == 0 && digit.is_ascii_digit() {
                self.0.push(',');
            }
            self.0.push(digit);
        }
        self
    }

    fn time(&mut self, at: SystemTime, shown: impl fmt::Display) -> &mut Self {
        let machine = format_args!("{:.0}", rfc3339(at));
        self.raw("<time datetime=\"").text(machine).raw("\" title=\"").text(readable(at)).raw("\">");
        self.text(shown).raw("</time>")
    }

    /// Says that so many more are not shown.
    pub fn more(&mut self, left_out: usize) -> &mut Self {
        if left_out > 0 {
            let more = format_args!("and {left_out} more: kraftlet status shows all");
            self.raw("<p class=note>").text(more).raw("</p>");
        }
        self
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.0
    }
}

impl Tone {
    /// Its class in the style.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Quiet => "quiet",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// `2027-01-15 08:02:00 UTC`: as RFC 3339 has it, with room to breathe.
fn readable(at: SystemTime) -> String {
    format!("{:.0}", rfc3339(at)).replace('T', " ").replace('Z', " UTC")
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::at;

    #[test]
    fn what_is_not_ours_is_never_markup() {
        for (input, want) in [
            ("listener CLIENT", "listener CLIENT"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x' a=\"", "&quot; onload=&#39;x&#39; a=&quot;"),
            ("&lt; Käse 日本 😀", "&amp;lt; Käse 日本 😀"),
        ] {
            let mut page = Html::default();
            page.raw("<p>").text(input).raw("</p>");
            assert_eq!(page.finish(), format!("<p>{want}</p>"));
        }
    }

    #[test]
    fn a_time_is_for_people_and_for_machines() {
        let mut page = Html::default();
        page.ago(at(0), at(90)).date(at(0));
        let begin = r#"<time datetime="2027-01-15T08:00:00Z" title="2027-01-15 08:00:00 UTC">"#;
        assert_eq!(page.finish(), format!("{begin}1 min 30 s ago</time>{begin}2027-01-15 08:00Z</time>"));
    }
}
