//! Volumes that Kafka's container has and that the agent needs too: disks, mounted certificates, files with passwords.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::cluster::model::Cluster;
use crate::cluster::source::Source;
use crate::inject::refusal::Refusal;
use crate::inject::subject::Subject;
use crate::inject::subject::text;

/// What the agent sees of Kafka's volumes.
#[derive(Debug, Default)]
pub struct Mounts {
    /// Kafka's disks. `init` writes them, the sidecar only looks.
    disks: Vec<Value>,
    /// What is read only.
    files: Vec<Value>,
}

impl Mounts {
    /// The mounts of Kafka's container that hold what the settings name.
    pub fn of(subject: &Subject<'_>, cluster: &Cluster) -> Result<Self, Refusal> {
        let mut mounts = Self::default();
        let settings = &cluster.settings;
        let metadata = settings.storage.metadata_log_dir.iter();
        for folder in settings.storage.log_dirs.iter().chain(metadata) {
            let mount = holding(subject, folder)?.ok_or_else(|| {
                missing(subject, folder, "where the settings have Kafka keep its logs", "a disk of its own")
            })?;
            add(&mut mounts.disks, mount);
        }
        for (file, what) in files(cluster) {
            let mount = holding(subject, &file)?
                .ok_or_else(|| missing(subject, &file, what, "the volume that has it"))?;
            add(&mut mounts.files, mount);
        }
        // Nobody has to have further properties; who has them mounts them into Kafka's container.
        if let Some(mount) = holding(subject, &settings.properties_folder)? {
            add(&mut mounts.files, mount);
        }
        Ok(mounts)
    }

    /// For the init container.
    pub fn for_init(&self) -> impl Iterator<Item = Value> {
        self.disks.iter().cloned().chain(self.files.iter().map(read_only))
    }

    /// For the sidecar.
    pub fn for_sidecar(&self) -> impl Iterator<Item = Value> {
        self.disks.iter().chain(&self.files).map(read_only)
    }
}

/// Every volume of Kafka's container, to be read where Kafka reads it.
pub fn all_read_only(subject: &Subject<'_>) -> Vec<Value> {
    subject.list("volumeMounts").iter().map(read_only).collect()
}

/// The files and folders that the settings name and that Kafka's container must bring.
fn files(cluster: &Cluster) -> Vec<(String, &'static str)> {
    let settings = &cluster.settings;
    let mut files = Vec::new();
    for certificate in cluster.certificates.values() {
        if let Source::Mounted(folder) = &certificate.source {
            files.push((folder.to_string(), "where the settings have a certificate mounted"));
        }
        let of_certificate = certificate.trust.iter().chain(&certificate.store_password_file);
        files.extend(of_certificate.map(|file| (file.display().to_string(), "which the settings name")));
    }
    let login = settings.agent.sasl.iter().map(|login| &login.password_file);
    let users = settings.scram_users.iter().map(|user| &user.password_file);
    files.extend(login.chain(users).map(|file| (file.clone(), "which the settings name")));
    files
}

/// The innermost mount that holds a path. Of a template, what stands before its first brace counts.
fn holding<'a>(subject: &Subject<'a>, path: &str) -> Result<Option<&'a Value>, Refusal> {
    let constant = path.split('{').next().unwrap_or_default();
    let holds = |mount: &&Value| {
        let folder = text(mount, "mountPath").unwrap_or_default().trim_end_matches('/');
        constant.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mounts = subject.list("volumeMounts").iter().filter(holds);
    let mount = mounts.max_by_key(|mount| text(mount, "mountPath").map(str::len));
    match mount {
        Some(mount) if mount.get("subPathExpr").is_some() => {
            let message = format!(
                "container {}: the mount that holds {path} has a `subPathExpr`, which another container cannot share",
                subject.name()
            );
            Err(Refusal::new("MountUnusable", message))
        }
        mount => Ok(mount),
    }
}

fn missing(subject: &Subject<'_>, path: &str, what: &str, want: &str) -> Refusal {
    let name = subject.name();
    let message = format!("container {name} mounts no volume that holds {path}, {what}; want {want} there");
    Refusal::new("MountMissing", message)
}

fn add(mounts: &mut Vec<Value>, mount: &Value) {
    let plain = Value::Object(of_keys(mount, &["name", "mountPath", "subPath"]));
    if !mounts.contains(&plain) {
        mounts.push(plain);
    }
}

fn read_only(mount: &Value) -> Value {
    let mut mount = of_keys(mount, &["name", "mountPath", "subPath"]);
    mount.insert("readOnly".to_owned(), json!(true));
    Value::Object(mount)
}

fn of_keys(object: &Value, keys: &[&str]) -> Map<String, Value> {
    let of = |key: &&str| object.get(*key).map(|value| ((*key).to_owned(), value.clone()));
    keys.iter().filter_map(of).collect()
}
