//! The status that another agent, or who pretends to be one, answers.
#![no_main]

use std::time::Duration;
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;

use kraftlet::health::document;
use kraftlet::health::page;
use kraftlet::health::probe;
use kraftlet::health::snapshot::Snapshot;

fuzz_target!(|bytes: &[u8]| {
    match document::parse(bytes) {
        Ok(snapshot) => {
            let again = document::render(&snapshot);
            assert_eq!(document::parse(again.as_bytes()).unwrap(), snapshot);
            show(&snapshot);
        }
        Err(error) => drop(error.to_string()),
    }
    if let Ok(order) = document::parse_order(bytes) {
        assert_eq!(document::parse_order(document::render_order(&order).as_bytes()).unwrap(), order);
    }
});

/// What is made of a snapshot, whatever times stand in it.
fn show(snapshot: &Snapshot) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
    let _ = snapshot.verdict(now);
    let _ = page::render(snapshot, now);
    let _ = (probe::readyz(snapshot, now), probe::startupz(snapshot), probe::safe_to_stop(snapshot, now));
}
