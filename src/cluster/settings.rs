//! The settings file as it is written: shapes and defaults, nothing checked yet.
//!
//! These types are the published schema (`kraftlet schema`); a field's comment is its description there. What the
//! values mean together is worked out in `cluster::model`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::cluster::source;

/// Of pools, listeners, certificates and their like: many times what a cluster has, and so few that each may be held
/// against each. Webhook and signer read the settings of strangers, and have little memory.
const MOST_ENTRIES: usize = 64;

/// Of properties, users and pods: more than Kafka has keys, or a cluster nodes that fail at once.
const MOST_NAMES: usize = 1000;

/// A Kafka cluster in KRaft mode: its pools, listeners, storage and certificates.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The version of this file's shape.
    pub api_version: ApiVersion,
    /// What the file describes.
    pub kind: Kind,
    /// The cluster's name: it is in the nodes' certificates, and the default name of the headless Service.
    pub name: String,
    /// The cluster id, as `kraftlet cluster-id` prints one. It can never be changed.
    pub cluster_id: String,
    /// The Kafka release that runs, for example 4.4.0.
    pub kafka_version: String,
    /// The metadata version to format with, for example 4.3 or 4.3-IV0; by default the newest of `kafkaVersion`.
    #[serde(default)]
    pub metadata_version: Option<String>,
    /// Say true once the cluster has run: from then on an empty disk of a controller is never formatted blindly.
    #[serde(default)]
    pub formed: bool,
    /// How the voters of the quorum are known.
    #[serde(default)]
    pub quorum: Quorum,
    /// The StatefulSets whose pods are the nodes of this cluster.
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub pools: Vec<Pool>,
    /// Where nodes listen; by default CONTROLLER 9093, INTERNAL 9091 and CLIENT 9092, all with mutual TLS.
    #[serde(default = "default_listeners")]
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub listeners: Vec<Listener>,
    /// The namespace; by default that of the pod.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The headless Service that gives the pods their names; by default the cluster's name.
    #[serde(default)]
    pub service: Option<String>,
    /// The domain of the Kubernetes cluster.
    #[serde(default = "default_cluster_domain")]
    pub cluster_domain: String,
    /// The name by which a node is reached. A template: {pod} {statefulSet} {ordinal} {nodeId} {namespace} {service}
    /// {clusterDomain} {name}; numbers may be calculated with, as in {30000+ordinal}. {podIp} and {nodeName} are known
    /// of the pod itself only, so they are for clients' names, not for those by which controllers know each other.
    #[serde(default = "default_host")]
    pub host: String,
    /// The address a node binds its listeners to, a template; by default every address of the pod.
    #[serde(default)]
    pub bind_host: String,
    /// Disks.
    #[serde(default)]
    pub storage: Storage,
    /// Certificates by name; listeners use the one called `node` unless they name another.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MOST_ENTRIES))]
    pub certificates: BTreeMap<String, Certificate>,
    /// Who decides what a client may do.
    #[serde(default)]
    pub authorizer: Authorizer,
    /// Principals that may do everything, beside the nodes themselves, for example User:CN=admin.
    #[serde(default)]
    #[schemars(extend("maxItems" = MOST_NAMES))]
    pub super_users: Vec<String>,
    /// Users written into the cluster's first metadata, so that they exist before anyone can log in to create them.
    #[serde(default)]
    #[schemars(extend("maxItems" = MOST_NAMES))]
    pub scram_users: Vec<ScramUser>,
    /// Lines of server.properties, as far as kraftlet does not own them.
    #[serde(default)]
    pub properties: Properties,
    /// A folder with further lines in all.properties, broker.properties, controller.properties and
    /// combined.properties; it need not exist.
    #[serde(default = "default_properties_folder")]
    pub properties_folder: String,
    /// Where kraftlet writes what Kafka reads. A template, as `host`.
    #[serde(default = "default_run_folder")]
    pub run_folder: String,
    /// How Kafka takes a new certificate while it runs.
    #[serde(default)]
    pub reload: Reload,
    /// The agent's own ports, and how it logs in.
    #[serde(default)]
    pub agent: Agent,
}

/// How Kafka takes a new certificate while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reload {
    /// kraftlet's SslEngineFactory (KIP-519) follows the files: every channel, the raft client included. Kafka needs
    /// its jar in CLASSPATH, which `init` puts into the run folder.
    #[default]
    Engine,
    /// No foreign class in Kafka: listeners and most client channels by a request; the raft client needs a restart.
    AdminApi,
}

/// The agent's own ports, and how it logs in where a listener wants SASL.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Agent {
    /// The port of status, metrics and probes: read only.
    #[serde(default = "default_agent_port")]
    pub port: u16,
    /// The port of orders, on a loopback address only.
    #[serde(default = "default_orders_port")]
    pub orders_port: u16,
    /// What the pod's spec says under this name: how long a stop may take as a whole. The call before a stop waits for
    /// less, so that Kafka has time to end.
    #[serde(default = "default_termination_grace_period_seconds")]
    pub termination_grace_period_seconds: u32,
    /// Have the agent write Events of its pod: of renewals, of failures, and of what begins to hurt. The pod's service
    /// account needs a Role for that, to create events of events.k8s.io.
    #[serde(default)]
    pub events: bool,
    /// The agent's login, for listeners with SASL.
    #[serde(default)]
    pub sasl: Option<AgentLogin>,
}

/// A SASL login.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentLogin {
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// The file that holds the password; line breaks at its end do not count.
    pub password_file: String,
}

/// The version of the settings' shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only one so far.
    #[serde(rename = "kraftlet.dev/v1")]
    V1,
}

/// What a settings file describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Kind {
    /// One Kafka cluster.
    KafkaCluster,
}

/// How the voters of the controller quorum are known.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quorum {
    /// static: controller.quorum.voters on every node. dynamic: the voters are in the metadata log (KIP-853), which
    /// needs Kafka 3.9.
    #[serde(default, rename = "type")]
    pub kind: QuorumKind,
    /// The voters that form a dynamic quorum; without them one single controller forms it alone.
    #[serde(default)]
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub initial_controllers: Vec<InitialController>,
}

/// Static or dynamic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum QuorumKind {
    /// controller.quorum.voters on every node.
    #[default]
    Static,
    /// controller.quorum.bootstrap.servers; voters in the metadata log.
    Dynamic,
}

/// A voter that forms a dynamic quorum.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InitialController {
    /// The controller's node id.
    pub node_id: u32,
    /// The id of its metadata directory, random, for this formation only: a replaced disk gets another.
    pub directory_id: String,
}

/// A StatefulSet whose pods are nodes of the cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    /// The StatefulSet's name.
    pub stateful_set: String,
    /// What the pool's nodes are: broker, controller, or both.
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub roles: Vec<Role>,
    /// How many pods the StatefulSet has.
    pub replicas: u32,
    /// The StatefulSet's .spec.ordinals.start.
    #[serde(default)]
    pub ordinals_start: u32,
    /// The node ids that belong to this pool: node id = first + ordinal.
    #[serde(default)]
    pub node_ids: NodeIds,
    /// The headless Service of this pool, where it is not the cluster's.
    #[serde(default)]
    pub service: Option<String>,
}

/// What a node does (process.roles).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Stores and serves records.
    Broker,
    /// Votes on metadata.
    Controller,
}

/// A range of node ids.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeIds {
    /// The node id of ordinal 0.
    #[serde(default)]
    pub first: u32,
    /// The last node id; by default 1000 ids belong to a pool.
    #[serde(default)]
    pub last: Option<u32>,
}

/// A place where nodes listen.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// The listener's name, for example CONTROLLER.
    pub name: String,
    /// The port it binds.
    pub port: u16,
    /// Who connects to it. Controllers have a listener of their own; brokers and clients may share one.
    #[serde(rename = "for")]
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub serves: Vec<Peer>,
    /// TLS or not, SASL or not.
    #[serde(default)]
    pub security_protocol: SecurityProtocol,
    /// Whether a client must show a certificate; by default it must on SSL and need not on SASL_SSL.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
    /// SASL mechanisms that are taken; the first is the one nodes use among themselves.
    #[serde(default)]
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub sasl_mechanisms: Vec<SaslMechanism>,
    /// The name clients are sent to, a template; by default `host`.
    #[serde(default)]
    pub advertised_host: Option<String>,
    /// The port clients are sent to, a template such as "{30000+ordinal}"; by default `port`.
    #[serde(default)]
    pub advertised_port: Option<String>,
    /// The certificate it serves, one of `certificates`.
    #[serde(default = "default_certificate")]
    pub certificate: String,
}

/// Who connects to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Peer {
    /// The controller quorum, and brokers that follow it.
    Controllers,
    /// Brokers, among themselves.
    Brokers,
    /// Everybody else.
    Clients,
}

/// Kafka's security protocols (org.apache.kafka.common.security.auth.SecurityProtocol).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SecurityProtocol {
    /// TLS.
    #[default]
    #[serde(rename = "SSL")]
    Ssl,
    /// TLS, and a login inside it.
    #[serde(rename = "SASL_SSL")]
    SaslSsl,
    /// Nothing.
    #[serde(rename = "PLAINTEXT")]
    Plaintext,
    /// A login in the clear.
    #[serde(rename = "SASL_PLAINTEXT")]
    SaslPlaintext,
}

/// Whether a TLS server wants its client's certificate (ssl.client.auth).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClientAuth {
    /// No certificate, no connection.
    Required,
    /// Asked for, not needed.
    Requested,
    /// Not asked for.
    None,
}

/// SASL mechanisms Kafka knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// User and password.
    #[serde(rename = "PLAIN")]
    Plain,
    /// RFC 5802 with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// RFC 5802 with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// Bearer tokens (RFC 7628).
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

/// Disks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Log directories; each a directory below a mount, not the mount itself (lost+found). Templates, as `host`.
    #[serde(default = "default_log_dirs")]
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub log_dirs: Vec<String>,
    /// The metadata log's directory; by default the first of `logDirs`.
    #[serde(default)]
    pub metadata_log_dir: Option<String>,
    /// Pods whose empty disk is formatted although the cluster has formed, and although committed metadata may be
    /// lost by it. For the one time a person has decided so.
    #[serde(default)]
    #[schemars(extend("maxItems" = MOST_NAMES))]
    pub format_empty_disk_of: Vec<String>,
}

/// A certificate of each node, and whom it trusts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// Where it comes from; by default a mounted folder.
    #[serde(default)]
    pub source: source::Written,
    /// The subject's common name, the same on all nodes; by default <name>-node.
    #[serde(default)]
    pub common_name: Option<String>,
    /// Further names or addresses in the certificate. Templates, as `host`.
    #[serde(default)]
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub names: Vec<String>,
    /// The kind of key: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or rsa-4096.
    #[serde(default = "default_key_algorithm")]
    pub key_algorithm: String,
    /// How long a new certificate lives, for example 30d, 12h or 90m.
    #[serde(default = "default_lifetime")]
    pub lifetime: String,
    /// When it is renewed, in percent of its life.
    #[serde(default = "default_renew_at_percent")]
    pub renew_at_percent: u8,
    /// PEM files with further trust anchors, beside those of the source.
    #[serde(default)]
    #[schemars(extend("maxItems" = MOST_ENTRIES))]
    pub trust: Vec<String>,
    /// The kind of keystore Kafka gets.
    #[serde(default)]
    pub store: Store,
    /// The file that holds the password of a PKCS12 store.
    #[serde(default)]
    pub store_password_file: Option<String>,
}

/// The kind of keystore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Store {
    /// One file with key and chain.
    #[default]
    Pem,
    /// A PKCS12 file, with a password.
    Pkcs12,
}

/// Who decides what a client may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Authorizer {
    /// Kafka's StandardAuthorizer; the nodes' subject is a super user.
    #[default]
    Standard,
    /// Nobody: every client may do everything.
    None,
}

/// A SCRAM user.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScramUser {
    /// The user's name.
    pub name: String,
    /// SCRAM-SHA-256 or SCRAM-SHA-512.
    pub mechanism: SaslMechanism,
    /// The file that holds the password; line breaks at its end do not count.
    pub password_file: String,
    /// Rounds of hashing.
    #[serde(default = "default_iterations")]
    pub iterations: u32,
}

/// Lines of server.properties.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Properties {
    /// For every node.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MOST_NAMES))]
    pub all: BTreeMap<String, String>,
    /// For nodes that are brokers only.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MOST_NAMES))]
    pub broker: BTreeMap<String, String>,
    /// For nodes that are controllers only.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MOST_NAMES))]
    pub controller: BTreeMap<String, String>,
    /// For nodes that are both.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MOST_NAMES))]
    pub combined: BTreeMap<String, String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { log_dirs: default_log_dirs(), metadata_log_dir: None, format_empty_disk_of: Vec::new() }
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self {
            source: source::Written::default(),
            common_name: None,
            names: Vec::new(),
            key_algorithm: default_key_algorithm(),
            lifetime: default_lifetime(),
            renew_at_percent: default_renew_at_percent(),
            trust: Vec::new(),
            store: Store::default(),
            store_password_file: None,
        }
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            port: default_agent_port(),
            orders_port: default_orders_port(),
            termination_grace_period_seconds: default_termination_grace_period_seconds(),
            events: false,
            sasl: None,
        }
    }
}

/// The ports are those of Kafka's own examples and of KubeDB: 9092 for clients, 9093 for controllers.
fn default_listeners() -> Vec<Listener> {
    let listener = |name: &str, port, serves| Listener {
        name: name.to_owned(),
        port,
        serves: vec![serves],
        security_protocol: SecurityProtocol::Ssl,
        client_auth: None,
        sasl_mechanisms: Vec::new(),
        advertised_host: None,
        advertised_port: None,
        certificate: default_certificate(),
    };
    vec![
        listener("CONTROLLER", 9093, Peer::Controllers),
        listener("INTERNAL", 9091, Peer::Brokers),
        listener("CLIENT", 9092, Peer::Clients),
    ]
}

fn default_cluster_domain() -> String {
    "cluster.local".to_owned()
}

/// A pod's name under a headless Service (Kubernetes, "StatefulSets": stable network id).
fn default_host() -> String {
    "{pod}.{service}.{namespace}.svc.{clusterDomain}".to_owned()
}

/// Apache's image mounts /var/lib/kafka/data; the directory below it keeps lost+found out of Kafka's way.
fn default_log_dirs() -> Vec<String> {
    vec!["/var/lib/kafka/data/log".to_owned()]
}

fn default_properties_folder() -> String {
    "/etc/kraftlet/properties".to_owned()
}

fn default_run_folder() -> String {
    "/run/kraftlet".to_owned()
}

/// Free at IANA, and far from Kafka's 909x.
fn default_agent_port() -> u16 {
    9640
}

fn default_orders_port() -> u16 {
    9641
}

/// Kubernetes' own default, 30 s, is too short for a broker that waits for its turn and moves its leaderships.
pub fn default_termination_grace_period_seconds() -> u32 {
    300
}

fn default_certificate() -> String {
    "node".to_owned()
}

fn default_key_algorithm() -> String {
    "ecdsa-p256".to_owned()
}

/// Thirty days: short enough that renewal is exercised, long enough to sleep through a lost weekend.
fn default_lifetime() -> String {
    "30d".to_owned()
}

/// Two thirds, as step-ca and cert-manager do: a third of the life is left for things to go wrong in.
fn default_renew_at_percent() -> u8 {
    66
}

/// ScramMechanism's minimum and Kafka's own default.
fn default_iterations() -> u32 {
    4096
}
