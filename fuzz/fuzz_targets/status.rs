//! The status that another agent, or who pretends to be one, answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::health::document;

fuzz_target!(|bytes: &[u8]| {
    match document::parse(bytes) {
        Ok(snapshot) => {
            let again = document::render(&snapshot);
            assert_eq!(document::parse(again.as_bytes()).unwrap(), snapshot);
        }
        Err(error) => drop(error.to_string()),
    }
    if let Ok(order) = document::parse_order(bytes) {
        assert_eq!(document::parse_order(document::render_order(&order).as_bytes()).unwrap(), order);
    }
});
