//! Changes of CA in small quorums, in which anything may happen between any two steps.
//!
//! Each node has its stores on the disk, its channels, and an agent that looks at its peers, decides, writes and reloads,
//! one step at a time. Between the steps of one agent come steps of the others, crashes, lost and old answers, restarts of
//! Kafka, and the CA change itself, which reaches each node's source at another time.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::SystemTime;

use kraftlet::certificates::trust;
use kraftlet::certificates::trust::Anchors;
use kraftlet::certificates::trust::Clients;
use kraftlet::certificates::trust::Move;
use kraftlet::certificates::trust::Peer;
use kraftlet::certificates::trust::Probe;
use kraftlet::certificates::trust::Report;
use kraftlet::certificates::trust::Situation;
use kraftlet::certificates::trust::Stage;
use kraftlet::certificates::trust::Wait;
use kraftlet::cluster::settings::Reload;
use kraftlet::pki::certificate::Fingerprint;

use crate::simulation::Dice;
use crate::simulation::full_size;
use crate::simulation::seeds;

/// A CA's certificate. Two with the same key are two anchors for the same leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ca {
    Old,
    OldRenewed,
    New,
    Newest,
}

type Cas = BTreeSet<Ca>;

/// What a channel has read from the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stores {
    trust: Cas,
    leaf: Ca,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kafka {
    Up,
    Down,
}

/// What an agent does next, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    /// After a start, and after each write: Kafka has to take what is on the disk.
    Reload,
    Look,
    /// With what it saw, which may be old by now.
    Decide(Vec<Peer>),
}

#[derive(Debug, Clone)]
struct Node {
    disk: Stores,
    /// The leaf it could go back to, while the one on the disk is not verified.
    before: Option<Ca>,
    listeners: Stores,
    raft_client: Stores,
    kafka: Kafka,
    agent: Option<Doing>,
    source: Ca,
    fetched: Option<Ca>,
    last: Option<Move>,
}

/// For the story of a failure.
#[derive(Debug)]
enum Note {
    Moved(Move),
    RolledBack,
    AgentKilled,
    KafkaStopped,
    KafkaStarted,
}

struct World {
    reload: Reload,
    nodes: Vec<Node>,
    dice: Dice,
    log: Vec<(usize, Note)>,
}

impl Ca {
    const ALL: [Self; 4] = [Self::Old, Self::OldRenewed, Self::New, Self::Newest];

    fn key(self) -> u8 {
        match self {
            Self::Old | Self::OldRenewed => 0,
            Self::New => 1,
            Self::Newest => 2,
        }
    }

    fn fingerprint(self) -> Fingerprint {
        Fingerprint::of(format!("{self:?}").as_bytes())
    }

    fn signs_for(self, leaf: Self) -> bool {
        self.key() == leaf.key()
    }
}

fn anchors(cas: &Cas) -> Anchors {
    cas.iter().map(|ca| ca.fingerprint()).collect()
}

fn cas(anchors: &Anchors) -> Cas {
    Ca::ALL.into_iter().filter(|ca| anchors.contains(&ca.fingerprint())).collect()
}

impl Stores {
    fn trusts(&self, leaf: Ca) -> bool {
        self.trust.iter().any(|anchor| anchor.signs_for(leaf))
    }
}

impl Node {
    fn new(ca: Ca) -> Self {
        let stores = Stores { trust: [ca].into(), leaf: ca };
        Self {
            disk: stores.clone(),
            before: None,
            listeners: stores.clone(),
            raft_client: stores,
            kafka: Kafka::Up,
            agent: Some(Doing::Reload),
            source: ca,
            fetched: None,
            last: None,
        }
    }

    /// The anchors this node knows of under which a leaf verifies.
    fn issuers(&self, leaf: Ca) -> Anchors {
        let known = self.disk.trust.iter().copied().chain([self.source]);
        known.filter(|anchor| anchor.signs_for(leaf)).map(Ca::fingerprint).collect()
    }

    fn report(&self) -> Option<Report> {
        self.agent.as_ref()?;
        let trusted = self.listeners.trust.intersection(&self.raft_client.trust).copied().collect();
        let leaves =
            [self.disk.leaf, self.listeners.leaf, self.raft_client.leaf].into_iter().chain(self.before);
        let leaves = leaves.map(|leaf| self.issuers(leaf)).collect();
        Some(Report { trusted: anchors(&trusted), leaves })
    }

    fn is_finished(&self, ca: Ca) -> bool {
        self.disk.trust == [ca].into() && ca.signs_for(self.disk.leaf) && self.last == Some(Move::Settled)
    }
}

impl World {
    fn new(seed: u64, size: usize, reload: Reload) -> Self {
        let nodes = vec![Node::new(Ca::Old); size];
        Self { reload, nodes, dice: Dice::new(seed, size as u64), log: Vec::new() }
    }

    fn any(&mut self) -> usize {
        usize::try_from(self.dice.between(0, self.nodes.len() as u64)).unwrap()
    }

    /// Every handshake between two nodes that are up is good, in both directions.
    fn check(&self) {
        for (a, client) in self.nodes.iter().enumerate() {
            for (b, server) in self.nodes.iter().enumerate() {
                if a == b || client.kafka == Kafka::Down || server.kafka == Kafka::Down {
                    continue;
                }
                // The engine reads the files again at each handshake, if it has not before.
                let engine = self.reload == Reload::Engine;
                let ours = if engine { &client.disk } else { &client.raft_client };
                let theirs = if engine { &server.disk } else { &server.listeners };
                let good = ours.trusts(theirs.leaf) && theirs.trusts(ours.leaf);
                assert!(good, "node {a} cannot talk to node {b}\n{}", self.story());
            }
        }
    }

    fn story(&self) -> String {
        let lines = self.log.iter().map(|(node, note)| format!("{node}: {note:?}\n"));
        format!("{:#?}\n{}", self.nodes, lines.collect::<String>())
    }

    /// One step of one agent.
    fn act(&mut self, node: usize) {
        match self.nodes[node].agent.clone() {
            None => return,
            Some(Doing::Reload) => self.take_stores(node),
            Some(Doing::Look) => {
                let peers = self.look(node);
                self.nodes[node].agent = Some(Doing::Decide(peers));
            }
            Some(Doing::Decide(peers)) => {
                self.nodes[node].agent = Some(Doing::Look);
                self.decide(node, peers);
            }
        }
        self.check();
    }

    /// Kafka takes what is on the disk, as far as it does so without a restart, and the agent verifies it.
    fn take_stores(&mut self, node: usize) {
        let broken = self.dice.once_in_a_while(100);
        let one = &mut self.nodes[node];
        if one.kafka == Kafka::Down {
            return;
        }
        if one.listeners != one.disk {
            one.listeners = one.disk.clone();
            if self.reload == Reload::Engine {
                one.raft_client = one.disk.clone();
            }
        } else if let Some(before) = one.before.take_if(|_| broken) {
            // The new leaf is seen broken. It goes back, and Kafka takes that in the next step.
            one.disk.leaf = before;
            self.log.push((node, Note::RolledBack));
        } else {
            one.before = None;
            one.agent = Some(Doing::Look);
        }
    }

    fn look(&mut self, node: usize) -> Vec<Peer> {
        let mut peers = Vec::new();
        for peer in 0..self.nodes.len() {
            let lost = self.dice.once_in_a_while(150);
            let unreached = self.dice.once_in_a_while(150);
            let (one, other) = (&self.nodes[node], &self.nodes[peer]);
            let reached = other.kafka == Kafka::Up && !unreached;
            let accepted = reached && one.fetched.is_some_and(|leaf| other.listeners.trusts(leaf));
            peers.push(Peer {
                name: format!("kafka-{peer}"),
                report: other.report().filter(|_| !lost),
                probe: if accepted { Probe::Accepted } else { Probe::NotAccepted },
                presents: if reached { vec![one.issuers(other.listeners.leaf)] } else { Vec::new() },
            });
        }
        peers
    }

    fn decide(&mut self, node: usize, peers: Vec<Peer>) {
        let one = &mut self.nodes[node];
        let situation = Situation {
            reload: self.reload,
            installed: one.disk.trust.iter().map(|ca| (ca.fingerprint(), end_of_time())).collect(),
            source: [one.source.fingerprint()].into(),
            leaf: Some(one.issuers(one.disk.leaf)),
            next: one.fetched.map(|leaf| one.issuers(leaf)),
            peers,
            clients: Clients::None,
            forget: Anchors::new(),
        };
        let next = trust::next_move(&situation, SystemTime::UNIX_EPOCH);
        match &next {
            Move::Settled | Move::Wait(_) => {}
            Move::InstallTrust(union) => one.disk.trust = cas(union),
            Move::FetchLeaf => one.fetched = Some(one.source),
            Move::MoveLeaf => {
                one.before = Some(one.disk.leaf);
                one.disk.leaf = one.fetched.take().unwrap();
            }
            Move::DropOld(old) => {
                let old = cas(old);
                one.disk.trust.retain(|ca| !old.contains(ca));
            }
        }
        if matches!(next, Move::InstallTrust(_) | Move::MoveLeaf | Move::DropOld(_)) {
            one.agent = Some(Doing::Reload);
        }
        if one.last.as_ref() != Some(&next) {
            one.last = Some(next.clone());
            self.log.push((node, Note::Moved(next)));
        }
    }

    /// The agent is killed; it starts with the disk alone.
    fn crash(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        one.agent = None;
        one.fetched = None;
        self.log.push((node, Note::AgentKilled));
    }

    fn start(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        if one.agent.is_none() {
            one.agent = Some(Doing::Reload);
        }
    }

    /// Kafka stops, or starts with what is on the disk.
    fn toggle_kafka(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        match one.kafka {
            Kafka::Up => {
                one.kafka = Kafka::Down;
                self.log.push((node, Note::KafkaStopped));
            }
            Kafka::Down => {
                one.kafka = Kafka::Up;
                one.listeners = one.disk.clone();
                one.raft_client = one.disk.clone();
                self.log.push((node, Note::KafkaStarted));
            }
        }
        self.check();
    }

    /// A person restarts the Kafkas that a wait for a restart names.
    fn restart_named(&mut self) {
        let named: BTreeSet<String> = self
            .nodes
            .iter()
            .filter_map(|node| match &node.last {
                Some(Move::Wait(Wait {
                    stage: Stage::RestartForTrust | Stage::RestartForLeaf,
                    for_whom,
                })) => Some(for_whom.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        for node in 0..self.nodes.len() {
            if named.contains(&format!("kafka-{node}")) && self.nodes[node].kafka == Kafka::Up {
                self.toggle_kafka(node);
                self.toggle_kafka(node);
            }
        }
    }

    /// Anything at all.
    fn shake(&mut self, target: Ca) {
        let node = self.any();
        match self.dice.between(0, 100) {
            0..80 => self.act(node),
            80..84 => self.crash(node),
            84..92 => self.start(node),
            92..96 => self.toggle_kafka(node),
            _ => self.nodes[node].source = target,
        }
    }

    /// Everybody is up and undisturbed, but for the answers that get lost.
    fn settle(&mut self, target: Ca) {
        for node in 0..self.nodes.len() {
            self.nodes[node].source = target;
            self.start(node);
            if self.nodes[node].kafka == Kafka::Down {
                self.toggle_kafka(node);
            }
        }
        for _round in 0..2000 {
            if self.nodes.iter().all(|node| node.is_finished(target)) {
                return;
            }
            let node = self.any();
            self.act(node);
            self.restart_named();
        }
        panic!("the change does not come to its end\n{}", self.story());
    }
}

fn end_of_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)
}

/// All modes and sizes, some times for each seed.
fn play(scenario: impl Fn(&mut World)) {
    for seed in seeds() {
        for round in 0..if full_size() { 150 } else { 20 } {
            for reload in [Reload::Engine, Reload::AdminApi] {
                for size in [3, 5] {
                    scenario(&mut World::new(seed.wrapping_add(round << 32), size, reload));
                }
            }
        }
    }
}

#[test]
fn every_node_trusts_every_peer_at_each_instant_of_a_change_and_the_change_ends() {
    play(|world| {
        for _ in 0..300 {
            world.shake(Ca::New);
        }
        world.settle(Ca::New);
    });
}

#[test]
fn a_second_change_in_the_middle_of_the_first_and_a_way_back_end_well_too() {
    for (second, last) in [(Ca::Newest, Ca::Newest), (Ca::Old, Ca::Old), (Ca::New, Ca::OldRenewed)] {
        play(|world| {
            for _ in 0..60 {
                world.shake(Ca::New);
            }
            for _ in 0..60 {
                world.shake(second);
            }
            world.settle(last);
        });
    }
}

#[test]
fn a_ca_certificate_renewed_with_its_key_needs_no_stages() {
    play(|world| {
        for node in 0..world.nodes.len() {
            world.nodes[node].source = Ca::OldRenewed;
            for _ in 0..20 {
                world.act(node);
            }
            assert!(Ca::OldRenewed.signs_for(world.nodes[node].disk.leaf));
        }
        assert!(world.log.iter().all(|(_, note)| !matches!(note, Note::Moved(Move::MoveLeaf))));
        world.settle(Ca::OldRenewed);
    });
}

#[test]
fn a_peer_that_is_down_is_waited_for_by_name_and_the_others_go_on_when_it_is_back() {
    play(|world| {
        let last = world.nodes.len() - 1;
        world.toggle_kafka(last);
        world.crash(last);
        for node in 0..last {
            world.nodes[node].source = Ca::New;
        }
        for _ in 0..500 {
            let node = world.any();
            world.act(node);
        }
        let mut waits = BTreeMap::new();
        for node in &world.nodes[..last] {
            assert_eq!(node.disk.trust, [Ca::Old, Ca::New].into());
            assert_eq!(node.disk.leaf, Ca::Old);
            if let Some(Move::Wait(wait)) = &node.last {
                assert_eq!(wait.reason().word, "PeersDoNotTrustNewCa");
                waits.insert(wait.for_whom.contains(&format!("kafka-{last}")), wait.reason().sentence);
            }
        }
        assert_eq!(waits.keys().copied().collect::<Vec<_>>(), [true], "{waits:?}");
        world.settle(Ca::New);
    });
}
