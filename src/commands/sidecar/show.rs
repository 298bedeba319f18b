//! What a renewal's machine knows, as the snapshot shows it, and as the log tells it.

use std::time::Duration;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::policy::Policy;
use crate::certificates::renewal::State;
use crate::certificates::trust::Wait;
use crate::certificates::turn::Ending;
use crate::certificates::turn::Outcome;
use crate::certificates::turn::Reason;
use crate::certificates::turn::Work;
use crate::commands::sidecar::board::Board;
use crate::commands::sidecar::hands::Hands;
use crate::health::certificate;
use crate::health::certificate::Anchor;
use crate::health::notice;
use crate::health::snapshot::Condition;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::pki::certificate::Fingerprint;

/// Shows where the renewal of a certificate stands. `before` is how the last turn had ended until now.
pub fn renewal(hands: &Hands, policy: &Policy, state: &State, before: Option<&Outcome>) {
    let (board, name) = (&hands.context.board, hands.name());
    let installed = hands.installed().ok();
    let installed = installed.as_ref();
    let new = state.last().filter(|last| Some(*last) != before);
    if let Some(outcome) = new {
        tell(hands, installed, outcome);
    }
    board.certificate(name, |shown| {
        shown.installed = installed.map(|bundle| certificate::Leaf::new(bundle.leaf(), anchor_of(bundle)));
        shown.trust.anchors =
            installed.map(|bundle| bundle.anchors().iter().map(Anchor::new).collect()).unwrap_or_default();
        shown.state = word(state);
        shown.next_renewal_at = state.next_at(policy);
        if let Some(outcome) = new {
            shown.turned(outcome_shown(hands, outcome));
        }
        shown.attempts = state.failures();
    });
    let conditions = state.last().and_then(|last| condition(name, last, state));
    board.conditions(&format!("certificate {name}"), conditions.into_iter().collect());
}

/// The anchor that the leaf's chain ends at, if it is one of the bundle's own.
pub fn anchor_of(bundle: &Bundle) -> Option<Fingerprint> {
    let at = bundle.leaf().not_before().max(
        bundle.intermediates().iter().map(|one| one.not_before()).max().unwrap_or(SystemTime::UNIX_EPOCH),
    );
    crate::certificates::trust::issuers(bundle.leaf(), bundle.intermediates(), bundle.anchors(), at)
        .first()
        .copied()
}

fn word(state: &State) -> certificate::State {
    match state.running().map(|(_, work)| work) {
        Some(Work::Fetch | Work::Preflight | Work::AskPeers) => certificate::State::Fetching,
        Some(Work::Install(_)) => certificate::State::Installing,
        Some(Work::Reload(_)) => certificate::State::Reloading,
        Some(Work::Verify(_)) => certificate::State::Verifying,
        Some(Work::RollBack(_)) => certificate::State::RollingBack,
        None if state.is_serving() => certificate::State::Serving,
        None => certificate::State::Waiting,
    }
}

fn outcome_shown(hands: &Hands, outcome: &Outcome) -> certificate::Outcome {
    let (reason, sentence) = words(hands, &outcome.ending);
    certificate::Outcome {
        reason: Word::of(reason),
        sentence: Text::new(sentence),
        at: outcome.at,
        took: outcome.took,
        verify_took: hands.verify_took(),
    }
}

/// How a turn ended: a word, and a sentence for people.
///
/// `Renewed` is said only where every channel has taken the leaf. What nothing reloads keeps the one it was started
/// with; it is named here, and with its deadline among the channels.
pub fn words(hands: &Hands, ending: &Ending) -> (&'static str, String) {
    let stays = hands.not_reloadable();
    let who = if stays.is_empty() { "every channel" } else { "every listener" };
    match ending {
        Ending::Renewed if stays.is_empty() => {
            (certificate::Outcome::RENEWED, format!("{who} shows the new leaf"))
        }
        Ending::Renewed => {
            let stays = stays.join(", ");
            (certificate::Outcome::LISTENERS_RENEWED, format!("{who} shows the new leaf; not so: {stays}"))
        }
        Ending::Verified => {
            (certificate::Outcome::VERIFIED, format!("{who} shows the leaf that was there before"))
        }
        Ending::Failed(reason) | Ending::Waits(reason) => (reason.word, reason.sentence.clone()),
    }
}

fn tell(hands: &Hands, installed: Option<&Bundle>, outcome: &Outcome) {
    let (board, name) = (&hands.context.board, hands.name());
    let leaf = installed.map(|bundle| bundle.leaf().fingerprint().short()).unwrap_or_default();
    match &outcome.ending {
        Ending::Renewed | Ending::Verified => {
            hands.is_well();
            let (word, sentence) = words(hands, &outcome.ending);
            let took = outcome.took.as_millis();
            let took = if took > 0 { format!(", {took} ms after the fetch began") } else { String::new() };
            board.happened(word, &format!("certificate {name}: {sentence} ({leaf}){took}"));
        }
        Ending::Failed(reason) | Ending::Waits(reason) => {
            let ailing = hands.ailing_for(outcome.at);
            let is_early = notice::may_be_a_start(reason.word, ailing);
            // A failure that goes on is said once; the status has the number of attempts.
            if !is_early && hands.is_news(reason.word) {
                board.went_wrong(reason.word, &format!("certificate {name}: {}", reason.sentence));
            }
        }
    }
}

fn condition(name: &str, last: &Outcome, state: &State) -> Option<Condition> {
    let reason: &Reason = match &last.ending {
        Ending::Renewed | Ending::Verified => return None,
        Ending::Failed(reason) | Ending::Waits(reason) => reason,
    };
    let attempts = match state.failures() {
        0 | 1 => String::new(),
        more => format!(" ({more} attempts)"),
    };
    Some(Condition {
        reason: Word::of(reason.word),
        sentence: Text::new(format!("certificate {name}: {}{attempts}", reason.sentence)),
        since: last.at,
        // With nothing installed it matters already.
        matters_at: state.installed().map_or(last.at, |leaf| leaf.validity.not_after),
        remedy: None,
    })
}

/// Tells of a new stage of a change of CA, and shows a wait that takes too long.
pub fn trust(
    board: &Board,
    name: &str,
    stage: &'static str,
    is_new: bool,
    wait: Option<&Wait>,
    waited: Duration,
    now: SystemTime,
) {
    let reason = wait.map(Wait::reason);
    if is_new {
        let sentence = match &reason {
            Some(reason) => format!("certificate {name}: {}", reason.sentence),
            None => format!("certificate {name}: change of CA: {stage}"),
        };
        board.happened(stage, &sentence);
    }
    let stalled = wait.filter(|wait| wait.is_stalled(waited)).and(reason);
    let condition = stalled.map(|reason| Condition {
        reason: Word::of(reason.word),
        sentence: Text::new(format!("certificate {name}: {}", reason.sentence)),
        since: now,
        matters_at: now,
        remedy: Some(Text::new("kraftlet status --all")),
    });
    board.conditions(&format!("trust of {name}"), condition.into_iter().collect());
}
