//! Every refusal, from a directory that earns it, with its whole sentence; and nothing is written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use kraftlet::cluster::pool::ProcessRoles;
use kraftlet::kafka::checkpoint::encode_bootstrap_checkpoint;
use kraftlet::kafka::checkpoint::encode_first_snapshot;
use kraftlet::storage::controller::needs_asking;
use kraftlet::storage::empty_disk::Answer;
use kraftlet::storage::empty_disk::NoAnswer;
use kraftlet::storage::found::Access;
use kraftlet::storage::found::DirState;
use kraftlet::storage::found::Found;
use kraftlet::storage::found::Write;
use kraftlet::storage::plan::Fate;
use kraftlet::storage::plan::Kind;
use kraftlet::storage::plan::plan;
use kraftlet::storage::refusal::Refusal;
use kraftlet::storage::wanted::Cluster;
use kraftlet::storage::wanted::InitialVoters;
use kraftlet::storage::wanted::Quorum;
use kraftlet::storage::wanted::Wanted;

use crate::storage::Ids;
use crate::storage::answer;
use crate::storage::formatted;
use crate::storage::id;
use crate::storage::looked;
use crate::storage::node;
use crate::storage::now;
use crate::storage::planned;
use crate::storage::put;
use crate::storage::reasons;
use crate::storage::records;
use crate::storage::standalone;
use crate::storage::tree;
use crate::storage::voter;
use crate::storage::voters;
use crate::storage::wanted;

const SNAPSHOT: &str = "data-0/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";

/// Prepares a disk and settings, and compares the reasons with the sentences, `<root>` standing for the directory.
fn check(prepare: impl FnOnce(&Path, &mut Wanted), want: &[(&str, &str)]) {
    check_of("4.3.1", prepare, want);
}

fn check_of(version: &str, prepare: impl FnOnce(&Path, &mut Wanted), want: &[(&str, &str)]) {
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), version);
    prepare(root.path(), &mut wanted);
    let before = tree(root.path());
    compare(planned(&wanted, &[], &mut Ids(0)).unwrap_err(), root.path(), want);
    assert_eq!(tree(root.path()), before);
}

fn compare(refusals: Vec<Refusal>, root: &Path, want: &[(&str, &str)]) {
    let mut got = vec![];
    for refusal in &refusals {
        let mut sentence = refusal.to_string();
        let mut source = std::error::Error::source(refusal);
        while let Some(error) = source {
            sentence = format!("{sentence}: {error}");
            source = error.source();
        }
        got.push((refusal.reason().to_owned(), sentence.replace(root.to_str().unwrap(), "<root>")));
    }
    let want: Vec<_> = want.iter().map(|(reason, text)| (reason.to_string(), text.to_string())).collect();
    assert_eq!(got, want);
}

fn meta(root: &Path, dir: &str, text: &str) {
    put(root.join(dir).join("meta.properties"), text.as_bytes());
}

const OURS: &str = "version=1\ncluster.id=WoNHcZcVRoKp7mPTt0CfJQ\nnode.id=1\n";

#[test]
fn a_directory_that_says_something_else_is_refused() {
    check(
        |root, _| meta(root, "data-1", "version=1\ncluster.id=WoNHcZcVRoKp7mPTt0CfJQ\nnode.id=2\n"),
        &[("LogDirOfAnotherNode", "log directory <root>/data-1 belongs to node.id 2; want 1")],
    );
    check(
        |root, _| meta(root, "data-0", "version=1\ncluster.id=other\nnode.id=7\n"),
        &[
            (
                "LogDirOfAnotherCluster",
                "log directory <root>/data-0 belongs to cluster.id other; want WoNHcZcVRoKp7mPTt0CfJQ",
            ),
            ("LogDirOfAnotherNode", "log directory <root>/data-0 belongs to node.id 7; want 1"),
        ],
    );
    check(
        |root, _| meta(root, "data-1", &format!("{OURS}directory.id=AAAAAAAAAAAAAAAAAAAAAQ\n")),
        &[(
            "ReservedDirectoryId",
            "log directory <root>/data-1 has directory.id AAAAAAAAAAAAAAAAAAAAAQ, which Kafka reserves; want one of \
             its own",
        )],
    );
    check(
        |root, wanted| {
            formatted(wanted);
            fs::copy(root.join("data-0/meta.properties"), root.join("data-1/meta.properties")).unwrap();
        },
        &[(
            "DirectoryIdTwice",
            "log directories <root>/data-0 and <root>/data-1 have the same directory.id AQEBAQEBAQEBAQEBAQEBAQ; want \
             one each: one is a copy",
        )],
    );
}

#[test]
fn a_meta_properties_that_is_not_understood_is_refused() {
    for (text, reason, want) in [
        ("", "MetaPropertiesUnreadable", "meta.properties has no version"),
        (
            "#\n#Sun Nov 22 10:31:03 UTC 2026\nnode.i",
            "MetaPropertiesUnreadable",
            "meta.properties has no version",
        ),
        ("version=1\nnode.id=1\n", "MetaPropertiesUnreadable", "meta.properties has no cluster.id"),
        ("version=1\ncluster.id=a\n", "MetaPropertiesUnreadable", "meta.properties has no node.id"),
        (
            "version=0\nbroker.id=1\n",
            "MetaPropertiesFromZooKeeper",
            "meta.properties has version 0, from a broker that used ZooKeeper; want version 1, from KRaft",
        ),
        (
            "version=2\n",
            "MetaPropertiesFromNewerKafka",
            "meta.properties has version 2, from a newer Kafka; this program knows version 1",
        ),
    ] {
        let want = format!("log directory <root>/data-1 does not say whose it is: {want}");
        check(|root, _| meta(root, "data-1", text), &[(reason, &want)]);
    }
    let file = |path: &str, what: &str| format!("<root>/{path} {what}");
    check(
        |root, _| put(root.join("data-1/meta.properties"), &vec![b'#'; (1 << 20) + 1]),
        &[(
            "StorageFileTooLarge",
            &file("data-1/meta.properties", "has 1048577 bytes; want at most 1048576"),
        )],
    );
    check(
        |root, _| {
            fs::create_dir(root.join("data-1")).unwrap();
            let mode = nix::sys::stat::Mode::S_IRWXU;
            nix::unistd::mkfifo(&root.join("data-1/meta.properties"), mode).unwrap();
        },
        &[("StorageFileNotAFile", &file("data-1/meta.properties", "is no regular file"))],
    );
    check(
        |root, wanted| {
            formatted(wanted);
            fs::rename(root.join("data-1/meta.properties"), root.join("elsewhere")).unwrap();
            symlink("../elsewhere", root.join("data-1/meta.properties")).unwrap();
        },
        &[(
            "StorageFileIsLink",
            &file("data-1/meta.properties", "is a symbolic link to ../elsewhere; want the file itself"),
        )],
    );
}

#[test]
fn a_path_that_is_no_directory_of_its_own_is_refused() {
    check(
        |root, _| put(root.join("data-1"), b""),
        &[("LogDirNotADirectory", "log directory <root>/data-1: <root>/data-1 is a file; want a directory")],
    );
    check(
        |root, wanted| {
            put(root.join("data-1"), b"");
            wanted.log_dirs[1] = root.join("data-1/kafka");
        },
        &[(
            "LogDirNotADirectory",
            "log directory <root>/data-1/kafka: <root>/data-1 is a file; want a directory",
        )],
    );
    check(
        |root, _| symlink("not-mounted", root.join("data-1")).unwrap(),
        &[(
            "LogDirDanglingLink",
            "log directory <root>/data-1 is a symbolic link to not-mounted, which does not exist",
        )],
    );
    check(
        |root, _| {
            fs::create_dir(root.join("data-0")).unwrap();
            symlink("data-0", root.join("data-1")).unwrap();
        },
        &[(
            "LogDirTwice",
            "log directories <root>/data-0 and <root>/data-1 are the same directory; Kafka, which compares their \
             spellings, would take them for two",
        )],
    );
    // Spelled differently, which Kafka takes for two and Rust's own comparison for one.
    check(
        |root, wanted| wanted.metadata_log_dir = root.join("data-1/"),
        &[(
            "LogDirTwice",
            "log directories <root>/data-1/ and <root>/data-1 are the same directory; Kafka, which compares their \
             spellings, would take them for two",
        )],
    );
    check(
        |root, wanted| wanted.log_dirs[1] = root.join("data-0/more"),
        &[(
            "LogDirNested",
            "log directory <root>/data-0/more lies in log directory <root>/data-0, where a broker wants partitions of \
             topics only",
        )],
    );
}

#[test]
fn what_a_broker_would_stop_at_is_refused_and_a_controller_may_have_it() {
    let volume_root = |root: &Path| fs::create_dir_all(root.join("data-1/lost+found")).unwrap();
    check(
        |root, _| volume_root(root),
        &[(
            "LogDirIsVolumeRoot",
            "log directory <root>/data-1 holds lost+found, so it is the root of a file system, and a broker wants \
             partitions of topics only; want a sub-directory, for example <root>/data-1/kafka",
        )],
    );
    // However many others come before it.
    check(
        |root, _| {
            volume_root(root);
            for name in ["a", "b", "c", "d", "e", "f"] {
                fs::create_dir(root.join("data-1").join(name)).unwrap();
            }
        },
        &[
            (
                "LogDirIsVolumeRoot",
                "log directory <root>/data-1 holds lost+found, so it is the root of a file system, and a broker wants \
                 partitions of topics only; want a sub-directory, for example <root>/data-1/kafka",
            ),
            (
                "LogDirHasForeignEntries",
                "log directory <root>/data-1 holds a, b, c, d, e and 1 more; a broker wants partitions of topics only, \
                 named <topic>-<n>",
            ),
        ],
    );
    check(
        |root, _| {
            fs::create_dir_all(root.join("data-0/metadata")).unwrap();
            fs::create_dir_all(root.join("data-0/remote-log-index-cache")).unwrap();
            put(root.join("data-0/a-file-is-no-obstacle"), b"");
        },
        &[(
            "LogDirHasForeignEntries",
            "log directory <root>/data-0 holds metadata; a broker wants partitions of topics only, named <topic>-<n>",
        )],
    );
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), "4.3.1");
    wanted.roles = ProcessRoles::Controller;
    volume_root(root.path());
    assert_eq!(formatted(&wanted).directories.len(), 2);
}

#[test]
fn data_without_meta_properties_is_refused() {
    check(
        |root, _| fs::create_dir_all(root.join("data-1/orders-0")).unwrap(),
        &[(
            "DataWithoutMetaProperties",
            "log directory <root>/data-1 has no meta.properties but holds topic partitions (orders-0); want them \
                 together",
        )],
    );
    check(
        |root, _| put(root.join("data-0/__cluster_metadata-0/quorum-state"), b"{}"),
        &[(
            "DataWithoutMetaProperties",
            "log directory <root>/data-0 has no meta.properties but holds a metadata log (quorum-state); want them \
             together",
        )],
    );
    check(
        |root, wanted| {
            formatted(wanted);
            put(root.join("data-1/__cluster_metadata-0/00000000000000000000.log"), b"x");
        },
        &[(
            "MetadataLogElsewhere",
            "log directory <root>/data-1 holds the metadata log __cluster_metadata-0; want that in <root>/data-0, the \
             metadata log directory",
        )],
    );
}

#[test]
fn checkpoints_that_kafka_would_stop_at_or_misread_are_refused() {
    check(
        |root, wanted| {
            formatted(wanted);
            let path = root.join("data-0/bootstrap.checkpoint");
            let bytes = fs::read(&path).unwrap();
            put(path, &bytes[..bytes.len() - 1]);
        },
        &[(
            "CheckpointTruncated",
            "<root>/data-0/bootstrap.checkpoint cannot be used: the checkpoint is cut off at byte 410: it does not \
             end in a snapshot footer",
        )],
    );
    check(
        |root, wanted| {
            formatted(wanted);
            fs::rename(root.join("data-0/bootstrap.checkpoint"), root.join("away")).unwrap();
        },
        &[(
            "NoBootstrapRecords",
            "<root>/data-0 is formatted and has never been used, but holds neither bootstrap.checkpoint nor the \
             records of one",
        )],
    );
    check(
        |root, wanted| {
            formatted(wanted);
            put(root.join(SNAPSHOT), &encode_first_snapshot(Some(0), None, &records("4.4.0"), 0));
        },
        &[(
            "LayoutFromNewerKafka",
            "<root>/data-0 was formatted by Kafka 4.4 or newer, whose layout Kafka 4.3.1 does not read; want 4.4 at \
             least",
        )],
    );
    check(
        |root, wanted| {
            formatted(wanted);
            symlink("/etc/passwd", root.join("data-0/__cluster_metadata-0")).unwrap();
        },
        &[(
            "StorageFileIsLink",
            "<root>/data-0/__cluster_metadata-0 is a symbolic link to /etc/passwd; want the file itself",
        )],
    );
    check(
        |root, _| {
            symlink("/etc/passwd", {
                fs::create_dir(root.join("data-0")).unwrap();
                root.join("data-0/meta.properties.tmp")
            })
            .unwrap()
        },
        &[(
            "TemporaryFileBlocked",
            "<root>/data-0/meta.properties.tmp is a symbolic link; want nothing there, or a file of this process",
        )],
    );
}

#[test]
fn kafka_4_4_reads_both_layouts() {
    for version in ["4.3.1", "4.4.0"] {
        let root = tempfile::tempdir().unwrap();
        let mut wanted = wanted(root.path(), version);
        formatted(&wanted);
        wanted.kafka_version = "4.4.0".parse().unwrap();
        assert!(planned(&wanted, &[], &mut Ids(9)).unwrap().steps.is_empty(), "{version}");
    }
    // A bootstrap.checkpoint beside a 4.4 layout does not make it readable for 4.3.
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), "4.4.0");
    formatted(&wanted);
    put(root.path().join("data-0/bootstrap.checkpoint"), &encode_bootstrap_checkpoint(&wanted.records, 0));
    wanted.kafka_version = "4.3.1".parse().unwrap();
    assert_eq!(reasons(planned(&wanted, &[], &mut Ids(9))), ["LayoutFromNewerKafka"]);
}

#[test]
fn an_initial_voter_must_be_the_one_in_the_settings_until_it_has_started() {
    let other = Quorum::Dynamic(InitialVoters::Voters(vec![voter(1, 111), voter(2, 102), voter(3, 103)]));
    let id_of = |number| id(number).to_string();
    let list = |own| format!("1@{},2@{},3@{}", id_of(own), id_of(102), id_of(103));
    let differs = format!(
        "log directory <root>/data-0 has directory.id {}; want {}, under which the settings name node.id 1 as an \
         initial voter",
        id_of(111),
        id_of(101)
    );
    let voters_differ =
        format!("<root>/{SNAPSHOT} names the voters {}; want {} as in the settings", list(111), list(101));
    check(
        |_, wanted| {
            wanted.quorum = other.clone();
            formatted(wanted);
            wanted.quorum = voters();
        },
        &[("VoterDirectoryIdDiffers", &differs), ("InitialVotersDiffer", &voters_differ)],
    );
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), "4.3.1");
    wanted.quorum = other;
    formatted(&wanted);
    put(root.path().join("data-0/__cluster_metadata-0/00000000000000000000.log"), b"x");
    wanted.quorum = voters();
    // Once it has run, its log says who votes. It is worth a line, and so is the lost memory of votes.
    let notes = planned(&wanted, &[], &mut Ids(9)).unwrap().notes;
    let notes: Vec<_> = notes.iter().map(|note| note.reason()).collect();
    assert_eq!(notes, ["NoQuorumState", "NotTheInitialVoter"]);
}

/// A looked-at, empty pair of directories, with the facts of the second changed.
fn with_access(
    change: impl Fn(&mut Found, fn(&mut Found) -> &mut Access),
) -> (tempfile::TempDir, Vec<Refusal>) {
    let root = tempfile::tempdir().unwrap();
    let wanted = wanted(root.path(), "4.3.1");
    fs::create_dir(root.path().join("data-0")).unwrap();
    fs::create_dir(root.path().join("data-1")).unwrap();
    let mut found = looked(&wanted);
    change(&mut found, |found| match &mut found.dirs[1].state {
        DirState::Here(contents) => &mut contents.access,
        other => panic!("{other:?}"),
    });
    let refusals = plan(&found, &wanted, &[], || Ids(0).fresh(), now()).unwrap_err();
    (root, refusals)
}

#[test]
fn a_place_where_nothing_can_be_written_is_refused_with_owner_and_mode() {
    let (root, refusals) = with_access(|found, access| access(found).write = Write::ReadOnly);
    let want = "log directory <root>/data-1 is not formatted and <root>/data-1 is on a read-only file system";
    compare(refusals, root.path(), &[("LogDirReadOnly", want)]);
    let (root, refusals) = with_access(|found, access| {
        (found.process.uid, found.process.gid) = (1000, 1001);
        let access = access(found);
        (access.write, access.uid, access.gid, access.mode) = (Write::Denied, 0, 0, 0o755);
    });
    let want = "log directory <root>/data-1 is not formatted and <root>/data-1 belongs to 0:0 with mode 0755; want it \
                writable for 1000:1001, which this process is";
    compare(refusals, root.path(), &[("LogDirNotWritable", want)]);
    let (root, refusals) = with_access(|found, access| {
        access(found).free_bytes = 8191;
        access(found).device += 1;
        access(found).free_files = Some(1);
    });
    let no_room = "log directory <root>/data-1 is not formatted and its file system has";
    compare(
        refusals,
        root.path(),
        &[
            ("LogDirNoRoom", &format!("{no_room} 8191 bytes free; want 8192")),
            ("LogDirNoRoom", &format!("{no_room} 1 files free; want 2")),
        ],
    );
}

#[test]
fn root_does_not_write_where_another_user_will_read() {
    let root = tempfile::tempdir().unwrap();
    let wanted = wanted(root.path(), "4.3.1");
    let mut found = looked(&wanted);
    found.process.uid = 0;
    for dir in &mut found.dirs {
        if let DirState::Missing { access, .. } = &mut dir.state {
            access.uid = if dir.path.ends_with("data-1") { 1000 } else { 0 };
        }
    }
    let refusals = plan(&found, &wanted, &[], || Ids(0).fresh(), now()).unwrap_err();
    let want = "log directory <root>/data-1 is not formatted and <root> belongs to uid 1000, but this process is \
                root, and Kafka could not use what root writes there; want this process to run as uid 1000";
    compare(refusals, root.path(), &[("LogDirOwnedByAnother", want)]);
}

#[test]
fn one_broken_disk_of_many_is_left_alone_unless_it_has_the_metadata_log() {
    let root = tempfile::tempdir().unwrap();
    let wanted = wanted(root.path(), "4.3.1");
    formatted(&wanted);
    let error = "Input/output error (os error 5)".to_owned();
    let broken = |index: usize| {
        let mut found = looked(&wanted);
        found.dirs[index].state = DirState::Failing { error: error.clone() };
        plan(&found, &wanted, &[], || Ids(0).fresh(), now())
    };
    let plan = broken(1).unwrap();
    assert!(plan.steps.is_empty());
    assert_eq!(plan.directories[1].fate, Fate::LeftAlone);
    let note = plan.notes[0].to_string().replace(root.path().to_str().unwrap(), "<root>");
    let want = "log directory <root>/data-1 is left alone, and Kafka goes on without it: Input/output error (os error 5) \
                [LogDirFailing]";
    assert_eq!(note, want);
    assert_eq!(reasons(broken(0)), ["LogDirUnreadable"]);
}

#[test]
fn all_refusals_come_at_once_and_a_persons_are_not_hidden_by_one_that_may_pass() {
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), "4.3.1");
    wanted.cluster = Cluster::Formed;
    meta(root.path(), "data-1", "version=1\ncluster.id=other\nnode.id=2\n");
    let refusals = planned(&wanted, &[], &mut Ids(0)).unwrap_err();
    let all: Vec<_> = refusals.iter().map(Refusal::reason).collect();
    assert_eq!(all, ["LogDirOfAnotherCluster", "LogDirOfAnotherNode", "EmptyDiskNoLeader"]);
    let may_pass: Vec<_> = refusals.iter().map(Refusal::may_pass).collect();
    assert_eq!(may_pass, [false, false, true]);
}

/// Whether there is a need to ask, the reasons, and what becomes of the metadata log directory.
fn empty(wanted: &Wanted, answers: &[Answer]) -> (bool, Vec<&'static str>, Option<Kind>) {
    let asks = needs_asking(&looked(wanted), wanted);
    match planned(wanted, answers, &mut Ids(0)) {
        Err(refusals) => (asks, refusals.iter().map(Refusal::reason).collect(), None),
        Ok(plan) => match plan.directories[0].fate {
            Fate::Formatted { kind, .. } => {
                (asks, plan.notes.iter().map(|note| note.reason()).collect(), Some(kind))
            }
            Fate::Kept { .. } | Fate::LeftAlone => (asks, vec![], None),
        },
    }
}

#[test]
fn an_empty_metadata_disk_is_formatted_only_where_nothing_can_be_lost() {
    let silent =
        || vec![Answer { from: node(2), said: Err(NoAnswer::NobodyThere("nobody listens".to_owned())) }];
    let healthy = || vec![answer(Some(100), &[(1, 90, 9_000), (2, 101, 0), (3, 100, 400)])];
    let behind = || vec![answer(Some(100), &[(1, 100, 9_000), (2, 101, 0), (3, 99, 400)])];
    let unknown = || Quorum::Dynamic(InitialVoters::Unknown);
    use Cluster::*;
    for (roles, quorum, cluster, answers, want) in [
        (ProcessRoles::Combined, Quorum::Static, NeverFormed, vec![], (true, vec![], Some(Kind::Metadata))),
        (ProcessRoles::Combined, Quorum::Static, NeverFormed, silent(), (true, vec![], Some(Kind::Metadata))),
        // The settings are behind the times: a leader is believed.
        (
            ProcessRoles::Combined,
            Quorum::Static,
            NeverFormed,
            behind(),
            (true, vec!["EmptyDiskOthersBehind"], None),
        ),
        (ProcessRoles::Combined, Quorum::Static, Formed, silent(), (true, vec!["EmptyDiskNoLeader"], None)),
        (
            ProcessRoles::Combined,
            Quorum::Static,
            Formed,
            behind(),
            (true, vec!["EmptyDiskOthersBehind"], None),
        ),
        (ProcessRoles::Combined, Quorum::Static, Formed, healthy(), (true, vec![], Some(Kind::Metadata))),
        (
            ProcessRoles::Controller,
            Quorum::Static,
            FormedAndLossAccepted,
            vec![],
            (false, vec!["EmptyDiskLossAccepted"], Some(Kind::Metadata)),
        ),
        (ProcessRoles::Broker, Quorum::Static, Formed, vec![], (false, vec![], Some(Kind::Metadata))),
        (ProcessRoles::Broker, voters(), NeverFormed, vec![], (false, vec![], Some(Kind::Metadata))),
        (
            ProcessRoles::Combined,
            voters(),
            NeverFormed,
            silent(),
            (true, vec![], Some(Kind::DynamicMetadataVoter)),
        ),
        (
            ProcessRoles::Combined,
            voters(),
            NeverFormed,
            behind(),
            (true, vec!["JoinsAsObserver"], Some(Kind::Metadata)),
        ),
        (
            ProcessRoles::Combined,
            voters(),
            Formed,
            vec![],
            (false, vec!["JoinsAsObserver"], Some(Kind::Metadata)),
        ),
        (
            ProcessRoles::Combined,
            standalone(),
            NeverFormed,
            vec![],
            (true, vec![], Some(Kind::DynamicMetadataVoter)),
        ),
        (
            ProcessRoles::Combined,
            standalone(),
            Formed,
            vec![],
            (false, vec!["JoinsAsObserver"], Some(Kind::Metadata)),
        ),
        (ProcessRoles::Combined, unknown(), NeverFormed, vec![], (false, vec![], Some(Kind::Metadata))),
        (
            ProcessRoles::Combined,
            unknown(),
            Formed,
            vec![],
            (false, vec!["JoinsAsObserver"], Some(Kind::Metadata)),
        ),
        (
            ProcessRoles::Combined,
            voters(),
            FormedAndLossAccepted,
            vec![],
            (true, vec!["EmptyDiskLossAccepted"], Some(Kind::DynamicMetadataVoter)),
        ),
        (
            ProcessRoles::Combined,
            voters(),
            FormedAndLossAccepted,
            behind(),
            (true, vec!["JoinsAsObserver"], Some(Kind::Metadata)),
        ),
        (
            ProcessRoles::Combined,
            standalone(),
            FormedAndLossAccepted,
            vec![],
            (true, vec!["EmptyDiskLossAccepted"], Some(Kind::DynamicMetadataVoter)),
        ),
    ] {
        let root = tempfile::tempdir().unwrap();
        let mut wanted = wanted(root.path(), "4.3.1");
        (wanted.roles, wanted.quorum, wanted.cluster) = (roles, quorum, cluster);
        assert_eq!(empty(&wanted, &answers), want, "{:?} {:?} {answers:?}", wanted.roles, wanted.quorum);
    }
}

#[test]
fn a_lost_metadata_disk_is_told_by_the_other_directory() {
    let root = tempfile::tempdir().unwrap();
    let wanted = wanted(root.path(), "4.3.1");
    formatted(&wanted);
    fs::rename(root.path().join("data-0"), root.path().join("lost")).unwrap();
    let want = "metadata log directory <root>/data-0 of node.id 1 holds no metadata log: <root>/data-1 of the same \
                node has been in use, so the cluster has formed, but no leader answers to say whether the others hold \
                all its records (controller 2: connection refused; controller 3: not the leader); whoever accepts \
                that committed records may be lost names the pod in storage.formatEmptyDiskOf";
    let answers = [(2, "connection refused"), (3, "not the leader")];
    let answers =
        answers.map(|(from, why)| Answer { from: node(from), said: Err(NoAnswer::NoLeader(why.to_owned())) });
    let refusals = planned(&wanted, &answers, &mut Ids(9)).unwrap_err();
    compare(refusals, root.path(), &[("EmptyDiskNoLeader", want)]);
}

#[test]
fn a_log_that_was_deleted_beside_its_meta_properties_is_a_lost_disk_too() {
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), "4.3.1");
    formatted(&wanted);
    // Formatted and never started: nothing to ask about but whether the others have begun.
    assert_eq!(reasons(planned(&wanted, &[], &mut Ids(9))), Vec::<&str>::new());
    assert!(needs_asking(&looked(&wanted), &wanted));
    fs::create_dir(root.path().join("data-0/orders-0")).unwrap();
    assert_eq!(reasons(planned(&wanted, &[], &mut Ids(9))), ["EmptyDiskNoLeader"]);
    let healthy = [answer(Some(100), &[(1, 100, 9_000), (2, 101, 0), (3, 100, 400)])];
    assert!(planned(&wanted, &healthy, &mut Ids(9)).unwrap().steps.is_empty());
    put(root.path().join("data-0/__cluster_metadata-0/00000000000000000000.log"), b"");
    wanted.cluster = Cluster::Formed;
    assert!(!needs_asking(&looked(&wanted), &wanted));
    assert!(planned(&wanted, &[], &mut Ids(9)).unwrap().steps.is_empty());
}
