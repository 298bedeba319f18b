//! The list of golden cases for each release: every way of formatting that kraftlet offers, once.

use crate::golden::case::Address;
use crate::golden::case::Case;
use crate::golden::case::Formation;
use crate::golden::case::Quorum;
use crate::golden::case::ScramUser;
use crate::golden::case::Voter;

/// Fixed, so that a second run differs in nothing that was chosen here.
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const DIRECTORY_IDS: [&str; 3] =
    ["JEXY6aqzQY-32P5TStzaFg", "8zAfL3mhQOWsLsGGdPyq3A", "XvCBEiYoTl6Nxhe0a3CTIw"];

/// The cases of a release, or nothing if it is not one of the releases that golden files are made with.
pub fn of_release(kafka_version: &str) -> Option<Vec<Case>> {
    let older: &[&str] = match kafka_version {
        "3.7.2" => &["3.5", "3.6"],
        "3.9.2" => &["3.7", "3.8"],
        "4.1.2" => &["3.9", "4.0"],
        "4.3.1" => &["3.9", "4.0", "4.1", "4.2"],
        "4.4.0" => &["3.9", "4.0", "4.1", "4.2", "4.3"],
        _ => return None,
    };
    let mut cases = static_quorum();
    // Dynamic quorums came with KIP-853 in 3.9.
    if kafka_version != "3.7.2" {
        cases.extend(dynamic_quorum());
        cases.extend(older.iter().map(|release| Case {
            release_version: Some((*release).to_owned()),
            ..combined(&format!("dynamic-combined-release-{release}"), initial_controllers())
        }));
    }
    cases.extend(older.iter().map(|release| Case {
        release_version: Some((*release).to_owned()),
        ..combined(&format!("static-combined-release-{release}"), static_voters())
    }));
    cases.extend(scram());
    for case in &mut cases {
        case.kafka_version = kafka_version.to_owned();
    }
    Some(cases)
}

fn static_quorum() -> Vec<Case> {
    vec![
        combined("static-combined", static_voters()),
        Case {
            log_dirs: names(&["data-0", "data-1"]),
            ..combined("static-combined-two-dirs", static_voters())
        },
        controller("static-controller", static_voters()),
        Case {
            log_dirs: names(&["data-0", "data-1"]),
            metadata_log_dir: Some("metadata".to_owned()),
            ..broker("static-broker", static_voters())
        },
        Case { scram_users: vec![alice_256()], ..broker("static-broker-scram", static_voters()) },
    ]
}

fn dynamic_quorum() -> Vec<Case> {
    let dynamic = |formation| Quorum::Dynamic { bootstrap_servers: addresses(), formation };
    let unusual = ["controller.example.com", "10.1.2.3", "2001:db8::5"];
    vec![
        combined("dynamic-voter-combined", initial_controllers()),
        Case {
            log_dirs: names(&["data-0", "data-1"]),
            metadata_log_dir: Some("metadata".to_owned()),
            ..controller("dynamic-voter-controller", initial_controllers())
        },
        Case { node_id: 9, ..controller("dynamic-not-among-initial-controllers", initial_controllers()) },
        broker("dynamic-broker-with-initial-controllers", initial_controllers()),
        controller(
            "dynamic-voter-addresses",
            dynamic(Formation::InitialControllers { voters: voters(unusual, true) }),
        ),
        controller("dynamic-standalone", dynamic(Formation::Standalone)),
        combined("dynamic-standalone-combined", dynamic(Formation::Standalone)),
        controller("dynamic-no-initial-controllers", dynamic(Formation::NoInitialControllers)),
        broker("dynamic-broker", dynamic(Formation::None)),
    ]
}

fn scram() -> Vec<Case> {
    let bob_512 = ScramUser {
        mechanism: "SCRAM-SHA-512".to_owned(),
        name: "bob".to_owned(),
        password: "pass-word=512".to_owned(),
        salt_base64: "c2FsdCBmb3IgYm9iIDAx".to_owned(),
        iterations: 8192,
    };
    // No spaces: the parser of 3.7 divides the words at them, whatever is quoted.
    let odd = ScramUser { name: "Zoë猫🐈".to_owned(), password: "pässwörd".to_owned(), ..alice_256() };
    vec![
        Case {
            scram_users: vec![alice_256(), bob_512],
            ..combined("static-combined-scram", static_voters())
        },
        Case { scram_users: vec![odd], ..combined("static-combined-scram-odd-name", static_voters()) },
    ]
}

fn alice_256() -> ScramUser {
    ScramUser {
        mechanism: "SCRAM-SHA-256".to_owned(),
        name: "alice".to_owned(),
        password: "alice-secret".to_owned(),
        salt_base64: "c2FsdCBmb3IgYWxpY2U=".to_owned(),
        iterations: 4096,
    }
}

fn combined(name: &str, quorum: Quorum) -> Case {
    Case {
        name: name.to_owned(),
        kafka_version: String::new(),
        node_id: 1,
        cluster_id: CLUSTER_ID.to_owned(),
        process_roles: names(&["broker", "controller"]),
        quorum,
        controller_listener_name: "CONTROLLER".to_owned(),
        controller_listener: addresses().into_iter().next(),
        release_version: None,
        scram_users: Vec::new(),
        log_dirs: names(&["data"]),
        metadata_log_dir: None,
        written: Vec::new(),
    }
}

fn controller(name: &str, quorum: Quorum) -> Case {
    Case { process_roles: names(&["controller"]), ..combined(name, quorum) }
}

fn broker(name: &str, quorum: Quorum) -> Case {
    Case {
        process_roles: names(&["broker"]),
        node_id: 4,
        controller_listener: None,
        ..combined(name, quorum)
    }
}

fn static_voters() -> Quorum {
    Quorum::Static { voters: voters(["localhost", "host2", "host3"], false) }
}

fn initial_controllers() -> Quorum {
    let voters = voters(["localhost", "host2", "host3"], true);
    Quorum::Dynamic { bootstrap_servers: addresses(), formation: Formation::InitialControllers { voters } }
}

fn voters(hosts: [&str; 3], with_directory_ids: bool) -> Vec<Voter> {
    (1u32..)
        .zip(hosts)
        .zip(DIRECTORY_IDS)
        .map(|((node_id, host), directory_id)| Voter {
            node_id,
            address: Address { host: host.to_owned(), port: 9093 },
            directory_id: with_directory_ids.then(|| directory_id.to_owned()),
        })
        .collect()
}

fn addresses() -> Vec<Address> {
    ["localhost", "host2", "host3"].map(|host| Address { host: host.to_owned(), port: 9093 }).to_vec()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
