//! The loop of one certificate: performs what the renewal machine says, tells it what happened, and shows how it goes.

use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::certificates::bundle::Bundle;
use crate::certificates::chance::Chance;
use crate::certificates::renewal;
use crate::certificates::renewal::Issues;
use crate::certificates::renewal::Policy;
use crate::certificates::renewal::Rollback;
use crate::certificates::renewal::State;
use crate::certificates::turn::Action;
use crate::certificates::turn::Answer;
use crate::certificates::turn::Ending;
use crate::certificates::turn::Event;
use crate::certificates::turn::Order;
use crate::certificates::turn::Outcome;
use crate::certificates::turn::Turn;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::hands::Hands;
use crate::commands::sidecar::hands::leaf_of;
use crate::commands::sidecar::keystore::Keystore;
use crate::commands::sidecar::show;
use crate::commands::sidecar::trust::TrustLoop;
use crate::commands::sidecar::watch::Watch;
use crate::health::order::Wish;
use crate::health::snapshot::OrderState;

/// An order for one certificate, and where to tell how it goes.
pub struct Told {
    /// What is wished.
    pub wish: Wish,
    /// Dropped when there is no more to tell.
    pub progress: mpsc::Sender<Progress>,
}

/// How an order goes, for one certificate.
#[derive(Debug, Clone)]
pub struct Progress {
    /// How far.
    pub state: OrderState,
    /// The word.
    pub reason: &'static str,
    /// The same for a person.
    pub sentence: String,
}

/// The clock may jump, so nobody sleeps longer than this.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(10);

type Working<'a> = Pin<Box<dyn Future<Output = (Turn, Answer)> + 'a>>;

/// Keeps one certificate alive, for ever.
pub async fn keep(context: Rc<Context>, keystore: Rc<dyn Keystore>, mut orders: mpsc::Receiver<Told>) {
    let hands = Hands::new(context, keystore);
    let policy = policy(&hands);
    let mut state = first_state(&hands);
    let mut trust = TrustLoop::begin();
    let mut ordered = Ordered::default();
    let mut working: Option<Working<'_>> = None;
    let mut watch = Watch::new(hands.keystore.files());
    let mut known = watch.content();
    let mut event = Event::Tick;
    // Files of somebody else may have changed while no agent was there to see it.
    let mut is_unseen = !hands.keystore.issues();
    loop {
        let before = state.last().cloned();
        let (next, action) = renewal::step(&policy, state, event, SystemTime::now());
        state = next;
        if !state.is_holding() {
            hands.fetched.replace(None);
        }
        hands.is_good(state.good().map(|leaf| leaf.fingerprint));
        show::renewal(&hands, &policy, &state, before.as_ref());
        ordered.tell(&hands, &state, before.as_ref());
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
        if std::mem::take(&mut is_unseen) {
            event = Event::SourceChanged;
            continue;
        }
        event = tokio::select! {
            (turn, answer) = finished(&mut working) => {
                working = None;
                Event::Done(turn, answer)
            }
            () = sleep(wait) => Event::Tick,
            () = watch.changed_from(&known) => {
                // A folder that was replaced needs a watch of its own.
                watch = Watch::new(hands.keystore.files());
                known = watch.content();
                trust.hint();
                Event::SourceChanged
            }
            Some(told) = orders.recv() => {
                trust.hint();
                ordered.take(&hands, told)
            }
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

fn policy(hands: &Hands) -> Policy {
    Policy {
        schedule: hands.keystore.schedule(),
        chance: Chance::of(&[&hands.context.pod, hands.name()]),
        source: if hands.keystore.issues() { Issues::OnRequest } else { Issues::ByItself },
        rollback: if hands.keystore.is_ours() { Rollback::Possible } else { Rollback::Impossible },
    }
}

/// What lies on the disk; that it works has to be seen.
fn first_state(hands: &Hands) -> State {
    let leaf = |found: Result<Option<Bundle>, _>| found.ok().flatten().map(|bundle| leaf_of(bundle.leaf()));
    State::new(leaf(hands.keystore.installed()), leaf(hands.keystore.last_good()))
}

/// People give one order at a time; a turn that waits for peers may outlast some.
const MOST_UNENDED: usize = 32;

/// Orders that have been taken and not been carried out.
#[derive(Default)]
struct Ordered {
    renewals: Vec<mpsc::Sender<Progress>>,
    forgets: Vec<mpsc::Sender<Progress>>,
}

impl Ordered {
    /// Takes an order, or refuses it; what the machine has to be told of it.
    fn take(&mut self, hands: &Hands, told: Told) -> Event {
        let refuse = |reason, sentence: &str| {
            let sentence = sentence.to_owned();
            let _ = told.progress.try_send(Progress { state: OrderState::Failed, reason, sentence });
            Event::Tick
        };
        if MOST_UNENDED <= self.renewals.len() + self.forgets.len() {
            return refuse("TooManyOrders", "the certificate has more orders than it can take");
        }
        match told.wish {
            Wish::Renew { .. } => {
                self.renewals.push(told.progress);
                Event::Asked
            }
            Wish::ForgetOldTrust { .. } if !hands.keystore.is_ours() => {
                refuse("StoreNotOurs", "the truststore is somebody else's to write")
            }
            Wish::ForgetOldTrust { .. } => {
                hands.forget.set(true);
                self.forgets.push(told.progress);
                Event::Tick
            }
        }
    }

    /// Tells how it goes; once an order has ended there is no more to tell. Nobody may listen any more.
    fn tell(&mut self, hands: &Hands, state: &State, before: Option<&Outcome>) {
        let (how_far, ending) = match state.order() {
            Order::None | Order::Given => (OrderState::Running, None),
            Order::Obeyed | Order::Installed => {
                let new = state.last().filter(|last| Some(*last) != before);
                (OrderState::Running, new.map(|outcome| &outcome.ending))
            }
            Order::Ended(ending) => match ending {
                Ending::Renewed | Ending::Verified => (OrderState::Done, Some(ending)),
                Ending::Failed(_) | Ending::Waits(_) => (OrderState::Failed, Some(ending)),
            },
        };
        if let Some(ending) = ending {
            let (reason, sentence) = show::words(hands, ending);
            let progress = Progress { state: how_far, reason, sentence };
            self.renewals.iter().for_each(|one| drop(one.try_send(progress.clone())));
            self.renewals.retain(|_| how_far == OrderState::Running);
        }
        if !hands.forget.get() {
            for one in self.forgets.drain(..) {
                let sentence = "only what the source names is trusted".to_owned();
                let _ =
                    one.try_send(Progress { state: OrderState::Done, reason: "OldTrustForgotten", sentence });
            }
        }
    }
}
