//! The request that makes Kafka read its stores again, and whom it is sent to.
//!
//! A broker takes it about itself only, and a combined node is a broker too. About a dedicated controller the active
//! controller takes it; there is no other way, since brokers refuse any id but their own (`ConfigAdminManager`).

use std::time::SystemTime;

use crate::kafka::ask_error::AskError;
use crate::kafka::node_id::NodeId;
use crate::kafka::requests::ErrorCode;
use crate::kafka::requests::ResponseError;
use crate::kafka::version::KafkaVersion;
use crate::reload::listener::Serves;

/// Who is asked to have a node reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The node itself, on any of its listeners for brokers or clients.
    Itself,
    /// The active controller, on the controllers' listener.
    ActiveController,
}

/// Why the node was not asked to reload, or said no.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// Before 4.3 the controllers of a dynamic quorum know of no controller to be altered (KAFKA-18928).
    #[error("node {node_id} is a controller of a dynamic quorum, which Kafka reloads from release 4.3 on")]
    NeedsRestart {
        /// The controller.
        node_id: NodeId,
        /// What the active controller says.
        #[source]
        source: AskError,
    },
    /// None of the controllers is the active one, or none of them answers.
    #[error("no active controller answers: {}", said.join("; "))]
    NoActiveController {
        /// What each of them said.
        said: Vec<String>,
    },
    /// The one who was asked did not do it.
    #[error("the request to reload was not taken")]
    Ask(#[source] AskError),
}

impl TriggerError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NeedsRestart { .. } => "ReloadNeedsRestart",
            Self::NoActiveController { .. } => "NoActiveController",
            Self::Ask(error) => error.reason(),
        }
    }

    /// Whether the one who was asked answered, and said no: a broker passes the request on to the active controller, which
    /// does not let it in any more once the broker's leaf has expired (UNKNOWN_SERVER_ERROR, observed on 4.4.0).
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Ask(AskError::Response { source: ResponseError::Refused { .. }, .. }))
    }

    /// What the active controller's answer about a dedicated controller means. `release` is that of Kafka, where it is
    /// known; from 4.3 on, a controller that is not known has not registered yet, and the request may be repeated.
    pub fn of_controller(error: AskError, node_id: NodeId, release: Option<KafkaVersion>) -> Self {
        let is_unknown = matches!(
            &error,
            AskError::Response {
                source: ResponseError::Refused { code: ErrorCode::BROKER_ID_NOT_REGISTERED, .. },
                ..
            }
        );
        if is_unknown && release.is_none_or(|release| !release.at_least(4, 3)) {
            Self::NeedsRestart { node_id, source: error }
        } else {
            Self::Ask(error)
        }
    }
}

/// Whom to ask about a node.
pub fn route(is_broker: bool) -> Route {
    if is_broker { Route::Itself } else { Route::ActiveController }
}

/// Whether a listener that presents a leaf which ends at `not_after` takes a new one when it is told to. Between brokers
/// Kafka first has the old leaf and the new one shake hands, both ways, and keeps the old one where they do not
/// (`SslFactory.createNewSslEngineFactory`): with an expired one they never do.
pub fn takes_another(serves: Serves, not_after: SystemTime, now: SystemTime) -> bool {
    match serves {
        Serves::Brokers => now < not_after,
        Serves::Controllers | Serves::Clients => true,
    }
}

/// The key that is unset. Whichever listener it names, all of the node's are reloaded.
pub fn key(listener_name: &str) -> String {
    format!("listener.name.{}.ssl.keystore.location", listener_name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(code: ErrorCode) -> AskError {
        let source = ResponseError::Refused { code, message: None };
        AskError::Response { address: "kafka-0:9093".to_owned(), wanted: "a change", source }
    }

    #[test]
    fn brokers_are_asked_themselves_and_controllers_by_way_of_the_active_one() {
        assert_eq!(route(true), Route::Itself);
        assert_eq!(route(false), Route::ActiveController);
        assert_eq!(key("INTERNAL"), "listener.name.internal.ssl.keystore.location");
    }

    #[test]
    fn a_controller_that_an_old_release_does_not_know_needs_a_restart() {
        let node_id: NodeId = 7.try_into().unwrap();
        let old = Some("4.2.1".parse().unwrap());
        let new = Some("4.3.0".parse().unwrap());
        for (code, release, want) in [
            (ErrorCode::BROKER_ID_NOT_REGISTERED, old, "ReloadNeedsRestart"),
            (ErrorCode::BROKER_ID_NOT_REGISTERED, None, "ReloadNeedsRestart"),
            (ErrorCode::BROKER_ID_NOT_REGISTERED, new, "PeerRefuses"),
            (ErrorCode::NOT_CONTROLLER, old, "PeerRefuses"),
        ] {
            let error = TriggerError::of_controller(refused(code), node_id, release);
            assert_eq!(error.reason(), want, "{code} {release:?}");
        }
        let error = TriggerError::of_controller(refused(ErrorCode::BROKER_ID_NOT_REGISTERED), node_id, old);
        assert_eq!(
            error.to_string(),
            "node 7 is a controller of a dynamic quorum, which Kafka reloads from release 4.3 on"
        );
    }

    #[test]
    fn only_what_brokers_dial_keeps_a_leaf_that_has_expired() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let check = |serves, seconds, want| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(takes_another(serves, end, now), want, "{serves:?} at {seconds} s");
        };
        check(Serves::Brokers, 9, true);
        check(Serves::Brokers, 10, false);
        check(Serves::Controllers, 11, true);
        check(Serves::Clients, 11, true);
    }

    #[test]
    fn only_a_refusal_is_taken_to_the_active_controller() {
        assert!(TriggerError::Ask(refused(ErrorCode::NOT_CONTROLLER)).is_refusal());
        let late = AskError::AnswerTimedOut { address: "kafka-0:9091".to_owned() };
        assert!(!TriggerError::Ask(late).is_refusal());
        assert!(!TriggerError::NoActiveController { said: Vec::new() }.is_refusal());
    }

    #[test]
    fn all_controllers_are_heard_when_none_is_active() {
        let said = vec!["a".to_owned(), "b".to_owned()];
        let error = TriggerError::NoActiveController { said };
        assert_eq!(error.to_string(), "no active controller answers: a; b");
    }
}
