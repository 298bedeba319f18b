//! One metric with its samples, as OpenMetrics has it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// Samples by their labels. A series that came twice would make a scraper refuse all of it; so the last one stands.
pub(crate) type Samples = BTreeMap<Vec<(&'static str, String)>, f64>;

/// A metric: its name without its unit, what it says, and where it is found in the snapshot.
pub(crate) struct Family<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: Option<Unit>,
    pub(crate) kind: MetricType,
    pub(crate) help: &'a str,
}

/// A number that goes up and down.
pub(crate) fn gauge<'a>(name: &'a str, help: &'a str) -> Family<'a> {
    Family { name, unit: None, kind: MetricType::Gauge, help }
}

/// A date or a span in seconds.
pub(crate) fn in_seconds<'a>(name: &'a str, help: &'a str) -> Family<'a> {
    Family { unit: Some(Unit::Seconds), ..gauge(name, help) }
}

impl Family<'_> {
    /// Writes it; one without samples is left out.
    pub(crate) fn encode(
        self,
        encoder: &mut DescriptorEncoder<'_>,
        samples: Samples,
    ) -> Result<(), fmt::Error> {
        if samples.is_empty() {
            return Ok(());
        }
        // OpenMetrics wants a full stop; prometheus-client's own registry adds it too.
        let help = format!("{}.", self.help);
        let mut metric = encoder.encode_descriptor(self.name, &help, self.unit.as_ref(), self.kind)?;
        for (labels, value) in &samples {
            match self.kind {
                MetricType::Info => metric.encode_info(labels)?,
                _ if labels.is_empty() => self.sample(&mut metric, *value)?,
                _ => self.sample(&mut metric.encode_family(labels)?, *value)?,
            }
        }
        Ok(())
    }

    fn sample(&self, metric: &mut MetricEncoder<'_>, value: f64) -> Result<(), fmt::Error> {
        match self.kind {
            MetricType::Counter => metric.encode_counter::<NoLabelSet, f64, f64>(&value, None),
            _ => metric.encode_gauge(&value),
        }
    }
}

/// A single sample without labels.
pub(crate) fn one(value: f64) -> Samples {
    Samples::from([(Vec::new(), value)])
}

/// A word as a label of a sample that is 1.
pub(crate) fn state(word: &impl fmt::Display) -> Samples {
    Samples::from([(vec![("state", word.to_string())], 1.0)])
}

/// Seconds since 1970, with their fraction; before it, 0.
pub(crate) fn seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
