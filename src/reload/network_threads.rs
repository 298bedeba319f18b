//! How many handshakes it takes to meet every network thread of a listener.
//!
//! Each thread has stores of its own and reloads by itself. The acceptor hands connections to the threads in turn, so
//! that as many connections in a row as there are threads meet all of them, as long as nobody else connects meanwhile
//! (SocketServer.Acceptor); twice as many meet them even where half of the turns are somebody else's.

/// `num.network.threads` where nobody says otherwise (SocketServerConfigs).
const DEFAULT_THREADS: usize = 3;

/// More threads than any machine has for one listener; what a file says beyond that is not followed.
const MOST_THREADS: usize = 128;

/// How many handshakes in a row a listener is verified with; `properties` are the lines of
/// `server.properties`.
///
/// A listener's own key goes before the general one (DynamicBrokerConfig, KIP-402); controllers' listeners have the
/// same keys.
pub fn handshakes(properties: &[(String, String)], listener_name: &str) -> usize {
    let own = format!("listener.name.{}.num.network.threads", listener_name.to_lowercase());
    // Where a key stands twice, the last one counts (java.util.Properties).
    let value = |key: &str| properties.iter().rev().find(|(one, _)| one == key).map(|(_, value)| value);
    let said = value(&own).or_else(|| value("num.network.threads"));
    let threads = said.and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT_THREADS);
    2 * threads.clamp(1, MOST_THREADS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_is_met_twice() {
        for (lines, want) in [
            (&[][..], 6),
            (&[("num.network.threads", "5")], 10),
            (&[("num.network.threads", "5"), ("listener.name.client.num.network.threads", " 1 ")], 2),
            (&[("listener.name.internal.num.network.threads", "8")], 6),
            (&[("num.network.threads", "5"), ("num.network.threads", "4")], 8),
            (&[("num.network.threads", "0")], 2),
            (&[("num.network.threads", "many")], 6),
            (&[("num.network.threads", "99999999")], 256),
        ] {
            let line = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let lines: Vec<_> = lines.iter().map(line).collect();
            assert_eq!(handshakes(&lines, "CLIENT"), want);
        }
    }
}
