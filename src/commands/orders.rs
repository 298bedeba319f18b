//! Gives an order to one agent after another, and waits until it is done.
//!
//! One after another, because a renewal that goes wrong should go wrong on one node: the next is asked only when the
//! former has shown that it is done.

use std::io::Write;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use jiff::Span;
use jiff::SpanRelativeTo;
use jiff::Unit;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::commands::agents::Agent;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::health::client::io as client;
use crate::health::client::io::AgentError;
use crate::health::order::OrderState;
use crate::health::order::OrderStatus;
use crate::health::order::Wish;

/// Whether to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until the order is taken.
    Taken,
    /// Until it is done, on each node at most so long.
    Done(Duration),
}

/// Whether the others are asked after one where it is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// None of them.
    Stop,
    /// All of them.
    GoOn,
}

/// An agent answers from memory; this is for the network and a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Fast enough for a person, and nothing to an agent.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Gives the order to each of them in turn; stops at the first where it is not done.
pub fn give(agents: &[Agent], wish: &Wish, patience: Patience) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(Exit::Again, "RuntimeFailed", &error))?;
    let result = runtime.block_on(give_each(agents, wish, patience, OnFailure::Stop));
    // The resolver runs on a thread that cannot be interrupted; nobody waits for it.
    runtime.shutdown_background();
    result
}

/// Gives the order to each of them in turn. All failures are told.
pub async fn give_each(
    agents: &[Agent],
    wish: &Wish,
    patience: Patience,
    on_failure: OnFailure,
) -> Result<(), Failure> {
    let shown = Shown::new(agents.len());
    let mut failed: Option<Failure> = None;
    for (index, agent) in agents.iter().enumerate() {
        if let Err(failure) = give_one(agent, wish, patience, &shown).await {
            failed = Some(match failed {
                Some(before) => before.and(failure),
                None => failure,
            });
            if on_failure == OnFailure::Stop {
                let rest: Vec<&str> = agents.iter().skip(index + 1).map(|one| one.name.as_str()).collect();
                if !rest.is_empty() {
                    shown.line(&format!("not asked: {}", rest.join(", ")));
                }
                break;
            }
        }
        shown.bar.inc(1);
    }
    shown.bar.finish_and_clear();
    failed.map_or(Ok(()), Err)
}

async fn give_one(agent: &Agent, wish: &Wish, patience: Patience, shown: &Shown) -> Result<(), Failure> {
    let Agent { name, way } = agent;
    shown.bar.set_message(name.clone());
    let taken = client::give(way, wish, Instant::now() + ANSWER_WITHIN).await;
    let number = taken.map_err(|error| not_answered(name, &error))?;
    let wait = match patience {
        Patience::Taken => {
            shown.line(&format!("{name}: taken as order {number}"));
            return Ok(());
        }
        Patience::Done(wait) => wait,
    };
    shown.line(&format!("{name}: order {number} ..."));
    let order = ended(agent, number, wait, shown).await?;
    let OrderStatus { reason, sentence, .. } = &order;
    let failed = |exit| {
        let message = format!("{name}: {sentence} ({reason})");
        Err(Failure::new(exit, "OrderFailed", message))
    };
    match order.state {
        OrderState::Done => {
            shown.line(&format!("{name}: {reason}: {sentence}"));
            Ok(())
        }
        OrderState::Failed | OrderState::Running => failed(Exit::Again),
        OrderState::Refused => failed(Exit::Person),
    }
}

/// Asks until the order has ended. An agent that does not answer for a while may come back, and is asked again.
async fn ended(agent: &Agent, number: u64, wait: Duration, shown: &Shown) -> Result<OrderStatus, Failure> {
    let Agent { name, way } = agent;
    let deadline = Instant::now() + wait;
    loop {
        // The last look gets its time too: what is known of the order says more than that time is up.
        let within = Instant::now() + ANSWER_WITHIN;
        let last = client::status_of_order(way, number, within).await;
        let is_over = Instant::now() + ASK_EVERY >= deadline;
        match last {
            Ok(order) if order.state != OrderState::Running => return Ok(order),
            Ok(order) if is_over => {
                let message = format!(
                    "{name}: not done in {} s: {} ({})",
                    wait.as_secs(),
                    order.sentence,
                    order.reason
                );
                return Err(Failure::new(Exit::Again, "OrderNotDoneInTime", message));
            }
            Ok(order) => shown.bar.set_message(format!("{name}: {}", order.reason)),
            Err(error @ AgentError::Refused { .. }) => return Err(not_answered(name, &error)),
            Err(error) if is_over || !error.may_pass() => return Err(not_answered(name, &error)),
            Err(error) => shown.bar.set_message(format!("{name}: {}", error.reason())),
        }
        shown.bar.tick();
        sleep(ASK_EVERY).await;
    }
}

fn not_answered(name: &str, error: &AgentError) -> Failure {
    let exit = if error.may_pass() { Exit::Again } else { Exit::Person };
    Failure::new(exit, error.reason(), format!("{name}: {}", chain(error)))
}

/// A bar where there is a terminal to draw it, and lines on standard output in any case.
pub struct Shown {
    /// The bar, which draws nothing where there is no terminal.
    pub bar: ProgressBar,
}

impl Shown {
    /// For so many nodes.
    pub fn new(nodes: usize) -> Self {
        let bar = ProgressBar::new(u64::try_from(nodes).unwrap_or(u64::MAX));
        let style = ProgressStyle::with_template("{spinner} {pos}/{len} {bar:20} {elapsed} {wide_msg}");
        Self { bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())) }
    }

    /// A line that stays.
    pub fn line(&self, line: &str) {
        // Whoever closed the pipe does not want to read it.
        self.bar.suspend(|| {
            let _ = writeln!(anstream::stdout(), "{line}");
        });
    }
}

/// `90s`, `2m`: how long to wait for a node.
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<Span>()
        .and_then(|span| span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())))
        .map_err(|_| "want a time such as 90s or 2m".to_owned())?;
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let range = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    if range.contains(&time) { Ok(time) } else { Err("want 1s to 24h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_time_that_somebody_can_wait() {
        for (text, want) in [
            ("90s", Ok(90)),
            ("2m", Ok(120)),
            ("1h 30m", Ok(5400)),
            ("0s", Err("want 1s to 24h")),
            ("-1m", Err("want 1s to 24h")),
            ("2d", Err("want 1s to 24h")),
            ("120", Err("want a time such as 90s or 2m")),
            ("", Err("want a time such as 90s or 2m")),
        ] {
            let want = want.map(Duration::from_secs).map_err(str::to_owned);
            assert_eq!(parse_timeout(text), want, "{text:?}");
        }
    }
}
