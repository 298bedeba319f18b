//! Columns for a terminal, and what stands in them.

use std::fmt::Write;
use std::time::Duration;
use std::time::SystemTime;

use anstyle::AnsiColor;
use anstyle::Style;

use crate::health::text::rfc3339;

/// A name.
pub const BOLD: Style = Style::new().bold();
/// It hurts.
pub const RED: Style = AnsiColor::Red.on_default();
/// It is worth a look.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// It is well.
pub const GREEN: Style = AnsiColor::Green.on_default();

/// What stands in one column of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text as it is.
    pub fn plain(text: impl ToString) -> Self {
        Self::styled(text, Style::new())
    }

    /// Text in a style, which the caller's stream drops where it is no terminal.
    pub fn styled(text: impl ToString, style: Style) -> Self {
        Self { text: text.to_string(), style }
    }
}

/// The rows below their header, every column as wide as its widest cell; nothing where there are no rows.
pub fn render<const N: usize>(header: [&str; N], rows: &[[Cell; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header = header.map(|title| Cell::styled(title, Style::new().bold()));
    let all = || std::iter::once(&header).chain(rows);
    let mut widths = [0; N];
    for row in all() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.text.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in all() {
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            let Cell { text: words, style } = cell;
            // Nothing stands behind the last column, so it is not filled up.
            let width = if index + 1 == N { 0 } else { width };
            let gap = if index == 0 { "" } else { "  " };
            let _ = write!(text, "{gap}{style}{words:<width$}{style:#}");
        }
        text.push('\n');
    }
    text
}

/// Adds a section after an empty line; an empty one is left out.
pub fn section(text: &mut String, section: &str) {
    if !section.is_empty() {
        text.push('\n');
        text.push_str(section);
    }
}

/// What stands where nothing is known.
pub fn none() -> String {
    "-".to_owned()
}

/// A date to the second.
pub fn date(at: SystemTime) -> String {
    format!("{:.0}", rfc3339(at))
}

/// A span in its largest unit of which there are at least two.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, word) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= 2 * unit {
            return format!("{}{word}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_their_colour() {
        let bold = Style::new().bold();
        let rows = [
            [Cell::plain("demo-0"), Cell::styled("Käse", bold), Cell::plain("x")],
            [Cell::plain("d"), Cell::plain("served"), Cell::plain("")],
        ];
        let drawn = anstream::adapter::strip_str(&render(["NODE", "A", "B"], &rows)).to_string();
        assert_eq!(drawn, "NODE    A       B\ndemo-0  Käse    x\nd       served  \n");
        assert_eq!(render(["A"], &[]), "");
    }
}
