//! The client's side of a SCRAM login (RFC 5802, without channel binding).
//!
//! The password never leaves: what is sent proves that the client knows it, and what comes back proves that the server
//! knows the user. What a server says before that is hostile until shown otherwise: its nonce must begin with ours,
//! and it may not ask for more rounds of hashing than Kafka ever stores.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::kafka::login::Login;
use crate::kafka::requests::for_a_log_line;
use crate::kafka::scram::ScramError;
use crate::kafka::scram::ScramKeys;
use crate::kafka::scram::ScramMechanism;

/// The client's first message has been made.
pub struct ClientFirst<'a> {
    login: &'a Login,
    mechanism: ScramMechanism,
    nonce: String,
    bare: String,
}

/// The client's last message has been made.
pub struct ClientFinal {
    message: String,
    keys: ScramKeys,
    auth_message: String,
}

/// A server that does not speak SCRAM as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramRefusal {
    /// Not the attributes that RFC 5802 has, in its order.
    #[error("its {0} SCRAM message cannot be read")]
    Unreadable(&'static str),
    /// An answer to somebody else.
    #[error("its SCRAM nonce does not begin with ours")]
    Nonce,
    /// Rounds that Kafka does not have.
    #[error("it wants what Kafka would refuse")]
    Rounds(#[source] ScramError),
    /// It says why not.
    #[error("it says {0:?}")]
    Said(String),
    /// It took our proof, but cannot prove that it knows the user.
    #[error("it cannot prove that it knows the user: its SCRAM signature is wrong")]
    Signature,
}

/// Longer than any message of a server: nonces, a salt and a number.
const MAX_MESSAGE_BYTES: usize = 4096;

impl ScramRefusal {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Said(_) => "LoginRefused",
            Self::Signature | Self::Nonce => "ServerNotProven",
            Self::Unreadable(_) | Self::Rounds(_) => "PeerAnswerUnreadable",
        }
    }
}

impl<'a> ClientFirst<'a> {
    /// Begins a login with random bytes that are used for nothing else.
    pub fn new(login: &'a Login, mechanism: ScramMechanism, random: [u8; 24]) -> Self {
        Self::with_nonce(login, mechanism, BASE64_STANDARD.encode(random))
    }

    fn with_nonce(login: &'a Login, mechanism: ScramMechanism, nonce: String) -> Self {
        let name = login.username().replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        Self { login, mechanism, nonce, bare }
    }

    /// What is sent first: no channel binding, no other identity.
    pub fn message(&self) -> Vec<u8> {
        format!("n,,{}", self.bare).into_bytes()
    }

    /// The proof, from the server's first message.
    pub fn prove(&self, server_first: &[u8]) -> Result<ClientFinal, ScramRefusal> {
        let unreadable = || ScramRefusal::Unreadable("first");
        let text = text(server_first).ok_or_else(unreadable)?;
        // Extensions may follow; one that must be understood would come first, as m=.
        let mut attributes = text.split(',');
        let mut attribute = |prefix| attributes.next().and_then(|one: &str| one.strip_prefix(prefix));
        let nonce = attribute("r=").ok_or_else(unreadable)?;
        let salt =
            attribute("s=").and_then(|salt| BASE64_STANDARD.decode(salt).ok()).ok_or_else(unreadable)?;
        let iterations = attribute("i=").and_then(|rounds| rounds.parse().ok()).ok_or_else(unreadable)?;
        if !nonce.starts_with(&self.nonce) || nonce == self.nonce {
            return Err(ScramRefusal::Nonce);
        }
        let password = self.login.password().as_bytes();
        let keys =
            ScramKeys::derive(self.mechanism, password, &salt, iterations).map_err(ScramRefusal::Rounds)?;
        // "biws" is base64 of "n,,".
        let without_proof = format!("c=biws,r={nonce}");
        let auth_message = format!("{},{text},{without_proof}", self.bare);
        let proof = BASE64_STANDARD.encode(keys.client_proof(auth_message.as_bytes()));
        Ok(ClientFinal { message: format!("{without_proof},p={proof}"), keys, auth_message })
    }
}

impl ClientFinal {
    /// What is sent last.
    pub fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// Whether the server knows the user, from its last message.
    pub fn check(&self, server_final: &[u8]) -> Result<(), ScramRefusal> {
        let unreadable = || ScramRefusal::Unreadable("last");
        let first = text(server_final).and_then(|text| text.split(',').next()).ok_or_else(unreadable)?;
        if let Some(error) = first.strip_prefix("e=") {
            return Err(ScramRefusal::Said(for_a_log_line(error)));
        }
        let signature = first.strip_prefix("v=").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let signature = signature.ok_or_else(unreadable)?;
        let is_right = self.keys.is_of_server(self.auth_message.as_bytes(), &signature);
        if is_right { Ok(()) } else { Err(ScramRefusal::Signature) }
    }
}

impl fmt::Debug for ClientFirst<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientFirst({:?})", self.login)
    }
}

impl fmt::Debug for ClientFinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientFinal(<redacted>)")
    }
}

fn text(message: &[u8]) -> Option<&str> {
    std::str::from_utf8(message).ok().filter(|text| text.len() <= MAX_MESSAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::kafka::login::Mechanism;

    fn login(username: &str, password: &str) -> Login {
        let mechanism = Mechanism::Scram(ScramMechanism::Sha256);
        Login::new(mechanism, username, Zeroizing::new(password.to_owned())).unwrap()
    }

    /// The example of RFC 7677, section 3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    #[test]
    fn the_messages_are_those_of_the_rfc() {
        let login = login("user", "pencil");
        let first = ClientFirst::with_nonce(&login, ScramMechanism::Sha256, NONCE.to_owned());
        assert_eq!(first.message(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = first.prove(SERVER_FIRST.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(last.message()).unwrap(), CLIENT_FINAL);
        assert_eq!(last.check(SERVER_FINAL.as_bytes()), Ok(()));
        assert_eq!(format!("{first:?} {last:?}"), format!("ClientFirst({login:?}) ClientFinal(<redacted>)"));
    }

    #[test]
    fn a_name_may_hold_what_separates_attributes() {
        let login = login("a=b,c", "pencil");
        let first = ClientFirst::with_nonce(&login, ScramMechanism::Sha512, "x".to_owned());
        assert_eq!(first.message(), b"n,,n=a=3Db=2Cc,r=x");
    }

    #[test]
    fn a_server_that_is_not_honest_is_not_answered() {
        let login = login("user", "pencil");
        let first = ClientFirst::with_nonce(&login, ScramMechanism::Sha256, NONCE.to_owned());
        let long = format!("{SERVER_FIRST},{}", "x".repeat(MAX_MESSAGE_BYTES));
        for (message, want) in [
            (long.as_str(), "its first SCRAM message cannot be read"),
            ("", "its first SCRAM message cannot be read"),
            ("m=x,r=a,s=aaaa,i=4096", "its first SCRAM message cannot be read"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096", "its first SCRAM message cannot be read"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=aaaa,i=-1", "its first SCRAM message cannot be read"),
            ("r=rOprNGfwEbeRWgbNEkqO,s=aaaa,i=4096", "its SCRAM nonce does not begin with ours"),
            ("r=somebody,s=aaaa,i=4096", "its SCRAM nonce does not begin with ours"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=aaaa,i=1", "it wants what Kafka would refuse"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=aaaa,i=4294967295", "it wants what Kafka would refuse"),
        ] {
            assert_eq!(first.prove(message.as_bytes()).unwrap_err().to_string(), want, "{message}");
        }
        let last = first.prove(SERVER_FIRST.as_bytes()).unwrap();
        for (message, want) in [
            ("v=AAAA", "it cannot prove that it knows the user: its SCRAM signature is wrong"),
            ("v=?", "its last SCRAM message cannot be read"),
            ("", "its last SCRAM message cannot be read"),
            ("e=other-error", "it says \"other-error\""),
        ] {
            assert_eq!(last.check(message.as_bytes()).unwrap_err().to_string(), want, "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "(r=)?rOprNGfwEbeRWgbNEkqO?.{0,9},s=.{0,9},i=.{0,9}") {
            let login = login("user", "pencil");
            let first = ClientFirst::with_nonce(&login, ScramMechanism::Sha256, NONCE.to_owned());
            let _ = first.prove(&bytes);
            let _ = first.prove(text.as_bytes());
            let _ = first.prove(SERVER_FIRST.as_bytes()).unwrap().check(&bytes);
        }
    }
}
