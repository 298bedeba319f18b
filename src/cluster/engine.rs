//! What Kafka needs in order to use kraftlet's TLS engines, and where they leave word.
//!
//! The class (`images/ssl-engine`) follows the keystore files and writes down what it has loaded. It is named with each
//! listener's prefix and never without: the un-prefixed key would reach Kafka's own tools, which run without the jar.

use std::path::Path;
use std::path::PathBuf;

use crate::cluster::line::Line;
use crate::cluster::line::Origin;
use crate::cluster::listener::Listener;

/// The class, for `ssl.engine.factory.class` (KIP-519).
const CLASS: &str = "dev.kraftlet.ssl.FileSslEngineFactory";

/// The key that tells the class its folder and its listener, as `<folder>/<listener>`.
///
/// Kafka hands a listener's own key on only if it knows it, or knows what follows its first dot
/// (AbstractConfig.valuesWithPrefixOverride); so this one ends in a key of Kafka's. Seen on 3.9.2, 4.3.1 and 4.4.0.
const REPORT_KEY: &str = "kraftlet.log.dir";

/// The folder that holds the jar and the report; Kafka's user writes into it.
pub fn folder(run_folder: &Path) -> PathBuf {
    run_folder.join("engine")
}

/// The jar, for the environment variable `CLASSPATH` of Kafka's container.
pub fn jar(run_folder: &Path) -> PathBuf {
    folder(run_folder).join("ssl-engine.jar")
}

/// What the engines of a node's Kafka have loaded (`reload::engine`).
pub fn report(run_folder: &Path) -> PathBuf {
    folder(run_folder).join("status.jsonl")
}

/// The lines of a TLS listener, also of one that the node only connects to.
pub fn lines(listener: &Listener, run_folder: &Path) -> [Line; 2] {
    let place = folder(run_folder).join(listener.name.to_lowercase());
    let line = |key, value: String| Line::new(listener.key(key), value, Origin::Derived);
    [line("ssl.engine.factory.class", CLASS.to_owned()), line(REPORT_KEY, place.display().to_string())]
}

/// Whether a node with these lines uses the engine.
pub fn is_used(lines: &[Line]) -> bool {
    lines.iter().any(|line| line.value == CLASS)
}
