//! The variables of Kafka's container that `init` has to see too: properties, and what their values are made of.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::overrides;
use crate::inject::subject::text;

/// Those of `variables` that are properties, and those that they name by `$(NAME)`, and so on, in their order. What is not
/// there the kubelet leaves as it is written, and a password would be `$(ADMIN_PASSWORD)`.
pub fn properties(variables: &[Value]) -> Vec<&Value> {
    let mut wanted: BTreeSet<&str> =
        variables.iter().filter_map(name).filter(|one| is_property(one)).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    // Each round but the last finds one more, so there are no more rounds than variables.
    loop {
        let seen = variables.iter().filter(|one| name(one).is_some_and(|name| wanted.contains(name)));
        let named: Vec<&str> = seen.filter_map(|one| text(one, "value")).flat_map(references).collect();
        let before = wanted.len();
        wanted.extend(named.into_iter().filter(|one| variables.iter().any(|other| name(other) == Some(one))));
        if wanted.len() == before {
            return variables
                .iter()
                .filter(|one| name(one).is_some_and(|name| wanted.contains(name)))
                .collect();
        }
    }
}

/// What is wrong with the properties among them, as `init` would say it in the pod when it is too late. A value that comes from
/// elsewhere is not known here; that a key is owned is seen by its name.
pub fn problems(variables: &[Value]) -> Vec<String> {
    let told = |one| {
        let name = name(one).filter(|name| is_property(name))?;
        Some((name.to_owned(), text(one, "value").unwrap_or_default().to_owned()))
    };
    overrides::from_environment(&variables.iter().filter_map(told).collect()).err().unwrap_or_default()
}

/// Apache's image takes properties from such variables, and so does `init`. What is for the JVM is Kafka's alone.
fn is_property(name: &str) -> bool {
    name.starts_with("KAFKA_") && !name.ends_with("_OPTS")
}

fn name(variable: &Value) -> Option<&str> {
    text(variable, "name")
}

/// The names in a value that the kubelet replaces (k8s.io/kubernetes/third_party/forked/golang/expansion): a dollar takes the
/// letter behind it with it, so that `$$(A)` names nothing.
fn references(value: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = value;
    while let Some((_, behind)) = rest.split_once('$') {
        let mut letters = behind.chars();
        let first = letters.next();
        rest = letters.as_str();
        if let Some((name, after)) = rest.split_once(')').filter(|_| first == Some('(')) {
            names.push(name);
            rest = after;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_property_is_made_of_comes_with_it() {
        let check = |variables: &[(&str, &str)], want: &[&str]| {
            let variables: Vec<Value> =
                variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            let found: Vec<&str> = properties(&variables).into_iter().filter_map(name).collect();
            assert_eq!(found, want, "{variables:?}");
        };
        check(&[], &[]);
        check(&[("PATH", "/bin"), ("KAFKA_A", "1"), ("KAFKA_HEAP_OPTS", "-Xmx1g")], &["KAFKA_A"]);
        check(&[("B", "x"), ("C", "y"), ("KAFKA_A", "p=$(B);q=$(C)")], &["B", "C", "KAFKA_A"]);
        check(&[("C", "y"), ("D", "z"), ("B", "$(C)"), ("KAFKA_A", "$(B)")], &["C", "B", "KAFKA_A"]);
        check(&[("B", "x"), ("KAFKA_A", "$$(B)")], &["KAFKA_A"]);
        check(&[("B", "x"), ("KAFKA_A", "$$$(B)")], &["B", "KAFKA_A"]);
        check(&[("B", "x"), ("KAFKA_A", "$(B"), ("KAFKA_C", "$B $")], &["KAFKA_A", "KAFKA_C"]);
        check(&[("B", "$(KAFKA_A)"), ("KAFKA_A", "$(B)")], &["B", "KAFKA_A"]);
        check(&[("B", "1"), ("B", "2"), ("KAFKA_A", "$(B)$(GONE)")], &["B", "B", "KAFKA_A"]);
        check(&[("KAFKA_X_OPTS", "x"), ("KAFKA_A", "$(KAFKA_X_OPTS)")], &["KAFKA_X_OPTS", "KAFKA_A"]);
    }
}
