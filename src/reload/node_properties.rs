//! A node's `server.properties` as Kafka looks things up in it: trimmed, a listener's own key before the general one.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::kafka::properties;
use crate::kafka::properties::PropertiesError;

/// The pairs of one file; some hold passwords, so nothing of it is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeProperties {
    values: BTreeMap<String, Zeroizing<String>>,
}

/// A listener's name in capital letters (org.apache.kafka.common.network.ListenerName.normalised).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerName(String);

/// A value that holds, or may hold, a password or a key: never printed, wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl NodeProperties {
    /// Reads the bytes of the file; of two lines with one key the last counts.
    pub fn parse(bytes: &[u8]) -> Result<Self, PropertiesError> {
        Ok(Self::from_pairs(properties::parse(bytes)?))
    }

    /// The pairs, in the order of the file.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: pairs.into_iter().map(|(key, value)| (key, Zeroizing::new(value))).collect() }
    }

    /// All keys, with their values as they stand in the file.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The same properties, but for this value.
    pub fn with(mut self, key: &str, value: Zeroizing<String>) -> Self {
        self.values.insert(key.to_owned(), value);
        self
    }

    /// The value without the blanks around it, as ConfigDef.parseType takes it; `None` where there is none or an
    /// empty one.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value of `listener.name.<listener>.<key>`, or of `key` where the listener has no line of its own
    /// (AbstractConfig.valuesWithPrefixOverride). An empty line of its own hides the general one.
    pub fn of_listener(&self, listener: &ListenerName, key: &str) -> Option<&str> {
        let own = listener.key(key);
        if self.values.contains_key(&own) { self.value(&own) } else { self.value(key) }
    }

    /// The parts between commas, without blanks; none for a key that is not there.
    pub fn list(&self, key: &str) -> Vec<&str> {
        let parts = self.value(key).unwrap_or_default().split(',');
        parts.map(str::trim).filter(|part| !part.is_empty()).collect()
    }
}

impl ListenerName {
    /// The name as it stands in `listeners` or in a list of names.
    pub fn new(name: &str) -> Self {
        Self(name.trim().to_uppercase())
    }

    /// In capital letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `listener.name.<name in small letters>.<key>` (ListenerName.configPrefix).
    pub fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix())
    }

    /// `listener.name.<name in small letters>.`, with the dot.
    pub fn prefix(&self) -> String {
        format!("listener.name.{}.", self.0.to_lowercase())
    }
}

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} properties>", self.values.len())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Display for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> NodeProperties {
        NodeProperties::parse(
            b"a=1\na = 2 \nempty=\nlist= x ,, y\n\
              ssl.client.auth=required\nlistener.name.own.ssl.client.auth=none\nlistener.name.hidden.ssl.client.auth=\n",
        )
        .unwrap()
    }

    #[test]
    fn values_are_trimmed_the_last_line_counts_and_an_empty_one_is_none() {
        let properties = properties();
        assert_eq!(properties.value("a"), Some("2"));
        assert_eq!((properties.value("empty"), properties.value("absent")), (None, None));
        assert_eq!(properties.list("list"), ["x", "y"]);
        assert!(properties.list("empty").is_empty());
    }

    #[test]
    fn a_listeners_own_line_comes_before_the_general_one_even_when_it_is_empty() {
        let check = |listener, want| {
            assert_eq!(properties().of_listener(&ListenerName::new(listener), "ssl.client.auth"), want);
        };
        check("OWN", Some("none"));
        check("own", Some("none"));
        check("OTHER", Some("required"));
        check("HIDDEN", None);
    }

    #[test]
    fn nothing_of_a_value_is_printed() {
        assert_eq!(format!("{:?}", properties()), "<6 properties>");
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "<redacted>");
    }
}
