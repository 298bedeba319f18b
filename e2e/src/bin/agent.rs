//! The agent's own client by hand: what the cases ask real Kafka with. Called by `e2e/cases/reload.sh`.
//!
//! It prints one line for each answer, with tabs between its fields, and ends with 1 where the answer is no.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant as Clock;

use kraftlet::causes::chain;
use kraftlet::kafka::endpoint::Endpoint;
use kraftlet::kafka::endpoint::Tls;
use kraftlet::kafka::io::describe_quorum;
use kraftlet::kafka::login::Login;
use kraftlet::kafka::login::Mechanism;
use kraftlet::kafka::node_id::NodeId;
use kraftlet::pki::certificate::Fingerprint;
use kraftlet::pki::chain::parse_pem;
use kraftlet::pki::handshake::TlsClient;
use kraftlet::pki::io::tls_client;
use kraftlet::pki::stores::read_keystore_pem;
use kraftlet::reload::io as reload;
use kraftlet::reload::io::Check;
use kraftlet::reload::trigger;
use kraftlet::reload::verify::Meaning;
use kraftlet::reload::verify::Ours;
use kraftlet::reload::verify::Wanted;
use tokio::time::Instant;

const USAGE: &str = "usage: agent STORES COMMAND ADDRESS...
STORES is a folder with keystore.pem and truststore.pem; LOGIN in the environment is MECHANISM:USER:PASSWORD.
  agent STORES quorum ADDRESS                        asks who leads
  agent STORES leaf                                  the fingerprint of the leaf in STORES
  agent STORES verify ADDRESS...                     six handshakes with each, all with the leaf in STORES
  agent STORES probe ADDRESS                         shows the leaf in STORES
  agent STORES reload-itself NODE_ID ADDRESS         has a broker or combined node reload
  agent STORES reload-controller NODE_ID RELEASE ADDRESS...  has a dedicated controller reload";

/// Long enough for any machine; nothing waits for it but a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// As the agent does by default: twice as many as a listener has network threads.
const HANDSHAKES: usize = 6;

type Problem = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [stores, command, rest @ ..] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Problem::from).and_then(|runtime| {
        let (client, leaf) = read_stores(Path::new(stores))?;
        runtime.block_on(run(&client, leaf, command, rest))
    });
    match done {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(64)
        }
    }
}

async fn run(
    client: &TlsClient,
    leaf: Fingerprint,
    command: &str,
    rest: &[&str],
) -> Result<ExitCode, Problem> {
    let deadline = Instant::now() + PATIENCE;
    let at = |address: &str| endpoint(client, address);
    match (command, rest) {
        ("leaf", []) => {
            println!("{leaf}");
            Ok(ExitCode::SUCCESS)
        }
        ("quorum", [address]) => {
            let answer = describe_quorum(&at(address)?, deadline).await;
            Ok(say(answer.map_err(|error| (error.reason(), chain(&error))), |quorum| {
                let leader = quorum.leader_id.map(|id| id.to_string()).unwrap_or_default();
                format!("leader {leader}\tvoters {}", quorum.voters.len())
            }))
        }
        ("probe", [address]) => {
            let trust = reload::probe(&at(address)?, deadline).await.trust;
            println!("{}\t{trust:?}", trust.reason());
            Ok(ExitCode::SUCCESS)
        }
        ("verify", addresses) => verify(client, leaf, addresses, deadline).await,
        ("reload-itself", [node_id, address]) => {
            let node_id: NodeId = node_id.parse::<i32>()?.try_into()?;
            let told =
                reload::reload_itself(&at(address)?, node_id, &trigger::key("INTERNAL"), deadline).await;
            Ok(say(told.map_err(|error| (error.reason(), chain(&error))), |()| "told".to_owned()))
        }
        ("reload-controller", [node_id, release, addresses @ ..]) => {
            let node_id: NodeId = node_id.parse::<i32>()?.try_into()?;
            let controllers: Vec<Endpoint> = addresses.iter().map(|one| at(one)).collect::<Result<_, _>>()?;
            let release = Some(release.parse()?);
            let key = trigger::key("CONTROLLER");
            let told = reload::reload_controller(&controllers, node_id, &key, release, deadline).await;
            Ok(say(told.map_err(|error| (error.reason(), chain(&error))), |()| "told".to_owned()))
        }
        _ => Err(USAGE.into()),
    }
}

async fn verify(
    client: &TlsClient,
    leaf: Fingerprint,
    addresses: &[&str],
    deadline: Instant,
) -> Result<ExitCode, Problem> {
    let mut checks = Vec::new();
    for address in addresses {
        checks.push(Check {
            listener: (*address).to_owned(),
            endpoint: Endpoint { login: None, ..endpoint(client, address)? },
            handshakes: HANDSHAKES,
            wanted: Wanted { leaf, issuers: Vec::new(), previous: None, ours: Ours::MustBeTaken },
        });
    }
    let began = Clock::now();
    let reports = reload::verify(&checks, deadline).await;
    let millis = began.elapsed().as_millis();
    for report in &reports {
        println!("{}\t{report}\t{millis} ms", report.verdict.reason());
    }
    let verified = reports.iter().all(|one| one.verdict.meaning() == Meaning::Verified);
    Ok(if verified { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn say<T>(answer: Result<T, (&'static str, String)>, show: impl FnOnce(T) -> String) -> ExitCode {
    match answer {
        Ok(answer) => {
            println!("ok\t{}", show(answer));
            ExitCode::SUCCESS
        }
        Err((reason, sentence)) => {
            println!("{reason}\t{sentence}");
            ExitCode::from(1)
        }
    }
}

fn read_stores(folder: &Path) -> Result<(TlsClient, Fingerprint), Problem> {
    let keystore = std::fs::read(folder.join("keystore.pem"))?;
    let (key, chain) = read_keystore_pem(&keystore).ok_or("keystore.pem holds no key with its chain")?;
    let anchors = parse_pem(&std::fs::read(folder.join("truststore.pem"))?)?;
    let leaf = chain.first().ok_or("keystore.pem holds no leaf")?.fingerprint();
    Ok((tls_client(&key, &chain, &anchors)?, leaf))
}

fn endpoint(client: &TlsClient, address: &str) -> Result<Endpoint, Problem> {
    let (host, _) = address.rsplit_once(':').ok_or("an address is HOST:PORT")?;
    let tls = Tls::new(client.clone(), host).ok_or("no certificate can name the host")?;
    let login = std::env::var("LOGIN").ok().map(|text| login(&text)).transpose()?;
    Ok(Endpoint { address: address.to_owned(), tls: Some(tls), login })
}

fn login(text: &str) -> Result<Login, Problem> {
    let mut parts = text.splitn(3, ':');
    let (Some(mechanism), Some(user), Some(password)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("LOGIN is MECHANISM:USER:PASSWORD".into());
    };
    let mechanism = match mechanism {
        "PLAIN" => Mechanism::Plain,
        scram => Mechanism::Scram(scram.parse()?),
    };
    Ok(Login::new(mechanism, user, password.to_owned().into())?)
}
