//! README.md says only what is so: its commands are run, its settings are those of the schema.

use std::collections::BTreeSet;
use std::fs;

fn readme() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

#[test]
fn the_commands_print_what_readme_shows() {
    trycmd::TestCases::new()
        .register_bin("kraftlet", std::path::Path::new(env!("CARGO_BIN_EXE_kraftlet")))
        .case("README.md");
}

#[test]
fn the_table_of_settings_has_every_setting_and_no_other() {
    let schema = kraftlet::cluster::parse::schema();
    let want: BTreeSet<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let settings = include_str!("../../manifests/settings.md");
    let table = settings.lines().skip_while(|line| !line.starts_with("| setting |")).skip(2);
    let cells = table.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
    let mut found: BTreeSet<String> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|name| name.replace("[]", ""))
        .collect();
    found.extend(["apiVersion".to_owned(), "kind".to_owned()]);
    assert_eq!(found, want);
}

#[test]
fn the_releases_that_readme_names_are_those_with_golden_files() {
    let readme = readme();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(version) = name.strip_prefix("kafka-") {
            assert!(readme.contains(version), "README.md does not name {version}");
        }
    }
}
