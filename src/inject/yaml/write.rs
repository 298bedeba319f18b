//! Values as YAML, in the manner of `kubectl`: two spaces, and lists no deeper than their key.

use serde_json::Value;

/// Objects, each a document.
pub fn documents(objects: &[Value]) -> String {
    let mut out = String::new();
    for object in objects {
        out.push_str("---\n");
        for (key, value) in object.as_object().into_iter().flatten() {
            entry(&mut out, 0, key, value);
        }
    }
    out
}

/// `key: value` at this indentation, with the line's end.
pub fn entry(out: &mut String, indent: usize, key: &str, value: &Value) {
    spaces(out, indent);
    out.push_str(&word(key));
    out.push(':');
    below_key(out, indent, value);
}

/// `- value` at this indentation, with the line's end.
pub fn item(out: &mut String, indent: usize, value: &Value) {
    spaces(out, indent);
    out.push_str("- ");
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    spaces(out, indent + 2);
                }
                out.push_str(&word(key));
                out.push(':');
                below_key(out, indent + 2, value);
            }
        }
        value => {
            out.push_str(&inline(value));
            out.push('\n');
        }
    }
}

/// A value in one line; collections in braces.
pub fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        // JSON is YAML, but for a few letters.
        value => escaped(&value.to_string()),
    }
}

/// A value among others in braces, where a text is best in quotes.
pub fn in_braces(value: &Value) -> String {
    escaped(&value.to_string())
}

fn below_key(out: &mut String, indent: usize, value: &Value) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            out.push('\n');
            for (key, value) in entries {
                entry(out, indent + 2, key, value);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for value in items {
                item(out, indent, value);
            }
        }
        Value::String(text) if is_block(text) => {
            out.push_str(" |\n");
            for line in text.lines() {
                spaces(out, indent + 2);
                out.push_str(line);
                out.push('\n');
            }
        }
        value => {
            out.push(' ');
            out.push_str(&inline(value));
            out.push('\n');
        }
    }
}

/// Whether a text of several lines can stand as it is, as PEM does.
fn is_block(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or_default();
    let plain = |line: &str| {
        let (first, last) = (line.chars().next(), line.chars().next_back());
        first.is_some_and(|c| c != ' ')
            && last.is_some_and(|c| c != ' ')
            && line.chars().all(|c| c == ' ' || c.is_ascii_graphic())
    };
    !lines.is_empty() && lines.split('\n').all(plain)
}

/// A text that no reader of any YAML takes for something else, or in quotes.
fn word(text: &str) -> String {
    let first = text.chars().next();
    let is_plain = first.is_some_and(|c| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    // YAML 1.1 has more words for true and false, and kubectl reads YAML 1.1.
    let meanings = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if is_plain && !meanings.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        escaped(&Value::String(text.to_owned()).to_string())
    }
}

/// JSON lets some letters stand as they are that YAML does not (YAML 1.2, 5.1), or takes for the end of a line.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}'..='\u{ffff}') {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}
