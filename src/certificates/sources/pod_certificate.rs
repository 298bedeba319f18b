//! A pod certificate (KEP-4317): the kubelet makes the key, asks a signer, and puts both into one file, the key first.
//! Beside it lies whom to trust, from a ClusterTrustBundle of the same projected volume, so that both turn as one.
//!
//! The kubelet renews; there is nothing to ask it for.

use std::path::Path;

use crate::certificates::sources::mounted::Mounted;

/// Key and chain.
pub const BUNDLE: &str = "bundle.pem";

/// Whom to trust. The bundle may be optional in the volume, and is then an empty file until there is one.
pub const ANCHORS: &str = "ca.crt";

/// The files that the kubelet writes into `folder`.
pub fn pod_certificate(folder: &Path) -> Mounted {
    Mounted::of_files(folder, BUNDLE, BUNDLE, ANCHORS)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::certificates::request::Request;
    use crate::certificates::sources::Source;
    use crate::pki::key_kind::KeyAlgorithm;
    use crate::pki::stores;
    use crate::pki::testing;

    #[test]
    fn what_the_kubelet_writes_is_read_as_one() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("..2026_11_23");
        fs::create_dir(&data).unwrap();
        let root = testing::root("root");
        let leaf = root.sign(testing::leaf_params("events-node", &["kafka-0.events"]));
        let pem = stores::keystore_pem(&leaf.private_key(), [&leaf.certificate]);
        fs::write(data.join(BUNDLE), &*pem).unwrap();
        fs::write(data.join(ANCHORS), stores::certificate_pem(&root.certificate)).unwrap();
        symlink("..2026_11_23", home.path().join("..data")).unwrap();
        for name in [BUNDLE, ANCHORS] {
            symlink(Path::new("..data").join(name), home.path().join(name)).unwrap();
        }
        let source = pod_certificate(home.path());
        let hosts = vec!["kafka-0.events".parse().unwrap()];
        let request = Request::new("events-node", hosts, KeyAlgorithm::default(), testing::days(1)).unwrap();
        let bundle = source.fetch(&request, testing::now()).unwrap();
        assert!(bundle.key().matches(bundle.leaf()));
        assert_eq!((bundle.leaf(), bundle.anchors()), (&leaf.certificate, &[root.certificate.clone()][..]));
        assert!(!source.issues());
        fs::remove_file(data.join(BUNDLE)).unwrap();
        let missing = source.fetch(&request, testing::now()).unwrap_err();
        assert_eq!(missing.to_string().matches("is missing").count(), 1, "{missing}");
        assert_eq!(source.files().len(), 2);
        assert!(source.describe().starts_with("read bundle.pem and ca.crt from "), "{}", source.describe());
    }
}
