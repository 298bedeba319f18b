//! What `init` and `explain` begin with: the settings, the pod, and the properties that follow.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use zeroize::Zeroizing;

use crate::cluster::client_properties;
use crate::cluster::derived;
use crate::cluster::derived::Setting;
use crate::cluster::io as cluster_io;
use crate::cluster::line::Line;
use crate::cluster::model::Cluster;
use crate::cluster::model::Node;
use crate::cluster::overrides;
use crate::cluster::parse;
use crate::cluster::rules;
use crate::cluster::server_properties;
use crate::cluster::server_properties::ServerProperties;
use crate::cluster::settings::Store;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::kafka::login::Login;
use crate::pki::stores::StorePassword;
use crate::pod::facts;
use crate::pod::facts::PodFacts;
use crate::pod::io as pod_io;

/// Where a command finds its inputs.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// The settings file
    #[arg(
        long,
        env = "KRAFTLET_SETTINGS",
        default_value = "/etc/kraftlet/cluster.yaml",
        value_name = "FILE"
    )]
    pub settings: PathBuf,
    /// The folder of the downward API, with files name, namespace, ip, node, zone; it need not exist
    #[arg(long, env = "KRAFTLET_POD_INFO", default_value = "/etc/podinfo", value_name = "FOLDER")]
    pub pod_info: PathBuf,
    /// The pod, in place of POD_NAME
    #[arg(long, value_name = "POD")]
    pub pod_name: Option<String>,
}

/// All that is known before anything but the settings has been looked at.
#[derive(Debug)]
pub struct Inputs {
    /// The cluster.
    pub cluster: Cluster,
    /// What the pod knows of itself.
    pub facts: PodFacts,
    /// The node that it is.
    pub node: Node,
    /// Where kraftlet writes.
    pub run_folder: PathBuf,
    /// The passwords of PKCS12 stores, by the certificate's name.
    pub store_passwords: BTreeMap<String, StorePassword>,
    /// How the agent logs in where a listener has SASL, if the settings say so.
    pub login: Option<Login>,
    /// `server.properties` and its passwords.
    pub server: ServerProperties,
    /// `client.properties` and its passwords.
    pub client: ServerProperties,
}

/// Reads everything and works out the properties; touches nothing.
pub fn read(args: &InputArgs) -> Result<Inputs, Failure> {
    let cluster = read_cluster(&args.settings)?;
    let Pod { environment, facts } = read_pod(args)?;
    let node = node_of(&cluster, &facts)?;
    let run_folder = PathBuf::from(cluster.render(&cluster.templates.run_folder, &node)?);
    let store_passwords = store_passwords(&cluster)?;
    let login = login(&cluster)?;
    let folder = Path::new(&cluster.settings.properties_folder);
    let server = server_properties(&cluster, &node, &facts, &environment, &store_passwords, Some(folder))?;
    let setting = setting(&node, &facts, &run_folder, &store_passwords);
    let lines = client_properties::lines(&cluster, &setting)?;
    let client = server_properties::merge(&run_folder, lines, Vec::new());
    Ok(Inputs { cluster, node, run_folder, store_passwords, login, server, client, facts })
}

/// The lines of a node; those of people's files only where they are in a folder that can be read from here.
pub fn server_properties(
    cluster: &Cluster,
    node: &Node,
    facts: &PodFacts,
    environment: &BTreeMap<String, String>,
    store_passwords: &BTreeMap<String, StorePassword>,
    folder: Option<&Path>,
) -> Result<ServerProperties, Failure> {
    let run_folder = PathBuf::from(cluster.render(&cluster.templates.run_folder, node)?);
    let lines = derived::lines(cluster, &setting(node, facts, &run_folder, store_passwords))?;
    let added = added_lines(cluster, node, environment, folder)?;
    let server = server_properties::merge(&run_folder, lines, added);
    let broken = rules::broken(&server.lines, node.pool.roles, cluster.kafka_version);
    let broken = broken.into_iter().map(|message| (message, "PropertiesInvalid")).collect();
    Failure::all(Exit::Usage, broken).map_or(Ok(server), Err)
}

fn setting<'a>(
    node: &'a Node,
    facts: &'a PodFacts,
    run_folder: &'a Path,
    store_passwords: &'a BTreeMap<String, StorePassword>,
) -> Setting<'a> {
    let (namespace, zone) = (facts.namespace.as_deref(), facts.zone.as_deref());
    Setting { node, namespace, zone, run_folder, store_passwords }
}

/// The pod that the command runs in or is asked about.
#[derive(Debug)]
pub struct Pod {
    /// The environment, as that pod would have it.
    pub environment: BTreeMap<String, String>,
    /// What it knows of itself.
    pub facts: PodFacts,
}

/// Reads who the pod is.
pub fn read_pod(args: &InputArgs) -> Result<Pod, Failure> {
    let (mut environment, unreadable) = pod_io::environment();
    if let Some(variable) =
        unreadable.iter().find(|name| name.starts_with("KAFKA_") || name.starts_with("POD_"))
    {
        let message = format!("{variable} is not UTF-8");
        return Err(Failure::new(Exit::Usage, "EnvironmentUnusable", message));
    }
    let mut files = pod_io::downward_api(&args.pod_info)
        .map_err(|error| Failure::of(Exit::Usage, "PodFactsUnusable", &error))?;
    if let Some(name) = &args.pod_name {
        // What this pod is told of itself is not said of the one that is asked about; they share the namespace.
        files.retain(|file, _| file == "namespace");
        for variable in ["POD_IP", "POD_ZONE", "NODE_NAME"] {
            environment.remove(variable);
        }
        environment.insert("POD_NAME".to_owned(), name.clone());
    }
    let facts = facts::parse(&environment, &args.pod_info.display().to_string(), &files)
        .map_err(|error| Failure::new(Exit::Usage, error.reason(), error))?;
    Ok(Pod { environment, facts })
}

/// The node that a pod is.
pub fn node_of(cluster: &Cluster, facts: &PodFacts) -> Result<Node, Failure> {
    cluster.node(facts).map_err(|error| Failure::new(Exit::Usage, error.reason(), error))
}

/// The settings file alone, for commands that need no pod.
pub fn read_cluster(settings: &Path) -> Result<Cluster, Failure> {
    let bytes = read_file(settings)?;
    parse::parse(&settings.display().to_string(), &bytes)
        .map_err(|problems| Failure::new(Exit::Usage, problems.reason(), problems))
}

/// A file that the settings name.
pub fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    cluster_io::read(path).map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))
}

/// A password from a file, without the line breaks at its end.
pub fn read_password(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = read_file(path)?;
    let unusable =
        |what: &str| Failure::new(Exit::Usage, "PasswordUnusable", format!("{}: {what}", path.display()));
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable("the password is not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(unusable("the password is empty"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// The agent's login, from the settings and the file they name.
pub fn login(cluster: &Cluster) -> Result<Option<Login>, Failure> {
    let Some(sasl) = &cluster.settings.agent.sasl else { return Ok(None) };
    let unusable =
        |reason, message: String| Failure::new(Exit::Usage, reason, format!("agent.sasl: {message}"));
    let mechanism = sasl.mechanism.login().ok_or_else(|| {
        unusable("SettingsInvalid", format!("the agent cannot log in with {}", sasl.mechanism))
    })?;
    let password = read_password(sasl.password_file.as_ref())?;
    let login = Login::new(mechanism, &sasl.username, password);
    login.map(Some).map_err(|error| unusable(error.reason(), error.to_string()))
}

fn store_passwords(cluster: &Cluster) -> Result<BTreeMap<String, StorePassword>, Failure> {
    let mut passwords = BTreeMap::new();
    for certificate in cluster.certificates.values().filter(|one| one.store == Store::Pkcs12) {
        if let Some(file) = &certificate.store_password_file {
            let password = StorePassword::new(read_password(file)?).map_err(|error| {
                Failure::new(Exit::Usage, error.reason(), format!("{}: {error}", file.display()))
            })?;
            passwords.insert(certificate.name.clone(), password);
        }
    }
    Ok(passwords)
}

/// The lines people have added, in the order in which they win: settings, files, environment.
fn added_lines(
    cluster: &Cluster,
    node: &Node,
    environment: &BTreeMap<String, String>,
    folder: Option<&Path>,
) -> Result<Vec<Line>, Failure> {
    let mut lines = overrides::from_settings(&cluster.settings.properties, node.pool.roles);
    let files = folder.map_or(Ok(Vec::new()), cluster_io::read_folder);
    let files = files.map_err(|error| Failure::of(Exit::Usage, error.reason(), &error))?;
    let files = files.iter().map(|(path, bytes)| (path.as_path(), bytes.as_slice()));
    let mut wrong = Vec::new();
    match overrides::from_files(files, node.pool.roles) {
        Ok(of_files) => lines.extend(of_files),
        Err(problems) => wrong.extend(problems),
    }
    match overrides::from_environment(environment) {
        Ok(of_environment) => lines.extend(of_environment),
        Err(problems) => wrong.extend(problems),
    }
    match Failure::all(Exit::Usage, wrong.into_iter().map(|one| (one, "PropertiesInvalid")).collect()) {
        Some(failure) => Err(failure),
        None => Ok(lines),
    }
}
