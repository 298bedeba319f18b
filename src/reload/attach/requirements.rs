//! What a new certificate of a foreign node must be, for preflight.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::certificates::requirements::Authorization;
use crate::certificates::requirements::Requirements;
use crate::certificates::requirements::ShownTo;
use crate::cluster::settings::SecurityProtocol;
use crate::pki::certificate::Certificate;
use crate::pki::hostname::Host;
use crate::reload::attach::attached::Attached;
use crate::reload::attach::attached::AttachedCertificate;
use crate::reload::channel::Channel;
use crate::reload::channel::ChannelName;
use crate::reload::channel::LeafShown;
use crate::reload::listener;
use crate::reload::listener::NodeListener;
use crate::reload::listener::Serves;

/// What must be true of a new certificate in the place of `certificate`. `in_use` is the leaf that Kafka has now:
/// where that is no super user, Kafka knows its nodes in another way (ACLs, a login), and the new one need not be.
pub fn requirements(
    attached: &Attached,
    certificate: &AttachedCertificate,
    in_use: Option<&Certificate>,
    warn_within: Duration,
) -> Requirements {
    let listeners = attached.listeners_of(certificate);
    let is_of_clients = |one: &&NodeListener| one.serves == Serves::Clients;
    let shown_by_clients = attached.node.channels.iter().any(|channel| match &channel.name {
        ChannelName::Client(_) => {
            certificate.listeners.contains(&channel.listener) && channel.leaf_shown != LeafShown::No
        }
        ChannelName::Listener(_) => false,
    });
    let to_clients_alone = !shown_by_clients && listeners.iter().all(is_of_clients);
    Requirements {
        hosts: hosts(&listeners),
        shown_to: if to_clients_alone { ShownTo::Clients } else { ShownTo::Peers },
        authorization: authorization(attached, certificate, in_use),
        warn_within,
    }
}

fn authorization(
    attached: &Attached,
    certificate: &AttachedCertificate,
    in_use: Option<&Certificate>,
) -> Authorization {
    // Where there is a login, it is the login that has a name.
    let is_known_by_leaf = |channel: &&Channel| {
        let protocol = listener::security_protocol(&attached.properties, &channel.listener);
        matches!(channel.name, ChannelName::Client(_))
            && certificate.listeners.contains(&channel.listener)
            && channel.leaf_shown != LeafShown::No
            && protocol == Ok(SecurityProtocol::Ssl)
    };
    let Some(channel) = attached.node.channels.iter().find(is_known_by_leaf) else {
        return Authorization::NotChecked;
    };
    if attached.properties.value("authorizer.class.name").is_none() {
        return Authorization::NotChecked;
    }
    let mapped = ["ssl.principal.mapping.rules", "principal.builder.class"];
    let mapping = mapped.into_iter().find(|key| {
        attached.properties.of_listener(&channel.listener, key).is_some_and(|value| value != "DEFAULT")
    });
    if let Some(key) = mapping {
        return Authorization::MappedBy(key.to_owned());
    }
    let all = attached.properties.value("super.users").unwrap_or_default().split(';');
    let users: BTreeSet<String> =
        all.map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
    match in_use {
        Some(leaf) if users.contains(&format!("User:{}", leaf.subject())) => Authorization::SuperUsers(users),
        Some(_) | None => Authorization::NotChecked,
    }
}

/// The names that clients and peers ask for, each once.
fn hosts(listeners: &[&NodeListener]) -> Vec<Host> {
    let hosts: BTreeSet<Host> = listeners.iter().filter_map(|one| one.tls_name.clone()).collect();
    hosts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use zeroize::Zeroizing;

    use super::*;
    use crate::certificates::finding::Finding;
    use crate::certificates::preflight;
    use crate::certificates::sources::small_file::FileError;
    use crate::pki::stores;
    use crate::pki::testing;
    use crate::pki::testing::Issued;

    const HAND_MADE: &str = include_str!("../../../tests/fixtures/attach/hand-made.properties");
    const STRIMZI: &str = include_str!("../../../tests/fixtures/attach/strimzi-pkcs12.properties");
    const HOST: &str = "*.demo-pods.demo.svc.cluster.local";

    /// A dedicated controller with a keystore of this leaf and this key, and this truststore.
    fn node(lines: &str, leaf: &Issued, key: &Issued, anchor: &Issued) -> Attached {
        let mut read = |path: &Path| match path.to_str().unwrap() {
            "/etc/kafka/tls/keystore.pem" => {
                Ok(stores::keystore_pem(&key.private_key(), [&leaf.certificate]))
            }
            "/etc/kafka/tls/ca.crt" => Ok(Zeroizing::new(stores::truststore_pem([&anchor.certificate]))),
            _ => Err(FileError::Missing),
        };
        Attached::new(Path::new("/s"), lines.as_bytes(), None, &mut read).unwrap()
    }

    #[test]
    fn what_nobody_should_be_served_is_named_in_a_sentence() {
        let (ca, stranger) = (testing::root("ca"), testing::root("stranger"));
        let leaf = |name: &str, host: &str| ca.sign(testing::leaf_params(name, &[host]));
        let in_use = leaf("demo-pods.demo.svc", HOST);
        let check = |leaf: &Issued, key: &Issued, anchor: &Issued, want: &[&str]| {
            let node = node(HAND_MADE, leaf, key, anchor);
            let certificate = &node.certificates[0];
            let needed = requirements(&node, certificate, Some(&in_use.certificate), Duration::ZERO);
            let findings = preflight::preflight(&certificate.bundle().unwrap(), &needed, testing::now());
            let shown = |finding: &Finding| format!("{}: {finding}", finding.reason());
            let short = leaf.certificate.fingerprint().short();
            let found: Vec<String> =
                findings.iter().map(|finding| shown(finding).replace(&short, "<leaf>")).collect();
            assert_eq!(found, want);
        };
        check(&in_use, &in_use, &ca, &[]);
        let mismatch = "KeyMismatch: the key does not belong to leaf <leaf> (CN=demo-pods.demo.svc)";
        check(&in_use, &ca, &ca, &[mismatch]);
        let mut params = testing::leaf_params("demo-pods.demo.svc", &[HOST]);
        params.not_after = (testing::now() - Duration::from_secs(3600)).into();
        let expired = ca.sign(params);
        let expired_at = "CertificateExpired: certificate CN=demo-pods.demo.svc expired at 2026-11-23T11:00:00Z; it is \
                          2026-11-23T12:00:00Z now";
        check(&expired, &expired, &ca, &[expired_at]);
        let incomplete = "ChainIncomplete: the chain ends at CN=demo-pods.demo.svc, whose issuer CN=ca is neither in the \
                          chain nor in the truststore";
        check(&in_use, &in_use, &stranger, &[incomplete]);
        let other = leaf("other", HOST);
        let principal = "PrincipalNotSuperUser: principal User:CN=other is not a super user; super.users has \
                         User:CN=demo-pods.demo.svc";
        check(&other, &other, &ca, &[principal]);
        let host = leaf("demo-pods.demo.svc", "b");
        let not_covered = "HostNotCovered: leaf <leaf> does not cover host \
                           kafka-controller-0.demo-pods.demo.svc.cluster.local; it has b";
        check(&host, &host, &ca, &[not_covered]);
    }

    #[test]
    fn who_is_known_in_another_way_need_not_be_a_super_user() {
        let ca = testing::root("ca");
        let leaf = ca.sign(testing::leaf_params("demo-pods.demo.svc", &[HOST]));
        let check = |lines: &str, in_use: Option<&Certificate>, want: Authorization| {
            let node = node(lines, &leaf, &leaf, &ca);
            let needed = requirements(&node, &node.certificates[0], in_use, Duration::ZERO);
            assert_eq!(needed.authorization, want, "{lines}");
        };
        let users = Authorization::SuperUsers(["User:CN=demo-pods.demo.svc".to_owned()].into());
        check(HAND_MADE, Some(&leaf.certificate), users);
        check(HAND_MADE, Some(&ca.certificate), Authorization::NotChecked);
        check(HAND_MADE, None, Authorization::NotChecked);
        let mapped = format!("{HAND_MADE}ssl.principal.mapping.rules=RULE:.*/node/\n");
        let key = "ssl.principal.mapping.rules".to_owned();
        check(&mapped, Some(&leaf.certificate), Authorization::MappedBy(key));
        let login = HAND_MADE.replace("CONTROLLER:SSL", "CONTROLLER:SASL_SSL");
        check(&login, Some(&leaf.certificate), Authorization::NotChecked);
        let nobody = HAND_MADE.replace("authorizer.class.name", "x");
        check(&nobody, Some(&leaf.certificate), Authorization::NotChecked);
    }

    #[test]
    fn peers_see_what_a_client_shows_and_clients_only_what_a_server_does() {
        let ca = testing::root("ca");
        let node = node(STRIMZI, &ca, &ca, &ca);
        let of = |certificate| requirements(&node, certificate, None, Duration::ZERO);
        let found: Vec<(&str, ShownTo, usize)> = node
            .certificates
            .iter()
            .map(|one| (one.name.as_str(), of(one).shown_to, of(one).hosts.len()))
            .collect();
        assert_eq!(found, [("replication-9091", ShownTo::Peers, 1), ("tls-9093", ShownTo::Clients, 1)]);
    }
}
