//! How the agent logs in where a listener has SASL: mechanism, user and password.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::kafka::scram::ScramMechanism;

/// A SASL login. It never prints its password and wipes it on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    mechanism: Mechanism,
    username: String,
    password: Zeroizing<String>,
}

/// The mechanisms the agent speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// RFC 5802.
    Scram(ScramMechanism),
}

/// A login that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// No user, or one that no server could know.
    #[error("the user name has {0} bytes; want 1 to {MAX_BYTES}")]
    Username(usize),
    /// No password, or one that no person could mean.
    #[error("the password has {0} bytes; want 1 to {MAX_BYTES}")]
    Password(usize),
    /// PLAIN puts a zero byte between user and password.
    #[error("user name or password contains a zero byte, which SASL has no word for")]
    ZeroByte,
}

/// The longest user name and the longest password, in bytes. RFC 4616 takes no more than 255 characters of each.
const MAX_BYTES: usize = 1024;

impl LoginError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Username(_) | Self::Password(_) | Self::ZeroByte => "LoginUnusable",
        }
    }
}

impl Login {
    /// A login with this password.
    pub fn new(
        mechanism: Mechanism,
        username: &str,
        password: Zeroizing<String>,
    ) -> Result<Self, LoginError> {
        if !(1..=MAX_BYTES).contains(&username.len()) {
            return Err(LoginError::Username(username.len()));
        }
        if !(1..=MAX_BYTES).contains(&password.len()) {
            return Err(LoginError::Password(password.len()));
        }
        if username.contains('\0') || password.contains('\0') {
            return Err(LoginError::ZeroByte);
        }
        Ok(Self { mechanism, username: username.to_owned(), password })
    }

    /// How it is proven.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The user.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password, for the exchange only.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({} as {:?}, <redacted>)", self.mechanism, self.username)
    }
}

/// A mechanism that the agent does not speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SASL mechanism {0:?}; want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")]
pub struct MechanismError(String);

impl FromStr for Mechanism {
    type Err = MechanismError;

    fn from_str(text: &str) -> Result<Self, MechanismError> {
        let all = [Self::Plain, Self::Scram(ScramMechanism::Sha256), Self::Scram(ScramMechanism::Sha512)];
        let named = all.into_iter().find(|one| one.to_string() == text);
        named.ok_or_else(|| MechanismError(text.to_owned()))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.pad("PLAIN"),
            Self::Scram(mechanism) => mechanism.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(username: &str, password: &str) -> Result<Login, LoginError> {
        Login::new(Mechanism::Plain, username, Zeroizing::new(password.to_owned()))
    }

    #[test]
    fn a_login_has_a_user_and_a_password_that_sasl_can_say() {
        let long = "x".repeat(1025);
        for (username, password, want) in [
            ("", "b", "the user name has 0 bytes; want 1 to 1024"),
            (&long, "b", "the user name has 1025 bytes; want 1 to 1024"),
            ("a", "", "the password has 0 bytes; want 1 to 1024"),
            ("a", &long, "the password has 1025 bytes; want 1 to 1024"),
            ("a\0", "b", "user name or password contains a zero byte, which SASL has no word for"),
            ("a", "b\0", "user name or password contains a zero byte, which SASL has no word for"),
        ] {
            assert_eq!(login(username, password).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn a_login_never_prints_its_password() {
        let one = login("ada", "sesame").unwrap();
        assert_eq!(format!("{one:?}"), "Login(PLAIN as \"ada\", <redacted>)");
        assert_eq!(one.password(), "sesame");
    }
}
