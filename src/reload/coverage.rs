//! Which leaf each channel uses, and by when Kafka has to be restarted for those that no request and no engine reaches.
//!
//! Three words for a certificate: *served* (handshakes have shown it), *loaded* (the engine reports it: what a client
//! shows at its next connection), *in use until reconnect* (the listeners reloaded in the same pass; a client takes it
//! at its next connection and nothing proves it). A fourth is for what cannot be reloaded: *in use until restart*.
//! Such a channel is never called renewed.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::pki::certificate::Fingerprint;
use crate::reload::channel::Channel;
use crate::reload::channel::ChannelName;
use crate::reload::channel::LeafShown;
use crate::reload::channel::NodeChannels;
use crate::reload::channel::Side;
use crate::reload::channel::Way;
use crate::reload::channel::Why;
use crate::reload::node_properties::ListenerName;
use crate::reload::observed::Observed;
use crate::reload::start_note::Installed;
use crate::reload::start_note::Material;
use crate::reload::start_note::Start;

/// What is known of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelCoverage {
    /// Which one.
    pub channel: ChannelName,
    /// How far it is known which leaf it uses.
    pub standing: Standing,
    /// The leaf it uses, or would at its next connection; `None`: not known, or it has none.
    pub leaf: Option<Fingerprint>,
    /// When that leaf ends, where it is known.
    pub not_after: Option<SystemTime>,
    /// The leaf in its store.
    pub installed: Option<Fingerprint>,
    /// Whether anybody is shown its leaf.
    pub shown: LeafShown,
    /// Whether it has the trust anchors that are installed.
    pub trust: TrustStanding,
    /// Kafka must be restarted by then, for nothing else renews this channel. `None`: no restart is needed.
    pub restart_needed_by: Option<SystemTime>,
    /// What there is to say beside the leaf.
    pub cause: Option<Cause>,
}

/// How far it is known which leaf a channel uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Handshakes have shown it.
    Served,
    /// The engine reports it.
    Loaded,
    /// It was told to take it, in the pass that the listeners have shown to work.
    InUseUntilReconnect,
    /// It was started with it and keeps it.
    InUseUntilRestart,
    /// Nothing tells.
    Unknown,
}

/// Whether a channel has the trust anchors that are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustStanding {
    /// It has.
    Current,
    /// It has older ones.
    Behind,
    /// Nothing tells; a probe with a new leaf would.
    Unknown,
}

/// What there is to say beside the leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It cannot be reloaded.
    NotReloadable(Why),
    /// It cannot be reloaded, and Kafka was running before this agent was.
    StartUnseen(Why),
    /// It could have taken the leaf that is installed, and has not.
    Behind,
    /// No run of handshakes since Kafka started.
    NotVerified,
    /// No report of the engine since Kafka started.
    NotReported,
    /// The listeners do not show yet that the node has reloaded.
    ListenersBehind,
    /// No Kafka runs.
    NotRunning,
}

/// What is known of each channel, in the order of [`NodeChannels::channels`].
pub fn coverage(node: &NodeChannels, observed: &Observed) -> Vec<ChannelCoverage> {
    node.channels.iter().map(|channel| Look { node, observed, channel }.coverage()).collect()
}

/// The first of all restarts that are needed.
pub fn restart_needed_by(coverage: &[ChannelCoverage]) -> Option<SystemTime> {
    coverage.iter().filter_map(|one| one.restart_needed_by).min()
}

struct Look<'a> {
    node: &'a NodeChannels,
    observed: &'a Observed,
    channel: &'a Channel,
}

impl Look<'_> {
    fn coverage(&self) -> ChannelCoverage {
        let mut found = match &self.channel.name {
            ChannelName::Listener(name) => self.listener(name),
            ChannelName::Client(_) => self.client(),
        };
        found.trust = self.trust();
        if let (Way::NotReloadable(_), Some(_)) = (&self.channel.trust_by, self.observed.note().start()) {
            let trust_ends = self.trusts_at_start().first().map(|trust| trust.not_after);
            found.restart_needed_by = found.restart_needed_by.into_iter().chain(trust_ends).min();
        }
        found
    }

    fn listener(&self, name: &ListenerName) -> ChannelCoverage {
        let Some(served) = self.observed.served(name) else {
            return self.found(Standing::Unknown, None, Some(Cause::NotVerified));
        };
        match &self.channel.leaf_by {
            Way::NotReloadable(why) => {
                let cause = Cause::NotReloadable(why.clone());
                let found = self.found(Standing::Served, Some(served.fingerprint), Some(cause));
                ChannelCoverage { restart_needed_by: Some(served.not_after), ..found }
            }
            Way::Engine | Way::AdminApi => {
                self.found(Standing::Served, Some(served.fingerprint), self.behind(served.fingerprint))
            }
        }
    }

    fn client(&self) -> ChannelCoverage {
        match &self.channel.leaf_by {
            Way::Engine => {
                let Some(loaded) = self.observed.loaded(&self.channel.listener, Side::Client) else {
                    return self.found(Standing::Unknown, None, Some(Cause::NotReported));
                };
                let cause = loaded.leaf.and_then(|leaf| self.behind(leaf));
                self.found(Standing::Loaded, loaded.leaf, cause)
            }
            Way::AdminApi if self.listeners_have_reloaded() => {
                let leaf = self.installed().and_then(|installed| installed.leaf);
                self.found(Standing::InUseUntilReconnect, leaf.map(|leaf| leaf.fingerprint), None)
            }
            Way::AdminApi => self.found(Standing::Unknown, None, Some(Cause::ListenersBehind)),
            Way::NotReloadable(why) => self.started_with(why),
        }
    }

    /// Of several leaves that it may have been started with the one that ends first counts. Where the listener of the
    /// same prefix cannot be reloaded either, handshakes have shown what both were started with.
    fn started_with(&self, why: &Why) -> ChannelCoverage {
        let first =
            self.observed.note().candidates(&self.channel.listener).and_then(|found| found.leaves.first());
        let shown = self.shown_by_its_listener();
        let (standing, leaf, cause) = match (self.observed.note().start(), shown) {
            (None, _) => return self.found(Standing::Unknown, None, Some(Cause::NotRunning)),
            (Some(_), Some(leaf)) => {
                (Standing::InUseUntilRestart, Some(leaf), Cause::NotReloadable(why.clone()))
            }
            (Some(Start::Seen), None) => {
                (Standing::InUseUntilRestart, first.copied(), Cause::NotReloadable(why.clone()))
            }
            (Some(Start::Unseen), None) => {
                (Standing::Unknown, first.copied(), Cause::StartUnseen(why.clone()))
            }
        };
        let known = leaf.filter(|_| standing != Standing::Unknown).map(|leaf| leaf.fingerprint);
        let by = leaf.filter(|_| self.channel.leaf_shown != LeafShown::No).map(|leaf| leaf.not_after);
        let not_after = leaf.filter(|_| known.is_some()).map(|leaf| leaf.not_after);
        ChannelCoverage { restart_needed_by: by, not_after, ..self.found(standing, known, Some(cause)) }
    }

    fn trusts_at_start(&self) -> &[Material] {
        self.observed.note().candidates(&self.channel.listener).map_or(&[], |found| found.trusts.as_slice())
    }

    fn shown_by_its_listener(&self) -> Option<Material> {
        let is_its_listener =
            |one: &&Channel| one.name == ChannelName::Listener(self.channel.listener.clone());
        match self.node.channels.iter().find(is_its_listener)?.leaf_by {
            Way::NotReloadable(Why::InlinePem | Why::DedicatedController) => {
                self.observed.served(&self.channel.listener)
            }
            // It may have been reloaded by somebody.
            Way::NotReloadable(Why::RaftClient | Why::ReleaseUnknown | Why::ForeignEngine(_))
            | Way::Engine
            | Way::AdminApi => None,
        }
    }

    /// One request reloads everything that can be, listener by listener and client by client.
    fn listeners_have_reloaded(&self) -> bool {
        let mut listeners = self.node.channels.iter().filter_map(|channel| match &channel.name {
            ChannelName::Listener(name) if channel.leaf_by == Way::AdminApi => Some(name),
            ChannelName::Listener(_) | ChannelName::Client(_) => None,
        });
        let has_reloaded = |name: &ListenerName| {
            let installed = self.observed.installed(name).and_then(|installed| installed.leaf);
            installed.is_some() && self.observed.served(name) == installed
        };
        listeners.clone().next().is_some() && listeners.all(has_reloaded)
    }

    fn trust(&self) -> TrustStanding {
        let installed = self.installed().and_then(|installed| installed.trust);
        let is_current = |same| if same { TrustStanding::Current } else { TrustStanding::Behind };
        match &self.channel.trust_by {
            Way::Engine => {
                let loaded = self.observed.loaded(&self.channel.listener, self.channel.name.side());
                loaded.map_or(TrustStanding::Unknown, |loaded| {
                    is_current(loaded.trust == installed.map(|trust| trust.fingerprint))
                })
            }
            Way::AdminApi => TrustStanding::Unknown,
            Way::NotReloadable(_) => {
                match (self.observed.note().start(), self.trusts_at_start(), installed) {
                    (Some(Start::Seen), [only], Some(installed)) => is_current(*only == installed),
                    (Some(Start::Seen), several, Some(installed)) if !several.contains(&installed) => {
                        TrustStanding::Behind
                    }
                    _ => TrustStanding::Unknown,
                }
            }
        }
    }

    fn installed(&self) -> Option<&Installed> {
        self.observed.installed(&self.channel.listener)
    }

    fn behind(&self, leaf: Fingerprint) -> Option<Cause> {
        let installed = self.installed()?.leaf?.fingerprint;
        (installed != leaf).then_some(Cause::Behind)
    }

    fn found(&self, standing: Standing, leaf: Option<Fingerprint>, cause: Option<Cause>) -> ChannelCoverage {
        ChannelCoverage {
            channel: self.channel.name.clone(),
            standing,
            leaf,
            not_after: leaf.and_then(|leaf| self.observed.not_after(leaf)),
            installed: self.installed().and_then(|installed| installed.leaf).map(|leaf| leaf.fingerprint),
            shown: self.channel.leaf_shown,
            trust: TrustStanding::Unknown,
            restart_needed_by: None,
            cause,
        }
    }
}

impl Cause {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotReloadable(why) => why.reason(),
            Self::StartUnseen(_) => "KafkaStartUnseen",
            Self::Behind => "LeafBehind",
            Self::NotVerified => "ListenerNotVerified",
            Self::NotReported => "EngineReportMissing",
            Self::ListenersBehind => "ListenersBehind",
            Self::NotRunning => "KafkaNotRunning",
        }
    }
}

/// Why it is as it is, for the line below the sentence.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReloadable(why) => why.fmt(f),
            Self::StartUnseen(why) => write!(f, "Kafka was running before this agent, and {why}"),
            Self::Behind => f.write_str("it has not taken the leaf that is installed"),
            Self::NotVerified => f.write_str("no run of handshakes since Kafka started"),
            Self::NotReported => f.write_str("the engine has reported nothing since Kafka started"),
            Self::ListenersBehind => f.write_str("the listeners do not show yet that the node has reloaded"),
            Self::NotRunning => f.write_str("no Kafka runs; it will read what is installed when it starts"),
        }
    }
}

/// The sentence for status and log, such as `raft client still uses leaf 5f3a91c2 until 2026-11-24T10:00:00Z; Kafka must
/// be restarted by then`.
impl fmt::Display for ChannelCoverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = &self.channel;
        let leaf = self.leaf.filter(|_| self.shown != LeafShown::No).map(|leaf| leaf.short());
        let still = if self.leaf == self.installed { "" } else { "still " };
        match (self.standing, leaf) {
            (Standing::Unknown, _) => write!(f, "which leaf the {channel} uses is not known")?,
            (_, None) => write!(f, "{channel} shows no leaf")?,
            (Standing::Served, Some(leaf)) => write!(f, "{channel} {still}serves leaf {leaf}")?,
            (Standing::Loaded, Some(leaf)) => write!(f, "{channel} {still}has leaf {leaf} loaded")?,
            (Standing::InUseUntilReconnect, Some(leaf)) => {
                write!(f, "{channel} takes leaf {leaf} at its next connection")?;
            }
            (Standing::InUseUntilRestart, Some(leaf)) => write!(f, "{channel} {still}uses leaf {leaf}")?,
        }
        if let (Some(not_after), true) = (self.not_after, self.shown != LeafShown::No) {
            write!(f, " until {}", timestamp(not_after))?;
        }
        if self.trust == TrustStanding::Behind {
            f.write_str("; it does not have the trust anchors that are installed")?;
        }
        match self.restart_needed_by {
            Some(by) if self.not_after == Some(by) => f.write_str("; Kafka must be restarted by then"),
            Some(by) => write!(f, "; Kafka must be restarted by {}", timestamp(by)),
            None => Ok(()),
        }
    }
}

/// RFC 3339 in UTC; a date beyond the year 9999 by its seconds.
fn timestamp(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| format!("{at:?}"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::reload::node_properties::NodeProperties;
    use crate::reload::observed::Observation;
    use crate::reload::start_note::StartNote;

    const HOUR: Duration = Duration::from_secs(3600);

    /// 2026-11-23T12:00:00Z and so many hours.
    fn at(hours: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_435_200) + HOUR * hours
    }

    /// The leaf, or the trust, of this name, which ends at that hour.
    fn material(name: &str, hours: u32) -> Material {
        Material { not_after: at(hours), fingerprint: Fingerprint::of(name.as_bytes()) }
    }

    fn controller() -> ListenerName {
        ListenerName::new("CONTROLLER")
    }

    fn node(more: &str) -> NodeChannels {
        let lines = format!(
            "node.id=1\nprocess.roles=controller\ncontroller.quorum.voters=1@a:1\n             controller.listener.names=CONTROLLER\nlisteners=CONTROLLER://a:1\n             listener.security.protocol.map=CONTROLLER:SSL\nssl.client.auth=required\nssl.keystore.location=/k\n             ssl.truststore.location=/t\n{more}"
        );
        NodeChannels::of(&NodeProperties::parse(lines.as_bytes()).unwrap(), None).unwrap()
    }

    fn installed(leaf: &str, ends: u32, trust: &str) -> Observation {
        let trust = Some(material(trust, 1000));
        let installed = Installed { leaf: Some(material(leaf, ends)), trust };
        Observation::Installed { listener: controller(), installed }
    }

    fn served(leaf: &str, ends: u32) -> Observation {
        Observation::Served { listener: controller(), leaf: material(leaf, ends) }
    }

    fn loaded(leaf: &str, trust: &str) -> Observation {
        let [leaf, trust] = [leaf, trust].map(|name| Some(Fingerprint::of(name.as_bytes())));
        Observation::Loaded { listener: controller(), side: Side::Client, leaf, trust }
    }

    /// Each observation an hour after the last.
    fn after(note: StartNote, observations: Vec<Observation>) -> Observed {
        let mut observed = Observed::new(note);
        for (observation, hour) in observations.into_iter().zip(0..) {
            observed.take(observation, at(hour));
        }
        observed
    }

    fn word(standing: Standing) -> &'static str {
        match standing {
            Standing::Served => "served",
            Standing::Loaded => "loaded",
            Standing::InUseUntilReconnect => "in use until reconnect",
            Standing::InUseUntilRestart => "in use until restart",
            Standing::Unknown => "unknown",
        }
    }

    /// Reason and sentence of each channel, fingerprints by their names.
    fn sentences(node: &NodeChannels, observed: &Observed) -> Vec<String> {
        let named = |sentence: String| {
            ["a", "b", "c", "t"].iter().fold(sentence, |sentence, name| {
                sentence.replace(&Fingerprint::of(name.as_bytes()).short(), name)
            })
        };
        let shown = |one: &ChannelCoverage| {
            named(format!("{}: {one}", one.cause.as_ref().map_or(word(one.standing), Cause::reason)))
        };
        coverage(node, observed).iter().map(shown).collect()
    }

    fn check(observations: Vec<Observation>, want: &[&str]) {
        assert_eq!(sentences(&node(""), &after(StartNote::default(), observations)), want);
    }

    #[test]
    fn the_raft_client_keeps_the_leaf_that_kafka_started_with() {
        let start = || vec![installed("a", 10, "t"), Observation::Away, Observation::Up, served("a", 10)];
        let raft = "RaftClientNotReloadable: raft client uses leaf a until 2026-11-23T22:00:00Z; Kafka must be restarted by then";
        check(
            start(),
            &[
                "served: listener CONTROLLER serves leaf a until 2026-11-23T22:00:00Z",
                raft,
                "in use until reconnect: controller registration client takes leaf a at its next connection until \
                 2026-11-23T22:00:00Z",
            ],
        );
        let renewed = [start(), vec![installed("b", 20, "t")]].concat();
        let still = raft.replace("client uses", "client still uses");
        check(
            renewed.clone(),
            &[
                "LeafBehind: listener CONTROLLER still serves leaf a until 2026-11-23T22:00:00Z",
                &still,
                "ListenersBehind: which leaf the controller registration client uses is not known",
            ],
        );
        check(
            [renewed, vec![served("b", 20)]].concat(),
            &[
                "served: listener CONTROLLER serves leaf b until 2026-11-24T08:00:00Z",
                &still,
                "in use until reconnect: controller registration client takes leaf b at its next connection until \
                 2026-11-24T08:00:00Z",
            ],
        );
    }

    #[test]
    fn without_the_start_seen_nothing_is_claimed_and_the_first_end_is_the_deadline() {
        let want = "KafkaStartUnseen: which leaf the raft client uses is not known; Kafka must be restarted by \
                    2026-11-23T22:00:00Z";
        let observed = after(
            StartNote::default(),
            vec![installed("a", 10, "t"), Observation::Up, installed("b", 20, "t")],
        );
        assert_eq!(sentences(&node(""), &observed)[1], want);
        let went = after(
            StartNote::default(),
            vec![installed("a", 10, "t"), Observation::Up, Observation::Away, installed("a", 10, "t")],
        );
        assert_eq!(
            sentences(&node(""), &went)[1],
            "KafkaNotRunning: which leaf the raft client uses is not known"
        );
    }

    #[test]
    fn a_leaf_that_came_while_kafka_started_may_be_too_late_or_not() {
        let raft = |observations| sentences(&node(""), &after(StartNote::default(), observations))[1].clone();
        let uses = |leaf: &str, until: &str| {
            format!(
                "RaftClientNotReloadable: raft client {leaf} until {until}; Kafka must be restarted by then"
            )
        };
        let during = [
            installed("a", 10, "t"),
            Observation::Away,
            installed("b", 20, "t"),
            Observation::Up,
            installed("c", 30, "t"),
        ];
        assert_eq!(raft(during.to_vec()), uses("still uses leaf a", "2026-11-23T22:00:00Z"));
        // An hour before Kafka was away nobody can have read the old one for this start.
        let before = [installed("a", 10, "t"), installed("b", 20, "t"), Observation::Away, Observation::Up];
        assert_eq!(raft(before.to_vec()), uses("uses leaf b", "2026-11-24T08:00:00Z"));
        let mut observed = Observed::new(StartNote::default());
        for (observation, minute) in before.into_iter().zip(0..) {
            observed.take(observation, at(0) + Duration::from_secs(60 * minute));
        }
        assert_eq!(sentences(&node(""), &observed)[1], uses("still uses leaf a", "2026-11-23T22:00:00Z"));
    }

    #[test]
    fn the_note_of_the_agent_before_is_believed_until_kafka_was_away() {
        let first = after(
            StartNote::default(),
            vec![installed("a", 10, "t"), Observation::Away, Observation::Up, installed("b", 20, "t")],
        );
        let raft = |more: Vec<Observation>| {
            let note = StartNote::decode(&first.note().encode()).unwrap();
            sentences(&node(""), &after(note, more))[1].clone()
        };
        assert_eq!(
            raft(vec![installed("b", 20, "t"), Observation::Up]),
            "RaftClientNotReloadable: raft client still uses leaf a until 2026-11-23T22:00:00Z; Kafka must be restarted \
             by then"
        );
        assert_eq!(
            raft(vec![installed("b", 20, "t"), Observation::Away, Observation::Up]),
            "RaftClientNotReloadable: raft client uses leaf b until 2026-11-24T08:00:00Z; Kafka must be restarted by then"
        );
    }

    #[test]
    fn with_the_engine_its_reports_count_and_no_restart_is_needed() {
        let node = node("ssl.engine.factory.class=dev.kraftlet.ssl.FileSslEngineFactory");
        let check = |observations: Vec<Observation>, want: &str| {
            assert_eq!(sentences(&node, &after(StartNote::default(), observations))[1], want);
        };
        let start = vec![installed("a", 10, "t"), Observation::Away, Observation::Up];
        check(start.clone(), "EngineReportMissing: which leaf the raft client uses is not known");
        let loaded_a = [start, vec![loaded("a", "t")]].concat();
        check(loaded_a.clone(), "loaded: raft client has leaf a loaded until 2026-11-23T22:00:00Z");
        let renewed = [loaded_a, vec![installed("b", 20, "c")]].concat();
        check(
            renewed.clone(),
            "LeafBehind: raft client still has leaf a loaded until 2026-11-23T22:00:00Z; it does not have the trust \
             anchors that are installed",
        );
        check(
            [renewed.clone(), vec![loaded("b", "c")]].concat(),
            "loaded: raft client has leaf b loaded until 2026-11-24T08:00:00Z",
        );
        let gone = [renewed, vec![loaded("b", "c"), Observation::Away]].concat();
        check(gone, "EngineReportMissing: which leaf the raft client uses is not known");
    }

    #[test]
    fn trust_that_cannot_be_reloaded_is_behind_and_has_a_deadline_of_its_own() {
        let start =
            vec![installed("a", 10, "t"), Observation::Away, Observation::Up, installed("a", 10, "c")];
        let observed = after(StartNote::default(), start);
        assert_eq!(
            sentences(&node(""), &observed)[1],
            "RaftClientNotReloadable: raft client uses leaf a until 2026-11-23T22:00:00Z; it does not have the trust \
             anchors that are installed; Kafka must be restarted by then"
        );
        let login = node(
            "listener.security.protocol.map=CONTROLLER:SASL_SSL\nsasl.mechanism.controller.protocol=PLAIN",
        );
        assert_eq!(
            sentences(&login, &observed)[1],
            "RaftClientNotReloadable: raft client shows no leaf; it does not have the trust anchors that are installed; \
             Kafka must be restarted by 2027-01-04T04:00:00Z"
        );
        assert_eq!(restart_needed_by(&coverage(&login, &observed)), Some(at(1000)));
    }

    #[test]
    fn a_listener_with_inline_pem_shows_what_its_clients_were_started_with() {
        let inline = node("ssl.keystore.certificate.chain=x\nssl.keystore.key=x");
        let observed = after(
            StartNote::default(),
            vec![installed("b", 20, "t"), Observation::Up, served("a", 10), installed("b", 20, "t")],
        );
        assert_eq!(
            sentences(&inline, &observed)[..2],
            [
                "InlinePemNotReloadable: listener CONTROLLER still serves leaf a until 2026-11-23T22:00:00Z; Kafka \
                 must be restarted by then",
                "InlinePemNotReloadable: raft client still uses leaf a until 2026-11-23T22:00:00Z; Kafka must be \
                 restarted by then",
            ]
        );
    }
}
