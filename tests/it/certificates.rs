//! What `init` makes of certificates: which it takes, which it refuses, and what is on the disk afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;

use crate::program::Machine;
use crate::program::POD;
use crate::program::ends;
use crate::program::mode;
use crate::program::text;

fn machine() -> Machine {
    Machine::new(&["--replicas", "1"])
}

/// The address of node 0, which the settings give as a template.
fn host(machine: &Machine) -> String {
    let settings = fs::read_to_string(machine.path("cluster.yaml")).unwrap();
    let template = settings.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    template.trim_matches('"').replace("{nodeId+1}", "1")
}

/// A Secret's folder: a leaf for both ends or for a server only, its issuer, and `ca.crt` of that issuer or another.
fn mount(machine: &Machine, common_name: &str, usages: &[ExtendedKeyUsagePurpose], trusts_issuer: bool) {
    let ca = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), Issuer::new(params, key))
    };
    let ((issuer_pem, issuer), (other_pem, _)) = (ca("issuer"), ca("other"));
    let mut params = CertificateParams::new(vec![host(machine)]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = usages.to_vec();
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let folder = machine.path("mounted");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("tls.crt"), leaf.pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("ca.crt"), if trusts_issuer { issuer_pem } else { other_pem }).unwrap();
}

const BOTH: [ExtendedKeyUsagePurpose; 2] =
    [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];

/// Lets the only certificate, that of all listeners, come from the mounted folder.
fn use_mounted(machine: &Machine) {
    machine.edit("localCa", "mounted");
    machine.edit("/ca\"", "/mounted\"");
}

fn listeners(machine: &Machine, lines: &[&str]) {
    let lines: String = lines.iter().map(|line| format!("- {{{line}}}\n")).collect();
    machine.edit("kind: KafkaCluster\n", &format!("kind: KafkaCluster\nlisteners:\n{lines}"));
}

#[test]
fn init_twice_is_init_once_with_pkcs12_stores_of_both_sources() {
    for mounted in [false, true] {
        let machine = machine();
        let password = machine.path("password");
        fs::write(&password, "changeit\n").unwrap();
        let store = format!("  node:\n    store: pkcs12\n    storePasswordFile: {}\n", password.display());
        machine.edit("  node:\n", &store);
        if mounted {
            mount(&machine, "demo-node", &BOTH, true);
            use_mounted(&machine);
        }
        ends(&machine.init(&[POD]), 0, &[]);
        let first = machine.files("pods");
        assert!(first.contains_key(&machine.path("pods/demo-0/run/tls/node/keystore.p12")));
        ends(&machine.init(&[POD]), 0, &[]);
        assert!(machine.files("pods") == first, "the second run changed something; mounted: {mounted}");
        fs::write(&password, "changed\n").unwrap();
        ends(&machine.init(&[POD]), 0, &[]);
        let changed = machine.files("pods");
        for store in ["keystore.p12", "truststore.p12"] {
            let path = machine.path("pods/demo-0/run/tls/node").join(store);
            assert!(changed[&path] != first[&path], "{store} has the old password; mounted: {mounted}");
        }
    }
}

#[test]
fn a_refusal_has_not_made_a_ca() {
    let machine = machine();
    fs::create_dir_all(machine.path("pods/demo-0/data/lost+found")).unwrap();
    ends(&machine.init(&[POD]), 2, &["lost+found"]);
    assert!(!machine.path("ca").exists() && !machine.path("pods/demo-0/run").exists());
    fs::rename(machine.path("pods/demo-0/data/lost+found"), machine.path("aside")).unwrap();
    ends(&machine.init(&[POD]), 0, &[]);
    assert!(machine.path("ca/ca.crt").exists());
}

#[test]
fn what_is_wrong_with_disk_and_mounted_certificate_comes_at_once() {
    let machine = machine();
    fs::create_dir_all(machine.path("pods/demo-0/data/lost+found")).unwrap();
    mount(&machine, "demo-node", &BOTH[..1], false);
    use_mounted(&machine);
    ends(&machine.init(&[POD]), 2, &["lost+found", "[ClientAuthMissing]", "[ChainIncomplete]"]);
}

#[test]
fn a_ca_folder_that_cannot_be_made_is_for_a_person() {
    let machine = machine();
    fs::write(machine.path("ca"), "in the way").unwrap();
    ends(&machine.init(&[POD]), 2, &["/ca"]);
}

#[test]
fn a_certificate_for_clients_alone_may_be_of_a_public_ca() {
    for auth in ["clientAuth: none", "clientAuth: required"] {
        let machine = machine();
        mount(&machine, "kafka.example.com", &BOTH[..1], false);
        let public = format!(
            "  public:\n    source:\n      mounted:\n        folder: {}\n  node:\n",
            machine.path("mounted").display()
        );
        machine.edit("  node:\n", &public);
        let client = format!("name: CLIENT, port: 9092, for: [clients], certificate: public, {auth}");
        listeners(
            &machine,
            &[
                "name: CONTROLLER, port: 9093, for: [controllers]",
                "name: INTERNAL, port: 9091, for: [brokers]",
                &client,
            ],
        );
        ends(&machine.init(&[POD]), 0, &[]);
        // The same one is refused where brokers talk to each other.
        machine.edit("for: [clients]", "for: [clients, brokers]");
        machine.edit("- {name: INTERNAL, port: 9091, for: [brokers]}\n", "");
        ends(&machine.init(&[POD]), 2, &["[ClientAuthMissing]", "[ChainIncomplete]"]);
    }
}

#[test]
fn with_a_login_the_subject_need_not_be_a_super_user() {
    let machine = machine();
    mount(&machine, "somebody", &BOTH, true);
    use_mounted(&machine);
    ends(&machine.init(&[POD]), 2, &["principal User:CN=somebody is not a super user"]);
    listeners(
        &machine,
        &[
            "name: CONTROLLER, port: 9093, for: [controllers], securityProtocol: SASL_SSL, saslMechanisms: [PLAIN]",
            "name: CLIENT, port: 9092, for: [brokers, clients], securityProtocol: SASL_SSL, saslMechanisms: [PLAIN]",
        ],
    );
    ends(&machine.init(&[POD]), 0, &[]);
}

#[test]
fn principals_that_are_mapped_are_a_warning() {
    let key = "listener.name.controller.ssl.principal.mapping.rules";
    for (line, found) in [
        ("KAFKA_SSL_PRINCIPAL_MAPPING_RULES", "ssl.principal.mapping.rules"),
        ("KAFKA_PRINCIPAL_BUILDER_CLASS", "principal.builder.class"),
        ("KAFKA_LISTENER_NAME_CONTROLLER_SSL_PRINCIPAL_MAPPING_RULES", key),
    ] {
        let machine = machine();
        mount(&machine, "somebody", &BOTH, true);
        use_mounted(&machine);
        let output = machine.init(&[POD, (line, "RULE:^CN=(.*)$/admin/")]);
        ends(&output, 0, &[]);
        let want = format!("warning: certificate node: {found} makes a principal of leaf ");
        assert!(text(&output.stdout).contains(&want), "want {want:?} in\n{}", text(&output.stdout));
    }
}

#[test]
fn below_a_volume_of_a_group_everything_is_the_groups() {
    let machine = machine();
    let run = machine.path("pods/demo-0/run");
    fs::create_dir_all(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o2777)).unwrap();
    ends(&machine.init(&[POD]), 0, &[]);
    assert_eq!([mode(&run.join("tls")), mode(&run.join("tls/node"))], [0o2755, 0o2750]);
}

/// A container that restarts in the middle of a change of CA: peers may not know the new one yet.
#[test]
fn init_adds_trust_in_a_new_ca_and_leaves_the_leaf_to_the_sidecar() {
    let machine = machine();
    use_mounted(&machine);
    mount(&machine, "demo-node", &BOTH, true);
    ends(&machine.init(&[POD]), 0, &[]);
    let store = |name: &str| fs::read_to_string(machine.path("pods/demo-0/run/tls/node").join(name)).unwrap();
    let (keystore, trust) = (store("keystore.pem"), store("truststore.pem"));
    mount(&machine, "demo-node", &BOTH, true);
    ends(&machine.init(&[POD]), 0, &[]);
    assert_eq!(store("keystore.pem"), keystore);
    let both = store("truststore.pem");
    assert!(both.contains(trust.trim()) && both.matches("BEGIN CERTIFICATE").count() == 2, "{both}");
    // Where nothing was installed there is nobody who could need the old one.
    fs::remove_dir_all(machine.path("pods/demo-0/run")).unwrap();
    ends(&machine.init(&[POD]), 0, &[]);
    assert_eq!(store("truststore.pem").matches("BEGIN CERTIFICATE").count(), 1);
    assert_ne!(store("keystore.pem"), keystore);
}
