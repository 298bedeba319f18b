//! What a listener answers. The first byte says to which question; the first half of the header is there already.
#![no_main]

use libfuzzer_sys::fuzz_target;

use kraftlet::kafka::alter_configs::decode_unset;
use kraftlet::kafka::describe_quorum::decode_describe_quorum;
use kraftlet::kafka::login::Login;
use kraftlet::kafka::login::Mechanism;
use kraftlet::kafka::node_id::NodeId;
use kraftlet::kafka::requests::decode_api_versions;
use kraftlet::kafka::sasl::decode_authenticate;
use kraftlet::kafka::sasl::decode_handshake;
use kraftlet::kafka::scram::ScramMechanism;
use kraftlet::kafka::scram_client::ClientFirst;
use kraftlet::kafka::topic_configs::decode_min_insync_replicas;
use kraftlet::kafka::topics::decode_describe_topic_partitions;
use kraftlet::kafka::topics::decode_metadata;

fuzz_target!(|bytes: &[u8]| {
    let Some((question, body)) = bytes.split_first() else { return };
    let answer = [&[0, 0, 0, 5], body].concat();
    match question {
        b'v' => drop(decode_api_versions(&answer, 5)),
        b'0' | b'1' | b'2' => drop(decode_describe_quorum(&answer, i16::from(question - b'0'), 5)),
        b'u' => drop(decode_unset(&answer, NodeId::try_from(7).unwrap(), 5)),
        b't' => {
            // The next page's cursor is what an attacker gets to choose for the question after it.
            if let Ok(page) = decode_describe_topic_partitions(&answer, None, 5)
                && let Some(next) = page.next
            {
                let again = decode_describe_topic_partitions(&answer, Some(&next), 5);
                assert!(again.is_err(), "the same page twice");
            }
        }
        b'm' => drop(decode_metadata(&answer, 5)),
        b'c' => drop(decode_min_insync_replicas(&answer, &["a", "b"], 5)),
        b'h' => drop(decode_handshake(&answer, 5)),
        b'a' => drop(decode_authenticate(&answer, 5)),
        b's' => scram(body),
        _ => {}
    }
});

/// The server's first and last message, divided by a line feed.
fn scram(messages: &[u8]) {
    let login =
        Login::new(Mechanism::Scram(ScramMechanism::Sha256), "ada", "sesame".to_owned().into()).unwrap();
    let mut messages = messages.splitn(2, |byte| *byte == b'\n');
    let (first, last) = (messages.next().unwrap_or_default(), messages.next().unwrap_or_default());
    if let Ok(answer) = ClientFirst::new(&login, ScramMechanism::Sha256, [0; 24]).prove(first) {
        assert!(answer.check(last).is_err(), "nobody but the server can sign");
    }
}
