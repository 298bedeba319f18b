//! The next move of one node in a change of CA.
//!
//! While a CA changes, each node must trust what each peer presents, at every instant. So the change has three stages:
//! every node trusts both CAs; then the leaves move; then the old CA goes. Each node makes its own moves, when it has
//! seen that its peers are ready for them:
//!
//! | move | when |
//! |---|---|
//! | trust both | at once: to trust one CA more cuts nobody off |
//! | move the leaf | every peer was shown to trust the CA of the new leaf |
//! | drop the old CA | no leaf that any peer has in use, or could go back to, needs it |
//!
//! - There is no state but the stores on the disk. What is to be done follows from them and from what is seen of the
//!   peers now, so a change goes on after a crash at any point, and a source that changes its mind begins another one.
//! - It need not be seen at one instant. A peer that trusts the new CA does not stop, because its source names it; a peer
//!   that has left the old one does not come back, because its report counts the leaf it could roll back to.
//! - The everyday renewal asks no peer: a leaf of the CA that the present leaf is of is trusted by all who trust that one.
//! - CAs are told apart by the fingerprints of their certificates, and a leaf by all the anchors under which it
//!   verifies. A CA certificate that was renewed with the same key, or cross-signed, is thus another anchor for the same
//!   leaves, and needs no stages.
//! - Who is not there is waited for, by name, for as long as it takes: a wait costs nothing while both CAs are trusted. A
//!   person may name a peer that is not to be waited for (it is gone for good); that is not kept on the disk.
//!
//! Without kraftlet's engine Kafka's raft client keeps the stores it started with (KAFKA-20025). Then a peer trusts a
//! CA only when all its channels do, and the stages wait for restarts that a person orders.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::SystemTime;

use crate::certificates::turn::Gate;
use crate::certificates::turn::Reason;
use crate::cluster::settings::Reload;
use crate::pki::certificate::Certificate;
use crate::pki::certificate::Fingerprint;
use crate::pki::chain;

/// Trust anchors, by the fingerprints of their certificates.
pub type Anchors = BTreeSet<Fingerprint>;

/// What one node sees, for one certificate.
#[derive(Debug, Clone)]
pub struct Situation {
    /// How Kafka takes new stores, on all nodes.
    pub reload: Reload,
    /// The truststore on the disk: the anchors, and the last second of each.
    pub installed: BTreeMap<Fingerprint, SystemTime>,
    /// Whom the source says to trust now, with the further anchors of the settings.
    pub source: Anchors,
    /// The leaf on the disk: the anchors under which it verifies; `None` where there is none, or it is valid no more.
    pub leaf: Option<Anchors>,
    /// A fetched leaf that is not installed: the anchors under which it verifies.
    pub next: Option<Anchors>,
    /// All nodes that use this certificate with each other, this one too: its own channels meet its own listeners.
    pub peers: Vec<Peer>,
    /// Whether clients, whose certificates nobody here sees, are checked against this truststore.
    pub clients: Clients,
    /// What a person has ordered.
    pub orders: Orders,
}

/// What is seen of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// For messages: the pod.
    pub name: String,
    /// What its agent says; `None` where it cannot be reached, or is too old to say.
    pub report: Option<Report>,
    /// Whether its listeners take the fetched leaf from a client.
    pub probe: Probe,
    /// The anchors under which everything that its listeners present verifies; `None` where they were not reached.
    pub presents: Option<Anchors>,
}

/// What an agent says of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The anchors that every one of its channels trusts now, the raft client included.
    pub trusted: Anchors,
    /// The anchors under which every leaf verifies that a channel of it has in use, or that it could roll back to.
    pub issued_by: Anchors,
}

/// A handshake with the fetched leaf, and an answer after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// All its listeners took the leaf, and all of them ask for one: others prove nothing.
    Accepted,
    /// Not so, or not known.
    NotAccepted,
}

/// Who else is checked against the truststore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Nobody: no listener for clients asks for their certificate.
    None,
    /// Clients that may have leaves of the old CA. It stays until it expires or a person says so.
    Unseen,
}

/// What a person has ordered; in memory only, and to be said again after a restart of the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// Names of peers that are not waited for.
    pub without: BTreeSet<String>,
    /// Anchors that clients need no longer.
    pub forget: Anchors,
}

/// What the node does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Nothing: truststore and source agree.
    Settled,
    /// The truststore becomes this: all that was in it and what the source adds. At once.
    InstallTrust(Anchors),
    /// The source's CA is no longer that of the installed leaf: a new leaf has to be fetched, in the node's slot.
    FetchLeaf,
    /// The fetched leaf may be installed.
    MoveLeaf,
    /// These leave the truststore.
    DropOld(Anchors),
    /// Not yet.
    Wait(Wait),
}

/// What the node waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// In which stage.
    pub stage: Stage,
    /// The peers, in the order of the settings; empty where it is not for peers.
    pub for_whom: Vec<String>,
}

/// Where a change of CA can stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Peers do not trust the new CA yet, or nobody knows.
    PeersTrust,
    /// Their listeners do, their raft clients will after a restart.
    RestartForTrust,
    /// Peers have leaves of the old CA, or nobody knows.
    PeersLeave,
    /// Their listeners have left it, their raft clients will after a restart.
    RestartForLeaf,
    /// Clients may have leaves of the old CA.
    Clients,
    /// The truststore would have more than [`MAX_ANCHORS`].
    Full,
}

/// About as many as fit a file of [`chain::MAX_PEM_BYTES`] with room to spare; the public CAs are 150.
pub const MAX_ANCHORS: usize = 300;

/// Every agent looks at its source twice a minute and takes a new CA at once.
const PATIENCE_FOR_TRUST: Duration = Duration::from_secs(5 * 60);

/// A leaf moves in a slot of ten minutes at most, and takes another turn where the first one failed.
const PATIENCE_FOR_LEAVES: Duration = Duration::from_secs(30 * 60);

/// The anchors among `anchors` under which a leaf with these intermediates verifies, each asked for alone.
///
/// `now` should be a time at which the chain is valid: the question is of trust, not of dates.
pub fn issuers<'a>(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: impl IntoIterator<Item = &'a Certificate>,
    now: SystemTime,
) -> Anchors {
    let verifies = |anchor: &&Certificate| {
        chain::verify(leaf, intermediates, std::slice::from_ref(*anchor), now, None).is_ok()
    };
    anchors.into_iter().filter(verifies).map(Certificate::fingerprint).collect()
}

/// Whether a fetched leaf needs no look at the peers: it is of a CA that the present leaf is of too, or there is no
/// present leaf that anybody would take.
pub fn is_everyday(leaf: Option<&Anchors>, next: &Anchors) -> bool {
    leaf.is_none_or(|leaf| meet(leaf, next))
}

/// What this node does next.
pub fn next_move(situation: &Situation, now: SystemTime) -> Move {
    let installed: Anchors = situation.installed.keys().copied().collect();
    if !situation.source.is_subset(&installed) {
        let union = &installed | &situation.source;
        return if union.len() <= MAX_ANCHORS {
            Move::InstallTrust(union)
        } else {
            wait(Stage::Full, Vec::new())
        };
    }
    match (&situation.leaf, &situation.next) {
        (leaf, Some(next)) if is_everyday(leaf.as_ref(), next) => Move::MoveLeaf,
        (_, Some(next)) => leaf_to_new_ca(situation, next),
        // A leaf that no anchor here vouches for is no part of this: clients trust it in their own way.
        (Some(leaf), None) if !leaf.is_empty() && !meet(leaf, &situation.source) => Move::FetchLeaf,
        (Some(_) | None, None) => old_ca(situation, &installed, now),
    }
}

fn leaf_to_new_ca(situation: &Situation, next: &Anchors) -> Move {
    let lacking: Vec<&Peer> =
        waited_for(situation).filter(|peer| !peer.trusts(next, situation.reload)).collect();
    if lacking.is_empty() {
        return Move::MoveLeaf;
    }
    let listeners_do = |peer: &&Peer| peer.report.is_some() && peer.probe == Probe::Accepted;
    wait_for(&lacking, listeners_do, Stage::PeersTrust, Stage::RestartForTrust)
}

fn old_ca(situation: &Situation, installed: &Anchors, now: SystemTime) -> Move {
    let unwanted = installed - &situation.source;
    if unwanted.is_empty() {
        return Move::Settled;
    }
    let old: Anchors = match situation.clients {
        Clients::None => unwanted,
        Clients::Unseen => {
            let expired = |anchor: &Fingerprint| situation.installed.get(anchor).is_some_and(|at| *at < now);
            let forgotten = |anchor: &Fingerprint| situation.orders.forget.contains(anchor);
            unwanted.into_iter().filter(|anchor| expired(anchor) || forgotten(anchor)).collect()
        }
    };
    if old.is_empty() {
        return wait(Stage::Clients, Vec::new());
    }
    let kept = installed - &old;
    let staying: Vec<&Peer> = waited_for(situation).filter(|peer| !peer.lives_on(&kept)).collect();
    // Of several old CAs those go that nobody needs. What an unknown peer needs, nobody knows.
    let needed = staying.iter().try_fold(Anchors::new(), |needed, peer| Some(&needed | &peer.needs()?));
    let free = needed.map_or_else(Anchors::new, |needed| &old - &needed);
    if !free.is_empty() {
        return Move::DropOld(free);
    }
    let listeners_left = |peer: &&Peer| {
        peer.report.is_some() && peer.presents.as_ref().is_some_and(|presents| meet(presents, &kept))
    };
    match situation.reload {
        Reload::Engine => wait_for(&staying, |_| false, Stage::PeersLeave, Stage::RestartForLeaf),
        Reload::AdminApi => wait_for(&staying, listeners_left, Stage::PeersLeave, Stage::RestartForLeaf),
    }
}

fn waited_for(situation: &Situation) -> impl Iterator<Item = &Peer> {
    situation.peers.iter().filter(|peer| !situation.orders.without.contains(&peer.name))
}

/// Names those who need more than a restart, or else those who need only that.
fn wait_for(peers: &[&Peer], only_restart: impl Fn(&&Peer) -> bool, stage: Stage, restart: Stage) -> Move {
    let names = |peers: &mut dyn Iterator<Item = &&Peer>| peers.map(|peer| peer.name.clone()).collect();
    let others: Vec<String> = names(&mut peers.iter().filter(|peer| !only_restart(peer)));
    if others.is_empty() { wait(restart, names(&mut peers.iter())) } else { wait(stage, others) }
}

fn wait(stage: Stage, for_whom: Vec<String>) -> Move {
    Move::Wait(Wait { stage, for_whom })
}

fn meet(a: &Anchors, b: &Anchors) -> bool {
    !a.is_disjoint(b)
}

impl Peer {
    /// Whether it would take a leaf of one of these anchors in every channel.
    fn trusts(&self, issuers: &Anchors, reload: Reload) -> bool {
        let says_so = self.report.as_ref().is_some_and(|report| meet(&report.trusted, issuers));
        // The engine feeds all channels from one file, and looks at it at each handshake: what one listener takes, all
        // will. Without it a listener says nothing about the raft client.
        let shows_it = match reload {
            Reload::Engine => self.probe == Probe::Accepted,
            Reload::AdminApi => false,
        };
        says_so || shows_it
    }

    /// Whether all its leaves verify under `anchors`, by its own word and by what its listeners present.
    fn lives_on(&self, anchors: &Anchors) -> bool {
        let reported = self.report.as_ref().is_some_and(|report| meet(&report.issued_by, anchors));
        reported && self.presents.as_ref().is_some_and(|presents| meet(presents, anchors))
    }

    /// All anchors that it may need; `None` where it is not seen.
    fn needs(&self) -> Option<Anchors> {
        Some(&self.report.as_ref()?.issued_by | self.presents.as_ref()?)
    }
}

impl Move {
    /// What this means for a leaf that was fetched.
    pub fn gate(&self) -> Gate {
        match self {
            Self::InstallTrust(_) => Gate::TrustFirst,
            Self::Wait(wait) => Gate::Closed(wait.reason()),
            Self::Settled | Self::FetchLeaf | Self::MoveLeaf | Self::DropOld(_) => Gate::Open,
        }
    }
}

impl Wait {
    /// What is waited for, by name.
    pub fn reason(&self) -> Reason {
        let names = self.for_whom.join(", ");
        let sentence = match self.stage {
            Stage::PeersTrust => format!("the new CA is not known to be trusted by {names}"),
            Stage::RestartForTrust => {
                format!("the raft client does not trust the new CA before a restart of {names}")
            }
            Stage::PeersLeave => format!("the old CA may still be needed by {names}"),
            Stage::RestartForLeaf => {
                format!("the raft client keeps its leaf of the old CA until a restart of {names}")
            }
            Stage::Clients => {
                "the old CA stays trusted for clients until it expires or is forgotten by order".to_owned()
            }
            Stage::Full => format!("the old and the new trust anchors are more than {MAX_ANCHORS}"),
        };
        Reason::new(self.stage.word(), sentence)
    }

    /// Whether somebody should look, after so long in this wait. The node goes on waiting.
    pub fn is_stalled(&self, waited: Duration) -> bool {
        match self.stage {
            Stage::PeersTrust => PATIENCE_FOR_TRUST <= waited,
            Stage::PeersLeave => PATIENCE_FOR_LEAVES <= waited,
            Stage::RestartForTrust | Stage::RestartForLeaf | Stage::Full => true,
            Stage::Clients => false,
        }
    }
}

impl Stage {
    /// The word for logs, Events and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::PeersTrust => "PeersDoNotTrustNewCa",
            Self::RestartForTrust => "RestartNeededForTrust",
            Self::PeersLeave => "PeersUseOldCa",
            Self::RestartForLeaf => "RestartNeededForLeaf",
            Self::Clients => "OldCaKeptForClients",
            Self::Full => "TooManyTrustAnchors",
        }
    }
}
