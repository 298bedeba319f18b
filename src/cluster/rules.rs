//! Kafka's own rules for server.properties, checked before Kafka is started.
//!
//! Kafka says the same a few seconds later, one at a time and in the words of its source. Most keys here are written
//! by kraftlet itself; they are checked all the same, so that a mistake of ours is a refusal and not a crash loop.
//! Source: KafkaConfig.validateValues, KRaftConfigs and QuorumConfig, 3.7 to 4.4.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::cluster::line::Line;
use crate::cluster::pool::ProcessRoles;
use crate::kafka::version::KafkaVersion;

/// Each rule that the lines break, as a sentence that names the line's origin.
pub fn broken(lines: &[Line], roles: ProcessRoles, version: KafkaVersion) -> Vec<String> {
    let by_key = lines.iter().map(|line| (line.key.as_str(), line)).collect();
    let check = Check { lines: by_key, roles, version };
    let mut broken = check.quorum();
    broken.extend(check.listeners());
    broken.extend(check.limits());
    broken
}

struct Check<'a> {
    lines: BTreeMap<&'a str, &'a Line>,
    roles: ProcessRoles,
    version: KafkaVersion,
}

impl Check<'_> {
    fn value(&self, key: &str) -> &str {
        self.lines.get(key).map_or("", |line| line.value.trim())
    }

    fn list(&self, key: &str) -> Vec<&str> {
        self.value(key).split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    fn quorum(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let voters = self.list("controller.quorum.voters");
        let servers = self.list("controller.quorum.bootstrap.servers");
        if voters.is_empty() && (servers.is_empty() || !self.version.at_least(3, 9)) {
            broken.push(format!(
                "no controller.quorum.voters{}",
                if self.version.at_least(3, 9) { " and no controller.quorum.bootstrap.servers" } else { "" }
            ));
        }
        let node_id = self.value("node.id");
        let votes = voters.iter().any(|voter| voter.split_once('@').is_some_and(|(id, _)| id == node_id));
        if !voters.is_empty() && votes != self.roles.is_controller() {
            let is = if votes { "is" } else { "is not" };
            broken.push(format!("node {node_id} is {} and {is} in controller.quorum.voters", self.roles));
        }
        if self.value("controller.quorum.auto.join.enable") == "true" && !self.roles.is_controller() {
            broken.push(
                self.said("controller.quorum.auto.join.enable", "only a controller may join the quorum"),
            );
        }
        if self.list("log.dirs").is_empty() {
            broken.push("log.dirs is empty".to_owned());
        }
        broken
    }

    fn listeners(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let names = |key: &str| -> Vec<&str> {
            self.list(key).into_iter().filter_map(|one| one.split_once("://").map(|(name, _)| name)).collect()
        };
        let (listeners, advertised) = (names("listeners"), names("advertised.listeners"));
        let controllers = self.list("controller.listener.names");
        let is_controllers = |name: &&&str| controllers.contains(name);
        if controllers.is_empty() {
            broken.push("controller.listener.names is empty".to_owned());
        }
        let bound = controllers.iter().filter(|name| listeners.contains(name)).count();
        if self.roles.is_controller() && bound != controllers.len() {
            broken.push("a controller listener is not in listeners".to_owned());
        }
        if !self.roles.is_controller() && bound > 0 {
            broken.push("a node that is no controller has a controller listener".to_owned());
        }
        if !self.roles.is_broker() && listeners.iter().any(|name| !controllers.contains(name)) {
            broken.push("a node that is no broker has a listener that is not the controllers'".to_owned());
        }
        if self.roles.is_broker() && advertised.iter().all(|name| controllers.contains(name)) {
            broken.push("a broker advertises no listener".to_owned());
        }
        if !self.version.at_least(3, 9) && advertised.iter().any(|name| is_controllers(&name)) {
            broken.push(format!("Kafka {} must not advertise a controller listener", self.version));
        }
        if advertised.iter().any(|name| !listeners.contains(name)) {
            broken.push("advertised.listeners has a name that listeners has not".to_owned());
        }
        let inter_broker = self.value("inter.broker.listener.name");
        if self.roles.is_broker() && !advertised.contains(&inter_broker) {
            broken.push(format!("inter.broker.listener.name {inter_broker:?} is not advertised"));
        }
        if !self.roles.is_broker() && controllers.contains(&inter_broker) {
            broken.push(format!("inter.broker.listener.name {inter_broker:?} is a controller listener"));
        }
        for one in self.list("advertised.listeners").iter().filter(|one| one.contains("://0.0.0.0:")) {
            broken.push(format!("advertised listener {one} is no address that anyone can reach"));
        }
        let mapped: BTreeSet<&str> = self
            .list("listener.security.protocol.map")
            .into_iter()
            .filter_map(|entry| entry.split_once(':').map(|(name, _)| name))
            .collect();
        let all: BTreeSet<&str> = listeners.iter().chain(&controllers).copied().collect();
        for name in all.difference(&mapped) {
            broken.push(format!("listener {name} has no security protocol"));
        }
        broken
    }

    /// Kafka's defaults stand where nobody says otherwise (ReplicationConfigs, SocketServerConfigs).
    fn limits(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut at_most =
            |small: &str, of_small: i64, large: &str, of_large: i64, strict: bool| {
                let number = |key: &str, default: i64| {
                    let value = self.value(key);
                    if value.is_empty() { Some(default) } else { value.parse::<i64>().ok() }
                };
                // A value that is no number, or comes from a config provider, is Kafka's to judge.
                let (Some(a), Some(b)) = (number(small, of_small), number(large, of_large)) else { return };
                if a > b || (strict && a == b) {
                    let want = if strict { "less than" } else { "at most" };
                    let key = if self.lines.contains_key(small) { small } else { large };
                    broken.push(self.said(
                        key,
                        &format!("{small} is {a}, {large} is {b}; want the first {want} the second"),
                    ));
                }
            };
        at_most("replica.fetch.wait.max.ms", 500, "replica.socket.timeout.ms", 30_000, false);
        at_most("replica.fetch.wait.max.ms", 500, "replica.lag.time.max.ms", 30_000, false);
        at_most("connection.failed.authentication.delay.ms", 100, "connections.max.idle.ms", 600_000, true);
        broken
    }

    fn said(&self, key: &str, message: &str) -> String {
        match self.lines.get(key) {
            Some(line) => format!("{} ({}): {message}", line.key, line.origin),
            None => message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cluster::line::Origin;

    const COMBINED: &str = "node.id=1 process.roles=broker,controller log.dirs=/d controller.quorum.voters=1@a:9093 \
        listeners=C://:9093,B://:9092 advertised.listeners=B://a:9092 controller.listener.names=C \
        inter.broker.listener.name=B listener.security.protocol.map=C:SSL,B:SSL";

    fn check(text: &str, roles: ProcessRoles, version: &str, want: &[&str]) {
        let lines: Vec<Line> = text
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| Line::new(key, value, Origin::File("x".to_owned())))
            .collect();
        assert_eq!(broken(&lines, roles, version.parse().unwrap()), want, "{text}");
    }

    #[test]
    fn a_combined_node_breaks_no_rule() {
        check(COMBINED, ProcessRoles::Combined, "3.7", &[]);
        check(COMBINED, ProcessRoles::Combined, "4.4", &[]);
    }

    #[test]
    fn each_rule_has_its_sentence() {
        let with = |from: &str, to: &str| COMBINED.replace(from, to);
        let combined =
            |text: &str, version: &str, want: &[&str]| check(text, ProcessRoles::Combined, version, want);
        combined(
            &with("controller.quorum.voters=1@a:9093", "controller.quorum.bootstrap.servers=a:9093"),
            "3.8",
            &["no controller.quorum.voters"],
        );
        combined(
            &with("voters=1@", "voters=2@"),
            "4.4",
            &["node 1 is broker,controller and is not in controller.quorum.voters"],
        );
        combined(
            &with("listeners=C://:9093,", "listeners="),
            "4.4",
            &["a controller listener is not in listeners"],
        );
        combined(
            &with("advertised.listeners=", "advertised.listeners=C://a:9093,"),
            "3.8",
            &["Kafka 3.8 must not advertise a controller listener"],
        );
        combined(
            &with("B://a:9092", "B://0.0.0.0:9092"),
            "4.4",
            &["advertised listener B://0.0.0.0:9092 is no address that anyone can reach"],
        );
        combined(&with("C:SSL,", ""), "4.4", &["listener C has no security protocol"]);
        check(
            COMBINED,
            ProcessRoles::Broker,
            "4.4",
            &[
                "node 1 is broker and is in controller.quorum.voters",
                "a node that is no controller has a controller listener",
            ],
        );
        check(
            &with("inter.broker.listener.name=B", ""),
            ProcessRoles::Controller,
            "4.4",
            &["a node that is no broker has a listener that is not the controllers'"],
        );
    }

    #[test]
    fn limits_are_compared_with_kafkas_defaults() {
        check(
            &format!("{COMBINED} replica.lag.time.max.ms=400"),
            ProcessRoles::Combined,
            "4.4",
            &[
                "replica.lag.time.max.ms (file x): replica.fetch.wait.max.ms is 500, replica.lag.time.max.ms is 400; want the first at most the second",
            ],
        );
        check(
            &format!("{COMBINED} connections.max.idle.ms=100"),
            ProcessRoles::Combined,
            "4.4",
            &[
                "connections.max.idle.ms (file x): connection.failed.authentication.delay.ms is 100, connections.max.idle.ms is 100; want the first less than the second",
            ],
        );
    }
}
