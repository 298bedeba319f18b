//! Has everything judged that was looked at, and counts the checks.

use std::time::SystemTime;

use crate::commands::doctor::local::Local;
use crate::commands::doctor::looked::Looked;
use crate::commands::doctor::nodes::Nodes;
use crate::commands::doctor::quorum::Seen;
use crate::health::doctor::agents;
use crate::health::doctor::clock;
use crate::health::doctor::disk;
use crate::health::doctor::engine;
use crate::health::doctor::engine::Prefix;
use crate::health::doctor::finding::Area;
use crate::health::doctor::finding::Finding;
use crate::health::doctor::finding::Severity;
use crate::health::doctor::finding::Sheet;
use crate::health::doctor::listeners;
use crate::health::doctor::next::Place;
use crate::health::doctor::properties;
use crate::health::doctor::properties::PropertiesFile;
use crate::health::doctor::quorum;
use crate::health::doctor::stores;
use crate::health::doctor::stores::Stores;
use crate::health::text::Word;

/// Every check of every node.
pub fn fill(nodes: &Nodes, looked: &Looked<'_>, now: SystemTime) -> Sheet {
    let (mut sheet, place) = (Sheet::default(), &nodes.place);
    for local in &looked.locals {
        // The settings were read and made sense.
        sheet.check(None);
        on_disk(&mut sheet, local, looked, now, place);
    }
    sheet.checks(looked.shaken.len(), listeners::judge(&looked.shaken, now, place));
    for what in &looked.without {
        sheet.skip(what);
    }
    for local in &looked.locals {
        in_kafka(&mut sheet, local, looked, place);
    }
    match &looked.quorum {
        Some(seen) => in_quorum(&mut sheet, seen, nodes, looked, place),
        None => sheet.check([Finding::new(
            Severity::CannotTell,
            Area::Quorum,
            Word::of("QuorumNotAsked"),
            "controller quorum",
            "no node here has a certificate with which the controllers could be asked",
        )]),
    }
    let known: Vec<Finding> = sheet.findings().into_iter().cloned().collect();
    let known: Vec<&Finding> = known.iter().collect();
    let version = env!("CARGO_PKG_VERSION");
    sheet.checks(2 * looked.heard.len(), agents::judge(&looked.heard, version, &known, now, place));
    sheet
}

fn on_disk(sheet: &mut Sheet, local: &Local<'_>, looked: &Looked<'_>, now: SystemTime, place: &Place) {
    let pod = local.pod.as_str();
    for file in &local.files {
        let (path, wanted, found, values) = (&file.path, &file.wanted, &file.found, file.values);
        sheet.check(properties::judge(&PropertiesFile { pod, path, wanted, found, values }, place));
    }
    for store in &local.stores {
        let [(keystore, found_keystore), (truststore, found_truststore)] = &store.files;
        let stores = Stores {
            pod,
            name: &store.name,
            files: [(keystore, found_keystore), (truststore, found_truststore)],
            bundle: store.bundle.as_ref(),
            preflight: &store.preflight,
            schedule: &store.schedule,
        };
        sheet.check(stores::judge(&stores, now, place));
    }
    let is_read_only = |device| looked.read_only.get(&device).copied().unwrap_or_default();
    let found = disk::judge(pod, &local.wanted, &local.found, is_read_only, place);
    sheet.checks(local.found.dirs.len(), found);
    if let Some((path, found)) = &local.jar {
        sheet.check(engine::jar(pod, path, found, looked.image.as_ref(), place));
        if looked.image.is_none() {
            sheet.skip("whether the engine's jar is that of this agent: there is none beside it");
        }
    }
}

fn in_kafka(sheet: &mut Sheet, local: &Local<'_>, looked: &Looked<'_>, place: &Place) {
    let Some((prefixes, report)) = looked.engines.get(&local.pod) else { return };
    if !listeners::is_running(&looked.shaken, &local.pod) {
        if !prefixes.is_empty() {
            sheet.skip(format_args!("the engine of {}: its Kafka does not answer", local.pod));
        }
        return;
    }
    // The engine of a listener that is not open has nothing to report.
    let is_open = |one: &&Prefix| !listeners::is_closed(&looked.shaken, &local.pod, &one.listener);
    let prefixes: Vec<Prefix> = prefixes.iter().filter(is_open).cloned().collect();
    if !prefixes.is_empty() {
        sheet.check(engine::loaded(&local.pod, &prefixes, report, place));
    }
}

fn in_quorum(sheet: &mut Sheet, seen: &Seen, nodes: &Nodes, looked: &Looked<'_>, place: &Place) {
    if let Some(quorum) = &seen.quorum {
        sheet.check(quorum::judge(quorum, &seen.history, &seen.own, place));
    }
    sheet.check(
        seen.history.refusals().iter().map(|one| quorum::refusal(&seen.by, one, &seen.history, place)),
    );
    for local in looked.locals.iter().filter(|local| local.controllers.own.roles.is_controller()) {
        // That it is down is said, and the leader can add nothing to that.
        if listeners::is_running(&looked.shaken, &local.pod) {
            let member = seen.member(&local.controllers.own);
            sheet.check(member.and_then(|member| quorum::member(&local.pod, &member, place)));
        }
    }
    if let Some((leader, asked)) = &seen.clock {
        let pod = nodes.all.iter().find(|node| node.node_id == *leader).map(|node| node.pod.to_string());
        let leader = pod.unwrap_or_else(|| format!("node {leader}"));
        sheet.check(clock::judge(&seen.by, &leader, asked));
    }
}
