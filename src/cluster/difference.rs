//! What would change in a properties file: a comparison by key, because order and comments mean nothing to Kafka.

use std::collections::BTreeMap;

use crate::cluster::protected;

/// A key whose value is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// The value in the file that is there; `None` when the key is new.
    pub before: Option<String>,
    /// The value in the new file; `None` when the key goes.
    pub after: Option<String>,
}

/// The differences from `before` to `after`, by key; of a key that stands twice the last counts, as for Kafka.
/// Values of secret keys are left out.
pub fn differences(before: &[(String, String)], after: &[(String, String)]) -> Vec<Difference> {
    let map = |pairs: &[(String, String)]| -> BTreeMap<String, String> { pairs.iter().cloned().collect() };
    let (before, after) = (map(before), map(after));
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let shown = |key: &String, value: Option<&String>| {
        value.map(|value| {
            if protected::is_secret(key) && !value.starts_with("${") {
                "<redacted>".to_owned()
            } else {
                value.clone()
            }
        })
    };
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| Difference {
            key: key.clone(),
            before: shown(key, before.get(key)),
            after: shown(key, after.get(key)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told_and_no_secret() {
        let pairs = |text: &str| -> Vec<(String, String)> {
            text.split(' ')
                .map(|pair| pair.split_once('=').unwrap())
                .map(|(k, v)| (k.into(), v.into()))
                .collect()
        };
        let found = differences(&pairs("a=1 b=2 b=3 x.password=old"), &pairs("b=3 c=4 x.password=new"));
        let shown: Vec<String> =
            found.iter().map(|one| format!("{} {:?} {:?}", one.key, one.before, one.after)).collect();
        assert_eq!(
            shown,
            [
                r#"a Some("1") None"#,
                r#"c None Some("4")"#,
                r#"x.password Some("<redacted>") Some("<redacted>")"#
            ]
        );
    }
}
