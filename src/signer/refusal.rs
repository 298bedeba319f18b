//! Why somebody gets no certificate.

use std::net::IpAddr;

use crate::certificates::request::RequestError;
use crate::certificates::signing;
use crate::cluster::model::NodeError;
use crate::kubernetes::error::ApiError;
use crate::pki::csr::CsrError;
use crate::pki::io::PkiError;
use crate::pki::key_kind::KeyAlgorithm;
use crate::pki::key_kind::KeyKind;
use crate::pki::sign::SignError;
use crate::signer::stored::StoredError;

/// A request that is not fulfilled. The sentences go to whoever asked, and into Events: they name no secret, and nothing
/// that the asker could not know.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no token.
    #[error("no token; want Authorization: Bearer and a token for the audience kraftlet-signer")]
    NoToken,
    /// The API server does not know the token: expired, for another audience, or of a pod that is gone.
    #[error("the API server does not take the token: {error}")]
    NotAuthenticated {
        /// What it said.
        error: String,
    },
    /// A token that names no pod was made by a person, or by somebody who took it along.
    #[error("the token of {username:?} names no pod; want the projected token of a pod's service account")]
    NoPodInToken {
        /// Of whom it is.
        username: String,
    },
    /// What was sent is no request for a bare key.
    #[error("the request cannot be taken")]
    Csr(#[source] CsrError),
    /// There is no such pod, or it is another of the same name.
    #[error("there is no pod {namespace}/{pod} with uid {uid}")]
    PodGone {
        /// Its namespace.
        namespace: String,
        /// Its name.
        pod: String,
        /// Its uid.
        uid: String,
    },
    /// What is claimed of the pod is not so.
    #[error("the {what} of the pod is {found:?}, and the request says {claimed:?}")]
    PodDiffers {
        /// `machine`, `service account`.
        what: &'static str,
        /// What the request says.
        claimed: String,
        /// What the API server says.
        found: String,
    },
    /// The kubelet has not said yet where the pod is.
    #[error("the pod has no address yet, and only requests from there are taken")]
    NoAddress,
    /// Its token was sent from somewhere else.
    #[error(
        "the pod's token was sent from {from}, which is no address of the pod: somebody took it along, or the network \
         rewrites addresses; then the signer wants --any-address"
    )]
    OtherAddress {
        /// From where.
        from: IpAddr,
    },
    /// It is being deleted, or has ended.
    #[error("the pod ends")]
    PodEnds,
    /// It does not say that it is ours.
    #[error("the pod has no annotation {annotation}")]
    NotInjected {
        /// The annotation, with its value where that is fixed.
        annotation: &'static str,
    },
    /// Nobody controls it, or somebody else.
    #[error("the pod is not controlled by a StatefulSet that is there; want an owner of kind StatefulSet")]
    NoStatefulSet,
    /// The pod's name is not one that its StatefulSet gives.
    #[error("the pod is called {pod:?}, which its StatefulSet {stateful_set:?} calls no pod")]
    NotItsName {
        /// The pod.
        pod: String,
        /// The owner.
        stateful_set: String,
    },
    /// The settings are not there.
    #[error("there is no ConfigMap {config_map} with a key cluster.yaml in the pod's namespace")]
    NoSettings {
        /// Its name.
        config_map: String,
    },
    /// The settings are no settings.
    #[error("the settings in ConfigMap {config_map} cannot be used: {problem}")]
    SettingsInvalid {
        /// Its name.
        config_map: String,
        /// The first problem.
        problem: String,
    },
    /// The settings do not have this pod.
    #[error(transparent)]
    NotANode(NodeError),
    /// The settings have no such certificate.
    #[error("the settings have no certificate called {name:?}")]
    NoCertificate {
        /// Its name.
        name: String,
    },
    /// The settings say that somebody else makes it.
    #[error("the settings have another source for certificate {name:?}; want {want}")]
    OtherSource {
        /// Its name.
        name: String,
        /// The source that would do.
        want: &'static str,
    },
    /// Names that cannot be worked out, or be in a certificate.
    #[error("the names of the certificate cannot be worked out")]
    Names(#[source] RequestError),
    /// Another kind of key than the settings say.
    #[error("the key is {found}; the settings want {want}")]
    KeyKind {
        /// Found.
        found: KeyKind,
        /// Wanted.
        want: KeyAlgorithm,
    },
    /// Kubernetes bounds the life of a pod certificate from below.
    #[error("the certificate would live for less than the hour that Kubernetes asks of a pod certificate")]
    LifeTooShort,
    /// Too often.
    #[error("too many requests; try again in {after_s} s")]
    TooMany {
        /// Seconds.
        after_s: u64,
    },
    /// Another replica is the leader.
    #[error("this replica does not lead")]
    NotLeading,
    /// The API server could not be asked.
    #[error("Kubernetes cannot be asked for {what}")]
    Api {
        /// For what.
        what: &'static str,
        /// Why not.
        #[source]
        source: ApiError,
    },
    /// One more CA than a namespace may have.
    #[error(
        "namespace {namespace} has {most} CAs; want the Secrets <namespace>.<cluster> of clusters that are gone deleted"
    )]
    TooManyCas {
        /// The namespace.
        namespace: String,
        /// As many as it may have.
        most: usize,
    },
    /// The CA's Secret is of no use.
    #[error("the CA of the cluster cannot be used")]
    Stored(#[source] StoredError),
    /// The CA refuses.
    #[error("the CA cannot sign")]
    Sign(#[source] SignError),
    /// No chance.
    #[error("the CA cannot sign")]
    Pki(#[source] PkiError),
}

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// What was asked can never be given.
    Final,
    /// A person has to change settings or annotations; then the same request may be fulfilled.
    Waits,
    /// It may pass by itself.
    MayPass,
}

impl Refusal {
    /// The API server could not be asked for `what`.
    pub fn asking(what: &'static str) -> impl Fn(ApiError) -> Self {
        move |source| Self::Api { what, source }
    }

    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoToken => "TokenMissing",
            Self::NotAuthenticated { .. } => "TokenRefused",
            Self::NoPodInToken { .. } => "TokenWithoutPod",
            Self::Csr(error) => error.reason(),
            Self::PodGone { .. } => "PodUnknown",
            Self::PodDiffers { .. } => "PodDiffers",
            Self::NoAddress => "PodAddressUnknown",
            Self::OtherAddress { .. } => "CallerAddressOther",
            Self::PodEnds => "PodEnds",
            Self::NotInjected { .. } => "PodNotInjected",
            Self::NoStatefulSet => "PodWithoutStatefulSet",
            Self::NotItsName { .. } => "PodNameForeign",
            Self::NoSettings { .. } => "SettingsMissing",
            Self::SettingsInvalid { .. } => "SettingsInvalid",
            Self::NotANode(error) => error.reason(),
            Self::NoCertificate { .. } => "CertificateUnknown",
            Self::OtherSource { .. } => "OtherSource",
            Self::Names(error) => error.reason(),
            Self::KeyKind { .. } => "KeyKindOther",
            Self::LifeTooShort => "LifeTooShort",
            Self::TooMany { .. } => "TooManyRequests",
            Self::NotLeading => signing::NOT_LEADING,
            Self::Api { source, .. } => source.reason(),
            Self::TooManyCas { .. } => "TooManyCas",
            Self::Stored(error) => error.reason(),
            Self::Sign(error) => error.reason(),
            Self::Pki(error) => error.reason(),
        }
    }

    /// Whose move it is.
    pub fn standing(&self) -> Standing {
        match self {
            Self::NoToken
            | Self::NotAuthenticated { .. }
            | Self::NoPodInToken { .. }
            | Self::Csr(_)
            | Self::PodGone { .. }
            | Self::PodDiffers { .. }
            | Self::OtherAddress { .. }
            | Self::PodEnds
            | Self::NoStatefulSet
            | Self::NotItsName { .. } => Standing::Final,
            Self::NotInjected { .. }
            | Self::NoSettings { .. }
            | Self::SettingsInvalid { .. }
            | Self::NotANode(_)
            | Self::NoCertificate { .. }
            | Self::OtherSource { .. }
            | Self::Names(_)
            | Self::TooManyCas { .. }
            | Self::KeyKind { .. } => Standing::Waits,
            Self::NoAddress
            | Self::LifeTooShort
            | Self::TooMany { .. }
            | Self::NotLeading
            | Self::Api { .. }
            | Self::Stored(_)
            | Self::Sign(_)
            | Self::Pki(_) => Standing::MayPass,
        }
    }

    /// HTTP's number for it.
    pub fn status(&self) -> u16 {
        match self {
            // A pod whose sandbox was made anew has another address for a moment than is known of it; it asks again.
            Self::NoToken | Self::NotAuthenticated { .. } | Self::OtherAddress { .. } => 401,
            Self::Csr(_) => 400,
            Self::TooMany { .. } => 429,
            other => match other.standing() {
                Standing::Final => 403,
                Standing::Waits => 409,
                Standing::MayPass => 503,
            },
        }
    }
}
