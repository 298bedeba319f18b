//! Passes orders on to the certificates they are for, and shows what becomes of each.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::task::spawn_local;

use crate::certificates::turn::Ending;
use crate::commands::sidecar::board::Board;
use crate::commands::sidecar::keeper::Told;
use crate::health::order::Order;
use crate::health::snapshot::OrderState;
use crate::health::snapshot::OrderStatus;
use crate::health::text::Text;
use crate::health::text::Word;

/// A turn tells of a few waits at most before it ends.
const MOST_OUTCOMES: usize = 8;

/// Takes orders for ever.
pub async fn pass_on(
    board: Board,
    mut orders: mpsc::Receiver<Order>,
    keepers: BTreeMap<String, mpsc::Sender<Told>>,
) {
    while let Some(order) = orders.recv().await {
        let wanted = order.wish.certificate().map(Text::as_str);
        let (progress, outcomes) = mpsc::channel(MOST_OUTCOMES);
        for (_, keeper) in
            keepers.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name.as_str()))
        {
            // A keeper with a full queue has orders of the same kind before it.
            let _ = keeper.try_send(Told { wish: order.wish.clone(), progress: progress.clone() });
        }
        drop(progress);
        let status = OrderStatus {
            number: order.number,
            at: SystemTime::now(),
            state: OrderState::Running,
            reason: Word::of("Taken"),
            sentence: Text::new("at work"),
        };
        board.change(|snapshot| snapshot.report_order(status.clone()));
        spawn_local(follow(board.clone(), status, outcomes));
    }
}

/// Shows each outcome; the order is done when every certificate's turn has ended well.
async fn follow(
    board: Board,
    mut status: OrderStatus,
    mut outcomes: mpsc::Receiver<crate::certificates::turn::Outcome>,
) {
    let mut failed = false;
    while let Some(outcome) = outcomes.recv().await {
        match outcome.ending {
            Ending::Renewed if !failed => {
                status.reason = Word::of("Renewed");
                status.sentence = Text::new("every channel shows the new leaf");
            }
            Ending::Verified if !failed => {
                status.reason = Word::of("Verified");
                status.sentence =
                    Text::new("the source has no newer leaf; every channel shows the one that is there");
            }
            Ending::Renewed | Ending::Verified => {}
            Ending::Failed(reason) => {
                failed = true;
                status.reason = Word::of(reason.word);
                status.sentence = Text::new(reason.sentence);
            }
            Ending::Waits(reason) => {
                status.reason = Word::of(reason.word);
                status.sentence = Text::new(reason.sentence);
            }
        }
        board.change(|snapshot| snapshot.report_order(status.clone()));
    }
    status.state = if failed { OrderState::Failed } else { OrderState::Done };
    board.change(|snapshot| snapshot.report_order(status));
}
