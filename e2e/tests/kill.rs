//! kill -9 at every system call of `kraftlet init` that touches the disk, then init again: the result is that of one
//! undisturbed run.
//!
//! strace kills the real process as it enters its n-th call of a kind, for every n until a run gets through. What a
//! process killed *after* a call leaves is what one killed on entering the next call leaves, so every state is seen.

#![allow(clippy::unwrap_used, reason = "a test stops loudly")]
#![allow(clippy::disallowed_methods, reason = "tests make and break files as they like")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use kraftlet::kafka::checkpoint;
use kraftlet::kafka::meta_properties::MetaProperties;
use kraftlet::pki::stores;

/// The calls by which a process changes a disk, or learns that it may.
const CALLS: &str =
    "mkdir,mkdirat,openat,write,chmod,fchmod,fchmodat,fsync,rename,renameat,renameat2,flock,close";

/// No run of init makes so many calls; a test that gets here goes in circles.
const MOST_CALLS: usize = 2_000;

struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Settings with everything in this folder; the CA is there, so that only `init` itself is killed.
    fn new(settings: &str) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        let at = machine.folder.path().display().to_string();
        fs::write(machine.path("cluster.yaml"), settings.replace("@", &at)).unwrap();
        fs::write(machine.path("engine.jar"), b"PK\x03\x04 and so on").unwrap();
        machine
    }

    fn init(&self, killed_at: Option<usize>) -> bool {
        let mut command = match killed_at {
            None => Command::new(binary()),
            Some(call) => {
                let mut strace = Command::new("strace");
                strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}")]);
                strace.args(["-e", &format!("inject={CALLS}:signal=SIGKILL:when={call}")]).arg(binary());
                strace
            }
        };
        command.args(["init", "--settings"]).arg(self.path("cluster.yaml"));
        command.env("KRAFTLET_ENGINE_JAR", self.path("engine.jar"));
        command.env("POD_NAME", "kafka-0").stdout(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().expect("strace is on this machine: e2e/test.sh installs it");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if killed_at.is_none() {
            assert!(output.status.success(), "{said}");
        }
        output.status.success()
    }

    /// Every file with its mode and its meaning: what is random or a time is left out.
    fn tree(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut tree = BTreeMap::new();
        let mut folders = vec![self.path("node")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777;
                let meaning = if path.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    meaning(&path, &self.folder.path().display().to_string())
                };
                tree.insert(path.strip_prefix(self.folder.path()).unwrap().to_owned(), (mode, meaning));
            }
        }
        tree
    }
}

fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let binary = target.join("debug/kraftlet");
    assert!(binary.exists(), "{} is not built; want `cargo build` first", binary.display());
    binary
}

fn meaning(path: &Path, root: &str) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    if name == "meta.properties" {
        let mut meta = MetaProperties::decode(&bytes).unwrap();
        assert!(meta.directory_id.take().is_some());
        format!("{meta:?}").into_bytes()
    } else if name.ends_with(".checkpoint") {
        format!("{:?}", checkpoint::decode_checkpoint(&bytes).unwrap()).into_bytes()
    } else if name.starts_with("keystore") {
        // Another key at each run, but always whole: one key and the leaf that belongs to it.
        let (key, chain) = stores::read_keystore_pem(&bytes).unwrap();
        assert!(key.matches(&chain[0]));
        chain[0].subject().as_bytes().to_vec()
    } else {
        String::from_utf8(bytes).unwrap().replace(root, "@").into_bytes()
    }
}

fn settings(kafka: &str, quorum: &str) -> String {
    format!(
        "apiVersion: kraftlet.dev/v1\nkind: KafkaCluster\nname: kafka\nclusterId: Xk3vXo2uTwq9ZQbn0eM1Jw\n\
         kafkaVersion: {kafka}\n{quorum}pools:\n- {{statefulSet: kafka, roles: [broker, controller], replicas: 1}}\n\
         host: kafka-0.localhost\nrunFolder: \"@/node/run\"\n\
         storage:\n  logDirs: [\"@/node/a\", \"@/node/b\"]\n  metadataLogDir: \"@/node/metadata\"\n\
         properties: {{all: {{some.password: secret}}}}\n\
         certificates: {{node: {{source: {{localCa: {{folder: \"@/ca\"}}}}}}}}\n"
    )
}

fn check(settings: &str) {
    let undisturbed = Machine::new(settings);
    undisturbed.init(None);
    // The CA's own file is copied, so that every truststore is the same.
    let want = undisturbed.tree();
    for call in 1..MOST_CALLS {
        let machine = Machine::new(settings);
        fs::create_dir(machine.path("ca")).unwrap();
        for name in ["ca.key", "ca.crt"] {
            fs::copy(undisturbed.path("ca").join(name), machine.path("ca").join(name)).unwrap();
        }
        let survived = machine.init(Some(call));
        machine.init(None);
        assert_eq!(machine.tree(), want, "killed at call {call}");
        if survived {
            println!("killed at each of {} calls", call - 1);
            assert!(call > 40, "only {call} calls: is strace counting?");
            return;
        }
    }
    panic!("init makes more than {MOST_CALLS} calls");
}

#[test]
fn a_static_node_of_4_4_heals_from_a_kill_at_every_call() {
    check(&settings("4.4.0", ""));
}

#[test]
fn a_dynamic_node_of_3_9_heals_from_a_kill_at_every_call() {
    check(&settings(
        "3.9.2",
        "quorum: {type: dynamic, initialControllers: [{nodeId: 0, directoryId: JEXY6aqzQY-32P5TStzaFg}]}\n",
    ));
}
