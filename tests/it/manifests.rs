//! What people apply: every file reads, names only what the program has, and asks for what it gets.
#![allow(clippy::unwrap_used, reason = "a test stops loudly")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use kraftlet::inject::judge;
use kraftlet::inject::yaml::documents;
use kraftlet::inject::yaml::tree;
use serde_json::Value;

fn files() -> Vec<PathBuf> {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut folders = vec![manifests.join("install"), manifests.join("examples")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 15, "found only {files:?}");
    files
}

fn objects() -> Vec<(PathBuf, Value)> {
    let mut objects = Vec::new();
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        for document in documents::split(&text) {
            let read = tree::parse(document);
            assert!(read.is_ok(), "{}: {read:?}", file.display());
            objects.extend(read.unwrap().map(|node| (file.clone(), node.value())));
        }
    }
    objects
}

fn help(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kraftlet")).args([command, "--help"]).output().unwrap();
    assert!(output.status.success(), "there is no command {command}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn deployments_run_commands_that_are_there_with_variables_that_are_read() {
    let mut found = 0;
    for (file, object) in objects() {
        if object["kind"] != "Deployment" {
            continue;
        }
        found += 1;
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        let help = help(container["args"][0].as_str().unwrap());
        for variable in container["env"].as_array().unwrap() {
            let name = variable["name"].as_str().unwrap();
            assert!(help.contains(&format!("[env: {name}")), "{}: {name} is read by nobody", file.display());
        }
    }
    assert_eq!(found, 2);
}

#[test]
fn examples_have_settings_that_make_a_cluster() {
    let mut found = 0;
    for (file, object) in objects() {
        if object["kind"] == "ConfigMap" && object["data"].get("cluster.yaml").is_some() {
            found += 1;
            let settings = judge::settings(&object);
            assert!(settings.is_ok(), "{}: {}", file.display(), settings.unwrap_err());
        }
    }
    assert_eq!(found, 4);
}

#[test]
fn whatever_runs_here_is_restricted() {
    for (file, object) in objects() {
        let Some(spec) = object.pointer("/spec/template/spec") else { continue };
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{}", file.display());
        for container in spec["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{}", file.display());
            assert_eq!(security["capabilities"]["drop"][0], "ALL", "{}", file.display());
        }
    }
}

#[test]
fn who_says_no_is_not_sent() {
    let mut found = 0;
    for (file, object) in objects() {
        for webhook in object["webhooks"].as_array().into_iter().flatten() {
            for condition in webhook["matchConditions"].as_array().unwrap() {
                if condition["name"] == "asks-for-kraftlet" {
                    found += 1;
                    let expression = condition["expression"].as_str().unwrap();
                    let want = "metadata.?annotations[?'kraftlet.dev/inject'].orValue('false') != 'false'";
                    assert!(expression.ends_with(want), "{}: {expression}", file.display());
                }
            }
        }
    }
    assert_eq!(found, 2);
}

#[test]
fn a_priority_class_of_the_systems_has_its_quota() {
    let objects = objects();
    let used = objects.iter().filter_map(|(_, one)| one.pointer("/spec/template/spec/priorityClassName"));
    let used: Vec<&Value> = used.collect();
    assert_eq!(used.len(), 1);
    let quota = objects.iter().find(|(_, one)| one["kind"] == "ResourceQuota").map(|(_, one)| one);
    assert_eq!(
        quota.unwrap()["spec"]["scopeSelector"]["matchExpressions"][0]["values"],
        serde_json::json!(used)
    );
    let kustomization = fs::read_to_string("manifests/install/kustomization.yaml").unwrap();
    assert!(kustomization.contains("priority-quota.yaml"));
}
