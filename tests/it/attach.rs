//! The agent's look at a node whose files are on the disk: one that `init` has just made, and stores of others.

use std::fs;

use kraftlet::reload::attach::attached::Attached;
use kraftlet::reload::attach::io::look;
use kraftlet::reload::channel::Way;
use kraftlet::reload::channel::Why;
use kraftlet::reload::listener::NodeListener;

use crate::program::Machine;
use crate::program::POD;
use crate::program::ends;

fn seen(machine: &Machine) -> Attached {
    let version = "4.4.0".parse().unwrap();
    look(&machine.path("pods/demo-0/run/server.properties"), Some(version)).unwrap()
}

fn names(attached: &Attached, which: fn(&Way) -> bool) -> Vec<String> {
    let channels = attached.node.channels.iter().filter(|channel| which(&channel.leaf_by));
    channels.map(|channel| channel.name.to_string()).collect()
}

#[test]
fn a_node_that_init_made_is_read_from_its_own_properties() {
    let machine = Machine::new(&[]);
    ends(&machine.init(&[POD]), 0, &[]);
    let seen = seen(&machine);
    assert_eq!((seen.node_id().get(), seen.roles().to_string().as_str()), (0, "broker,controller"));
    assert!(seen.findings.is_empty() && seen.certificates.iter().all(|one| one.findings.is_empty()));
    let [certificate] = seen.certificates.as_slice() else { panic!("{:?}", seen.certificates) };
    let bundle = certificate.bundle().unwrap();
    assert!(bundle.key().matches(bundle.leaf()));
    for NodeListener { name, tls_name, .. } in seen.listeners_of(certificate) {
        let host = tls_name.clone().unwrap();
        assert!(host.is_covered_by(bundle.leaf()), "{name} is advertised as {host}");
    }
}

#[test]
fn without_an_engine_only_the_raft_client_of_a_combined_node_needs_a_restart() {
    let machine = Machine::new(&[]);
    machine.edit("formed: false", "reload: adminApi\nformed: false");
    ends(&machine.init(&[POD]), 0, &[]);
    let seen = seen(&machine);
    assert_eq!(names(&seen, |way| *way == Way::NotReloadable(Why::RaftClient)), ["raft client"]);
    assert_eq!(names(&seen, |way| *way == Way::AdminApi).len(), seen.node.channels.len() - 1);
}

#[test]
fn the_password_of_a_pkcs12_store_is_found_through_kraftlets_own_provider() {
    let machine = Machine::new(&["--replicas", "1"]);
    let password = machine.path("password");
    fs::write(&password, "change it-1\n").unwrap();
    let store = format!("  node:\n    store: pkcs12\n    storePasswordFile: {}\n", password.display());
    machine.edit("  node:\n", &store);
    ends(&machine.init(&[POD]), 0, &[]);
    let seen = seen(&machine);
    assert!(seen.certificates[0].bundle().is_some(), "{:?}", seen.certificates[0].findings);
    assert!(!format!("{seen:?}").contains("change it-1"));
    assert!(seen.files.iter().any(|file| file.ends_with("secrets.properties")));
}

#[test]
fn looking_writes_nothing() {
    let machine = Machine::new(&["--replicas", "1"]);
    ends(&machine.init(&[POD]), 0, &[]);
    let before = machine.files("");
    seen(&machine);
    assert!(machine.files("") == before);
}
