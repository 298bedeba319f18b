//! Reads the environment and the downward API's folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

/// A label's value has at most 63 characters and a name 253 (Kubernetes, "Labels and Selectors", "Object Names"); a
/// longer file is not what we were promised, and its rest is not read.
const LONGEST_FACT_BYTES: u64 = 4096;

/// The process's environment. A variable that is not UTF-8 is read with replacement characters: it can be named in
/// a message, and no key or value of ours would survive such bytes anyway.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect()
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
