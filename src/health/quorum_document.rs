//! The quorum in the document: one shape for each answer of [`crate::quorum::view`].

use crate::health::text::Text;
use crate::health::wire::Milliseconds;
use crate::health::wire::Number;
use crate::health::wire::OneOf;
use crate::health::wire::Said;
use crate::health::wire::Time;
use crate::health::wire::shape;
use crate::kafka::uuid::Uuid;
use crate::quorum::view::Blocker;
use crate::quorum::view::Broker;
use crate::quorum::view::BrokerStanding;
use crate::quorum::view::Member;
use crate::quorum::view::MemberStanding;
use crate::quorum::view::Note;
use crate::quorum::view::Quorum;
use crate::quorum::view::QuorumState;
use crate::quorum::view::Recovery;
use crate::quorum::view::Startup;
use crate::quorum::view::Stop;
use crate::quorum::view::Voter;
use crate::quorum::view::VoterStanding;

shape!(QuorumShape = Quorum {
    state: OneOf<QuorumState>,
    sentence: Said<Text>,
    since: Said<Time>,
    seen_at: Option<Said<Time>>,
    leader: Option<Number>,
    epoch: Option<i32>,
    epochs_per_minute: u32,
    high_watermark: Option<i64>,
    voters: Vec<VoterShape>,
    spare: Option<u32>,
});

shape!(VoterShape = Voter {
    node_id: Number,
    directory_id: Option<Said<Uuid>>,
    standing: OneOf<VoterStanding>,
    lag: Option<u64>,
    #[serde(rename = "lastFetchAgoMs")]
    last_fetch_ago: Option<Milliseconds>,
});

shape!(MemberShape = Member {
    standing: OneOf<MemberStanding>,
    sentence: Said<Text>,
    since: Said<Time>,
});

shape!(BrokerShape = Broker {
    standing: OneOf<BrokerStanding>,
    sentence: Said<Text>,
    since: Said<Time>,
    metadata_lag: Option<u64>,
});

shape!(StartupShape = Startup {
    formatted: bool,
    metadata_applied: bool,
    recovery: Option<RecoveryShape>,
});

shape!(RecoveryShape = Recovery { done: u64, all: u64 });

shape!(StopShape = Stop {
    blockers: Vec<BlockerShape>,
    notes: Vec<NoteShape>,
    seen_at: Option<Said<Time>>,
    announced_at: Option<Said<Time>>,
    released_at: Option<Said<Time>>,
});

shape!(BlockerShape = Blocker {
    reason: Said<Text>,
    sentence: Said<Text>,
});

shape!(NoteShape = Note {
    reason: Said<Text>,
    sentence: Said<Text>,
});
