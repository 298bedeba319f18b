//! The keys of a SCRAM password, and users that exist from the first record of a cluster: name, salt and two keys,
//! never the password.
//!
//! The derivation is RFC 5802 with the two hashes Kafka knows (`ScramFormatter`, `ScramMechanism`; KIP-900 puts the
//! result into the bootstrap records).

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use crate::kafka::uuid::ClusterId;

/// The hash of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScramMechanism {
    /// `SCRAM-SHA-256`.
    Sha256,
    /// `SCRAM-SHA-512`.
    Sha512,
}

/// What a server must know of a user. Who has it can pass for the server, so it is not printed and is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    mechanism: ScramMechanism,
    name: String,
    salt: Vec<u8>,
    stored_key: Zeroizing<Vec<u8>>,
    server_key: Zeroizing<Vec<u8>>,
    iterations: i32,
}

/// What follows from a password: who has it can pass for the user and for the server.
pub struct ScramKeys {
    mechanism: ScramMechanism,
    client_key: Zeroizing<Vec<u8>>,
    server_key: Zeroizing<Vec<u8>>,
}

/// A credential that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// Another mechanism.
    #[error("SCRAM mechanism {0:?} is not known; want SCRAM-SHA-256 or SCRAM-SHA-512")]
    UnknownMechanism(String),
    /// Iterations that Kafka refuses.
    #[error("SCRAM iterations are {0}; want 4096 to 16384")]
    Iterations(u32),
}

impl ScramError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownMechanism(_) => "UnknownScramMechanism",
            Self::Iterations(_) => "ScramIterationsOutOfRange",
        }
    }
}

/// The least and the most that `ScramMechanism` takes, for both hashes.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=16384;

impl ScramMechanism {
    /// The number in a UserScramCredentialRecord.
    pub const fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The mechanism of a number in a UserScramCredentialRecord.
    pub const fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

impl ScramKeys {
    /// Derives them with PBKDF2. The password is taken as it is (UTF-8 without SASLprep), as Kafka takes it.
    pub fn derive(
        mechanism: ScramMechanism,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, ScramError> {
        let rounds = NonZeroU32::new(iterations)
            .filter(|_| ITERATIONS.contains(&iterations))
            .ok_or(ScramError::Iterations(iterations))?;
        let pbkdf2 = match mechanism {
            ScramMechanism::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            ScramMechanism::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut salted_password = Zeroizing::new(vec![0; mechanism.digest().output_len()]);
        pbkdf2::derive(pbkdf2, rounds, salt, password, &mut salted_password);
        let key = hmac::Key::new(mechanism.hmac(), &salted_password);
        let derived = |word: &[u8]| Zeroizing::new(hmac::sign(&key, word).as_ref().to_vec());
        Ok(Self { mechanism, client_key: derived(b"Client Key"), server_key: derived(b"Server Key") })
    }

    /// What proves to a server that the client knows the password: ClientProof of RFC 5802.
    pub fn client_proof(&self, auth_message: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(self.mechanism.hmac(), &self.stored_key());
        let signature = hmac::sign(&key, auth_message);
        self.client_key.iter().zip(signature.as_ref()).map(|(key, byte)| key ^ byte).collect()
    }

    /// Whether only a server that knows the user can have made this signature.
    pub fn is_of_server(&self, auth_message: &[u8], signature: &[u8]) -> bool {
        let key = hmac::Key::new(self.mechanism.hmac(), &self.server_key);
        hmac::verify(&key, auth_message, signature).is_ok()
    }

    fn stored_key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(digest::digest(self.mechanism.digest(), &self.client_key).as_ref().to_vec())
    }
}

impl ScramCredential {
    /// Derives what the server stores.
    pub fn derive(
        mechanism: ScramMechanism,
        name: &str,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, ScramError> {
        let keys = ScramKeys::derive(mechanism, password, salt, iterations)?;
        Ok(Self {
            mechanism,
            name: name.to_owned(),
            salt: salt.to_vec(),
            stored_key: keys.stored_key(),
            server_key: keys.server_key,
            iterations: iterations.cast_signed(),
        })
    }

    /// A credential as a record has it, from any writer; nothing is derived or checked.
    pub fn from_record(
        mechanism: ScramMechanism,
        name: &str,
        salt: &[u8],
        stored_key: &[u8],
        server_key: &[u8],
        iterations: i32,
    ) -> Self {
        Self {
            mechanism,
            name: name.to_owned(),
            salt: salt.to_vec(),
            stored_key: Zeroizing::new(stored_key.to_vec()),
            server_key: Zeroizing::new(server_key.to_vec()),
            iterations,
        }
    }

    /// The hash.
    pub fn mechanism(&self) -> ScramMechanism {
        self.mechanism
    }

    /// The user.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The salt, which every client of the user is told.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// What proves the client, for the record only.
    pub fn stored_key(&self) -> &[u8] {
        &self.stored_key
    }

    /// What proves the server, for the record only.
    pub fn server_key(&self) -> &[u8] {
        &self.server_key
    }

    /// How often the password was hashed.
    pub fn iterations(&self) -> i32 {
        self.iterations
    }
}

/// The salt of a user, from who it is: the same wherever it is computed.
///
/// Every controller writes its own bootstrap records, and whichever leads first decides; with random salts they
/// would differ from node to node, and a second run of `init` after a crash from the first. Equal inputs give equal
/// bytes. A salt need not be secret (the server tells it to anyone who names the user), only unique, so that one table
/// of guesses does not serve for two users: cluster, mechanism and name are in it. Lengths go first, so that no
/// two triples run into the same text.
pub fn deterministic_salt(cluster_id: &ClusterId, mechanism: ScramMechanism, name: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in ["kraftlet SCRAM salt", cluster_id.as_str(), mechanism.name(), name] {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut salt = [0; 32];
    for (byte, hashed) in salt.iter_mut().zip(context.finish().as_ref()) {
        *byte = *hashed;
    }
    salt
}

impl FromStr for ScramMechanism {
    type Err = ScramError;

    fn from_str(text: &str) -> Result<Self, ScramError> {
        match text {
            "SCRAM-SHA-256" => Ok(Self::Sha256),
            "SCRAM-SHA-512" => Ok(Self::Sha512),
            _ => Err(ScramError::UnknownMechanism(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for ScramMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramKeys({}, <redacted>)", self.mechanism)
    }
}

impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramCredential({} for {:?}, <redacted>)", self.mechanism, self.name)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    /// Keys made with RFC 7677's user, password and salt by an independent implementation (Python's hashlib).
    #[test]
    fn the_keys_are_those_of_the_rfc() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        for (mechanism, stored_key, server_key) in [
            (
                ScramMechanism::Sha256,
                "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
                "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
            ),
            (
                ScramMechanism::Sha512,
                "6AAub3065EYRmyFpM2RNwqK+eGnrkYuEWbXn19LsEmBqzu8QaCXNc1FwpnX9NhH2hK/60dzj9DoO5DvVkOHbvg==",
                "jZHbYjC1aHh0/hKbxyBuGFjDrgjgKTT1esA7awWiKcRZ0o/0b1yWEebBeSVkkCFewf91nLDfKF24mvD5nmE6rA==",
            ),
        ] {
            let credential = ScramCredential::derive(mechanism, "user", b"pencil", &salt, 4096).unwrap();
            assert_eq!(BASE64_STANDARD.encode(credential.stored_key()), stored_key);
            assert_eq!(BASE64_STANDARD.encode(credential.server_key()), server_key);
            assert_eq!((credential.iterations(), credential.salt()), (4096, &salt[..]));
        }
    }

    #[test]
    fn iterations_are_bounded_as_kafka_bounds_them() {
        for (iterations, want) in [(0, false), (4095, false), (4096, true), (16384, true), (16385, false)] {
            let derived = ScramCredential::derive(ScramMechanism::Sha256, "a", b"b", b"c", iterations);
            assert_eq!(derived.is_ok(), want, "{iterations}");
        }
    }

    #[test]
    fn a_salt_is_the_same_everywhere_and_another_for_another_user() {
        let cluster: ClusterId = "JEXY6aqzQY-32P5TStzaFg".parse().unwrap();
        let other: ClusterId = "KEXY6aqzQY-32P5TStzaFg".parse().unwrap();
        let salt = deterministic_salt(&cluster, ScramMechanism::Sha256, "ada");
        assert_eq!(salt, deterministic_salt(&cluster, ScramMechanism::Sha256, "ada"));
        assert_ne!(salt, deterministic_salt(&cluster, ScramMechanism::Sha512, "ada"));
        assert_ne!(salt, deterministic_salt(&cluster, ScramMechanism::Sha256, "bob"));
        assert_ne!(salt, deterministic_salt(&other, ScramMechanism::Sha256, "ada"));
    }

    #[test]
    fn a_credential_never_prints_its_keys() {
        let credential =
            ScramCredential::derive(ScramMechanism::Sha256, "ada", b"secret", b"salt", 4096).unwrap();
        assert_eq!(format!("{credential:?}"), "ScramCredential(SCRAM-SHA-256 for \"ada\", <redacted>)");
    }

    #[test]
    fn a_mechanism_is_read_as_it_is_printed() {
        for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
            assert_eq!(mechanism.to_string().parse(), Ok(mechanism));
            assert_eq!(ScramMechanism::from_code(mechanism.code()), Some(mechanism));
        }
        assert!("SCRAM-SHA-1".parse::<ScramMechanism>().is_err());
        assert_eq!(ScramMechanism::from_code(0), None);
    }
}
