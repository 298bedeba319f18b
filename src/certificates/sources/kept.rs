//! Whom a source said to trust last, beside the stores: an answer over the network is not asked for at every look.

use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use crate::certificates::signing::Signed;
use crate::certificates::sources::small_file;
use crate::disk;
use crate::disk::step::Step;

/// What was kept, and how long ago; a clock that was set back makes it old.
pub(crate) fn read(folder: &Path, name: &str) -> (Option<Signed>, Option<Duration>) {
    let path = folder.join(name);
    let written_at = fs::metadata(&path).and_then(|found| found.modified()).ok();
    let bytes = small_file::read(&path).ok();
    let kept = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    (kept, written_at.and_then(|at| SystemTime::now().duration_since(at).ok()))
}

/// Keeps what is not the certificate. Before the first install there is no folder, and nothing may be written; where it
/// cannot be written, it is asked for again.
pub(crate) fn write(folder: &Path, name: &str, signed: Signed) {
    let kept = Signed { certificate_chain: String::new(), ..signed };
    if let (true, Ok(bytes)) = (folder.is_dir(), serde_json::to_vec(&kept)) {
        let _ = disk::io::apply([&Step::replace(folder.join(name), bytes, 0o644)]);
    }
}
