//! The engine's part of `init`: its jar, for a Kafka that loads it, and the one variable that Kafka needs for that.

use std::path::Path;

use crate::cluster::engine;
use crate::cluster::io as cluster_io;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::inputs::Inputs;
use crate::disk::step::Step;

/// It has about 20 kB; a file of more than this is no jar of ours.
const LARGEST_BYTES: usize = 512 * 1024;

/// `PK\x03\x04`, with which every jar begins (APPNOTE 4.3.7).
const MAGIC: &[u8] = b"PK\x03\x04";

/// Kafka writes its report here, by another user of the pod's group as it may be.
const FOLDER_MODE: u32 = 0o775;

const JAR_MODE: u32 = 0o644;

/// The line for the environment of Kafka's container; `None` where the node does not use the engine.
pub fn environment(inputs: &Inputs) -> Option<String> {
    let jar = engine::jar(&inputs.run_folder);
    engine::is_used(&inputs.server.lines).then(|| format!("CLASSPATH={}", jar.display()))
}

/// What puts the jar in place; nothing where the node does not use it.
pub fn steps(inputs: &Inputs, source: &Path) -> Result<Vec<Step>, Failure> {
    if !engine::is_used(&inputs.server.lines) {
        return Ok(Vec::new());
    }
    let refused = |reason, what: String| {
        let instead = "`reload: engine` needs kraftlet's jar; name it with --engine-jar or KRAFTLET_ENGINE_JAR, or say `reload: adminApi`";
        Failure::new(Exit::Person, reason, format!("{what}; {instead}"))
    };
    let bytes = cluster_io::read(source).map_err(|error| refused("EngineJarUnreadable", chain(&error)))?;
    if bytes.len() > LARGEST_BYTES || !bytes.starts_with(MAGIC) {
        let found = format!("{} is no jar of kraftlet's engine", source.display());
        return Err(refused("EngineJarUnusable", found));
    }
    let run_folder = &inputs.run_folder;
    Ok(vec![
        Step::CreateDir { path: engine::folder(run_folder), mode: FOLDER_MODE },
        Step::replace(engine::jar(run_folder), bytes.to_vec(), JAR_MODE),
    ])
}
