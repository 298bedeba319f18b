//! What is to be done to a pod, as operations of a JSON patch (RFC 6902), each fit for the pod as those before it leave it.
//!
//! Only two kinds of change are needed: a key of an object is set, or an item is put at the end of a list. Parents that
//! are missing are made with them.

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// A pod as it came, and what is to be done to it. The pod is not copied: that would take a quarter of a review.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    pod: &'a Value,
    operations: Vec<Operation>,
}

/// One change; both kinds are `add` in a JSON patch, which also replaces a key that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    op: &'static str,
    /// A JSON pointer (RFC 6901); its last part is `-` where an item is put at the end.
    pub path: String,
    /// What is put there.
    pub value: Value,
}

impl<'a> Draft<'a> {
    /// Begins with a pod as it came.
    pub fn new(pod: &'a Value) -> Self {
        Self { pod, operations: Vec::new() }
    }

    /// The pod as it came.
    pub fn pod(&self) -> &'a Value {
        self.pod
    }

    /// Sets the key `key` of the object at `parent`.
    pub fn set(&mut self, parent: &str, key: &str, value: Value) {
        if self.finds(parent, Value::is_object) {
            self.note(format!("{parent}/{}", escaped(key)), value);
        } else if let Some((grandparent, own)) = parent.rsplit_once('/') {
            let object = Map::from_iter([(key.to_owned(), value)]);
            self.set(grandparent, &unescaped(own), Value::Object(object));
        }
    }

    /// Puts `item` at the end of the list `key` of the object at `parent`.
    pub fn push(&mut self, parent: &str, key: &str, item: Value) {
        let list = format!("{parent}/{}", escaped(key));
        if self.finds(&list, Value::is_array) {
            self.note(format!("{list}/-"), item);
        } else {
            self.set(parent, key, Value::Array(vec![item]));
        }
    }

    /// The changes, in their order.
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// Whether there is such a value now: in the pod, or in what has been put there since.
    fn finds(&self, pointer: &str, is_such: fn(&Value) -> bool) -> bool {
        let inside = |one: &Operation| {
            let rest =
                pointer.strip_prefix(&one.path).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            rest.and_then(|rest| one.value.pointer(rest)).is_some_and(is_such)
        };
        self.pod.pointer(pointer).is_some_and(is_such) || self.operations.iter().any(inside)
    }

    fn note(&mut self, path: String, value: Value) {
        self.operations.push(Operation { op: "add", path, value });
    }
}

/// Does the operations to a value, one after the other; their paths begin below `root`, a JSON pointer. `None` where there
/// is no object or list to do one to.
pub fn apply(value: &mut Value, root: &str, operations: &[Operation]) -> Option<()> {
    for operation in operations {
        let (parent, last) = operation.path.rsplit_once('/')?;
        match value.pointer_mut(&format!("{root}{parent}"))? {
            Value::Object(entries) => {
                entries.insert(unescaped(last), operation.value.clone());
            }
            Value::Array(items) if last == "-" => items.push(operation.value.clone()),
            _ => return None,
        }
    }
    Some(())
}

/// A key as a part of a JSON pointer.
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The key that a part of a JSON pointer is.
pub fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_parents_are_made_in_one_operation() {
        let pod = json!({"spec": {"containers": [{"name": "kafka"}]}});
        let mut draft = Draft::new(&pod);
        draft.set("/metadata/annotations", "kraftlet.dev/injected", json!("1"));
        draft.push("/spec/containers/0", "env", json!({"name": "A"}));
        draft.push("/spec/containers/0", "env", json!({"name": "B"}));
        draft.set("/spec", "enableServiceLinks", json!(false));
        let operations = serde_json::to_value(draft.into_operations()).unwrap();
        assert_eq!(
            operations,
            json!([
                {"op": "add", "path": "/metadata", "value": {"annotations": {"kraftlet.dev/injected": "1"}}},
                {"op": "add", "path": "/spec/containers/0/env", "value": [{"name": "A"}]},
                {"op": "add", "path": "/spec/containers/0/env/-", "value": {"name": "B"}},
                {"op": "add", "path": "/spec/enableServiceLinks", "value": false}
            ])
        );
    }
}
