//! What lies on the disk for one node: properties files, stores, log directories, the engine's jar.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::certificates::bundle::Bundle;
use crate::certificates::finding::Finding as Preflight;
use crate::certificates::install;
use crate::certificates::install::Installed;
use crate::certificates::install::StoreKind;
use crate::certificates::schedule::Schedule;
use crate::cluster::engine;
use crate::cluster::io as cluster_io;
use crate::cluster::line::Line;
use crate::cluster::server_properties;
use crate::cluster::server_properties::SECRETS_FILE;
use crate::commands::certificates;
use crate::commands::certificates::Order;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::inputs::Inputs;
use crate::commands::sidecar::controllers::Controllers;
use crate::commands::sidecar::verify;
use crate::commands::storage;
use crate::disk::step::Content;
use crate::health::doctor::properties::FoundFile;
use crate::health::doctor::properties::Values;
use crate::kafka::meta_properties::MetaProperties;
use crate::pki::handshake::TlsClient;
use crate::reload::channel::NodeChannels;
use crate::reload::node_properties::NodeProperties;
use crate::storage::found::DirState;
use crate::storage::found::Found;
use crate::storage::found::FoundFile as StorageFile;
use crate::storage::found::MetadataLog;
use crate::storage::wanted::Wanted;

/// Everything of one node that can be seen on the disk.
pub struct Local<'a> {
    /// What its settings say.
    pub inputs: &'a Inputs,
    /// Its pod.
    pub pod: String,
    /// Its properties files.
    pub files: Vec<Properties>,
    /// Its certificates.
    pub stores: Vec<Store>,
    /// What its log directories should be.
    pub wanted: Wanted,
    /// What they are.
    pub found: Found,
    /// The engine's jar, where the node uses the engine.
    pub jar: Option<(PathBuf, FoundFile)>,
    /// Its TLS channels.
    pub channels: NodeChannels,
    /// Its controllers.
    pub controllers: Controllers,
}

/// A properties file.
pub struct Properties {
    /// Where it is.
    pub path: PathBuf,
    /// What `init` would write.
    pub wanted: Vec<(String, String)>,
    /// What is there.
    pub found: FoundFile,
    /// Whether it may be shown.
    pub values: Values,
}

/// The stores of one certificate.
pub struct Store {
    /// The certificate's name.
    pub name: String,
    /// Keystore and truststore.
    pub files: [(PathBuf, FoundFile); 2],
    /// What they hold.
    pub bundle: Option<Bundle>,
    /// What is wrong with it, each with a sentence.
    pub preflight: Vec<(Preflight, String)>,
    /// When its leaf is due.
    pub schedule: Schedule,
    /// What this node shows and trusts with it.
    pub client: Option<TlsClient>,
}

impl<'a> Local<'a> {
    /// Looks; nobody is asked.
    pub fn look(inputs: &'a Inputs) -> Result<Self, Failure> {
        let rendered = server_properties::render("", &inputs.server.lines);
        let properties = NodeProperties::parse(rendered.as_bytes())
            .map_err(|error| Failure::of(Exit::Usage, "PropertiesInvalid", &error))?;
        let channels = NodeChannels::of(&properties, Some(inputs.cluster.kafka_version))
            .map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?;
        let mut stores = Vec::new();
        for certificate in certificates::needed(inputs) {
            let order = Order::new(inputs, certificate)?;
            stores.push(store(&order, certificates::schedule(inputs, certificate)));
        }
        let wanted = storage::wanted(inputs)?;
        let found = storage::look(&wanted);
        let mut controllers = Controllers::of_settings(inputs, &properties, &channels)?;
        identity(&wanted, &found, &mut controllers);
        let jar = engine::is_used(&inputs.server.lines).then(|| {
            let path = engine::jar(&inputs.run_folder);
            let found = read(&path);
            (path, found)
        });
        let pod = inputs.node.pod.to_string();
        Ok(Self { inputs, pod, files: files(inputs), stores, wanted, found, jar, channels, controllers })
    }

    /// The stores of the certificate of this name.
    pub fn store(&self, name: &str) -> Option<&Store> {
        self.stores.iter().find(|one| one.name == name)
    }
}

/// One file, whole, with its mode.
pub fn read(path: &Path) -> FoundFile {
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return FoundFile::Missing,
        Err(error) => return FoundFile::Unreadable(error.to_string()),
        Ok(metadata) => metadata,
    };
    match cluster_io::read(path) {
        Ok(mut bytes) => {
            let content = Content::new(std::mem::take(&mut *bytes));
            FoundFile::Here { content, mode: metadata.permissions().mode() }
        }
        Err(error) => FoundFile::Unreadable(chain(&error)),
    }
}

fn files(inputs: &Inputs) -> Vec<Properties> {
    let pairs = |lines: &[Line]| lines.iter().map(|line| (line.key.clone(), line.value.clone())).collect();
    let file = |name: &str, lines: &[Line], values| {
        let path = inputs.run_folder.join(name);
        let found = read(&path);
        Properties { path, wanted: pairs(lines), found, values }
    };
    let mut files = vec![file("server.properties", &inputs.server.lines, Values::Shown)];
    if !inputs.client.lines.is_empty() {
        files.push(file("client.properties", &inputs.client.lines, Values::Shown));
    }
    let secrets: Vec<Line> = inputs.server.secrets.iter().chain(&inputs.client.secrets).cloned().collect();
    if !secrets.is_empty() {
        files.push(file(SECRETS_FILE, &secrets, Values::Hidden));
    }
    files
}

fn store(order: &Order, schedule: Schedule) -> Store {
    let StoreNames { keystore, truststore } = names(order.kind());
    let files = [keystore, truststore].map(|name| {
        let path = order.folder().join(name);
        let found = read(&path);
        (path, found)
    });
    let content = |found: &FoundFile| match found {
        FoundFile::Here { content, .. } => Some(content.clone()),
        FoundFile::Missing | FoundFile::Unreadable(_) => None,
    };
    let [(_, keystore), (_, truststore)] = &files;
    let installed = Installed { keystore: content(keystore), truststore: content(truststore) };
    let bundle = install::read(&installed, order.kind());
    let now = SystemTime::now();
    let findings = bundle.iter().flat_map(|bundle| order.findings(bundle, now));
    let preflight = findings.map(|one| {
        let sentence = chain(&one);
        (one, sentence)
    });
    let client = bundle.as_ref().and_then(|bundle| verify::tls_client(bundle).ok());
    Store { name: order.name().to_owned(), files, preflight: preflight.collect(), bundle, schedule, client }
}

struct StoreNames {
    keystore: &'static str,
    truststore: &'static str,
}

fn names(kind: &StoreKind) -> StoreNames {
    StoreNames { keystore: kind.keystore_name(), truststore: kind.truststore_name() }
}

/// What the disk says of this node's identity, and of the quorum's age: where there are records it once had a leader.
fn identity(wanted: &Wanted, found: &Found, controllers: &mut Controllers) {
    for dir in found.dirs.iter().filter(|dir| wanted.is_metadata_log_dir(&dir.path)) {
        let DirState::Here(contents) = &dir.state else { continue };
        if let StorageFile::Read(bytes) = &contents.meta_properties {
            controllers.own.directory_id =
                MetaProperties::decode(bytes.bytes()).ok().and_then(|meta| meta.directory_id);
        }
        if matches!(contents.metadata_log, MetadataLog::Here { has_records: true, .. }) {
            controllers.own.formed = true;
        }
    }
}
