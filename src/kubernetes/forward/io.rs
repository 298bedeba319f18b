//! Opens a port of a pod as a stream of bytes, as `kubectl port-forward` does, but without a local port that others on
//! this machine could use.

use std::pin::Pin;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::client::UpgradeConnectionError;
use tokio::io::DuplexStream;
use tokio::time::timeout;

use crate::kubernetes::error::ApiError;
use crate::kubernetes::error::Status;
use crate::kubernetes::io::Api;
use crate::kubernetes::resource::Resource;

/// The open port.
pub struct Forward {
    /// What is written is read by whoever listens in the pod.
    pub stream: DuplexStream,
    /// Why it has become of no use.
    pub refusal: Refusal,
}

/// What the kubelet says of a port that it cannot reach: it comes after the stream has been opened.
pub struct Refusal(Pin<Box<dyn Future<Output = Option<String>> + Send>>);

/// The kubelet says why it closes a stream at about the moment when it does.
const REASON_WITHIN: Duration = Duration::from_millis(500);

impl Api {
    /// Opens `port` of `pod`. Whether anybody listens there is only known when an answer comes.
    pub async fn forward(&self, pod: &str, port: u16) -> Result<Forward, ApiError> {
        // The name becomes a part of a path, and is checked like every other.
        Resource::PODS.named(self.namespace(), pod)?;
        let pods: kube::Api<Pod> = kube::Api::namespaced(self.client(), self.namespace());
        let mut forwarded = pods.portforward(pod, &[port]).await.map_err(refused)?;
        let nothing = || ApiError::Unreachable("no stream was opened".into());
        let stream = forwarded.take_stream(port).ok_or_else(nothing)?;
        let refusal = forwarded.take_error(port).ok_or_else(nothing)?;
        Ok(Forward { stream, refusal: Refusal(Box::pin(refusal)) })
    }
}

impl Refusal {
    /// The reason, where the kubelet gives one.
    pub async fn reason(self) -> Option<String> {
        timeout(REASON_WITHIN, self.0).await.ok().flatten().map(|text| text.trim().to_owned())
    }
}

/// kube takes the body of a refusal for the API server's word, whatever it is.
fn refused(error: kube::Error) -> ApiError {
    let (code, said) = match error {
        kube::Error::Api(status) => (status.code, status.message),
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
            (status.as_u16(), "it does not switch to WebSocket".to_owned())
        }
        error => return ApiError::Unreachable(error.into()),
    };
    let message = match code {
        // By WebSocket it is a GET; since Kubernetes 1.35 the right to create is asked for as well.
        403 => "no right to get and create pods/portforward (403)".to_owned(),
        404 => "there is no such pod (404)".to_owned(),
        _ => format!("it does not forward the port: {} ({code})", said),
    };
    ApiError::Refused { code, status: Status { message, ..Status::default() } }
}
