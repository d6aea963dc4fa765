//! What lasts and what changes: stages, what lies outside the measurement window, growth, drift, and counts that should agree.

use super::facts::ServerUse;
use super::{Document, Histograms, Quantiles, Second, rounded};
use crate::metrics::growth::{self, Growth, Trending};
use crate::metrics::soak::Soak;
use crate::metrics::{Counter, Distribution, Rate, ServerLevel, StageTally, Summary};
use crate::plan::Plan;
use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Requests that were sent in one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// When it began, from the start of the test.
    pub begin_s: f64,
    /// When it was over, or the test was.
    pub end_s: f64,
    /// Requests sent in it that finished, whatever the outcome.
    pub http_reqs: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that the end of the test cut off.
    pub interrupted: u64,
    /// Their generated tokens; earlier builds kept the rate only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_output: Option<u64>,
    /// Requests per second of the stage.
    pub http_reqs_rate: f64,
    /// Generated tokens per second of the stage.
    pub tokens_output_rate: f64,
    /// Durations of those that succeeded.
    pub http_req_duration: Option<Quantiles>,
    /// Their times to first token.
    pub ttft: Option<Quantiles>,
    /// The histograms of both.
    #[serde(default)]
    pub histograms: Histograms,
}

/// Requests that were sent outside the measurement window: in no metric, and never hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Those that finished.
    pub http_reqs: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that the end of the test cut off.
    pub interrupted: u64,
    /// Failures by class.
    pub failures: BTreeMap<String, u64>,
}

/// Resident memory over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Before the run.
    pub rss_start_bytes: u64,
    /// After it.
    pub rss_end_bytes: u64,
    /// The highest seen.
    pub rss_max_bytes: u64,
    /// Whether it grows; none when there was nothing to judge.
    #[serde(default)]
    pub growth: Option<MemoryGrowth>,
}

/// Growth of memory, by the slope of Theil and Sen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryGrowth {
    /// First second that was looked at: the load was level from here on, and the server warm.
    pub from_s: f64,
    /// Last second.
    pub to_s: f64,
    /// The slope; none of too few points.
    pub bytes_per_h: Option<f64>,
    /// Lower end of its band of 99 %.
    pub low_bytes_per_h: Option<f64>,
    /// Upper end.
    pub high_bytes_per_h: Option<f64>,
    /// `stable`, `growing` or `too short to say`.
    pub verdict: String,
}

/// A latency in the first and in the last tenth of the time in which the load was level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// First second that was looked at.
    #[serde(default)]
    pub from_s: f64,
    /// Last second.
    #[serde(default)]
    pub to_s: f64,
    /// Median of the first tenth's seconds, in ms.
    pub first: f64,
    /// The same of the last tenth.
    pub last: f64,
    /// `stable`, `growing` or `too short to say`.
    pub verdict: String,
}

/// Two numbers that should agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgreementLine {
    /// Of what.
    pub name: String,
    /// What the server is configured to do, or has counted.
    pub server: f64,
    /// What we measured or counted.
    pub ours: f64,
    /// What they may differ by: nothing for counts, and for times what the server's timers and the number of samples allow.
    pub tolerance: f64,
    /// `ms`, or nothing for counts.
    pub unit: String,
    /// Whether they agree.
    pub agree: bool,
}

/// What this part of a document is made from.
#[derive(Debug, Clone)]
pub struct Steady<'a> {
    /// What was sent in each stage, and how long that was open.
    pub stages: &'a [(StageTally, Nanos)],
    /// What was sent outside the measurement window.
    pub outside: Option<&'a Summary>,
    /// What was judged over time.
    pub soak: &'a Soak,
    /// Our own use.
    pub client_use: Option<ServerUse>,
    /// What should agree.
    pub agreements: Vec<AgreementLine>,
}

pub(crate) fn stages(plan: &Plan, stages: &[(StageTally, Nanos)]) -> Vec<Stage> {
    let spans = plan.shape.spans();
    // One stage is the whole.
    if spans.len() < 2 {
        return Vec::new();
    }
    let rows = spans.iter().zip(stages).map(|(span, (tally, open_for))| {
        let encoded = |times: Option<&Distribution>| times.map(Distribution::encoded);
        Stage {
            begin_s: rounded(span.begin.as_secs_f64()),
            end_s: rounded((span.begin + *open_for).as_secs_f64()),
            http_reqs: tally.http_reqs,
            failed: tally.failed,
            interrupted: tally.interrupted,
            tokens_output: Some(tally.tokens_output),
            http_reqs_rate: rate(tally.http_reqs, open_for.as_secs_f64()),
            tokens_output_rate: rate(tally.tokens_output, open_for.as_secs_f64()),
            http_req_duration: tally.http_req_duration.as_deref().map(quantiles),
            ttft: tally.ttft.as_deref().map(quantiles),
            histograms: Histograms {
                http_req_duration: encoded(tally.http_req_duration.as_deref()),
                ttft: encoded(tally.ttft.as_deref()),
                tbt: None,
            },
        }
    });
    rows.collect()
}

/// Per second of a stage; nothing of one that never was.
pub(crate) fn rate(n: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { rounded(n as f64 / seconds) } else { 0.0 }
}

fn quantiles(times: &Distribution) -> Quantiles {
    let [p50, p95, p99] = times.percentiles_ms([50.0, 95.0, 99.0]).map(rounded);
    Quantiles { p50, p95, p99 }
}

pub(crate) fn outside(summary: &Summary) -> Outside {
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    Outside {
        http_reqs: count(Counter::HttpReqs),
        failed: summary.rate(Rate::HttpReqFailed, None).map_or(0, |share| share.matches),
        interrupted: count(Counter::Interrupted),
        failures: summary.failures.iter().map(|(failure, all)| (failure.name().to_owned(), all.count)).collect(),
    }
}

/// Adds what another share sent outside the window.
pub(crate) fn add_outside(sum: &mut Option<Outside>, more: Option<&Outside>) {
    let Some(more) = more else { return };
    let Some(sum) = sum else { return *sum = Some(more.clone()) };
    sum.http_reqs += more.http_reqs;
    sum.failed += more.failed;
    sum.interrupted += more.interrupted;
    for (class, n) in &more.failures {
        *sum.failures.entry(class.clone()).or_default() += n;
    }
}

/// What is left of the stretches in which the load was level: the part that they have in common. A share that has none, because too
/// little was answered in it or because it was stopped, changes nothing.
pub(crate) fn add_drift(sum: &mut BTreeMap<String, Drift>, more: &BTreeMap<String, Drift>) {
    for (name, more) in more {
        let Some(sum) = sum.get_mut(name) else {
            sum.insert(name.clone(), more.clone());
            continue;
        };
        (sum.from_s, sum.to_s) = (sum.from_s.max(more.from_s), sum.to_s.min(more.to_s));
    }
}

/// The seconds that lie in the measurement window as a whole; they are counted from the start of the test.
pub(crate) fn in_window(document: &Document) -> impl Iterator<Item = &Second> {
    let (from, until) = (document.run.warmup_s, document.run.warmup_s + document.run.window_s);
    document.series.iter().filter(move |s| from <= f64::from(s.t_s) && f64::from(s.t_s) + 1.0 <= until)
}

/// The numbers of the server's process, as thresholds know them, out of a document.
pub(crate) fn server_levels(document: &Document) -> Vec<(ServerLevel, f64, u64)> {
    let cpu: Vec<f64> = in_window(document).filter_map(|second| second.server_cpu).collect();
    let rss: Vec<u64> = in_window(document).filter_map(|second| second.server_rss_bytes).collect();
    let judged = document.server.growth.as_ref().filter(|growth| growth.verdict != Trending::TooShort.name());
    let growth = judged.and_then(|growth| {
        Some((ServerLevel::RssGrowth, growth.bytes_per_h? / 1e6, (growth.to_s - growth.from_s) as u64 + 1))
    });
    let most = rss.iter().max().map(|max| (ServerLevel::RssMax, *max as f64 / 1e6, rss.len() as u64));
    let mean = (!cpu.is_empty()).then(|| cpu.iter().sum::<f64>() / cpu.len() as f64);
    let cpu = mean.map(|mean| (ServerLevel::Cpu, mean, cpu.len() as u64));
    [growth, most, cpu].into_iter().flatten().collect()
}

pub(crate) fn memory(used: ServerUse, growth: Option<Growth>) -> Memory {
    Memory {
        rss_start_bytes: used.rss_start_bytes,
        rss_end_bytes: used.rss_end_bytes,
        rss_max_bytes: used.rss_max_bytes,
        growth: growth.map(memory_growth),
    }
}

pub(crate) fn memory_growth(growth: Growth) -> MemoryGrowth {
    let of = |part: fn(growth::Slope) -> f64| growth.bytes_per_h.map(part).filter(|v| v.is_finite()).map(rounded);
    MemoryGrowth {
        from_s: growth.from_s,
        to_s: growth.to_s,
        bytes_per_h: of(|slope| slope.median),
        low_bytes_per_h: of(|slope| slope.low),
        high_bytes_per_h: of(|slope| slope.high),
        verdict: growth.verdict.name().to_owned(),
    }
}

pub(crate) fn drift(drifts: &[(&'static str, growth::Drift)]) -> BTreeMap<String, Drift> {
    let row = |d: &growth::Drift| Drift {
        from_s: d.from_s,
        to_s: d.to_s,
        first: rounded(d.first),
        last: rounded(d.last),
        verdict: d.verdict.name().to_owned(),
    };
    drifts.iter().map(|(name, drift)| ((*name).to_owned(), row(drift))).collect()
}
