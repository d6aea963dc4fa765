//! The text of a scrape: Prometheus' text format 0.0.4, or OpenMetrics 1.0.0 for clients that
//! prefer it. Histograms have classic buckets, since neither format has others.

use super::counts::{Counts, Distribution, Family, Kind, Labels, Scale, Value};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// Upper bounds of the buckets of times, in microseconds: 1, 2.5 and 5 times each power of ten,
/// from 100 µs to ten minutes.
const BOUNDS_US: &[u64] = &[
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    600_000_000,
];

/// Upper bounds of the buckets of tokens: 1, 2 and 5, then 1, 2.5 and 5 times each power of ten, up
/// to a million.
const BOUNDS_TOKENS: &[u64] = &[
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000,
];

/// The text format of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Version 0.0.4, which every client reads.
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// Picks the format that the `Accept` header of a scrape prefers. Prometheus gives OpenMetrics
    /// the higher weight. Clients that do not name it get the older format.
    pub fn accepted(accept: &str) -> Self {
        let weight = |name: &str| {
            let mut offers = accept.split(',').map(|offer| offer.split(';').map(str::trim));
            offers.find_map(|mut parts| {
                let is_it = parts.next()?.eq_ignore_ascii_case(name);
                let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
                weight.filter(|_| is_it)
            })
        };
        let (open, plain): (Option<f64>, Option<f64>) = (weight("application/openmetrics-text"), weight("text/plain"));
        match (open, plain) {
            (Some(open), plain) if open > 0.0 && plain.is_none_or(|plain| open >= plain) => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    /// Returns the `Content-Type`, without which Prometheus 3 refuses a scrape.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All families at one moment, ready to be written.
#[derive(Debug)]
pub struct Exposition(Vec<Family>);

impl Exposition {
    /// Returns the counts so far. It is empty before the run has begun.
    pub fn of(counts: Option<&Counts>) -> Self {
        Self(counts.map(Counts::families).unwrap_or_default())
    }

    /// Returns the text of a scrape.
    pub fn render(self, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        let written = match format {
            Format::Prometheus => prometheus_text::encode(&mut out, &registry),
            Format::OpenMetrics => text::encode(&mut out, &registry),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
        out
    }
}

/// No exemplars.
const NONE: Option<&Exemplar<NoLabelSet, f64>> = None;

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let unit = family.unit.map(|unit| match unit {
                "seconds" => Unit::Seconds,
                "bytes" => Unit::Bytes,
                other => Unit::Other(other.to_owned()),
            });
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            // The encoder ends the sentence itself.
            let help = family.help.trim_end_matches('.');
            let mut metric = encoder.encode_descriptor(&family.name, help, unit.as_ref(), kind)?;
            for point in &family.points {
                let labels: &Labels = &point.labels;
                let mut one = metric.encode_family(labels)?;
                match &point.value {
                    Value::Count(n) => one.encode_counter(n, NONE)?,
                    Value::Level(value) => one.encode_gauge(value)?,
                    Value::Distribution(of) => {
                        one.encode_histogram::<NoLabelSet>(of.sum, of.count, &classic(of), None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the number of values between one bound and the next, and beyond the last.
fn classic(distribution: &Distribution) -> Vec<(f64, u64)> {
    let scale = distribution.scale;
    let steps = match scale {
        Scale::Seconds => BOUNDS_US,
        Scale::Tokens => BOUNDS_TOKENS,
    };
    let bounds = steps.iter().map(|bound| *bound as f64 / scale.steps()).chain([f64::INFINITY]);
    let mut buckets: Vec<(f64, u64)> = bounds.map(|bound| (bound, 0)).collect();
    for (lowest, _, n) in distribution.buckets.ranges() {
        // A bound may lie within one of our buckets, which are a thousandth wide. The whole bucket
        // then counts as below the bound.
        if let Some(bucket) = buckets.get_mut(steps.partition_point(|bound| *bound < lowest)) {
            bucket.1 += n;
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::super::counts::tests::counts;
    use super::*;

    #[test]
    fn the_scrape_says_what_it_prefers() {
        const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (PROMETHEUS_2, Format::OpenMetrics),
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html,application/xhtml+xml", Format::Prometheus),
            ("text/plain, application/openmetrics-text;q=0.5", Format::Prometheus),
            ("application/openmetrics-text; version=1.0.0; q=0", Format::Prometheus),
            ("application/openmetrics-text;q=nonsense", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn both_formats_hold_the_same_numbers() {
        let of = |format| Exposition::of(Some(&counts())).render(format);
        let (plain, open) = (of(Format::Prometheus), of(Format::OpenMetrics));
        for line in [
            "llmsim_blast_http_reqs_total{kind=\"chat\",profile=\"load\",run_id=\"run-1\",shard=\"0\"} 3\n",
            "llmsim_blast_http_reqs_total{kind=\"he\\\"al\\\\th\",profile=\"load\",run_id=\"run-1\",shard=\"0\"} 2\n",
            "llmsim_blast_vus{profile=\"load\",run_id=\"run-1\",shard=\"0\"} 3",
            "llmsim_blast_http_req_duration_seconds_count{kind=\"chat\"",
        ] {
            assert!(plain.contains(line), "{line}\n{plain}");
            assert!(open.contains(line), "{line}\n{open}");
        }
        let bucket = |name: &str, le: &str, n: u64| {
            let labels = "kind=\"chat\",profile=\"load\",run_id=\"run-1\",shard=\"0\"";
            let one = format!("llmsim_blast_{name}_bucket{{le=\"{le}\",{labels}}} {n}\n");
            let other = format!("llmsim_blast_{name}_bucket{{{labels},le=\"{le}\"}} {n}\n");
            assert!(plain.contains(&one) || plain.contains(&other), "{name} {le}: {plain}");
        };
        // 10, 20 and 30 ms.
        for (le, n) in [("0.005", 0), ("0.01", 1), ("0.025", 2), ("0.05", 3), ("+Inf", 3)] {
            bucket("http_req_duration_seconds", le, n);
        }
        // Three times 300 tokens.
        for (le, n) in [("1", 0), ("250", 0), ("500", 3), ("1e+06", 3), ("+Inf", 3)] {
            bucket("asked_output_tokens", le, n);
        }
        assert!(plain.contains("\nllmsim_blast_asked_output_tokens_sum{"), "{plain}");
        assert!(open.contains("\n# UNIT llmsim_blast_asked_output_tokens tokens\n"), "{open}");
        assert!(open.contains("le=\"+Inf\"") && !open.contains("e+308") && !plain.contains("e+308"));
        assert!(open.ends_with("# EOF\n") && !plain.contains("# EOF"));
        assert!(plain.contains("# HELP llmsim_blast_ttft_seconds Time to first token"), "{plain}");
        assert!(!plain.contains("..\n") && !open.contains("..\n"));
    }

    #[test]
    fn nothing_is_said_before_the_run_begins() {
        assert_eq!(Exposition::of(None).render(Format::Prometheus), "");
        assert_eq!(Exposition::of(None).render(Format::OpenMetrics), "# EOF\n");
    }
}
