//! Log directories on a real disk: looked at, planned, formatted, and looked at again.

mod crash;
mod golden;
mod machine;
mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use kraftlet::cluster::pool::ProcessRoles;
use kraftlet::disk;
use kraftlet::kafka::checkpoint::decode_checkpoint;
use kraftlet::kafka::describe_quorum::QuorumInfo;
use kraftlet::kafka::describe_quorum::ReplicaState;
use kraftlet::kafka::features::feature_levels;
use kraftlet::kafka::meta_properties::MetaProperties;
use kraftlet::kafka::metadata_records::MetadataRecord;
use kraftlet::kafka::metadata_records::Voter;
use kraftlet::kafka::node_id::NodeId;
use kraftlet::kafka::uuid::DirectoryId;
use kraftlet::kafka::version::KafkaVersion;
use kraftlet::storage::empty_disk::Answer;
use kraftlet::storage::found::Found;
use kraftlet::storage::io::look;
use kraftlet::storage::plan::Plan;
use kraftlet::storage::plan::plan;
use kraftlet::storage::refusal::Refusal;
use kraftlet::storage::wanted::Cluster;
use kraftlet::storage::wanted::InitialVoters;
use kraftlet::storage::wanted::Others;
use kraftlet::storage::wanted::Quorum;
use kraftlet::storage::wanted::Wanted;

/// Directory ids that are all different, also between runs.
struct Ids(u8);

impl Ids {
    fn fresh(&mut self) -> DirectoryId {
        self.0 += 1;
        id(self.0)
    }
}

fn id(number: u8) -> DirectoryId {
    DirectoryId::from_random([number; 16]).unwrap()
}

fn node(id: i32) -> NodeId {
    NodeId::try_from(id).unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_342_263)
}

fn records(version: &str) -> Vec<MetadataRecord> {
    let version: KafkaVersion = version.parse().unwrap();
    let levels = feature_levels(version, version.default_metadata_version());
    levels.into_iter().map(MetadataRecord::from).collect()
}

/// Node 1, combined, in a static quorum, with the metadata log in the first of two log directories.
fn wanted(root: &Path, version: &str) -> Wanted {
    Wanted {
        node_id: node(1),
        cluster_id: "WoNHcZcVRoKp7mPTt0CfJQ".parse().unwrap(),
        roles: ProcessRoles::Combined,
        kafka_version: version.parse().unwrap(),
        records: records(version),
        log_dirs: vec![root.join("data-0"), root.join("data-1")],
        metadata_log_dir: root.join("data-0"),
        quorum: Quorum::Static,
        others: Others::There,
        cluster: Cluster::NeverFormed,
    }
}

fn voter(node_id: i32, directory_id: u8) -> Voter {
    Voter {
        node_id: node(node_id),
        directory_id: id(directory_id).uuid(),
        listener_name: "CONTROLLER".to_owned(),
        host: format!("kafka-{node_id}.kafka"),
        port: 9093,
    }
}

/// Nodes 1 to 3, with directory ids 101 to 103.
fn voters() -> Quorum {
    Quorum::Dynamic(InitialVoters::Voters(vec![voter(1, 101), voter(2, 102), voter(3, 103)]))
}

fn standalone() -> Quorum {
    let (listener_name, host) = ("CONTROLLER".to_owned(), "kafka-1.kafka".to_owned());
    Quorum::Dynamic(InitialVoters::Standalone { listener_name, host, port: 9093 })
}

fn looked(wanted: &Wanted) -> Found {
    look(wanted.directories())
}

fn planned(wanted: &Wanted, answers: &[Answer], ids: &mut Ids) -> Result<Plan, Vec<Refusal>> {
    plan(&looked(wanted), wanted, answers, || ids.fresh(), now())
}

/// In memory where that is to be had: a flush costs nothing there, and thousands are asked for.
fn quick_tempdir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Look, plan, apply; the plan.
fn formatted(wanted: &Wanted) -> Plan {
    let plan = planned(wanted, &[], &mut Ids(0)).unwrap();
    disk::io::apply(&plan.steps).unwrap();
    plan
}

/// Reasons of the refusals, in order.
fn reasons(result: Result<Plan, Vec<Refusal>>) -> Vec<&'static str> {
    result.map_or_else(|refusals| refusals.iter().map(Refusal::reason).collect(), |_| vec![])
}

fn put(path: impl AsRef<Path>, bytes: &[u8]) {
    put_with_mode(path, bytes, 0o644);
}

fn put_with_mode(path: impl AsRef<Path>, bytes: &[u8], mode: u32) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode | 0o200).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// Everything under a directory: path, mode, and the bytes of files.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let bytes = metadata.is_file().then(|| fs::read(&path).unwrap());
        if metadata.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.insert(path.strip_prefix(root).unwrap().to_owned(), (metadata.mode() & 0o7777, bytes));
    }
    all
}

/// A tree as sentences that do not depend on time or chance: random directory ids are called by their directory.
fn meaning(root: &Path) -> Vec<String> {
    let tree = tree(root);
    let mut names = vec![];
    for (path, (_, bytes)) in &tree {
        if path.ends_with("meta.properties") {
            let meta = MetaProperties::decode(bytes.as_ref().unwrap()).unwrap();
            names.push((meta.directory_id.unwrap(), format!("<id of {}>", path.parent().unwrap().display())));
        }
    }
    let mut sentences = vec![];
    for (path, (mode, bytes)) in &tree {
        let content = match bytes {
            None => "directory".to_owned(),
            Some(bytes) if path.ends_with("meta.properties") => {
                String::from_utf8(bytes.clone()).unwrap().lines().skip(2).collect::<Vec<_>>().join(" ")
            }
            Some(bytes) => format!("{:?}", decode_checkpoint(bytes)),
        };
        let content = names.iter().fold(content, |content, (id, name)| {
            content.replace(&id.to_string(), name).replace(&format!("{id:?}"), name)
        });
        sentences.push(format!("{} {mode:04o} {content}", path.display()));
    }
    sentences
}

/// Leader 2 of three voters, as it answers: offsets and silence of voters 2 and 3, and what it remembers of us.
fn answer(high_watermark: Option<i64>, others: &[(i32, i64, i64)]) -> Answer {
    let state = |(node_id, log_end_offset, silent_ms): (i32, i64, i64)| ReplicaState {
        replica_id: node(node_id),
        directory_id: Some(id(100 + u8::try_from(node_id).unwrap()).uuid()),
        log_end_offset: Some(log_end_offset),
        last_fetch_timestamp_ms: Some(1_000_000 - silent_ms),
        last_caught_up_timestamp_ms: Some(1_000_000 - silent_ms),
    };
    let info = QuorumInfo {
        leader_id: Some(node(2)),
        leader_epoch: 7,
        high_watermark,
        voters: others.iter().copied().map(state).collect(),
        observers: vec![],
    };
    Answer { from: node(2), said: Ok(info) }
}
