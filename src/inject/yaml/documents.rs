//! A file of several documents, each as the text it is.

/// One document, with the line that separates it from the one before.
pub fn split(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if at > start && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            documents.extend(text.get(start..at));
            start = at;
        }
        at += line.len();
    }
    documents.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_lost() {
        let check = |text: &str, want: &[&str]| {
            assert_eq!(split(text), want);
            assert_eq!(split(text).concat(), text);
        };
        check("", &[]);
        check("a: 1\n", &["a: 1\n"]);
        check(
            "---\na: 1\n---\nb: |\n  ---\n--- # c\nc: 1",
            &["---\na: 1\n", "---\nb: |\n  ---\n", "--- # c\nc: 1"],
        );
        check("a: 1\n---x: 2\n", &["a: 1\n---x: 2\n"]);
    }
}
