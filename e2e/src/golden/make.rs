//! Runs Kafka's storage tool over the cases and keeps, or compares, what it wrote.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::golden::case::Case;
use crate::golden::case::Written;
use crate::golden::normal;

/// What went wrong, in words.
pub type Problem = Box<dyn std::error::Error>;

/// Formats every case below `work` with one JVM; afterwards `work/<case>/disk` is what the tool wrote.
///
/// `class_path` has the release's jars and the class `FormatMany`.
pub fn format_all(cases: &mut [Case], class_path: &str, work: &Path) -> Result<(), Problem> {
    let jobs = work.join("jobs");
    fs::create_dir_all(&jobs)?;
    for case in cases.iter() {
        let folder = work.join(&case.name);
        let disk = folder.join("disk");
        for dir in case.log_dirs.iter().chain(&case.metadata_log_dir) {
            fs::create_dir_all(disk.join(dir))?;
        }
        let settings = folder.join("server.properties");
        fs::write(&settings, case.server_properties(&disk.display().to_string()))?;
        let arguments = case.arguments(&settings.display().to_string());
        fs::write(jobs.join(format!("{}.args", case.name)), arguments.join("\n") + "\n")?;
    }
    let output = Command::new("java")
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp", class_path])
        .arg("FormatMany")
        .arg(&jobs)
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "the JVM ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    for case in cases {
        let printed = fs::read_to_string(jobs.join(format!("{}.out", case.name)))?;
        if !printed.starts_with("0\n") {
            return Err(format!(
                "case {} of Kafka {}: exit code and output: {printed}",
                case.name, case.kafka_version
            )
            .into());
        }
        case.written = list(&work.join(&case.name).join("disk"))?;
    }
    Ok(())
}

/// Copies a formatted case to its golden folder, in the place of what was there.
pub fn keep(case: &Case, work: &Path, golden: &Path) -> Result<(), Problem> {
    let target = golden.join(format!("kafka-{}", case.kafka_version)).join(&case.name);
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    for written in case.written.iter().filter(|written| written.kind == "file") {
        let to = target.join("disk").join(&written.path);
        fs::create_dir_all(to.parent().unwrap_or(&target))?;
        // Not `fs::copy`: it would keep mode 0400, and version control keeps no modes anyway; they are in case.json.
        fs::write(&to, fs::read(work.join(&case.name).join("disk").join(&written.path))?)?;
    }
    fs::write(target.join("case.json"), serde_json::to_string_pretty(case)? + "\n")?;
    Ok(())
}

/// The differences between a formatted case and its golden folder, but for times, checksums and random ids.
pub fn differences(case: &Case, work: &Path, golden: &Path) -> Result<Vec<String>, Problem> {
    let kept_folder = golden.join(format!("kafka-{}", case.kafka_version)).join(&case.name);
    let Ok(kept) = fs::read_to_string(kept_folder.join("case.json")) else {
        return Ok(vec![format!("{} is missing", kept_folder.display())]);
    };
    let kept: Case = serde_json::from_str(&kept)?;
    let mut found = Vec::new();
    if serde_json::to_value(&kept)? != serde_json::to_value(case)? {
        found.push(format!("{}: case.json differs", kept_folder.display()));
    }
    let made_disk = work.join(&case.name).join("disk");
    let kept_disk = kept_folder.join("disk");
    let made_ids = directory_ids(case, &made_disk)?;
    let kept_ids = directory_ids(&kept, &kept_disk)?;
    for written in case.written.iter().filter(|written| written.kind == "file") {
        let path = &written.path;
        let made = normal::normalise(path, &fs::read(made_disk.join(path))?, &made_ids);
        match fs::read(kept_disk.join(path)) {
            Ok(kept) if normal::normalise(path, &kept, &kept_ids) == made => {}
            Ok(_) => found.push(format!("{}: the bytes differ", kept_disk.join(path).display())),
            Err(_) => found.push(format!("{} is missing", kept_disk.join(path).display())),
        }
    }
    Ok(found)
}

/// Folders of a release that none of its cases has made, for example of a case that has been renamed.
pub fn unknown_folders(cases: &[Case], version: &str, golden: &Path) -> Result<Vec<String>, Problem> {
    let Ok(entries) = fs::read_dir(golden.join(format!("kafka-{version}"))) else {
        return Ok(Vec::new());
    };
    let mut unknown = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if cases.iter().all(|case| case.name != name) {
            unknown.push(name);
        }
    }
    unknown.sort();
    Ok(unknown)
}

/// All directory ids in the case's `meta.properties` files.
fn directory_ids(case: &Case, disk: &Path) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let mut ids = Vec::new();
    for written in case.written.iter().filter(|written| written.path.ends_with("meta.properties")) {
        let text = fs::read_to_string(disk.join(&written.path))?;
        for id in text.lines().filter_map(|line| line.strip_prefix("directory.id=")) {
            ids.push((id.to_owned(), BASE64_URL_SAFE_NO_PAD.decode(id)?));
        }
    }
    Ok(ids)
}

fn list(disk: &Path) -> io::Result<Vec<Written>> {
    let mut written = Vec::new();
    let mut folders: Vec<PathBuf> = vec![disk.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let path = entry.path();
            let relative = path.strip_prefix(disk).unwrap_or(&path).display().to_string();
            let kind = if metadata.is_dir() { "directory" } else { "file" }.to_owned();
            let mode = format!("{:04o}", metadata.permissions().mode() & 0o7777);
            written.push(Written { path: relative, kind, mode });
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    written.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(written)
}
