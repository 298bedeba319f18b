//! The snapshot as JSON, both ways: `/v1/status`, version `kraftlet.dev/v1`.
//!
//! What a peer says is read with a bound and with every value checked that is known here; what is not known is passed
//! over, for the peer may be newer. A word or a date that cannot be is an error and not a guess: a change of CA is
//! decided by it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value as Json;

use crate::health::certificate::Anchor;
use crate::health::certificate::Certificate;
use crate::health::certificate::Leaf;
use crate::health::certificate::Outcome;
use crate::health::certificate::State;
use crate::health::certificate::Trust;
use crate::health::channel::Channel;
use crate::health::channel::InUse;
use crate::health::order::OrderState;
use crate::health::order::OrderStatus;
use crate::health::quorum_document::BrokerShape;
use crate::health::quorum_document::MemberShape;
use crate::health::quorum_document::QuorumShape;
use crate::health::quorum_document::StartupShape;
use crate::health::quorum_document::StopShape;
use crate::health::snapshot::Agent;
use crate::health::snapshot::Condition;
use crate::health::snapshot::Event;
use crate::health::snapshot::Mode;
use crate::health::snapshot::Node;
use crate::health::snapshot::Settings;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::text::Word;
use crate::health::wire::Milliseconds;
use crate::health::wire::Number;
use crate::health::wire::OneOf;
use crate::health::wire::ReloadWord;
use crate::health::wire::RolesWord;
use crate::health::wire::Said;
use crate::health::wire::Time;
use crate::health::wire::Wire;
use crate::health::wire::shape;
use crate::pki::certificate::Fingerprint;
use crate::quorum::view::Stop;
use crate::reload::coverage::Standing;

/// A document that is no status.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Larger than any status.
    #[error("a status of {size} bytes; want at most {MOST_BYTES}")]
    TooLarge {
        /// Bytes found.
        size: usize,
    },
    /// No JSON, or a value in it that cannot be.
    #[error("not a status of version {API_VERSION}: {0}")]
    Unreadable(Text),
}

impl DocumentError {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        "StatusUnreadable"
    }
}

/// Fifty events and fifty orders with sentences of the greatest length, in letters of four bytes, have 250 KB; the rest
/// is for certificates and channels.
pub const MOST_BYTES: usize = 1024 * 1024;

const API_VERSION: &str = "kraftlet.dev/v1";

/// The document of a whole snapshot.
pub fn render(snapshot: &Snapshot) -> String {
    print(&StatusShape::of(snapshot))
}

/// The document of an order's status.
pub fn render_order(order: &OrderStatus) -> String {
    print(&OrderShape::of(order))
}

/// The answer to whoever wants to stop this node: whether that may be, the same for a person, and what is known.
pub fn render_stop(safe: bool, sentence: &str, stop: Option<&Stop>) -> String {
    print(&MayStopShape { safe, sentence: Said::of(&sentence.to_owned()), stop: stop.map(Wire::of) })
}

/// Reads what [`render`] writes.
pub fn parse(bytes: &[u8]) -> Result<Snapshot, DocumentError> {
    read::<StatusShape>(bytes).map(Wire::inside)
}

/// Reads what [`render_order`] writes.
pub fn parse_order(bytes: &[u8]) -> Result<OrderStatus, DocumentError> {
    read::<OrderShape>(bytes).map(Wire::inside)
}

/// Reads whether a node may stop, and else why not, from what [`render_stop`] writes.
pub fn parse_stop(bytes: &[u8]) -> Result<Result<(), Text>, DocumentError> {
    let MayStopShape { safe, sentence, .. } = read(bytes)?;
    let sentence: String = sentence.inside();
    Ok(if safe { Ok(()) } else { Err(Text::new(sentence)) })
}

/// The same as [`render`], to be put into another document.
pub fn json(snapshot: &Snapshot) -> Json {
    serde_json::to_value(StatusShape::of(snapshot)).unwrap_or_default()
}

fn print(shape: &impl Serialize) -> String {
    // Every key is a text and every value has a form in JSON, so there is nothing that could fail.
    let text = serde_json::to_string_pretty(shape).unwrap_or_default();
    text + "\n"
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DocumentError> {
    if bytes.len() > MOST_BYTES {
        return Err(DocumentError::TooLarge { size: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(|error| DocumentError::Unreadable(Text::new(error)))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusShape {
    api_version: ApiVersion,
    at: Said<Time>,
    node: NodeShape,
    agent: AgentShape,
    certificates: Vec<CertificateShape>,
    channels: Vec<ChannelShape>,
    // An agent of the first version does not send these.
    #[serde(default)]
    quorum: Option<QuorumShape>,
    #[serde(default)]
    member: Option<MemberShape>,
    #[serde(default)]
    broker: Option<BrokerShape>,
    #[serde(default)]
    startup: Option<StartupShape>,
    #[serde(default)]
    stop: Option<StopShape>,
    /// Whether there are any of the keys that follow.
    #[serde(default)]
    restart_pending: Option<bool>,
    #[serde(default)]
    changed_keys: Option<Vec<Said<Text>>>,
    conditions: Vec<ConditionShape>,
    events: Vec<EventShape>,
    orders: Vec<OrderShape>,
}

#[derive(Serialize, Deserialize)]
struct MayStopShape {
    safe: bool,
    sentence: Said<Text>,
    stop: Option<StopShape>,
}

#[derive(Serialize, Deserialize)]
enum ApiVersion {
    #[serde(rename = "kraftlet.dev/v1")]
    V1,
}

impl Wire<Snapshot> for StatusShape {
    fn of(inside: &Snapshot) -> Self {
        Self {
            api_version: ApiVersion::V1,
            at: Wire::of(&inside.at),
            node: Wire::of(&inside.node),
            agent: Wire::of(&inside.agent),
            certificates: Wire::of(&inside.certificates),
            channels: Wire::of(&inside.channels),
            quorum: Wire::of(&inside.quorum),
            member: Wire::of(&inside.member),
            broker: Wire::of(&inside.broker),
            startup: Wire::of(&inside.startup),
            stop: Wire::of(&inside.stop),
            restart_pending: inside.settings.as_ref().map(Settings::is_pending),
            changed_keys: inside.settings.as_ref().map(|settings| Wire::of(&settings.changed_keys)),
            conditions: Wire::of(&inside.conditions),
            events: Wire::of(&inside.events),
            orders: Wire::of(&inside.orders),
        }
    }

    fn inside(self) -> Snapshot {
        let ApiVersion::V1 = self.api_version;
        Snapshot {
            at: self.at.inside(),
            node: self.node.inside(),
            agent: self.agent.inside(),
            certificates: self.certificates.inside(),
            channels: self.channels.inside(),
            quorum: self.quorum.inside(),
            member: self.member.inside(),
            broker: self.broker.inside(),
            startup: self.startup.inside(),
            stop: self.stop.inside(),
            settings: self.changed_keys.map(|keys| Settings { changed_keys: keys.inside() }),
            conditions: self.conditions.inside(),
            events: self.events.inside(),
            orders: self.orders.inside(),
        }
    }
}

shape!(NodeShape = Node {
    pod: Said<Text>,
    node_id: Number,
    roles: Said<RolesWord>,
    cluster_name: Option<Said<Text>>,
    cluster_id: Option<Said<Text>>,
});

shape!(AgentShape = Agent {
    version: Said<Text>,
    started_at: Said<Time>,
    mode: OneOf<Mode>,
    reload: Said<ReloadWord>,
});

shape!(CertificateShape = Certificate {
    name: Said<Text>,
    installed: Option<LeafShape>,
    state: OneOf<State>,
    next_renewal_at: Option<Said<Time>>,
    last_outcome: Option<OutcomeShape>,
    attempts: u32,
    turns: BTreeMap<Said<Word>, u64>,
    trust: TrustShape,
});

shape!(LeafShape = Leaf {
    fingerprint: Said<Fingerprint>,
    subject: Said<Text>,
    issuer: Said<Text>,
    not_before: Said<Time>,
    not_after: Said<Time>,
    anchor: Option<Said<Fingerprint>>,
});

shape!(OutcomeShape = Outcome {
    reason: Said<Word>,
    sentence: Said<Text>,
    at: Said<Time>,
    #[serde(rename = "tookMs")]
    took: Milliseconds,
    #[serde(rename = "verifyTookMs")]
    verify_took: Option<Milliseconds>,
});

shape!(TrustShape = Trust {
    anchors: Vec<AnchorShape>,
    proven: Vec<Said<Fingerprint>>,
    issued_by: Option<Vec<Said<Fingerprint>>>,
    stage: Said<Word>,
    waits_for: Vec<Said<Text>>,
    since: Said<Time>,
});

shape!(AnchorShape = Anchor {
    fingerprint: Said<Fingerprint>,
    subject: Said<Text>,
    not_after: Said<Time>,
});

shape!(ChannelShape = Channel {
    name: Said<Text>,
    certificate: Said<Text>,
    leaf: Option<InUseShape>,
    standing: OneOf<Standing>,
    seen_at: Option<Said<Time>>,
    restart_needed_by: Option<Said<Time>>,
});

shape!(InUseShape = InUse {
    fingerprint: Said<Fingerprint>,
    not_after: Option<Said<Time>>,
    anchor: Option<Said<Fingerprint>>,
});

shape!(ConditionShape = Condition {
    reason: Said<Word>,
    sentence: Said<Text>,
    since: Said<Time>,
    matters_at: Said<Time>,
    #[serde(rename = "try")]
    remedy: Option<Said<Text>>,
});

shape!(EventShape = Event {
    at: Said<Time>,
    reason: Said<Word>,
    sentence: Said<Text>,
});

shape!(OrderShape = OrderStatus {
    number: u64,
    at: Said<Time>,
    state: OneOf<OrderState>,
    reason: Said<Word>,
    sentence: Said<Text>,
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::full;

    #[test]
    fn a_snapshot_comes_back_as_it_was() {
        let snapshot = full();
        assert_eq!(render(&snapshot), include_str!("../../tests/fixtures/status.json"));
        assert_eq!(parse(render(&snapshot).as_bytes()).unwrap(), snapshot);
        for order in snapshot.orders.iter() {
            assert_eq!(parse_order(render_order(order).as_bytes()).unwrap(), *order);
        }
    }

    #[test]
    fn what_is_said_of_a_stop_is_read() {
        assert_eq!(parse_stop(render_stop(true, "this node may stop", None).as_bytes()).unwrap(), Ok(()));
        let why = "PartitionsNotInSync: 3 partitions";
        let no = render_stop(false, why, full().stop.as_ref());
        assert_eq!(parse_stop(no.as_bytes()).unwrap(), Err(Text::new(why)));
        assert!(parse_stop(b"{}").is_err());
    }

    #[test]
    fn the_document_is_read_by_other_programs() {
        let json: serde_json::Value = serde_json::from_str(&render(&full())).unwrap();
        for (pointer, want) in [
            ("/apiVersion", "kraftlet.dev/v1"),
            ("/at", "2027-01-15T08:01:00Z"),
            ("/node/roles", "broker,controller"),
            ("/agent/mode", "managed"),
            ("/agent/reload", "adminApi"),
            ("/certificates/0/state", "Serving"),
            ("/certificates/0/lastOutcome/reason", "Renewed"),
            ("/channels/0/standing", "served"),
            ("/channels/1/restartNeededBy", "2027-01-15T08:01:50Z"),
            ("/conditions/0/mattersAt", "2027-01-15T08:01:50Z"),
            ("/conditions/0/try", "kubectl rollout restart statefulset/demo"),
        ] {
            assert_eq!(json.pointer(pointer).and_then(|value| value.as_str()), Some(want), "{pointer}");
        }
        assert_eq!(json.pointer("/certificates/0/lastOutcome/tookMs"), Some(&1234.into()));
    }

    /// The document with one text replaced, and how reading it ends: well, or with these words.
    fn check(from: &str, to: &str, want: Result<(), &str>) {
        let text = render(&full());
        assert!(text.contains(from), "{from}");
        match (parse(text.replacen(from, to, 1).as_bytes()), want) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            (got, want) => panic!("{to}: {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_known_is_checked() {
        check("\"pod\"", "\"moon\": [{}, 7], \"pod\"", Ok(()));
        check("\"pod\"", "\"pot\"", Err("missing field `pod`"));
        check("kraftlet.dev/v1", "kraftlet.dev/v2", Err("unknown variant `kraftlet.dev/v2`"));
        check("\"nodeId\": 0", "\"nodeId\": -1", Err("node id \"-1\" is not a whole number"));
        check("broker,controller", "broker,broker", Err("\"broker,broker\" are no process.roles"));
        check("adminApi", "magic", Err("\"magic\" is no way to reload; want engine or adminApi"));
        check("\"Serving\"", "\"Sleeping\"", Err("\"Sleeping\" is unknown; want one of Serving Fetching"));
        check("2027-01-15T08:01:00Z", "tomorrow", Err("at line 3"));
        check(
            "9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b",
            "5f3a",
            Err("a fingerprint has 64 hex digits in small letters"),
        );
        check("\"Settled\"", "\"not settled\"", Err("\"not settled\" is no word; want UpperCamelCase"));
        check("\"tookMs\": 1234", "\"tookMs\": -1", Err("invalid value: integer `-1`"));
        check("demo-0", "a\\u001b[2Jb", Ok(()));
    }

    #[test]
    fn hostile_bytes_are_an_error_and_nothing_worse() {
        for bytes in [
            vec![],
            b"\xff\xfe".to_vec(),
            b"[".repeat(MOST_BYTES),
            b"{\"node\":".repeat(1000),
            vec![b' '; MOST_BYTES + 1],
            b"{} {}".to_vec(),
        ] {
            let error = parse(&bytes).unwrap_err();
            assert_eq!(error.reason(), "StatusUnreadable");
            assert!(error.to_string().len() < 1000, "{error}");
        }
        let text = render(&full());
        for length in 0..text.len().saturating_sub(1) {
            assert!(parse(&text.as_bytes()[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_terminal_shows_a_peers_words_and_does_not_obey_them() {
        let text = render(&full()).replace("demo-0", "a\\u001b[2Jb\\u0000");
        assert_eq!(parse(text.as_bytes()).unwrap().node.pod.as_str(), "a [2Jb ");
    }
}
