//! Our bytes are Kafka's bytes: every file that the real storage tool wrote is rebuilt from what the tool was told.
//!
//! `tests/golden/kafka-<version>/<case>/` holds `case.json` (what the tool was told) and `disk/` (what it wrote).
//! From the golden file itself only that is taken which differs in each run: times, and ids drawn at random.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use kraftlet::kafka::checkpoint::BOOTSTRAP_CHECKPOINT;
use kraftlet::kafka::checkpoint::FIRST_SNAPSHOT;
use kraftlet::kafka::checkpoint::METADATA_PARTITION;
use kraftlet::kafka::checkpoint::decode_checkpoint;
use kraftlet::kafka::checkpoint::encode_bootstrap_checkpoint;
use kraftlet::kafka::checkpoint::encode_first_snapshot;
use kraftlet::kafka::features::feature_levels;
use kraftlet::kafka::meta_properties::MetaProperties;
use kraftlet::kafka::metadata_records::MetadataRecord;
use kraftlet::kafka::metadata_records::Voter;
use kraftlet::kafka::node_id::NodeId;
use kraftlet::kafka::scram::ScramCredential;
use kraftlet::kafka::uuid::Uuid;
use kraftlet::kafka::version::KafkaVersion;
use kraftlet::kafka::version::MetadataVersion;

/// What the tool was told, as far as the bytes depend on it.
#[derive(Deserialize)]
struct Case {
    kafka_version: String,
    node_id: i32,
    cluster_id: String,
    quorum: Quorum,
    controller_listener_name: String,
    controller_listener: Option<Address>,
    release_version: Option<String>,
    scram_users: Vec<ScramUser>,
    log_dirs: Vec<String>,
    metadata_log_dir: Option<String>,
    written: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Quorum {
    Static {},
    Dynamic { formation: Formation },
}

#[derive(Deserialize)]
#[serde(tag = "flag", rename_all = "snake_case")]
enum Formation {
    InitialControllers { voters: Vec<NamedVoter> },
    Standalone,
    NoInitialControllers,
    None,
}

#[derive(Deserialize)]
struct NamedVoter {
    node_id: i32,
    address: Address,
    directory_id: String,
}

#[derive(Deserialize)]
struct Address {
    host: String,
    port: u16,
}

#[derive(Deserialize)]
struct ScramUser {
    mechanism: String,
    name: String,
    password: String,
    salt_base64: String,
    iterations: u32,
}

#[derive(Deserialize)]
struct Written {
    path: PathBuf,
    kind: String,
}

impl Case {
    fn metadata_log_dir(&self) -> &str {
        self.metadata_log_dir.as_ref().unwrap_or(&self.log_dirs[0])
    }

    fn records(&self) -> Vec<MetadataRecord> {
        let kafka: KafkaVersion = self.kafka_version.parse().unwrap();
        let metadata: MetadataVersion = match &self.release_version {
            Some(release) => release.parse().unwrap(),
            None => kafka.default_metadata_version(),
        };
        kafka.check(metadata).unwrap();
        let features = feature_levels(kafka, metadata).into_iter().map(MetadataRecord::from);
        features.chain(self.scram_users.iter().map(|user| user.record(kafka))).collect()
    }

    fn first_snapshot(&self, own_directory_id: Uuid) -> Vec<u8> {
        let kafka: KafkaVersion = self.kafka_version.parse().unwrap();
        let records = if kafka.at_least(4, 4) { self.records() } else { vec![] };
        let voter = |node_id: i32, directory_id: Uuid, address: &Address| Voter {
            node_id: NodeId::try_from(node_id).unwrap(),
            directory_id,
            listener_name: self.controller_listener_name.clone(),
            host: address.host.clone(),
            port: address.port,
        };
        let (kraft_version, voters) = match &self.quorum {
            Quorum::Static {} => (None, None),
            Quorum::Dynamic { formation } => match formation {
                Formation::InitialControllers { voters } => {
                    let named = |named: &NamedVoter| {
                        voter(named.node_id, named.directory_id.parse().unwrap(), &named.address)
                    };
                    // Backwards, because the order in which they are given must not matter.
                    (Some(1), Some(voters.iter().rev().map(named).collect::<Vec<_>>()))
                }
                Formation::Standalone => {
                    let address = self.controller_listener.as_ref().unwrap();
                    (Some(1), Some(vec![voter(self.node_id, own_directory_id, address)]))
                }
                Formation::NoInitialControllers | Formation::None => (Some(1), None),
            },
        };
        encode_first_snapshot(kraft_version, voters.as_deref(), &records, 0)
    }
}

impl ScramUser {
    fn record(&self, kafka: KafkaVersion) -> MetadataRecord {
        let salt = BASE64_STANDARD.decode(&self.salt_base64).unwrap();
        let mechanism = self.mechanism.parse().unwrap();
        // The tool of 3.7 and 3.8 divides its argument at each `=` outside quotes and loses the rest of the password.
        // Ours takes the whole password; the golden file has what the tool made of its command line.
        let lost = if kafka.at_least(3, 9) { None } else { self.password.split_once('=') };
        let password = lost.map_or(self.password.as_str(), |(kept, _)| kept).as_bytes();
        let derived = ScramCredential::derive(mechanism, &self.name, password, &salt, self.iterations);
        MetadataRecord::UserScramCredential(derived.unwrap())
    }
}

#[test]
fn every_file_of_kafkas_own_tool_is_rebuilt_to_the_byte() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut compared = 0;
    for version in ["3.7.2", "3.9.2", "4.1.2", "4.3.1", "4.4.0"] {
        for folder in fs::read_dir(golden.join(format!("kafka-{version}"))).unwrap() {
            let folder = folder.unwrap().path();
            let case: Case = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
            assert_eq!(case.kafka_version, version);
            for written in case.written.iter().filter(|written| written.kind == "file") {
                compare(&case, &folder.join("disk"), &written.path);
                compared += 1;
            }
        }
    }
    assert!(compared > 150, "only {compared} golden files were found");
}

fn compare(case: &Case, disk: &Path, path: &Path) {
    let bytes = fs::read(disk.join(path)).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let ours = match name {
        "meta.properties" => {
            let directory_id = MetaProperties::decode(&bytes).unwrap().directory_id;
            let wanted = wanted_directory_id(case, path);
            assert_eq!(wanted.or(directory_id), directory_id, "{}", path.display());
            let ours = MetaProperties {
                cluster_id: case.cluster_id.clone(),
                node_id: NodeId::try_from(case.node_id).unwrap(),
                directory_id,
            };
            ours.encode(date_of(&bytes))
        }
        BOOTSTRAP_CHECKPOINT => with_times_of(&bytes, encode_bootstrap_checkpoint(&case.records(), 0), false),
        FIRST_SNAPSHOT => {
            assert_eq!(path.parent().unwrap().file_name().unwrap(), METADATA_PARTITION);
            let own = fs::read(disk.join(case.metadata_log_dir()).join("meta.properties")).unwrap();
            let own = MetaProperties::decode(&own).unwrap().directory_id.unwrap();
            with_times_of(&bytes, case.first_snapshot(own), true)
        }
        other => panic!("no rule for {other}"),
    };
    assert_eq!(ours, bytes, "{}", disk.join(path).display());
    if name != "meta.properties" {
        // And it is read back: what was decoded makes the same bytes again.
        let read = decode_checkpoint(&bytes).unwrap();
        let again = match name {
            BOOTSTRAP_CHECKPOINT => encode_bootstrap_checkpoint(&read.records, 0),
            _ => encode_first_snapshot(read.kraft_version, read.voters.as_deref(), &read.records, 0),
        };
        assert_eq!(with_times_of(&bytes, again, name == FIRST_SNAPSHOT), bytes);
    }
}

/// The id that the tool was told for this directory, if it was.
fn wanted_directory_id(case: &Case, path: &Path) -> Option<Uuid> {
    let Quorum::Dynamic { formation: Formation::InitialControllers { voters } } = &case.quorum else {
        return None;
    };
    let named = voters.iter().find(|voter| voter.node_id == case.node_id)?;
    path.starts_with(case.metadata_log_dir()).then(|| named.directory_id.parse().unwrap())
}

/// The tool ran in UTC; the second line is the date.
fn date_of(bytes: &[u8]) -> SystemTime {
    let text = std::str::from_utf8(bytes).unwrap();
    let date = text.lines().nth(1).unwrap().strip_prefix('#').unwrap();
    let date = DateTime::strptime("%a %b %d %H:%M:%S UTC %Y", date).unwrap();
    date.to_zoned(TimeZone::UTC).unwrap().timestamp().into()
}

/// Our checkpoint with the golden one's times, and the checksums made again.
fn with_times_of(golden: &[u8], mut ours: Vec<u8>, header_has_time: bool) -> Vec<u8> {
    // In a batch: length at 8, checksum at 17 over all from 21 on, first and last time at 27, records at 61. In the
    // first record the time comes after five bytes of record, four of key, one of length and two of version.
    const TIMES: std::ops::Range<usize> = 27..43;
    const HEADER_TIME: std::ops::Range<usize> = 73..81;
    let mut start = 0;
    while start + 61 <= ours.len() && start + 61 <= golden.len() {
        let length = i32::from_be_bytes(ours[start + 8..start + 12].try_into().unwrap()) as usize;
        let batch = &mut ours[start..start + 12 + length];
        batch[TIMES].copy_from_slice(&golden[start..][TIMES]);
        if start == 0 && header_has_time {
            batch[HEADER_TIME].copy_from_slice(&golden[HEADER_TIME]);
        }
        let checksum = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&checksum.to_be_bytes());
        start += 12 + length;
    }
    ours
}
