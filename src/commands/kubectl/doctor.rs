//! `kubectl kraftlet doctor`: what is wrong with a cluster, as far as that shows from outside.
//!
//! The files, disks and handshakes of a node are looked at by the doctor inside its pod; here everything is asked that
//! knows of the whole: the API server, and every agent.

use std::time::SystemTime;

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::commands::agents::Agent;
use crate::commands::doctor::agents::silence;
use crate::commands::doctor::failure;
use crate::commands::doctor::show::View;
use crate::commands::failure::Failure;
use crate::commands::failure::chain;
use crate::commands::kubectl::pods::Pod;
use crate::commands::kubectl::session::Aim;
use crate::commands::kubectl::session::ClusterArgs;
use crate::commands::kubectl::session::Session;
use crate::commands::kubectl::session::with_cluster;
use crate::commands::kubectl::status::ANSWER_WITHIN;
use crate::commands::quorum_table;
use crate::commands::status;
use crate::commands::status::AT_ONCE;
use crate::commands::status::Output;
use crate::health::client::io as client;
use crate::health::doctor::agents;
use crate::health::doctor::agents::Heard;
use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::finding::Sheet;
use crate::health::doctor::pods;
use crate::health::doctor::pods::Seen;
use crate::health::snapshot::Snapshot;
use crate::health::text::Word;

/// Ask the API server and every agent what is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl kraftlet doctor --namespace prod
  kubectl kraftlet doctor --namespace prod --output json | jq '.findings[0]'

Each finding has its cause, its evidence and a command that is safe to run; the worst comes first.
The files and disks of one node are checked inside its pod:
  kubectl exec events-0 --namespace prod --container kraftlet -- kraftlet doctor
Needs the rights to list pods and to get and create pods/portforward.
Exit codes: 0 nothing hurts, also where something will at a later date; 1 something hurts now;
2 something could not be looked at; 64 wrong usage.")]
pub struct Doctor {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// The text to print, and what makes the exit code another than 0.
pub fn run(cluster: &ClusterArgs, args: &Doctor) -> Result<(String, Option<Failure>), Failure> {
    let begun = Instant::now();
    let (sheet, nodes) = with_cluster(cluster, Aim::Look, async |session| {
        let nodes = session.pods.iter().map(|pod| pod.name().to_owned()).collect();
        Ok((examine(&session).await, nodes))
    })?;
    let view = View { sheet: &sheet, nodes, took: begun.elapsed() };
    let text = match args.output {
        Output::Table => view.table(),
        Output::Json => format!("{:#}\n", view.json()),
    };
    Ok((text, failure(&sheet)))
}

async fn examine(session: &Session) -> Sheet {
    let place = session.place();
    let missing = session.missing(&session.pods).await;
    let heard = ask(session).await;
    let not_ready: Vec<_> = session.pods.iter().map(Pod::not_ready).collect();
    let mut sheet = Sheet::default();
    let statuses = heard.iter().map(|one| one.status.as_ref().ok());
    let seen: Vec<Seen<'_>> = session.pods.iter().zip(&not_ready).zip(statuses).map(seen).collect();
    let now = SystemTime::now();
    sheet.checks(seen.len(), pods::judge(&seen, missing.as_deref().unwrap_or_default(), now, &place));
    match &missing {
        Ok(_) => {}
        Err(error) if error.is_forbidden() => {
            sheet.skip("whether pods are missing: there is no right to read the StatefulSets");
        }
        Err(error) => sheet.skip(format_args!("whether pods are missing: {}", chain(error))),
    }
    let snapshots: Vec<&Snapshot> = seen.iter().filter_map(|one| one.status).collect();
    sheet.check(quorum_table::disagreements(&snapshots).into_iter().map(|sentence| {
        let reason = Word::of("QuorumSeenDifferently");
        let found = Finding::new(Severity::Hurts, Area::Quorum, reason, "controller quorum", sentence);
        found.with("in the second of an election some are behind").next(place.status())
    }));
    let known: Vec<Finding> = sheet.findings().into_iter().cloned().collect();
    let known: Vec<&Finding> = known.iter().collect();
    let version = env!("CARGO_PKG_VERSION");
    sheet.checks(2 * heard.len(), agents::judge(&heard, version, &known, now, &place));
    sheet
}

fn seen<'a>(((pod, not_ready), status): ((&'a Pod, &'a Option<String>), Option<&'a Snapshot>)) -> Seen<'a> {
    Seen { pod: pod.name(), not_ready: not_ready.as_deref(), status }
}

/// Asks each how its node is and whether its own loops turn, in the order of the pods.
async fn ask(session: &Session) -> Vec<Heard> {
    let mut answers = status::ask(session.agents(), ANSWER_WITHIN).await.into_iter();
    let mut heard = Vec::new();
    while !answers.as_slice().is_empty() {
        let mut asked = JoinSet::new();
        for (index, (agent, said)) in answers.by_ref().take(AT_ONCE).enumerate() {
            asked.spawn(async move {
                let Agent { name: pod, way } = agent;
                let is_live = match &said {
                    Ok(_) => client::is_live(&way, Instant::now() + ANSWER_WITHIN).await,
                    Err(_) => Ok(()),
                };
                let status = said.map_err(|error| silence(&error));
                // Which node belongs beside it is said by the settings, and those are not read here.
                (index, Heard { pod, node_id: None, status, is_live: is_live.map_err(|error| chain(&error)) })
            });
        }
        let mut some = asked.join_all().await;
        some.sort_by_key(|(index, _)| *index);
        heard.extend(some.into_iter().map(|(_, one)| one));
    }
    heard
}
