//! References in a node's properties such as `${file:/etc/kafka/passwords.properties:keystore}`, resolved where that
//! takes no more than reading a file.
//!
//! Kafka resolves each value once (org.apache.kafka.common.config.ConfigTransformer, KIP-297). kraftlet's own passwords
//! are reached like this too. What asks a Secret, a vault or the environment of Kafka's container is not here: the agent
//! has neither its rights nor its environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::certificates::sources::small_file::FileError;
use crate::kafka::properties;
use crate::kafka::properties::PropertiesError;
use crate::reload::node_properties::NodeProperties;

/// The bytes of a file, bounded.
pub type ReadFile<'a> = dyn FnMut(&Path) -> Result<Zeroizing<Vec<u8>>, FileError> + 'a;

/// A reference that stays as it is.
#[derive(Debug, thiserror::Error)]
#[error("{key} is read through config provider {provider}, {problem}")]
pub struct UnresolvedReference {
    /// The property.
    pub key: String,
    /// The provider's name.
    pub provider: String,
    /// Why not.
    pub problem: ProviderProblem,
}

/// Why a reference cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ProviderProblem {
    /// It asks something that the agent cannot.
    #[error("which is {class}; of those only FileConfigProvider and DirectoryConfigProvider are followed")]
    Class {
        /// The provider's class.
        class: String,
    },
    /// The file cannot be read.
    #[error("whose file {} {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: FileError,
    },
    /// The file is no properties file.
    #[error("whose file {} is no properties file: {problem}", path.display())]
    Properties {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: PropertiesError,
    },
    /// The file does not have the key.
    #[error("whose file {} has no key {name:?}", path.display())]
    NoSuchKey {
        /// The file.
        path: PathBuf,
        /// The key.
        name: String,
    },
    /// More than a node has reason for.
    #[error("beyond the {MAX_REFERENCES} references that are followed")]
    TooMany,
}

impl UnresolvedReference {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match &self.problem {
            ProviderProblem::Class { .. } => "ConfigProviderNotFollowed",
            ProviderProblem::File { problem, .. } => problem.reason(),
            ProviderProblem::Properties { problem, .. } => problem.reason(),
            ProviderProblem::NoSuchKey { .. } => "ConfigProviderKeyMissing",
            ProviderProblem::TooMany => "ConfigProviderReferences",
        }
    }
}

/// Twenty listeners with six properties each.
const MAX_REFERENCES: usize = 128;

/// The same properties, references in `ssl.*` values resolved, and those that could not be. Other values are left
/// alone: nothing here reads them.
pub fn resolve(
    properties: NodeProperties,
    read: &mut ReadFile<'_>,
) -> (NodeProperties, Vec<UnresolvedReference>) {
    let classes = classes(&properties);
    let mut resolver = Resolver { classes, left: MAX_REFERENCES, read };
    let concerns_tls = |key: &str| key.starts_with("ssl.") || key.contains(".ssl.");
    let mut unresolved = Vec::new();
    let mut resolved = Vec::new();
    for (key, value) in properties.pairs().filter(|(key, value)| concerns_tls(key) && value.contains("${")) {
        match resolver.value(value) {
            Ok(Some(value)) => resolved.push((key.to_owned(), value)),
            Ok(None) => {}
            Err((provider, problem)) => {
                unresolved.push(UnresolvedReference { key: key.to_owned(), provider, problem })
            }
        }
    }
    let properties = resolved.into_iter().fold(properties, |all, (key, value)| all.with(&key, value));
    (properties, unresolved)
}

/// The class of each provider that is switched on.
fn classes(properties: &NodeProperties) -> BTreeMap<String, String> {
    let named = properties.list("config.providers").into_iter().filter_map(|name| {
        let class = properties.value(&format!("config.providers.{name}.class"))?;
        Some((name.to_owned(), class.to_owned()))
    });
    named.collect()
}

struct Resolver<'a, 'b> {
    classes: BTreeMap<String, String>,
    left: usize,
    read: &'a mut ReadFile<'b>,
}

type Refused = (String, ProviderProblem);

impl Resolver<'_, '_> {
    /// The value with every reference replaced; `None` where there is none after all.
    fn value(&mut self, value: &str) -> Result<Option<Zeroizing<String>>, Refused> {
        let mut done = Zeroizing::new(String::with_capacity(value.len()));
        let mut rest = value;
        let mut found = false;
        while let Some((before, after)) = rest.split_once("${") {
            done.push_str(before);
            match after.split_once('}').and_then(|(inside, rest)| Some((inside.split_once(':')?, rest))) {
                // A provider that is not switched on means nothing to Kafka either.
                Some(((provider, place), behind)) if self.classes.contains_key(provider) => {
                    let text =
                        self.reference(provider, place).map_err(|problem| (provider.to_owned(), problem))?;
                    done.push_str(&text);
                    (rest, found) = (behind, true);
                }
                Some(_) | None => {
                    done.push_str("${");
                    rest = after;
                }
            }
        }
        done.push_str(rest);
        Ok(found.then_some(done))
    }

    /// `place` is `path:key`.
    fn reference(&mut self, provider: &str, place: &str) -> Result<Zeroizing<String>, ProviderProblem> {
        self.left = self.left.checked_sub(1).ok_or(ProviderProblem::TooMany)?;
        let class = self.classes.get(provider).cloned().unwrap_or_default();
        let (path, name) = place.split_once(':').unwrap_or(("", place));
        match class.strip_prefix("org.apache.kafka.common.config.provider.") {
            Some("FileConfigProvider") => self.of_file(PathBuf::from(path), name),
            Some("DirectoryConfigProvider") => self.of_directory(Path::new(path).join(name)),
            _ => Err(ProviderProblem::Class { class }),
        }
    }

    fn of_file(&mut self, path: PathBuf, name: &str) -> Result<Zeroizing<String>, ProviderProblem> {
        let bytes =
            (self.read)(&path).map_err(|problem| ProviderProblem::File { path: path.clone(), problem })?;
        let pairs = properties::parse(&bytes)
            .map_err(|problem| ProviderProblem::Properties { path: path.clone(), problem })?;
        let pairs = pairs.into_iter().map(|(key, value)| (key, Zeroizing::new(value)));
        let value = pairs.rev().find(|(key, _)| key == name).map(|(_, value)| value);
        value.ok_or_else(|| ProviderProblem::NoSuchKey { path, name: name.chars().take(80).collect() })
    }

    /// The whole file is the value.
    fn of_directory(&mut self, path: PathBuf) -> Result<Zeroizing<String>, ProviderProblem> {
        let bytes = (self.read)(&path).map_err(|problem| ProviderProblem::File { path, problem })?;
        Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(lines: &str) -> (NodeProperties, Vec<String>) {
        let providers = "config.providers=file, dir,env,off\n\
                         config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider\n\
                         config.providers.dir.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider\n\
                         config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n";
        let properties = NodeProperties::parse(format!("{providers}{lines}").as_bytes()).unwrap();
        let mut read = |path: &Path| match path.to_str().unwrap() {
            "/p" => Ok(Zeroizing::new(b"a=hunter2\nb:c=x".to_vec())),
            "/d/word" => Ok(Zeroizing::new(b"swordfish".to_vec())),
            "/bad" => Ok(Zeroizing::new(b"a=\\u".to_vec())),
            _ => Err(FileError::Missing),
        };
        let (properties, unresolved) = resolve(properties, &mut read);
        (properties, unresolved.iter().map(|one| format!("{}: {one}", one.reason())).collect())
    }

    fn check(value: &str, want: &str) {
        let (properties, unresolved) = resolved(&format!("ssl.keystore.password={value}"));
        assert_eq!((properties.value("ssl.keystore.password"), unresolved.len()), (Some(want), 0), "{value}");
    }

    fn refused(value: &str, want: &str) {
        let (properties, unresolved) = resolved(&format!("listener.name.x.ssl.key.password={value}"));
        assert_eq!(properties.value("listener.name.x.ssl.key.password"), Some(value));
        assert_eq!(unresolved, [want], "{value}");
    }

    #[test]
    fn a_value_of_a_file_is_put_where_the_reference_stood() {
        check("${file:/p:a}", "hunter2");
        check("x${file:/p:a}-${dir:/d:word}y", "xhunter2-swordfishy");
        check("plain", "plain");
    }

    #[test]
    fn what_is_no_reference_to_kafka_stays() {
        check("${CERTS_STORE_PASSWORD}", "${CERTS_STORE_PASSWORD}");
        check("${off:/p:a}", "${off:/p:a}");
        check("${file:/p:a", "${file:/p:a");
        let (properties, unresolved) = resolved("sasl.jaas.config=${env:X}");
        assert_eq!((properties.value("sasl.jaas.config"), unresolved.len()), (Some("${env:X}"), 0));
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let through = "listener.name.x.ssl.key.password is read through config provider";
        refused(
            "${env:X}",
            &format!(
                "ConfigProviderNotFollowed: {through} env, which is \
                 org.apache.kafka.common.config.provider.EnvVarConfigProvider; of those only FileConfigProvider and \
                 DirectoryConfigProvider are followed"
            ),
        );
        refused(
            "${file:/gone:a}",
            &format!("CertificateFileMissing: {through} file, whose file /gone is missing"),
        );
        refused(
            "${file:/p:z}",
            &format!("ConfigProviderKeyMissing: {through} file, whose file /p has no key \"z\""),
        );
        refused(
            "${dir:/d:gone}",
            &format!("CertificateFileMissing: {through} dir, whose file /d/gone is missing"),
        );
        refused(
            "${file:/bad:a}",
            &format!(
                "MalformedProperties: {through} file, whose file /bad is no properties file: line 1: \\u is not followed \
                 by four hexadecimal digits; want \\\\ for a backslash"
            ),
        );
    }

    #[test]
    fn references_without_end_are_not_followed() {
        let (_, unresolved) = resolved(&format!("ssl.key.password={}", "${file:/p:a}".repeat(129)));
        assert_eq!(
            unresolved,
            [
                "ConfigProviderReferences: ssl.key.password is read through config provider file, beyond the 128 \
              references that are followed"
            ]
        );
    }
}
