//! What an agent that ran before has noted of Kafka's start.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::reload::start_note::StartNote;

fuzz_target!(|bytes: &[u8]| match StartNote::decode(bytes) {
    Ok(note) => drop(StartNote::decode(&note.encode()).unwrap()),
    Err(error) => drop(error.to_string()),
});
