//! What is wrong with a settings file, and where.

use std::fmt;

/// A place in a text; both numbers begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// One thing to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is the case and what was wanted.
    pub message: String,
}

/// All that is wrong with one file; prints each with its line, its column and the line itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file, as the person named it.
    pub file: String,
    /// The file's text, for the snippets.
    pub text: String,
    /// At least one, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Whoever looks for problems stops here, so that hostile settings cannot fill the memory with what is wrong with them: a
/// hundred, and one by which it is seen that there are more.
pub const MOST_FOUND: usize = 101;

/// More are counted, not printed: a file with fifty mistakes is most likely another kind of file.
const MOST_SHOWN: usize = 20;

/// Messages are cut here: they repeat what is written, and a name may be as long as the file. The longest of our own, with
/// every key of the settings, has some 400 bytes.
const LONGEST_MESSAGE_BYTES: usize = 1000;

/// A line is cut here, so that a file without line breaks does not fill a terminal.
const LONGEST_SNIPPET_CHARACTERS: usize = 100;

impl Place {
    /// Line and column, both from 1.
    pub fn new(line: usize, column: usize) -> Self {
        Self { line, column }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new(1, 1)
    }
}

impl Problem {
    /// A problem at a place.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: shortened(message.into()) }
    }
}

impl Problems {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "SettingsInvalid"
    }

    /// Sorted by place; a problem that is said twice is kept once.
    pub fn new(file: &str, bytes: &[u8], mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
        problems.dedup();
        Self { file: file.to_owned(), text: String::from_utf8_lossy(bytes).into_owned(), problems }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().take(MOST_SHOWN).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let Place { line, column } = problem.place;
            write!(f, "{}:{line}:{column}: {}", self.file, problem.message)?;
            let source = self.text.lines().nth(line - 1).unwrap_or_default();
            if column <= LONGEST_SNIPPET_CHARACTERS && !source.trim().is_empty() {
                let shown: String = source.chars().take(LONGEST_SNIPPET_CHARACTERS).map(printable).collect();
                write!(f, "\n{line:>5} | {shown}\n      | {:>column$}", "^")?;
            }
        }
        match self.problems.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more if self.problems.len() >= MOST_FOUND => {
                write!(f, "\n{}: {more} more like these, and then nobody looked any further", self.file)
            }
            more => write!(f, "\n{}: {more} more like these", self.file),
        }
    }
}

/// A message that may repeat something long.
pub(crate) fn shortened(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE_BYTES));
        message.push('…');
        message.shrink_to_fit();
    }
    message
}

/// A control character could move the cursor of the terminal it is printed on.
fn printable(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_is_shown_with_its_line() {
        let text = b"name: kafka\nreplcas: 3\n";
        let problems = vec![
            Problem::new(Place::new(2, 1), "unknown key `replcas`; want `replicas`"),
            Problem::new(Place::new(1, 7), "too short"),
            Problem::new(Place::new(1, 7), "too short"),
        ];
        assert_eq!(
            Problems::new("cluster.yaml", text, problems).to_string(),
            "cluster.yaml:1:7: too short\n    1 | name: kafka\n      |       ^\n\
             cluster.yaml:2:1: unknown key `replcas`; want `replicas`\n    2 | replcas: 3\n      | ^"
        );
    }

    #[test]
    fn a_hundred_problems_do_not_fill_the_screen() {
        let problems = (1..=100).map(|line| Problem::new(Place::new(line, 1), "no")).collect();
        let shown = Problems::new("f", b"", problems).to_string();
        assert!(shown.ends_with("f:20:1: no\nf: 80 more like these"), "{shown}");
    }
}
