//! `kubectl kraftlet restart`: one pod at a time, each when its agent says that it may stop.
//!
//! By eviction, so that PodDisruptionBudgets are heard, and of the very pod that was looked at (a precondition on its
//! uid). What has been done is kept nowhere: no right to write anything is needed for that. A round that was broken off
//! is gone on with by saying when it began, for a pod that was restarted is younger; and `--only-pending` needs not even
//! that.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value as Json;
use serde_json::json;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::kubectl::pods::Pod;
use crate::commands::kubectl::session::Aim;
use crate::commands::kubectl::session::ClusterArgs;
use crate::commands::kubectl::session::Session;
use crate::commands::kubectl::session::with_cluster;
use crate::commands::kubectl::status::ANSWER_WITHIN;
use crate::commands::kubectl::turn;
use crate::commands::kubectl::turn::Found;
use crate::commands::orders::Shown;
use crate::commands::orders::parse_timeout;
use crate::commands::status;
use crate::commands::table::span;
use crate::health::client::io as client;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::resource::Resource;

/// Restart the pods of a cluster, one at a time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl kraftlet restart --namespace prod                  # all pods
  kubectl kraftlet restart --namespace prod --only-pending   # those whose settings have changed
  kubectl kraftlet restart --namespace prod --pod events-1
  kubectl kraftlet restart --namespace prod --dry-run        # whose turn it would be

Brokers are first, then the controllers, and the leader last. A pod is evicted when all others are
ready and its own agent says that it may stop; the next one follows when the new pod is ready and
sees a healthy quorum. Whatever that waits for is said. Ctrl-C is safe at any time.
The pods see a changed ConfigMap within about two minutes; before that, --only-pending finds nothing.
Needs the rights to list pods, to get and create pods/portforward, and to create pods/eviction.
Exit codes: 0 done; 1 may pass if tried again; 2 a person must change something; 64 wrong usage.")]
pub struct Restart {
    /// Only this pod; may be given several times
    #[arg(long = "pod", value_name = "POD")]
    pods: Vec<String>,
    /// Only pods whose Kafka must start again for its settings or its certificate to come into force
    #[arg(long)]
    only_pending: bool,
    /// Go on with a round that began at this time: younger pods have been restarted
    #[arg(long, value_name = "TIME")]
    created_until: Option<Timestamp>,
    /// How long to wait until a pod may stop, and how long until it is back
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = parse_timeout)]
    timeout: Duration,
    /// Only say whose turn it would be
    #[arg(long)]
    dry_run: bool,
}

/// A person sees what is waited for as it changes, and the API server hardly notices.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A PodDisruptionBudget counts anew when a pod becomes ready; its controller takes a moment.
const EVICT_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// Restarts them, and says what becomes of each as it goes.
pub fn run(cluster: &ClusterArgs, args: &Restart) -> Result<(), Failure> {
    // What to say where the round is broken off, by a failure or by a signal.
    let go_on = RefCell::new(None);
    let result = with_cluster(cluster, Aim::Act, async |session| {
        let shown = Shown::new(0);
        let mut round = Round { session, args, names: BTreeSet::new(), shown, go_on: &go_on };
        let result = round.restart().await;
        round.shown.bar.finish_and_clear();
        result
    });
    result.map_err(|failure| match go_on.take() {
        Some(command) => failure.with_advice(&format!("to go on with this round: {command}")),
        None => failure,
    })
}

struct Round<'a> {
    session: Session,
    args: &'a Restart,
    /// All pods of the cluster at the beginning.
    names: BTreeSet<String>,
    shown: Shown,
    go_on: &'a RefCell<Option<String>>,
}

impl Round<'_> {
    async fn restart(&mut self) -> Result<(), Failure> {
        self.all_there().await?;
        let (mut remaining, skipped) = self.remaining().await?;
        for line in skipped {
            self.shown.line(&line);
        }
        if remaining.is_empty() {
            self.shown.line("no pod has to be restarted");
            return Ok(());
        }
        if self.args.dry_run {
            return self.say_the_order(remaining).await;
        }
        self.note_how_to_go_on();
        let (begun, all) = (Instant::now(), remaining.len());
        self.shown.bar.set_length(u64::try_from(all).unwrap_or(u64::MAX));
        while let Some(Found { pod, .. }) = self.next(&remaining).await? {
            self.evict(&pod).await?;
            let evicted = Instant::now();
            self.shown.line(&format!("{}: evicted", pod.name()));
            self.wait_for(&pod).await?;
            self.shown.line(&format!("{}: is back after {}", pod.name(), span(evicted.elapsed())));
            remaining.remove(pod.name());
            self.shown.bar.inc(1);
        }
        let pods = if all == 1 { "1 pod".to_owned() } else { format!("{all} pods") };
        self.shown.line(&format!(
            "{pods} of {} restarted in {}",
            self.session.cluster,
            span(begun.elapsed())
        ));
        Ok(())
    }

    /// Waits until all pods are there, and begins with these: one may be on its way back from a round that was broken off.
    /// Where the StatefulSets may not be read, it is left to what the agents know of the quorum and of the partitions.
    async fn all_there(&mut self) -> Result<(), Failure> {
        let pods = self
            .until("not all pods are there", async || {
                let pods = match self.session.pods_now().await {
                    Ok(pods) => pods,
                    Err(error) => return self.refusal(&error),
                };
                let missing = self.session.missing(&pods).await.unwrap_or_default();
                // What such a pod says is of its past: whoever comes for it is to be asked.
                let leaving = pods.iter().find(|pod| pod.metadata.deletion_timestamp.is_some());
                Ok(match leaving {
                    Some(leaving) => Err(format!("pod {} is being deleted", leaving.name())),
                    None if missing.is_empty() => Ok(pods),
                    None => Err(missing.join("; ")),
                })
            })
            .await?;
        self.names = pods.iter().map(|pod| pod.name().to_owned()).collect();
        self.session.pods = pods;
        Ok(())
    }

    /// Whose turn is to come, and who has none.
    async fn remaining(&self) -> Result<(BTreeSet<String>, Vec<String>), Failure> {
        let named = self.session.named(&self.args.pods);
        let named = named.map_err(|error| Failure::of(Exit::Usage, "PodNotFound", &error))?;
        let (mut remaining, mut skipped) = (BTreeSet::new(), Vec::new());
        for pod in named {
            let name = pod.name().to_owned();
            let created: Option<Timestamp> =
                pod.metadata.creation_timestamp.as_ref().and_then(|at| at.parse().ok());
            match (self.args.created_until, created) {
                (Some(until), Some(created)) if created > until => {
                    skipped.push(format!("{name}: was restarted at {created}"));
                }
                _ => drop(remaining.insert(name)),
            }
        }
        if self.args.only_pending {
            let pending = self.pending(&remaining).await?;
            skipped.extend(remaining.difference(&pending).map(|name| format!("{name}: needs no restart")));
            remaining = pending;
        }
        Ok((remaining, skipped))
    }

    /// Those of `names` whose agents say that a restart is pending, as soon as all of these agents say something.
    async fn pending(&self, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
        self.until("which pods have to be restarted cannot be said", async || {
            let found = match self.look().await {
                Ok(found) => found,
                Err(error) => return self.refusal(&error),
            };
            Ok(turn::pending(names, &found))
        })
        .await
    }

    async fn say_the_order(&self, mut remaining: BTreeSet<String>) -> Result<(), Failure> {
        let found = self.look().await.map_err(|error| self.refused(&error))?;
        loop {
            let next = turn::next(&remaining, &found);
            let next = next.map_err(|why| Failure::new(Exit::Again, "NotYet", why))?;
            let Some(next) = next else { return Ok(()) };
            let name = next.pod.name();
            let refused = next.status.as_ref().ok().and_then(turn::could_not_start);
            let now = match (refused, self.may_go(&next.pod).await) {
                (Some(why), _) => format!("is not to stop: {why}"),
                (None, Ok(())) => "may stop now".to_owned(),
                (None, Err(why)) => format!("may not stop now: {why}"),
            };
            self.shown.line(&format!("{name}: {now}"));
            remaining.remove(name);
        }
    }

    /// Creation times are the API server's, so the beginning is that of its youngest pod and not that of our clock.
    fn note_how_to_go_on(&self) {
        let youngest =
            self.session.pods.iter().filter_map(|pod| pod.metadata.creation_timestamp.as_deref()).max();
        let mut command =
            format!("kubectl kraftlet restart{} --cluster {}", self.session.flags, self.session.cluster);
        for pod in &self.args.pods {
            command.push_str(&format!(" --pod {pod}"));
        }
        if self.args.only_pending {
            command.push_str(" --only-pending");
        }
        let began = self.args.created_until.map(|at| at.to_string());
        if let Some(began) = began.or_else(|| youngest.map(str::to_owned)) {
            command.push_str(&format!(" --created-until {began}"));
        }
        self.go_on.replace(Some(command));
    }

    /// The next pod, as soon as that can be said.
    async fn next(&self, remaining: &BTreeSet<String>) -> Result<Option<Found>, Failure> {
        self.until("whose turn it is cannot be said", async || {
            let found = match self.look().await {
                Ok(found) => found,
                Err(error) => return self.refusal(&error),
            };
            Ok(turn::next(remaining, &found).map(|next| next.cloned()))
        })
        .await
    }

    /// Evicts it as soon as that may be. Where it goes for another reason meanwhile, that is its restart.
    async fn evict(&self, pod: &Pod) -> Result<(), Failure> {
        let name = pod.name();
        let place =
            Resource::PODS.named(self.session.api.namespace(), name).map(|place| place.part("eviction"));
        let place = place.map_err(|error| Failure::of(Exit::Person, "NameInvalid", &error))?;
        let eviction = eviction(pod);
        self.until(&format!("{name} may not stop"), async || {
            let pods = match self.session.pods_now().await {
                Ok(pods) => pods,
                Err(error) => return self.refusal(&error),
            };
            let same = pods.iter().find(|one| one.metadata.uid == pod.metadata.uid);
            if same.is_none_or(|one| one.metadata.deletion_timestamp.is_some()) {
                return Ok(Ok(()));
            }
            if let Err(why) = turn::others(name, &self.names, &pods) {
                return Ok(Err(why));
            }
            if let Err(why) = self.could_start(pod).await? {
                return Ok(Err(why));
            }
            if let Err(why) = self.may_go(pod).await {
                return Ok(Err(why));
            }
            match self.session.api.create::<Json>(&place, &eviction).await {
                Ok(_) => Ok(Ok(())),
                Err(error) => {
                    let answer = self.refusal(&error);
                    sleep(EVICT_AGAIN_AFTER).await;
                    answer
                }
            }
        })
        .await
    }

    async fn wait_for(&self, pod: &Pod) -> Result<(), Failure> {
        let name = pod.name();
        self.until(&format!("{name} is not back"), async || {
            let pods = match self.session.pods_now().await {
                Ok(pods) => pods,
                Err(error) => return self.refusal(&error),
            };
            let Some(now) = pods.into_iter().find(|one| one.name() == name) else {
                let events = self.session.place().events();
                return Ok(Err(format!("no new pod has come for it yet; {events} may say why")));
            };
            let found = self.ask(vec![now]).await.pop();
            let back = found.map(|found| turn::is_back(&found, &pod.metadata.uid));
            Ok(back.unwrap_or_else(|| Err("its agent was not asked".to_owned())))
        })
        .await
    }

    /// Looks again until it is so; says on the bar what it is that keeps it, and in the end too. Where there is no terminal to
    /// draw a bar, it is a line as often as it changes.
    async fn until<T>(
        &self,
        not_yet: &str,
        look: impl AsyncFn() -> Result<Result<T, String>, Failure>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + self.args.timeout;
        let mut told = String::new();
        loop {
            let why = match look().await? {
                Ok(done) => return Ok(done),
                Err(why) => why,
            };
            self.shown.bar.set_message(format!("{not_yet}: {why}"));
            self.shown.bar.tick();
            if self.shown.bar.is_hidden() && told != why {
                self.shown.line(&format!("{not_yet}: {why}"));
                told.clone_from(&why);
            }
            if Instant::now() >= deadline {
                let time = span(self.args.timeout);
                return Err(Failure::new(Exit::Again, "NotInTime", format!("after {time} {not_yet}: {why}")));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What its own agent says of the settings, which may have changed while it was waited for: who goes with settings that
    /// are refused does not come back.
    async fn could_start(&self, pod: &Pod) -> Result<Result<(), String>, Failure> {
        let snapshot = match self.ask(vec![pod.clone()]).await.pop().map(|found| found.status) {
            Some(Ok(snapshot)) => snapshot,
            Some(Err(why)) => return Ok(Err(why)),
            None => return Ok(Err("its agent was not asked".to_owned())),
        };
        match turn::could_not_start(&snapshot) {
            None => Ok(Ok(())),
            Some(why) => {
                let message = format!("{} is not restarted: {why}", pod.name());
                Err(Failure::new(Exit::Person, "SettingsRefused", message))
            }
        }
    }

    /// What its own agent says of its stop: it has looked at the quorum, its partitions and the other agents.
    async fn may_go(&self, pod: &Pod) -> Result<(), String> {
        let way = self.session.agent(pod).way;
        match client::may_stop(&way, Instant::now() + ANSWER_WITHIN).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(why.to_string()),
            Err(error) => Err(chain(&error)),
        }
    }

    async fn look(&self) -> Result<Vec<Found>, ApiError> {
        Ok(self.ask(self.session.pods_now().await?).await)
    }

    async fn ask(&self, pods: Vec<Pod>) -> Vec<Found> {
        let agents = pods.iter().map(|pod| self.session.agent(pod)).collect();
        let answers = status::ask(agents, ANSWER_WITHIN).await;
        let pairs = pods.into_iter().zip(answers);
        pairs.map(|(pod, (_, said))| Found { pod, status: said.map_err(|error| chain(&error)) }).collect()
    }

    /// What may pass is waited for, and said; the rest ends the round.
    fn refusal<T>(&self, error: &ApiError) -> Result<Result<T, String>, Failure> {
        let failure = self.refused(error);
        if failure.exit() == Exit::Again { Ok(Err(chain(error))) } else { Err(failure) }
    }

    fn refused(&self, error: &ApiError) -> Failure {
        Aim::Act.refused(&format!("the pods of {} cannot be restarted", self.session.cluster), error)
    }
}

/// Of this very pod: one that has come in its place meanwhile is not meant.
fn eviction(pod: &Pod) -> Json {
    json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name(), "namespace": pod.metadata.namespace},
        "deleteOptions": {"preconditions": {"uid": pod.metadata.uid}},
    })
}
