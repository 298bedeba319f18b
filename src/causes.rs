//! An error and what caused it, in one line: how every layer's one sentence becomes one that a person reads.

use std::error::Error;

/// The error's own words and those of all its causes, joined by `": "`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<dyn Error>>);

    #[test]
    fn each_layer_says_its_sentence_once() {
        let cause = Layer("the disk is full", Some(Box::new(io::Error::other("28"))));
        assert_eq!(
            chain(&Layer("cannot write a", Some(Box::new(cause)))),
            "cannot write a: the disk is full: 28"
        );
        assert_eq!(chain(&Layer("alone", None)), "alone");
    }
}
