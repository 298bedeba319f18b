//! Passes orders on to the certificates they are for, and shows what becomes of each.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::task::spawn_local;

use crate::commands::sidecar::board::Board;
use crate::commands::sidecar::keeper::Progress;
use crate::commands::sidecar::keeper::Told;
use crate::health::order::Order;
use crate::health::order::OrderState;
use crate::health::order::OrderStatus;
use crate::health::text::Text;
use crate::health::text::Word;

/// A turn tells of a few waits at most before it ends.
const MOST_TOLD: usize = 8;

/// Takes orders for ever.
pub async fn pass_on(
    board: Board,
    mut orders: mpsc::Receiver<Order>,
    keepers: BTreeMap<String, mpsc::Sender<Told>>,
) {
    while let Some(order) = orders.recv().await {
        let wanted = order.wish.certificate().map(Text::as_str);
        let (progress, told) = mpsc::channel(MOST_TOLD);
        for (_, keeper) in
            keepers.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name.as_str()))
        {
            let told = Told { wish: order.wish.clone(), progress: progress.clone() };
            if keeper.try_send(told).is_err() {
                let sentence = "the certificate has more orders than it can take".to_owned();
                let reason = "TooManyOrders";
                let _ = progress.try_send(Progress { state: OrderState::Failed, reason, sentence });
            }
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
        spawn_local(follow(board.clone(), status, told));
    }
}

/// Shows how it goes. The order is done when it is for every certificate; one that failed makes it fail.
async fn follow(board: Board, mut status: OrderStatus, mut told: mpsc::Receiver<Progress>) {
    let mut failed = false;
    let mut ended = false;
    while let Some(progress) = told.recv().await {
        if failed && progress.state != OrderState::Failed {
            continue;
        }
        failed |= progress.state == OrderState::Failed;
        ended |= progress.state == OrderState::Done;
        status.reason = Word::of(progress.reason);
        status.sentence = Text::new(progress.sentence);
        board.change(|snapshot| snapshot.report_order(status.clone()));
    }
    status.state = if failed || !ended { OrderState::Failed } else { OrderState::Done };
    board.change(|snapshot| snapshot.report_order(status));
}
