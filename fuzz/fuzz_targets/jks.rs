//! Other people's JKS stores.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::pki::jks::Jks;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = Jks::parse(bytes) {
        let _ = error.to_string();
    }
});
