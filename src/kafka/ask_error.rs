//! Why a listener was not asked or did not answer.
//!
//! Whoever asks learns not only that there was no answer, but whether anybody was there: an empty disk may only be
//! formatted as the first of a cluster where nobody is.

use std::io;

use crate::kafka::login::Mechanism;
use crate::kafka::requests::ErrorCode;
use crate::kafka::requests::MAX_RESPONSE_BYTES;
use crate::kafka::requests::ResponseError;
use crate::kafka::sasl::LoginRefusal;
use crate::pki::handshake::Presented;

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address is none.
    #[error("{address:?} is no address; want host:port, an IPv6 address in brackets")]
    InvalidAddress {
        /// What we were given.
        address: String,
    },
    /// The name does not exist.
    #[error("{address} does not resolve")]
    NoSuchName {
        /// Where we asked.
        address: String,
        /// What the resolver says.
        #[source]
        source: io::Error,
    },
    /// Whether the name exists could not be learnt.
    #[error("{address} cannot be resolved now")]
    Resolver {
        /// Where we asked.
        address: String,
        /// What the resolver says.
        #[source]
        source: io::Error,
    },
    /// No word from the resolver before the deadline.
    #[error("the resolver does not answer in time for {address}")]
    ResolverTimedOut {
        /// Where we asked.
        address: String,
    },
    /// Nothing listens there, or there is no way there.
    #[error("nobody listens at {address}")]
    NobodyListens {
        /// Where we asked.
        address: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The connection could not be made for a reason that lies here.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where we asked.
        address: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// No connection before the deadline.
    #[error("{address} does not take a connection in time")]
    ConnectTimedOut {
        /// Where we asked.
        address: String,
    },
    /// A connection, but no whole answer before the deadline.
    #[error("{address} takes connections but does not answer in time")]
    AnswerTimedOut {
        /// Where we asked.
        address: String,
    },
    /// The other side refuses TLS, our leaf or is not who it should be.
    #[error("{address} and this node do not agree on TLS")]
    Tls {
        /// Where we asked.
        address: String,
        /// What it presented before it came to that.
        presented: Presented,
        /// What TLS says.
        #[source]
        source: io::Error,
    },
    /// The connection ended before the answer did.
    #[error("{address} ends the connection without an answer")]
    Ended {
        /// Where we asked.
        address: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// A TLS alert where Kafka's protocol was expected.
    #[error("{address} speaks TLS; this node asked without it")]
    WantsTls {
        /// Where we asked.
        address: String,
    },
    /// An answer that is too long to be one.
    #[error("{address} announces an answer of {length} bytes; want at most {MAX_RESPONSE_BYTES}")]
    TooLong {
        /// Where we asked.
        address: String,
        /// What it announces.
        length: u32,
    },
    /// It does not know the question.
    #[error("{address} does not answer {request}; is it a listener of the right role, in KRaft mode?")]
    NotAsked {
        /// Where we asked.
        address: String,
        /// What we would have asked, by Kafka's name.
        request: &'static str,
    },
    /// The mechanism of the login is not one of the listener's.
    #[error("{address} does not take the login {mechanism}; it takes {enabled}")]
    Mechanism {
        /// Where we asked.
        address: String,
        /// Ours.
        mechanism: Mechanism,
        /// Theirs, as it names them.
        enabled: String,
    },
    /// The login was refused, or the exchange made no sense.
    #[error("{address} does not log in {username:?}")]
    Login {
        /// Where we asked.
        address: String,
        /// The user.
        username: String,
        /// Why not.
        #[source]
        source: LoginRefusal,
    },
    /// There is no number that nobody could guess, which a SCRAM login begins with.
    #[error("cannot log in at {address}: the operating system gives no random numbers")]
    NoNonce {
        /// Where we asked.
        address: String,
    },
    /// An answer that is a refusal or makes no sense.
    #[error("{address} answers, but not with {wanted}")]
    Response {
        /// Where we asked.
        address: String,
        /// What was wanted.
        wanted: &'static str,
        /// What is wrong.
        #[source]
        source: ResponseError,
    },
}

impl AskError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidAddress { .. } => "InvalidAddress",
            Self::NoSuchName { .. } => "PeerNameUnknown",
            Self::Resolver { .. } | Self::ResolverTimedOut { .. } => "ResolverFailed",
            Self::NobodyListens { .. } | Self::ConnectTimedOut { .. } => "PeerUnreachable",
            Self::Connect { .. } => "ConnectFailed",
            Self::Tls { .. } | Self::WantsTls { .. } => "PeerRefusesTls",
            Self::AnswerTimedOut { .. } | Self::Ended { .. } => "PeerDoesNotAnswer",
            Self::TooLong { .. } | Self::NotAsked { .. } => "PeerAnswerUnreadable",
            Self::Mechanism { .. } => "SaslMechanismNotEnabled",
            Self::Login { source, .. } => source.reason(),
            Self::NoNonce { .. } => "NoRandomNumbers",
            Self::Response { source, .. } => source.reason(),
        }
    }

    /// Whether the other side has answered and refused what was asked: the connection is still good.
    pub fn is_an_answer(&self) -> bool {
        matches!(self, Self::Response { source: ResponseError::Refused { .. }, .. })
    }

    /// Whether a controller said that another one leads.
    pub fn is_not_leader(&self) -> bool {
        matches!(
            self,
            Self::Response {
                source: ResponseError::Refused { code: ErrorCode::NOT_LEADER_OR_FOLLOWER, .. },
                ..
            }
        )
    }

    /// Whether it is certain that no Kafka was reached: no such name, no listener, no way there. Everything else
    /// means that somebody is there, or that this node cannot tell.
    ///
    /// Silence is not certain: a partition or a NetworkPolicy drops packets to a controller that runs. A young cluster
    /// does not hang on that. On Kubernetes the headless name of a pod that does not exist does not resolve, and a pod
    /// that exists refuses a port on which nothing listens. Elsewhere packets to a machine that is off are lost, but
    /// once it is up it refuses too. Where a majority stays silent beyond that, no quorum could form over such a
    /// network either, so waiting costs nothing.
    pub fn nobody_there(&self) -> bool {
        match self {
            Self::NoSuchName { .. } | Self::NobodyListens { .. } => true,
            Self::InvalidAddress { .. }
            | Self::Resolver { .. }
            | Self::ResolverTimedOut { .. }
            | Self::ConnectTimedOut { .. }
            | Self::Connect { .. }
            | Self::AnswerTimedOut { .. }
            | Self::Tls { .. }
            | Self::Ended { .. }
            | Self::WantsTls { .. }
            | Self::TooLong { .. }
            | Self::NotAsked { .. }
            | Self::Mechanism { .. }
            | Self::Login { .. }
            | Self::NoNonce { .. }
            | Self::Response { .. } => false,
        }
    }

    /// An error of the stream below Kafka's protocol. A TLS alert reaches the reader as such, with the alert inside.
    pub fn of_stream(address: &str, presented: Presented, source: io::Error) -> Self {
        let address = address.to_owned();
        if source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            Self::Tls { address, presented, source }
        } else {
            Self::Ended { address, source }
        }
    }

    /// What the other side presented in a handshake that failed.
    pub fn presented(&self) -> Option<&Presented> {
        if let Self::Tls { presented, .. } = self { Some(presented) } else { None }
    }

    /// What TLS itself says, where it is TLS that failed and not the connection below it.
    pub fn tls(&self) -> Option<&rustls::Error> {
        let Self::Tls { source, .. } = self else { return None };
        source.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

/// What `getaddrinfo` says when it is certain: EAI_NONAME and EAI_NODATA, in glibc's and in musl's words. The codes do
/// not survive the standard library, only their text does.
const NO_SUCH_NAME: [&str; 4] = [
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "Name has no usable address",
];

/// What the resolver's error means. Only the known words count: a name server that is down says nothing about who is there.
pub fn unresolved(address: &str, source: io::Error) -> AskError {
    let address = address.to_owned();
    let text = source.to_string();
    if NO_SUCH_NAME.iter().any(|words| text.contains(words)) {
        AskError::NoSuchName { address, source }
    } else {
        AskError::Resolver { address, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_is_certainly_unknown_is_nobody() {
        for (text, want) in [
            ("failed to lookup address information: Name or service not known", true),
            ("failed to lookup address information: Name does not resolve", true),
            ("failed to lookup address information: Temporary failure in name resolution", false),
            ("failed to lookup address information: Try again", false),
            ("failed to lookup address information: System error", false),
        ] {
            let error = unresolved("kafka-1.kafka:9093", io::Error::other(text));
            assert_eq!(matches!(error, AskError::NoSuchName { .. }), want, "{text}");
        }
    }
}
