//! A format that is killed anywhere ends, when run again, as one that was not; and a second run does nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;

use kraftlet::cluster::pool::ProcessRoles;
use kraftlet::disk;
use kraftlet::disk::step::Step;
use kraftlet::storage::plan::Fate;
use kraftlet::storage::wanted::InitialVoters;
use kraftlet::storage::wanted::Quorum;
use kraftlet::storage::wanted::Wanted;

use crate::storage::Ids;
use crate::storage::formatted;
use crate::storage::meaning;
use crate::storage::planned;
use crate::storage::put_with_mode;
use crate::storage::quick_tempdir;
use crate::storage::standalone;
use crate::storage::tree;
use crate::storage::voters;
use crate::storage::wanted;

/// Every layout, role and kind of quorum, with the metadata log in a log directory and apart.
fn all_kinds() -> Vec<(&'static str, ProcessRoles, Quorum, bool)> {
    let mut kinds = vec![];
    for version in ["3.7.2", "3.9.2", "4.3.1", "4.4.0"] {
        for roles in [ProcessRoles::Broker, ProcessRoles::Controller, ProcessRoles::Combined] {
            let unknown = Quorum::Dynamic(InitialVoters::Unknown);
            for quorum in [Quorum::Static, standalone(), voters(), unknown] {
                for is_apart in [false, true] {
                    if quorum == Quorum::Static || version != "3.7.2" {
                        kinds.push((version, roles, quorum.clone(), is_apart));
                    }
                }
            }
        }
    }
    kinds
}

fn of_kind(root: &Path, (version, roles, quorum, is_apart): &(&str, ProcessRoles, Quorum, bool)) -> Wanted {
    let mut wanted = wanted(root, version);
    wanted.roles = *roles;
    wanted.quorum = quorum.clone();
    if *is_apart {
        // Sorts after the others, so it is first for its role and not for its name.
        wanted.metadata_log_dir = root.join("volume/metadata");
    }
    wanted
}

#[test]
fn a_run_that_was_killed_after_any_step_is_completed_by_the_next() {
    for kind in all_kinds() {
        let undisturbed = quick_tempdir();
        let steps = formatted(&of_kind(undisturbed.path(), &kind)).steps;
        for done in 0..=steps.len() {
            for half_written in [None, Some(0), Some(7)] {
                let root = quick_tempdir();
                let wanted = of_kind(root.path(), &kind);
                let plan = planned(&wanted, &[], &mut Ids(0)).unwrap();
                disk::io::apply(&plan.steps[..done]).unwrap();
                if let (Some(length), Some(next)) = (half_written, plan.steps.get(done)) {
                    leave_half(next, length);
                }
                let plan = planned(&wanted, &[], &mut Ids(50)).unwrap_or_else(|refusals| {
                    panic!("{kind:?} killed after {done} steps: {refusals:?}");
                });
                disk::io::apply(&plan.steps).unwrap();
                assert_eq!(meaning(root.path()), meaning(undisturbed.path()), "{kind:?} after {done} steps");
                assert!(planned(&wanted, &[], &mut Ids(90)).unwrap().steps.is_empty());
            }
        }
    }
}

/// The temporary file as a kill leaves it: some of the bytes, and the mode it was made with or the last one.
fn leave_half(step: &Step, length: usize) {
    if let Step::ReplaceFile { path, temporary_name, content, mode } = step {
        let half = &content.bytes()[..length.min(content.bytes().len())];
        let mode = if length == 0 { mode | 0o200 } else { *mode };
        put_with_mode(path.with_file_name(temporary_name), half, mode);
    }
}

#[test]
fn what_kafkas_own_tool_left_when_it_was_killed_is_completed() {
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), "4.3.1");
    wanted.quorum = voters();
    let partition = root.path().join("data-0/__cluster_metadata-0");
    put_with_mode(
        partition.join("00000000000000000000-0000000000-123456789.checkpoint.part"),
        b"half",
        0o600,
    );
    put_with_mode(root.path().join("data-0/bootstrap.checkpoint"), b"", 0o644);
    put_with_mode(root.path().join("data-0/bootstrap.checkpoint.tmp"), b"half", 0o644);
    put_with_mode(root.path().join("data-1/meta.properties.tmp"), b"#\n#", 0o644);
    let plan = formatted(&wanted);
    assert!(plan.directories.iter().all(|directory| matches!(directory.fate, Fate::Formatted { .. })));
    // Kafka removes this one at its start; we never delete.
    assert!(partition.join("00000000000000000000-0000000000-123456789.checkpoint.part").exists());
    assert!(planned(&wanted, &[], &mut Ids(9)).unwrap().steps.is_empty());
}

#[test]
fn a_directory_added_to_a_formatted_node_is_formatted_and_the_others_are_left_to_the_byte() {
    let root = tempfile::tempdir().unwrap();
    let mut wanted = wanted(root.path(), "4.3.1");
    formatted(&wanted);
    put_with_mode(root.path().join("data-0/orders-0/00000000000000000000.log"), b"x", 0o644);
    // Before its first start, partitions beside an empty metadata log would say that the log was lost.
    put_with_mode(root.path().join("data-0/__cluster_metadata-0/00000000000000000000.log"), b"x", 0o644);
    put_with_mode(root.path().join("data-0/__cluster_metadata-0/quorum-state"), b"{}", 0o644);
    let before = tree(root.path());
    wanted.log_dirs.push(root.path().join("data-2"));
    let plan = planned(&wanted, &[], &mut Ids(7)).unwrap();
    disk::io::apply(&plan.steps).unwrap();
    let after = tree(root.path());
    assert!(before.iter().all(|(path, entry)| after.get(path) == Some(entry)));
    assert_eq!(after.len(), before.len() + 3);
    assert!(after.contains_key(Path::new("data-2/meta.properties")));
    assert!(after.contains_key(Path::new("data-2/bootstrap.checkpoint")));
}

#[test]
fn an_existing_directory_keeps_its_mode() {
    let root = tempfile::tempdir().unwrap();
    let wanted = wanted(root.path(), "4.3.1");
    fs::create_dir(root.path().join("data-0")).unwrap();
    fs::set_permissions(root.path().join("data-0"), fs::Permissions::from_mode(0o2770)).unwrap();
    formatted(&wanted);
    assert_eq!(tree(root.path())[Path::new("data-0")].0, 0o2770);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn plan_and_apply_twice_is_plan_and_apply_once(
        kind in prop::sample::select(all_kinds()),
        node_id in 0..=i32::MAX,
        dirs in 1..5usize,
        metadata in 0..5usize,
        bytes in proptest::collection::vec(any::<[u8; 16]>(), 5..6),
    ) {
        let root = quick_tempdir();
        let mut wanted = of_kind(root.path(), &kind);
        wanted.node_id = kraftlet::kafka::node_id::NodeId::try_from(node_id).unwrap();
        wanted.log_dirs = (0..dirs).map(|number| root.path().join(format!("d{number}/kafka"))).collect();
        wanted.metadata_log_dir = root.path().join(format!("d{metadata}/kafka"));
        let mut ids = bytes.into_iter().enumerate().map(|(number, bytes)| {
            let own = [u8::try_from(number).unwrap() + 1; 16];
            let random = kraftlet::kafka::uuid::DirectoryId::from_random(bytes);
            random.or(kraftlet::kafka::uuid::DirectoryId::from_random(own)).unwrap()
        });
        let mut fresh = || ids.next().unwrap();
        let found = kraftlet::storage::io::look(wanted.directories());
        let first = kraftlet::storage::plan::plan(&found, &wanted, &[], &mut fresh, crate::storage::now());
        let first = first.unwrap();
        prop_assert!(!first.steps.is_empty());
        disk::io::apply(&first.steps).unwrap();
        let once = tree(root.path());
        let second = planned(&wanted, &[], &mut Ids(200)).unwrap();
        prop_assert!(second.steps.is_empty());
        disk::io::apply(&first.steps).unwrap();
        prop_assert_eq!(tree(root.path()), once);
    }
}
