//! Reads the environment and the downward API's folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

/// A label's value has at most 63 characters and a name 253 (Kubernetes, "Labels and Selectors", "Object Names"); a
/// longer file is not what we were promised, and its rest is not read.
const LONGEST_FACT_BYTES: u64 = 4096;

/// The variables of the process's environment that are UTF-8, and the names of those that are not.
pub fn environment() -> (BTreeMap<String, String>, Vec<String>) {
    let mut read = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (key, value) in std::env::vars_os() {
        match (key.to_str(), value.to_str()) {
            (Some(key), Some(value)) => {
                read.insert(key.to_owned(), value.to_owned());
            }
            _ => unreadable.push(key.to_string_lossy().into_owned()),
        }
    }
    (read, unreadable)
}

/// The facts in `folder`, by file name; a folder or file that is not there gives nothing.
pub fn downward_api(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut facts = BTreeMap::new();
    for name in ["name", "namespace", "ip", "node", "zone"] {
        match File::open(folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(file) => {
                let mut text = Vec::new();
                file.take(LONGEST_FACT_BYTES).read_to_end(&mut text)?;
                facts.insert(name.to_owned(), String::from_utf8_lossy(&text).into_owned());
            }
        }
    }
    Ok(facts)
}
