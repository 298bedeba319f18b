//! Settings to a cluster: what the values mean together, and every problem of that kind at once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::str::FromStr;

use crate::cluster::certificate::Certificate;
use crate::cluster::listener::Listener;
use crate::cluster::model::Cluster;
use crate::cluster::model::Quorum;
use crate::cluster::model::Templates;
use crate::cluster::pool::Pool;
use crate::cluster::problem;
use crate::cluster::problem::MOST_FOUND;
use crate::cluster::protected;
use crate::cluster::settings;
use crate::cluster::settings::QuorumKind;
use crate::cluster::settings::SaslMechanism;
use crate::cluster::settings::Settings;
use crate::cluster::template::Template;
use crate::kafka::node_id::NodeId;
use crate::kafka::uuid::ClusterId;
use crate::kafka::uuid::DirectoryId;
use crate::kafka::version::KafkaVersion;
use crate::kafka::version::MetadataVersion;
use crate::pod::name::PodName;

/// A value that does not fit the others, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Keys and indexes from the root of the settings.
    pub path: Vec<String>,
    /// What is the case and what was wanted.
    pub message: String,
}

/// The cluster, or all that is wrong, up to [`MOST_FOUND`]. The lists are as short as the schema says, because `check` has
/// looked: some are held against themselves here, each entry against each.
pub fn validate(settings: Settings) -> Result<Cluster, Vec<Wrong>> {
    let mut check = Check { settings: &settings, wrong: Vec::new() };
    let cluster_id = check.parsed::<ClusterId>(&["clusterId"], &settings.cluster_id);
    let versions = check.versions();
    let pools = check.pools();
    let host = check.template(&["host"], &settings.host);
    let listeners = check.listeners(host.as_ref());
    let quorum = check.quorum(&pools, versions.map(|(kafka, _)| kafka));
    let templates = check.templates(host);
    check.names();
    let certificates = check.certificates();
    check.agent();
    check.users(versions.map(|(_, metadata)| metadata));
    check.properties();
    let wrong = check.wrong;
    match (cluster_id, versions, quorum, templates) {
        (Some(cluster_id), Some((kafka_version, metadata_version)), Some(quorum), Some(templates))
            if wrong.is_empty() =>
        {
            Ok(Cluster {
                cluster_id,
                kafka_version,
                metadata_version,
                quorum,
                pools,
                listeners,
                certificates,
                templates,
                settings,
            })
        }
        _ => Err(wrong),
    }
}

struct Check<'a> {
    settings: &'a Settings,
    wrong: Vec<Wrong>,
}

impl Check<'_> {
    fn say(&mut self, path: &[&str], message: impl Into<String>) {
        if self.wrong.len() >= MOST_FOUND {
            return;
        }
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        let wrong = Wrong { path, message: problem::shortened(message.into()) };
        // One of many that are called the same is so beside each of the others.
        if self.wrong.last() != Some(&wrong) {
            self.wrong.push(wrong);
        }
    }

    fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, path: &[&str], text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(path, T::Err::to_string(&error));
                None
            }
        }
    }

    fn versions(&mut self) -> Option<(KafkaVersion, MetadataVersion)> {
        let kafka: KafkaVersion = self.parsed(&["kafkaVersion"], &self.settings.kafka_version)?;
        let metadata = match &self.settings.metadata_version {
            None => kafka.default_metadata_version(),
            Some(text) => self.parsed(&["metadataVersion"], text)?,
        };
        if let Err(error) = kafka.check(metadata) {
            self.say(&["metadataVersion"], error.to_string());
            return None;
        }
        Some((kafka, metadata))
    }

    fn pools(&mut self) -> Vec<Pool> {
        let service = self.settings.service.as_ref().unwrap_or(&self.settings.name);
        let mut pools: Vec<Pool> = Vec::new();
        for (index, settings) in self.settings.pools.iter().enumerate() {
            let index = index.to_string();
            match Pool::new(settings, service) {
                Err(wrong) => {
                    for (key, message) in wrong {
                        self.say(&["pools", &index, key], message);
                    }
                }
                Ok(pool) => {
                    for other in &pools {
                        let (a, b) = (&other.stateful_set, &pool.stateful_set);
                        if a == b {
                            self.say(&["pools", &index, "statefulSet"], format!("two pools are called {a}"));
                        } else if other.overlaps(&pool) {
                            let (of_a, of_b) = (other.range(), pool.range());
                            let message = format!(
                                "node ids of pools {a} ({of_a}) and {b} ({of_b}) overlap; want `nodeIds` apart"
                            );
                            self.say(&["pools", &index, "nodeIds"], message);
                        }
                    }
                    pools.push(pool);
                }
            }
        }
        if pools.len() == self.settings.pools.len() {
            if !pools.iter().any(|pool| pool.roles.is_controller()) {
                self.say(&["pools"], "no pool has the role controller; want one");
            }
            if !pools.iter().any(|pool| pool.roles.is_broker()) {
                self.say(&["pools"], "no pool has the role broker; want one");
            }
        }
        pools
    }

    fn listeners(&mut self, host: Option<&Template>) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for (index, settings) in self.settings.listeners.iter().enumerate() {
            let index = index.to_string();
            match Listener::new(settings, host) {
                Err(wrong) => {
                    for (key, message) in wrong {
                        self.say(&["listeners", &index, key], message);
                    }
                }
                Ok(listener) => {
                    for other in &listeners {
                        let (a, b) = (&other.name, &listener.name);
                        if a == b {
                            self.say(&["listeners", &index, "name"], format!("two listeners are called {a}"));
                        } else if other.port == listener.port {
                            let message = format!("listeners {a} and {b} both have port {}", other.port);
                            self.say(&["listeners", &index, "port"], message);
                        }
                    }
                    listeners.push(listener);
                }
            }
        }
        if listeners.len() == self.settings.listeners.len() {
            let count = |which: fn(&Listener) -> bool| listeners.iter().filter(|one| which(one)).count();
            for (which, found) in [
                ("controllers", count(Listener::is_for_controllers)),
                ("brokers", count(Listener::is_for_brokers)),
            ] {
                if found != 1 {
                    self.say(&["listeners"], format!("{found} listeners are for {which}; want exactly one"));
                }
            }
        }
        listeners
    }

    fn quorum(&mut self, pools: &[Pool], kafka: Option<KafkaVersion>) -> Option<Quorum> {
        let initial = &self.settings.quorum.initial_controllers;
        let path = ["quorum", "initialControllers"];
        if self.settings.quorum.kind == QuorumKind::Static {
            if !initial.is_empty() {
                self.say(
                    &path,
                    "a static quorum has no initial controllers; its voters are the pools' controllers",
                );
            }
            return Some(Quorum::Static);
        }
        if let Some(kafka) = kafka.filter(|kafka| !kafka.at_least(3, 9)) {
            self.say(&["quorum", "type"], format!("Kafka {kafka} has no dynamic quorum; want 3.9 or newer"));
        }
        let controllers: Vec<NodeId> = pools
            .iter()
            .filter(|pool| pool.roles.is_controller())
            .flat_map(|pool| pool.pods().filter_map(|pod| pool.node_id(pod.ordinal())))
            .collect();
        let mut voters = BTreeMap::new();
        let mut directories = BTreeSet::new();
        for (index, one) in initial.iter().enumerate() {
            let index = index.to_string();
            let at = |key| ["quorum", "initialControllers", &index, key].map(str::to_owned);
            let node_id = i32::try_from(one.node_id).ok().and_then(|id| NodeId::try_from(id).ok());
            let Some(node_id) = node_id.filter(|id| controllers.contains(id)) else {
                let message = format!("no controller of any pool has node id {}", one.node_id);
                self.say(&at("nodeId").each_ref().map(String::as_str), message);
                continue;
            };
            let path = at("directoryId");
            let path = path.each_ref().map(String::as_str);
            let Some(directory) = self.parsed::<DirectoryId>(&path, &one.directory_id) else { continue };
            if !directories.insert(one.directory_id.clone()) {
                self.say(&path, format!("two controllers have directory id {}", one.directory_id));
            }
            if voters.insert(node_id, directory).is_some() {
                self.say(
                    &at("nodeId").each_ref().map(String::as_str),
                    format!("node id {node_id} stands here twice"),
                );
            }
        }
        // Once it has formed, nobody begins as a voter any more: whoever comes is an observer until it is added.
        if initial.is_empty() && controllers.len() > 1 && !self.settings.formed {
            let message = format!(
                "{} controllers form a dynamic quorum; want `initialControllers` with a directory id for each \
                 (`kraftlet new-cluster --quorum dynamic` prints them)",
                controllers.len()
            );
            self.say(&["quorum"], message);
        }
        Some(Quorum::Dynamic(voters))
    }

    fn template(&mut self, path: &[&str], text: &str) -> Option<Template> {
        self.parsed(path, text)
    }

    fn templates(&mut self, host: Option<Template>) -> Option<Templates> {
        let settings = self.settings;
        let storage = &settings.storage;
        let bind_host = self.template(&["bindHost"], &settings.bind_host);
        let run_folder = self.folder(&["runFolder"], &settings.run_folder);
        let metadata_log_dir = match &storage.metadata_log_dir {
            None => Some(None),
            Some(text) => self.folder(&["storage", "metadataLogDir"], text).map(Some),
        };
        if storage.log_dirs.is_empty() {
            self.say(&["storage", "logDirs"], "no log directory; want at least one");
        }
        let mut log_dirs = Vec::new();
        for (index, text) in storage.log_dirs.iter().enumerate() {
            let index = index.to_string();
            if storage.log_dirs.iter().filter(|other| *other == text).count() > 1 {
                self.say(&["storage", "logDirs", &index], format!("log directory {text} stands here twice"));
            }
            log_dirs.push(self.folder(&["storage", "logDirs", &index], text)?);
        }
        Some(Templates {
            host: host?,
            bind_host: bind_host?,
            log_dirs,
            metadata_log_dir: metadata_log_dir?,
            run_folder: run_folder?,
        })
    }

    /// A folder that Kafka is told of: absolute, and without the comma that ends an entry of `log.dirs` or the
    /// characters that end a reference to a file config provider.
    fn folder(&mut self, path: &[&str], text: &str) -> Option<Template> {
        let outside = text.split('{').flat_map(|part| part.rsplit('}').next());
        if !text.starts_with('/')
            || text.trim() != text
            || outside.into_iter().any(|t| t.contains([',', ':', '\n']))
        {
            self.say(
                path,
                format!("{text:?} is no folder; want an absolute path without ',', ':' and line breaks"),
            );
            return None;
        }
        self.template(path, text)
    }

    fn names(&mut self) {
        let settings = self.settings;
        let named = [
            ("name", Some(&settings.name)),
            ("namespace", settings.namespace.as_ref()),
            ("service", settings.service.as_ref()),
            ("clusterDomain", Some(&settings.cluster_domain)),
        ];
        for (key, name) in named {
            if let Some(name) = name.filter(|name| !crate::pod::name::is_dns_name(name)) {
                self.say(
                    &[key],
                    format!("{name:?} is no DNS name; want lower-case letters, digits, '-' and '.'"),
                );
            }
        }
        for (index, pod) in settings.storage.format_empty_disk_of.iter().enumerate() {
            self.parsed::<PodName>(&["storage", "formatEmptyDiskOf", &index.to_string()], pod);
        }
        for (index, principal) in settings.super_users.iter().enumerate() {
            // StandardAuthorizer splits super.users at ';', because a distinguished name contains commas.
            if !principal.contains(':') || principal.contains(';') {
                let message =
                    format!("principal {principal:?}; want <type>:<name> without ';', as in User:CN=admin");
                self.say(&["superUsers", &index.to_string()], message);
            }
        }
    }

    fn certificates(&mut self) -> BTreeMap<String, Certificate> {
        let settings = self.settings;
        for (index, listener) in settings.listeners.iter().enumerate() {
            let name = &listener.certificate;
            if name != "node" && !settings.certificates.contains_key(name) {
                let message =
                    format!("no certificate is called {name:?}; `certificates` has none of that name");
                self.say(&["listeners", &index.to_string(), "certificate"], message);
            }
        }
        let mut certificates = BTreeMap::new();
        let unsaid = (!settings.certificates.contains_key("node"))
            .then(|| ("node".to_owned(), settings::Certificate::default()));
        for (name, one) in settings.certificates.iter().chain(unsaid.as_ref().map(|(name, one)| (name, one)))
        {
            match Certificate::new(name, one, &settings.name) {
                Ok(certificate) => {
                    certificates.insert(name.clone(), certificate);
                }
                Err(wrong) => {
                    for (key, message) in wrong {
                        self.say(&["certificates", name, key], message);
                    }
                }
            }
        }
        certificates
    }

    fn agent(&mut self) {
        let Some(sasl) = &self.settings.agent.sasl else { return };
        if sasl.mechanism.login().is_none() {
            let message = format!(
                "the agent cannot log in with {}; want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
                sasl.mechanism
            );
            self.say(&["agent", "sasl", "mechanism"], message);
        }
        if sasl.username.is_empty() {
            self.say(&["agent", "sasl", "username"], "the agent's login has no user name");
        }
    }

    fn users(&mut self, metadata: Option<MetadataVersion>) {
        let mut seen = BTreeSet::new();
        for (index, user) in self.settings.scram_users.iter().enumerate() {
            let index = index.to_string();
            let at = |key| ["scramUsers", &index, key].map(str::to_owned);
            let mut say = |key, message: String| self.say(&at(key).each_ref().map(String::as_str), message);
            if !matches!(user.mechanism, SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512) {
                let message = format!("{} is not SCRAM; want SCRAM-SHA-256 or SCRAM-SHA-512", user.mechanism);
                say("mechanism", message);
            }
            // ScramMechanism.minIterations and maxIterations.
            if !(4096..=16384).contains(&user.iterations) {
                say("iterations", format!("{} iterations; want 4096 to 16384", user.iterations));
            }
            if user.name.is_empty() {
                say("name", "the user has no name".to_owned());
            }
            if !seen.insert((&user.name, user.mechanism.to_string())) {
                say("name", format!("user {:?} has {} twice", user.name, user.mechanism));
            }
        }
        let is_asked = !self.settings.scram_users.is_empty();
        if let Some(version) = metadata.filter(|version| is_asked && !version.supports_scram()) {
            self.say(
                &["scramUsers"],
                format!("metadata version {version} has no SCRAM users; want 3.5 or newer"),
            );
        }
    }

    fn properties(&mut self) {
        let properties = &self.settings.properties;
        for (role, lines) in [
            ("all", &properties.all),
            ("broker", &properties.broker),
            ("controller", &properties.controller),
            ("combined", &properties.combined),
        ] {
            for key in lines.keys() {
                if let Some(problem) = protected::problem(key) {
                    self.say(&["properties", role, key], problem);
                }
            }
        }
    }
}
