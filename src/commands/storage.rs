//! The storage part of `init`: look at the disks, ask the other controllers where that matters, plan.

use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use crate::cluster::derived;
use crate::cluster::listener::Listener;
use crate::cluster::model::Node;
use crate::cluster::model::Quorum;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::inputs;
use crate::commands::inputs::Inputs;
use crate::kafka::ask_error::AskError;
use crate::kafka::endpoint::Endpoint;
use crate::kafka::endpoint::Tls;
use crate::kafka::features;
use crate::kafka::io as kafka_io;
use crate::kafka::login::Login;
use crate::kafka::metadata_records::MetadataRecord;
use crate::kafka::metadata_records::Voter;
use crate::kafka::scram;
use crate::kafka::scram::ScramCredential;
use crate::kafka::scram::ScramMechanism;
use crate::pki::handshake::TlsClient;
use crate::storage::controller;
use crate::storage::empty_disk::Answer;
use crate::storage::empty_disk::NoAnswer;
use crate::storage::found::Found;
use crate::storage::io as storage_io;
use crate::storage::plan;
use crate::storage::plan::Plan;
use crate::storage::wanted;
use crate::storage::wanted::InitialVoters;
use crate::storage::wanted::Wanted;

/// How long `init` waits for the other controllers' answers, all asked at once. Controllers that are there answer in
/// milliseconds; when a cluster is formed nobody is there yet, and nobody should wait long to learn that.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// With what the other controllers are asked.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// The leaf that this run installs, and whom it trusts.
    Leaf(&'a TlsClient),
    /// The leaf will be of a local CA that this run makes, once nothing is refused any more.
    OfANewCa,
    /// None: the listener has no TLS, or the certificate is not usable.
    None,
}

/// What this node's storage must be.
pub fn wanted(inputs: &Inputs) -> Result<Wanted, Failure> {
    let Inputs { cluster, node, .. } = inputs;
    let render = |template| Ok::<_, Failure>(PathBuf::from(cluster.render(template, node)?));
    let log_dirs: Vec<PathBuf> = cluster.templates.log_dirs.iter().map(render).collect::<Result<_, _>>()?;
    let metadata_log_dir = match &cluster.templates.metadata_log_dir {
        Some(template) => render(template)?,
        None => log_dirs.first().cloned().unwrap_or_default(),
    };
    let pod = node.pod.to_string();
    // The person's word first: `formed: false` does not keep a node from waiting where others are there already.
    let state = if cluster.settings.storage.format_empty_disk_of.contains(&pod) {
        wanted::Cluster::FormedAndLossAccepted
    } else if cluster.settings.formed {
        wanted::Cluster::Formed
    } else {
        wanted::Cluster::NeverFormed
    };
    let others =
        if other_controllers(inputs).is_empty() { wanted::Others::Nobody } else { wanted::Others::There };
    Ok(Wanted {
        node_id: node.node_id,
        cluster_id: cluster.cluster_id.clone(),
        roles: node.pool.roles,
        kafka_version: cluster.kafka_version,
        records: records(inputs)?,
        log_dirs,
        metadata_log_dir,
        quorum: quorum(inputs, state, others)?,
        others,
        cluster: state,
    })
}

/// Looks at the node's directories.
pub fn look(wanted: &Wanted) -> Found {
    storage_io::look(wanted.directories())
}

/// Asks the other controllers, if the answer decides anything, and plans.
pub fn plan(
    inputs: &Inputs,
    wanted: &Wanted,
    found: &Found,
    credential: Credential<'_>,
) -> Result<Plan, Failure> {
    let answers = if controller::needs_asking(found, wanted) { ask(inputs, credential)? } else { Vec::new() };
    plan_with(wanted, found, &answers)
}

/// Plans without asking anybody.
pub fn plan_unasked(wanted: &Wanted, found: &Found) -> Result<Plan, Failure> {
    plan_with(wanted, found, &[])
}

fn plan_with(wanted: &Wanted, found: &Found, answers: &[Answer]) -> Result<Plan, Failure> {
    // An id for every directory, drawn before the plan so that the plan itself is a function of its inputs.
    let mut ids = Vec::new();
    for _ in &found.dirs {
        let id = kafka_io::random_directory_id();
        ids.push(id.map_err(|error| Failure::of(Exit::Again, error.reason(), &error))?);
    }
    let mut ids = ids.into_iter();
    let fresh_id = || ids.next().expect("one has been drawn for each directory");
    plan::plan(found, wanted, answers, fresh_id, SystemTime::now()).map_err(|refusals| {
        let failures = refusals.iter().map(|refusal| {
            let exit = if refusal.may_pass() { Exit::Again } else { Exit::Person };
            Failure::of(exit, refusal.reason(), refusal)
        });
        let refused = || Failure::new(Exit::Person, "StorageRefused", "the storage cannot be used");
        failures.reduce(Failure::and).unwrap_or_else(refused)
    })
}

/// The records a new cluster begins with: feature levels, then users.
fn records(inputs: &Inputs) -> Result<Vec<MetadataRecord>, Failure> {
    let cluster = &inputs.cluster;
    let levels = features::feature_levels(cluster.kafka_version, cluster.metadata_version);
    let mut records: Vec<MetadataRecord> = levels.into_iter().map(MetadataRecord::from).collect();
    for user in &cluster.settings.scram_users {
        let mechanism: ScramMechanism = user
            .mechanism
            .to_string()
            .parse()
            .map_err(|error| Failure::new(Exit::Usage, "SettingsInvalid", error))?;
        let password = inputs::read_password(user.password_file.as_ref())?;
        let salt = scram::deterministic_salt(&cluster.cluster_id, mechanism, &user.name);
        let credential =
            ScramCredential::derive(mechanism, &user.name, password.as_bytes(), &salt, user.iterations)
                .map_err(|error| Failure::new(Exit::Usage, error.reason(), error))?;
        records.push(MetadataRecord::UserScramCredential(credential));
    }
    Ok(records)
}

fn other_controllers(inputs: &Inputs) -> Vec<Node> {
    let Inputs { cluster, node, facts, .. } = inputs;
    let mut others = cluster.nodes(facts.namespace.as_deref());
    others.retain(|peer| peer.node_id != node.node_id && peer.pool.roles.is_controller());
    others
}

fn quorum(
    inputs: &Inputs,
    state: wanted::Cluster,
    others: wanted::Others,
) -> Result<wanted::Quorum, Failure> {
    let Inputs { cluster, node, facts, .. } = inputs;
    let initial = match &cluster.quorum {
        Quorum::Static => return Ok(wanted::Quorum::Static),
        Quorum::Dynamic(initial) => initial,
    };
    let Some(listener) = cluster.controller_listener() else { return Ok(wanted::Quorum::Static) };
    if initial.is_empty() {
        if !node.pool.roles.is_controller() || !is_first_controller(state, others) {
            return Ok(wanted::Quorum::Dynamic(InitialVoters::Unknown));
        }
        let (host, port) = cluster.address(node, listener)?;
        let alone = InitialVoters::Standalone { listener_name: listener.name.clone(), host, port };
        return Ok(wanted::Quorum::Dynamic(alone));
    }
    let mut voters = Vec::new();
    for peer in cluster.nodes(facts.namespace.as_deref()) {
        if let Some(directory_id) = initial.get(&peer.node_id) {
            let (host, port) = cluster.address(&peer, listener)?;
            voters.push(Voter {
                node_id: peer.node_id,
                directory_id: (*directory_id).into(),
                listener_name: listener.name.clone(),
                host,
                port,
            });
        }
    }
    Ok(wanted::Quorum::Dynamic(InitialVoters::Voters(voters)))
}

/// Whether a controller without a list of initial voters is the one that forms the cluster. One that was formed by a
/// single controller may have grown since, and another controller by itself would be a second cluster.
fn is_first_controller(state: wanted::Cluster, others: wanted::Others) -> bool {
    state == wanted::Cluster::NeverFormed || others == wanted::Others::Nobody
}

/// What the other controllers say of the quorum, each asked at the same time.
fn ask(inputs: &Inputs, credential: Credential<'_>) -> Result<Vec<Answer>, Failure> {
    let cluster = &inputs.cluster;
    let Some(listener) = cluster.controller_listener() else { return Ok(Vec::new()) };
    let others = other_controllers(inputs);
    let login = login(inputs, listener);
    // In both cases nobody is reached. A young cluster forms all the same, and an empty disk of one that has formed
    // waits for a person, who reads this.
    let cannot = match credential {
        _ if login.is_err() => login.as_ref().err().cloned(),
        Credential::OfANewCa => Some("not asked: nobody knows the CA, which is yet to be made".to_owned()),
        Credential::None | Credential::Leaf(_) => None,
    };
    if let Some(cannot) = cannot {
        let nobody = || Err(NoAnswer::NobodyThere(cannot.clone()));
        let answer = |peer: &Node| Answer { from: peer.node_id, said: nobody() };
        return Ok(others.iter().map(answer).collect());
    }
    let client = match credential {
        Credential::Leaf(client) => Some(client),
        Credential::None | Credential::OfANewCa => None,
    };
    let mut questions = Vec::new();
    for peer in others {
        let (host, port) = cluster.address(&peer, listener)?;
        let address = derived::host_port(&host, port);
        let login = login.clone().ok().flatten();
        let endpoint = tls_with(&host, listener, client).map(|tls| Endpoint { address, tls, login });
        questions.push((peer.node_id, endpoint));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(Exit::Again, "RuntimeFailed", &error))?;
    let answers = runtime.block_on(async {
        let deadline = tokio::time::Instant::now() + ASK_WITHIN;
        let mut asked = tokio::task::JoinSet::new();
        for (from, endpoint) in questions {
            asked.spawn(async move {
                let said = match endpoint {
                    Ok(endpoint) => {
                        let said = kafka_io::describe_quorum(&endpoint, deadline).await;
                        said.map_err(|error| no_answer(&error))
                    }
                    Err(why) => Err(NoAnswer::NoLeader(why)),
                };
                Answer { from, said }
            });
        }
        asked.join_all().await
    });
    // The resolver runs on a thread that cannot be interrupted; nobody waits for it.
    runtime.shutdown_background();
    Ok(answers)
}

/// The login that a listener wants; `None` where it wants none.
fn login(inputs: &Inputs, listener: &Listener) -> Result<Option<Login>, String> {
    match (listener.security_protocol.has_sasl(), &inputs.login) {
        (false, _) => Ok(None),
        (true, Some(login)) => Ok(Some(login.clone())),
        (true, None) => {
            let name = &listener.name;
            Err(format!("not asked: listener {name} wants a login, and the settings have no `agent.sasl`"))
        }
    }
}

/// How to speak TLS with `host`, `None` where the listener is plaintext, or why it cannot be spoken: a TLS port is never
/// asked in plaintext, and whoever is not asked may be there.
fn tls_with(host: &str, listener: &Listener, client: Option<&TlsClient>) -> Result<Option<Tls>, String> {
    if !listener.security_protocol.has_tls() {
        return Ok(None);
    }
    let name = &listener.name;
    let client = client
        .ok_or_else(|| format!("not asked: listener {name} wants TLS, and the certificate is not usable"))?;
    let tls = Tls::new(client.clone(), host);
    let no_name = || format!("not asked: listener {name} wants TLS, and no certificate can name {host:?}");
    tls.ok_or_else(no_name).map(Some)
}

fn no_answer(error: &AskError) -> NoAnswer {
    if error.nobody_there() { NoAnswer::NobodyThere(chain(error)) } else { NoAnswer::NoLeader(chain(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::io::tls_client;
    use crate::pki::testing;

    #[test]
    fn a_port_with_tls_is_never_asked_in_plaintext() {
        let ca = testing::root("ca");
        let client =
            tls_client(&ca.private_key(), [&ca.certificate], std::slice::from_ref(&ca.certificate)).unwrap();
        for (protocol, host, client, want) in [
            ("PLAINTEXT", "kafka-1.kafka", None, Ok(None)),
            ("PLAINTEXT", "kafka 1", Some(&client), Ok(None)),
            ("SSL", "kafka-1.kafka", Some(&client), Ok(Some("kafka-1.kafka"))),
            ("SSL", "2001:db8::1", Some(&client), Ok(Some("2001:db8::1"))),
            (
                "SSL",
                "kafka-1.kafka",
                None,
                Err("not asked: listener CONTROLLER wants TLS, and the certificate is not usable"),
            ),
            (
                "SSL",
                "kafka 1",
                Some(&client),
                Err("not asked: listener CONTROLLER wants TLS, and no certificate can name \"kafka 1\""),
            ),
        ] {
            let text =
                format!("{{name: CONTROLLER, port: 9093, for: [controllers], securityProtocol: {protocol}}}");
            let settings = serde_saphyr::from_str(&text).unwrap();
            let listener = Listener::new(&settings, Some(&"{pod}".parse().unwrap())).unwrap();
            let got = tls_with(host, &listener, client);
            let got = got.map(|tls| tls.map(|tls| tls.server_name().to_str().into_owned()));
            assert_eq!(
                got,
                want.map(|name| name.map(str::to_owned)).map_err(str::to_owned),
                "{protocol} {host}"
            );
        }
    }

    #[test]
    fn a_cluster_that_has_grown_is_not_formed_a_second_time() {
        use wanted::Cluster::*;
        use wanted::Others::*;
        for (state, others, want) in [
            (NeverFormed, Nobody, true),
            (NeverFormed, There, true),
            (Formed, Nobody, true),
            (Formed, There, false),
            (FormedAndLossAccepted, Nobody, true),
            (FormedAndLossAccepted, There, false),
        ] {
            assert_eq!(is_first_controller(state, others), want, "{state:?} {others:?}");
        }
    }
}
