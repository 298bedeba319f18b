//! The rules of the house, held by a test: who may use what, what touches the world, and how long things get.

#![allow(clippy::unwrap_used, reason = "a test stops loudly")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// A source file below src/ and its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// `src/kafka/uuid.rs` as `["kafka", "uuid"]`; a `mod.rs` is its folder.
    fn module(&self) -> Vec<String> {
        let inside = self.path.strip_prefix(root().join("src")).unwrap().with_extension("");
        let mut parts: Vec<String> = inside
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .filter(|part| part != "mod")
            .collect();
        parts.retain(|part| part != "lib");
        parts
    }

    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string()
    }

    /// The lines before the tests, without comments, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim().starts_with("//"))
    }

    fn touches_the_world(&self) -> bool {
        let name = self.name();
        name.ends_with("/io.rs")
            || name.starts_with("src/commands/")
            || name.starts_with("src/certificates/sources/")
            || name == "src/main.rs"
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut folders = vec![root().join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source { text: fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    assert!(sources.len() > 40, "found only {} files: is this the right folder?", sources.len());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The modules a `mod` list names, in its order.
fn listed(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let names = text.lines().filter_map(|line| {
        let (visibility, name) = line.trim().strip_suffix(';')?.split_once("mod ")?;
        ["", "pub ", "pub(crate) "].contains(&visibility).then(|| name.to_owned())
    });
    names.collect()
}

/// For every module its place in the total order: rooms as lib.rs lists them, files as their mod.rs lists them.
fn places() -> BTreeMap<Vec<String>, Vec<usize>> {
    let mut places = BTreeMap::new();
    let mut open = vec![(Vec::<String>::new(), Vec::<usize>::new(), root().join("src/lib.rs"))];
    while let Some((module, place, file)) = open.pop() {
        for (index, name) in listed(&file).into_iter().enumerate() {
            let child = [module.clone(), vec![name.clone()]].concat();
            let child_place = [place.clone(), vec![index]].concat();
            let folder = root().join("src").join(child.iter().collect::<PathBuf>());
            open.push((child.clone(), child_place.clone(), folder.join("mod.rs")));
            places.insert(child, child_place);
        }
    }
    places
}

/// The paths `crate::a::b` that a line names.
fn crate_paths(line: &str) -> impl Iterator<Item = Vec<String>> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default().split("::").map(str::to_owned).collect()
    })
}

fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn a_module_uses_only_what_is_listed_above_it() {
    let places = places();
    let mut broken = Vec::new();
    for source in sources() {
        let Some(own) = places.get(&source.module()) else { continue };
        for (number, line) in source.code() {
            for path in crate_paths(line) {
                let used = (1..=path.len()).rev().find_map(|length| places.get(&path[..length]));
                let is_inside = |used: &Vec<usize>| used.starts_with(own) && source.path.ends_with("mod.rs");
                if used.is_some_and(|used| used >= own && !own.starts_with(used) && !is_inside(used)) {
                    broken.push(format!("{}:{number}: {}", source.name(), line.trim()));
                }
            }
        }
    }
    assert_none(&broken, "used before it is listed in lib.rs or mod.rs");
}

#[test]
fn every_file_is_listed() {
    let places = places();
    let unlisted: Vec<String> = sources()
        .iter()
        .filter(|source| !source.module().is_empty() && source.name() != "src/main.rs")
        .filter(|source| !places.contains_key(&source.module()))
        .map(Source::name)
        .collect();
    assert_none(&unlisted, "in no mod list");
}

#[test]
fn paths_are_written_in_full_one_to_a_line() {
    let mut broken = Vec::new();
    for source in sources() {
        for (number, line) in source.code() {
            if line.contains("super::")
                || line.contains("crate::{")
                || line.trim_start().starts_with("use crate::") && line.contains('{')
            {
                broken.push(format!("{}:{number}: {}", source.name(), line.trim()));
            }
        }
    }
    assert_none(&broken, "write `crate::room::file::Name`");
}

#[test]
fn only_io_and_commands_touch_the_world() {
    const WORLD: &[&str] = &[
        "std::fs",
        "std::net::Tcp",
        "std::env",
        "std::process",
        "SystemTime::now",
        "Instant::now",
        "tokio::",
        "SystemRandom",
        "nix::",
        "println!",
        "print!(",
        "eprintln!",
    ];
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.touches_the_world()) {
        for (number, line) in source.code() {
            if let Some(word) = WORLD.iter().find(|word| line.contains(**word)) {
                broken.push(format!("{}:{number}: {word}", source.name()));
            }
        }
    }
    assert_none(&broken, "clock, disk, network, environment and randomness belong into io.rs");
}

#[test]
fn files_stay_below_600_lines_and_the_readme_below_160() {
    let mut broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.text.lines().count() > 600)
        .map(|source| format!("{} has {} lines", source.name(), source.text.lines().count()))
        .collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    if readme > 160 {
        broken.push(format!("README.md has {readme} lines"));
    }
    assert_none(&broken, "too long");
}

#[test]
fn nothing_is_left_for_later_or_waited_for_by_the_clock() {
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("thread::", "sleep")];
    let mut files = sources();
    for folder in ["tests", "tests/it", "e2e/src", "e2e/tests"] {
        for entry in fs::read_dir(root().join(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(Source { text: fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    let mut broken = Vec::new();
    for source in files {
        for (index, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                broken.push(format!("{}:{}: {}", source.name(), index + 1, line.trim()));
            }
        }
    }
    assert_none(&broken, "do it now, or wait for a value");
}
