//! `server.properties` and fragments of it, in Java's format.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::kafka::properties;
use kraftlet::reload::node_properties::ListenerName;
use kraftlet::reload::node_properties::NodeProperties;

fuzz_target!(|bytes: &[u8]| match properties::parse(bytes) {
    Ok(pairs) => {
        let text: String =
            pairs.iter().map(|(key, value)| properties::render_line(key, value) + "\n").collect();
        assert_eq!(properties::parse(text.as_bytes()).as_ref(), Ok(&pairs));
        let node = NodeProperties::from_pairs(pairs);
        let _ = (node.list("listeners"), node.of_listener(&ListenerName::new("CLIENT"), "ssl.keystore.type"));
    }
    Err(error) => drop(error.to_string()),
});
