//! What an engine reports, in a folder that Kafka's container can write.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::reload::engine::report;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = report::parse(bytes) {
        let _ = error.to_string();
    }
});
