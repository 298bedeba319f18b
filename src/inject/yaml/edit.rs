//! An operation of a patch, done to text.

use serde_json::Value;

use crate::inject::draft;
use crate::inject::draft::Operation;
use crate::inject::draft::unescaped;
use crate::inject::yaml::tree;
use crate::inject::yaml::tree::Kind;
use crate::inject::yaml::tree::Node;
use crate::inject::yaml::tree::TreeError;
use crate::inject::yaml::write;

/// Does the operations to a document, one after the other. Their paths begin below `root`, a JSON pointer. What comes out is
/// read again: it says what the operations make of the value, or nothing comes out.
pub fn apply(text: &str, root: &str, operations: &[Operation]) -> Result<String, TreeError> {
    let mut wanted = tree::parse(text)?.map(|tree| tree.value()).unwrap_or_default();
    draft::apply(&mut wanted, root, operations).ok_or(TreeError::NotEdited)?;
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let read = |text: &str| tree::parse(text).ok().flatten().ok_or(TreeError::NotEdited);
    let mut text = text.to_owned();
    for operation in operations {
        let tree = read(&text)?;
        let path = format!("{root}{}", operation.path);
        let parts: Vec<String> = path.split('/').skip(1).map(unescaped).collect();
        let (last, parents) = parts.split_last().ok_or(TreeError::NotEdited)?;
        let parent = parents.iter().try_fold(&tree, |node, part| node.child(part));
        let (at, put) = change(&text, parent.ok_or(TreeError::NotEdited)?, last, &operation.value);
        text.replace_range(at, &put.replace('\n', line_end));
    }
    if read(&text)?.value() == wanted { Ok(text) } else { Err(TreeError::NotEdited) }
}

/// Which bytes are replaced, and by what.
fn change(text: &str, parent: &Node, last: &str, value: &Value) -> (std::ops::Range<usize>, String) {
    match &parent.kind {
        // Nothing can be below a scalar; the plan replaces it by its parent's key.
        Kind::Scalar(_) => (parent.bytes.clone(), String::new()),
        Kind::Mapping { is_flow, entries } => {
            if let Some((_, _, old)) = entries.iter().find(|(_, key, _)| key == last) {
                // What is empty has no space before it either.
                let space = if old.bytes.is_empty() { " " } else { "" };
                // A text of several lines goes with the end of its last one.
                let is_block = text.get(old.bytes.clone()).is_some_and(|old| old.ends_with('\n'));
                let end = if is_block { "\n" } else { "" };
                return (old.bytes.clone(), format!("{space}{}{end}", write::inline(value)));
            }
            let Some((first, _, _)) = entries.first().filter(|_| !is_flow) else {
                let (key, value) = (Value::String(last.to_owned()), write::in_braces(value));
                let last = entries.last().map(|(_, _, node)| node);
                return before_end(text, parent, last, &format!("{key}: {value}"));
            };
            let mut put = String::new();
            write::entry(&mut put, column(text, *first), last, value);
            after(text, parent.bytes.end, put)
        }
        Kind::Sequence { is_flow, items } => {
            let Some(first) = items.first().filter(|_| !is_flow) else {
                return before_end(text, parent, items.last(), &write::in_braces(value));
            };
            let mut put = String::new();
            write::item(&mut put, dash(text, first.bytes.start), value);
            after(text, parent.bytes.end, put)
        }
    }
}

/// Inside braces, at their end, behind whatever is the last there and the comma that it may have.
fn before_end(text: &str, parent: &Node, last: Option<&Node>, put: &str) -> (std::ops::Range<usize>, String) {
    let end = parent.bytes.end.saturating_sub(1);
    let Some(last) = last else { return (end..end, put.to_owned()) };
    let mut behind = text.get(last.bytes.end..end).unwrap_or_default().lines();
    let has_comma = behind.any(|line| line.split('#').next().is_some_and(|line| line.contains(',')));
    (end..end, if has_comma { format!(" {put}") } else { format!(", {put}") })
}

/// On lines of its own, behind the line that has the byte before `end`, with whatever comment it has.
fn after(text: &str, end: usize, put: String) -> (std::ops::Range<usize>, String) {
    let before = text.get(..end).unwrap_or(text);
    if before.ends_with('\n') {
        return (end..end, put);
    }
    let rest = text.get(end..).unwrap_or_default();
    match rest.find('\n') {
        Some(line_end) => (end + line_end + 1..end + line_end + 1, put),
        None => (text.len()..text.len(), format!("\n{put}")),
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
}

/// How far from its line's beginning a byte stands.
fn column(text: &str, at: usize) -> usize {
    at - line_start(text, at)
}

/// Where the dash of the item at `at` stands in its line, which is another than the item's where a comment stands behind the
/// dash.
fn dash(text: &str, at: usize) -> usize {
    let mut end = at;
    loop {
        let start = line_start(text, end);
        let line = text.get(start..end).and_then(|line| line.split('#').next()).unwrap_or_default();
        match line.rfind('-') {
            Some(column) => return column,
            None if start == 0 => return 0,
            None => end = start - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inject::draft::Draft;

    /// What the operations make of the text is what they make of the value, and a second time they are not needed.
    fn check(text: &str, change: impl FnOnce(&mut Draft<'_>), want: &str) {
        let mut value = tree::parse(text).unwrap().unwrap().value();
        let mut draft = Draft::new(&value);
        change(&mut draft);
        let operations = draft.into_operations();
        let patch: json_patch::Patch =
            serde_json::from_value(serde_json::to_value(&operations).unwrap()).unwrap();
        json_patch::patch(&mut value, &patch).unwrap();
        let found = apply(text, "", &operations).unwrap();
        assert_eq!(found, want);
        assert_eq!(tree::parse(&found).unwrap().unwrap().value(), value, "{found}");
    }

    #[test]
    fn what_is_added_stands_where_its_like_stands() {
        check(
            "# ours\nspec:\n  replicas: 3 # three\n  containers:\n  - name: kafka   # the one\n    image: \"k:1\"\n\n# end\n",
            |draft| {
                draft.push("/spec/containers/0", "env", json!({"name": "A", "value": "yes"}));
                draft.push("/spec/containers/0", "env", json!({"name": "B", "value": ""}));
                draft.push("/spec", "containers", json!({"name": "x", "ports": [{"containerPort": 1}]}));
                draft.set("/spec", "replicas", json!(5));
                draft.set("/metadata/labels", "a/b", json!("c"));
            },
            "# ours\nspec:\n  replicas: 5 # three\n  containers:\n  - name: kafka   # the one\n    image: \"k:1\"\n    env:\n    - name: A\n      value: \"yes\"\n    - name: B\n      value: \"\"\n  - name: x\n    ports:\n    - containerPort: 1\nmetadata:\n  labels:\n    a/b: c\n\n# end\n",
        );
    }

    #[test]
    fn braces_stay_braces() {
        check(
            "{spec: {containers: [{name: kafka}], x: {}}}",
            |draft| {
                draft.push("/spec", "containers", json!("y"));
                draft.set("/spec/x", "k", json!([1]));
                draft.set("/spec/containers/0", "image", json!("i"));
            },
            "{spec: {containers: [{name: kafka, \"image\": \"i\"}, \"y\"], x: {\"k\": [1]}}}",
        );
    }

    #[test]
    fn deeper_lists_and_texts_of_several_lines_keep_their_form() {
        check(
            "data:\n    cluster.yaml: |\n        a: 1\n        b: 2\n\n    list:\n        - one\n        -   two",
            |draft| {
                draft.push("/data", "list", json!({"pem": "-----BEGIN-----\nAAAA\n-----END-----\n"}));
                draft.set("/data", "text", json!("x y"));
            },
            "data:\n    cluster.yaml: |\n        a: 1\n        b: 2\n\n    list:\n        - one\n        -   two\n        - pem: |\n            -----BEGIN-----\n            AAAA\n            -----END-----\n    text: \"x y\"\n",
        );
    }

    #[test]
    fn a_text_of_several_lines_ends_where_its_last_line_does() {
        check(
            "a:\n  b:\n    c: |\n      x\n  d: 1\n",
            |draft| draft.set("/a/b", "e", json!(2)),
            "a:\n  b:\n    c: |\n      x\n    e: 2\n  d: 1\n",
        );
    }

    #[test]
    fn what_is_empty_is_filled() {
        check(
            "metadata:\n  annotations:\n  name: a\nspec: ~\n",
            |draft| {
                draft.set("/metadata/annotations", "k", json!("v"));
                draft.set("/spec", "a", json!(1));
            },
            "metadata:\n  annotations: {\"k\":\"v\"}\n  name: a\nspec: {\"a\":1}\n",
        );
    }

    #[test]
    fn a_comma_at_the_end_of_braces_is_no_second_one() {
        check(
            "{a: [1,], b: {x: 1 , # y, z\n}, c: [ # no, comma\n], d: [1 # ,\n]}",
            |draft| {
                draft.push("", "a", json!(2));
                draft.set("/b", "y", json!(2));
                draft.push("", "c", json!(1));
                draft.push("", "d", json!(2));
            },
            "{a: [1, 2], b: {x: 1 , # y, z\n \"y\": 2}, c: [ # no, comma\n1], d: [1 # ,\n, 2]}",
        );
    }

    #[test]
    fn a_comment_behind_a_dash_moves_no_item() {
        check(
            "spec:\n  containers:\n  - # the one - or not\n\n    # really\n    name: x\n",
            |draft| {
                draft.push("/spec", "containers", json!({"name": "two"}));
                draft.push("/spec/containers/0", "env", json!("z"));
            },
            "spec:\n  containers:\n  - # the one - or not\n\n    # really\n    name: x\n    env:\n    - z\n  - name: two\n",
        );
    }

    #[test]
    fn a_text_of_several_lines_is_replaced_as_a_whole() {
        check(
            "env:\n- value: |\n    /x.jar\n  name: CLASSPATH\n- value: >-\n    a\n    b\n",
            |draft| {
                draft.set("/env/0", "value", json!("/j.jar:/x.jar\n"));
                draft.set("/env/1", "value", json!("c"));
            },
            "env:\n- value: \"/j.jar:/x.jar\\n\"\n  name: CLASSPATH\n- value: c\n",
        );
    }

    #[test]
    fn lines_end_as_the_others_do() {
        check(
            "a:\r\n- b: |\r\n    x\r\n    y\r\n  c: 1\r\n",
            |draft| {
                draft.set("/a/0", "d", json!({"e": "-----BEGIN-----\nAAAA\n"}));
                draft.push("", "a", json!(1));
                draft.set("/a/0", "b", json!("z"));
            },
            "a:\r\n- b: z\r\n  c: 1\r\n  d:\r\n    e: |\r\n      -----BEGIN-----\r\n      AAAA\r\n- 1\r\n",
        );
    }

    #[test]
    fn what_would_be_read_otherwise_is_not_printed() {
        // Of two keys with one name, JSON has the last.
        let text = "a:\n  b: 1\na:\n  c: 1\n";
        let value = tree::parse(text).unwrap().unwrap().value();
        let mut draft = Draft::new(&value);
        draft.set("/a", "d", json!(1));
        let error = apply(text, "", &draft.into_operations()).unwrap_err();
        assert_eq!(error, TreeError::NotEdited);
    }

    #[test]
    fn what_is_not_changed_here_is_said() {
        let error = |text: &str| tree::parse(text).unwrap_err().to_string();
        assert_eq!(error("a: &x 1\nb: *x\n"), "line 1: anchors are not followed; write the value out");
        assert_eq!(error("a: !!int 1\n"), "line 1: tags are not read");
        assert!(error("a: [1").starts_with("line 1: not YAML"), "{}", error("a: [1"));
    }
}
