//! The loop of one certificate: performs what the renewal machine says, tells it what happened, and shows how it goes.

use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::certificates::chance::Chance;
use crate::certificates::renewal;
use crate::certificates::renewal::Issues;
use crate::certificates::renewal::Policy;
use crate::certificates::renewal::Rollback;
use crate::certificates::renewal::State;
use crate::certificates::schedule::Schedule;
use crate::certificates::turn::Action;
use crate::certificates::turn::Answer;
use crate::certificates::turn::Ending;
use crate::certificates::turn::Event;
use crate::certificates::turn::Outcome;
use crate::certificates::turn::Turn;
use crate::cluster::certificate::Certificate;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::hands::Hands;
use crate::commands::sidecar::hands::leaf_of;
use crate::commands::sidecar::show;
use crate::commands::sidecar::trust::TrustLoop;
use crate::commands::sidecar::watch::Watch;
use crate::health::order::Wish;

/// An order for one certificate, and where to tell how it goes: each outcome until the turn that obeys has ended.
pub struct Told {
    /// What is wished.
    pub wish: Wish,
    /// Dropped when there is no more to tell.
    pub progress: mpsc::Sender<Outcome>,
}

/// The clock may jump, so nobody sleeps longer than this.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(10);

type Working<'a> = Pin<Box<dyn Future<Output = (Turn, Answer)> + 'a>>;

/// Keeps one certificate alive, for ever.
pub async fn keep(context: Rc<Context>, certificate: Certificate, mut orders: mpsc::Receiver<Told>) {
    let hands = Hands::new(Rc::clone(&context), certificate.clone());
    let policy = policy(&context, &certificate, &hands);
    let read = |found: Result<Option<_>, _>| found.ok().flatten();
    let installed = read(hands.installed());
    let last_good = read(hands.last_good());
    let leaf = |bundle: &crate::certificates::bundle::Bundle| leaf_of(bundle.leaf());
    let mut state = State::new(installed.as_ref().map(leaf), last_good.as_ref().map(leaf));
    let mut trust = TrustLoop::new();
    let mut obeying: Vec<mpsc::Sender<Outcome>> = Vec::new();
    let mut working: Option<Working<'_>> = None;
    let mut watch = Watch::new(hands.files());
    let mut known = watch.content();
    let mut event = Event::Tick;
    loop {
        let before = state.last().cloned();
        let (next, action) = renewal::step(&policy, state, event, SystemTime::now());
        state = next;
        hands.is_good(state.good().map(|leaf| leaf.fingerprint));
        let installed = read(hands.installed());
        show::renewal(
            &context.board,
            &certificate.name,
            installed.as_ref(),
            &policy,
            &state,
            before.as_ref(),
        );
        if let Some(outcome) =
            state.last().filter(|last| Some(*last) != before.as_ref() && !state.is_ordered())
        {
            // Nobody may listen any more.
            obeying.iter().for_each(|progress| drop(progress.try_send(outcome.clone())));
            obeying.retain(|_| matches!(outcome.ending, Ending::Waits(_)));
        }
        let until = match action {
            Action::Run { turn, work, within } => {
                let work = hands.perform(work);
                working = Some(Box::pin(async move { (turn, work.await) }));
                SystemTime::now() + within
            }
            Action::Wait { until } => until,
        };
        if state.running().is_none() {
            working = None;
        }
        let wait = until.duration_since(SystemTime::now()).unwrap_or_default().min(LOOK_AT_THE_CLOCK);
        event = tokio::select! {
            (turn, answer) = finished(&mut working) => {
                working = None;
                Event::Done(turn, answer)
            }
            () = sleep(wait) => Event::Tick,
            () = watch.changed_from(&known) => {
                watch = Watch::new(hands.files());
                known = watch.content();
                trust.hint();
                Event::SourceChanged
            }
            Some(told) = orders.recv() => match told.wish {
                Wish::Renew { .. } => {
                    obeying.push(told.progress);
                    Event::Asked
                }
                Wish::ForgetOldTrust { .. } => {
                    hands.forget.set(true);
                    trust.hint();
                    obeying.push(told.progress);
                    Event::Tick
                }
            },
            due = trust.due(&hands) => due,
        };
    }
}

async fn finished(working: &mut Option<Working<'_>>) -> (Turn, Answer) {
    match working {
        Some(work) => work.await,
        None => pending().await,
    }
}

fn policy(context: &Context, certificate: &Certificate, hands: &Hands) -> Policy {
    let node = &context.inputs.node;
    let cluster_id = context.inputs.cluster.cluster_id.to_string();
    Policy {
        schedule: Schedule::new(certificate.renew_point, context.slot()),
        chance: Chance::of(&[&cluster_id, &node.pod.to_string(), &certificate.name]),
        source: if hands.source_issues() { Issues::OnRequest } else { Issues::ByItself },
        rollback: Rollback::Possible,
    }
}
