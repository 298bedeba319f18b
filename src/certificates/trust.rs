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
//!   peer that is gone for good is no peer any more once the settings do not have it.
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
    /// Anchors that clients need no longer: a person has said so. In memory only, and to be said again after a restart of
    /// the agent.
    pub forget: Anchors,
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
    /// For each leaf that its listeners present, the anchors under which it verifies; empty where not all of them were
    /// reached.
    pub presents: Vec<Anchors>,
}

/// What an agent says of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The anchors that every one of its channels trusts now, the raft client included.
    pub trusted: Anchors,
    /// For each leaf that a channel of it has in use, or that it could roll back to, the anchors under which it verifies.
    pub leaves: Vec<Anchors>,
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

/// What the node does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Nothing: truststore and source agree.
    Settled,
    /// The truststore becomes this: all that was in it and what the source adds. At once.
    InstallTrust(Anchors),
    /// The source's CA is no longer that of the installed leaf, or of the fetched one: a new leaf has to be fetched, in
    /// the node's slot.
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
        // The source has changed since it gave this leaf.
        (_, Some(next)) if !next.is_empty() && !meet(next, &situation.source) => Move::FetchLeaf,
        (leaf, Some(next)) if is_everyday(leaf.as_ref(), next) => Move::MoveLeaf,
        (_, Some(next)) => leaf_to_new_ca(situation, next),
        // A leaf that no anchor here vouches for is no part of this: clients trust it in their own way.
        (Some(leaf), None) if !leaf.is_empty() && !meet(leaf, &situation.source) => Move::FetchLeaf,
        (Some(_) | None, None) => old_ca(situation, &installed, now),
    }
}

fn leaf_to_new_ca(situation: &Situation, next: &Anchors) -> Move {
    let lacking: Vec<&Peer> =
        situation.peers.iter().filter(|peer| !peer.trusts(next, situation.reload)).collect();
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
            let forgotten = |anchor: &Fingerprint| situation.forget.contains(anchor);
            unwanted.into_iter().filter(|anchor| expired(anchor) || forgotten(anchor)).collect()
        }
    };
    if old.is_empty() {
        return wait(Stage::Clients, Vec::new());
    }
    let kept = installed - &old;
    let staying: Vec<&Peer> = situation.peers.iter().filter(|peer| !peer.lives_on(&kept)).collect();
    // Of several old CAs those go that nobody needs. What an unknown peer needs, nobody knows.
    let needed = staying.iter().try_fold(Anchors::new(), |needed, peer| Some(&needed | &peer.needs()?));
    let free = needed.map_or_else(Anchors::new, |needed| &old - &needed);
    if !free.is_empty() {
        return Move::DropOld(free);
    }
    let listeners_left =
        |peer: &&Peer| peer.leaves().is_some() && peer.presents.iter().all(|leaf| meet(leaf, &kept));
    match situation.reload {
        Reload::Engine => wait_for(&staying, |_| false, Stage::PeersLeave, Stage::RestartForLeaf),
        Reload::AdminApi => wait_for(&staying, listeners_left, Stage::PeersLeave, Stage::RestartForLeaf),
    }
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
        self.leaves().is_some_and(|mut leaves| leaves.all(|leaf| meet(leaf, anchors)))
    }

    /// All anchors that it may need; `None` where it is not seen.
    fn needs(&self) -> Option<Anchors> {
        Some(self.leaves()?.flatten().copied().collect())
    }

    /// Those it reports and those it presents; `None` where it is not seen.
    fn leaves(&self) -> Option<impl Iterator<Item = &Anchors>> {
        let reported =
            self.report.as_ref().map(|report| &report.leaves).filter(|leaves| !leaves.is_empty())?;
        Some(reported.iter().chain(&self.presents)).filter(|_| !self.presents.is_empty())
    }
}

impl Move {
    /// What this means for a leaf that was fetched.
    pub fn gate(&self) -> Gate {
        match self {
            Self::InstallTrust(_) => Gate::TrustFirst,
            Self::Wait(wait) => Gate::Closed(wait.reason()),
            Self::FetchLeaf => {
                let sentence = "the source has another CA than it had when it gave the fetched leaf";
                Gate::Closed(Reason::new("SourceHasChanged", sentence))
            }
            Self::Settled | Self::MoveLeaf | Self::DropOld(_) => Gate::Open,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;

    const OLD: &str = "old";
    const NEW: &str = "new";

    fn anchors(names: &[&str]) -> Anchors {
        names.iter().map(|name| Fingerprint::of(name.as_bytes())).collect()
    }

    fn peer(name: &str, trusted: &[&str], leaf: &str) -> Peer {
        let leaves = vec![anchors(&[leaf])];
        let report = Some(Report { trusted: anchors(trusted), leaves: leaves.clone() });
        Peer { name: name.to_owned(), report, probe: Probe::NotAccepted, presents: leaves }
    }

    fn situation(installed: &[&str], source: &[&str], leaf: &str, peers: &[Peer]) -> Situation {
        let ends_at = testing::now() + testing::days(365);
        Situation {
            reload: Reload::Engine,
            installed: anchors(installed).into_iter().map(|anchor| (anchor, ends_at)).collect(),
            source: anchors(source),
            leaf: Some(anchors(&[leaf])),
            next: None,
            peers: peers.to_vec(),
            clients: Clients::None,
            forget: Anchors::new(),
        }
    }

    fn with_next(mut situation: Situation, next: &[&str]) -> Situation {
        situation.next = Some(anchors(next));
        situation
    }

    fn check(situation: &Situation, want: &Move) {
        assert_eq!(next_move(situation, testing::now()), *want, "{situation:?}");
    }

    fn waits(stage: Stage, for_whom: &[&str]) -> Move {
        wait(stage, for_whom.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn the_everyday_renewal_asks_nobody() {
        let nobody = Peer {
            name: "kafka-1".to_owned(),
            report: None,
            probe: Probe::NotAccepted,
            presents: Vec::new(),
        };
        let everyday = situation(&[OLD], &[OLD], OLD, &[nobody]);
        check(&everyday, &Move::Settled);
        check(&with_next(everyday.clone(), &[OLD]), &Move::MoveLeaf);
        // The CA's certificate was renewed with its key: the leaf verifies under both.
        let renewed = situation(&[OLD, NEW], &[NEW], OLD, &everyday.peers);
        check(&with_next(renewed, &[OLD, NEW]), &Move::MoveLeaf);
        let expired = Situation { leaf: None, ..situation(&[OLD, NEW], &[NEW], OLD, &everyday.peers) };
        check(&with_next(expired, &[NEW]), &Move::MoveLeaf);
    }

    #[test]
    fn both_are_trusted_first_then_leaves_move_then_the_old_one_goes() {
        let both = [OLD, NEW];
        check(&situation(&[OLD], &[NEW], OLD, &[]), &Move::InstallTrust(anchors(&both)));
        let early = [peer("kafka-1", &[OLD], OLD), peer("kafka-2", &both, OLD)];
        check(&situation(&both, &[NEW], OLD, &early), &Move::FetchLeaf);
        let moving = with_next(situation(&both, &[NEW], OLD, &early), &[NEW]);
        check(&moving, &waits(Stage::PeersTrust, &["kafka-1"]));
        let ready = [peer("kafka-1", &both, OLD), peer("kafka-2", &both, OLD)];
        check(&with_next(situation(&both, &[NEW], OLD, &ready), &[NEW]), &Move::MoveLeaf);
        let half = [peer("kafka-1", &both, OLD), peer("kafka-2", &both, NEW)];
        check(&situation(&both, &[NEW], NEW, &half), &waits(Stage::PeersLeave, &["kafka-1"]));
        let done = [peer("kafka-1", &both, NEW), peer("kafka-2", &[NEW], NEW)];
        check(&situation(&both, &[NEW], NEW, &done), &Move::DropOld(anchors(&[OLD])));
        check(&situation(&[NEW], &[NEW], NEW, &done), &Move::Settled);
    }

    #[test]
    fn a_probe_shows_trust_where_the_engine_is_and_not_where_the_raft_client_stays_behind() {
        let mut probed = peer("kafka-1", &[OLD], OLD);
        probed.probe = Probe::Accepted;
        let both = [OLD, NEW];
        let mut moving = with_next(situation(&both, &[NEW], OLD, &[probed.clone()]), &[NEW]);
        check(&moving, &Move::MoveLeaf);
        moving.reload = Reload::AdminApi;
        check(&moving, &waits(Stage::RestartForTrust, &["kafka-1"]));
        moving.peers.push(peer("kafka-2", &[OLD], OLD));
        check(&moving, &waits(Stage::PeersTrust, &["kafka-2"]));
        probed.report = None;
        moving.peers = vec![probed];
        check(&moving, &waits(Stage::PeersTrust, &["kafka-1"]));
    }

    #[test]
    fn a_raft_client_with_its_old_leaf_keeps_the_old_ca() {
        let both = [OLD, NEW];
        let mut behind = peer("kafka-1", &both, NEW);
        behind.report =
            Some(Report { trusted: anchors(&both), leaves: vec![anchors(&[NEW]), anchors(&[OLD])] });
        let mut leaving = situation(&both, &[NEW], NEW, &[behind]);
        check(&leaving, &waits(Stage::PeersLeave, &["kafka-1"]));
        leaving.reload = Reload::AdminApi;
        check(&leaving, &waits(Stage::RestartForLeaf, &["kafka-1"]));
    }

    #[test]
    fn who_is_gone_is_waited_for() {
        let both = [OLD, NEW];
        let mut gone = peer("kafka-1", &both, NEW);
        gone.presents = Vec::new();
        let leaving = situation(&both, &[NEW], NEW, &[gone.clone()]);
        check(&leaving, &waits(Stage::PeersLeave, &["kafka-1"]));
        gone.report = None;
        let moving = with_next(situation(&both, &[NEW], OLD, &[gone]), &[NEW]);
        check(&moving, &waits(Stage::PeersTrust, &["kafka-1"]));
    }

    #[test]
    fn of_several_old_cas_those_go_that_nobody_needs() {
        let all = ["older", OLD, NEW];
        let leaving = situation(&all, &[NEW], NEW, &[peer("kafka-1", &all, OLD)]);
        check(&leaving, &Move::DropOld(anchors(&["older"])));
    }

    #[test]
    fn an_old_ca_stays_for_clients_until_it_expires_or_is_forgotten() {
        let mut done = situation(&[OLD, NEW], &[NEW], NEW, &[peer("kafka-1", &[NEW], NEW)]);
        done.clients = Clients::Unseen;
        check(&done, &waits(Stage::Clients, &[]));
        let drop = Move::DropOld(anchors(&[OLD]));
        check(&Situation { forget: anchors(&[OLD]), ..done.clone() }, &drop);
        for ends_at in done.installed.values_mut() {
            *ends_at = testing::now() - testing::days(1);
        }
        check(&done, &drop);
    }

    #[test]
    fn a_leaf_that_the_source_no_longer_vouches_for_is_fetched_again() {
        let moving = with_next(situation(&[OLD, NEW, "newest"], &["newest"], OLD, &[]), &[NEW]);
        check(&moving, &Move::FetchLeaf);
        assert!(matches!(next_move(&moving, testing::now()).gate(), Gate::Closed(_)));
        // A leaf of a public CA, which no anchor of ours vouches for, is shown to clients alone.
        let mut public = situation(&[OLD], &[OLD], OLD, &[]);
        (public.leaf, public.next) = (Some(Anchors::new()), Some(Anchors::new()));
        check(&public, &Move::MoveLeaf);
    }

    #[test]
    fn a_truststore_does_not_grow_without_limit() {
        let names: Vec<String> = (0..MAX_ANCHORS).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        check(&situation(&names, &[NEW], OLD, &[]), &waits(Stage::Full, &[]));
    }

    #[test]
    fn a_wait_names_its_peers_and_gets_a_condition_after_a_while() {
        let wait =
            Wait { stage: Stage::PeersTrust, for_whom: vec!["kafka-1".to_owned(), "kafka-2".to_owned()] };
        let reason = wait.reason();
        assert_eq!(reason.word, "PeersDoNotTrustNewCa");
        assert_eq!(reason.sentence, "the new CA is not known to be trusted by kafka-1, kafka-2");
        assert!(!wait.is_stalled(Duration::from_secs(299)) && wait.is_stalled(Duration::from_secs(300)));
    }

    #[test]
    fn a_leaf_verifies_under_each_certificate_of_its_ca() {
        let ca = testing::root("ca");
        let leaf = ca.sign(testing::leaf_params("node", &["a"]));
        let mut params = testing::ca_params("ca");
        params.not_after = (testing::now() + testing::days(9000)).into();
        let renewed = params.self_signed(&ca.key_pair).unwrap();
        let renewed = Certificate::from_der(renewed.der()).unwrap();
        let other = testing::root("ca");
        let all = [&ca.certificate, &renewed, &other.certificate];
        let found = issuers(&leaf.certificate, &[], all, testing::now());
        assert_eq!(found, [ca.certificate.fingerprint(), renewed.fingerprint()].into());
    }
}
