//! `server.properties`: everybody's lines put together, and passwords taken out.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cluster::line::Line;
use crate::cluster::line::Origin;
use crate::cluster::protected;

/// A node's properties, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProperties {
    /// The lines of server.properties, by key; none holds a password.
    pub lines: Vec<Line>,
    /// The lines of the file that the passwords are in, by key.
    pub secrets: Vec<Line>,
}

/// The name of the file with the passwords, in the run folder.
pub const SECRETS_FILE: &str = "secrets.properties";

/// The name under which Kafka knows the provider of that file. Not `file`, which people use for their own.
const PROVIDER: &str = "kraftlet";

/// Puts lines together. Of two with the same key the later wins, but a derived one always does: the keys that
/// people may not set are refused before they get here.
pub fn merge(run_folder: &Path, derived: Vec<Line>, overrides: Vec<Line>) -> ServerProperties {
    let mut by_key: BTreeMap<String, Line> = BTreeMap::new();
    let (derived, defaults): (Vec<Line>, Vec<Line>) =
        derived.into_iter().partition(|line| line.origin == Origin::Derived);
    for line in defaults.into_iter().chain(overrides).chain(derived) {
        by_key.insert(line.key.clone(), line);
    }
    let secrets = take_secrets(&mut by_key, run_folder);
    ServerProperties { lines: by_key.into_values().collect(), secrets }
}

/// Replaces each literal password by a reference to [`SECRETS_FILE`] (KIP-297, KIP-421) and gives back the lines of
/// that file.
fn take_secrets(lines: &mut BTreeMap<String, Line>, run_folder: &Path) -> Vec<Line> {
    let file = run_folder.join(SECRETS_FILE).display().to_string();
    let mut secrets = Vec::new();
    for line in lines.values_mut() {
        let has_no_secret =
            line.value.is_empty() || has_reference(&line.value) || names_a_module_only(&line.value);
        if !protected::is_secret(&line.key) || has_no_secret {
            continue;
        }
        secrets.push(line.clone());
        line.value = format!("${{{PROVIDER}:{file}:{}}}", line.key);
    }
    if !secrets.is_empty() {
        let mut put = |key: String, value: String| {
            lines.insert(key.clone(), Line::new(key, value, Origin::Derived));
        };
        put(
            format!("config.providers.{PROVIDER}.class"),
            "org.apache.kafka.common.config.provider.FileConfigProvider".to_owned(),
        );
        // KIP-993, from 3.8 on: whatever else can set a property, it cannot read other files through our provider.
        put(format!("config.providers.{PROVIDER}.param.allowed.paths"), file);
        let of_people = lines.get("config.providers").map(|line| line.value.clone()).unwrap_or_default();
        let all = if of_people.is_empty() { PROVIDER.to_owned() } else { format!("{of_people},{PROVIDER}") };
        lines.insert("config.providers".to_owned(), Line::new("config.providers", all, Origin::Derived));
    }
    secrets
}

/// A value that somebody's own config provider fills in, whole or in part, as in
/// `… password="${file:/etc/credentials:password}";`. It stays where it is: Kafka resolves once, so a reference in our
/// file would be taken for the password itself (ConfigTransformer).
fn has_reference(value: &str) -> bool {
    value
        .split_once("${")
        .is_some_and(|(_, rest)| rest.split_once('}').is_some_and(|(inside, _)| inside.contains(':')))
}

/// A JAAS line such as `ScramLoginModule required;` that gives no option.
fn names_a_module_only(value: &str) -> bool {
    value.ends_with("LoginModule required;") && !value.contains('=')
}

/// The text of a properties file: a comment, then a line for each key, in the order of the keys.
///
/// There is no date in it: equal inputs give equal bytes.
pub fn render(comment: &str, lines: &[Line]) -> String {
    let mut text = format!("# {comment}\n");
    for line in lines {
        text.push_str(&line.render());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(derived: Vec<Line>, overrides: Vec<Line>) -> ServerProperties {
        merge(Path::new("/run/kraftlet"), derived, overrides)
    }

    #[test]
    fn the_last_word_wins_and_what_is_derived_stands() {
        let file = || Origin::File("f".to_owned());
        let result = merged(
            vec![Line::new("a", "default", Origin::Default), Line::new("node.id", "1", Origin::Derived)],
            vec![
                Line::new("a", "settings", Origin::Settings("all")),
                Line::new("a", "file", file()),
                Line::new("node.id", "2", file()),
            ],
        );
        assert_eq!(render("c", &result.lines), "# c\na=file\nnode.id=1\n");
    }

    #[test]
    fn a_password_is_reached_through_a_provider() {
        let jaas = "org.x.PlainLoginModule required username=\"a\" password=\"hunter2\";";
        let result = merged(
            vec![Line::new("scram.sasl.jaas.config", "org.x.ScramLoginModule required;", Origin::Default)],
            vec![
                Line::new("plain.sasl.jaas.config", jaas, Origin::Environment("KAFKA_X".to_owned())),
                Line::new("own.password", "${vault:db:password}", Origin::Settings("all")),
                Line::new(
                    "b.sasl.jaas.config",
                    "X required password=\"${vault:db:b}\";",
                    Origin::Settings("all"),
                ),
                Line::new("config.providers", "vault", Origin::Settings("all")),
            ],
        );
        assert_eq!(
            render("c", &result.lines),
            "# c\n\
             b.sasl.jaas.config=X required password=\"${vault:db:b}\";\n\
             config.providers=vault,kraftlet\n\
             config.providers.kraftlet.class=org.apache.kafka.common.config.provider.FileConfigProvider\n\
             config.providers.kraftlet.param.allowed.paths=/run/kraftlet/secrets.properties\n\
             own.password=${vault:db:password}\n\
             plain.sasl.jaas.config=${kraftlet:/run/kraftlet/secrets.properties:plain.sasl.jaas.config}\n\
             scram.sasl.jaas.config=org.x.ScramLoginModule required;\n"
        );
        assert_eq!(result.secrets.len(), 1);
        assert_eq!(result.secrets[0].value, jaas);
        assert!(!format!("{result:?}").contains("hunter2"));
    }
}
