//! The loop of one certificate: performs what the renewal machine says, tells it what happened, and shows how it goes.

use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::certificates::bundle::Bundle;
use crate::certificates::chance::Chance;
use crate::certificates::policy::Issues;
use crate::certificates::policy::Policy;
use crate::certificates::policy::Rollback;
use crate::certificates::renewal;
use crate::certificates::renewal::State;
use crate::certificates::turn::Action;
use crate::certificates::turn::Answer;
use crate::certificates::turn::Ending;
use crate::certificates::turn::Event;
use crate::certificates::turn::Order;
use crate::certificates::turn::Outcome;
use crate::certificates::turn::Turn;
use crate::certificates::turn::Work;
use crate::commands::sidecar::context::Context;
use crate::commands::sidecar::hands::Hands;
use crate::commands::sidecar::hands::leaf_of;
use crate::commands::sidecar::keystore::Keystore;
use crate::commands::sidecar::show;
use crate::commands::sidecar::trust::TrustLoop;
use crate::commands::sidecar::watch::Watch;
use crate::health::order::OrderState;
use crate::health::order::Wish;

/// Where the loop's time comes from, and who does its work.
pub trait World {
    /// The time by the clock on the wall.
    fn now(&self) -> SystemTime;

    /// Does one piece of work and says what became of it.
    fn perform(&self, hands: &Hands, work: Work) -> impl Future<Output = Answer>;
}

/// This machine, and hands that do the work themselves.
pub struct Real;

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

/// It looks at the clock far more often.
const TURNS_WITHIN: Duration = Duration::from_secs(60);

type Working<'a> = Pin<Box<dyn Future<Output = (Turn, Answer)> + 'a>>;

impl World for Real {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn perform(&self, hands: &Hands, work: Work) -> Answer {
        hands.perform(work).await
    }
}

/// Keeps one certificate alive, for ever.
pub async fn keep(
    world: impl World,
    context: Rc<Context>,
    keystore: Rc<dyn Keystore>,
    mut orders: mpsc::Receiver<Told>,
) {
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
    let beat = hands.context.pulse.loop_named("keeper", TURNS_WITHIN, Instant::now());
    loop {
        beat.beat(Instant::now());
        let before = state.last().cloned();
        let (next, action) = renewal::step(&policy, state, event, world.now());
        state = next;
        if !state.is_holding() {
            hands.fetched.replace(None);
        }
        hands.is_good(state.good().map(|leaf| leaf.fingerprint));
        show::renewal(&hands, &policy, &state, before.as_ref());
        ordered.tell(&hands, &state, before.as_ref());
        let until = match action {
            Action::Run { turn, work, within } => {
                let work = world.perform(&hands, work);
                working = Some(Box::pin(async move { (turn, work.await) }));
                world.now() + within
            }
            Action::Wait { until } => until,
        };
        if state.running().is_none() {
            working = None;
        }
        let wait = until.duration_since(world.now()).unwrap_or_default().min(LOOK_AT_THE_CLOCK);
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::mpsc as threads;

    use tokio::sync::watch;
    use tokio::task::JoinHandle;
    use tokio::task::LocalSet;
    use tokio::task::spawn_local;
    use tokio::time::Instant;
    use tokio::time::advance;
    use tokio::time::timeout;

    use super::*;
    use crate::certificates::turn::Reason;
    use crate::certificates::turn::Seen;
    use crate::commands::sidecar::board::Board;
    use crate::commands::sidecar::testing;
    use crate::commands::sidecar::testing::Fetched;
    use crate::commands::sidecar::testing::Stores;
    use crate::commands::sidecar::testing::bundle;
    use crate::commands::sidecar::testing::stores;
    use crate::health::certificate::Certificate as Shown;
    use crate::health::certificate::State::Verifying;
    use crate::health::snapshot::Snapshot;
    use crate::health::testing::full;
    use crate::health::text::Text;
    use crate::health::text::Word;
    use crate::pki::testing::now;

    /// What Kafka does when it is looked at.
    enum Shows {
        WhatIsInstalled,
        Broken,
        Nothing,
    }

    /// A clock that goes with tokio's, which stands still while there is work, and a Kafka without listeners.
    struct Fake {
        began: Instant,
        shows: RefCell<VecDeque<Shows>>,
    }

    impl World for Fake {
        fn now(&self) -> SystemTime {
            now() + self.began.elapsed()
        }

        async fn perform(&self, hands: &Hands, work: Work) -> Answer {
            let next = match work {
                Work::Verify(_) => self.shows.borrow_mut().pop_front(),
                _ => None,
            };
            match next {
                None | Some(Shows::WhatIsInstalled) => hands.perform(work).await,
                Some(Shows::Broken) => {
                    let reason = Reason::new("NewLeafBroken", "nobody can talk to it");
                    Answer::NotVerified { reason, seen: Seen::Broken }
                }
                Some(Shows::Nothing) => pending().await,
            }
        }
    }

    /// An agent of one certificate.
    struct Bench {
        stores: Rc<Stores>,
        shown: watch::Receiver<Arc<Snapshot>>,
        orders: mpsc::Sender<Told>,
        keeper: JoinHandle<()>,
    }

    impl Bench {
        fn begin(stores: &Rc<Stores>, shows: impl IntoIterator<Item = Shows>) -> Self {
            let certificate = Shown::new(Text::new("node"), Word::of("Settled"), now());
            let (board, shown) = Board::new(Snapshot { certificates: vec![certificate], ..full() });
            let context = testing::context(board, stores);
            let (orders, taken) = mpsc::channel(4);
            let world =
                Fake { began: Instant::now(), shows: shows.into_iter().collect::<VecDeque<_>>().into() };
            let keystore = Rc::clone(stores) as Rc<dyn Keystore>;
            let keeper = spawn_local(keep(world, Rc::new(context), keystore, taken));
            Self { stores: Rc::clone(stores), shown, orders, keeper }
        }

        /// Until so many turns have ended with this word.
        async fn ended(&mut self, reason: &'static str, count: u64) {
            let turns = |shown: &Arc<Snapshot>| shown.certificates[0].turns.get(&Word::of(reason)).copied();
            let seen = self.shown.wait_for(|shown| turns(shown) >= Some(count));
            assert!(timeout(HOUR, seen).await.is_ok(), "{reason}, after {:?}", self.stores.done());
        }

        /// What becomes of an order to renew.
        async fn order(&self) -> Progress {
            let (progress, mut told) = mpsc::channel(8);
            self.orders.send(Told { wish: Wish::Renew { certificate: None }, progress }).await.unwrap();
            loop {
                let progress = told.recv().await.unwrap();
                if progress.state != OrderState::Running {
                    return progress;
                }
            }
        }
    }

    /// The keeper's clock passes all of it in no time.
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        LocalSet::new().block_on(&runtime.unwrap(), test);
    }

    #[test]
    fn a_fetch_that_fails_is_tried_again_ever_later_until_one_succeeds() {
        run(async {
            let stores =
                stores([Fetched::Fails, Fetched::Fails, Fetched::Fails, Fetched::Gives(bundle(600))]);
            let mut bench = Bench::begin(&stores, []);
            bench.ended("Renewed", 1).await;
            assert_eq!(stores.done(), ["fetch", "fetch", "fetch", "fetch", "install"]);
            let pauses: Vec<Duration> =
                stores.done.borrow().windows(2).map(|two| two[1].1 - two[0].1).collect();
            assert!(pauses[0] < pauses[1] && pauses[1] < pauses[2], "{pauses:?}");
            assert_eq!(bench.shown.borrow().certificates[0].attempts, 0);
        });
    }

    #[test]
    fn an_order_is_answered_whether_it_could_be_carried_out_or_not() {
        run(async {
            let stores = stores([Fetched::Fails, Fetched::Gives(bundle(600))]);
            let mut bench = Bench::begin(&stores, []);
            bench.ended("Verified", 1).await;
            let first = bench.order().await;
            assert_eq!((first.state, first.reason), (OrderState::Failed, "SourceAway"));
            let second = bench.order().await;
            assert_eq!((second.state, second.reason), (OrderState::Done, "Renewed"));
            assert_eq!(stores.done(), ["fetch", "fetch", "install"]);
        });
    }

    #[test]
    fn a_fetch_that_hangs_meets_its_deadline_and_is_let_go_of() {
        run(async {
            let (release, released) = threads::channel();
            let stores = stores([Fetched::Hangs(released), Fetched::Gives(bundle(600))]);
            let mut bench = Bench::begin(&stores, []);
            // The clock does not go by itself while a thread is at work.
            let timed_out = async {
                loop {
                    advance(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                () = bench.ended("FetchTimedOut", 1) => {}
                () = timed_out => {}
            }
            drop(release);
            bench.ended("Renewed", 1).await;
            assert_eq!(stores.done(), ["fetch", "fetch", "install"]);
        });
    }

    #[test]
    fn a_new_leaf_that_is_seen_broken_is_put_back_and_not_installed_again() {
        run(async {
            let broken = bundle(600);
            let stores = stores([Fetched::Gives(broken.clone()), Fetched::Gives(broken)]);
            let before = stores.installed.borrow().leaf().fingerprint();
            let mut bench = Bench::begin(&stores, [Shows::WhatIsInstalled, Shows::Broken]);
            bench.ended("NewLeafBroken", 2).await;
            assert_eq!(stores.done(), ["fetch", "install", "put back", "fetch"]);
            assert_eq!(stores.installed.borrow().leaf().fingerprint(), before);
        });
    }

    #[test]
    fn an_agent_that_ends_in_the_midst_of_a_turn_leaves_it_to_the_next_one() {
        run(async {
            let stores = stores([Fetched::Gives(bundle(600))]);
            let mut bench = Bench::begin(&stores, [Shows::WhatIsInstalled, Shows::Nothing]);
            let is_verifying = |shown: &Arc<Snapshot>| shown.certificates[0].state == Verifying;
            bench.ended("Verified", 1).await;
            bench.shown.wait_for(is_verifying).await.unwrap();
            bench.keeper.abort();
            assert!(bench.keeper.await.unwrap_err().is_cancelled());
            let new = stores.installed.borrow().leaf().fingerprint();

            let mut next = Bench::begin(&stores, []);
            next.ended("Verified", 1).await;
            assert_eq!(stores.done(), ["fetch", "install"]);
            let shown = next.shown.borrow().certificates[0].installed.clone();
            assert_eq!(shown.map(|leaf| leaf.fingerprint), Some(new));
        });
    }
}
