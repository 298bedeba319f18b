//! Holds a settings tree against the published schema, and finds every departure at once.
//!
//! serde stops at the first mistake. A person who has made three wants to see three, so the tree is walked along the
//! JSON schema that the settings' types give, and only a tree without departures goes on to serde. Only the keywords
//! that our own types produce are understood; a test fails when a new type brings another.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::cluster::document::Node;
use crate::cluster::document::Value;
use crate::cluster::problem::MOST_FOUND;
use crate::cluster::problem::Place;
use crate::cluster::problem::Problem;

/// Every place where `node` departs from `schema`, a JSON schema as schemars makes it; the first [`MOST_FOUND`] of them.
///
/// A list or a map that is longer than its schema allows is one problem and is not entered, so what comes after this may
/// hold each entry against each.
pub fn check(node: &Node, schema: &Json) -> Vec<Problem> {
    let mut walk = Walk { root: schema, problems: Vec::new() };
    walk.value(node, schema, node.place, "");
    walk.problems
}

struct Walk<'a> {
    root: &'a Json,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    /// `path` names the value in messages; `place` is where its key stands.
    fn value(&mut self, node: &Node, schema: &'a Json, place: Place, path: &str) {
        let schema = self.resolve(schema);
        if self.problems.len() >= MOST_FOUND {
            return;
        }
        if let Some((count, most)) = too_many(node, schema) {
            return self.say(place, format!("{} has {count} entries; want at most {most}", name(path)));
        }
        if is_null(node) && allows(schema, "null") {
            return;
        }
        if let Some(words) = words(schema) {
            return self.word(node, &words, path);
        }
        match &node.value {
            Value::Mapping(entries) if allows(schema, "object") => {
                let mut seen = BTreeSet::new();
                for (key, value) in entries {
                    if !seen.insert(&key.text) {
                        self.say(key.place, format!("key `{}` stands here for the second time", key.text));
                        continue;
                    }
                    self.entry(key.place, &key.text, value, schema, path);
                }
                self.required(entries.iter().map(|(key, _)| key.text.as_str()), schema, place, path);
            }
            Value::Sequence(items) if allows(schema, "array") => {
                let Some(item_schema) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.value(item, item_schema, item.place, &format!("{path}[{index}]"));
                }
            }
            Value::Scalar { text, plain } if scalar_fits(text, *plain, schema) => {}
            _ => {
                let message = format!("{} is {}; want {}", name(path), found(node), wanted(schema));
                self.say(node.place, message);
            }
        }
    }

    fn entry(&mut self, place: Place, key: &str, value: &Node, schema: &'a Json, path: &str) {
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if let Some(property) = schema.pointer("/properties").and_then(|properties| properties.get(key)) {
            return self.value(value, property, place, &path);
        }
        match schema.get("additionalProperties") {
            Some(additional @ Json::Object(_)) => self.value(value, additional, place, &path),
            _ if self.problems.len() >= MOST_FOUND => {}
            _ => {
                let known = schema.get("properties").and_then(Json::as_object);
                let known: Vec<&str> =
                    known.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default();
                let hint = match nearest(key, &known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                self.say(place, format!("unknown key `{key}`; {hint}"));
            }
        }
    }

    fn required<'k>(&mut self, keys: impl Iterator<Item = &'k str>, schema: &Json, place: Place, path: &str) {
        let keys: Vec<&str> = keys.collect();
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
        for key in required.filter_map(Json::as_str).filter(|key| !keys.contains(key)) {
            let within = if path.is_empty() { String::new() } else { format!(" in {}", name(path)) };
            self.say(place, format!("`{key}` is missing{within}"));
        }
    }

    fn word(&mut self, node: &Node, words: &[&str], path: &str) {
        if matches!(&node.value, Value::Scalar { text, .. } if words.contains(&text.as_str())) {
            return;
        }
        let message = format!("{} is {}; want {}", name(path), found(node), words.join(" or "));
        self.say(node.place, message);
    }

    fn resolve(&self, schema: &'a Json) -> &'a Json {
        let root = self.root;
        let nullable = || schema.get("anyOf")?.as_array()?.iter().find(|option| option.get("$ref").is_some());
        let reference = schema.get("$ref").or_else(|| nullable()?.get("$ref")).and_then(Json::as_str);
        let target = reference.and_then(|path| root.pointer(path.strip_prefix('#')?));
        target.unwrap_or(schema)
    }

    fn say(&mut self, place: Place, message: String) {
        if self.problems.len() < MOST_FOUND {
            self.problems.push(Problem::new(place, message));
        }
    }
}

/// The entries of a list or a map that has too many, and how many it may have.
fn too_many(node: &Node, schema: &Json) -> Option<(usize, usize)> {
    let (count, keyword) = match &node.value {
        Value::Scalar { .. } => return None,
        Value::Sequence(items) => (items.len(), "maxItems"),
        Value::Mapping(entries) => (entries.len(), "maxProperties"),
    };
    let most = usize::try_from(schema.get(keyword)?.as_u64()?).ok()?;
    (count > most).then_some((count, most))
}

fn is_null(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, plain: true } if is_null_text(text))
}

/// YAML 1.2, core schema.
fn is_null_text(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Whether a type of the schema is `kind`. An `anyOf` is an optional value of one of our own types.
fn allows(schema: &Json, kind: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(one)) => one == kind,
        Some(Json::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

/// The words a closed set allows: our enums come as `oneOf` with `const`, or as `enum`.
fn words(schema: &Json) -> Option<Vec<&str>> {
    if let Some(listed) = schema.get("enum").and_then(Json::as_array) {
        return Some(listed.iter().filter_map(Json::as_str).collect());
    }
    let options = schema.get("oneOf")?.as_array()?;
    Some(options.iter().filter_map(|option| option.get("const")?.as_str()).collect())
}

fn scalar_fits(text: &str, plain: bool, schema: &Json) -> bool {
    let whole = || {
        let number: Option<i128> = text.parse().ok().filter(|_| plain);
        let (minimum, maximum) = bounds(schema);
        number.is_some_and(|number| (minimum..=maximum).contains(&number))
    };
    (allows(schema, "string") && !(plain && is_null_text(text)))
        || (allows(schema, "integer") && whole())
        || (allows(schema, "boolean") && plain && matches!(text, "true" | "false"))
}

fn name(path: &str) -> String {
    if path.is_empty() { "the settings".to_owned() } else { format!("`{path}`") }
}

fn found(node: &Node) -> String {
    match &node.value {
        _ if is_null(node) => "empty".to_owned(),
        Value::Scalar { text, .. } => format!("{:?}", text.chars().take(60).collect::<String>()),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
    }
}

fn wanted(schema: &Json) -> String {
    let kinds =
        [("object", "a mapping"), ("array", "a list"), ("boolean", "true or false"), ("string", "a text")];
    match kinds.iter().find(|(kind, _)| allows(schema, kind)) {
        Some((_, text)) => (*text).to_owned(),
        None => {
            let (minimum, maximum) = bounds(schema);
            format!("a whole number from {minimum} to {maximum}")
        }
    }
}

/// The whole numbers a schema allows. schemars says `uint32` and leaves the maximum to the reader.
fn bounds(schema: &Json) -> (i128, i128) {
    let bound = |key: &str| schema.get(key).and_then(Json::as_i64).map(i128::from);
    let of_format = match schema.get("format").and_then(Json::as_str) {
        Some("uint8") => u8::MAX.into(),
        Some("uint16") => u16::MAX.into(),
        _ => u32::MAX.into(),
    };
    (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(of_format))
}

/// The known key that is at most two changes away, for "did you mean".
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, near) = known.iter().map(|one| (distance(key, one), *one)).min()?;
    (distance <= 2).then_some(near)
}

/// Levenshtein's distance, in bytes: insertions, deletions and replacements from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.bytes().take(64).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal + usize::from(!byte.eq_ignore_ascii_case(&other));
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cluster::document::parse;
    use crate::cluster::settings::Settings;

    fn problems(yaml: &str) -> Vec<String> {
        let schema = serde_json::to_value(schemars::schema_for!(Settings)).unwrap();
        let found = check(&parse(yaml.as_bytes()).unwrap(), &schema);
        found.iter().map(|p| format!("{}:{} {}", p.place.line, p.place.column, p.message)).collect()
    }

    const GOOD: &str = "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: kafka\nclusterId: x\n\
                        kafkaVersion: 4.4\npools:\n- {statefulSet: kafka, roles: [broker], replicas: 3}\n";

    #[test]
    fn a_good_file_has_no_problem() {
        assert_eq!(problems(GOOD), Vec::<String>::new());
        assert_eq!(
            problems(&format!("{GOOD}formed: true\nservice:\nproperties: {{all: {{a: 3}}}}\n")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let yaml = "apiVersion: kraftlet.dev/v2\nkind: KafkaCluster\nname: [a]\nkafkaVersion: 4.4\n\
                    formed: yes\nrepliacs: 3\nPools: 1\npools:\n- statefulSet: kafka\n  roles: [broker, voter]\n  replicas: -1\n  replicas: 2\n\
                    listeners:\n- {name: A, port: 70000, for: clients}\n";
        assert_eq!(
            problems(yaml),
            [
                r#"1:13 `apiVersion` is "kraftlet.dev/v2"; want kraftlet.dev/v1"#,
                "3:7 `name` is a list; want a text",
                r#"5:9 `formed` is "yes"; want true or false"#,
                "6:1 unknown key `repliacs`; known here: agent, apiVersion, authorizer, bindHost, certificates, clusterDomain, \
                 clusterId, formed, host, kafkaVersion, kind, listeners, metadataVersion, name, namespace, pools, \
                 properties, propertiesFolder, quorum, reload, runFolder, scramUsers, service, storage, superUsers",
                "7:1 unknown key `Pools`; did you mean `pools`?",
                r#"10:19 `pools[0].roles[1]` is "voter"; want broker or controller"#,
                r#"11:13 `pools[0].replicas` is "-1"; want a whole number from 0 to 4294967295"#,
                "12:3 key `replicas` stands here for the second time",
                r#"14:19 `listeners[0].port` is "70000"; want a whole number from 0 to 65535"#,
                r#"14:31 `listeners[0].for` is "clients"; want a list"#,
                "1:1 `clusterId` is missing",
            ]
        );
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("replicas", "replicas"), 0);
    }
}
