//! The same files with the same modes and meaning as Kafka's own tool wrote, in every golden case.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use kraftlet::cluster::pool::ProcessRoles;
use kraftlet::kafka::checkpoint::BOOTSTRAP_CHECKPOINT;
use kraftlet::kafka::checkpoint::FIRST_SNAPSHOT;
use kraftlet::kafka::checkpoint::METADATA_PARTITION;
use kraftlet::kafka::checkpoint::decode_checkpoint;
use kraftlet::storage::wanted::InitialVoters;
use kraftlet::storage::wanted::Quorum;
use kraftlet::storage::wanted::Wanted;

use crate::storage::formatted;
use crate::storage::meaning;
use crate::storage::node;
use crate::storage::quick_tempdir;
use crate::storage::records;
use crate::storage::tree;

#[test]
fn what_kafkas_own_tool_writes_is_written_with_the_same_modes_and_meaning() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut compared = 0;
    for version in fs::read_dir(golden).unwrap() {
        for folder in fs::read_dir(version.unwrap().path()).unwrap() {
            let folder = folder.unwrap().path();
            let case = fs::read(folder.join("case.json")).unwrap();
            let case: Value = serde_json::from_slice(&case).unwrap();
            // A broker is never told the voters by us; the tool takes the flag and writes them.
            if case["name"] != "dynamic-broker-with-initial-controllers" {
                compare(&case, &folder.join("disk"));
                compared += 1;
            }
        }
    }
    assert!(compared > 80, "only {compared} golden cases were found");
}

fn compare(case: &Value, disk: &Path) {
    let root = quick_tempdir();
    formatted(&wanted(case, root.path(), disk));
    let text = |key: &str, entry: &Value| entry[key].as_str().unwrap().to_owned();
    let mut want: Vec<_> = case["written"].as_array().unwrap().iter().collect();
    want.sort_by_key(|entry| PathBuf::from(text("path", entry)));
    let want: Vec<_> =
        want.iter().map(|entry| format!("{} {}", text("path", entry), text("mode", entry))).collect();
    let got = tree(root.path());
    let got = got.iter().filter(|(path, _)| !path.as_os_str().is_empty());
    let got: Vec<_> = got.map(|(path, (mode, _))| format!("{} {mode:04o}", path.display())).collect();
    assert_eq!(got, want, "{disk:?}");
    // A checkout keeps no modes, so they are left out here; and the golden cluster id is a published one.
    let stripped = |root: &Path| -> Vec<String> {
        let cluster_ids = ["4L6g3nShT-eMCtK--X86sw", "WoNHcZcVRoKp7mPTt0CfJQ"];
        let sentences = meaning(root).into_iter().skip(1);
        sentences
            .map(|sentence| {
                let (path, rest) = sentence.split_once(' ').unwrap();
                let rest = rest.split_once(' ').unwrap().1.to_owned();
                let rest = cluster_ids
                    .iter()
                    .fold(rest, |rest, id| rest.replace(&format!("cluster.id={id}"), "cluster.id=<id>"));
                format!("{path} {rest}")
            })
            .collect()
    };
    assert_eq!(stripped(root.path()), stripped(disk), "{disk:?}");
}

fn wanted(case: &Value, root: &Path, disk: &Path) -> Wanted {
    let version = case["kafka_version"].as_str().unwrap();
    let names: Vec<_> =
        case["log_dirs"].as_array().unwrap().iter().map(|dir| dir.as_str().unwrap()).collect();
    let metadata = case["metadata_log_dir"].as_str().unwrap_or(names[0]);
    let mut wanted = crate::storage::wanted(root, version);
    wanted.node_id = node(i32::try_from(case["node_id"].as_i64().unwrap()).unwrap());
    wanted.log_dirs = names.iter().map(|name| root.join(name)).collect();
    wanted.metadata_log_dir = root.join(metadata);
    let roles: Vec<_> =
        case["process_roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap()).collect();
    wanted.roles = match roles.as_slice() {
        ["broker"] => ProcessRoles::Broker,
        ["controller"] => ProcessRoles::Controller,
        _ => ProcessRoles::Combined,
    };
    // The records are the codec's business, tested to the byte elsewhere; here they are what the tool took.
    let snapshot = disk.join(metadata).join(METADATA_PARTITION).join(FIRST_SNAPSHOT);
    let bootstrap = disk.join(metadata).join(BOOTSTRAP_CHECKPOINT);
    let source = if bootstrap.exists() { bootstrap } else { snapshot.clone() };
    wanted.records = match fs::read(source) {
        Ok(bytes) => decode_checkpoint(&bytes).unwrap().records,
        Err(_) => records(version),
    };
    wanted.quorum = match (case["quorum"]["kind"].as_str(), case["quorum"]["formation"]["flag"].as_str()) {
        (Some("static"), _) => Quorum::Static,
        (_, Some("standalone")) => {
            let voters = decode_checkpoint(&fs::read(snapshot).unwrap()).unwrap().voters.unwrap();
            let listener_name = voters[0].listener_name.clone();
            let (host, port) = (voters[0].host.clone(), voters[0].port);
            Quorum::Dynamic(InitialVoters::Standalone { listener_name, host, port })
        }
        (_, Some("initial_controllers")) => {
            let voters = decode_checkpoint(&fs::read(snapshot).unwrap()).unwrap().voters.unwrap();
            Quorum::Dynamic(InitialVoters::Voters(voters))
        }
        _ => Quorum::Dynamic(InitialVoters::Unknown),
    };
    wanted
}
