//! What only a machine can do: a full disk, a read-only one, other users.
//!
//! A test that needs another user or a file system of its own runs itself again inside one, by `setpriv` or
//! `unshare`, and fails with the reason where the machine does not allow it: none of these passes unrun.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

use kraftlet::disk;
use kraftlet::storage::refusal::Refusal;
use kraftlet::storage::wanted::Quorum;

use crate::storage::Ids;
use crate::storage::formatted;
use crate::storage::looked;
use crate::storage::meaning;
use crate::storage::planned;
use crate::storage::put;
use crate::storage::reasons;
use crate::storage::standalone;
use crate::storage::wanted;

/// Says to the second run which test it is for.
const INSIDE: &str = "KRAFTLET_TEST_INSIDE";

/// An id that no image gives to anybody.
const ORDINARY_UID: &str = "54321";

fn again(test: &str, program: &Path, launcher: &[&str]) {
    let test = format!("storage::machine::{test}");
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).arg(program).args(["--exact", &test, "--nocapture", "--test-threads=1"]);
    let output = command.env(INSIDE, &test).output();
    let output = output.unwrap_or_else(|error| panic!("{} is needed for this test: {error}", launcher[0]));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let has_run = output.status.success() && out.contains("1 passed");
    assert!(has_run, "{launcher:?} did not run {test} here, or it failed:\n{out}\n{err}");
}

fn is_inside(test: &str) -> bool {
    std::env::var(INSIDE).is_ok_and(|inside| inside == format!("storage::machine::{test}"))
}

/// Runs `body` as root in a mount namespace of its own; an ordinary user becomes root of a user namespace.
fn with_own_mounts(test: &str, body: impl FnOnce()) {
    if is_inside(test) {
        return body();
    }
    let unshare: &[&str] = if geteuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--map-root-user", "--mount"]
    };
    again(test, &std::env::current_exe().unwrap(), unshare);
}

/// Runs `body` as somebody who is not root.
fn as_ordinary_user(test: &str, body: impl FnOnce()) {
    if !geteuid().is_root() {
        return body();
    }
    // The folder of the build may be closed to others.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("it");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let (uid, gid) = (format!("--reuid={ORDINARY_UID}"), format!("--regid={ORDINARY_UID}"));
    again(test, &program, &["setpriv", &uid, &gid, "--clear-groups"]);
}

fn mount(options: &str, place: &Path) {
    let status =
        Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(place).status().unwrap();
    assert!(status.success(), "this machine lets nobody mount a tmpfs with {options}");
}

#[test]
fn a_disk_that_is_full_is_refused_and_one_that_fills_up_meanwhile_is_completed_later() {
    with_own_mounts(
        "a_disk_that_is_full_is_refused_and_one_that_fills_up_meanwhile_is_completed_later",
        || {
            let (root, undisturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            mount("size=128k,mode=0755", root.path());
            let of = |root: &Path| {
                let mut wanted = wanted(root, "4.3.1");
                wanted.quorum = standalone();
                wanted
            };
            formatted(&of(undisturbed.path()));
            let wanted = of(root.path());
            let plan = planned(&wanted, &[], &mut Ids(0)).unwrap();
            let fill = root.path().join("fill");
            put(&fill, b"");
            let mut failures = 0;
            // However much room is left, it ends in an error that says so, or in a complete format.
            for free in (0..=40_960).step_by(4096) {
                let fill = fs::OpenOptions::new().write(true).open(&fill).unwrap();
                fill.set_len(0).unwrap();
                nix::fcntl::fallocate(
                    &fill,
                    nix::fcntl::FallocateFlags::empty(),
                    0,
                    available(root.path()) - free,
                )
                .unwrap();
                match disk::io::apply(&plan.steps) {
                    Err(error) => {
                        assert_eq!(error.reason(), "DiskFull", "{error}");
                        failures += 1;
                        assert!(reasons(planned(&wanted, &[], &mut Ids(40))) == ["LogDirNoRoom"] || free > 0);
                    }
                    Ok(()) => assert!(free > 0),
                }
            }
            assert!((1..=10).contains(&failures), "{failures} of 11 runs ended in an error");
            fs::OpenOptions::new().write(true).open(&fill).unwrap().set_len(0).unwrap();
            let plan = planned(&wanted, &[], &mut Ids(50)).unwrap();
            disk::io::apply(&plan.steps).unwrap();
            fs::rename(&fill, root.path().join("data-0/fill")).unwrap();
            let mut got = meaning(root.path());
            got.retain(|sentence| !sentence.starts_with("data-0/fill"));
            let want = meaning(undisturbed.path());
            assert_eq!(got[1..], want[1..]);
        },
    );
}

fn available(place: &Path) -> i64 {
    let space = nix::sys::statvfs::statvfs(place).unwrap();
    i64::try_from(space.blocks_available() * space.fragment_size()).unwrap()
}

#[test]
fn a_read_only_disk_is_refused_until_it_is_formatted() {
    with_own_mounts("a_read_only_disk_is_refused_until_it_is_formatted", || {
        let root = tempfile::tempdir().unwrap();
        mount("size=1m,mode=0755", root.path());
        let wanted = wanted(root.path(), "4.3.1");
        fs::create_dir(root.path().join("data-0")).unwrap();
        mount_again("ro", root.path());
        // One directory is there and one is not.
        assert_eq!(reasons(planned(&wanted, &[], &mut Ids(0))), ["LogDirReadOnly", "LogDirReadOnly"]);
        mount_again("rw", root.path());
        formatted(&wanted);
        mount_again("ro", root.path());
        assert!(planned(&wanted, &[], &mut Ids(0)).unwrap().steps.is_empty());
    });
}

fn mount_again(how: &str, place: &Path) {
    let status =
        Command::new("mount").args(["-o", &format!("remount,bind,{how}")]).arg(place).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_volume_of_its_own_is_formatted_in_place() {
    with_own_mounts("a_volume_of_its_own_is_formatted_in_place", || {
        let root = tempfile::tempdir().unwrap();
        let wanted = wanted(root.path(), "4.4.0");
        for dir in &wanted.log_dirs {
            fs::create_dir(dir).unwrap();
            mount("size=1m,mode=0755", dir);
        }
        let plan = formatted(&wanted);
        // The names of mount points were there before us.
        assert!(!format!("{:?}", plan.steps).contains("SyncDir"), "{:?}", plan.steps);
        assert!(planned(&wanted, &[], &mut Ids(0)).unwrap().steps.is_empty());
    });
}

#[test]
fn a_directory_that_may_not_be_written_is_refused_by_name() {
    as_ordinary_user("a_directory_that_may_not_be_written_is_refused_by_name", || {
        let root = tempfile::tempdir().unwrap();
        let wanted = wanted(root.path(), "4.3.1");
        fs::create_dir(root.path().join("data-0")).unwrap();
        fs::set_permissions(root.path().join("data-0"), fs::Permissions::from_mode(0o555)).unwrap();
        let refusals = planned(&wanted, &[], &mut Ids(0)).unwrap_err();
        let (uid, gid) = (geteuid(), nix::unistd::getegid());
        let path = root.path().join("data-0").display().to_string();
        assert_eq!(
            refusals.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!(
                "log directory {path} is not formatted and {path} belongs to {uid}:{gid} with mode 0555; want it \
                 writable for {uid}:{gid}, which this process is"
            )]
        );
        // Not even to be looked into.
        fs::set_permissions(root.path().join("data-0"), fs::Permissions::from_mode(0o000)).unwrap();
        let refusals = planned(&wanted, &[], &mut Ids(0)).unwrap_err();
        assert_eq!(refusals.iter().map(Refusal::reason).collect::<Vec<_>>(), ["LogDirUnreadable"]);
        fs::set_permissions(root.path().join("data-0"), fs::Permissions::from_mode(0o755)).unwrap();
    });
}

#[test]
fn a_first_snapshot_that_kafka_could_not_read_is_refused() {
    as_ordinary_user("a_first_snapshot_that_kafka_could_not_read_is_refused", || {
        let root = tempfile::tempdir().unwrap();
        let mut wanted = wanted(root.path(), "4.3.1");
        wanted.quorum = standalone();
        formatted(&wanted);
        let path = "data-0/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
        fs::set_permissions(root.path().join(path), fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(reasons(planned(&wanted, &[], &mut Ids(0))), ["StorageFileUnreadable"]);
    });
}

#[test]
fn an_ordinary_user_completes_what_a_killed_run_left_read_only() {
    as_ordinary_user("an_ordinary_user_completes_what_a_killed_run_left_read_only", || {
        let root = tempfile::tempdir().unwrap();
        let mut wanted = wanted(root.path(), "4.4.0");
        wanted.quorum = standalone();
        let part = "data-0/__cluster_metadata-0/00000000000000000000-0000000000-kraftlet.checkpoint.part";
        crate::storage::put_with_mode(root.path().join(part), b"half", 0o400);
        formatted(&wanted);
        assert!(!root.path().join(part).exists());
    });
}

#[test]
fn root_is_refused_in_a_directory_of_another_user() {
    let test = "root_is_refused_in_a_directory_of_another_user";
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), "4.3.1");
    wanted.quorum = Quorum::Static;
    if geteuid().is_root() && !is_inside(test) {
        fs::create_dir(root.path().join("data-1")).unwrap();
        let uid = ORDINARY_UID.parse().unwrap();
        std::os::unix::fs::chown(root.path().join("data-1"), Some(uid), Some(uid)).unwrap();
        assert_eq!(reasons(planned(&wanted, &[], &mut Ids(0))), ["LogDirOwnedByAnother"]);
        return;
    }
    // An ordinary user is root only in a user namespace, where the machine's own directories are somebody else's.
    with_own_mounts(test, || {
        wanted.log_dirs = vec![Path::new("/tmp").join(format!("kraftlet-{}", std::process::id()))];
        wanted.metadata_log_dir = wanted.log_dirs[0].clone();
        assert_eq!(reasons(planned(&wanted, &[], &mut Ids(0))), ["LogDirOwnedByAnother"]);
        assert_eq!(looked(&wanted).process.uid, 0);
    });
}
