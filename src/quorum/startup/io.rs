//! Looks at log directories, and reads only. All of it may wait for a disk, so it does not belong on the agent's thread.

use std::collections::BTreeSet;
use std::fs;
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use nix::fcntl::FcntlArg;
use nix::fcntl::fcntl;
use nix::libc;

use crate::disk::io as disk_io;
use crate::quorum::startup::start::Lock;
use crate::quorum::startup::start::LogDir;
use crate::quorum::startup::start::Recovering;
use crate::quorum::startup::traces;
use crate::quorum::startup::traces::Newest;
use crate::quorum::startup::traces::Witness;
use crate::quorum::view::Recovery;

/// Walks through the partitions of a node again and again while their logs are recovered.
#[derive(Debug)]
pub struct Walk {
    /// How many names inside of partitions one walk reads.
    most_names: usize,
    since: Option<SystemTime>,
    /// Those that need no second look.
    recovered: BTreeSet<Place>,
    /// Where the last walk ended for lack of room.
    next: Option<Place>,
}

/// A partition's directory: the place of its log directory, and its name.
type Place = (usize, String);

/// The names that one walk reads inside of partitions. A partition has some ten; to read so many takes milliseconds.
const MOST_NAMES: usize = 20_000;

/// The names in all log directories; a broker has some thousand partitions.
const MOST_PARTITIONS: usize = 50_000;

/// Looks at each log directory.
pub fn look(log_dirs: &[PathBuf]) -> Vec<LogDir> {
    let log_dir = |path: &PathBuf| {
        let is_formatted = path.join("meta.properties").is_file();
        // Where Kafka has none, this is no log directory of it, or is not mounted here.
        let lock = if is_formatted { lock(&path.join(".lock")) } else { Lock::Unknown };
        LogDir { is_formatted, lock, stopped_cleanly: path.join(".kafka_cleanshutdown").is_file() }
    };
    log_dirs.iter().map(log_dir).collect()
}

/// Whether somebody has the file locked as Java's `FileChannel.tryLock` does: `F_GETLK` of fcntl(2) takes nothing.
fn lock(path: &Path) -> Lock {
    let file = match disk_io::open_regular(path) {
        Ok(Some(file)) => file,
        // Kafka makes it, and removes it when it stops.
        Err(error) if error.kind() == ErrorKind::NotFound => return Lock::Free,
        Ok(None) | Err(_) => return Lock::Unknown,
    };
    let (Ok(l_type), Ok(l_whence), Ok(unlocked)) =
        (i16::try_from(libc::F_WRLCK), i16::try_from(libc::SEEK_SET), i16::try_from(libc::F_UNLCK))
    else {
        return Lock::Unknown;
    };
    let mut asked = libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 };
    match fcntl(&file, FcntlArg::F_GETLK(&mut asked)) {
        Ok(_) if asked.l_type == unlocked => Lock::Free,
        Ok(_) => Lock::Held,
        Err(_) => Lock::Unknown,
    }
}

impl Default for Walk {
    fn default() -> Self {
        Self { most_names: MOST_NAMES, since: None, recovered: BTreeSet::new(), next: None }
    }
}

impl Walk {
    /// Counts all partitions of the log directories that are being recovered, and those that are done. Where there are too
    /// many for one walk the next one goes on, and what was not looked at is not done.
    pub fn count(&mut self, log_dirs: &[PathBuf], recovering: &Recovering, now: SystemTime) -> Recovery {
        if self.since != Some(recovering.since) {
            (self.since, self.next) = (Some(recovering.since), None);
            self.recovered.clear();
        }
        let mut room = MOST_PARTITIONS;
        let all: BTreeSet<Place> = recovering
            .log_dirs
            .iter()
            .filter_map(|place| Some((*place, log_dirs.get(*place)?)))
            .flat_map(|(place, log_dir)| {
                partitions(log_dir, &mut room).into_iter().map(move |name| (place, name))
            })
            .collect();
        self.recovered.retain(|one| all.contains(one));
        let (before, after): (Vec<&Place>, Vec<&Place>) = all
            .difference(&self.recovered)
            .partition(|one| self.next.as_ref().is_some_and(|next| *one < next));
        let (mut names, mut recovered) = (self.most_names, Vec::new());
        self.next = None;
        for (index, one) in after.into_iter().chain(before).enumerate() {
            let path = log_dirs.get(one.0).map(|log_dir| log_dir.join(&one.1));
            if path.is_some_and(|path| is_recovered(&path, recovering.since, now, &mut names)) {
                recovered.push(one.clone());
            }
            // The first had all the room that there is; any other is read from its beginning next time.
            if names == 0 && index > 0 {
                self.next = Some(one.clone());
                break;
            }
        }
        self.recovered.extend(recovered);
        // One that is not listed for lack of room is not done.
        let unlisted = usize::from(room == 0);
        Recovery { done: count(self.recovered.len()), all: count(all.len().saturating_add(unlisted)) }
    }
}

/// The names of the directories of partitions; what cannot be read has none.
fn partitions(log_dir: &Path, room: &mut usize) -> Vec<String> {
    let name = |entry: DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_dir = traces::is_recovered_at_start(&name) && entry.file_type().ok()?.is_dir();
        is_dir.then_some(name)
    };
    names(log_dir, room).filter_map(name).collect()
}

/// Whether the log of the partition in this directory has been read since then. What cannot be told is not.
fn is_recovered(partition: &Path, since: SystemTime, now: SystemTime, room: &mut usize) -> bool {
    let is_recent = |name: &str| {
        let touched_at = fs::metadata(partition.join(name)).and_then(|found| found.modified());
        touched_at.is_ok_and(|touched_at| traces::is_of_this_start(touched_at, since, now))
    };
    let mut newest = Newest::default();
    for entry in names(partition, room) {
        if let Some(name) = entry.file_name().to_str() {
            newest.take(name);
        }
    }
    match newest.witness() {
        // There may be a newer segment among those that were not read.
        _ if *room == 0 => false,
        Some(Witness::Snapshot(name)) => is_recent(&name),
        Some(Witness::EmptySegment { log, time_index }) => {
            fs::metadata(partition.join(log)).is_ok_and(|found| found.len() == 0) && is_recent(&time_index)
        }
        None => false,
    }
}

/// What is in a directory, as long as there is room.
fn names<'a>(directory: &Path, room: &'a mut usize) -> impl Iterator<Item = DirEntry> + 'a {
    let entries = fs::read_dir(directory).into_iter().flatten().map_while(Result::ok);
    entries.map_while(move |entry| {
        *room = room.checked_sub(1)?;
        Some(entry)
    })
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::fs::FileTimes;
    use std::time::Duration;

    const SEGMENT: &str = "00000000000000000000.log";
    const TIME_INDEX: &str = "00000000000000000000.timeindex";
    const SNAPSHOT: &str = "00000000000000000007.snapshot";

    /// A file of a partition that was touched at that time.
    fn touch(log_dir: &Path, partition: &str, name: &str, content: &str, at: SystemTime) {
        let partition = log_dir.join(partition);
        fs::create_dir_all(&partition).unwrap();
        fs::write(partition.join(name), content).unwrap();
        let file = File::options().write(true).open(partition.join(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(at)).unwrap();
    }

    fn counted(walk: &mut Walk, log_dir: &Path, since: SystemTime) -> (u64, u64) {
        let recovering = Recovering { since, log_dirs: vec![0] };
        let recovery = walk.count(&[log_dir.to_owned()], &recovering, SystemTime::now());
        (recovery.done, recovery.all)
    }

    #[test]
    fn partitions_are_done_when_their_last_segment_has_left_its_traces_since_the_start() {
        let log_dir = tempfile::tempdir().unwrap();
        let (path, now) = (log_dir.path(), SystemTime::now());
        let (since, before) = (now - Duration::from_secs(10), now - Duration::from_secs(20));
        let mut walk = Walk::default();
        assert_eq!(counted(&mut walk, path, since), (0, 0));
        // As a Kafka that was killed leaves them.
        touch(path, "full-0", SEGMENT, "records", before);
        touch(path, "full-0", TIME_INDEX, "times", before);
        touch(path, "full-0", SNAPSHOT, "", before);
        touch(path, "empty-0", SEGMENT, "", before);
        touch(path, "empty-0", TIME_INDEX, "times", before);
        touch(path, "bare-0", "partition.metadata", "", now);
        touch(path, "gone-0.5f3a-delete", SEGMENT, "", now);
        touch(path, "__cluster_metadata-0", SEGMENT, "", now);
        fs::write(path.join("not-a-directory-0"), "").unwrap();
        assert_eq!(counted(&mut walk, path, since), (0, 3));
        // An index is written while its segment is read.
        touch(path, "full-0", TIME_INDEX, "times", now);
        assert_eq!(counted(&mut walk, path, since), (0, 3));
        touch(path, "full-0", SNAPSHOT, "", now);
        assert_eq!(counted(&mut walk, path, since), (1, 3));
        touch(path, "empty-0", TIME_INDEX, "times", now);
        assert_eq!(counted(&mut walk, path, since), (2, 3));
        // What is done stays done, whatever is appended; the next start begins from nothing.
        touch(path, "full-0", "00000000000000000009.log", "records", now);
        assert_eq!(counted(&mut walk, path, since), (2, 3));
        assert_eq!(counted(&mut walk, path, now + Duration::from_secs(1)), (0, 3));
    }

    #[test]
    fn a_walk_that_is_too_long_goes_on_with_the_next_one() {
        let log_dir = tempfile::tempdir().unwrap();
        let (path, now) = (log_dir.path(), SystemTime::now());
        for partition in ["a-0", "a-1", "a-2"] {
            touch(path, partition, SEGMENT, "", now);
            touch(path, partition, TIME_INDEX, "", now);
            // With these two eight names: two partitions fit into twenty, and half of a third.
            for name in 0..6 {
                File::create(path.join(partition).join(name.to_string())).unwrap();
            }
        }
        let mut walk = Walk { most_names: 20, ..Walk::default() };
        let since = now - Duration::from_secs(1);
        let rounds: Vec<_> = (0..3).map(|_| counted(&mut walk, path, since)).collect();
        assert_eq!(rounds, [(2, 3), (3, 3), (3, 3)]);
    }

    #[test]
    fn a_lock_shows_that_a_kafka_is_there() {
        let root = tempfile::tempdir().unwrap();
        let paths = [root.path().to_owned()];
        let found = || look(&paths)[0];
        let file = root.path().join(".lock");
        assert_eq!(found(), LogDir::default());
        fs::write(root.path().join("meta.properties"), "").unwrap();
        assert_eq!(found(), LogDir { is_formatted: true, lock: Lock::Free, stopped_cleanly: false });
        fs::write(root.path().join(".kafka_cleanshutdown"), "").unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(found(), LogDir { is_formatted: true, lock: Lock::Free, stopped_cleanly: true });
        // Such a lock is nobody's own, so that the same process sees it.
        let locked = File::options().write(true).open(&file).unwrap();
        let lock = libc::flock {
            l_type: i16::try_from(libc::F_WRLCK).unwrap(),
            l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&locked, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        assert_eq!(found().lock, Lock::Held);
        drop(locked);
        assert_eq!(found().lock, Lock::Free);
        fs::rename(&file, root.path().join("elsewhere")).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(found().lock, Lock::Unknown);
    }
}
