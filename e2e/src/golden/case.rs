//! One golden case: what the storage tool was told, and what it wrote. It is the shape of `case.json`.

use serde::Deserialize;
use serde::Serialize;

/// What a golden folder holds beside the files themselves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The release whose tool made the files.
    pub kafka_version: String,
    /// `node.id`.
    pub node_id: u32,
    /// `--cluster-id`.
    pub cluster_id: String,
    /// `process.roles`, in order.
    pub process_roles: Vec<String>,
    /// Where the controllers are and how the quorum is formed.
    pub quorum: Quorum,
    /// The only name in `controller.listener.names`.
    pub controller_listener_name: String,
    /// Where this node's controller listener is, when it has one; a standalone voter is known by this address.
    pub controller_listener: Option<Address>,
    /// `--release-version`, when it was given.
    pub release_version: Option<String>,
    /// `--add-scram`, in the order of the command line.
    pub scram_users: Vec<ScramUser>,
    /// `log.dirs`, relative to the case's `disk` folder, in order.
    pub log_dirs: Vec<String>,
    /// `metadata.log.dir`, when it was set.
    pub metadata_log_dir: Option<String>,
    /// What the tool wrote, sorted by path relative to `disk`.
    #[serde(default)]
    pub written: Vec<Written>,
}

/// `controller.quorum.voters`, or `controller.quorum.bootstrap.servers` and the flag that forms the quorum.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Quorum {
    /// `controller.quorum.voters`.
    Static {
        /// All voters.
        voters: Vec<Voter>,
    },
    /// `controller.quorum.bootstrap.servers`.
    Dynamic {
        /// Where the voters can be asked.
        bootstrap_servers: Vec<Address>,
        /// How the first voters are named.
        formation: Formation,
    },
}

/// The flag of a dynamic quorum.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "flag", rename_all = "snake_case")]
pub enum Formation {
    /// `--initial-controllers`.
    InitialControllers {
        /// All voters, with the ids of their metadata directories.
        voters: Vec<Voter>,
    },
    /// `--standalone`.
    Standalone,
    /// `--no-initial-controllers`.
    NoInitialControllers,
    /// No flag, as for a broker.
    None,
}

/// A member of the quorum.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Voter {
    /// Its `node.id`.
    pub node_id: u32,
    /// Its controller listener.
    pub address: Address,
    /// The id of its metadata directory; none in a static quorum.
    pub directory_id: Option<String>,
}

/// A host and a port. IPv6 literals have no brackets here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    /// A name or a literal address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A user that the tool wrote; salt and iterations are fixed, so the stored keys are too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScramUser {
    /// `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// The user.
    pub name: String,
    /// The password in the clear: it protects nothing.
    pub password: String,
    /// The salt, standard base64.
    pub salt_base64: String,
    /// Rounds of PBKDF2.
    pub iterations: u32,
}

/// A file or a directory that was found after the tool had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Relative to `disk`.
    pub path: String,
    /// `file` or `directory`.
    pub kind: String,
    /// Permission bits in octal, as `0644` (the tool ran with umask 022).
    pub mode: String,
}

impl Address {
    /// As Kafka's settings spell it, with brackets around IPv6 literals.
    pub fn in_settings(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Case {
    /// The file that the tool is given; `disk` is the absolute folder of the log directories.
    pub fn server_properties(&self, disk: &str) -> String {
        let has = |role: &str| self.process_roles.iter().any(|found| found == role);
        let mut lines = vec![
            format!("process.roles={}", self.process_roles.join(",")),
            format!("node.id={}", self.node_id),
            format!("controller.listener.names={}", self.controller_listener_name),
            format!(
                "listener.security.protocol.map={}:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                self.controller_listener_name
            ),
        ];
        let mut listeners = Vec::new();
        if has("broker") {
            listeners.push("PLAINTEXT://localhost:9092".to_owned());
        }
        if let Some(address) = &self.controller_listener {
            listeners.push(format!("{}://{}", self.controller_listener_name, address.in_settings()));
        }
        lines.push(format!("listeners={}", listeners.join(",")));
        lines.push(match &self.quorum {
            Quorum::Static { voters } => {
                let voters: Vec<String> = voters
                    .iter()
                    .map(|voter| format!("{}@{}", voter.node_id, voter.address.in_settings()))
                    .collect();
                format!("controller.quorum.voters={}", voters.join(","))
            }
            Quorum::Dynamic { bootstrap_servers, .. } => {
                let servers: Vec<String> = bootstrap_servers.iter().map(Address::in_settings).collect();
                format!("controller.quorum.bootstrap.servers={}", servers.join(","))
            }
        });
        let dirs: Vec<String> = self.log_dirs.iter().map(|dir| format!("{disk}/{dir}")).collect();
        lines.push(format!("log.dirs={}", dirs.join(",")));
        if let Some(dir) = &self.metadata_log_dir {
            lines.push(format!("metadata.log.dir={disk}/{dir}"));
        }
        lines.join("\n") + "\n"
    }

    /// The arguments of the storage tool.
    pub fn arguments(&self, settings: &str) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["format", "--config", settings, "--cluster-id", &self.cluster_id].map(str::to_owned).to_vec();
        if let Quorum::Dynamic { formation, .. } = &self.quorum {
            match formation {
                Formation::InitialControllers { voters } => {
                    let voters: Vec<String> = voters
                        .iter()
                        .map(|voter| {
                            let directory_id = voter.directory_id.as_deref().unwrap_or_default();
                            format!("{}@{}:{directory_id}", voter.node_id, voter.address.in_settings())
                        })
                        .collect();
                    arguments.extend(["--initial-controllers".to_owned(), voters.join(",")]);
                }
                Formation::Standalone => arguments.push("--standalone".to_owned()),
                Formation::NoInitialControllers => arguments.push("--no-initial-controllers".to_owned()),
                Formation::None => {}
            }
        }
        if let Some(release) = &self.release_version {
            arguments.extend(["--release-version".to_owned(), release.clone()]);
        }
        for user in &self.scram_users {
            let ScramUser { mechanism, name, password, salt_base64, iterations } = user;
            arguments.push("--add-scram".to_owned());
            arguments.push(format!(
                "{mechanism}=[name={name},password={password},iterations={iterations},salt=\"{salt_base64}\"]"
            ));
        }
        arguments
    }
}
