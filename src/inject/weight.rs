//! What a review takes in memory once it is read, known from its bytes before anything is made of them.

/// An object's first node, which has room for eleven keys and values (`BTreeMap` of `serde_json::Value`), and its first key's
/// and value's texts, which an allocator rounds up.
const OBJECT_BYTES: usize = 768;

/// One more value: its share of a node that is half full or of a list that has just doubled, and its texts, rounded up.
const VALUE_BYTES: usize = 192;

/// At most so many bytes are taken by the value that this JSON is: its texts as they are, and what holds them. It is an upper
/// bound for whatever bytes, JSON or not.
pub fn of_json(json: &[u8]) -> usize {
    let mut weight = json.len();
    let mut rest = json;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        weight += match byte {
            b'"' => {
                rest = behind_text(rest);
                0
            }
            // Of an empty object, as managed fields have by the hundred, there is no node.
            b'{' if rest.first() != Some(&b'}') => OBJECT_BYTES,
            b'{' | b'[' | b',' => VALUE_BYTES,
            _ => 0,
        };
    }
    weight
}

/// What follows the text that `json` is in. Most of a review is text, and this is its only loop over that.
fn behind_text(mut json: &[u8]) -> &[u8] {
    while let Some(at) = json.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        let is_end = json.get(at) == Some(&b'"');
        // A backslash takes the byte behind it with it.
        json = json.get(at + if is_end { 1 } else { 2 }..).unwrap_or_default();
        if is_end {
            return json;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bytes_that_become_large_are_heavy() {
        let check =
            |json: &str, want: usize| assert_eq!(of_json(json.as_bytes()) - json.len(), want, "{json}");
        check("", 0);
        check("\"{[,\"", 0);
        check(r#""\"{""#, 0);
        check(r#""\\"{"#, OBJECT_BYTES);
        check(r#"{"a":{},"b":[1,2]}"#, OBJECT_BYTES + 4 * VALUE_BYTES);
        check("[[[", 3 * VALUE_BYTES);
        assert!(of_json("{\"\":0},".repeat(1000).as_bytes()) > 900_000);
        let value = size_of::<serde_json::Value>();
        assert!(11 * (size_of::<String>() + value) < OBJECT_BYTES - 64 && 2 * value < VALUE_BYTES - 64);
    }
}
