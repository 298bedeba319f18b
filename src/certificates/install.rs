//! The steps that put a checked certificate where Kafka reads it, and whether the one that is there may stay.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::preflight;
use crate::certificates::preflight::Requirements;
use crate::certificates::preflight::Severity;
use crate::certificates::renew_point::RenewPoint;
use crate::certificates::request::Request;
use crate::disk::step::Step;
use crate::pki::certificate::Certificate;
use crate::pki::hostname::Host;
use crate::pki::key_kind::KeyKind;
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

    /// The value of `ssl.keystore.type` and `ssl.truststore.type`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Pem => "PEM",
            Self::Pkcs12 { .. } => "PKCS12",
        }
    }
}

/// Kafka may run under another user of the pod's group, so the group reads the key; others do not.
const KEYSTORE_MODE: u32 = 0o440;
/// Certificates are public.
const TRUSTSTORE_MODE: u32 = 0o444;
const FOLDER_MODE: u32 = 0o750;

/// The folder (its parent must be there), the truststore and then the keystore in it: a leaf is never there before the
/// trust in its issuer.
///
/// Preflight decides whether a bundle may be installed; this does not look again.
pub fn steps(bundle: &Bundle, folder: &Path, kind: &StoreKind) -> Result<Vec<Step>, StoreError> {
    let (keystore, truststore) = match kind {
        StoreKind::Pem => {
            // Moved, not copied: the step's content is wiped in its turn.
            let mut keystore = stores::keystore_pem(bundle.key(), bundle.chain());
            (std::mem::take(&mut *keystore), stores::truststore_pem(bundle.anchors()))
        }
        StoreKind::Pkcs12 { password } => (
            stores::keystore_pkcs12(bundle.key(), bundle.chain(), password)?,
            stores::truststore_pkcs12(bundle.anchors(), password)?,
        ),
    };
    Ok(vec![
        Step::CreateDir { path: folder.to_owned(), mode: FOLDER_MODE },
        Step::replace(folder.join(kind.truststore_name()), truststore, TRUSTSTORE_MODE),
        Step::replace(folder.join(kind.keystore_name()), keystore, KEYSTORE_MODE),
    ])
}

/// The installed pair as a bundle, if it is still what `request` asks for, passes preflight against `anchors` (the
/// source's trust as it is now), and is before its renew point.
///
/// For sources that issue a fresh leaf whenever they are asked: a container that restarts keeps its leaf, so that
/// `init` twice is `init` once. An unreadable keystore is simply not kept.
pub fn keep(
    keystore: &[u8],
    kind: &StoreKind,
    anchors: &[Certificate],
    request: &Request,
    requirements: &Requirements,
    renew_point: RenewPoint,
    now: SystemTime,
) -> Option<Bundle> {
    let (key, chain) = match kind {
        StoreKind::Pem => stores::read_keystore_pem(keystore)?,
        StoreKind::Pkcs12 { password } => stores::read_keystore_pkcs12(keystore, password)?,
    };
    let mut chain = chain.into_iter();
    let bundle = Bundle::new(key, chain.next()?, chain.collect(), anchors.iter().cloned());
    let findings = preflight::preflight(&bundle, requirements, now);
    let stays = is_as_requested(bundle.leaf(), request)
        && now < renew_point.of(bundle.leaf())
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
