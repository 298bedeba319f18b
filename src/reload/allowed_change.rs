//! Whether a running Kafka would take a new leaf through the Admin API, asked before anything is installed.
//!
//! Kafka answers OK and decides later (SslFactory.validateReconfiguration): a leaf with another subject, or with a name
//! less, is not taken, and on the listener between brokers the old pair and the new one must accept each other. What it
//! refuses it only says in its log. Kafka reads `ssl.allow.*` (KIP-978) when it starts.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::reload::listener::NodeListener;
use crate::reload::listener::Serves;
use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::NodeProperties;

/// Why Kafka would keep the old leaf on a listener.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefusal {
    /// The subjects differ.
    #[error(
        "listener {listener}: Kafka would keep the old leaf: the subject would change from {old:?} to {new:?}, and \
         ssl.allow.dn.changes is not true"
    )]
    Subject {
        /// The listener.
        listener: ListenerName,
        /// The subject of the leaf in use.
        old: String,
        /// The subject of the new leaf.
        new: String,
    },
    /// The new leaf lacks names of the old one; more names are welcome.
    #[error(
        "listener {listener}: Kafka would keep the old leaf: the new one lacks {missing}, and ssl.allow.san.changes is \
         not true"
    )]
    Names {
        /// The listener.
        listener: ListenerName,
        /// The names it lacks.
        missing: String,
    },
    /// Trust has to come first, then the leaf.
    #[error(
        "listener {listener}: Kafka would keep the old leaf: the trust anchors in use do not trust leaf {leaf}; they \
         have to be installed with both CAs first"
    )]
    AheadOfTrust {
        /// The listener.
        listener: ListenerName,
        /// The new leaf, shortened.
        leaf: String,
    },
    /// The leaf has to move first, then trust.
    #[error(
        "listener {listener}: Kafka would keep the old leaf: the new trust anchors do not trust leaf {leaf}, which is \
         in use"
    )]
    TrustDropsLeaf {
        /// The listener.
        listener: ListenerName,
        /// The old leaf, shortened.
        leaf: String,
    },
}

impl ChangeRefusal {
    /// The word for logs, Events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Subject { .. } => "SubjectWouldChange",
            Self::Names { .. } => "NamesWouldBeLost",
            Self::AheadOfTrust { .. } => "LeafAheadOfTrust",
            Self::TrustDropsLeaf { .. } => "TrustDropsLeafInUse",
        }
    }
}

/// Everything for which Kafka would not take `new` in place of `old` on these listeners, which have both from one
/// store and are reloaded by the Admin API; empty when it would.
///
/// Dates are preflight's business: a leaf out of its time is judged for a time when it is valid.
pub fn refusals<'a>(
    properties: &NodeProperties,
    listeners: impl IntoIterator<Item = &'a NodeListener>,
    old: &Bundle,
    new: &Bundle,
    now: SystemTime,
) -> Vec<ChangeRefusal> {
    let mut refusals = Vec::new();
    let (old_leaf, new_leaf) = (old.leaf(), new.leaf());
    for listener in listeners {
        let name = || listener.name.clone();
        let allowed = |key| properties.of_listener(&listener.name, key).is_some_and(is_true);
        // KAFKA-14770: the text counts where the encodings differ.
        if !old_leaf.subject().eq_ignore_ascii_case(new_leaf.subject()) && !allowed("ssl.allow.dn.changes") {
            let (old, new) = (old_leaf.subject().to_owned(), new_leaf.subject().to_owned());
            refusals.push(ChangeRefusal::Subject { listener: name(), old, new });
        }
        let missing: Vec<String> = names(old_leaf).difference(&names(new_leaf)).cloned().collect();
        if !missing.is_empty() && !allowed("ssl.allow.san.changes") {
            refusals.push(ChangeRefusal::Names { listener: name(), missing: missing.join(", ") });
        }
        // SslFactory.SslEngineValidator, for the listener between brokers alone.
        if listener.serves == Serves::Brokers {
            if !is_trusted(new, old.anchors(), now) {
                let leaf = new_leaf.fingerprint().short();
                refusals.push(ChangeRefusal::AheadOfTrust { listener: name(), leaf });
            }
            if !is_trusted(old, new.anchors(), now) {
                let leaf = old_leaf.fingerprint().short();
                refusals.push(ChangeRefusal::TrustDropsLeaf { listener: name(), leaf });
            }
        }
    }
    refusals
}

/// As ConfigDef reads a boolean.
fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

fn names(leaf: &Certificate) -> BTreeSet<String> {
    let addresses = leaf.ip_addresses().iter().map(ToString::to_string);
    leaf.dns_names().iter().cloned().chain(addresses).collect()
}

fn is_trusted(pair: &Bundle, anchors: &[Certificate], now: SystemTime) -> bool {
    let begins_at = pair.chain().map(Certificate::not_before).max().unwrap_or(now);
    let ends_at = pair.chain().map(Certificate::not_after).min().unwrap_or(now);
    let at = now.max(begins_at).min(ends_at);
    chain::verify(pair.leaf(), pair.intermediates(), anchors, at, None).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing;
    use crate::pki::testing::Issued;
    use crate::reload::listener;

    fn made(ca: &Issued, trusted: &[&Issued], common_name: &str, hosts: &[&str]) -> Bundle {
        let leaf = ca.sign(testing::leaf_params(common_name, hosts));
        let anchors = trusted.iter().map(|ca| ca.certificate.clone());
        Bundle::new(leaf.private_key(), leaf.certificate.clone(), Vec::new(), anchors)
    }

    fn check(more: &str, old: &Bundle, new: &Bundle, want: &[&str]) {
        let lines = format!(
            "listeners=INTERNAL://a:1,EXTERNAL://a:2\nlistener.security.protocol.map=INTERNAL:SSL,EXTERNAL:SSL\n\
             inter.broker.listener.name=INTERNAL\n{more}"
        );
        let properties = NodeProperties::parse(lines.as_bytes()).unwrap();
        let listeners = listener::listeners(&properties).unwrap();
        let named = |sentence: String| {
            sentence
                .replace(&old.leaf().fingerprint().short(), "<old>")
                .replace(&new.leaf().fingerprint().short(), "<new>")
        };
        let found: Vec<String> = refusals(&properties, &listeners, old, new, testing::now())
            .iter()
            .map(|refusal| named(format!("{}: {refusal}", refusal.reason())))
            .collect();
        assert_eq!(found, want, "{more}");
    }

    #[test]
    fn another_subject_is_refused_unless_the_properties_allow_it() {
        let ca = testing::root("ca");
        let (old, new) = (made(&ca, &[&ca], "node", &["a"]), made(&ca, &[&ca], "other", &["a"]));
        let refusal = |listener| {
            format!(
                "SubjectWouldChange: listener {listener}: Kafka would keep the old leaf: the subject would change from \
                 \"CN=node\" to \"CN=other\", and ssl.allow.dn.changes is not true"
            )
        };
        check("", &old, &new, &[&refusal("INTERNAL"), &refusal("EXTERNAL")]);
        check("listener.name.internal.ssl.allow.dn.changes=true", &old, &new, &[&refusal("EXTERNAL")]);
        check("ssl.allow.dn.changes=TRUE", &old, &new, &[]);
        check("", &old, &made(&ca, &[&ca], "Node", &["a"]), &[]);
    }

    #[test]
    fn a_name_less_is_refused_and_a_name_more_is_not() {
        let ca = testing::root("ca");
        let [few, many] = [&["a"][..], &["a", "b", "10.0.0.1"]].map(|hosts| made(&ca, &[&ca], "node", hosts));
        let refusal = |listener| {
            format!(
                "NamesWouldBeLost: listener {listener}: Kafka would keep the old leaf: the new one lacks 10.0.0.1, b, and \
                 ssl.allow.san.changes is not true"
            )
        };
        check("", &few, &many, &[]);
        check("", &many, &few, &[&refusal("INTERNAL"), &refusal("EXTERNAL")]);
        check("ssl.allow.san.changes=true", &many, &few, &[]);
    }

    #[test]
    fn between_brokers_the_old_pair_and_the_new_must_accept_each_other() {
        let (old_ca, new_ca) = (testing::root("old"), testing::root("new"));
        let of = |ca, trusted: &[&Issued]| made(ca, trusted, "node", &["a"]);
        let ahead = "LeafAheadOfTrust: listener INTERNAL: Kafka would keep the old leaf: the trust anchors in use do not \
                     trust leaf <new>; they have to be installed with both CAs first";
        let drops = "TrustDropsLeafInUse: listener INTERNAL: Kafka would keep the old leaf: the new trust anchors do not \
                     trust leaf <old>, which is in use";
        let old = of(&old_ca, &[&old_ca]);
        let both = of(&old_ca, &[&old_ca, &new_ca]);
        check("", &old, &of(&new_ca, &[&new_ca]), &[ahead, drops]);
        check("", &old, &of(&new_ca, &[&old_ca, &new_ca]), &[ahead]);
        check("", &both, &of(&new_ca, &[&new_ca]), &[drops]);
        check("", &old, &both, &[]);
        check("", &both, &of(&new_ca, &[&old_ca, &new_ca]), &[]);
        check("", &of(&new_ca, &[&old_ca, &new_ca]), &of(&new_ca, &[&new_ca]), &[]);
    }

    #[test]
    fn an_old_leaf_that_has_expired_is_no_reason_to_refuse() {
        let ca = testing::root("ca");
        let mut params = testing::leaf_params("node", &["a"]);
        params.not_before = (testing::now() - testing::days(3)).into();
        params.not_after = (testing::now() - testing::days(2)).into();
        let leaf = ca.sign(params);
        let anchors = [ca.certificate.clone()];
        let old = Bundle::new(leaf.private_key(), leaf.certificate.clone(), Vec::new(), anchors);
        check("", &old, &made(&ca, &[&ca], "node", &["a"]), &[]);
    }
}
