//! `meta.properties` on a disk that may hold anything.
#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;

use kraftlet::kafka::meta_properties::MetaProperties;

fuzz_target!(|bytes: &[u8]| match MetaProperties::decode(bytes) {
    Ok(found) => {
        let again = found.encode(SystemTime::UNIX_EPOCH);
        assert_eq!(MetaProperties::decode(&again).as_ref(), Ok(&found));
    }
    Err(error) => drop(error.to_string()),
});
