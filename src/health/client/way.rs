//! How an agent's port is reached.

use std::fmt;

use crate::health::text::Text;
use crate::kubernetes::io::Api;

/// To one port of one agent.
#[derive(Debug, Clone)]
pub enum Way {
    /// Over the network that we share: `host:port`.
    Dialled(String),
    /// By a port-forward of the API server, which reaches what listens on the pod's loopback too.
    Forwarded {
        /// Who forwards, and the pod's namespace.
        api: Api,
        /// The pod.
        pod: String,
        /// The port.
        port: u16,
    },
    /// Nowhere: the API server says that the pod's agent does not run.
    Closed {
        /// The pod.
        pod: String,
        /// What it says.
        why: Text,
    },
}

impl Way {
    /// What an agent sees as the host that is asked. Orders are taken only by those who ask for a loopback address: a page
    /// in a browser cannot.
    pub fn host(&self) -> String {
        match self {
            Self::Dialled(address) => address.clone(),
            Self::Forwarded { port, .. } => format!("localhost:{port}"),
            Self::Closed { .. } => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialled(address) => f.write_str(address),
            Self::Forwarded { pod, port, .. } => write!(f, "port {port} of pod {pod}"),
            Self::Closed { pod, .. } => write!(f, "pod {pod}"),
        }
    }
}
