//! The steps that put a checked certificate where Kafka reads it, and whether the one that is there may stay.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::finding::Severity;
use crate::certificates::preflight;
use crate::certificates::request::Request;
use crate::certificates::requirements::Requirements;
use crate::certificates::schedule::Schedule;
use crate::disk::step::Content;
use crate::disk::step::Step;
use crate::pki::certificate::Certificate;
use crate::pki::chain;
use crate::pki::hostname::Host;
use crate::pki::key_kind::KeyKind;
use crate::pki::private_key::PrivateKey;
use crate::pki::stores;
use crate::pki::stores::StoreError;
use crate::pki::stores::StorePassword;

/// The form of the stores, as in `ssl.keystore.type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// `keystore.pem` and `truststore.pem`, without a password.
    Pem,
    /// `keystore.p12` and `truststore.p12`, both with this password.
    Pkcs12 {
        /// Of both stores.
        password: StorePassword,
    },
}

impl StoreKind {
    /// The keystore's file name.
    pub fn keystore_name(&self) -> &'static str {
        match self {
            Self::Pem => "keystore.pem",
            Self::Pkcs12 { .. } => "keystore.p12",
        }
    }

    /// The truststore's file name.
    pub fn truststore_name(&self) -> &'static str {
        match self {
            Self::Pem => "truststore.pem",
            Self::Pkcs12 { .. } => "truststore.p12",
        }
    }
}

/// Kafka may run under another user of the pod's group, so the group reads the key; others do not.
const KEYSTORE_MODE: u32 = 0o440;
/// Certificates are public.
const TRUSTSTORE_MODE: u32 = 0o444;
const FOLDER_MODE: u32 = 0o750;

/// The two stores that are on the disk, where they are there and can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// All bytes of the keystore.
    pub keystore: Option<Content>,
    /// All bytes of the truststore.
    pub truststore: Option<Content>,
}

/// The folder (its parent must be there), the truststore and then the keystore in it: a leaf is never there before the
/// trust in its issuer.
///
/// Preflight decides whether a bundle may be installed; this does not look again. A PKCS12 store is salted, so one
/// that is installed and holds the same keeps its bytes: equal bundles leave equal files.
pub fn steps(
    bundle: &Bundle,
    folder: &Path,
    kind: &StoreKind,
    installed: &Installed,
) -> Result<Vec<Step>, StoreError> {
    let (keystore, truststore) = match kind {
        StoreKind::Pem => {
            // Moved, not copied: the step's content is wiped in its turn.
            let mut keystore = stores::keystore_pem(bundle.key(), bundle.chain());
            (std::mem::take(&mut *keystore), stores::truststore_pem(bundle.anchors()))
        }
        StoreKind::Pkcs12 { password } => {
            let keystore = installed.keystore.as_ref().map(Content::bytes);
            let truststore = installed.truststore.as_ref().map(Content::bytes);
            let keystore = keystore.filter(|bytes| is_keystore_of(bundle, bytes, password));
            let truststore = truststore.filter(|bytes| is_truststore_of(bundle, bytes, password));
            (
                match keystore {
                    Some(same) => same.to_vec(),
                    None => stores::keystore_pkcs12(bundle.key(), bundle.chain(), password)?,
                },
                match truststore {
                    Some(same) => same.to_vec(),
                    None => stores::truststore_pkcs12(bundle.anchors(), password)?,
                },
            )
        }
    };
    Ok(vec![
        Step::CreateDir { path: folder.to_owned(), mode: FOLDER_MODE },
        Step::replace(folder.join(kind.truststore_name()), truststore, TRUSTSTORE_MODE),
        Step::replace(folder.join(kind.keystore_name()), keystore, KEYSTORE_MODE),
    ])
}

/// One of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Key and chain.
    Keystore,
    /// Trust anchors.
    Truststore,
}

impl Store {
    /// Its file name.
    pub fn name(self, kind: &StoreKind) -> &'static str {
        match self {
            Self::Keystore => kind.keystore_name(),
            Self::Truststore => kind.truststore_name(),
        }
    }

    fn mode(self) -> u32 {
        match self {
            Self::Keystore => KEYSTORE_MODE,
            Self::Truststore => TRUSTSTORE_MODE,
        }
    }

    fn content(self, installed: &Installed) -> Option<&Content> {
        match self {
            Self::Keystore => installed.keystore.as_ref(),
            Self::Truststore => installed.truststore.as_ref(),
        }
    }
}

/// The name under which the last good store is kept, beside the one that Kafka reads.
pub fn last_good_name(store: Store, kind: &StoreKind) -> String {
    format!("last-good-{}", store.name(kind))
}

/// Of the steps that install a bundle, those that write this store.
pub fn only(store: Store, kind: &StoreKind, steps: Vec<Step>) -> Vec<Step> {
    let writes = |step: &Step| match step {
        Step::ReplaceFile { path, .. } => path.file_name().is_some_and(|name| name == store.name(kind)),
        Step::CreateDir { .. } | Step::SyncDir { .. } => false,
    };
    steps.into_iter().filter(writes).collect()
}

/// Keeps what is installed as the last good store; nothing to do where nothing is.
pub fn keep_last_good(store: Store, folder: &Path, kind: &StoreKind, installed: &Installed) -> Option<Step> {
    let content = store.content(installed)?;
    Some(Step::replace(folder.join(last_good_name(store, kind)), content.bytes(), store.mode()))
}

/// Puts the last good store back, if it was kept.
pub fn put_back(store: Store, folder: &Path, kind: &StoreKind, last_good: &Installed) -> Option<Step> {
    let content = store.content(last_good)?;
    Some(Step::replace(folder.join(store.name(kind)), content.bytes(), store.mode()))
}

fn is_keystore_of(bundle: &Bundle, bytes: &[u8], password: &StorePassword) -> bool {
    stores::read_keystore_pkcs12(bytes, password).is_some_and(|(key, chain)| {
        key.pkcs8_der() == bundle.key().pkcs8_der() && chain.iter().eq(bundle.chain())
    })
}

fn is_truststore_of(bundle: &Bundle, bytes: &[u8], password: &StorePassword) -> bool {
    let fingerprints =
        |all: &[Certificate]| -> BTreeSet<_> { all.iter().map(Certificate::fingerprint).collect() };
    stores::read_truststore_pkcs12(bytes, password)
        .is_some_and(|anchors| fingerprints(&anchors) == fingerprints(bundle.anchors()))
}

/// What is installed, as a bundle; `None` where a store is missing or cannot be read.
pub fn read(installed: &Installed, kind: &StoreKind) -> Option<Bundle> {
    let (keystore, truststore) = (installed.keystore.as_ref()?, installed.truststore.as_ref()?);
    let (key, chain) = read_keystore(keystore.bytes(), kind)?;
    let anchors = match kind {
        StoreKind::Pem => chain::parse_pem(truststore.bytes()).ok()?,
        StoreKind::Pkcs12 { password } => stores::read_truststore_pkcs12(truststore.bytes(), password)?,
    };
    let mut chain = chain.into_iter();
    Some(Bundle::new(key, chain.next()?, chain.collect(), anchors))
}

fn read_keystore(keystore: &[u8], kind: &StoreKind) -> Option<(PrivateKey, Vec<Certificate>)> {
    match kind {
        StoreKind::Pem => stores::read_keystore_pem(keystore),
        StoreKind::Pkcs12 { password } => stores::read_keystore_pkcs12(keystore, password),
    }
}

/// The installed pair as a bundle, if it is still what `request` asks for, passes preflight against `anchors` (the
/// source's trust as it is now), and is not due.
///
/// For sources that issue a fresh leaf whenever they are asked: a container that restarts keeps its leaf, so that
/// `init` twice is `init` once. An unreadable keystore is simply not kept.
pub fn keep(
    keystore: &[u8],
    kind: &StoreKind,
    anchors: &[Certificate],
    request: &Request,
    requirements: &Requirements,
    schedule: &Schedule,
    now: SystemTime,
) -> Option<Bundle> {
    let (key, chain) = read_keystore(keystore, kind)?;
    let mut chain = chain.into_iter();
    let bundle = Bundle::new(key, chain.next()?, chain.collect(), anchors.iter().cloned());
    let findings = preflight::preflight(&bundle, requirements, now);
    let stays = is_as_requested(bundle.leaf(), request)
        && now < schedule.due_at(bundle.leaf().validity())
        && findings.iter().all(|finding| finding.severity() == Severity::Warning);
    stays.then_some(bundle)
}

fn is_as_requested(leaf: &Certificate, request: &Request) -> bool {
    let names = leaf.dns_names().iter().cloned();
    let found: BTreeSet<String> = names.chain(leaf.ip_addresses().iter().map(ToString::to_string)).collect();
    let wanted: BTreeSet<String> = request.hosts().iter().map(Host::to_string).collect();
    let kind: KeyKind = request.key_algorithm().kind();
    found == wanted && *leaf.key_kind() == kind && leaf.common_name() == Some(request.common_name())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use zeroize::Zeroizing;

    use super::*;
    use crate::certificates::requirements::Authorization;
    use crate::certificates::requirements::ShownTo;
    use crate::certificates::schedule::Slot;
    use crate::pki::key_kind::KeyAlgorithm;
    use crate::pki::renew_point::RenewPoint;
    use crate::pki::testing;
    use crate::pki::testing::Issued;

    fn pkcs12() -> StoreKind {
        let password = StorePassword::new(Zeroizing::new("changeit".to_owned())).unwrap();
        StoreKind::Pkcs12 { password }
    }

    fn bundle(ca: &Issued, leaf: &Issued) -> Bundle {
        Bundle::new(leaf.private_key(), leaf.certificate.clone(), Vec::new(), [ca.certificate.clone()])
    }

    fn content(step: &Step) -> &Content {
        match step {
            Step::ReplaceFile { content, .. } => content,
            Step::CreateDir { .. } | Step::SyncDir { .. } => panic!("a folder has no content"),
        }
    }

    #[test]
    fn trust_comes_before_the_leaf_and_nothing_of_the_key_is_printed() {
        let ca = testing::root("ca");
        let bundle = bundle(&ca, &ca.sign(testing::leaf_params("node", &["a"])));
        let shown = |kind: &StoreKind| {
            let steps =
                steps(&bundle, Path::new("/run/kraftlet/tls/node"), kind, &Installed::default()).unwrap();
            let lines: Vec<String> = steps
                .iter()
                .map(|step| step.to_string().split(" bytes").next().unwrap_or_default().to_owned())
                .map(|line| line.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned())
                .collect();
            assert!(
                !format!("{steps:?}{kind:?}").contains("BEGIN") && !format!("{kind:?}").contains("changeit")
            );
            lines
        };
        let folder = "create directory /run/kraftlet/tls/node (mode 0750)";
        assert_eq!(
            shown(&StoreKind::Pem),
            [
                folder,
                "write /run/kraftlet/tls/node/truststore.pem (",
                "write /run/kraftlet/tls/node/keystore.pem ("
            ]
        );
        assert_eq!(
            shown(&pkcs12()),
            [
                folder,
                "write /run/kraftlet/tls/node/truststore.p12 (",
                "write /run/kraftlet/tls/node/keystore.p12 ("
            ]
        );
    }

    #[test]
    fn the_files_land_with_their_modes_and_equal_bundles_are_equal_bytes() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let ca = testing::root("ca");
        let bundle = bundle(&ca, &ca.sign(testing::leaf_params("node", &["a"])));
        let folder = root.path().join("node");
        let first = steps(&bundle, &folder, &StoreKind::Pem, &Installed::default()).unwrap();
        assert_eq!(first, steps(&bundle, &folder, &StoreKind::Pem, &Installed::default()).unwrap());
        crate::disk::io::apply(&first).unwrap();
        let mode = |name: &str| std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("."), mode("truststore.pem"), mode("keystore.pem")), (0o750, 0o444, 0o440));
    }

    fn due_at_67_percent() -> Schedule {
        Schedule::new(RenewPoint::from_percent(67).unwrap(), Slot::new("kafka", "kafka-0", 0, 3))
    }

    #[test]
    fn a_salted_store_that_holds_the_same_keeps_its_bytes() {
        let ca = testing::root("ca");
        let other = testing::root("other").certificate;
        let leaf = ca.sign(testing::leaf_params("node", &["a"]));
        let of = |leaf: &Issued, anchors: &[&Certificate]| {
            let anchors = anchors.iter().map(|anchor| (*anchor).clone());
            Bundle::new(leaf.private_key(), leaf.certificate.clone(), Vec::new(), anchors)
        };
        let contents = |bundle: &Bundle, installed: &Installed| {
            let steps = steps(bundle, Path::new("/t"), &pkcs12(), installed).unwrap();
            (content(&steps[1]).clone(), content(&steps[2]).clone())
        };
        let (truststore, keystore) = contents(&of(&leaf, &[&ca.certificate, &other]), &Installed::default());
        let installed = Installed { keystore: Some(keystore.clone()), truststore: Some(truststore.clone()) };
        let check = |bundle: &Bundle, same: (bool, bool)| {
            let found = contents(bundle, &installed);
            assert_eq!((found.0 == truststore, found.1 == keystore), same);
        };
        check(&of(&leaf, &[&other, &ca.certificate]), (true, true));
        check(&of(&leaf, &[&ca.certificate]), (false, true));
        let renewed = ca.sign(testing::leaf_params("node", &["a"]));
        check(&of(&renewed, &[&ca.certificate, &other]), (true, false));
        let swapped = Installed { keystore: Some(truststore.clone()), truststore: Some(keystore.clone()) };
        let found = contents(&of(&leaf, &[&ca.certificate, &other]), &swapped);
        assert!(found.0 != keystore && found.1 != truststore);
    }

    const HOSTS: [&str; 2] = ["kafka-0.kafka", "10.0.0.1"];

    fn request(common_name: &str, hosts: &[&str], algorithm: KeyAlgorithm) -> Request {
        let hosts = hosts.iter().map(|host| host.parse().unwrap());
        Request::new(common_name, hosts, algorithm, testing::days(90)).unwrap()
    }

    fn requirements(super_user: &str) -> Requirements {
        Requirements {
            hosts: HOSTS.iter().map(|host| host.parse().unwrap()).collect(),
            shown_to: ShownTo::Peers,
            authorization: Authorization::SuperUsers(BTreeSet::from([super_user.to_owned()])),
            warn_within: Duration::ZERO,
        }
    }

    #[test]
    fn a_leaf_that_is_still_right_is_kept_in_both_forms() {
        let ca = testing::root("ca");
        let bundle = bundle(&ca, &ca.sign(testing::leaf_params("node", &HOSTS)));
        for kind in [StoreKind::Pem, pkcs12()] {
            let steps = steps(&bundle, Path::new("/t"), &kind, &Installed::default()).unwrap();
            let keystore = content(&steps[2]).bytes();
            let kept = |now| {
                let wanted = request("node", &HOSTS, KeyAlgorithm::EcdsaP256);
                let needed = requirements("User:CN=node");
                keep(keystore, &kind, bundle.anchors(), &wanted, &needed, &due_at_67_percent(), now)
            };
            let found = kept(testing::now()).unwrap();
            assert_eq!((found.leaf(), found.anchors()), (bundle.leaf(), bundle.anchors()));
            assert_eq!(found.key().pkcs8_der(), bundle.key().pkcs8_der());
            let due_at = due_at_67_percent().due_at(bundle.leaf().validity());
            assert!(kept(due_at - Duration::from_secs(1)).is_some());
            assert!(kept(due_at).is_none());
        }
    }

    #[test]
    fn what_was_installed_reads_back() {
        let ca = testing::root("ca");
        let bundle = bundle(&ca, &ca.sign(testing::leaf_params("node", &HOSTS)));
        for kind in [StoreKind::Pem, pkcs12()] {
            let steps = steps(&bundle, Path::new("/t"), &kind, &Installed::default()).unwrap();
            let (truststore, keystore) = (Some(content(&steps[1]).clone()), Some(content(&steps[2]).clone()));
            let found = read(&Installed { keystore, truststore: truststore.clone() }, &kind).unwrap();
            assert_eq!((found.leaf(), found.anchors()), (bundle.leaf(), bundle.anchors()));
            assert!(read(&Installed { keystore: None, truststore }, &kind).is_none());
        }
    }

    #[test]
    fn a_leaf_that_is_not_what_is_asked_for_is_not_kept() {
        let ca = testing::root("ca");
        let bundle = bundle(&ca, &ca.sign(testing::leaf_params("node", &HOSTS)));
        let steps = steps(&bundle, Path::new("/t"), &StoreKind::Pem, &Installed::default()).unwrap();
        let keystore = content(&steps[2]).bytes();
        let other = testing::root("ca").certificate;
        let check = |keystore: &[u8], anchors: &[Certificate], wanted: &Request, super_user: &str, want| {
            let needed = requirements(super_user);
            let point = &due_at_67_percent();
            let kept = keep(keystore, &StoreKind::Pem, anchors, wanted, &needed, point, testing::now());
            assert_eq!(kept.is_some(), want);
        };
        let right = request("node", &HOSTS, KeyAlgorithm::EcdsaP256);
        let (anchors, user) = (bundle.anchors(), "User:CN=node");
        check(keystore, anchors, &right, user, true);
        check(
            keystore,
            anchors,
            &request("node", &["10.0.0.1", "kafka-0.kafka"], KeyAlgorithm::EcdsaP256),
            user,
            true,
        );
        check(keystore, anchors, &request("other", &HOSTS, KeyAlgorithm::EcdsaP256), user, false);
        check(keystore, anchors, &request("node", &HOSTS, KeyAlgorithm::Rsa2048), user, false);
        check(keystore, anchors, &request("node", &HOSTS[..1], KeyAlgorithm::EcdsaP256), user, false);
        check(keystore, &[other], &right, user, false);
        check(keystore, &[], &right, user, false);
        check(keystore, anchors, &right, "User:CN=admin", false);
        check(&keystore[..keystore.len() / 2], anchors, &right, user, false);
        check(b"", anchors, &right, user, false);
    }
}
