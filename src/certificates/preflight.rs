//! Whether a fetched certificate would work, before anything is written.
//!
//! Kafka itself checks little of this and late (Kafka 4.3.1 and 4.4.0, seen on real nodes): an expired leaf or the key
//! of another leaf stops a broker in its self-test, but a dedicated controller starts with either and fails in every
//! handshake; a leaf whose principal is not authorised ends the process at the next leader change. So everything that
//! is wrong is found here and said at once.

use std::time::Duration;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::certificates::bundle::Bundle;
use crate::certificates::finding::Finding;
use crate::certificates::requirements::Authorization;
use crate::certificates::requirements::Requirements;
use crate::certificates::requirements::ShownTo;
use crate::pki::certificate::Certificate;
use crate::pki::certificate::Role;
use crate::pki::chain;
use crate::pki::chain::VerifyError;

/// Everything that is wrong with `bundle` for this node at `now`, in the order key, leaf, chain, trust; empty when it
/// may be installed and nobody need know.
pub fn preflight(bundle: &Bundle, requirements: &Requirements, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_key(bundle, &mut findings);
    check_leaf(bundle.leaf(), requirements, &mut findings);
    check_signatures_and_dates(bundle, requirements, now, &mut findings);
    check_trust(bundle, requirements.shown_to, now, &mut findings);
    findings
}

fn check_key(bundle: &Bundle, findings: &mut Vec<Finding>) {
    let kind = bundle.key().kind();
    let leaf = bundle.leaf();
    if kind.is_weak() {
        findings.push(Finding::KeyTooWeak { kind: kind.clone() });
    } else if !kind.is_served_by_kafka() {
        findings.push(Finding::KeyNotServed { kind: kind.clone() });
    }
    // Of a key that we cannot load only the kind can be compared.
    let mismatch = if bundle.key().public_key().is_empty() {
        kind != leaf.key_kind()
    } else {
        !bundle.key().matches(leaf)
    };
    if mismatch {
        findings.push(Finding::KeyMismatch { leaf: short(leaf), subject: name(leaf) });
    }
}

fn check_leaf(leaf: &Certificate, requirements: &Requirements, findings: &mut Vec<Finding>) {
    if leaf.role() == Role::Ca {
        findings.push(Finding::LeafIsCa { leaf: short(leaf), subject: name(leaf) });
    }
    for &usage in requirements.shown_to.usages() {
        if !leaf.allows(usage) {
            findings.push(Finding::UsageMissing { leaf: short(leaf), usage });
        }
    }
    if !leaf.allows_digital_signature() {
        findings.push(Finding::SigningNotAllowed { leaf: short(leaf) });
    }
    for host in requirements.hosts.iter().filter(|host| !host.is_covered_by(leaf)) {
        findings.push(Finding::HostNotCovered {
            leaf: short(leaf),
            host: host.clone(),
            names: names_of(leaf),
        });
    }
    let principal = format!("User:{}", leaf.subject());
    match &requirements.authorization {
        Authorization::SuperUsers(super_users) if !super_users.contains(&principal) => {
            let super_users = super_users.iter().map(String::as_str).collect::<Vec<_>>().join(";");
            findings.push(Finding::NotSuperUser { principal, super_users });
        }
        Authorization::MappedBy(key) => {
            findings.push(Finding::PrincipalMapped {
                leaf: short(leaf),
                subject: name(leaf),
                key: key.clone(),
            });
        }
        Authorization::SuperUsers(_) | Authorization::NotChecked => {}
    }
}

fn check_signatures_and_dates(
    bundle: &Bundle,
    requirements: &Requirements,
    now: SystemTime,
    findings: &mut Vec<Finding>,
) {
    for certificate in bundle.chain() {
        let subject = name(certificate);
        // Nobody checks a root's signature on itself: it is trusted for its key.
        if let Some(hash) = certificate.weak_signature().filter(|_| !certificate.is_self_issued()) {
            findings.push(Finding::WeakSignature { subject: subject.clone(), hash });
        }
        if now < certificate.not_before() {
            let not_before = timestamp(certificate.not_before());
            findings.push(Finding::NotYetValid { subject, not_before, now: timestamp(now) });
        } else if certificate.not_after() < now {
            let not_after = timestamp(certificate.not_after());
            findings.push(Finding::Expired { subject, not_after, now: timestamp(now) });
        } else if ends_within(certificate, requirements.warn_within, now) {
            findings.push(Finding::ExpiresSoon { subject, not_after: timestamp(certificate.not_after()) });
        }
    }
    // Java and rustls trust an anchor whatever its dates are, OpenSSL's clients do not.
    for anchor in bundle.anchors().iter().filter(|anchor| bundle.chain().all(|known| known != *anchor)) {
        if ends_within(anchor, requirements.warn_within, now) {
            let not_after = timestamp(anchor.not_after());
            findings.push(Finding::ExpiresSoon { subject: name(anchor), not_after });
        }
    }
}

fn check_trust(bundle: &Bundle, shown_to: ShownTo, now: SystemTime, findings: &mut Vec<Finding>) {
    let leaf = bundle.leaf();
    let mut anchors = bundle.anchors().to_vec();
    if shown_to == ShownTo::Clients && !anchors.is_empty() {
        // Their truststore is not known. What we send them is verified as far as it goes.
        anchors.extend(bundle.intermediates().last().cloned());
    }
    if let Err(source) = chain::check_order(bundle.chain()) {
        findings.push(Finding::ChainOrder { source });
    }
    // A leaf out of its time has been named; whether it is trusted is asked for a time when all of the chain is valid.
    let begins_at = bundle.chain().map(Certificate::not_before).max().unwrap_or(now);
    let ends_at = bundle.chain().map(Certificate::not_after).min().unwrap_or(now);
    let at = now.max(begins_at).min(ends_at);
    let verify = |usage| chain::verify(leaf, bundle.intermediates(), &anchors, at, usage);
    let mut refused = Vec::new();
    match verify(None) {
        Ok(()) => {
            let allowed = shown_to.usages().iter().copied().filter(|usage| leaf.allows(*usage));
            refused.extend(allowed.filter_map(|usage| verify(Some(usage)).err()));
        }
        Err(VerifyError::NoAnchors) => findings.push(Finding::AnchorsMissing),
        Err(VerifyError::UnknownIssuer { .. }) => match shown_to {
            ShownTo::Peers => findings.push(no_path(bundle)),
            ShownTo::Clients => {}
        },
        // One of them is out of its time now, and has been named. That there is no time for all adds nothing.
        Err(VerifyError::Expired | VerifyError::NotYetValid) if ends_at < begins_at => {}
        // Named above, by the certificate that it is about.
        Err(VerifyError::CaAsLeaf) if leaf.role() == Role::Ca => {}
        Err(VerifyError::SignatureAlgorithm)
            if findings.iter().any(|finding| matches!(finding, Finding::WeakSignature { .. })) => {}
        Err(other) => refused.push(other),
    }
    for source in refused {
        findings.push(Finding::NotVerified { leaf: short(leaf), subject: name(leaf), source });
    }
}

/// Follows the names from the leaf upwards as far as the chain goes, to say where it ends.
fn no_path(bundle: &Bundle) -> Finding {
    let mut last = bundle.leaf();
    // Each certificate of the chain can be a step once at most.
    for _ in bundle.intermediates() {
        let next = bundle.intermediates().iter().find(|next| last.names_as_issuer(next) && *next != last);
        match next.filter(|_| !last.is_self_issued()) {
            Some(next) => last = next,
            None => break,
        }
    }
    if last.is_self_issued() {
        let leaf = bundle.leaf();
        return Finding::IssuerNotTrusted { leaf: short(leaf), subject: name(leaf), root: name(last) };
    }
    Finding::ChainIncomplete { last: name(last), wanted: last.issuer().to_owned() }
}

fn ends_within(certificate: &Certificate, within: Duration, now: SystemTime) -> bool {
    now.checked_add(within).is_none_or(|limit| certificate.not_after() <= limit)
}

fn short(certificate: &Certificate) -> String {
    certificate.fingerprint().short()
}

/// The subject, or the fingerprint where it is empty.
fn name(certificate: &Certificate) -> String {
    match certificate.subject() {
        "" => short(certificate),
        subject => subject.to_owned(),
    }
}

fn names_of(leaf: &Certificate) -> String {
    let addresses = leaf.ip_addresses().iter().map(ToString::to_string);
    let names: Vec<String> = leaf.dns_names().iter().cloned().chain(addresses).collect();
    if names.is_empty() { "no names".to_owned() } else { names.join(", ") }
}

/// RFC 3339 in UTC; a date beyond the year 9999 by its seconds.
fn timestamp(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| format!("{at:?}"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use rcgen::CertificateParams;
    use rcgen::DnType;
    use rcgen::ExtendedKeyUsagePurpose;
    use rcgen::KeyUsagePurpose;

    use super::*;
    use crate::certificates::finding::Severity;
    use crate::pki::private_key::PrivateKey;
    use crate::pki::testing;
    use crate::pki::testing::Issued;

    const SECOND: Duration = Duration::from_secs(1);

    fn requirements() -> Requirements {
        Requirements {
            hosts: ["kafka-0.kafka", "10.0.0.1"].iter().map(|host| host.parse().unwrap()).collect(),
            shown_to: ShownTo::Peers,
            authorization: Authorization::SuperUsers(
                ["User:CN=node".to_owned(), "User:CN=admin".to_owned()].into(),
            ),
            warn_within: testing::days(3),
        }
    }

    fn good() -> CertificateParams {
        testing::leaf_params("node", &["*.kafka", "10.0.0.1"])
    }

    /// Root, intermediate, leaf; the leaf changed as said.
    fn made(change: impl FnOnce(&mut CertificateParams)) -> (Issued, Issued, Issued) {
        let root = testing::root("root");
        let middle = root.sign(testing::ca_params("middle"));
        let mut params = good();
        change(&mut params);
        let leaf = middle.sign(params);
        (root, middle, leaf)
    }

    fn bundle(leaf: &Issued, between: &[&Issued], anchors: &[&Issued]) -> Bundle {
        let list = |all: &[&Issued]| all.iter().map(|one| one.certificate.clone()).collect::<Vec<_>>();
        Bundle::new(leaf.private_key(), leaf.certificate.clone(), list(between), list(anchors))
    }

    fn changed(change: impl FnOnce(&mut CertificateParams)) -> Bundle {
        let (root, middle, leaf) = made(change);
        bundle(&leaf, &[&middle], &[&root])
    }

    /// Reason and whole sentence of each finding, fingerprints as `<leaf>`.
    fn found(bundle: &Bundle, requirements: &Requirements) -> Vec<String> {
        let sentence = |finding: &Finding| {
            let cause = finding.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{}: {finding}{cause}", finding.reason()).replace(&short(bundle.leaf()), "<leaf>")
        };
        preflight(bundle, requirements, testing::now()).iter().map(sentence).collect()
    }

    fn check(bundle: &Bundle, want: &[&str]) {
        assert_eq!(found(bundle, &requirements()), want);
    }

    #[test]
    fn a_good_certificate_has_no_findings() {
        let (root, middle, leaf) = made(|_| {});
        check(&bundle(&leaf, &[&middle], &[&root]), &[]);
        check(&bundle(&leaf, &[&middle, &root], &[&root]), &[]);
        check(&bundle(&leaf, &[], &[&testing::root("other"), &middle]), &[]);
    }

    #[test]
    fn the_key_must_be_the_leafs_of_a_kind_kafka_serves_and_strong() {
        let (root, middle, leaf) = made(|_| {});
        let with_key = |key| {
            let between = vec![middle.certificate.clone()];
            Bundle::new(key, leaf.certificate.clone(), between, [root.certificate.clone()])
        };
        let fixture = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");
            PrivateKey::from_pem(&std::fs::read(format!("{folder}/{name}.pkcs8.pem")).unwrap()).unwrap()
        };
        let mismatch = "KeyMismatch: the key does not belong to leaf <leaf> (CN=node)";
        check(&with_key(root.private_key()), &[mismatch]);
        check(&with_key(fixture("rsa2048")), &[mismatch]);
        let ed25519 = "KeyNotServed: the key is Ed25519; want ECDSA on P-256, P-384 or P-521, or RSA of 2048 to 8192 bits, \
                       which Kafka can serve";
        check(&with_key(fixture("ed25519")), &[ed25519, mismatch]);
        let too_weak = |kind| {
            format!(
                "KeyTooWeak: the key is {kind}, which is too weak; want RSA of at least 2048 bits or ECDSA on P-256, \
                 P-384 or P-521"
            )
        };
        check(&with_key(fixture("rsa1024")), &[&too_weak("RSA of 1024 bits"), mismatch]);
        check(&with_key(fixture("p224")), &[&too_weak("ECDSA on curve P-224"), mismatch]);

        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let leaf = middle.sign_key(good(), pair);
        check(&bundle(&leaf, &[&middle], &[&root]), &[ed25519]);
    }

    #[test]
    fn the_chain_must_be_whole_in_order_and_of_one_family() {
        let (root, middle, leaf) = made(|_| {});
        let stranger = testing::root("stranger");
        let out_of_order = |position, subject, wanted| {
            format!(
                "ChainOutOfOrder: the chain is not in order: certificate {position} (\"CN={subject}\") is not the issuer \
                 of the one before it, which names \"CN={wanted}\""
            )
        };
        check(
            &bundle(&leaf, &[], &[&root]),
            &[
                "ChainIncomplete: the chain ends at CN=node, whose issuer CN=middle is neither in the chain nor in the truststore",
            ],
        );
        check(&bundle(&leaf, &[&root, &middle], &[&root]), &[&out_of_order(2, "root", "middle")]);
        check(&bundle(&leaf, &[&middle, &stranger], &[&root]), &[&out_of_order(3, "stranger", "root")]);
        check(
            &bundle(&leaf, &[&middle, &middle], &[&root]),
            &["ChainRepeats: the chain is not in order: certificate 3 (\"CN=middle\") is there twice"],
        );
    }

    #[test]
    fn the_truststore_must_trust_the_leaf() {
        let (root, middle, leaf) = made(|_| {});
        let (stranger, namesake) = (testing::root("stranger"), testing::root("root"));
        check(
            &bundle(&leaf, &[&middle, &root], &[&stranger]),
            &[
                "IssuerNotTrusted: the truststore does not trust leaf <leaf> (CN=node): its chain ends at root CN=root",
            ],
        );
        check(
            &bundle(&leaf, &[&middle], &[&namesake]),
            &[
                "ChainSignatureWrong: leaf <leaf> (CN=node) does not verify against the truststore: a signature in the chain \
               is not by the issuer it names",
            ],
        );
        check(
            &bundle(&leaf, &[&middle], &[]),
            &["TrustAnchorsMissing: no trust anchors; want at least one CA certificate"],
        );
    }

    #[test]
    fn dates_are_judged_to_the_second_and_do_not_hide_whether_it_is_trusted() {
        let dates = |from: SystemTime, to: SystemTime| {
            changed(|params| (params.not_before, params.not_after) = (from.into(), to.into()))
        };
        let now = testing::now();
        check(&dates(now, now + testing::days(4)), &[]);
        check(
            &dates(now + SECOND, now + testing::days(4)),
            &[
                "CertificateNotYetValid: certificate CN=node is not valid before 2026-11-23T12:00:01Z; it is 2026-11-23T12:00:00Z now",
            ],
        );
        let expired = "CertificateExpired: certificate CN=node expired at 2026-11-23T11:59:59Z; it is 2026-11-23T12:00:00Z now";
        check(&dates(now - testing::days(4), now - SECOND), &[expired]);
        check(
            &dates(now - testing::days(4), now),
            &["CertificateExpiresSoon: certificate CN=node expires at 2026-11-23T12:00:00Z"],
        );
        let (_, middle, leaf) = made(|params| params.not_after = (now - SECOND).into());
        let untrusted = "IssuerNotTrusted: the truststore does not trust leaf <leaf> (CN=node): its chain ends at root CN=alien";
        let alien = testing::root("alien");
        let of_alien = alien.sign({
            let mut params = good();
            params.not_after = (now - SECOND).into();
            params
        });
        check(&bundle(&of_alien, &[&alien], &[&middle]), &[expired, untrusted]);
        drop(leaf);
        // It ended before its issuer began: at no time is the whole chain valid.
        let before_its_issuer = dates(now - testing::days(4), now - testing::days(3));
        check(
            &before_its_issuer,
            &[
                "CertificateExpired: certificate CN=node expired at 2026-11-20T12:00:00Z; it is 2026-11-23T12:00:00Z now",
            ],
        );
    }

    #[test]
    fn an_intermediate_or_an_anchor_at_its_end_is_named() {
        let now = testing::now();
        let old_root = Issued::self_signed(
            {
                let mut params = testing::ca_params("old root");
                params.not_after = (now + testing::days(2)).into();
                params
            },
            &rcgen::PKCS_ECDSA_P256_SHA256,
        );
        let middle = old_root.sign({
            let mut params = testing::ca_params("middle");
            params.not_after = (now - SECOND).into();
            params
        });
        let leaf = middle.sign(good());
        check(
            &bundle(&leaf, &[&middle], &[&old_root]),
            &[
                "CertificateExpired: certificate CN=middle expired at 2026-11-23T11:59:59Z; it is 2026-11-23T12:00:00Z now",
                "CertificateExpiresSoon: certificate CN=old root expires at 2026-11-25T12:00:00Z",
            ],
        );
        let warnings = preflight(&bundle(&old_root.sign(good()), &[], &[&old_root]), &requirements(), now);
        assert!(
            warnings.iter().all(|finding| finding.severity() == Severity::Warning) && warnings.len() == 1
        );
    }

    #[test]
    fn the_leaf_must_serve_both_ends_and_be_no_ca() {
        let usages =
            |named: &[ExtendedKeyUsagePurpose]| changed(|params| params.extended_key_usages = named.to_vec());
        let [server, client] = ["server", "client"].map(|end| {
            let word = if end == "server" { "ServerAuthMissing" } else { "ClientAuthMissing" };
            format!("{word}: the extended key usage of leaf <leaf> does not name {end}Auth")
        });
        check(&usages(&[]), &[]);
        check(&usages(&[ExtendedKeyUsagePurpose::ServerAuth]), &[&client]);
        check(&usages(&[ExtendedKeyUsagePurpose::ClientAuth]), &[&server]);
        check(&usages(&[ExtendedKeyUsagePurpose::CodeSigning]), &[&server, &client]);
        check(
            &changed(|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
            &["DigitalSignatureNotAllowed: the key usage of leaf <leaf> does not allow digitalSignature"],
        );
        check(
            &changed(|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
            &["LeafIsCa: leaf <leaf> (CN=node) is a CA certificate"],
        );
    }

    #[test]
    fn a_ca_that_is_not_for_clients_is_found_though_the_leaf_is() {
        let root = testing::root("root");
        let mut params = testing::ca_params("middle");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let middle = root.sign(params);
        check(
            &bundle(&middle.sign(good()), &[&middle], &[&root]),
            &[
                "ChainUsageNotAllowed: leaf <leaf> (CN=node) does not verify against the truststore: a certificate in the \
               chain does not allow clientAuth",
            ],
        );
    }

    #[test]
    fn every_advertised_host_must_be_covered() {
        let ca = testing::root("root");
        let missing =
            |host, names| format!("HostNotCovered: leaf <leaf> does not cover host {host}; it has {names}");
        let other = ca.sign(testing::leaf_params("node", &["kafka-0.other", "10.0.0.1"]));
        check(&bundle(&other, &[], &[&ca]), &[&missing("kafka-0.kafka", "kafka-0.other, 10.0.0.1")]);
        let none = ca.sign(testing::leaf_params("node", &[]));
        check(
            &bundle(&none, &[], &[&ca]),
            &[&missing("kafka-0.kafka", "no names"), &missing("10.0.0.1", "no names")],
        );
    }

    #[test]
    fn the_principal_must_be_a_super_user_to_the_letter() {
        let other = changed(|params| params.distinguished_name.push(DnType::OrganizationName, "acme"));
        check(
            &other,
            &[
                "PrincipalNotSuperUser: principal User:O=acme,CN=node is not a super user; super.users has User:CN=admin;User:CN=node",
            ],
        );
        let unchecked = Requirements { authorization: Authorization::NotChecked, ..requirements() };
        assert_eq!(found(&other, &unchecked), Vec::<String>::new());
    }

    #[test]
    fn a_principal_that_is_mapped_is_a_warning() {
        let bundle = changed(|_| {});
        let by = Authorization::MappedBy("ssl.principal.mapping.rules".to_owned());
        let mapped = Requirements { authorization: by, ..requirements() };
        let want = "PrincipalNotChecked: ssl.principal.mapping.rules makes a principal of leaf <leaf> (CN=node) in a way \
                    of its own; whether it is a super user is not checked";
        assert_eq!(found(&bundle, &mapped), [want]);
        let findings = preflight(&bundle, &mapped, testing::now());
        assert!(findings.iter().all(|finding| finding.severity() == Severity::Warning));
    }

    #[test]
    fn clients_need_a_server_and_have_a_truststore_of_their_own() {
        let for_clients = Requirements {
            shown_to: ShownTo::Clients,
            authorization: Authorization::NotChecked,
            ..requirements()
        };
        let check = |bundle: &Bundle, want: &[&str]| assert_eq!(found(bundle, &for_clients), want);
        let server_only = |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        };
        let ours = testing::root("ours");
        let (root, middle, leaf) = made(server_only);
        check(&bundle(&leaf, &[&middle], &[&ours]), &[]);
        check(&bundle(&leaf, &[&middle, &root], &[&ours]), &[]);
        check(&bundle(&leaf, &[], &[&ours]), &[]);
        // What can be told without their truststore is told.
        check(
            &bundle(&leaf, &[&middle], &[]),
            &["TrustAnchorsMissing: no trust anchors; want at least one CA certificate"],
        );
        check(
            &changed(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            &["ServerAuthMissing: the extended key usage of leaf <leaf> does not name serverAuth"],
        );
        let namesake = testing::root("root").sign(testing::ca_params("middle"));
        let forged = found(&bundle(&leaf, &[&namesake], &[&ours]), &for_clients);
        assert!(forged.len() == 1 && forged[0].contains("does not verify"), "{forged:?}");
    }

    // Made once by OpenSSL 3.0, which still signs with SHA-1; rcgen does not.
    #[test]
    fn a_signature_with_sha_1_is_named() {
        let pem = include_bytes!("../../tests/fixtures/keys/sha1-leaf.pem");
        let mut certificates = chain::parse_pem(pem).unwrap();
        let root = certificates.pop().unwrap();
        let leaf = certificates.remove(0);
        let bundle = Bundle::new(PrivateKey::from_pem(pem).unwrap(), leaf, Vec::new(), [root]);
        check(&bundle, &["SignatureWeak: certificate CN=node is signed with SHA-1; want SHA-256 or better"]);
    }

    #[test]
    fn all_findings_come_at_once() {
        let alien = testing::root("alien");
        let mut params = testing::leaf_params("someone", &["elsewhere"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = (testing::now() - SECOND).into();
        let leaf = alien.sign(params);
        let bundle = Bundle::new(
            alien.private_key(),
            leaf.certificate,
            vec![testing::root("stray").certificate],
            [testing::root("root").certificate],
        );
        let reasons: Vec<&str> =
            preflight(&bundle, &requirements(), testing::now()).iter().map(Finding::reason).collect();
        let want = [
            "KeyMismatch",
            "ClientAuthMissing",
            "HostNotCovered",
            "HostNotCovered",
            "PrincipalNotSuperUser",
            "CertificateExpired",
            "ChainOutOfOrder",
            "ChainIncomplete",
        ];
        assert_eq!(reasons, want);
    }
}
