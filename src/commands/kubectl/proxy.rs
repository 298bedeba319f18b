//! The way to the API server that a person has: `kubectl proxy` with the person's own kubeconfig.
//!
//! So contexts, plugins that log in, proxies and client certificates work as in kubectl, and none of them is ours to
//! write again. It listens on a Unix socket in a folder that nobody else may enter.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nix::unistd::mkdtemp;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::kubectl::child::Kubectl;
use crate::kubernetes::io::Api;

/// What kubectl is told, in kubectl's own words.
#[derive(Debug, Clone, Args)]
pub struct KubeconfigArgs {
    /// The namespace, in place of the context's
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// A running `kubectl proxy`.
pub struct Proxy {
    kubectl: Kubectl,
    folder: Folder,
}

/// A folder that nobody else may enter, and that goes with us.
struct Folder(PathBuf);

/// kubectl opens the socket before it asks anybody; a person who has to log in first needs the time for that only at the
/// first question.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The one file in the folder.
const SOCKET: &str = "api";

impl Proxy {
    /// Starts it. kubectl is looked for on the PATH.
    pub fn start(args: &KubeconfigArgs) -> Result<Self, Failure> {
        let folder = mkdtemp(&std::env::temp_dir().join("kraftlet-XXXXXX"))
            .map(Folder)
            .map_err(|error| failure(format!("no folder can be made for the socket: {error}")))?;
        let mut arguments = args.for_kubectl();
        let mut socket = OsString::from("--unix-socket=");
        socket.push(folder.0.join(SOCKET));
        arguments.extend(["proxy".into(), socket]);
        let kubectl = Kubectl::start(&arguments).map_err(|error| failure(error.to_string()))?;
        Ok(Self { kubectl, folder })
    }

    /// The API server behind it, when it answers.
    pub async fn api(&mut self, namespace: &str) -> Result<Api, Failure> {
        let (socket, deadline) = (self.folder.0.join(SOCKET), Instant::now() + OPEN_WITHIN);
        loop {
            if UnixStream::connect(&socket).await.is_ok() {
                return Ok(Api::through(&socket, namespace));
            }
            if let Some(why) = self.kubectl.ended() {
                return Err(failure(why));
            }
            if Instant::now() >= deadline {
                return Err(failure(format!("it opens no socket within {} s", OPEN_WITHIN.as_secs())));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Why there is no answer any more, where that is known.
    pub fn ended(&mut self) -> Option<Failure> {
        self.kubectl.ended().map(failure)
    }
}

impl KubeconfigArgs {
    /// The namespace that kubectl would use.
    pub fn chosen_namespace(&self) -> Result<String, Failure> {
        if let Some(namespace) = &self.namespace {
            return Ok(namespace.clone());
        }
        let mut arguments = self.for_kubectl();
        let path = "--output=jsonpath={.contexts[0].context.namespace}";
        arguments.extend(["config", "view", "--minify", path].map(OsString::from));
        let said = Kubectl::output(&arguments).map_err(|error| failure(error.to_string()))?;
        let namespace = said.map_err(|error| {
            let error = error.lines().next().unwrap_or_default().trim_start_matches("error: ");
            failure(format!("kubectl config view says {error:?}; want a context or --namespace"))
        })?;
        // A context without one means this (client-go, `DirectClientConfig.Namespace`).
        Ok(if namespace.is_empty() { "default".to_owned() } else { namespace })
    }

    /// The flags that a person would give again.
    pub fn flags(&self, namespace: &str) -> String {
        let mut flags = format!(" --namespace {namespace}");
        if let Some(context) = &self.context {
            flags.push_str(&format!(" --context {context}"));
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            flags.push_str(&format!(" --kubeconfig {}", kubeconfig.display()));
        }
        flags
    }

    fn for_kubectl(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: &std::ffi::OsStr| {
            let mut flag = OsString::from(name);
            flag.push(value);
            arguments.push(flag);
        };
        if let Some(context) = &self.context {
            flag("--context=", context.as_ref());
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            flag("--kubeconfig=", kubeconfig.as_ref());
        }
        arguments
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // kubectl leaves its socket behind. Nothing else was put there, and what is not empty stays.
        #[expect(clippy::disallowed_methods, reason = "its name is ours, in a folder that we made")]
        let _ = fs::remove_file(self.0.join(SOCKET));
        let _ = fs::remove_dir(&self.0);
    }
}

fn failure(why: String) -> Failure {
    Failure::new(Exit::Person, "KubectlFailed", format!("kubectl proxy does not run: {why}"))
}
