//! A person's way to one cluster: the API server through kubectl, the cluster that is meant, and its pods.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::commands::agents::Agent;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::kubectl::pods;
use crate::commands::kubectl::pods::ChoiceError;
use crate::commands::kubectl::pods::Pod;
use crate::commands::kubectl::proxy::KubeconfigArgs;
use crate::commands::kubectl::proxy::Proxy;
use crate::health::client::way::Way;
use crate::health::doctor::next::Place;
use crate::health::text::Text;
use crate::inject::words;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::io::Api;
use crate::kubernetes::meta::List;
use crate::kubernetes::resource::Resource;

/// Which cluster is meant.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    #[command(flatten)]
    kubeconfig: KubeconfigArgs,
    /// The cluster, where the namespace has several
    #[arg(long, global = true, value_name = "NAME")]
    cluster: Option<String>,
}

/// One cluster, as it was found at the beginning.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whom to ask.
    pub api: Api,
    /// The cluster's name.
    pub cluster: String,
    /// Its pods, in order.
    pub pods: Vec<Pod>,
    /// The flags that lead kubectl here again, each after a blank.
    pub flags: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatefulSet {
    spec: StatefulSetSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatefulSetSpec {
    replicas: usize,
}

/// A name that none of the pods has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cluster {cluster} has no pod {name}; it has {there}")]
pub struct NoSuchPod {
    name: String,
    cluster: String,
    there: String,
}

/// The reason of a command that a signal has ended.
pub const INTERRUPTED: &str = "Interrupted";

/// At a terminal the first question waits for a person who has to log in, perhaps with a code on another device (RFC 8628),
/// which takes minutes. Ctrl-C ends it.
const LOGIN_WITHIN: Duration = Duration::from_secs(5 * 60);

/// How a command ends where the API server does not do what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// It only looks: then it could not tell.
    Look,
    /// It does something: then it may pass, or a person must change something.
    Act,
}

/// Does `work` with the cluster. Whatever ends us ends `kubectl proxy` too.
pub fn with_cluster<T>(
    args: &ClusterArgs,
    aim: Aim,
    work: impl AsyncFnOnce(Session) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let namespace = args.kubeconfig.chosen_namespace()?;
    let mut proxy = Proxy::start(&args.kubeconfig)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(aim.exit(true), "RuntimeFailed", &error))?;
    let result = runtime.block_on(async {
        let mut signals = Signals::new().map_err(|error| Failure::of(aim.exit(true), "RuntimeFailed", &error))?;
        let all = async {
            let api = proxy.api(&namespace).await?;
            work(Session::open(args, api, aim).await?).await
        };
        tokio::select! {
            // Ctrl-C ends `kubectl proxy` too, and what comes of that is not why we end.
            biased;
            name = signals.next() => Err(Failure::new(aim.exit(true), INTERRUPTED, format!("ended by {name}"))),
            done = all => done,
        }
    });
    runtime.shutdown_background();
    let failure = match result {
        Err(failure) if failure.reason() != INTERRUPTED => failure,
        result => return result,
    };
    // Whatever went wrong behind it went wrong because of it.
    match proxy.ended() {
        Some(ended) if failure.reason() != ended.reason() => Err(failure.and(ended)),
        Some(_) | None => Err(failure),
    }
}

impl Session {
    async fn open(args: &ClusterArgs, api: Api, aim: Aim) -> Result<Self, Failure> {
        let namespace = api.namespace().to_owned();
        let is_person = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let patient = if is_person { api.clone().answering_within(LOGIN_WITHIN) } else { api.clone() };
        let pods = list(&patient).await.map_err(|error| aim.refused("pods cannot be listed", &error))?;
        let (cluster, pods) = pods::choose(pods, args.cluster.as_deref(), &namespace)
            .map_err(|error| Failure::of(aim.exit_of_choice(&error), "ClusterNotFound", &error))?;
        let flags = args.kubeconfig.flags(&namespace);
        Ok(Self { api, cluster, pods, flags })
    }

    /// The pods as they are now.
    pub async fn pods_now(&self) -> Result<Vec<Pod>, ApiError> {
        let pods = list(&self.api).await?;
        // None at all is an answer too, and no pod of ours is then left.
        let chosen = pods::choose(pods, Some(&self.cluster), self.api.namespace());
        Ok(chosen.map(|(_, pods)| pods).unwrap_or_default())
    }

    /// The pods of these names; all of them where there are none.
    pub fn named(&self, names: &[String]) -> Result<Vec<&Pod>, NoSuchPod> {
        if names.is_empty() {
            return Ok(self.pods.iter().collect());
        }
        let missing = names.iter().find(|name| !self.pods.iter().any(|pod| pod.name() == name.as_str()));
        match missing {
            Some(name) => {
                let there: Vec<_> = self.pods.iter().map(Pod::name).collect();
                let (name, cluster) = (name.clone(), self.cluster.clone());
                Err(NoSuchPod { name, cluster, there: there.join(", ") })
            }
            None => Ok(self.pods.iter().filter(|pod| names.iter().any(|name| name == pod.name())).collect()),
        }
    }

    /// StatefulSets that have fewer pods than they want, a sentence for each: a pod that was gone before we looked first is
    /// missed by nobody else. An error where they may not be read.
    pub async fn missing(&self, pods: &[Pod]) -> Result<Vec<String>, ApiError> {
        let mut missing = Vec::new();
        for name in pods::stateful_sets(&self.pods) {
            let place = Resource::STATEFUL_SETS.named(self.api.namespace(), name)?;
            let set: StatefulSet = match self.api.get(&place).await {
                // Nobody wants its pods any more.
                Err(error) if error.is_not_found() => continue,
                found => found?,
            };
            let is_of = |pod: &&Pod| pod.metadata.stateful_set().is_some_and(|owner| owner.name == name);
            let there = pods.iter().filter(is_of).count();
            if there < set.spec.replicas {
                missing.push(format!("StatefulSet {name} has {there} pods; want {}", set.spec.replicas));
            }
        }
        Ok(missing)
    }

    /// Where commands lead that are named to a person.
    pub fn place(&self) -> Place {
        Place::Cluster { flags: self.flags.clone(), cluster: self.cluster.clone() }
    }

    /// The pod's agent where it tells how things are.
    pub fn agent(&self, pod: &Pod) -> Agent {
        self.at(pod, pod.read_port())
    }

    /// The pod's agent where it takes orders. That port is nowhere said in the pod.
    pub fn orders(&self, pod: &Pod, port: u16) -> Agent {
        self.at(pod, pod.read_port().map(|_| port))
    }

    /// All agents, where they tell how things are.
    pub fn agents(&self) -> Vec<Agent> {
        self.pods.iter().map(|pod| self.agent(pod)).collect()
    }

    fn at(&self, pod: &Pod, port: Result<u16, String>) -> Agent {
        let (name, api) = (pod.name().to_owned(), self.api.clone());
        let way = match port {
            Ok(port) => Way::Forwarded { api, pod: name.clone(), port },
            Err(why) => Way::Closed { pod: name.clone(), why: Text::new(why) },
        };
        Agent { name, way }
    }
}

impl Aim {
    /// The exit code where something did not work out.
    pub fn exit(self, may_pass: bool) -> Exit {
        match (self, may_pass) {
            (Self::Look, _) => Exit::CouldNotTell,
            (Self::Act, true) => Exit::Again,
            (Self::Act, false) => Exit::Person,
        }
    }

    /// The exit code where it is not known which cluster is meant. Where none has a pod, a command that looks cannot say that
    /// it is named wrongly: all of its pods may be gone.
    fn exit_of_choice(self, error: &ChoiceError) -> Exit {
        match (self, error) {
            (Self::Look, ChoiceError::None { .. }) => Exit::CouldNotTell,
            (Self::Act, ChoiceError::None { .. }) => Exit::Usage,
            (Self::Look | Self::Act, ChoiceError::Unknown { .. } | ChoiceError::Several { .. }) => {
                Exit::Usage
            }
        }
    }

    /// What the API server did not do, and why.
    pub fn refused(self, what: &str, error: &ApiError) -> Failure {
        // A pod waits for its rights, which are about to be given; a person has to ask for them.
        let exit = self.exit(error.may_pass() && !error.is_forbidden());
        Failure::new(exit, error.reason(), format!("{what}: {}", chain(error)))
    }
}

async fn list(api: &Api) -> Result<Vec<Pod>, ApiError> {
    let list: List<Pod> = api.list(&Resource::PODS.of_namespace(api.namespace())?, words::CLUSTER).await?;
    Ok(list.items)
}

/// What ends a command.
struct Signals([(&'static str, tokio::signal::unix::Signal); 3]);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            ("SIGINT", signal(SignalKind::interrupt())?),
            ("SIGTERM", signal(SignalKind::terminate())?),
            ("SIGHUP", signal(SignalKind::hangup())?),
        ]))
    }

    async fn next(&mut self) -> &'static str {
        let Self([(first, one), (second, two), (third, three)]) = self;
        tokio::select! {
            _ = one.recv() => first,
            _ = two.recv() => second,
            _ = three.recv() => third,
        }
    }
}
