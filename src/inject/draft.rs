//! A pod as it is being changed: each change is made at once, and noted as an operation of a JSON patch (RFC 6902).
//!
//! Only two kinds of change are needed: a key of an object is set, or an item is put at the end of a list. Parents that
//! are missing are made with them.

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// A pod, and what has been done to it.
#[derive(Debug, Clone)]
pub struct Draft {
    value: Value,
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

impl Draft {
    /// Begins with a pod as it came.
    pub fn new(value: Value) -> Self {
        Self { value, operations: Vec::new() }
    }

    /// As it is now.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// What is at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }

    /// Sets the key `key` of the object at `parent`.
    pub fn set(&mut self, parent: &str, key: &str, value: Value) {
        if let Some(object) = self.value.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.insert(key.to_owned(), value.clone());
            self.note(format!("{parent}/{}", escaped(key)), value);
        } else if let Some((grandparent, own)) = parent.rsplit_once('/') {
            let object = Map::from_iter([(key.to_owned(), value)]);
            self.set(grandparent, &unescaped(own), Value::Object(object));
        }
    }

    /// Puts `item` at the end of the list `key` of the object at `parent`.
    pub fn push(&mut self, parent: &str, key: &str, item: Value) {
        let list = format!("{parent}/{}", escaped(key));
        match self.value.pointer_mut(&list).and_then(Value::as_array_mut) {
            Some(items) => {
                items.push(item.clone());
                self.note(format!("{list}/-"), item);
            }
            None => self.set(parent, key, Value::Array(vec![item])),
        }
    }

    /// The changes, in their order.
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    fn note(&mut self, path: String, value: Value) {
        self.operations.push(Operation { op: "add", path, value });
    }
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
        let mut draft = Draft::new(json!({"spec": {"containers": [{"name": "kafka"}]}}));
        draft.set("/metadata/annotations", "kraftlet.dev/injected", json!("1"));
        draft.push("/spec/containers/0", "env", json!({"name": "A"}));
        draft.push("/spec/containers/0", "env", json!({"name": "B"}));
        draft.set("/spec", "enableServiceLinks", json!(false));
        assert_eq!(
            draft.value(),
            &json!({
                "metadata": {"annotations": {"kraftlet.dev/injected": "1"}},
                "spec": {
                    "containers": [{"name": "kafka", "env": [{"name": "A"}, {"name": "B"}]}],
                    "enableServiceLinks": false
                }
            })
        );
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
