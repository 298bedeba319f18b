//! A snapshot for tests, with something everywhere.

use std::time::Duration;
use std::time::SystemTime;

use crate::health::document;
use crate::health::snapshot::Snapshot;

/// A time of the tests: these seconds after the agent of [`full`] began, which was 2027-01-15T08:00:00Z.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

/// Leaves of two minutes; the raft client keeps an older one.
pub(crate) fn full() -> Snapshot {
    document::parse(include_bytes!("../../tests/fixtures/status.json")).unwrap()
}
