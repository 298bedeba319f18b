//! The settings, which a person writes. What is wrong with them is shown with their lines.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::cluster::parse;

fuzz_target!(|bytes: &[u8]| {
    if let Err(problems) = parse::parse("cluster.yaml", bytes) {
        let _ = problems.to_string();
    }
});
