//! A node that kraftlet did not configure, as its properties and its stores describe it.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use crate::certificates::bundle::Bundle;
use crate::cluster::pool::ProcessRoles;
use crate::kafka::node_id::NodeId;
use crate::kafka::version::KafkaVersion;
use crate::pki::certificate::Certificate;
use crate::pki::private_key::PrivateKey;
use crate::reload::attach::finding::AttachError;
use crate::reload::attach::finding::AttachFinding;
use crate::reload::attach::material;
use crate::reload::channel::Channel;
use crate::reload::channel::ChannelName;
use crate::reload::channel::NodeChannels;
use crate::reload::config_provider;
use crate::reload::config_provider::ReadFile;
use crate::reload::listener::NodeListener;
use crate::reload::node_properties::ListenerName;
use crate::reload::node_properties::NodeProperties;
use crate::reload::start_note::Installed;
use crate::reload::store::Stores;

/// The node.
#[derive(Debug)]
pub struct Attached {
    /// Its properties, references resolved as far as the agent can.
    pub properties: NodeProperties,
    /// Its id, roles, listeners and channels, each with the way it can be reloaded.
    pub node: NodeChannels,
    /// The certificates it uses, each with everything that names it.
    pub certificates: Vec<AttachedCertificate>,
    /// Every file that was read or looked for, the properties included: a change of one of them is worth another look.
    pub files: BTreeSet<PathBuf>,
    /// What the agent cannot follow in the properties themselves.
    pub findings: Vec<AttachFinding>,
}

/// One certificate: one pair of stores, whatever number of listeners names them.
#[derive(Debug)]
pub struct AttachedCertificate {
    /// The first listener that uses it, in small letters; one listener has one certificate.
    pub name: String,
    /// The prefixes whose channels use it, those of clients that dial elsewhere included.
    pub listeners: Vec<ListenerName>,
    /// Its files: stores, and what lies beside them. Some need not be there.
    pub files: Vec<PathBuf>,
    /// The private key; `None` where only Java can read it.
    pub key: Option<PrivateKey>,
    /// The leaf and all after it; empty where nothing can be read.
    pub chain: Vec<Certificate>,
    /// The trust anchors.
    pub anchors: Vec<Certificate>,
    /// What could not be read.
    pub findings: Vec<AttachFinding>,
}

impl Attached {
    /// From the bytes of the file at `path` and a way to read the files that it names. `release` is that of the running
    /// Kafka, where a person has said it.
    pub fn new(
        path: &Path,
        bytes: &[u8],
        release: Option<KafkaVersion>,
        read: &mut ReadFile<'_>,
    ) -> Result<Self, AttachError> {
        let mut files = BTreeSet::from([path.to_owned()]);
        let read: &mut ReadFile<'_> = &mut |file: &Path| {
            files.insert(file.to_owned());
            read(file)
        };
        let properties = NodeProperties::parse(bytes)
            .map_err(|source| AttachError::Properties { path: path.to_owned(), source })?;
        let (properties, unresolved) = config_provider::resolve(properties, read);
        let node = NodeChannels::of(&properties, release)
            .map_err(|source| AttachError::Node { path: path.to_owned(), source })?;
        let certificates = certificates(&node, read);
        let mut findings: Vec<AttachFinding> = unresolved.into_iter().map(AttachFinding::Reference).collect();
        findings.extend(node.channels.iter().filter_map(|channel| match &channel.name {
            ChannelName::Listener(name) if channel.stores.keystore.is_none() => {
                Some(AttachFinding::NoKeystore { listener: name.clone() })
            }
            ChannelName::Listener(_) | ChannelName::Client(_) => None,
        }));
        Ok(Self { properties, node, certificates, files, findings })
    }

    /// `node.id`.
    pub fn node_id(&self) -> NodeId {
        self.node.node_id
    }

    /// `process.roles`.
    pub fn roles(&self) -> ProcessRoles {
        self.node.roles
    }

    /// The listeners that serve this certificate.
    pub fn listeners_of(&self, certificate: &AttachedCertificate) -> Vec<&NodeListener> {
        let serves = |one: &&NodeListener| {
            one.security_protocol.has_tls() && certificate.listeners.contains(&one.name)
        };
        self.node.listeners.iter().filter(serves).collect()
    }
}

impl AttachedCertificate {
    /// The leaf, where it can be read.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.chain.first()
    }

    /// Key, chain and trust for preflight and for the agent's own handshakes; `None` where the key cannot be read.
    pub fn bundle(&self) -> Option<Bundle> {
        let (leaf, intermediates) = self.chain.split_first()?;
        let key = self.key.clone()?;
        Some(Bundle::new(key, leaf.clone(), intermediates.to_vec(), self.anchors.iter().cloned()))
    }

    /// For coverage: to be said of each of [`Self::listeners`].
    pub fn installed(&self) -> Installed {
        Installed::of(self.leaf(), &self.anchors)
    }
}

/// Prefixes with the same two stores share a certificate.
fn certificates(node: &NodeChannels, read: &mut ReadFile<'_>) -> Vec<AttachedCertificate> {
    let mut found: Vec<(&Stores, AttachedCertificate)> = Vec::new();
    for Channel { listener, stores, .. } in &node.channels {
        let same = |one: &Stores| (&one.keystore, &one.truststore) == (&stores.keystore, &stores.truststore);
        match found.iter_mut().find(|(one, _)| same(one)) {
            Some((_, certificate)) if certificate.listeners.contains(listener) => {}
            Some((_, certificate)) => certificate.listeners.push(listener.clone()),
            None => {
                let material = material::read(listener, stores, read);
                let certificate = AttachedCertificate {
                    name: listener.as_str().to_lowercase(),
                    listeners: vec![listener.clone()],
                    files: material.files,
                    key: material.key,
                    chain: material.chain,
                    anchors: material.anchors,
                    findings: material.findings,
                };
                found.push((stores, certificate));
            }
        }
    }
    found.into_iter().map(|(_, certificate)| certificate).collect()
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::certificates::sources::small_file::FileError;
    use crate::reload::channel::Way;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    /// The node with these files, which come from tests/fixtures/stores; `a+b` is one behind the other.
    fn attached(properties: &[u8], files: &[(&str, &str)]) -> Attached {
        let mut read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            let content = found.ok_or(FileError::Missing)?.1;
            let parts = content.split('+').map(|part| format!("stores/{part}"));
            Ok(Zeroizing::new(match content.strip_prefix('=') {
                Some(text) => text.as_bytes().to_vec(),
                None => parts.flat_map(|part| fixture(&part)).collect(),
            }))
        };
        Attached::new(Path::new("/server.properties"), properties, None, &mut read).unwrap()
    }

    fn check(name: &str, files: &[(&str, &str)], want: &[&str]) {
        let attached = attached(&fixture(&format!("attach/{name}.properties")), files);
        let mut found = vec![format!("node {} {}", attached.node_id(), attached.roles())];
        for channel in &attached.node.channels {
            let way = match &channel.leaf_by {
                Way::Engine => "engine",
                Way::AdminApi => "admin",
                Way::NotReloadable(why) => why.reason(),
            };
            found.push(format!("{} {:?} {way}", channel.name, channel.leaf_shown));
        }
        for one in &attached.certificates {
            let names: Vec<&str> = one.listeners.iter().map(ListenerName::as_str).collect();
            found.push(format!(
                "certificate {} of {}: {}, {}, {} anchors",
                one.name,
                names.join(" "),
                one.leaf().map_or("no leaf", Certificate::subject),
                if one.bundle().is_some() { "key" } else { "no key" },
                one.anchors.len(),
            ));
        }
        let all = attached.certificates.iter().flat_map(|one| &one.findings).chain(&attached.findings);
        found.extend(all.map(|finding| format!("{}: {finding}", finding.reason())));
        assert_eq!(found, want, "{name}");
    }

    #[test]
    fn kubedb_has_one_jks_for_all_and_the_same_leaf_as_pem_beside_it() {
        let channels = [
            "node 0 broker,controller",
            "listener BROKER Yes admin",
            "listener LOCAL Yes admin",
            "listener CONTROLLER Yes admin",
            "raft client No RaftClientNotReloadable",
            "node-to-controller client No admin",
            "controller registration client No admin",
            "replica fetcher No admin",
            "broker-to-broker client No admin",
        ];
        let stores = [
            ("/var/private/ssl/server.keystore.jks", "keystore.jks"),
            ("/var/private/ssl/server.truststore.jks", "truststore.jks"),
        ];
        let with = |more: &[(&'static str, &'static str)]| [&stores[..], more].concat();
        let certificate =
            "certificate broker of BROKER LOCAL CONTROLLER: CN=demo-pods.demo.svc, key, 1 anchors";
        check(
            "kubedb",
            &with(&[("/var/private/ssl/tls.crt", "tls.crt"), ("/var/private/ssl/tls.key", "tls.key")]),
            &[&channels[..], &[certificate]].concat(),
        );
        let no_key = certificate.replace(", key", ", no key");
        let unreadable = "StoreKeyNotReadable: the key in /var/private/ssl/server.keystore.jks cannot be read; want tls.crt \
                          and tls.key with the same leaf beside it, or the store as PEM or PKCS12 with AES";
        check("kubedb", &stores, &[&channels[..], &[&no_key, unreadable]].concat());
        let differs = "PemBesideDiffers: /var/private/ssl/tls.crt holds leaf <ca>, and \
                       /var/private/ssl/server.keystore.jks holds leaf <leaf>";
        let short = |name: &str| {
            let pem = fixture(&format!("stores/{name}"));
            crate::pki::chain::parse_pem(&pem).unwrap()[0].fingerprint().short()
        };
        let differs = differs.replace("<ca>", &short("ca.crt")).replace("<leaf>", &short("tls.crt"));
        check(
            "kubedb",
            &with(&[("/var/private/ssl/tls.crt", "ca.crt"), ("/var/private/ssl/tls.key", "tls.key")]),
            &[&channels[..], &[&no_key, &differs]].concat(),
        );
    }

    #[test]
    fn strimzis_pem_text_cannot_be_reloaded_and_its_pkcs12_can() {
        let through = |key: &str| {
            format!(
                "ConfigProviderNotFollowed: listener.name.controlplane-9090.ssl.{key} is read through config provider \
                 strimzisecrets, which is io.strimzi.kafka.KubernetesSecretConfigProvider; of those only \
                 FileConfigProvider and DirectoryConfigProvider are followed"
            )
        };
        check(
            "strimzi-inline",
            &[],
            &[
                "node 1 controller",
                "listener CONTROLPLANE-9090 Yes InlinePemNotReloadable",
                "raft client Yes InlinePemNotReloadable",
                "controller registration client Yes InlinePemNotReloadable",
                "certificate controlplane-9090 of CONTROLPLANE-9090: no leaf, no key, 0 anchors",
                "InlinePemNotReloadable: listener CONTROLPLANE-9090: the certificate stands in the properties themselves, \
                 so Kafka cannot be told to read it again; a new one needs a restart",
                "TrustAnchorsMissing: listener CONTROLPLANE-9090: no trust anchors can be read; want a truststore, or \
                 ca.crt beside the keystore",
                &through("keystore.certificate.chain"),
                &through("keystore.key"),
                &through("truststore.certificates"),
            ],
        );
        check(
            "strimzi-pkcs12",
            &[
                ("/tmp/kafka/cluster.keystore.p12", "keystore.p12"),
                ("/tmp/kafka/cluster.truststore.p12", "truststore.p12"),
            ],
            &[
                "node 6 broker",
                "listener REPLICATION-9091 Yes admin",
                "listener TLS-9093 Yes admin",
                "raft client Perhaps RaftClientNotReloadable",
                "node-to-controller client Perhaps admin",
                "replica fetcher Yes admin",
                "broker-to-broker client Yes admin",
                "certificate replication-9091 of REPLICATION-9091 CONTROLPLANE-9090: CN=demo-pods.demo.svc, key, 1 \
                 anchors",
                "certificate tls-9093 of TLS-9093: CN=demo-pods.demo.svc, key, 0 anchors",
                "TrustAnchorsMissing: listener TLS-9093: no trust anchors can be read; want a truststore, or ca.crt beside \
                 the keystore",
            ],
        );
    }

    #[test]
    fn bitnamis_copied_jks_gives_the_leaf_and_not_the_key() {
        check(
            "bitnami",
            &[
                ("/opt/bitnami/kafka/config/certs/kafka.keystore.jks", "keystore.jks"),
                ("/opt/bitnami/kafka/config/certs/kafka.truststore.jks", "truststore.jks"),
            ],
            &[
                "node 0 broker,controller",
                "listener CLIENT Yes admin",
                "listener INTERNAL Yes admin",
                "listener CONTROLLER Yes admin",
                "raft client Yes RaftClientNotReloadable",
                "node-to-controller client Yes admin",
                "controller registration client Yes admin",
                "replica fetcher Yes admin",
                "broker-to-broker client Yes admin",
                "certificate client of CLIENT INTERNAL CONTROLLER: CN=demo-pods.demo.svc, no key, 1 anchors",
                "StoreKeyNotReadable: the key in /opt/bitnami/kafka/config/certs/kafka.keystore.jks cannot be read; want \
                 tls.crt and tls.key with the same leaf beside it, or the store as PEM or PKCS12 with AES",
            ],
        );
    }

    #[test]
    fn stackables_text_from_a_folder_is_read_and_is_still_not_reloadable() {
        check(
            "stackable",
            &[
                ("/stackable/tls-kafka-internal/tls.crt", "tls.crt"),
                ("/stackable/tls-kafka-internal/tls.key", "tls.key"),
                ("/stackable/tls-kafka-internal/ca.crt", "ca.crt"),
                ("/stackable/tls-kafka-server/keystore.p12", "keystore.p12"),
                ("/stackable/tls-kafka-server/truststore.p12", "truststore.p12"),
            ],
            &[
                "node 1243966389 broker",
                "listener INTERNAL Yes InlinePemNotReloadable",
                "listener CLIENT Yes admin",
                "raft client Perhaps InlinePemNotReloadable",
                "node-to-controller client Perhaps InlinePemNotReloadable",
                "replica fetcher Yes InlinePemNotReloadable",
                "broker-to-broker client Yes InlinePemNotReloadable",
                "certificate internal of INTERNAL CONTROLLER: CN=demo-pods.demo.svc, key, 1 anchors",
                "certificate client of CLIENT: CN=demo-pods.demo.svc, key, 1 anchors",
                "InlinePemNotReloadable: listener INTERNAL: the certificate stands in the properties themselves, so Kafka \
                 cannot be told to read it again; a new one needs a restart",
            ],
        );
    }

    #[test]
    fn cert_managers_old_pkcs12_is_helped_out_by_the_pem_beside_it() {
        let channels = [
            "node 2 broker",
            "listener SSL Yes admin",
            "raft client Perhaps RaftClientNotReloadable",
            "node-to-controller client Perhaps admin",
            "replica fetcher Yes admin",
            "broker-to-broker client Yes admin",
            "certificate ssl of SSL CONTROLLER: CN=demo-pods.demo.svc, key, 1 anchors",
        ];
        let files = [
            ("/etc/kafka/passwords.properties", "=keystore=changeit"),
            ("/etc/kafka/tls/keystore.p12", "keystore.p12"),
            ("/etc/kafka/tls/truststore.p12", "truststore.p12"),
            ("/etc/kafka/tls/tls.crt", "tls.crt"),
            ("/etc/kafka/tls/tls.key", "tls.key"),
            ("/etc/kafka/tls/ca.crt", "ca.crt"),
        ];
        check("cert-manager", &files, &channels);
        let mut old = files;
        (old[1].1, old[2].1) = ("legacy.p12", "legacy.p12");
        let not_opened = |name: &str| {
            format!(
                "StoreNotOpened: PKCS12 store /etc/kafka/tls/{name}.p12 cannot be opened: it is torn, the password is \
                 another, or it is encrypted with RC2 or triple DES"
            )
        };
        let taken = "PemBesideNotCompared: /etc/kafka/tls/tls.crt is taken for what is in /etc/kafka/tls/keystore.p12, \
                     which cannot be opened";
        let [keystore, truststore] = ["keystore", "truststore"].map(not_opened);
        let want = [&channels[..], &[&keystore, taken, &truststore]].concat();
        check("cert-manager", &old, &want);
    }

    const PEM: [(&str, &str); 2] =
        [("/etc/kafka/tls/keystore.pem", "tls.key+tls.crt"), ("/etc/kafka/tls/ca.crt", "ca.crt")];

    #[test]
    fn one_pem_file_with_key_and_chain_is_what_works_best() {
        check(
            "hand-made",
            &PEM,
            &[
                "node 100 controller",
                "listener CONTROLLER Yes KafkaReleaseUnknown",
                "raft client Yes RaftClientNotReloadable",
                "controller registration client Yes KafkaReleaseUnknown",
                "certificate controller of CONTROLLER: CN=demo-pods.demo.svc, key, 1 anchors",
            ],
        );
        let attached = attached(&fixture("attach/hand-made.properties"), &PEM);
        let files: Vec<&str> = attached.files.iter().map(|file| file.to_str().unwrap()).collect();
        assert_eq!(files, ["/etc/kafka/tls/ca.crt", "/etc/kafka/tls/keystore.pem", "/server.properties"]);
    }

    #[test]
    fn a_torn_or_missing_store_is_named_and_the_rest_is_read() {
        let check = |files: &[(&str, &str)], want: &[&str]| {
            let attached = attached(&fixture("attach/hand-made.properties"), files);
            let found: Vec<String> = attached.certificates[0]
                .findings
                .iter()
                .map(|finding| format!("{}: {finding}", finding.reason()))
                .collect();
            assert_eq!(found, want, "{files:?}");
        };
        let [keystore, ca] = PEM;
        check(&[ca], &["CertificateFileMissing: /etc/kafka/tls/keystore.pem is missing"]);
        check(
            &[keystore],
            &[
                "CertificateFileMissing: /etc/kafka/tls/ca.crt is missing",
                "TrustAnchorsMissing: listener CONTROLLER: no trust anchors can be read; want a truststore, or ca.crt \
                 beside the keystore",
            ],
        );
        check(
            &[(keystore.0, "tls.crt"), ca],
            &[
                "KeyMissing: /etc/kafka/tls/keystore.pem: no private key in it; want one PEM block BEGIN PRIVATE KEY",
            ],
        );
        check(
            &[(keystore.0, "=-----BEGIN CERTIFICATE-----\nMIIB"), ca],
            &[
                "CertificatesMalformed: /etc/kafka/tls/keystore.pem: certificate 1 cannot be parsed as PEM",
                "KeyMalformed: /etc/kafka/tls/keystore.pem: the private key cannot be parsed as PEM",
            ],
        );
    }

    #[test]
    fn a_file_that_does_not_describe_a_node_ends_the_attempt() {
        let refused = |bytes: &[u8]| {
            let mut read = |_: &Path| Err(FileError::Missing);
            let error = Attached::new(Path::new("/s"), bytes, None, &mut read).unwrap_err();
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{}: {error}{cause}", error.reason())
        };
        assert_eq!(
            refused(b"broker.id=1"),
            "NodePropertyMissing: /s does not describe a node: process.roles is missing; want the server.properties of a \
             node in KRaft mode"
        );
        assert_eq!(
            refused(b"a=\\u"),
            "MalformedProperties: /s is no properties file: line 1: \\u is not followed by four hexadecimal digits; want \
             \\\\ for a backslash"
        );
    }
}
