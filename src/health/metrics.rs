//! The snapshot as metrics, in the text format of OpenMetrics 1.0.
//!
//! Dates are seconds since 1970, so that an alert is one subtraction (`kraftlet_leaf_not_after_seconds - time()`), and
//! what is not known has no sample rather than a zero. Labels are names and words, never sentences or fingerprints of
//! leaves: a series must outlive a renewal.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

use crate::health::certificate::Certificate;
use crate::health::channel::Channel;
use crate::health::check::Checks;
use crate::health::latency::Histogram;
use crate::health::probe;
use crate::health::probe::Probe;
use crate::health::quorum_metrics;
use crate::health::series::Family;
use crate::health::series::Samples;
use crate::health::series::gauge;
use crate::health::series::in_seconds;
use crate::health::series::one;
use crate::health::series::seconds;
use crate::health::snapshot::Snapshot;
use crate::health::text::Text;

/// What is sent with it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is known of the process itself.
#[derive(Debug)]
pub struct Process {
    /// When it is asked.
    pub now: SystemTime,
    /// Its memory, where it is known.
    pub resident_bytes: Option<u64>,
    /// How long its probes took.
    pub probes: [(Probe, Histogram); Probe::ALL.len()],
}

/// The metrics of a snapshot and of the process that serves it.
pub fn render(snapshot: Arc<Snapshot>, process: Process) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(View { snapshot, process }));
    let mut written = String::new();
    // Writing to a text does not fail.
    let _ = text::encode(&mut written, &registry);
    written
}

#[derive(Debug)]
struct View {
    snapshot: Arc<Snapshot>,
    process: Process,
}

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.process(&mut encoder)?;
        self.certificates(&mut encoder)?;
        self.renewals(&mut encoder)?;
        self.channels(&mut encoder)?;
        quorum_metrics::encode(&self.snapshot, &mut encoder)?;
        self.probes(&mut encoder)?;
        self.conditions(&mut encoder)
    }
}

impl View {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let agent = &self.snapshot.agent;
        let version = vec![("version", agent.version.to_string())];
        Family { kind: MetricType::Info, ..gauge("kraftlet_build", "The version of this agent") }
            .encode(encoder, Samples::from([(version, 1.0)]))?;
        in_seconds("process_start_time", "When this agent began")
            .encode(encoder, one(seconds(agent.started_at)))?;
        let memory = self.process.resident_bytes.map(|bytes| one(bytes as f64));
        Family { unit: Some(Unit::Bytes), ..gauge("process_resident_memory", "Memory of this agent") }
            .encode(encoder, memory.unwrap_or_default())
    }

    fn certificates(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let begun = |one: &Certificate| Some(seconds(one.installed.as_ref()?.not_before));
        in_seconds("kraftlet_installed_leaf_not_before", "When the leaf in the keystore begins")
            .encode(encoder, self.by_certificate(begun))?;
        let installed = |one: &Certificate| Some(seconds(one.installed.as_ref()?.not_after));
        in_seconds("kraftlet_installed_leaf_not_after", "When the leaf in the keystore ends")
            .encode(encoder, self.by_certificate(installed))?;
        let state =
            |one: &Certificate| vec![("certificate", one.name.to_string()), ("state", one.state.to_string())];
        gauge("kraftlet_certificate_state", "Where the renewal of a certificate stands, as a label")
            .encode(encoder, self.snapshot.certificates.iter().map(|one| (state(one), 1.0)).collect())?;
        let anchors = self.snapshot.certificates.iter().flat_map(|one| {
            let labels = |anchor: String| vec![("anchor", anchor), ("certificate", one.name.to_string())];
            one.trust.anchors.iter().map(move |it| (labels(it.fingerprint.short()), seconds(it.not_after)))
        });
        in_seconds(
            "kraftlet_trust_anchor_not_after",
            "When a trusted CA ends, by the begin of its fingerprint",
        )
        .encode(encoder, anchors.collect())?;
        let waits = |one: &Certificate| Some(one.trust.waits_for.len() as f64);
        gauge("kraftlet_trust_waits_for", "Nodes that a change of CA waits for")
            .encode(encoder, self.by_certificate(waits))
    }

    fn renewals(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let turns = self.snapshot.certificates.iter().flat_map(|one| {
            let labels = |reason: String| vec![("certificate", one.name.to_string()), ("reason", reason)];
            one.turns.iter().map(move |(reason, count)| (labels(reason.to_string()), *count as f64))
        });
        Family {
            kind: MetricType::Counter,
            ..gauge("kraftlet_renewals", "Turns that ended, by how they ended")
        }
        .encode(encoder, turns.collect())?;
        gauge("kraftlet_renewal_attempts", "Turns that failed since the last that was good")
            .encode(encoder, self.by_certificate(|one| Some(one.attempts.into())))?;
        in_seconds("kraftlet_next_renewal", "When the certificate will be renewed")
            .encode(encoder, self.by_certificate(|one| one.next_renewal_at.map(seconds)))?;
        let ended = |one: &Certificate| Some(seconds(one.last_outcome.as_ref()?.at));
        in_seconds("kraftlet_last_renewal", "When the last turn ended, well or not")
            .encode(encoder, self.by_certificate(ended))?;
        let took = |one: &Certificate| Some(one.last_outcome.as_ref()?.took.as_secs_f64());
        in_seconds("kraftlet_last_renewal_duration", "How long the last turn took")
            .encode(encoder, self.by_certificate(took))?;
        let verify = |one: &Certificate| Some(one.last_outcome.as_ref()?.verify_took?.as_secs_f64());
        in_seconds(
            "kraftlet_last_verify_duration",
            "From the installed file to the last channel that showed it",
        )
        .encode(encoder, self.by_certificate(verify))
    }

    fn channels(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        in_seconds("kraftlet_leaf_not_after", "When the leaf in use on a channel ends")
            .encode(encoder, self.by_channel(|one| one.leaf?.not_after.map(seconds)))?;
        in_seconds(
            "kraftlet_restart_needed_by",
            "When Kafka must have been restarted for a channel that cannot reload",
        )
        .encode(encoder, self.by_channel(|one| one.restart_needed_by.map(seconds)))?;
        in_seconds("kraftlet_channel_seen", "When the leaf of a channel was last seen")
            .encode(encoder, self.by_channel(|one| one.seen_at.map(seconds)))?;
        let standing =
            |one: &Channel| [labels_of(one), vec![("standing", one.standing.to_string())]].concat();
        gauge("kraftlet_channel_standing", "How the leaf of a channel is known, as a label")
            .encode(encoder, self.snapshot.channels.iter().map(|one| (standing(one), 1.0)).collect())
    }

    fn probes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let yes = |checks: Checks<'_>| one(if checks.passes() { 1.0 } else { 0.0 });
        let Process { now, probes, .. } = &self.process;
        gauge("kraftlet_ready", "Whether this node serves: 1, or 0")
            .encode(encoder, yes(probe::readyz(&self.snapshot, *now)))?;
        gauge("kraftlet_safe_to_stop", "Whether this node may stop now: 1, or 0")
            .encode(encoder, yes(probe::safe_to_stop(&self.snapshot, *now)))?;
        let settings = self.snapshot.settings.as_ref();
        let pending = settings.map(|settings| one(if settings.is_pending() { 1.0 } else { 0.0 }));
        gauge(
            "kraftlet_restart_pending",
            "Whether the settings have changed since Kafka was started: 1, or 0",
        )
        .encode(encoder, pending.unwrap_or_default())?;
        let mut metric = encoder.encode_descriptor(
            "kraftlet_probe_duration",
            "How long a probe took to answer, without the network.",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (probe, Histogram { sum, count, buckets }) in probes {
            metric
                .encode_family(&[("path", probe.path())])?
                .encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)?;
        }
        Ok(())
    }

    fn conditions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut count = Samples::new();
        let mut first = Samples::new();
        for condition in &self.snapshot.conditions {
            let labels = vec![("reason", condition.reason.to_string())];
            let matters = seconds(condition.matters_at);
            first.entry(labels.clone()).and_modify(|at| *at = at.min(matters)).or_insert(matters);
            *count.entry(labels).or_default() += 1.0;
        }
        gauge("kraftlet_conditions", "What is not as it should be").encode(encoder, count)?;
        in_seconds("kraftlet_condition_matters", "When a condition begins to hurt").encode(encoder, first)
    }

    fn by_certificate(&self, value: impl Fn(&Certificate) -> Option<f64>) -> Samples {
        let labels = |name: &Text| vec![("certificate", name.to_string())];
        self.snapshot.certificates.iter().filter_map(|one| Some((labels(&one.name), value(one)?))).collect()
    }

    fn by_channel(&self, value: impl Fn(&Channel) -> Option<f64>) -> Samples {
        self.snapshot.channels.iter().filter_map(|one| Some((labels_of(one), value(one)?))).collect()
    }
}

fn labels_of(channel: &Channel) -> Vec<(&'static str, String)> {
    vec![("certificate", channel.certificate.to_string()), ("channel", channel.name.to_string())]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::latency::Latencies;
    use crate::health::testing::at;
    use crate::health::testing::full;

    fn process(resident_bytes: Option<u64>) -> Process {
        let latencies = Latencies::default();
        latencies.took(Probe::Readyz, Duration::from_micros(30));
        let probes = Probe::ALL.map(|probe| (probe, latencies.histogram(probe)));
        Process { now: at(60), resident_bytes, probes }
    }

    #[test]
    fn every_number_of_the_snapshot_has_a_series() {
        let snapshot = full();
        let ca = snapshot.certificates[0].trust.anchors[0].fingerprint.short();
        let got = render(Arc::new(snapshot), process(Some(9_437_184)));
        assert!(got.ends_with("# EOF\n"), "{got}");
        let is_shown = |line: &&str| !line.starts_with('#') && !line.starts_with("kraftlet_probe_duration");
        let samples: Vec<&str> = got.lines().filter(is_shown).collect();
        let want = [
            r#"kraftlet_build_info{version="0.1.0"} 1"#,
            "process_start_time_seconds 1800000000.0",
            "process_resident_memory_bytes 9437184.0",
            r#"kraftlet_installed_leaf_not_before_seconds{certificate="node"} 1800000000.0"#,
            r#"kraftlet_installed_leaf_not_after_seconds{certificate="node"} 1800000120.0"#,
            r#"kraftlet_certificate_state{certificate="node",state="Serving"} 1.0"#,
            &format!(
                r#"kraftlet_trust_anchor_not_after_seconds{{anchor="{ca}",certificate="node"}} 1800999999.0"#
            ),
            r#"kraftlet_trust_waits_for{certificate="node"} 1.0"#,
            r#"kraftlet_renewals_total{certificate="node",reason="Renewed"} 1.0"#,
            r#"kraftlet_renewals_total{certificate="node",reason="SourceUnreachable"} 1.0"#,
            r#"kraftlet_renewal_attempts{certificate="node"} 0.0"#,
            r#"kraftlet_next_renewal_seconds{certificate="node"} 1800000080.0"#,
            r#"kraftlet_last_renewal_seconds{certificate="node"} 1800000055.0"#,
            r#"kraftlet_last_renewal_duration_seconds{certificate="node"} 1.234"#,
            r#"kraftlet_last_verify_duration_seconds{certificate="node"} 0.034"#,
            r#"kraftlet_leaf_not_after_seconds{certificate="node",channel="listener CLIENT"} 1800000120.0"#,
            r#"kraftlet_leaf_not_after_seconds{certificate="node",channel="raft client"} 1800000110.0"#,
            r#"kraftlet_restart_needed_by_seconds{certificate="node",channel="raft client"} 1800000110.0"#,
            r#"kraftlet_channel_seen_seconds{certificate="node",channel="listener CLIENT"} 1800000055.0"#,
            r#"kraftlet_channel_seen_seconds{certificate="node",channel="raft client"} 1800000055.0"#,
            r#"kraftlet_channel_standing{certificate="node",channel="listener CLIENT",standing="served"} 1.0"#,
            r#"kraftlet_channel_standing{certificate="node",channel="raft client",standing="inUseUntilRestart"} 1.0"#,
            r#"kraftlet_channel_standing{certificate="node",channel="replica fetcher",standing="unknown"} 1.0"#,
            r#"kraftlet_quorum_state{state="Degraded"} 1.0"#,
            "kraftlet_quorum_seen_timestamp_seconds 1800000059.0",
            "kraftlet_quorum_leader 1.0",
            "kraftlet_quorum_epoch 7.0",
            "kraftlet_quorum_epochs_per_minute 1.0",
            "kraftlet_quorum_high_watermark 4711.0",
            "kraftlet_quorum_voters 3.0",
            "kraftlet_quorum_spare_voters 0.0",
            r#"kraftlet_quorum_voter_lag_records{voter="0"} 0.0"#,
            r#"kraftlet_quorum_voter_lag_records{voter="1"} 0.0"#,
            r#"kraftlet_quorum_voter_fetch_age_seconds{voter="0"} 0.12"#,
            r#"kraftlet_quorum_voter_fetch_age_seconds{voter="1"} 0.0"#,
            r#"kraftlet_quorum_voter_fetch_age_seconds{voter="2"} 41.0"#,
            r#"kraftlet_member_state{state="CaughtUp"} 1.0"#,
            r#"kraftlet_broker_state{state="Unfenced"} 1.0"#,
            "kraftlet_broker_metadata_lag_records 1.0",
            "kraftlet_ready 1.0",
            "kraftlet_safe_to_stop 0.0",
            "kraftlet_restart_pending 1.0",
            r#"kraftlet_conditions{reason="RestartNeeded"} 1.0"#,
            r#"kraftlet_condition_matters_seconds{reason="RestartNeeded"} 1800000110.0"#,
        ];
        assert_eq!(samples, want, "{got}");
        for want in [
            "# TYPE kraftlet_probe_duration_seconds histogram\n",
            "kraftlet_probe_duration_seconds_count{path=\"/readyz\"} 1\n",
            "kraftlet_probe_duration_seconds_bucket{le=\"0.000025\",path=\"/readyz\"} 0\n",
            "kraftlet_probe_duration_seconds_bucket{le=\"+Inf\",path=\"/readyz\"} 1\n",
            "kraftlet_probe_duration_seconds_count{path=\"/livez\"} 0\n",
        ] {
            assert!(got.contains(want), "want {want} in\n{got}");
        }
    }

    #[test]
    fn no_series_comes_twice_and_no_name_breaks_out_of_its_label() {
        let mut snapshot = full();
        let mut twin = snapshot.conditions[0].clone();
        twin.matters_at = SystemTime::UNIX_EPOCH;
        snapshot.conditions.push(twin);
        let mut odd = snapshot.channels[0].clone();
        odd.name = Text::new("a\"} 1\nb\\");
        snapshot.channels.extend([odd.clone(), odd]);
        let got = render(Arc::new(snapshot), process(None));
        let mut series: Vec<&str> = got.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
        series.retain(|name| !name.starts_with('#'));
        let all = series.len();
        series.sort_unstable();
        series.dedup();
        assert_eq!(series.len(), all, "{got}");
        for want in [
            "kraftlet_conditions{reason=\"RestartNeeded\"} 2.0",
            "kraftlet_condition_matters_seconds{reason=\"RestartNeeded\"} 0.0",
            r#"channel="a\"} 1 b\\""#,
        ] {
            assert!(got.contains(want), "want {want} in\n{got}");
        }
        assert!(!got.contains("process_resident_memory"), "{got}");
    }
}
