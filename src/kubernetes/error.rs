//! A question to the API server that was not answered, or not with yes.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::kubernetes::resource::PlaceError;

/// What came in place of an answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// This process is in no pod, or its pod has no service account token.
    #[error("{what}; want a pod with a service account's token")]
    NotInAPod {
        /// What is missing.
        what: &'static str,
    },
    /// A file of the service account.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of the service account is not what it should be.
    #[error("{} holds no {want}", file.display())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// What it should hold.
        want: &'static str,
    },
    /// A name in the question.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// No connection, or one that broke.
    #[error("the API server cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No whole answer in time.
    #[error("the API server does not answer within {} s", within.as_secs())]
    TimedOut {
        /// How long it had.
        within: Duration,
    },
    /// More than there can be.
    #[error("the API server's answer is longer than {most} bytes")]
    TooLong {
        /// What is taken at most.
        most: usize,
    },
    /// It answers, and does not do it.
    #[error("the API server refuses: {}", status.message)]
    Refused {
        /// HTTP's number.
        code: u16,
        /// What it says.
        status: Status,
    },
    /// It answers, and not as it should.
    #[error("an answer of the API server cannot be read")]
    NotUnderstood(#[source] serde_json::Error),
}

/// `metav1.Status`, as far as it is of use.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// A sentence.
    pub message: String,
    /// A word, for example `AlreadyExists`.
    pub reason: String,
    /// What it rests on.
    pub details: Details,
}

/// `metav1.StatusDetails`, as far as it is of use.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Details {
    /// For example which PodDisruptionBudget it is that an eviction would break.
    pub causes: Vec<Cause>,
}

/// One cause of a refusal.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// A sentence.
    pub message: String,
}

/// As much of a refusal's text is told.
const MOST_MESSAGE_BYTES: usize = 1024;

impl ApiError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotInAPod { .. } => "NotInAPod",
            Self::Unreadable { .. } | Self::Unusable { .. } => "ServiceAccountUnusable",
            Self::Place(_) => "NameInvalid",
            Self::Unreachable(_) => "ApiServerUnreachable",
            Self::TimedOut { .. } => "ApiServerTimedOut",
            Self::TooLong { .. } | Self::NotUnderstood(_) => "ApiServerNotUnderstood",
            Self::Refused { .. } => "ApiServerRefused",
        }
    }

    /// The answer with `code`, whose body should be a `Status`; where it is none, its text is told.
    pub fn refused(code: u16, body: &[u8]) -> Self {
        let mut status: Status = serde_json::from_slice(body).unwrap_or_default();
        if status.message.is_empty() {
            status.message = format!("{code} {}", String::from_utf8_lossy(body).trim());
        }
        for cause in &status.details.causes {
            // Most causes of an invalid object are in the sentence already.
            if !cause.message.is_empty() && !status.message.contains(&cause.message) {
                status.message.push(' ');
                status.message.push_str(&cause.message);
            }
        }
        let end = status.message.floor_char_boundary(MOST_MESSAGE_BYTES);
        status.message.truncate(end);
        Self::Refused { code, status }
    }

    /// Whether there is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// Whether whoever asks may not.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { code: 401 | 403, .. })
    }

    /// Whether somebody else was faster: the object is there already, or has changed since it was read.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }

    /// Whether what was seen of a watch is too old to go on from, and a new list is needed.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { code: 410, .. })
    }

    /// Whether asking again, unchanged, may be answered otherwise.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut { .. } | Self::Unreadable { .. } => true,
            // 401 and 403: rights and tokens that are about to be given.
            Self::Refused { code, .. } => matches!(code, 401 | 403 | 404 | 409 | 410 | 429 | 500..=599),
            Self::NotInAPod { .. }
            | Self::Unusable { .. }
            | Self::Place(_)
            | Self::TooLong { .. }
            | Self::NotUnderstood(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_api_server_said() {
        let body =
            br#"{"kind":"Status","message":"pods \"kafka-0\" not found","reason":"NotFound","code":404}"#;
        let error = ApiError::refused(404, body);
        assert_eq!(error.to_string(), "the API server refuses: pods \"kafka-0\" not found");
        assert!(error.is_not_found() && !error.is_conflict());
        let body = br#"{"message":"Cannot evict pod as it would violate the pod's disruption budget.",
            "reason":"TooManyRequests","details":{"causes":[{"reason":"DisruptionBudget",
            "message":"The disruption budget events needs 2 healthy pods and has 2 currently"}]},"code":429}"#;
        let want = "the API server refuses: Cannot evict pod as it would violate the pod's disruption budget. The \
                    disruption budget events needs 2 healthy pods and has 2 currently";
        let error = ApiError::refused(429, body);
        assert_eq!(error.to_string(), want);
        assert!(error.may_pass());
        let error = ApiError::refused(502, &[b'x'; 5000]);
        assert_eq!(error.to_string().len(), "the API server refuses: ".len() + MOST_MESSAGE_BYTES);
        assert!(error.may_pass());
    }
}
