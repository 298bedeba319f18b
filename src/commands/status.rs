//! `kraftlet status`: what the agents say of their nodes.

use std::fmt::Write;
use std::time::Duration;
use std::time::SystemTime;

use anstyle::Style;
use clap::Args;
use clap::ValueEnum;
use serde_json::Value as Json;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::commands::agents;
use crate::commands::agents::Agent;
use crate::commands::agents::AgentArgs;
use crate::commands::failure::Exit;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::quorum_table;
use crate::commands::table;
use crate::commands::table::BOLD;
use crate::commands::table::Cell;
use crate::commands::table::GREEN;
use crate::commands::table::RED;
use crate::commands::table::YELLOW;
use crate::commands::table::date;
use crate::commands::table::none;
use crate::commands::table::span;
use crate::health::certificate::Certificate;
use crate::health::channel::Channel;
use crate::health::client::io as client;
use crate::health::client::io::AgentError;
use crate::health::document;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;
use crate::health::verdict::Verdict;
use crate::kubernetes::error::ApiError;
use crate::reload::coverage::Standing;

/// Show what the agents say of their nodes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kraftlet status                                # this pod's node
  kraftlet status --all --settings cluster.yaml  # all nodes
  kraftlet status --output json | jq '.nodes[].status.conditions'

Exit codes: 0 healthy, also where something will hurt at a later date; 1 something hurts
now; 2 could not tell; 64 wrong settings or usage.")]
pub struct Status {
    #[command(flatten)]
    agents: AgentArgs,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a person.
    Table,
    /// For a program.
    Json,
}

/// An agent answers from memory; this is for the network.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// So many are asked at once: file descriptors are few on some machines.
pub const AT_ONCE: usize = 64;

/// The text to print, and what makes the exit code another than 0.
pub fn run(args: &Status) -> Result<(String, Option<Failure>), Failure> {
    let agents = agents::read_ports(&args.agents)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(Exit::CouldNotTell, "RuntimeFailed", &error))?;
    let answers = runtime.block_on(ask(agents, ANSWER_WITHIN));
    // The resolver runs on a thread that cannot be interrupted; nobody waits for it.
    runtime.shutdown_background();
    Ok(show(answers, None, args.output))
}

/// What one agent said.
pub type Answer = (Agent, Result<Snapshot, AgentError>);

/// A sentence for each StatefulSet that has too few pods, or why that is not known.
pub type Missing = Result<Vec<String>, ApiError>;

/// The text to print, and what makes the exit code another than 0. `missing` is `None` where nobody could be asked for it.
pub fn show(answers: Vec<Answer>, missing: Option<Missing>, output: Output) -> (String, Option<Failure>) {
    let view = View { answers, missing, now: SystemTime::now() };
    let text = match output {
        Output::Table => view.table(),
        Output::Json => format!("{:#}\n", view.json()),
    };
    (text, view.failure())
}

/// Asks all of them, and keeps their order.
pub async fn ask(agents: Vec<Agent>, within: Duration) -> Vec<Answer> {
    let mut answers = Vec::new();
    for some in agents.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for (index, agent) in some.iter().cloned().enumerate() {
            asked.spawn(async move {
                let said = client::status_of(&agent.way, Instant::now() + within).await;
                (index, (agent, said))
            });
        }
        let mut said = asked.join_all().await;
        said.sort_by_key(|(index, _)| *index);
        answers.extend(said.into_iter().map(|(_, answer)| answer));
    }
    answers
}

struct View {
    answers: Vec<Answer>,
    missing: Option<Missing>,
    now: SystemTime,
}

impl View {
    fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.answers.iter().filter_map(|(_, said)| said.as_ref().ok())
    }

    /// What hurts goes before what could not be told: it is certain.
    fn failure(&self) -> Option<Failure> {
        let mut hurts = Vec::new();
        let mut unknown = Vec::new();
        for (agent, said) in &self.answers {
            match said {
                Err(error) => unknown.push((format!("{}: {}", agent.name, chain(error)), error.reason())),
                Ok(snapshot) if snapshot.verdict(self.now) == Verdict::NotHealthy => {
                    let why = why(snapshot, self.now).join(", ");
                    hurts.push((format!("{} is not healthy: {why}", snapshot.node.pod), "NotHealthy"));
                }
                Ok(_) => {}
            }
        }
        match &self.missing {
            // Who may not know it is told so; it is no news of the cluster.
            Some(Err(error)) if error.is_forbidden() => {}
            Some(Err(error)) => unknown.push((missing_unknown(error), error.reason())),
            Some(Ok(missing)) => hurts.extend(missing.iter().map(|one| (one.clone(), "PodsMissing"))),
            None => {}
        }
        let exit = if hurts.is_empty() { Exit::CouldNotTell } else { Exit::NotHealthy };
        unknown.append(&mut hurts);
        Failure::all(exit, unknown)
    }

    fn table(&self) -> String {
        let mut text = String::new();
        for (agent, said) in &self.answers {
            let _ = match said {
                Ok(snapshot) => writeln!(text, "{}", self.headline(snapshot)),
                Err(error) => {
                    writeln!(text, "{BOLD}{}{BOLD:#}: {RED}unknown{RED:#}, {}", agent.name, chain(error))
                }
            };
        }
        let _ = match &self.missing {
            Some(Err(error)) => writeln!(text, "{YELLOW}{}{YELLOW:#}", missing_unknown(error)),
            Some(Ok(missing)) => {
                missing.iter().try_for_each(|one| writeln!(text, "{RED}pods are missing{RED:#}: {one}"))
            }
            None => Ok(()),
        };
        let snapshots: Vec<_> = self.snapshots().collect();
        table::section(&mut text, &quorum_table::block(&snapshots, self.now));
        let certificates: Vec<_> = self
            .snapshots()
            .flat_map(|one| one.certificates.iter().map(|it| self.certificate(one, it)))
            .collect();
        let header = ["NODE", "CERTIFICATE", "STATE", "LEAF", "NEXT RENEWAL", "LAST OUTCOME"];
        table::section(&mut text, &table::render(header, &certificates));
        let channels: Vec<_> =
            self.snapshots().flat_map(|one| one.channels.iter().map(|it| self.channel(one, it))).collect();
        let header = ["NODE", "CHANNEL", "LEAF", "NOT AFTER", "LEFT", "STANDING"];
        table::section(&mut text, &table::render(header, &channels));
        table::section(&mut text, &self.conditions());
        text
    }

    fn headline(&self, snapshot: &Snapshot) -> String {
        let Snapshot { node, agent, .. } = snapshot;
        let (style, word) = match snapshot.verdict(self.now) {
            Verdict::Healthy => (GREEN, "healthy"),
            Verdict::Warned => (YELLOW, "healthy, and will not stay so"),
            Verdict::NotHealthy => (RED, "not healthy"),
        };
        let pending = match &snapshot.settings {
            Some(settings) if settings.is_pending() => ", restart pending",
            Some(_) | None => "",
        };
        format!(
            "{BOLD}{}{BOLD:#}: {style}{word}{style:#}{YELLOW}{pending}{YELLOW:#}, node {}, {}, {}, agent {}",
            node.pod, node.node_id, node.roles, agent.mode, agent.version
        )
    }

    fn certificate(&self, snapshot: &Snapshot, certificate: &Certificate) -> [Cell; 6] {
        let leaf = certificate.installed.as_ref().map(|leaf| leaf.fingerprint.short());
        let outcome = certificate.last_outcome.as_ref().map(|last| {
            let ago = self.now.duration_since(last.at).unwrap_or_default();
            let attempts = match certificate.attempts {
                0 | 1 => String::new(),
                attempts => format!(", {attempts} attempts"),
            };
            format!("{} {} ago{attempts}", last.reason, span(ago))
        });
        let style = if certificate.attempts == 0 { Style::new() } else { YELLOW };
        [
            Cell::plain(&snapshot.node.pod),
            Cell::plain(&certificate.name),
            Cell::plain(certificate.state),
            Cell::plain(leaf.unwrap_or_else(none)),
            Cell::plain(certificate.next_renewal_at.map_or_else(none, date)),
            Cell::styled(outcome.unwrap_or_else(none), style),
        ]
    }

    fn channel(&self, snapshot: &Snapshot, channel: &Channel) -> [Cell; 6] {
        let leaf = channel.leaf.map(|leaf| leaf.fingerprint.short());
        let not_after = channel.leaf.and_then(|leaf| leaf.not_after);
        let (left, style) = match not_after.map(|at| at.duration_since(self.now)) {
            None => (none(), Style::new()),
            Some(Ok(left)) if !left.is_zero() => (span(left), Style::new()),
            Some(Ok(_) | Err(_)) => ("expired".to_owned(), RED),
        };
        let standing = match channel.restart_needed_by {
            Some(at) => Cell::styled(format!("{}, restart needed by {}", channel.standing, date(at)), YELLOW),
            None => Cell::styled(channel.standing, style_of(channel.standing)),
        };
        [
            Cell::plain(&snapshot.node.pod),
            Cell::plain(&channel.name),
            Cell::plain(leaf.unwrap_or_else(none)),
            Cell::plain(not_after.map_or_else(none, date)),
            Cell::styled(left, style),
            standing,
        ]
    }

    fn conditions(&self) -> String {
        let mut text = String::new();
        for snapshot in self.snapshots() {
            if let Some(settings) = snapshot.settings.as_ref().filter(|settings| settings.is_pending()) {
                let keys: Vec<&str> = settings.changed_keys.iter().map(Text::as_str).collect();
                let (pod, keys) = (&snapshot.node.pod, keys.join(", "));
                let _ = writeln!(text, "{pod}: {YELLOW}restart pending{YELLOW:#} for {keys}");
            }
            for condition in &snapshot.conditions {
                let pod = &snapshot.node.pod;
                let (style, when) = if condition.matters(self.now) {
                    (RED, format!("since {}", date(condition.since)))
                } else {
                    (YELLOW, format!("matters at {}", date(condition.matters_at)))
                };
                let reason = &condition.reason;
                let _ = writeln!(text, "{pod}: {style}{reason}{style:#}, {when}: {}", condition.sentence);
                if let Some(remedy) = &condition.remedy {
                    let _ = writeln!(text, "  try: {remedy}");
                }
            }
        }
        text
    }

    fn json(&self) -> Json {
        let nodes = self.answers.iter().map(|(agent, said)| match said {
            Ok(snapshot) => {
                let verdict = match snapshot.verdict(self.now) {
                    Verdict::Healthy => "healthy",
                    Verdict::Warned => "warned",
                    Verdict::NotHealthy => "notHealthy",
                };
                let not_ready =
                    quorum_table::knows(snapshot).then(|| quorum_table::not_ready(snapshot, self.now));
                json!({
                    "agent": agent.name,
                    "address": agent.way.to_string(),
                    "verdict": verdict,
                    "ready": not_ready.as_ref().map(Vec::is_empty),
                    "notReady": not_ready,
                    "status": document::json(snapshot),
                })
            }
            Err(error) => json!({
                "agent": agent.name,
                "address": agent.way.to_string(),
                "verdict": "unknown",
                "error": {"reason": error.reason(), "message": chain(error)},
            }),
        });
        let snapshots: Vec<_> = self.snapshots().collect();
        let disagreements = quorum_table::disagreements(&snapshots);
        let (missing, error) = match &self.missing {
            None => (Json::Null, Json::Null),
            Some(Ok(missing)) => (json!(missing), Json::Null),
            Some(Err(error)) => {
                (Json::Null, json!({"reason": error.reason(), "message": missing_unknown(error)}))
            }
        };
        json!({
            "nodes": nodes.collect::<Json>(),
            "missing": missing,
            "missingError": error,
            "disagreements": disagreements,
        })
    }
}

fn missing_unknown(error: &ApiError) -> String {
    Text::new(format_args!("whether pods are missing is not known: {}", chain(error))).to_string()
}

fn style_of(standing: Standing) -> Style {
    match standing {
        Standing::Served | Standing::Loaded => GREEN,
        Standing::InUseUntilReconnect | Standing::InUseUntilRestart => Style::new(),
        Standing::Unknown => YELLOW,
    }
}

/// The words of what hurts now.
fn why(snapshot: &Snapshot, now: SystemTime) -> Vec<String> {
    let mut why: Vec<String> = Vec::new();
    let matters = snapshot.conditions.iter().filter(|condition| condition.matters(now));
    why.extend(matters.map(|condition| condition.reason.to_string()));
    let expired = |channel: &&Channel| {
        channel.leaf.and_then(|leaf| leaf.not_after).is_some_and(|not_after| not_after <= now)
    };
    why.extend(
        snapshot
            .channels
            .iter()
            .filter(expired)
            .map(|channel| format!("{} uses an expired leaf", channel.name)),
    );
    let expired = snapshot
        .certificates
        .iter()
        .filter(|one| one.installed.as_ref().is_some_and(|leaf| leaf.not_after <= now));
    why.extend(expired.map(|one| format!("certificate {} has expired", one.name)));
    why
}
