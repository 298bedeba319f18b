//! A change of CA, seen from one certificate of one node: what is there, what the peers say, and the next move.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::certificates::bundle::Bundle;
use crate::certificates::trust;
use crate::certificates::trust::Anchors;
use crate::certificates::trust::Clients;
use crate::certificates::trust::Move;
use crate::certificates::trust::Situation;
use crate::certificates::turn::Answer;
use crate::certificates::turn::Event;
use crate::certificates::turn::Reason;
use crate::commands::sidecar::hands::Hands;
use crate::commands::sidecar::peers;
use crate::commands::sidecar::show;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::pki::certificate::Certificate;

/// While a change goes on, the peers are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// When nothing is to be done, files are read again so often.
const LOOK_AT_REST_EVERY: Duration = Duration::from_secs(30);

/// The word for a truststore that needs no change.
pub const SETTLED: &str = "Settled";

/// When to look at the trust again.
pub struct TrustLoop {
    next_at: Instant,
}

impl TrustLoop {
    /// Looks at once.
    pub fn begin() -> Self {
        Self { next_at: Instant::now() }
    }

    /// The source has changed: looks at once.
    pub fn hint(&mut self) {
        self.next_at = Instant::now();
    }

    /// Returns what the machine has to be told, when there is something.
    pub async fn due(&mut self, hands: &Hands) -> Event {
        loop {
            sleep_until(self.next_at).await;
            let planned = hands.next_move().await;
            self.next_at = Instant::now() + LOOK_EVERY;
            match planned {
                Ok(Move::InstallTrust(_) | Move::DropOld(_)) => return Event::TrustDue,
                Ok(Move::FetchLeaf) => return Event::SourceChanged,
                Ok(Move::Settled) => self.next_at = Instant::now() + LOOK_AT_REST_EVERY,
                // What is wrong with the source is said where it is fetched from.
                Ok(Move::MoveLeaf | Move::Wait(_)) | Err(_) => {}
            }
        }
    }
}

impl Hands {
    /// Whether the leaf that was fetched may be shown, as far as the peers are concerned.
    pub(crate) async fn ask_peers(&self) -> Result<Answer, Reason> {
        Ok(Answer::Gate(self.next_move().await?.gate()))
    }

    /// The installed key and chain, with the truststore as it should become.
    pub(crate) fn planned_trust(&self) -> Result<Bundle, Reason> {
        let installed = self.installed()?;
        let planned = self.planned.borrow();
        Ok(installed.trusting(planned.iter().cloned()))
    }

    /// What is to be done next about trust; shows it, and keeps the truststore that it asks for.
    pub(crate) async fn next_move(&self) -> Result<Move, Reason> {
        let Some(trusting) = self.keystore.trusting()? else { return Ok(Move::Settled) };
        // A source may wait for a lock or for an answer: not on the thread that answers probes.
        let source = tokio::task::spawn_blocking(trusting).await;
        let source = source.map_err(|_| Reason::new("FetchFailed", "the source's reader broke off"))??;
        let Some(source) = source else { return Ok(Move::Settled) };
        let now = SystemTime::now();
        let Some(installed) = self.keystore.installed()? else { return Ok(Move::Settled) };
        let known = installed.trusting(installed.anchors().iter().chain(&source).cloned());
        let mut situation = self.situation(&installed, &source, &known, now);
        let mut planned = trust::next_move(&situation, now);
        let is_everyday = match &situation.next {
            Some(next) => trust::is_everyday(situation.leaf.as_ref(), next),
            None => true,
        };
        if matches!(planned, Move::DropOld(_)) || matches!(planned, Move::MoveLeaf) && !is_everyday {
            let next = self.fetched.borrow().clone();
            situation.peers = peers::look(&self.context, self.name(), &known, next.as_ref()).await?;
            planned = trust::next_move(&situation, now);
        }
        let wanted: Anchors = match &planned {
            Move::InstallTrust(all) => all.clone(),
            Move::DropOld(old) => installed
                .anchors()
                .iter()
                .map(Certificate::fingerprint)
                .filter(|one| !old.contains(one))
                .collect(),
            Move::Settled | Move::FetchLeaf | Move::MoveLeaf | Move::Wait(_) => Anchors::new(),
        };
        let certificates = known.anchors().iter().filter(|one| wanted.contains(&one.fingerprint())).cloned();
        self.planned.replace(certificates.collect());
        if planned == Move::Settled {
            self.forget.set(false);
        }
        // A renewal of every day is no change of CA, and says nothing of one that is under way.
        if !(is_everyday && planned == Move::MoveLeaf) {
            self.show_trust(&planned, now);
        }
        Ok(planned)
    }

    fn situation(
        &self,
        installed: &Bundle,
        source: &[Certificate],
        known: &Bundle,
        now: SystemTime,
    ) -> Situation {
        let issuers = |bundle: &Bundle| {
            let at = now.max(bundle.leaf().not_before()).min(bundle.leaf().not_after());
            trust::issuers(bundle.leaf(), bundle.intermediates(), known.anchors(), at)
        };
        let is_valid = installed.leaf().validity().holds(now);
        Situation {
            reload: self.context.reload,
            installed: installed
                .anchors()
                .iter()
                .map(|one| (one.fingerprint(), one.not_after()))
                .collect::<BTreeMap<_, _>>(),
            source: source.iter().map(Certificate::fingerprint).collect(),
            leaf: is_valid.then(|| issuers(installed)),
            next: self.fetched.borrow().as_ref().map(issuers),
            peers: Vec::new(),
            clients: if self.context.clients_are_checked(self.keystore.listeners()) {
                Clients::Unseen
            } else {
                Clients::None
            },
            forget: self.forgotten(source, installed),
        }
    }

    /// The anchors that an order lets go of: those that the source does not name.
    fn forgotten(&self, source: &[Certificate], installed: &Bundle) -> Anchors {
        if !self.forget.get() {
            return Anchors::new();
        }
        let unwanted = installed.anchors().iter().filter(|one| !source.contains(one));
        unwanted.map(Certificate::fingerprint).collect()
    }

    fn show_trust(&self, planned: &Move, now: SystemTime) {
        let (stage, waits_for) = match planned {
            Move::Settled => (SETTLED, &[][..]),
            Move::InstallTrust(_) => ("InstallsTrust", &[][..]),
            Move::FetchLeaf | Move::MoveLeaf => ("MovesLeaf", &[][..]),
            Move::DropOld(_) => ("DropsOldCa", &[][..]),
            Move::Wait(wait) => (wait.stage.word(), wait.for_whom.as_slice()),
        };
        let mut waited = None;
        let mut is_new = false;
        self.context.board.certificate(self.name(), |shown| {
            if shown.trust.stage.as_str() != stage {
                shown.trust.stage = Word::of(stage);
                shown.trust.since = now;
                is_new = true;
            }
            shown.trust.waits_for = waits_for.iter().map(Text::new).collect();
            waited = now.duration_since(shown.trust.since).ok();
        });
        let wait = match planned {
            Move::Wait(wait) => Some(wait),
            Move::Settled | Move::InstallTrust(_) | Move::FetchLeaf | Move::MoveLeaf | Move::DropOld(_) => {
                None
            }
        };
        show::trust(&self.context.board, self.name(), stage, is_new, wait, waited.unwrap_or_default(), now);
    }
}
