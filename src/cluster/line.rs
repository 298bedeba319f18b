//! A line of a properties file, and who has put it there.

use std::fmt;

use crate::kafka::properties;

/// A key, its value, and where the value comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// The key.
    pub key: String,
    /// The value, as Kafka shall see it.
    pub value: String,
    /// Who says so.
    pub origin: Origin,
}

/// Where a value comes from. Later ones win over earlier ones, but nothing wins over `Derived`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// kraftlet's own default.
    Default,
    /// `properties` of the settings, for all or for one role.
    Settings(&'static str),
    /// A `.properties` file.
    File(String),
    /// A variable of the environment.
    Environment(String),
    /// Worked out from the settings and the pod; these keys cannot be set by anyone.
    Derived,
}

impl Line {
    /// A line.
    pub fn new(key: impl Into<String>, value: impl Into<String>, origin: Origin) -> Self {
        Self { key: key.into(), value: value.into(), origin }
    }

    /// The line as it is in the file, without its line break.
    pub fn render(&self) -> String {
        properties::render_line(&self.key, &self.value)
    }
}

impl Origin {
    /// The word for `--output json`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Settings(_) => "settings",
            Self::File(_) => "file",
            Self::Environment(_) => "env",
            Self::Derived => "derived",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default | Self::Derived => f.write_str(self.word()),
            Self::Settings(role) => write!(f, "settings properties.{role}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Environment(variable) => write!(f, "env {variable}"),
        }
    }
}

/// A value that is a secret is not printed.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = crate::cluster::protected::is_secret(&self.key);
        let value = if secret { "<redacted>" } else { &self.value };
        write!(f, "{}={value} ({})", self.key, self.origin)
    }
}
