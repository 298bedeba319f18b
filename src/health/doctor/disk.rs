//! A node's log directories: formatted, its own, and with room to write.

use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::next::Place;
use crate::health::text::Word;
use crate::storage::found::Access;
use crate::storage::found::DirState;
use crate::storage::found::Found;
use crate::storage::found::FoundDir;
use crate::storage::found::Process;
use crate::storage::inspect;
use crate::storage::inspect::Standing;
use crate::storage::wanted::Wanted;

/// A new segment takes 20 MiB for its two indexes before its first record (`segment.index.bytes`), and a snapshot of
/// the metadata is written beside the old one. With less than this the next roll stops Kafka.
const NO_ROOM_BYTES: u64 = 32 * 1024 * 1024;

/// Half of a segment as Kafka makes them (`log.segment.bytes`): retention frees whole ones, and may come too late.
const LITTLE_ROOM_BYTES: u64 = 512 * 1024 * 1024;

/// Each partition has three or four files in each segment, and a roll makes them anew.
const FEW_FILES: u64 = 1000;

/// What is wrong with the directories. `is_read_only` says of a device whether its file system is, for everybody: this
/// process may only be shown it so.
pub fn judge(
    pod: &str,
    wanted: &Wanted,
    found: &Found,
    is_read_only: impl Fn(u64) -> bool,
    place: &Place,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dir in &found.dirs {
        let thing = format!("{pod}: log directory {}", dir.path.display());
        findings.extend(identity(&thing, pod, wanted, dir, found.process, place));
        if let DirState::Here(contents) = &dir.state {
            findings.extend(room(&thing, &contents.access, is_read_only(contents.access.device)));
        }
    }
    findings
}

/// Whether the device (`8:1`) is a file system that was mounted, or has become, read-only for everybody: the words of
/// the file system itself in `/proc/self/mountinfo` (proc_pid_mountinfo(5)), not those of a mount of it.
pub fn is_read_only(mountinfo: &str, device: &str) -> bool {
    mountinfo.lines().any(|line| {
        let Some((mount, file_system)) = line.split_once(" - ") else { return false };
        let is_it = mount.split(' ').nth(2) == Some(device);
        is_it && file_system.split(' ').nth(2).is_some_and(|words| words.split(',').any(|word| word == "ro"))
    })
}

fn identity(
    thing: &str,
    pod: &str,
    wanted: &Wanted,
    dir: &FoundDir,
    process: Process,
    place: &Place,
) -> Vec<Finding> {
    let finding = |severity, reason, cause: String| {
        Finding::new(severity, Area::Disk, Word::of(reason), thing, cause).next(place.explain(pod))
    };
    let mut refusals = Vec::new();
    match inspect::inspect(dir, process, wanted, &mut refusals) {
        Some(Standing::Unformatted) => {
            let cause = "it is not formatted: `kraftlet init` has not run here, or the disk was replaced";
            vec![finding(Severity::Hurts, "LogDirNotFormatted", cause.to_owned())]
        }
        Some(Standing::Failing(error)) => {
            vec![finding(Severity::Hurts, "LogDirFailing", format!("the disk beneath it fails: {error}"))]
        }
        Some(Standing::Formatted(_)) | None => {
            // Who runs the doctor may have other rights than Kafka has.
            let is_hidden = matches!(dir.state, DirState::Unreadable { .. });
            let severity = if is_hidden { Severity::CannotTell } else { Severity::Hurts };
            refusals.iter().map(|refusal| finding(severity, refusal.reason(), refusal.to_string())).collect()
        }
    }
}

fn room(thing: &str, access: &Access, is_read_only: bool) -> Vec<Finding> {
    let finding =
        |severity, reason, cause: String| Finding::new(severity, Area::Disk, Word::of(reason), thing, cause);
    let mut findings = Vec::new();
    if is_read_only {
        let cause = "its file system is read-only; most mount themselves so after an error of the disk";
        findings.push(finding(Severity::Hurts, "DiskReadOnly", cause.to_owned()));
    }
    let free = mebibytes(access.free_bytes);
    if access.free_bytes < NO_ROOM_BYTES {
        let cause =
            format!("its disk is full: {free} free; the next segment needs {}", mebibytes(NO_ROOM_BYTES));
        findings.push(finding(Severity::Hurts, "DiskFull", cause));
    } else if access.free_bytes < LITTLE_ROOM_BYTES {
        let cause = format!("its disk is nearly full: {free} free; want {}", mebibytes(LITTLE_ROOM_BYTES));
        findings.push(finding(Severity::Later, "DiskNearlyFull", cause));
    }
    if let Some(files) = access.free_files.filter(|files| *files < FEW_FILES) {
        let severity = if files == 0 { Severity::Hurts } else { Severity::Later };
        let cause = format!("its file system has room for {files} more files; want {FEW_FILES}");
        findings.push(finding(severity, "DiskFewFiles", cause));
    }
    findings
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cluster::pool::ProcessRoles;
    use crate::disk::step::Content;
    use crate::kafka::node_id::NodeId;
    use crate::storage::found::Contents;
    use crate::storage::found::FoundFile;
    use crate::storage::found::MetadataLog;
    use crate::storage::found::Names;
    use crate::storage::found::Write;
    use crate::storage::wanted::Cluster;
    use crate::storage::wanted::Others;
    use crate::storage::wanted::Quorum;

    const CLUSTER_ID: &str = "Xk3vXo2uTwq9ZQbn0eM1Jw";

    fn wanted() -> Wanted {
        Wanted {
            node_id: NodeId::try_from(0).unwrap(),
            cluster_id: CLUSTER_ID.parse().unwrap(),
            roles: ProcessRoles::Combined,
            kafka_version: "4.4.0".parse().unwrap(),
            records: Vec::new(),
            log_dirs: vec![PathBuf::from("/data")],
            metadata_log_dir: PathBuf::from("/data"),
            quorum: Quorum::Static,
            others: Others::There,
            cluster: Cluster::Formed,
        }
    }

    fn here(meta: Option<&str>, free_bytes: u64, free_files: Option<u64>) -> DirState {
        let access = Access {
            device: 7,
            inode: 1,
            uid: 1,
            gid: 1,
            mode: 0o755,
            write: Write::ReadOnly,
            free_bytes,
            free_files,
        };
        DirState::Here(Box::new(Contents {
            access,
            is_perhaps_new: false,
            meta_properties: meta
                .map_or(FoundFile::Absent, |text| FoundFile::Read(Content::new(text.as_bytes()))),
            bootstrap_checkpoint: FoundFile::Absent,
            metadata_log: MetadataLog::Absent,
            partitions: Names::default(),
            has_lost_and_found: false,
            foreign: Names::default(),
            blocked: Vec::new(),
        }))
    }

    fn check(state: DirState, is_read_only: bool, want: &[(Severity, &str)]) {
        let dirs = vec![FoundDir { path: PathBuf::from("/data"), state }];
        let found = Found { process: Process { uid: 1, gid: 1 }, dirs };
        let place = Place::Pod { own: "demo-0".to_owned(), namespace: None };
        let findings = judge("demo-0", &wanted(), &found, |device| is_read_only && device == 7, &place);
        let got: Vec<_> = findings.iter().map(|one| (one.severity, one.reason.as_str())).collect();
        assert_eq!(got, want, "{found:?}");
    }

    #[test]
    fn a_directory_is_formatted_its_nodes_own_and_has_room() {
        let meta = |cluster: &str, node: u8| format!("version=1\ncluster.id={cluster}\nnode.id={node}\n");
        let good = meta(CLUSTER_ID, 0);
        let plenty = 1 << 40;
        // The sidecar is shown the volume read-only, which is no finding.
        check(here(Some(&good), plenty, None), false, &[]);
        check(here(Some(&good), plenty, None), true, &[(Severity::Hurts, "DiskReadOnly")]);
        check(here(Some(&good), 600 << 20, Some(1000)), false, &[]);
        check(
            here(Some(&good), 511 << 20, Some(999)),
            false,
            &[(Severity::Later, "DiskNearlyFull"), (Severity::Later, "DiskFewFiles")],
        );
        check(
            here(Some(&good), 31 << 20, Some(0)),
            false,
            &[(Severity::Hurts, "DiskFull"), (Severity::Hurts, "DiskFewFiles")],
        );
        check(
            here(Some(&meta("other", 1)), plenty, None),
            false,
            &[(Severity::Hurts, "LogDirOfAnotherCluster"), (Severity::Hurts, "LogDirOfAnotherNode")],
        );
        check(DirState::Failing { error: "EIO".to_owned() }, false, &[(Severity::Hurts, "LogDirFailing")]);
        let hidden = DirState::Unreadable { error: "Permission denied".to_owned() };
        check(hidden, false, &[(Severity::CannotTell, "LogDirUnreadable")]);
        let gone = DirState::DanglingLink { target: PathBuf::from("/gone") };
        check(gone, false, &[(Severity::Hurts, "LogDirDanglingLink")]);
    }

    #[test]
    fn an_empty_directory_is_not_formatted() {
        let DirState::Here(mut contents) = here(None, 1 << 40, None) else { unreachable!() };
        contents.access.write = Write::Allowed;
        check(DirState::Here(contents), false, &[(Severity::Hurts, "LogDirNotFormatted")]);
    }

    #[test]
    fn a_file_system_is_read_only_by_its_own_words() {
        let mountinfo = "36 35 98:0 / /data ro,noatime master:1 - ext4 /dev/root rw,errors=remount-ro\n\
                         37 35 98:1 / /other rw - xfs /dev/b ro,attr2\nbroken\n";
        for (device, want) in [("98:0", false), ("98:1", true), ("98:2", false), ("", false)] {
            assert_eq!(is_read_only(mountinfo, device), want, "{device}");
        }
    }
}
